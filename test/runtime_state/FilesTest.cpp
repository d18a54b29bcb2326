// Files that cannot be written. close goes through this file.
#include "runtime/state/Files.h"
#include <cerrno>
#include <filesystem>
#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

using namespace r1rt;
namespace fs = std::filesystem;

static thread_local int closeTells = 0; // errno of the next files that are written; 0: all is well

extern "C" int close(int fd) {
  char path[4096];
  ssize_t n = 0;
  if (closeTells)
    n = readlink(("/proc/self/fd/" + std::to_string(fd)).c_str(), path, sizeof path);
  const bool written = n > 0 && std::string_view(path, size_t(n)).find(".tmp") != std::string_view::npos;
  if (syscall(SYS_close, fd))
    return -1;
  if (written)
    errno = closeTells;
  return written ? -1 : 0;
}

TEST(Files, WhatCloseTellsIsAnError) {
  const fs::path dir = fs::path(testing::TempDir()) / ("files-" + std::to_string(getpid()));
  fs::create_directories(dir);
  const std::string path = (dir / "x").string();
  ASSERT_TRUE(writeFileAtomic(path, "old"));
  for (Flush flush : {Flush::now, Flush::later})
    for (auto [code, what] : {std::pair{ENOSPC, "the disk is full"}, std::pair{EDQUOT, "Disk quota exceeded"}}) {
      closeTells = code;
      Status st = writeFileAtomic(path, "new", flush);
      closeTells = 0;
      ASSERT_FALSE(st) << what;
      EXPECT_EQ(st.message(), "cannot write `" + path + "`: " + what);
      EXPECT_EQ(*readFile(path), "old");
      EXPECT_EQ(std::distance(fs::directory_iterator(dir), {}), 1) << "something is left beside it";
    }
  ASSERT_TRUE(writeFileAtomic(path, "new", Flush::later));
  EXPECT_EQ(*readFile(path), "new");
  fs::remove_all(dir);
}
