// The same kernels as machine code: every architecture takes them, and no register is spilled.
#include "runtime/nvrtc/Nvrtc.h"
#include "runtime/state/Files.h"
#include <cstdio>
#include <filesystem>
#include <gtest/gtest.h>

using namespace r1rt;

static std::string kernel(const std::string &name, const std::string &element, int channels,
                          bool backward) {
  std::string in = "R1_ARG(const " + element + ") ", out = "R1_ARG(" + element + ") ";
  std::string ints = "R1_ARG(const int) segment, R1_ARG(const int) position";
  std::string text = "#include \"r1.cuh\"\n#include \"attention.cuh\"\n"
                     "struct Shape {\n"
                     "  static constexpr int B = 4, T = 1000, S = 1000, H = 8, G = 4, K = " +
                     std::to_string(channels) +
                     ";\n  static constexpr float scale = 0.125f;\n};\n"
                     "struct Allow {\n  const int *segment, *position;\n"
                     "  R1_FN bool operator()(int b, int t, int s) const {\n"
                     "    return segment[b * 1000 + t] == segment[b * 1000 + s] &&\n"
                     "           position[b * 1000 + s] <= position[b * 1000 + t];\n  }\n};\n"
                     "struct Exp {\n"
                     "  R1_FN float operator()(float x) const { return expf(x); }\n};\n"
                     "struct Log {\n"
                     "  R1_FN float operator()(float x) const { return logf(x); }\n};\n"
                     "R1_KERNEL(" +
                     name + ", 128)(";
  text += in + "q, " + in + "k, " + in + "v, ";
  if (!backward)
    return text + out + "o, R1_ARG(float) lse, " + ints +
           ") {\n  r1::attention_forward<Shape>(q, k, v, o, lse, Allow{segment, position}, "
           "Exp(), Log());\n}\n";
  return text + in + "o, R1_ARG(const float) lse, " + in + "dout, " + out + "dq, " + out + "dk, " +
         out + "dv, " + ints +
         ") {\n  r1::attention_backward<Shape>(q, k, v, o, lse, dout, dq, dk, dv, "
         "Allow{segment, position}, Exp());\n}\n";
}

TEST(AttentionCompiled, NothingIsSpilled) {
  if (auto api = loadNvrtc(); !api)
    GTEST_SKIP() << api.status().message();
  CudaOptions options;
  for (const auto &file : std::filesystem::directory_iterator(R1_PRELUDE))
    if (auto text = readFile(file.path().string()))
      options.headers.emplace_back(file.path().filename().string(), *text);
  std::vector<CudaSource> sources;
  for (const char *element : {"float", "r1::bf16"})
    for (int channels : {32, 64, 128}) {
      if (channels == 32 && std::string(element) == "float")
        continue; // seconds of compiling for little
      for (bool backward : {false, true}) {
        std::string name = std::string(backward ? "backward" : "forward") + "_" +
                           (element[0] == 'f' ? "f32_" : "bf16_") + std::to_string(channels);
        sources.push_back({name, kernel(name, element, channels, backward)});
      }
    }
  for (const char *arch : {"sm_80", "sm_90a", "sm_100"}) {
    options.arch = arch;
    auto made = compileCuda(sources, options);
    ASSERT_TRUE(made) << made.status().message();
    for (size_t i = 0; i < sources.size(); ++i) {
      const CudaResources &r = (*made)[i].resources;
      std::printf("    %-7s %-17s %3d registers, %5d bytes shared\n", arch, sources[i].name.c_str(),
                  r.registers, r.sharedBytes);
      EXPECT_EQ(r.spillStores + r.spillLoads + r.stackFrame, 0) << arch << " " << sources[i].name;
      EXPECT_LE(r.sharedBytes, 48 * 1024);
    }
  }
}
