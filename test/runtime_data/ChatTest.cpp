// Conversations: the templates to the byte, which tokens are targets, what is refused; filling in the middle.
#include "runtime/data/Chat.h"
#include "runtime/data/Fim.h"
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <map>
#include <set>

using namespace r1rt;
using nlohmann::json;

// What the template writes; what is trained stands in ⟦⟧.
static std::string written(const std::string &format, const std::vector<Message> &m) {
  auto parts = renderChat(format, m);
  EXPECT_TRUE(parts) << parts.status().message();
  std::string out;
  bool trained = false;
  for (const ChatPart &p : *parts) {
    if (p.trained != trained)
      out += p.trained ? "⟦" : "⟧";
    trained = p.trained;
    out += p.kind == ChatPart::begin ? "<begin>" : p.kind == ChatPart::end ? "<end>" : p.content;
  }
  return out + (trained ? "⟧" : "");
}

static const std::vector<Message> talk = {{"system", "Be brief."},
                                          {"user", " Hi\nthere "},
                                          {"assistant", " Hello! "},
                                          {"user", "1+1?"},
                                          {"assistant", "2"}};
static const std::vector<Message> noSystem = {{"user", "你好"}, {"assistant", "您好"}};

// Without the marks these are the texts of apply_chat_template for Qwen2.5-0.5B-Instruct, Meta-Llama-3-8B-Instruct
// and DeepSeek-V3; ChatML is Qwen's without its default.
TEST(Chat, TemplatesToTheByte) {
  EXPECT_EQ(written("chatml", talk), "<|im_start|>system\nBe brief.<|im_end|>\n"
                                     "<|im_start|>user\n Hi\nthere <|im_end|>\n"
                                     "<|im_start|>assistant\n⟦ Hello! <|im_end|>⟧\n"
                                     "<|im_start|>user\n1+1?<|im_end|>\n"
                                     "<|im_start|>assistant\n⟦2<|im_end|>⟧\n");
  EXPECT_EQ(written("chatml", noSystem), "<|im_start|>user\n你好<|im_end|>\n<|im_start|>assistant\n⟦您好<|im_end|>⟧\n");
  EXPECT_EQ(written("qwen", talk), written("chatml", talk));
  EXPECT_EQ(written("qwen", noSystem),
            "<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\n" +
                written("chatml", noSystem));
  EXPECT_EQ(written("llama3", talk), "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|>"
                                     "<|start_header_id|>user<|end_header_id|>\n\nHi\nthere<|eot_id|>"
                                     "<|start_header_id|>assistant<|end_header_id|>\n\n⟦Hello!<|eot_id|>⟧"
                                     "<|start_header_id|>user<|end_header_id|>\n\n1+1?<|eot_id|>"
                                     "<|start_header_id|>assistant<|end_header_id|>\n\n⟦2<|eot_id|>⟧");
  EXPECT_EQ(written("deepseek", talk), "<｜begin▁of▁sentence｜>Be brief.<｜User｜> Hi\nthere <｜Assistant｜>⟦ Hello! "
                                       "<｜end▁of▁sentence｜>⟧<｜User｜>1+1?<｜Assistant｜>⟦2<｜end▁of▁sentence｜>⟧");
  EXPECT_EQ(written("plain", talk), "<begin>Be brief.\n\nUser:  Hi\nthere \nAssistant:⟦  Hello! <end>⟧"
                                    "User: 1+1?\nAssistant:⟦ 2<end>⟧");
}

