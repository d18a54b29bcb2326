#include "runtime/mixture/Statistics.h"
#include <cmath>
#include <gtest/gtest.h>
#include <random>

using namespace r1rt;
using namespace r1rt::mixture;
using nlohmann::json;

TEST(Statistics, CountsOfTwoDocuments) {
  Statistics s;
  s.add("The law, the LAW.");
  s.add("法律 是 law");
  EXPECT_EQ(s.documents, 2u);
  EXPECT_EQ(s.bytes, 17u + 14u);
  EXPECT_EQ(s.characters, 17u + 8u);
  EXPECT_EQ(s.words, 4u + 4u);
  EXPECT_EQ(s.lengths[3], 2u); // 4..7 words
  EXPECT_EQ(s.frequencies.countOf("law"), 3u);
  EXPECT_EQ(s.frequencies.countOf("the"), 2u);
  EXPECT_EQ(s.frequencies.countOf("法"), 1u);
  EXPECT_EQ(s.frequencies.countOf("court"), 0u);
  EXPECT_EQ(s.frequencies.distinct(), 5u);
  s.add("…");
  EXPECT_EQ(s.lengths[0], 1u);
  EXPECT_EQ(s.words, 8u);
}

TEST(Statistics, PartsMergeToTheWhole) {
  std::mt19937 rng(1);
  Statistics whole, a, b;
  for (int i = 0; i < 300; ++i) {
    std::string text;
    for (unsigned w = rng() % 30; w > 0; --w)
      text += "w" + std::to_string(rng() % 500) + " ";
    whole.add(text);
    (i % 3 ? a : b).add(text);
  }
  Statistics ab = a, ba = b;
  ab.merge(b);
  ba.merge(a);
  EXPECT_EQ(ab.toJson(), whole.toJson());
  EXPECT_EQ(ba.toJson(), whole.toJson());
  Result<Statistics> back = Statistics::fromJson(json::parse(whole.toJson().dump()));
  ASSERT_TRUE(back.isOk()) << back.status().message();
  EXPECT_EQ(back->toJson(), whole.toJson());
}

TEST(Statistics, JsonThatIsBrokenNamesTheField) {
  Statistics s;
  s.add("a b");
  auto without = [&](auto change) {
    json j = s.toJson();
    change(j);
    return Statistics::fromJson(j).status().message();
  };
  EXPECT_EQ(without([](json &j) { j.erase("words"); }),
            "statistics: `words` is missing, expected a count; help: make them again");
  EXPECT_EQ(without([](json &j) { j["bytes"] = -3; }),
            "statistics: `bytes` is -3, expected a count; help: make them again");
  EXPECT_EQ(without([](json &j) { j["lengths"] = {1, 2}; }),
            "statistics: `lengths` is [1,2], expected 33 counts; help: make them again");
  EXPECT_EQ(without([](json &j) { j["frequencies"]["limit"] = uint64_t(0); }),
            "statistics: `limit` is 0, expected 1 to 2 ** 30; help: make them again");
  EXPECT_EQ(without([](json &j) { j["frequencies"]["counts"]["a"] = "x"; }),
            "statistics: `counts` is not a count for \"a\", expected {word: count}; help: make them again");
  EXPECT_EQ(without([](json &j) { j = 7; }),
            "statistics: `documents` is missing, expected a count; help: make them again");
}

