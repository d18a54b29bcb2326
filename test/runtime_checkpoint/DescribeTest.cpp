#include "runtime/checkpoint/Checkpoint.h"
#include <gtest/gtest.h>

using namespace r1rt;
using namespace r1rt::checkpoint;
using nlohmann::json;

namespace {

const json llama = {{"architectures", {"LlamaForCausalLM"}},
                    {"model_type", "llama"},
                    {"vocab_size", 500},
                    {"hidden_size", 64},
                    {"num_hidden_layers", 2},
                    {"num_attention_heads", 4},
                    {"num_key_value_heads", 2},
                    {"intermediate_size", 96},
                    {"max_position_embeddings", 128},
                    {"rms_norm_eps", 1e-5}};

json with(json config, const json &changes) {
  config.update(changes);
  for (auto &[key, value] : changes.items())
    if (value == "REMOVED")
      config.erase(key);
  return config;
}

void refuses(const json &config, const std::string &what) {
  auto d = describe(config.dump());
  ASSERT_FALSE(d) << what;
  EXPECT_NE(d.status().message().find(what), std::string::npos) << d.status().message();
  EXPECT_EQ(d.status().getExitClass(), ExitClass::program);
}

TEST(Describe, Llama) {
  auto d = describe(llama.dump());
  ASSERT_TRUE(d) << d.status().message();
  EXPECT_EQ(d->model, "Llama");
  EXPECT_EQ(d->vocab, 500);
  EXPECT_EQ(d->positions, 128);
  EXPECT_TRUE(d->causal);
  EXPECT_EQ(json(d->args), json::parse(R"({"V":500,"D":64,"L":2,"H":4,"G":2,"F":96,"tie":false,"K":16,"eps":1e-5,
    "bias":false,"out_bias":false,"mlp_bias":false,"qk_norm":false,"base":10000.0,"scaling":null})"));
}

TEST(Describe, RotaryAsEveryVersionWritesIt) {
  json scaling = {{"factor", 8.0},
                  {"low_freq_factor", 1.0},
                  {"high_freq_factor", 4.0},
                  {"original_max_position_embeddings", 8192}};
  json now = scaling, before = scaling, first = scaling;
  now["rope_type"] = before["rope_type"] = first["type"] = "llama3";
  now["rope_theta"] = 5e5;
  for (const json &changes : {json{{"rope_parameters", now}}, json{{"rope_scaling", before}, {"rope_theta", 5e5}},
                              json{{"rope_scaling", first}, {"rope_theta", 5e5}}}) {
    auto d = describe(with(llama, changes).dump());
    ASSERT_TRUE(d) << d.status().message();
    EXPECT_EQ(d->args["base"], 5e5);
    EXPECT_EQ(json(d->args["scaling"]), json::parse(R"({"factor":8.0,"low":1.0,"high":4.0,"positions":8192.0})"));
  }
  auto plain = describe(with(llama, {{"rope_scaling", nullptr}, {"rope_theta", 1e6}}).dump());
  ASSERT_TRUE(plain);
  EXPECT_EQ(plain->args["base"], 1e6);
  EXPECT_EQ(plain->args["scaling"], nullptr);
  refuses(with(llama, {{"rope_scaling", {{"type", "linear"}, {"factor", 2.0}}}}),
          "in `rope_scaling`: `type` is \"linear\"; supported is \"default\" or \"llama3\"");
  now.erase("factor");
  refuses(with(llama, {{"rope_parameters", now}}), "in `rope_parameters`: `factor` is missing");
}

TEST(Describe, QwensDifferInBiasesAndNorms) {
  auto two = describe(with(llama, {{"model_type", "qwen2"}, {"architectures", {"Qwen2ForCausalLM"}}, {"sliding_window", 4096}, {"use_sliding_window", false}}).dump());
  ASSERT_TRUE(two) << two.status().message();
  EXPECT_EQ(two->args["bias"], true);
  EXPECT_EQ(two->args["out_bias"], false);
  EXPECT_EQ(two->args["qk_norm"], false);
  auto three = describe(with(llama, {{"model_type", "qwen3"}, {"architectures", {"Qwen3ForCausalLM"}}}).dump());
  ASSERT_TRUE(three) << three.status().message();
  EXPECT_EQ(three->args["bias"], false);
  EXPECT_EQ(three->args["qk_norm"], true);
  EXPECT_EQ(three->args["K"], 128); // not hidden_size / heads
}

TEST(Describe, BertAsItsArchitectureSays) {
  json bert = {{"model_type", "bert"},     {"vocab_size", 100},        {"hidden_size", 32}, {"num_hidden_layers", 1},
               {"num_attention_heads", 4}, {"intermediate_size", 64}};
  auto alone = describe(bert.dump());
  ASSERT_TRUE(alone) << alone.status().message();
  EXPECT_EQ(alone->model, "Bert");
  EXPECT_FALSE(alone->causal);
  EXPECT_EQ(alone->args["act"], json({{"fn", "gelu"}}));
  auto masked = describe(with(bert, {{"architectures", {"BertForMaskedLM"}}, {"hidden_act", "gelu_new"}}).dump());
  ASSERT_TRUE(masked) << masked.status().message();
  EXPECT_EQ(masked->model, "MaskedLM");
  EXPECT_EQ(masked->args["body"]["model"], "Bert");
  EXPECT_EQ(masked->args["body"]["args"]["T"], 512);
  EXPECT_EQ(masked->args["act"], json({{"fn", "gelu_tanh"}}));
  refuses(with(bert, {{"architectures", {"BertForTokenClassification"}}}),
          "of bert supported is: BertModel, BertForMaskedLM, BertForPreTraining");
  refuses(with(bert, {{"position_embedding_type", "relative_key"}}), "supported is \"absolute\"");
}

TEST(Describe, RefusesWhatItDoesNotKnow) {
  refuses(with(llama, {{"model_type", "lama"}}), "the architecture `lama` is not supported; supported are gpt2 (GPT2)");
  refuses(with(llama, {{"model_type", "lama"}}), "the nearest is llama");
  refuses(with(llama, {{"model_type", "mistral"}}), "the nearest is llama");
  refuses(with(llama, {{"model_type", "qwen3_moe"}}), "the nearest is qwen3");
  refuses(with(llama, {{"model_type", "roberta"}}), "the nearest is bert");
  refuses(with(llama, {{"model_type", "REMOVED"}}), "`model_type` is missing");
  refuses(with(llama, {{"model_type", 3}}), "`model_type` is 3");
  refuses(with(llama, {{"architectures", {"LlamaForSequenceClassification"}}}), "of llama supported is: LlamaForCausalLM");
  refuses(with(llama, {{"quantization_config", {{"bits", 4}}}}), "quantised");
  refuses(with(llama, {{"hidden_act", "relu"}}), "`hidden_act` is \"relu\"; supported is \"silu\"");
  refuses(with(llama, {{"sliding_window", 4096}}), "`sliding_window` is 4096");
}

TEST(Describe, NamesTheFieldAndBothNumbers) {
  refuses(with(llama, {{"hidden_size", "REMOVED"}}), "`hidden_size` is missing: a count of 1 to 16777216");
  refuses(with(llama, {{"hidden_size", 0}}), "`hidden_size` is 0; it is a count of 1 to 16777216");
  refuses(with(llama, {{"num_hidden_layers", -2}}), "`num_hidden_layers` is -2");
  refuses(with(llama, {{"num_hidden_layers", 1e300}}), "`num_hidden_layers` is 1e+300");
  refuses(with(llama, {{"vocab_size", "many"}}), "`vocab_size` is \"many\"");
  refuses(with(llama, {{"num_attention_heads", 5}}), "`hidden_size` is 64, which `num_attention_heads` = 5 heads do not divide");
  refuses(with(llama, {{"num_key_value_heads", 3}}), "`num_attention_heads` is 4, which `num_key_value_heads` = 3 do not divide");
  refuses(with(llama, {{"head_dim", 15}}), "heads are 15 wide");
  refuses(with(llama, {{"rms_norm_eps", -1e-6}}), "`rms_norm_eps` is -1e-06");
  refuses(with(llama, {{"tie_word_embeddings", "yes"}}), "`tie_word_embeddings` is \"yes\"; it is true or false");
}

TEST(Describe, HostileText) {
  for (const char *text : {"", "{", "[]", "null", "\"x\"", "{\"model_type\": \"llama\"", "\xff\xfe"}) {
    auto d = describe(text);
    EXPECT_FALSE(d) << text;
  }
  std::string deep(100000, '[');
  auto d = describe("{\"model_type\":" + deep);
  ASSERT_FALSE(d);
  EXPECT_NE(d.status().message().find("64 deep"), std::string::npos) << d.status().message();
}

TEST(Index, FilesOfTheSameFolderOnly) {
  auto ok = parseIndex(R"({"metadata": {"total_size": 4}, "weight_map": {"a": "m-1.safetensors"}})");
  ASSERT_TRUE(ok) << ok.status().message();
  EXPECT_EQ(ok->at("a"), "m-1.safetensors");
  auto no = [](const std::string &text, const std::string &what) {
    auto r = parseIndex(text);
    ASSERT_FALSE(r) << text;
    EXPECT_NE(r.status().message().find(what), std::string::npos) << r.status().message();
  };
  no("{}", "`weight_map` is missing");
  no("[1]", "it is no record");
  no("{", "it is not JSON");
  no(R"({"weight_map": {}})", "`weight_map` is {}");
  no(R"({"weight_map": {"a": "../m.safetensors"}})", "the file of `a` is \"../m.safetensors\"");
  no(R"({"weight_map": {"a": "/etc/m.safetensors"}})", "the same folder");
  no(R"({"weight_map": {"a": ".safetensors"}})", "the same folder");
  no(R"({"weight_map": {"a": "m.bin"}})", "the same folder");
  no(R"({"weight_map": {"a": 7}})", "the file of `a` is 7");
}

} // namespace
