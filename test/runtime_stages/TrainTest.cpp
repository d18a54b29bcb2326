// What a training does about steps that must not count, averaged weights and validation, by a module whose kernels
// go wrong on demand.
#include "runtime/stages/Stages.h"
#include "runtime/state/Safetensors.h"
#include "test/runtime_stages/FakeModule.h"
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <gtest/gtest.h>
#include <sys/wait.h>

using namespace r1rt;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

// Beyond what FakeModule.h lays out.
enum : uint64_t { Limit = 2752, Scale = 2816, Average = 3072, Rate = 3392 };

/// The calls of the program so far, and what each does to its loss and gradient norm.
int calls = 0;
std::function<void(int call, const int32_t *ids, float scale, float &loss, float &norm)> disturb;
std::vector<float> seenT;               // `t` of the calls that counted
std::vector<std::vector<float>> seenW;  // weights after them
constexpr float emaDecay = 0.75f;

// args: id target mask lr w m loss norm b t limit scale ema
void guardedStep(void *const *a, void *, int64_t tid, int64_t) {
  if (tid != 0)
    return;
  auto *w = static_cast<float *>(a[4]), *m = static_cast<float *>(a[5]), *e = static_cast<float *>(a[12]);
  std::vector<float> w0(w, w + fake::W), m0(m, m + fake::W);
  fake::step(a, nullptr, 0, 1);
  float &loss = *static_cast<float *>(a[6]), &norm = *static_cast<float *>(a[7]);
  float scale = *static_cast<float *>(a[11]);
  if (disturb)
    disturb(calls, static_cast<const int32_t *>(a[0]), scale, loss, norm);
  ++calls;
  bool ok = std::isfinite(loss) && std::isfinite(norm) && loss <= *static_cast<float *>(a[10]);
  loss *= scale;
  if (!ok) {
    std::copy(w0.begin(), w0.end(), w);
    std::copy(m0.begin(), m0.end(), m);
    return;
  }
  seenT.push_back(*static_cast<float *>(a[9]));
  seenW.emplace_back(w, w + fake::W);
  for (int i = 0; i < fake::W; ++i)
    e[i] = emaDecay * (e[i] + (w0[size_t(i)] - w[i]));
}

r1_kernel kernels[] = {{"step", guardedStep, 0}, {"eval", fake::eval, 0}};
r1_arg args[] = {{fake::Id, 0, 0},      {fake::Target, 0, 0}, {fake::Mask, 0, 0},    {fake::Lr, 0, 0},
                 {fake::Weights, 0, 0}, {fake::Momentum, 0, 0}, {fake::Loss, 0, 0},  {fake::Norm, 0, 0},
                 {fake::Bias, 0, 0},    {fake::Tt, 0, 0},     {Limit, 0, 0},         {Scale, 0, 0},
                 {Average, 0, 0},       {fake::Id, 0, 0},     {fake::Target, 0, 0},  {fake::Mask, 0, 0},
                 {fake::Weights, 0, 0}, {fake::Sum, 0, 0},    {fake::Count, 0, 0}};
r1_op stepOps[] = {{R1_OP_LAUNCH, 0, 0, 13, 0, 0}};
r1_op evalOps[] = {{R1_OP_LAUNCH, 1, 13, 6, 0, 0}};
r1_field scalars[] = {{"lr", R1_F32, 0, {}, fake::Lr, 0},
                      {"t", R1_F32, 0, {}, fake::Tt, 0},
                      {"progress", R1_F32, 0, {}, fake::Prog, 0},
                      {"limit", R1_F32, 0, {}, Limit, 0},
                      {"loss_scale", R1_F32, 0, {}, Scale, 0}};
r1_field states[] = {{"m", R1_F32, 1, {64}, fake::Momentum, 0}, {"ema", R1_F32, 1, {64}, Average, 0}};
r1_program programs[] = {{"step", stepOps, 1, args, 19, fake::inputs, 5, scalars, 5, fake::outputs, 2},
                         {"eval", evalOps, 1, args, 19, fake::inputs, 5, nullptr, 0, fake::sums, 2}};

} // namespace

