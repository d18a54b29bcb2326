#include "runtime/source/Json.h"
#include "runtime/source/Layouts.h"
#include "runtime/text/Utf8.h"
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <simdjson.h>

namespace r1rt::source {

namespace ondemand = simdjson::ondemand;
static_assert(JsonRows::padding >= simdjson::SIMDJSON_PADDING);

// simdjson finds the tokens and checks UTF-8. Its checks end where values are not asked for, and
// asking loses how they were spelled; so each token is checked here, and copied as it is.

//===- Strings --------------------------------------------------------------------------------===//

static int hexDigit(char c) {
  return c >= '0' && c <= '9'                 ? c - '0'
         : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10
                                              : -1;
}

/// The four hexadecimal digits at p, or -1.
static int hex4(const char *p, const char *end) {
  int code = 0;
  if (end - p < 4)
    return -1;
  for (int i = 0; i < 4; ++i) {
    int digit = hexDigit(p[i]);
    if (digit < 0)
      return -1;
    code = code << 4 | digit;
  }
  return code;
}

static char *putUtf8(uint32_t c, char *o) {
  if (c < 0x80) {
    *o++ = char(c);
  } else if (c < 0x800) {
    *o++ = char(0xC0 | c >> 6);
    *o++ = char(0x80 | (c & 63));
  } else if (c < 0x10000) {
    *o++ = char(0xE0 | c >> 12);
    *o++ = char(0x80 | (c >> 6 & 63));
    *o++ = char(0x80 | (c & 63));
  } else {
    *o++ = char(0xF0 | c >> 18);
    *o++ = char(0x80 | (c >> 12 & 63));
    *o++ = char(0x80 | (c >> 6 & 63));
    *o++ = char(0x80 | (c & 63));
  }
  return o;
}

/// An escape at p (the backslash): its length, 0 if it is wrong; its character, or `lone` for half
/// of a surrogate pair.
constexpr uint32_t lone = 0xFFFFFFFF;
static size_t escape(const char *p, const char *end, uint32_t &c) {
  if (end - p < 2)
    return 0;
  switch (p[1]) {
  case '"':
  case '\\':
  case '/': c = static_cast<unsigned char>(p[1]); return 2;
  case 'b': c = '\b'; return 2;
  case 'f': c = '\f'; return 2;
  case 'n': c = '\n'; return 2;
  case 'r': c = '\r'; return 2;
  case 't': c = '\t'; return 2;
  case 'u': break;
  default: return 0;
  }
  int first = hex4(p + 2, end);
  if (first < 0)
    return 0;
  c = uint32_t(first);
  if (c < 0xD800 || c > 0xDFFF)
    return 6;
  int second = c < 0xDC00 && end - p >= 12 && p[6] == '\\' && p[7] == 'u' ? hex4(p + 8, end) : -1;
  if (second < 0xDC00 || second > 0xDFFF) {
    c = lone;
    return 6;
  }
  c = 0x10000 + ((c - 0xD800) << 10) + (uint32_t(second) - 0xDC00);
  return 12;
}

bool appendUnescaped(std::string_view token, bool repair, std::string &out) {
  const char *p = token.data() + 1, *end = token.data() + token.size() - 1;
  size_t before = out.size();
  out.resize(before + token.size()); // no escape is shorter than what it means
  char *o = out.data() + before;
  while (p < end) {
    if (*p != '\\') {
      auto *next = static_cast<const char *>(memchr(p, '\\', size_t(end - p)));
      size_t n = size_t((next ? next : end) - p);
      memcpy(o, p, n);
      o += n;
      p += n;
      continue;
    }
    uint32_t c;
    size_t n = escape(p, end, c);
    if (!n || (c == lone && !repair))
      return false;
    o = putUtf8(c == lone ? 0xFFFD : c, o);
    p += n;
  }
  out.resize(size_t(o - out.data()));
  return true;
}

static bool hasEscape(std::string_view token) {
  return memchr(token.data(), '\\', token.size()) != nullptr;
}

/// Appends the string as it is spelled, except for halves of surrogate pairs that are repaired.
static bool copyString(std::string_view token, bool repair, std::string &out) {
  if (!hasEscape(token)) {
    out += token;
    return true;
  }
  const char *p = token.data(), *end = p + token.size() - 1;
  while (p < end) {
    uint32_t c = 0;
    size_t n = *p == '\\' ? escape(p, end, c) : 1;
    if (!n || (c == lone && !repair))
      return false;
    if (c == lone)
      out += "\\ufffd";
    else
      out.append(p, n);
    p += n;
  }
  out += '"';
  return true;
}

/// A number of RFC 8259, as the whole of `s`.
static bool isNumber(std::string_view s) {
  size_t i = 0;
  auto digits = [&] {
    size_t from = i;
    while (i < s.size() && s[i] >= '0' && s[i] <= '9')
      ++i;
    return i - from;
  };
  i += s.starts_with('-');
  size_t first = i, whole = digits();
  if (!whole || (whole > 1 && s[first] == '0'))
    return false;
  if (i < s.size() && s[i] == '.') {
    ++i;
    if (!digits())
      return false;
  }
  if (i < s.size() && (s[i] | 32) == 'e') {
    ++i;
    i += i < s.size() && (s[i] == '+' || s[i] == '-');
    if (!digits())
      return false;
  }
  return i == s.size();
}

/// Would readers that keep doubles make it infinite?
static bool isInfinite(std::string_view number) {
  return (number.size() > 300 || number.find_first_of("eE") != number.npos) &&
         std::isinf(std::strtod(std::string(number).c_str(), nullptr));
}

static const char *nameOf(Kind kind) {
  const char *names[] = {"null", "a string", "a number", "a boolean", "an object", "a list"};
  return names[size_t(kind)];
}

static Kind kindOf(char first) {
  switch (first) {
  case '"': return Kind::string;
  case '{': return Kind::object;
  case '[': return Kind::array;
  case 't':
  case 'f': return Kind::boolean;
  case 'n': return Kind::null;
  default: return Kind::number;
  }
}

//===- Walking --------------------------------------------------------------------------------===//

struct JsonRows::Walk {
  ondemand::parser parser;
  ondemand::document document;
  bool iterating = false; // the document is one
  std::string_view row;
  bool repair = false;
  std::string why;
  std::string key; // of the field at hand, unescaped
  std::string names;

