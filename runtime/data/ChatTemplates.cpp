// How conversations are written. test/bench/chat_templates.py compares this with the templates of the models, byte by
// byte. Where it differs on purpose:
//
//   all        The order of turns is checked; a system message that is not the first, and two turns of one side, are
//              refused, though some templates write them. A call's arguments that come as JSON text are written as they
//              are; Qwen 2.5's and Llama 3.1's templates would quote them once more.
//   llama31    The date is the template's own default, "26 Jul 2024", not today's: the same rows give the same bytes.
//              A turn that both says something and calls a tool is refused; the template drops what it says.
//   qwen       Qwen 3's own template (the model that can think) puts an empty <think> block before the last answer;
//              "chatml" does not.
//   deepseek   What an assistant thinks, up to </think>, stays; the template removes it from what was said before. For R1
//              `<think>` is no part of the prompt, but of what is learned. There are no tools.
#include "runtime/data/Chat.h"
#include "runtime/text/Chars.h"
#include <algorithm>
#include <charconv>

namespace r1rt {

using nlohmann::ordered_json;

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
  void end(bool trained) { parts.push_back({ChatPart::end, "", trained}); }
  std::vector<ChatPart> parts;
};

using Messages = std::vector<Message>;

bool says(const Message &m) { return m.role == "assistant"; }
bool learned(const Message &m) { return says(m) && m.trained; }

/// ChatML, as Qwen 2.5 and 3 have it; `otherwise`: the system message where there is none.
void chatml(Writer &w, const Messages &messages, const ChatTools &tools, const std::string &otherwise) {
  const bool given = messages.front().role == "system";
  const std::string system = given ? messages.front().content : otherwise;
  if (given || !otherwise.empty() || !tools.empty()) {
    w.special("<|im_start|>");
    w.text("system\n" + system);
    if (!tools.empty()) {
      w.text(given || !otherwise.empty() ? "\n\n# Tools" : "# Tools");
      w.text("\n\nYou may call one or more functions to assist with the user query.\n\nYou are provided with function "
             "signatures within <tools></tools> XML tags:\n<tools>");
      for (const ordered_json &tool : tools)
        w.text("\n" + pythonJson(tool));
      w.text("\n</tools>\n\nFor each function call, return a json object with function name and arguments within "
             "<tool_call></tool_call> XML tags:\n<tool_call>\n{\"name\": <function-name>, \"arguments\": "
             "<args-json-object>}\n</tool_call>");
    }
    w.special("<|im_end|>");
    w.text("\n");
  }
  for (size_t i = given; i < messages.size(); ++i) {
    const Message &m = messages[i];
    const bool tool = m.role == "tool", first = !tool || messages[i - 1].role != "tool",
               last = !tool || i + 1 == messages.size() || messages[i + 1].role != "tool";
    if (first)
      w.special("<|im_start|>");
    if (tool) { // what tools answer is one turn of the user
      w.text(std::string(first ? "user" : "") + "\n<tool_response>\n" + m.content + "\n</tool_response>");
    } else {
      w.text(m.role + "\n");
      w.text(m.content, learned(m));
      bool apart = !m.content.empty();
      for (const Message::Call &c : m.calls) {
        w.text(std::string(apart ? "\n" : "") + "<tool_call>\n{\"name\": \"" + c.name + "\", \"arguments\": " +
                   c.arguments + "}\n</tool_call>",
               learned(m));
        apart = true;
      }
    }
    if (last) {
      w.special("<|im_end|>", learned(m));
      w.text("\n");
    }
  }
}

void chatmlAlone(Writer &w, const Messages &messages, const ChatTools &tools) { chatml(w, messages, tools, ""); }

void qwen(Writer &w, const Messages &messages, const ChatTools &tools) {
  chatml(w, messages, tools, "You are Qwen, created by Alibaba Cloud. You are a helpful assistant.");
}

void llamaTurn(Writer &w, std::string_view role, std::string_view content, bool trained) {
  w.special("<|start_header_id|>");
  w.text(role);
  w.special("<|end_header_id|>");
  w.text("\n\n");
  w.text(content, trained);
  w.special("<|eot_id|>", trained);
}

void llama3(Writer &w, const Messages &messages, const ChatTools &) {
  w.special("<|begin_of_text|>");
  for (const Message &m : messages)
    llamaTurn(w, m.role, text::strip(m.content), learned(m));
}

