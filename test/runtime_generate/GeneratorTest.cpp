#include "runtime/generate/Generator.h"
#include "runtime/state/Philox.h"
#include "test/runtime_generate/FakeModel.h"
#include <cmath>
#include <gtest/gtest.h>
#include <map>

using namespace r1rt;
using namespace r1rt::generate;

namespace {

struct Made {
  fake::Model model;
  std::unique_ptr<Device> device;
  std::unique_ptr<Executor> exec;
  std::unique_ptr<Decoder> decoder;
  TokenizerPtr tok = bytesTokenizer();

  void open(Decoder::Options o) {
    device = Device::createCpu(1).take();
    exec = Executor::create(*device, model.module()).take();
    decoder = Decoder::create(*exec, o).take();
  }
  static std::unique_ptr<Made> cached(int B, int N, int context) {
    auto m = std::make_unique<Made>();
    m->model.addCached(B, N, context);
    m->open({1, context, m->tok->padding()});
    return m;
  }
  static std::unique_ptr<Made> recomputing(int rows, int context) {
    auto m = std::make_unique<Made>();
    m->model.addLogits(1, context);
    m->open({rows, 0, m->tok->padding()});
    return m;
  }

  std::map<uint64_t, std::vector<Output>> generate(const GenerateOptions &o, const std::vector<std::string> &prompts) {
    auto g = Generator::create(*decoder, *tok, o);
    EXPECT_TRUE(g) << g.status().message();
    std::map<uint64_t, std::vector<Output>> out;
    size_t i = 0;
    bool late = false;
    Status st = g->run(
        [&](Prompt &p, bool wait) -> Result<Next> {
          if (!wait && std::exchange(late, !late)) // every other time
            return Next::later;
          if (i == prompts.size())
            return Next::end;
          p = {i, drawKey(11, prompts[i]), promptTokens(*tok, prompts[i])};
          ++i;
          return Next::prompt;
        },
        [&](uint64_t number, std::vector<Output> &&o) {
          EXPECT_TRUE(out.emplace(number, std::move(o)).second);
          return Status::ok();
        });
    EXPECT_TRUE(st) << st.message();
    return out;
  }
};

std::vector<std::string> somePrompts() {
  std::vector<std::string> p;
  for (uint64_t i = 0; i < 23; ++i) {
    std::string text;
    for (size_t n = philox(1, i)[0] % 30; text.size() < n;)
      text += char('a' + philox(drawKey(2, i), text.size())[0] % 26);
    p.push_back(text);
  }
  p.push_back(p[3] + "x"); // shares a prefix
  return p;
}

void expectEqual(const Output &a, const Output &b) {
  EXPECT_EQ(a.tokens, b.tokens);
  EXPECT_EQ(a.logprobs, b.logprobs);
  EXPECT_EQ(a.logprob, b.logprob);
  EXPECT_EQ(a.text, b.text);
  EXPECT_EQ(a.stopped, b.stopped);
}

} // namespace

// The law: an output is a function of model, options and prompt.
TEST(Generator, RowsDoNotDependOnTheirBatch) {
  GenerateOptions o;
  o.maxNew = 40; // more than fits beside the longest prompts
  o.sample.topP = 0.9;
  o.stop = {"q", "zz"};
  std::vector<std::string> prompts = somePrompts();
  auto expected = Made::recomputing(1, 32)->generate(o, prompts);
  ASSERT_EQ(expected.size(), prompts.size());
  int stopped = 0;
  for (auto &[i, out] : expected) {
    ASSERT_EQ(out.size(), 1u);
    stopped += out[0].stopped;
  }
  EXPECT_GT(stopped, 3);
  EXPECT_LT(stopped, int(prompts.size()));
  for (int B : {1, 2, 7, 32})
    for (int N : {1, 5, 64}) {
      auto got = Made::cached(B, N, 32)->generate(o, prompts);
      ASSERT_EQ(got.size(), expected.size());
      for (auto &[i, out] : expected)
        expectEqual(got[i][0], out[0]);
    }
  std::vector<std::string> reversed(prompts.rbegin(), prompts.rend());
  auto got = Made::cached(4, 8, 32)->generate(o, reversed);
  for (auto &[i, out] : expected)
    expectEqual(got[prompts.size() - 1 - i][0], out[0]);
}

