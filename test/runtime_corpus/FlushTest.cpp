// What lies on the disk when a chunk is declared done, and what is told when it cannot be written. The calls that
// bring files there, fsync and rename, go through this file.
#include "runtime/corpus/Artifact.h"
#include "runtime/corpus/Engine.h"
#include <cerrno>
#include <cstdio>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <future>
#include <gtest/gtest.h>
#include <mutex>
#include <pthread.h>
#include <set>
#include <sys/syscall.h>
#include <system_error>
#include <unistd.h>

using namespace r1rt;
using namespace r1rt::corpus;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

/// What a crash of the machine would leave.
struct Disk {
  std::mutex mutex;
  std::set<std::string> flushed;  // files whose content is there,
  std::set<std::string> renamed;  // and whose names are not yet
  std::set<std::string> early;    // a sidecar came before them
  std::set<std::string> suffixes; // of the files beside sidecars
  int sidecars = 0;
  std::string full; // files with this end find no room
} disk;

} // namespace

extern "C" int fsync(int fd) {
  char path[4096];
  const ssize_t n = readlink(("/proc/self/fd/" + std::to_string(fd)).c_str(), path, sizeof path);
  const std::string name(path, n < 0 ? 0 : size_t(n));
  std::lock_guard lock(disk.mutex);
  if (!disk.full.empty() && name.ends_with(disk.full)) {
    errno = ENOSPC;
    return -1;
  }
  if (syscall(SYS_fsync, fd))
    return -1;
  disk.flushed.insert(name);
  std::erase_if(disk.renamed, [&](const std::string &file) { return fs::path(file).parent_path() == name; });
  return 0;
}

extern "C" int rename(const char *from, const char *to) noexcept {
  std::lock_guard lock(disk.mutex);
  const std::string name = to;
  const std::string chunk = name.substr(0, name.rfind('.'));
  if (name == chunk + ".json" && fs::exists(chunk + ".rows")) {
    ++disk.sidecars;
    for (auto &f : fs::directory_iterator(fs::path(name).parent_path()))
      if (const std::string file = f.path(); file.starts_with(chunk + ".") && file != from) {
        disk.suffixes.insert(file.substr(chunk.size()));
        if (!disk.flushed.contains(file) || disk.renamed.contains(file))
          disk.early.insert(file);
      }
  }
  if (renameat(AT_FDCWD, from, AT_FDCWD, to))
    return -1;
  if (disk.flushed.erase(from))
    disk.flushed.insert(name);
  else
    disk.flushed.erase(name);
  disk.renamed.insert(name);
  return 0;
}

namespace {

class FlushTest : public testing::Test {
protected:
  fs::path dir;
  Context ctx;

  void SetUp() override {
    dir = fs::canonical(fs::temp_directory_path()) / ("flush-" + std::to_string(getpid()));
    fs::remove_all(dir);
    fs::create_directories(dir / "in");
    ctx.baseDir = (dir / "in").string();
    for (const char *name : {"a.txt", "b.txt"}) {
      std::ofstream out(dir / "in" / name);
      for (int i = 0; i < 200; ++i)
        out << name << " line " << i * i << " of a few words " << i % 50 << "\n";
    }
    disk.full.clear();
    disk.sidecars = 0;
    disk.early.clear();
    disk.suffixes.clear();
  }
  void TearDown() override {
    disk.full.clear();
    fs::remove_all(dir);
  }
  static json lines(const std::string &path) { return {{"op", "lines"}, {"path", path}, {"by", "line"}}; }
  EngineOptions options(const std::string &name) {
    EngineOptions o;
    o.dir = (dir / name).string();
    fs::create_directories(o.dir);
    o.chunkBytes = 1500;
    return o;
  }
  /// The files that were beside the sidecars, by suffix.
  std::set<std::string> filesOf(const json &tree) {
    for (unsigned threads : {1, 2}) {
      EngineOptions o = options("out" + std::to_string(threads));
      o.threads = threads;
      disk.sidecars = 0;
      disk.suffixes.clear();
      auto made = makeCorpus(tree, ctx, o);
      EXPECT_TRUE(made) << made.status().message();
      EXPECT_GE(disk.sidecars, 8);
      EXPECT_EQ(disk.early, std::set<std::string>());
      fs::remove_all(o.dir);
    }
    return disk.suffixes;
  }
  static json dedup(const json &how, const json &more) {
    json tree = {{"op", "dedup"}, {"how", how}, {"in", lines("a.txt")}};
    tree.update(more);
    return tree;
  }
};

} // namespace

