#include "runtime/stages/Generate.h"
#include "runtime/stages/Stages.h"
#include "runtime/state/Safetensors.h"
#include "runtime/state/Store.h"
#include "test/runtime_stages/FakeModule.h"
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <iterator>
#include <sstream>
#include <sys/wait.h>

using namespace r1rt;
using nlohmann::json;
namespace fs = std::filesystem;

class StagesTest : public ::testing::Test {
protected:
  std::string root = testing::TempDir() + "/r1rt_stages_" + std::to_string(getpid());
  FILE *sink = std::tmpfile();
  void SetUp() override {
    fs::remove_all(root);
    fs::create_directories(root);
    std::ofstream f(root + "/a.txt");
    for (int i = 0; i < 60; ++i)
      f << "line " << i * 37 % 101 << (i % 3 ? " of some text" : "") << "\n";
    fake::stepMicroseconds = 0;
    fake::poison = false;
    fake::rowsWithoutTargets = 0;
    fake::evalsToSignal = 0;
  }
  void TearDown() override {
    fs::remove_all(root);
    std::fclose(sink);
  }
  json data() const {
    return {{"op", "pack"},
            {"tok", {{"op", "bytes_tokenizer"}}},
            {"seq", fake::T},
            {"separate", true},
            {"in", {{"op", "lines"}, {"path", root + "/a.txt"}, {"by", "line"}}}};
  }
  json spec(int steps) const {
    return {{"stage", "gpt"}, {"batch", fake::B},     {"seed", 3}, {"budget", {{"steps", steps}}},
            {"data", data()}, {"checkpoint_steps", 7}};
  }
  std::string dir(const std::string &name) const {
    fs::create_directories(root + "/" + name);
    return root + "/" + name;
  }
  std::string log() {
    std::string s;
    std::rewind(sink);
    for (int c; (c = std::fgetc(sink)) != EOF;)
      s += static_cast<char>(c);
    return s;
  }
  template <class F> auto with(int threads, F f) {
    auto device = Device::createCpu(threads);
    DataContext dc;
    Reporter::Options o;
    o.out = o.err = sink;
    Reporter report(o);
    StageContext ctx{**device, dc, report};
    return f(ctx);
  }
  Result<json> train(const json &spec, const std::string &d, int threads = 1) {
    return with(threads, [&](StageContext &ctx) {
      return runTrain({&fake::module, spec, [](double p) { return 0.05 * (1 - p); }, d}, ctx);
    });
  }
  static std::string bytes(const std::string &path) {
    auto s = readFile(path);
    EXPECT_TRUE(s) << path;
    return s ? *s : "";
  }
};

TEST_F(StagesTest, TrainsAndWritesTheArtifact) {
  auto r = train(spec(200), dir("a"));
  ASSERT_TRUE(r) << r.status().message();
  EXPECT_EQ((*r)["steps"], 200);
  auto model = SafetensorsFile::open(root + "/a/model.safetensors");
  ASSERT_TRUE(model);
  EXPECT_EQ(model->find("head.w")->shape, (std::vector<int64_t>{5, 8}));
  EXPECT_EQ(model->find("bias")->data.size(), 12u);
  auto state = SafetensorsFile::open(root + "/a/state.safetensors");
  ASSERT_EQ(state->index().tensors.size(), 1u);
  EXPECT_EQ(state->index().tensors[0].name, "m.head.w");
  EXPECT_TRUE(fs::exists(root + "/a/tokenizer.r1.json"));
  EXPECT_FALSE(fs::exists(root + "/a/checkpoint.safetensors"));
  // 200 lines, and the loss went down.
  std::ifstream in(root + "/a/steps.jsonl");
  std::vector<double> losses;
  for (std::string line; std::getline(in, line);)
    losses.push_back(json::parse(line)["loss"].get<double>());
  ASSERT_EQ(losses.size(), 200u);
  EXPECT_LT(losses.back(), losses.front());
}

