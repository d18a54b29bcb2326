#include "runtime/mixture/Shares.h"
#include <algorithm>
#include <cmath>
#include <gtest/gtest.h>
#include <map>
#include <numeric>
#include <random>

using namespace r1rt;
using namespace r1rt::mixture;

namespace {

std::vector<double> allocated(std::vector<Domain> d, double temper = 1) {
  Result<std::vector<double>> r = shares(d, temper);
  EXPECT_TRUE(r.isOk()) << r.status().message();
  return r ? r.take() : std::vector<double>(d.size());
}

void expectNear(const std::vector<double> &got, const std::vector<double> &expected, double within = 1e-12) {
  ASSERT_EQ(got.size(), expected.size());
  for (size_t i = 0; i < got.size(); ++i)
    EXPECT_NEAR(got[i], expected[i], within) << "domain " << i;
}

std::string failure(std::vector<Domain> d, double temper = 1) {
  Result<std::vector<double>> r = shares(d, temper);
  EXPECT_FALSE(r.isOk());
  EXPECT_EQ(r.status().getExitClass(), ExitClass::program);
  return r.status().message();
}

/// The same by bisection on the level.
std::vector<double> byBisection(const std::vector<Domain> &d, double temper) {
  auto at = [&](double level) {
    std::vector<double> x;
    for (auto &domain : d)
      x.push_back(std::clamp(level * std::pow(domain.size / 1e6, temper), domain.floor, domain.cap));
    return x;
  };
  double low = 0, high = 1e12;
  for (int i = 0; i < 300; ++i) {
    double middle = (low + high) / 2;
    auto x = at(middle);
    (std::accumulate(x.begin(), x.end(), 0.0) < 1 ? low : high) = middle;
  }
  return at(high);
}

std::vector<Domain> randomDomains(std::mt19937_64 &rng, size_t n) {
  auto uniform = [&] { return double(rng() >> 11) * 0x1p-53; };
  std::vector<Domain> d;
  for (size_t i = 0; i < n; ++i) {
    Domain x{"d" + std::to_string(i), uint64_t(std::exp(uniform() * 14)) + 1, {}, 0, 1};
    if (rng() % 2)
      x.floor = uniform() * 0.9 / double(n);
    if (rng() % 2)
      x.cap = std::min(1.0, x.floor + (0.2 + uniform()) * 2 / double(n));
    d.push_back(x);
  }
  return d;
}

} // namespace

TEST(Shares, InProportionToTemperedSize) {
  std::vector<Domain> d = {{"a", 100}, {"b", 300}, {"c", 600}};
  expectNear(allocated(d), {0.1, 0.3, 0.6});
  expectNear(allocated(d, 0), {1 / 3., 1 / 3., 1 / 3.});
  double s = 10 + std::sqrt(300) + std::sqrt(600);
  expectNear(allocated(d, 0.5), {10 / s, std::sqrt(300) / s, std::sqrt(600) / s});
  double t = std::pow(100, 0.7) + std::pow(300, 0.7) + std::pow(600, 0.7);
  expectNear(allocated(d, 0.7), {std::pow(100, 0.7) / t, std::pow(300, 0.7) / t, std::pow(600, 0.7) / t});
}

TEST(Shares, WeightsComeFirstTheOthersDivideTheRest) {
  expectNear(allocated({{"law", 10, 0.2}, {"news", 300}, {"web", 100}}), {0.2, 0.6, 0.2});
  expectNear(allocated({{"a", 10, 0.7}, {"b", 1, 0.2}, {"c", 5, 0.1}}), {0.7, 0.2, 0.1});
  expectNear(allocated({{"a", 10, 1.0}, {"b", 1, 0.0}}), {1, 0});
  expectNear(allocated({{"a", 10}, {"empty", 0}, {"b", 30}}), {0.25, 0, 0.75});
}

TEST(Shares, TheLawShare) {
  // Legal text is 2 % of all: the floor lifts it; it is 50 %: the cap holds it.
  expectNear(allocated({{"law", 2, {}, 0.15, 0.2}, {"web", 70}, {"books", 28}}), {0.15, 0.85 * 70 / 98, 0.85 * 28 / 98});
  expectNear(allocated({{"law", 50, {}, 0.15, 0.2}, {"web", 30}, {"books", 20}}), {0.2, 0.48, 0.32});
  expectNear(allocated({{"law", 18, {}, 0.15, 0.2}, {"web", 82}}), {0.18, 0.82});
}

