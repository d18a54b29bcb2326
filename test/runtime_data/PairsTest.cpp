#include "runtime/data/Pairs.h"
#include "runtime/state/Files.h"
#include <filesystem>
#include <gtest/gtest.h>
#include <unistd.h>

using namespace r1rt;
using nlohmann::json;
using I = std::vector<int32_t>;

namespace {

constexpr int32_t END = 256, PAD = 257; // of the tokenizer of bytes

class Pairs : public testing::Test {
protected:
  void SetUp() override {
    dir = testing::TempDir() + "/r1rt_pairs_" + std::to_string(getpid());
    std::filesystem::create_directories(dir);
    ctx.baseDir = dir;
    for (const char *field : {"text", "to"})
      ctx.rowFns.push_back([field](const json &row) -> Result<json> { return row.value(field, json()); });
  }
  void TearDown() override { std::filesystem::remove_all(dir); }

  json tree(const std::string &lines) {
    EXPECT_TRUE(writeFileAtomic(dir + "/a.jsonl", lines));
    return {{"op", "translate"},        {"tok", {{"op", "bytes_tokenizer"}}},
            {"len", 4},                 {"source_len", 5},
            {"cut", "tail"},            {"source", {{"row_fn", 0}}},
            {"target", {{"row_fn", 1}}}, {"in", {{"op", "jsonl"}, {"path", "a.jsonl"}, {"text", "text"}}}};
  }
  void refuses(const std::string &lines, const std::string &what) {
    auto r = openPacked(tree(lines), ctx);
    ASSERT_FALSE(r) << what;
    EXPECT_NE(r.status().message().find(what), std::string::npos) << r.status().message();
  }

  std::string dir;
  DataContext ctx;
};

TEST_F(Pairs, RowsOfBothSides) {
  auto data = openPacked(tree("{\"text\":\"abc\",\"to\":\"x\"}\n{\"text\":\"abcdef\",\"to\":\"uvwxyz\"}\n"), ctx);
  ASSERT_TRUE(data) << data.status().message();
  const PackedData &d = **data;
  ASSERT_TRUE(d.source);
  EXPECT_EQ(d.rows(), 2u);
  EXPECT_EQ(d.source->rows(), 2u);
  EXPECT_EQ(d.truncated, 2u); // both sides of the second
  EXPECT_EQ(d.cutTokens, 2u + 3u);
  EXPECT_EQ(d.textBytes, 7u); // of what is written, not of what is read
  I id(4), target(4), seg(4), from(5), fromSeg(5);
  std::vector<uint8_t> mask(4);
  d.fill(0, id.data(), nullptr, seg.data(), target.data(), mask.data());
  EXPECT_EQ(id, (I{END, 'x', PAD, PAD}));
  EXPECT_EQ(target, (I{'x', END, PAD, PAD}));
  EXPECT_EQ(mask, (std::vector<uint8_t>{1, 1, 0, 0}));
  d.source->fill(0, from.data(), nullptr, fromSeg.data(), nullptr, nullptr);
  EXPECT_EQ(from, (I{END, 'a', 'b', 'c', PAD}));
  EXPECT_EQ(fromSeg, (I{0, 0, 0, 0, -1}));
  d.fill(1, id.data(), nullptr, nullptr, target.data(), mask.data());
  EXPECT_EQ(id, (I{END, 'u', 'v', 'w'}));
  EXPECT_EQ(target, (I{'u', 'v', 'w', 'x'}));
}

TEST_F(Pairs, BatchesHaveBothSidesOfARow) {
  auto data = openPacked(tree("{\"text\":\"a\",\"to\":\"x\"}\n{\"text\":\"bc\",\"to\":\"yz\"}\n"), ctx);
  ASSERT_TRUE(data) << data.status().message();
  alignas(64) char arena[512] = {};
  auto field = [](const char *name, uint64_t offset, int64_t length, uint32_t bound) {
    r1_field f = {};
    f.name = name, f.dtype = R1_I32, f.rank = 2, f.dims[0] = 2, f.dims[1] = length, f.offset = offset, f.bound = bound;
    return f;
  };
  r1_field fields[] = {field("x.id", 0, 4, 258), field("source.id", 64, 5, 258), field("source.seg", 128, 5, 0)};
  r1_program p = {};
  p.name = "step", p.inputs = fields, p.n_inputs = 3;
  auto batcher = Batcher::create(*data, p);
  ASSERT_TRUE(batcher) << batcher.status().message();
  EXPECT_EQ(batcher->fill(arena, [](int64_t b) { return uint32_t(1 - b); }), 5u);
  auto *x = reinterpret_cast<int32_t *>(arena), *from = x + 16, *seg = x + 32;
  EXPECT_EQ(I(x, x + 8), (I{END, 'y', 'z', PAD, END, 'x', PAD, PAD}));
  EXPECT_EQ(I(from, from + 10), (I{END, 'b', 'c', PAD, PAD, END, 'a', PAD, PAD, PAD}));
  EXPECT_EQ(I(seg, seg + 10), (I{0, 0, 0, -1, -1, 0, 0, -1, -1, -1}));
  fields[1] = field("source.id", 64, 4, 258);
  auto wrong = Batcher::create(*data, p);
  ASSERT_FALSE(wrong);
  EXPECT_NE(wrong.status().message().find("`source.id` does not have the shape [batch, 5]"), std::string::npos)
      << wrong.status().message();
}

TEST_F(Pairs, ARowWithoutAText) {
  refuses("{\"text\":\"a\",\"to\":\"x\"}\n{\"text\":\"b\",\"to\":\"\"}\n", "a.jsonl@22: the target is empty");
  refuses("{\"text\":\"\",\"to\":\"x\"}\n", "a.jsonl@0: the source is empty; filter(r => …) in front of `translate`");
  refuses("{\"text\":\"b\",\"to\":7}\n", "the target is 7; it is a text");
  refuses("{\"text\":\"b\"}\n", "the target is null");
}

} // namespace
