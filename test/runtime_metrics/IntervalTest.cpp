#include "runtime/metrics/Interval.h"
#include <cmath>
#include <gtest/gtest.h>

using namespace r1rt::metrics;

// Bounds as SciPy's binomtest(hits, n).proportion_ci(confidence, "wilson") gives them.
TEST(Wilson, AgainstAnother) {
  struct {
    uint64_t hits, n;
    double confidence, low, high;
  } cases[] = {
      {0, 10, 0.95, 0, 0.277532799863},
      {1, 1, 0.95, 0.206549314377, 1},
      {50, 50, 0.95, 0.928652400867, 1},
      {492, 500, 0.95, 0.968748891467, 0.991870746967},
      {8, 10, 0.95, 0.490162471537, 0.943317848546},
      {500, 1000, 0.99, 0.459407005212, 0.540592994788},
      {3, 7, 0.8, 0.225988111615, 0.658302946379},
      {99900, 100000, 0.95, 0.998784001683, 0.99917766203}};
  for (auto &c : cases) {
    Interval i = wilson(c.hits, c.n, c.confidence);
    EXPECT_NEAR(i.low, c.low, 1e-11) << c.hits << " of " << c.n;
    EXPECT_NEAR(i.high, c.high, 1e-11) << c.hits << " of " << c.n;
  }
  EXPECT_EQ(wilson(0, 0).low, 0);
  EXPECT_EQ(wilson(0, 0).high, 1);
}

// SciPy's binomtest(min(b, c), b + c, 0.5).pvalue.
TEST(McNemar, AgainstAnother) {
  EXPECT_EQ(mcnemar(0, 0), 1);
  EXPECT_EQ(mcnemar(7, 7), 1);
  EXPECT_NEAR(mcnemar(1, 0), 1, 1e-12);
  EXPECT_NEAR(mcnemar(0, 10), 0.001953125, 1e-14);
  EXPECT_NEAR(mcnemar(3, 12), 0.03515625, 1e-13);
  EXPECT_NEAR(mcnemar(40, 60), 0.05688793364098077, 1e-12);
  EXPECT_NEAR(mcnemar(60, 40), mcnemar(40, 60), 0);
}

namespace {

/// Means of numbers.
Measured meanOf(const std::vector<double> &x) {
  Measured m;
  m.name = "mean";
  m.statistics = Statistics(2);
  for (double v : x)
    m.statistics.add(std::vector<double>{v, 1});
  m.value = [](std::span<const double> s) { return s[1] > 0 ? s[0] / s[1] : 0; };
  return m;
}

std::vector<double> noise(size_t n, double shift, double scale) {
  std::vector<double> x;
  for (size_t i = 0; i < n; ++i)
    x.push_back(shift + scale * std::sin(double(i * i) * 0.7));
  return x;
}

} // namespace

// Of a mean the interval is that of the normal approximation, to within what 4000 resamples leave open.
TEST(Bootstrap, MeansAreNormal) {
  std::vector<double> x = noise(400, 3, 2);
  double mean = 0, square = 0;
  for (double v : x)
    mean += v / 400;
  for (double v : x)
    square += (v - mean) * (v - mean) / 400;
  const double half = 1.959964 * std::sqrt(square / 400);
  Interval i = interval(meanOf(x), {.resamples = 4000, .seed = 3});
  EXPECT_NEAR(i.low, mean - half, 0.1 * half);
  EXPECT_NEAR(i.high, mean + half, 0.1 * half);
  // The same call, the same bits; another seed, others.
  Interval again = interval(meanOf(x), {.resamples = 4000, .seed = 3});
  EXPECT_EQ(i.low, again.low);
  EXPECT_EQ(i.high, again.high);
  EXPECT_NE(i.low, interval(meanOf(x), {.resamples = 4000, .seed = 4}).low);
  Interval wide = interval(meanOf(x), {.resamples = 4000, .confidence = 0.99, .seed = 3});
  EXPECT_LT(wide.low, i.low);
  EXPECT_GT(wide.high, i.high);
}

TEST(Bootstrap, OfFewDocuments) {
  Interval one = interval(meanOf({5}));
  EXPECT_EQ(one.low, 5);
  EXPECT_EQ(one.high, 5);
  Interval none = interval(meanOf({}));
  EXPECT_EQ(none.low, 0);
  EXPECT_EQ(none.high, 0);
}

