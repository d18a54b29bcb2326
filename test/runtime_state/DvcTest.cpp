#include "runtime/state/Dvc.h"
#include "runtime/state/Files.h"
#include <filesystem>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

using namespace r1rt;
using namespace r1rt::dvc;

namespace {
struct Dir {
  std::string path = testing::TempDir() + "dvc-" + std::to_string(::getpid());
  Dir() {
    std::filesystem::remove_all(path);
    std::filesystem::create_directories(path);
  }
  ~Dir() { std::filesystem::remove_all(path); }
  void put(const std::string &name, std::string_view content) {
    std::string file = path + "/" + name;
    EXPECT_TRUE(makeDirs(std::filesystem::path(file).parent_path()).isOk());
    EXPECT_TRUE(writeFileAtomic(file, content).isOk());
  }
};
} // namespace

TEST(Dvc, HashesOfAFile) {
  Dir d;
  d.put("hello", "hello world");
  FileHashes h = hashFile(d.path + "/hello").take();
  EXPECT_EQ(h.md5, "5eb63bbbe01eeed093cb22bb8f5acdc3");
  EXPECT_EQ(h.sha256, "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9");
  EXPECT_EQ(h.size, 11u);
  std::string large(3'000'001, 'x');
  d.put("large", large);
  EXPECT_EQ(hashFile(d.path + "/large")->sha256, sha256(large));
  EXPECT_EQ(hashFile(d.path + "/none").status().message(),
            "cannot read `" + d.path + "/none`: No such file or directory");
  EXPECT_EQ(hashFile(d.path).status().message(), "cannot read `" + d.path + "`: Is a directory");
}

// What `dvc add` 3.67.1 writes for this directory.
TEST(Dvc, ADirectoryAsDvcSeesIt) {
  Dir d;
  d.put("dir/a.txt", "hello\n");
  d.put("dir/法.txt", "法\n");
  d.put("dir/sub x/\"q\".txt", "");
  d.put("dir/Z.txt", "z\n");
  d.put("dir/sub x.txt", "s\n");
  d.put("dir/sub", "s\n");
  d.put("dir/tab\there.txt", "x");
  d.put("dir/😀", "e");
  std::filesystem::create_directories(d.path + "/dir/empty");
  Item item = itemAt(d.path, "dir").take();
  EXPECT_EQ(item.md5, "5198cb94c090620ae94965fce56dded7.dir");
  EXPECT_EQ(item.size, 18u);
  EXPECT_EQ(item.files, 8u);
  EXPECT_EQ(item.path, "dir");
  d.put("dir/sub", "S\n");
  EXPECT_NE(itemAt(d.path, "dir")->md5, item.md5);
  d.put("file.bin", "abc\n");
  Item file = itemAt(d.path, "file.bin").take();
  EXPECT_EQ(file.md5, "0bee89b07a248e27c83fc3d5951213c1");
  EXPECT_EQ(file.size, 4u);
  EXPECT_EQ(file.files, 0u);
}

// The MD5 of what Python's json.dumps writes.
TEST(Dvc, NamesAreEscapedAsByPython) {
  std::string x = "9dd4e461268c8034f5c8564e155c67a6";
  std::vector<Entry> entries = {{"法", x, 1}, {"a.txt", x, 1}, {"\xFF\xC3x\xED\xA0\x80", x, 1},
                                {"\x7F\x01\b\f\n\r\t\"\\", x, 1}, {"é", x, 1}};
  EXPECT_EQ(directory("d", entries).md5, "b3581975db1495f427bc2063c6448518.dir");
  EXPECT_EQ(directory("d", {}).md5, "d751713988987e9331980363e24189ce.dir");
}

