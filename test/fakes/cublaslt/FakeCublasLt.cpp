// libcublasLt.so.13 in the place of NVIDIA's, for tests on machines without a GPU: products by plain loops
// in f32, on the streams of the stand-in driver (test/fakes/cuda). What a caller may get wrong ends in a
// status as there: a leading dimension that is too short, a type that is not supported, an algorithm that
// was not asked for, a workspace that is missing.
//
// R1_FAKE_CUBLASLT: "none" - no product has an algorithm; "launch" - every product fails when it is issued
#include <cublasLt.h>
#include <cuda.h>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <memory>
#include <new>
#include <string>

namespace {

constexpr uint64_t kAlgo = 0x72316c74; // marks what the heuristic has given

struct Layout {
  cudaDataType type;
  uint64_t rows, columns;
  int64_t ld;
  int32_t batch = 1;
  int64_t step = 0;
};
struct Desc {
  cublasComputeType_t compute;
  cublasOperation_t a = CUBLAS_OP_N, b = CUBLAS_OP_N;
  cublasLtEpilogue_t epilogue = CUBLASLT_EPILOGUE_DEFAULT;
  void *bias = nullptr;
  int32_t biasType = -1;
};
struct Preference {
  uint64_t workspace = 0;
  uint32_t reductions = ~0u, align[4] = {256, 256, 256, 256};
};
// Users see structures of fixed size; ours must fit into none of them, they are only pointed to.
Layout &of(cublasLtMatrixLayout_t l) { return *reinterpret_cast<Layout *>(l); }
Desc &of(cublasLtMatmulDesc_t d) { return *reinterpret_cast<Desc *>(d); }
Preference &of(cublasLtMatmulPreference_t p) { return *reinterpret_cast<Preference *>(p); }

bool faulty(const char *what) {
  const char *text = std::getenv("R1_FAKE_CUBLASLT");
  return text && !std::strcmp(text, what);
}

struct FakeDriver {
  decltype(&::cuLaunchHostFunc) launch = nullptr;
  void *(*pointer)(uint64_t address, uint64_t bytes) = nullptr;

  FakeDriver() {
    void *library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_NOLOAD);
    if (!library)
      return;
    launch = reinterpret_cast<decltype(launch)>(dlsym(library, "cuLaunchHostFunc"));
    pointer = reinterpret_cast<decltype(pointer)>(dlsym(library, "r1_fake_cuda_pointer"));
  }
};
FakeDriver &driver() {
  static FakeDriver d;
  return d;
}

uint64_t sizeOf(cudaDataType t) { return t == CUDA_R_32F ? 4 : 2; }
bool known(cudaDataType t) { return t == CUDA_R_32F || t == CUDA_R_16F || t == CUDA_R_16BF; }

float widen(cudaDataType type, const char *at) {
  if (type == CUDA_R_32F) {
    float x;
    std::memcpy(&x, at, 4);
    return x;
  }
  if (type == CUDA_R_16F) {
    _Float16 x;
    std::memcpy(&x, at, 2);
    return float(x);
  }
  uint16_t bits;
  std::memcpy(&bits, at, 2);
  uint32_t wide = uint32_t(bits) << 16;
  float x;
  std::memcpy(&x, &wide, 4);
  return x;
}

