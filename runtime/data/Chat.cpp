#include "runtime/data/Chat.h"
#include "runtime/corpus/Engine.h"
#include <algorithm>

namespace r1rt {

using nlohmann::json;

namespace {

/// What a template writes, part by part.
class Writer {
public:
  void text(std::string_view s, bool trained = false) {
    if (s.empty())
      return;
    if (!parts.empty() && parts.back().kind == ChatPart::text && parts.back().trained == trained)
      parts.back().content += s;
    else
      parts.push_back({ChatPart::text, std::string(s), trained});
  }
  void special(const char *name, bool trained = false) { parts.push_back({ChatPart::special, name, trained}); }
  void begin() { parts.push_back({ChatPart::begin, "", false}); }
  void end() { parts.push_back({ChatPart::end, "", true}); }
  std::vector<ChatPart> parts;
};

std::string_view trimmed(std::string_view s) {
  const char *blank = " \t\n\v\f\r";
  size_t from = s.find_first_not_of(blank);
  return from == s.npos ? std::string_view() : s.substr(from, s.find_last_not_of(blank) - from + 1);
}

using Messages = std::vector<Message>;

void chatml(Writer &w, const Messages &messages) {
  for (const Message &m : messages) {
    bool says = m.role == "assistant";
    w.special("<|im_start|>");
    w.text(m.role + "\n");
    w.text(m.content, says);
    w.special("<|im_end|>", says);
    w.text("\n");
  }
}

void qwen(Writer &w, const Messages &messages) {
  Messages all = messages;
  if (all.front().role != "system")
    all.insert(all.begin(),
               {"system", "You are Qwen, created by Alibaba Cloud. You are a helpful assistant."});
  chatml(w, all);
}

void llama3(Writer &w, const Messages &messages) {
  w.special("<|begin_of_text|>");
  for (const Message &m : messages) {
    bool says = m.role == "assistant";
    w.special("<|start_header_id|>");
    w.text(m.role);
    w.special("<|end_header_id|>");
    w.text("\n\n");
    w.text(trimmed(m.content), says);
    w.special("<|eot_id|>", says);
  }
}

void deepseek(Writer &w, const Messages &messages) {
  w.special("<｜begin▁of▁sentence｜>");
  for (const Message &m : messages) {
    bool says = m.role == "assistant";
    if (m.role != "system")
      w.special(says ? "<｜Assistant｜>" : "<｜User｜>");
    w.text(m.content, says);
    if (says)
      w.special("<｜end▁of▁sentence｜>", true);
  }
}

void plain(Writer &w, const Messages &messages) {
  w.begin();
  for (const Message &m : messages) {
    bool says = m.role == "assistant";
    if (m.role == "system") {
      w.text(m.content + "\n\n");
    } else if (!says) {
      w.text("User: " + m.content + "\n");
    } else {
      w.text("Assistant:");
      w.text(" " + m.content, true);
      w.end();
    }
  }
}

struct Template {
  const char *name;
  void (*write)(Writer &, const Messages &);
};
constexpr Template templates[] = {
    {"chatml", chatml}, {"llama3", llama3}, {"qwen", qwen}, {"deepseek", deepseek}, {"plain", plain}};

/// What is wrong with the turns of a conversation, whatever the template.
Status checkTurns(const Messages &messages) {
  auto turn = [](size_t i) { return "turn " + std::to_string(i + 1) + " of the conversation"; };
  bool answered = false;
  for (size_t i = 0; i < messages.size(); ++i) {
    const std::string &role = messages[i].role;
    if (role != "system" && role != "user" && role != "assistant")
      return Status::error(turn(i) + " has the role \"" + role +
                           "\"; the roles are \"system\", \"user\" and \"assistant\"");
    if (role == "system" && i > 0)
      return Status::error(turn(i) + " is the system's, which only the first can be");
    bool afterUser = i > 0 && messages[i - 1].role == "user";
    if (role == "user" && afterUser)
      return Status::error(turn(i) + " is the user's, as the one before it; an assistant's has to stand between");
    if (role == "assistant" && !afterUser)
      return Status::error(turn(i) + " is an assistant's and does not follow one of the user");
    if (role == "assistant" && trimmed(messages[i].content).empty())
      return Status::error(turn(i) + " is an assistant's and says nothing; leave such rows out: filter(r => …)");
    answered |= role == "assistant";
  }
  if (!answered)
    return Status::error("no assistant says anything in the conversation, so there is nothing to learn from it");
  return Status::ok();
}

Result<Messages> messagesOf(const corpus::Row &row) {
  json more = row.more.empty() ? json::object() : json::parse(row.more, nullptr, false);
  auto list = more.is_object() ? more.find("messages") : more.end();
  if (!more.is_object() || list == more.end()) {
    std::string have = "`text`";
    for (auto &[name, value] : more.items())
      have += ", `" + name + "`";
    return Status::error("it has no field `messages`; it has " + have +
                         ". map_rows can give it one: map_rows(r => {messages = [{role = \"user\", content = …}, "
                         "{role = \"assistant\", content = …}]})");
  }
  return readMessages(*list);
}

/// The tokenizer's id of what is no text of a part; -1 if it has none.
int32_t idOf(const ChatPart &p, const Tokenizer &tok) {
  return p.kind == ChatPart::special ? tok.special(p.content)
         : p.kind == ChatPart::begin ? tok.beginOfText()
                                     : tok.endOfText();
}

void encodePart(const ChatPart &p, const Tokenizer &tok, std::vector<int32_t> &ids) {
  if (p.kind == ChatPart::text)
    tok.encode(p.content, ids);
  else if (int32_t id = idOf(p, tok); id >= 0)
    ids.push_back(id);
}

/// An error unless the tokenizer has the special tokens that a template writes.
Status needSpecials(const std::string &format, const Tokenizer &tok) {
  for (const std::string &name : chatSpecials(format))
    if (tok.special(name) < 0)
      return Status::error("the tokenizer has no special token \"" + name + "\", which the template \"" + format +
                               "\" writes; \"plain\" needs none",
                           ExitClass::program);
  return Status::ok();
}

} // namespace

Result<Messages> readMessages(const json &list) {
  if (!list.is_array())
    return Status::error(std::string("`messages` is a list of {role, content}, this is a ") + list.type_name());
  Messages out;
  for (const json &m : list) {
    auto part = [&](const char *key) {
      auto it = m.is_object() ? m.find(key) : m.end();
      return m.is_object() && it != m.end() && it->is_string() ? &it->get_ref<const std::string &>() : nullptr;
    };
    const std::string *role = part("role"), *content = part("content");
    if (!role || !content)
      return Status::error("turn " + std::to_string(out.size() + 1) + " of the conversation has no text `" +
                           (role ? "content" : "role") + "`");
    out.push_back({*role, *content});
  }
  return out;
}

Result<ChatPrompt> chatPrompt(const std::string &format, Messages messages, const Tokenizer &tok) {
  if (messages.empty() || messages.back().role != "user")
    return Status::error("a conversation that is to be answered ends with a turn of the user");
  R1RT_TRY(needSpecials(format, tok));
  messages.push_back({"assistant", "…"}); // stands where the answer will
  R1RT_ASSIGN(std::vector<ChatPart> parts, renderChat(format, messages));
  size_t end = parts.size();
  while (end > 0 && !parts[end - 1].trained)
    --end;
  size_t begin = end;
  while (begin > 0 && parts[begin - 1].trained)
    --begin;
  ChatPrompt out;
  for (size_t i = 0; i < begin; ++i)
    encodePart(parts[i], tok, out.tokens);
  for (size_t i = begin; i < end; ++i)
    if (parts[i].kind != ChatPart::text)
      if (int32_t id = idOf(parts[i], tok); id >= 0)
        out.ends.push_back(id);
  return out;
}

const std::vector<std::string> &chatTemplates() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> out;
    for (const Template &t : templates)
      out.push_back(t.name);
    return out;
  }();
  return names;
}