// The models' own templates, as transformers renders them: test/bench/chat_templates.py writes the file.
TEST(Chat, AsTheModelsTemplatesWriteIt) {
  const char *other = std::getenv("R1_CHATS"); // of chat_templates.py --check
  std::ifstream in(other ? other : R1_CHATS);
  std::map<std::string, int> judged;
  for (std::string line; std::getline(in, line);) {
    const auto one = nlohmann::ordered_json::parse(line);
    const std::string format = one["format"], of = one["of"];
    auto messages = readMessages(one["messages"]);
    ASSERT_TRUE(messages) << messages.status().message() << "\n" << line;
    ChatTools tools;
    if (one.contains("tools"))
      tools = *readTools(one["tools"]);
    auto text = [](const std::vector<ChatPart> &parts) {
      std::string out;
      for (const ChatPart &p : parts)
        out += p.content;
      return out;
    };
    auto parts = renderChat(format, *messages, tools);
    ASSERT_TRUE(parts) << parts.status().message() << "\n" << line;
    ASSERT_EQ(text(*parts), one["text"].get<std::string>()) << of;
    ++judged[format + (tools.empty() ? "" : ", tools")];
    if (!one.contains("prompt"))
      continue;
    // What the model is asked with is the same text up to where it begins to speak.
    const std::vector<std::string> specials = chatSpecials(format);
    TokenizerPtr tok = bytesTokenizer(specials);
    messages->pop_back();
    auto prompt = chatPrompt(format, *messages, *tok, tools);
    ASSERT_TRUE(prompt) << prompt.status().message() << "\n" << line;
    std::string asked;
    for (int32_t id : prompt->tokens)
      asked += id < 256 ? std::string(1, char(id)) : specials[size_t(id - tok->special(specials[0]))];
    ASSERT_EQ(asked, one["prompt"].get<std::string>()) << of;
  }
  for (const char *form : {"chatml", "qwen", "llama3", "llama31", "deepseek", "chatml, tools", "qwen, tools", "llama31, tools"})
    EXPECT_GE(judged[form], 3) << form;
}

TEST(Chat, JsonAsPythonWritesIt) {
  auto j = nlohmann::ordered_json::parse(R"({"b":[1,2.0,1e20,1e16,1e15,0.0001,0.00001,-0.5,true,null],"a":{},"c":[],"é":"\u0001\"漢\n"})");
  EXPECT_EQ(pythonJson(j), R"({"b": [1, 2.0, 1e+20, 1e+16, 1000000000000000.0, 0.0001, 1e-05, -0.5, true, null], "a": {}, )"
                           R"("c": [], "é": "\u0001\"漢\n"})");
  EXPECT_EQ(pythonJson(nlohmann::ordered_json::parse(R"({"x":[1],"y":{"z":0}})"), 4),
            "{\n    \"x\": [\n        1\n    ],\n    \"y\": {\n        \"z\": 0\n    }\n}");
}

// What is trained of calls, and of turns of weight 0.
TEST(Chat, CallsAreTrainedAndWeightsHonoured) {
  auto read = [](const char *text) { return *readMessages(nlohmann::ordered_json::parse(text)); };
  EXPECT_EQ(written("chatml", read(R"([{"role":"user","content":"a","weight":0},{"role":"assistant","content":"b","weight":0},)"
                                   R"({"role":"user","content":"c"},{"role":"assistant","content":"d","weight":1}])")),
            "<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\nb<|im_end|>\n<|im_start|>user\nc<|im_end|>\n"
            "<|im_start|>assistant\n⟦d<|im_end|>⟧\n");
  const auto called = read(R"([{"role":"user","content":"a"},{"role":"assistant","content":null,"tool_calls":)"
                           R"([{"id":"1","type":"function","function":{"name":"f","arguments":"{\"z\":1}"}}]},)"
                           R"({"role":"tool","tool_call_id":"1","content":"7"},{"role":"assistant","content":"It is 7."}])");
  EXPECT_EQ(written("qwen", called).substr(written("qwen", {{"user", "a"}, {"assistant", "b"}}).find("<|im_start|>user")),
            "<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\n⟦<tool_call>\n{\"name\": \"f\", \"arguments\": "
            "{\"z\":1}}\n</tool_call><|im_end|>⟧\n<|im_start|>user\n<tool_response>\n7\n</tool_response><|im_end|>\n"
            "<|im_start|>assistant\n⟦It is 7.<|im_end|>⟧\n");
}

