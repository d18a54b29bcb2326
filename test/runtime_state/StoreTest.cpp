#include "runtime/state/Store.h"
#include "runtime/state/Files.h"
#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

using namespace r1rt;
namespace fs = std::filesystem;

class StoreTest : public ::testing::Test {
protected:
  std::string root = testing::TempDir() + "/r1rt_store_" + std::to_string(getpid());
  void SetUp() override { fs::remove_all(root); }
  void TearDown() override { fs::remove_all(root); }
};

TEST_F(StoreTest, AbsentInterruptedFinished) {
  auto s = Store::open(root);
  ASSERT_TRUE(s) << s.status().message();
  EXPECT_EQ((*s)->state("f1"), ArtifactState::absent);
  {
    auto lease = (*s)->begin("f1", {{"stage", "tok"}});
    ASSERT_TRUE(lease) << lease.status().message();
    EXPECT_EQ(lease->state(), ArtifactState::absent);
    ASSERT_TRUE(writeFileAtomic(lease->dir() + "/x.bin", "hello"));
  }
  EXPECT_EQ((*s)->state("f1"), ArtifactState::interrupted);
  {
    auto lease = (*s)->begin("f1", {{"stage", "tok"}});
    EXPECT_EQ(lease->state(), ArtifactState::interrupted);
    ASSERT_TRUE((*s)->finish(*lease, {{"result", 3}}));
  }
  EXPECT_EQ((*s)->state("f1"), ArtifactState::finished);
  EXPECT_EQ((*(*s)->manifest("f1"))["files"]["x.bin"], 5);
  EXPECT_EQ((*s)->list(), std::vector<std::string>{"f1"});
  EXPECT_EQ((*s)->begin("f1", {})->state(), ArtifactState::finished);
  // A file cut short is noticed.
  fs::resize_file(root + "/f1/x.bin", 2);
  EXPECT_EQ((*s)->state("f1"), ArtifactState::interrupted);
}

TEST_F(StoreTest, ABrokenManifestIsNamed) {
  auto s = Store::open(root);
  {
    auto lease = (*s)->begin("f1", {{"stage", "tok"}});
    EXPECT_EQ((*s)->damage("f1"), "");
    ASSERT_TRUE(writeFileAtomic(lease->dir() + "/x.bin", "hello"));
    ASSERT_TRUE((*s)->finish(*lease));
  }
  EXPECT_EQ((*s)->damage("f1"), "");
  std::string file = root + "/f1/manifest.json", whole = *readFile(file);
  for (auto &[text, what] : std::initializer_list<std::pair<std::string, std::string>>{
           {"", "is broken at byte 0 of 0"},
           {whole.substr(0, 40), "is broken at byte 40 of 40, where a JSON object was expected"},
           {"[1]", "holds array where a JSON object was expected"},
           {"{}", "has no `state`"},
           {R"({"state": "done"})", "has the state \"done\", where interrupted or finished"},
           {R"({"state": "finished"})", "has no `files`"},
           {R"({"state": "finished", "files": {}, "stage": 5})", "holds number as `stage`"},
           {R"({"state": "finished", "files": {}, "time": "x"})", "holds string as `time`"},
           {R"({"state": "finished", "files": {"x.bin": "5"}})", "x.bin has 5 bytes"}}) {
    ASSERT_TRUE(writeFileAtomic(file, text));
    EXPECT_EQ((*s)->state("f1"), ArtifactState::interrupted) << text;
    EXPECT_NE((*s)->damage("f1").find(what), std::string::npos) << (*s)->damage("f1");
  }
  fs::remove(file);
  EXPECT_EQ((*s)->damage("f1"), "manifest.json is missing, and x.bin is there");
  fs::remove(root + "/f1/x.bin"); // only the lock: a run that was killed at once
  EXPECT_EQ((*s)->damage("f1"), "");
}