TEST_F(StagesTest, SameBitsForAnyNumberOfThreads) {
  ASSERT_TRUE(train(spec(50), dir("a"), 1));
  ASSERT_TRUE(train(spec(50), dir("b"), 3));
  EXPECT_EQ(bytes(root + "/a/model.safetensors"), bytes(root + "/b/model.safetensors"));
  EXPECT_EQ(bytes(root + "/a/state.safetensors"), bytes(root + "/b/state.safetensors"));
  json other = spec(50);
  other["seed"] = 4;
  ASSERT_TRUE(train(other, dir("c")));
  EXPECT_NE(bytes(root + "/a/model.safetensors"), bytes(root + "/c/model.safetensors"));
}

TEST_F(StagesTest, KilledAndResumedIsTheSame) {
  const int steps = 120;
  ASSERT_TRUE(train(spec(steps), dir("whole")));
  std::string d = dir("killed");
  for (int round = 0; round < 3; ++round) {
    pid_t child = fork();
    if (child == 0) {
      fake::stepMicroseconds = 2000;
      auto r = train(spec(steps), d, 2);
      _exit(r ? 0 : 1);
    }
    usleep(50000 + 17000 * round);
    kill(child, SIGKILL);
    int code = 0;
    waitpid(child, &code, 0);
    ASSERT_TRUE(WIFSIGNALED(code)) << "the run ended before it was killed";
    EXPECT_TRUE(fs::exists(d + "/checkpoint.safetensors")) << round;
  }
  auto r = train(spec(steps), d);
  ASSERT_TRUE(r) << r.status().message();
  EXPECT_NE(log().find("goes on after step"), std::string::npos);
  EXPECT_EQ(bytes(root + "/whole/model.safetensors"), bytes(d + "/model.safetensors"));
  EXPECT_EQ(bytes(root + "/whole/state.safetensors"), bytes(d + "/state.safetensors"));
  std::ifstream in(d + "/steps.jsonl");
  int n = 0;
  for (std::string line; std::getline(in, line);)
    EXPECT_EQ(json::parse(line)["step"], ++n);
  EXPECT_EQ(n, steps);
}

TEST_F(StagesTest, SignalsSaveAndStop) {
  std::string d = dir("a");
  json s = spec(500);
  s["checkpoint_steps"] = 0;
  int pipes[2];
  ASSERT_EQ(pipe(pipes), 0);
  pid_t child = fork();
  if (child == 0) {
    fake::stepMicroseconds = 2000;
    auto r = train(s, d);
    _exit(r ? 0 : r.status().exitCode());
  }
  while (!fs::exists(d + "/steps.jsonl"))
    usleep(1000);
  usleep(20000);
  kill(child, SIGUSR1);
  for (int i = 0; i < 2000 && !fs::exists(d + "/checkpoint.safetensors"); ++i)
    usleep(1000);
  EXPECT_TRUE(fs::exists(d + "/checkpoint.safetensors"));
  EXPECT_EQ(waitpid(child, nullptr, WNOHANG), 0) << "SIGUSR1 must not end the run";
  kill(child, SIGTERM);
  int code = 0;
  waitpid(child, &code, 0);
  EXPECT_EQ(WEXITSTATUS(code), 130);
  ASSERT_TRUE(train(s, d));
  ASSERT_TRUE(train(s, dir("whole")));
  EXPECT_EQ(bytes(root + "/whole/model.safetensors"), bytes(d + "/model.safetensors"));
}

TEST_F(StagesTest, DamagedCheckpointIsPassedOver) {
  std::string d = dir("a");
  json s = spec(100);
  pid_t child = fork();
  if (child == 0) {
    fake::stepMicroseconds = 2000;
    (void)train(s, d);
    _exit(0);
  }
  while (!fs::exists(d + "/checkpoint.previous.safetensors"))
    usleep(1000);
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  fs::resize_file(d + "/checkpoint.safetensors", 300);
  auto r = train(s, d);
  ASSERT_TRUE(r) << r.status().message();
  EXPECT_NE(log().find("a checkpoint is passed over"), std::string::npos);
  ASSERT_TRUE(train(s, dir("whole")));
  EXPECT_EQ(bytes(root + "/whole/model.safetensors"), bytes(d + "/model.safetensors"));
}