TEST(Chat, TurnsThatAreNotAConversation) {
  auto refused = [](const std::vector<Message> &m, const char *what) {
    for (const std::string &format : chatTemplates()) {
      auto r = renderChat(format, m);
      ASSERT_FALSE(r) << what;
      EXPECT_NE(r.status().message().find(what), std::string::npos) << r.status().message();
    }
  };
  refused({{"user", "a"}, {"assistant", " \n"}}, "turn 2 of the conversation is an assistant's and says nothing");
  refused({{"user", "a"}, {"ipython", "b"}}, "turn 2 of the conversation has the role \"ipython\"");
  refused({{"user", "a"}, {"tool", "b"}}, "turn 2 of the conversation is a tool's and does not follow an assistant's with");
  refused({{"user", "a"}, {"assistant", "b", false, {}}}, "every turn of an assistant has the weight 0");
  refused({{"user", "a"}, {"system", "b"}}, "turn 2 of the conversation is the system's");
  refused({{"user", "a"}, {"user", "b"}, {"assistant", "c"}}, "turn 2 of the conversation is the user's, as");
  refused({{"assistant", "c"}}, "turn 1 of the conversation is an assistant's and does not follow");
  refused({{"user", "a"}, {"assistant", "b"}, {"assistant", "c"}}, "turn 3 of the conversation is an assistant's and");
  refused({{"user", "a"}}, "no assistant says anything");
  refused({}, "no assistant says anything");
  EXPECT_NE(renderChat("chatlm", talk).status().message().find("there are chatml, llama3, llama31, qwen, deepseek, plain"),
            std::string::npos);
  // Tools where the template has no form for them, or not for so many.
  const Message asked = {"user", "a"}, calls = {"assistant", "", true, {{"f", "{}"}}}, two = {"assistant", "", true, {{"f", "{}"}, {"g", "{}"}}},
                both = {"assistant", "b", true, {{"f", "{}"}}};
  auto tools = [](const char *format, const std::vector<Message> &m, const ChatTools &t, const std::string &what) {
    std::string reason;
    auto r = renderChat(format, m, t, &reason);
    ASSERT_FALSE(r) << what;
    EXPECT_NE(r.status().message().find(what), std::string::npos) << r.status().message();
    EXPECT_EQ(reason, "tools");
  };
  for (const char *format : {"llama3", "deepseek", "plain"}) {
    const std::string lacks = "and the template \"" + std::string(format) +
                              "\" has no form for that; help: template = one of \"chatml\", \"llama31\", \"qwen\"";
    tools(format, {asked, calls}, {}, "turn 2 of the conversation has `tool_calls`, " + lacks);
    tools(format, noSystem, {{{"name", "f"}}}, "the conversation has `tools`, " + lacks);
  }
  tools("llama31", {asked, two}, {}, "turn 2 of the conversation calls 2 tools; the template \"llama31\" writes one");
  tools("llama31", {asked, both}, {}, "turn 2 of the conversation says something and calls a tool");
  tools("chatml", {{"user", "a", true, {{"f", "{}"}}}, {"assistant", "b"}}, {}, "only an assistant calls tools");
  // What stands in a message and is not read.
  auto message = [](const char *text, const char *what, const char *why) {
    std::string reason;
    auto m = readMessages(nlohmann::ordered_json::parse(text), &reason);
    ASSERT_FALSE(m) << text;
    EXPECT_NE(m.status().message().find(what), std::string::npos) << m.status().message();
    EXPECT_EQ(reason, why) << text;
  };
  message(R"([{"role":"assistant","content":"b","weight":0.5}])", "turn 1 of the conversation has the `weight` 0.5; it is 0", "weight");
  message(R"([{"role":"user","content":"b","weight":1}])", "has the `weight` 1 and the role \"user\"", "weight");
  message(R"([{"role":"assistant","content":"b","reasoning_content":"hm"}])", "has `reasoning_content`, which no template", "field");
  message(R"([{"role":"assistant","content":"b","function_call":{"name":"f"}}])", "has `function_call`", "field");
  message(R"([{"role":"assistant","content":"","tool_calls":[{"function":{"name":"f"}}]}])", "is not {function: {name, arguments}}",
          "tools");
  message(R"([{"role":"user"}])", "has no text `content`", "no message");
  EXPECT_TRUE(readMessages(nlohmann::ordered_json::parse(R"([{"role":"user","content":"b","name":"x","weight":null,"audio":null,)"
                                                         R"("tool_calls":[]}])")));
  EXPECT_EQ(readTools(R"([{"name":"f"}])")->size(), 1u);
  EXPECT_NE(readTools("f").status().message().find("`tools` is a list of objects, or its JSON as text, not \"f\""), std::string::npos);
}

