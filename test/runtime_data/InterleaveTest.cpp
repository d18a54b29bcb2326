#include "runtime/data/Interleave.h"
#include "runtime/state/Files.h"
#include <filesystem>
#include <gtest/gtest.h>
#include <unistd.h>

using namespace r1rt;
using nlohmann::json;

namespace {

class Interleaved : public testing::Test {
protected:
  void SetUp() override {
    dir = testing::TempDir() + "/r1rt_interleave_" + std::to_string(getpid());
    std::filesystem::create_directories(dir);
    ctx.baseDir = dir;
    write("a.jsonl", "{\"text\":\"first of a\",\"label\":0}\n{\"text\":\"ab\",\"label\":1}\n");
    write("b.jsonl", "{\"text\":\"the only text of b, a long one\",\"label\":1}\n");
    write("c.jsonl", "{\"text\":\"c\",\"label\":0}\n{\"text\":\"cc\",\"label\":0}\n{\"text\":\"ccc\",\"label\":1}\n");
  }
  void TearDown() override { std::filesystem::remove_all(dir); }
  void write(const std::string &name, const std::string &text) {
    EXPECT_TRUE(writeFileAtomic(dir + "/" + name, text));
  }
  json rows(const char *file, json op) {
    op["tok"] = {{"op", "bytes_tokenizer"}};
    op["in"] = {{"op", "jsonl"}, {"path", file}, {"text", "text"}};
    return op;
  }
  json pack(const char *file, int seq = 8) {
    return rows(file, {{"op", "pack"}, {"seq", seq}, {"separate", true}});
  }
  json label(const char *file, int classes = 2, const char *side = "right") {
    return rows(file, {{"op", "label"}, {"len", 8}, {"classes", classes}, {"cut", "tail"}, {"side", side}});
  }
  json of(json sources) { return {{"op", "interleave"}, {"sources", std::move(sources)}, {"adapt", nullptr}}; }
  std::string failure(const json &tree) {
    auto r = openPacked(tree, ctx);
    EXPECT_FALSE(r);
    return r ? "" : r.status().message();
  }

  std::string dir;
  DataContext ctx;
};

struct Filled {
  std::vector<int32_t> id, pos, seg, target;
  std::vector<uint8_t> mask;
  Filled(const PackedData &p, uint32_t row, uint64_t draw = 0)
      : id(p.seq), pos(p.seq), seg(p.seq), target(p.seq), mask(p.seq) {
    p.fill(row, id.data(), pos.data(), seg.data(), target.data(), mask.data(), draw);
  }
  bool operator==(const Filled &) const = default;
};

TEST_F(Interleaved, HoldsTheRowsOfAllSources) {
  for (bool labelled : {false, true}) {
    json sources;
    for (const char *name : {"a", "b", "c"}) {
      std::string file = std::string(name) + ".jsonl";
      sources[name] = labelled ? label(file.c_str()) : pack(file.c_str());
    }
    auto whole = openPacked(of(sources), ctx);
    ASSERT_TRUE(whole) << whole.status().message();
    const PackedData &w = **whole;
    ASSERT_EQ(w.sources.size(), 3u);
    uint32_t at = 0;
    uint64_t bytes = 0, tokens = 0, documents = 0, truncated = 0;
    for (const PackedData::Source &s : w.sources) {
      auto part = openPacked(sources[s.name], ctx);
      ASSERT_TRUE(part);
      EXPECT_EQ(s.first, at);
      ASSERT_EQ(s.rows, (*part)->rows());
      for (uint32_t r = 0; r < s.rows; ++r, ++at) {
        EXPECT_EQ(Filled(w, at), Filled(**part, r)) << s.name << " " << r;
        EXPECT_EQ(w.targets(at), (*part)->targets(r));
        if (!w.labels.empty())
          EXPECT_EQ(w.labels[at], (*part)->labels[r]);
      }
      bytes += (*part)->textBytes;
      documents += (*part)->documents;
      truncated += (*part)->truncated;
      tokens += (*part)->shape()["tokens"].get<uint64_t>();
    }
    EXPECT_EQ(w.rows(), at);
    EXPECT_EQ(w.textBytes, bytes);
    EXPECT_EQ(w.documents, documents);
    EXPECT_EQ(w.truncated, truncated);
    EXPECT_EQ(w.shape()["tokens"], tokens);
  }
}

TEST_F(Interleaved, IsMaskedAsAWhole) {
  json one = pack("a.jsonl"), two = pack("b.jsonl");
  for (json *t : {&one, &two})
    (*t)["tok"]["special"] = {"<mask>"};
  json tree = {{"op", "masked"}, {"rate", 0.5}, {"token", "<mask>"}, {"in", of({{"a", one}, {"b", two}})}};
  auto whole = openPacked(tree, ctx), part = openPacked({{"op", "masked"}, {"rate", 0.5}, {"token", "<mask>"}, {"in", two}}, ctx);
  ASSERT_TRUE(whole && part);
  EXPECT_EQ(Filled(**whole, (*whole)->sources[1].first, 5), Filled(**part, 0, 5));
  EXPECT_NE(failure(of({{"a", one}, {"b", {{"op", "masked"}, {"rate", 0.5}, {"token", "<mask>"}, {"in", two}}}}))
                .find("source `b` is masked"),
            std::string::npos);
}

TEST_F(Interleaved, RefusesRowsOfDifferentKinds) {
  auto says = [&](json a, json b, const char *one, const char *other) {
    std::string m = failure(of({{"a", a}, {"b", b}}));
    for (const char *what : {"source `b`", "`a`", one, other})
      EXPECT_NE(m.find(what), std::string::npos) << what << " in " << m;
  };
  says(pack("a.jsonl"), pack("b.jsonl", 16), "rows of 8 tokens", "rows of 16 tokens");
  says(label("a.jsonl"), label("b.jsonl", 3), "2 classes", "3 classes");
  says(label("a.jsonl"), label("b.jsonl", 2, "left"), "on the right", "on the left");
  json special = pack("b.jsonl");
  special["tok"]["special"] = {"<x>"};
  says(pack("a.jsonl"), special, "vocabulary of 258", "vocabulary of 259");
  EXPECT_NE(failure(of({{"a", of({{"b", pack("b.jsonl")}})}})).find("source `a` is masked or interleaved already"),
            std::string::npos);
  EXPECT_EQ(failure(of(json::object())), "`interleave` has no sources");
  EXPECT_NE(failure(of({{"a", pack("none.jsonl")}})).find("source `a`"), std::string::npos);
}

} // namespace
