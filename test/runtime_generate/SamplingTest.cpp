#include "runtime/generate/Sampling.h"
#include "runtime/state/Philox.h"
#include <algorithm>
#include <cmath>
#include <gtest/gtest.h>
#include <map>

using namespace r1rt;
using namespace r1rt::generate;

namespace {

/// The definition of Sampling.h, by sorting everything.
std::map<int32_t, double> bruteForce(const std::vector<float> &l, const SampleOptions &o) {
  double top = *std::max_element(l.begin(), l.end());
  std::vector<std::pair<double, int32_t>> all;
  for (size_t i = 0; i < l.size(); ++i)
    all.emplace_back(std::exp((double(l[i]) - top) / o.temperature), int32_t(i));
  std::sort(all.begin(), all.end(), [](auto &a, auto &b) { return a.first != b.first ? a.first > b.first : a.second < b.second; });
  if (o.topK > 0 && size_t(o.topK) < all.size())
    all.resize(size_t(o.topK));
  double sum = 0, reached = 0;
  for (auto &x : all)
    sum += x.first;
  std::map<int32_t, double> out;
  for (auto &[p, id] : all) {
    if ((o.topP < 1 && reached >= o.topP * sum) || p < o.minP)
      break;
    reached += p;
    out[id] = p;
  }
  double kept = 0;
  for (auto &x : out)
    kept += x.second;
  for (auto &x : out)
    x.second /= kept;
  return out;
}

std::vector<float> randomLogits(uint64_t key, int n) {
  std::vector<float> l;
  for (int i = 0; i < n; ++i) {
    PhiloxBlock b = philox(key, uint64_t(i));
    l.push_back(float(b[0] % 64) / 8.f); // equal ones occur
  }
  return l;
}

} // namespace

TEST(Sampling, KeepsWhatTheDefinitionsKeep) {
  for (uint64_t trial = 0; trial < 400; ++trial) {
    PhiloxBlock b = philox(17, trial), c = philox(18, trial);
    std::vector<float> l = randomLogits(trial, 1 + int(b[0] % 700));
    SampleOptions o;
    o.temperature = 0.2 + b[1] % 100 / 50.0;
    o.topK = b[2] % 3 ? int64_t(b[2] % 300) : 0;
    o.topP = b[3] % 3 ? 0.01 + c[0] % 98 / 100.0 : 1;
    o.minP = c[1] % 3 ? c[2] % 90 / 100.0 : 0;
    Sampler s(o);
    auto ids = s.candidates(l);
    auto expected = bruteForce(l, o);
    ASSERT_EQ(ids.size(), expected.size()) << "trial " << trial;
    double sum = 0;
    for (double w : s.weights())
      sum += w;
    size_t i = 0;
    for (auto &[id, p] : expected) {
      ASSERT_EQ(ids[i], id) << "trial " << trial;
      ASSERT_NEAR(s.weights()[i] / sum, p, 1e-12);
      ++i;
    }
  }
}

// Pearson's chi-square of 200,000 draws against the exact probabilities. The draws are fixed, so this
// never fails by chance; 0.001 of all seeds would exceed the bound.
TEST(Sampling, DrawsInProportion) {
  for (SampleOptions o : {SampleOptions{}, {0.7, 0, 1, 0, 1}, {1.3, 12, 1, 0, 1}, {1, 0, 0.8, 0, 1}, {1, 0, 1, 0.1, 1}}) {
    std::vector<float> l = randomLogits(5, 40);
    for (float &x : l)
      x /= 2;
    auto exact = bruteForce(l, o);
    std::map<int32_t, double> seen;
    Sampler s(o);
    constexpr int n = 200'000;
    for (int i = 0; i < n; ++i) {
      PhiloxBlock b = philox(drawKey(3, "chi"), uint64_t(i));
      ++seen[s.choose(l, uniform01(b[0], b[1]))];
    }
    double chi = 0;
    for (auto &[id, count] : seen)
      ASSERT_TRUE(exact.count(id)) << id;
    for (auto &[id, p] : exact)
      chi += (seen[id] - n * p) * (seen[id] - n * p) / (n * p);
    double df = double(exact.size()) - 1, z = 3.09; // Wilson and Hilferty 1931
    double bound = df * std::pow(1 - 2 / (9 * df) + z * std::sqrt(2 / (9 * df)), 3);
    EXPECT_LT(chi, bound) << "df " << df << ", temperature " << o.temperature;
    EXPECT_GT(df, 3);
  }
}

TEST(Sampling, GreedyTakesTheFirstOfEquals) {
  std::vector<float> l = {1, 3, 2, 3, -1};
  EXPECT_EQ(Sampler({0, 0, 1, 0, 1}).choose(l, 0.999), 1);
  EXPECT_EQ(Sampler({1, 1, 1, 0, 1}).choose(l, 0.999), 1);
  EXPECT_EQ(Sampler({1, 0, 0.3, 0, 1}).choose(l, 0.999), 1); // 1 and 3 have 0.40 each
  EXPECT_EQ(Sampler({0.01, 0, 1, 0, 1}).choose(l, 0.4), 1);
  EXPECT_EQ(Sampler({0.01, 0, 1, 0, 1}).choose(l, 0.6), 3);
}

TEST(Sampling, ImpossibleIdsAndLogitsThatAreNone) {
  std::vector<float> l = {-INFINITY, 2, -INFINITY};
  for (double u : {0.0, 0.5, 0.9999999})
    EXPECT_EQ(Sampler({}).choose(l, u), 1);
  EXPECT_EQ(Sampler({}).choose(std::vector<float>{-INFINITY, -INFINITY}, 0.5), -1);
  EXPECT_EQ(Sampler({}).choose(std::vector<float>{0, NAN}, 0.5), -1);
  EXPECT_EQ(Sampler({}).choose(std::vector<float>{0, INFINITY}, 0.5), -1);
  EXPECT_EQ(Sampler({}).choose({}, 0.5), -1);
}

TEST(Sampling, RepetitionCountsAnIdOnce) {
  std::vector<float> l = {2, -2, 0, 4};
  std::vector<int32_t> seen = {0, 1, 0, 2, 0};
  penalise(l, seen, 2);
  EXPECT_EQ(l, (std::vector<float>{1, -4, 0, 4}));
}

TEST(Sampling, OptionsOutsideTheirRangesAreNamed) {
  auto message = [](SampleOptions o) { return o.check().message(); };
  EXPECT_EQ(SampleOptions().check().message(), "");
  EXPECT_EQ(message({-1, 0, 1, 0, 1}), "`temperature` is a number from 0 on, this is -1.000000");
  EXPECT_EQ(message({1, -1, 1, 0, 1}), "`top_k` is a number of ids, 0 for all, this is -1.000000");
  EXPECT_EQ(message({1, 0, 0, 0, 1}), "`top_p` is more than 0 and at most 1, this is 0.000000");
  EXPECT_EQ(message({1, 0, 1, 1.5, 1}), "`min_p` is from 0 to 1, this is 1.500000");
  EXPECT_EQ(message({1, 0, 1, 0, 0}), "`repetition` is more than 0, this is 0.000000");
}