TEST_F(StagesTest, BudgetsAndErrors) {
  auto steps = [&](json budget) {
    json s = spec(1);
    s["budget"] = budget;
    auto r = train(s, dir("b" + budget.dump().substr(2, 4)));
    EXPECT_TRUE(r) << r.status().message();
    return r ? (*r)["steps"].get<int>() : 0;
  };
  uint32_t rows;
  uint64_t targets = 0;
  {
    DataContext dc;
    auto p = openPacked(data(), dc);
    rows = (*p)->rows();
    for (uint32_t r = 0; r < rows; ++r)
      targets += (*p)->targets(r);
  }
  EXPECT_EQ(steps({{"epochs", 2}}), int((2 * rows + fake::B - 1) / fake::B));
  EXPECT_EQ(steps({{"tokens", targets}}), int((rows + fake::B - 1) / fake::B));
  EXPECT_GE(steps({{"seconds", 0.05}}), 1);
  auto fails = [&](const char *key, json value, const char *what, int code) {
    json s = spec(5);
    s[key] = value;
    auto r = train(s, dir("e"));
    ASSERT_FALSE(r) << what;
    EXPECT_NE(r.status().message().find(what), std::string::npos) << r.status().message();
    EXPECT_EQ(r.status().exitCode(), code);
  };
  fails("batch", 5, "compiled for batches of 4 rows", 3);
  fails("budget", {{"steps", 0}}, "more than 0", 1);
  fails("budget", {{"weeks", 1}}, "a budget in `weeks`", 1);
  fails("data", json{{"op", "lines"}}, "must end in `pack`", 1);
  fails("start", root + "/nowhere", "there is no file", 3);
  fake::poison = true;
  fails("seed", 1, "is not finite", 3);
}

TEST_F(StagesTest, StartsFromOtherWeights) {
  ASSERT_TRUE(train(spec(20), dir("base")));
  json s = spec(1);
  s["start"] = root + "/base";
  s["seed"] = 99;
  with(1, [&](StageContext &ctx) {
    // A learning rate of 0 leaves what was loaded.
    auto r = runTrain({&fake::module, s, [](double) { return 0.0; }, dir("next")}, ctx);
    EXPECT_TRUE(r) << r.status().message();
    return 0;
  });
  auto a = SafetensorsFile::open(root + "/base/model.safetensors");
  auto b = SafetensorsFile::open(root + "/next/model.safetensors");
  EXPECT_EQ(a->find("head.w")->data, b->find("head.w")->data);
}

TEST_F(StagesTest, DamagedWeightsAreRefused) {
  json first = spec(2);
  first["metadata"] = {{"r1.stage", "gpt"}};
  ASSERT_TRUE(train(first, dir("m")));
  std::string file = root + "/m/model.safetensors", text = bytes(file);
  text[text.size() - 2] ^= 1;
  ASSERT_TRUE(writeFileAtomic(file, text));
  auto refused = [&](const Result<json> &r, const char *how) {
    ASSERT_FALSE(r) << how;
    EXPECT_EQ(r.status().exitCode(), 3);
    EXPECT_NE(r.status().message().find("`" + file + "` is damaged"), std::string::npos)
        << r.status().message();
    EXPECT_NE(r.status().message().find("--fresh gpt"), std::string::npos) << r.status().message();
  };
  json s = spec(1);
  s["start"] = root + "/m";
  refused(train(s, dir("next")), "train");
  refused(with(1, [&](StageContext &ctx) {
            return runEvaluate({&fake::module, {{"stage", "eval"}}, root + "/m", ""}, ctx);
          }), "evaluate");
  refused(with(1, [&](StageContext &ctx) {
            auto m = TextModel::open(ctx.device, fake::module, root + "/m", {});
            return m ? Result<json>(json()) : m.status();
          }), "generate");
  // Without a hash, as other programs write them, they are taken as they are.
  {
    auto f = SafetensorsFile::open(file);
    ASSERT_TRUE(writeSafetensors(file, f->index().tensors, {{"format", "pt"}}));
  }
  auto r = train(s, dir("other"));
  EXPECT_TRUE(r) << r.status().message();
}

