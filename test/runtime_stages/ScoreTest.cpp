// A classifier with hand-written kernels: of a row's tokens the share that is `a` is the score of class 1. What
// stands in rows that nobody asked about must not show.
#include "runtime/stages/Score.h"
#include "runtime/stages/Stages.h"
#include "runtime/state/Files.h"
#include "runtime/state/Safetensors.h"
#include <cstring>
#include <filesystem>
#include <gtest/gtest.h>
#include <unistd.h>

using namespace r1rt;
using nlohmann::json;

namespace {

constexpr int B = 4, T = 8;
enum : uint64_t { Id = 0, Seg = 128, Target = 256, Mask = 320, Scores = 384, W = 448, End = 4096 };

// args: id seg w scores
void classify(void *const *a, void *, int64_t tid, int64_t) {
  if (tid != 0)
    return;
  auto *id = static_cast<const int32_t *>(a[0]), *seg = static_cast<const int32_t *>(a[1]);
  float w = *static_cast<const float *>(a[2]), *scores = static_cast<float *>(a[3]);
  for (int b = 0; b < B; ++b) {
    int seen = 0, hits = 0;
    for (int t = 0; t < T; ++t) {
      seen += seg[b * T + t] >= 0 && id[b * T + t] < 256;
      hits += seg[b * T + t] >= 0 && id[b * T + t] == 'a';
    }
    scores[2 * b + 1] = w * float(hits) / float(seen); // of an empty row NaN
    scores[2 * b] = 1 - scores[2 * b + 1];
  }
}

r1_kernel kernels[] = {{"classify", classify, 0}};
r1_arg args[] = {{Id, 0, 0}, {Seg, 0, 0}, {W, 0, 0}, {Scores, 0, 0}};
r1_op ops[] = {{R1_OP_LAUNCH, 0, 0, 4, 0, 0}};
r1_field rowInputs[] = {{"x.id", R1_I32, 2, {B, T}, Id, 258},
                        {"x.seg", R1_I32, 2, {B, T}, Seg, 0},
                        {"target", R1_I32, 1, {B}, Target, 2},
                        {"mask", R1_BOOL, 1, {B}, Mask, 0}};
r1_field outputs[] = {{"scores", R1_F32, 2, {B, 2}, Scores, 0}};
r1_leaf leaves[] = {{{"w", R1_F32, 1, {1}, W, 0}, {0, 1, 0}, 0}};
r1_program programs[] = {{"score", ops, 1, args, 4, rowInputs, 2, nullptr, 0, outputs, 1},
                         {"classify", ops, 1, args, 4, rowInputs, 4, nullptr, 0, outputs, 1}};
r1_module module{End, 0, kernels, 1, leaves, 1, nullptr, 0, programs, 2, nullptr, 0};

class ScoreTest : public testing::Test {
protected:
  void SetUp() override {
    dir = testing::TempDir() + "r1rt_score_" + std::to_string(getpid());
    std::filesystem::create_directories(dir);
    ASSERT_TRUE(bytesTokenizer()->save(dir));
    weight(1);
    device = std::move(*Device::createCpu(1));
  }
  void TearDown() override { std::filesystem::remove_all(dir); }
  void weight(float w) {
    static float held;
    held = w;
    std::vector<TensorView> all = {{"w", "F32", {1}, {reinterpret_cast<const char *>(&held), sizeof held}}};
    ASSERT_TRUE(writeSafetensors(dir + "/model.safetensors", all, {}));
  }
  Result<std::unique_ptr<Scorer>> scorer(json spec) { return Scorer::create(*device, module, dir, spec); }

  std::string dir;
  std::unique_ptr<Device> device;
  json spec = {{"len", T}, {"cut", "tail"}, {"side", "right"}, {"class", 1}};
};

} // namespace

