#include "runtime/generate/Generator.h"
#include "runtime/state/Philox.h"
#include "test/runtime_generate/FakeModel.h"
#include <algorithm>
#include <cmath>
#include <gtest/gtest.h>

using namespace r1rt;
using namespace r1rt::generate;

namespace {

std::vector<Output> search(Decoder &d, const Tokenizer &t, const GenerateOptions &o, std::vector<int32_t> prompt,
                           std::vector<int32_t> source = {}) {
  auto g = Generator::create(d, t, o);
  EXPECT_TRUE(g) << g.status().message();
  std::vector<Output> out;
  bool given = false;
  Status st = g->run(
      [&](Prompt &p, bool) -> Result<Next> {
        p = {0, 0, prompt, source, {}};
        return std::exchange(given, true) ? Next::end : Next::prompt;
      },
      [&](uint64_t, std::vector<Output> &&o) {
        out = std::move(o);
        return Status::ok();
      });
  EXPECT_TRUE(st) << st.message();
  return out;
}

struct Made {
  fake::Model model;
  std::unique_ptr<Device> device;
  std::unique_ptr<Executor> exec;
  std::unique_ptr<Decoder> decoder;
  TokenizerPtr tok = bytesTokenizer();
  explicit Made(int rows, bool cached) {
    if (cached)
      model.addCached(rows, 4, 32);
    else
      model.addLogits(1, 32);
    device = Device::createCpu(1).take();
    exec = Executor::create(*device, model.module()).take();
    decoder = Decoder::create(*exec, {rows, 32, 257}).take();
  }
};

/// The log-probabilities after tokens, of all ids but padding.
std::vector<double> logprobs(const std::vector<int32_t> &tokens) {
  std::vector<float> logits(fake::V);
  float lse = 0;
  fake::answer(fake::hashOf(tokens), logits.data(), &lse);
  std::vector<double> out;
  for (float l : logits)
    out.push_back(double(l - lse));
  out[257] = -INFINITY;
  return out;
}

} // namespace

// As wide as all texts, the search finds the best of all of them: here of two tokens.
TEST(Beams, WideEnoughIsExhaustive) {
  Made m(fake::V, false);
  GenerateOptions o;
  o.beams = fake::V - 2; // all ids but padding and the end go on
  o.best = 5;
  o.maxNew = 2;
  o.lengthPenalty = 0;
  o.early = GenerateOptions::never;
  std::vector<int32_t> prompt = {256, 'a', 'b'};
  struct Text {
    double score;
    std::vector<int32_t> tokens;
  };
  std::vector<Text> all;
  std::vector<double> first = logprobs(prompt);
  for (int32_t a = 0; a < 257; ++a) {
    if (a == 256) {
      all.push_back({first[256], {256}});
      continue;
    }
    std::vector<int32_t> longer = prompt;
    longer.push_back(a);
    std::vector<double> second = logprobs(longer);
    for (int32_t b = 0; b < 257; ++b)
      all.push_back({first[size_t(a)] + second[size_t(b)], {a, b}});
  }
  std::sort(all.begin(), all.end(), [](auto &a, auto &b) { return a.score > b.score; });
  auto out = search(*m.decoder, *m.tok, o, prompt);
  ASSERT_EQ(out.size(), 5u);
  for (size_t i = 0; i < 5; ++i) {
    EXPECT_EQ(out[i].tokens, all[i].tokens) << i;
    EXPECT_DOUBLE_EQ(out[i].score, all[i].score);
    EXPECT_EQ(out[i].stopped, all[i].tokens.back() == 256);
  }
}

TEST(Beams, OneRowLessIsGreedyAndCachesDoNotMatter) {
  std::vector<int32_t> prompt = {256, 'x'};
  Made a(4, true), b(4, false), c(9, true);
  for (auto early : {GenerateOptions::atOnce, GenerateOptions::whenWorse, GenerateOptions::never})
    for (double alpha : {0.0, 0.6, 2.0, -1.0}) {
      GenerateOptions o;
      o.beams = o.best = 4;
      o.maxNew = 45; // further than the context
      o.lengthPenalty = alpha;
      o.early = early;
      o.stop = {"e", "\x01"};
      auto x = search(*a.decoder, *a.tok, o, prompt), y = search(*b.decoder, *b.tok, o, prompt),
           z = search(*c.decoder, *c.tok, o, prompt);
      ASSERT_EQ(x.size(), 4u);
      ASSERT_EQ(y.size(), 4u);
      ASSERT_EQ(z.size(), 4u);
      for (size_t i = 0; i < 4; ++i) {
        EXPECT_EQ(x[i].tokens, y[i].tokens);
        EXPECT_EQ(x[i].tokens, z[i].tokens);
        EXPECT_EQ(x[i].score, y[i].score);
        EXPECT_EQ(x[i].text, y[i].text);
        // The score by its definition.
        double sum = 0;
        std::vector<int32_t> tokens = prompt;
        if (x[i].tokens.size() + prompt.size() <= 32)
          for (size_t k = 0; k < x[i].tokens.size(); ++k) {
            sum += logprobs(tokens)[size_t(x[i].tokens[k])];
            tokens.push_back(x[i].tokens[k]);
          }
        if (sum != 0)
          EXPECT_NEAR(x[i].score, sum / std::pow(double(x[i].tokens.size()), alpha), 1e-9);
        if (i)
          EXPECT_LE(x[i].score, x[i - 1].score);
      }
    }
}

// All beams of a text are written for one source, which is computed once.
TEST(Beams, ShareASource) {
  struct Translating {
    fake::Model model;
    std::unique_ptr<Device> device = Device::createCpu(1).take();
    std::unique_ptr<Executor> exec;
    std::unique_ptr<Decoder> decoder;
    explicit Translating(int rows) {
      model.addCached(rows, 4, 16, 1, 5);
      exec = Executor::create(*device, model.module()).take();
      decoder = Decoder::create(*exec, {rows, 16, 257}).take();
    }
  } four(4), nine(9);
  TokenizerPtr tok = bytesTokenizer();
  GenerateOptions o;
  o.beams = o.best = 4;
  o.maxNew = 12;
  for (std::vector<int32_t> source : {std::vector<int32_t>{1, 2, 3}, {4}, {4, 4, 4, 4, 4}}) {
    fake::encodings = 0;
    auto x = search(*four.decoder, *tok, o, {256}, source);
    EXPECT_EQ(fake::encodings, 1);
    auto y = search(*nine.decoder, *tok, o, {256}, source);
    ASSERT_EQ(x.size(), 4u);
    ASSERT_EQ(y.size(), 4u);
    for (size_t i = 0; i < 4; ++i) {
      EXPECT_EQ(x[i].tokens, y[i].tokens);
      std::vector<int32_t> tokens = {256};
      for (size_t k = 0; k < x[i].tokens.size(); ++k) {
        std::vector<float> logits(fake::V);
        float lse = 0;
        fake::answer(fake::hashOf(tokens, fake::hashOfSource(source, 5)), logits.data(), &lse);
        EXPECT_EQ(x[i].logprobs[k], logits[size_t(x[i].tokens[k])] - lse);
        tokens.push_back(x[i].tokens[k]);
      }
    }
  }
}