TEST(Shares, AFixedDomainMayUnfixAnother) {
  // In the first round `b` (16 %) is below its floor of 20 % and `a` (80 %) above its cap of 40 %.
  // The excess is the larger, so `a` is fixed; of the other 60 % `b` then gets 48 % by proportion.
  expectNear(allocated({{"a", 80, {}, 0, 0.4}, {"b", 16, {}, 0.2, 1}, {"c", 4}}), {0.4, 0.48, 0.12});
}

TEST(Shares, EqualsBisectionOnTheLevel) {
  std::mt19937_64 rng(7);
  int solved = 0;
  for (int round = 0; round < 3000; ++round) {
    std::vector<Domain> d = randomDomains(rng, 1 + rng() % 12);
    double temper = double(rng() % 5) / 4;
    Result<std::vector<double>> got = shares(d, temper);
    if (!got) { // random caps may add up to less than 100 %
      EXPECT_NE(got.status().message().find("the caps of"), std::string::npos) << got.status().message();
      continue;
    }
    ++solved;
    expectNear(*got, byBisection(d, temper), 1e-9);
    EXPECT_NEAR(std::accumulate(got->begin(), got->end(), 0.0), 1, 1e-12);
  }
  EXPECT_GT(solved, 1000);
}

TEST(Shares, AreMonotone) {
  std::mt19937_64 rng(8);
  for (int round = 0; round < 1000; ++round) {
    std::vector<Domain> d = randomDomains(rng, 2 + rng() % 8);
    for (Domain &x : d)
      x.cap = std::max(x.cap, 0.6); // two such hold 100 %
    std::vector<double> before = allocated(d, 0.6);
    size_t grown = rng() % d.size();
    d[grown].size = d[grown].size * 3 + 1;
    std::vector<double> after = allocated(d, 0.6);
    for (size_t i = 0; i < d.size(); ++i)
      if (i == grown)
        EXPECT_GE(after[i], before[i] - 1e-12);
      else
        EXPECT_LE(after[i], before[i] + 1e-12);
  }
}

TEST(Shares, WhatCannotBeSaysSo) {
  EXPECT_EQ(failure({{"a", 1, 0.6}, {"b", 1}, {"c", 1, 0.5}}),
            "the weights of `a` (60 %), `c` (50 %) add up to 110 %, more than 100 %; help: lower them; a "
            "domain without a weight gets the rest");
  EXPECT_EQ(failure({{"a", 1, 0.6}, {"c", 1, 0.3}}),
            "the weights of `a` (60 %), `c` (30 %) add up to 90 %, and no domain with documents is left for "
            "the other 10 %; help: name 100 %, or no weight for the domain that is to get the rest");
  EXPECT_EQ(failure({{"a", 1, 0.6}, {"b", 7}, {"c", 1, 0.4}}),
            "the weights of `a` (60 %), `c` (40 %) add up to 100 %, and nothing is left for `b`; help: "
            "weight = 0 % leaves a domain out");
  EXPECT_EQ(failure({{"a", 1, {}, 0.6}, {"b", 1}, {"c", 1, {}, 0.5}}),
            "the floors of `a` (60 %), `c` (50 %) add up to 110 %, more than the 100 %; help: lower them");
  EXPECT_EQ(failure({{"a", 1, {}, 0.6}, {"b", 1, 0.5}, {"c", 1}}),
            "the floors of `a` (60 %) add up to 60 %, more than the 50 % that the weights leave; help: lower them");
  EXPECT_EQ(failure({{"a", 1, {}, 0, 0.3}, {"b", 1, {}, 0, 0.6}}),
            "the caps of `a` (30 %), `b` (60 %) add up to 90 %, less than the 100 %; help: raise one");
  EXPECT_EQ(failure({{"a", 1, {}, 0.3, 0.2}, {"b", 1}}),
            "the floor of `a` is 30 %, above its cap of 20 %; help: raise the cap or lower the floor");
  EXPECT_EQ(failure({{"a", 1, 0.5, 0, 0.2}, {"b", 1}}),
            "the weight of `a` is 50 %, outside its bounds of 0 % to 20 %; help: a weight needs no bounds");
  EXPECT_EQ(failure({{"a", 0, 0.5}, {"b", 1}}),
            "`a` is empty, but its weight asks for 50 %; help: leave it out, or look at what drops its documents");
  EXPECT_EQ(failure({{"a", 0, {}, 0.1}, {"b", 1}}),
            "`a` is empty, but its floor asks for 10 %; help: leave it out, or look at what drops its documents");
  EXPECT_EQ(failure({{"a", 1, 1.5}}), "the weight of `a` is 150 %; it must lie in 0 % to 100 %");
  EXPECT_EQ(failure({{"a", 1, {}, -0.1}}), "the floor of `a` is -10 %; it must lie in 0 % to 100 %");
  EXPECT_EQ(failure({{"a", 1, {}, 0, NAN}}), "the cap of `a` is nan %; it must lie in 0 % to 100 %");
  EXPECT_EQ(failure({{"a", 1}}, -1), "`temper` is -1.000000; it must lie in 0 to 10");
  EXPECT_EQ(failure({{"a", 0}, {"b", 0}}), "all domains are empty: there is nothing to mix");
  EXPECT_EQ(failure({}), "there is no domain to mix");
}

