#include "test/runtime_checkpoint/Models.h"
#include <cmath>
#include <cstring>
#include <limits>

using namespace r1rt;
using namespace r1rt::checkpoint;
using nlohmann::json;

namespace {

/// What is wrong with a folder, once it is opened and matched.
std::string problem(const std::string &dir, const std::vector<Leaf> &leaves = smallLeaves()) {
  auto f = Folder::open(dir);
  if (!f)
    return f.status().message();
  return f->match(leaves).message();
}

void says(const std::string &dir, const std::string &what) {
  std::string is = problem(dir);
  EXPECT_NE(is.find(what), std::string::npos) << "found: " << is << "\nexpected: " << what;
}

float element(const SafetensorsFile &f, const std::string &name, size_t i) {
  const TensorView *t = f.find(name);
  float v = NAN;
  if (t && t->dtype == "F32" && 4 * i + 4 <= t->data.size())
    std::memcpy(&v, t->data.data() + 4 * i, 4);
  return v;
}

TEST(Folder, ConvertsWithTransposes) {
  Tensors t = smallTensors();
  std::string dir = smallFolder("good", smallConfig(), t);
  auto f = Folder::open(dir);
  ASSERT_TRUE(f) << f.status().message();
  EXPECT_EQ(f->files(), (std::vector<std::string>{dir + "/config.json", dir + "/model.safetensors"}));
  ASSERT_TRUE(f->match(smallLeaves())) << f->match(smallLeaves()).message();
  std::string out = dir + "/out.safetensors";
  ASSERT_TRUE(f->convert(smallLeaves(), out, {{"r1.stage", "base"}}));
  auto file = SafetensorsFile::open(out);
  ASSERT_TRUE(file);
  EXPECT_TRUE(checkHash(*file, out));
  EXPECT_EQ(file->index().metadata.at("r1.stage"), "base");
  auto theirs = SafetensorsFile::open(dir + "/model.safetensors");
  ASSERT_TRUE(theirs);
  for (size_t i = 0; i < 20; ++i)
    EXPECT_EQ(element(*file, "table", i), element(*theirs, "model.embed_tokens.weight", i));
  for (size_t i = 0; i < 4; ++i)
    for (size_t o = 0; o < 6; ++o)
      EXPECT_EQ(element(*file, "blocks[0].mlp.up.w", i * 6 + o),
                element(*theirs, "model.layers.0.mlp.up_proj.weight", o * 4 + i));
}

TEST(Folder, WidensSixteenBitsExactly) {
  // f16: 1, -2, smallest subnormal, largest, infinity; bf16: 1, pi to 8 bits, -0
  Tensors t = smallTensors();
  auto bits = [](std::initializer_list<uint16_t> words) {
    std::string s;
    for (uint16_t w : words)
      s.append(reinterpret_cast<const char *>(&w), 2);
    return s;
  };
  t.all["model.norm.weight"] = {"F16", {4}, bits({0x3c00, 0xc000, 0x0001, 0x7bff})};
  t.all["model.layers.0.input_layernorm.weight"] = {"BF16", {4}, bits({0x3f80, 0x4049, 0x8000, 0x7f80})};
  std::string dir = smallFolder("half", smallConfig(), t);
  auto f = Folder::open(dir);
  ASSERT_TRUE(f) << f.status().message();
  ASSERT_TRUE(f->convert(smallLeaves(), dir + "/out.safetensors", {}));
  auto file = SafetensorsFile::open(dir + "/out.safetensors");
  ASSERT_TRUE(file);
  EXPECT_EQ(element(*file, "norm.g", 0), 1.0f);
  EXPECT_EQ(element(*file, "norm.g", 1), -2.0f);
  EXPECT_EQ(element(*file, "norm.g", 2), 0x1p-24f);
  EXPECT_EQ(element(*file, "norm.g", 3), 65504.0f);
  EXPECT_EQ(element(*file, "blocks[0].norm1.g", 0), 1.0f);
  EXPECT_EQ(element(*file, "blocks[0].norm1.g", 1), 3.140625f);
  EXPECT_TRUE(std::signbit(element(*file, "blocks[0].norm1.g", 2)));
  EXPECT_EQ(element(*file, "blocks[0].norm1.g", 3), std::numeric_limits<float>::infinity());
}

TEST(Folder, LargeTensorsInBlocks) {
  // More rows than a block has, and neither side a multiple of the squares of the transposition.
  const int64_t vocab = 5, wide = 1032, inner = 1500;
  json config = smallConfig();
  config["hidden_size"] = wide, config["intermediate_size"] = inner;
  Tensors t = smallTensors();
  for (auto &[name, one] : Tensors(t).all) {
    std::vector<int64_t> shape = one.shape;
    for (int64_t &d : shape)
      d = d == 4 ? wide : d == 6 ? inner : d;
    t.f32(name, shape);
  }
  std::vector<Leaf> leaves = smallLeaves();
  for (Leaf &l : leaves)
    for (int64_t &d : l.shape)
      d = d == 4 ? wide : d == 6 ? inner : d;
  std::string dir = smallFolder("large", config, t);
  auto f = Folder::open(dir);
  ASSERT_TRUE(f) << f.status().message();
  ASSERT_TRUE(f->convert(leaves, dir + "/out.safetensors", {}));
  auto file = SafetensorsFile::open(dir + "/out.safetensors"), theirs = SafetensorsFile::open(dir + "/model.safetensors");
  ASSERT_TRUE(file && theirs);
  size_t wrong = 0;
  for (size_t i = 0; i < size_t(inner); ++i)
    for (size_t o = 0; o < size_t(wide); ++o)
      wrong += element(*file, "blocks[0].mlp.down.w", i * size_t(wide) + o) !=
               element(*theirs, "model.layers.0.mlp.down_proj.weight", o * size_t(inner) + i);
  EXPECT_EQ(wrong, 0u);
  EXPECT_EQ(element(*file, "table", size_t(vocab * wide) - 1), element(*theirs, "model.embed_tokens.weight", size_t(vocab * wide) - 1));
}

TEST(Folder, NamesWhatDoesNotAgree) {
  Tensors t = smallTensors();
  t.all.erase("model.layers.0.self_attn.k_proj.weight");
  says(smallFolder("missing", smallConfig(), t),
       "the tensor `model.layers.0.self_attn.k_proj.weight` is missing, which config.json asks for");

  t = smallTensors();
  t.f32("model.layers.0.self_attn.q_proj.bias", {4});
  t.f32("model.extra", {2, 2});
  says(smallFolder("surplus", smallConfig(), t),
       "config.json asks for no tensor `model.extra`, [2, 2] in model.safetensors, nor for 1 more");

  t = smallTensors();
  t.f32("model.layers.0.mlp.up_proj.weight", {4, 6});
  says(smallFolder("shape", smallConfig(), t),
       "the tensor `model.layers.0.mlp.up_proj.weight` of model.safetensors is [4, 6]; by config.json it is [6, 4]");

  t = smallTensors();
  t.all["model.norm.weight"] = {"I32", {4}, std::string(16, '\0')};
  says(smallFolder("dtype", smallConfig(), t),
       "the tensor `model.norm.weight` of model.safetensors is of I32; F32, F16 and BF16 are read");

  t = smallTensors();
  t.all.erase("lm_head.weight");
  says(smallFolder("head", smallConfig(), t),
       "`lm_head.weight` is missing, which config.json asks for; if it is to be `model.embed_tokens.weight`, config.json "
       "needs \"tie_word_embeddings\": true");

  json config = smallConfig();
  config["num_hidden_layers"] = 2;
  std::vector<Leaf> two = smallLeaves();
  two.insert(two.end() - 1, {"blocks[1].norm1.g", {4}});
  std::string is = problem(smallFolder("deep", config, smallTensors()), two);
  EXPECT_NE(is.find("config.json describes more layers than the 1 that the tensors have"), std::string::npos) << is;

  t = smallTensors();
  for (auto &[name, one] : smallTensors().all)
    if (name.starts_with("model.layers.0."))
      t.f32("model.layers.1." + name.substr(15), one.shape);
  says(smallFolder("shallow", smallConfig(), t), "config.json describes fewer layers than the 2 that the tensors have");

  config["num_hidden_layers"] = 10'000'000;
  says(smallFolder("layers", config, smallTensors()),
       "config.json describes 10000000 layers, the files have only 12 tensors");
}

TEST(Folder, BuffersAreNoParameters) {
  Tensors t = smallTensors();
  t.f32("model.layers.0.self_attn.rotary_emb.inv_freq", {1});
  std::string is = problem(smallFolder("buffers", smallConfig(), t));
  EXPECT_EQ(is, "");
}

TEST(Folder, TiedHeads) {
  json config = smallConfig();
  config["tie_word_embeddings"] = true;
  std::vector<Leaf> leaves = smallLeaves();
  leaves.erase(leaves.begin() + 1);
  // A copy of the table is no harm; another tensor is.
  Tensors same = smallTensors();
  same.all["lm_head.weight"] = same.all["model.embed_tokens.weight"];
  std::string dir = smallFolder("tied", config, same);
  auto f = Folder::open(dir);
  ASSERT_TRUE(f) << f.status().message();
  EXPECT_TRUE(f->match(leaves)) << f->match(leaves).message();
  EXPECT_TRUE(f->convert(leaves, dir + "/out.safetensors", {}));
  dir = smallFolder("untied", config, smallTensors());
  auto g = Folder::open(dir);
  ASSERT_TRUE(g) << g.status().message();
  auto st = g->convert(leaves, dir + "/out.safetensors", {});
  EXPECT_NE(st.message().find("are one (\"tie_word_embeddings\": true), but the files hold two different tensors"),
            std::string::npos)
      << st.message();
  EXPECT_FALSE(std::filesystem::exists(dir + "/out.safetensors"));
}

TEST(Folder, Shards) {
  Tensors t = smallTensors(), one, two;
  for (auto &[name, x] : t.all)
    (name < "model.layers.0.o" ? one : two).all[name] = x;
  auto make = [&](const std::string &name, const std::function<void(json &map, const std::string &dir)> &change) {
    std::string dir = freshDir(name);
    writeText(dir + "/config.json", smallConfig().dump());
    one.write(dir + "/a.safetensors");
    two.write(dir + "/b.safetensors");
    json map;
    for (auto &[tensor, x] : one.all)
      map[tensor] = "a.safetensors";
    for (auto &[tensor, x] : two.all)
      map[tensor] = "b.safetensors";
    if (change)
      change(map, dir);
    writeText(dir + "/model.safetensors.index.json", json{{"weight_map", map}}.dump());
    return dir;
  };
  std::string dir = make("shards", nullptr);
  EXPECT_EQ(problem(dir), "");
  auto f = Folder::open(dir);
  ASSERT_TRUE(f);
  EXPECT_EQ(f->files().size(), 4u); // config, index, two shards

  says(make("shard_missing", [](json &, const std::string &dir) { std::filesystem::remove(dir + "/b.safetensors"); }),
       "the shard `b.safetensors` is missing");
  says(make("index_lacks", [](json &map, const std::string &) { map.erase("model.norm.weight"); }),
       "the tensor `model.norm.weight` stands in b.safetensors, but by the index in no file");
  says(make("index_wrong", [](json &map, const std::string &) { map["model.norm.weight"] = "a.safetensors"; }),
       "the tensor `model.norm.weight` stands in b.safetensors, but by the index in a.safetensors");
  says(make("index_more", [](json &map, const std::string &) { map["model.more"] = "a.safetensors"; }),
       "the tensor `model.more` is not in a.safetensors, where the index has it");
  says(make("index_path", [](json &map, const std::string &) { map["x"] = "../a.safetensors"; }),
       "it is the name of a .safetensors file in the same folder");
  says(make("twice",
            [&](json &, const std::string &dir) {
              Tensors more = two;
              more.all["lm_head.weight"] = one.all.at("lm_head.weight");
              more.write(dir + "/b.safetensors");
            }),
       "the tensor `lm_head.weight` stands in a.safetensors and in b.safetensors");
  says(make("cut", [](json &, const std::string &dir) { std::filesystem::resize_file(dir + "/b.safetensors", 900); }),
       "not a whole safetensors file");
}

TEST(Folder, WhatIsNoCheckpoint) {
  says("/nowhere/at/all", "there is no folder");
  std::string dir = freshDir("empty");
  says(dir, "has no config.json");
  writeText(dir + "/config.json", smallConfig().dump());
  says(dir, "has neither model.safetensors nor model.safetensors.index.json");
  writeText(dir + "/pytorch_model.bin", "x");
  says(dir, "`pytorch_model.bin` is pickled, which can run code and is not read");
  says(dir + "/config.json", "is a file; a checkpoint is the folder with config.json");
}

} // namespace