TEST_F(StagesTest, EvaluateAgainstABaseline) {
  ASSERT_TRUE(train(spec(5), dir("short")));
  ASSERT_TRUE(train(spec(200), dir("long")));
  json s = {{"stage", "before"}, {"metrics", {{"loss", {{"metric", "loss"}, {"data", data()}}}}}};
  auto evaluate = [&](const std::string &model, const std::string &to) {
    return with(1, [&](StageContext &ctx) {
      ctx.data.artifactDir = [&](const std::string &stage) -> Result<std::string> { return root + "/" + stage; };
      return runEvaluate({&fake::module, s, root + "/" + model, dir(to)}, ctx);
    });
  };
  auto before = evaluate("short", "before");
  ASSERT_TRUE(before) << before.status().message();
  EXPECT_FALSE((*before)["metrics"].contains("loss_diff"));
  s["stage"] = "after";
  s["baseline"] = {{"metrics", {{"stage", "before"}}}};
  auto after = evaluate("long", "after");
  ASSERT_TRUE(after) << after.status().message();
  const json m = (*after)["metrics"];
  EXPECT_NEAR(m["loss_diff"].get<double>(), m["loss"].get<double>() - (*before)["metrics"]["loss"].get<double>(), 1e-12);
  EXPECT_LT(m["loss_diff_high"], 0); // the same rows, nearly all of them better
  EXPECT_LT(m["loss_p"], 0.01);
  EXPECT_TRUE(fs::exists(root + "/after/tensorboard"));
  // Other rows are other documents.
  std::ofstream(root + "/a.txt", std::ios::app) << "one more line\n";
  auto other = evaluate("long", "after");
  ASSERT_FALSE(other);
  EXPECT_NE(other.status().message().find("baseline"), std::string::npos) << other.status().message();
  // A damaged baseline, and one without the metric.
  ASSERT_TRUE(writeFileAtomic(root + "/before/statistics.json", "{\"loss\": {\"statistics\": {\"width\": 4, "
                                                                "\"documents\": [[4, 1.0]]}}}"));
  auto damaged = evaluate("long", "after");
  ASSERT_FALSE(damaged);
  EXPECT_NE(damaged.status().message().find("document 0: 4, 1.0 is no column below 4"), std::string::npos)
      << damaged.status().message();
  ASSERT_TRUE(writeFileAtomic(root + "/before/statistics.json", "[]"));
  auto torn = evaluate("long", "after");
  ASSERT_FALSE(torn);
  EXPECT_NE(torn.status().message().find("--fresh before makes it again"), std::string::npos)
      << torn.status().message();
}

