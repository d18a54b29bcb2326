#include "runtime/report/Page.h"
#include "runtime/report/TensorBoard.h"
#include "runtime/state/Files.h"
#include <filesystem>
#include <cmath>
#include <gtest/gtest.h>
#include <numeric>
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

TEST(Histogram, CountsWhatIsFinite) {
  std::vector<float> v = {-1, 2, NAN, 0.5f, INFINITY, 2, -INFINITY};
  Histogram h = Histogram::of(v);
  EXPECT_EQ(h.low, -1);
  EXPECT_EQ(h.high, 2);
  EXPECT_EQ(h.notFinite, 3u);
  ASSERT_EQ(h.counts.size(), 30u);
  EXPECT_EQ(h.counts[0], 1u);
  EXPECT_EQ(h.counts[15], 1u); // 0.5 is the middle
  EXPECT_EQ(h.counts[29], 2u);
  EXPECT_EQ(std::accumulate(h.counts.begin(), h.counts.end(), uint64_t(0)), 4u);
  v = {3, 3};
  h = Histogram::of(v);
  EXPECT_EQ(h.low, 2.5);
  EXPECT_EQ(h.high, 3.5);
  EXPECT_EQ(h.counts[15], 2u);
  EXPECT_TRUE(Histogram::of({}).counts.empty());
}

namespace {
struct TempDir {
  std::string path = testing::TempDir() + "/r1rt_report_" + std::to_string(getpid());
  TempDir() { fs::remove_all(path), fs::create_directories(path); }
  ~TempDir() { fs::remove_all(path); }
};
Series seriesOf(std::vector<double> values) {
  Series s{"loss", {}, std::move(values)};
  for (size_t i = 0; i < s.values.size(); ++i)
    s.steps.push_back(double(i + 1));
  return s;
}
} // namespace

TEST(Series, ReadsSteps) {
  TempDir d;
  std::string file = d.path + "/steps.jsonl";
  EXPECT_TRUE(readSeries({file})->empty());
  ASSERT_TRUE(writeFileAtomic(file, "{\"step\":1,\"lr\":0.5,\"loss\":3,\"stage\":\"a\"}\n"
                                    "{\"step\":2,\"lr\":0.25,\"loss\":null}\n"
                                    "{\"step\":3,\"loss\":2}\n{\"step\":4,\"lo"));
  ASSERT_TRUE(writeFileAtomic(d.path + "/measured.jsonl", "{\"step\":2,\"valid_loss\":7}\n"));
  auto s = readSeries({file, d.path + "/measured.jsonl"});
  ASSERT_TRUE(s) << s.status().message();
  ASSERT_EQ(s->size(), 3u);
  EXPECT_EQ((*s)[0].name, "loss");
  EXPECT_EQ((*s)[0].steps, (std::vector<double>{1, 3}));
  EXPECT_EQ((*s)[0].values, (std::vector<double>{3, 2}));
  EXPECT_EQ((*s)[1].name, "lr");
  EXPECT_EQ((*s)[2].name, "valid_loss");
  ASSERT_TRUE(writeFileAtomic(file, "{\"step\":1,\"loss\":3}\n[1]\n"));
  EXPECT_NE(readSeries({file}).status().message().find("steps.jsonl:2: not a step"), std::string::npos);
  ASSERT_TRUE(writeFileAtomic(file, "{\"step\":5,\"loss\":3}\n{\"step\":4,\"loss\":3}\n"));
  EXPECT_NE(readSeries({file}).status().message().find("steps.jsonl:2: step 4 after step 5"), std::string::npos);
}

TEST(Series, Numbers) {
  EXPECT_EQ(shortNumber(0), "0");
  EXPECT_EQ(shortNumber(3), "3");
  EXPECT_EQ(shortNumber(0.0123451), "0.01235");
  EXPECT_EQ(shortNumber(1.25e-7), "1.2e-07");
  EXPECT_EQ(shortNumber(1234567.8), "1,234,568");
  EXPECT_EQ(shortNumber(-1234), "-1,234");
  EXPECT_EQ(shortNumber(-999), "-999");
  EXPECT_EQ(shortNumber(999.9996), "1000");
}

TEST(Series, PlotsInDots) {
  // A falling line from the upper left to the lower right: two dots a column, four a row.
  auto lines = plotText(seriesOf({7, 6, 5, 4, 3, 2, 1, 0}), 4, 2);
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_EQ(lines[0], "7 │⠑⢄⠀⠀");
  EXPECT_EQ(lines[1], "0 │⠀⠀⠑⢄");
  EXPECT_EQ(lines[2], "   1  8"); // steps under the ends
  EXPECT_EQ(plotText(seriesOf({2, 2}), 2, 2)[0].substr(0, 4), "2.5 ");
  EXPECT_TRUE(plotText({}, 4, 2).empty());
  EXPECT_EQ(sparkline(seriesOf({0, 1, 2, 3, 4, 5, 6, 7}), 8), "▁▂▃▄▅▆▇█");
  EXPECT_EQ(sparkline(seriesOf({1, 1}), 2), "▄▄");
  // A spike within a column is seen, whatever the mean says.
  std::vector<double> spike(1000, 0);
  spike[500] = 8;
  EXPECT_EQ(columnsOf(seriesOf(spike), 10)[5].high, 8);
}

TEST(Page, NothingFromDataIsMarkup) {
  Page p("a <b> & \"c\"");
  p.heading("<script>alert(1)</script>");
  p.facts({{"file", "x'><img>"}});
  p.table({"a", "b"}, {{"1,234", "<i>"}});
  p.preformatted("\x1b[2J");
  p.curve({"lo<ss", {1, 2}, {3, 4}});
  std::string html = p.html();
  for (const char *bad : {"<b>", "<script>alert", "<img", "<i>", "\x1b", "lo<ss"})
    EXPECT_EQ(html.find(bad), std::string::npos) << bad;
  EXPECT_NE(html.find("<title>a &lt;b&gt; &amp; &quot;c&quot;</title>"), std::string::npos);
  EXPECT_NE(html.find("<td class=\"n\">1,234</td>"), std::string::npos);
  EXPECT_NE(html.find("<polyline"), std::string::npos);
  // Nothing is fetched from elsewhere.
  for (const char *far : {"http://", "https://", "src=", "href=", "@import", "url("})
    EXPECT_EQ(html.find(far), std::string::npos) << far;
}
