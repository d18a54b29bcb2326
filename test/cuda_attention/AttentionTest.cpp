// The kernels of compiler/cuda/prelude/attention.cuh on the host, each under three orders of
// threads, against a definition in f64.
#include "Kernels.h"

using namespace attentiontest;
namespace {

template <class P, class E, class Allow>
void check(Allow allow, double forwardTol, double backTol) {
  Kernels<P, E> run;
  auto p = P::shape();
  auto q = wide(run.q), k = wide(run.k), v = wide(run.v), dout = wide(run.dout);
  run.forward(allow);
  auto want = reference::forward(p, q, k, v, allow);
  double out = distance(wide(run.out), want.out, forwardTol);
  double lse = distance(wide(run.lse), want.lse, 2e-6);
  EXPECT_LE(out, 1);
  EXPECT_LE(lse, 1);
  run.backward(allow);
  auto grad = reference::backward(p, q, k, v, {wide(run.out), wide(run.lse)}, dout, allow);
  double dq = distance(wide(run.dq), grad.dq, backTol);
  double dk = distance(wide(run.dk), grad.dk, backTol);
  double dv = distance(wide(run.dv), grad.dv, backTol);
  EXPECT_LE(dq, 1);
  EXPECT_LE(dk, 1);
  EXPECT_LE(dv, 1);
  std::printf("    of the tolerance: out %.2f lse %.2f dq %.2f dk %.2f dv %.2f\n", out, lse, dq, dk,
              dv);
  for (r1emu_order order : {R1EMU_REVERSE, R1EMU_RANDOM}) {
    Kernels<P, E> other;
    other.forward(allow, order);
    other.backward(allow, order);
    EXPECT_TRUE(sameBits(run.out, other.out)) << order;
    EXPECT_TRUE(sameBits(run.lse, other.lse)) << order;
    EXPECT_TRUE(sameBits(run.dq, other.dq)) << order;
    EXPECT_TRUE(sameBits(run.dk, other.dk)) << order;
    EXPECT_TRUE(sameBits(run.dv, other.dv)) << order;
  }
}

constexpr double kF32 = 4e-6, kF32Back = 1e-5, kBf16 = 4.5e-3, kBf16Back = 4.5e-3, kF16 = 6e-4;

} // namespace

TEST(Attention, AllPairsWholeTiles) {
  check<Problem<1, 64, 128, 2, 2, 64>, float>(Everything(), kF32, kF32Back);
}
TEST(Attention, CausalOddSizes) {
  check<Problem<2, 77, 77, 1, 1, 23>, float>(Causal(), kF32, kF32Back);
}
TEST(Attention, MoreKeysThanQueries) {
  check<Problem<1, 5, 131, 2, 1, 16>, float>(Everything(), kF32, kF32Back);
}
TEST(Attention, DocumentsAndRowsThatSeeNothing) {
  Rows rows(2, 150);
  check<Problem<2, 150, 150, 4, 2, 36>, float>(rows.mask(), kF32, kF32Back);
}
TEST(Attention, OneQueryOneKeyOneChannel) {
  check<Problem<1, 1, 1, 1, 1, 1>, float>(Everything(), kF32, kF32Back);
}
TEST(Attention, GroupedHeads) {
  check<Problem<2, 70, 70, 6, 2, 32>, float>(Causal(), kF32, kF32Back);
}
TEST(Attention, WideHeads) {
  check<Problem<1, 70, 66, 2, 1, 128>, float>(Causal(), kF32, kF32Back);
}
TEST(Attention, ChannelsThatAreNoPowerOfTwo) {
  check<Problem<1, 66, 66, 1, 1, 80>, float>(Causal(), kF32, kF32Back);
  check<Problem<1, 40, 40, 1, 1, 50>, float>(Causal(), kF32, kF32Back);
}
TEST(Attention, VeryWideHeads) {
  check<Problem<1, 20, 70, 2, 1, 256>, float>(Everything(), kF32, 2 * kF32Back);
}
TEST(Attention, Bf16) {
  Rows rows(1, 90);
  check<Problem<1, 90, 90, 2, 1, 64>, r1::bf16>(rows.mask(), kBf16, kBf16Back);
  check<Problem<1, 70, 70, 1, 1, 36>, r1::bf16>(Causal(), kBf16, kBf16Back);
}
TEST(Attention, F16) { check<Problem<1, 70, 70, 2, 1, 33>, r1::f16>(Causal(), kF16, kF16); }

