#include "runtime/data/TokenLabel.h"
#include "runtime/data/Pack.h"
#include "runtime/data/Label.h"
#include "runtime/r1rt.h"
#include "runtime/state/Files.h"
#include <cstring>
#include <filesystem>
#include <gtest/gtest.h>
#include <unistd.h>

using namespace r1rt;
using nlohmann::json;
using I = std::vector<int32_t>;
using M = std::vector<uint8_t>;
using S = std::vector<std::string>;

namespace {

const S tags = {"O", "B-LOC", "I-LOC", "B-PER", "I-PER"};

Classes classes(const json &spec = tags) {
  auto c = Classes::of(spec);
  EXPECT_TRUE(c) << c.status().message();
  return *c;
}

corpus::Row row(const json &fields, const std::string &text = "") {
  corpus::Row r;
  r.id = "a.jsonl@0";
  r.text = text;
  r.more = fields.dump();
  return r;
}

/// "word/TAG word/TAG"
std::string tagged(const corpus::Row &r, bool repair = false, const json &spec = tags) {
  auto t = taggedText(r, classes(spec), repair);
  if (!t)
    return t.status().message();
  std::string out;
  for (auto &w : t->words)
    out += (out.empty() ? "" : " ") + t->text.substr(w.begin, w.end - w.begin) + "/" +
           (spec.is_array() ? spec[size_t(w.cls)].get<std::string>() : std::to_string(w.cls));
  return out;
}

json span(int64_t start, int64_t end, const json &label) {
  return {{"start", start}, {"end", end}, {"label", label}};
}

} // namespace

TEST(TaggedText, WordsAndTheirTags) {
  EXPECT_EQ(tagged(row({{"tokens", {"New", "York", "is"}}, {"tags", {"B-LOC", "I-LOC", "O"}}})),
            "New/B-LOC York/I-LOC is/O");
  EXPECT_EQ(tagged(row({{"tokens", {"a", "b"}}, {"tags", {1, "0"}}}), false, 2), "a/1 b/0");
  EXPECT_EQ(tagged(row({{"tokens", json::array()}, {"tags", json::array()}})), "");
  auto t = taggedText(row({{"tokens", {"New", "York"}}, {"tags", {"B-LOC", "I-LOC"}}}), classes(), false);
  EXPECT_EQ(t->text, "New York");
}

TEST(TaggedText, SpansOfCharacters) {
  EXPECT_EQ(tagged(row({{"spans", json::array({span(0, 8, "LOC"), span(13, 16, "PER")})}}, "New York, to Ann.")),
            "New/B-LOC York/I-LOC ,/O to/O Ann/B-PER ./O");
  // Characters, not bytes; each Han is a word.
  EXPECT_EQ(tagged(row({{"spans", json::array({span(2, 4, "LOC")})}}, "Zü北京 é_1")), "Zü/O 北/B-LOC 京/I-LOC é_1/O");
  EXPECT_EQ(tagged(row({{"spans", json::array()}}, " a  b ")), "a/O b/O");
  EXPECT_EQ(tagged(row({{"spans", json::array({span(0, 1, "LOC"), span(1, 2, "LOC")})}}, "北京")), "北/B-LOC 京/B-LOC");
}

