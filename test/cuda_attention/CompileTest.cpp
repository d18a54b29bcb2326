// The same kernels as machine code: every architecture takes them, and no register is spilled.
#include "runtime/nvrtc/Nvrtc.h"
#include "runtime/state/Files.h"
#include <cstdio>
#include <filesystem>
#include <gtest/gtest.h>

using namespace r1rt;

/// The text of a kernel; the mask with `reach`, as the compiler writes it.
static std::string kernel(const std::string &name, const std::string &element, int channels,
                          bool backward, bool tensor, bool one = false) {
  std::string in = "R1_ARG(const " + element + ") ", out = "R1_ARG(" + element + ") ";
  std::string text = R"(#include "r1.cuh"
#include "attention.cuh"
struct Shape {
  static constexpr int B = 4, T = )" +
                     std::string(one ? "1" : "1000") + ", S = 1000, H = 8, G = 4, K = " + std::to_string(channels) + R"(;
  static constexpr float scale = 0.125f;
};
struct Allow {
  const int *segment, *position;
  R1_FN bool operator()(int b, int t, int s) const {
    return segment[b * 1000 + t] == segment[b * 1000 + s] &&
           position[b * 1000 + s] <= position[b * 1000 + t];
  }
  R1_FN r1::Reach reach(int b, int t0, int t1, int s0, int s1) const {
    return r1::both(r1::equal(r1::span_of(segment + b * 1000 + t0, t1 - t0 + 1, 1),
                              r1::span_of(segment + b * 1000 + s0, s1 - s0 + 1, 1)),
                    r1::at_most(r1::span_of(position + b * 1000 + s0, s1 - s0 + 1, 1),
                                r1::span_of(position + b * 1000 + t0, t1 - t0 + 1, 1)));
  }
};
struct Exp {
  R1_FN float operator()(float x) const { return expf(x); }
};
struct Log {
  R1_FN float operator()(float x) const { return logf(x); }
};
)";
  text += "R1_KERNEL(" + name + (one ? ", 256)(" : ", 128)(") + in + "q, " + in + "k, " + in + "v, ";
  std::string mma = tensor ? "_mma" : "";
  std::string ints = "R1_ARG(const int) segment, R1_ARG(const int) position";
  std::string allow = "Allow{segment, position}" + std::string(tensor ? "" : ", Exp()");
  if (!backward)
    return text + out + "o, R1_ARG(float) lse, " + ints + ") {\n  r1::attention_" + (one ? "one" : "forward" + mma) +
           "<Shape>(q, k, v, o, lse, " + allow + ", Log());\n}\n";
  return text + in + "o, R1_ARG(const float) lse, " + in + "dout, " + out + "dq, " + out + "dk, " +
         out + "dv, " + ints + ") {\n  r1::attention_backward" + mma +
         "<Shape>(q, k, v, o, lse, dout, dq, dk, dv, " + allow + ");\n}\n";
}

TEST(AttentionCompiled, NothingIsSpilled) {
  if (auto api = loadNvrtc(); !api)
    GTEST_SKIP() << api.status().message();
  CudaOptions options;
  for (const auto &file : std::filesystem::directory_iterator(R1_PRELUDE))
    if (auto text = readFile(file.path().string()))
      options.headers.emplace_back(file.path().filename().string(), *text);
  std::vector<CudaSource> sources;
  auto add = [&](const std::string &element, int channels, bool backward, bool tensor, bool one = false) {
    std::string name = std::string(tensor ? "tensor_" : one ? "one_" : "") + (backward ? "backward_" : "forward_") +
                       (element == "float" ? "f32" : element.substr(4)) + "_" +
                       std::to_string(channels);
    sources.push_back({name, kernel(name, element, channels, backward, tensor, one)});
  };
  for (int channels : {64, 128, 256})
    add("float", channels, false, false, true);
  for (bool backward : {false, true}) {
    for (int channels : {64, 128, 160, 256})
      add("float", channels, backward, false);
    for (const char *element : {"r1::bf16", "r1::f16"})
      for (int channels : {32, 64, 96, 128, 160, 256})
        if (channels <= 128 || !backward)
          add(element, channels, backward, true);
  }
  for (const char *arch : {"sm_80", "sm_90a", "sm_100"}) {
    options.arch = arch;
    auto made = compileCuda(sources, options);
    ASSERT_TRUE(made) << made.status().message();
    for (size_t i = 0; i < sources.size(); ++i) {
      const CudaBinary &m = (*made)[i];
      const CudaResources &r = m.resources;
      std::printf("    %-7s %-24s %3d registers, %5d bytes shared, %4.0f ms\n", arch,
                  sources[i].name.c_str(), r.registers, r.sharedBytes, m.seconds * 1e3);
      EXPECT_EQ(r.spillStores + r.spillLoads + r.stackFrame, 0) << arch << " " << sources[i].name;
      EXPECT_LE(r.sharedBytes, 48 * 1024);
    }
  }
}
