#include "runtime/data/Label.h"
#include "runtime/r1rt.h"
#include "runtime/state/Files.h"
#include <cmath>
#include <cstring>
#include <filesystem>
#include <gtest/gtest.h>
#include <unistd.h>

using namespace r1rt;
using nlohmann::json;
using I = std::vector<int32_t>;
using M = std::vector<uint8_t>;

namespace {

struct Filled {
  I id, pos, seg, target;
  M mask;
  Filled(const PackedData &p, uint32_t row, uint64_t draw = 0)
      : id(p.seq), pos(p.seq), seg(p.seq), target(p.seq), mask(p.seq) {
    p.fill(row, id.data(), pos.data(), seg.data(), target.data(), mask.data(), draw);
  }
};

/// A file of rows, and trees over it.
class Rows : public testing::Test {
protected:
  void SetUp() override {
    dir = testing::TempDir() + "/r1rt_label_" + std::to_string(getpid());
    std::filesystem::create_directories(dir);
    ctx.baseDir = dir;
  }
  void TearDown() override { std::filesystem::remove_all(dir); }

  json jsonl(const std::string &lines) {
    EXPECT_TRUE(writeFileAtomic(dir + "/a.jsonl", lines));
    return {{"op", "jsonl"}, {"path", "a.jsonl"}, {"text", "text"}};
  }
  json label(const std::string &lines, json classes) {
    return {{"op", "label"},  {"tok", {{"op", "bytes_tokenizer"}}}, {"len", 4}, {"classes", classes},
            {"cut", "tail"}, {"side", "right"},                    {"in", jsonl(lines)}};
  }
  std::string failure(const json &tree) {
    auto r = openPacked(tree, ctx);
    EXPECT_FALSE(r);
    return r ? "" : r.status().message();
  }

  std::string dir;
  DataContext ctx;
};

std::shared_ptr<PackedData> rowsOf(std::vector<std::string> texts, int32_t len, const json &spec, bool targets) {
  auto data = std::make_shared<PackedData>();
  data->seq = len;
  data->tokenizer = bytesTokenizer();
  auto rows = DocumentRows::create(data, spec, targets);
  EXPECT_TRUE(rows) << rows.status().message();
  for (auto &t : texts)
    EXPECT_TRUE(rows->add(t));
  return data;
}

} // namespace

TEST(DocumentRows, ShortOnesArePaddedOnTheirSide) {
  auto right = rowsOf({"ab", ""}, 4, {{"side", "right"}}, true);
  Filled a(*right, 0), b(*right, 1);
  EXPECT_EQ(a.id, (I{256, 'a', 'b', 257}));
  EXPECT_EQ(a.pos, (I{0, 1, 2, 0}));
  EXPECT_EQ(a.seg, (I{0, 0, 0, -1}));
  EXPECT_EQ(a.target, (I{'a', 'b', 256, 257}));
  EXPECT_EQ(a.mask, (M{1, 1, 1, 0}));
  EXPECT_EQ(b.id, (I{256, 257, 257, 257}));
  EXPECT_EQ(b.target, (I{256, 257, 257, 257}));
  auto left = rowsOf({"ab", ""}, 4, {{"side", "left"}}, true);
  Filled c(*left, 0);
  EXPECT_EQ(c.id, (I{257, 256, 'a', 'b'}));
  EXPECT_EQ(c.pos, (I{0, 0, 1, 2}));
  EXPECT_EQ(c.seg, (I{-1, 0, 0, 0}));
  EXPECT_EQ(c.mask, (M{0, 1, 1, 1}));
  EXPECT_DOUBLE_EQ(left->padding(), 0.5);
  EXPECT_EQ(left->shapeText(), "2 rows of 4 tokens, 50.0 % padding");
}

