#include "TestRules.h"

using nlohmann::json;
using r1rt::text::Verdict;

namespace {
json regex(const char *expression, const json &params = json::object()) {
  json rule = ruleWith("regex", params);
  rule["expression"] = expression;
  return rule;
}
std::string cut(const std::string &text) { return judge(regex("x+", {{"action", "cut"}}), text).text; }
} // namespace

TEST(Action, CutRemovesWholeLines) {
  EXPECT_EQ(cut("a\nxb\nc"), "a\nc");
  EXPECT_EQ(cut("xa\nb\ncx"), "b");
  EXPECT_EQ(cut("a\nx"), "a");
  EXPECT_EQ(cut("a\nx\n"), "a\n");
  EXPECT_EQ(cut("a x b x\nx\nc\n"), "c\n");
  EXPECT_EQ(cut("x"), "");
  EXPECT_EQ(judge(regex("b\nc", {{"action", "cut"}}), "a\nab\ncd\ne").text, "a\ne");
  EXPECT_EQ(judge(regex("\nc", {{"action", "cut"}}), "a\nab\ncd\ne").text, "a\ne");
  EXPECT_EQ(judge(regex("b\n", {{"action", "cut"}}), "a\nab\ncd\ne").text, "a\ncd\ne");
  EXPECT_EQ(judge(regex("x|c\nd", {{"action", "cut"}}), "x\nc\nd\nx\ne").evidence()["changes"][0]["lines_cut"], 4);
}

TEST(Action, MaskPutsAWordInTheTextsPlace) {
  Outcome o = judge(regex("[0-9]+", {{"action", "mask"}, {"with", "<n>"}, {"name", "number"}}), "1 and 22, 3");
  EXPECT_EQ(o.text, "<n> and <n>, <n>");
  EXPECT_EQ(o.verdict.kind, Verdict::changed);
  EXPECT_EQ(o.verdict.rule, "pattern");
  EXPECT_EQ(o.reason(), "number");
  EXPECT_EQ(o.evidence(), json::parse(R"({"changes":[{"rule":"pattern","reason":"number","masked":3}]})"));
  EXPECT_EQ(judge(regex("x", {{"action", "mask"}, {"with", ""}}), "axb").text, "ab");
  EXPECT_EQ(judge(regex("<n>", {{"action", "mask"}, {"with", "<n>"}}), "a <n>").verdict.kind, Verdict::keep);
}

TEST(Action, DropSaysWhereNotWhat) {
  Outcome o = judge(regex("secret"), "a secret, a secret");
  EXPECT_EQ(o.verdict.kind, Verdict::drop);
  EXPECT_EQ(o.evidence(), json::parse(R"({"found":2,"offset":2})"));
  EXPECT_EQ(judge(regex("secret"), "nothing").verdict.kind, Verdict::keep);
}

TEST(Action, WithNeedsMask) {
  EXPECT_EQ(messageOf(regex("x", {{"with", "y"}})),
            "rule 1 (pattern): `with` is \"y\", but `action` is \"drop\", which puts nothing in; write action = "
            "\"mask\" or leave `with` out");
}
