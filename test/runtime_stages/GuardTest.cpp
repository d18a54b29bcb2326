#include "runtime/stages/Guard.h"
#include <algorithm>
#include <cmath>
#include <gtest/gtest.h>
#include <random>

using namespace r1rt;

// The definition, from sorted copies.
static double limitByHand(std::vector<double> v, double z) {
  auto median = [](std::vector<double> x) {
    std::sort(x.begin(), x.end());
    size_t n = x.size();
    return n % 2 ? x[n / 2] : (x[n / 2 - 1] + x[n / 2]) / 2;
  };
  double m = median(v);
  for (double &x : v)
    x = std::fabs(x - m);
  return m + z * std::max(1.4826 * median(v), 0.01 * std::fabs(m));
}

TEST(Guard, SpikeLimitIsTheRobustScoreOfTheLastLosses) {
  std::mt19937 random(1);
  std::normal_distribution<double> noise(3, 0.5);
  for (uint32_t window : {2u, 5u, 64u}) {
    SpikeLimit s(6, window);
    std::vector<double> all;
    for (int i = 0; i < 200; ++i) {
      if (all.size() < window)
        EXPECT_EQ(s.limit(), INFINITY);
      else
        EXPECT_DOUBLE_EQ(s.limit(), limitByHand({all.end() - window, all.end()}, 6));
      all.push_back(noise(random));
      s.add(all.back());
    }
    SpikeLimit other(6, window);
    ASSERT_TRUE(other.restore(nlohmann::json::parse(s.state().dump())));
    EXPECT_EQ(other.limit(), s.limit());
  }
}

TEST(Guard, LossesThatDoNotMoveLeaveRoomOfOnePercent) {
  SpikeLimit s(5, 4);
  for (int i = 0; i < 4; ++i)
    s.add(2);
  EXPECT_DOUBLE_EQ(s.limit(), 2 + 5 * 0.02);
  SpikeLimit none(0, 4);
  for (int i = 0; i < 9; ++i)
    none.add(2);
  EXPECT_EQ(none.limit(), INFINITY);
  EXPECT_FALSE(s.restore({1, 2, 3, 4, 5}));
  EXPECT_FALSE(s.restore({"a"}));
  EXPECT_FALSE(s.restore(nullptr));
}

TEST(Guard, LossScaleHalvesAndDoubles) {
  LossScale s;
  EXPECT_EQ(s.value(), 65536);
  ASSERT_TRUE(s.overflowed());
  EXPECT_EQ(s.value(), 32768);
  for (uint32_t i = 1; i < LossScale::growEvery; ++i)
    s.good();
  EXPECT_EQ(s.value(), 32768);
  LossScale other;
  ASSERT_TRUE(other.restore(nlohmann::json::parse(s.state().dump())));
  for (LossScale *x : {&s, &other}) {
    x->good();
    EXPECT_EQ(x->value(), 65536);
  }
  // An overflow begins the count again.
  for (uint32_t i = 1; i < LossScale::growEvery; ++i)
    s.good();
  ASSERT_TRUE(s.overflowed());
  s.good();
  EXPECT_EQ(s.value(), 32768);
  for (uint32_t i = 0; i < 20 * LossScale::growEvery; ++i)
    s.good();
  EXPECT_EQ(s.value(), LossScale::most);
  int halved = 0;
  Status st;
  while ((st = s.overflowed()))
    ++halved;
  EXPECT_EQ(halved, 24 + 14);
  EXPECT_NE(st.message().find("mixed(bf16)"), std::string::npos) << st.message();
  EXPECT_FALSE(other.restore({{"scale", 0}}));
  EXPECT_FALSE(other.restore(nullptr));
}

TEST(Guard, BestSoFarCountsWhatIsNotBetter) {
  BestSoFar b;
  EXPECT_FALSE(b.take(1, NAN, 0));
  EXPECT_EQ(b.step, 0u);
  EXPECT_TRUE(b.take(2, 3.0, 0.1));
  EXPECT_TRUE(b.take(3, 2.95, 0.1)); // the best, but not by min_delta
  EXPECT_FALSE(b.take(4, 2.96, 0.1));
  EXPECT_EQ(b.step, 3u);
  EXPECT_EQ(b.value, 2.95);
  EXPECT_EQ(b.worse, 2u);
  BestSoFar other;
  ASSERT_TRUE(other.restore(nlohmann::json::parse(b.state().dump())));
  EXPECT_EQ(other.worse, 2u);
  EXPECT_TRUE(other.take(5, 2.91, 0.1)); // below 3 by less than 0.1
  EXPECT_EQ(other.worse, 3u);
  EXPECT_TRUE(other.take(6, 2.89, 0.1)); // small steps down add up
  EXPECT_EQ(other.step, 6u);
  EXPECT_EQ(other.worse, 0u);
  EXPECT_FALSE(other.restore({{"value", 1}}));
}
