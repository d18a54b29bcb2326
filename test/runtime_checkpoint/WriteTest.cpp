#include "test/runtime_checkpoint/Models.h"

using namespace r1rt;
using namespace r1rt::checkpoint;
using nlohmann::json;
using nlohmann::ordered_json;

namespace {

/// The small llama as r1c keeps it, ready to be written.
Export smallExport(const std::string &dir) {
  Export job;
  auto f = Folder::open(dir);
  EXPECT_TRUE(f) << f.status().message();
  job.model = f->description().model;
  job.args = f->description().args;
  job.leaves = smallLeaves();
  job.positions = 64;
  job.weights = dir + "/r1.safetensors";
  EXPECT_TRUE(f->convert(job.leaves, job.weights, {}));
  return job;
}

std::map<std::string, std::string> tensorsOf(const std::string &dir) {
  std::map<std::string, std::string> out;
  for (auto &e : std::filesystem::directory_iterator(dir))
    if (e.path().extension() == ".safetensors" && e.path().filename() != "r1.safetensors") {
      auto f = SafetensorsFile::open(e.path().string());
      EXPECT_TRUE(f);
      for (const TensorView &t : f->index().tensors)
        out[t.name] = shapeText(t.shape) + std::string(t.data);
    }
  return out;
}

TEST(Write, WhatCameInGoesOut) {
  std::string in = smallFolder("in", smallConfig(), smallTensors()), out = freshDir("out");
  Export job = smallExport(in);
  job.eos = 3;
  ASSERT_TRUE(write(job, out)) << write(job, out).message();
  EXPECT_EQ(tensorsOf(in), tensorsOf(out));
  auto text = readFile(out + "/config.json");
  ASSERT_TRUE(text);
  json config = json::parse(*text);
  for (auto &[key, value] : smallConfig().items())
    EXPECT_EQ(config[key], value) << key;
  EXPECT_EQ(config["eos_token_id"], 3);
  EXPECT_EQ(config["max_position_embeddings"], 64);
  EXPECT_EQ(json::parse(*readFile(out + "/generation_config.json"))["eos_token_id"], 3);
  // What describes itself in the same words was the same.
  EXPECT_EQ(describe(*text)->args, job.args);
  // Nothing is written over.
  auto again = write(job, out);
  EXPECT_NE(again.message().find("has a config.json already"), std::string::npos) << again.message();
}

TEST(Write, ShardsNoLargerThanAsked) {
  std::string in = smallFolder("in2", smallConfig(), smallTensors()), out = freshDir("out2");
  Export job = smallExport(in);
  job.shardBytes = 200;
  ASSERT_TRUE(write(job, out));
  EXPECT_EQ(tensorsOf(in), tensorsOf(out));
  auto index = parseIndex(*readFile(out + "/model.safetensors.index.json"));
  ASSERT_TRUE(index) << index.status().message();
  EXPECT_EQ(index->size(), smallTensors().all.size());
  EXPECT_EQ(index->at("model.embed_tokens.weight").find("model-00001-of-000"), 0u);
  for (auto &e : std::filesystem::directory_iterator(out))
    if (e.path().extension() == ".safetensors") {
      auto f = SafetensorsFile::open(e.path().string());
      size_t bytes = 0;
      for (const TensorView &t : f->index().tensors)
        bytes += t.data.size();
      EXPECT_LE(bytes, 200u) << e.path();
    }
  auto back = Folder::open(out);
  ASSERT_TRUE(back) << back.status().message();
  EXPECT_TRUE(back->match(smallLeaves())) << back->match(smallLeaves()).message();
}

TEST(Write, FusedProjectionsOfGpt2) {
  json config = {{"model_type", "gpt2"}, {"vocab_size", 5}, {"n_embd", 4},
                 {"n_layer", 1},         {"n_head", 2},     {"n_positions", 8}};
  Tensors t;
  t.f32("wte.weight", {5, 4}); // without the prefix, as the first published ones
  t.f32("wpe.weight", {8, 4});
  t.f32("ln_f.weight", {4}), t.f32("ln_f.bias", {4});
  for (const char *n : {"ln_1", "ln_2"})
    t.f32("h.0." + std::string(n) + ".weight", {4}), t.f32("h.0." + std::string(n) + ".bias", {4});
  t.f32("h.0.attn.c_attn.weight", {4, 12}), t.f32("h.0.attn.c_attn.bias", {12});
  t.f32("h.0.attn.c_proj.weight", {4, 4}), t.f32("h.0.attn.c_proj.bias", {4});
  t.f32("h.0.mlp.c_fc.weight", {4, 16}), t.f32("h.0.mlp.c_fc.bias", {16});
  t.f32("h.0.mlp.c_proj.weight", {16, 4}), t.f32("h.0.mlp.c_proj.bias", {4});
  t.f32("h.0.attn.bias", {1, 1, 8, 8}); // the causal mask
  std::string in = smallFolder("gpt2", config, t), out = freshDir("gpt2_out");
  auto f = Folder::open(in);
  ASSERT_TRUE(f) << f.status().message();
  std::vector<Leaf> leaves = {{"table", {5, 4}}, {"positions", {8, 4}}};
  for (const char *n : {"norm1.g", "norm1.b", "norm2.g", "norm2.b", "attn.q.b", "attn.k.b", "attn.v.b", "attn.o.b", "mlp.down.b"})
    leaves.push_back({"blocks[0]." + std::string(n), {4}});
  for (const char *n : {"q", "k", "v", "o"})
    leaves.push_back({"blocks[0].attn." + std::string(n) + ".w", {4, 4}});
  leaves.push_back({"blocks[0].mlp.up.w", {4, 16}}), leaves.push_back({"blocks[0].mlp.up.b", {16}});
  leaves.push_back({"blocks[0].mlp.down.w", {16, 4}});
  leaves.push_back({"norm.g", {4}}), leaves.push_back({"norm.b", {4}});
  ASSERT_TRUE(f->match(leaves)) << f->match(leaves).message();
  Export job;
  job.model = "GPT2", job.args = f->description().args, job.leaves = leaves, job.weights = in + "/r1.safetensors";
  job.args["drop"] = 0.25;
  ASSERT_TRUE(f->convert(leaves, job.weights, {}));
  ASSERT_TRUE(write(job, out)) << write(job, out).message();
  json written = json::parse(*readFile(out + "/config.json"));
  EXPECT_EQ(written["resid_pdrop"], 0.25); // `transformers` takes 0.1 where a config says nothing
  EXPECT_EQ(written["embd_pdrop"], 0.25);
  EXPECT_EQ(written["attn_pdrop"], 0.0);
  auto theirs = tensorsOf(in), mine = tensorsOf(out);
  theirs.erase("h.0.attn.bias");
  for (auto &[name, content] : theirs)
    EXPECT_EQ(mine["transformer." + name], content) << name;
  EXPECT_EQ(mine.size(), theirs.size());
}

TEST(Write, NoCounterpart) {
  std::string in = smallFolder("in3", smallConfig(), smallTensors()), out = freshDir("out3");
  auto says = [&](auto change, const std::string &what) {
    Export job = smallExport(in);
    change(job);
    auto st = canWrite(job, out);
    EXPECT_NE(st.message().find(what), std::string::npos) << st.message();
    EXPECT_FALSE(write(job, out));
    EXPECT_TRUE(std::filesystem::is_empty(out));
  };
  says([](Export &j) { j.model = "Classifier"; }, "the model `Classifier` has no counterpart in `transformers`; models that have: gpt2 (GPT2)");
  says([](Export &j) { j.args["qk_norm"] = true, j.args["mlp_bias"] = true; },
       "Llama(bias = false, out_bias = false, mlp_bias = true, qk_norm = true) has no counterpart");
  says([](Export &j) { j.leaves.push_back({"blocks[0].attn.q.lora_a", {4, 2}}); },
       "the parameter `blocks[0].attn.q.lora_a` [4, 2] of `Llama` has no counterpart in llama");
  says([](Export &j) { j.model = "MaskedLM", j.args = {{"body", {{"model", "Encoder"}}}}; }, "`Encoder` in MaskedLM has no counterpart");
}

} // namespace
