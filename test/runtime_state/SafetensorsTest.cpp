#include "runtime/state/Safetensors.h"
#include <csignal>
#include <filesystem>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace r1rt;

static std::string file(const std::string &header, const std::string &data) {
  std::string out;
  for (int i = 0; i < 8; ++i)
    out += static_cast<char>(uint64_t(header.size()) >> (8 * i));
  return out + header + data;
}

static void refuses(const std::string &content, const std::string &what) {
  auto r = SafetensorsIndex::parse(content);
  ASSERT_FALSE(r) << what;
  EXPECT_NE(r.status().message().find(what), std::string::npos) << r.status().message();
}

TEST(Safetensors, RoundTrip) {
  std::string path = testing::TempDir() + "/r1rt_rt_" + std::to_string(getpid()) + ".safetensors";
  std::string a(24, 'a'), b(2, 'b');
  auto st =
      writeSafetensors(path, {{"w", "F32", {2, 3}, a}, {"s", "BF16", {}, b}, {"e", "F32", {0}, {}}},
                       {{"step", "7"}});
  ASSERT_TRUE(st) << st.message();
  auto f = SafetensorsFile::open(path);
  ASSERT_TRUE(f) << f.status().message();
  ASSERT_EQ(f->index().tensors.size(), 3u);
  EXPECT_EQ(f->find("w")->data, a);
  EXPECT_EQ(f->find("w")->shape, (std::vector<int64_t>{2, 3}));
  EXPECT_EQ(f->find("s")->data, b);
  EXPECT_EQ(f->find("nothing"), nullptr);
  EXPECT_EQ(f->index().metadata.at("step"), "7");
  // Every truncation is noticed.
  auto whole = readFile(path);
  for (size_t n = 0; n < whole->size(); ++n)
    EXPECT_FALSE(SafetensorsIndex::parse(std::string_view(*whole).substr(0, n))) << n;
  unlink(path.c_str());
}

TEST(Safetensors, KnowsItsHash) {
  std::string path = testing::TempDir() + "/r1rt_hash_" + std::to_string(getpid()) + ".safetensors";
  std::string a(24, 'a'), b(2, 'b');
  std::vector<TensorView> tensors = {{"w", "F32", {2, 3}, a}, {"s", "BF16", {}, b}};
  auto check = [&] { return checkHash(*SafetensorsFile::open(path), path); };
  ASSERT_TRUE(writeSafetensors(path, tensors, {{"xxh64", hashOf(tensors)}}));
  EXPECT_TRUE(check());
  std::string text = *readFile(path);
  text[text.size() - 3] ^= 1;
  ASSERT_TRUE(writeFileAtomic(path, text));
  Status st = check();
  EXPECT_EQ(st.exitCode(), 3);
  EXPECT_NE(st.message().find("`" + path + "` is damaged"), std::string::npos) << st.message();
  // Other programs write none.
  ASSERT_TRUE(writeSafetensors(path, tensors, {{"format", "pt"}}));
  EXPECT_TRUE(check());
  unlink(path.c_str());
}

TEST(Safetensors, RefusesHostileFiles) {
  refuses("abc", "fewer than the 8");
  refuses(std::string(8, '\xff'), "at most 100 MB");
  refuses(file("[]", ""), "does not begin with {");
  refuses(file("{\"a\":", ""), "not a JSON object");
  auto one = [](const char *rest) {
    return file(std::string("{\"a\":{") + rest + "}}", "12345678");
  };
  refuses(one("\"dtype\":\"F32\""), "lacks dtype");
  refuses(one("\"dtype\":\"F33\",\"shape\":[2],\"data_offsets\":[0,8]"), "unknown dtype");
  refuses(one("\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,8]"), "needs 12");
  refuses(one("\"dtype\":\"F32\",\"shape\":[-2],\"data_offsets\":[0,8]"), "not a count");
  refuses(one("\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]"), "begins at byte 4");
  refuses(one("\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]"), "end at byte 4 of 8");
  refuses(one("\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,16]"), "ends at byte 16 of 8");
  refuses(one("\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,8]"),
          "larger than any file");
  refuses(file("{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},"
               "\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[1,2]}}",
               "12"),
          "occurs twice");
  refuses(file("{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]},"
               "\"b\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[1,2]}}",
               "12"),
          "the one before ends at 2");
  refuses(file("{\"__metadata__\":{\"a\":1}}", ""), "not a string");
  refuses(file("{\"a\":" + std::string(100000, '[') + "}", ""), "nested too deeply");
}

TEST(Files, Sha256) {
  EXPECT_EQ(sha256("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(Files, AFailedWriteKeepsTheOldFile) {
  std::string dir = testing::TempDir() + "/r1rt_full_" + std::to_string(getpid());
  std::filesystem::create_directories(dir);
  ASSERT_TRUE(writeFileAtomic(dir + "/a", "old"));
  pid_t child = fork();
  if (child == 0) {
    // As on a full disk: the system refuses the bytes after the first 1000.
    signal(SIGXFSZ, SIG_IGN);
    rlimit limit{1000, 1000};
    setrlimit(RLIMIT_FSIZE, &limit);
    Status st = writeFileAtomic(dir + "/a", std::string(5000, 'x'));
    _exit(st.isOk() ? 1 : st.message().find("cannot write") == 0 ? 0 : 2);
  }
  int code = 0;
  waitpid(child, &code, 0);
  EXPECT_EQ(WEXITSTATUS(code), 0);
  EXPECT_EQ(*readFile(dir + "/a"), "old");
  int files = 0;
  for ([[maybe_unused]] auto &f : std::filesystem::directory_iterator(dir))
    ++files;
  EXPECT_EQ(files, 1) << "the unfinished file is left behind";
  std::filesystem::remove_all(dir);
}

TEST(Files, FullDiskIsAnError) {
  auto st = requireSpace("/tmp", uint64_t(1) << 60, "the run");
  ASSERT_FALSE(st);
  EXPECT_NE(st.message().find("the run needs"), std::string::npos);
  if (access("/dev/full", W_OK) == 0) {
    auto m = MappedFile::open("/dev/full");
    EXPECT_FALSE(m);
  }
}
