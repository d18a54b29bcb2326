#include "compiler/syntax/Literals.h"
#include <algorithm>
#include <cstring>
#include <map>

namespace r1 {

const char *tokenName(Tok t) {
  static const char *names[] = {"the end of the file",
                                "the end of the line",
                                "a name",
                                "a number",
                                "a number",
                                "a string",
                                "a regex",
                                "a doc comment",
                                "a doc comment",
                                "`let`",
                                "`fn`",
                                "`if`",
                                "`then`",
                                "`else`",
                                "`for`",
                                "`in`",
                                "`and`",
                                "`or`",
                                "`not`",
                                "`as`",
                                "`assert`",
                                "`true`",
                                "`false`",
                                "`none`",
                                "`(`",
                                "`)`",
                                "`[`",
                                "`]`",
                                "`{`",
                                "`}`",
                                "`,`",
                                "`:`",
                                "`.`",
                                "`..`",
                                "`...`",
                                "`->`",
                                "`=>`",
                                "`=`",
                                "`==`",
                                "`!=`",
                                "`<`",
                                "`<=`",
                                "`>`",
                                "`>=`",
                                "`+`",
                                "`-`",
                                "`*`",
                                "`**`",
                                "`/`",
                                "`@`",
                                "`?`",
                                "`??`",
                                "`|>`"};
  return names[int(t)];
}

namespace {

const std::map<std::string_view, Tok> &keywords() {
  static const std::map<std::string_view, Tok> map = {
      {"let", Tok::Let},   {"fn", Tok::Fn},       {"if", Tok::If},    {"then", Tok::Then},
      {"else", Tok::Else}, {"for", Tok::For},     {"in", Tok::In},    {"and", Tok::And},
      {"or", Tok::Or},     {"not", Tok::Not},     {"as", Tok::As},    {"assert", Tok::Assert},
      {"true", Tok::True}, {"false", Tok::False}, {"none", Tok::None}};
  return map;
}

/// May a statement end after this token?
bool canEnd(Tok t) {
  switch (t) {
  case Tok::Name:
  case Tok::Int:
  case Tok::Float:
  case Tok::String:
  case Tok::Regex:
  case Tok::True:
  case Tok::False:
  case Tok::None:
  case Tok::RParen:
  case Tok::RBracket:
  case Tok::RBrace:
  case Tok::Question:
  case Tok::Greater:
  case Tok::Doc:
  case Tok::FileDoc:
    return true;
  default:
    return false;
  }
}

/// May this token begin a statement (so that it does not continue the line before)?
bool canBegin(Tok t) {
  switch (t) {
  case Tok::Then:
  case Tok::Else:
  case Tok::And:
  case Tok::Or:
  case Tok::As:
  case Tok::In:
  case Tok::Dot:
  case Tok::DotDot:
  case Tok::Comma:
  case Tok::Colon:
  case Tok::Arrow:
  case Tok::FatArrow:
  case Tok::Equal:
  case Tok::EqualEqual:
  case Tok::NotEqual:
  case Tok::Less:
  case Tok::LessEqual:
  case Tok::Greater:
  case Tok::GreaterEqual:
  case Tok::Plus:
  case Tok::Star:
  case Tok::StarStar:
  case Tok::Slash:
  case Tok::Question:
  case Tok::QuestionQuestion:
  case Tok::PipeRight:
  case Tok::RParen:
  case Tok::RBracket:
    return false;
  default:
    return true;
  }
}

/// Words that begin a declaration which never stands inside of brackets.
bool outermost(std::string_view word) {
  return word == "model" || word == "pipeline" || word == "test" || word == "import" ||
         word == "type";
}

bool softKeyword(std::string_view word) {
  return outermost(word) || word == "param" || word == "stage";
}

class Lexer {
public:
  Lexer(uint32_t file, uint32_t begin, uint32_t end, const SourceManager &sm, DiagEngine &diags)
      : text(sm.file(file).text), at(begin), start(begin), end(end), diags(diags),
        source{file, text, end, diags} {}