TEST(TaggedText, MistakesNameTheRowAndThePlace) {
  EXPECT_EQ(tagged(row({{"tokens", {"a", "b", "c"}}, {"tags", {"O", "O"}}})),
            "row a.jsonl@0: it has 3 tokens and 2 tags; each token has one tag");
  EXPECT_EQ(tagged(row({{"tokens", {"a", "b"}}, {"tags", {"O", "B-ORG"}}})),
            "row a.jsonl@0: token 2, \"b\": the label is \"B-ORG\"; the classes are \"O\", \"B-LOC\", \"I-LOC\", "
            "\"B-PER\", \"I-PER\"");
  EXPECT_EQ(tagged(row({{"tokens", json::array({"a"})}, {"tags", json::array({5})}}), false, 5),
            "row a.jsonl@0: token 1, \"a\": the label is 5; the classes are 0 to 4");
  EXPECT_EQ(tagged(row({{"tokens", {"a", ""}}, {"tags", {"O", "O"}}})),
            "row a.jsonl@0: token 2 is \"\"; a token is a text that is not empty");
  EXPECT_EQ(tagged(row({{"tokens", "a b"}, {"tags", json::array({"O"})}})),
            "row a.jsonl@0: `tokens` and `tags` are lists; `tokens` is \"a b\"");
  EXPECT_EQ(tagged(row({{"tokens", json::array({"a"})}, {"label", 1}}, "x")),
            "row a.jsonl@0 has neither `tokens` and `tags` nor `spans`; it has `text`, `label`, `tokens`. map_rows can "
            "give it some: map_rows(r => {tokens = …, tags = …})");
  auto spans = [](const json &list) { return tagged(row({{"spans", list}}, "New York")); };
  const std::string at = "row a.jsonl@0: the span ";
  EXPECT_EQ(spans(json::array({span(0, 9, "LOC")})), at + R"({"end":9,"label":"LOC","start":0} is no part of the text, which has )"
                                             "characters 0 to 8; `start` is before `end`");
  EXPECT_EQ(spans(json::array({span(3, 3, "LOC")})), at + R"({"end":3,"label":"LOC","start":3} is no part of the text, which has )"
                                             "characters 0 to 8; `start` is before `end`");
  EXPECT_EQ(spans(json::array({span(0, 6, "LOC")})),
            at + R"({"end":6,"label":"LOC","start":0} is "New Yo", which does not begin and end with a word; help: )"
                 "move its ends, or give the row its `tokens` and `tags`");
  EXPECT_EQ(spans(json::array({span(0, 8, "LOC"), span(4, 8, "PER")})),
            at + R"({"end":8,"label":"PER","start":4} overlaps with {"end":8,"label":"LOC","start":0}; a word has one tag)");
  EXPECT_EQ(spans(json::array({span(0, 3, "ORG")})), at + R"({"end":3,"label":"ORG","start":0}: the label is "B-ORG"; the classes )"
                                             "are \"O\", \"B-LOC\", \"I-LOC\", \"B-PER\", \"I-PER\"");
  EXPECT_EQ(spans(json::array({span(-1, 3, "LOC")})),
            at + R"({"end":3,"label":"LOC","start":-1} is not {start, end, label}: two places from 0 on and a text)");
  EXPECT_EQ(spans(json::array({{{"start", 0}, {"end", 3}}})),
            at + R"({"end":3,"start":0} is not {start, end, label}: two places from 0 on and a text)");
  EXPECT_EQ(spans("LOC"), "row a.jsonl@0: `spans` is a list of {start, end, label}, not \"LOC\"");
}

TEST(TaggedText, SpansBeginWithTheirB) {
  const auto lost = row({{"tokens", {"in", "New", "York"}}, {"tags", {"O", "I-LOC", "I-LOC"}}});
  EXPECT_EQ(tagged(lost), "row a.jsonl@0: token 2, \"New\", has the tag \"I-LOC\", which goes on with a span; the token "
                          "before it has \"O\". help: tag it \"B-LOC\", or label(…, repair = true)");
  EXPECT_EQ(tagged(lost, true), "in/O New/B-LOC York/I-LOC");
  EXPECT_EQ(taggedText(lost, classes(), true)->repaired, 1u);
  EXPECT_EQ(tagged(row({{"tokens", json::array({"York"})}, {"tags", json::array({"I-LOC"})}})),
            "row a.jsonl@0: token 1, \"York\", has the tag \"I-LOC\", which goes on with a span; it is the first. help: "
            "tag it \"B-LOC\", or label(…, repair = true)");
  // Of another type is no going on.
  EXPECT_EQ(tagged(row({{"tokens", {"a", "b"}}, {"tags", {"B-PER", "I-LOC"}}}), true), "a/B-PER b/B-LOC");
  // Tags that are no spans have no order.
  EXPECT_EQ(tagged(row({{"tokens", {"a", "b"}}, {"tags", {"NOUN", "VERB"}}}), false, {"NOUN", "VERB"}), "a/NOUN b/VERB");
}

