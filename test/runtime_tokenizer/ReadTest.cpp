// What is wrong with a tokenizer.json is named with its place, what stands there and what would do.
#include "runtime/state/Files.h"
#include "runtime/tokenizer/Tokenizer.h"
#include <filesystem>
#include <functional>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

using namespace r1rt::tokenizer;
using nlohmann::json;

namespace {

json parts(const std::string &name) {
  return json::parse(*r1rt::readFile(std::string(R1_INPUTS) + "/" + name + ".json"));
}

std::string errorOf(const json &j) {
  auto t = Encoder::fromJson(j.dump());
  return t ? "" : t.status().message();
}

struct Case {
  const char *input;
  std::function<void(json &)> edit;
  const char *message;
};

const Case cases[] = {
    {"gpt2", [](json &j) { j = json::array(); }, "the file is a list of 0, but a tokenizer.json is an object"},
    {"gpt2", [](json &j) { j["version"] = "2.0"; }, "`version` is \"2.0\", but has to be \"1.0\""},
    {"gpt2", [](json &j) { j["extra"] = 1; }, "has \"extra\", which is not known here; known are version, "},
    {"gpt2", [](json &j) { j.erase("model"); }, "has no `model`"},
    {"gpt2", [](json &j) { j["model"]["type"] = "Unigram"; },
     "`model.type` is \"Unigram\", which is not supported; supported are BPE, WordPiece"},
    {"gpt2", [](json &j) { j["model"]["type"] = "WordPeice"; }, "did you mean \"WordPiece\"?"},
    {"gpt2", [](json &j) { j["model"]["vocab"] = json::array(); },
     "`model.vocab` is a list of 0, but has to be an object of tokens with their ids"},
    {"gpt2", [](json &j) { j["model"]["vocab"]["a"] = -1; },
     "`model.vocab[\"a\"]` is -1, but has to be a whole number of at least 0"},
    {"gpt2", [](json &j) { j["model"]["vocab"]["a"] = 4000000000u; }, "is the id 4000000000; with 401 tokens it has to be less than 1050180"},
    {"gpt2", [](json &j) { j["model"]["vocab"]["a"] = j["model"]["vocab"]["b"]; },
     "`model.vocab` has \"a\" and \"b\" with the same id"},
    {"gpt2", [](json &j) { j["model"]["dropout"] = 0.1; }, "`model.dropout` is 0.1, but has to be null"},
    {"gpt2", [](json &j) { j["model"]["merges"][3] = 5; },
     "`model.merges[3]` is 5, but has to be a text \"a b\" or a pair [\"a\", \"b\"]"},
    {"gpt2", [](json &j) { j["model"]["merges"][3] = "a b c"; },
     "`model.merges[3]` is \"a b c\", but has to be two tokens with one blank between them"},
    {"gpt2", [](json &j) { j["model"]["merges"][3] = {"a", "no such"}; },
     "`model.merges[3]` merges \"a\" and \"no such\", but `model.vocab` has no \"no such\""},
    {"words", [](json &j) { j["model"]["merges"][0] = {"a", "b"}; },
     "`model.merges[0]` has \"b\", which is shorter than `continuing_subword_prefix`, \"##\""},
    {"words", [](json &j) { j["model"]["unk_token"] = "<none>"; },
     "`model.unk_token` is \"<none>\", which is no token of `model.vocab`"},
    {"bert", [](json &j) { j["model"]["unk_token"] = "<none>"; },
     "`model.unk_token` is \"<none>\", which is no token of `model.vocab`"},
    {"bert", [](json &j) { j["model"]["max_input_chars_per_word"] = -1; },
     "`model.max_input_chars_per_word` is -1, but has to be a whole number of at least 0"},
    {"gpt2", [](json &j) { j["added_tokens"][0]["id"] = 7; },
     "`added_tokens[0].id` is 7, but \"<|endoftext|>\" gets the id 0"},
    {"gpt2", [](json &j) { j["added_tokens"][0]["content"] = std::string(1025, 'x'); },
     "`added_tokens[0].content` has 1025 bytes; an added token has at most 1024"},
    {"gpt2", [](json &j) { j["pre_tokenizer"]["type"] = "ByteLevl"; },
     "`pre_tokenizer.type` is \"ByteLevl\", which is not supported; supported are ByteLevel, "},
    {"gpt2", [](json &j) { j["pre_tokenizer"]["add_prefix_space"] = "no"; },
     "`pre_tokenizer.add_prefix_space` is \"no\", but has to be true or false"},
    {"llama3", [](json &j) { j["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = "\\s+(?=a)"; },
     "`pre_tokenizer.pretokenizers[0].pattern.Regex` cannot be used: the pattern has `(?=a`, which has no exact "
     "counterpart here; known are the patterns of GPT-2, Llama 3, Qwen 2, Qwen 3.5, GPT-4o, DeepSeek-V3"},
    {"llama3", [](json &j) { j["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = "a**"; }, "has `**`"},
    {"llama3", [](json &j) { j["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = "(a"; },
     "the pattern is not a regular expression"},
    {"llama3", [](json &j) { j["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = "a*"; },
     "the pattern matches the empty text"},
    {"llama3", [](json &j) { j["pre_tokenizer"]["pretokenizers"][0]["behavior"] = "Isolate"; }, "did you mean \"Isolated\"?"},
    {"qwen2", [](json &j) { j["normalizer"]["type"] = "Precompiled"; }, "`normalizer.type` is \"Precompiled\", which is not supported"},
    {"clip", [](json &j) { j["normalizer"]["normalizers"][1]["pattern"] = {{"Regex", " +"}}; },
     "`normalizer.normalizers[1].pattern` is a regular expression; to replace, only {\"String\": …} is supported"},
    {"metaspace", [](json &j) { j["pre_tokenizer"]["replacement"] = "ab"; },
     "`pre_tokenizer.replacement` is \"ab\", but has to be one character"},
    {"metaspace", [](json &j) { j["pre_tokenizer"]["add_prefix_space"] = false; },
     "says to put a mark before a text, and `add_prefix_space` not to"},
    {"bert", [](json &j) { j["post_processor"]["special_tokens"]["[SEP]"]["ids"][0] = 99999; },
     "is the id 99999; the vocabulary has 0 to"},
    {"bert", [](json &j) { j["post_processor"]["special_tokens"].erase("[CLS]"); },
     "`post_processor.special_tokens` has no `[CLS]`"},
    {"bert", [](json &j) { j["post_processor"]["single"].erase(1); }, "has the text 0 times; supported is once"},
    {"bert", [](json &j) { j["decoder"]["type"] = "CTC"; }, "`decoder.type` is \"CTC\", which is not supported"},
};

TEST(Read, WhatIsWrongIsNamed) {
  for (const Case &c : cases) {
    json j = parts(c.input);
    EXPECT_EQ(errorOf(j), "") << c.input;
    c.edit(j);
    EXPECT_NE(errorOf(j).find(c.message), std::string::npos) << "found: " << errorOf(j) << "\nnot:   " << c.message;
  }
}

TEST(Read, HostileText) {
  auto message = [](std::string_view text) { return Encoder::fromJson(text).status().message(); };
  EXPECT_EQ(message(""), "the file is not JSON: byte 1");
  EXPECT_EQ(message("{\"a\": \"\xFF\"}").substr(0, 20), "the file is not JSON");
  EXPECT_EQ(message(std::string(100000, '[')), "brackets stand more than 64 deep at byte 64");
  // Sequences within each other are no way around.
  std::string deep = R"({"model": {"type":"BPE","vocab":{"a":0},"merges":[]}, "normalizer": )";
  for (int i = 0; i < 40; ++i)
    deep += R"({"type":"Sequence","normalizers":[)";
  EXPECT_NE(message(deep).find("64 deep"), std::string::npos);
  // Nor are steps in a row: 2^40 times as long.
  json longer = parts("gpt2");
  longer["normalizer"] = {{"type", "Sequence"}, {"normalizers", json::array()}};
  for (int i = 0; i < 40; ++i)
    longer["normalizer"]["normalizers"].push_back({{"type", "Replace"}, {"pattern", {{"String", "a"}}}, {"content", "aa"}});
  EXPECT_EQ(errorOf(longer), "`normalizer.normalizers[12]` and the steps before it may make a text more than 4096 "
                             "times as long, which is too much");
}

// Merges as texts, as files before 0.20 have them, are the same merges.
TEST(Read, OldMerges) {
  json old = parts("gpt2");
  for (json &merge : old["model"]["merges"])
    merge = merge[0].get<std::string>() + " " + merge[1].get<std::string>();
  auto now = Encoder::fromJson(parts("gpt2").dump()), before = Encoder::fromJson(old.dump());
  ASSERT_TRUE(before) << before.status().message();
  std::vector<int32_t> a, b;
  now->encode("The rest of the thing, and then.", a);
  before->encode("The rest of the thing, and then.", b);
  EXPECT_EQ(a, b);
}

// Many published files carry how their last user cut and filled rows; the ids of a text are without.
TEST(Read, TruncationAndPaddingAreNotFollowed) {
  json j = parts("gpt2");
  const std::string text = "The rest of the thing, and then.";
  std::vector<int32_t> a, b;
  Encoder::fromJson(j.dump())->encode(text, a);
  j["truncation"] = {{"direction", "Right"}, {"max_length", 2}, {"strategy", "LongestFirst"}, {"stride", 0}};
  j["padding"] = {{"strategy", {{"Fixed", 64}}}, {"direction", "Right"}, {"pad_to_multiple_of", nullptr},
                  {"pad_id", 0}, {"pad_type_id", 0}, {"pad_token", "!"}};
  auto cut = Encoder::fromJson(j.dump());
  ASSERT_TRUE(cut) << cut.status().message();
  cut->encode(text, b);
  EXPECT_EQ(a, b);
}

TEST(Read, RolesBesideTheFile) {
  const std::string dir = testing::TempDir() + "r1rt_tokenizer_" + std::to_string(getpid());
  std::filesystem::create_directories(dir);
  auto write = [&](const char *name, const json &j) { ASSERT_TRUE(r1rt::writeFileAtomic(dir + "/" + name, j.dump())); };
  write("tokenizer.json", parts("qwen2"));
  auto usual = Encoder::open(dir);
  ASSERT_TRUE(usual) << usual.status().message();
  EXPECT_EQ(usual->roles().eos, usual->tokenToId("<|endoftext|>"));
  // A name given as an object, one taken away, and the other file where the first says nothing.
  write("tokenizer_config.json", {{"eos_token", {{"content", "<|im_end|>"}, {"lstrip", false}}}, {"bos_token", nullptr}});
  write("special_tokens_map.json", {{"pad_token", "<|im_start|>"}, {"eos_token", "<|endoftext|>"}});
  auto told = Encoder::open(dir + "/tokenizer.json");
  ASSERT_TRUE(told) << told.status().message();
  EXPECT_EQ(told->roles().eos, told->tokenToId("<|im_end|>"));
  EXPECT_EQ(told->roles().bos, -1);
  EXPECT_EQ(told->roles().pad, told->tokenToId("<|im_start|>"));
  write("special_tokens_map.json", {{"mask_token", "<mask>"}});
  auto wrong = Encoder::open(dir);
  ASSERT_FALSE(wrong);
  EXPECT_NE(wrong.status().message().find("special_tokens_map.json`: `mask_token` is \"<mask>\", which is no token"),
            std::string::npos)
      << wrong.status().message();
  EXPECT_FALSE(Encoder::open(dir + "/none"));
  std::filesystem::remove_all(dir);
}

} // namespace
