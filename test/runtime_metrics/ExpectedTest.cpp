// What the packages that define the metrics say of random cases: test/bench/metrics.py writes the files in Inputs.
#include "runtime/metrics/Answers.h"
#include "runtime/metrics/Spans.h"
#include "runtime/metrics/Summary.h"
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <gtest/gtest.h>
#include <sstream>

using namespace r1rt::metrics;
using nlohmann::json;

namespace {

std::ifstream inputs(const std::string &name) {
  const char *other = std::getenv("R1_METRICS_INPUTS"); // of metrics.py --check
  return std::ifstream((other ? other : R1_METRICS_INPUTS) + ("/" + name));
}

/// Calls `judge` for each line; there are at least 200.
void eachCase(const std::string &name, const std::function<void(const json &)> &judge) {
  std::ifstream in = inputs(name);
  size_t cases = 0;
  for (std::string line; std::getline(in, line); ++cases) {
    SCOPED_TRACE(name + ", line " + std::to_string(cases + 1));
    judge(json::parse(line));
    if (testing::Test::HasFailure())
      return;
  }
  EXPECT_GE(cases, 200u);
}

void expectSame(double got, const json &expected, const std::string &what) {
  const double e = expected.get<double>();
  EXPECT_NEAR(got, e, 1e-9 * std::abs(e) + 1e-12) << what;
}

r1rt::Result<Measured> measure(const std::string &kind, const json &o, const Texts &texts) {
  if (kind == "bleu") {
    BleuOptions b;
    b.tokenizer = o.at("tokenizer");
    b.smooth = o.value("smooth", b.smooth);
    b.order = o.value("order", b.order);
    b.lowercase = o.value("lowercase", false);
    b.effectiveOrder = o.value("effective_order", false);
    if (o.contains("smooth_value"))
      b.smoothValue = o["smooth_value"].get<double>();
    return bleu(texts, b);
  }
  if (kind == "chrf") {
    ChrfOptions c;
    c.characters = o.value("characters", c.characters);
    c.words = o.at("words");
    c.beta = o.value("beta", c.beta);
    c.lowercase = o.value("lowercase", false);
    c.whitespace = o.value("whitespace", false);
    c.smooth = o.value("smooth", false);
    return chrf(texts, c);
  }
  if (kind == "rouge")
    return rouge(texts, {o.at("type"), o.at("stemmer")});
  if (kind == "rouge_coco")
    return rougeCoco(texts);
  if (kind == "cider")
    return cider(texts);
  MatchOptions m;
  m.lowercase = o.value("lowercase", false);
  m.punctuation = o.value("punctuation", false);
  m.articles = o.value("articles", false);
  m.numbers = o.value("numbers", false);
  m.whitespace = o.value("whitespace", true);
  return exactMatch(texts, m);
}

std::vector<std::string> split(const std::string &text) {
  std::istringstream in(text);
  return {std::istream_iterator<std::string>(in), {}};
}

constexpr ClassMetric prf[] = {ClassMetric::precision, ClassMetric::recall, ClassMetric::f1};
constexpr Average averages[] = {Average::macro, Average::micro, Average::weighted};

} // namespace

TEST(Expected, Texts) {
  std::map<std::string, int> counts;
  eachCase("texts.jsonl", [&](const json &c) {
    const Texts texts{c.at("h"), c.at("r")};
    for (const json &m : c.at("m")) {
      const std::string kind = m.at(0), what = kind + m.at(1).dump();
      ++counts[kind];
      auto got = measure(kind, m[1], texts);
      ASSERT_TRUE(got) << what << ": " << got.status().message();
      if (kind == "rouge") { // means of precision, recall and F1
        std::vector<double> sums = got->statistics.sums();
        for (size_t i = 0; i < 3; ++i)
          expectSame(sums[i] / sums[3], m[2][i], what + " " + std::to_string(i));
        expectSame(got->total(), m[2][2], what);
      } else {
        expectSame(got->total(), m[2], what);
      }
      if (m.size() > 3)
        EXPECT_EQ(got->signature, m[3].get<std::string>());
    }
  });
  for (const char *kind : {"bleu", "chrf", "rouge", "rouge_coco", "exact"})
    EXPECT_GE(counts[kind], 200) << kind;
  EXPECT_GE(counts["cider"], 150); // of corpora with no word in a reference the package knows no value
}

TEST(Expected, Labels) {
  eachCase("labels.jsonl", [](const json &c) {
    const size_t classes = c.at("c");
    std::vector<uint32_t> truths, predicted;
    Confusion confusion(classes);
    const std::string t = c.at("t"), p = c.at("p");
    for (size_t i = 0; i < t.size(); ++i) {
      truths.push_back(uint32_t(t[i] - '0'));
      predicted.push_back(uint32_t(p[i] - '0'));
      confusion.add(truths[i], predicted[i]);
    }
    const std::vector<double> cells = confusion.sums();
    size_t at = 0;
    auto expect = [&](ClassMetric m, Average a) {
      const json &e = c.at("m").at(at++);
      auto got = classification(truths, predicted, classes, m, a);
      ASSERT_TRUE(got);
      expectSame(got->total(), e, "metric " + std::to_string(at));
      expectSame(ClassSums::of(cells).value(m, a), e, "metric " + std::to_string(at) + " of cells");
    };
    for (ClassMetric m : prf)
      for (Average a : averages)
        expect(m, a);
    for (ClassMetric m : {ClassMetric::accuracy, ClassMetric::balancedAccuracy, ClassMetric::mcc})
      expect(m, Average::macro);
    const ClassSums s = ClassSums::of(cells);
    for (size_t m = 0; m < c.at("each").size(); ++m)
      for (size_t k = 0; k < classes; ++k)
        expectSame(m == 0 ? s.precision(k) : m == 1 ? s.recall(k) : s.f1(k), c["each"][m][k], "class");
  });
}

TEST(Expected, Tags) {
  eachCase("tags.jsonl", [](const json &c) {
    std::vector<std::vector<std::string>> truths, predicted;
    for (const std::string t : c.at("t"))
      truths.push_back(split(t));
    for (const std::string p : c.at("p"))
      predicted.push_back(split(p));
    size_t at = 0;
    for (bool strict : {false, true})
      for (ClassMetric m : prf)
        for (Average a : averages) {
          auto got = spans(truths, predicted, m, a, strict);
          ASSERT_TRUE(got) << got.status().message();
          expectSame(got->total(), c.at("m").at(at), "metric " + std::to_string(at));
          ++at;
        }
  });
}

TEST(Expected, Numbers) {
  eachCase("numbers.jsonl", [](const json &c) {
    expectSame(passAt(c.at("n"), c.at("c"), c.at("k")), c.at("pass"), "pass@k");
    Interval i = wilson(c.at("c"), c.at("n"), 0.9);
    expectSame(i.low, c.at("wilson90")[0], "low");
    expectSame(i.high, c.at("wilson90")[1], "high");
    expectSame(mcnemar(c.at("pair")[0], c.at("pair")[1]), c.at("mcnemar"), "McNemar");
  });
}

TEST(Expected, Stems) {
  std::ifstream in = inputs("stems.txt");
  size_t words = 0;
  for (std::string line; std::getline(in, line); ++words) {
    size_t colon = line.find(':');
    EXPECT_EQ(porterStem(line.substr(0, colon)), line.substr(colon + 1)) << line;
  }
  EXPECT_GE(words, 600u);
}