TEST_F(StagesTest, EvaluateFillsTheLastBatch) {
  ASSERT_TRUE(train(spec(20), dir("m")));
  json s = {{"stage", "eval"},
            {"metrics",
             {{"ppl", {{"metric", "perplexity"}, {"data", data()}}},
              {"bpb", {{"metric", "bits_per_byte"}, {"data", data()}}},
              {"byte", {{"metric", "perplexity"}, {"per", "byte"}, {"data", data()}}},
              {"word", {{"metric", "perplexity"}, {"per", "word"}, {"data", data()}}},
              {"loss", {{"metric", "loss"}, {"data", data()}}}}}};
  auto r = with(2, [&](StageContext &ctx) {
    return runEvaluate({&fake::module, s, root + "/m", dir("e")}, ctx);
  });
  ASSERT_TRUE(r) << r.status().message();
  json m = (*r)["metrics"];
  // The same by hand.
  auto model = SafetensorsFile::open(root + "/m/model.safetensors");
  std::vector<float> w(fake::W);
  std::memcpy(w.data(), model->find("head.w")->data.data(), fake::W * 4);
  DataContext dc;
  auto p = *openPacked(data(), dc);
  double sum = 0, count = 0;
  for (auto &piece : p->pieces)
    for (uint32_t k = 0; k + 1 < piece.length + piece.goesOn; ++k) {
      float d = w[p->ids[piece.begin + k] % fake::W] - float(p->ids[piece.begin + k + 1] % 5 - 2);
      sum += double(d) * d;
      ++count;
    }
  EXPECT_NEAR(m["loss"].get<double>(), sum / count, 1e-5);
  EXPECT_NEAR(m["ppl"].get<double>(), std::exp(sum / count), 1e-3);
  EXPECT_NEAR(m["bpb"].get<double>(), sum / std::log(2.0) / double(p->textBytes), 1e-4);
  EXPECT_NEAR(m["byte"].get<double>(), std::exp(sum / double(p->textBytes)), 1e-4);
  std::istringstream text(bytes(root + "/a.txt"));
  const auto words = std::distance(std::istream_iterator<std::string>(text), {});
  EXPECT_NEAR(m["word"].get<double>() / std::exp(sum / double(words)), 1, 1e-4);
  for (const std::string name : {"ppl", "loss", "bpb", "byte", "word"}) {
    EXPECT_LT(m[name + "_low"], m[name]) << name;
    EXPECT_GT(m[name + "_high"], m[name]) << name;
  }
  // The interval is of the rows, each with its own sums.
  json statistics = json::parse(bytes(root + "/e/statistics.json"))["ppl"];
  EXPECT_EQ(statistics["signature"], "part:row");
  ASSERT_EQ(statistics["references"].size(), p->rows());
  ASSERT_EQ(statistics["statistics"]["documents"].size(), p->rows());
  for (uint32_t r = 0; r < p->rows(); ++r) {
    double nll = 0;
    for (uint32_t x = p->firstPiece[r]; x < p->firstPiece[r + 1]; ++x)
      for (uint32_t k = 0; k + 1 < p->pieces[x].length + p->pieces[x].goesOn; ++k) {
        const int32_t *at = &p->ids[p->pieces[x].begin + k];
        const float d = w[at[0] % fake::W] - float(at[1] % 5 - 2);
        nll += double(d) * d;
      }
    EXPECT_NEAR(statistics["statistics"]["documents"][r][1].get<double>(), nll, 1e-3) << r;
    EXPECT_EQ(statistics["statistics"]["documents"][r][3], p->targets(r));
  }
  EXPECT_TRUE(fs::exists(root + "/e/metrics.json"));
  s["metrics"]["x"] = {{"metric", "bleu"}, {"data", data()}};
  auto bad = with(
      1, [&](StageContext &ctx) { return runEvaluate({&fake::module, s, root + "/m", ""}, ctx); });
  ASSERT_FALSE(bad);
  EXPECT_NE(bad.status().message().find("there is no metric `bleu` of a model"), std::string::npos);
}

TEST_F(StagesTest, RowsWithoutTargetsAreNoPartsOfALikelihood) {
  ASSERT_TRUE(train(spec(20), dir("m")));
  std::ofstream(root + "/a.txt") << "first\nother\n"; // a row each
  DataContext dc;
  ASSERT_EQ((*openPacked(data(), dc))->rows(), 2u);
  fake::rowsWithoutTargets = 1;
  json s = {{"stage", "eval"},
            {"metrics",
             {{"ppl", {{"metric", "perplexity"}, {"data", data()}}},
              {"loss", {{"metric", "loss"}, {"data", data()}}}}}};
  auto r = with(1, [&](StageContext &ctx) { return runEvaluate({&fake::module, s, root + "/m", dir("e")}, ctx); });
  ASSERT_TRUE(r) << r.status().message();
  const json statistics = json::parse(bytes(root + "/e/statistics.json"));
  for (const std::string name : {"ppl", "loss"}) { // a quarter of all resamples of both rows would be 0/0
    EXPECT_EQ((*r)["metrics"][name + "_low"], (*r)["metrics"][name]) << name;
    EXPECT_EQ((*r)["metrics"][name + "_high"], (*r)["metrics"][name]) << name;
    EXPECT_EQ(statistics[name]["references"].size(), 1u) << name;
    EXPECT_EQ(statistics[name]["statistics"]["documents"].size(), 1u) << name;
  }
}

