#include "runtime/generate/Decoder.h"
#include "runtime/state/Philox.h"
#include "test/runtime_generate/FakeModel.h"
#include <gtest/gtest.h>

using namespace r1rt;
using generate::Decoder;

namespace {

struct Made {
  fake::Model model;
  std::unique_ptr<Device> device;
  std::unique_ptr<Executor> exec;
  std::unique_ptr<Decoder> decoder;

  void open(Decoder::Options o) {
    device = Device::createCpu(1).take();
    exec = Executor::create(*device, model.module()).take();
    auto d = Decoder::create(*exec, o);
    ASSERT_TRUE(d) << d.status().message();
    decoder = d.take();
  }
};

/// `before`: the hash of its source.
void expectAnswer(const Decoder &d, int64_t row, const std::vector<int32_t> &tokens, uint64_t before = 1) {
  std::vector<float> logits(fake::V);
  float lse = 0;
  fake::answer(fake::hashOf(tokens, before), logits.data(), &lse);
  ASSERT_TRUE(d.answered(row));
  ASSERT_EQ(std::vector<float>(d.logits(row).begin(), d.logits(row).end()), logits);
  ASSERT_EQ(d.lse(row), lse);
}

/// Rows that begin, grow, end and begin again at random; every answer is that of all its tokens.
void walk(Decoder &d, uint64_t seed, int steps) {
  const int64_t B = d.rows();
  std::vector<std::vector<int32_t>> rows;
  rows.resize(size_t(B));
  std::vector<bool> open(rows.size());
  for (int s = 0; s < steps; ++s) {
    bool any = false;
    for (int64_t b = 0; b < B; ++b) {
      PhiloxBlock r = philox(drawKey(seed, uint64_t(b)), uint64_t(s));
      auto &t = rows[size_t(b)];
      if (open[size_t(b)] && !d.answered(b)) {
        any = true;
        continue;
      }
      if (open[size_t(b)] && r[0] % 20 == 0) {
        d.end(b);
        open[size_t(b)] = false;
      }
      if (!open[size_t(b)]) {
        if (r[1] % 3 == 0)
          continue; // stays empty for a while
        size_t keep = t.empty() ? 0 : r[2] % (t.size() + 1); // often a prefix of what the row held
        t.resize(keep);
        size_t n = std::max<size_t>(1, r[3] % size_t(d.context()));
        while (t.size() < n)
          t.push_back(int32_t(philox(r[3], t.size())[0] % fake::V));
        t.resize(n);
        ASSERT_TRUE(d.begin(b, t));
        open[size_t(b)] = true;
      } else {
        int32_t next = int32_t(r[1] % fake::V);
        d.extend(t, next);
        ASSERT_TRUE(d.append(b, next));
      }
      any = true;
    }
    if (!any)
      continue;
    ASSERT_TRUE(d.step());
    for (int64_t b = 0; b < B; ++b)
      if (open[size_t(b)] && d.answered(b))
        expectAnswer(d, b, rows[size_t(b)]);
  }
}

} // namespace

TEST(Decoder, RecomputesEveryRow) {
  for (int R : {1, 3}) {
    Made m;
    m.model.addLogits(R, 13);
    m.open({5, 0, 257});
    EXPECT_FALSE(m.decoder->caches());
    EXPECT_EQ(m.decoder->rows(), 5);
    EXPECT_EQ(m.decoder->context(), 13);
    walk(*m.decoder, 4, 400);
  }
}

