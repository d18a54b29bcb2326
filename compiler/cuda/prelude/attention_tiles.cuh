// The parts that the kernels of attention.cuh are made of.
//
// A block of 128 threads is 8 x 16. It keeps one tile of rows (queries; keys where dk and dv are
// made) and passes over tiles of 64 columns (keys; queries). Thread (ty, tx) owns R neighbouring
// rows from ty * R, the columns tx, tx + 16, tx + 32 and tx + 48 of a score tile, and channels as
// `channel` says:
//
//   rows (resident, transposed)  ┐
//                                ├─ dots ──> scores (registers) ──> weights ┐
//   columns (a slab of channels) ┘                                          ├─ combine ──> sums
//                        columns (16 or more of them, all channels) ────────┘
//
// Sums over columns are one chain each, in their order: the 16 threads of a row hold 16 neighbours.
#pragma once
#include "r1.cuh"

namespace r1 {
namespace attention {

constexpr int kThreads = 128;
constexpr int kColumns = 64;      // of a tile
constexpr float kNone = -3.0e38f; // the maximum of no scores
constexpr int up(int x, int to) { return (x + to - 1) / to * to; }
constexpr int pick(bool c, int a, int b) { return c ? a : b; }

/// Sizes that follow from the problem. `Sides`: resident tiles of rows, 1 forward (q), 2 backward.
template <class P, int Sides> struct Plan {
  static constexpr int K = up(P::K, 16); // channels as the tiles see them; the rest is zero
  static_assert(K <= 256, "heads of more than 256 channels");
  static_assert(P::H % P::G == 0, "groups divide heads");
  static_assert(i64(P::B) * P::H * P::K * (P::T > P::S ? P::T : P::S) < (1ll << 31),
                "offsets are 32 bits wide");
  // As many rows as fit beside the rest in 48 KiB of shared memory.
  static constexpr int R =
      Sides == 1 ? pick(K <= 128, 8, 2) : pick(K <= 64, 8, pick(K <= 128, 4, 1));
  static constexpr int rows = 8 * R;
  static constexpr int C = K / 16;                  // channels of a thread
  static constexpr int slab = pick(K % 32, 16, 32); // channels of a column tile at a time
  // Groups of 16 columns whose channels are staged at a time.
  static constexpr int groups = pick(K <= 64, 2, 1);
  static constexpr int staged =
      pick(slab * kColumns > groups * 16 * K, slab *kColumns, groups * 16 * K);
  static constexpr int resident = K * rows;
  static constexpr int weights = 16 * rows;
  // In floats: resident tiles | staged columns | weights | lse and delta of columns | votes
  static constexpr int atStaged = Sides * resident;
  static constexpr int atWeights = atStaged + staged;
  static constexpr int atStats = atWeights + weights;
  static constexpr int atVotes = atStats + pick(Sides == 2, 2 * kColumns, 0);
  static constexpr int floats = atVotes + 4;
  static_assert(floats * 4 <= 48 * 1024, "fits in static shared memory");
};

/// Where this thread stands in its block.
struct Place {
  int tx, ty;
  R1_FN Place() : tx(thread() % 16), ty(thread() / 16) {}
};

constexpr int groupOf(int n) { return n % 4 == 0 ? 4 : n % 2 == 0 ? 2 : 1; }

/// N neighbouring floats of shared memory, as few accesses as their alignment allows.
template <int N, class M> R1_FN void fetch(float *into, M from) {
  constexpr int G = groupOf(N);
  R1_UNROLL
  for (int i = 0; i < N; i += G) {
    auto g = load<G>(from + i);
    R1_UNROLL
    for (int j = 0; j < G; ++j)
      into[i + j] = g.v[j];
  }
}
template <int N, class M> R1_FN void put(M to, const float *from) {
  constexpr int G = groupOf(N);
  R1_UNROLL
  for (int i = 0; i < N; i += G) {
    vec<float, G> g;
    R1_UNROLL
    for (int j = 0; j < G; ++j)
      g.v[j] = from[i + j];
    store<G>(to + i, g);
  }
}

/// Channels c … c + 3 of a row in device memory; zero where there is none.
template <class P, class Q> R1_FN void channels(float (&x)[4], Q row, int c, bool live) {
  R1_UNROLL
  for (int i = 0; i < 4; ++i)
    x[i] = 0.0f;
  if (!live || c >= P::K)
    return;
  if constexpr (P::K % 4 == 0) {
    auto g = load<4>(row + c);
    R1_UNROLL
    for (int i = 0; i < 4; ++i)
      x[i] = cast<float>(g.v[i]);
  } else {
    R1_UNROLL
    for (int i = 0; i < 4; ++i)
      if (c + i < P::K)
        x[i] = cast<float>(row[c + i]);
  }
}

/// Is there an array behind an argument? Only a raw pointer may be null.
template <class M> R1_FN bool given(M) { return true; }
template <class T> R1_FN bool given(T *p) { return p != nullptr; }

/// Rows of one head of q, or of one group of k: row i is at data + i * stride.
template <class Q> struct Rows {
  Q data; // a pointer, in emulation a checked one
  int stride, count;
};
template <class P, class Q> R1_FN auto queries(Q all, int b, int h) {
  auto data = all + (b * P::T * P::H + h) * P::K;
  return Rows<decltype(data)>{data, P::H * P::K, P::T};
}
template <class P, class Q> R1_FN auto keys(Q all, int b, int g) {
  auto data = all + (b * P::S * P::G + g) * P::K;
  return Rows<decltype(data)>{data, P::G * P::K, P::S};
}

/// Transposed tiles are stored as [channel][row ^ swizzle(channel)]: a warp then writes 8 rows of
/// 4 groups of channels into 32 different banks, and 8 neighbouring rows stay neighbours.
template <int Width> R1_FN int swizzle(int c) { return 8 * (c / 4 % 4) % Width; }

/// The column at a place of a transposed tile: those of a thread, 16 apart, lie side by side.
R1_FN int columnAt(int place) { return place % 4 * 16 + place / 4; }

/// Channels from … from + Count of the Width rows from `first` on, transposed into `to`; of columns
/// in the order of `columnAt`.
template <class P, int Width, int Count, bool Columns, class Q>
R1_FN void stageTransposed(R1_PTR(float) to, Rows<Q> rows, int first, int from) {
  constexpr int across = Width / 8, tiles = across * (Count / 16);
  int r = lane() % 8, j = lane() / 8;
  R1_UNROLL_BY(2)
  for (int w = 0; w < tiles; w += kThreads / 32) {
    int tile = w + thread() / 32;
    if (tiles % (kThreads / 32) && tile >= tiles)
      break;
    int place = tile % across * 8 + r, c = tile / across * 16 + j * 4;
    int row = Columns ? columnAt(place) : place;
    float x[4];
    channels<P>(x, rows.data + (first + row) * rows.stride, from + c, first + row < rows.count);
    R1_UNROLL
    for (int i = 0; i < 4; ++i)
      to[(c + i) * Width + (place ^ swizzle<Width>(c))] = x[i];
  }
}

/// All channels of Count columns from `first` on, one after the other.
template <class P, int K, int Count, class Q>
R1_FN void stagePlain(R1_PTR(float) to, Rows<Q> rows, int first) {
  constexpr int quads = Count * K / 4;
  R1_UNROLL_BY(2)
  for (int w = 0; w < quads; w += kThreads) {
    int at = w + thread();
    if (quads % kThreads && at >= quads)
      break;
    int i = at / (K / 4), c = at % (K / 4) * 4, row = first + i;
    float x[4];
    channels<P>(x, rows.data + row * rows.stride, c, row < rows.count);
    put<4>(to + i * K + c, x);
  }
}

/// acc[r][j] += sum over Count channels of rows[c][r] * columns[c][j], both transposed.
template <int R, int Count>
R1_FN void dots(float (&acc)[R][4], R1_PTR(float) rows, R1_PTR(float) columns) {
  Place at;
  R1_UNROLL_BY(2)
  for (int c = 0; c < Count; c += 4) {
    auto row = rows + c * 8 * R + ((at.ty * R) ^ swizzle<8 * R>(c));
    auto column = columns + c * kColumns + ((at.tx * 4) ^ swizzle<kColumns>(c));
    R1_UNROLL
    for (int i = 0; i < 4; ++i) {
      float x[R], y[4];
      fetch<R>(x, row + i * 8 * R);
      fetch<4>(y, column + i * kColumns);
      R1_UNROLL
      for (int r = 0; r < R; ++r)
        R1_UNROLL
      for (int j = 0; j < 4; ++j)
        acc[r][j] = fma(x[r], y[j], acc[r][j]);
    }
  }
}

/// dots of resident rows and one tile of columns, over all channels.
template <class P, class L, class Q>
R1_FN void scores(float (&acc)[L::R][4], R1_PTR(float) resident, R1_PTR(float) memory,
                  Rows<Q> columns, int first) {
  auto staged = memory + L::atStaged;
  R1_UNROLL
  for (int r = 0; r < L::R; ++r)
    R1_UNROLL
  for (int j = 0; j < 4; ++j)
    acc[r][j] = 0.0f;
  R1_UNROLL_BY(1)
  for (int c = 0; c < L::K; c += L::slab) {
    block_sync();
    stageTransposed<P, kColumns, L::slab, true>(staged, columns, first, c);
    block_sync();
    dots<L::R, L::slab>(acc, resident + c * L::rows, staged);
  }
}

/// The channel of accumulator i: neighbours within a group, groups across the 16 threads.
template <int C> R1_FN int channel(int i, int tx) {
  constexpr int G = groupOf(C);
  return (i / G * 16 + tx) * G + i % G;
}

/// sums[r][channel] += sum over a tile's columns of weights[r][column] * columns[column][channel]. With
/// Totals also total += the sum of the weights of this thread's row tx mod R.
template <class P, class L, bool Totals = false, class Q>
R1_FN void combine(float (&sums)[L::R][L::C], const float (&weights)[L::R][4], R1_PTR(float) memory,
                   Rows<Q> columns, int first, float *total = nullptr) {
  constexpr int R = L::R, C = L::C, G = groupOf(C);
  auto staged = memory + L::atStaged, exchange = memory + L::atWeights;
  Place at;
  // A row's weights are made and read by the same warp, so their exchange needs no block_sync. The
  // 16 threads of a row write to different banks. (Unrolled: j has to be known at compile time.)
  R1_UNROLL
  for (int j = 0; j < 4; ++j) {
    if (j % L::groups == 0) {
      block_sync();
      stagePlain<P, L::K, L::groups * 16>(staged, columns, first + j * 16);
      block_sync();
    }
    float mine[R];
    R1_UNROLL
    for (int r = 0; r < R; ++r)
      mine[r] = weights[r][j];
    constexpr int W = R < 4 ? R : 4;
    R1_UNROLL
    for (int r = 0; r < R; r += W)
      put<W>(exchange + at.tx * L::rows + ((at.ty * R + r) ^ (4 * (at.tx % 8) % L::rows)),
             mine + r);
    warp_sync();
    auto channelsOf = staged + j % L::groups * 16 * L::K;
    R1_UNROLL_BY(2)
    for (int s = 0; s < 16; ++s) {
      float x[R], y[C];
      if constexpr (Totals)
        *total += exchange[s * L::rows + ((at.ty * R + at.tx % R) ^ (4 * (s % 8) % L::rows))];
      R1_UNROLL
      for (int r = 0; r < R; r += W)
        fetch<W>(x + r, exchange + s * L::rows + ((at.ty * R + r) ^ (4 * (s % 8) % L::rows)));
      R1_UNROLL
      for (int i = 0; i < C; i += G)
        fetch<G>(y + i, channelsOf + s * L::K + channel<C>(i, at.tx));
      R1_UNROLL
      for (int r = 0; r < R; ++r)
        R1_UNROLL
      for (int i = 0; i < C; ++i)
        sums[r][i] = fma(x[r], y[i], sums[r][i]);
    }
    warp_sync();
  }
}

/// Over the 16 threads of a row.
R1_FN float rowMax(float x) {
  R1_UNROLL
  for (int m = 1; m < 16; m *= 2) {
    float y = shfl_xor(x, m);
    x = x < y ? y : x;
  }
  return x;
}

/// Of `all`, one for each column of a tile, those of this thread.
template <class M> R1_FN void ofColumns(float (&x)[4], M all) {
  R1_UNROLL
  for (int j = 0; j < 4; ++j)
    x[j] = all[j * 16 + thread() % 16];
}

/// Bit r * 4 + j: may row r of this thread and its column j meet? Whether any pair of the block may
/// is the result of `vote`, which each tile calls once, with the tile's number in the pass.
template <class P, int R, bool RowsAreKeys, class Allow>
R1_FN unsigned allowed(Allow allow, int b, int row, int column) {
  Place at;
  unsigned bits = 0;
  R1_UNROLL
  for (int r = 0; r < R; ++r)
    R1_UNROLL
  for (int j = 0; j < 4; ++j) {
    int x = row + at.ty * R + r, y = column + j * 16 + at.tx;
    int t = RowsAreKeys ? y : x, s = RowsAreKeys ? x : y;
    if (t < P::T && s < P::S && allow(b, t, s))
      bits |= 1u << (r * 4 + j);
  }
  return bits;
}
R1_FN bool vote(R1_PTR(float) votes, int tile, bool yes) {
  // Every writer writes the same. Three places take turns, so that one barrier is enough: the place
  // cleared here was last read before this barrier, and is next written after the following one.
  if (yes)
    votes[tile % 3] = 1.0f;
  block_sync();
  bool any = votes[tile % 3] != 0.0f;
  if (thread() == 0)
    votes[(tile + 2) % 3] = 0.0f;
  return any;
}
R1_FN void clearVotes(R1_PTR(float) votes) {
  if (thread() == 0)
    votes[0] = votes[1] = 0.0f;
  block_sync();
}

/// Writes the sums to the rows from `first` on.
template <class P, class L, class Q>
R1_FN void storeRows(Rows<Q> rows, int first, const float (&sums)[L::R][L::C]) {
  using E = element<Q>;
  constexpr int G = groupOf(L::C);
  Place at;
  R1_UNROLL
  for (int r = 0; r < L::R; ++r) {
    int row = first + at.ty * L::R + r;
    if (row >= rows.count)
      continue;
    R1_UNROLL
    for (int i = 0; i < L::C; i += G) {
      int c = channel<L::C>(i, at.tx);
      auto to = rows.data + row * rows.stride + c;
      if constexpr (P::K % G == 0) {
        vec<E, G> g;
        R1_UNROLL
        for (int n = 0; n < G; ++n)
          g.v[n] = cast<E>(sums[r][i + n]);
        if (c < P::K)
          store<G>(to, g);
      } else {
        R1_UNROLL
        for (int n = 0; n < G; ++n)
          if (c + n < P::K)
            to[n] = cast<E>(sums[r][i + n]);
      }
    }
  }
}

/// delta[i] = sum of dout * out over the channels of query first + i, for Count queries; in 64 lanes, as
/// every sum of a row.
template <class P, int K, int Count, class Q, class D>
R1_FN void rowTerms(R1_PTR(float) delta, Rows<Q> out, Rows<D> dout, int first) {
  Place at;
  R1_UNROLL_BY(1)
  for (int i = at.ty; i < Count; i += 8) {
    int t = first + i;
    float lanes[4] = {};
    R1_UNROLL
    for (int c = 0; c < K; c += 64) {
      float x[4], y[4];
      channels<P>(x, out.data + t * out.stride, c + at.tx * 4, t < P::T);
      channels<P>(y, dout.data + t * dout.stride, c + at.tx * 4, t < P::T);
      R1_UNROLL
      for (int n = 0; n < 4; ++n)
        lanes[n] = lanes[n] + x[n] * y[n];
    }
    float sum = row_sum<4>(lanes);
    if (at.tx == 0)
      delta[i] = sum;
  }
}

} // namespace attention
} // namespace r1