namespace {

class TaggedRows : public testing::Test {
protected:
  void SetUp() override {
    dir = testing::TempDir() + "/r1rt_tags_" + std::to_string(getpid());
    std::filesystem::create_directories(dir);
    ctx.baseDir = dir;
  }
  void TearDown() override { std::filesystem::remove_all(dir); }
  Result<PackedPtr> open(const std::string &lines, int len, json more = json::object()) {
    EXPECT_TRUE(writeFileAtomic(dir + "/a.jsonl", lines));
    ctx.packed.clear();
    json tree = {{"op", "label"}, {"each", "token"}, {"tok", {{"op", "bytes_tokenizer"}}}, {"len", len},
                 {"classes", tags}, {"cut", "tail"}, {"side", "right"}, {"repair", false},
                 {"in", {{"op", "jsonl"}, {"path", "a.jsonl"}, {"text", "text"}}}};
    tree.update(more);
    return openPacked(tree, ctx);
  }
  std::string dir;
  DataContext ctx;
};

const char *const two = "{\"tokens\":[\"ab\",\"c\"],\"tags\":[\"B-LOC\",\"I-LOC\"]}\n"
                        "{\"tokens\":[\"d\"],\"tags\":[\"B-PER\"]}\n";

} // namespace

// The first token of a word has its class: of "ab c" the a, and the blank before c.
TEST_F(TaggedRows, FirstTokensHaveTheClasses) {
  auto p = open(two, 6);
  ASSERT_TRUE(p) << p.status().message();
  I id(6), target(6);
  M mask(6);
  auto fill = [&](uint32_t r) { (*p)->fill(r, id.data(), nullptr, nullptr, target.data(), mask.data()); };
  fill(0);
  EXPECT_EQ(id, (I{256, 'a', 'b', ' ', 'c', 257}));
  EXPECT_EQ(target, (I{0, 1, 0, 2, 0, 0}));
  EXPECT_EQ(mask, (M{0, 1, 0, 1, 0, 0}));
  fill(1);
  EXPECT_EQ(target, (I{0, 3, 0, 0, 0, 0}));
  EXPECT_EQ(mask, (M{0, 1, 0, 0, 0, 0}));
  fill(PackedData::noRow);
  EXPECT_EQ(target, I(6, 0));
  EXPECT_EQ(mask, M(6, 0));
  EXPECT_EQ((*p)->targets(0), 2u);
  EXPECT_EQ((*p)->targets(1), 1u);
  EXPECT_EQ((*p)->classNames, tags);

  p = open(two, 6, {{"side", "left"}, {"buckets", {3, 6}}});
  ASSERT_TRUE(p) << p.status().message();
  fill(0);
  EXPECT_EQ(id, (I{257, 256, 'a', 'b', ' ', 'c'}));
  EXPECT_EQ(mask, (M{0, 0, 1, 0, 1, 0}));
  EXPECT_EQ((*p)->bucketOf(0), 1u);
  EXPECT_EQ((*p)->bucketOf(1), 0u);

  // What is cut has no class, nor is it counted.
  p = open(two, 4, {{"cut", "middle"}});
  ASSERT_TRUE(p) << p.status().message();
  id.resize(4), target.resize(4), mask.resize(4);
  fill(0);
  EXPECT_EQ(id, (I{256, 'a', ' ', 'c'}));
  EXPECT_EQ(target, (I{0, 1, 2, 0}));
  EXPECT_EQ(mask, (M{0, 1, 1, 0}));
  EXPECT_EQ((*p)->cutTokens, 1u);
}

