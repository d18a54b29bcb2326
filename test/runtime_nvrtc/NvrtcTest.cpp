// Compiling needs NVRTC, not a GPU. Where the plugin is not there, those tests say so and are
// skipped; the ones about its absence run everywhere.
#include "runtime/nvrtc/Nvrtc.h"
#include "runtime/state/Files.h"
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <unistd.h>

using namespace r1rt;
namespace fs = std::filesystem;

namespace {
class Nvrtc : public ::testing::Test {
protected:
  void SetUp() override {
    if (auto api = loadNvrtc(); !api) {
#ifdef R1_NVRTC_BUILT
      FAIL() << api.status().message();
#else
      GTEST_SKIP() << api.status().message();
#endif
    }
    dir = fs::temp_directory_path() / ("r1-nvrtc-" + std::to_string(getpid()));
    fs::remove_all(dir);
    options.arch = "sm_90a";
    options.threads = 2;
  }
  void TearDown() override {
    if (!dir.empty())
      fs::remove_all(dir);
  }
  CudaOptions cachedOptions() const {
    CudaOptions o = options;
    o.cacheDir = dir.string();
    return o;
  }
  fs::path dir;
  CudaOptions options;
};
} // namespace

static CudaSource axpy(const std::string &name = "axpy", const std::string &more = "") {
  return {name, more + "extern \"C\" __global__ void __launch_bounds__(128) " + name +
                    "(float *y, const float *x, float a, int n) {\n"
                    "  int i = blockIdx.x * 128 + threadIdx.x;\n"
                    "  if (i < n) y[i] = y[i] + a * x[i];\n}\n"};
}

#define EXPECT_HAS(TEXT, PART) EXPECT_NE((TEXT).find(PART), std::string::npos) << (TEXT)

TEST_F(Nvrtc, CompilesWithResources) {
  auto r = compileCuda({axpy()}, options);
  ASSERT_TRUE(r) << r.status().message();
  const CudaBinary &b = (*r)[0];
  EXPECT_EQ(b.cubin.substr(1, 3), "ELF");
  EXPECT_HAS(b.ptx, ".entry axpy");
  EXPECT_EQ(b.ptx.back(), '\n'); // no terminating zero
  // a * x + y stays a product and a sum.
  EXPECT_HAS(b.ptx, "mul");
  EXPECT_EQ(b.ptx.find("fma.rn.f32"), std::string::npos);
  EXPECT_GT(b.resources.registers, 0);
  EXPECT_EQ(b.resources.spillStores + b.resources.spillLoads + b.resources.stackFrame, 0);
  EXPECT_EQ(b.resources.sharedBytes, 0);
  EXPECT_FALSE(b.cached);
  std::cout << "    axpy: " << b.resources.registers << " registers, " << b.seconds << " s\n";
}

TEST_F(Nvrtc, SharedMemoryAndBarriersAreCounted) {
  auto r = compileCuda({{"turn", "extern \"C\" __global__ void turn(float *x) {\n"
                                 "  __shared__ float s[64];\n"
                                 "  s[threadIdx.x] = x[threadIdx.x];\n  __syncthreads();\n"
                                 "  x[threadIdx.x] = s[63 - threadIdx.x];\n}\n"}},
                       options);
  ASSERT_TRUE(r) << r.status().message();
  EXPECT_GE((*r)[0].resources.sharedBytes, 256);
  EXPECT_LE((*r)[0].resources.sharedBytes, 256 + 1024); // newer architectures reserve 1 KiB
  EXPECT_EQ((*r)[0].resources.barriers, 1);
}

TEST_F(Nvrtc, ManyKernelsKeepTheirOrder) {
  std::vector<CudaSource> sources;
  for (int i = 0; i < 6; ++i)
    sources.push_back(axpy("k" + std::to_string(i)));
  sources.push_back(axpy("k2")); // equal to the third
  auto r = compileCuda(sources, options);
  ASSERT_TRUE(r) << r.status().message();
  ASSERT_EQ(r->size(), 7u);
  for (size_t i = 0; i < 7; ++i)
    EXPECT_HAS((*r)[i].ptx, ".entry " + sources[i].name + "(");
}

