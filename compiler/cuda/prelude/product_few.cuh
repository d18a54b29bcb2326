// product.cuh's products where M is 64 at most: decoding, whose rows are the texts at work.
//
//   product_few<P>(A, B, C, e)     P and e as for product<P>; the same bits
//
// Such a product is read from memory once and multiplied a little, and an element is one chain of FMAs, 4
// cycles each, whatever the tile. So there are as many blocks as multiprocessors, each with few columns, and
// one step of k (256 of them) is on its way in registers while the one before is added up:
//
//   memory ──> registers (step s + 1) ──> shared memory (step s) ──> a chain for each thread
//
// Each step is stored as its operand lies in memory: along k in rows of one m or n, which are read 4 k at a
// time; else in rows of one k.
#pragma once

namespace r1 {
namespace few_ {

constexpr int threads = 128;
template <int N> struct number {
  static constexpr int value = N;
};
constexpr int up(int x, int to) { return (x + to - 1) / to * to; }

/// Columns of a block: as many as leave 96 blocks.
template <class P> constexpr int columns() {
  constexpr i64 all = static_cast<i64>(P::N) * P::B0 * P::B1 * P::B2;
  return all >= 96 * 32 ? 32 : all >= 96 * 16 ? 16 : 8;
}
/// How a block works, in the words of product.cuh's tile: it makes M x N elements in steps of K.
template <class P> struct Plan {
  static constexpr int M = P::M == 1 ? 1 : P::M <= 8 ? 8 : P::M <= 16 ? 16 : P::M <= 32 ? 32 : 64;
  static constexpr int N = columns<P>();
  static constexpr int most = M <= 8 ? 256 : M <= 32 ? 128 : 64;
  static constexpr int K = P::K < most ? up(P::K, 16) : most;
  static constexpr int groups = threads / N; // of threads, with rows of their own
  static constexpr int rows = (M + groups - 1) / groups;
};

/// One step of an operand in shared memory, as product_::Piece brings it.
template <class Piece, int W, int K, bool Along> struct Step {
  static constexpr int size = Along ? W * (K + 4) : K * (W + 4);
  R1_FN static int place(int w, int k) { return Along ? w * (K + 4) + k : k * (W + 4) + w; }

  template <int V, class S> R1_FN static void store(const Piece &piece, S to R1_AT) {
    R1_UNROLL
    for (int r = 0; r < Piece::rounds; ++r) {
      int i = thread() + r * threads;
      if (Piece::count % threads != 0 && i >= Piece::count)
        return;
      r1::store<V>(to + place(Piece::wOf(i), Piece::kOf(i)), cast<float>(piece.x[r]) R1_PASS);
    }
  }
  /// Count neighbours along k.
  template <int Count, class S> R1_FN static void load(float (&x)[4], S from, int w, int k R1_AT) {
    if constexpr (Along && Count == 4) {
      vec<float, 4> y = r1::load<4>(from + place(w, k) R1_PASS);
      R1_UNROLL
      for (int i = 0; i < 4; ++i)
        x[i] = y.v[i];
    } else {
      R1_UNROLL
      for (int i = 0; i < Count; ++i)
        x[i] = read(from, place(w, k + i) R1_PASS);
    }
  }
};

} // namespace few_

template <class P> constexpr int product_few_blocks() {
  using L = few_::Plan<P>;
  return P::B0 * P::B1 * P::B2 * ((P::N + L::N - 1) / L::N);
}
template <class P> constexpr int product_few_threads() { return few_::threads; }

template <class P, class TA, class TB, class TC, class E>
R1_FN void product_few(TA A, TB B, TC C, E e R1_AT) {
  using namespace few_;
  using product_::divides;
  using product_::width;
  using EA = element<TA>;
  using EB = element<TB>;
  using L = Plan<P>;
  static_assert(P::M <= 64, "few rows");
  constexpr int align = product_::align_of<P>(0) < 16 ? product_::align_of<P>(0) : 16;
  constexpr bool alongA = P::AK == 1, alongB = P::BK == 1;
  constexpr int widthA = (alongA ? P::AK : P::AM) != 1
                             ? 1
                             : width(align / static_cast<int>(sizeof(EA)), alongA ? P::K : P::M,
                                     alongA ? L::K : L::M, P::AB0, P::B0, P::AB1, P::B1, P::AB2,
                                     P::B2, alongA ? P::AM : P::AK);
  constexpr int widthB = (alongB ? P::BK : P::BN) != 1
                             ? 1
                             : width(align / static_cast<int>(sizeof(EB)), alongB ? P::K : P::N,
                                     alongB ? L::K : L::N, P::BB0, P::B0, P::BB1, P::B1, P::BB2,
                                     P::B2, alongB ? P::BN : P::BK);
  using PieceA = product_::Piece<EA, L::M, L::K, P::AM, P::AK, widthA, alongA, threads>;
  using PieceB = product_::Piece<EB, L::N, L::K, P::BN, P::BK, widthB, alongB, threads>;
  using StepA = Step<PieceA, L::M, L::K, alongA>;
  using StepB = Step<PieceB, L::N, L::K, alongB>;
  constexpr int steps = P::K / L::K, rest = P::K % L::K;

  R1_SHARED(float, as, StepA::size);
  R1_SHARED(float, bs, StepB::size);
  constexpr int across = (P::N + L::N - 1) / L::N;
  const int g = block() / across, first = block() % across * L::N;
  const product_::Place at_ = {g / (P::B1 * P::B2), g / P::B2 % P::B1, g % P::B2, g, 0, first};
  const int ns = P::N - first; // columns from here on
  auto a = A + at_.batch(P::AB0, P::AB1, P::AB2);
  auto b = B + (at_.batch(P::BB0, P::BB1, P::BB2) + static_cast<i64>(first) * P::BN);
  auto c = C + (at_.batch(P::CB0, P::CB1, P::CB2) + static_cast<i64>(first) * P::CN);
  const int n = thread() % L::N, m0 = thread() / L::N;
  const bool works = L::M >= L::groups || m0 < L::M;

  float acc[L::rows] = {};
  auto elements = [&](auto visit) {
    R1_UNROLL
    for (int r = 0; r < L::rows; ++r) {
      const int m = m0 + r * L::groups;
      if (m < P::M && n < ns)
        visit(m, acc[r]);
    }
  };
  if constexpr (P::ACCUMULATE)
    elements([&](int m, float &sum) {
      sum = cast<float>(read(c, m * P::CM + n * P::CN R1_PASS));
    });
  // One step of which Count k are there. A partial one is not padded: fma(0, 0, -0) is +0.
  auto add = [&](int k, auto count) {
    constexpr int Count = decltype(count)::value;
    float y[4];
    StepB::template load<Count>(y, bs + 0, n, k R1_PASS);
    R1_UNROLL
    for (int r = 0; r < L::rows; ++r) {
      float x[4];
      StepA::template load<Count>(x, as + 0, m0 + r * L::groups, k R1_PASS);
      R1_UNROLL
      for (int i = 0; i < Count; ++i)
        acc[r] = fma(x[i], y[i], acc[r]);
    }
  };
  PieceA pa;
  PieceB pb;
  auto fetch = [&](int ks) {
    pa.load(a, P::M, ks R1_PASS);
    pb.load(b, ns, ks R1_PASS);
    a = a + L::K * P::AK;
    b = b + L::K * P::BK;
  };
  auto share = [&] {
    block_sync(R1_PASS0); // all are done with the step before
    StepA::template store<widthA>(pa, as + 0 R1_PASS);
    StepB::template store<widthB>(pb, bs + 0 R1_PASS);
    block_sync(R1_PASS0);
  };
  fetch(steps ? L::K : rest);
  for (int s = 0; s < steps; ++s) {
    share();
    if (s + 1 < steps || rest > 0)
      fetch(s + 1 < steps ? L::K : rest);
    if (works) {
      R1_UNROLL_BY(4)
      for (int k = 0; k < L::K; k += 4)
        add(k, number<4>{});
    }
  }
  if constexpr (rest > 0) {
    share();
    if (works) {
      R1_UNROLL_BY(4)
      for (int k = 0; k < rest / 4 * 4; k += 4)
        add(k, number<4>{});
      if constexpr (rest % 4 != 0)
        add(rest / 4 * 4, number<rest % 4>{});
    }
  }
  elements([&](int m, float &sum) {
    write(c, m * P::CM + n * P::CN, e(g, m, first + n, sum) R1_PASS);
  });
}

} // namespace r1