  TokenStream run() {
    if (source.starts(at, "\xEF\xBB\xBF"))
      start = at += 3; // a byte order mark: the first line begins behind it
    while (at < end)
      next();
    pendingNewline = false;
    closeTo(0, at, nullptr);
    push(Tok::End, at, at);
    return std::move(out);
  }

private:
  Span span(uint32_t b, uint32_t e) const { return source.span(b, e); }
  char peek(uint32_t k = 0) const { return source.at(at + k); }

  /// A declaration at the start of a line inside of ( or [, or one of those that stand only at the
  /// top level inside of any bracket, means that the bracket was forgotten.
  void closeForgotten(Tok kind, uint32_t b, uint32_t e) {
    if (!pendingNewline || open.empty())
      return;
    std::string_view word = std::string_view(text).substr(b, e - b);
    bool named = source.at(e) == ' ' && (isNameStart(source.at(e + 1)) || source.at(e + 1) == '"');
    bool inner = kind == Tok::Let || (kind == Tok::Fn && source.at(e) == ' ') ||
                 (named && (word == "stage" || word == "param"));
    bool outer = named && kind == Tok::Name && outermost(word);
    size_t keep = outer ? 0 : open.size();
    while (inner && keep > 0 && out.tokens[size_t(open[keep - 1])].kind != Tok::LBrace)
      --keep;
    Span begins = span(b, e);
    closeTo(keep, b, &begins);
  }

  /// Closes all but the first `keep` open brackets before byte `b`, as if the user had: one mistake
  /// then makes one message. `begins`: a declaration shows that they were forgotten.
  void closeTo(size_t keep, uint32_t b, const Span *begins) {
    while (open.size() > keep) {
      int partner = open.back();
      open.pop_back();
      Tok kind = out.tokens[size_t(partner)].kind;
      auto &d = diags.error("E0105", out.tokens[size_t(partner)].span,
                            std::string(tokenName(kind)) + " is never closed");
      if (begins)
        d.also(*begins, "a new declaration begins here");
      out.tokens[size_t(partner)].match = int(out.tokens.size());
      Token &t = out.tokens.emplace_back();
      t.kind = kind == Tok::LParen     ? Tok::RParen
               : kind == Tok::LBracket ? Tok::RBracket
                                       : Tok::RBrace;
      t.span = span(b, b);
      t.match = partner;
    }
  }

  /// A newline ends a statement iff what is before can end one, what is after can begin one, and
  /// the innermost bracket is a brace or none.
  void endLine(Tok next, uint32_t b) {
    if (pendingNewline && !out.tokens.empty() && canEnd(out.tokens.back().kind) && canBegin(next) &&
        !insideParens()) {
      Token &nl = out.tokens.emplace_back();
      nl.kind = Tok::Newline;
      nl.span = span(b, b);
    }
    pendingNewline = false;
  }

  /// Doc comments become tokens if a declaration follows; otherwise they are plain comments.
  void flushDocs(Tok kind, uint32_t b, uint32_t e) {
    bool documented = kind == Tok::Let || kind == Tok::Fn || kind == Tok::At ||
                      (kind == Tok::Name && softKeyword(std::string_view(text).substr(b, e - b)));
    if (documented && !insideParens() && !docs.empty()) {
      for (Token &t : docs) {
        pendingNewline = true;
        endLine(t.kind, t.span.begin);
        out.tokens.push_back(std::move(t));
      }
      pendingNewline = true;
    }
    docs.clear();
  }

  Token &push(Tok kind, uint32_t b, uint32_t e) {
    closeForgotten(kind, b, e);
    onlyFileDocs = false;
    flushDocs(kind, b, e);
    endLine(kind, b);
    Token &t = out.tokens.emplace_back();
    t.kind = kind;
    t.span = span(b, e);
    t.text = std::string_view(text).substr(b, e - b);
    return t;
  }

  /// A token that `read` finds the end of.
  template <class F> void literal(F read) {
    Token t;
    uint32_t b = at;
    at = read(source, b, t);
    Token &pushed = push(t.kind, b, at);
    t.span = pushed.span;
    if (t.text.empty())
      t.text = pushed.text;
    pushed = std::move(t);
  }

