#include "runtime/mixture/Topics.h"
#include <fstream>
#include <gtest/gtest.h>
#include <numeric>
#include <random>
#include <set>

using namespace r1rt;
using namespace r1rt::mixture;
using nlohmann::json;

namespace {
/// Made by topics.py with scikit-learn.
struct Expected {
  json j = json::parse(std::ifstream(INPUTS "/topics.json"));
  std::vector<std::string> texts = j["texts"];
  std::vector<std::string_view> views{texts.begin(), texts.end()};
};

std::vector<SparseVector> asRows(const std::vector<std::vector<double>> &points) {
  std::vector<SparseVector> rows;
  for (auto &p : points) {
    SparseVector row;
    for (uint32_t i = 0; i < p.size(); ++i)
      row.terms.push_back(i), row.values.push_back(p[i]);
    rows.push_back(row);
  }
  return rows;
}
} // namespace

TEST(TfIdf, EqualsScikitLearn) {
  Expected e;
  TfIdf x = tfIdf(e.views, {4096, 2, 0.5});
  EXPECT_EQ(x.terms, e.j["terms"].get<std::vector<std::string>>());
  ASSERT_EQ(x.idf.size(), e.j["idf"].size());
  for (size_t i = 0; i < x.idf.size(); ++i)
    EXPECT_NEAR(x.idf[i], e.j["idf"][i].get<double>(), 1e-14);
  for (size_t d = 0; d < e.j["rows"].size(); ++d) {
    const json &row = e.j["rows"][d];
    ASSERT_EQ(x.rows[d].terms.size(), row.size()) << e.texts[d];
    for (size_t t = 0; t < row.size(); ++t) {
      EXPECT_EQ(x.rows[d].terms[t], row[t][0].get<uint32_t>());
      EXPECT_NEAR(x.rows[d].values[t], row[t][1].get<double>(), 1e-14);
    }
  }
}

TEST(TfIdf, KeepsTheMostFrequentTerms) {
  std::vector<std::string_view> texts = {"c b a a", "c b d", "c e"};
  EXPECT_EQ(tfIdf(texts, {3}).terms, (std::vector<std::string>{"a", "b", "c"}));
  EXPECT_EQ(tfIdf(texts, {9, 2}).terms, (std::vector<std::string>{"b", "c"}));
  EXPECT_EQ(tfIdf(texts, {9, 1, 0.7}).terms, (std::vector<std::string>{"a", "b", "d", "e"}));
  TfIdf none = tfIdf(texts, {9, 5});
  EXPECT_TRUE(none.terms.empty());
  EXPECT_TRUE(none.rows[0].terms.empty());
}

TEST(TfIdf, WithoutFunctionWords) {
  std::vector<std::string_view> texts = {"The court don't x 法院的判决"};
  EXPECT_EQ(tfIdf(texts, {.functionWords = false}).terms, (std::vector<std::string>{"court", "判决", "法院"}));
  EXPECT_EQ(tfIdf(texts).terms.size(), 9u);
}

TEST(TfIdf, PairsOfChineseCharacters) {
  std::vector<std::string_view> texts = {"法官判 案 and 法 the 判案"};
  EXPECT_EQ(tfIdf(texts).terms, (std::vector<std::string>{"and", "the", "判案", "官判", "案", "法", "法官"}));
}

TEST(KMeans, EqualsScikitLearn) {
  Expected e;
  TfIdf x = tfIdf(e.views, {4096, 2, 0.5});
  std::vector<std::vector<double>> first;
  for (size_t i : e.j["first"].get<std::vector<size_t>>()) {
    first.emplace_back(x.terms.size());
    for (size_t t = 0; t < x.rows[i].terms.size(); ++t)
      first.back()[x.rows[i].terms[t]] = x.rows[i].values[t];
  }
  for (unsigned threads : {1, 2, 3}) {
    Clusters c = kMeans(x.rows, first, 100, threads);
    EXPECT_EQ(c.of, e.j["labels"].get<std::vector<uint32_t>>());
    EXPECT_NEAR(c.inertia, e.j["inertia"].get<double>(), 1e-12);
    EXPECT_EQ(c.rounds, e.j["rounds"].get<unsigned>() - 1); // which counts the round that changes nothing
    for (size_t t = 0; t < x.terms.size(); ++t)
      EXPECT_NEAR(c.centres[0][t], e.j["centre0"][t].get<double>(), 1e-14);
  }
}