TEST_F(Nvrtc, HeadersAreGivenAsText) {
  CudaOptions o = options;
  o.headers = {
      {"r1/scale.cuh", "#pragma once\ninline float scale(float x) { return 3.0f * x; }\n"}};
  CudaSource s{"times3",
               "#include \"r1/scale.cuh\"\nextern \"C\" __global__ void times3(float *x) {\n"
               "  x[threadIdx.x] = scale(x[threadIdx.x]);\n}\n"};
  auto r = compileCuda({s}, o);
  ASSERT_TRUE(r) << r.status().message();
  o.headers.clear();
  r = compileCuda({s}, o);
  ASSERT_FALSE(r);
  EXPECT_HAS(r.status().message(), "kernel `times3` does not compile for sm_90a");
  EXPECT_HAS(r.status().message(), "r1/scale.cuh");
}

TEST_F(Nvrtc, AFailureNamesTheKernelAndTheLine) {
  auto r = compileCuda({axpy(),
                        {"wrong", "extern \"C\" __global__ void wrong(float *x) {\n"
                                  "  x[0] = y;\n}\n"}},
                       options);
  ASSERT_FALSE(r);
  EXPECT_HAS(r.status().message(), "kernel `wrong` does not compile for sm_90a");
  EXPECT_HAS(r.status().message(), "wrong.cu(2): error: identifier \"y\" is undefined");
}

TEST_F(Nvrtc, AKernelOfAnotherNameIsAnError) {
  CudaSource s = axpy();
  s.name = "axpi";
  auto r = compileCuda({s}, options);
  ASSERT_FALSE(r);
  EXPECT_HAS(r.status().message(), "kernel `axpi`");
}

TEST_F(Nvrtc, AnUnknownArchitectureListsTheKnownOnes) {
  for (std::string arch : {"sm_70", "sm_1234", "gfx90a", "sm_", ""}) {
    CudaOptions o = options;
    o.arch = arch;
    auto r = compileCuda({axpy()}, o);
    ASSERT_FALSE(r) << arch;
    EXPECT_HAS(r.status().message(), "does not compile for `" + arch + "`; it knows sm_75, ");
    EXPECT_HAS(r.status().message(), "sm_90");
  }
  CudaOptions o = options;
  o.arch = "sm_80a"; // the number exists, this variant does not
  auto r = compileCuda({axpy()}, o);
  ASSERT_FALSE(r);
  EXPECT_HAS(r.status().message(), "does not compile for `sm_80a`; it knows sm_75, ");
}

TEST_F(Nvrtc, ADeviceThatIsTooNewGetsPtx) {
  CudaOptions o = cachedOptions();
  o.arch = "sm_1234";
  o.orOlder = true;
  for (bool cached : {false, true}) {
    auto r = compileCuda({axpy()}, o);
    ASSERT_TRUE(r) << r.status().message();
    EXPECT_EQ((*r)[0].cached, cached);
    EXPECT_EQ((*r)[0].cubin, "");
    EXPECT_HAS((*r)[0].ptx, ".target sm_1");
  }
  o.arch = "sm_70"; // nothing that NVRTC knows runs there
  EXPECT_FALSE(compileCuda({axpy()}, o));
  o.arch = "sm_90"; // a device that it knows gets code of its own
  auto r = compileCuda({axpy()}, o);
  ASSERT_TRUE(r) << r.status().message();
  EXPECT_NE((*r)[0].cubin, "");
}

TEST_F(Nvrtc, TheCacheGivesTheSameBytes) {
  CudaOptions o = cachedOptions();
  auto first = compileCuda({axpy()}, o);
  ASSERT_TRUE(first) << first.status().message();
  auto again = compileCuda({axpy()}, o);
  ASSERT_TRUE(again) << again.status().message();
  const CudaBinary &a = (*first)[0], &b = (*again)[0];
  EXPECT_FALSE(a.cached);
  EXPECT_TRUE(b.cached);
  EXPECT_EQ(a.cubin, b.cubin);
  EXPECT_EQ(a.ptx, b.ptx);
  EXPECT_EQ(a.log, b.log);
  EXPECT_EQ(a.resources, b.resources);
  std::cout << "    compiled in " << a.seconds << " s, cached in " << b.seconds << " s\n";
}

