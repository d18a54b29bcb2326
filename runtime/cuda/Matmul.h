// Matrix products by cuBLASLt, which is found when the first one is made.
//
// The bits are cuBLASLt's own: the same for the same device, library and shape. An algorithm is chosen once
// per product, without measuring anything, so that two runs choose the same; sums that are split over k meet
// in f32 in the workspace, never by atomics.
#pragma once
#include "runtime/r1rt.h"
#include <cublasLt.h>
#include <cuda.h>
#include <string>

namespace r1cuda {

#define R1_CUBLASLT_FUNCTIONS(F)                                                                   \
  F(cublasLtCreate)                                                                                \
  F(cublasLtDestroy)                                                                               \
  F(cublasLtGetVersion)                                                                            \
  F(cublasLtMatmul)                                                                                \
  F(cublasLtMatmulAlgoConfigGetAttribute)                                                          \
  F(cublasLtMatmulAlgoGetHeuristic)                                                                \
  F(cublasLtMatmulDescCreate)                                                                      \
  F(cublasLtMatmulDescDestroy)                                                                     \
  F(cublasLtMatmulDescSetAttribute)                                                                \
  F(cublasLtMatmulPreferenceCreate)                                                                \
  F(cublasLtMatmulPreferenceDestroy)                                                               \
  F(cublasLtMatmulPreferenceSetAttribute)                                                          \
  F(cublasLtMatrixLayoutCreate)                                                                    \
  F(cublasLtMatrixLayoutDestroy)                                                                   \
  F(cublasLtMatrixLayoutSetAttribute)

/// The library with the workspace that its products share, as they run one after the other.
struct CublasLt {
#define R1_DECLARE(name) decltype(&::name) name = nullptr;
  R1_CUBLASLT_FUNCTIONS(R1_DECLARE)
#undef R1_DECLARE
  /// What Hopper's kernels ask for at most.
  static constexpr size_t workspaceBytes = size_t(32) << 20;

  cublasLtHandle_t handle = nullptr;
  CUdeviceptr workspace = 0; // of workspaceBytes; the caller's

  CublasLt() = default;
  CublasLt(const CublasLt &) = delete;
  CublasLt &operator=(const CublasLt &) = delete;
  ~CublasLt();
  /// Finds and starts it in the current context. Empty, or what is wrong and how to mend it.
  std::string open();
};

class Matmul {
public:
  explicit Matmul(const CublasLt &lt) : lt(lt) {}
  Matmul(const Matmul &) = delete;
  Matmul &operator=(const Matmul &) = delete;
  ~Matmul();

  /// Chooses an algorithm. Empty, or what is wrong.
  std::string make(const r1_product &product);
  /// Puts one product on `stream`. `args` are the addresses of the launch's arguments.
  std::string issue(const CUdeviceptr *args, CUstream stream);
  /// "algorithm 66, tile 21, 4 stages, split 1"
  const std::string &choice() const { return chosen; }

private:
  std::string setUp(const r1_product &p);
  std::string choose();

  const CublasLt &lt;
  r1_product product = {};
  cublasLtMatmulDesc_t desc = nullptr;
  cublasLtMatrixLayout_t a = nullptr, b = nullptr, c = nullptr;
  cublasLtMatmulAlgo_t algo = {};
  std::string chosen;
};

} // namespace r1cuda
