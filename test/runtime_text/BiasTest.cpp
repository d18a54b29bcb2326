#include "TestRules.h"
#include "runtime/text/Bias.h"

using namespace r1rt::text;
using nlohmann::json;

namespace {
const json lexicon = {{"female", {"she", "her", "女性"}}, {"male", {"he", "him"}}, {"pronoun", {"she", "he"}},
                      {"job", {"air hostess"}}};
}

TEST(Bias, WordsAreCountedByTag) {
  auto l = BiasLexicon::create(lexicon);
  ASSERT_TRUE(l) << l.status().message();
  Scratch scratch;
  BiasCounts counts = l->zero();
  l->count("She said he, HE, is the air hostess.", counts, scratch); // 9 words besides punctuation
  l->count("中国女性 there", counts, scratch);                         // 5
  json j = counts.toJson();
  EXPECT_EQ(j["words"], 13);
  EXPECT_EQ(j["texts"], 2);
  EXPECT_EQ(j["tags"]["female"], (json{{"words", 2}, {"texts", 2}, {"per_1000_words", 2000 / 13.},
                                       {"each", {{"she", 1}, {"女性", 1}}}}));
  EXPECT_EQ(j["tags"]["male"]["each"], (json{{"he", 2}}));
  EXPECT_EQ(j["tags"]["pronoun"]["words"], 3);
  EXPECT_EQ(j["tags"]["pronoun"]["texts"], 1);
  EXPECT_EQ(j["tags"]["job"]["words"], 1);
}

TEST(Bias, CountsAddUpAndSurviveJson) {
  auto l = BiasLexicon::create(lexicon);
  ASSERT_TRUE(l);
  Scratch scratch;
  BiasCounts a = l->zero(), b = l->zero(), both = l->zero();
  for (auto [text, part] : {std::pair{"she and he", &a}, {"her", &b}, {"he", &b}}) {
    l->count(text, *part, scratch);
    l->count(text, both, scratch);
  }
  auto read = BiasCounts::fromJson(json::parse(b.toJson().dump()));
  ASSERT_TRUE(read) << read.status().message();
  a.add(*read);
  EXPECT_EQ(a.toJson(), both.toJson());
  EXPECT_EQ(l->zero().toJson()["tags"].size(), 4u); // tags without a word are shown as well
}

TEST(Bias, MessagesNameThePlace) {
  EXPECT_EQ(BiasLexicon::create({{"a", {"x", 3}}}).status().message(),
            "the lexicon has the tag `a` with 3, expected words that are not empty");
  EXPECT_NE(BiasLexicon::create(json::array()).status().message().find("{female"), std::string::npos);
  EXPECT_NE(BiasLexicon::create({{"a", json::array()}}).status().message().find("tag `a`"), std::string::npos);
  json j = json::parse(R"({"words":1,"texts":1,"tags":{"t":{"words":1,"texts":-1,"each":{}}}})");
  EXPECT_NE(BiasCounts::fromJson(j).status().message().find("`tags.t.texts`"), std::string::npos);
}
