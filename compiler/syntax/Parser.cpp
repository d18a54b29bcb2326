// Recursive descent over the grammar of the language reference. The production stands above each
// function; two tokens of lookahead and the lexer's bracket matches decide everything.
//
// After an error the parser sees only the end of the file until the declaration it is in returns;
// then it goes on at the next declaration, so that several errors are reported in one go.
#include "compiler/syntax/Parser.h"
#include "compiler/syntax/Lexer.h"
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
  static const char *names[] = {"??", "or", "and", "==", "!=", "<", "<=", ">", ">=", "..",
                                "+",  "-",  "*",   "/",  "@",  "**"};
  return names[int(op)];
}

namespace {

constexpr int maxDepth = 200;

class Parser {
public:
  Parser(File &file, TokenStream stream, const SourceManager &sm, DiagEngine &diags, int depth = 0)
      : file(file), toks(std::move(stream.tokens)), sm(sm), diags(diags), depth(depth) {
    end.kind = Tok::End;
    end.span = toks.back().span;
    // Brace depth at each token, for recovery.
    int d = 0;
    for (const Token &t : toks) {
      bool closes = t.kind == Tok::RBrace || t.kind == Tok::RParen || t.kind == Tok::RBracket;
      if (closes && t.match >= 0)
        --d;
      depths.push_back(d);
      if (!closes && t.match >= 0)
        ++d;
    }
  }

  // file = { NL } { decl NL } ;
  void parseFile() {
    std::string doc;
    while (true) {
      skipNewlines();
      if (is(Tok::End))
        break;
      if (is(Tok::FileDoc)) {
        file.doc += (file.doc.empty() ? "" : "\n") + cur().value;
        ++pos;
        continue;
      }
      size_t before = pos;
      if (Decl *d = declaration())
        file.decls.push_back(d);
      finish(before, 0, &Parser::declStart);
    }
  }

  Expr *parseOnly() {
    skipNewlines();
    Expr *e = expr();
    skipNewlines();
    if (!panicking && !is(Tok::End))
      unexpected("the end of the expression");
    return panicking ? file.expr(Expr::Error, toks.front().span) : e;
  }

private:
  using StartFn = bool (Parser::*)(size_t) const;

  // ── tokens ──────────────────────────────────────────────────────────────
  const Token &cur() const { return panicking ? end : toks[pos]; }
  const Token &ahead(size_t k = 1) const {
    return panicking || pos + k >= toks.size() ? end : toks[pos + k];
  }
  bool is(Tok t) const { return cur().kind == t; }
  bool isWord(const char *w) const { return is(Tok::Name) && cur().text == w; }
  const Token &take() {
    const Token &t = cur();
    // A bracket without partner was reported by the lexer; what follows cannot be trusted.
    if ((t.kind == Tok::LParen || t.kind == Tok::LBracket || t.kind == Tok::LBrace) && t.match < 0)
      panicking = true;
    if (!panicking && pos + 1 < toks.size())
      ++pos;
    return t;
  }
  bool accept(Tok t) {
    if (!is(t))
      return false;
    take();
    return true;
  }
  void skipNewlines() {
    while (is(Tok::Newline))
      take();
  }
  Span spanTo(Span from) const {
    Span s = from;
    if (pos > 0)
      s.end = std::max(s.end, toks[pos - 1].kind == Tok::Newline && pos > 1 ? toks[pos - 2].span.end
                                                                          : toks[pos - 1].span.end);
    return s;
  }

  void fail() { panicking = true; }
  void unexpected(const std::string &wanted) {
    if (panicking)
      return;
    const Token &t = cur();
    std::string found = t.kind == Tok::Name ? "`" + std::string(t.text) + "`" : tokenName(t.kind);
    auto &d = diags.error("E0104", t.span, "expected " + wanted + ", found " + found);
    if (t.kind == Tok::Minus)
      d.note("a line that begins with - starts a new statement; put the - at the end of the line before");
    else if (t.kind == Tok::Name && (t.text == "while" || t.text == "return" || t.text == "def" ||
                                     t.text == "class" || t.text == "match"))
      d.note("the language has no `" + std::string(t.text) + "`");
    fail();
  }
  bool expect(Tok t) {
    if (accept(t))
      return true;
    unexpected(tokenName(t));
    return false;
  }
  std::string_view name(Span *at = nullptr, const char *what = "a name") {
    if (!is(Tok::Name)) {
      unexpected(what);
      return {};
    }
    const Token &t = take();
    if (at)
      *at = t.span;
    return t.text;
  }