void llama31(Writer &w, const Messages &messages, const ChatTools &tools) {
  w.special("<|begin_of_text|>");
  const bool given = messages.front().role == "system";
  llamaTurn(w, "system",
            std::string(tools.empty() ? "" : "Environment: ipython\n") +
                "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n" +
                std::string(given ? text::strip(messages.front().content) : ""),
            false);
  for (size_t i = given; i < messages.size(); ++i) {
    const Message &m = messages[i];
    std::string content(text::strip(m.content));
    if (i == size_t(given) && !tools.empty()) {
      std::string what = "Given the following functions, please respond with a JSON for a function call with its proper "
                         "arguments that best answers the given prompt.\n\nRespond in the format {\"name\": function "
                         "name, \"parameters\": dictionary of argument name and its value}.Do not use variables.\n\n";
      for (const ordered_json &tool : tools)
        what += pythonJson(tool, 4) + "\n\n";
      content = what + content;
    }
    if (m.role == "tool")
      content = pythonJson(m.content);
    if (!m.calls.empty())
      content = "{\"name\": \"" + m.calls[0].name + "\", \"parameters\": " + m.calls[0].arguments + "}";
    llamaTurn(w, m.role == "tool" ? "ipython" : m.role, content, learned(m));
  }
}

void deepseek(Writer &w, const Messages &messages, const ChatTools &) {
  w.special("<｜begin▁of▁sentence｜>");
  for (const Message &m : messages) {
    if (m.role != "system")
      w.special(says(m) ? "<｜Assistant｜>" : "<｜User｜>");
    w.text(m.content, learned(m));
    if (says(m))
      w.special("<｜end▁of▁sentence｜>", learned(m));
  }
}

void plain(Writer &w, const Messages &messages, const ChatTools &) {
  w.begin();
  for (const Message &m : messages) {
    if (m.role == "system") {
      w.text(m.content + "\n\n");
    } else if (!says(m)) {
      w.text("User: " + m.content + "\n");
    } else {
      w.text("Assistant:");
      w.text(" " + m.content, learned(m));
      w.end(learned(m));
    }
  }
}

struct Template {
  const char *name;
  void (*write)(Writer &, const Messages &, const ChatTools &);
  bool tools;   // has a form for them
  bool oneCall; // in a turn, and nothing else
};
constexpr Template templates[] = {{"chatml", chatmlAlone, true, false}, {"llama3", llama3, false, false},
                                  {"llama31", llama31, true, true},     {"qwen", qwen, true, false},
                                  {"deepseek", deepseek, false, false}, {"plain", plain, false, false}};

std::string turn(size_t i) { return "turn " + std::to_string(i + 1) + " of the conversation"; }

/// What is wrong with the turns of a conversation, whatever the template.
Status checkTurns(const Messages &messages, std::string &reason) {
  auto order = [&](size_t i, const char *what) {
    reason = "order of turns";
    return Status::error(turn(i) + what);
  };
  bool answered = false, learns = false;
  for (size_t i = 0; i < messages.size(); ++i) {
    const Message &m = messages[i];
    const std::string before = i ? messages[i - 1].role : "";
    if (m.role != "system" && m.role != "user" && m.role != "assistant" && m.role != "tool") {
      reason = "role";
      return Status::error(turn(i) + " has the role \"" + m.role +
                           "\"; the roles are \"system\", \"user\", \"assistant\" and \"tool\"");
    }
    if (m.role == "system" && i > 0)
      return order(i, " is the system's, which only the first can be");
    if (m.role == "user" && (before == "user" || before == "tool"))
      return order(i, before == "user" ? " is the user's, as the one before it; an assistant's has to stand between"
                                       : " is the user's and follows a tool's; an assistant's has to stand between");
    if (m.role == "tool" && before != "tool" && (before != "assistant" || messages[i - 1].calls.empty()))
      return order(i, " is a tool's and does not follow an assistant's with `tool_calls`");
    if (says(m) && before != "user" && before != "tool")
      return order(i, " is an assistant's and does not follow one of the user");
    if (learned(m) && m.calls.empty() && text::strip(m.content).empty()) {
      reason = "empty answer";
      return Status::error(turn(i) + " is an assistant's and says nothing; help: chat(…, unfit = \"drop\") leaves such "
                                     "rows out and counts them");
    }
    if (!m.calls.empty() && !says(m)) {
      reason = "tools";
      return Status::error(turn(i) + " has `tool_calls` and the role \"" + m.role + "\"; only an assistant calls tools");
    }
    answered |= says(m);
    learns |= learned(m);
  }
  if (learns)
    return Status::ok();
  reason = "no answer";
  return Status::error(answered ? "every turn of an assistant has the weight 0, so there is nothing to learn from the "
                                  "conversation"
                                : "no assistant says anything in the conversation, so there is nothing to learn from it");
}