TEST(WordCounts, BeyondTheLimitTheErrorIsBounded) {
  // Zipf's law over 20,000 words, 400,000 occurrences, and room for 200.
  std::mt19937_64 rng(2);
  std::vector<double> cumulated;
  double sum = 0;
  for (int i = 1; i <= 20000; ++i)
    cumulated.push_back(sum += 1.0 / i);
  std::vector<uint64_t> exact(cumulated.size());
  WordCounts whole(200), parts[4] = {WordCounts(200), WordCounts(200), WordCounts(200), WordCounts(200)};
  for (int i = 0; i < 400'000; ++i) {
    double at = double(rng() >> 11) * 0x1p-53 * sum;
    size_t w = size_t(std::lower_bound(cumulated.begin(), cumulated.end(), at) - cumulated.begin());
    ++exact[w];
    whole.add("w" + std::to_string(w));
    parts[i / 100'000].add("w" + std::to_string(w));
  }
  WordCounts merged(200);
  for (WordCounts &p : parts)
    merged.merge(p);
  for (WordCounts *c : {&whole, &merged}) {
    EXPECT_FALSE(c->isExact());
    EXPECT_EQ(c->words(), 400'000u);
    EXPECT_LT(c->distinct(), 400u);
    EXPECT_LE(c->error(), 400'000u / 200);
    for (size_t w = 0; w < exact.size(); ++w) {
      uint64_t known = c->countOf("w" + std::to_string(w));
      EXPECT_LE(known, exact[w]);
      EXPECT_LE(exact[w], known + c->error()) << "word " << w;
    }
    std::vector<WordCount> top = c->top(5);
    ASSERT_EQ(top.size(), 5u);
    for (size_t i = 0; i < 5; ++i)
      EXPECT_EQ(top[i].word, "w" + std::to_string(i));
  }
  WordCounts back = WordCounts::fromJson(whole.toJson()).take();
  EXPECT_EQ(back.toJson(), whole.toJson());
}

TEST(WordCounts, EqualCountsGoByBytesAndLongWordsAreNotListed) {
  WordCounts c;
  for (const char *w : {"b", "a", "c", "c"})
    c.add(w);
  c.add(std::string(65, 'x'), 9);
  c.add(std::string(64, 'y'));
  std::vector<WordCount> top = c.top(10);
  ASSERT_EQ(top.size(), 4u);
  EXPECT_EQ(top[0].word, "c");
  EXPECT_EQ(top[1].word, "a");
  EXPECT_EQ(top[2].word, "b");
  EXPECT_EQ(c.words(), 4u + 9 + 1);
  EXPECT_EQ(WordCounts().countOf("a"), 0u);
  EXPECT_TRUE(WordCounts().top(3).empty());
}

TEST(Statistics, Table) {
  DomainStatistics d;
  for (int i = 0; i < 400; ++i) {
    d["law"].add("the court of the state held the statute");
    d["法律"].add("法院 the");
    d["web"].add("the cat of the house");
  }
  d["empty"];
  EXPECT_EQ(table(d, 2), "domain  documents  words    share  words/doc  bytes/word  distinct  typical words\n"
                         "empty           0      0    0.0 %        0.0         0.0         0\n"
                         "law           400  3,200   50.0 %        8.0         4.9         6  court, held\n"
                         "web           400  2,000   31.2 %        5.0         4.0         4  cat, house\n"
                         "法律          400  1,200   18.8 %        3.0         3.3         3  法, 院\n"
                         "all         1,200  6,400  100.0 %        5.3         4.3        10\n");
  DomainStatistics one = {{"law", d["law"]}};
  EXPECT_EQ(table(one, 1), "domain  documents  words    share  words/doc  bytes/word  distinct  typical words\n"
                           "law           400  3,200  100.0 %        8.0         4.9         6  the\n");
}

TEST(Statistics, Scalars) {
  DomainStatistics d;
  d["law"].add("the court the");
  d["web"].add("cat");
  std::vector<std::pair<std::string, double>> s = scalars(d, "clean");
  ASSERT_EQ(s.size(), 12u);
  EXPECT_EQ(s[0], (std::pair<std::string, double>("clean/documents/law", 1)));
  EXPECT_EQ(s[3], (std::pair<std::string, double>("clean/share/law", 0.75)));
  EXPECT_EQ(s[5], (std::pair<std::string, double>("clean/type_token_ratio/law", 2 / 3.0)));
  EXPECT_EQ(s[9], (std::pair<std::string, double>("clean/share/web", 0.25)));
}
