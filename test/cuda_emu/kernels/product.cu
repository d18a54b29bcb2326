// One product; the test chooses the shape with -D.
#include "r1.cuh"
#ifdef S_WGMMA
#include "product_wgmma.cuh"
#endif
struct Shape {
  static constexpr int M = S_M, N = S_N, K = S_K, B0 = S_B0, B1 = S_B1, B2 = S_B2;
  static constexpr int AB0 = S_AB0, AB1 = S_AB1, AB2 = S_AB2, AM = S_AM, AK = S_AK;
  static constexpr int BB0 = S_BB0, BB1 = S_BB1, BB2 = S_BB2, BK = S_BK, BN = S_BN;
  static constexpr int CB0 = S_CB0, CB1 = S_CB1, CB2 = S_CB2, CM = S_CM, CN = S_CN;
  static constexpr bool ACCUMULATE = S_ACCUMULATE;
};
struct Epilogue {
  const float *bias;
  R1_FN S_TC operator()(int g, int m, int n, float sum) const {
    return r1::cast<S_TC>(S_ACCUMULATE ? sum : sum + bias[n]);
  }
  R1_FN r1::vec<S_TC, 4> operator()(int g, int m, int n, r1::vec<float, 4> sum) const {
    r1::vec<S_TC, 4> all;
    for (int i = 0; i < 4; ++i)
      all.v[i] = operator()(g, m, n + i, sum.v[i]);
    return all;
  }
};
#ifdef S_WGMMA
constexpr int kBlocks = r1::product_wgmma_blocks<Shape>(), kThreads = 384;
#elif defined(S_MMA)
constexpr int kBlocks = r1::product_mma_blocks<Shape>(), kThreads = 256;
#elif defined(S_MMA_FEW)
constexpr int kBlocks = r1::product_mma_few_blocks<Shape>(), kThreads = r1::product_mma_few_threads<Shape>();
#elif defined(S_FEW)
constexpr int kBlocks = r1::product_few_blocks<Shape>(), kThreads = r1::product_few_threads<Shape>();
#else
using Tile = S_TILE;
constexpr int kBlocks = r1::product_blocks<Shape, Tile>();
constexpr int kThreads = r1::product_threads<Shape, Tile>();
#endif
#ifdef S_WGMMA
R1_KERNEL(product, kThreads)
(R1_MAP(a), R1_MAP(b), R1_ARG(S_TC) c, const float *R1_RESTRICT bias) {
  r1::product_wgmma<Shape, S_TA>(a, b, c, Epilogue{bias});
}
R1_ENTRY_SHARED(product, 4, kBlocks, kThreads, r1::product_wgmma_shared<Shape>(),
                r1::tensor_map(a[0], 2, S_MAPA, 128), r1::tensor_map(a[1], 2, S_MAPB, 128),
                (S_TC *)a[2], (const float *)a[3])
#else
R1_KERNEL(product, kThreads)
(R1_ARG(const S_TA) a, R1_ARG(const S_TB) b, R1_ARG(S_TC) c, const float *R1_RESTRICT bias) {
#ifdef S_MMA
  r1::product_mma<Shape>(a, b, c, Epilogue{bias});
#elif defined(S_MMA_FEW)
  r1::product_mma_few<Shape>(a, b, c, Epilogue{bias});
#elif defined(S_FEW)
  r1::product_few<Shape>(a, b, c, Epilogue{bias});
#else
  r1::product<Shape, Tile>(a, b, c, Epilogue{bias});
#endif
}
R1_ENTRY(product, 4, kBlocks, kThreads, (const S_TA *)a[0], (const S_TB *)a[1], (S_TC *)a[2],
         (const float *)a[3])
#endif
