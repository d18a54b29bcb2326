#include "runtime/dedup/Repeats.h"
#include <filesystem>
#include <gtest/gtest.h>
#include <unistd.h>

using namespace r1rt;
using namespace r1rt::dedup;

namespace {
struct Dir {
  std::string path = testing::TempDir() + "repeats-" + std::to_string(::getpid());
  Dir() { std::filesystem::remove_all(path); }
  ~Dir() { std::filesystem::remove_all(path); }
};
} // namespace

TEST(Repeats, LinesAcrossDocuments) {
  Dir d;
  const std::vector<std::string> docs = {"Home | About\nfirst\n\n", "HOME about\nsecond\nsecond\n",
                                         "third\nhome: about", ""};
  RepeatCounter c = RepeatCounter::open({.dir = d.path, .threshold = 3}).take();
  for (const std::string &t : docs)
    ASSERT_TRUE(c.add(t));
  auto repeated = c.finish();
  ASSERT_TRUE(repeated) << repeated.status().message();
  ASSERT_EQ(repeated->size(), 1u); // "second" twice in one document counts once
  EXPECT_EQ(repeated->at(0).documents, 3u);
  EXPECT_EQ(repeated->at(0).first, 0u);
  std::vector<Removed> removed;
  EXPECT_EQ(removeRepeated(docs[0], 0, Part::line, *repeated, true, removed), docs[0]);
  EXPECT_TRUE(removed.empty());
  EXPECT_EQ(removeRepeated(docs[2], 2, Part::line, *repeated, true, removed), "third\n");
  ASSERT_EQ(removed.size(), 1u);
  EXPECT_EQ(removed[0].begin, 6u);
  EXPECT_EQ(removed[0].end, docs[2].size());
  EXPECT_EQ(removeRepeated(docs[0], 0, Part::line, *repeated, false, removed), "first\n\n");
}

TEST(Repeats, Paragraphs) {
  Dir d;
  const std::vector<std::string> docs = {"one\ntwo\n\n \nthree\n", "\nthree\n\nfour", "one\ntwo"};
  RepeatCounter c = RepeatCounter::open({.dir = d.path, .part = Part::paragraph}).take();
  for (const std::string &t : docs)
    ASSERT_TRUE(c.add(t));
  auto repeated = c.finish();
  ASSERT_TRUE(repeated);
  EXPECT_EQ(repeated->size(), 2u);
  std::vector<Removed> removed;
  EXPECT_EQ(removeRepeated(docs[1], 1, Part::paragraph, *repeated, true, removed), "four");
  EXPECT_EQ(removeRepeated(docs[2], 2, Part::paragraph, *repeated, true, removed), "");
}

/// More hashes than memory holds, a restart in the middle: the same counts as with a map.
TEST(Repeats, ExternalMemoryAndRestart) {
  Dir d;
  RepeatOptions o{.dir = d.path, .identity = "x", .memory = 1 << 20};
  std::unordered_map<int, int> truth;
  auto text = [&](uint32_t doc) {
    std::string t;
    for (int i = 0; i < 200; ++i)
      t += "line " + std::to_string((doc * 211 + i * 17) % 60000) + "\n";
    return t;
  };
  for (uint32_t doc = 0; doc < 2000; ++doc)
    for (int i = 0; i < 200; ++i)
      ++truth[int((doc * 211 + uint32_t(i) * 17) % 60000)];
  {
    RepeatCounter c = RepeatCounter::open(o).take();
    for (uint32_t doc = 0; doc < 1000; ++doc)
      ASSERT_TRUE(c.add(text(doc)));
  }
  RepeatCounter c = RepeatCounter::open(o).take();
  EXPECT_GT(c.next(), 0u);
  EXPECT_LT(c.next(), 1000u); // what had not reached the disk is asked for again
  for (uint32_t doc = c.next(); doc < 2000; ++doc)
    ASSERT_TRUE(c.add(text(doc)));
  auto repeated = c.finish();
  ASSERT_TRUE(repeated) << repeated.status().message();
  size_t expected = 0;
  uint64_t sum = 0, expectedSum = 0;
  for (auto [line, count] : truth)
    if (count >= 2)
      ++expected, expectedSum += uint64_t(count);
  for (const Repeated &r : *repeated)
    sum += r.documents;
  EXPECT_EQ(repeated->size(), expected);
  EXPECT_EQ(sum, expectedSum);
  o.identity = "y";
  EXPECT_NE(RepeatCounter::open(o).status().message().find("holds another count"),
            std::string::npos);
}

TEST(Contamination, ReportsNgramAndPlace) {
  Contamination c = Contamination::create(4).take();
  EXPECT_FALSE(c.add("too short here"));
  EXPECT_TRUE(c.add("The answer, my friend, is blowing in the wind."));
  EXPECT_TRUE(c.add("机器学习模型"));
  EXPECT_TRUE(c.find("too short here it is: the answer my foe is").empty());
  auto hits = c.find("He sang: \"friend is BLOWING in\" twice; 用机器学习做");
  ASSERT_EQ(hits.size(), 2u);
  EXPECT_EQ(hits[0].item, 1u);
  EXPECT_EQ(hits[0].itemUnit, 3u);
  EXPECT_EQ(hits[0].docUnit, 2u);
  EXPECT_EQ(hits[0].ngram, "friend is blowing in");
  EXPECT_EQ(hits[1].item, 2u);
  EXPECT_EQ(hits[1].ngram, "机 器 学 习");
  EXPECT_EQ(c.find("friend is blowing in the wind", 2).size(), 2u);
  EXPECT_FALSE(Contamination::create(0));
}
