#include "runtime/source/Globs.h"
#include "runtime/source/JsonText.h"
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

class NamesTest : public ::testing::Test {
protected:
  std::string dir = testing::TempDir() + "r1rt_names_" + std::to_string(getpid());
  void SetUp() override { fs::create_directories(dir); }
  void TearDown() override { fs::remove_all(dir); }
  void touch(const std::string &name) {
    fs::create_directories(fs::path(dir + "/" + name).parent_path());
    std::ofstream(dir + "/" + name) << "x";
  }
};

TEST_F(NamesTest, StringsAreEscapedAsAnotherParserReadsThem) {
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

TEST_F(NamesTest, Globs) {
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