  bool broken(const char *what, const char *at = nullptr) {
    why = std::string("broken JSON: ") + what;
    if (at && at >= row.data() && at < row.data() + row.size())
      why += " at byte " + std::to_string(at - row.data()) + " of the row";
    return false;
  }
  bool broken(simdjson::error_code error) {
    switch (error) {
    case simdjson::EMPTY: return broken("there is nothing");
    case simdjson::UNCLOSED_STRING: return broken("a string is not closed");
    case simdjson::UNESCAPED_CHARS: return broken("a control character inside a string");
    case simdjson::CAPACITY: return broken("more than 4 GiB");
    case simdjson::MEMALLOC: return broken("no memory to parse it");
    case simdjson::INCOMPLETE_ARRAY_OR_OBJECT:
      return broken("the row does not end with the } of its object");
    default: break;
    }
    const char *at = nullptr;
    if (iterating)
      (void)document.current_location().get(at);
    return broken("a value, comma, colon or bracket is missing or misplaced", at);
  }

  /// The string or other scalar at the beginning of `token`, which goes on to the next one.
  static std::string_view trimmed(std::string_view token) {
    size_t last = token.find_last_not_of(" \t\r\n");
    return token.substr(0, last == token.npos ? 0 : last + 1);
  }

  /// The token of a key: simdjson has seen that it is closed.
  std::string_view keyToken(const ondemand::field &f) {
    const char *from = f.key().raw() - 1, *p = from + 1;
    for (; *p != '"'; ++p)
      p += *p == '\\';
    return {from, size_t(p + 1 - from)};
  }

  /// The string at the beginning of `token`, trimmed. simdjson would take a colon behind it, too.
  bool stringToken(std::string_view &token) {
    bool colon = token.data()[token.size()] == ':';
    token = trimmed(token);
    return (!colon && token.size() >= 2 && token.ends_with('"')) ||
           broken("something follows a string", token.data());
  }