TEST(KMeans, ThreadsDoNotShowInTheBits) {
  std::mt19937 rng(3);
  std::vector<SparseVector> rows;
  for (int i = 0; i < 2000; ++i) {
    SparseVector row;
    for (uint32_t t = rng() % 5; t < 300; t += 1 + rng() % 40)
      row.terms.push_back(t), row.values.push_back(double(rng() % 1000) / 999);
    rows.push_back(row);
  }
  auto centres = seedCentres(rows, 300, 7, 11);
  ASSERT_EQ(centres.size(), 7u);
  Clusters one = kMeans(rows, centres, 30, 1);
  for (unsigned threads : {2, 5, 16}) {
    Clusters more = kMeans(rows, centres, 30, threads);
    EXPECT_EQ(more.of, one.of);
    EXPECT_EQ(more.centres, one.centres);
    EXPECT_EQ(more.inertia, one.inertia);
    EXPECT_EQ(more.rounds, one.rounds);
  }
}

TEST(KMeans, SeedsFallIntoClustersThatLieFarApart) {
  std::vector<std::vector<double>> points;
  for (int i = 0; i < 300; ++i)
    points.push_back({double(i % 3) * 1000 + double(i % 7), double(i % 3 == 1) * 1000});
  for (uint64_t seed = 0; seed < 20; ++seed) {
    std::set<int> hit;
    for (auto &c : seedCentres(asRows(points), 2, 3, seed))
      hit.insert(int(c[0] + 500) / 1000);
    EXPECT_EQ(hit.size(), 3u);
  }
}

TEST(KMeans, SeedsAreDrawnByTheSquareOfTheDistance) {
  // From 0 (9 of 12 rows) the second centre is 1 or 3, as 2 * 1 to 1 * 9.
  std::vector<std::vector<double>> points(9, {0.0});
  points.insert(points.end(), {{1.0}, {1.0}, {3.0}});
  int first = 0, far = 0;
  for (uint64_t seed = 0; seed < 4000; ++seed) {
    auto c = seedCentres(asRows(points), 1, 2, seed);
    if (c[0][0] == 0)
      ++first, far += c[1][0] == 3;
  }
  EXPECT_NEAR(first / 4000.0, 9 / 12.0, 0.03);
  EXPECT_NEAR(double(far) / first, 9 / 11.0, 0.03);
}

TEST(KMeans, FewerCentresThanAskedForIfRowsAreEqual) {
  std::vector<SparseVector> rows = asRows({{0.6, 0.8}, {0.6, 0.8}, {1, 0}, {0.6, 0.8}});
  EXPECT_EQ(seedCentres(rows, 2, 4, 1).size(), 2u);
  EXPECT_TRUE(seedCentres({}, 2, 4, 1).empty());
}

TEST(KMeans, AnEmptyClusterGetsTheFarthestRow) {
  std::vector<SparseVector> rows = asRows({{0}, {1}, {2}, {9}});
  Clusters c = kMeans(rows, {{1}, {100}}, 100);
  EXPECT_EQ(c.of, (std::vector<uint32_t>{0, 0, 0, 1}));
  EXPECT_NEAR(c.inertia, 2, 1e-12);
}

