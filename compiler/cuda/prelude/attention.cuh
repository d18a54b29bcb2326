// softmax(q kᵀ · scale where allowed) v and its adjoint, without the scores in memory.
//
//   q, out, dout, dq  [B, T, H, K]     k, v, dk, dv  [B, S, G, K]     lse  [B, H, T] in f32
//   H is a multiple of G; head h reads group h / (H / G). Elements are f32, bf16 or f16, arithmetic
//   is f32 throughout, and results are rounded once. A query that may see no key gives zeros and an
//   lse of -inf. attention_mma.cuh does the same on tensor cores, where it may.
//
// A problem is a struct: struct P { static constexpr int B, T, S, H, G, K; static constexpr float
// scale; }. Arguments are pointers, in emulation checked ones. `Allow` is bool(int b, int t, int
// s), `Exp` and `Log` are float(float).
//
// What a reader would guess wrong: nothing is rescaled tile by tile. A first pass over the keys finds
// the maximum, a second one the exponentials, and every sum is one chain over single keys or queries
// in their order. So a key that may not be seen is a no-op wherever it stands, tiles do not show in
// the bits, and those are the CPU's. Values are expected to be finite.
#pragma once
#include "attention_mma.cuh"
#include "attention_one.cuh"
#include "attention_tiles.cuh"