TEST_F(StagesTest, ATextModelGoesOnWithPrompts) {
  ASSERT_TRUE(train(spec(2), dir("m")));
  auto device = Device::createCpu(2);
  auto m = TextModel::open(**device, fake::module, root + "/m", {});
  ASSERT_TRUE(m) << m.status().message();
  EXPECT_EQ((*m)->decoder().context(), fake::T);
  auto options = generateOptions({{"temperature", 0}, {"max_new", 20}});
  ASSERT_TRUE(options) << options.status().message();
  auto g = generate::Generator::create((*m)->decoder(), (*m)->tokenizer(), *options);
  std::string text;
  int64_t whole = 0;
  bool given = false;
  Status st = g->run(
      [&](generate::Prompt &p, bool) -> Result<generate::Next> {
        p = {0, 1, (*m)->prompt("a", 20, whole)};
        return std::exchange(given, true) ? generate::Next::end : generate::Next::prompt;
      },
      [&](uint64_t, std::vector<generate::Output> &&out) {
        text = out[0].text;
        return Status::ok();
      });
  ASSERT_TRUE(st) << st.message();
  EXPECT_EQ(text, "bcdefghijklmnopqrstu"); // more than a row holds
  EXPECT_EQ(whole, 2);                     // the end of text, and the letter
  // Too long by far: room is left for what is to come, of half a row at most.
  EXPECT_EQ((*m)->prompt(std::string(20, 'a'), 2, whole).size(), size_t(fake::T - 2));
  EXPECT_EQ(whole, 21);
  EXPECT_EQ((*m)->prompt(std::string(20, 'a'), 200, whole).size(), size_t(fake::T / 2));
  EXPECT_EQ((*m)->prompt(std::string(fake::T - 1, 'a'), 200, whole).size(), size_t(fake::T));
  EXPECT_EQ(generateOptions({{"top_p", 0}}).status().message(), "`top_p` is more than 0 and at most 1, this is 0.000000");
  EXPECT_EQ(generateOptions({{"max_new", "x"}}).status().exitCode(), 1);
}

TEST_F(StagesTest, BpeThenTrainOnIt) {
  json s = {{"stage", "tok"}, {"vocab", 300}, {"data", data()["in"]}};
  auto r = with(1, [&](StageContext &ctx) { return runBpe({s, dir("tok")}, ctx); });
  ASSERT_TRUE(r) << r.status().message();
  DataContext dc;
  dc.artifactDir = [&](const std::string &stage) -> Result<std::string> {
    return root + "/" + stage;
  };
  json d = data();
  d["tok"] = {{"stage", "tok"}};
  auto p = openPacked(d, dc);
  ASSERT_TRUE(p) << p.status().message();
  EXPECT_EQ((*p)->tokenizer->vocab(), 300);
}

