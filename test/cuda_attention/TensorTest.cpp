// The kernels of attention_mma.cuh on the host, each under three orders of threads, against the
// definition in f64. What is asked for is derived: with u the rounding of the element type (2^-8 for
// bf16, 2^-11 for f16), weights and ds are rounded once, each costs u of the sum of absolute terms at
// most; the result is rounded once more, u of itself. Beside that, f32 arithmetic; and in f16 what is
// below 2^-14 is rounded to multiples of 2^-24.
#include "Kernels.h"

using namespace attentiontest;
namespace {

template <class E> constexpr double kRounding = r1::same<E, r1::bf16> ? 0x1p-8 : 0x1p-11;

/// The largest distance, in units of what rounding allows. `terms`: how many a sum has.
template <class E>
double distance(const std::vector<E> &got, const reference::Values &want,
                const reference::Values &size, int terms) {
  double worst = 0, tiny = r1::same<E, r1::f16> ? terms * 4 * 0x1p-25 : 0;
  for (size_t i = 0; i < got.size(); ++i) {
    double x = r1::cast<float>(got[i]), allowed = kRounding<E> * (size[i] + std::abs(want[i])) +
                                                  tiny + 1e-5 * (1 + size[i]);
    double d = std::abs(x - want[i]) / allowed;
    if (d != d)
      return std::numeric_limits<double>::infinity();
    worst = d > worst ? d : worst;
  }
  return worst;
}

template <class P, class E, class Allow> void check(Allow allow) {
  Kernels<P, E, true> run;
  auto p = P::shape();
  auto q = wide(run.q), k = wide(run.k), v = wide(run.v), dout = wide(run.dout);
  run.forward(allow);
  auto want = reference::forward(p, q, k, v, allow);
  double out = distance(run.out, want.out, want.size, P::S);
  double lse = attentiontest::distance(wide(run.lse), want.lse, 3e-6);
  EXPECT_LE(out, 1);
  EXPECT_LE(lse, 1);
  run.backward(allow);
  auto grad = reference::backward(p, q, k, v, {wide(run.out), wide(run.lse)}, dout, allow);
  double dq = distance(run.dq, grad.dq, grad.dqSize, P::S);
  double dk = distance(run.dk, grad.dk, grad.dkSize, P::T * P::H / P::G);
  double dv = distance(run.dv, grad.dv, grad.dvSize, P::T * P::H / P::G);
  EXPECT_LE(dq, 1);
  EXPECT_LE(dk, 1);
  EXPECT_LE(dv, 1);
  std::printf("    of the tolerance: out %.2f lse %.2f dq %.2f dk %.2f dv %.2f\n", out, lse, dq, dk,
              dv);
  for (r1emu_order order : {R1EMU_REVERSE, R1EMU_RANDOM}) {
    Kernels<P, E, true> other;
    other.forward(allow, order);
    other.backward(allow, order);
    EXPECT_TRUE(sameBits(run.out, other.out)) << order;
    EXPECT_TRUE(sameBits(run.lse, other.lse)) << order;
    EXPECT_TRUE(sameBits(run.dq, other.dq)) << order;
    EXPECT_TRUE(sameBits(run.dk, other.dk)) << order;
    EXPECT_TRUE(sameBits(run.dv, other.dv)) << order;
  }
}

} // namespace

TEST(Tensor, AllPairsWholeTiles) {
  check<Problem<1, 128, 128, 2, 2, 64>, r1::bf16>(Everything());
  check<Problem<1, 128, 128, 1, 1, 64>, r1::f16>(Everything());
}
TEST(Tensor, CausalOddSizes) {
  check<Problem<2, 77, 77, 1, 1, 32>, r1::bf16>(CausalTiles());
  check<Problem<1, 161, 161, 1, 1, 64>, r1::bf16>(CausalTiles());
  check<Problem<1, 161, 161, 1, 1, 64>, r1::f16>(Causal());
}
TEST(Tensor, MoreKeysThanQueriesAndFewer) {
  check<Problem<1, 5, 131, 2, 1, 16>, r1::bf16>(Everything());
  check<Problem<1, 131, 5, 2, 1, 16>, r1::bf16>(Everything());
  check<Problem<1, 1, 1, 1, 1, 8>, r1::bf16>(Everything());
}
TEST(Tensor, DocumentsAndRowsThatSeeNothing) {
  Rows rows(2, 150);
  check<Problem<2, 150, 150, 4, 2, 64>, r1::bf16>(rows.mask());
  check<Problem<2, 150, 150, 2, 1, 64>, r1::f16>(rows.tiles());
}
TEST(Tensor, GroupedHeads) {
  check<Problem<2, 70, 70, 6, 2, 32>, r1::bf16>(CausalTiles());
}
TEST(Tensor, WideHeads) {
  check<Problem<1, 140, 132, 2, 1, 128>, r1::bf16>(Causal());
  check<Problem<1, 140, 140, 2, 1, 128>, r1::f16>(CausalTiles());
  check<Problem<1, 70, 70, 1, 1, 96>, r1::bf16>(CausalTiles());
}
TEST(Tensor, ChannelsThatAreNoPowerOfTwo) {
  check<Problem<1, 66, 66, 1, 1, 80>, r1::bf16>(Causal());
  check<Problem<1, 66, 66, 1, 1, 40>, r1::bf16>(Causal());
  check<Problem<1, 66, 66, 1, 1, 24>, r1::f16>(Causal());
  check<Problem<1, 66, 66, 1, 1, 8>, r1::bf16>(Causal());
}
TEST(Tensor, VeryWideHeads) { // forward only
  using P = Problem<1, 70, 70, 2, 1, 256>;
  Kernels<P, r1::bf16, true> run, other;
  run.forward(CausalTiles());
  auto want = reference::forward(P::shape(), wide(run.q), wide(run.k), wide(run.v), Causal());
  EXPECT_LE(distance(run.out, want.out, want.size, P::S), 1);
  other.forward(CausalTiles(), R1EMU_RANDOM);
  EXPECT_TRUE(sameBits(run.out, other.out));
}