/// What the template cannot write of tools.
Status checkTools(const Template &t, const Messages &messages, const ChatTools &tools, std::string &reason) {
  reason = "tools";
  std::string forms;
  for (const Template &x : templates)
    if (x.tools)
      forms += (forms.empty() ? "\"" : ", \"") + std::string(x.name) + "\"";
  const std::string lacks = ", and the template \"" + std::string(t.name) + "\" has no form for that; help: template = one of " +
                            forms + ", or chat(…, unfit = \"drop\") leaves such rows out and counts them";
  if (!t.tools && !tools.empty())
    return Status::error("the conversation has `tools`" + lacks);
  for (size_t i = 0; i < messages.size(); ++i) {
    const Message &m = messages[i];
    if (!t.tools && (m.role == "tool" || !m.calls.empty()))
      return Status::error(turn(i) + (m.role == "tool" ? " is a tool's" : " has `tool_calls`") + lacks);
    if (t.oneCall && m.calls.size() > 1)
      return Status::error(turn(i) + " calls " + std::to_string(m.calls.size()) + " tools; the template \"" + t.name +
                           "\" writes one call a turn");
    if (t.oneCall && !m.calls.empty() && !text::strip(m.content).empty())
      return Status::error(turn(i) + " says something and calls a tool; the template \"" + t.name +
                           "\" writes one of the two");
  }
  return Status::ok();
}

/// As repr() of a float: the shortest digits that give it back.
std::string pythonFloat(double x) {
  char text[40];
  auto end = std::to_chars(text, text + sizeof text, x, std::chars_format::scientific).ptr;
  const std::string s(text, end);
  const int exponent = std::stoi(s.substr(s.find('e') + 1));
  if (exponent < -4 || exponent >= 16)
    return s;
  end = std::to_chars(text, text + sizeof text, x, std::chars_format::fixed).ptr;
  std::string fixed(text, end);
  return fixed.find('.') == fixed.npos ? fixed + ".0" : fixed;
}

void writePython(const ordered_json &v, int indent, int depth, std::string &out) {
  auto line = [&](int d) {
    if (indent >= 0)
      out += "\n" + std::string(size_t(indent * d), ' ');
  };
  if (v.is_number_float()) {
    out += pythonFloat(v.get<double>());
    return;
  }
  if (!v.is_structured() || v.empty()) {
    out += v.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
    return;
  }
  out += v.is_array() ? "[" : "{";
  bool first = true;
  for (auto &[key, value] : v.items()) {
    if (!first)
      out += indent >= 0 ? "," : ", ";
    first = false;
    line(depth + 1);
    if (v.is_object())
      out += ordered_json(key).dump(-1, ' ', false, ordered_json::error_handler_t::replace) + ": ";
    writePython(value, indent, depth + 1, out);
  }
  line(depth);
  out += v.is_array() ? "]" : "}";
}

} // namespace

std::string pythonJson(const ordered_json &value, int indent) {
  std::string out;
  writePython(value, indent, 0, out);
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

Result<std::vector<ChatPart>> renderChat(const std::string &format, const Messages &messages, const ChatTools &tools,
                                         std::string *reason) {
  std::string why;
  auto t = std::find_if(std::begin(templates), std::end(templates), [&](auto &x) { return format == x.name; });
  if (t == std::end(templates)) {
    std::string names;
    for (const std::string &n : chatTemplates())
      names += (names.empty() ? "" : ", ") + n;
    return Status::error("there is no chat template \"" + format + "\"; there are " + names, ExitClass::program);
  }
  Status st = checkTurns(messages, why);
  if (st)
    st = checkTools(*t, messages, tools, why);
  if (!st) {
    if (reason)
      *reason = why;
    return st;
  }
  Writer w;
  t->write(w, messages, tools);
  return w.parts;
}

std::vector<std::string> chatSpecials(const std::string &format) {
  std::vector<std::string> out;
  auto parts = renderChat(format, {{"user", "a"}, {"assistant", "b"}});
  for (const ChatPart &p : parts ? *parts : std::vector<ChatPart>())
    if (p.kind == ChatPart::special && std::find(out.begin(), out.end(), p.content) == out.end())
      out.push_back(p.content);
  return out;
}

} // namespace r1rt
