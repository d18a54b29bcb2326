#include "TestRules.h"
#include <random>

using nlohmann::json;
using r1rt::text::Verdict;

namespace {

json noise(const json &params) {
  json rule = ruleWith("noise", {{"max_digits_in_words", nullptr}, {"max_repeated_chars", nullptr}});
  rule.update(params);
  return rule;
}

/// The measured value, from the evidence of a limit that nothing meets.
double measured(const char *name, const json &params, const std::string &text) {
  return judge(noise(params), text).evidence().value(name, -1.0);
}

} // namespace

TEST(Noise, DigitsInWords) {
  // Of c0de, w0rk, is, here, a1 and b: three have both; 42 has no letter, 中文 no say.
  EXPECT_DOUBLE_EQ(measured("digits_in_words", {{"max_digits_in_words", 0.0}}, "c0de w0rk is here 42 a1 b 中文"), 0.5);
  EXPECT_EQ(judge(noise({{"max_digits_in_words", 0.5}}), "c0de w0rk is here 42 a1 b").verdict.kind, Verdict::keep);
}

TEST(Noise, RepeatedCharacters) {
  // aaaa and ---- of ten; three equal ones are no run, nor are blanks.
  EXPECT_DOUBLE_EQ(measured("repeated_chars", {{"max_repeated_chars", 0.0}}, "aaaa  b     bbb ----"), 8 / 12.);
  EXPECT_DOUBLE_EQ(measured("repeated_chars", {{"max_repeated_chars", 0.0}}, "哈哈哈哈哈x"), 5 / 6.);
  EXPECT_EQ(judge(noise({{"max_repeated_chars", 0.0}}), "aaabbbccc ddd").verdict.kind, Verdict::keep);
}

TEST(Noise, UnknownWords) {
  const std::string path = ::testing::TempDir() + "lexicon.txt";
  std::ofstream(path) << "The\ncat\nsat\ncan\ncafé\n";
  const json rule = {{"lexicon", path}, {"max_unknown", 0.0}};
  // the, Cat, sat, CAFÉ known; xq, zzy not; one letter, digits, Chinese and the parts of "can't" have no say.
  Outcome o = judge(noise(rule), "the Cat sat: xq zzy CAFÉ a x1 can't 中文");
  EXPECT_DOUBLE_EQ(o.evidence()["unknown"].get<double>(), 2 / 6.);
  EXPECT_EQ(o.evidence()["words"], 6);
  EXPECT_EQ(o.reason(), "unknown_words");
  EXPECT_NE(messageOf(noise({{"max_unknown", 0.5}})).find("needs a lexicon"), std::string::npos);
  EXPECT_NE(messageOf(noise({{"lexicon", path}})).find("would not be used"), std::string::npos);
}

TEST(Noise, Compression) {
  std::string same(10000, 'a'), text;
  EXPECT_GT(measured("compression", {{"max_compression", 5.0}}, same), 100);
  std::mt19937 draw(1);
  for (int i = 0; i < 2000; ++i)
    text += char('!' + draw() % 90);
  EXPECT_EQ(judge(noise({{"max_compression", 5.0}}), text).verdict.kind, Verdict::keep);
  EXPECT_EQ(judge(noise({{"max_compression", 1.0}}), "").verdict.kind, Verdict::keep);
}
