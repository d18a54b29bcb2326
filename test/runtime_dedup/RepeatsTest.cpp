#include "runtime/dedup/Repeats.h"
#include "runtime/dedup/KeyFile.h"
#include <algorithm>
#include <filesystem>
#include <gtest/gtest.h>
#include <map>
#include <unistd.h>
#include <xxhash.h>

using namespace r1rt;
using namespace r1rt::dedup;

namespace {
struct Dir {
  std::string path = testing::TempDir() + "repeats-" + std::to_string(::getpid());
  Dir() { std::filesystem::remove_all(path); }
  ~Dir() { std::filesystem::remove_all(path); }
};

/// Through key files of `each` documents.
Result<std::vector<Repeated>> count(const std::string &dir, const std::vector<std::string> &docs,
                                    Part part, uint32_t threshold, uint32_t each = 2) {
  std::filesystem::create_directories(dir);
  std::vector<std::string> files;
  std::vector<uint64_t> keys;
  KeyWriter w = KeyWriter::create(1).take();
  for (size_t i = 0; i < docs.size(); ++i) {
    partKeys(docs[i], part, keys);
    R1RT_TRY(w.append(keys));
    if (w.documents() == each || i + 1 == docs.size()) {
      files.push_back(dir + "/keys-" + std::to_string(files.size()));
      R1RT_TRY(w.finish(files.back()));
    }
  }
  return countRepeated(files, threshold, {dir + "/merged", 1 << 20});
}
} // namespace

TEST(Repeats, LinesAcrossDocuments) {
  Dir d;
  const std::vector<std::string> docs = {"Home | About\nfirst\n\n", "HOME about\nsecond\nsecond\n",
                                         "third\nhome: about", ""};
  auto repeated = count(d.path, docs, Part::line, 3);
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
  auto repeated = count(d.path, docs, Part::paragraph, 2);
  ASSERT_TRUE(repeated);
  EXPECT_EQ(repeated->size(), 2u);
  std::vector<Removed> removed;
  EXPECT_EQ(removeRepeated(docs[1], 1, Part::paragraph, *repeated, true, removed), "four");
  EXPECT_EQ(removeRepeated(docs[2], 2, Part::paragraph, *repeated, true, removed), "");
}

/// Many chunks, more than are merged at a time: the same counts as with a map.
TEST(Repeats, AgainstAMap) {
  Dir d;
  std::map<uint32_t, Repeated> truth; // by line
  std::vector<std::string> docs(2000);
  for (uint32_t doc = 0; doc < docs.size(); ++doc)
    for (uint32_t i = 0; i < 200; ++i) {
      uint32_t line = (doc * 211 + i * 17) % 60000;
      std::string text = "line " + std::to_string(line);
      docs[doc] += text + "\n";
      auto it = truth.try_emplace(line, Repeated{XXH3_64bits(text.data(), text.size()), 0, doc}).first;
      ++it->second.documents;
    }
  std::vector<Repeated> expected;
  for (auto &[line, r] : truth)
    if (r.documents >= 7)
      expected.push_back(r);
  ASSERT_GT(expected.size(), 1000u);
  ASSERT_LT(expected.size(), truth.size());
  std::sort(expected.begin(), expected.end(),
            [](const Repeated &a, const Repeated &b) { return a.hash < b.hash; });
  for (uint32_t each : {3u, 500u}) {
    auto repeated = count(d.path, docs, Part::line, 7, each);
    ASSERT_TRUE(repeated) << repeated.status().message();
    ASSERT_EQ(repeated->size(), expected.size());
    for (size_t i = 0; i < expected.size(); ++i) {
      EXPECT_EQ(repeated->at(i).hash, expected[i].hash);
      EXPECT_EQ(repeated->at(i).documents, expected[i].documents);
      EXPECT_EQ(repeated->at(i).first, expected[i].first);
    }
  }
  EXPECT_NE(count(d.path, docs, Part::line, 1).status().message().find("threshold is 1"),
            std::string::npos);
}

TEST(Contamination, ReportsNgramAndPlace) {
  Contamination c = Contamination::create(4).take();
  EXPECT_FALSE(c.add("too short here"));
  EXPECT_TRUE(c.add("The answer, my friend, is blowing in the wind."));
  EXPECT_TRUE(c.add("机器学习模型"));
  EXPECT_TRUE(c.find("too short here it is: the answer my foe is").empty());
  const std::string text = "He sang: \"friend is BLOWING in\" twice; 用机器学习做";
  auto hits = c.find(text);
  ASSERT_EQ(hits.size(), 2u);
  EXPECT_EQ(hits[0].item, 1u);
  EXPECT_EQ(hits[0].itemUnit, 3u);
  EXPECT_EQ(hits[0].docUnit, 2u);
  EXPECT_EQ(hits[0].ngram, "friend is blowing in");
  EXPECT_EQ(text.substr(hits[0].begin, hits[0].end - hits[0].begin), "friend is BLOWING in");
  EXPECT_EQ(hits[1].item, 2u);
  EXPECT_EQ(hits[1].ngram, "机 器 学 习");
  EXPECT_EQ(text.substr(hits[1].begin, hits[1].end - hits[1].begin), "机器学习");
  EXPECT_EQ(c.find("friend is blowing in the wind", 2).size(), 2u);
  EXPECT_FALSE(Contamination::create(0));
}
