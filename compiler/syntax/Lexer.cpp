#include "compiler/syntax/Lexer.h"
#include <charconv>
#include <cmath>
#include <map>

namespace r1 {

const char *tokenName(Tok t) {
  static const char *names[] = {
      "the end of the file", "the end of the line", "a name", "a number", "a number", "a string",
      "a regex", "a doc comment", "a doc comment",
      "`let`", "`fn`", "`if`", "`then`", "`else`", "`for`", "`in`", "`and`", "`or`", "`not`", "`as`",
      "`assert`", "`true`", "`false`", "`none`",
      "`(`", "`)`", "`[`", "`]`", "`{`", "`}`",
      "`,`", "`:`", "`.`", "`..`", "`...`", "`->`", "`=>`", "`=`", "`==`", "`!=`",
      "`<`", "`<=`", "`>`", "`>=`", "`+`", "`-`", "`*`", "`**`", "`/`", "`@`",
      "`?`", "`??`", "`|>`"};
  return names[int(t)];
}

UnitFamily unitFamily(std::string_view u, double &scale) {
  struct Unit {
    UnitFamily family;
    double scale;
  };
  static const std::map<std::string_view, Unit> units = {
      {"%", {UnitFamily::Ratio, 0.01}},
      {"B", {UnitFamily::Memory, 1}},           {"KB", {UnitFamily::Memory, 1e3}},
      {"MB", {UnitFamily::Memory, 1e6}},        {"GB", {UnitFamily::Memory, 1e9}},
      {"TB", {UnitFamily::Memory, 1e12}},       {"KiB", {UnitFamily::Memory, 0x1p10}},
      {"MiB", {UnitFamily::Memory, 0x1p20}},    {"GiB", {UnitFamily::Memory, 0x1p30}},
      {"TiB", {UnitFamily::Memory, 0x1p40}},    {"ms", {UnitFamily::Time, 1e-3}},
      {"s", {UnitFamily::Time, 1}},             {"min", {UnitFamily::Time, 60}},
      {"h", {UnitFamily::Time, 3600}},          {"d", {UnitFamily::Time, 86400}},
      {"step", {UnitFamily::Length, 1}},        {"steps", {UnitFamily::Length, 1}},
      {"epoch", {UnitFamily::Length, 1}},       {"epochs", {UnitFamily::Length, 1}},
      {"token", {UnitFamily::Length, 1}},       {"tokens", {UnitFamily::Length, 1}}};
  auto it = units.find(u);
  if (it == units.end())
    return UnitFamily::None;
  scale = it->second.scale;
  return it->second.family;
}

namespace {

bool isNameStart(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool isDigit(char c) { return c >= '0' && c <= '9'; }
bool isNamePart(char c) { return isNameStart(c) || isDigit(c); }

const std::map<std::string_view, Tok> &keywords() {
  static const std::map<std::string_view, Tok> map = {
      {"let", Tok::Let},   {"fn", Tok::Fn},     {"if", Tok::If},         {"then", Tok::Then},
      {"else", Tok::Else}, {"for", Tok::For},   {"in", Tok::In},         {"and", Tok::And},
      {"or", Tok::Or},     {"not", Tok::Not},   {"as", Tok::As},         {"assert", Tok::Assert},
      {"true", Tok::True}, {"false", Tok::False}, {"none", Tok::None}};
  return map;
}

/// May a statement end after this token?
bool canEnd(Tok t) {
  switch (t) {
  case Tok::Name: case Tok::Int: case Tok::Float: case Tok::String: case Tok::Regex:
  case Tok::True: case Tok::False: case Tok::None: case Tok::RParen: case Tok::RBracket:
  case Tok::RBrace: case Tok::Question: case Tok::Greater: case Tok::Doc: case Tok::FileDoc:
    return true;
  default:
    return false;
  }
}

/// May this token begin a statement (so that it does not continue the line before)?
bool canBegin(Tok t) {
  switch (t) {
  case Tok::Then: case Tok::Else: case Tok::And: case Tok::Or: case Tok::As: case Tok::In:
  case Tok::Dot: case Tok::DotDot: case Tok::Comma: case Tok::Colon: case Tok::Arrow:
  case Tok::FatArrow: case Tok::Equal: case Tok::EqualEqual: case Tok::NotEqual: case Tok::Less:
  case Tok::LessEqual: case Tok::Greater: case Tok::GreaterEqual: case Tok::Plus: case Tok::Star:
  case Tok::StarStar: case Tok::Slash: case Tok::Question: case Tok::QuestionQuestion:
  case Tok::PipeRight: case Tok::RParen: case Tok::RBracket:
    return false;
  default:
    return true;
  }
}

class Lexer {
public:
  Lexer(uint32_t file, uint32_t begin, uint32_t end, const SourceManager &sm, DiagEngine &diags)
      : file(file), text(sm.file(file).text), at(begin), start(begin), end(end), diags(diags) {}

  TokenStream run() {
    while (at < end)
      next();
    pendingNewline = false;
    push(Tok::End, at, at);
    for (int i : open)
      diags.error("E0105", out.tokens[size_t(i)].span,
                  std::string(tokenName(out.tokens[size_t(i)].kind)) + " is never closed");
    return std::move(out);
  }

private:
  Span span(uint32_t b, uint32_t e) const { return {file, b, e}; }
  char peek(uint32_t k = 0) const { return at + k < end ? text[at + k] : '\0'; }

  /// A declaration at the start of a line inside ( or [ means that the bracket was forgotten.
  void closeForgotten(Tok kind, uint32_t b, uint32_t e) {
    bool starts = kind == Tok::Let || (kind == Tok::Fn && e < end && text[e] == ' ');
    if (!pendingNewline || !starts)
      return;
    while (insideParens()) {
      const Token &t = out.tokens[size_t(open.back())];
      diags.error("E0105", t.span, std::string(tokenName(t.kind)) + " is never closed")
          .also(span(b, e), "a new declaration begins here");
      open.pop_back();
    }
  }

  Token &push(Tok kind, uint32_t b, uint32_t e) {
    closeForgotten(kind, b, e);
    // A newline ends a statement iff what is before can end one, what is after can begin one, and
    // the innermost bracket is a brace or none.
    if (pendingNewline && !out.tokens.empty() && canEnd(out.tokens.back().kind) &&
        canBegin(kind) && !insideParens()) {
      Token nl;
      nl.kind = Tok::Newline;
      nl.span = span(b, b);
      out.tokens.push_back(nl);
    }
    pendingNewline = false;
    Token t;
    t.kind = kind;
    t.span = span(b, e);
    t.text = std::string_view(text).substr(b, e - b);
    out.tokens.push_back(std::move(t));
    return out.tokens.back();
  }

  bool insideParens() const {
    return !open.empty() && out.tokens[size_t(open.back())].kind != Tok::LBrace;
  }

  void bracket(Tok kind) {
    uint32_t b = at++;
    bool closes = kind == Tok::RParen || kind == Tok::RBracket || kind == Tok::RBrace;
    if (!closes) {
      push(kind, b, at);
      open.push_back(int(out.tokens.size()) - 1);
      return;
    }
    push(kind, b, at);
    int self = int(out.tokens.size()) - 1;
    Tok want = kind == Tok::RParen ? Tok::LParen : kind == Tok::RBracket ? Tok::LBracket : Tok::LBrace;
    if (open.empty() || out.tokens[size_t(open.back())].kind != want) {
      auto &d = diags.error("E0105", span(b, at), std::string(tokenName(kind)) + " closes nothing");
      if (!open.empty())
        d.also(out.tokens[size_t(open.back())].span, "this is still open");
      // Recover: if the partner is further out, drop what is open inside of it.
      for (size_t i = open.size(); i-- > 0;)
        if (out.tokens[size_t(open[i])].kind == want) {
          open.resize(i + 1);
          break;
        }
      if (open.empty() || out.tokens[size_t(open.back())].kind != want)
        return;
    }
    out.tokens[size_t(self)].match = open.back();
    out.tokens[size_t(open.back())].match = self;
    open.pop_back();
  }

  void simple(Tok kind, uint32_t length) {
    uint32_t b = at;
    at += length;
    push(kind, b, at);
  }

  void next() {
    char c = peek();
    switch (c) {
    case ' ': case '\t': case '\r': ++at; return;
    case '\n': pendingNewline = true; ++at; return;
    case '(': return bracket(Tok::LParen);
    case ')': return bracket(Tok::RParen);
    case '[': return bracket(Tok::LBracket);
    case ']': return bracket(Tok::RBracket);
    case '{': return bracket(Tok::LBrace);
    case '}': return bracket(Tok::RBrace);
    case ',': return simple(Tok::Comma, 1);
    case ':': return simple(Tok::Colon, 1);
    case '+': return simple(Tok::Plus, 1);
    case '@': return simple(Tok::At, 1);
    case '-': return peek(1) == '>' ? simple(Tok::Arrow, 2) : simple(Tok::Minus, 1);
    case '*': return peek(1) == '*' ? simple(Tok::StarStar, 2) : simple(Tok::Star, 1);
    case '?': return peek(1) == '?' ? simple(Tok::QuestionQuestion, 2) : simple(Tok::Question, 1);
    case '<': return peek(1) == '=' ? simple(Tok::LessEqual, 2) : simple(Tok::Less, 1);
    case '>': return peek(1) == '=' ? simple(Tok::GreaterEqual, 2) : simple(Tok::Greater, 1);
    case '=':
      return peek(1) == '=' ? simple(Tok::EqualEqual, 2)
             : peek(1) == '>' ? simple(Tok::FatArrow, 2) : simple(Tok::Equal, 1);
    case '.':
      return peek(1) == '.' && peek(2) == '.' ? simple(Tok::Ellipsis, 3)
             : peek(1) == '.' ? simple(Tok::DotDot, 2) : simple(Tok::Dot, 1);
    case '/':
      if (peek(1) == '/')
        return comment();
      return simple(Tok::Slash, 1);
    case '|':
      if (peek(1) == '>')
        return simple(Tok::PipeRight, 2);
      break;
    case '!':
      if (peek(1) == '=')
        return simple(Tok::NotEqual, 2);
      break;
    case '"': return string();
    default: break;
    }
    if (c == 'r' && peek(1) == 'e' && peek(2) == '"')
      return regex();
    if (isNameStart(c)) {
      uint32_t b = at;
      while (isNamePart(peek()))
        ++at;
      auto word = std::string_view(text).substr(b, at - b);
      auto kw = keywords().find(word);
      push(kw == keywords().end() ? Tok::Name : kw->second, b, at);
      return;
    }
    if (isDigit(c))
      return number();
    uint32_t b = at++;
    while (at < end && (text[at] & 0xC0) == 0x80)
      ++at;
    std::string shown(text, b, at - b);
    auto &d = diags.error("E0101", span(b, at), "`" + shown + "` starts nothing in this language");
    if (c == '%')
      d.help("there is no modulo operator; write mod(a, b)");
    else if (c == '!')
      d.help("negation is `not`", span(b, at), "not ");
    else if (c == '|')
      d.help("either is `or`; a pipe is `|>`");
    else if (c == '&')
      d.help("both is `and`", span(b, at), "and");
    else if (c == ';')
      d.help("a statement ends at the end of its line", span(b, at), "");
    else if (c == '\'')
      d.help("strings are written \"...\"");
  }

  void comment() {
    uint32_t b = at;
    bool own = true;
    for (uint32_t i = b; i > start && text[i - 1] != '\n'; --i)
      if (text[i - 1] != ' ' && text[i - 1] != '\t')
        own = false;
    while (at < end && text[at] != '\n')
      ++at;
    uint32_t e = at;
    while (e > b && (text[e - 1] == ' ' || text[e - 1] == '\r' || text[e - 1] == '\t'))
      --e;
    std::string_view all = std::string_view(text).substr(b, e - b);
    bool doc = all.starts_with("///") && !all.starts_with("////");
    bool fileDoc = all.starts_with("//!");
    if (own && (doc || fileDoc) && !insideParens()) {
      std::string_view body = all.substr(3);
      if (body.starts_with(" "))
        body.remove_prefix(1);
      push(doc ? Tok::Doc : Tok::FileDoc, b, e).value = body;
      return;
    }
    out.comments.push_back({span(b, e), own});
  }

  void number() {
    uint32_t b = at;
    bool isFloat = false;
    auto digits = [&] {
      while (isDigit(peek()) || (peek() == '_' && isDigit(peek(1))))
        ++at;
    };
    digits();
    if (peek() == '.' && isDigit(peek(1))) {
      isFloat = true;
      ++at;
      digits();
    }
    if ((peek() == 'e' || peek() == 'E') &&
        (isDigit(peek(1)) || ((peek(1) == '-' || peek(1) == '+') && isDigit(peek(2))))) {
      isFloat = true;
      at += 2;
      digits();
    }
    std::string plain;
    for (uint32_t i = b; i < at; ++i)
      if (text[i] != '_')
        plain += text[i];
    uint32_t unitBegin = at;
    if (peek() == '%')
      ++at;
    else
      while (isNamePart(peek()))
        ++at;
    std::string_view unit = std::string_view(text).substr(unitBegin, at - unitBegin);
    Token &t = push(isFloat ? Tok::Float : Tok::Int, b, at);
    t.text = std::string_view(text).substr(b, unitBegin - b);
    auto r = std::from_chars(plain.data(), plain.data() + plain.size(), t.number);
    if (r.ec != std::errc() || !std::isfinite(t.number))
      diags.error("E0103", t.span, "`" + std::string(t.text) + "` is too large for a number");
    if (!isFloat) {
      auto ri = std::from_chars(plain.data(), plain.data() + plain.size(), t.integer);
      if (ri.ec != std::errc())
        diags.error("E0103", t.span, "`" + std::string(t.text) + "` does not fit in 64 bits")
            .help("as a float write " + std::string(t.text) + ".0");
    }
    if (!unit.empty()) {
      double scale = 1;
      t.unit = unit;
      t.family = unitFamily(unit, scale);
      if (t.family == UnitFamily::None) {
        auto &d = diags.error("E0103", span(unitBegin, at), "`" + std::string(unit) + "` is no unit");
        std::string near = nearest(unit, {"B", "KB", "MB", "GB", "TB", "KiB", "MiB", "GiB", "TiB", "ms",
                                          "s", "min", "h", "d", "steps", "epochs", "tokens"});
        if (!near.empty())
          d.help("did you mean `" + near + "`?", span(unitBegin, at), near);
        d.note("units are % B KB MB GB TB KiB MiB GiB TiB ms s min h d steps epochs tokens");
        t.unit = {};
      }
    }
  }

  /// Skips a ${...}: from the byte after "${" to the byte of its "}". Strings inside may nest.
  bool skipInterpolation(uint32_t &i) const {
    int depth = 0;
    for (; i < end; ++i) {
      char c = text[i];
      if (c == '\n')
        return false;
      if (c == '{')
        ++depth;
      else if (c == '}') {
        if (depth-- == 0)
          return true;
      } else if (c == '"') {
        for (++i; i < end && text[i] != '"'; ++i) {
          if (text[i] == '\n')
            return false;
          if (text[i] == '\\')
            ++i;
        }
        if (i >= end)
          return false;
      }
    }
    return false;
  }

  void appendUtf8(std::string &s, uint32_t c) {
    if (c < 0x80)
      s += char(c);
    else if (c < 0x800)
      (s += char(0xC0 | c >> 6)) += char(0x80 | (c & 63));
    else if (c < 0x10000)
      ((s += char(0xE0 | c >> 12)) += char(0x80 | ((c >> 6) & 63))) += char(0x80 | (c & 63));
    else
      (((s += char(0xF0 | c >> 18)) += char(0x80 | ((c >> 12) & 63))) += char(0x80 | ((c >> 6) & 63))) +=
          char(0x80 | (c & 63));
  }

  /// Reads one escape after the backslash at `i`; leaves `i` behind it.
  void escape(uint32_t &i, std::string &s) {
    uint32_t b = i++;
    char c = i < end ? text[i] : '\0';
    switch (c) {
    case 'n': s += '\n'; ++i; return;
    case 't': s += '\t'; ++i; return;
    case '"': case '\\': case '$': s += c; ++i; return;
    case 'u':
      if (i + 1 < end && text[i + 1] == '{') {
        uint32_t v = 0, k = i + 2, digits = 0;
        for (; k < end && isxdigit(uint8_t(text[k])) && digits < 7; ++k, ++digits)
          v = v * 16 + uint32_t(isDigit(text[k]) ? text[k] - '0' : (text[k] | 32) - 'a' + 10);
        if (digits && digits < 7 && k < end && text[k] == '}' && v <= 0x10FFFF &&
            !(v >= 0xD800 && v < 0xE000)) {
          appendUtf8(s, v);
          i = k + 1;
          return;
        }
      }
      break;
    default: break;
    }
    diags.error("E0102", span(b, std::min(b + 2, end)), "`" + std::string(text, b, 2) + "` is no escape")
        .note("escapes are \\n \\t \\\" \\\\ \\$ \\u{...}");
    if (i < end && c != '\n')
      ++i;
  }

  void string() {
    uint32_t b = at;
    bool triple = std::string_view(text).substr(at, end - at).starts_with("\"\"\"");
    uint32_t i = at + (triple ? 3 : 1);
    uint32_t contentBegin = i;
    std::vector<StringPiece> pieces(1);
    // In a triple string, positions of raw line starts matter for the indentation; they are found
    // on the unescaped text with a marker that cannot be written otherwise.
    const char mark = '\x01';
    bool closed = false;
    while (i < end) {
      if (triple ? std::string_view(text).substr(i, end - i).starts_with("\"\"\"") : text[i] == '"') {
        closed = true;
        break;
      }
      char c = text[i];
      if (c == '\n' && !triple)
        break;
      if (c == '\\') {
        escape(i, pieces.back().text);
      } else if (c == '$' && i + 1 < end && text[i + 1] == '{') {
        uint32_t e = i + 2;
        if (!skipInterpolation(e)) {
          diags.error("E0102", span(i, i + 2), "`${` has no `}` on this line")
              .help("a dollar sign before a brace is written \\$");
          i += 2;
          continue;
        }
        pieces.back().expr = span(i + 2, e);
        pieces.emplace_back();
        i = e + 1;
      } else {
        pieces.back().text += c;
        if (c == '\n')
          pieces.back().text += mark;
        ++i;
      }
    }
    if (!closed) {
      diags.error("E0102", span(b, std::min(i, end)), "this string has no end")
          .help(triple ? "close it with \"\"\"" : "close it with \" on the same line, or write \"\"\"...\"\"\"");
      at = i;
    } else {
      at = i + (triple ? 3 : 1);
    }
    if (triple)
      dedent(pieces, contentBegin, mark);
    Token &t = push(Tok::String, b, at);
    t.pieces = std::move(pieces);
    t.triple = triple;
  }

  /// Strips the first newline, the last one with its indentation, and the common indentation.
  static void dedent(std::vector<StringPiece> &pieces, uint32_t, char mark) {
    auto &first = pieces.front().text;
    bool leading = first.size() >= 2 && first[0] == '\n' && first[1] == mark;
    size_t common = SIZE_MAX;
    for (size_t p = 0; p < pieces.size(); ++p) {
      const std::string &s = pieces[p].text;
      for (size_t i = 0; i < s.size(); ++i) {
        if (s[i] != mark)
          continue;
        size_t k = i + 1;
        while (k < s.size() && s[k] == ' ')
          ++k;
        bool blank = k < s.size() && s[k] == '\n';
        bool last = k == s.size() && p + 1 == pieces.size();
        if (!blank && !last)
          common = std::min(common, k - i - 1);
      }
    }
    if (common == SIZE_MAX)
      common = 0;
    for (size_t p = 0; p < pieces.size(); ++p) {
      std::string out;
      const std::string &s = pieces[p].text;
      for (size_t i = 0; i < s.size(); ++i) {
        if (s[i] != mark) {
          out += s[i];
          continue;
        }
        size_t drop = 0;
        while (drop < common && i + 1 < s.size() && s[i + 1] == ' ')
          ++i, ++drop;
      }
      pieces[p].text = std::move(out);
    }
    if (leading)
      pieces.front().text.erase(0, 1);
    auto &last = pieces.back().text;
    size_t nl = last.rfind('\n');
    if (nl != std::string::npos && last.find_first_not_of(' ', nl + 1) == std::string::npos)
      last.erase(nl);
  }

  void regex() {
    uint32_t b = at;
    uint32_t i = at + 3;
    while (i < end && text[i] != '"' && text[i] != '\n')
      i += text[i] == '\\' && i + 1 < end && text[i + 1] != '\n' ? 2 : 1;
    i = std::min(i, end);
    if (i >= end || text[i] != '"') {
      diags.error("E0102", span(b, i), "this regex has no end")
          .help("close it with \"; a quote inside is \\\"");
      at = i;
    } else {
      at = i + 1;
    }
    Token &t = push(Tok::Regex, b, at);
    t.value = text.substr(b + 3, i - b - 3);
    t.inner = span(b + 3, i);
  }

  uint32_t file;
  const std::string &text;
  uint32_t at, start, end;
  DiagEngine &diags;
  TokenStream out;
  std::vector<int> open;
  bool pendingNewline = false;
};

} // namespace

TokenStream lex(uint32_t file, uint32_t begin, uint32_t end, const SourceManager &sm,
                DiagEngine &diags) {
  return Lexer(file, begin, end, sm, diags).run();
}

} // namespace r1