namespace r1 {
namespace attention {

/// The work of block `index` of the part of the adjoint that makes dq: one head, L::rows queries.
template <class P, class Q, class K, class V, class O, class N, class D, class DQ, class Allow,
          class Exp>
R1_FN void queryGradients(int index, R1_PTR(float) memory, Q q, K k, V v, O out, N lse, D dout,
                          DQ dq, Allow allow, Exp exp) {
  using L = Plan<P, 2>;
  constexpr int R = L::R, tiles = up(P::T, L::rows) / L::rows;
  // Late queries first: with a causal mask they have the most to do.
  int tile = tiles - 1 - index / (P::B * P::H), bh = index % (P::B * P::H);
  int b = bh / P::H, h = bh % P::H, g = h / (P::H / P::G), t0 = tile * L::rows;
  auto qRows = queries<P>(q, b, h);
  auto dRows = queries<P>(dout, b, h);
  auto kRows = keys<P>(k, b, g);
  auto vRows = keys<P>(v, b, g);
  Place at;
  auto qs = memory, ds = memory + L::resident, stats = memory + L::atStats;
  stageTransposed<P, L::rows, L::K, false>(qs, qRows, t0, 0);
  stageTransposed<P, L::rows, L::K, false>(ds, dRows, t0, 0);
  rowTerms<P, L::K, L::rows>(stats, queries<P>(out, b, h), dRows, t0);
  clearVotes(memory + L::atVotes);
  float delta[R], logs[R], sums[R][L::C];
  R1_UNROLL
  for (int r = 0; r < R; ++r) {
    int t = t0 + at.ty * R + r;
    delta[r] = stats[at.ty * R + r];
    logs[r] = t < P::T ? lse[bh * P::T + t] : 0.0f;
    R1_UNROLL
    for (int i = 0; i < L::C; ++i)
      sums[r][i] = 0.0f;
  }
  for (int s0 = 0, n = 0; s0 < P::S; s0 += kColumns, ++n) {
    unsigned bits = allowed<P, R, false>(allow, b, t0, s0);
    if (!vote(memory + L::atVotes, n, bits))
      continue;
    float p[R][4], d[R][4];
    scores<P, L>(p, qs, memory, kRows, s0);
    scores<P, L>(d, ds, memory, vRows, s0);
    R1_UNROLL
    for (int r = 0; r < R; ++r)
      R1_UNROLL
    for (int j = 0; j < 4; ++j) {
      float x = exp(p[r][j] * P::scale - logs[r]) * (d[r][j] - delta[r]) * P::scale;
      d[r][j] = bits >> (r * 4 + j) & 1 ? x : 0.0f;
    }
    combine<P, L>(sums, d, memory, kRows, s0);
  }
  storeRows<P, L>(queries<P>(dq, b, h), t0, sums);
}

/// The work of block `index` of the part that makes dk and dv: one group, L::rows keys. The sums
/// run over the heads of the group and, in each, over the queries.
template <class P, class Q, class K, class V, class O, class N, class D, class DK, class DV,
          class Allow, class Exp>
R1_FN void keyGradients(int index, R1_PTR(float) memory, Q q, K k, V v, O out, N lse, D dout, DK dk,
                        DV dv, Allow allow, Exp exp) {
  using L = Plan<P, 2>;
  constexpr int R = L::R, perGroup = P::H / P::G;
  int tile = index / (P::B * P::G), bg = index % (P::B * P::G);
  int b = bg / P::G, g = bg % P::G, s0 = tile * L::rows;
  Place at;
  auto ks = memory, vs = memory + L::resident, stats = memory + L::atStats;
  stageTransposed<P, L::rows, L::K, false>(ks, keys<P>(k, b, g), s0, 0);
  stageTransposed<P, L::rows, L::K, false>(vs, keys<P>(v, b, g), s0, 0);
  clearVotes(memory + L::atVotes);
  float sumsK[R][L::C], sumsV[R][L::C];
  R1_UNROLL
  for (int r = 0; r < R; ++r)
    R1_UNROLL
  for (int i = 0; i < L::C; ++i)
    sumsK[r][i] = sumsV[r][i] = 0.0f;
  int n = 0;
  for (int h = g * perGroup; h < (g + 1) * perGroup; ++h) {
    auto qRows = queries<P>(q, b, h);
    auto dRows = queries<P>(dout, b, h);
    for (int t0 = 0; t0 < P::T; t0 += kColumns, ++n) {
      unsigned bits = allowed<P, R, true>(allow, b, s0, t0);
      if (!vote(memory + L::atVotes, n, bits))
        continue;
      // Read below only after the barriers of `scores`, and by all before those of the next vote.
      rowTerms<P, L::K, kColumns>(stats, queries<P>(out, b, h), dRows, t0);
      if (thread() < kColumns)
        stats[kColumns + thread()] =
            t0 + thread() < P::T ? lse[(b * P::H + h) * P::T + t0 + thread()] : 0.0f;
      float p[R][4], d[R][4], delta[4], logs[4];
      scores<P, L>(p, ks, memory, qRows, t0);
      ofColumns(logs, stats + kColumns);
      R1_UNROLL
      for (int r = 0; r < R; ++r)
        R1_UNROLL
      for (int j = 0; j < 4; ++j) {
        float x = exp(p[r][j] * P::scale - logs[j]);
        p[r][j] = bits >> (r * 4 + j) & 1 ? x : 0.0f;
      }
      combine<P, L>(sumsV, p, memory, dRows, t0);
      scores<P, L>(d, vs, memory, dRows, t0);
      ofColumns(delta, stats);
      R1_UNROLL
      for (int r = 0; r < R; ++r)
        R1_UNROLL
      for (int j = 0; j < 4; ++j) {
        float x = p[r][j] * (d[r][j] - delta[j]) * P::scale;
        d[r][j] = bits >> (r * 4 + j) & 1 ? x : 0.0f;
      }
      combine<P, L>(sumsK, d, memory, qRows, t0);
    }
  }
  storeRows<P, L>(keys<P>(dk, b, g), s0, sumsK);
  storeRows<P, L>(keys<P>(dv, b, g), s0, sumsV);
}

} // namespace attention

/// Threads of a block, for all kernels of attention.
constexpr int attention_threads = attention::kThreads;

/// Blocks of the forward kernel.
template <class P> constexpr int attention_forward_blocks() {
  using L = attention::Plan<P, 1>;
  return P::B * P::H * (attention::up(P::T, L::rows) / L::rows);
}
/// Blocks of the adjoint that make dq, and those that make dk and dv.
template <class P> constexpr int attention_query_blocks() {
  using L = attention::Plan<P, 2>;
  return P::B * P::H * (attention::up(P::T, L::rows) / L::rows);
}
template <class P> constexpr int attention_key_blocks() {
  using L = attention::Plan<P, 2>;
  return P::B * P::G * (attention::up(P::S, L::rows) / L::rows);
}
/// Blocks of the kernel that does both.
template <class P> constexpr int attention_backward_blocks() {
  return attention_query_blocks<P>() + attention_key_blocks<P>();
}

/// One block of attention; lse may be null.
template <class P, class Q, class K, class V, class O, class N, class Allow, class Exp, class Log>
R1_FN void attention_forward(Q q, K k, V v, O out, N lse, Allow allow, Exp exp, Log log) {
  using namespace attention;
  using L = Plan<P, 1>;
  constexpr int R = L::R, tiles = up(P::T, L::rows) / L::rows;
  R1_SHARED(float, pool, L::floats);
  R1_PTR(float) memory = pool;
  // Late queries first: with a causal mask they have the most to do.
  int index = block(), tile = tiles - 1 - index / (P::B * P::H), bh = index % (P::B * P::H);
  int b = bh / P::H, h = bh % P::H, g = h / (P::H / P::G), t0 = tile * L::rows;
  auto kRows = keys<P>(k, b, g);
  auto vRows = keys<P>(v, b, g);
  Place at;
  stageTransposed<P, L::rows, L::K, false>(memory, queries<P>(q, b, h), t0, 0);
  clearVotes(memory + L::atVotes);
  float top[R], total = 0.0f, sums[R][L::C]; // total: of row tx mod R
  R1_UNROLL
  for (int r = 0; r < R; ++r) {
    top[r] = kNone;
    R1_UNROLL
    for (int i = 0; i < L::C; ++i)
      sums[r][i] = 0.0f;
  }
  auto raise = [&](const float(&p)[R][4], unsigned bits) {
    R1_UNROLL
    for (int r = 0; r < R; ++r)
      R1_UNROLL
    for (int j = 0; j < 4; ++j) {
      float x = p[r][j] * P::scale;
      top[r] = (bits >> (r * 4 + j) & 1) && top[r] < x ? x : top[r];
    }
  };
  int n = 0; // tiles asked for
  if constexpr (P::S > kColumns)
    for (int s0 = 0; s0 < P::S; s0 += kColumns, ++n) {
      unsigned bits = allowed<P, R, false>(allow, b, t0, s0);
      if (!vote(memory + L::atVotes, n, bits))
        continue;
      float p[R][4];
      scores<P, L>(p, memory, memory, kRows, s0);
      raise(p, bits);
    }
  R1_UNROLL
  for (int r = 0; r < R; ++r)
    top[r] = rowMax(top[r]);
  for (int s0 = 0; s0 < P::S; s0 += kColumns, ++n) {
    unsigned bits = allowed<P, R, false>(allow, b, t0, s0);
    if (!vote(memory + L::atVotes, n, bits))
      continue;
    float p[R][4];
    scores<P, L>(p, memory, memory, kRows, s0);
    if constexpr (P::S <= kColumns) {
      raise(p, bits);
      R1_UNROLL
      for (int r = 0; r < R; ++r)
        top[r] = rowMax(top[r]);
    }
    R1_UNROLL
    for (int r = 0; r < R; ++r)
      R1_UNROLL
    for (int j = 0; j < 4; ++j) {
      float x = exp(p[r][j] * P::scale - top[r]);
      p[r][j] = bits >> (r * 4 + j) & 1 ? x : 0.0f;
    }
    combine<P, L, true>(sums, p, memory, vRows, s0, &total);
  }
  R1_UNROLL
  for (int r = 0; r < R; ++r) {
    float sum = shfl(total, lane() / 16 * 16 + r);
    bool empty = sum == 0.0f;
    // From the -0 that products which underflow leave, a key that is not seen makes +0.
    R1_UNROLL
    for (int i = 0; i < L::C; ++i)
      sums[r][i] = empty ? 0.0f : (sums[r][i] + 0.0f) / sum;
    int t = t0 + at.ty * R + r;
    if (given(lse) && at.tx == 0 && t < P::T)
      lse[bh * P::T + t] = empty ? from_bits(static_cast<int>(0xff800000u)) : top[r] + log(sum);
  }
  storeRows<P, L>(queries<P>(out, b, h), t0, sums);
}

/// One block of the adjoint: the first attention_query_blocks make dq, the others dk and dv.
template <class P, class Q, class K, class V, class O, class N, class D, class DQ, class DK,
          class DV, class Allow, class Exp>
R1_FN void attention_backward(Q q, K k, V v, O out, N lse, D dout, DQ dq, DK dk, DV dv, Allow allow,
                              Exp exp) {
  using namespace attention;
  R1_SHARED(float, pool, (Plan<P, 2>::floats));
  constexpr int first = attention_query_blocks<P>();
  if (block() < first)
    queryGradients<P>(block(), pool, q, k, v, out, lse, dout, dq, allow, exp);
  else
    keyGradients<P>(block() - first, pool, q, k, v, out, lse, dout, dk, dv, allow, exp);
}

} // namespace r1
