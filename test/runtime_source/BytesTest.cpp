#include "runtime/source/Bytes.h"
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <iterator>
#include <unistd.h>
#include <zstd.h>

using namespace r1rt;
using namespace r1rt::source;
namespace fs = std::filesystem;

// Python writes the gzip files. zstd frames come from libzstd itself.
class BytesTest : public ::testing::Test {
protected:
  std::string dir = testing::TempDir() + "/r1rt_source_" + std::to_string(getpid());
  std::string text;
  void SetUp() override {
    fs::create_directories(dir);
    for (int i = 0; i < 100000; ++i)
      text += std::to_string(i * 7919LL % 100003) + (i % 9 ? " " : "\n");
    put("t", text);
  }
  void TearDown() override { fs::remove_all(dir); }
  std::string at(const std::string &name) { return dir + "/" + name; }
  void put(const std::string &name, const std::string &bytes) {
    std::ofstream(at(name), std::ios::binary) << bytes;
  }
  std::string get(const std::string &name) {
    std::ifstream in(at(name), std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  void shell(const std::string &command) {
    ASSERT_EQ(std::system(("cd " + dir + " && " + command).c_str()), 0) << command;
  }
  void gzip() {
    shell("python3 -c \"import gzip; "
          "open('t.gz','wb').write(gzip.compress(open('t','rb').read()))\"");
  }
  // What was delivered, and the error that followed ("" if none).
  std::pair<std::string, std::string> readAll(const std::string &name, size_t step = 4097,
                                              ExpansionLimits limits = {}) {
    auto s = ByteStream::open(at(name), limits);
    if (!s)
      return {"", s.status().message()};
    std::string all, buffer(step, 0);
    for (;;) {
      auto n = (*s)->read(buffer.data(), step);
      if (!n)
        return {all, n.status().message()};
      if (*n == 0)
        return {all, ""};
      all.append(buffer, 0, *n);
      EXPECT_EQ((*s)->offset(), all.size());
    }
  }
};

TEST_F(BytesTest, PlainEmptyAndMissing) {
  EXPECT_EQ(readAll("t"), std::pair(text, std::string()));
  put("empty", "");
  EXPECT_EQ(readAll("empty"), std::pair(std::string(), std::string()));
  EXPECT_NE(readAll("none").second.find("cannot be opened"), std::string::npos);
}

TEST_F(BytesTest, GzipMembersAreJoined) {
  gzip();
  put("two", get("t.gz") + get("t.gz"));
  for (size_t step : {1, 13, 1 << 20})
    EXPECT_EQ(readAll("two", step), std::pair(text + text, std::string())) << step;
}

TEST_F(BytesTest, CutAndDamagedGzipDeliversWhatCameBefore) {
  gzip();
  std::string packed = get("t.gz");
  for (size_t cut : {packed.size() - 1, packed.size() / 2, size_t(100)}) {
    put("cut", packed.substr(0, cut));
    auto [got, error] = readAll("cut");
    EXPECT_EQ(text.compare(0, got.size(), got), 0);
    EXPECT_NE(error.find("at byte " + std::to_string(cut) + " (byte " + std::to_string(got.size())),
              std::string::npos)
        << error;
  }
  packed[packed.size() - 6] ^= 1; // the checksum
  put("bad", packed);
  auto [got, error] = readAll("bad");
  EXPECT_EQ(got, text);
  EXPECT_NE(error.find("damaged gzip data"), std::string::npos) << error;
}

TEST_F(BytesTest, BombsAreRefused) {
  put("t", std::string(8 << 20, 'a'));
  gzip();
  EXPECT_NE(readAll("t.gz", 4096, {.ratio = 100, .ratioFrom = 1 << 20}).second.find("100 times"),
            std::string::npos);
  EXPECT_NE(readAll("t.gz", 4096, {.total = 1 << 20}).second.find("limit of 1048576"),
            std::string::npos);
  EXPECT_EQ(readAll("t.gz").second, "");
}

TEST_F(BytesTest, ZstdFramesAreJoinedAndSkippableOnesPassedOver) {
  std::string frame(ZSTD_compressBound(text.size()), 0);
  frame.resize(ZSTD_compress(frame.data(), frame.size(), text.data(), text.size(), 3));
  std::string skippable("\x50\x2a\x4d\x18\x03\0\0\0abc", 11);
  put("frames", skippable + frame + skippable + frame + skippable);
  for (size_t step : {1, 13, 1 << 20})
    EXPECT_EQ(readAll("frames", step), std::pair(text + text, std::string())) << step;

  put("cut", frame.substr(0, frame.size() - 1));
  auto [got, error] = readAll("cut");
  EXPECT_EQ(text.compare(0, got.size(), got), 0);
  EXPECT_NE(error.find("cut short"), std::string::npos) << error;

  put("tail", frame + "garbage");
  auto [whole, complaint] = readAll("tail");
  EXPECT_EQ(whole, text);
  EXPECT_NE(complaint.find("damaged zstd data"), std::string::npos) << complaint;
}