// Words that have no token in their row are told by row, place and class, in the order of their row.
TEST_F(TaggedRows, WordsThatAreCutOffAreKnown) {
  const std::string row = "{\"tokens\":[\"ab\",\"c\",\"d\",\"ef\"],\"tags\":[\"B-LOC\",\"I-LOC\",\"O\",\"B-PER\"]}\n";
  auto missed = [&](int len, const char *cut) {
    auto p = open("{\"tokens\":[\"x\"],\"tags\":[\"O\"]}\n{\"tokens\":[],\"tags\":[]}\n" + row, len, {{"cut", cut}});
    EXPECT_TRUE(p) << p.status().message();
    std::string out;
    for (const PackedData::MissedWord &m : (*p)->missed)
      out += std::to_string(m.row) + "/" + std::to_string(m.place) + " " + (*p)->classNames[size_t(m.tag)] + "; ";
    EXPECT_EQ((*p)->leftOut, (std::map<std::string, uint64_t>{{"no words", 1}}));
    return out;
  };
  // The row: end of text, "ab", " c", " d", " ef"; a word's first token is the blank before it.
  EXPECT_EQ(missed(10, "tail"), "");
  EXPECT_EQ(missed(5, "tail"), "1/2 O; 1/3 B-PER; ");
  EXPECT_EQ(missed(6, "tail"), "1/3 B-PER; "); // the blank is there
  EXPECT_EQ(missed(3, "head"), "1/0 B-LOC; 1/1 I-LOC; 1/2 O; ");
  EXPECT_EQ(missed(6, "middle"), "1/1 I-LOC; 1/2 O; ");
  auto p = open(row, 5);
  EXPECT_NE((*p)->shapeText().find("1 document cut (5 tokens); 2 words with classes cut off"), std::string::npos) << (*p)->shapeText();
}

TEST_F(TaggedRows, Batches) {
  auto p = open(two, 4);
  ASSERT_TRUE(p) << p.status().message();
  r1_field inputs[] = {{"x.id", R1_I32, 2, {2, 4}, 0, 258}, {"target", R1_I32, 2, {2, 4}, 64, 5},
                       {"mask", R1_BOOL, 2, {2, 4}, 128, 0}};
  r1_program program{};
  program.name = "step";
  program.inputs = inputs;
  program.n_inputs = 3;
  alignas(64) char arena[192];
  auto b = Batcher::create(*p, program);
  ASSERT_TRUE(b) << b.status().message();
  EXPECT_EQ(b->fill(arena, [](int64_t r) { return uint32_t(r); }), 3u);
  I target(8);
  std::memcpy(target.data(), arena + 64, 32);
  EXPECT_EQ(target, (I{0, 1, 0, 2, 0, 3, 0, 0}));
  EXPECT_EQ(M(arena + 128, arena + 136), (M{0, 1, 0, 1, 0, 1, 0, 0}));
  inputs[1].bound = 4;
  auto few = Batcher::create(*p, program);
  ASSERT_FALSE(few);
  EXPECT_NE(few.status().message().find("`target` has values up to 4; the program takes 0..4 (the data has more "
                                        "classes than the model)"), std::string::npos) << few.status().message();
}

TEST_F(TaggedRows, MistakesAndRepairs) {
  auto bad = open(std::string(two) + "{\"tokens\":[\"d\",\"e\"],\"tags\":[\"O\",\"I-PER\"]}\n", 8);
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.status().message(), "row a.jsonl@81: token 2, \"e\", has the tag \"I-PER\", which goes on with a span; "
                                    "the token before it has \"O\". help: tag it \"B-PER\", or label(…, repair = true)");
  auto good = open("{\"tokens\":[\"d\",\"e\"],\"tags\":[\"O\",\"I-PER\"]}\n", 8, {{"repair", true}});
  ASSERT_TRUE(good) << good.status().message();
  EXPECT_EQ((*good)->shapeText(), "1 rows of 8 tokens, 50.0 % padding; 1 tag repaired");
  EXPECT_EQ((*good)->shape()["repaired"], 1);
}