TEST(DocumentRows, LongOnesAreCut) {
  // Inputs: end of text, 0 … 7.
  auto tail = rowsOf({"01234567"}, 4, {{"cut", "tail"}}, true);
  EXPECT_EQ(Filled(*tail, 0).id, (I{256, '0', '1', '2'}));
  EXPECT_EQ(Filled(*tail, 0).target, (I{'0', '1', '2', '3'}));
  auto head = rowsOf({"01234567"}, 4, {{"cut", "head"}}, true);
  EXPECT_EQ(Filled(*head, 0).id, (I{'4', '5', '6', '7'}));
  EXPECT_EQ(Filled(*head, 0).target, (I{'5', '6', '7', 256}));
  EXPECT_EQ(Filled(*head, 0).pos, (I{0, 1, 2, 3}));
  // The token before the gap does not predict the one behind it.
  auto middle = rowsOf({"01234567"}, 5, {{"cut", "middle"}}, true);
  Filled m(*middle, 0);
  EXPECT_EQ(m.id, (I{256, '0', '1', '6', '7'}));
  EXPECT_EQ(m.target, (I{'0', '1', 257, '7', 256}));
  EXPECT_EQ(m.mask, (M{1, 1, 0, 1, 1}));
  EXPECT_EQ(m.pos, (I{0, 1, 2, 3, 4}));
  EXPECT_EQ(m.seg, (I{0, 0, 0, 0, 0}));
  EXPECT_EQ(middle->targets(0), 4u);
  EXPECT_EQ(middle->truncated, 1u);
  EXPECT_EQ(middle->cutTokens, 4u);
  EXPECT_EQ(middle->shapeText(), "1 rows of 5 tokens, 0.0 % padding; 1 document cut (4 tokens)");
  auto exact = rowsOf({"0123"}, 5, {{"cut", "middle"}}, true);
  EXPECT_EQ(exact->truncated, 0u);
  EXPECT_EQ(Filled(*exact, 0).mask, M(5, 1));
  auto one = rowsOf({"0123"}, 1, {{"cut", "middle"}}, true);
  EXPECT_EQ(Filled(*one, 0).id, (I{256}));
}

TEST_F(Rows, LabelsByNumberAndByName) {
  auto p = openPacked(label("{\"text\":\"ab\",\"label\":1}\n{\"text\":\"cdefg\",\"label\":0}\n", 2), ctx);
  ASSERT_TRUE(p) << p.status().message();
  EXPECT_EQ((*p)->labels, (I{1, 0}));
  EXPECT_EQ((*p)->classes, 2);
  EXPECT_EQ((*p)->truncated, 1u);
  EXPECT_EQ((*p)->shape().dump(),
            R"({"cut_tokens":2,"padding":0.125,"rows":2,"tokens":7,"truncated":1})");
  ctx.packed.clear();
  auto digits = openPacked(label("{\"text\":\"ab\",\"label\":\"1\"}\n", 2), ctx); // as tables have them
  ASSERT_TRUE(digits) << digits.status().message();
  EXPECT_EQ((*digits)->labels, (I{1}));
  ctx.packed.clear();
  auto q = openPacked(label("{\"text\":\"ab\",\"label\":\"ham\"}\n{\"text\":\"c\",\"label\":\"spam\"}\n",
                            {"spam", "ham"}), ctx);
  ASSERT_TRUE(q) << q.status().message();
  EXPECT_EQ((*q)->labels, (I{1, 0}));
}

TEST_F(Rows, WrongLabelsNameRowAndValue) {
  const std::string first = "{\"text\":\"ab\",\"label\":1}\n";
  EXPECT_EQ(failure(label(first + "{\"text\":\"c\",\"label\":2}\n", 2)),
            "row a.jsonl@24: the label is 2; the classes are 0 to 1");
  for (auto [value, said] : {std::pair{"2", "2"}, {"-1", "-1"}, {"\"x\"", "\"x\""}, {"null", "null"}, {"1.5", "1.5"},
                             {"\"99999999999999999999\"", "\"99999999999999999999\""}, {"\"\"", "\"\""}})
    EXPECT_EQ(failure(label("{\"text\":\"c\",\"label\":" + std::string(value) + "}\n", 2)),
              "row a.jsonl@0: the label is " + std::string(said) + "; the classes are 0 to 1");
  EXPECT_EQ(failure(label(first, {"spam", "ham"})),
            "row a.jsonl@0: the label is 1; the classes are \"spam\", \"ham\"");
  EXPECT_EQ(failure(label("{\"text\":\"c\",\"class\":1,\"n\":2}\n", 2)),
            "row a.jsonl@0 has no field `label`; it has `text`, `class`, `n`. map_rows can give it one: "
            "map_rows(r => {text = r.text, label = …})");
  EXPECT_NE(failure(label("{\"text\":\"c\"}\n", 2)).find("it has `text`."), std::string::npos);
  EXPECT_NE(failure(label(first, {"a", "a"})).find("each once"), std::string::npos);
  json bad = label(first, 2);
  bad["cut"] = "end";
  EXPECT_EQ(failure(bad), "`cut` is \"tail\", \"head\" or \"middle\", not \"end\"");
  bad["cut"] = "tail";
  bad["len"] = 0;
  EXPECT_EQ(failure(bad), "rows have at least one token; `len` is 0");
}

