// product_mma.cuh's products where M is 64 at most: decoding, whose rows are the texts at work.
//
//   product_mma_few<P>(A, B, C, e)     P and e as for product<P>, if A's neighbours lie along k
//
// As many blocks as multiprocessors, each with few columns, 8 for a warp; K is long in a step, and two or
// three steps are under way. The sums have product_mma's order, so its bits; an H100 gave those of
// product_wgmma, too (compiler/cuda/README.md).
#pragma once

namespace r1 {
namespace mma_few_ {

constexpr int threads = 128;

/// How a block works: M x N elements in steps of K through so many stages.
template <class P> struct Plan {
  static constexpr int M = P::M <= 16 ? 16 : P::M <= 32 ? 32 : 64;
  static constexpr int N = few_::columns<P>();
  static constexpr int most = M == 16 && N <= 16 ? 256 : 128;
  static constexpr int K = P::K < most ? few_::up(P::K, 64) : most;
  static constexpr int fit = 48 * 1024 / ((M + N) * K * 2);
  static constexpr int stages = fit < 4 ? fit : 4;
};

/// W x K elements of an operand in shared memory, in chunks of 8 that are neighbours in memory. Chunks of a row
/// are permuted so that the 8 rows that ldmatrix reads at once lie in different banks.
template <int W, int K, bool Along> struct Stage {
  static constexpr int size = W * K;
  static constexpr int perRow = (Along ? K : W) / 8;
  /// Where the chunk of (w, k) starts.
  R1_FN static int chunk(int w, int k) {
    if constexpr (Along)
      return (w * perRow + (k / 8 ^ w % 8)) * 8;
    else
      return (k * perRow + (w / 8 ^ k * perRow / 8 % perRow)) * 8;
  }
  /// Copies what is there, of w < ws and k < ks; of w < Rows the rest becomes zero.
  template <int Rows, int SW, int SK, class S, class G>
  R1_FN static void fetch(S to, G from, int ws, int ks R1_AT) {
    constexpr int chunks = (Along ? Rows : W) * K / 8;
    R1_UNROLL
    for (int r = 0; r < (chunks + threads - 1) / threads; ++r) {
      int i = thread() + r * threads;
      if (chunks % threads != 0 && i >= chunks)
        return;
      int w = Along ? i / perRow : i % perRow * 8, k = Along ? i % perRow * 8 : i / perRow;
      const int left = Along ? ks - k : ws - w; // neighbours from here to the end
      const bool there = w < ws && k < ks;
      async_copy16(to + chunk(w, k),
                   from + (there ? static_cast<i64>(w) * SW + static_cast<i64>(k) * SK : 0),
                   there ? (left < 8 ? left * 2 : 16) : 0 R1_PASS);
    }
  }
};

} // namespace mma_few_

template <class P> constexpr int product_mma_few_blocks() { return product_few_blocks<P>(); }
template <class P> constexpr int product_mma_few_threads() { return mma_few_::threads; }

template <class P, class TA, class TB, class TC, class E>
R1_FN void product_mma_few(TA A, TB B, TC C, E e R1_AT) {
  using namespace mma_few_;
  using H = element<TA>;
  using L = Plan<P>;
  static_assert(is_half<H> && same<H, element<TB>>, "A and B are both bf16 or both f16");
  static_assert(product_mma_fits<P>() && P::AK == 1 && P::M <= 64, "rows are copied 16 bytes at a time");
  constexpr bool alongB = P::BK == 1;
  constexpr int rows = P::M < L::M ? P::M : L::M, steps = (P::K + L::K - 1) / L::K, tiles = L::M / 16;
  using StageA = Stage<L::M, L::K, true>;
  using StageB = Stage<L::N, L::K, alongB>;

  R1_SHARED(H, as, L::stages * StageA::size);
  R1_SHARED(H, bs, L::stages * StageB::size);
  constexpr int across = (P::N + L::N - 1) / L::N;
  const int g = block() / across, first = block() % across * L::N;
  const product_::Place at_ = {g / (P::B1 * P::B2), g / P::B2 % P::B1, g % P::B2, g, 0, first};
  const int ns = P::N - first; // columns from here on
  auto a = A + at_.batch(P::AB0, P::AB1, P::AB2);
  auto b = B + (at_.batch(P::BB0, P::BB1, P::BB2) + static_cast<i64>(first) * P::BN);
  auto c = C + (at_.batch(P::CB0, P::CB1, P::CB2) + static_cast<i64>(first) * P::CN);
  const int wn = warp() * 8, l = lane();
  const bool works = wn < L::N;

  float acc[tiles][4] = {};
  auto elements = [&](auto visit) {
    R1_UNROLL
    for (int i = 0; i < tiles; ++i) {
      R1_UNROLL
      for (int j = 0; j < 4; ++j) {
        const int m = i * 16 + l / 4 + j / 2 * 8, n = wn + l % 4 * 2 + j % 2;
        if (works && m < P::M && n < ns)
          visit(m, n, acc[i][j]);
      }
    }
  };
  if constexpr (P::ACCUMULATE)
    elements([&](int m, int n, float &sum) {
      sum = cast<float>(read(c, m * P::CM + n * P::CN R1_PASS));
    });
  auto fetch = [&](int s) {
    if (s < steps) {
      const int left = P::K - s * L::K, stage = s % L::stages;
      StageA::template fetch<rows, P::AM, P::AK>(as + stage * StageA::size, a + s * L::K, P::M,
                                                 left R1_PASS);
      StageB::template fetch<L::N, P::BN, P::BK>(
          bs + stage * StageB::size, b + static_cast<i64>(s) * L::K * P::BK, ns, left R1_PASS);
    }
    async_commit(); // an empty group at the end keeps the count
  };
  R1_UNROLL
  for (int s = 0; s < L::stages - 1; ++s)
    fetch(s);
  for (int s = 0; s < steps; ++s) {
    async_wait<L::stages - 2>();
    block_sync(R1_PASS0); // stage s is there for all, and all are done with stage s - 1
    fetch(s + L::stages - 1);
    if (!works)
      continue;
    auto sa = as + s % L::stages * StageA::size;
    auto sb = bs + s % L::stages * StageB::size;
    // As many k as product_mma takes: whole steps of 32.
    const int count = min_i(L::K, (P::K - s * L::K + 31) / 32 * 32);
    R1_UNROLL_BY(2)
    for (int k = 0; k < count; k += 32) {
      u32 fa[4], fb[4]; // of b: k 0-7, 8-15, 16-23, 24-31 of the warp's columns
      if constexpr (alongB)
        ldmatrix4(fb, sb + StageB::chunk(wn + l % 8, k + l / 8 * 8) R1_PASS);
      else
        ldmatrix4_trans(fb, sb + StageB::chunk(wn, k + l) R1_PASS);
      R1_UNROLL
      for (int half = 0; half < 2; ++half) {
        R1_UNROLL
        for (int i = 0; i < tiles; ++i) {
          ldmatrix4(fa, sa + StageA::chunk(i * 16 + l % 16, k + half * 16 + l / 16 * 8) R1_PASS);
          mma<H>(acc[i], fa, fb[half * 2], fb[half * 2 + 1] R1_PASS);
        }
      }
    }
  }
  elements([&](int m, int n, float &sum) {
    write(c, m * P::CM + n * P::CN, e(g, m, first + n, sum) R1_PASS);
  });
}

} // namespace r1