TEST(Generator, LogprobsAreThoseOfTheModel) {
  GenerateOptions o;
  o.maxNew = 12;
  o.sample = {0.5, 20, 1, 0, 1.5};
  auto out = Made::cached(2, 4, 64)->generate(o, {"some text"});
  std::vector<int32_t> tokens = promptTokens(*bytesTokenizer(), "some text");
  double sum = 0;
  for (size_t i = 0; i < out[0][0].tokens.size(); ++i) {
    std::vector<float> logits(fake::V);
    float lse = 0;
    fake::answer(fake::hashOf(tokens), logits.data(), &lse);
    int32_t id = out[0][0].tokens[i];
    EXPECT_EQ(out[0][0].logprobs[i], logits[size_t(id)] - lse);
    sum += out[0][0].logprobs[i];
    tokens.push_back(id);
  }
  EXPECT_EQ(out[0][0].logprob, sum);
  EXPECT_FALSE(out[0][0].stopped);
}

TEST(Generator, EndsBecauseOfTheEndAStopIdOrAString) {
  auto m = Made::cached(3, 4, 64);
  GenerateOptions o;
  o.maxNew = 2000;
  auto out = m->generate(o, {"a", "b", "c"});
  for (auto &[i, x] : out) { // one of 258 ids: it comes
    EXPECT_TRUE(x[0].stopped);
    EXPECT_EQ(x[0].tokens.back(), 256);
  }
  o.minNew = int64_t(out[0][0].tokens.size()) + 5;
  EXPECT_GE(int64_t(m->generate(o, {"a"})[0][0].tokens.size()), o.minNew + 1);
  o.minNew = 0;
  o.stopIds = {'e', 'f'};
  auto ids = m->generate(o, {"a"})[0][0];
  EXPECT_TRUE(ids.tokens.back() == 'e' || ids.tokens.back() == 'f' || ids.tokens.back() == 256);
  EXPECT_EQ(ids.text.find('e'), std::string::npos);
  o = {};
  o.stop = {"e"};
  o.maxNew = 2000;
  auto text = m->generate(o, {"a"})[0][0];
  EXPECT_EQ(text.text.find('e'), std::string::npos);
  EXPECT_TRUE(text.tokens.back() == 'e' || text.tokens.back() == 256);
  o.stopAtEnd = false;
  o.maxNew = 50;
  o.stop = {};
  EXPECT_EQ(m->generate(o, {"a"})[0][0].tokens.size(), 50u);
}

TEST(Generator, PaddingIsNeverDrawn) {
  GenerateOptions o;
  o.maxNew = 3000;
  o.sample.temperature = 100; // all ids are about as likely
  o.stopAtEnd = false;
  auto out = Made::cached(1, 4, 16)->generate(o, {""})[0][0];
  std::map<int32_t, int> seen;
  for (int32_t id : out.tokens)
    ++seen[id];
  EXPECT_EQ(seen.count(257), 0u);
  EXPECT_GT(seen.size(), 250u);
}

TEST(Generator, InterruptionAndWrongOptions) {
  auto m = Made::cached(2, 4, 16);
  auto message = [&](GenerateOptions o) { return Generator::create(*m->decoder, *m->tok, o).status().message(); };
  GenerateOptions o;
  o.maxNew = 0;
  EXPECT_EQ(message(o), "`max_new` is at least 1, this is 0");
  o = {}, o.minNew = 300;
  EXPECT_EQ(message(o), "`min_new` is from 0 to `max_new`, 256, this is 300");
  o = {}, o.beams = 3;
  EXPECT_EQ(message(o), "3 beams need as many rows at once, not 2");
  o = {}, o.best = 2;
  EXPECT_EQ(message(o), "of 1 beams 1 to 1 come out, this is 2");
  o = {}, o.stop = {"a", ""};
  EXPECT_EQ(message(o), "a stop string is not empty");
  o = {}, o.stopIds = {258};
  EXPECT_EQ(message(o), "a stop id is from 0 to 257, this is 258");
  o = {}, o.beams = 2, o.sample.topK = 3;
  EXPECT_NE(message(o).find("beam search draws nothing"), std::string::npos);

  auto g = Generator::create(*m->decoder, *m->tok, {});
  int asked = 0;
  Status st = g->run([&](Prompt &p, bool) -> Result<Next> {
                       p = {0, 1, {97}};
                       return Next::prompt;
                     },
                     [](uint64_t, std::vector<Output> &&) { return Status::ok(); }, [&] { return ++asked < 9; });
  EXPECT_EQ(st.exitCode(), 130);
}