TEST(Shares, Rebalance) {
  std::vector<Domain> d = {{"a"}, {"b", 0, {}, 0.1, 1}, {"c", 0, {}, 0, 0.5}};
  expectNear(rebalance(d, std::vector<double>{1, 1, 2}).take(), {0.25, 0.25, 0.5});
  expectNear(rebalance(d, std::vector<double>{2, 0, 8}).take(), {0.4, 0.1, 0.5});
  expectNear(rebalance(d, std::vector<double>{0, 0, 1}).take(), {0.25, 0.25, 0.5});
  EXPECT_EQ(rebalance(d, std::vector<double>{0, 0, 0}).status().message(),
            "the shares asked for add up to 0.000000; at least one must be above 0");
  EXPECT_EQ(rebalance(d, std::vector<double>{1, -1, 0}).status().message(),
            "the share asked for `b` is -1.000000; it must be a number of at least 0");
  EXPECT_EQ(rebalance(d, std::vector<double>{1, NAN, 0}).status().message(),
            "the share asked for `b` is nan; it must be a number of at least 0");
  EXPECT_EQ(rebalance(d, std::vector<double>{1}).status().message(),
            "a share is asked for 1 domains, but there are 3");
}

TEST(Takes, TheScarcestDomainBoundsTheTotal) {
  std::vector<Domain> d = {{"law", 20}, {"web", 1000}, {"off", 50}};
  std::vector<double> s = {0.2, 0.8, 0};
  Takes t = takes(d, s).take();
  EXPECT_EQ(t.total, 100u);
  EXPECT_EQ(t.units, (std::vector<uint64_t>{20, 80, 0}));
  EXPECT_EQ(t.scarcest, 0u);
  t = takes(d, s, {}, 2.5).take();
  EXPECT_EQ(t.total, 250u);
  EXPECT_EQ(t.units, (std::vector<uint64_t>{50, 200, 0}));
  t = takes(d, s, 52).take();
  EXPECT_EQ(t.units, (std::vector<uint64_t>{10, 42, 0}));
  EXPECT_EQ(takes(d, s, 300).status().message(),
            "`total` is 300, but `law` has a share of 20 % and holds 20, which is enough for 100; help: lower "
            "`total` or the share, or allow `repeat = 3.00`");
  EXPECT_EQ(takes(d, s, 300, 3).take().units, (std::vector<uint64_t>{60, 240, 0}));
  EXPECT_EQ(takes(d, s, 1, 0.5).status().message(), "`repeat` is 0.500000; a unit is taken at least once");
}