class TrainTest : public ::testing::Test {
protected:
  std::string root = testing::TempDir() + "/r1rt_train_" + std::to_string(getpid());
  FILE *sink = std::tmpfile();
  bool scaled = false, averaged = false;
  void SetUp() override {
    fs::remove_all(root);
    fs::create_directories(root);
    std::ofstream f(root + "/a.txt");
    for (int i = 0; i < 60; ++i)
      f << "line " << i * 37 % 101 << (i % 3 ? " of some text" : i == 30 ? " Zebra" : "") << "\n";
    reset();
    fake::stepMicroseconds = 0;
    fake::poison = false;
    fake::evalsToSignal = 0;
  }
  void reset() {
    disturb = {};
    calls = 0;
    seenT.clear();
    seenW.clear();
  }
  void TearDown() override {
    fs::remove_all(root);
    std::fclose(sink);
  }
  json spec(int steps) const {
    json data = {{"op", "pack"},
                 {"tok", {{"op", "bytes_tokenizer"}}},
                 {"seq", fake::T},
                 {"separate", true},
                 {"in", {{"op", "lines"}, {"path", root + "/a.txt"}, {"by", "line"}}}};
    return {{"stage", "gpt"}, {"batch", fake::B}, {"seed", 3}, {"budget", {{"steps", steps}}}, {"data", data},
            {"guard", {{"most", 3}, {"spike", nullptr}, {"window", 8}}}};
  }
  std::string log() {
    std::string s;
    std::rewind(sink);
    for (int c; (c = std::fgetc(sink)) != EOF;)
      s += static_cast<char>(c);
    return s;
  }
  Result<json> train(const json &spec, const std::string &name,
                     std::function<double(double)> lr = [](double p) { return 0.05 * (1 - p); }) {
    fs::create_directories(root + "/" + name);
    // Without a scale the kernel reads what is in the arena: 0 would lose the loss.
    r1_module module{fake::End, 0, kernels, 2, fake::leaves, 2, states, averaged ? 2u : 1u, programs, 2, nullptr, 0};
    programs[0].n_scalars = scaled ? 5 : 4;
    auto device = Device::createCpu(1);
    DataContext dc;
    Reporter::Options o;
    o.json = true;
    o.out = o.err = sink;
    Reporter report(o);
    StageContext ctx{**device, dc, report};
    float one = 1;
    r1_constant constant{Scale, sizeof one, &one};
    if (!scaled)
      module.constants = &constant, module.n_constants = 1;
    return runTrain({&module, spec, lr, root + "/" + name}, ctx);
  }
  std::string bytes(const std::string &path) {
    auto s = readFile(root + "/" + path);
    EXPECT_TRUE(s) << path;
    return s ? *s : "";
  }
  std::vector<json> steps(const std::string &name) {
    std::vector<json> out;
    std::ifstream in(root + "/" + name + "/steps.jsonl");
    for (std::string line; std::getline(in, line);)
      out.push_back(json::parse(line));
    return out;
  }
};

static bool holds(const int32_t *ids, int32_t id) {
  return std::find(ids, ids + fake::N, id) != ids + fake::N;
}

TEST_F(TrainTest, ARowThatGivesNaNIsLeftOutAndNoted) {
  int poisoned = 0;
  disturb = [&](int, const int32_t *ids, float, float &loss, float &) {
    if (holds(ids, 'Z')) {
      loss = NAN;
      ++poisoned;
    }
  };
  auto r = train(spec(60), "a");
  ASSERT_TRUE(r) << r.status().message();
  ASSERT_GT(poisoned, 0);
  EXPECT_EQ((*r)["skipped"], poisoned / 2); // each was computed twice
  // `t` counts the steps that were taken.
  ASSERT_EQ(seenT.size(), size_t(60 - poisoned / 2));
  for (size_t i = 0; i < seenT.size(); ++i)
    EXPECT_EQ(seenT[i], float(i + 1));
  int marked = 0;
  for (auto &s : steps("a")) {
    EXPECT_EQ(s["loss"].is_null(), s.value("skipped", 0) == 1);
    marked += s.value("skipped", 0);
  }
  EXPECT_EQ(marked, poisoned / 2);
  std::string text = log();
  EXPECT_NE(text.find("\"event\":\"skipped\""), std::string::npos);
  EXPECT_NE(text.find("Zebra"), std::string::npos) << "the rows of the step are named with their texts";
  auto model = SafetensorsFile::open(root + "/a/model.safetensors");
  EXPECT_EQ(std::memcmp(model->find("head.w")->data.data(), seenW.back().data(), fake::W * 4), 0);
}

