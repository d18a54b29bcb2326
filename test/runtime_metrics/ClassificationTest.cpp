#include "runtime/metrics/Classification.h"
#include <cmath>
#include <gtest/gtest.h>

using namespace r1rt;

static Confusion confusionOf(const std::vector<std::vector<int>> &counts) {
  Confusion c(counts.size());
  for (size_t t = 0; t < counts.size(); ++t)
    for (size_t p = 0; p < counts.size(); ++p)
      for (int i = 0; i < counts[t][p]; ++i)
        c.add(t, p);
  return c;
}

// The numbers of scikit-learn's own tests (test_classification.py).
TEST(Confusion, F1OfThreeClasses) {
  Confusion c = confusionOf({{19, 4, 1}, {4, 3, 24}, {0, 2, 18}});
  EXPECT_EQ(c.rows(), 75u);
  EXPECT_EQ(c.hits(), 40u);
  EXPECT_NEAR(c.accuracy(), 0.53333, 5e-6);
  EXPECT_NEAR(c.f1(0), 0.80851, 5e-6);
  EXPECT_NEAR(c.f1(1), 0.15, 5e-6);
  EXPECT_NEAR(c.f1(2), 0.57143, 5e-6);
  EXPECT_NEAR(c.f1Macro(), 0.50998, 5e-6);
  EXPECT_NEAR(c.f1Micro(), 0.53333, 5e-6);
  EXPECT_NEAR(c.f1Weighted(), 0.47310, 5e-6);
}

TEST(Confusion, F1OfPairs) {
  const int truth[] = {0, 1, 2, 0, 1, 2}, predicted[] = {0, 2, 1, 0, 0, 1};
  Confusion c(3);
  for (int i = 0; i < 6; ++i)
    c.add(size_t(truth[i]), size_t(predicted[i]));
  EXPECT_NEAR(c.f1Macro(), 0.2667, 5e-5);
  EXPECT_NEAR(c.f1Micro(), 0.3333, 5e-5);
}

// A fourth class that neither occurs nor is predicted does not pull the mean down; one that occurs does.
TEST(Confusion, ClassesThatDoNotOccur) {
  Confusion c = confusionOf({{19, 4, 1, 0}, {4, 3, 24, 0}, {0, 2, 18, 0}, {0, 0, 0, 0}});
  EXPECT_NEAR(c.f1Macro(), 0.50998, 5e-6);
  c.add(3, 0);
  EXPECT_LT(c.f1Macro(), 0.5 * 0.81);
  EXPECT_EQ(c.f1(3), 0);
  EXPECT_EQ(Confusion(2).accuracy(), 0);
  EXPECT_EQ(Confusion(2).f1Macro(), 0);
}

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