  struct Deeper {
    Parser &p;
    bool ok;
    explicit Deeper(Parser &p) : p(p), ok(++p.depth <= maxDepth) {
      if (!ok && !p.panicking) {
        p.diags.error("E0106", p.cur().span, "nested more than " + std::to_string(maxDepth) + " deep")
            .help("name the parts with let");
        p.fail();
      }
    }
    ~Deeper() { --p.depth; }
  };

  // ── declarations ────────────────────────────────────────────────────────
  bool declStart(size_t i) const {
    const Token &t = toks[i];
    switch (t.kind) {
    case Tok::Let: case Tok::Fn: case Tok::At: case Tok::Doc: case Tok::Assert: return true;
    case Tok::Name:
      return i + 1 < toks.size() &&
             (toks[i + 1].kind == Tok::Name || toks[i + 1].kind == Tok::String) &&
             (t.text == "import" || t.text == "type" || t.text == "model" || t.text == "pipeline" ||
              t.text == "test" || t.text == "param" || t.text == "stage");
    default: return false;
    }
  }

  /// Ends a declaration that began at token `before` and lies at bracket depth `level`: a newline
  /// must follow; after an error, skips to the next declaration of that level.
  void finish(size_t before, int level, StartFn starts) {
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
      if (pos > before && depths[pos] <= level && firstOnLine(pos) && (this->*starts)(pos))
        return;
    }
  }
  bool firstOnLine(size_t i) const {
    if (i == 0 || toks[i - 1].kind == Tok::Newline)
      return true;
    Span gap{file.id, toks[i - 1].span.end, toks[i].span.begin};
    return sm.text(gap).find('\n') != std::string_view::npos;
  }

  std::string docs() {
    std::string doc;
    while (is(Tok::Doc)) {
      doc += (doc.empty() ? "" : "\n") + cur().value;
      take();
      skipNewlines();
    }
    return doc;
  }

  // decl = [ DOC ] ( import | let | typedecl | fn | model | pipeline | test ) ;
  Decl *declaration() {
    std::string doc = docs();
    Decl *d = nullptr;
    if (is(Tok::Let))
      d = letDecl();
    else if (is(Tok::Fn) || is(Tok::At))
      d = fnDecl();
    else if (isWord("import"))
      d = importDecl();
    else if (isWord("type"))
      d = typeDecl();
    else if (isWord("model"))
      d = bodyDecl(Decl::Model);
    else if (isWord("pipeline"))
      d = bodyDecl(Decl::Pipeline);
    else if (isWord("test"))
      d = testDecl();
    else
      unexpected("a declaration (import, let, type, fn, model, pipeline or test)");
    if (d)
      d->doc = std::move(doc);
    return d;
  }

  // import = "import" ( path | STRING ) [ "as" NAME ] [ "(" names ")" ] ;
  Decl *importDecl() {
    Decl *d = file.decl(Decl::Import, take().span);
    if (is(Tok::String)) {
      d->nameSpan = cur().span;
      if (cur().pieces.size() != 1)
        unexpected("a plain string");
      else
        d->file = cur().pieces[0].text;
      take();
    } else {
      d->path.push_back(name(&d->nameSpan, "a file or a path"));
      while (accept(Tok::Dot))
        d->path.push_back(name());
    }
    if (accept(Tok::As))
      d->alias = name();
    if (accept(Tok::LParen)) {
      while (!is(Tok::RParen) && !panicking) {
        Span s;
        std::string_view n = name(&s);
        d->names.push_back({n, s});
        if (!accept(Tok::Comma))
          break;
      }
      expect(Tok::RParen);
    }
    d->span = spanTo(d->span);
    return d;
  }