TEST(Decoder, RowsHaveSources) {
  Made m;
  m.model.addTranslation(2, 5, 4);
  m.open({3, 0, 257});
  Decoder &d = *m.decoder;
  EXPECT_EQ(d.context(), 5);
  EXPECT_EQ(d.sourceContext(), 4);
  // id, pos, seg of each place, padded on the right.
  auto laidOut = [](uint64_t h, const std::vector<int32_t> &tokens, size_t length) {
    for (size_t i = 0; i < length; ++i) {
      const bool in = i < tokens.size();
      for (int32_t v : {in ? tokens[i] : 257, in ? int32_t(i) : 0, in ? 0 : -1})
        h = fake::mixed(h, uint64_t(v));
    }
    return h;
  };
  std::vector<int32_t> sources[] = {{7, 8, 9, 10}, {11}, {12, 13}}, texts[] = {{1}, {1, 2}, {1}};
  auto expectAnswers = [&] {
    for (int64_t row = 0; row < 3; ++row) {
      float logits[fake::V], lse = 0;
      fake::answer(laidOut(laidOut(1, sources[row], 4), texts[row], 5), logits, &lse);
      ASSERT_TRUE(d.answered(row));
      EXPECT_EQ(std::vector<float>(d.logits(row).begin(), d.logits(row).end()),
                std::vector<float>(logits, logits + fake::V));
      EXPECT_EQ(d.lse(row), lse);
    }
  };
  for (int64_t row = 0; row < 3; ++row)
    ASSERT_TRUE(d.begin(row, texts[row], sources[row]));
  ASSERT_TRUE(d.step());
  ASSERT_TRUE(d.step()); // two rows at once
  expectAnswers();
  for (int64_t row = 0; row < 3; ++row) {
    texts[row].push_back(30);
    ASSERT_TRUE(d.append(row, 30)); // for the same source
  }
  ASSERT_TRUE(d.step());
  ASSERT_TRUE(d.step());
  expectAnswers();

  EXPECT_EQ(d.begin(1, texts[1]).message(),
            "row 1 cannot be written for a source of 0 tokens: the model reads 1 to 4");
  EXPECT_EQ(d.begin(1, texts[1], std::vector<int32_t>(5)).message(),
            "row 1 cannot be written for a source of 5 tokens: the model reads 1 to 4");
}

TEST(Decoder, CacheHoldsWhatTheRowHolds) {
  for (int N : {1, 4, 16})
    for (int B : {1, 4}) {
      Made m;
      m.model.addCached(B, N, 13);
      m.open({1, 13, 257});
      EXPECT_TRUE(m.decoder->caches());
      EXPECT_EQ(m.decoder->rows(), B);
      EXPECT_EQ(m.decoder->context(), 13);
      walk(*m.decoder, uint64_t(N), 600);
    }
}

// Rows get sources and texts at random, often those of another row; every answer is that of the row's own source.
TEST(Decoder, CachesHoldSources) {
  for (int E : {1, 2, 5}) {
    Made m;
    m.model.addCached(5, 4, 13, E, 6);
    m.open({1, 13, 257});
    Decoder &d = *m.decoder;
    EXPECT_EQ(d.sourceContext(), 6);
    std::vector<std::vector<int32_t>> sources(5), texts(5);
    std::vector<bool> open(5);
    auto draw = [&, n = uint64_t(0)](int64_t below) mutable {
      return int64_t(philox(drawKey(11, uint64_t(E)), n++)[0] % uint64_t(below));
    };
    for (int step = 0; step < 600; ++step) {
      for (int64_t b = 0; b < 5; ++b) {
        auto &text = texts[size_t(b)];
        if (open[size_t(b)] && !d.answered(b))
          continue;
        if (open[size_t(b)] && draw(8)) {
          auto next = int32_t(draw(fake::V));
          d.extend(text, next);
          ASSERT_TRUE(d.append(b, next));
          continue;
        }
        d.end(b);
        open[size_t(b)] = draw(3) > 0;
        const int64_t other = draw(7); // 5 and 6: a new one, or that which it has
        if (other < 5)
          sources[size_t(b)] = sources[size_t(other)];
        if (other == 5 || sources[size_t(b)].empty()) {
          sources[size_t(b)].resize(size_t(draw(6) + 1));
          for (int32_t &id : sources[size_t(b)])
            id = int32_t(draw(fake::V));
        }
        if (!open[size_t(b)]) {
          ASSERT_TRUE(d.setSource(b, sources[size_t(b)])); // nothing is asked of it yet
          continue;
        }
        text.resize(size_t(draw(int64_t(text.size()) + 1)));
        while (text.empty() || draw(3))
          d.extend(text, int32_t(draw(fake::V)));
        ASSERT_TRUE(d.begin(b, text, sources[size_t(b)]));
      }
      if (std::find(open.begin(), open.end(), true) == open.end())
        continue;
      ASSERT_TRUE(d.step());
      for (int64_t b = 0; b < 5; ++b)
        if (open[size_t(b)] && d.answered(b))
          expectAnswer(d, b, texts[size_t(b)], fake::hashOfSource(sources[size_t(b)], 6));
    }
  }
}

