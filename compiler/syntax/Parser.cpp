#include "compiler/syntax/ParserImpl.h"
#include <algorithm>

namespace r1 {

Expr *File::expr(Expr::Kind kind, Span span) {
  Expr &e = exprs.emplace_back();
  e.kind = kind;
  e.span = span;
  return &e;
}
TypeExpr *File::typeExpr(TypeExpr::Kind kind, Span span) {
  TypeExpr &t = types.emplace_back();
  t.kind = kind;
  t.span = span;
  return &t;
}
Decl *File::decl(Decl::Kind kind, Span span) {
  Decl &d = declarations.emplace_back();
  d.kind = kind;
  d.span = span;
  return &d;
}

double Expr::scaled() const {
  double scale = 1;
  if (!unit.empty())
    unitFamily(unit, scale);
  return number * scale;
}

const char *spelling(BinOp op) {
  static const char *names[] = {"??", "or", "and", "==", "!=", "<", "<=", ">",
                                ">=", "..", "+",   "-",  "*",  "/", "@",  "**"};
  return names[int(op)];
}

Parser::Parser(File &file, TokenStream stream, const SourceManager &sm, DiagEngine &diags,
               std::vector<Role> *roles, int depth)
    : file(file), toks(std::move(stream.tokens)), sm(sm), diags(diags), roles(roles), depth(depth) {
  end.kind = Tok::End;
  end.span = toks.back().span;
  int d = 0;
  for (const Token &t : toks) {
    bool closes = t.kind == Tok::RBrace || t.kind == Tok::RParen || t.kind == Tok::RBracket;
    d -= closes;
    depths.push_back(d);
    d += !closes && t.match >= 0;
  }
}

// file = { NL } { decl NL } ;
void Parser::parseFile() {
  while (true) {
    skipNewlines();
    if (is(Tok::End))
      break;
    if (is(Tok::FileDoc)) {
      file.doc += (file.doc.empty() ? "" : "\n") + cur().value;
      take();
      continue;
    }
    size_t before = pos;
    if (Decl *d = declaration())
      file.decls.push_back(d);
    finish(before, 0);
  }
}

Expr *Parser::parseOnly(const char *what) {
  whatEnds = what;
  skipNewlines();
  Expr *e = expr();
  skipNewlines();
  if (!panicking && !is(Tok::End))
    unexpected(whatEnds);
  return panicking ? file.expr(Expr::Error, toks.front().span) : e;
}

// ── tokens ──────────────────────────────────────────────────────────────────

const Token &Parser::take() {
  const Token &t = cur();
  if (!panicking && pos + 1 < toks.size())
    ++pos;
  return t;
}

bool Parser::accept(Tok t, Role r) {
  if (!is(t))
    return false;
  if (r != Role::None)
    mark(r);
  take();
  return true;
}

bool Parser::expect(Tok t, Role r) {
  if (accept(t, r))
    return true;
  unexpected(tokenName(t));
  return false;
}

void Parser::skipNewlines() {
  while (is(Tok::Newline))
    take();
}

std::string_view Parser::name(Span *at, const char *what) {
  if (!is(Tok::Name)) {
    unexpected(what);
    return {};
  }
  const Token &t = take();
  if (at)
    *at = t.span;
  return t.text;
}

Span Parser::spanTo(Span from) const {
  size_t last = pos;
  while (last > 0 && toks[last - 1].kind == Tok::Newline)
    --last;
  if (last > 0)
    from.end = std::max(from.end, toks[last - 1].span.end);
  return from;
}

// ── errors ──────────────────────────────────────────────────────────────────

Parser::Deeper::Deeper(Parser &p) : p(p) {
  ++p.height;
  if (++p.depth > maxNesting)
    p.tooDeep("nested more than " + std::to_string(maxNesting) + " deep",
              "name the parts with let");
  else if (p.height > maxHeight)
    p.tooDeep("this expression is too long", "name the parts with let");
}

void Parser::Chain::link() {
  ++links;
  if (++p.height > maxHeight)
    p.tooDeep("this expression has more than " + std::to_string(maxHeight) + " links in a row",
              "name the parts with let, or use a list and fold");
}

void Parser::tooDeep(const std::string &what, const char *mend) {
  if (panicking)
    return;
  diags.error("E0106", cur().span, what).help(mend);
  fail();
}

void Parser::unexpected(const std::string &wanted) {
  if (panicking)
    return;
  const Token &t = cur();
  std::string found = t.kind == Tok::Name  ? "`" + std::string(t.text) + "`"
                      : t.kind == Tok::End ? whatEnds
                                           : tokenName(t.kind);
  Span at = t.span;
  // A declaration where an expression should be: the line before was not finished.
  bool early = pos > 0 && firstOnLine(pos) && declStart(pos) && !wanted.starts_with("a ") &&
               toks[pos - 1].kind != Tok::Newline;
  if (early)
    found = "the end of the line";
  if (pos > 0 && (t.kind == Tok::Newline || t.kind == Tok::End || early)) {
    // Point behind the last token, not at the next line.
    uint32_t last = spanTo({at.file, 0, 0}).end;
    at = {at.file, last, last};
  }
  if (!derived(at))
    hint(diags.error("E0104", at, "expected " + wanted + ", found " + found), t, wanted);
  fail();
}

/// Is an error at this place likely to follow from one that was reported already: by the lexer on
/// the same line, or of a bracket around it that is never closed?
bool Parser::derived(Span at) const {
  const SourceFile &f = sm.file(at.file);
  uint32_t line = f.place(at.begin).line;
  for (const Diag &d : diags.all()) {
    Span s = d.primary.span;
    if (d.severity != Severity::Error || s.file != at.file)
      continue;
    if (f.place(s.begin).line == line)
      return true;
    if (d.code != "E0105" || s.begin > at.begin)
      continue;
    auto open = std::lower_bound(toks.begin(), toks.end(), s.begin,
                                 [](const Token &t, uint32_t b) { return t.span.begin < b; });
    if (open != toks.end() && open->span.begin == s.begin && open->match >= 0 &&
        size_t(open->match) >= pos)
      return true;
  }
  return false;
}

/// What those who come from other languages may have meant.
void Parser::hint(Diag &d, const Token &t, const std::string &wanted) {
  auto word = [&](std::initializer_list<std::string_view> words) {
    return t.kind == Tok::Name && std::find(words.begin(), words.end(), t.text) != words.end();
  };
  bool wantsDecl = wanted.starts_with("a declaration") || wanted.starts_with("a member") ||
                   wanted.starts_with("a step");
  if (t.kind == Tok::Minus && wantsDecl)
    d.note("a line that begins with - starts a new statement; put the - at the end of the line "
           "before");
  else if (word({"while", "return", "class", "match", "struct", "yield", "break", "try"}))
    d.note("the language has no `" + std::string(t.text) + "`");
  else if (word({"def", "func", "function"}))
    d.help("functions are declared with fn", t.span, "fn");
  else if (word({"var", "const", "val", "mut"}))
    d.help("values are named with let", t.span, "let");
  else if (t.kind == Tok::Colon && wanted != "a type")
    d.note("a record is {name = value}; name: type stands in types and parameters");
  else if (t.kind == Tok::Equal && !wanted.starts_with("a"))
    d.help("equality is ==", t.span, "==");
  else if (t.kind == Tok::Question)
    d.note("a choice is written: if condition then a else b");
  else if (wantsDecl && t.kind == Tok::Name && pos + 1 < toks.size() &&
           toks[pos + 1].kind == Tok::Equal)
    d.help("values are named with let", {t.span.file, t.span.begin, t.span.begin}, "let ");
  else if (wanted.starts_with("a step") && (t.kind == Tok::Fn || t.kind == Tok::Assert))
    d.note("functions and tests stand outside of the pipeline");
}

bool Parser::separator(Tok close) {
  if (accept(Tok::Comma))
    return true;
  if (panicking || is(close))
    return false;
  unexpected(std::string("`,` or ") + tokenName(close));
  return false;
}

bool Parser::declStart(size_t i) const {
  const Token &t = toks[i];
  switch (t.kind) {
  case Tok::Let:
  case Tok::Fn:
  case Tok::At:
  case Tok::Doc:
  case Tok::Assert:
    return true;
  case Tok::Name:
    return i + 1 < toks.size() &&
           (toks[i + 1].kind == Tok::Name || toks[i + 1].kind == Tok::String) &&
           (t.text == "import" || t.text == "type" || t.text == "model" || t.text == "pipeline" ||
            t.text == "test" || t.text == "param" || t.text == "stage");
  default:
    return false;
  }
}

void Parser::finish(size_t before, int level) {
  if (!panicking && !is(Tok::Newline) && !is(Tok::End) && !is(Tok::RBrace))
    unexpected("the end of the line");
  if (!panicking)
    return;
  panicking = false;
  pos = std::max(pos, before);
  for (; pos + 1 < toks.size(); ++pos) {
    bool closes = toks[pos].kind == Tok::RBrace && level > 0 && depths[pos] <= level - 1;
    if (closes || depths[pos] < level)
      return;
    if (pos > before && depths[pos] <= level && firstOnLine(pos) && declStart(pos))
      return;
  }
}

bool Parser::firstOnLine(size_t i) const {
  if (i == 0 || toks[i - 1].kind == Tok::Newline)
    return true;
  Span gap{file.id, toks[i - 1].span.end, toks[i].span.begin};
  return sm.text(gap).find('\n') != std::string_view::npos;
}

// ── entry points ────────────────────────────────────────────────────────────

namespace {

/// Is this a text that can be lexed at all? Reports why not.
bool readable(uint32_t id, const SourceManager &sm, DiagEngine &diags) {
  const std::string &text = sm.file(id).text;
  if (text.size() > maxSourceBytes) {
    diags.error("E0101", {id, 0, 0},
                "a source text of " + std::to_string(text.size()) + " bytes; at most " +
                    std::to_string(maxSourceBytes) + " are read");
    return false;
  }
  for (size_t i = 0; i < text.size();) {
    size_t begin = i;
    uint32_t point = nextCodePoint(text, i);
    bool broken = point == 0xFFFD && i == begin + 1;
    if (!broken && point != 0)
      continue;
    static const char *digits = "0123456789ABCDEF";
    uint8_t byte = uint8_t(text[begin]);
    std::string hex = {'0', 'x', digits[byte >> 4], digits[byte & 15]};
    diags
        .error("E0101", {id, uint32_t(begin), uint32_t(i)},
               broken ? "byte " + hex + " is not UTF-8" : "a zero byte")
        .note("a .r1 file is UTF-8 text; this one is in another encoding, or no text at all");
    return false;
  }
  return true;
}

} // namespace

std::unique_ptr<File> parseFile(uint32_t id, const SourceManager &sources, DiagEngine &diags) {
  auto file = std::make_unique<File>();
  file->id = id;
  if (!readable(id, sources, diags))
    return file;
  size_t before = diags.all().size();
  TokenStream stream = lex(id, 0, uint32_t(sources.file(id).text.size()), sources, diags);
  file->comments = std::move(stream.comments);
  Parser(*file, std::move(stream), sources, diags).parseFile();
  diags.sortFrom(before);
  return file;
}

std::unique_ptr<File> parseExpr(uint32_t id, const SourceManager &sources, DiagEngine &diags,
                                Expr *&out) {
  auto file = std::make_unique<File>();
  file->id = id;
  out = file->expr(Expr::Error, {id, 0, 0});
  if (!readable(id, sources, diags))
    return file;
  TokenStream stream = lex(id, 0, uint32_t(sources.file(id).text.size()), sources, diags);
  out = Parser(*file, std::move(stream), sources, diags).parseOnly("the end of the expression");
  return file;
}

std::unique_ptr<File> parseRoles(uint32_t id, const SourceManager &sources, TokenStream &tokens,
                                 std::vector<Role> &roles) {
  DiagEngine silent;
  auto file = std::make_unique<File>();
  file->id = id;
  tokens = lex(id, 0, uint32_t(sources.file(id).text.size()), sources, silent);
  roles.assign(tokens.tokens.size(), Role::None);
  Parser(*file, tokens, sources, silent, &roles).parseFile();
  return file;
}

std::vector<std::string> parseSetPath(std::string_view text) {
  std::vector<std::string> out(1);
  for (char c : text) {
    bool word =
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (c >= '0' && c <= '9');
    if (c == '.')
      out.emplace_back();
    else if (word)
      out.back() += c;
    else
      return {};
  }
  for (const std::string &s : out)
    if (s.empty() || (s[0] >= '0' && s[0] <= '9'))
      return {};
  return out;
}

} // namespace r1