  bool copyScalar(std::string_view token, std::string &out) {
    if (token.starts_with('"')) {
      if (!stringToken(token))
        return false;
      if (!copyString(token, repair, out))
        return broken("an escape in a string is wrong, or half of a surrogate pair", token.data());
      return true;
    }
    token = trimmed(token);
    if (token != "true" && token != "false" && token != "null") {
      if (!isNumber(token))
        return broken("neither a value nor a number", token.data());
      if (isInfinite(token))
        return broken("a number beyond 1.8e308, the greatest of a double", token.data());
    }
    out += token;
    return true;
  }

  /// Appends the value without spaces.
  bool copy(ondemand::value &v, std::string &out, int depth = 1) {
    std::string_view token = v.raw_json_token();
    bool first = true;
    if (depth > 512 && (token[0] == '{' || token[0] == '['))
      return broken("nested deeper than 512", token.data());
    if (token[0] == '{') {
      ondemand::object o;
      if (auto error = v.get_object().get(o))
        return broken(error);
      out += '{';
      for (auto result : o) {
        ondemand::field f;
        if (auto error = std::move(result).get(f))
          return broken(error);
        if (!std::exchange(first, false))
          out += ',';
        std::string_view name = keyToken(f);
        if (!copyString(name, repair, out))
          return broken("an escape in a key is wrong, or half of a surrogate pair", name.data());
        out += ':';
        if (!copy(f.value(), out, depth + 1))
          return false;
      }
      out += '}';
      return true;
    }
    if (token[0] == '[') {
      ondemand::array a;
      if (auto error = v.get_array().get(a))
        return broken(error);
      out += '[';
      for (auto result : a) {
        ondemand::value element;
        if (auto error = std::move(result).get(element))
          return broken(error);
        if (!std::exchange(first, false))
          out += ',';
        if (!copy(element, out, depth + 1))
          return false;
      }
      out += ']';
      return true;
    }
    return copyScalar(token, out);
  }

