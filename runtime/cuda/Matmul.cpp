#include "runtime/cuda/Matmul.h"
#include <dlfcn.h>

namespace r1cuda {
namespace {

const char *nameOf(cublasStatus_t s) {
  switch (s) {
  case CUBLAS_STATUS_SUCCESS: return "success";
  case CUBLAS_STATUS_NOT_INITIALIZED: return "not initialised";
  case CUBLAS_STATUS_ALLOC_FAILED: return "out of memory";
  case CUBLAS_STATUS_INVALID_VALUE: return "invalid value";
  case CUBLAS_STATUS_ARCH_MISMATCH: return "not for this device";
  case CUBLAS_STATUS_EXECUTION_FAILED: return "execution failed";
  case CUBLAS_STATUS_NOT_SUPPORTED: return "not supported";
  default: return "internal error";
  }
}

std::string failed(const char *call, cublasStatus_t s) {
  return std::string(call) + ": " + nameOf(s) + " (" + std::to_string(int(s)) + ")";
}

#define R1_TRY_LT(call, ...)                                                                       \
  if (cublasStatus_t s = lt.call(__VA_ARGS__); s != CUBLAS_STATUS_SUCCESS)                         \
    return failed(#call, s);

cudaDataType_t typeOf(r1_dtype t) {
  return t == R1_BF16 ? CUDA_R_16BF : t == R1_F16 ? CUDA_R_16F : CUDA_R_32F;
}

} // namespace

std::string CublasLt::open() {
  void *library = dlopen("libcublasLt.so.13", RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    const char *text = dlerror();
    return std::string("products need cuBLASLt 13 (") + (text ? text : "libcublasLt.so.13") +
           ")\nhelp: install libcublas of the CUDA toolkit 13, or say device(bits = \"exact\"), which uses "
           "r1c's own kernels";
  }
#define R1_FIND(name)                                                                              \
  name = reinterpret_cast<decltype(name)>(dlsym(library, #name));                                  \
  if (!name)                                                                                       \
    return "cuBLASLt has no " #name "\nhelp: install libcublas of the CUDA toolkit 13";
  R1_CUBLASLT_FUNCTIONS(R1_FIND)
#undef R1_FIND
  cublasStatus_t s = cublasLtCreate(&handle);
  return s == CUBLAS_STATUS_SUCCESS ? "" : failed("cublasLtCreate", s);
}

CublasLt::~CublasLt() {
  if (handle)
    cublasLtDestroy(handle);
}

Matmul::~Matmul() {
  for (cublasLtMatrixLayout_t layout : {a, b, c})
    if (layout)
      lt.cublasLtMatrixLayoutDestroy(layout);
  if (desc)
    lt.cublasLtMatmulDescDestroy(desc);
}

std::string Matmul::make(const r1_product &p) {
  product = p;
  std::string wrong = setUp(p);
  if (wrong.empty())
    wrong = choose();
  return wrong.empty() ? ""
                       : "a product of " + std::to_string(p.m) + " x " + std::to_string(p.n) + " with sums of " +
                             std::to_string(p.k) + ": " + wrong +
                             "\nhelp: device(bits = \"exact\") uses r1c's own kernels";
}

/// cuBLASLt's matrices stand in columns: ours in rows are their transposes, so it is asked for
/// C' = B' A'. What it calls A is our B.
std::string Matmul::setUp(const r1_product &p) {
  R1_TRY_LT(cublasLtMatmulDescCreate, &desc, CUBLAS_COMPUTE_32F, CUDA_R_32F);
  // B' [n, k] as it lies: columns of n where n is the dim of stride 1, else the transpose.
  bool plainB = p.b[2] == 1 && p.b[1] >= p.n, plainA = p.a[2] == 1 && p.a[1] >= p.k;
  cublasOperation_t opB = plainB ? CUBLAS_OP_N : CUBLAS_OP_T;
  cublasOperation_t opA = plainA ? CUBLAS_OP_N : CUBLAS_OP_T;
  R1_TRY_LT(cublasLtMatmulDescSetAttribute, desc, CUBLASLT_MATMUL_DESC_TRANSA, &opB, sizeof opB);
  R1_TRY_LT(cublasLtMatmulDescSetAttribute, desc, CUBLASLT_MATMUL_DESC_TRANSB, &opA, sizeof opA);
  if (p.bias >= 0) {
    cublasLtEpilogue_t epilogue = CUBLASLT_EPILOGUE_BIAS;
    cudaDataType_t type = CUDA_R_32F;
    R1_TRY_LT(cublasLtMatmulDescSetAttribute, desc, CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue,
              sizeof epilogue);
    R1_TRY_LT(cublasLtMatmulDescSetAttribute, desc, CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, &type,
              sizeof type);
  }
  auto layout = [&](cublasLtMatrixLayout_t &to, r1_dtype type, int64_t rows, int64_t columns,
                    int64_t step, int64_t batchStep) -> std::string {
    R1_TRY_LT(cublasLtMatrixLayoutCreate, &to, typeOf(type), uint64_t(rows), uint64_t(columns), step);
    int32_t count = int32_t(p.batch);
    R1_TRY_LT(cublasLtMatrixLayoutSetAttribute, to, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &count,
              sizeof count);
    R1_TRY_LT(cublasLtMatrixLayoutSetAttribute, to, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET,
              &batchStep, sizeof batchStep);
    return "";
  };
  std::string wrong = plainB ? layout(b, p.in, p.n, p.k, p.b[1], p.b[0])
                             : layout(b, p.in, p.k, p.n, p.b[2], p.b[0]);
  if (wrong.empty())
    wrong = plainA ? layout(a, p.in, p.k, p.m, p.a[1], p.a[0])
                   : layout(a, p.in, p.m, p.k, p.a[2], p.a[0]);
  if (wrong.empty())
    wrong = layout(c, p.out, p.n, p.m, p.c[1], p.c[0]);
  return wrong;
}

std::string Matmul::choose() {
  cublasLtMatmulPreference_t preference = nullptr;
  R1_TRY_LT(cublasLtMatmulPreferenceCreate, &preference);
  auto ask = [&]() -> std::string {
    if (product.bias >= 0) { // any address, so that algorithms with a bias are found
      void *somewhere = reinterpret_cast<void *>(lt.workspace);
      R1_TRY_LT(cublasLtMatmulDescSetAttribute, desc, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &somewhere,
                sizeof somewhere);
    }
    auto set = [&](cublasLtMatmulPreferenceAttributes_t what, auto value) -> std::string {
      R1_TRY_LT(cublasLtMatmulPreferenceSetAttribute, preference, what, &value, sizeof value);
      return "";
    };
    std::string wrong = set(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, uint64_t(CublasLt::workspaceBytes));
    if (wrong.empty())
      wrong = set(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
                  uint32_t(CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE));
    for (auto what : {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
                      CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES})
      if (wrong.empty())
        wrong = set(what, product.align);
    if (!wrong.empty())
      return wrong;
    cublasLtMatmulHeuristicResult_t best = {};
    int found = 0;
    R1_TRY_LT(cublasLtMatmulAlgoGetHeuristic, lt.handle, desc, b, a, c, c, preference, 1, &best, &found);
    if (found == 0)
      return "cuBLASLt has no algorithm for it";
    if (best.state != CUBLAS_STATUS_SUCCESS)
      return failed("cublasLtMatmulAlgoGetHeuristic", best.state);
    algo = best.algo;
    return "";
  };
  std::string wrong = ask();
  lt.cublasLtMatmulPreferenceDestroy(preference);
  if (!wrong.empty())
    return wrong;
  auto config = [&](cublasLtMatmulAlgoConfigAttributes_t what) {
    int32_t value = -1;
    size_t written = 0;
    lt.cublasLtMatmulAlgoConfigGetAttribute(&algo, what, &value, sizeof value, &written);
    return std::to_string(value);
  };
  chosen = "algorithm " + config(CUBLASLT_ALGO_CONFIG_ID) + ", tile " + config(CUBLASLT_ALGO_CONFIG_TILE_ID) +
           ", stages " + config(CUBLASLT_ALGO_CONFIG_STAGES_ID) + ", split " +
           config(CUBLASLT_ALGO_CONFIG_SPLITK_NUM);
  return "";
}

std::string Matmul::issue(const CUdeviceptr *args, CUstream stream) {
  auto pointer = [](CUdeviceptr p) { return reinterpret_cast<void *>(p); };
  if (product.bias >= 0) {
    void *bias = pointer(args[product.bias]);
    R1_TRY_LT(cublasLtMatmulDescSetAttribute, desc, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &bias, sizeof bias);
  }
  float one = 1, beta = product.accumulate ? 1.0f : 0.0f;
  void *out = pointer(args[2]);
  R1_TRY_LT(cublasLtMatmul, lt.handle, desc, &one, pointer(args[1]), b, pointer(args[0]), a, &beta, out, c, out,
            c, &algo, pointer(lt.workspace), CublasLt::workspaceBytes, stream);
  return "";
}

} // namespace r1cuda