Result<std::vector<ChatPart>> renderChat(const std::string &format, const Messages &messages) {
  R1RT_TRY(checkTurns(messages));
  for (const Template &t : templates)
    if (format == t.name) {
      Writer w;
      t.write(w, messages);
      return w.parts;
    }
  std::string names;
  for (const std::string &n : chatTemplates())
    names += (names.empty() ? "" : ", ") + n;
  return Status::error("there is no chat template \"" + format + "\"; there are " + names, ExitClass::program);
}

std::vector<std::string> chatSpecials(const std::string &format) {
  std::vector<std::string> out;
  auto parts = renderChat(format, {{"user", "a"}, {"assistant", "b"}});
  for (const ChatPart &p : parts ? *parts : std::vector<ChatPart>())
    if (p.kind == ChatPart::special && std::find(out.begin(), out.end(), p.content) == out.end())
      out.push_back(p.content);
  return out;
}

Result<std::shared_ptr<PackedData>> readChats(const json &tree, DataContext &ctx) {
  auto data = std::make_shared<PackedData>();
  data->seq = tree.value("seq", 0);
  if (data->seq < 1)
    return Status::error("chat needs rows of at least one token; `seq` is " + std::to_string(data->seq),
                         ExitClass::program);
  R1RT_ASSIGN(data->tokenizer, openTokenizer(tree.value("tok", json()), ctx));
  const Tokenizer &tok = *data->tokenizer;
  const std::string format = tree.value("template", "");
  R1RT_TRY(needSpecials(format, tok));
  std::vector<PackedData::Piece> pieces;
  std::vector<int32_t> ids;
  std::vector<uint8_t> trained;
  R1RT_TRY(corpus::eachRow(tree.value("in", json()), ctx, [&](corpus::Row &&row) -> Status {
    auto named = [&](const Status &st) { return st.withContext("row " + row.id); };
    auto messages = messagesOf(row);
    if (!messages)
      return named(messages.status());
    auto parts = renderChat(format, *messages);
    if (!parts)
      return named(parts.status());
    ids.clear();
    trained.clear();
    for (const ChatPart &p : *parts) {
      encodePart(p, tok, ids);
      trained.resize(ids.size(), p.trained);
    }
    ++data->documents;
    data->textBytes += row.text.size();
    // To the last target, which no token that is read has to stand for.
    size_t n = ids.size();
    if (n > size_t(data->seq) + 1) {
      ++data->truncated;
      data->cutTokens += n - size_t(data->seq) - 1;
      n = size_t(data->seq) + 1;
    }
    while (n > 0 && !trained[n - 1])
      --n;
    if (n < 2)
      return Status::ok();
    pieces.push_back({data->ids.size(), uint32_t(n - 1), true});
    data->ids.insert(data->ids.end(), ids.begin(), ids.begin() + std::ptrdiff_t(n));
    data->trained.insert(data->trained.end(), trained.begin(), trained.begin() + std::ptrdiff_t(n));
    return Status::ok();
  }));
  if (pieces.empty())
    return Status::error(data->documents ? "rows of " + std::to_string(data->seq) +
                                               " tokens end before any assistant says something; make `seq` larger"
                                         : std::string("there are no conversations to make batches of"));
  bestFit(*data, {}, std::move(pieces));
  return data;
}

} // namespace r1rt