TEST(Takes, AddUpAndLieWithinOneOfTheShare) {
  std::mt19937_64 rng(9);
  for (int round = 0; round < 2000; ++round) {
    std::vector<Domain> d;
    for (size_t i = 0, n = 1 + rng() % 9; i < n; ++i)
      d.push_back({"d" + std::to_string(i), 1 + rng() % (round % 2 ? 1000 : 1'000'000'000'000)});
    std::vector<double> s = allocated(d, double(rng() % 3) / 2);
    double repeats = 1 + double(rng() % 4) / 3;
    Takes t = takes(d, s, {}, repeats).take();
    EXPECT_EQ(std::accumulate(t.units.begin(), t.units.end(), uint64_t(0)), t.total);
    for (size_t i = 0; i < d.size(); ++i) {
      EXPECT_NEAR(double(t.units[i]), s[i] * double(t.total), 1 + 1e-14 * double(t.total));
      EXPECT_LE(double(t.units[i]), repeats * double(d[i].size) * (1 + 1e-12) + 1e-9);
    }
    // One more would be too many for the scarcest.
    EXPECT_GT(s[t.scarcest] * double(t.total + 1), std::floor(repeats * double(d[t.scarcest].size)) * (1 - 1e-9));
  }
}

TEST(Choice, TakesExactlySoManyOfEach) {
  for (uint64_t n : {1, 2, 3, 7, 64, 65, 1000, 4097})
    for (uint64_t take : {uint64_t(0), uint64_t(1), n / 3, n - 1, n, n + 1, 2 * n + n / 2}) {
      Choice c(5, "law", n, take);
      std::vector<bool> seen(n);
      uint64_t sum = 0;
      for (uint64_t i = 0; i < n; ++i) {
        ASSERT_LT(c.rank(i), n);
        EXPECT_FALSE(seen[c.rank(i)]) << "rank of " << i << " of " << n << " a second time";
        seen[c.rank(i)] = true;
        sum += c.copies(i);
        EXPECT_GE(c.copies(i), take / n);
        EXPECT_LE(c.copies(i), (take + n - 1) / n);
      }
      EXPECT_EQ(sum, take);
    }
}

TEST(Choice, OfLessIsAPartOfMore) {
  Choice less(5, "law", 1000, 200), more(5, "law", 1000, 300), other(5, "web", 1000, 200), seed(6, "law", 1000, 200);
  int both = 0, seeds = 0;
  for (uint64_t i = 0; i < 1000; ++i) {
    EXPECT_LE(less.copies(i), more.copies(i));
    both += less.copies(i) && other.copies(i);
    seeds += less.copies(i) && seed.copies(i);
  }
  // Another domain's, another seed's choice is independent: 200 * 200 / 1000 = 40, deviation 5.06.
  EXPECT_NEAR(both, 40, 20);
  EXPECT_NEAR(seeds, 40, 20);
}

TEST(Choice, EveryOrderIsEquallyLikely) {
  // All 24 orders of 4 documents over 24,000 seeds: chi-square of 23 degrees, 99.99 % quantile 56.
  std::map<std::vector<uint64_t>, int> orders;
  for (uint64_t seed = 0; seed < 24000; ++seed) {
    Choice c(seed, "d", 4, 0);
    ++orders[{c.rank(0), c.rank(1), c.rank(2), c.rank(3)}];
  }
  ASSERT_EQ(orders.size(), 24u);
  double chi = 0;
  for (auto &[order, times] : orders)
    chi += (times - 1000.0) * (times - 1000.0) / 1000.0;
  EXPECT_LT(chi, 56);
  // Neighbours fall apart: of 100,000 documents in ten parts by index and ten by rank; 81 degrees, 145.
  std::vector<int> cells(100);
  Choice big(1, "d", 100000, 0);
  for (uint64_t i = 0; i < 100000; ++i)
    ++cells[i / 10000 * 10 + big.rank(i) / 10000];
  chi = 0;
  for (int c : cells)
    chi += (c - 1000.0) * (c - 1000.0) / 1000.0;
  EXPECT_LT(chi, 145);
}

TEST(Choice, IsStableForEver) {
  Choice c(42, "law", 1000, 0);
  std::vector<uint64_t> ranks;
  for (uint64_t i : {0, 1, 2, 500, 999})
    ranks.push_back(c.rank(i));
  EXPECT_EQ(ranks, (std::vector<uint64_t>{656, 303, 459, 180, 742}));
}