// Batches of labelled rows: leaves of a row, and the place of its last token.
TEST_F(Rows, BatchesOfLabels) {
  json tree = label("{\"text\":\"ab\",\"label\":1}\n{\"text\":\"cdefg\",\"label\":0}\n", 2);
  r1_field inputs[] = {{"x.id", R1_I32, 2, {3, 4}, 0, 258},   {"x.seg", R1_I32, 2, {3, 4}, 64, 0},
                       {"target", R1_I32, 1, {3}, 128, 2},    {"last", R1_I32, 1, {3}, 192, 4},
                       {"mask", R1_BOOL, 1, {3}, 256, 0}};
  r1_program program{};
  program.name = "step";
  program.inputs = inputs;
  program.n_inputs = 5;
  alignas(64) char arena[320];
  auto ints = [&](int at, int n) { I v; v.resize(size_t(n)); std::memcpy(v.data(), arena + at, size_t(n) * 4); return v; };
  for (std::string side : {"right", "left"}) {
    tree["side"] = side;
    auto data = openPacked(tree, ctx);
    ASSERT_TRUE(data) << data.status().message();
    auto b = Batcher::create(*data, program);
    ASSERT_TRUE(b) << b.status().message();
    EXPECT_EQ(b->batch(), 3);
    uint64_t n = b->fill(arena, [](int64_t r) { return r < 2 ? uint32_t(r) : PackedData::noRow; });
    EXPECT_EQ(n, 7u);
    EXPECT_EQ(ints(128, 3), (I{1, 0, 0}));
    EXPECT_EQ(M(arena + 256, arena + 259), (M{1, 1, 0}));
    bool right = side == "right";
    EXPECT_EQ(ints(192, 3), right ? (I{2, 3, 0}) : (I{3, 3, 3}));
    EXPECT_EQ(ints(0, 8), right ? (I{256, 'a', 'b', 257, 256, 'c', 'd', 'e'}) : (I{257, 256, 'a', 'b', 256, 'c', 'd', 'e'}));
  }
  inputs[2].bound = 1; // a model of fewer classes
  auto few = Batcher::create(*openPacked(tree, ctx), program);
  ASSERT_FALSE(few);
  EXPECT_NE(few.status().message().find("`target` has values up to 1; the program takes 0..1 (the data has more "
                                        "classes than the model)"), std::string::npos) << few.status().message();
  inputs[2] = {"target", R1_I32, 2, {3, 4}, 128, 258};
  auto shape = Batcher::create(*openPacked(tree, ctx), program);
  ASSERT_FALSE(shape);
  EXPECT_NE(shape.status().message().find("does not have the shape [batch] of labelled rows"), std::string::npos);
}

