// attention_forward where each row has one query, as in decoding; the same bits.
//
// A block has one head of one row. The scores of all keys lie in shared memory, a thread for each; then a
// thread for each channel is its chain over the keys, whose values all threads bring, a step ahead:
//
//   keys ──> scores ──> maximum, exponentials (shared)   |   values ──> registers ──> shared ──> chains
#pragma once
#include "attention_tiles.cuh"

namespace r1 {
namespace attention {

/// Sizes that follow from the problem.
template <class P> struct One {
  static constexpr int threads = 256;
  static constexpr int K = up(P::K, 4);
  static constexpr int step = K <= 64 ? 128 : K <= 128 ? 64 : 32; // keys whose values are added at a time
  static constexpr int keys = up(P::S, 4);
  static constexpr int quads = step * K / 4, rounds = (quads + threads - 1) / threads;
  static constexpr int warps = threads / 32;
};

/// Over all threads of the block, by one element of shared memory for each warp; the threads have met
/// before it was last read.
template <class T, class M, class Op> R1_FN T overBlock(T x, M shared, int warps, Op op) {
  R1_UNROLL
  for (int m = 16; m > 0; m /= 2)
    x = op(x, shfl_xor(x, m));
  if (lane() == 0)
    shared[warp()] = x;
  block_sync();
  for (int i = 0; i < warps; ++i)
    x = op(x, static_cast<T>(shared[i]));
  return x;
}

} // namespace attention

/// Whether there is room for it.
template <class P> constexpr bool attention_one_fits() {
  return P::T == 1 && P::K <= 256 && P::S <= 3584;
}
template <class P> constexpr int attention_one_blocks() { return P::B * P::H; }
constexpr int attention_one_threads = 256;

/// One block; lse may be null.
template <class P, class Q, class K, class V, class O, class N, class Allow, class Exp, class Log>
R1_FN void attention_one(Q q, K k, V v, O out, N lse, Allow allow, Exp exp, Log log) {
  using namespace attention;
  using L = One<P>;
  static_assert(attention_one_fits<P>(), "the scores fit in shared memory");
  R1_SHARED(float, weights, L::keys);
  R1_SHARED(float, query, L::K);
  R1_SHARED(float, staged, L::step *L::K);
  R1_SHARED(float, tops, L::warps);
  R1_SHARED(int, firsts, L::warps);
  R1_SHARED(int, lasts, L::warps);
  const int bh = block(), b = bh / P::H, h = bh % P::H, g = h / (P::H / P::G);
  auto kRows = keys<P>(k, b, g);
  auto vRows = keys<P>(v, b, g);
  for (int c = thread(); c < L::K; c += L::threads)
    query[c] = c < P::K ? cast<float>(q[bh * P::K + c]) : 0.0f;
  block_sync();

  float top = kNone;
  int first = L::keys, last = 0; // of the keys that are seen
  for (int s = thread(); s < L::keys; s += L::threads) {
    float x = kNone;
    if (s < P::S && allow(b, 0, s)) {
      x = 0.0f;
      R1_UNROLL_BY(8)
      for (int c = 0; c < L::K; c += 4) {
        float y[4], z[4];
        channels<P>(y, kRows.data + s * kRows.stride, c, true);
        fetch<4>(z, query + c);
        R1_UNROLL
        for (int i = 0; i < 4; ++i)
          x = fma(z[i], y[i], x);
      }
      x = x * P::scale;
      top = top < x ? x : top;
      first = s < first ? s : first;
      last = s + 1;
    }
    weights[s] = x;
  }
  top = overBlock(top, tops + 0, L::warps, [](float x, float y) { return x < y ? y : x; });
  first = overBlock(first, firsts + 0, L::warps, [](int x, int y) { return x < y ? x : y; });
  last = overBlock(last, lasts + 0, L::warps, [](int x, int y) { return x < y ? y : x; });
  // Four at a time. A key that is not seen adds nothing.
  first = first / 4 * 4, last = up(last, 4);
  for (int s = first + thread(); s < last; s += L::threads)
    weights[s] = weights[s] == kNone ? 0.0f : exp(weights[s] - top);

  float values[L::rounds][4], sum = 0.0f, total = 0.0f;
  const int mine = thread();
  auto bring = [&](int s0) {
    R1_UNROLL
    for (int r = 0; r < L::rounds; ++r) {
      int i = thread() + r * L::threads, s = s0 + i / (L::K / 4);
      channels<P>(values[r], vRows.data + s * vRows.stride, i % (L::K / 4) * 4,
                  i < L::quads && s < last && s < P::S);
    }
  };
  if (first < last)
    bring(first);
  for (int s0 = first; s0 < last; s0 += L::step) {
    block_sync(); // all are done with the values before; with the first ones, weights are there
    R1_UNROLL
    for (int r = 0; r < L::rounds; ++r)
      if (int i = thread() + r * L::threads; L::quads % L::threads == 0 || i < L::quads)
        put<4>(staged + i * 4, values[r]);
    block_sync();
    if (s0 + L::step < last)
      bring(s0 + L::step);
    if (mine < P::K) {
      const int count = last - s0 < L::step ? last - s0 : L::step;
      R1_UNROLL_BY(2)
      for (int s = 0; s < count; s += 4) {
        float x[4];
        fetch<4>(x, weights + (s0 + s));
        R1_UNROLL
        for (int i = 0; i < 4; ++i) {
          sum = fma(x[i], staged[(s + i) * L::K + mine], sum);
          total = total + x[i];
        }
      }
    }
  }
  if (mine >= P::K)
    return;
  const bool empty = total == 0.0f;
  // From the -0 that products which underflow leave, a key that is not seen makes +0.
  out[bh * P::K + mine] = cast<element<O>>(empty ? 0.0f : (sum + 0.0f) / total);
  if (given(lse) && mine == 0)
    lse[bh] = empty ? from_bits(static_cast<int>(0xff800000u)) : top + log(total);
}

} // namespace r1
