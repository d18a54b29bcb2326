#include "runtime/augment/Augment.h"
#include "runtime/augment/Makers.h"
#include "runtime/augment/Words.h"
#include <cmath>
#include <gtest/gtest.h>
#include <map>
#include <set>

using namespace r1rt;
using namespace r1rt::augment;
using nlohmann::json;

namespace {
std::string failure(const json &spec) {
  auto a = Augmenter::create(spec, "");
  EXPECT_FALSE(a.isOk());
  EXPECT_EQ(a.status().getExitClass(), ExitClass::program);
  return a.status().message();
}

std::optional<std::string> applied(const json &spec, std::string_view text, uint64_t draw = 1) {
  auto a = Augmenter::create(spec, "");
  EXPECT_TRUE(a.isOk()) << a.status().message();
  std::string evidence;
  return a ? (*a)->apply(text, draw, evidence).take() : std::nullopt;
}

std::vector<std::string> wordsOf(std::string_view text) {
  std::vector<std::string> out;
  for (const Word &w : plainWords(text))
    out.push_back(std::string(text.substr(w.begin, w.end - w.begin)) + (w.opens ? "^" : ""));
  return out;
}

/// Damerau's distance of at most one: the longer, the shorter or the changed word, or an exchange.
bool oneSlipApart(const std::string &a, const std::string &b) {
  for (size_t i = 0; i <= b.size(); ++i) {
    if (i < b.size() && a == std::string(b).erase(i, 1))
      return true;
    if (i < b.size() && a.size() == b.size() && std::string(a).replace(i, 1, "") == std::string(b).replace(i, 1, ""))
      return true;
    if (i + 1 < b.size()) {
      std::string c = b;
      std::swap(c[i], c[i + 1]);
      if (a == c)
        return true;
    }
  }
  for (size_t i = 0; i < a.size(); ++i)
    if (b == std::string(a).erase(i, 1))
      return true;
  return false;
}
} // namespace

TEST(Augment, WhatIsWrongWithASpec) {
  EXPECT_EQ(failure(7), "an augmentation is {\"augment\": KIND, …}, not 7");
  EXPECT_EQ(failure({{"augment", "rhymes"}}),
            "there is no augmentation `rhymes`; there are synonyms, typos and back_translate");
  EXPECT_EQ(failure({{"augment", "typos"}}), "typos: the parameter `rate` is missing");
  EXPECT_EQ(failure({{"augment", "typos"}, {"rate", 0.1}, {"lexicon", "x"}}), "typos: there is no parameter `lexicon`");
  EXPECT_EQ(failure({{"augment", "typos"}, {"rate", 1.5}}), "typos: `rate` is 1.5; it must be a number from 0 to 1");
  EXPECT_EQ(failure({{"augment", "typos"}, {"rate", "x"}}), "typos: `rate` is \"x\"; it must be a number from 0 to 1");
  EXPECT_EQ(failure({{"augment", "synonyms"}, {"rate", 0.1}, {"lexicon", ""}}),
            "synonyms: `lexicon` is \"\"; it must be a text that is not empty");
  EXPECT_FALSE(Augmenter::create({{"augment", "typos"}, {"rate", 0.1}}, "").take()->isExternal());
}

TEST(Words, PlainOnes) {
  EXPECT_EQ(wordsOf("The dog, (big) \"cat\" don't well-known x2 3.14 a@b.c e.g. www.big.com!"),
            (std::vector<std::string>{"The^", "dog", "big", "cat"}));
  EXPECT_EQ(wordsOf("One. Two? Three: four; five\n\nSix\nseven"),
            (std::vector<std::string>{"One^", "Two^", "Three^", "four^", "five", "Six^", "seven"}));
  EXPECT_EQ(wordsOf("Größe слово 法律 “quoted” …"), (std::vector<std::string>{"Größe^", "слово", "quoted"}));
  EXPECT_EQ(wordsOf("\xFFx y\xFFz z"), (std::vector<std::string>{"x^", "z"})); // no UTF-8: like a mark
  EXPECT_TRUE(wordsOf("").empty());
  EXPECT_TRUE(wordsOf(" . -").empty());
}

