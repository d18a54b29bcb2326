#include "TestRules.h"
#include "runtime/text/Chars.h"
#include "runtime/text/WordFinder.h"
#include <random>

using namespace r1rt::text;
using nlohmann::json;

namespace {

json blacklist(std::vector<std::string> words, const json &params = json::object()) {
  json rule = ruleWith("blacklist", params);
  rule["words"] = words;
  return rule;
}

std::string masked(std::vector<std::string> words, const std::string &text, const json &params = json::object()) {
  json p = {{"action", "mask"}, {"with", "*"}};
  p.update(params);
  return judge(blacklist(std::move(words), p), text).text;
}

/// The definition, word by word: leftmost, then longest.
std::vector<std::pair<size_t, size_t>> byHand(const std::vector<std::string> &words, const std::string &text,
                                              bool whole) {
  std::vector<std::pair<size_t, size_t>> out;
  for (size_t i = 0; i < text.size();) {
    size_t best = 0;
    for (const std::string &w : words)
      if (text.compare(i, w.size(), w) == 0 && w.size() > best && (!whole || isWholeWord(text, i, i + w.size())))
        best = w.size();
    if (best)
      out.push_back({i, i + best});
    i += best ? best : 1;
  }
  return out;
}

} // namespace

TEST(Blacklist, WholeWordsInScriptsThatHaveThem) {
  EXPECT_EQ(masked({"ass", "bad word"}, "Assets, class, ass! A BAD WORD; bad words, bad  word"),
            "Assets, class, *! A *; bad words, bad  word");
  EXPECT_EQ(masked({"赌博"}, "网上赌博网站"), "网上*网站");
  EXPECT_EQ(masked({"élan"}, "ÉLAN élans"), "* élans");
  EXPECT_EQ(masked({"c++", "-x"}, "c++ c+++ a-x -x"), "* *+ a* *");
  EXPECT_EQ(masked({"dot"}, "dot_com dot-com d_dot"), "dot_com *-com d_dot");
}

TEST(Blacklist, AnywhereAndExactCase) {
  EXPECT_EQ(masked({"ass"}, "Assets class", {{"whole_words", false}}), "*ets cl*");
  EXPECT_EQ(masked({"Ass"}, "Ass ass", {{"ignore_case", false}}), "* ass");
  EXPECT_EQ(masked({"ab", "abcd", "bc"}, "abcx abcd", {{"whole_words", false}}), "*cx *");
  // Lower case may be longer in bytes: U+023A and U+2C65.
  EXPECT_EQ(masked({"ⱥb"}, "xȺB", {{"whole_words", false}}), "x*");
}

TEST(Blacklist, EvidenceNamesTheWord) {
  Outcome o = judge(blacklist({"alpha", "beta"}), "no BETA");
  EXPECT_EQ(o.verdict.kind, Verdict::drop);
  EXPECT_EQ(o.evidence(), json::parse(R"({"found":1,"offset":3,"word":"beta"})"));
}

TEST(Blacklist, FindsWhatTheDefinitionFinds) {
  std::mt19937 draw(2);
  const char *letters[] = {"a", "b", "c", " ", "é", "中", "-"};
  auto text = [&](size_t most) {
    std::string t;
    for (size_t n = 1 + draw() % most; n; --n)
      t += letters[draw() % 7];
    return t;
  };
  for (int round = 0; round < 3000; ++round) {
    std::vector<std::string> words;
    for (size_t n = 1 + draw() % 12; n; --n)
      words.push_back(text(4));
    const std::string t = text(40);
    for (bool whole : {false, true}) {
      WordFinder finder(words, {.ignoreCase = false, .wholeWords = whole});
      std::vector<WordFinder::Found> found;
      finder.find(t, found);
      std::vector<std::pair<size_t, size_t>> mine;
      for (const auto &f : found) {
        mine.push_back({f.begin, f.end});
        EXPECT_EQ(t.substr(f.begin, f.end - f.begin), words[f.word]);
      }
      ASSERT_EQ(mine, byHand(words, t, whole)) << json(words) << " in \"" << t << "\" whole " << whole;
    }
  }
}

TEST(Blacklist, TensOfThousandsOfWords) {
  std::mt19937 draw(3);
  std::vector<std::string> words;
  for (int i = 0; i < 50000; ++i) {
    std::string w;
    for (size_t n = 4 + draw() % 8; n; --n)
      w += char('a' + draw() % 26);
    words.push_back(w);
  }
  for (bool whole : {false, true}) {
    WordFinder finder(words, {.ignoreCase = true, .wholeWords = whole});
    std::vector<WordFinder::Found> found;
    for (size_t i = 0; i < words.size(); i += 97) {
      finder.find("0 " + words[i] + " 0", found);
      ASSERT_FALSE(found.empty()) << words[i];
      if (whole) {
        ASSERT_EQ(found.size(), 1u);
        ASSERT_EQ(words[found[0].word], words[i]);
      }
    }
  }
}

TEST(Blacklist, AFileHasAWordInEachLine) {
  const std::string path = ::testing::TempDir() + "blacklist.txt";
  std::ofstream(path) << "\uFEFFone\n\n  two words \r\n";
  json rule = ruleWith("blacklist", {{"words", json::array()}, {"file", path}, {"action", "mask"}, {"with", "*"}});
  EXPECT_EQ(judge(rule, "one, two words").text, "*, *");
  auto files = RuleSet::files(json::array({rule, ruleWith("c4"), rule}), "");
  ASSERT_TRUE(files);
  EXPECT_EQ(*files, std::vector<std::string>{path});

  rule["file"] = "missing.txt";
  EXPECT_EQ(messageOf(rule, "/nowhere"), "rule 1 (blacklist): `file` names the file /nowhere/missing.txt, which cannot "
                                         "be read: No such file or directory");
  std::ofstream(path, std::ios::binary) << "ok\nb\xFF";
  rule["file"] = path;
  EXPECT_EQ(messageOf(rule), "rule 1 (blacklist): `file` names the file " + path + ", which is not UTF-8 at byte 4");
  std::ofstream(path) << " \n";
  EXPECT_EQ(messageOf(rule), "rule 1 (blacklist): `file` names the file " + path +
                                 ", which has no words; expected one in each line");
  EXPECT_NE(messageOf(blacklist({})).find("`words` is empty and `file` is none"), std::string::npos);
}