// The shares of Devlin et al., within five standard deviations, and what they must not depend on.
TEST_F(Rows, MaskedTokens) {
  std::string text;
  for (int i = 0; i < 4000; ++i)
    text += "{\"text\":\"abcdefghijklmnopqrstuvwxyz\"}\n";
  json tree = {{"op", "masked"}, {"rate", 0.15}, {"token", "<mask>"}, {"seed", 3},
               {"in", {{"op", "pad"}, {"tok", {{"op", "bytes_tokenizer"}, {"special", {"<mask>"}}}}, {"len", 32},
                       {"in", jsonl(text)}}}};
  auto p = openPacked(tree, ctx);
  ASSERT_TRUE(p) << p.status().message();
  const PackedData &d = **p;
  double places = 0, chosen = 0, hidden = 0, same = 0, other = 0;
  for (uint32_t r = 0; r < d.rows(); ++r) {
    Filled f(d, r, r);
    for (int i = 0; i < 32; ++i) {
      int32_t own = i == 0 ? 256 : i <= 26 ? 'a' + i - 1 : 257;
      ASSERT_EQ(f.target[size_t(i)], own);
      ASSERT_EQ(f.seg[size_t(i)], i <= 26 ? 0 : -1);
      if (i == 0 || i > 26 || !f.mask[size_t(i)]) { // end of text and padding are never chosen
        ASSERT_EQ(f.id[size_t(i)], own);
        ASSERT_TRUE((i > 0 && i <= 26) || !f.mask[size_t(i)]);
      }
      if (i == 0 || i > 26)
        continue;
      ++places;
      chosen += f.mask[size_t(i)];
      if (f.mask[size_t(i)])
        ++(f.id[size_t(i)] == 258 ? hidden : f.id[size_t(i)] == own ? same : other);
    }
  }
  auto near = [](double count, double of, double share) {
    EXPECT_NEAR(count / of, share, 5 * std::sqrt(share * (1 - share) / of));
  };
  // A drawn id is the token itself once in 259, the mask once in 259.
  near(chosen, places, 0.15);
  near(hidden, chosen, 0.8 + 0.1 / 259);
  near(same, chosen, 0.1 + 0.1 / 259);
  near(other, chosen, 0.1 - 0.2 / 259);
  // Another draw, another mask; the same draw, the same one.
  EXPECT_EQ(Filled(d, 0, 7).id, Filled(d, 0, 7).id);
  EXPECT_NE(Filled(d, 0, 7).mask, Filled(d, 0, 8).mask);
  EXPECT_EQ(Filled(d, 0, 7).id, Filled(d, 1, 7).id); // equal rows
  tree["seed"] = 4;
  EXPECT_NE(Filled(d, 0, 7).mask, Filled(**openPacked(tree, ctx), 0, 7).mask);
}

TEST_F(Rows, MaskingNeedsItsToken) {
  json pad = {{"op", "pad"}, {"tok", {{"op", "bytes_tokenizer"}}}, {"len", 8}, {"in", jsonl("{\"text\":\"a\"}\n")}};
  json tree = {{"op", "masked"}, {"rate", 0.15}, {"token", "<mask>"}, {"in", pad}};
  EXPECT_EQ(failure(tree), "the tokenizer has no special token \"<mask>\" to put in the place of hidden ones; make "
                           "it with special = [\"<mask>\"]");
  tree["in"]["tok"]["special"] = {"<mask>"};
  tree["rate"] = 1.5;
  EXPECT_NE(failure(tree).find("a share of the tokens between 0 and 1; `rate` is 1.5"), std::string::npos);
  tree["in"]["tok"]["special"] = {1};
  EXPECT_NE(failure(tree).find("not a list of texts"), std::string::npos);
}

TEST(Tokenizer, Specials) {
  auto bytes = bytesTokenizer({"<mask>", "<cls>"});
  EXPECT_EQ(bytes->vocab(), 260);
  EXPECT_EQ(bytes->special("<cls>"), 259);
  EXPECT_EQ(bytes->special("a"), -1);
  std::string dir = testing::TempDir() + "/r1rt_special_" + std::to_string(getpid());
  std::filesystem::create_directories(dir);
  ASSERT_TRUE(bytes->save(dir));
  auto again = openTokenizer(dir);
  ASSERT_TRUE(again) << again.status().message();
  EXPECT_EQ((*again)->special("<mask>"), 258);
  std::filesystem::remove_all(dir);

  Corpus c;
  for (int i = 0; i < 50; ++i)
    c.rows.push_back({"mask the mask of masks", {}});
  auto bpe = trainBpe(c, 300, {"<mask>", "<user>"}, {});
  ASSERT_TRUE(bpe) << bpe.status().message();
  EXPECT_EQ((*bpe)->special("<mask>"), 2);
  EXPECT_EQ((*bpe)->special("<user>"), 3);
  for (const char *piece : {"mask", "</s>", "<unk>", "<0x41>", "none", ""})
    EXPECT_EQ((*bpe)->special(piece), -1) << piece;
}
