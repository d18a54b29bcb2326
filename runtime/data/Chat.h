//===- Chat.h - conversations as rows of tokens ------------------------------===//
//
//   {"op":"chat","tok":T,"template":"chatml","seq":2048,"unfit":"stop"|"drop","in":tree}
//
// The rows have the field `messages`, [{"role","content"}, …]: perhaps "system" first, then "user" and "assistant" by
// turns, an assistant's `tool_calls` being followed by messages of the role "tool". They may have `tools`, what there is
// to be called. A template writes them as one text; of its tokens only those that an assistant says (calls included) and
// the token that ends its turn are targets, and none of a turn of weight 0. Conversations share rows as documents of
// `pack` do.
//
// What no template can write as it is meant is never left out silently: the row is an error, or with "unfit": "drop"
// it is left out and counted by its reason. Of a conversation that is longer than a row the end is left out, which is
// counted; if no target is left, all of it, and that is counted, too.
//
//===----------------------------------------------------------------------===//
#ifndef R1RT_DATA_CHAT_H
#define R1RT_DATA_CHAT_H
#include "runtime/data/Pack.h"

namespace r1rt {

struct Message {
  struct Call {
    std::string name, arguments; // JSON, as it is written
  };
  std::string role, content;
  bool trained = true; // of an assistant
  std::vector<Call> calls = {};
};

/// A stretch of a conversation as a template writes it. What is trained is encoded apart from what stands before it,
/// as it will be generated.
struct ChatPart {
  enum Kind : uint8_t { text, special, begin, end } kind; // begin, end: of text, whatever the tokenizer calls it
  std::string content;                                    // of text; the name of a special token
  bool trained = false;
};

/// The names of the templates: "chatml" (which is Qwen 3 Instruct's of July 2025, too), "llama3" (Llama 3 Instruct),
/// "llama31" (Llama 3.1 Instruct, with its date), "qwen" (Qwen 2.5, which adds a system message where there is none),
/// "deepseek" (DeepSeek V3 and R1) and "plain", which needs no special tokens. ChatTemplates.cpp says where they differ
/// from the models' own.
const std::vector<std::string> &chatTemplates();
/// The special tokens that a template writes.
std::vector<std::string> chatSpecials(const std::string &format);

/// What a tool is, as JSON that keeps the order of its fields: that of the row, whose objects `map_rows` passes on in the
/// order they had. A record that a program writes comes with its fields sorted (corpus::inOrderOf).
using ChatTools = std::vector<nlohmann::ordered_json>;

/// A conversation as the template `format`, one of chatTemplates(), writes it; neighbours of a kind are joined.
/// Errors name the turn, from 1: another role or order, an assistant that says nothing, none that is trained, tools
/// where the template has no form for them. `reason`, if given, is set to a short name of the error, for counts.
Result<std::vector<ChatPart>> renderChat(const std::string &format, const std::vector<Message> &messages,
                                         const ChatTools &tools = {}, std::string *reason = nullptr);

/// The messages of a list [{"role", "content"}, …]; the error names the turn. Fields of a message that would change
/// what a model sees or learns are read (`weight`, `tool_calls`) or refused (`function_call`, `reasoning_content`, …);
/// all others are notes.
Result<std::vector<Message>> readMessages(const nlohmann::ordered_json &list, std::string *reason = nullptr);
/// The `tools` of a row: a list, or its JSON as text; null is none.
Result<ChatTools> readTools(const nlohmann::ordered_json &tools, std::string *reason = nullptr);

/// The JSON text that Python's json.dumps(value, ensure_ascii=False, indent=indent) makes, as templates write it.
std::string pythonJson(const nlohmann::ordered_json &value, int indent = -1);

/// The tokens of a conversation that ends with a turn of the user or a tool, up to where the assistant begins to speak;
/// and the tokens that end its turn.
struct ChatPrompt {
  std::vector<int32_t> tokens, ends;
};
Result<ChatPrompt> chatPrompt(const std::string &format, std::vector<Message> messages, const Tokenizer &tokenizer,
                              const ChatTools &tools = {});

/// Opens a tree whose root is "chat". Errors name the row.
Result<std::shared_ptr<PackedData>> readChats(const nlohmann::json &tree, DataContext &ctx);

} // namespace r1rt
#endif
