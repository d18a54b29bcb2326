#include "TestRules.h"

using nlohmann::json;

namespace {
std::string normal(const std::string &text, const json &params = json::object()) {
  return judge(ruleWith("normalise", params), text).text;
}
} // namespace

TEST(Normalise, WhiteSpaceIsCollapsed) {
  EXPECT_EQ(normal("  a \t b  \r\n\r\n\n\n  c\rd\u2028e\u2029f \u3000g\n"), "a b\n\nc\nd\ne\n\nf g");
  EXPECT_EQ(normal("a\n\nb\n\n\n\nc"), "a\n\nb\n\nc");
  EXPECT_EQ(normal(" \n\t "), "");
  EXPECT_EQ(normal("a  b\r\n", {{"whitespace", "keep"}}), "a  b\r\n");
}

TEST(Normalise, ControlsAreRemovedJoinersStay) {
  EXPECT_EQ(normal("\uFEFFa\u200b" "b\u00adc\x07" "d\u202ee\u0090f"), "abcdef");
  EXPECT_EQ(normal("نامه\u200cای 👩\u200d🚀"), "نامه\u200cای 👩\u200d🚀");
  EXPECT_EQ(normal("a\x07 b", {{"controls", "keep"}}), "a\x07 b");
  // A control between blanks does not keep them apart.
  EXPECT_EQ(normal("a \x01 b"), "a b");
}

TEST(Normalise, FormsAreUnicodes) {
  EXPECT_EQ(normal("e\u0301 ﬁ Ａ"), "é ﬁ Ａ");
  EXPECT_EQ(normal("e\u0301 ﬁ Ａ", {{"form", "NFKC"}}), "é fi A");
  EXPECT_EQ(normal("e\u0301", {{"form", "none"}}), "e\u0301");
}

TEST(Normalise, WhatIsNormalIsKeptAndNormalIsStable) {
  using r1rt::text::Verdict;
  EXPECT_EQ(judge(ruleWith("normalise"), "é is normal.\n\n中文。").verdict.kind, Verdict::keep);
  Outcome o = judge(ruleWith("normalise"), "e\u0301  \x07x");
  EXPECT_EQ(o.verdict.kind, Verdict::changed);
  EXPECT_EQ(o.evidence()["changes"][0],
            json::parse(R"({"rule":"normalise","reason":"normalised","unicode":true,"controls":1,"bytes":[7,4]})"));
  EXPECT_EQ(judge(ruleWith("normalise"), o.text).verdict.kind, Verdict::keep);
}
