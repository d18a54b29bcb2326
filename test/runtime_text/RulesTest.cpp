#include "TestRules.h"
#include "runtime/text/Utf8.h"
#include <random>
#include <thread>

using namespace r1rt::text;
using nlohmann::json;

namespace {

json everyRule() {
  json rules = json::array();
  for (const char *name : {"normalise", "pattern", "regex", "blacklist", "noise", "language", "gopher_repetition",
                           "gopher_quality", "c4", "fineweb"})
    rules.push_back(ruleWith(name));
  return rules;
}

} // namespace

TEST(Rules, AreAppliedInOrderUntilOneDrops) {
  json mask = ruleWith("pattern", {{"name", "email"}});
  json drop = ruleWith("blacklist", {{"words", {"<email>"}}, {"whole_words", false}});
  Outcome o = judge({mask, drop}, "write to a@example.org");
  EXPECT_EQ(o.verdict.kind, Verdict::drop);
  EXPECT_EQ(o.verdict.rule, "blacklist");
  EXPECT_EQ(o.text, "write to <email>");
  EXPECT_EQ(o.evidence()["changes"], json::parse(R"([{"rule":"pattern","reason":"email","masked":1}])"));
  EXPECT_EQ(judge({drop, mask}, "write to a@example.org").verdict.kind, Verdict::changed);
}

TEST(Rules, EachChangeIsListed) {
  Outcome o = judge({ruleWith("normalise"), ruleWith("pattern"), ruleWith("pattern", {{"name", "ipv4"}})},
                    "See  http://example.org/ now.");
  EXPECT_EQ(o.text, "See <url> now.");
  EXPECT_EQ(o.verdict.rule, "pattern");
  EXPECT_EQ(o.reason(), "url");
  ASSERT_EQ(o.evidence()["changes"].size(), 2u);
  EXPECT_EQ(o.evidence()["changes"][0]["rule"], "normalise");
}

TEST(Rules, WordsAreThoseOfTheChangedText) {
  // Masked words are counted by the rule that follows: three words become one.
  json mask = ruleWith("regex", {{"expression", "a b c"}, {"action", "mask"}, {"with", "x"}});
  Outcome o = judge({ruleWith("gopher_quality", {{"min_words", 3}, {"min_word_length", nullptr},
                                                 {"min_stop_words", nullptr}}),
                     mask, ruleWith("gopher_quality", {{"min_words", 3}})},
                    "a b c");
  EXPECT_EQ(o.reason(), "gopher_short_doc");
  EXPECT_EQ(o.evidence()["words"], 1);
  EXPECT_EQ(o.evidence()["min_words"], 3);
}

TEST(Rules, NoneSwitchesAThresholdOff) {
  EXPECT_EQ(judge(ruleWith("gopher_quality", {{"min_words", nullptr}, {"min_stop_words", nullptr}}), "word here").reason(),
            "");
  EXPECT_EQ(judge(ruleWith("c4", {{"min_sentences", nullptr}}), "One line of it.").verdict.kind, Verdict::keep);
}

TEST(Rules, C4SaysWhatItCut) {
  Outcome o = judge(ruleWith("c4", {{"min_sentences", 1}}),
                    "A line that is good [1].\nno end here\nOf javascript there is much.\nNo.\n");
  EXPECT_EQ(o.text, "A line that is good .");
  EXPECT_EQ(o.evidence()["changes"][0],
            json::parse(R"({"rule":"c4","reason":"lines_cut","lines":4,"kept_lines":1,"no_terminal_punctuation":1,)"
                        R"("too_few_words":1,"javascript":1,"citations":1,"bytes":[70,21]})"));
}

