//===- Chat.h - conversations as rows of tokens ------------------------------===//
//
//   {"op":"chat","tok":T,"template":"chatml","seq":2048,"in":tree}
//
// The rows have the field `messages`, [{"role","content"}, …]: perhaps "system" first, then "user" and
// "assistant" by turns. A template writes them as one text; of its tokens only those that an assistant says and
// the token that ends its turn are targets. Conversations share rows as documents of `pack` do.
//
// Of one that is longer than a row the end is left out, which is counted; if no target is left, all of it.
//
//===----------------------------------------------------------------------===//
#ifndef R1RT_DATA_CHAT_H
#define R1RT_DATA_CHAT_H
#include "runtime/data/Pack.h"

namespace r1rt {

struct Message {
  std::string role, content;
};

/// A stretch of a conversation as a template writes it. What is trained is encoded apart from what stands before it,
/// as it will be generated.
struct ChatPart {
  enum Kind : uint8_t { text, special, begin, end } kind; // begin, end: of text, whatever the tokenizer calls it
  std::string content;                                    // of text; the name of a special token
  bool trained = false;
};

/// The names of the templates: "chatml", "llama3" (Llama 3 Instruct), "qwen" (Qwen 2.5, which adds a system
/// message where there is none), "deepseek" (DeepSeek V3) and "plain", which needs no special tokens.
const std::vector<std::string> &chatTemplates();
/// The special tokens that a template writes.
std::vector<std::string> chatSpecials(const std::string &format);

/// A conversation as the template `format`, one of chatTemplates(), writes it; neighbours of a kind are joined.
/// Errors name the turn, from 1: another role or order, an assistant that says nothing, no assistant.
Result<std::vector<ChatPart>> renderChat(const std::string &format, const std::vector<Message> &messages);

/// The messages of a list [{"role", "content"}, …]; the error names the turn.
Result<std::vector<Message>> readMessages(const nlohmann::json &list);

/// The tokens of a conversation that ends with a turn of the user, up to where the assistant begins to speak; and
/// the tokens that end its turn.
struct ChatPrompt {
  std::vector<int32_t> tokens, ends;
};
Result<ChatPrompt> chatPrompt(const std::string &format, std::vector<Message> messages, const Tokenizer &tokenizer);

/// Opens a tree whose root is "chat". Errors name the row.
Result<std::shared_ptr<PackedData>> readChats(const nlohmann::json &tree, DataContext &ctx);

} // namespace r1rt
#endif