TEST_F(TrainTest, WithoutAGuardTheFirstNaNEndsTheRun) {
  disturb = [](int call, const int32_t *, float, float &loss, float &) { loss = call == 4 ? NAN : loss; };
  json s = spec(20);
  s["guard"] = nullptr;
  auto r = train(s, "a");
  ASSERT_FALSE(r);
  EXPECT_NE(r.status().message().find("the loss of step 5 is not finite"), std::string::npos) << r.status().message();
  EXPECT_EQ(calls, 5);
}

TEST_F(TrainTest, TooManyInARowEndTheRun) {
  disturb = [](int, const int32_t *, float, float &loss, float &norm) {
    if (seenT.size() >= 5)
      norm = INFINITY;
    (void)loss;
  };
  auto r = train(spec(60), "a");
  ASSERT_FALSE(r);
  EXPECT_EQ(r.status().exitCode(), 3);
  EXPECT_NE(r.status().message().find("step 9 is finite and its gradient is not, and so it was 3 steps before"),
            std::string::npos)
      << r.status().message();
  EXPECT_EQ(calls, 5 + 4 * 2);
}

TEST_F(TrainTest, ANaNThatDoesNotComeAgainIsTheMachines) {
  disturb = [](int call, const int32_t *, float, float &loss, float &) { loss = call == 6 ? NAN : loss; };
  json s = spec(60);
  s["checkpoint_steps"] = 4;
  auto r = train(s, "a");
  ASSERT_FALSE(r);
  EXPECT_EQ(r.status().exitCode(), 3);
  EXPECT_NE(r.status().message().find("step 7: computed twice"), std::string::npos) << r.status().message();
  EXPECT_NE(r.status().message().find("does not compute reliably"), std::string::npos);
  EXPECT_NE(r.status().message().find("the checkpoint of step 4 is kept"), std::string::npos);
  // From there it is as if nothing had been.
  reset();
  ASSERT_TRUE(train(s, "a"));
  ASSERT_TRUE(train(s, "whole"));
  EXPECT_EQ(bytes("a/model.safetensors"), bytes("whole/model.safetensors"));
}

TEST_F(TrainTest, SpikesAreLeftOutAndResumeKnowsTheLosses) {
  // The rows decide, so that a step that is run again after an interruption has the same spike.
  auto spike = [](int, const int32_t *ids, float, float &loss, float &) {
    if (holds(ids, 'Z'))
      loss *= 50;
  };
  json s = spec(80);
  s["guard"]["spike"] = 6.0;
  disturb = spike;
  auto r = train(s, "whole");
  ASSERT_TRUE(r) << r.status().message();
  ASSERT_TRUE(r->contains("skipped"));
  EXPECT_NE(log().find("\"reason\":\"spike\""), std::string::npos);
  std::vector<json> whole = steps("whole");
  for (size_t i = 0; i < whole.size(); ++i)
    if (whole[i].contains("skipped"))
      EXPECT_GE(i, 8u) << "before the window is full nothing is a spike";
  for (int cut : {5, 23, 51}) {
    std::string name = "cut" + std::to_string(cut);
    pid_t child = fork();
    if (child == 0) {
      reset();
      disturb = [&](int call, const int32_t *ids, float scale, float &loss, float &norm) {
        spike(call, ids, scale, loss, norm);
        if (call == cut)
          raise(SIGTERM);
      };
      auto first = train(s, name);
      _exit(first ? 0 : first.status().exitCode());
    }
    int code = 0;
    waitpid(child, &code, 0);
    ASSERT_EQ(WEXITSTATUS(code), 130);
    reset();
    disturb = spike;
    auto second = train(s, name);
    ASSERT_TRUE(second) << second.status().message();
    EXPECT_EQ(bytes(name + "/model.safetensors"), bytes("whole/model.safetensors")) << cut;
    EXPECT_EQ(bytes(name + "/state.safetensors"), bytes("whole/state.safetensors")) << cut;
    EXPECT_EQ((*second)["skipped"], (*r)["skipped"]);
    std::vector<json> have = steps(name);
    ASSERT_EQ(have.size(), whole.size());
    for (size_t i = 0; i < have.size(); ++i)
      for (const char *key : {"loss", "lr", "grad_norm", "skipped"})
        EXPECT_EQ(have[i].value(key, json()), whole[i].value(key, json())) << i << key;
  }
}