TEST(Rules, MessagesNameRuleParameterAndBothValues) {
  EXPECT_EQ(messageOf(json::object()),
            "rule 1 is not a rule; expected what a function like c4() or pattern(...) gives");
  EXPECT_EQ(messageOf({ruleWith("c4"), {{"rule", "c5"}}}).substr(0, 56),
            "rule 2: there is no rule \"c5\", expected \"normalise\", \"go");
  EXPECT_EQ(messageOf(ruleWith("c4", {{"min_sentences", -1}})),
            "rule 1 (c4): `min_sentences` is -1, expected a whole number, at least 0, or none");
  EXPECT_EQ(messageOf(ruleWith("fineweb", {{"max_short_lines", 67}})),
            "rule 1 (fineweb): `max_short_lines` is 67, expected a number from 0 to 1, or none");
  EXPECT_EQ(messageOf(ruleWith("normalise", {{"form", "nfc"}})),
            "rule 1 (normalise): `form` is \"nfc\", expected \"NFC\", \"NFKC\" or \"none\"");
  EXPECT_EQ(messageOf(ruleWith("language", {{"cods", "en"}})),
            "rule 1 (language): there is no parameter \"cods\", expected \"at_least\" or \"codes\"");
  json missing = ruleWith("c4");
  missing.erase("policy");
  EXPECT_EQ(messageOf(missing), "rule 1 (c4): `policy` is missing; a rule has all its parameters, which its function "
                                "in the library fills in");
  EXPECT_EQ(messageOf(ruleWith("c4", {{"policy", 1}})), "rule 1 (c4): `policy` is 1, expected true or false");
  EXPECT_EQ(messageOf(ruleWith("gopher_quality", {{"stop_words", {"the", ""}}})),
            "rule 1 (gopher_quality): `stop_words` is [\"the\",\"\"], expected a list of texts, none of them empty");
  EXPECT_EQ(messageOf(ruleWith("gopher_quality", {{"stop_words", {"the"}}})),
            "rule 1 (gopher_quality): `min_stop_words` is 2, but `stop_words` has only 1: no text would be kept; give "
            "more words, or none");
  auto set = RuleSet::create("c4", "");
  ASSERT_FALSE(set);
  EXPECT_EQ(set.status().exitCode(), 1);
}

// The same verdicts, texts and evidence in any order, on any thread, whatever a scratch has seen.
TEST(Rules, AVerdictDependsOnTheTextOnly) {
  std::mt19937 draw(4);
  const char *pieces[] = {"the ", "of ", "word ", "don't ", "e.g. ", "\n", "\n\n", ". ", "1999 ", "中文", "。",
                          "http://a.org/x ", "a@b.example ", "\xFF", "\u00a0", "x{y ", "[1] ", "...", "• ", ":-) "};
  std::vector<std::string> texts;
  for (int i = 0; i < 400; ++i) {
    std::string t;
    for (size_t n = draw() % 400; n; --n)
      t += pieces[draw() % std::size(pieces)];
    texts.push_back(t);
  }
  auto set = RuleSet::create(everyRule(), "");
  ASSERT_TRUE(set) << set.status().message();
  using Row = std::tuple<int, std::string, std::string, std::string, std::string>;
  auto run = [&](bool backwards, bool fresh) {
    std::vector<Row> rows(texts.size());
    Scratch scratch;
    for (size_t k = 0; k < texts.size(); ++k) {
      size_t i = backwards ? texts.size() - 1 - k : k;
      if (fresh)
        scratch = Scratch();
      std::string t = texts[i];
      Verdict v = set->apply(t, scratch);
      rows[i] = {v.kind, v.rule, v.reason, v.evidence, t};
    }
    return rows;
  };
  const std::vector<Row> expected = run(false, true);
  std::vector<Row> a, b;
  std::thread one([&] { a = run(false, false); }), two([&] { b = run(true, false); });
  one.join();
  two.join();
  EXPECT_EQ(a, expected);
  EXPECT_EQ(b, expected);
}

// Bytes of any kind, each rule by itself with its limits off and on: no crash, and evidence that is JSON.
TEST(Rules, AnyBytesAreJudged) {
  std::mt19937 draw(5);
  std::vector<RuleSet> sets;
  for (const json &rule : everyRule()) {
    auto set = RuleSet::create(json::array({rule}), "");
    ASSERT_TRUE(set) << set.status().message();
    sets.push_back(set.take());
  }
  Scratch scratch;
  const unsigned char likely[] = {0, 9, 10, 13, 32, '.', '\'', '-', '{', '[', ']', 'a', 'Z', '5', 0x80, 0xBF, 0xC2,
                                  0xE2, 0xE3, 0xE4, 0xED, 0xF0, 0xF4, 0xFF};
  for (int round = 0; round < 3000; ++round) {
    std::string text;
    for (size_t n = draw() % 60; n; --n)
      text += char(draw() % 4 ? likely[draw() % sizeof likely] : draw() % 256);
    for (const RuleSet &set : sets) {
      std::string t = text;
      Verdict v = set.apply(t, scratch);
      if (v.kind == Verdict::keep)
        ASSERT_EQ(t, text);
      else
        ASSERT_TRUE(json::accept(v.evidence)) << v.evidence;
    }
  }
}