TEST(Generator, TellsTextAsItBecomesCertain) {
  auto m = Made::cached(2, 4, 64);
  GenerateOptions o;
  o.maxNew = 30;
  o.stop = {"ab"};
  auto g = Generator::create(*m->decoder, *m->tok, o);
  std::map<uint64_t, std::string> streamed, whole;
  uint64_t i = 0;
  ASSERT_TRUE(g->run(
      [&](Prompt &p, bool) -> Result<Next> {
        if (i == 5)
          return Next::end;
        ++i;
        p = {i, i, {97}};
        return Next::prompt;
      },
      [&](uint64_t n, std::vector<Output> &&o) {
        whole[n] = o[0].text;
        return Status::ok();
      },
      {}, [&](uint64_t n, const std::string &piece) { streamed[n] += piece; }));
  EXPECT_EQ(streamed, whole);
  EXPECT_GT(g->tokens(), 5u);
}

/// The log-probability of each choice, with and without a cache, beside others at work and alone.
TEST(Generator, Choices) {
  const std::vector<std::pair<std::string, std::vector<std::string>>> asked = {
      {"two and ", {"two", "three", "t"}}, {"x", {"y"}}, {"", {"begin", "b"}}, {"a long prompt that has many bytes ", {"end", "endless"}}};
  std::map<uint64_t, std::vector<Output>> first;
  for (auto &made : {Made::cached(3, 4, 64), Made::cached(1, 8, 64), Made::recomputing(2, 64)}) {
    Generator g = Generator::create(*made->decoder, *made->tok, {}).take();
    std::map<uint64_t, std::vector<Output>> found;
    size_t i = 0;
    Status st = g.run(
        [&](Prompt &p, bool) -> Result<Next> {
          if (i == asked.size())
            return Next::end;
          p = Prompt();
          p.number = i;
          for (const std::string &c : asked[i].second)
            p.choices.push_back(choiceOf(*made->tok, asked[i].first, c));
          ++i;
          return Next::prompt;
        },
        [&](uint64_t number, std::vector<Output> &&o) {
          found[number] = std::move(o);
          return Status::ok();
        });
    ASSERT_TRUE(st) << st.message();
    for (size_t q = 0; q < asked.size(); ++q) {
      ASSERT_EQ(found[q].size(), asked[q].second.size());
      for (size_t c = 0; c < found[q].size(); ++c) {
        const Output &o = found[q][c];
        std::vector<int32_t> tokens = promptTokens(*made->tok, asked[q].first + asked[q].second[c]);
        double sum = 0;
        for (size_t t = tokens.size() - o.tokens.size(); t < tokens.size(); ++t) {
          float logits[fake::V], lse;
          fake::answer(fake::hashOf({tokens.begin(), tokens.begin() + ptrdiff_t(t)}), logits, &lse);
          sum += logits[tokens[t]] - lse;
        }
        EXPECT_NEAR(o.logprob, sum, 1e-5);
        // A blank at the end of the prompt is the choice's.
        EXPECT_EQ(o.tokens.size(), asked[q].second[c].size() + (q == 0 || q == 3));
        if (!first.empty())
          EXPECT_EQ(o.logprobs, first[q][c].logprobs);
      }
    }
    first = found;
  }
  Made m;
  Prompt::Choice c = choiceOf(*m.tok, "0123456789", "ab");
  EXPECT_EQ(m.tok->decode(std::span(c.context).last(10)), "0123456789");
  EXPECT_EQ(m.tok->decode(c.tokens), "ab");
  EXPECT_TRUE(choiceOf(*m.tok, "x", "").tokens.empty());
}