TEST(Attention, WithoutLse) {
  using P = Problem<1, 33, 33, 1, 1, 8>;
  Kernels<P, float> a, b;
  a.forward(Causal());
  b.forward(Causal(), R1EMU_IN_ORDER, false);
  EXPECT_TRUE(sameBits(a.out, b.out));
  EXPECT_EQ(b.lse[0], 77.0f);
}

TEST(Attention, NothingAllowed) {
  using P = Problem<1, 70, 70, 1, 1, 8>;
  Kernels<P, float> run;
  struct None {
    bool operator()(int, int, int) const { return false; }
  } none;
  run.forward(none);
  run.backward(none);
  std::vector<float> zero(run.q.size());
  for (auto *x : {&run.out, &run.dq, &run.dk, &run.dv})
    EXPECT_TRUE(sameBits(*x, zero));
  for (float l : run.lse)
    EXPECT_EQ(l, -std::numeric_limits<float>::infinity());
}

// A tile of keys that is skipped, and the same tile visited for the sake of another row, leave the
// same bits in the rows that see nothing of it.
TEST(Attention, SkippingDoesNotShow) {
  using P = Problem<1, 64, 192, 1, 1, 32>;
  struct Mask {
    int visitor; // this row sees the tiles that the others do not
    bool operator()(int, int t, int s) const { return t == visitor || (s >= 64 && s < 128); }
  };
  Kernels<P, float> skipped, visited;
  skipped.forward(Mask{-1});
  visited.forward(Mask{20});
  for (size_t i = 0; i < skipped.out.size(); ++i)
    if (i / 32 != 20)
      EXPECT_EQ(skipped.out[i], visited.out[i]) << i;
  skipped.backward(Mask{-1});
  visited.backward(Mask{20});
  for (size_t i = 0; i < skipped.dq.size(); ++i)
    if (i / 32 != 20)
      EXPECT_EQ(skipped.dq[i], visited.dq[i]) << i;
}

// Scores far apart and large: nothing overflows, and late maxima replace early ones.
TEST(Attention, LargeScores) {
  using P = Problem<1, 64, 192, 1, 1, 16>;
  Kernels<P, float> run;
  for (size_t i = 0; i < run.q.size(); ++i)
    run.q[i] = i % 16 ? 0.0f : 1.0f;
  for (int s = 0; s < 192; ++s)
    run.k[s * 16] = float(s - 40) * 10; // the scale is 0.2: 2 between neighbours, up to 302
  run.forward(Everything());
  // Row by row the same: weights in proportion to 1, e^-2, e^-4, … from the last key down.
  for (int c = 0; c < 16; ++c) {
    double want = 0, sum = 0;
    for (int s = 0; s < 192; ++s) {
      double w = std::exp(2.0 * (s - 191));
      want += w * run.v[s * 16 + c];
      sum += w;
    }
    EXPECT_NEAR(run.out[c], want / sum, 1e-5);
    EXPECT_NEAR(run.lse[0], 302 + std::log(sum), 1e-4);
  }
}

// The adjoint that the others are compared with is the derivative of the definition.
TEST(Reference, CentralDifferences) {
  reference::Shape p{1, 5, 6, 2, 1, 3, 0.4};
  auto q = wide(draw<float>(p.queries(), 1)), k = wide(draw<float>(p.keys(), 2)),
       v = wide(draw<float>(p.keys(), 3)), dout = wide(draw<float>(p.queries(), 4));
  auto allow = [](int, int t, int s) { return s <= t && t != 2; };
  auto grad = reference::backward(p, q, k, v, reference::forward(p, q, k, v, allow), dout, allow);
  auto loss = [&] {
    auto out = reference::forward(p, q, k, v, allow).out;
    double sum = 0;
    for (size_t i = 0; i < out.size(); ++i)
      sum += out[i] * dout[i];
    return sum;
  };
  auto compare = [&](reference::Values &x, const reference::Values &dx) {
    for (size_t i = 0; i < x.size(); ++i) {
      double at = x[i], h = 1e-5;
      x[i] = at + h;
      double up = loss();
      x[i] = at - h;
      double down = loss();
      x[i] = at;
      EXPECT_NEAR(dx[i], (up - down) / (2 * h), 1e-8);
    }
  };
  compare(q, grad.dq);
  compare(k, grad.dk);
  compare(v, grad.dv);
}