TEST_F(ScoreTest, ScoresDoNotDependOnTheTextsBeside) {
  auto s = scorer(spec);
  ASSERT_TRUE(s) << s.status().message();
  EXPECT_EQ((*s)->batch(), B);
  std::vector<std::string_view> texts = {"aaaa", "bb", "ab", "abb", "b", "aaaaaaaaaaaabbbbb"};
  std::vector<float> out(texts.size());
  ASSERT_TRUE((*s)->score(texts, out));
  EXPECT_EQ(out, (std::vector<float>{1, 0, 0.5f, 1.f / 3, 0, 1}));
  EXPECT_EQ((*s)->texts(), 6u);
  EXPECT_EQ((*s)->truncated(), 1u);
  for (size_t i = 0; i < texts.size(); ++i) { // one by one, each after a longer one
    float one = -1;
    ASSERT_TRUE((*s)->score({&texts[i], 1}, {&one, 1}));
    EXPECT_EQ(one, out[i]);
  }
  ASSERT_TRUE((*s)->score({}, {}));
  json other = spec;
  other["class"] = 0, other["cut"] = "head", other["side"] = "left";
  auto t = scorer(other);
  ASSERT_TRUE(t) << t.status().message();
  ASSERT_TRUE((*t)->score(texts, out));
  EXPECT_EQ(out, (std::vector<float>{0, 1, 0.5f, 1 - 1.f / 3, 1, 5.f / 8}));
}

TEST_F(ScoreTest, WhatIsWrongIsSaid) {
  auto says = [&](json bad, const std::string &what) {
    auto s = scorer(bad);
    ASSERT_FALSE(s);
    EXPECT_NE(s.status().message().find(what), std::string::npos) << s.status().message();
  };
  json bad = spec;
  bad["class"] = 2;
  says(bad, "the score of class 2 is asked for; the model has 0 to 1");
  bad = spec;
  bad["len"] = 4;
  says(bad, "does not have the shape [batch, 4] of packed rows");
  auto s = scorer(spec);
  ASSERT_TRUE(s);
  std::string_view empty = "";
  float out = 0;
  auto st = (*s)->score({&empty, 1}, {&out, 1}); // the kernel divides by no bytes
  EXPECT_NE(st.message().find("not a number"), std::string::npos) << st.message();
  std::filesystem::remove(dir + "/model.safetensors");
  says(spec, "the weights to score with: ");
}

TEST_F(ScoreTest, AccuracyAndF1) {
  std::string rows;
  for (int i = 0; i < 10; ++i) // 3 of 10 are taken for the other class
    rows += "{\"text\":\"" + std::string(i % 2 ? "aab" : "abb") + "\",\"label\":" + std::to_string(i < 3 ? 1 - i % 2 : i % 2) +
            "}\n";
  ASSERT_TRUE(writeFileAtomic(dir + "/rows.jsonl", rows));
  json data = {{"op", "label"}, {"tok", {{"op", "bytes_tokenizer"}}}, {"len", T}, {"classes", 2},
               {"in", {{"op", "jsonl"}, {"path", dir + "/rows.jsonl"}, {"text", "text"}}}};
  EvaluateJob job;
  job.module = &module;
  job.modelDir = dir;
  job.spec = {{"metrics", {{"acc", {{"metric", "accuracy"}, {"data", data}}},
                           {"micro", {{"metric", "f1"}, {"average", "micro"}, {"data", data}}},
                           {"macro", {{"metric", "f1"}, {"average", "macro"}, {"data", data}}}}}};
  DataContext dc;
  FILE *sink = std::tmpfile();
  Reporter::Options o;
  o.out = o.err = sink;
  Reporter report(o);
  StageContext ctx{*device, dc, report};
  auto r = runEvaluate(job, ctx);
  std::fclose(sink);
  ASSERT_TRUE(r) << r.status().message();
  const json &m = (*r)["metrics"];
  EXPECT_DOUBLE_EQ(m["acc"], 0.7);
  EXPECT_NEAR(m["acc_low"], 0.396778147461, 1e-11); // SciPy's binomtest(7, 10)
  EXPECT_NEAR(m["acc_high"], 0.892208732594, 1e-11);
  EXPECT_DOUBLE_EQ(m["micro"], 0.7);
  // Class 0: 3 hits, 2 others taken for it, 1 of it missed; class 1: 4, 1, 2.
  EXPECT_NEAR(m["macro"], (6. / 9 + 8. / 11) / 2, 1e-12);
}