  // let = "let" NAME [ ":" type ] "=" expr ;
  Decl *letDecl() {
    Decl *d = file.decl(Decl::Let, take().span);
    d->name = name(&d->nameSpan);
    if (accept(Tok::Colon))
      d->type = type();
    expect(Tok::Equal);
    d->value = expr();
    d->span = spanTo(d->span);
    return d;
  }

  // typedecl = "type" NAME [ "[" names "]" ] "=" type ;
  Decl *typeDecl() {
    Decl *d = file.decl(Decl::TypeAlias, take().span);
    d->name = name(&d->nameSpan);
    if (accept(Tok::LBracket)) {
      while (!is(Tok::RBracket) && !panicking) {
        d->dimNames.push_back(name());
        if (!accept(Tok::Comma))
          break;
      }
      expect(Tok::RBracket);
    }
    expect(Tok::Equal);
    d->type = type();
    d->span = spanTo(d->span);
    return d;
  }

  // attr = "@" NAME [ args ] [ NL ] ;
  // fn   = [ attr ] "fn" NAME params [ "->" type ] ( "=" expr | block ) ;
  // With an attribute the body may be left out: the signature of a built-in.
  Decl *fnDecl() {
    Decl *d = file.decl(Decl::Fn, cur().span);
    if (is(Tok::At)) {
      d->attr.present = true;
      d->attr.span = take().span;
      d->attr.name = name();
      if (is(Tok::LParen))
        d->attr.args = args();
      d->attr.span = spanTo(d->attr.span);
      skipNewlines();
    }
    expect(Tok::Fn);
    d->name = name(&d->nameSpan);
    d->params = params();
    if (accept(Tok::Arrow))
      d->type = type();
    if (accept(Tok::Equal)) {
      d->value = expr();
    } else if (is(Tok::LBrace)) {
      d->block = true;
      d->value = block();
    } else if (!d->attr.present) {
      unexpected("`=` or a block");
    }
    d->span = spanTo(d->span);
    return d;
  }

  // params = "(" [ param { "," param } [ "," ] ] ")" ;
  // param  = NAME [ ":" type ] [ "=" expr ] ;
  std::vector<Parameter> params() {
    std::vector<Parameter> ps;
    expect(Tok::LParen);
    while (!is(Tok::RParen) && !panicking) {
      Parameter p;
      p.span = cur().span;
      p.name = name(&p.nameSpan, "a parameter");
      if (accept(Tok::Colon))
        p.type = type();
      if (accept(Tok::Equal))
        p.init = expr();
      p.span = spanTo(p.span);
      ps.push_back(p);
      if (!accept(Tok::Comma))
        break;
    }
    expect(Tok::RParen);
    return ps;
  }

  // model    = "model" NAME params "{" { member NL } "}" ;
  // pipeline = "pipeline" NAME params "{" { step NL } "}" ;
  Decl *bodyDecl(Decl::Kind kind) {
    Decl *d = file.decl(kind, take().span);
    d->name = name(&d->nameSpan);
    d->params = params();
    if (!is(Tok::LBrace)) {
      unexpected("`{`");
      return d;
    }
    int level = depths[pos] + 1;
    take();
    while (true) {
      skipNewlines();
      if (is(Tok::RBrace) || is(Tok::End))
        break;
      size_t before = pos;
      Decl *m = kind == Decl::Model ? member() : step();
      if (m)
        d->members.push_back(m);
      finish(before, level, &Parser::declStart);
      if (pos < toks.size() && depths[pos] < level && !is(Tok::RBrace))
        break;
    }
    expect(Tok::RBrace);
    d->span = spanTo(d->span);
    return d;
  }

  // member = [ DOC ] ( "param" NAME ":" type "=" expr | let | fn ) ;
  Decl *member() {
    std::string doc = docs();
    Decl *d = nullptr;
    if (is(Tok::Let)) {
      d = letDecl();
    } else if (is(Tok::Fn) || is(Tok::At)) {
      d = fnDecl();
    } else if (isWord("param")) {
      d = file.decl(Decl::Param, take().span);
      d->name = name(&d->nameSpan);
      expect(Tok::Colon);
      d->type = type();
      expect(Tok::Equal);
      d->value = expr();
      d->span = spanTo(d->span);
    } else {
      unexpected("a member of the model (param, let or fn)");
    }
    if (d)
      d->doc = std::move(doc);
    return d;
  }