class ChatRows : public ::testing::Test {
protected:
  std::string root = testing::TempDir() + "/r1rt_chat_" + std::to_string(getpid());
  void SetUp() override { std::filesystem::create_directories(root); }
  void TearDown() override { std::filesystem::remove_all(root); }
  Result<PackedPtr> open(const std::vector<std::string> &lines, int seq, const std::string &format = "chatml",
                         std::vector<std::string> special = {"<|im_start|>", "<|im_end|>"},
                         const std::string &unfit = "stop") {
    std::ofstream f(root + "/a.jsonl");
    for (auto &l : lines)
      f << l << "\n";
    f.close();
    DataContext dc;
    return openPacked({{"op", "chat"},
                       {"tok", {{"op", "bytes_tokenizer"}, {"special", special}}},
                       {"template", format},
                       {"unfit", unfit},
                       {"seq", seq},
                       {"in", {{"op", "jsonl"}, {"path", root + "/a.jsonl"}}}},
                      dc);
  }
  static std::string chat(const std::string &user, const std::string &assistant) {
    return json{{"messages", {{{"role", "user"}, {"content", user}}, {{"role", "assistant"}, {"content", assistant}}}}}
        .dump();
  }
};

// The targets of a row as text, `.` where there is none; 258 and 259 are <|im_start|> and <|im_end|>.
static std::string targetsOf(const PackedData &d, uint32_t row) {
  size_t n = size_t(d.seq);
  std::vector<int32_t> id(n), target(n);
  std::vector<uint8_t> mask(n);
  d.fill(row, id.data(), nullptr, nullptr, target.data(), mask.data());
  std::string out;
  for (size_t i = 0; i < n; ++i)
    out += !mask[i] ? '.' : target[i] == 259 ? '#' : char(target[i]);
  return out;
}

TEST_F(ChatRows, OnlyWhatAssistantsSayIsATarget) {
  auto d = open({chat("a", "xyz"), chat("bcd", "w")}, 100);
  ASSERT_TRUE(d) << d.status().message();
  ASSERT_EQ((*d)->rows(), 1u);
  // A conversation: 1+"user\n"+1+1+1(newline) +1+"assistant\n" = 20 ids before what is said.
  std::string first = std::string(19, '.') + "xyz#", second = std::string(21, '.') + "w#";
  std::string rest(100 - first.size() - second.size(), '.');
  EXPECT_EQ(targetsOf(**d, 0), first + second + rest);
  EXPECT_EQ((*d)->targets(0), 6u);
  // They do not see each other.
  std::vector<int32_t> id(100), pos(100), seg(100);
  (*d)->fill(0, id.data(), pos.data(), seg.data(), nullptr, nullptr);
  EXPECT_EQ(seg[first.size() - 1], 0);
  EXPECT_EQ(seg[first.size()], 1);
  EXPECT_EQ(pos[first.size()], 0);
  EXPECT_EQ(id[first.size()], 258);
  EXPECT_EQ(id[first.size() - 1], 'z'); // the end of the turn is a target, and nobody reads on from it
}

