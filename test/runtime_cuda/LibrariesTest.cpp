// Names and descriptions that the plugin for GPUs hands to NVIDIA's libraries are ones that these know.
#include "runtime/cuda/Driver.h"
#include "runtime/cuda/Matmul.h"
#include <dlfcn.h>
#include <gtest/gtest.h>
#include <string>

namespace {

const std::string kLibraries = R1_CUDA_LIBRARIES;

TEST(Driver, HasEveryFunction) {
  void *stub = dlopen((kLibraries + "/stubs/libcuda.so").c_str(), RTLD_LAZY | RTLD_LOCAL);
  if (!stub)
    GTEST_SKIP() << "the toolkit has no stub of the driver: " << dlerror();
#define R1_CHECK(name, symbol) EXPECT_TRUE(dlsym(stub, symbol)) << symbol;
  R1_DRIVER_FUNCTIONS(R1_CHECK)
#undef R1_CHECK
}

/// Without a driver cuBLASLt does not start, but it takes apart what it is given to describe a product.
std::string describe(const r1_product &p) {
  static void *library = dlopen((kLibraries + "/libcublasLt.so.13").c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library)
    return "";
  r1cuda::CublasLt lt;
#define R1_FIND(name)                                                                              \
  lt.name = reinterpret_cast<decltype(lt.name)>(dlsym(library, #name));                            \
  EXPECT_TRUE(lt.name) << #name;
  R1_CUBLASLT_FUNCTIONS(R1_FIND)
#undef R1_FIND
  lt.workspace = 256; // never touched
  r1cuda::Matmul product(lt);
  return product.make(p);
}

TEST(CublasLt, TakesDescriptions) {
  r1_product p = {};
  p.m = 64, p.n = 48, p.k = 32, p.batch = 1;
  p.a[1] = 32, p.a[2] = 1;
  p.b[1] = 48, p.b[2] = 1;
  p.c[1] = 48, p.c[2] = 1;
  p.bias = -1, p.align = 16;
  p.in = p.out = R1_F32;
  std::string said = describe(p);
  if (said.empty())
    GTEST_SKIP() << "the toolkit has no cuBLASLt";
  // All attributes are accepted: it stops where a device is needed.
  EXPECT_NE(said.find("cublasLtMatmulAlgoGetHeuristic: "), std::string::npos) << said;
  EXPECT_NE(said.find("a product of 64 x 48 with sums of 32"), std::string::npos) << said;
  EXPECT_NE(said.find("help: device(bits = \"exact\")"), std::string::npos) << said;
  p.bias = 3;
  EXPECT_NE(describe(p).find("cublasLtMatmulAlgoGetHeuristic: "), std::string::npos);
  p.in = R1_BF16, p.out = R1_F32, p.bias = -1, p.accumulate = 1, p.batch = 3;
  p.a[0] = 2048, p.b[0] = 1536, p.c[0] = 3072;
  EXPECT_NE(describe(p).find("cublasLtMatmulAlgoGetHeuristic: "), std::string::npos);
}

} // namespace