  // step = [ DOC ] ( "stage" NAME [ "on" expr ] "=" expr | let ) ;
  Decl *step() {
    std::string doc = docs();
    Decl *d = nullptr;
    if (is(Tok::Let)) {
      d = letDecl();
    } else if (isWord("stage")) {
      d = file.decl(Decl::Stage, take().span);
      d->name = name(&d->nameSpan);
      if (isWord("on")) {
        take();
        d->on = expr();
      }
      expect(Tok::Equal);
      d->value = expr();
      d->span = spanTo(d->span);
    } else {
      unexpected("a step of the pipeline (stage or let)");
    }
    if (d)
      d->doc = std::move(doc);
    return d;
  }

  // test = "test" STRING block ;
  Decl *testDecl() {
    Decl *d = file.decl(Decl::Test, take().span);
    d->nameSpan = cur().span;
    if (!is(Tok::String) || cur().pieces.size() != 1)
      unexpected("the test's title, a string");
    else
      d->text = take().pieces[0].text;
    if (is(Tok::LBrace))
      d->value = block();
    else
      unexpected("`{`");
    d->block = true;
    d->span = spanTo(d->span);
    return d;
  }

  // block = "{" { ( let | "assert" expr ) NL } [ expr ] "}" ;
  Expr *block() {
    Deeper deeper(*this);
    Expr *e = file.expr(Expr::Block, cur().span);
    int level = panicking ? 0 : depths[pos] + 1;
    expect(Tok::LBrace);
    while (!panicking) {
      skipNewlines();
      if (is(Tok::RBrace) || is(Tok::End))
        break;
      size_t before = pos;
      if (is(Tok::Let)) {
        e->stmts.push_back(letDecl());
      } else if (is(Tok::Assert)) {
        Decl *d = file.decl(Decl::Assert, take().span);
        d->value = expr();
        d->span = spanTo(d->span);
        e->stmts.push_back(d);
      } else {
        Expr *value = expr();
        skipNewlines();
        if (!panicking && !is(Tok::RBrace)) {
          if (!is(Tok::End))
            diags.error("E0104", value->span, "the value of a block is its last line; this line's value is lost")
                .help("name it with let, or remove it");
          fail();
        }
        e->kids.push_back(value);
        if (!panicking)
          break;
      }
      finish(before, level, &Parser::declStart);
      if (pos < toks.size() && depths[pos] < level && !is(Tok::RBrace))
        break;
    }
    expect(Tok::RBrace);
    e->span = spanTo(e->span);
    return e;
  }

  // ── types ───────────────────────────────────────────────────────────────
  // type = base [ "?" ] ;
  TypeExpr *type() {
    Deeper deeper(*this);
    TypeExpr *t = baseType();
    if (accept(Tok::Question))
      t->optional = true;
    t->span = spanTo(t->span);
    return t;
  }

  // base = path [ "<" sum ">" ] [ "[" dims "]" ] | rectype | "[" type "]"
  //      | "fn" "(" [ type { "," type } ] ")" "->" type ;
  TypeExpr *baseType() {
    Span at = cur().span;
    if (is(Tok::LBrace))
      return recordType();
    if (accept(Tok::LBracket)) {
      TypeExpr *t = file.typeExpr(TypeExpr::List, at);
      t->args.push_back(type());
      expect(Tok::RBracket);
      return t;
    }
    if (accept(Tok::Fn)) {
      TypeExpr *t = file.typeExpr(TypeExpr::Fn, at);
      expect(Tok::LParen);
      while (!is(Tok::RParen) && !panicking) {
        t->args.push_back(type());
        if (!accept(Tok::Comma))
          break;
      }
      expect(Tok::RParen);
      expect(Tok::Arrow);
      t->result = type();
      return t;
    }
    TypeExpr *t = file.typeExpr(TypeExpr::Named, at);
    t->path.push_back(name(nullptr, "a type"));
    while (is(Tok::Dot)) {
      take();
      t->path.push_back(name());
    }
    if (accept(Tok::Less)) {
      t->bound = sum();
      expect(Tok::Greater);
    }
    if (accept(Tok::LBracket)) {
      t->bracketed = true;
      dims(t->dims);
    }
    return t;
  }

