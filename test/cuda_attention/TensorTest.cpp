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