TEST_F(TrainTest, OverflowOfF16HalvesTheScaleAndDoesNotAdvanceT) {
  scaled = true;
  disturb = [](int, const int32_t *, float scale, float &, float &norm) {
    if (scale > 5000)
      norm = INFINITY;
  };
  json s = spec(30);
  s["guard"] = nullptr; // a scale of its own, whatever the guard
  auto r = train(s, "a");
  ASSERT_TRUE(r) << r.status().message();
  EXPECT_EQ((*r)["skipped"], 4); // 65536, 32768, 16384, 8192
  EXPECT_EQ(calls, 30);
  std::vector<json> all = steps("a");
  EXPECT_EQ(all[0]["loss_scale"], 65536);
  EXPECT_EQ(all[3]["loss_scale"], 8192);
  EXPECT_EQ(all[4]["loss_scale"], 4096);
  EXPECT_EQ(all[29]["loss_scale"], 4096);
  EXPECT_EQ(seenT.front(), 1);
  EXPECT_EQ(seenT.size(), 26u);
  EXPECT_NE(log().find("4 of 30 steps changed nothing, since gradients overflowed f16; at the end the loss was scaled "
                       "by 4096"),
            std::string::npos)
      << log();
  // The loss is told without its scale.
  scaled = false;
  reset();
  ASSERT_TRUE(train(s, "plain"));
  EXPECT_EQ(steps("plain")[0]["loss"], all[0]["loss"]);
}

TEST_F(TrainTest, ARunWithoutAStepThatCountsFails) {
  scaled = true;
  disturb = [](int, const int32_t *, float, float &, float &norm) { norm = INFINITY; };
  json s = spec(4);
  s["guard"] = nullptr;
  auto r = train(s, "a");
  ASSERT_FALSE(r);
  EXPECT_EQ(r.status().getExitClass(), ExitClass::stage);
  EXPECT_NE(r.status().message().find("none of the 4 steps changed the weights"), std::string::npos)
      << r.status().message();
  EXPECT_NE(r.status().message().find("scaled by 4096"), std::string::npos) << r.status().message();
  EXPECT_FALSE(fs::exists(root + "/a/model.safetensors"));
}

TEST_F(TrainTest, ATimeIsMeasuredOnceAtItsEnd) {
  json s = spec(1);
  s["budget"] = {{"seconds", 0.05}};
  s["valid"] = s["data"];
  s["keep"] = "best";
  auto r = train(s, "a");
  ASSERT_TRUE(r) << r.status().message();
  EXPECT_EQ((*r)["best"]["step"], (*r)["steps"]);
  std::string text = log();
  size_t first = text.find("\"name\":\"valid_loss\"");
  ASSERT_NE(first, std::string::npos) << text;
  EXPECT_EQ(text.find("\"name\":\"valid_loss\"", first + 1), std::string::npos) << text;
}