  /// Calls take(key, token of the key, value) for each field, until it returns false.
  template <class F> bool eachField(std::string_view text, F take) {
    row = text;
    ondemand::object o;
    auto error = parser.iterate(row.data(), row.size(), row.size() + padding).get(document);
    iterating = !error;
    if (error)
      return broken(error);
    if (row[row.find_first_not_of(" \t\r\n")] != '{')
      return broken("the row is no object, it does not begin with {");
    if ((error = document.get_object().get(o)))
      return broken(error);
    for (auto result : o) {
      ondemand::field f;
      if ((error = std::move(result).get(f)))
        return broken(error);
      std::string_view token = keyToken(f), name = token.substr(1, token.size() - 2);
      if (hasEscape(token)) {
        key.clear();
        if (!appendUnescaped(token, repair, key))
          return broken("an escape in a key is wrong, or half of a surrogate pair", token.data());
        name = key;
      }
      if (!take(name, token, f.value()))
        return false;
    }
    const char *after;
    if (document.current_location().get(after) != simdjson::OUT_OF_BOUNDS)
      return broken("something follows the object", after);
    return true;
  }
};

JsonRows::JsonRows(const SourceOptions &options) : options(options), state(new Walk) {
  state->repair = options.repairUtf8;
}
JsonRows::~JsonRows() = default;

bool JsonRows::fail(std::string what) {
  why = std::move(what);
  return false;
}

bool JsonRows::walk(std::string_view row, const std::vector<FieldKind> &kinds, bool layouts) {
  Walk &w = *state;
  enum { absent, null, found } text = absent;
  size_t next = 0; // fields mostly come in the order of the first rows
  std::string &out = moreText;
  out = "{";
  auto take = [&](std::string_view key, std::string_view keyToken, ondemand::value &v) {
    std::string_view token = v.raw_json_token();
    Kind kind = kindOf(token[0]);
    if (key == options.text) {
      if (kind == Kind::null) {
        text = null;
        std::string ignored;
        return w.copyScalar(token, ignored);
      }
      if (kind != Kind::string) {
        w.why = "field `" + options.text + "` is " + nameOf(kind) + ", expected a string";
        return false;
      }
      if (!w.stringToken(token))
        return false;
      text = found;
      textView = token.substr(1, token.size() - 2);
      if (!hasEscape(token))
        return true;
      textBuffer.clear();
      if (!appendUnescaped(token, w.repair, textBuffer))
        return w.broken("an escape in the text is wrong, or half of a surrogate pair",
                        token.data());
      textView = textBuffer;
      return true;
    }
    bool kept =
        options.columns.empty() || (layouts && isLayoutField(key)) ||
        std::find(options.columns.begin(), options.columns.end(), key) != options.columns.end();
    for (size_t i = 0; kept && i < kinds.size(); ++i) {
      const FieldKind &known = kinds[next < kinds.size() ? next : next = 0];
      ++next;
      if (known.key != key)
        continue;
      if (known.kind != kind && kind != Kind::null) {
        w.why = "field `" + known.key + "` is " + nameOf(kind) + ", in line " +
                std::to_string(known.line) + " it is " + nameOf(known.kind);
        return false;
      }
      break;
    }
    size_t before = out.size();
    if (before > 1)
      out += ',';
    if (!copyString(keyToken, w.repair, out))
      return w.broken("an escape in a key is wrong, or half of a surrogate pair", keyToken.data());
    out += ':';
    if (!w.copy(v, out))
      return false;
    if (!kept)
      out.resize(before);
    return true;
  };
  if (!w.eachField(row, take))
    return fail(w.why);
  out += '}';
  if (text == found) {
    keepLayouts = false;
    if (out.size() == 2)
      out.clear();
    return true;
  }
  if (text == null)
    return fail("field `" + options.text + "` is null, expected a string");
  if (!layouts && !options.columns.empty()) {
    keepLayouts = true;
    return walk(row, kinds, true);
  }
  textBuffer.clear();
  switch (normaliseLayout(out, textBuffer, why)) {
  case Layout::bad: return false;
  case Layout::normalised: textView = textBuffer; return true;
  case Layout::none: break;
  }
  w.names.clear();
  size_t fields = 0;
  (void)w.eachField(row, [&](std::string_view key, std::string_view, ondemand::value &) {
    if (++fields <= 8)
      w.names += (fields > 1 ? ", `" : "`") + std::string(key.substr(0, 40)) + "`";
    return true;
  });
  return fail(
      "there is no field `" + options.text + "`; " +
      (fields ? "the row has " + w.names + (fields > 8 ? ", ..." : "") : "the row has no fields"));
}

bool JsonRows::read(std::string_view row, const std::vector<FieldKind> &kinds) {
  if (!walk(row, kinds, keepLayouts)) {
    size_t bad = simdjson::validate_utf8(row) ? row.npos : text::findBadUtf8(row);
    if (bad == row.npos)
      return false;
    if (!options.repairUtf8)
      return fail("wrong UTF-8 at byte " + std::to_string(bad) + " of the row");
    repaired = row;
    text::repairUtf8(repaired);
    size_t size = repaired.size();
    repaired.append(padding, 0);
    if (!walk(std::string_view(repaired).substr(0, size), kinds, keepLayouts))
      return false;
  }
  if (memchr(textView.data(), 0, textView.size()))
    return fail("the text has a NUL character at byte " + std::to_string(textView.find('\0')));
  return true;
}

void JsonRows::learnKinds(std::string_view row, uint64_t line, std::vector<FieldKind> &kinds) {
  size_t before = kinds.size();
  bool valid =
      state->eachField(row, [&](std::string_view key, std::string_view, ondemand::value &v) {
        Kind kind = kindOf(std::string_view(v.raw_json_token())[0]);
        bool known = std::any_of(kinds.begin(), kinds.end(),
                                 [&](const FieldKind &k) { return k.key == key; });
        if (kind != Kind::null && !known && key != options.text)
          kinds.push_back({std::string(key), kind, line});
        return true;
      });
  if (!valid)
    kinds.resize(before);
}

} // namespace r1rt::source
