// product.cuh's products on tensor cores (sm_80 and above): A and B both bf16 or both f16, sums f32.
//
//   product_mma<P>(A, B, C, e)     P and e as for product<P>, if product_mma_fits<P>()
//
// 8 warps make 128 x 128 elements, each of them 64 x 32, in steps of 32 k that come by asynchronous
// copies through three stages:
//
//   memory ──cp.async──> stage s + 2   |   stage s ──ldmatrix──> fragments ──mma──> sums
//
// What does NOT hold here: the order of the sums within a step is the tensor core's, so bits are
// those of one device and one tile, not those of product<P>.
#pragma once

namespace r1 {
namespace mma_ {

constexpr int M = 128, N = 128, K = 32, stages = 3, threads = 256;

constexpr bool eights(int size, int stride) { return size == 1 || stride % 8 == 0; }
/// Do 8 neighbours of an operand always lie as one access of 16 bytes? `other` is the stride of its rows.
constexpr bool fits(int step, int other, int n0, int s0, int n1, int s1, int n2, int s2) {
  return step == 1 && other % 8 == 0 && eights(n0, s0) && eights(n1, s1) && eights(n2, s2);
}

/// 128 x 32 elements (w, k) of an operand in shared memory, in chunks of 8 that are neighbours in
/// memory: along k, rows of 4 chunks, one per w; else rows of 16 chunks, one per k. Chunks of a row
/// are permuted so that the 8 rows that ldmatrix reads at once lie in different banks.
template <bool Along> struct Stage {
  static constexpr int size = 128 * 32;
  /// Where the chunk of (w, k) starts.
  R1_FN static int chunk(int w, int k) {
    return Along ? (w * 4 + ((k / 8) ^ (w / 2 % 4))) * 8 : (k * 16 + ((w / 8) ^ (k % 8))) * 8;
  }
  /// Copies what is there, of w < ws and k < ks; the rest becomes zero, also of a ragged last chunk.
  template <int SW, int SK, class S, class G>
  R1_FN static void fetch(S to, G from, int ws, int ks R1_AT) {
    R1_UNROLL
    for (int r = 0; r < size / 8 / threads; ++r) {
      int i = thread() + r * threads;
      int w = Along ? i / 4 : i % 16 * 8, k = Along ? i % 4 * 8 : i / 16;
      const int left = Along ? ks - k : ws - w; // neighbours from here to the end
      const bool there = w < ws && k < ks;
      async_copy16(to + chunk(w, k),
                   from + (there ? static_cast<i64>(w) * SW + static_cast<i64>(k) * SK : 0),
                   there ? (left < 8 ? left * 2 : 16) : 0 R1_PASS);
    }
  }
};

} // namespace mma_

template <class P> constexpr bool product_mma_fits() {
  constexpr bool a =
      P::AK == 1 ? mma_::fits(P::AK, P::AM, P::B0, P::AB0, P::B1, P::AB1, P::B2, P::AB2)
                 : mma_::fits(P::AM, P::AK, P::B0, P::AB0, P::B1, P::AB1, P::B2, P::AB2);
  constexpr bool b =
      P::BK == 1 ? mma_::fits(P::BK, P::BN, P::B0, P::BB0, P::B1, P::BB1, P::B2, P::BB2)
                 : mma_::fits(P::BN, P::BK, P::B0, P::BB0, P::B1, P::BB1, P::B2, P::BB2);
  return a && b && product_::align_of<P>(0) % 16 == 0;
}
template <class P> constexpr int product_mma_blocks() {
  return product_blocks<P, tile<128, 128, 32, 8, 8>>();
}
template <class P> constexpr int product_mma_threads() { return mma_::threads; }

template <class P, class TA, class TB, class TC, class E>
R1_FN void product_mma(TA A, TB B, TC C, E e R1_AT) {
  using namespace mma_;
  using H = element<TA>;
  using EC = element<TC>;
  static_assert(is_half<H> && same<H, element<TB>>, "A and B are both bf16 or both f16");
  static_assert(product_mma_fits<P>(), "rows of A and B are copied 16 bytes at a time");
  constexpr bool alongA = P::AK == 1, alongB = P::BK == 1;
  using StageA = Stage<alongA>;
  using StageB = Stage<alongB>;
  constexpr int steps = (P::K + K - 1) / K;
  constexpr int align = product_::align_of<P>(0);
  constexpr bool pairs =
      P::CN == 1 && align >= 2 * static_cast<int>(sizeof(EC)) &&
      product_::width(2, P::N, 2, P::CB0, P::B0, P::CB1, P::B1, P::CB2, P::B2, P::CM) == 2;

  R1_SHARED(H, as, stages * StageA::size);
  R1_SHARED(H, bs, stages * StageB::size);
  const auto at_ = product_::place<P, tile<M, N, K, 8, 8>>();
  const int ms = P::M % M == 0 ? M : P::M - at_.m, ns = P::N % N == 0 ? N : P::N - at_.n;
  auto a = A + (at_.batch(P::AB0, P::AB1, P::AB2) + static_cast<i64>(at_.m) * P::AM);
  auto b = B + (at_.batch(P::BB0, P::BB1, P::BB2) + static_cast<i64>(at_.n) * P::BN);
  auto c = C + (at_.batch(P::CB0, P::CB1, P::CB2) + static_cast<i64>(at_.m) * P::CM +
                static_cast<i64>(at_.n) * P::CN);
  // This warp's part of the tile, and this lane's places in it: of the rows that it points ldmatrix
  // to, and of its sums.
  const int wm = warp() / 4 * 64, wn = warp() % 4 * 32, l = lane();
  const int row = l / 4, column = l % 4 * 2;

  float acc[4][4][4] = {};
  if constexpr (P::ACCUMULATE) {
    R1_UNROLL
    for (int i = 0; i < 4; ++i) {
      R1_UNROLL
      for (int j = 0; j < 4; ++j) {
        R1_UNROLL
        for (int h = 0; h < 2; ++h) {
          const int m = wm + i * 16 + row + h * 8, n = wn + j * 8 + column;
          if (m < ms && n < ns) {
            auto from = c + (static_cast<i64>(m) * P::CM + n * P::CN);
            vec<float, 2> x;
            if constexpr (pairs)
              x = cast<float>(load<2>(from R1_PASS));
            else
              x = cast<float>(load_strided<2>(from, 0, P::CN, ns - n R1_PASS));
            acc[i][j][h * 2] = x.v[0], acc[i][j][h * 2 + 1] = x.v[1];
          }
        }
      }
    }
  }

  auto fetch = [&](int s) {
    if (s < steps) {
      const int left = P::K - s * K, stage = s % stages;
      StageA::template fetch<P::AM, P::AK>(as + stage * StageA::size,
                                           a + static_cast<i64>(s) * K * P::AK, ms, left R1_PASS);
      StageB::template fetch<P::BN, P::BK>(bs + stage * StageB::size,
                                           b + static_cast<i64>(s) * K * P::BK, ns, left R1_PASS);
    }
    async_commit(); // an empty group at the end keeps the count
  };
  R1_UNROLL
  for (int s = 0; s < stages - 1; ++s)
    fetch(s);
  for (int s = 0; s < steps; ++s) {
    async_wait<stages - 2>();
    block_sync(R1_PASS0); // stage s is there for all, and all are done with stage s - 1
    fetch(s + stages - 1);
    auto sa = as + s % stages * StageA::size;
    auto sb = bs + s % stages * StageB::size;
    R1_UNROLL
    for (int k = 0; k < K; k += 16) {
      u32 fa[4][4], fb[2][4];
      R1_UNROLL
      for (int i = 0; i < 4; ++i) { // matrices: rows 0-7, 8-15 of k 0-7; then of k 8-15
        if constexpr (alongA)
          ldmatrix4(fa[i], sa + StageA::chunk(wm + i * 16 + l % 16, k + l / 16 * 8) R1_PASS);
        else
          ldmatrix4_trans(fa[i], sa + StageA::chunk(wm + i * 16 + l / 8 % 2 * 8,
                                                    k + l % 8 + l / 16 * 8) R1_PASS);
      }
      R1_UNROLL
      for (int j = 0; j < 2; ++j) { // matrices: k 0-7, 8-15 of columns 0-7; then of columns 8-15
        if constexpr (alongB)
          ldmatrix4(fb[j], sb + StageB::chunk(wn + j * 16 + l % 8 + l / 16 * 8, k + l / 8 % 2 * 8)
                                    R1_PASS);
        else
          ldmatrix4_trans(fb[j], sb + StageB::chunk(wn + j * 16 + l / 16 * 8, k + l % 16) R1_PASS);
      }
      R1_UNROLL
      for (int i = 0; i < 4; ++i) {
        R1_UNROLL
        for (int j = 0; j < 4; ++j)
          mma<H>(acc[i][j], fa[i], fb[j / 2][j % 2 * 2], fb[j / 2][j % 2 * 2 + 1] R1_PASS);
      }
    }
  }

  R1_UNROLL
  for (int i = 0; i < 8; ++i) {
    const int m = wm + i * 8 + row;
    R1_UNROLL
    for (int j = 0; j < 4; ++j) {
      const int n = wn + j * 8 + column;
      if (m < ms && n < ns) {
        auto to = c + (static_cast<i64>(m) * P::CM + n * P::CN);
        vec<EC, 2> x = {};
        x.v[0] = e(at_.g, at_.m + m, at_.n + n, acc[i / 2][j][i % 2 * 2]);
        if (pairs || n + 1 < ns)
          x.v[1] = e(at_.g, at_.m + m, at_.n + n + 1, acc[i / 2][j][i % 2 * 2 + 1]);
        if constexpr (pairs)
          store_global<2>(to, x R1_PASS);
        else
          store_strided<2>(to, 0, P::CN, x, ns - n R1_PASS);
      }
    }
  }
}

} // namespace r1