  // dims = dim { "," dim } [ "," ] ;   dim = "..." NAME | sum | rectype ;
  void dims(std::vector<DimExpr> &out) {
    while (!is(Tok::RBracket) && !panicking) {
      DimExpr d;
      d.span = cur().span;
      if (accept(Tok::Ellipsis))
        d.pack = name();
      else if (is(Tok::LBrace))
        d.row = recordType();
      else
        d.size = sum();
      d.span = spanTo(d.span);
      out.push_back(d);
      if (!accept(Tok::Comma))
        break;
    }
    expect(Tok::RBracket);
  }

  // rectype = "{" [ field { "," field } [ "," ] ] "}" ;   field = NAME ":" type ;
  TypeExpr *recordType() {
    TypeExpr *t = file.typeExpr(TypeExpr::Record, cur().span);
    expect(Tok::LBrace);
    skipNewlines();
    while (!is(Tok::RBrace) && !panicking) {
      TypeField f;
      f.name = name(&f.span, "a field");
      expect(Tok::Colon);
      f.type = type();
      t->fields.push_back(f);
      skipNewlines();
      if (!accept(Tok::Comma))
        break;
      skipNewlines();
    }
    expect(Tok::RBrace);
    t->span = spanTo(t->span);
    return t;
  }

  // ── expressions, loosest first ──────────────────────────────────────────
  // expr = lambda | for | if | pipe ;
  Expr *expr() {
    Deeper deeper(*this);
    if (is(Tok::For))
      return forExpr();
    if (is(Tok::If))
      return ifExpr();
    if (is(Tok::Name) && ahead().kind == Tok::FatArrow)
      return lambda();
    if (is(Tok::LParen) && cur().match >= 0 && size_t(cur().match) + 1 < toks.size() &&
        toks[size_t(cur().match) + 1].kind == Tok::FatArrow)
      return lambda();
    return pipe();
  }

  // lambda = ( NAME | "(" [ lparam { "," lparam } ] ")" ) "=>" expr ;
  // lparam = NAME [ ":" type | "in" expr ] ;
  Expr *lambda() {
    Expr *e = file.expr(Expr::Lambda, cur().span);
    if (is(Tok::Name)) {
      Parameter p;
      p.name = name(&p.nameSpan);
      p.span = p.nameSpan;
      e->params.push_back(p);
    } else {
      expect(Tok::LParen);
      while (!is(Tok::RParen) && !panicking) {
        Parameter p;
        p.span = cur().span;
        p.name = name(&p.nameSpan, "a parameter");
        if (accept(Tok::Colon))
          p.type = type();
        else if (accept(Tok::In))
          p.init = expr();
        p.span = spanTo(p.span);
        e->params.push_back(p);
        if (!accept(Tok::Comma))
          break;
      }
      expect(Tok::RParen);
    }
    expect(Tok::FatArrow);
    e->kids.push_back(expr());
    e->span = spanTo(e->span);
    return e;
  }

  // for   = "for" index { "," index } "=>" expr ;
  // index = "..." NAME | NAME [ "in" range ] ;
  Expr *forExpr() {
    Expr *e = file.expr(Expr::For, take().span);
    do {
      ForIndex i;
      i.span = cur().span;
      i.pack = accept(Tok::Ellipsis);
      i.name = name(&i.span, "an index");
      if (!i.pack && accept(Tok::In))
        i.range = range();
      e->indices.push_back(i);
    } while (accept(Tok::Comma));
    expect(Tok::FatArrow);
    e->kids.push_back(expr());
    e->span = spanTo(e->span);
    return e;
  }

