#include "runtime/state/Draws.h"
#include "runtime/state/Philox.h"
#include <cmath>
#include <gtest/gtest.h>
#include <set>

using namespace r1rt;

TEST(Philox, KnownAnswers) {
  EXPECT_EQ(philox({0, 0, 0, 0}, 0, 0),
            (PhiloxBlock{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox({~0u, ~0u, ~0u, ~0u}, ~0u, ~0u),
            (PhiloxBlock{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  // The digits of pi.
  EXPECT_EQ(philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, 0xa4093822, 0x299f31d0),
            (PhiloxBlock{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Draws, InitIsTheSameForAnySplitAndThreads) {
  r1_init normal{1, 0.5, 2.0};
  std::vector<float> whole(10001), parts(10001), threaded(10001);
  drawInit(normal, 7, "blocks.0.w", 0, 10001, whole.data());
  for (uint64_t i = 0; i < 10001; i += 37)
    drawInit(normal, 7, "blocks.0.w", i, std::min<uint64_t>(i + 37, 10001), parts.data());
  auto device = Device::createCpu(3);
  drawInit(**device, normal, 7, "blocks.0.w", 10001, threaded.data());
  EXPECT_EQ(whole, parts);
  EXPECT_EQ(whole, threaded);
  std::vector<float> other(10001);
  drawInit(normal, 7, "blocks.1.w", 0, 10001, other.data());
  EXPECT_NE(whole, other);
}

TEST(Draws, MomentsOfTheDistributions) {
  const uint64_t n = 400000;
  std::vector<float> x(n);
  drawInit({1, 1.0, 3.0}, 1, "p", 0, n, x.data());
  double sum = 0, sq = 0, fourth = 0;
  for (float v : x) {
    double z = (v - 1.0) / 3.0;
    sum += z, sq += z * z, fourth += z * z * z * z;
  }
  EXPECT_NEAR(sum / n, 0, 0.01);
  EXPECT_NEAR(sq / n, 1, 0.02);
  EXPECT_NEAR(fourth / n, 3, 0.1);
  drawInit({2, -2.0, 4.0}, 1, "p", 0, n, x.data());
  sum = 0;
  for (float v : x) {
    ASSERT_GE(v, -2.f);
    ASSERT_LE(v, 4.f);
    sum += v;
  }
  EXPECT_NEAR(sum / n, 1, 0.02);
  drawInit({0, 0.25, 0}, 1, "p", 0, n, x.data());
  EXPECT_EQ(x[n - 1], 0.25f);
}

TEST(Draws, NormalAgreesWithLibm) {
  // The first pair, recomputed with libm: our log, cos and sin are right to double precision.
  uint64_t key = drawKey(3, "q");
  std::vector<float> x(2000);
  drawInit({1, 0, 1}, 3, "q", 0, 2000, x.data());
  for (uint64_t pair = 0; pair < 1000; ++pair) {
    PhiloxBlock b = philox(key, pair);
    double r = std::sqrt(-2 * std::log(1 - uniform01(b[0], b[1])));
    double a = 6.283185307179586 * uniform01(b[2], b[3]);
    ASSERT_NEAR(x[2 * pair], r * std::cos(a), 2e-7 * (1 + r));
    ASSERT_NEAR(x[2 * pair + 1], r * std::sin(a), 2e-7 * (1 + r));
  }
}

TEST(Draws, RowOrderIsOnePermutationPerEpoch) {
  RowOrder order(10, 5, "gpt");
  std::vector<uint32_t> first, second;
  for (int i = 0; i < 10; ++i)
    first.push_back(order.row(i));
  for (int i = 10; i < 20; ++i)
    second.push_back(order.row(i));
  EXPECT_EQ(std::set<uint32_t>(first.begin(), first.end()).size(), 10u);
  EXPECT_EQ(std::set<uint32_t>(second.begin(), second.end()).size(), 10u);
  EXPECT_NE(first, second);
  EXPECT_EQ(order.row(3), first[3]); // going back is allowed
  EXPECT_NE(permutation(drawKey(drawKey(6, "gpt"), 0), 10), first);
}
