#include "runtime/source/Layouts.h"
#include "runtime/source/Json.h"
#include <cstring>

namespace r1rt::source {

namespace {

/// The end of the value at s[i] of compact valid JSON.
size_t endOfValue(std::string_view s, size_t i) {
  int depth = 0;
  for (;; ++i) {
    switch (s[i]) {
    case '"':
      for (++i; s[i] != '"'; ++i)
        i += s[i] == '\\';
      break;
    case '{':
    case '[': ++depth; continue;
    case '}':
    case ']': --depth; break;
    case ',':
    case ':': continue;
    default: // a number, true, false, null
      i = s.find_first_of(",]}", i);
      if (i == s.npos)
        return s.size();
      --i;
    }
    if (depth == 0)
      return i + 1;
  }
}

/// Calls take(token of the key, value) for each field of an object, take({}, element) for each
/// element of a list, until it returns false.
template <class F> bool each(std::string_view s, F take) {
  bool object = s[0] == '{';
  for (size_t i = 1; i + 1 < s.size(); ++i) { // i: after an opening bracket or a comma
    std::string_view key;
    if (object) {
      size_t end = endOfValue(s, i);
      key = s.substr(i, end - i);
      i = end + 1;
    }
    size_t end = endOfValue(s, i);
    if (!take(key, s.substr(i, end - i)))
      return false;
    i = end;
  }
  return true;
}

std::string_view inside(std::string_view token) { return token.substr(1, token.size() - 2); }

std::string_view roleOf(std::string_view role) {
  if (role == "human")
    return "user";
  for (std::string_view model : {"gpt", "chatgpt", "bing", "bard", "model"})
    if (role == model)
      return "assistant";
  return role;
}

/// Rewrites a list of messages in the one form.
class Messages {
public:
  Messages(std::string_view field, std::string &problem) : field(field), problem(problem) {}

  bool add(std::string_view list, std::string &out, std::string &text) {
    out += '[';
    size_t number = 0;
    bool good = each(list, [&](std::string_view, std::string_view message) {
      if (number++)
        out += ',', text += '\n';
      return one(message, number, out, text);
    });
    out += ']';
    return good;
  }

private:
  bool bad(size_t number, const std::string &what) {
    problem = "field `" + std::string(field) + "` is no conversation: message " +
              std::to_string(number) + " " + what +
              "; expected {\"role\": STRING, \"content\": STRING}";
    return false;
  }

  bool one(std::string_view message, size_t number, std::string &out, std::string &text) {
    if (message[0] != '{')
      return bad(number, "is no object");
    std::string_view role, content;
    bool calls = false; // a call may stand alone
    rest.clear();
    each(message, [&](std::string_view key, std::string_view value) {
      std::string_view name = inside(key);
      if (name == "role" || name == "from")
        role = value;
      else if (name == "content" || name == "value")
        content = value;
      else
        ((rest += ',') += key) += ':', rest += value;
      calls |= name == "tool_calls" && value[0] == '[';
      return true;
    });
    if (role.empty() || role[0] != '"')
      return bad(number, role.empty() ? "has no `role`" : "has a `role` that is no string");
    if (content.empty()) {
      if (!calls)
        return bad(number, "has no `content`");
      content = "null";
    }
    ((out += "{\"role\":\"") += roleOf(inside(role))) += "\",\"content\":";
    if (content[0] == '"') {
      out += content;
      appendUnescaped(content, true, text);
    } else if (content == "null") {
      out += "\"\"";
    } else if (content[0] == '[') {
      out += '"';
      if (!parts(content, number, out, text))
        return false;
      out += '"';
    } else {
      return bad(number, "has a `content` that is no string");
    }
    out += rest;
    out += '}';
    return true;
  }

  /// [{"type": "text", "text": STRING}, ...]
  bool parts(std::string_view list, size_t number, std::string &out, std::string &text) {
    bool first = true;
    return each(list, [&](std::string_view, std::string_view part) {
      std::string_view value;
      if (part[0] == '{')
        each(part, [&](std::string_view key, std::string_view v) {
          if (inside(key) == "text" && v[0] == '"')
            value = v;
          return true;
        });
      if (value.empty())
        return bad(number, "has a part that is no text");
      if (!first)
        out += "\\n", text += '\n';
      first = false;
      out += inside(value);
      return appendUnescaped(value, true, text);
    });
  }

  std::string_view field;
  std::string &problem;
  std::string rest; // of the fields of a message
};

} // namespace

bool isLayoutField(std::string_view key) {
  return key == "messages" || key == "conversations" || key == "prompt" || key == "chosen" ||
         key == "rejected" || key == "tokens";
}

/// The elements of `tokens`, joined by blanks.
static Layout joinWords(std::string_view tokens, std::string &text, std::string &problem) {
  size_t number = 0;
  bool good = each(tokens, [&](std::string_view, std::string_view word) {
    if (number++)
      text += ' ';
    if (word[0] != '"') {
      problem = "field `tokens` is no list of words: element " + std::to_string(number) + " is no string";
      return false;
    }
    return appendUnescaped(word, true, text);
  });
  return good ? Layout::normalised : Layout::bad;
}

Layout normaliseLayout(std::string &more, std::string &text, std::string &problem) {
  std::string_view messages, conversations, chosen, rejected, tokens;
  each(more, [&](std::string_view key, std::string_view value) {
    std::string_view name = inside(key);
    (name == "messages"        ? messages
     : name == "conversations" ? conversations
     : name == "chosen"        ? chosen
     : name == "rejected"      ? rejected
     : name == "tokens"        ? tokens
                               : key) = value;
    return true;
  });
  bool preference = !chosen.empty() && !rejected.empty();
  if (!preference && messages.empty() && conversations.empty())
    return tokens.starts_with('[') ? joinWords(tokens, text, problem) : Layout::none;

  std::string out = "{", prompt, chosenText, conversation, unused;
  bool good = each(more, [&](std::string_view key, std::string_view value) {
    std::string_view name = inside(key);
    bool wanted =
        name == "messages" || name == "conversations" || (preference && isLayoutField(name));
    if (out.size() > 1)
      out += ',';
    if (!wanted) {
      ((out += key) += ':') += value;
      return true;
    }
    bool renamed = name == "conversations" && messages.empty();
    ((out += renamed ? "\"messages\"" : key) += ':');
    std::string *to = name == "prompt"                                              ? &prompt
                      : name == "chosen"                                            ? &chosenText
                      : name == "rejected" || (name == "conversations" && !renamed) ? &unused
                                                                                    : &conversation;
    to->clear();
    bool mayBeString = name == "prompt" || name == "chosen" || name == "rejected";
    if (mayBeString && value[0] == '"') {
      out += value;
      return appendUnescaped(value, true, *to);
    }
    if (value[0] != '[') {
      problem = "field `" + std::string(name) + "` is no " + (mayBeString ? "string and no " : "") +
                "list of messages";
      return false;
    }
    return Messages(name, problem).add(value, out, *to);
  });
  if (!good)
    return Layout::bad;
  out += '}';
  more.swap(out);
  if (!preference)
    text = std::move(conversation);
  else if (chosenText.starts_with(prompt))
    text = std::move(chosenText); // a conversation that holds its prompt
  else
    text = prompt + "\n" + chosenText;
  return Layout::normalised;
}

} // namespace r1rt::source
