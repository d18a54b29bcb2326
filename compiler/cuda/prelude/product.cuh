// C[g, m, n] = e(g, m, n, chain over k of A[g, m, k] * B[g, k, n]), by blocks of threads.
//
//   product<P>(A, B, C, e)     P: struct of sizes, and strides in elements; up to three batch dims
//
//     static constexpr int M, N, K;
//     static constexpr int B0, B1, B2;               batch sizes, outermost first; else 1
//     static constexpr int AB0, AB1, AB2, AM, AK;    strides of A, and so on
//     static constexpr int BB0, BB1, BB2, BK, BN;
//     static constexpr int CB0, CB1, CB2, CM, CN;
//     static constexpr bool ACCUMULATE;              the chain starts from the stored C, not 0
//     static constexpr int ALIGN;                    bytes A, B, C are multiples of; 16 if absent
//
// The invariant a reader would guess wrong: every element is ONE chain of FMAs in increasing k, so
// tiles do not show in the bits. That is why the last, partial step of k is a loop of its own: a
// padded zero would turn -0 into +0.
#pragma once

namespace r1 {

/// How a block works: it makes M x N elements in steps of K; a thread makes TM x TN of them, in
/// groups of 4 x 4 that lie M / (TM / 4) and N / (TN / 4) apart.
template <int M_, int N_, int K_, int TM_, int TN_> struct tile {
  static constexpr int M = M_, N = N_, K = K_, TM = TM_, TN = TN_;
  static constexpr int threads = (M / TM) * (N / TN);
  static_assert(TM % 4 == 0 && TN % 4 == 0 && M % TM == 0 && N % TN == 0, "groups of 4 x 4");
};

/// The tile that fits P: larger ones reuse more, smaller ones keep more blocks busy.
template <class P>
using product_tile = choose<
    (static_cast<i64>(P::M) * P::N * P::B0 * P::B1 * P::B2 >= 128LL * 128 * 256 && P::M >= 128 &&
     P::N >= 128),
    tile<128, 128, 8, 8, 8>, tile<64, 64, 16, 4, 4>>;

template <class P, class T = product_tile<P>> constexpr int product_blocks() {
  return P::B0 * P::B1 * P::B2 * ((P::M + T::M - 1) / T::M) * ((P::N + T::N - 1) / T::N);
}
template <class P, class T = product_tile<P>> constexpr int product_threads() { return T::threads; }

namespace product_ {

template <class P> constexpr auto align_of(int) -> decltype(P::ALIGN) { return P::ALIGN; }
template <class P> constexpr int align_of(long) { return 16; }

/// Where a tile stands.
struct Place {
  int b0, b1, b2, g, m, n;
  /// How far an operand with these batch strides has moved.
  R1_FN i64 batch(int s0, int s1, int s2) const {
    return static_cast<i64>(b0) * s0 + static_cast<i64>(b1) * s1 + static_cast<i64>(b2) * s2;
  }
};
/// Where tile number b of tiles of T::M x T::N stands.
template <class P, class T> R1_FN Place place(int b = block()) {
  constexpr int down = (P::M + T::M - 1) / T::M, across = (P::N + T::N - 1) / T::N;
  // Bands of 8 tiles down, so that blocks that run together share rows of A and columns of B.
  constexpr int band = 8;
  int g = b / (down * across), i = b % (down * across);
  int first = i / (band * across) * band, high = down - first < band ? down - first : band;
  i -= first * across;
  return {g / (P::B1 * P::B2), g / P::B2 % P::B1, g % P::B2, g, (first + i % high) * T::M,
          i / high * T::N};
}

/// Elements of one access along a dim of stride 1: every address has to be a multiple of it.
constexpr bool divides(int v, int size, int stride) { return size == 1 || stride % v == 0; }
constexpr int width(int v, int along, int step, int s0, int n0, int s1, int n1, int s2, int n2,
                    int other) {
  while (v > 1 && !(along % v == 0 && step % v == 0 && divides(v, n0, s0) && divides(v, n1, s1) &&
                    divides(v, n2, s2) && other % v == 0))
    v /= 2;
  return v;
}

/// A tile of K x W elements of an operand on its way into shared memory: element (k, w) lies at
/// w * SW + k * SK. With Along, accesses run along k, else along w.
template <class E, int W, int K, int SW, int SK, int V, bool Along, int Threads> struct Piece {
  static constexpr int pitch = W + 4;
  static constexpr int perRow = (Along ? K : W) / V;
  static constexpr int count = W * K / V; // accesses of the block
  static constexpr int rounds = (count + Threads - 1) / Threads;
  vec<E, V> x[rounds];

  /// The place of an access within the tile.
  R1_FN static int wOf(int i) { return Along ? i / perRow : i % perRow * V; }
  R1_FN static int kOf(int i) { return Along ? i % perRow * V : i / perRow; }

  /// Of the elements from p on, those with k < ks and w < ws. Sizes are multiples of V where V > 1.
  template <class G> R1_FN void load(G p, int ws, int ks R1_AT) {
    R1_UNROLL
    for (int r = 0; r < rounds; ++r) {
      int i = thread() + r * Threads, w = wOf(i), k = kOf(i);
      if (w < ws && k < ks && (count % Threads == 0 || i < count))
        x[r] = r1::load<V>(p + (w * SW + k * SK) R1_PASS);
      else
        x[r] = {};
    }
  }
  template <class S> R1_FN void store(S to R1_AT) {
    R1_UNROLL
    for (int r = 0; r < rounds; ++r) {
      int i = thread() + r * Threads, w = wOf(i), k = kOf(i);
      if (count % Threads != 0 && i >= count)
        return;
      vec<float, V> f = cast<float>(x[r]);
      if constexpr (Along || V == 1) {
        R1_UNROLL
        for (int j = 0; j < V; ++j)
          write(to, (k + (Along ? j : 0)) * pitch + w, f.v[j] R1_PASS);
      } else {
        r1::store<V>(to + (k * pitch + w), f R1_PASS);
      }
    }
  }
};

/// acc += one step of k, of which Steps rows are there.
template <class T, int Steps, class SA, class SB>
R1_FN void multiply(float (&acc)[T::TM][T::TN], SA as, SB bs, int tm, int tn R1_AT) {
  constexpr int groupM = T::M / (T::TM / 4), groupN = T::N / (T::TN / 4);
  R1_UNROLL
  for (int k = 0; k < Steps; ++k) {
    float a[T::TM], b[T::TN];
    R1_UNROLL
    for (int i = 0; i < T::TM; i += 4) {
      vec<float, 4> x = load<4>(as + (k * (T::M + 4) + i / 4 * groupM + tm * 4) R1_PASS);
      R1_UNROLL
      for (int j = 0; j < 4; ++j)
        a[i + j] = x.v[j];
    }
    R1_UNROLL
    for (int i = 0; i < T::TN; i += 4) {
      vec<float, 4> x = load<4>(bs + (k * (T::N + 4) + i / 4 * groupN + tn * 4) R1_PASS);
      R1_UNROLL
      for (int j = 0; j < 4; ++j)
        b[i + j] = x.v[j];
    }
    R1_UNROLL
    for (int i = 0; i < T::TM; ++i) {
      R1_UNROLL
      for (int j = 0; j < T::TN; ++j)
        acc[i][j] = fma(a[i], b[j], acc[i][j]);
    }
  }
}

/// Up to 4 neighbours of a row of C, and the epilogue's results for them. Wide: one access.
template <bool Wide, int Stride, class C> R1_FN vec<float, 4> read_row(C p, int live R1_AT) {
  if constexpr (Wide)
    return live > 0 ? cast<float>(load<4>(p R1_PASS)) : vec<float, 4>{};
  else
    return cast<float>(load_strided<4>(p, 0, Stride, live R1_PASS));
}
template <bool Wide, int Stride, class C, class E>
R1_FN void write_row(C p, const float *acc, E e, int g, int m, int n, int live R1_AT) {
  vec<element<C>, 4> x = {};
  if constexpr (Wide) {
    if (live > 0) {
      R1_UNROLL
      for (int j = 0; j < 4; ++j)
        x.v[j] = e(g, m, n + j, acc[j]);
      store_global<4>(p, x R1_PASS);
    }
  } else {
    R1_UNROLL
    for (int j = 0; j < 4; ++j)
      if (j < live)
        x.v[j] = e(g, m, n + j, acc[j]);
    store_strided<4>(p, 0, Stride, x, live R1_PASS);
  }
}

} // namespace product_

template <class P, class T = product_tile<P>, class TA, class TB, class TC, class E>
R1_FN void product(TA A, TB B, TC C, E e R1_AT) {
  using namespace product_;
  using EA = element<TA>;
  using EB = element<TB>;
  using EC = element<TC>;
  constexpr int align = align_of<P>(0) < 16 ? align_of<P>(0) : 16;
  constexpr bool alongA = P::AK == 1 && P::AM != 1, alongB = P::BK == 1 && P::BN != 1;
  constexpr int widthA = (alongA ? P::AK : P::AM) != 1
                             ? 1
                             : width(align / static_cast<int>(sizeof(EA)), alongA ? P::K : P::M,
                                     alongA ? T::K : T::M, P::AB0, P::B0, P::AB1, P::B1, P::AB2,
                                     P::B2, alongA ? P::AM : P::AK);
  constexpr int widthB = (alongB ? P::BK : P::BN) != 1
                             ? 1
                             : width(align / static_cast<int>(sizeof(EB)), alongB ? P::K : P::N,
                                     alongB ? T::K : T::N, P::BB0, P::B0, P::BB1, P::B1, P::BB2,
                                     P::B2, alongB ? P::BN : P::BK);
  constexpr bool wideC = P::CN == 1 && align / static_cast<int>(sizeof(EC)) >= 4 &&
                         width(4, P::N, 4, P::CB0, P::B0, P::CB1, P::B1, P::CB2, P::B2, P::CM) == 4;
  using PieceA = Piece<EA, T::M, T::K, P::AM, P::AK, widthA, alongA, T::threads>;
  using PieceB = Piece<EB, T::N, T::K, P::BN, P::BK, widthB, alongB, T::threads>;
  constexpr int sizeA = T::K * PieceA::pitch, sizeB = T::K * PieceB::pitch;
  constexpr int steps = P::K / T::K, rest = P::K % T::K; // whole steps of k; what is left
  constexpr int groupM = T::M / (T::TM / 4), groupN = T::N / (T::TN / 4);

  R1_SHARED(float, as, 2 * sizeA);
  R1_SHARED(float, bs, 2 * sizeB);
  const Place at_ = place<P, T>();
  const int tm = thread() / (T::N / T::TN), tn = thread() % (T::N / T::TN);
  // Rows and columns of the tile that are there.
  const int ms = P::M % T::M == 0 ? T::M : P::M - at_.m;
  const int ns = P::N % T::N == 0 ? T::N : P::N - at_.n;
  auto a = A + (at_.batch(P::AB0, P::AB1, P::AB2) + static_cast<i64>(at_.m) * P::AM);
  auto b = B + (at_.batch(P::BB0, P::BB1, P::BB2) + static_cast<i64>(at_.n) * P::BN);
  auto c = C + (at_.batch(P::CB0, P::CB1, P::CB2) + static_cast<i64>(at_.m) * P::CM +
                static_cast<i64>(at_.n) * P::CN);

  float acc[T::TM][T::TN];
  R1_UNROLL
  for (int i = 0; i < T::TM; ++i) {
    const int m = i / 4 * groupM + tm * 4 + i % 4;
    R1_UNROLL
    for (int j = 0; j < T::TN; j += 4) {
      const int n = j / 4 * groupN + tn * 4;
      vec<float, 4> x = {};
      if constexpr (P::ACCUMULATE)
        if (m < ms)
          x = read_row<wideC, P::CN>(c + (static_cast<i64>(m) * P::CM + n * P::CN), ns - n R1_PASS);
      R1_UNROLL
      for (int l = 0; l < 4; ++l)
        acc[i][j + l] = x.v[l];
    }
  }

  // The next step is on its way from memory to registers while this one is computed.
  PieceA pa;
  PieceB pb;
  pa.load(a, ms, steps ? T::K : rest R1_PASS);
  pb.load(b, ns, steps ? T::K : rest R1_PASS);
  pa.store(as + 0 R1_PASS);
  pb.store(bs + 0 R1_PASS);
  block_sync(R1_PASS0);
  for (int s = 0; s < steps; ++s) {
    const bool more = s + 1 < steps || rest > 0;
    a = a + T::K * P::AK;
    b = b + T::K * P::BK;
    if (more) {
      pa.load(a, ms, s + 1 < steps ? T::K : rest R1_PASS);
      pb.load(b, ns, s + 1 < steps ? T::K : rest R1_PASS);
    }
    multiply<T, T::K>(acc, as + s % 2 * sizeA, bs + s % 2 * sizeB, tm, tn R1_PASS);
    if (more) {
      pa.store(as + (s + 1) % 2 * sizeA R1_PASS);
      pb.store(bs + (s + 1) % 2 * sizeB R1_PASS);
      block_sync(R1_PASS0);
    }
  }
  if constexpr (rest > 0)
    multiply<T, rest>(acc, as + steps % 2 * sizeA, bs + steps % 2 * sizeB, tm, tn R1_PASS);

  R1_UNROLL
  for (int i = 0; i < T::TM; ++i) {
    const int m = i / 4 * groupM + tm * 4 + i % 4;
    if (m < ms) {
      R1_UNROLL
      for (int j = 0; j < T::TN; j += 4) {
        const int n = j / 4 * groupN + tn * 4;
        write_row<wideC, P::CN>(c + (static_cast<i64>(m) * P::CM + n * P::CN), acc[i] + j, e, at_.g,
                                at_.m + m, at_.n + n, ns - n R1_PASS);
      }
    }
  }
}

} // namespace r1