TEST(Topics, AreNamedByTheirTerms) {
  Expected e;
  TopicOptions options;
  options.topics = 4;
  options.terms = 10;
  Topics t = findTopics(e.views, options);
  ASSERT_EQ(t.topics.size(), 4u);
  // Every subject of topics.py is the greater part of the documents of one topic, and gives it most of
  // its names.
  const std::vector<std::set<std::string>> subjects = {
      {"court", "judge", "law", "appeal", "statute", "contract", "party", "licence", "claim", "liability"},
      {"kernel", "memory", "thread", "file", "system", "call", "process", "signal", "buffer", "page"},
      {"river", "mountain", "rain", "forest", "snow", "valley", "wind", "stone", "cloud", "lake"}};
  std::set<uint32_t> met;
  for (size_t s = 0; s < 4; ++s) {
    std::vector<int> votes(4);
    for (size_t i = s; i < e.texts.size(); i += 4)
      ++votes[t.of[i]];
    uint32_t topic = uint32_t(std::max_element(votes.begin(), votes.end()) - votes.begin());
    EXPECT_GE(votes[topic], 12) << "of 16 documents of subject " << s;
    met.insert(topic);
    int own = 0;
    for (auto &term : t.topics[topic].terms)
      own += s < 3 ? subjects[s].contains(term) : term[0] < 0;
    EXPECT_GE(own, 8) << json(t.topics[topic].terms);
  }
  EXPECT_EQ(met.size(), 4u);
  uint64_t documents = 0;
  for (size_t i = 0; i < 4; ++i) {
    documents += t.topics[i].documents;
    EXPECT_EQ(t.of[t.topics[i].nearest], i);
    EXPECT_TRUE(i == 0 || t.topics[i - 1].documents >= t.topics[i].documents);
    EXPECT_EQ(t.topics[i].documents, uint64_t(std::count(t.of.begin(), t.of.end(), i)));
  }
  EXPECT_EQ(documents, e.texts.size());
  EXPECT_EQ(t.toJson()[0]["terms"], t.topics[0].terms);
}

TEST(Topics, OfTextsWithoutTerms) {
  std::vector<std::string_view> texts = {"…", "alpha beta", "alpha beta", "alpha beta", ""};
  Topics t = findTopics(texts, {.topics = 3, .tfIdf = {100, 1, 1.0}});
  ASSERT_EQ(t.topics.size(), 1u);
  EXPECT_EQ(t.of, (std::vector<uint32_t>{Topics::none, 0, 0, 0, Topics::none}));
  EXPECT_EQ(t.topics[0].terms, (std::vector<std::string>{"alpha", "beta"}));
  EXPECT_TRUE(findTopics(std::vector<std::string_view>{"", "!"}).topics.empty());
}

TEST(DocumentSample, DoesNotDependOnTheOrder) {
  DocumentSample forward(20, 1), backward(20, 1), even(20, 1), odd(20, 1), other(20, 2);
  auto id = [](int i) { return "a.txt@" + std::to_string(i); };
  for (int i = 0; i < 500; ++i) {
    forward.add(id(i), "text " + std::to_string(i));
    other.add(id(i), "text");
    (i % 2 ? odd : even).add(id(i), "text " + std::to_string(i));
    backward.add(id(499 - i), "text " + std::to_string(499 - i));
  }
  odd.merge(std::move(even));
  auto idsOf = [](const DocumentSample &s) {
    std::vector<std::string> ids;
    for (auto &d : s.documents())
      ids.push_back(d.id);
    return ids;
  };
  EXPECT_EQ(idsOf(forward).size(), 20u);
  EXPECT_EQ(idsOf(forward), idsOf(backward));
  EXPECT_EQ(idsOf(forward), idsOf(odd));
  EXPECT_NE(idsOf(forward), idsOf(other));
  EXPECT_EQ(forward.documents()[3].text, "text " + forward.documents()[3].id.substr(6));
}

TEST(DocumentSample, CutsLongTextsBetweenCharacters) {
  DocumentSample s(1);
  std::string text = "a";
  while (text.size() < 20000)
    text += "法";
  s.add("x", text);
  EXPECT_EQ(s.documents()[0].text.size(), 16384u); // 1 + 3 * 5461
  DocumentSample t(1);
  t.add("x", text.substr(1));
  EXPECT_EQ(t.documents()[0].text.size(), 16383u);
  DocumentSample none(0);
  none.add("x", "y");
  EXPECT_TRUE(none.documents().empty());
}