TEST_F(ChatRows, TooLongOnesEndEarlyAndAreCounted) {
  auto d = open({chat("a", "0123456789"), chat(std::string(50, 'u'), "never")}, 24);
  ASSERT_TRUE(d) << d.status().message();
  EXPECT_EQ((*d)->rows(), 1u);
  EXPECT_EQ(targetsOf(**d, 0), std::string(19, '.') + "01234");
  EXPECT_EQ((*d)->truncated, 2u);
  // 20 + 10 + end + newline = 32 of which 25; 69 + 5 + 2 = 76 of which 25.
  EXPECT_EQ((*d)->cutTokens, uint64_t(32 - 25 + 76 - 25));
  auto none = open({chat(std::string(50, 'u'), "never")}, 24);
  ASSERT_FALSE(none);
  EXPECT_NE(none.status().message().find("rows of 24 tokens end before any assistant"), std::string::npos);
}

TEST_F(ChatRows, WhatIsLeftOutIsCountedByItsReason) {
  const std::string calls = R"({"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"","tool_calls":)"
                            R"([{"function":{"name":"f","arguments":{"z":1,"a":2.0}}}]}]})",
                    silent = R"({"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b","weight":0}]})";
  const std::vector<std::string> lines = {chat("a", "b"), calls, silent, chat("a", ""), chat(std::string(80, 'u'), "never"),
                                          R"({"text":"no chat"})"};
  auto d = open(lines, 64, "plain", {}, "drop");
  ASSERT_TRUE(d) << d.status().message();
  EXPECT_EQ((*d)->shape()["left_out"].dump(),
            R"({"empty answer":1,"no answer":1,"no answer in 64 tokens":1,"no messages":1,"tools":1})");
  EXPECT_NE((*d)->shapeText().find("; 5 rows left out (1 empty answer, 1 no answer, 1 no answer in 64 tokens, 1 no messages, "
                                   "1 tools)"), std::string::npos) << (*d)->shapeText();
  auto stops = open(lines, 64, "plain", {});
  ASSERT_FALSE(stops);
  EXPECT_NE(stops.status().message().find("turn 2 of the conversation has `tool_calls`, and the template \"plain\""), std::string::npos)
      << stops.status().message();
  auto none = open({silent}, 64, "plain", {}, "drop");
  ASSERT_FALSE(none);
  EXPECT_NE(none.status().message().find("no conversation is left to make batches of: 1 row left out (1 no answer)"), std::string::npos)
      << none.status().message();
  // Calls are targets, their fields in the row's order.
  auto said = open({calls}, 100);
  ASSERT_TRUE(said) << said.status().message();
  std::string targets = targetsOf(**said, 0);
  targets.resize(targets.find_last_not_of('.') + 1);
  EXPECT_EQ(targets, std::string(19, '.') + "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"z\": 1, \"a\": 2.0}}\n</tool_call>#");
}

TEST_F(ChatRows, MapRowsHandsCallsOnInTheirOrder) {
  std::ofstream(root + "/a.jsonl") << R"({"talk":[{"role":"user","content":"a"},{"role":"assistant","tool_calls":[{"function":)"
                                      R"({"name":"f","arguments":{"z":1,"a":{"y":2,"b":3}}}}]}],"messages":[{"role":"user","content":"no"}]})"
                                   << "\n";
  DataContext dc;
  dc.rowFns.push_back([](const json &row) -> Result<json> { return json{{"messages", row["talk"]}}; });
  auto d = openPacked({{"op", "chat"},
                       {"tok", {{"op", "bytes_tokenizer"}, {"special", {"<|im_start|>", "<|im_end|>"}}}},
                       {"template", "chatml"},
                       {"seq", 110},
                       {"in", {{"op", "map_rows"}, {"to", {{"row_fn", 0}}}, {"in", {{"op", "jsonl"}, {"path", root + "/a.jsonl"}}}}}},
                      dc);
  ASSERT_TRUE(d) << d.status().message();
  EXPECT_NE(targetsOf(**d, 0).find(R"({"name": "f", "arguments": {"z": 1, "a": {"y": 2, "b": 3}}})"), std::string::npos)
      << targetsOf(**d, 0);
}

