#include "runtime/source/Globs.h"
#include "runtime/source/Records.h"
#include "runtime/source/ShardWriter.h"
#include "runtime/state/Files.h"
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <random>
#include <unistd.h>

using namespace r1rt;
using namespace r1rt::source;
namespace fs = std::filesystem;

namespace {

class WriterTest : public ::testing::Test {
protected:
  std::string dir = testing::TempDir() + "r1rt_writer_" + std::to_string(getpid());
  void SetUp() override { fs::create_directories(dir); }
  void TearDown() override { fs::remove_all(dir); }
  void touch(const std::string &name) {
    fs::create_directories(fs::path(dir + "/" + name).parent_path());
    std::ofstream(dir + "/" + name) << "x";
  }
  std::string output(const std::string &command) {
    FILE *p = popen(("cd " + dir + " && " + command).c_str(), "r");
    std::string out;
    for (int c; (c = fgetc(p)) != EOF;)
      out += char(c);
    pclose(p);
    return out;
  }
};

TEST_F(WriterTest, StringsAreEscapedAsAnotherParserReadsThem) {
  std::mt19937 draw(3);
  for (int i = 0; i < 2000; ++i) {
    std::string text;
    for (int n = int(draw() % 40); n > 0; --n) {
      const char *parts[] = {"\"",   "\\",   "\n", "a",  "plain text ", "\x01",
                             "\x1f", "\x7f", "é",  "数", "🙂",        "\t\r\b\f"};
      text += draw() % 9 ? parts[draw() % 12] : std::string(1, '\0');
    }
    std::string out;
    appendJsonString(text, out);
    EXPECT_EQ(nlohmann::json::parse(out), nlohmann::json(text));
  }
  std::string out;
  appendJsonString("a\"\x01é", out);
  EXPECT_EQ(out, "\"a\\\"\\u0001é\"");
}

// The tools of the system tell the hashes and what is inside.
TEST_F(WriterTest, ShardsAreWhatTheySay) {
  std::string path = dir + "/s.jsonl.zst", wanted;
  auto writer = ShardWriter::create(path);
  ASSERT_TRUE(writer);
  uint64_t bytes = 0;
  for (int i = 0; i < 20000; ++i) {
    std::string text = "Zeile \"" + std::to_string(i * 7919 % 20011) + "\"\n数据", more;
    if (i % 3)
      more = "{\"id\":" + std::to_string(i) + ",\"z\":[1,{}]}";
    ASSERT_TRUE((*writer)->add(text, more));
    bytes += text.size();
    nlohmann::json j = nlohmann::json::parse(more.empty() ? "{}" : more);
    j["text"] = text;
    wanted += j.dump() + "\n";
  }
  EXPECT_FALSE(fs::exists(path));
  auto info = (*writer)->finish();
  ASSERT_TRUE(info) << info.status().message();
  EXPECT_EQ(info->rows, 20000u);
  EXPECT_EQ(info->textBytes, bytes);
  EXPECT_EQ(info->fileBytes, fs::file_size(path));
  EXPECT_EQ(output("sha256sum s.jsonl.zst").substr(0, 64), info->sha256);
  EXPECT_EQ(output("md5sum s.jsonl.zst").substr(0, 32), info->md5);
  EXPECT_EQ(std::distance(fs::directory_iterator(dir), fs::directory_iterator()), 1);
  EXPECT_FALSE((*writer)->add("more", ""));

  std::string got;
  SourceOptions options;
  options.format = Format::jsonl;
  options.blockBytes = 50000;
  auto reader = BlockReader::open(path, options);
  RecordParser parser(options);
  for (Block block; *(*reader)->next(block);)
    ASSERT_TRUE(parser.parse(
        block,
        [&](const Record &r) {
          nlohmann::json j = nlohmann::json::parse(r.more.empty() ? "{}" : r.more);
          j["text"] = r.text;
          got += j.dump() + "\n";
        },
        [](const BadRow &b) { ADD_FAILURE() << b.what; }));
  EXPECT_EQ(got, wanted);

  // The same rows, the same bytes; another level, other ones.
  std::vector<std::string> hashes;
  for (int level : {3, 3, 9}) {
    auto again = ShardWriter::create(dir + "/again", level);
    for (int i = 0; i < 5000; ++i)
      ASSERT_TRUE((*again)->add("row " + std::to_string(i * 7919 % 5003), ""));
    hashes.push_back((*again)->finish()->sha256);
  }
  EXPECT_EQ(hashes[0], hashes[1]);
  EXPECT_NE(hashes[0], hashes[2]);
}

TEST_F(WriterTest, NothingIsLeftOfAShardThatIsNotFinished) {
  {
    auto writer = ShardWriter::create(dir + "/s");
    ASSERT_TRUE((*writer)->add("a", ""));
  }
  EXPECT_TRUE(fs::is_empty(dir));
  auto none = ShardWriter::create(dir + "/no/s");
  ASSERT_FALSE(none);
  EXPECT_EQ(none.status().message(), "cannot write `" + dir + "/no/s`: No such file or directory");
  EXPECT_FALSE(ShardWriter::create(dir + "/s", 20));
}

TEST_F(WriterTest, AFullDiskIsNamed) {
  if (access("/dev/full", W_OK))
    GTEST_SKIP();
  // The temporary name is a link to the device that is always full.
  fs::create_symlink("/dev/full", dir + "/s.tmp" + std::to_string(getpid()));
  auto writer = ShardWriter::create(dir + "/s");
  ASSERT_TRUE(writer);
  ASSERT_TRUE((*writer)->add("a", ""));
  auto info = (*writer)->finish();
  ASSERT_FALSE(info);
  EXPECT_NE(info.status().message().find("the disk is full"), std::string::npos);
}

TEST_F(WriterTest, Globs) {
  for (const char *name : {"b.txt", "a.txt", "c.json", ".hidden.txt", "d/a.txt", "d/e/f.txt",
                           "d/e/g.md", "we[i]rd.txt"})
    touch(name);
  auto names = [&](std::vector<std::string> patterns) {
    auto r = expandGlobs(patterns, dir);
    std::string all;
    if (!r)
      return "ERROR " + r.status().message();
    for (const std::string &f : *r)
      all += f.substr(dir.size() + 1) + " ";
    return all;
  };
  EXPECT_EQ(names({"*.txt"}), "a.txt b.txt we[i]rd.txt ");
  EXPECT_EQ(names({"*.json", "[ab].txt", "a.txt"}), "a.txt b.txt c.json ");
  EXPECT_EQ(names({"**/*.txt"}), "a.txt b.txt d/a.txt d/e/f.txt we[i]rd.txt ");
  EXPECT_EQ(names({"d/**.md"}), "d/e/g.md ");
  EXPECT_EQ(names({"d/**"}), "d/a.txt d/e/f.txt d/e/g.md ");
  EXPECT_EQ(names({"d/**/f.*"}), "d/e/f.txt ");
  EXPECT_EQ(names({"we[i]rd.txt"}), "we[i]rd.txt ");
  EXPECT_EQ(names({"?/?/g.md"}), "d/e/g.md ");
  EXPECT_EQ(names({".*.txt"}), ".hidden.txt ");
  EXPECT_EQ(names({"d/*.md"}),
            "ERROR no file matches `" + dir + "/d/*.md`; `" + dir + "/d` holds a.txt, e");
  EXPECT_EQ(names({"d/x/y.md"}),
            "ERROR there is no file `" + dir + "/d/x/y.md`; `" + dir + "/d` holds a.txt, e");
  EXPECT_NE(names({"d"}).find("is a directory; `" + dir + "/d/*` names"), std::string::npos);
  EXPECT_EQ(names({dir + "/c.json"}), "c.json ");
}

} // namespace