void narrow(cudaDataType type, char *at, float x) {
  if (type == CUDA_R_32F) {
    std::memcpy(at, &x, 4);
  } else if (type == CUDA_R_16F) {
    _Float16 h = _Float16(x);
    std::memcpy(at, &h, 2);
  } else { // to nearest, ties to even; NaN stays one
    uint32_t bits;
    std::memcpy(&bits, &x, 4);
    uint16_t h = x != x ? 0x7FC0 : uint16_t((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
    std::memcpy(at, &h, 2);
  }
}

struct Product {
  Desc desc;
  Layout a, b, c, d;
  float alpha, beta;
  uint64_t A, B, C, D;
};

char *memory(uint64_t address, uint64_t bytes) {
  return static_cast<char *>(driver().pointer ? driver().pointer(address, bytes)
                                              : reinterpret_cast<void *>(address));
}

/// Bytes from the first to the last element.
uint64_t extent(const Layout &l) {
  return uint64_t(l.step * (l.batch - 1) + l.ld * (int64_t(l.columns) - 1) + int64_t(l.rows)) * sizeOf(l.type);
}

void compute(void *context) {
  std::unique_ptr<Product> p(static_cast<Product *>(context));
  const char *A = memory(p->A, extent(p->a)), *B = memory(p->B, extent(p->b));
  const char *C = p->beta != 0 ? memory(p->C, extent(p->c)) : nullptr;
  char *D = memory(p->D, extent(p->d));
  bool biased = p->desc.epilogue == CUBLASLT_EPILOGUE_BIAS;
  const char *bias = biased ? memory(reinterpret_cast<uint64_t>(p->desc.bias), 4 * p->d.rows) : nullptr;
  if (!A || !B || !D || (p->beta != 0 && !C) || (biased && !bias))
    return; // the driver has the fault
  uint64_t k = p->desc.a == CUBLAS_OP_N ? p->a.columns : p->a.rows;
  auto at = [](const Layout &l, const char *base, int64_t batch, uint64_t row, uint64_t column) {
    return widen(l.type, base + uint64_t(batch * l.step + int64_t(column) * l.ld + int64_t(row)) * sizeOf(l.type));
  };
  for (int32_t g = 0; g < p->d.batch; ++g)
    for (uint64_t j = 0; j < p->d.columns; ++j)
      for (uint64_t i = 0; i < p->d.rows; ++i) {
        float sum = 0;
        for (uint64_t x = 0; x < k; ++x)
          sum += (p->desc.a == CUBLAS_OP_N ? at(p->a, A, g, i, x) : at(p->a, A, g, x, i)) *
                 (p->desc.b == CUBLAS_OP_N ? at(p->b, B, g, x, j) : at(p->b, B, g, j, x));
        sum *= p->alpha;
        if (p->beta != 0)
          sum += p->beta * at(p->c, C, g, i, j);
        if (bias)
          sum += widen(CUDA_R_32F, bias + 4 * i);
        narrow(p->d.type,
               D + uint64_t(g * p->d.step + int64_t(j) * p->d.ld + int64_t(i)) * sizeOf(p->d.type), sum);
      }
}

/// Do the shapes of a product fit?
bool fit(const Desc &d, const Layout &a, const Layout &b, const Layout &c) {
  uint64_t m = d.a == CUBLAS_OP_N ? a.rows : a.columns, ka = d.a == CUBLAS_OP_N ? a.columns : a.rows;
  uint64_t kb = d.b == CUBLAS_OP_N ? b.rows : b.columns, n = d.b == CUBLAS_OP_N ? b.columns : b.rows;
  for (const Layout *l : {&a, &b, &c})
    if (!known(l->type) || l->ld < int64_t(l->rows) || l->batch != c.batch || l->batch < 1)
      return false;
  return ka == kb && m == c.rows && n == c.columns && a.type == b.type &&
         (c.type == CUDA_R_32F || c.type == a.type) && d.compute == CUBLAS_COMPUTE_32F;
}

} // namespace

extern "C" {

cublasStatus_t cublasLtCreate(cublasLtHandle_t *handle) {
  if (!driver().launch)
    return CUBLAS_STATUS_NOT_INITIALIZED; // as NVIDIA's without a driver
  *handle = reinterpret_cast<cublasLtHandle_t>(new char);
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle) {
  delete reinterpret_cast<char *>(handle);
  return CUBLAS_STATUS_SUCCESS;
}
size_t cublasLtGetVersion(void) { return 130000; }

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t *layout, cudaDataType type, uint64_t rows,
                                          uint64_t columns, int64_t ld) {
  *layout = reinterpret_cast<cublasLtMatrixLayout_t>(new Layout{type, rows, columns, ld});
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout) {
  delete &of(layout);
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatrixLayoutSetAttribute(cublasLtMatrixLayout_t layout,
                                                cublasLtMatrixLayoutAttribute_t what, const void *value,
                                                size_t bytes) {
  Layout &l = of(layout);
  if (what == CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT && bytes == 4)
    std::memcpy(&l.batch, value, 4);
  else if (what == CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET && bytes == 8)
    std::memcpy(&l.step, value, 8);
  else
    return CUBLAS_STATUS_INVALID_VALUE;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t *desc, cublasComputeType_t compute,
                                        cudaDataType scale) {
  if (scale != CUDA_R_32F)
    return CUBLAS_STATUS_NOT_SUPPORTED;
  *desc = reinterpret_cast<cublasLtMatmulDesc_t>(new Desc{compute});
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t desc) {
  delete &of(desc);
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t desc, cublasLtMatmulDescAttributes_t what,
                                              const void *value, size_t bytes) {
  Desc &d = of(desc);
  void *to = what == CUBLASLT_MATMUL_DESC_TRANSA           ? static_cast<void *>(&d.a)
             : what == CUBLASLT_MATMUL_DESC_TRANSB         ? static_cast<void *>(&d.b)
             : what == CUBLASLT_MATMUL_DESC_EPILOGUE       ? static_cast<void *>(&d.epilogue)
             : what == CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE ? static_cast<void *>(&d.biasType)
             : what == CUBLASLT_MATMUL_DESC_BIAS_POINTER   ? static_cast<void *>(&d.bias)
                                                           : nullptr;
  size_t size = what == CUBLASLT_MATMUL_DESC_BIAS_POINTER ? 8 : 4;
  if (!to || bytes != size)
    return CUBLAS_STATUS_INVALID_VALUE;
  std::memcpy(to, value, size);
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t *preference) {
  *preference = reinterpret_cast<cublasLtMatmulPreference_t>(new Preference);
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference) {
  delete &of(preference);
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t preference,
                                                    cublasLtMatmulPreferenceAttributes_t what,
                                                    const void *value, size_t bytes) {
  Preference &p = of(preference);
  if (what == CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES && bytes == 8)
    std::memcpy(&p.workspace, value, 8);
  else if (what == CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK && bytes == 4)
    std::memcpy(&p.reductions, value, 4);
  else if (what >= CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES &&
           what <= CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES && bytes == 4)
    std::memcpy(&p.align[what - CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES], value, 4);
  else
    return CUBLAS_STATUS_INVALID_VALUE;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t, cublasLtMatmulDesc_t desc,
                                              cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                              cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                              cublasLtMatmulPreference_t preference, int asked,
                                              cublasLtMatmulHeuristicResult_t results[], int *found) {
  *found = 0;
  if (asked < 1 || !fit(of(desc), of(a), of(b), of(d)) || of(c).type != of(d).type)
    return CUBLAS_STATUS_INVALID_VALUE;
  // Only sums in f32 in the workspace keep the order from run to run.
  if (of(preference).reductions & ~uint32_t(CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE) || faulty("none"))
    return CUBLAS_STATUS_SUCCESS;
  results[0] = {};
  results[0].algo.data[0] = kAlgo;
  results[0].state = CUBLAS_STATUS_SUCCESS;
  results[0].workspaceSize = of(preference).workspace;
  // Promised alignments, for the check at launch.
  for (int i = 0; i < 4; ++i)
    results[0].algo.data[1 + i] = of(preference).align[i];
  *found = 1;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulAlgoConfigGetAttribute(const cublasLtMatmulAlgo_t *algo,
                                                    cublasLtMatmulAlgoConfigAttributes_t what, void *value,
                                                    size_t bytes, size_t *written) {
  if (algo->data[0] != kAlgo || bytes < 4)
    return CUBLAS_STATUS_INVALID_VALUE;
  int32_t x = what == CUBLASLT_ALGO_CONFIG_SPLITK_NUM ? 1 : 0;
  std::memcpy(value, &x, 4);
  *written = 4;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t, cublasLtMatmulDesc_t desc, const void *alpha, const void *A,
                              cublasLtMatrixLayout_t a, const void *B, cublasLtMatrixLayout_t b,
                              const void *beta, const void *C, cublasLtMatrixLayout_t c, void *D,
                              cublasLtMatrixLayout_t d, const cublasLtMatmulAlgo_t *algo, void *workspace,
                              size_t workspaceBytes, cudaStream_t stream) {
  if (faulty("launch"))
    return CUBLAS_STATUS_EXECUTION_FAILED;
  const Desc &x = of(desc);
  if (!algo || algo->data[0] != kAlgo || !fit(x, of(a), of(b), of(d)) || (workspaceBytes && !workspace) ||
      (x.epilogue != CUBLASLT_EPILOGUE_DEFAULT && x.epilogue != CUBLASLT_EPILOGUE_BIAS) ||
      (x.epilogue == CUBLASLT_EPILOGUE_BIAS && (!x.bias || x.biasType != CUDA_R_32F)))
    return CUBLAS_STATUS_INVALID_VALUE;
  const void *operands[] = {A, B, C, D};
  for (int i = 0; i < 4; ++i)
    if (reinterpret_cast<uint64_t>(operands[i]) % algo->data[1 + i])
      return CUBLAS_STATUS_INVALID_VALUE; // less aligned than promised
  auto *p = new Product{x, of(a), of(b), of(c), of(d), *static_cast<const float *>(alpha),
                        *static_cast<const float *>(beta), reinterpret_cast<uint64_t>(A),
                        reinterpret_cast<uint64_t>(B), reinterpret_cast<uint64_t>(C),
                        reinterpret_cast<uint64_t>(D)};
  // In a captured stream the node is replayed: it keeps its product.
  auto run = [](void *context) { compute(new Product(*static_cast<Product *>(context))); };
  CUresult rc = driver().launch(reinterpret_cast<CUstream>(stream), run, p);
  return rc == CUDA_SUCCESS ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_EXECUTION_FAILED;
}
}