  // if = "if" expr "then" expr "else" expr ;
  Expr *ifExpr() {
    Expr *e = file.expr(Expr::If, take().span);
    e->kids.push_back(expr());
    expect(Tok::Then);
    e->kids.push_back(expr());
    expect(Tok::Else);
    e->kids.push_back(expr());
    e->span = spanTo(e->span);
    return e;
  }

  Expr *binary(BinOp op, Expr *a, Expr *b) {
    Expr *e = file.expr(Expr::Binary, a->span);
    e->op = op;
    e->kids = {a, b};
    e->span = spanTo(a->span);
    return e;
  }

  // pipe = coalesce { "|>" call } ;
  Expr *pipe() {
    Expr *e = coalesce();
    while (is(Tok::PipeRight)) {
      take();
      Expr *call = postfix();
      if (!panicking && call->kind != Expr::Call) {
        diags.error("E0104", call->span, "`|>` needs a call on its right")
            .help("write " + std::string(sm.text(call->span)) + "()");
        fail();
      }
      Expr *p = file.expr(Expr::Pipe, e->span);
      p->kids = {e, call};
      p->span = spanTo(e->span);
      e = p;
    }
    return e;
  }

  // coalesce = or { "??" or } ;
  Expr *coalesce() {
    Expr *e = orExpr();
    while (accept(Tok::QuestionQuestion))
      e = binary(BinOp::Coalesce, e, orExpr());
    return e;
  }
  // or = and { "or" and } ;
  Expr *orExpr() {
    Expr *e = andExpr();
    while (accept(Tok::Or))
      e = binary(BinOp::Or, e, andExpr());
    return e;
  }
  // and = not { "and" not } ;
  Expr *andExpr() {
    Expr *e = notExpr();
    while (accept(Tok::And))
      e = binary(BinOp::And, e, notExpr());
    return e;
  }
  // not = { "not" } cmp ;
  Expr *notExpr() {
    if (!is(Tok::Not))
      return comparison();
    Deeper deeper(*this);
    Expr *e = file.expr(Expr::Not, take().span);
    e->kids.push_back(notExpr());
    e->span = spanTo(e->span);
    return e;
  }
  static bool comparisonOp(Tok t, BinOp &op) {
    switch (t) {
    case Tok::EqualEqual: op = BinOp::Eq; return true;
    case Tok::NotEqual: op = BinOp::Ne; return true;
    case Tok::Less: op = BinOp::Lt; return true;
    case Tok::LessEqual: op = BinOp::Le; return true;
    case Tok::Greater: op = BinOp::Gt; return true;
    case Tok::GreaterEqual: op = BinOp::Ge; return true;
    default: return false;
    }
  }
  // cmp = range [ ( "==" | "!=" | "<" | "<=" | ">" | ">=" ) range ] ;
  Expr *comparison() {
    Expr *e = range();
    BinOp op{};
    if (!comparisonOp(cur().kind, op))
      return e;
    take();
    e = binary(op, e, range());
    BinOp again{};
    if (comparisonOp(cur().kind, again)) {
      diags.error("E0107", cur().span, "comparisons do not chain")
          .also(e->span, "this is already true or false")
          .help("write a < b and b < c");
      fail();
    }
    return e;
  }
  // range = sum [ ".." sum ] ;  half-open; inside subscripts and path patterns an end may be open
  Expr *range() {
    Expr *e = sum();
    if (accept(Tok::DotDot))
      e = binary(BinOp::Range, e, sum());
    return e;
  }
  // sum = product { ( "+" | "-" ) product } ;
  Expr *sum() {
    Expr *e = product();
    while (is(Tok::Plus) || is(Tok::Minus)) {
      BinOp op = take().kind == Tok::Plus ? BinOp::Add : BinOp::Sub;
      e = binary(op, e, product());
    }
    return e;
  }
  // product = unary { ( "*" | "/" | "@" ) unary } ;
  Expr *product() {
    Expr *e = unary();
    while (is(Tok::Star) || is(Tok::Slash) || is(Tok::At)) {
      Tok t = take().kind;
      e = binary(t == Tok::Star ? BinOp::Mul : t == Tok::Slash ? BinOp::Div : BinOp::MatMul, e, unary());
    }
    return e;
  }
  // unary = "-" unary | power ;
  Expr *unary() {
    if (!is(Tok::Minus))
      return power();
    Deeper deeper(*this);
    Expr *e = file.expr(Expr::Neg, take().span);
    e->kids.push_back(unary());
    e->span = spanTo(e->span);
    return e;
  }
  // power = postfix [ "**" unary ] ;
  Expr *power() {
    Expr *e = postfix();
    if (accept(Tok::StarStar))
      e = binary(BinOp::Pow, e, unary());
    return e;
  }