// How often an interval covers the truth: of 300 samples of a known distribution about 95 %.
TEST(Bootstrap, Coverage) {
  int covered = 0;
  uint64_t state = 1;
  for (int trial = 0; trial < 300; ++trial) {
    std::vector<double> x;
    for (int i = 0; i < 100; ++i) {
      state = state * 6364136223846793005u + 1442695040888963407u;
      x.push_back(double(state >> 40) * 0x1p-24);
    }
    Interval i = interval(meanOf(x), {.resamples = 400, .seed = uint64_t(trial)});
    covered += i.low <= 0.5 && 0.5 <= i.high;
  }
  EXPECT_GE(covered, 270);
  EXPECT_LE(covered, 297);
}

TEST(Compare, PairsSeeWhatIntervalsDoNot) {
  std::vector<double> base = noise(200, 0, 5), better = base;
  for (size_t i = 0; i < better.size(); ++i)
    better[i] += 0.2 + 0.3 * std::cos(double(i) * 1.3);
  auto d = compare(meanOf(better), meanOf(base));
  ASSERT_TRUE(d);
  EXPECT_NEAR(d->value, 0.2, 0.05);
  EXPECT_GT(d->interval.low, 0);
  EXPECT_LT(d->p, 0.002);
  EXPECT_LT(interval(meanOf(better)).low, interval(meanOf(base)).high); // they overlap
  auto back = compare(meanOf(base), meanOf(better));
  EXPECT_EQ(back->value, -d->value);
  EXPECT_EQ(back->interval.low, -d->interval.high);
  auto same = compare(meanOf(base), meanOf(base));
  EXPECT_EQ(same->value, 0);
  EXPECT_EQ(same->p, 1);
}

// Without a difference p is even: of 200 pairs about 5 % below 0.05.
TEST(Compare, OfEqualSystems) {
  int small = 0;
  uint64_t state = 7;
  auto draw = [&] { return double((state = state * 6364136223846793005u + 1442695040888963407u) >> 40) * 0x1p-24; };
  for (int trial = 0; trial < 200; ++trial) {
    std::vector<double> a, b;
    for (int i = 0; i < 60; ++i) {
      double both = draw();
      a.push_back(both + draw());
      b.push_back(both + draw());
    }
    small += compare(meanOf(a), meanOf(b), {.resamples = 400, .seed = uint64_t(trial)})->p < 0.05;
  }
  EXPECT_GE(small, 2);
  EXPECT_LE(small, 22);
}

TEST(Compare, WhatCannotBe) {
  auto fewer = compare(meanOf({1, 2, 3}), meanOf({1, 2}));
  ASSERT_FALSE(fewer);
  EXPECT_EQ(fewer.status().message(),
            "it has 3 documents, the baseline has 2; a difference is of the same documents");
  Measured other = meanOf({1, 2, 3});
  other.signature = "tok:13a";
  auto unlike = compare(meanOf({1, 2, 3}), other);
  ASSERT_FALSE(unlike);
  EXPECT_EQ(unlike.status().message(),
            "it is mean|, the baseline has mean|tok:13a; these numbers cannot be compared");
}

TEST(Statistics, ThereAndBack) {
  Statistics s(3);
  s.add(std::vector<double>{0, 0.1, -2});
  s.add(std::vector<double>{0, 0, 0});
  s.addEntries(std::vector<Statistics::Entry>{{2, 1e300}});
  auto back = Statistics::fromJson(nlohmann::json::parse(s.toJson().dump()));
  ASSERT_TRUE(back);
  EXPECT_EQ(back->documents(), 3u);
  EXPECT_EQ(back->sums(), s.sums());
  EXPECT_EQ(back->sums(), (std::vector<double>{0, 0.1, 1e300}));
  using nlohmann::json;
  for (json bad : {json(3), json{{"width", 2}}, json{{"width", 2}, {"documents", {{1}}}},
                   json{{"width", 2}, {"documents", {{2, 1.0}}}}, json{{"width", 2}, {"documents", {{1, "x"}}}}})
    EXPECT_FALSE(Statistics::fromJson(bad)) << bad;
}
