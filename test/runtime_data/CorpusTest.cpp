#include "runtime/corpus/Plan.h"
#include "runtime/data/Corpus.h"
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <set>
#include <unistd.h>

using namespace r1rt;
using nlohmann::json;
namespace fs = std::filesystem;

class CorpusTest : public ::testing::Test {
protected:
  std::string dir = testing::TempDir() + "/r1rt_data_" + std::to_string(getpid());
  DataContext ctx;
  void SetUp() override {
    fs::create_directories(dir);
    ctx.baseDir = dir;
  }
  void TearDown() override { fs::remove_all(dir); }
  void put(const std::string &name, const std::string &text) {
    std::ofstream(dir + "/" + name) << text;
  }
  std::vector<std::string> texts(const json &tree) {
    auto c = openCorpus(tree, ctx);
    EXPECT_TRUE(c) << c.status().message();
    std::vector<std::string> out;
    if (c)
      for (const Row &r : (*c)->rows)
        out.push_back(r.text);
    return out;
  }
  void fails(const json &tree, const std::string &what) {
    auto c = openCorpus(tree, ctx);
    ASSERT_FALSE(c) << what;
    EXPECT_NE(c.status().message().find(what), std::string::npos) << c.status().message();
  }
  static json lines(const std::string &path, const std::string &by) {
    return {{"op", "lines"}, {"path", path}, {"by", by}};
  }
};

using Texts = std::vector<std::string>;

TEST_F(CorpusTest, LinesParagraphsFiles) {
  put("a.txt", "\xEF\xBB\xBFone\r\ntwo\n\n \nthree\n%\nfour\nfive");
  EXPECT_EQ(texts(lines("a.txt", "line")), (Texts{"one", "two", "three", "%", "four", "five"}));
  EXPECT_EQ(texts(lines("a.txt", "paragraph")), (Texts{"one\ntwo", "three", "four\nfive"}));
  put("b.txt", "B\n");
  EXPECT_EQ(texts(lines("b*.txt", "file")), (Texts{"B\n"}));
  EXPECT_EQ(texts(lines("?.txt", "file")).size(), 2u);
  auto files = corpus::treeFiles({{"op", "sample"}, {"n", 1}, {"in", lines("*.txt", "line")}}, ctx);
  ASSERT_EQ(files->size(), 2u);
  EXPECT_TRUE(files->at(0).ends_with("/a.txt") && files->at(1).ends_with("/b.txt"));
}

TEST_F(CorpusTest, ReaderErrorsNameTheFile) {
  fails(lines("missing.txt", "line"), "there is no file `" + dir + "/missing.txt`");
  fails(lines("m*.txt", "line"), "no file matches");
  put("empty.txt", "");
  fails(lines("empty.txt", "line"), "empty.txt` is empty");
  fails(lines(".", "line"), "is a directory");
  put("bad.txt", "ok\nab\xff\n");
  fails(lines("bad.txt", "line"), "line 2 (byte 3): wrong UTF-8 at byte 2 of the row: 0xFF");
  put("blank.txt", "\n \n");
  fails(lines("blank.txt", "line"), "only blank lines");
  put("x.txt", "x");
  fails(lines("x.txt", "word"), "it can be");
}

TEST_F(CorpusTest, SplitByHashIsAPartition) {
  std::string all;
  for (int i = 0; i < 2000; ++i)
    all += "row " + std::to_string(i % 1000) + "\n";
  put("a.txt", all);
  auto part = [&](const char *name) {
    return texts({{"op", "split"},
                  {"part", name},
                  {"fractions", {{"train", 0.8}, {"test", 0.2}}},
                  {"by", nullptr},
                  {"in", lines("a.txt", "line")}});
  };
  Texts train = part("train"), test = part("test");
  EXPECT_EQ(train.size() + test.size(), 2000u);
  EXPECT_NEAR(double(test.size()), 400, 80);
  std::set<std::string> t(train.begin(), train.end());
  for (auto &r : test)
    EXPECT_FALSE(t.count(r)); // equal rows stay together
  fails({{"op", "split"},
         {"part", "valid"},
         {"fractions", {{"train", 0.8}}},
         {"in", lines("a.txt", "line")}},
        "has no part `valid`");
  fails({{"op", "split"},
         {"part", "train"},
         {"fractions", {{"train", 0.8}, {"test", 0.3}}},
         {"in", lines("a.txt", "line")}},
        "more than 100 %");
}

TEST_F(CorpusTest, ContiguousSplitCutsInsideRows) {
  put("a.txt", "0123456789abcdefg\xC3\xA9ij");
  auto part = [&](const char *name) {
    return texts({{"op", "split"},
                  {"part", name},
                  {"fractions", {{"train", 0.85}, {"test", 0.15}}},
                  {"contiguous", true},
                  {"in", lines("a.txt", "file")}});
  };
  // 85 % of 21 bytes is 18, inside the two bytes of the accented letter.
  EXPECT_EQ(part("train"), (Texts{"0123456789abcdefg\xC3\xA9"}));
  EXPECT_EQ(part("test"), (Texts{"ij"}));
}

TEST_F(CorpusTest, FilterMapSample) {
  put("a.txt", "a\nbb\nccc\ndddd\n");
  ctx.rowFns.push_back(
      [](const json &r) -> Result<json> { return json(r["text"].get<std::string>().size() > 1); });
  ctx.rowFns.push_back([](const json &r) -> Result<json> {
    return json{{"text", r["text"].get<std::string>() + "!"}, {"n", 1}};
  });
  ctx.rowFns.push_back(
      [](const json &) -> Result<json> { return Status::error("division by zero"); });
  json filtered = {{"op", "filter"}, {"keep", {{"row_fn", 0}}}, {"in", lines("a.txt", "line")}};
  EXPECT_EQ(texts({{"op", "map_rows"}, {"to", {{"row_fn", 1}}}, {"in", filtered}}),
            (Texts{"bb!", "ccc!", "dddd!"}));
  fails({{"op", "filter"}, {"keep", {{"row_fn", 2}}}, {"in", lines("a.txt", "line")}},
        "row a.txt@0: division by zero");
  EXPECT_EQ(texts({{"op", "sample"}, {"n", 2}, {"in", lines("a.txt", "line")}}).size(), 2u);
  fails({{"op", "sample"}, {"n", 5}, {"in", lines("a.txt", "line")}}, "there are 4");
  fails({{"op", "dedup"}, {"in", lines("a.txt", "line")}}, "needs a stage of its own");
  fails({{"op", "rotate"}, {"in", lines("a.txt", "line")}}, "not supported yet");
  fails({{"op", "sample"}, {"n", "x"}, {"in", lines("a.txt", "line")}}, "not right");
}

TEST_F(CorpusTest, CompressedFilesAreRead) {
  put("plain.txt", "one\ntwo\n");
  ASSERT_EQ(std::system(("cd " + dir + " && gzip -k plain.txt && mv plain.txt.gz packed.txt").c_str()), 0);
  json tree = {{"op", "lines"}, {"path", "packed.txt"}, {"by", "line"}};
  EXPECT_EQ(texts(tree), (std::vector<std::string>{"one", "two"}));
  fs::resize_file(dir + "/packed.txt", fs::file_size(dir + "/packed.txt") - 9);
  auto cut = openCorpus({{"op", "lines"}, {"path", "./packed.txt"}, {"by", "line"}}, ctx);
  ASSERT_FALSE(cut);
  EXPECT_NE(cut.status().message().find("packed.txt: at byte"), std::string::npos) << cut.status().message();
}
