//===- Layouts.h - conversations, preferences and lists of words in one form ---===//
//
// Rows without a text, whose fields are one of
//   Hugging Face chat   messages: [{role, content}]
//   ShareGPT            conversations: [{from, value}]
//   preference          chosen and rejected, each a string or a conversation; often a prompt, too
// get one form. A list of messages has the elements {"role","content", the other fields of the
// message}; `conversations` is called `messages`; the roles human and gpt (chatgpt, bing, bard,
// model) are called user and assistant, all others stay. Missing content, as of a tool's call, is
// ""; of content in parts the texts are joined by newlines. The text is the contents of the
// messages, joined by newlines; of a preference, those of the prompt and of what was chosen,
// without the prompt twice.
//
//   words               tokens: [STRING]
// stays as it is; the text is the words, joined by blanks.
//
//===----------------------------------------------------------------------===//
#ifndef R1RT_SOURCE_LAYOUTS_H
#define R1RT_SOURCE_LAYOUTS_H
#include <string>
#include <string_view>

namespace r1rt::source {

/// Is it one of the fields above?
bool isLayoutField(std::string_view key);

enum class Layout { none, normalised, bad };
/// more: a compact valid JSON object, changed if it is one of the layouts; `text`, empty before,
/// gets its text. bad: it has the fields, but not their form; `problem` says what is wrong.
Layout normaliseLayout(std::string &more, std::string &text, std::string &problem);

} // namespace r1rt::source
#endif