TEST(Tensor, WithoutLse) {
  using P = Problem<1, 33, 33, 1, 1, 8>;
  Kernels<P, r1::bf16, true> a, b;
  a.forward(Causal());
  b.forward(Causal(), R1EMU_IN_ORDER, false);
  EXPECT_TRUE(sameBits(a.out, b.out));
  EXPECT_EQ(b.lse[0], 77.0f);
}

TEST(Tensor, NothingAllowed) {
  using P = Problem<1, 70, 70, 1, 1, 8>;
  struct None {
    bool operator()(int, int, int) const { return false; }
  };
  struct NoTile : None {
    r1::Reach reach(int, int, int, int, int) const { return 0; }
  };
  auto test = [](auto none) {
    Kernels<P, r1::f16, true> run;
    run.forward(none);
    run.backward(none);
    for (auto *x : {&run.out, &run.dq, &run.dk, &run.dv})
      for (r1::f16 e : *x)
        EXPECT_EQ(r1::to_f32(e), 0.0f);
    for (float l : run.lse)
      EXPECT_EQ(l, -std::numeric_limits<float>::infinity());
  };
  test(None());
  test(NoTile());
}

// What a mask knows of whole tiles changes which are visited and which are asked pair by pair, and
// not one bit.
TEST(Tensor, SkippingDoesNotShow) {
  auto same = [](auto run, auto mask, auto tiles) {
    auto other = run;
    run.forward(mask);
    run.backward(mask);
    other.forward(tiles);
    other.backward(tiles);
    EXPECT_TRUE(sameBits(run.out, other.out));
    EXPECT_TRUE(sameBits(run.lse, other.lse));
    EXPECT_TRUE(sameBits(run.dq, other.dq));
    EXPECT_TRUE(sameBits(run.dk, other.dk));
    EXPECT_TRUE(sameBits(run.dv, other.dv));
  };
  same(Kernels<Problem<1, 300, 300, 1, 1, 64>, r1::bf16, true>(), Causal(), CausalTiles());
  Rows rows(1, 300);
  same(Kernels<Problem<1, 300, 300, 2, 1, 16>, r1::f16, true>(), rows.mask(), rows.tiles());
}

// Scores far apart and large: nothing overflows, and late maxima replace early ones.
TEST(Tensor, LargeScores) {
  using P = Problem<1, 64, 192, 1, 1, 16>;
  Kernels<P, r1::f16, true> run;
  for (size_t i = 0; i < run.q.size(); ++i)
    run.q[i] = r1::to_f16(i % 16 ? 0.0f : 1.0f);
  for (int s = 0; s < 192; ++s)
    run.k[s * 16] = r1::to_f16(float(s - 40) * 10); // the scale is 0.2: 2 between neighbours
  run.forward(Everything());
  double size = 0, sum = 0, out = 0;
  for (int s = 0; s < 192; ++s) { // row by row the same: 1, e^-2, e^-4, … from the last key down
    double w = std::exp(2.0 * (s - 191)), v = r1::to_f32(run.v[s * 16]);
    out += w * v, size += w * std::abs(v), sum += w;
  }
  EXPECT_NEAR(r1::to_f32(run.out[0]), out / sum, 0x1p-10 * size / sum);
  EXPECT_NEAR(run.lse[0], 302 + std::log(sum), 1e-4);
}

TEST(Tensor, PairsAreRoundedAsOneByOne) {
  std::mt19937 rng(5);
  for (int i = 0; i < 1000; ++i) {
    float x = r1::from_bits(int(rng())), y = r1::from_bits(int(rng()));
    if (x != x || y != y)
      continue;
    EXPECT_EQ(r1::pack_pair<r1::bf16>(x, y),
              r1::to_bf16(x).bits | r1::u32(r1::to_bf16(y).bits) << 16);
    EXPECT_EQ(r1::pack_pair<r1::f16>(x, y),
              r1::to_f16(x).bits | r1::u32(r1::to_f16(y).bits) << 16);
  }
}

// The arithmetic of spans, held against all pairs of their values.
TEST(Tensor, ReachOfSpans) {
  auto check = [](r1::Reach got, r1::Span a, r1::Span b, auto holds) {
    int yes = 0, pairs = 0;
    for (int x = a.low; x <= a.high; ++x)
      for (int y = b.low; y <= b.high; ++y, ++pairs)
        yes += holds(x, y);
    EXPECT_EQ(got, yes == 0 ? 0 : yes == pairs ? 2 : 1);
  };
  for (int a = 0; a < 4; ++a)
    for (int b = a; b < 4; ++b)
      for (int c = 0; c < 4; ++c)
        for (int d = c; d < 4; ++d) {
          r1::Span x{a, b}, y{c, d};
          check(r1::equal(x, y), x, y, [](int i, int j) { return i == j; });
          check(r1::at_most(x, y), x, y, [](int i, int j) { return i <= j; });
          check(r1::below(x, y), x, y, [](int i, int j) { return i < j; });
          check(r1::opposite(r1::below(x, y)), x, y, [](int i, int j) { return i >= j; });
        }
}