TEST_F(ChatRows, WhatIsWrongIsSaidWithItsRow) {
  auto refused = [&](const std::string &line, const char *what) {
    auto d = open({chat("a", "b"), line}, 64);
    ASSERT_FALSE(d) << what;
    EXPECT_NE(d.status().message().find(what), std::string::npos) << d.status().message();
    EXPECT_NE(d.status().message().find("a.jsonl@"), std::string::npos) << d.status().message();
  };
  refused(chat("a", ""), "turn 2 of the conversation is an assistant's and says nothing");
  refused(R"({"text": "a", "n": 1})", "it has no field `messages`; it has `text`, `n`");
  auto d = open({chat("a", "b")}, 64, "chatml", {"<|im_start|>"});
  ASSERT_FALSE(d);
  EXPECT_NE(d.status().message().find("no special token \"<|im_end|>\""), std::string::npos) << d.status().message();
}

TEST(Fim, PartsComeTogetherAgain) {
  TokenizerPtr tok = bytesTokenizer({"<p>", "<s>", "<m>"});
  const int32_t P = 258, S = 259, M = 260;
  json spec = {{"rate", 0.5}, {"spm", 0.5}, {"seed", 7}, {"tokens", {"<p>", "<s>", "<m>"}}};
  auto fim = Fim::of(spec, *tok);
  ASSERT_TRUE(fim) << fim.status().message();
  const std::string text = "aé漢😀b";
  std::map<std::string, int> kinds;
  std::set<std::string> middles;
  const int n = 20000;
  for (uint64_t i = 0; i < n; ++i) {
    std::vector<int32_t> ids, again;
    fim->encode(text, i, *tok, ids);
    fim->encode(text, i, *tok, again);
    ASSERT_EQ(ids, again);
    if (ids[0] != P) {
      ++kinds["plain"];
      ASSERT_EQ(tok->decode(ids), text);
      continue;
    }
    auto at = [&](int32_t id) { return std::find(ids.begin(), ids.end(), id); };
    auto part = [&](auto from, auto to) { return tok->decode(std::vector<int32_t>(from, to)); };
    auto s = at(S), m = at(M);
    ASSERT_LT(s, m);
    std::string prefix = part(ids.begin() + 1, s), suffix = part(s + 1, m), middle = part(m + 1, ids.end());
    // Psm with an empty prefix looks as spm with one; they are told apart by nothing, and mean the same.
    ASSERT_EQ(prefix + middle + suffix, text);
    ++kinds[s == ids.begin() + 1 ? "no prefix" : "prefix"];
    middles.insert(middle);
    for (const std::string &x : {prefix, suffix, middle}) // whole characters
      ASSERT_TRUE(x.empty() || (static_cast<unsigned char>(x[0]) & 0xC0) != 0x80);
  }
  // 6 places for cuts: the first one is 0, so that psm has no prefix either, with the probability 11/36.
  const double half = n / 2.0, none = half * (0.5 + 0.5 * 11 / 36), sd = std::sqrt(n * 0.25);
  EXPECT_NEAR(kinds["plain"], half, 5 * sd);
  EXPECT_NEAR(kinds["no prefix"], none, 5 * sd);
  EXPECT_EQ(middles.size(), size_t(5 * 6 / 2 + 1)); // all substrings; what spm writes last is one as well
  spec["tokens"][1] = "<x>";
  EXPECT_NE(Fim::of(spec, *tok).status().message().find("no special token \"<x>\""), std::string::npos);
  std::vector<int32_t> ids, plain;
  Fim().encode(text, 1, *tok, ids);
  tok->encode(text, plain);
  EXPECT_EQ(ids, plain);
}
