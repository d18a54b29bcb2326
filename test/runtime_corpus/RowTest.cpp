#include "runtime/corpus/Row.h"
#include <gtest/gtest.h>

using namespace r1rt::corpus;
using nlohmann::json;

TEST(Row, IdsTellWhereARowComesFrom) {
  EXPECT_EQ(parentOf("a.txt@12"), "");
  EXPECT_EQ(parentOf("a.txt@12~1"), "a.txt@12");
  EXPECT_EQ(parentOf("a.txt@12~1~2"), "a.txt@12~1");
  EXPECT_EQ(rootOf("a.txt@12~1~2"), "a.txt@12");
  // A file may be called anything.
  EXPECT_EQ(rootOf("~home/a~b@c.txt@12"), "~home/a~b@c.txt@12");
  EXPECT_EQ(rootOf("~home/a~b@c.txt@12~3"), "~home/a~b@c.txt@12");
}

static Row roundTrip(const Row &row) {
  std::string line;
  appendShardLine(row, line);
  auto j = nlohmann::json::parse(line);
  EXPECT_EQ(j["text"], row.text);
  j.erase("text");
  // As a reader hands the other fields over: in the order of the file.
  size_t at = line.find(",\"_id\"");
  return rowOfShard(row.text, "{" + line.substr(at + 1, line.size() - at - 2));
}

TEST(Row, ShardsKeepAllOfIt) {
  for (const Row &row : {Row{"a \"b\"\n\\\x01 é", "", "x@0", "", ""}, Row{"t", "{\"n\":1,\"s\":\"}\"}", "x@0", "law", "0f"},
                         Row{"", "{\"n\":{\"_id\":\"no\"}}", "quo\"te\\@7", "d\n", ""}}) {
    Row back = roundTrip(row);
    EXPECT_EQ(back.text, row.text);
    EXPECT_EQ(back.more, row.more);
    EXPECT_EQ(back.id, row.id);
    EXPECT_EQ(back.domain, row.domain);
    EXPECT_EQ(back.key, row.key);
    std::string waiting;
    appendWaiting(row, waiting);
    std::string_view rest = waiting;
    Row again;
    ASSERT_TRUE(takeWaiting(rest, again));
    EXPECT_TRUE(rest.empty());
    EXPECT_EQ(again.text + again.more + again.id + again.domain + again.key,
              row.text + row.more + row.id + row.domain + row.key);
    rest = std::string_view(waiting).substr(0, waiting.size() - 1);
    EXPECT_FALSE(takeWaiting(rest, again));
  }
}

TEST(Row, RecordsReplaceTextAndFieldsButNotTheRow) {
  Row row{"old", "{\"a\":1}", "x@0", "law", ""};
  auto j = row.toJson();
  ASSERT_TRUE(j);
  EXPECT_EQ(j->dump(), R"({"_domain":"law","_id":"x@0","a":1,"text":"old"})");
  (*j)["text"] = "new";
  (*j)["_id"] = "forged";
  (*j)["b"] = 2;
  row.assign(j.take());
  EXPECT_EQ(row.text, "new");
  EXPECT_EQ(row.more, R"({"a":1,"b":2})");
  EXPECT_EQ(row.id, "x@0");
  row.more = "[1]";
  EXPECT_FALSE(row.toJson());
}

TEST(Row, ObjectsThatAreHandedOnKeepTheOrderOfTheirKeys) {
  const std::string call = R"({"name":"f","arguments":{"z":1,"a":2.0}})";
  Row row{"", R"({"n":{"y":1,"b":2},"calls":[)" + call + R"(],"m":{"b":2,"y":1},"one":{"deep":{"q":[{"k":1,"c":2}],"d":3}}})",
          "x@0", "", ""};
  auto j = row.toJson();
  ASSERT_TRUE(j);
  // In its place, in another place and inside of what is new; equal ones with two orders keep each its own.
  row.assign({{"n", (*j)["n"]}, {"m", (*j)["m"]}, {"moved", (*j)["calls"]}, {"one", (*j)["one"]},
              {"made", {{"type", "function"}, {"function", (*j)["calls"][0]}}}});
  EXPECT_EQ(row.more, R"({"m":{"b":2,"y":1},"made":{"function":)" + call + R"(,"type":"function"},"moved":[)" + call +
                          R"(],"n":{"y":1,"b":2},"one":{"deep":{"q":[{"k":1,"c":2}],"d":3}}})");
  // What is changed, if only from 1 to 1.0, is new: its keys are sorted, those of the objects in it are not.
  j = row.toJson();
  ASSERT_TRUE(j);
  json arguments = (*j)["moved"][0]["arguments"], deep = (*j)["one"]["deep"];
  arguments["z"] = 1.0;
  deep["e"] = 4;
  row.assign({{"arguments", arguments}, {"deep", deep}});
  EXPECT_EQ(row.more, R"({"arguments":{"a":2.0,"z":1.0},"deep":{"d":3,"e":4,"q":[{"k":1,"c":2}]}})");
  row.assign(json::object());
  EXPECT_EQ(row.more, "");
}

TEST(Row, AConversationHasMessagesOfItsOwn) {
  auto is = [](const char *more) { return isConversation({"", more, "x@0", "", ""}); };
  EXPECT_TRUE(is(R"({"n":1,"messages":[{"role":"user","content":"a"}]})"));
  EXPECT_TRUE(is(R"({"messages":[1]})"));
  EXPECT_FALSE(is(R"({"meta":{"messages":[{"role":"user","content":"a"}]}})"));
  EXPECT_FALSE(is(R"({"say":"\"messages\":["})"));
  EXPECT_FALSE(is(R"({"messages":[]})"));
  EXPECT_FALSE(is(R"({"messages":"none","more":{"messages":[1]}})"));
  EXPECT_FALSE(is(""));
  EXPECT_TRUE(is(R"({"messages":[1)")); // who knows
  EXPECT_TRUE(conversationOf({"", R"({"messages":[1)", "x@0", "", ""}).is_discarded());
}