TEST_F(TrainTest, AverageIsWhatIsMeasuredAndLeft) {
  averaged = true;
  json s = spec(40);
  s["valid"] = s["data"];
  s["valid_every"] = 40;
  auto r = train(s, "a");
  ASSERT_TRUE(r) << r.status().message();
  auto model = SafetensorsFile::open(root + "/a/model.safetensors");
  std::vector<float> w(fake::W);
  std::memcpy(w.data(), model->find("head.w")->data.data(), fake::W * 4);
  // The average from its definition, begun with the first weights: those that a run of rate 0 leaves.
  auto all = seenW;
  reset();
  ASSERT_TRUE(train(spec(1), "first", [](double) { return 0.0; }));
  std::vector<double> mean(seenW[0].begin(), seenW[0].end());
  for (auto &step : all)
    for (size_t i = 0; i < mean.size(); ++i)
      mean[i] = emaDecay * mean[i] + (1 - emaDecay) * double(step[i]);
  for (size_t i = 0; i < mean.size(); ++i)
    EXPECT_NEAR(w[i], mean[i], 1e-5);
  EXPECT_GT(std::fabs(double(all.back()[0]) - mean[0]) + std::fabs(double(all.back()[5]) - mean[5]), 1e-4);
  // Measured: what `evaluate` finds for the model.
  auto device = Device::createCpu(1);
  DataContext dc;
  Reporter report({.quiet = true, .out = sink, .err = sink});
  StageContext ctx{**device, dc, report};
  auto e = runEvaluate({&fake::module, {{"stage", "e"}, {"metrics", {{"l", {{"metric", "loss"}, {"data", s["data"]}}}}}},
                        root + "/a", ""}, ctx);
  ASSERT_TRUE(e) << e.status().message();
  std::string text = log();
  size_t at = text.find("\"name\":\"valid_loss\"");
  ASSERT_NE(at, std::string::npos);
  size_t line = text.rfind('\n', at) + 1;
  json event = json::parse(text.substr(line, text.find('\n', at) - line));
  EXPECT_EQ(event["value"], (*e)["metrics"]["l"]);
}

TEST_F(TrainTest, StopsEarlyWithTheBestWeights) {
  averaged = true;
  json s = spec(400);
  s["valid"] = s["data"];
  s["valid_every"] = 10;
  s["stop"] = {{"patience", 3}, {"min_delta", 0.0}, {"metric", "valid.loss"}};
  s["keep"] = "best";
  // Down the hill, and up again.
  auto lr = [](double p) { return p < 0.3 ? 0.02 : -0.01; };
  auto r = train(s, "whole", lr);
  ASSERT_TRUE(r) << r.status().message();
  EXPECT_EQ((*r)["stopped"], "early");
  uint64_t best = (*r)["best"]["step"];
  EXPECT_GE(best, 100u);
  EXPECT_LT(best, 160u);
  EXPECT_EQ((*r)["steps"], best + 30);
  EXPECT_FALSE(fs::exists(root + "/whole/best.safetensors"));
  auto device = Device::createCpu(1);
  DataContext dc;
  Reporter report({.quiet = true, .out = sink, .err = sink});
  StageContext ctx{**device, dc, report};
  auto e = runEvaluate({&fake::module, {{"stage", "e"}, {"metrics", {{"l", {{"metric", "loss"}, {"data", s["data"]}}}}}},
                        root + "/whole", ""}, ctx);
  ASSERT_TRUE(e) << e.status().message();
  EXPECT_EQ((*e)["metrics"]["l"], (*r)["best"]["valid_loss"]);
  // Killed at any moment, it ends the same.
  for (int round = 0; round < 4; ++round) {
    std::string name = "cut" + std::to_string(round);
    pid_t child = fork();
    if (child == 0) {
      reset();
      disturb = [&](int call, const int32_t *, float, float &, float &) {
        if (call == int(best) - 5 + 5 * round)
          raise(SIGKILL);
      };
      json t = s;
      t["checkpoint_steps"] = 7;
      (void)train(t, name, lr);
      _exit(0);
    }
    int code = 0;
    waitpid(child, &code, 0);
    ASSERT_TRUE(WIFSIGNALED(code));
    reset();
    auto second = train(s, name, lr);
    ASSERT_TRUE(second) << second.status().message();
    EXPECT_EQ((*second)["best"], (*r)["best"]) << round;
    EXPECT_EQ(bytes(name + "/model.safetensors"), bytes("whole/model.safetensors")) << round;
    EXPECT_EQ(bytes(name + "/state.safetensors"), bytes("whole/state.safetensors")) << round;
  }
}