  bool insideParens() const {
    return !open.empty() && out.tokens[size_t(open.back())].kind != Tok::LBrace;
  }

  void bracket(Tok kind) {
    uint32_t b = at++;
    if (kind == Tok::LParen || kind == Tok::LBracket || kind == Tok::LBrace) {
      push(kind, b, at);
      open.push_back(int(out.tokens.size()) - 1);
      return;
    }
    Tok want = kind == Tok::RParen     ? Tok::LParen
               : kind == Tok::RBracket ? Tok::LBracket
                                       : Tok::LBrace;
    auto matches = [&](int i) { return out.tokens[size_t(i)].kind == want; };
    if (open.empty() || !matches(open.back())) {
      std::string name = tokenName(kind);
      // If the partner is further out, what is open inside of it was forgotten; else this closes
      // nothing and is dropped.
      auto partner = std::find_if(open.rbegin(), open.rend(), matches);
      if (partner == open.rend()) {
        auto &d = diags.error("E0105", span(b, at), name + " closes nothing");
        if (!open.empty())
          d.also(out.tokens[size_t(open.back())].span, "this is open");
        return;
      }
      closeTo(size_t(partner.base() - open.begin()), b, nullptr);
    }
    push(kind, b, at);
    out.tokens.back().match = open.back();
    out.tokens[size_t(open.back())].match = int(out.tokens.size()) - 1;
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
    case ' ':
    case '\t':
    case '\r':
      ++at;
      return;
    case '\n':
      pendingNewline = true;
      ++at;
      return;
    case '(':
      return bracket(Tok::LParen);
    case ')':
      return bracket(Tok::RParen);
    case '[':
      return bracket(Tok::LBracket);
    case ']':
      return bracket(Tok::RBracket);
    case '{':
      return bracket(Tok::LBrace);
    case '}':
      return bracket(Tok::RBrace);
    case '"':
      return literal(readString);
    case '/':
      if (peek(1) == '/')
        return comment();
      if (peek(1) == '*' && (at == start || std::strchr(" \t\r\n()[]{},", text[at - 1])))
        return blockComment();
      break;
    default:
      break;
    }
    if (source.starts(at, "re\""))
      return literal(readRegex);
    if (isDigit(c))
      return literal(readNumber);
    if (isNameStart(c)) {
      uint32_t e = at;
      while (isNamePart(source.at(e)))
        ++e;
      auto keyword = keywords().find(std::string_view(text).substr(at, e - at));
      return simple(keyword == keywords().end() ? Tok::Name : keyword->second, e - at);
    }
    for (auto &[spelling, kind] : punctuation)
      if (source.starts(at, spelling))
        return simple(kind, uint32_t(spelling.size()));
    unknown();
  }

  /// A character that starts nothing, with what other languages mean by it.
  void unknown() {
    size_t next = at;
    nextCodePoint(std::string_view(text).substr(0, end), next);
    uint32_t b = at;
    at = uint32_t(next);
    char c = text[b];
    if (source.at(at) == c && (c == '|' || c == '&'))
      ++at;
    // One message for a word of foreign letters, and for a text in single quotes.
    while (c < 0 && source.at(at) < 0) {
      nextCodePoint(std::string_view(text).substr(0, end), next);
      at = uint32_t(next);
    }
    size_t close = text.find_first_of("'\n", at);
    if (c == '\'' && close != std::string::npos && close < end && text[close] == c)
      at = uint32_t(close) + 1;
    auto &d = diags.error("E0101", span(b, at),
                          "`" + text.substr(b, at - b) + "` starts nothing in this language");
    if (c == '%')
      d.help("there is no modulo operator; write mod(a, b)");
    else if (c == '!')
      d.help("negation is `not`", span(b, at), "not ");
    else if (c == '|')
      d.help("either is `or`; a pipe is `|>`", span(b, at), "or");
    else if (c == '&')
      d.help("both is `and`", span(b, at), "and");
    else if (c == ';')
      d.help("a statement ends at the end of its line", span(b, at), "");
    else if (c == '\'')
      d.help("strings are written \"...\"");
    else if (c == '#')
      d.help("comments are written // ...", span(b, at), "//");
    else if (c == '^')
      d.help("powers are written **", span(b, at), "**");
    else if (c == '~' || c == '$' || c == '`' || c == '\\')
      return;
    else
      d.note("outside of strings, comments and regexes only ASCII is used");
  }