  // postfix = primary { "." NAME | args | "[" subs "]" | "as" type } ;
  Expr *postfix() {
    Expr *e = primary();
    while (true) {
      if (is(Tok::Dot)) {
        take();
        Expr *m = file.expr(Expr::Member, e->span);
        m->kids.push_back(e);
        m->name = name(&m->nameSpan, "a member");
        m->span = spanTo(e->span);
        e = m;
      } else if (is(Tok::LParen)) {
        Expr *c = file.expr(Expr::Call, e->span);
        c->kids.push_back(e);
        c->args = args();
        c->span = spanTo(e->span);
        e = c;
      } else if (is(Tok::LBracket)) {
        Expr *x = file.expr(Expr::Index, e->span);
        x->kids.push_back(e);
        take();
        // subs = sub { "," sub } ;   sub = "..." NAME | expr ;
        while (!is(Tok::RBracket) && !panicking) {
          Subscript s;
          s.span = cur().span;
          if (accept(Tok::Ellipsis))
            s.pack = name();
          else
            s.value = expr();
          s.span = spanTo(s.span);
          x->subs.push_back(s);
          if (!accept(Tok::Comma))
            break;
        }
        if (!panicking && x->subs.empty())
          unexpected("a subscript");
        expect(Tok::RBracket);
        x->span = spanTo(e->span);
        e = x;
      } else if (is(Tok::As)) {
        take();
        Expr *a = file.expr(Expr::As, e->span);
        a->kids.push_back(e);
        a->type = type();
        a->span = spanTo(e->span);
        e = a;
      } else {
        return e;
      }
    }
  }

  // args = "(" [ arg { "," arg } [ "," ] ] ")" ;   arg = [ NAME "=" | "..." ] expr ;
  std::vector<Arg> args() {
    std::vector<Arg> out;
    expect(Tok::LParen);
    while (!is(Tok::RParen) && !panicking) {
      out.push_back(arg());
      if (!panicking && out.back().name.empty() && !out.back().spread && out.size() > 1 &&
          !out[out.size() - 2].name.empty()) {
        diags.error("E0104", out.back().span, "a positional argument after a named one")
            .also(out[out.size() - 2].span, "named here")
            .help("name this one too");
        fail();
      }
      if (!accept(Tok::Comma))
        break;
    }
    expect(Tok::RParen);
    return out;
  }
  Arg arg() {
    Arg a;
    a.span = cur().span;
    if (accept(Tok::Ellipsis)) {
      a.spread = true;
    } else if (is(Tok::Name) && ahead().kind == Tok::Equal) {
      a.name = name(&a.nameSpan);
      take();
    }
    a.value = expr();
    a.span = spanTo(a.span);
    return a;
  }

