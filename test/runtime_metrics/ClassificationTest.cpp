#include "runtime/metrics/Classification.h"
#include <cmath>
#include <gtest/gtest.h>

using namespace r1rt::metrics;

static Confusion confusionOf(const std::vector<std::vector<int>> &counts) {
  Confusion c(counts.size());
  for (size_t t = 0; t < counts.size(); ++t)
    for (size_t p = 0; p < counts.size(); ++p)
      for (int i = 0; i < counts[t][p]; ++i)
        c.add(t, p);
  return c;
}

static double f1(const std::vector<double> &sums, Average average) {
  return ClassSums::of(sums).averaged(ClassMetric::f1, average);
}

// The numbers of scikit-learn's own tests (test_classification.py).
TEST(Confusion, F1OfThreeClasses) {
  Confusion c = confusionOf({{19, 4, 1}, {4, 3, 24}, {0, 2, 18}});
  EXPECT_EQ(c.rows(), 75u);
  EXPECT_NEAR(c.accuracy(), 0.53333, 5e-6);
  std::vector<double> sums = c.sums();
  EXPECT_NEAR(ClassSums::of(sums).f1(0), 0.80851, 5e-6);
  EXPECT_NEAR(ClassSums::of(sums).f1(1), 0.15, 5e-6);
  EXPECT_NEAR(ClassSums::of(sums).f1(2), 0.57143, 5e-6);
  EXPECT_NEAR(f1(sums, Average::macro), 0.50998, 5e-6);
  EXPECT_NEAR(f1(sums, Average::micro), 0.53333, 5e-6);
  EXPECT_NEAR(f1(sums, Average::weighted), 0.47310, 5e-6);
}

TEST(Confusion, F1OfPairs) {
  const int truth[] = {0, 1, 2, 0, 1, 2}, predicted[] = {0, 2, 1, 0, 0, 1};
  Confusion c(3);
  for (int i = 0; i < 6; ++i)
    c.add(size_t(truth[i]), size_t(predicted[i]));
  EXPECT_NEAR(f1(c.sums(), Average::macro), 0.2667, 5e-5);
  EXPECT_NEAR(f1(c.sums(), Average::micro), 0.3333, 5e-5);
}

// Rows of which nothing was predicted are wrong, and predictions of no class: recall falls, precision stays.
TEST(Classification, WhereNothingIsPredicted) {
  const std::vector<uint32_t> truths = {0, 0, 1, 1, 1, 0}, all = {0, 0, 1, 0, 1, 1},
                              some = {0, noClass, 1, 0, noClass, 1}, third = {0, 2, 1, 0, 2, 1};
  auto value = [&](const std::vector<uint32_t> &predicted, size_t classes, ClassMetric m, Average a = Average::macro) {
    auto x = classification(truths, predicted, classes, m, a);
    EXPECT_TRUE(x) << x.status().message();
    return x->total();
  };
  EXPECT_DOUBLE_EQ(value(all, 2, ClassMetric::accuracy), 4 / 6.0);
  EXPECT_DOUBLE_EQ(value(some, 2, ClassMetric::accuracy), 2 / 6.0);
  EXPECT_DOUBLE_EQ(value(some, 2, ClassMetric::recall), 1 / 3.0);
  EXPECT_DOUBLE_EQ(value(some, 2, ClassMetric::precision), 0.5);
  EXPECT_DOUBLE_EQ(value(some, 2, ClassMetric::f1, Average::micro), 2 * 2 / (4 + 6.0));
  EXPECT_DOUBLE_EQ(value(some, 2, ClassMetric::mcc), value(third, 3, ClassMetric::mcc));
  EXPECT_EQ(classification(truths, third, 2, ClassMetric::f1).status().message(), "row 1 has the class 2; there are 2, from 0 on");
}

// A fourth class that neither occurs nor is predicted does not pull the mean down; one that occurs does.
TEST(Confusion, ClassesThatDoNotOccur) {
  Confusion c = confusionOf({{19, 4, 1, 0}, {4, 3, 24, 0}, {0, 2, 18, 0}, {0, 0, 0, 0}});
  EXPECT_NEAR(f1(c.sums(), Average::macro), 0.50998, 5e-6);
  c.add(3, 0);
  EXPECT_LT(f1(c.sums(), Average::macro), 0.5 * 0.81);
  EXPECT_EQ(ClassSums::of(c.sums()).f1(3), 0);
  EXPECT_EQ(Confusion(2).accuracy(), 0);
  EXPECT_EQ(f1(Confusion(2).sums(), Average::macro), 0);
}
