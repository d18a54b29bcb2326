#include "compiler/syntax/Literals.h"
#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>

namespace r1 {

bool isNameStart(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool isDigit(char c) { return c >= '0' && c <= '9'; }
bool isNamePart(char c) { return isNameStart(c) || isDigit(c); }

// ── numbers ─────────────────────────────────────────────────────────────────

namespace {

struct Unit {
  UnitFamily family;
  double scale;
};

const std::map<std::string_view, Unit> &units() {
  static const std::map<std::string_view, Unit> map = {
      {"%", {UnitFamily::Ratio, 0.01}},      {"B", {UnitFamily::Memory, 1}},
      {"KB", {UnitFamily::Memory, 1e3}},     {"MB", {UnitFamily::Memory, 1e6}},
      {"GB", {UnitFamily::Memory, 1e9}},     {"TB", {UnitFamily::Memory, 1e12}},
      {"KiB", {UnitFamily::Memory, 0x1p10}}, {"MiB", {UnitFamily::Memory, 0x1p20}},
      {"GiB", {UnitFamily::Memory, 0x1p30}}, {"TiB", {UnitFamily::Memory, 0x1p40}},
      {"ms", {UnitFamily::Time, 1e-3}},      {"s", {UnitFamily::Time, 1}},
      {"min", {UnitFamily::Time, 60}},       {"h", {UnitFamily::Time, 3600}},
      {"d", {UnitFamily::Time, 86400}},      {"step", {UnitFamily::Length, 1}},
      {"steps", {UnitFamily::Length, 1}},    {"epoch", {UnitFamily::Length, 1}},
      {"epochs", {UnitFamily::Length, 1}},   {"token", {UnitFamily::Length, 1}},
      {"tokens", {UnitFamily::Length, 1}}};
  return map;
}

void unknownUnit(const LexSource &s, uint32_t begin, uint32_t at) {
  std::string_view unit = std::string_view(s.text).substr(begin, at - begin);
  auto &d = s.diags.error("E0103", s.span(begin, at), "`" + std::string(unit) + "` is no unit");
  if (unit == "M" || unit == "k" || unit == "K" || unit == "G" || unit == "b") {
    d.help("counts are written out or with an exponent: 50_000, 20e9");
  } else {
    std::vector<std::string> names;
    for (auto &[name, u] : units())
      names.emplace_back(name);
    std::string near = nearest(unit, names);
    if (!near.empty())
      d.help("did you mean `" + near + "`?", s.span(begin, at), near);
  }
  d.note("units are % B KB MB GB TB KiB MiB GiB TiB ms s min h d steps epochs tokens");
}

} // namespace

UnitFamily unitFamily(std::string_view u, double &scale) {
  auto it = units().find(u);
  if (it == units().end())
    return UnitFamily::None;
  scale = it->second.scale;
  return it->second.family;
}

uint32_t readNumber(const LexSource &s, uint32_t begin, Token &t) {
  uint32_t at = begin;
  bool isFloat = false;
  auto digits = [&] {
    while (isDigit(s.at(at)) || (s.at(at) == '_' && isDigit(s.at(at + 1))))
      ++at;
  };
  digits();
  if (s.at(at) == '.' && isDigit(s.at(at + 1))) {
    isFloat = true;
    ++at;
    digits();
  }
  char e = s.at(at), sign = s.at(at + 1);
  if ((e == 'e' || e == 'E') &&
      (isDigit(sign) || ((sign == '-' || sign == '+') && isDigit(s.at(at + 2))))) {
    isFloat = true;
    at += 2;
    digits();
  }
  t.kind = isFloat ? Tok::Float : Tok::Int;
  t.text = std::string_view(s.text).substr(begin, at - begin);
  std::string plain(t.text);
  std::erase(plain, '_');
  auto r = std::from_chars(plain.data(), plain.data() + plain.size(), t.number);
  if (r.ec != std::errc() || !std::isfinite(t.number)) {
    t.number = 0;
    s.diags.error("E0103", s.span(begin, at),
                  "`" + std::string(t.text) + "` is beyond what a float holds");
  } else if (!isFloat) {
    auto i = std::from_chars(plain.data(), plain.data() + plain.size(), t.integer);
    if (i.ec != std::errc())
      s.diags
          .error("E0103", s.span(begin, at),
                 "`" + std::string(t.text) + "` does not fit in 64 bits")
          .help("as a float write " + std::string(t.text) + ".0");
  }

  uint32_t unitBegin = at;
  if (s.at(at) == '%')
    ++at;
  else
    while (isNamePart(s.at(at)))
      ++at;
  if (at == unitBegin)
    return at;
  t.unit = std::string_view(s.text).substr(unitBegin, at - unitBegin);
  double scale = 1;
  t.family = unitFamily(t.unit, scale);
  if (t.family == UnitFamily::None) {
    unknownUnit(s, unitBegin, at);
    t.unit = {};
  }
  return at;
}

// ── strings ─────────────────────────────────────────────────────────────────

namespace {

void appendUtf8(std::string &s, uint32_t c) {
  if (c < 0x80) {
    s += char(c);
    return;
  }
  int more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
  static constexpr uint32_t lead[] = {0, 0xC0, 0xE0, 0xF0};
  s += char(lead[more] | c >> (6 * more));
  while (more-- > 0)
    s += char(0x80 | ((c >> (6 * more)) & 63));
}

class StringReader {
public:
  StringReader(const LexSource &s, uint32_t begin, Token &token)
      : s(s), begin(begin), token(token), triple(s.starts(begin, "\"\"\"")) {}

  uint32_t run() {
    uint32_t at = begin + (triple ? 3 : 1);
    token.kind = Tok::String;
    token.triple = triple;
    token.pieces.emplace_back();
    starts.emplace_back();
    while (true) {
      if (at >= s.end || (!triple && s.at(at) == '\n')) {
        auto &d = s.diags.error("E0102", s.span(begin, std::min(at, begin + (triple ? 3u : 1u))),
                                "this string has no end");
        if (triple)
          d.help("close it with \"\"\"");
        else
          d.help(
              "close it with \" on the same line; a string over several lines is \"\"\"...\"\"\"");
        break;
      }
      if (s.starts(at, triple ? "\"\"\"" : "\"")) {
        at += triple ? 3 : 1;
        break;
      }
      char c = s.at(at);
      if (c == '\\')
        at = escape(at);
      else if (c == '$' && s.at(at + 1) == '{')
        at = interpolation(at);
      else
        at = plain(at);
    }
    if (triple)
      dedent();
    return at;
  }

private:
  /// Where a line of the literal begins in a piece's text, after a newline in the source.
  struct LineStart {
    size_t at;       // in the piece's text
    uint32_t indent; // spaces that follow in the source
    bool blank;      // nothing but spaces on the line
    bool last;       // the line of the closing quotes, with nothing else on it
  };

  std::string &text() { return token.pieces.back().text; }

  uint32_t plain(uint32_t at) {
    char c = s.at(at);
    if (c == '\r' && s.at(at + 1) == '\n')
      return at + 1;
    text() += c;
    ++at;
    if (c != '\n')
      return at;
    uint32_t k = at;
    while (s.at(k) == ' ')
      ++k;
    bool newline = s.at(k) == '\n' || (s.at(k) == '\r' && s.at(k + 1) == '\n');
    starts.back().push_back({text().size(), k - at, newline, s.starts(k, "\"\"\"")});
    return at;
  }

  uint32_t escape(uint32_t at) {
    char c = s.at(at + 1);
    switch (c) {
    case 'n':
      text() += '\n';
      return at + 2;
    case 't':
      text() += '\t';
      return at + 2;
    case '"':
    case '\\':
    case '$':
      text() += c;
      return at + 2;
    case 'u': {
      uint32_t value = 0, k = at + 3, digits = 0;
      for (; digits < 7 && isxdigit(uint8_t(s.at(k))); ++k, ++digits)
        value = value * 16 + uint32_t(isDigit(s.at(k)) ? s.at(k) - '0' : (s.at(k) | 32) - 'a' + 10);
      bool scalar = value <= 0x10FFFF && !(value >= 0xD800 && value < 0xE000);
      if (s.at(at + 2) == '{' && digits && digits < 7 && s.at(k) == '}' && scalar) {
        appendUtf8(text(), value);
        return k + 1;
      }
      break;
    }
    default:
      break;
    }
    bool more = at + 1 < s.end && c != '\n';
    size_t next = at + 1;
    if (more)
      nextCodePoint(std::string_view(s.text).substr(0, s.end), next);
    auto &d = s.diags.error("E0102", s.span(at, uint32_t(next)),
                            "`" + s.text.substr(at, next - at) + "` is no escape");
    d.note("escapes are \\n \\t \\\" \\\\ \\$ \\u{1F600}");
    if (more && c != 'u')
      d.help("a backslash itself is \\\\", s.span(at, at + 1), "\\\\");
    return uint32_t(next);
  }

  uint32_t interpolation(uint32_t at) {
    uint32_t close = at + 2;
    if (unclosed || !skipBraces(close)) {
      if (!unclosed)
        s.diags.error("E0102", s.span(at, at + 2), "`${` has no `}` on this line")
            .help("a dollar sign before a brace is \\$", s.span(at, at + 1), "\\$");
      unclosed = true; // looked for once: a line of n `${` must not cost n * n steps
      text() += "${";
      return at + 2;
    }
    token.pieces.back().expr = s.span(at + 2, close);
    token.pieces.emplace_back();
    starts.emplace_back();
    return close + 1;
  }

  /// Moves `i` from behind a `${` to its `}`. Strings inside may hold braces and further `${}`.
  bool skipBraces(uint32_t &i) const {
    std::string nest = "{"; // what is open: a brace, or a string
    for (; i < s.end && s.at(i) != '\n'; ++i) {
      char c = s.at(i);
      if (nest.back() == '"') {
        if (c == '\\')
          ++i;
        else if (c == '"')
          nest.pop_back();
        else if (c == '$' && s.at(i + 1) == '{') {
          nest += '{';
          ++i;
        }
      } else if (c == '{' || c == '"') {
        nest += c;
      } else if (c == '}') {
        nest.pop_back();
        if (nest.empty())
          return true;
      }
    }
    return false;
  }

  /// Strips the newline after the opening quotes, the common indentation of the lines, and the last
  /// newline with the closing quotes' indentation.
  void dedent() {
    uint32_t common = UINT32_MAX;
    for (auto &piece : starts)
      for (const LineStart &l : piece)
        if (!l.blank && !l.last)
          common = std::min(common, l.indent);
    bool closesAlone = !starts.back().empty() && starts.back().back().last;
    for (size_t p = 0; p < starts.size(); ++p) {
      std::string &t = token.pieces[p].text;
      for (size_t i = starts[p].size(); i-- > 0;)
        t.erase(starts[p][i].at, std::min(common, starts[p][i].indent));
    }
    if (closesAlone) {
      std::string &t = token.pieces.back().text;
      t.erase(t.rfind('\n'));
    }
    std::string &first = token.pieces.front().text;
    if (!starts.front().empty() && starts.front()[0].at == 1 && !first.empty())
      first.erase(0, 1);
  }

  const LexSource &s;
  uint32_t begin;
  Token &token;
  bool triple;
  bool unclosed = false;
  std::vector<std::vector<LineStart>> starts; // of each piece
};

} // namespace

uint32_t readString(const LexSource &s, uint32_t at, Token &token) {
  return StringReader(s, at, token).run();
}

uint32_t readRegex(const LexSource &s, uint32_t begin, Token &t) {
  uint32_t i = begin + 3;
  while (i < s.end && s.at(i) != '"' && s.at(i) != '\n')
    i += s.at(i) == '\\' && i + 1 < s.end && s.at(i + 1) != '\n' ? 2 : 1;
  i = std::min(i, s.end);
  t.kind = Tok::Regex;
  t.inner = s.span(begin + 3, i);
  t.value = s.text.substr(begin + 3, i - begin - 3);
  if (s.at(i) == '"')
    return i + 1;
  s.diags.error("E0102", s.span(begin, begin + 3), "this regex has no end")
      .help("close it with \" on the same line; a quote inside is \\\"");
  return i;
}

} // namespace r1
