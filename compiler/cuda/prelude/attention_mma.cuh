// attention.cuh's kernels on tensor cores (sm_80 and above), for bf16 and f16 in rows of 16-byte
// pieces.
//
// 4 warps keep a tile of rows (queries; keys where dk and dv are made), 16 or 32 for each of them,
// and pass over tiles of columns (keys; queries), of which two operands come by asynchronous copies:
//
//   rows x (y) ──ldmatrix──> A ┐
//   columns u (w) ─ldmatrix──> B ┴─mma──> scores, f32 ──> weights, 16 bits, A ┐
//                      columns w (u) ──ldmatrix.trans──> B ┴─mma──> sums, f32
//
//             x, y       u, w      scores      weights               sums
//   forward   q          k, v      x u         softmax               weights w
//   dq        q, dout    k, v      x u, y w    ds                    ds u
//   dk, dv    k, v       q, dout   x u, y w    ds; softmax           ds u; weights w
//
// The fragment of scores of one product is, packed to 16 bits, the A operand of the next, so weights
// never leave their registers. While the scores of a tile are made, w comes; u of the next tile
// comes meanwhile as well (two places, where they fit), or while the sums are made.
//
// What a reader would guess wrong: which tiles are visited never shows in the bits (see
// attention.cuh), so a mask that knows no bounds (Allow::reach) costs time and nothing else.
#pragma once
#include "attention_tiles.cuh"