TEST(Decoder, ASourceIsComputedOnceForAllRows) {
  Made m;
  m.model.addCached(4, 4, 13, 2, 3);
  m.open({1, 13, 257});
  Decoder &d = *m.decoder;
  const std::vector<int32_t> a = {5, 6}, b = {7}, c = {8, 9, 1}, begin = {256};
  auto answerAll = [&](std::vector<int64_t> rows) {
    while (std::any_of(rows.begin(), rows.end(), [&](int64_t r) { return !d.answered(r); }))
      ASSERT_TRUE(d.step());
  };
  fake::encoded = fake::encodings = 0;
  for (int64_t row : {0, 1, 2})
    ASSERT_TRUE(d.setSource(row, a));
  ASSERT_TRUE(d.begin(0, begin, a));
  ASSERT_TRUE(d.begin(3, begin, b));
  answerAll({0, 3});
  EXPECT_EQ(fake::encodings, 1); // two sources in one run, of which three rows get one
  EXPECT_EQ(fake::encoded, 2);
  EXPECT_EQ(d.shared(0, begin, a), 1);
  EXPECT_EQ(d.shared(0, begin, b), 0); // its keys and values were computed for another source
  EXPECT_EQ(d.shared(1, begin, a), 0);
  ASSERT_TRUE(d.begin(1, begin, a));
  ASSERT_TRUE(d.begin(2, begin, a));
  ASSERT_TRUE(d.append(0, 9));
  answerAll({0, 1, 2});
  EXPECT_EQ(fake::encodings, 1);
  ASSERT_TRUE(d.begin(1, begin, c));
  answerAll({1});
  EXPECT_EQ(fake::encodings, 2);
  EXPECT_EQ(fake::encoded, 3);
  EXPECT_EQ(d.setSource(4, a).message(), "a decoder of 4 rows has no row 4");
  EXPECT_EQ(d.setSource(0, {}).message(),
            "row 0 cannot be written for a source of 0 tokens: the model reads 1 to 3");
}

TEST(Decoder, AFullRowGoesOnWithItsLastHalf) {
  Made m;
  m.model.addCached(1, 4, 8);
  m.open({1, 8, 257});
  std::vector<int32_t> t = {1, 2, 3, 4, 5, 6, 7, 8};
  ASSERT_TRUE(m.decoder->begin(0, t));
  while (!m.decoder->answered(0))
    ASSERT_TRUE(m.decoder->step());
  ASSERT_TRUE(m.decoder->append(0, 9));
  EXPECT_EQ(std::vector<int32_t>(m.decoder->tokens(0).begin(), m.decoder->tokens(0).end()),
            (std::vector<int32_t>{6, 7, 8, 9}));
}

TEST(Decoder, SaysWhatIsWrong) {
  Made m;
  m.model.addCached(2, 4, 8);
  m.device = Device::createCpu(1).take();
  m.exec = Executor::create(*m.device, m.model.module()).take();
  EXPECT_EQ(Decoder::create(*m.exec, {1, 0, 0}).status().message(), "a cache has at least one slot, not 0");
  auto d = Decoder::create(*m.exec, {1, 8, 0}).take();
  EXPECT_EQ(d->step().message(), "no row of the decoder waits for an answer");
  EXPECT_EQ(d->begin(0, std::vector<int32_t>(9)).message(), "row 0 of 2 cannot hold 9 tokens: a row has 1 to 8");
  EXPECT_FALSE(d->begin(2, std::vector<int32_t>(1)));
  EXPECT_FALSE(d->begin(0, {}));
  EXPECT_EQ(d->begin(0, std::vector<int32_t>(1), std::vector<int32_t>(3)).message(),
            "row 0 cannot be written for a source of 3 tokens: the model reads none");

  fake::Model empty;
  auto e = Executor::create(*m.device, empty.module());
  ASSERT_TRUE(e) << e.status().message();
  EXPECT_EQ(Decoder::create(**e, {}).status().message(),
            "the compiled module has no programs `decode` and `prefill`, and no program `logits`");
}