TEST(Dvc, LinksAreFollowedAndOtherThingsRefused) {
  Dir d;
  d.put("real/a.txt", "hello\n");
  std::filesystem::create_directories(d.path + "/dir");
  std::filesystem::create_symlink("../real/a.txt", d.path + "/dir/a.txt");
  EXPECT_EQ(itemAt(d.path, "dir")->md5, itemAt(d.path, "real")->md5);
  ASSERT_EQ(::mkfifo((d.path + "/dir/pipe").c_str(), 0600), 0);
  EXPECT_EQ(itemAt(d.path, "dir").status().message(),
            "`" + d.path + "/dir/pipe` is neither a file nor a directory; DVC keeps versions of these only");
  EXPECT_EQ(itemAt(d.path, "dir/pipe").status().message(),
            "`" + d.path + "/dir/pipe` is neither a file nor a directory; DVC keeps versions of these only");
  std::filesystem::remove(d.path + "/dir/pipe");
  std::filesystem::create_symlink("..", d.path + "/dir/round");
  EXPECT_FALSE(itemAt(d.path, "dir").isOk());
  EXPECT_EQ(itemAt(d.path, "none").status().message(),
            "cannot read `" + d.path + "/none`: No such file or directory");
}

TEST(Dvc, DvcFiles) {
  Item dir = {"out/clean", "5198cb94c090620ae94965fce56dded7.dir", 18, 8};
  EXPECT_EQ(dvcFile(dir), "outs:\n"
                          "- hash: md5\n"
                          "  md5: \"5198cb94c090620ae94965fce56dded7.dir\"\n"
                          "  size: 18\n"
                          "  nfiles: 8\n"
                          "  path: out/clean\n"
                          "  cache: false\n");
  EXPECT_EQ(dvcFile({"yes", "0bee89b07a248e27c83fc3d5951213c1", 4}, true), "outs:\n"
                                                                           "- hash: md5\n"
                                                                           "  md5: \"0bee89b07a248e27c83fc3d5951213c1\"\n"
                                                                           "  size: 4\n"
                                                                           "  path: \"yes\"\n");
}

TEST(Dvc, Stages) {
  Item in = {"data/raw.txt", "0bee89b07a248e27c83fc3d5951213c1", 4};
  Item out = {"clean", "e198cb94c090620ae94965fce56dded7.dir", 18, 8};
  std::vector<Stage> stages = {{"clean", "r1c run clean.r1 --only clean", {in}, {out}}, {"tok", "x", {out}, {}}};
  EXPECT_EQ(dvcYaml(stages), "stages:\n"
                             "  clean:\n"
                             "    cmd: \"r1c run clean.r1 --only clean\"\n"
                             "    deps:\n"
                             "    - data/raw.txt\n"
                             "    outs:\n"
                             "    - clean:\n"
                             "        cache: false\n"
                             "  tok:\n"
                             "    cmd: x\n"
                             "    deps:\n"
                             "    - clean\n");
  EXPECT_EQ(dvcLock(stages), "schema: '2.0'\n"
                             "stages:\n"
                             "  clean:\n"
                             "    cmd: \"r1c run clean.r1 --only clean\"\n"
                             "    deps:\n"
                             "    - path: data/raw.txt\n"
                             "      hash: md5\n"
                             "      md5: \"0bee89b07a248e27c83fc3d5951213c1\"\n"
                             "      size: 4\n"
                             "    outs:\n"
                             "    - path: clean\n"
                             "      hash: md5\n"
                             "      md5: e198cb94c090620ae94965fce56dded7.dir\n"
                             "      size: 18\n"
                             "      nfiles: 8\n"
                             "  tok:\n"
                             "    cmd: x\n"
                             "    deps:\n"
                             "    - path: clean\n"
                             "      hash: md5\n"
                             "      md5: e198cb94c090620ae94965fce56dded7.dir\n"
                             "      size: 18\n"
                             "      nfiles: 8\n");
  EXPECT_EQ(dvcYaml({}), "stages: {}\n");
  EXPECT_EQ(dvcLock({}), "schema: '2.0'\nstages: {}\n");
}

TEST(Dvc, PathsThatYamlWouldTakeForSomethingElse) {
  auto path = [](const std::string &p) {
    std::string text = dvcFile({p, "x", 0}, true);
    return text.substr(text.find("path: ") + 6);
  };
  for (const char *p : {"null", "No", "12", "1e5", "0x1f", "2020-01-01", "a: b", "#x", "-x", "", ".inf", "a b", "*x", "~"})
    EXPECT_EQ(path(p), "\"" + std::string(p) + "\"\n");
  EXPECT_EQ(path("法 \"x\"\\"), "\"\\u6cd5 \\\"x\\\"\\\\\"\n");
  EXPECT_EQ(path("../data/raw_1.txt"), "../data/raw_1.txt\n");
}