  void comment() {
    uint32_t b = at;
    uint32_t i = b;
    while (i > start && (text[i - 1] == ' ' || text[i - 1] == '\t'))
      --i;
    bool own = i == start || text[i - 1] == '\n';
    while (at < end && text[at] != '\n')
      ++at;
    uint32_t e = at;
    while (text[e - 1] == ' ' || text[e - 1] == '\r' || text[e - 1] == '\t')
      --e;
    out.comments.push_back({span(b, e), own});
    std::string_view body = std::string_view(text).substr(b, e - b);
    bool fileDoc = body.starts_with("//!") && onlyFileDocs;
    bool doc = body.starts_with("///") && !body.starts_with("////");
    if (!own || (!doc && !fileDoc))
      return;
    body.remove_prefix(3);
    if (body.starts_with(" "))
      body.remove_prefix(1);
    Token t;
    t.kind = doc ? Tok::Doc : Tok::FileDoc;
    t.span = span(b, e);
    t.text = std::string_view(text).substr(b, e - b);
    t.value = body;
    if (doc) {
      docs.push_back(std::move(t));
      return;
    }
    pendingNewline = true;
    endLine(t.kind, b);
    out.tokens.push_back(std::move(t));
    pendingNewline = true;
  }

  /// What other languages write around several lines; skipped whole, so that it is one mistake.
  void blockComment() {
    uint32_t b = at;
    size_t close = text.find("*/", b + 2);
    if (close == std::string::npos || close >= end)
      close = std::min<size_t>(text.find('\n', b), end);
    else
      close += 2;
    at = uint32_t(std::min<size_t>(close, end));
    diags.error("E0101", span(b, b + 2), "there are no block comments")
        .help("begin each line of it with //");
    pendingNewline |= text.find('\n', b) < at;
  }

  static constexpr std::pair<std::string_view, Tok> punctuation[] = {{"...", Tok::Ellipsis},
                                                                     {"..", Tok::DotDot},
                                                                     {"|>", Tok::PipeRight},
                                                                     {"=>", Tok::FatArrow},
                                                                     {"==", Tok::EqualEqual},
                                                                     {"!=", Tok::NotEqual},
                                                                     {"<=", Tok::LessEqual},
                                                                     {">=", Tok::GreaterEqual},
                                                                     {"->", Tok::Arrow},
                                                                     {"**", Tok::StarStar},
                                                                     {"??", Tok::QuestionQuestion},
                                                                     {",", Tok::Comma},
                                                                     {":", Tok::Colon},
                                                                     {".", Tok::Dot},
                                                                     {"=", Tok::Equal},
                                                                     {"<", Tok::Less},
                                                                     {">", Tok::Greater},
                                                                     {"+", Tok::Plus},
                                                                     {"-", Tok::Minus},
                                                                     {"*", Tok::Star},
                                                                     {"/", Tok::Slash},
                                                                     {"@", Tok::At},
                                                                     {"?", Tok::Question}};

  const std::string &text;
  uint32_t at, start, end;
  DiagEngine &diags;
  LexSource source;
  TokenStream out;
  std::vector<int> open;   // brackets, as indices into the tokens
  std::vector<Token> docs; // read, but not known yet to document anything
  bool pendingNewline = false;
  bool onlyFileDocs = true;
};

} // namespace

TokenStream lex(uint32_t file, uint32_t begin, uint32_t end, const SourceManager &sm,
                DiagEngine &diags) {
  return Lexer(file, begin, end, sm, diags).run();
}

} // namespace r1
