#include "runtime/data/Chat.h"
#include "runtime/corpus/Engine.h"
#include <algorithm>

namespace r1rt {

using nlohmann::json;
using nlohmann::ordered_json;

namespace {

using Messages = std::vector<Message>;

/// For messages: JSON of at most some 80 bytes.
std::string shown(const ordered_json &value) {
  std::string text = value.dump(-1, ' ', false, json::error_handler_t::replace);
  return text.size() <= 80 ? text : text.substr(0, corpus::utf8Boundary(text, 77)) + "…";
}

/// A field that is there, and says something.
const ordered_json *said(const ordered_json &object, const char *name) {
  auto it = object.find(name);
  return it == object.end() || it->is_null() || (it->is_string() && it->get_ref<const std::string &>().empty()) ||
                 (it->is_structured() && it->empty())
             ? nullptr
             : &*it;
}

Result<std::vector<Message::Call>> callsOf(const ordered_json &calls) {
  std::vector<Message::Call> out;
  if (!calls.is_array())
    return Status::error("`tool_calls` is a list of {function: {name, arguments}}, not " + shown(calls));
  for (const ordered_json &one : calls) {
    const ordered_json *call = one.is_object() ? said(one, "function") : nullptr;
    if (!call)
      call = &one;
    const ordered_json *name = call->is_object() ? said(*call, "name") : nullptr;
    const auto arguments = call->is_object() ? call->find("arguments") : call->end();
    if (!name || !name->is_string() || arguments == call->end() || !(arguments->is_string() || arguments->is_object()))
      return Status::error("the call " + shown(one) + " is not {function: {name, arguments}}: a text, and an object or its "
                           "JSON as text");
    out.push_back({name->get<std::string>(),
                   arguments->is_string() ? arguments->get<std::string>() : pythonJson(*arguments)});
  }
  return out;
}

Result<Message> messageOf(const ordered_json &m, std::string &reason) {
  reason = "no message";
  auto text = [&](const char *key) {
    auto it = m.is_object() ? m.find(key) : m.end();
    return m.is_object() && it != m.end() && it->is_string() ? &it->get_ref<const std::string &>() : nullptr;
  };
  const std::string *role = text("role"), *content = text("content");
  const ordered_json *calls = m.is_object() ? said(m, "tool_calls") : nullptr;
  const bool empty = calls && (!m.contains("content") || m["content"].is_null());
  if (!role || (!content && !empty))
    return Status::error("has no text `" + std::string(role ? "content" : "role") + "`");
  Message out{*role, content ? *content : "", true, {}};
  if (auto weight = m.find("weight"); weight != m.end() && !weight->is_null()) {
    reason = "weight";
    if (!weight->is_number() || (weight->get<double>() != 0 && weight->get<double>() != 1))
      return Status::error("has the `weight` " + shown(*weight) + "; it is 0 (not learned) or 1");
    out.trained = weight->get<double>() == 1;
    if (out.trained && out.role != "assistant")
      return Status::error("has the `weight` 1 and the role \"" + out.role + "\"; only what an assistant says is learned");
  }
  if (calls) {
    reason = "tools";
    auto read = callsOf(*calls);
    if (!read)
      return Status::error("cannot be written: " + read.status().message());
    out.calls = read.take();
  }
  reason = "field";
  for (const char *other : {"function_call", "reasoning_content", "reasoning", "thinking", "images", "audio"})
    if (said(m, other))
      return Status::error("has `" + std::string(other) + "`, which no template writes; help: map_rows can put it into "
                           "`content`, or take it away");
  return out;
}

struct Conversation {
  Messages messages;
  ChatTools tools;
};

Result<Conversation> conversationOf(const corpus::Row &row, std::string &reason) {
  const ordered_json more = row.more.empty() ? ordered_json::object() : ordered_json::parse(row.more, nullptr, false);
  auto list = more.is_object() ? more.find("messages") : more.end();
  if (!more.is_object() || list == more.end()) {
    std::string have = "`text`";
    for (auto &[name, value] : more.items())
      have += ", `" + name + "`";
    reason = "no messages";
    return Status::error("it has no field `messages`; it has " + have +
                         ". map_rows can give it one: map_rows(r => {messages = [{role = \"user\", content = …}, "
                         "{role = \"assistant\", content = …}]})");
  }
  Conversation out;
  R1RT_ASSIGN(out.messages, readMessages(*list, &reason));
  if (const ordered_json *tools = said(more, "tools")) {
    R1RT_ASSIGN(out.tools, readTools(*tools, &reason));
  }
  if (said(more, "functions")) {
    reason = "tools";
    return Status::error("it has `functions`, which no template writes; help: map_rows can make `tools` of them, a "
                         "list or, where the order of keys matters, its JSON as text, or take them away");
  }
  return out;
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

Result<Messages> readMessages(const ordered_json &list, std::string *reason) {
  std::string why = "no messages";
  Messages out;
  Status st = list.is_array() ? Status::ok()
                              : Status::error("`messages` is a list of {role, content}, this is " + shown(list));
  for (size_t i = 0; st && i < list.size(); ++i) {
    auto m = messageOf(list[i], why);
    if (m)
      out.push_back(m.take());
    else
      st = Status::error("turn " + std::to_string(i + 1) + " of the conversation " + m.status().message());
  }
  if (st)
    return out;
  if (reason)
    *reason = why;
  return st;
}

Result<ChatTools> readTools(const ordered_json &tools, std::string *reason) {
  ordered_json list = tools.is_string() ? ordered_json::parse(tools.get<std::string>(), nullptr, false) : tools;
  if (list.is_null())
    return ChatTools();
  if (list.is_array() && std::all_of(list.begin(), list.end(), [](auto &x) { return x.is_object(); }))
    return list.get<ChatTools>();
  if (reason)
    *reason = "tools";
  return Status::error("`tools` is a list of objects, or its JSON as text, not " + shown(tools));
}

Result<ChatPrompt> chatPrompt(const std::string &format, Messages messages, const Tokenizer &tok, const ChatTools &tools) {
  if (messages.empty() || (messages.back().role != "user" && messages.back().role != "tool"))
    return Status::error("a conversation that is to be answered ends with a turn of the user or a tool");
  R1RT_TRY(needSpecials(format, tok));
  messages.push_back({"assistant", "…", true, {}}); // stands where the answer will
  R1RT_ASSIGN(std::vector<ChatPart> parts, renderChat(format, messages, tools));
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
  const std::string unfit = tree.value("unfit", "stop");
  if (unfit != "stop" && unfit != "drop")
    return Status::error("`unfit` is \"stop\" or \"drop\", not \"" + unfit + "\"", ExitClass::program);
  std::vector<PackedData::Piece> pieces;
  std::vector<int32_t> ids;
  std::vector<uint8_t> trained;
  R1RT_TRY(corpus::eachRow(tree.value("in", json()), ctx, [&](corpus::Row &&row) -> Status {
    std::string reason;
    std::vector<ChatPart> parts;
    auto written = [&]() -> Status {
      R1RT_ASSIGN(Conversation c, conversationOf(row, reason));
      R1RT_ASSIGN(parts, renderChat(format, c.messages, c.tools, &reason));
      return Status::ok();
    };
    if (Status st = written(); !st) {
      if (unfit == "stop" || reason.empty())
        return st.withContext("row " + row.id);
      ++data->leftOut[reason];
      return Status::ok();
    }
    ids.clear();
    trained.clear();
    for (const ChatPart &p : parts) {
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
    if (n < 2) {
      ++data->leftOut["no answer in " + std::to_string(data->seq) + " tokens"];
      return Status::ok();
    }
    pieces.push_back({data->ids.size(), uint32_t(n - 1), true});
    data->ids.insert(data->ids.end(), ids.begin(), ids.begin() + std::ptrdiff_t(n));
    data->trained.insert(data->trained.end(), trained.begin(), trained.begin() + std::ptrdiff_t(n));
    return Status::ok();
  }));
  if (pieces.empty() && !data->leftOut.empty() && !data->documents)
    return Status::error("no conversation is left to make batches of: " + data->leftOutText());
  if (pieces.empty())
    return Status::error(data->documents ? "rows of " + std::to_string(data->seq) +
                                               " tokens end before any assistant says something; make `seq` larger"
                                         : std::string("there are no conversations to make batches of"));
  bestFit(*data, {}, std::move(pieces));
  return data;
}

} // namespace r1rt
