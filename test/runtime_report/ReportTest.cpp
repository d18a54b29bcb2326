#include "runtime/report/TensorBoard.h"
#include "runtime/state/Files.h"
#include <filesystem>
#include <gtest/gtest.h>
#include <sstream>
#include <unistd.h>

using namespace r1rt;
using nlohmann::json;
namespace fs = std::filesystem;

TEST(Crc32c, KnownAnswer) { EXPECT_EQ(crc32c("123456789"), 0xe3069283u); }

static uint64_t little(const std::string &s, size_t at, int n) {
  uint64_t v = 0;
  for (int i = 0; i < n; ++i)
    v |= uint64_t(static_cast<unsigned char>(s[at + i])) << (8 * i);
  return v;
}

TEST(TensorBoard, RecordsAreFramedAndChecked) {
  std::string dir = testing::TempDir() + "/r1rt_tb_" + std::to_string(getpid());
  fs::remove_all(dir);
  {
    auto w = TensorBoardWriter::create(dir);
    ASSERT_TRUE(w) << w.status().message();
    ASSERT_TRUE((*w)->scalars(300, {{"loss", 1.5}}));
  }
  std::string path = fs::directory_iterator(dir)->path().string();
  EXPECT_NE(path.find("events.out.tfevents."), std::string::npos);
  std::string s = *readFile(path);
  std::vector<std::string> events;
  auto mask = [](uint32_t c) { return ((c >> 15) | (c << 17)) + 0xa282ead8u; };
  for (size_t at = 0; at < s.size();) {
    uint64_t n = little(s, at, 8);
    EXPECT_EQ(little(s, at + 8, 4), mask(crc32c(s.substr(at, 8))));
    events.push_back(s.substr(at + 12, n));
    EXPECT_EQ(little(s, at + 12 + n, 4), mask(crc32c(events.back())));
    at += 16 + n;
  }
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[0].substr(9), "\x1a\x0d"
                                 "brain.Event:2");
  // step = 300, summary { value { tag "loss", simple_value 1.5 } }
  EXPECT_EQ(events[1].substr(9),
            std::string("\x10\xac\x02\x2a\x0d\x0a\x0b\x0a\x04loss\x15\0\0\xc0\x3f", 18));
  fs::remove_all(dir);
}

TEST(StepLog, ResumingCutsLaterSteps) {
  std::string dir = testing::TempDir() + "/r1rt_log_" + std::to_string(getpid());
  fs::remove_all(dir);
  fs::create_directories(dir);
  auto steps = [&](uint64_t keep, uint64_t from, uint64_t to) {
    auto log = StepLog::open(dir, "gpt", keep);
    ASSERT_TRUE(log) << log.status().message();
    for (uint64_t i = from; i <= to; ++i)
      ASSERT_TRUE((*log)->step({i, 1.0 / double(i), 1e-3, 1, 10, 5, {}}));
  };
  steps(0, 1, 7);
  steps(4, 5, 6);
  std::istringstream in(*readFile(dir + "/steps.jsonl"));
  std::string line;
  std::vector<int> got;
  while (std::getline(in, line))
    got.push_back(json::parse(line)["step"].get<int>());
  EXPECT_EQ(got, (std::vector<int>{1, 2, 3, 4, 5, 6}));
  fs::remove_all(dir);
}

TEST(Reporter, JsonEventsAndPlainLines) {
  FILE *out = std::tmpfile(), *err = std::tmpfile();
  auto text = [](FILE *f) {
    std::string s;
    std::rewind(f);
    for (int c; (c = std::fgetc(f)) != EOF;)
      s += static_cast<char>(c);
    return s;
  };
  {
    Reporter::Options o;
    o.json = true;
    o.out = out;
    o.err = err;
    Reporter r(o);
    r.stage("gpt", "started");
    for (uint64_t i = 1; i <= 100; ++i)
      r.step("gpt", {i, 2.5, 1e-3, 0.5, 1000, 20, {}}, double(i) / 100, 100);
    r.metric("eval", "ppl", 12.25);
    r.warning("tok", "few pieces");
  }
  std::istringstream events(text(out));
  std::string line;
  std::map<std::string, int> kinds;
  while (std::getline(events, line)) {
    json j = json::parse(line);
    EXPECT_EQ(j["v"], 1);
    EXPECT_TRUE(j["t"].is_number());
    ++kinds[j["event"].get<std::string>()];
  }
  EXPECT_EQ(kinds, (std::map<std::string, int>{
                       {"stage", 1}, {"step", 100}, {"metric", 1}, {"diagnostic", 1}}));
  std::string human = text(err);
  // Off a terminal: the first step, the last, and one line per interval.
  EXPECT_NE(human.find("gpt  step 1/100  loss 2.5000"), std::string::npos) << human;
  EXPECT_NE(human.find("gpt  step 100/100"), std::string::npos);
  EXPECT_EQ(human.find("step 50/"), std::string::npos);
  EXPECT_NE(human.find("eval  ppl = 12.25"), std::string::npos);
  EXPECT_NE(human.find("warning: tok: few pieces"), std::string::npos);
}