namespace r1 {

//===--- what a mask says of a whole tile ---------------------------------------------------===//

/// Of the pairs of a tile, none, some or all are allowed: 0, 1, 2. "Some" is always true enough.
using Reach = int;
/// The values of an index or of integers in memory, both ends included.
struct Span {
  int low, high;
};
R1_FN Reach both(Reach a, Reach b) { return a < b ? a : b; }
R1_FN Reach either(Reach a, Reach b) { return a < b ? b : a; }
R1_FN Reach opposite(Reach a) { return 2 - a; }
R1_FN Reach at_most(Span a, Span b) { return a.high <= b.low ? 2 : a.low > b.high ? 0 : 1; }
R1_FN Reach below(Span a, Span b) { return a.high < b.low ? 2 : a.low >= b.high ? 0 : 1; }
R1_FN Reach equal(Span a, Span b) {
  return a.low > b.high || a.high < b.low ? 0 : a.low == b.high && a.high == b.low ? 2 : 1;
}
/// Of the `count` integers at p, p + stride, …; a whole warp calls it, with the same arguments. The loads of 64,
/// and then of each 64 more, are under way together.
template <class M> R1_FN Span span_of(M p, int count, int stride) {
  int low = p[min_i(lane(), count - 1) * stride], high = low;
  R1_UNROLL_BY(1)
  for (int i = lane(); i < count; i += 64) {
    int x = p[min_i(i, count - 1) * stride], y = p[min_i(i + 32, count - 1) * stride];
    low = min_i(low, min_i(x, y));
    high = max_i(high, max_i(x, y));
  }
  return {warp_min(low), warp_max(high)};
}

namespace attention {

/// What `allow` knows of queries t0 … t1 and keys s0 … s1 (ends included): its `reach`, if it has
/// one.
template <class A>
R1_FN auto reachOf(const A &allow, int b, int t0, int t1, int s0, int s1, int)
    -> decltype(allow.reach(b, t0, t1, s0, s1)) {
  return allow.reach(b, t0, t1, s0, s1);
}
template <class A> R1_FN Reach reachOf(const A &, int, int, int, int, int, long) { return 1; }

namespace tensor {

//===--- sizes --------------------------------------------------------------------------------===//

/// Sizes of a pass over `Operands` resident operands. M: tiles of 16 rows of a warp; N: columns of a
/// tile; Kept: x is in registers (else it is read from shared memory at each use); U: places for u. Wgmma: the
/// block is a warpgroup, whose products are wgmma: of rows in shared memory, and of weights in registers.
template <int K_, int Operands, int M_, int N_, bool Kept_, int U_, bool Wgmma_ = false> struct Plan {
  static constexpr int K = K_, M = M_, N = N_, U = U_, rows = kThreads / 32 * 16 * M;
  static constexpr bool Kept = Kept_, Wgmma = Wgmma_;
  static_assert(!Wgmma || (K == 64 && M == 1 && N == 64 && !Kept), "rows of 128 bytes, 64 x 64 sums");
  // In elements: x | y | places of u | w. A kept x is staged where u and w come later.
  static constexpr int resident = rows * K, tile = N * K;
  static constexpr int atY = pick(Kept, 0, resident);
  static constexpr int atU = atY + pick(Operands == 2, resident, 0), atW = atU + U * tile;
  static constexpr int atX = pick(Kept, atU, 0);
  static constexpr int end = atW + tile, size = pick(end < atX + resident, atX + resident, end);
};

// Each is the largest tile that leaves registers for what is kept, in 48 KiB of shared memory.
template <int K> struct ForwardOf {
  using type = choose<(K <= 64), Plan<K, 1, 2, 64, true, 2>,
                      choose<(K <= 128), Plan<K, 1, 2, 32, false, 1>,
                             Plan<K, 1, 1, 16, false, 1>>>;
};
template <int K> struct QueriesOf {
  using type = choose<(K <= 64), Plan<K, 2, 2, 32, false, 2>, Plan<K, 2, 1, 32, true, 2>>;
};
template <int K> struct KeysOf {
  using type = choose<(K <= 64), Plan<K, 2, 1, 64, false, 2>,
                      Plan<K, 2, 1, pick(K <= 96, 32, 16), true, 2>>;
};
template <class P> constexpr bool sound() {
  static_assert(P::H % P::G == 0, "groups divide heads");
  static_assert(i64(P::B) * P::H * P::K * (P::T > P::S ? P::T : P::S) < (1ll << 31),
                "offsets are 32 bits wide");
  return true;
}
/// What follows is of one way W to multiply: the plans of its three passes.
struct Mma {
  template <class P> using Forward = typename ForwardOf<up(P::K, 16)>::type;
  template <class P> using Queries = typename QueriesOf<up(P::K, 16)>::type;
  template <class P> using Keys = typename KeysOf<up(P::K, 16)>::type;
};
struct Wgmma {
  template <class P> using Forward = Plan<64, 1, 1, 64, false, 2, true>;
  template <class P> using Queries = Plan<64, 2, 1, 64, false, 2, true>;
  template <class P> using Keys = Queries<P>;
};

//===--- tiles in shared memory ---------------------------------------------------------------===//

/// Rows of K channels, one after the other, each in pieces of 8 whose order is permuted from row to
/// row: the pieces with the same channels of 8 neighbouring rows lie in different banks.
template <int K> struct Tile {
  static constexpr int pieces = K / 8; // even
  static constexpr int turns = pick(pieces % 8 == 0, 8, pick(pieces % 4 == 0, 4, 2));
  static constexpr int shift = pick(turns == 8, 0, pick(turns == 4, 1, 2));
  R1_FN static int at(int row, int channel) {
    return (row * pieces + (channel / 8 ^ (row >> shift & (turns - 1)))) * 8;
  }
  // Who copies what: `across` neighbouring threads a row, each every across-th piece of it.
  static constexpr int across = pick(pieces % 16 == 0, 16, turns), down = kThreads / across;
};

/// For every piece of a tile of Count rows that this thread copies, f(i, row, channel): i counts
/// them.
template <int K, int Count, class F> R1_FN void pieces(F f) {
  using T = Tile<K>;
  constexpr int each = T::pieces / T::across;
  R1_UNROLL
  for (int r = 0; r < Count; r += T::down) {
    int row = r + thread() / T::across;
    R1_UNROLL
    for (int j = 0; j < each; ++j)
      if (Count % T::down == 0 || row < Count)
        f(r / T::down * each + j, row, (j * T::across + thread() % T::across) * 8);
  }
}
template <int K, int Count> constexpr int piecesOf() {
  using T = Tile<K>;
  return (Count + T::down - 1) / T::down * (T::pieces / T::across);
}

/// Begins to copy Count of Total rows, from `first` on. Rows and channels that do not exist become
/// zero.
template <class P, int K, int Count, int Total, class S, class Q>
R1_FN void copyRows(S to, Rows<Q> rows, int first) {
  pieces<K, Count>([&](int, int row, int c) {
    bool there = (Total % Count == 0 || first + row < Total) && (P::K == K || c < P::K);
    async_copy16(to + Tile<K>::at(row, c),
                 rows.data + (there ? (first + row) * rows.stride + c : 0), there ? 16 : 0);
  });
}

//===--- products -----------------------------------------------------------------------------===//

/// The A operand of a pass: M * 16 rows of this warp. wgmma reads it where it is, in shared memory: rows kept in
/// registers while others hold the weights are what ptxas mixes up (see wgmma_from).
template <class H, class L, bool Kept> struct Operand {
  R1_PTR(H) tile;
  u32 kept[Kept ? L::K / 16 : 1][L::M][4];

  R1_FN void open(R1_PTR(H) from) {
    tile = from;
    if constexpr (Kept) {
      R1_UNROLL
      for (int k = 0; k < L::K; k += 16)
        read(kept[k / 16], k);
    }
  }
  R1_FN void read(u32 (&a)[L::M][4], int k) const {
    // Matrices: rows 0-7, 8-15 of channels 0-7; then of channels 8-15.
    R1_UNROLL
    for (int m = 0; m < L::M; ++m)
      ldmatrix4(a[m], tile + Tile<L::K>::at((warp() * L::M + m) * 16 + lane() % 16,
                                            k + lane() / 16 * 8));
  }
  R1_FN void get(u32 (&a)[L::M][4], int k) const {
    if constexpr (Kept) {
      R1_UNROLL
      for (int m = 0; m < L::M; ++m)
        R1_UNROLL
      for (int i = 0; i < 4; ++i)
        a[m][i] = kept[k / 16][m][i];
    } else {
      read(a, k);
    }
  }
};

template <int M, int N> R1_FN void clear(float (&x)[M][N][4]) {
  R1_UNROLL
  for (int m = 0; m < M; ++m)
    R1_UNROLL
  for (int n = 0; n < N; ++n)
    R1_UNROLL
  for (int i = 0; i < 4; ++i)
    x[m][n][i] = 0.0f;
}

/// A tile for wgmma, from shared address `start` on: in rows of 128 bytes, swizzled, as `Tile<64>` has them
/// too; 8 rows every 1024 bytes. (Leading: the next 64 channels or columns, of which there are none.)
R1_FN u64 descriptor(u32 start) {
  const u64 leading = 64 * 128, stride = 1024, swizzle = 1;
  return (start & 0x3FFFFu) >> 4 | leading >> 4 << 16 | stride >> 4 << 32 | swizzle << 62;
}
/// Until at most N groups of this thread's copies are under way, which then its warpgroup may multiply after
/// a barrier.
template <int N, class L> R1_FN void arrived() {
  async_wait<N>();
  if constexpr (L::Wgmma)
    fence_async();
}

/// acc = rows columnsᵀ over all channels: element (m, n, i) is row 16 m + lane / 4 + i / 2 * 8 of
/// the warp and column 8 n + lane % 4 * 2 + i % 2 of the tile.
template <class H, class L, class A, class S>
R1_FN void dots(float (&acc)[L::M][L::N / 8][4], const A &rows, S columns) {
  clear(acc);
  if constexpr (L::Wgmma) {
    auto &sums = reinterpret_cast<float(&)[L::N / 2]>(acc);
    const u32 from = shared_address(rows.tile), to = shared_address(columns);
    wgmma_fence(sums);
    R1_UNROLL
    for (int k = 0; k < L::K; k += 16)
      wgmma<H, false, false>(sums, descriptor(from + k * 2), descriptor(to + k * 2));
    wgmma_commit();
    wgmma_wait<0>(sums);
    return;
  }
  const int l = lane_anew();
  R1_UNROLL
  for (int k = 0; k < L::K; k += 16) {
    u32 a[L::M][4];
    rows.get(a, k);
    R1_UNROLL
    for (int n = 0; n < L::N; n += 16) {
      u32 b[4]; // matrices: channels 0-7, 8-15 of columns 0-7; then of columns 8-15
      ldmatrix4(b, columns + Tile<L::K>::at(n + l % 8 + l / 16 * 8,
                                            k + l / 8 % 2 * 8));
      R1_UNROLL
      for (int m = 0; m < L::M; ++m) {
        mma<H>(acc[m][n / 8], a[m], b[0], b[1]);
        mma<H>(acc[m][n / 8 + 1], a[m], b[2], b[3]);
      }
    }
  }
}

/// Scores, rounded, as the A operand of `combine`.
template <class H, int M, int N>
R1_FN void pack(u32 (&a)[M][N / 2][4], const float (&x)[M][N][4]) {
  R1_UNROLL
  for (int m = 0; m < M; ++m)
    R1_UNROLL
  for (int n = 0; n < N; ++n)
    R1_UNROLL
  for (int h = 0; h < 2; ++h)
    a[m][n / 2][n % 2 * 2 + h] = pack_pair<H>(x[m][n][2 * h], x[m][n][2 * h + 1]);
}

/// sums += weights columns, over the columns of a tile.
template <class H, class L, class S>
R1_FN void combine(float (&sums)[L::M][L::K / 8][4], u32 (&weights)[L::M][L::N / 16][4], S columns) {
  if constexpr (L::Wgmma) {
    auto &all = reinterpret_cast<float(&)[L::K / 2]>(sums);
    const u32 at_ = shared_address(columns);
    wgmma_fence(all, weights);
    R1_UNROLL
    for (int n = 0; n < L::N; n += 16)
      wgmma_from<H, true>(all, weights[0][n / 16], descriptor(at_ + n * 128));
    wgmma_commit();
    wgmma_wait<0>(all);
    return;
  }
  const int l = lane_anew();
  R1_UNROLL
  for (int n = 0; n < L::N; n += 16)
    R1_UNROLL
  for (int c = 0; c < L::K; c += 16) {
    u32 b[4]; // matrices: columns 0-7, 8-15 of channels 0-7; then of channels 8-15
    ldmatrix4_trans(b, columns + Tile<L::K>::at(n + l % 16, c + l / 16 * 8));
    R1_UNROLL
    for (int m = 0; m < L::M; ++m) {
      mma<H>(sums[m][c / 8], weights[m][n / 16], b[0], b[1]);
      mma<H>(sums[m][c / 8 + 1], weights[m][n / 16], b[2], b[3]);
    }
  }
}

//===--- masks --------------------------------------------------------------------------------===//

/// The reach of a tile of rows and columns; beyond the last query or key nothing is allowed.
template <class P, class L, bool RowsAreKeys, class Allow>
R1_FN Reach reachOfTile(const Allow &allow, int b, int row, int column) {
  constexpr int rowCount = RowsAreKeys ? P::S : P::T, columnCount = RowsAreKeys ? P::T : P::S;
  int rowEnd = row + L::rows - 1, columnEnd = column + L::N - 1;
  bool whole = true;
  if (rowCount % L::rows && rowEnd >= rowCount)
    rowEnd = rowCount - 1, whole = false;
  if (columnCount % L::N && columnEnd >= columnCount)
    columnEnd = columnCount - 1, whole = false;
  Reach r = RowsAreKeys ? reachOf(allow, b, column, columnEnd, row, rowEnd, 0)
                        : reachOf(allow, b, row, rowEnd, column, columnEnd, 0);
  return whole ? r : both(r, 1);
}

/// What `reach(i)` says of tiles 0 … Count - 1, asked by all warps together: one after the other, each costs a
/// pass the latency of its loads, and with short segments most tiles are not visited.
template <int Count, class F> R1_FN void askTiles(R1_PTR(unsigned char) reaches, const F &reach) {
  R1_UNROLL_BY(1)
  for (int i = warp(); i < Count; i += kThreads / 32) {
    Reach r = reach(i);
    if (lane() == 0)
      reaches[i] = static_cast<unsigned char>(r);
  }
  block_sync();
}

/// Which scores of this thread are allowed: bit 4 n + i of bits[m] is element (m, n, i). `row`: the
/// block's first. It is asked before the scores are there, when registers are free.
template <class P, class L, bool RowsAreKeys, class Allow>
R1_FN void ask(u32 (&bits)[L::M], const Allow &allow, int b, int row, int column) {
  R1_UNROLL
  for (int m = 0; m < L::M; ++m) {
    bits[m] = 0;
    R1_UNROLL
    for (int n = 0; n < L::N / 8; ++n)
      R1_UNROLL
    for (int i = 0; i < 4; ++i) {
      int r = row + (warp() * L::M + m) * 16 + lane() / 4 + i / 2 * 8;
      int c = column + n * 8 + lane() % 4 * 2 + i % 2;
      int t = RowsAreKeys ? c : r, s = RowsAreKeys ? r : c;
      // What lies outside asks for the last pair, so that there is no branch around a load.
      bool inside = true;
      if (P::T % (RowsAreKeys ? L::N : L::rows) && t >= P::T)
        t = P::T - 1, inside = false;
      if (P::S % (RowsAreKeys ? L::rows : L::N) && s >= P::S)
        s = P::S - 1, inside = false;
      bits[m] |= allow(b, t, s) && inside ? 1u << (4 * n + i) : 0u;
    }
  }
}
/// Puts kNone in the place of scores that are not allowed.
template <int M, int N> R1_FN void hide(float (&x)[M][N][4], const u32 (&bits)[M]) {
  static_assert(N <= 8, "a bit for each score");
  R1_UNROLL
  for (int m = 0; m < M; ++m)
    R1_UNROLL
  for (int n = 0; n < N; ++n)
    R1_UNROLL
  for (int i = 0; i < 4; ++i)
    x[m][n][i] = bits[m] >> (4 * n + i) & 1 ? x[m][n][i] : kNone;
}

/// Over the 4 threads that share a row of scores.
R1_FN float quadSum(float x) {
  x += shfl_xor(x, 1);
  return x + shfl_xor(x, 2);
}
R1_FN float quadMax(float x) {
  float y = shfl_xor(x, 1);
  x = x < y ? y : x;
  y = shfl_xor(x, 2);
  return x < y ? y : x;
}

constexpr float kLog2E = 1.44269504f;

/// A query's lse for exp2(score * log2 e - …); that of a query that sees nothing is of no account.
R1_FN float base2(float lse) { return lse < kNone ? 0.0f : lse * kLog2E; }

//===--- rows of results and of dout * out ----------------------------------------------------===//

/// Writes the sums, each row times its factor, to the rows from `first` (the block's) on.
template <class P, class L, class Q>
R1_FN void writeRows(Rows<Q> rows, int first, const float (&sums)[L::M][L::K / 8][4],
                     const float (&factor)[L::M][2]) {
  using E = element<Q>;
  R1_UNROLL
  for (int m = 0; m < L::M; ++m)
    R1_UNROLL
  for (int h = 0; h < 2; ++h) {
    int row = first + (warp() * L::M + m) * 16 + lane() / 4 + h * 8;
    if (row >= rows.count)
      continue;
    R1_UNROLL
    for (int n = 0; n < L::K / 8; ++n) {
      if (P::K != L::K && n * 8 >= P::K)
        continue;
      vec<E, 2> pair;
      pair.v[0] = cast<E>(sums[m][n][2 * h] * factor[m][h]);
      pair.v[1] = cast<E>(sums[m][n][2 * h + 1] * factor[m][h]);
      store_global<2>(rows.data + row * rows.stride + n * 8 + lane() % 4 * 2, pair);
    }
  }
}

/// The pieces of `out` that belong to the pieces of dout which this thread copies.
template <class P, int K, int Count, class H> struct Outputs {
  vec<H, 8> x[piecesOf<K, Count>()];
  template <class Q> R1_FN void load(Rows<Q> out, int first) {
    pieces<K, Count>([&](int i, int row, int c) {
      bool there = (P::T % Count == 0 || first + row < P::T) && (P::K == K || c < P::K);
      x[i] = there ? r1::load<8>(out.data + (first + row) * out.stride + c) : vec<H, 8>{};
    });
  }
};
/// stats[i] = sum of dout * out over the channels of row i, for a tile of dout that this thread has
/// waited for, itself, but not with the others: a thread reads only what it copied.
template <class P, int K, int Count, class H, class S>
R1_FN void outputTerms(R1_PTR(float) stats, S dout, const Outputs<P, K, Count, H> &out) {
  using T = Tile<K>;
  constexpr int each = T::pieces / T::across;
  float sum = 0.0f;
  pieces<K, Count>([&](int i, int row, int c) {
    auto y = r1::load<8>(dout + T::at(row, c));
    R1_UNROLL
    for (int n = 0; n < 8; ++n)
      sum = fma(cast<float>(out.x[i].v[n]), cast<float>(y.v[n]), sum);
    if (i % each == each - 1) {
      R1_UNROLL
      for (int mask = 1; mask < T::across; mask *= 2)
        sum += shfl_xor(sum, mask);
      if (thread() % T::across == 0)
        stats[row] = sum;
      sum = 0.0f;
    }
  });
}

//===--- passes -------------------------------------------------------------------------------===//

template <class P, class W, class M, class Q, class K, class V, class O, class N, class Allow, class Log>
R1_FN void forward(M memory, R1_PTR(unsigned char) reaches, Q q, K k, V v, O out, N lse, Allow allow, Log log) {
  using L = typename W::template Forward<P>;
  using H = element<Q>;
  static_assert(sound<P>(), "");
  constexpr int tiles = up(P::T, L::rows) / L::rows;
  // Late queries first: with a causal mask they have the most to do.
  int index = block(), tile = tiles - 1 - index / (P::B * P::H), bh = index % (P::B * P::H);
  int b = bh / P::H, h = bh % P::H, g = h / (P::H / P::G), t0 = tile * L::rows;
  auto kRows = keys<P>(k, b, g);
  auto vRows = keys<P>(v, b, g);
  auto atX = memory + L::atX;
  copyRows<P, L::K, L::rows, P::T>(atX, queries<P>(q, b, h), t0);
  async_commit();
  auto reachAt = [&](int i) { return reachOfTile<P, L, false>(allow, b, t0, i * L::N); };
  if constexpr (L::Wgmma)
    askTiles<up(P::S, L::N) / L::N>(reaches, reachAt);
  Reach found = 0; // of the tile that `next` gave last
  auto next = [&](int s) {
    while (s < P::S && !(found = L::Wgmma ? reaches[s / L::N] : reachAt(s / L::N)))
      s += L::N;
    return s;
  };
  Operand<H, L, L::Kept> rows;
  int s0 = next(0), place = 0;
  auto fetchU = [&](int s) {
    if (s < P::S)
      copyRows<P, L::K, L::N, P::S>(memory + L::atU + place * L::tile, kRows, s);
    async_commit();
  };
  if constexpr (L::Kept) { // staged where k and v come later
    async_wait<0>();
    block_sync();
    rows.open(atX);
    block_sync();
    fetchU(s0);
  } else {
    fetchU(s0);
    rows.open(atX);
  }

  float top[L::M][2], total[L::M][2], sums[L::M][L::K / 8][4]; // total: this thread's columns only
  clear(sums);
  R1_UNROLL
  for (int m = 0; m < L::M; ++m)
    R1_UNROLL
  for (int h = 0; h < 2; ++h)
    top[m][h] = kNone, total[m][h] = 0.0f;
  constexpr float scale = P::scale * kLog2E;
  while (s0 < P::S) {
    const Reach reach = found;
    const int following = next(s0 + L::N);
    u32 bits[L::M];
    if (reach != 2)
      ask<P, L, false>(bits, allow, b, t0, s0);
    auto u = memory + L::atU + place * L::tile, w = memory + L::atW;
    arrived<0, L>();
    block_sync(); // u is there for all, and all are done with w
    copyRows<P, L::K, L::N, P::S>(w, vRows, s0);
    async_commit();
    if constexpr (L::U == 2) {
      place ^= 1;
      fetchU(following);
    }
    float p[L::M][L::N / 8][4];
    dots<H, L>(p, rows, u);
    if (reach != 2)
      hide(p, bits);
    float factor[L::M][2];
    bool same = true;
    R1_UNROLL
    for (int m = 0; m < L::M; ++m)
      R1_UNROLL
    for (int h = 0; h < 2; ++h) {
      float highest = top[m][h];
      R1_UNROLL
      for (int n = 0; n < L::N / 8; ++n)
        R1_UNROLL
      for (int i = 2 * h; i < 2 * h + 2; ++i)
        highest = highest < p[m][n][i] ? p[m][n][i] : highest;
      highest = quadMax(highest);
      factor[m][h] = top[m][h] == highest ? 1.0f : exp2_approx((top[m][h] - highest) * scale);
      same = same && top[m][h] == highest;
      top[m][h] = highest;
      // Where nothing has been allowed yet the weights are exp2(kNone * scale), which is 0.
      float base = highest == kNone ? 0.0f : highest * scale, sum = 0.0f;
      R1_UNROLL
      for (int n = 0; n < L::N / 8; ++n)
        R1_UNROLL
      for (int i = 2 * h; i < 2 * h + 2; ++i) {
        p[m][n][i] = exp2_approx(fma(p[m][n][i], scale, -base));
        sum += p[m][n][i];
      }
      total[m][h] = total[m][h] * factor[m][h] + sum;
    }
    u32 weights[L::M][L::N / 16][4];
    pack<H>(weights, p);
    if (!all(same)) {
      R1_UNROLL
      for (int m = 0; m < L::M; ++m)
        R1_UNROLL
      for (int n = 0; n < L::K / 8; ++n)
        R1_UNROLL
      for (int i = 0; i < 4; ++i)
        sums[m][n][i] = sums[m][n][i] * factor[m][i / 2];
    }
    arrived<L::U - 1, L>();
    block_sync(); // w is there for all, and all are done with u
    if constexpr (L::U == 1)
      fetchU(following);
    combine<H, L>(sums, weights, w);
    s0 = following;
  }

  R1_UNROLL
  for (int m = 0; m < L::M; ++m)
    R1_UNROLL
  for (int h = 0; h < 2; ++h) {
    float sum = quadSum(total[m][h]);
    bool empty = sum == 0.0f;
    total[m][h] = empty ? 0.0f : 1.0f / sum;
    int t = t0 + (warp() * L::M + m) * 16 + lane() / 4 + h * 8;
    if (given(lse) && lane() % 4 == 0 && t < P::T)
      lse[bh * P::T + t] =
          empty ? from_bits(static_cast<int>(0xff800000u)) : fma(top[m][h], P::scale, log(sum));
  }
  writeRows<P, L>(queries<P>(out, b, h), t0, sums, total);
}

/// The work of block `index` of the part of the adjoint that makes dq.
template <class P, class W, class M, class Q, class K, class V, class O, class N, class D, class DQ,
          class Allow>
R1_FN void queryGradients(int index, M memory, R1_PTR(float) stats, R1_PTR(unsigned char) reaches, Q q, K k, V v, O out, N lse,
                          D dout, DQ dq, Allow allow) {
  using L = typename W::template Queries<P>;
  using H = element<Q>;
  constexpr int tiles = up(P::T, L::rows) / L::rows;
  int tile = tiles - 1 - index / (P::B * P::H), bh = index % (P::B * P::H);
  int b = bh / P::H, h = bh % P::H, g = h / (P::H / P::G), t0 = tile * L::rows;
  auto kRows = keys<P>(k, b, g);
  auto vRows = keys<P>(v, b, g);
  auto atX = memory + L::atX, atY = memory + L::atY;
  copyRows<P, L::K, L::rows, P::T>(atX, queries<P>(q, b, h), t0);
  copyRows<P, L::K, L::rows, P::T>(atY, queries<P>(dout, b, h), t0);
  async_commit();
  Outputs<P, L::K, L::rows, H> outs;
  outs.load(queries<P>(out, b, h), t0);
  auto reachAt = [&](int i) { return reachOfTile<P, L, false>(allow, b, t0, i * L::N); };
  if constexpr (L::Wgmma)
    askTiles<up(P::S, L::N) / L::N>(reaches, reachAt);
  Reach found = 0; // of the tile that `next` gave last
  auto next = [&](int s) {
    while (s < P::S && !(found = L::Wgmma ? reaches[s / L::N] : reachAt(s / L::N)))
      s += L::N;
    return s;
  };
  async_wait<0>();
  outputTerms(stats, atY, outs);
  block_sync();
  Operand<H, L, L::Kept> x;
  Operand<H, L, false> y;
  x.open(atX);
  y.open(atY);
  float delta[L::M][2], logs[L::M][2], sums[L::M][L::K / 8][4];
  clear(sums);
  R1_UNROLL
  for (int m = 0; m < L::M; ++m)
    R1_UNROLL
  for (int h = 0; h < 2; ++h) {
    int r = (warp() * L::M + m) * 16 + lane() / 4 + h * 8;
    delta[m][h] = stats[r];
    logs[m][h] = t0 + r < P::T ? base2(lse[bh * P::T + t0 + r]) : 0.0f;
  }
  if constexpr (L::Kept)
    block_sync();

  int s0 = next(0), place = 0;
  auto fetchU = [&](int s) {
    if (s < P::S)
      copyRows<P, L::K, L::N, P::S>(memory + L::atU + place * L::tile, kRows, s);
    async_commit();
  };
  fetchU(s0);
  constexpr float scale = P::scale * kLog2E;
  while (s0 < P::S) {
    const Reach reach = found;
    const int following = next(s0 + L::N);
    u32 bits[L::M];
    if (reach != 2)
      ask<P, L, false>(bits, allow, b, t0, s0);
    auto u = memory + L::atU + place * L::tile, w = memory + L::atW;
    arrived<0, L>();
    block_sync(); // u is there for all, and all are done with w and with the other place of u
    copyRows<P, L::K, L::N, P::S>(w, vRows, s0);
    async_commit();
    place ^= 1;
    fetchU(following);
    float p[L::M][L::N / 8][4], d[L::M][L::N / 8][4];
    dots<H, L>(p, x, u);
    if (reach != 2)
      hide(p, bits);
    R1_UNROLL
    for (int m = 0; m < L::M; ++m)
      R1_UNROLL
    for (int n = 0; n < L::N / 8; ++n)
      R1_UNROLL
    for (int i = 0; i < 4; ++i)
      p[m][n][i] = exp2_approx(fma(p[m][n][i], scale, -logs[m][i / 2]));
    arrived<1, L>();
    block_sync(); // w is there for all
    dots<H, L>(d, y, w);
    R1_UNROLL
    for (int m = 0; m < L::M; ++m)
      R1_UNROLL
    for (int n = 0; n < L::N / 8; ++n)
      R1_UNROLL
    for (int i = 0; i < 4; ++i)
      d[m][n][i] = p[m][n][i] * (d[m][n][i] - delta[m][i / 2]);
    u32 weights[L::M][L::N / 16][4];
    pack<H>(weights, d);
    combine<H, L>(sums, weights, u);
    s0 = following;
  }
  R1_UNROLL
  for (int m = 0; m < L::M; ++m)
    R1_UNROLL
  for (int h = 0; h < 2; ++h)
    delta[m][h] = P::scale;
  writeRows<P, L>(queries<P>(dq, b, h), t0, sums, delta);
}

/// The work of block `index` of the part that makes dk and dv: one group, L::rows keys. The sums
/// run over the heads of the group and, in each, over the queries.
template <class P, class W, class M, class Q, class K, class V, class O, class N, class D, class DK,
          class DV, class Allow>
R1_FN void keyGradients(int index, M memory, R1_PTR(float) stats, R1_PTR(unsigned char) reaches, Q q, K k, V v, O out, N lse,
                        D dout, DK dk, DV dv, Allow allow) {
  using L = typename W::template Keys<P>;
  using H = element<Q>;
  constexpr int perGroup = P::H / P::G, steps = up(P::T, L::N) / L::N, count = perGroup * steps;
  int tile = index / (P::B * P::G), bg = index % (P::B * P::G);
  int b = bg / P::G, g = bg % P::G, s0 = tile * L::rows;
  auto atX = memory + L::atX, atY = memory + L::atY;
  copyRows<P, L::K, L::rows, P::S>(atX, keys<P>(k, b, g), s0);
  copyRows<P, L::K, L::rows, P::S>(atY, keys<P>(v, b, g), s0);
  async_commit();
  // Step i: queries i % steps * N … of head g * perGroup + i / steps.
  auto reachAt = [&](int i) { return reachOfTile<P, L, true>(allow, b, s0, i * L::N); };
  if constexpr (L::Wgmma)
    askTiles<steps>(reaches, reachAt);
  Reach found = 0; // of the tile that `next` gave last
  auto next = [&](int i) {
    while (i < count && !(found = L::Wgmma ? reaches[i % steps] : reachAt(i % steps)))
      ++i;
    return i;
  };
  async_wait<0>();
  block_sync();
  Operand<H, L, L::Kept> x;
  Operand<H, L, false> y;
  x.open(atX);
  y.open(atY);
  if constexpr (L::Kept)
    block_sync();
  float sumsK[L::M][L::K / 8][4], sumsV[L::M][L::K / 8][4];
  clear(sumsK);
  clear(sumsV);

  int step = next(0), place = 0;
  auto fetchU = [&](int i) {
    if (i < count)
      copyRows<P, L::K, L::N, P::T>(memory + L::atU + place * L::tile,
                                    queries<P>(q, b, g * perGroup + i / steps), i % steps * L::N);
    async_commit();
  };
  fetchU(step);
  constexpr float scale = P::scale * kLog2E;
  while (step < count) {
    const int h = g * perGroup + step / steps, t0 = step % steps * L::N;
    const Reach reach = found;
    const int following = next(step + 1);
    u32 bits[L::M];
    if (reach != 2)
      ask<P, L, true>(bits, allow, b, s0, t0);
    auto u = memory + L::atU + place * L::tile, w = memory + L::atW;
    arrived<0, L>();
    block_sync(); // u is there for all, and all are done with w, stats and the other place of u
    copyRows<P, L::K, L::N, P::T>(w, queries<P>(dout, b, h), t0);
    async_commit();
    place ^= 1;
    fetchU(following);
    if (thread() < L::N)
      stats[L::N + thread()] = t0 + thread() < P::T
                                   ? base2(lse[(b * P::H + h) * P::T + t0 + thread()])
                                   : 0.0f;
    float p[L::M][L::N / 8][4], d[L::M][L::N / 8][4];
    dots<H, L>(p, x, u);
    if (reach != 2)
      hide(p, bits);
    Outputs<P, L::K, L::N, H> outs; // not earlier: the registers are needed
    outs.load(queries<P>(out, b, h), t0);
    arrived<1, L>();
    outputTerms(stats, w, outs);
    block_sync(); // w and stats are there for all
    R1_UNROLL
    for (int n = 0; n < L::N / 8; ++n) {
      auto logs = r1::load<2>(stats + L::N + n * 8 + lane() % 4 * 2);
      R1_UNROLL
      for (int m = 0; m < L::M; ++m)
        R1_UNROLL
      for (int i = 0; i < 4; ++i)
        p[m][n][i] = exp2_approx(fma(p[m][n][i], scale, -logs.v[i % 2]));
    }
    u32 weights[L::M][L::N / 16][4];
    pack<H>(weights, p);
    combine<H, L>(sumsV, weights, w);
    dots<H, L>(d, y, w);
    R1_UNROLL
    for (int n = 0; n < L::N / 8; ++n) {
      auto delta = r1::load<2>(stats + n * 8 + lane() % 4 * 2);
      R1_UNROLL
      for (int m = 0; m < L::M; ++m)
        R1_UNROLL
      for (int i = 0; i < 4; ++i)
        d[m][n][i] = p[m][n][i] * (d[m][n][i] - delta.v[i % 2]);
    }
    pack<H>(weights, d);
    combine<H, L>(sumsK, weights, u);
    step = following;
  }
  float one[L::M][2], scaled[L::M][2];
  R1_UNROLL
  for (int m = 0; m < L::M; ++m)
    R1_UNROLL
  for (int h = 0; h < 2; ++h)
    one[m][h] = 1.0f, scaled[m][h] = P::scale;
  writeRows<P, L>(keys<P>(dk, b, g), s0, sumsK, scaled);
  writeRows<P, L>(keys<P>(dv, b, g), s0, sumsV, one);
}

} // namespace tensor
} // namespace attention

/// Does a problem with elements E, whose arguments are all multiples of `align` bytes, fit? The
/// adjoint keeps twice the sums, so its heads are narrower.
template <class P, class E> constexpr bool attention_mma_fits(bool backward, int align) {
  return is_half<E> && P::K % 8 == 0 && align % 16 == 0 && P::K <= (backward ? 128 : 256) &&
         P::scale > 0;
}

/// As that, on sm_90a with wgmma: heads of 64 channels, or of fewer that become as many.
template <class P, class E> constexpr bool attention_wgmma_fits(int align) {
  return attention_mma_fits<P, E>(true, align) && attention::up(P::K, 16) == 64;
}

namespace attention {
namespace tensor {
template <class P, class W> constexpr int forwardBlocks() {
  using L = typename W::template Forward<P>;
  return P::B * P::H * (up(P::T, L::rows) / L::rows);
}
template <class P, class W> constexpr int queryBlocks() {
  using L = typename W::template Queries<P>;
  return P::B * P::H * (up(P::T, L::rows) / L::rows);
}
template <class P, class W> constexpr int backwardBlocks() {
  using L = typename W::template Keys<P>;
  return queryBlocks<P, W>() + P::B * P::G * (up(P::S, L::rows) / L::rows);
}
/// Elements of shared memory of the adjoint, and the floats beside them.
template <class P, class W> constexpr int backwardSize() {
  using A = typename W::template Queries<P>;
  using B = typename W::template Keys<P>;
  return A::size < B::size ? B::size : A::size;
}
template <class P, class W> constexpr int backwardStats() {
  constexpr int rows = W::template Queries<P>::rows, columns = 2 * W::template Keys<P>::N;
  return rows < columns ? columns : rows;
}
template <class P, class W, class M, class Q, class K, class V, class O, class N, class D, class DQ,
          class DK, class DV, class Allow>
R1_FN void backward(M memory, R1_PTR(float) stats, R1_PTR(unsigned char) reaches, Q q, K k, V v, O out,
                    N lse, D dout, DQ dq, DK dk, DV dv, Allow allow) {
  constexpr int first = queryBlocks<P, W>();
  if (block() < first)
    queryGradients<P, W>(block(), memory, stats, reaches, q, k, v, out, lse, dout, dq, allow);
  else
    keyGradients<P, W>(block() - first, memory, stats, reaches, q, k, v, out, lse, dout, dk, dv, allow);
}
} // namespace tensor
} // namespace attention

template <class P> constexpr int attention_forward_mma_blocks() {
  return attention::tensor::forwardBlocks<P, attention::tensor::Mma>();
}
template <class P> constexpr int attention_backward_mma_blocks() {
  return attention::tensor::backwardBlocks<P, attention::tensor::Mma>();
}
template <class P> constexpr int attention_forward_wgmma_blocks() {
  return attention::tensor::forwardBlocks<P, attention::tensor::Wgmma>();
}
template <class P> constexpr int attention_backward_wgmma_blocks() {
  return attention::tensor::backwardBlocks<P, attention::tensor::Wgmma>();
}
/// Bytes of dynamic shared memory: tiles, for the adjoint terms of queries, a byte for each tile of columns.
template <class P> constexpr int attention_forward_wgmma_shared() {
  return attention::tensor::Wgmma::Forward<P>::size * 2 + attention::up(P::S, 1024) / 64;
}
template <class P> constexpr int attention_backward_wgmma_shared() {
  using W = attention::tensor::Wgmma;
  return attention::tensor::backwardSize<P, W>() * 2 + attention::tensor::backwardStats<P, W>() * 4 +
         attention::up(P::S < P::T ? P::T : P::S, 1024) / 64;
}

/// One block of attention; lse may be null. Pointers are multiples of 16 bytes, and P::K of 8.
template <class P, class Q, class K, class V, class O, class N, class Allow, class Log>
R1_FN void attention_forward_mma(Q q, K k, V v, O out, N lse, Allow allow, Log log) {
  using namespace attention::tensor;
  using H = element<Q>;
  static_assert(attention_mma_fits<P, H>(false, 16), "see attention_mma_fits");
  constexpr int size = Mma::Forward<P>::size;
  static_assert(size * 2 <= 48 * 1024, "fits in static shared memory");
  R1_SHARED(H, pool, size);
  R1_PTR(H) memory = pool;
  forward<P, Mma>(memory, {}, q, k, v, out, lse, allow, log);
}
template <class P, class Q, class K, class V, class O, class N, class Allow, class Log>
R1_FN void attention_forward_wgmma(Q q, K k, V v, O out, N lse, Allow allow, Log log) {
  using namespace attention::tensor;
  using H = element<Q>;
  static_assert(attention_wgmma_fits<P, H>(16), "see attention_wgmma_fits");
  R1_DYNAMIC(memory);
  auto reaches = as<unsigned char>(memory + Wgmma::Forward<P>::size * 2);
  forward<P, Wgmma>(as<H>(memory), reaches, q, k, v, out, lse, allow, log);
}

/// One block of the adjoint: the first queryBlocks make dq, the others dk and dv.
template <class P, class Q, class K, class V, class O, class N, class D, class DQ, class DK,
          class DV, class Allow>
R1_FN void attention_backward_mma(Q q, K k, V v, O out, N lse, D dout, DQ dq, DK dk, DV dv,
                                  Allow allow) {
  using namespace attention::tensor;
  using H = element<Q>;
  static_assert(attention_mma_fits<P, H>(true, 16), "see attention_mma_fits");
  constexpr int size = backwardSize<P, Mma>(), stats = backwardStats<P, Mma>();
  static_assert(sound<P>() && size * 2 + stats * 4 <= 48 * 1024, "fits in static shared memory");
  R1_SHARED(H, pool, size);
  R1_SHARED(float, numbers, stats);
  R1_PTR(H) memory = pool;
  backward<P, Mma>(memory, numbers, {}, q, k, v, out, lse, dout, dq, dk, dv, allow);
}
template <class P, class Q, class K, class V, class O, class N, class D, class DQ, class DK,
          class DV, class Allow>
R1_FN void attention_backward_wgmma(Q q, K k, V v, O out, N lse, D dout, DQ dq, DK dk, DV dv,
                                    Allow allow) {
  using namespace attention::tensor;
  using H = element<Q>;
  static_assert(sound<P>() && attention_wgmma_fits<P, H>(16), "see attention_wgmma_fits");
  R1_DYNAMIC(memory);
  constexpr int atNumbers = backwardSize<P, Wgmma>() * 2;
  auto numbers = as<float>(memory + atNumbers);
  auto reaches = as<unsigned char>(memory + (atNumbers + backwardStats<P, Wgmma>() * 4));
  backward<P, Wgmma>(as<H>(memory), numbers, reaches, q, k, v, out, lse, dout, dq, dk, dv, allow);
}

} // namespace r1