TEST(RankedSizes, HoldTheUnitsToWithinADocument) {
  std::mt19937_64 rng(10);
  for (uint64_t n : {1, 5, 1000, 65536}) {
    Choice c(3, "law", n, 0);
    std::vector<uint64_t> units(n), byRank(n);
    RankedSizes even(n), odd(n);
    uint64_t sum = 0;
    for (uint64_t i = 0; i < n; ++i) {
      byRank[c.rank(i)] = units[i] = rng() % 1000;
      sum += units[i];
      (i % 2 ? odd : even).add(c.rank(i), units[i]);
    }
    even.merge(odd);
    for (uint64_t wanted : {uint64_t(0), sum / 5, sum / 2, sum, sum + sum / 3}) {
      Choice chosen(3, "law", n, even.documentsFor(wanted));
      uint64_t got = 0, most = *std::max_element(units.begin(), units.end());
      for (uint64_t i = 0; i < n; ++i)
        got += chosen.copies(i) * units[i];
      EXPECT_LE(got > wanted ? got - wanted : wanted - got, most / 2 + 1) << n << " documents, " << wanted;
    }
  }
  RankedSizes empty(3);
  EXPECT_EQ(empty.documentsFor(10), 0u);
}

TEST(RankedSizes, AreNearlyExactBeyond) {
  uint64_t n = 1'000'000;
  RankedSizes s(n);
  for (uint64_t r = 0; r < n; ++r)
    s.add(r, 1 + r % 7);
  uint64_t documents = s.documentsFor(1'234'567), got = 0;
  for (uint64_t r = 0; r < documents; ++r)
    got += 1 + r % 7;
  EXPECT_NEAR(double(got), 1'234'567, 7 * 16);
}

TEST(Takes, DocumentsFor) {
  EXPECT_EQ(documentsFor(250, 1000, 10), 3u); // 2.5 is rounded up
  EXPECT_EQ(documentsFor(2500, 1000, 10), 25u);
  EXPECT_EQ(documentsFor(uint64_t(1) << 50, uint64_t(1) << 51, uint64_t(1) << 40), uint64_t(1) << 39);
  EXPECT_EQ(documentsFor(5, 0, 0), 0u);
}

TEST(Interleave, EveryPrefixHoldsTheSharesWithinOne) {
  std::mt19937_64 rng(11);
  for (int round = 0; round < 3000; ++round) {
    std::vector<uint64_t> counts(1 + rng() % 8);
    for (uint64_t &c : counts)
      c = rng() % (round % 3 ? 40 : 3);
    counts[0] += 1;
    double total = double(std::accumulate(counts.begin(), counts.end(), uint64_t(0)));
    Interleave order = Interleave::create(counts).take();
    std::vector<uint64_t> have(counts.size());
    double bound = counts.size() == 1 ? 0 : 1 - 1 / (2.0 * double(counts.size()) - 2);
    for (int t = 1; t <= int(2 * total); ++t) { // the second round is like the first
      ++have[order.next()];
      for (size_t i = 0; i < counts.size(); ++i)
        ASSERT_LE(std::abs(double(have[i]) - double(counts[i]) * t / total), bound + 1e-9)
            << "domain " << i << " of " << counts.size() << " at " << t;
    }
  }
}

TEST(Interleave, LargeCounts) {
  std::vector<uint64_t> counts = {uint64_t(1) << 38, 3, (uint64_t(1) << 38) + 12345, 77};
  double total = double(std::accumulate(counts.begin(), counts.end(), uint64_t(0)));
  Interleave order = Interleave::create(counts).take();
  std::vector<double> have(4);
  for (int t = 1; t < 100000; ++t) {
    ++have[order.next()];
    for (size_t i = 0; i < 4; ++i)
      ASSERT_LT(std::abs(have[i] - double(counts[i]) * t / total), 1);
  }
  EXPECT_EQ(Interleave::create({0, 0}).status().message(), "there is no document to interleave: all counts are 0");
  EXPECT_NE(Interleave::create({uint64_t(1) << 40}).status().message().find("more than 1099511627775 documents"),
            std::string::npos);
}