TEST_F(Nvrtc, TheKeyIsAllThatMatters) {
  CudaOptions o = cachedOptions();
  auto isCached = [&](const CudaSource &s, const CudaOptions &o) {
    auto r = compileCuda({s}, o);
    EXPECT_TRUE(r) << r.status().message();
    return r && (*r)[0].cached;
  };
  EXPECT_FALSE(isCached(axpy(), o));
  EXPECT_TRUE(isCached(axpy(), o));
  EXPECT_FALSE(isCached(axpy("axpy", "// other\n"), o));
  CudaOptions other = o;
  other.arch = "sm_80";
  EXPECT_FALSE(isCached(axpy(), other));
  other = o;
  other.headers = {{"a.h", "#define A 1\n"}};
  EXPECT_FALSE(isCached(axpy(), other));
  other.headers = {{"a.h", "#define A 2\n"}};
  EXPECT_FALSE(isCached(axpy(), other));
  other = o;
  other.moreOptions = {"--use_fast_math"};
  EXPECT_FALSE(isCached(axpy(), other));
  other = o;
  other.threads = 1;
  EXPECT_TRUE(isCached(axpy(), other));
}

TEST_F(Nvrtc, ADamagedEntryIsMadeAnew) {
  CudaOptions o = cachedOptions();
  ASSERT_TRUE(compileCuda({axpy()}, o));
  for (const char *extension : {".cubin", ".ptx", ".json"}) {
    for (const auto &entry : fs::directory_iterator(dir))
      if (entry.path().extension() == extension)
        std::ofstream(entry.path(), std::ios::trunc) << "damaged";
    auto r = compileCuda({axpy()}, o);
    ASSERT_TRUE(r) << r.status().message();
    EXPECT_FALSE((*r)[0].cached) << extension;
    r = compileCuda({axpy()}, o);
    ASSERT_TRUE(r) << r.status().message();
    EXPECT_TRUE((*r)[0].cached) << extension;
  }
}

TEST_F(Nvrtc, ACacheThatCannotBeWrittenIsNoError) {
  CudaOptions o = options;
  o.cacheDir = "/proc/no-such-place";
  auto r = compileCuda({axpy()}, o);
  ASSERT_TRUE(r) << r.status().message();
  EXPECT_FALSE((*r)[0].cached);
}

//===--- where there is no plugin ----------------------------------------------===//

TEST(NvrtcLoader, AMissingFileIsNamed) {
  auto api = loadNvrtc("/no/such/libr1_nvrtc.so");
  ASSERT_FALSE(api);
  EXPECT_EQ(api.status().message(),
            "cannot load the plugin for NVRTC: /no/such/libr1_nvrtc.so: cannot open shared object "
            "file: No such file or directory\n"
            "help: install the CUDA toolkit 13.0 or newer, then configure and build r1c again");
  CudaOptions o;
  o.arch = "sm_90a";
  o.plugin = "/no/such/libr1_nvrtc.so";
  auto r = compileCuda({axpy()}, o);
  ASSERT_FALSE(r);
  EXPECT_EQ(r.status().message(), api.status().message());
}

TEST(NvrtcLoader, AnotherLibraryIsRefused) {
  auto api = loadNvrtc("libm.so.6");
  ASSERT_FALSE(api);
  EXPECT_HAS(api.status().message(), "`libm.so.6` is not the plugin for NVRTC: ");
  EXPECT_HAS(api.status().message(), "r1_nvrtc_get_api");
}

//===--- the log of ptxas --------------------------------------------------------===//

TEST(NvrtcLog, OneKernelAmongTwo) {
  const char *log =
      "ptxas info    : 0 bytes gmem\n"
      "ptxas info    : Compiling entry function 'a' for 'sm_90a'\n"
      "ptxas info    : Function properties for a\n"
      "    16 bytes stack frame, 24 bytes spill stores, 28 bytes spill loads\n"
      "ptxas info    : Used 255 registers, used 2 barriers, 48 bytes cumulative stack size, "
      "1024 bytes smem\n"
      "ptxas info    : Compile time = 12.345 ms\n"
      "ptxas info    : Compiling entry function 'b' for 'sm_90a'\n"
      "ptxas info    : Function properties for b\n"
      "    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads\n"
      "ptxas info    : Used 12 registers, used 0 barriers\n";
  auto a = parsePtxasLog(log, "a");
  ASSERT_TRUE(a);
  EXPECT_EQ(*a, (CudaResources{255, 24, 28, 48, 1024, 2}));
  auto b = parsePtxasLog(log, "b");
  ASSERT_TRUE(b);
  EXPECT_EQ(*b, (CudaResources{12, 0, 0, 0, 0, 0}));
  EXPECT_FALSE(parsePtxasLog(log, "c"));
  EXPECT_FALSE(parsePtxasLog("", "a"));
}
