// A small llama, in a folder and as leaves.
#pragma once
#include "runtime/checkpoint/Checkpoint.h"
#include "runtime/state/Files.h"
#include <filesystem>
#include <gtest/gtest.h>
#include <unistd.h>

namespace r1rt::checkpoint {

inline std::string freshDir(const std::string &name) {
  std::string dir = testing::TempDir() + "/r1rt_checkpoint_" + std::to_string(getpid()) + "_" + name;
  std::filesystem::remove_all(dir);
  std::filesystem::create_directories(dir);
  return dir;
}

/// Tensors by name, with their elements; written as a file.
struct Tensors {
  struct One {
    std::string dtype;
    std::vector<int64_t> shape;
    std::string data;
  };
  std::map<std::string, One> all;

  void f32(const std::string &name, std::vector<int64_t> shape) {
    int64_t n = 1;
    for (int64_t d : shape)
      n *= d;
    std::string data(size_t(n) * 4, '\0');
    for (int64_t i = 0; i < n; ++i) {
      float v = float(counter++) * 0.25f - 7.5f;
      memcpy(data.data() + 4 * i, &v, 4);
    }
    all[name] = {"F32", shape, data};
  }
  void write(const std::string &path) const {
    std::vector<TensorView> views;
    for (auto &[name, t] : all)
      views.push_back({name, t.dtype, t.shape, t.data});
    auto st = writeSafetensors(path, views);
    ASSERT_TRUE(st) << st.message();
  }

private:
  int counter = 0;
};

/// vocab 5, hidden 4, 2 heads, 6 inner, one layer, untied.
inline nlohmann::json smallConfig() {
  return {{"model_type", "llama"},     {"vocab_size", 5},         {"hidden_size", 4},
          {"num_hidden_layers", 1},    {"num_attention_heads", 2}, {"intermediate_size", 6},
          {"tie_word_embeddings", false}};
}
inline Tensors smallTensors() {
  Tensors t;
  t.f32("model.embed_tokens.weight", {5, 4});
  t.f32("lm_head.weight", {5, 4});
  t.f32("model.norm.weight", {4});
  t.f32("model.layers.0.input_layernorm.weight", {4});
  t.f32("model.layers.0.post_attention_layernorm.weight", {4});
  for (const char *p : {"q", "k", "v", "o"})
    t.f32("model.layers.0.self_attn." + std::string(p) + "_proj.weight", {4, 4});
  t.f32("model.layers.0.mlp.gate_proj.weight", {6, 4});
  t.f32("model.layers.0.mlp.up_proj.weight", {6, 4});
  t.f32("model.layers.0.mlp.down_proj.weight", {4, 6});
  return t;
}
inline std::vector<Leaf> smallLeaves() {
  return {{"table", {5, 4}},
          {"head", {5, 4}},
          {"blocks[0].norm1.g", {4}},
          {"blocks[0].attn.q.w", {4, 4}},
          {"blocks[0].attn.k.w", {4, 4}},
          {"blocks[0].attn.v.w", {4, 4}},
          {"blocks[0].attn.o.w", {4, 4}},
          {"blocks[0].norm2.g", {4}},
          {"blocks[0].mlp.gate.w", {4, 6}},
          {"blocks[0].mlp.up.w", {4, 6}},
          {"blocks[0].mlp.down.w", {6, 4}},
          {"norm.g", {4}}};
}
inline void writeText(const std::string &path, const std::string &text) {
  auto st = writeFileAtomic(path, text);
  ASSERT_TRUE(st) << st.message();
}
inline std::string smallFolder(const std::string &name, const nlohmann::json &config, const Tensors &tensors) {
  std::string dir = freshDir(name);
  writeText(dir + "/config.json", config.dump());
  tensors.write(dir + "/model.safetensors");
  return dir;
}

} // namespace r1rt::checkpoint
