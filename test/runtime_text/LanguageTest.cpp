#include "TestRules.h"
#include "runtime/text/Language.h"
#include "runtime/text/Utf8.h"

using namespace r1rt::text;
using nlohmann::json;

namespace {
// The first article of the Universal Declaration of Human Rights.
const std::pair<const char *, std::string> article[] = {
    {"en", "All human beings are born free and equal in dignity and rights. They are endowed with reason and conscience "
           "and should act towards one another in a spirit of brotherhood."},
    {"de", "Alle Menschen sind frei und gleich an Würde und Rechten geboren. Sie sind mit Vernunft und Gewissen begabt "
           "und sollen einander im Geist der Brüderlichkeit begegnen."},
    {"fr", "Tous les êtres humains naissent libres et égaux en dignité et en droits. Ils sont doués de raison et de "
           "conscience et doivent agir les uns envers les autres dans un esprit de fraternité."},
    {"es", "Todos los seres humanos nacen libres e iguales en dignidad y derechos y, dotados como están de razón y "
           "conciencia, deben comportarse fraternalmente los unos con los otros."},
    {"ru", "Все люди рождаются свободными и равными в своем достоинстве и правах. Они наделены разумом и совестью и "
           "должны поступать в отношении друг друга в духе братства."},
    {"zh", "人人生而自由，在尊严和权利上一律平等。他们赋有理性和良心，并应以兄弟关系的精神相对待。"},
    {"zh-Hant", "人人生而自由，在尊嚴和權利上一律平等。他們賦有理性和良心，並應以兄弟關係的精神相對待。"},
    {"ja", "すべての人間は、生まれながらにして自由であり、かつ、尊厳と権利とについて平等である。"},
};
} // namespace

TEST(Language, EachIsRecognised) {
  for (const auto &[code, text] : article) {
    EXPECT_EQ(detectLanguages(text)[0].code, code);
    EXPECT_GE(detectLanguages(text)[0].share, 0.9);
    EXPECT_TRUE(isLanguageCode(code));
    EXPECT_EQ(judge(ruleWith("language", {{"codes", {code}}}), text).verdict.kind, Verdict::keep);
  }
  EXPECT_EQ(detectLanguages("")[0].code, "un");
  EXPECT_EQ(detectLanguages("12345 !!!")[0].code, "un");
}

TEST(Language, SharesAddUp) {
  const std::string mixed = article[0].second + "\n" + article[0].second + "\n" + article[1].second;
  json rule = ruleWith("language", {{"codes", {"en"}}, {"at_least", 0.9}});
  Outcome o = judge(rule, mixed);
  EXPECT_EQ(o.verdict.kind, Verdict::drop);
  EXPECT_NEAR(o.evidence()["share"].get<double>(), 2 / 3., 0.1);
  EXPECT_EQ(o.evidence()["at_least"], 0.9);
  EXPECT_GT(o.evidence()["languages"]["de"].get<double>(), 0.2);
  rule["codes"] = {"en", "de"};
  EXPECT_EQ(judge(rule, mixed).verdict.kind, Verdict::keep);
}

TEST(Language, LongTextsAreJudgedByParts) {
  std::string text;
  while (text.size() < 100000)
    text += article[5].second + "\n"; // characters of three bytes: parts must not cut them
  EXPECT_EQ(detectLanguages(text)[0].code, "zh");
  EXPECT_GE(detectLanguages(text)[0].share, 0.9);
}

TEST(Language, UnknownCodesAreErrors) {
  EXPECT_EQ(messageOf(ruleWith("language", {{"codes", {"en", "english"}}})),
            "rule 1 (language): `codes` has \"english\", expected codes of ISO 639-1 like \"en\", \"zh\" (simplified "
            "Chinese), \"zh-Hant\"");
  EXPECT_NE(messageOf(ruleWith("language", {{"codes", json::array()}})).find("no text would be kept"),
            std::string::npos);
}