TEST_F(StagesTest, SharesFollowTheLossOfEachSource) {
  std::ofstream(root + "/b.txt") << "what another source says\nand says\nand says again, at some length\n";
  json other = data();
  other["in"]["path"] = root + "/b.txt";
  const json sources = {{"a", data()}, {"b", other}};
  json s = spec(1);
  s["data"] = {{"op", "interleave"}, {"sources", sources}, {"weight", {{"a", 0.9}}}, {"adapt", {{"row_fn", 0}}}};
  s["budget"] = {{"epochs", 3}};
  std::vector<json> seen;
  json answer = {{"a", 1}, {"b", 3}};
  auto run = [&](const char *name) {
    return with(2, [&](StageContext &ctx) {
      ctx.data.rowFns.push_back([&](const json &x) -> Result<json> {
        seen.push_back(x);
        return answer;
      });
      return runTrain({&fake::module, s, [](double) { return 0.0; }, dir(name)}, ctx); // weights stay
    });
  };
  auto r = run("mixed");
  ASSERT_TRUE(r) << r.status().message();
  const json &a = (*r)["sources"]["a"], &b = (*r)["sources"]["b"];
  const uint64_t rows = a["rows"].get<uint64_t>() + b["rows"].get<uint64_t>(), steps = (*r)["steps"];
  EXPECT_EQ(steps, (3 * rows + fake::B - 1) / fake::B);
  EXPECT_EQ(a["taken"].get<uint64_t>() + b["taken"].get<uint64_t>(), steps * fake::B);
  ASSERT_EQ(seen.size(), (steps * fake::B - 1) / rows);
  EXPECT_EQ(b["share"], 0.75);
  // 10 % of the first epoch and 75 % of the others, epochs being cut where batches are.
  EXPECT_NEAR(b["taken"].get<double>(), 0.1 * double(rows) + 0.75 * double(steps * fake::B - rows), fake::B);
  EXPECT_NEAR(seen[0]["a"]["share"], 0.9, 1e-9);
  EXPECT_NEAR(seen[1]["a"]["share"], 0.25, 1e-9);
  EXPECT_NE(log().find("shares a 25.0 %, b 75.0 %"), std::string::npos);
  std::ifstream lines(root + "/mixed/steps.jsonl");
  std::vector<double> curve;
  for (std::string line; std::getline(lines, line);)
    curve.push_back(json::parse(line)["share.b"]);
  ASSERT_EQ(curve.size(), steps);
  EXPECT_NEAR(curve.front(), 0.1, 1e-9);
  EXPECT_EQ(curve.back(), 0.75);
  // What the rule has seen is what `evaluate` says of the same weights, of `a` over a sample of 128 rows.
  ASSERT_GT(a["rows"], 32 * fake::B);
  ASSERT_LT(b["rows"], 32 * fake::B);
  json e = {{"stage", "eval"}, {"metrics", json::object()}};
  for (auto &[name, tree] : sources.items())
    e["metrics"][name] = {{"metric", "loss"}, {"data", tree}};
  auto m = with(1, [&](StageContext &ctx) {
    return runEvaluate({&fake::module, e, root + "/mixed", ""}, ctx);
  });
  ASSERT_TRUE(m) << m.status().message();
  for (auto &[name, tree] : sources.items())
    EXPECT_NEAR(seen[0][name]["loss"], (*m)["metrics"][name].get<double>(), name == "a" ? 0.05 : 1e-5) << name;
  EXPECT_EQ(seen[0]["a"]["loss"], seen[1]["a"]["loss"]) << "the same rows each time";
  answer = {{"a", 1}};
  r = run("wrong");
  ASSERT_FALSE(r);
  EXPECT_EQ(r.status().exitCode(), 1);
  EXPECT_NE(r.status().message().find("`adapt` gives a number of at least 0 for each source; `b` has none"),
            std::string::npos)
      << r.status().message();
  // Tokens are counted by the shares at the beginning.
  answer = {{"a", 1}, {"b", 3}};
  s["budget"] = {{"tokens", 1000}};
  r = run("tokens");
  ASSERT_TRUE(r);
  DataContext dc;
  double perRow = 0;
  for (auto &[name, share] : {std::pair{"a", 0.9}, {"b", 0.1}}) {
    auto p = openPacked(sources[name], dc);
    uint64_t targets = 0;
    for (uint32_t row = 0; row < (*p)->rows(); ++row)
      targets += (*p)->targets(row);
    perRow += share * double(targets) / (*p)->rows();
  }
  EXPECT_EQ((*r)["steps"], int(std::ceil(1000 / (perRow * fake::B))));
}

TEST_F(StagesTest, InterruptedWhileSourcesAreMeasured) {
  json s = spec(200);
  s["checkpoint_steps"] = 0;
  s["data"] = {{"op", "interleave"}, {"sources", {{"a", data()}, {"b", data()}}}, {"adapt", {{"row_fn", 0}}}};
  auto run = [&](const std::string &d) {
    return with(1, [&](StageContext &ctx) {
      ctx.data.rowFns.push_back([](const json &x) -> Result<json> { // depends on losses and shares
        double gap = x["a"]["loss"].get<double>() - x["b"]["loss"].get<double>();
        return json{{"a", 1 + 50 * std::abs(gap)}, {"b", x["a"]["share"]}};
      });
      return runTrain({&fake::module, s, [](double p) { return 0.05 * (1 - p); }, d}, ctx);
    });
  };
  auto whole = run(dir("whole"));
  ASSERT_TRUE(whole) << whole.status().message();
  for (int in : {1, 40, 64}) { // the first batch, in the second source, the last: all of the first epoch's end
    fake::evalsToSignal = in;
    auto r = run(dir("stopped"));
    ASSERT_FALSE(r);
    EXPECT_EQ(r.status().exitCode(), 130);
  }
  EXPECT_TRUE(fs::exists(root + "/stopped/checkpoint.safetensors"));
  auto r = run(dir("stopped"));
  ASSERT_TRUE(r) << r.status().message();
  EXPECT_EQ(bytes(root + "/whole/model.safetensors"), bytes(root + "/stopped/model.safetensors"));
  EXPECT_EQ((*r)["sources"], (*whole)["sources"]);
}