using Names = std::set<std::string>;

TEST_F(FlushTest, ASidecarComesAfterAllThatItVouchesFor) {
  EXPECT_EQ(filesOf(lines("?.txt")), (Names{".ledger", ".rows"}));
  EXPECT_EQ(filesOf(dedup({{"dedup", "exact"}}, {{"keep", "longest"}})),
            (Names{".ids", ".keys", ".ledger", ".rows", ".sizes"}));
  EXPECT_EQ(filesOf(dedup({{"dedup", "minhash"}, {"shingle", 1}, {"bands", 4}, {"rows", 4}}, {{"verify", true}})),
            (Names{".ids", ".keys", ".ledger", ".rows", ".texts"}));
  EXPECT_EQ(filesOf(dedup({{"dedup", "simhash"}, {"shingle", 1}, {"distance", 3}}, json::object())),
            (Names{".hashes", ".ids", ".keys", ".ledger", ".rows"}));
  EXPECT_EQ(filesOf({{"op", "repeats"},
                     {"part", "line"},
                     {"threshold", 2},
                     {"keep_first", true},
                     {"in", lines("a.txt")}}),
            (Names{".keys", ".ledger", ".rows"}));
  EXPECT_EQ(filesOf({{"op", "mix"},
                     {"sources", {{"a", lines("a.txt")}, {"b", lines("b.txt")}}},
                     {"by", "tokens"},
                     {"weight", {{"b", 0.2}}}}),
            (Names{".ledger", ".rows", ".sizes"}));
}

TEST_F(FlushTest, AChunkThatCannotBeFlushedIsNotDone) {
  const json tree = lines("a.txt");
  for (const char *full : {".rows", ".ledger"}) {
    const EngineOptions o = options("out");
    disk.full = full;
    auto made = makeCorpus(tree, ctx, o);
    ASSERT_FALSE(made) << full;
    EXPECT_EQ(made.status().message(),
              "cannot write `" + o.dir + "/scratch/0/000000-000000" + full + "`: the disk is full");
    EXPECT_EQ(disk.sidecars, 0);
    disk.full.clear();
    made = makeCorpus(tree, ctx, o);
    ASSERT_TRUE(made) << made.status().message();
    EXPECT_EQ((*made)["rows"], 200);
    EXPECT_EQ(disk.early, Names());
    disk.sidecars = 0;
    fs::remove_all(o.dir);
  }
}

TEST_F(FlushTest, ARequestToStopHidesNoError) {
  EngineOptions o = options("out");
  disk.full = ".rows";
  int asked = 0;
  o.stopAsked = [&] { return ++asked > 1; }; // while the first chunk is on its way
  auto made = makeCorpus(lines("a.txt"), ctx, o);
  ASSERT_FALSE(made);
  EXPECT_EQ(made.status().getExitClass(), ExitClass::stage);
  EXPECT_NE(made.status().message().find("the disk is full"), std::string::npos) << made.status().message();
  disk.full.clear();
  asked = 0;
  made = makeCorpus(lines("a.txt"), ctx, o);
  ASSERT_FALSE(made);
  EXPECT_EQ(made.status().getExitClass(), ExitClass::interrupted) << made.status().message();
  EXPECT_EQ(disk.sidecars, 1);
}

TEST_F(FlushTest, WithoutThreadsChunksAreSealedInTurn) {
  pthread_attr_t before, huge;
  ASSERT_EQ(pthread_getattr_default_np(&before), 0);
  pthread_attr_init(&huge);
  pthread_attr_setstacksize(&huge, size_t(1) << 47); // more than there are addresses: none starts
  ASSERT_EQ(pthread_setattr_default_np(&huge), 0);
  EXPECT_THROW((void)std::async(std::launch::async, [] {}), std::system_error);
  const EngineOptions o = options("out");
  auto made = makeCorpus(lines("a.txt"), ctx, o);
  const int sidecars = disk.sidecars;
  fs::remove_all(o.dir);
  disk.full = ".ledger";
  auto failed = makeCorpus(lines("a.txt"), ctx, options("out"));
  EXPECT_EQ(pthread_setattr_default_np(&before), 0);
  ASSERT_TRUE(made) << made.status().message();
  EXPECT_EQ((*made)["rows"], 200);
  EXPECT_GE(sidecars, 4);
  EXPECT_EQ(disk.early, Names());
  ASSERT_FALSE(failed);
  EXPECT_NE(failed.status().message().find("the disk is full"), std::string::npos) << failed.status().message();
}