TEST(Words, Cases) {
  EXPECT_EQ(caseOf("dog"), Case::lower);
  EXPECT_EQ(caseOf("Dog"), Case::title);
  EXPECT_EQ(caseOf("DOG"), Case::upper);
  EXPECT_EQ(caseOf("iPhone"), Case::mixed);
  EXPECT_EQ(caseOf("Ärger"), Case::title);
  EXPECT_EQ(caseOf("法律"), Case::lower);
  EXPECT_EQ(inCase("élan", Case::title), "Élan");
  EXPECT_EQ(inCase("élan", Case::upper), "ÉLAN");
  EXPECT_EQ(inCase("élan", Case::lower), "élan");
  EXPECT_EQ(lowered("ÉLAN Straße"), "élan straße");
}

TEST(Augment, PlacesAreDrawnOneByOne) {
  size_t sum = 0;
  for (uint64_t draw = 0; draw < 2000; ++draw) {
    std::vector<size_t> places = drawPlaces(20, 0.15, draw);
    ASSERT_FALSE(places.empty());
    ASSERT_TRUE(std::is_sorted(places.begin(), places.end()));
    ASSERT_LT(places.back(), 20u);
    sum += places.size();
  }
  // 3 of 20, and one more in the 0.85 ** 20 = 3.9 % of the cases in which there would be none.
  EXPECT_NEAR(double(sum) / 2000, 3.039, 4 * 1.6 / std::sqrt(2000));
  EXPECT_EQ(drawPlaces(20, 1, 5).size(), 20u);
  EXPECT_EQ(drawPlaces(20, 0, 5).size(), 1u);
}

TEST(Typos, EachIsOneSlip) {
  std::string word = "keyboard";
  std::map<std::string, int> seen;
  for (uint64_t draw = 0; draw < 4000; ++draw) {
    std::string typo = *applied({{"augment", "typos"}, {"rate", 0.0}}, word, draw);
    EXPECT_NE(typo, word);
    EXPECT_TRUE(oneSlipApart(typo, word)) << typo;
    ++seen[typo];
  }
  // Every slip occurs: deletions, exchanges, the keys beside "k", two keys at once.
  for (const char *typo : {"eyboard", "keyboad", "ekyboard", "keybaord", "jeyboard", "keybosrd", "kjeyboard", "keyboardf"})
    EXPECT_GT(seen[typo], 0) << typo;
  EXPECT_EQ(seen["peyboard"], 0); // "p" is far from "k"
}

TEST(Typos, EqualLettersAreNotExchanged) {
  for (uint64_t draw = 0; draw < 500; ++draw)
    EXPECT_NE(*applied({{"augment", "typos"}, {"rate", 0.0}}, "zzz", draw), "zzz");
}

TEST(Typos, OnlyInWords) {
  json spec = {{"augment", "typos"}, {"rate", 1.0}};
  std::string fixed = "12345 http://www.example.com/word user@mail.org x86_64 it 法律";
  EXPECT_FALSE(applied(spec, fixed).has_value());
  EXPECT_FALSE(applied(spec, "").has_value());
  std::string text = *applied(spec, "Word " + fixed + " ÜBERALL");
  EXPECT_NE(text.find(" " + fixed + " "), text.npos);
  EXPECT_NE(text.substr(0, 5), "Word ");
  EXPECT_FALSE(text.ends_with("ÜBERALL"));
}

TEST(Typos, AreAFunctionOfTheDraw) {
  auto a = Augmenter::create({{"augment", "typos"}, {"rate", 0.2}}, "").take();
  std::string text, evidence;
  for (int i = 0; i < 100; ++i)
    text += "some words of a text ";
  std::string first = **a->apply(text, 1, evidence);
  json e = json::parse(evidence);
  EXPECT_NEAR(e["changed"].get<double>(), 60, 35); // 300 of three letters or more
  ASSERT_EQ(e["first"].size(), 8u);
  EXPECT_TRUE(oneSlipApart(e["first"][0][0], e["first"][0][1]));
  std::set<std::string> all = {first};
  for (uint64_t draw = 2; draw < 10; ++draw)
    all.insert(**a->apply(text, draw, evidence));
  EXPECT_EQ(all.size(), 9u);
  EXPECT_EQ(**a->apply(text, 1, evidence), first);
  EXPECT_EQ(json::parse(evidence), e);
}