  // primary = NUMBER | STRING | REGEX | "true" | "false" | "none" | NAME
  //         | "(" expr ")" | "[" [ expr { "," expr } [ "," ] ] "]" | record | block ;
  Expr *primary() {
    Span at = cur().span;
    switch (cur().kind) {
    case Tok::Int: case Tok::Float: {
      const Token &t = take();
      Expr *e = file.expr(t.kind == Tok::Int ? Expr::Int : Expr::Float, at);
      e->integer = t.integer;
      e->number = t.number;
      e->unit = t.unit;
      e->family = t.family;
      return e;
    }
    case Tok::String: return stringExpr(take());
    case Tok::Regex: {
      const Token &t = take();
      Expr *e = file.expr(Expr::Regex, at);
      e->text = t.value;
      e->nameSpan = t.inner;
      return e;
    }
    case Tok::True: case Tok::False: {
      Expr *e = file.expr(Expr::Bool, at);
      e->integer = take().kind == Tok::True;
      return e;
    }
    case Tok::None: take(); return file.expr(Expr::None, at);
    case Tok::Name: {
      Expr *e = file.expr(Expr::Name, at);
      e->name = take().text;
      return e;
    }
    case Tok::LParen: {
      take();
      Expr *e = file.expr(Expr::Paren, at);
      e->kids.push_back(expr());
      expect(Tok::RParen);
      e->span = spanTo(at);
      return e;
    }
    case Tok::LBracket: {
      take();
      Expr *e = file.expr(Expr::List, at);
      while (!is(Tok::RBracket) && !panicking) {
        e->kids.push_back(expr());
        if (!accept(Tok::Comma))
          break;
      }
      expect(Tok::RBracket);
      e->span = spanTo(at);
      return e;
    }
    case Tok::LBrace: {
      // { }, { NAME = and { ... are records, everything else is a block.
      size_t k = 1;
      while (ahead(k).kind == Tok::Newline)
        ++k;
      bool record = ahead(k).kind == Tok::RBrace || ahead(k).kind == Tok::Ellipsis ||
                    (ahead(k).kind == Tok::Name && ahead(k + 1).kind == Tok::Equal);
      return record ? recordExpr() : block();
    }
    default:
      unexpected("an expression");
      return file.expr(Expr::Error, at);
    }
  }

  // record = "{" [ rfield { "," rfield } [ "," ] ] "}" ;   rfield = NAME "=" expr | "..." expr ;
  Expr *recordExpr() {
    Expr *e = file.expr(Expr::Record, take().span);
    skipNewlines();
    while (!is(Tok::RBrace) && !panicking) {
      Arg a;
      a.span = cur().span;
      if (accept(Tok::Ellipsis)) {
        a.spread = true;
      } else {
        a.name = name(&a.nameSpan, "a field");
        expect(Tok::Equal);
      }
      a.value = expr();
      a.span = spanTo(a.span);
      e->args.push_back(a);
      skipNewlines();
      if (!accept(Tok::Comma))
        break;
      skipNewlines();
    }
    expect(Tok::RBrace);
    e->span = spanTo(e->span);
    return e;
  }

  Expr *stringExpr(const Token &t) {
    Expr *e = file.expr(Expr::String, t.span);
    e->triple = t.triple;
    for (const StringPiece &p : t.pieces) {
      e->parts.push_back(p.text);
      if (!p.expr.valid())
        continue;
      Deeper deeper(*this);
      if (!deeper.ok)
        break;
      TokenStream inner = lex(p.expr.file, p.expr.begin, p.expr.end, sm, diags);
      Parser sub(file, std::move(inner), sm, diags, depth);
      e->kids.push_back(sub.parseOnly());
    }
    return e;
  }

  File &file;
  std::vector<Token> toks;
  std::vector<int> depths;
  const SourceManager &sm;
  DiagEngine &diags;
  Token end;
  size_t pos = 0;
  int depth = 0;
  bool panicking = false;
};

} // namespace

std::unique_ptr<File> parseFile(uint32_t id, const SourceManager &sources, DiagEngine &diags) {
  auto file = std::make_unique<File>();
  file->id = id;
  TokenStream stream = lex(id, 0, uint32_t(sources.file(id).text.size()), sources, diags);
  file->comments = stream.comments;
  Parser(*file, std::move(stream), sources, diags).parseFile();
  return file;
}

std::unique_ptr<File> parseExpr(uint32_t id, const SourceManager &sources, DiagEngine &diags,
                                Expr *&out) {
  auto file = std::make_unique<File>();
  file->id = id;
  TokenStream stream = lex(id, 0, uint32_t(sources.file(id).text.size()), sources, diags);
  out = Parser(*file, std::move(stream), sources, diags).parseOnly();
  return file;
}

std::vector<std::string> parseSetPath(std::string_view text) {
  std::vector<std::string> out(1);
  for (char c : text) {
    bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (c >= '0' && c <= '9');
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
