#include "runtime/stages/Sampler.h"
#include <cmath>
#include <gtest/gtest.h>
#include <map>

using namespace r1rt;

TEST(Sampler, GreedyTopKTopP) {
  float l[] = {1, 3, 2, 3, -1};
  EXPECT_EQ(sampleToken(l, {0, 0, 1}, 0.9), 1); // the first of equals
  EXPECT_EQ(sampleToken(l, {1, 1, 1}, 0.99), 1);
  std::map<int32_t, int> seen;
  for (int i = 0; i < 1000; ++i)
    ++seen[sampleToken(l, {1, 3, 1}, i / 1000.0)];
  EXPECT_EQ(seen.size(), 3u);
  EXPECT_FALSE(seen.count(0) || seen.count(4));
  EXPECT_NEAR(seen[1], 1000 / (2 + std::exp(-1.0)), 2);
  EXPECT_NEAR(seen[3], 1000 / (2 + std::exp(-1.0)), 2);
  // 1 and 3 have 0.40 each: 0.5 needs both, 0.3 only the first.
  seen.clear();
  for (int i = 0; i < 1000; ++i)
    ++seen[sampleToken(l, {1, 0, 0.5}, i / 1000.0)];
  EXPECT_EQ(seen.size(), 2u);
  EXPECT_EQ(sampleToken(l, {1, 0, 0.3}, 0.999), 1);
  // A low temperature sharpens.
  EXPECT_EQ(sampleToken(l, {0.01, 0, 1}, 0.4), 1);
}

TEST(Utf8Stream, HoldsBackCutCharacters) {
  Utf8Stream s;
  EXPECT_EQ(s.push("a\xE2"), "a");
  EXPECT_EQ(s.push("\x82"), "");
  EXPECT_EQ(s.push("\xAC!"), "\xE2\x82\xAC!");
  EXPECT_EQ(s.push("\xF0\x9F"), "");
  EXPECT_EQ(s.finish(), "\xEF\xBF\xBD\xEF\xBF\xBD");
  EXPECT_EQ(s.push("\xFFz"), "\xEF\xBF\xBDz");
}