TEST_F(StoreTest, LookingWritesNothing) {
  auto s = Store::look(root);
  ASSERT_TRUE(s) << s.status().message();
  EXPECT_FALSE((*s)->writable());
  EXPECT_EQ((*s)->state("f1"), ArtifactState::absent);
  EXPECT_TRUE((*s)->list().empty());
  EXPECT_FALSE((*s)->begin("f1", {}));
  EXPECT_FALSE(fs::exists(root));
  ASSERT_TRUE(Store::open(root));
  std::string f = testing::TempDir() + "/r1rt_looked_at_" + std::to_string(getpid());
  std::ofstream(f) << "abc";
  EXPECT_TRUE((*Store::look(root))->fileHash(f));
  EXPECT_TRUE(fs::is_empty(root));
  fs::remove(f);
  std::ofstream(root + "/file") << "";
  EXPECT_FALSE(Store::look(root + "/file"));
}

TEST_F(StoreTest, FilesThatAreFlushedLaterAreWholeAtOnce) {
  ASSERT_TRUE(makeDirs(root));
  const std::string paths[] = {root + "/a", root + "/b"};
  for (const std::string &path : paths) {
    ASSERT_TRUE(writeFileAtomic(path, "one", Flush::later));
    ASSERT_TRUE(writeFileAtomic(path, "two", Flush::later));
    EXPECT_EQ(*readFile(path), "two");
  }
  EXPECT_TRUE(flushFiles(paths));
  EXPECT_EQ(std::distance(fs::directory_iterator(root), fs::directory_iterator()), 2);
  fs::remove(paths[1]); // what is to be on the disk must be there
  Status st = flushFiles(paths);
  EXPECT_EQ(st.exitCode(), 3);
  EXPECT_NE(st.message().find("`" + paths[1] + "`"), std::string::npos) << st.message();
}

TEST_F(StoreTest, SecondRunWaits) {
  auto s = Store::open(root);
  auto lease = std::make_unique<ArtifactLease>((*s)->begin("f", {}).take());
  std::atomic<bool> waited{false}, got{false};
  std::thread other([&] {
    auto t = Store::open(root);
    auto l = (*t)->begin("f", {}, [&](const std::string &m) { waited = !m.empty(); });
    got = true;
    EXPECT_EQ(l->state(), ArtifactState::finished);
  });
  while (!waited)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  EXPECT_FALSE(got);
  ASSERT_TRUE((*s)->finish(*lease));
  lease.reset();
  other.join();
}

TEST_F(StoreTest, FileHashFollowsTheContent) {
  auto s = Store::open(root);
  std::string f = root + "/data.txt";
  std::ofstream(f) << "abc";
  auto a = (*s)->fileHash(f);
  ASSERT_TRUE(a);
  EXPECT_EQ(*a, sha256("abc"));
  std::ofstream(f) << "abcd";
  EXPECT_EQ(*(*s)->fileHash(f), sha256("abcd"));
  EXPECT_FALSE((*s)->fileHash(root + "/missing"));
}

TEST_F(StoreTest, ReadOnlyStoreServesWhatItHas) {
  {
    auto s = Store::open(root);
  }
  if (geteuid() == 0) {
    // Root may write anywhere, so the check runs as someone else.
    pid_t child = fork();
    if (child == 0) {
      if (setuid(65534))
        _exit(9);
      auto s = Store::open(root);
      auto l = (*s)->begin("f", {});
      _exit(!l && l.status().message().find("read-only") != std::string::npos ? 0 : 1);
    }
    int code = 0;
    waitpid(child, &code, 0);
    EXPECT_EQ(WEXITSTATUS(code), 0);
  } else {
    fs::permissions(root, fs::perms::owner_read | fs::perms::owner_exec);
    auto s = Store::open(root);
    EXPECT_FALSE((*s)->begin("f", {}));
    fs::permissions(root, fs::perms::owner_all);
  }
}
