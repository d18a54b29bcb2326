// Declarations, blocks and types. The grammar's production stands above each function.
#include "compiler/syntax/ParserImpl.h"

namespace r1 {

std::string Parser::docs() {
  std::string doc;
  while (is(Tok::Doc)) {
    doc += (doc.empty() ? "" : "\n") + cur().value;
    take();
    skipNewlines();
  }
  return doc;
}

// decl = [ DOC ] ( import | let | typedecl | fn | model | pipeline | test ) ;
Decl *Parser::declaration() {
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
// path   = NAME { "." NAME } ;
// names  = NAME { "," NAME } [ "," ] ;
Decl *Parser::importDecl() {
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
  if (accept(Tok::LParen, Role::NamesParen)) {
    do {
      if (is(Tok::RParen) && !d->names.empty())
        break;
      Span s;
      std::string_view n = name(&s);
      d->names.push_back({n, s});
    } while (separator(Tok::RParen));
    expect(Tok::RParen);
  }
  d->span = spanTo(d->span);
  return d;
}

// let = "let" NAME [ ":" type ] "=" expr ;
Decl *Parser::letDecl() {
  Decl *d = file.decl(Decl::Let, take().span);
  d->name = name(&d->nameSpan);
  if (accept(Tok::Colon))
    d->type = type();
  expect(Tok::Equal, d->type ? Role::None : Role::LetEqual);
  d->value = expr();
  d->span = spanTo(d->span);
  return d;
}

// typedecl = "type" NAME [ "[" names "]" ] "=" type ;
Decl *Parser::typeDecl() {
  Decl *d = file.decl(Decl::TypeAlias, take().span);
  d->name = name(&d->nameSpan);
  if (accept(Tok::LBracket, Role::Subscript)) {
    do {
      if (is(Tok::RBracket) && !d->dimNames.empty())
        break;
      d->dimNames.push_back(name());
    } while (separator(Tok::RBracket));
    expect(Tok::RBracket);
  }
  expect(Tok::Equal);
  d->type = type();
  d->span = spanTo(d->span);
  return d;
}

// fn   = [ attr ] "fn" NAME params [ "->" type ] ( "=" expr | block ) ;
// attr = "@" NAME [ args ] [ NL ] ;
// With an attribute the body may be left out: the signature of a built-in.
Decl *Parser::fnDecl() {
  Decl *d = file.decl(Decl::Fn, cur().span);
  if (is(Tok::At)) {
    d->attr.present = true;
    mark(Role::Attribute);
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
std::vector<Parameter> Parser::params() {
  std::vector<Parameter> ps;
  expect(Tok::LParen, Role::ParamsParen);
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
    if (!separator(Tok::RParen))
      break;
  }
  expect(Tok::RParen);
  return ps;
}

// model    = "model" NAME params "{" { member NL } "}" ;
// pipeline = "pipeline" NAME params "{" { step NL } "}" ;
Decl *Parser::bodyDecl(Decl::Kind kind) {
  Decl *d = file.decl(kind, take().span);
  d->name = name(&d->nameSpan);
  d->params = params();
  if (!is(Tok::LBrace)) {
    unexpected("`{`");
    return d;
  }
  int level = depths[pos] + 1;
  mark(Role::Braces);
  take();
  while (true) {
    skipNewlines();
    if (is(Tok::RBrace) || is(Tok::End))
      break;
    size_t before = pos;
    Decl *m = kind == Decl::Model ? member() : step();
    if (m)
      d->members.push_back(m);
    finish(before, level);
    if (depths[pos] < level && !is(Tok::RBrace))
      break;
  }
  expect(Tok::RBrace);
  d->span = spanTo(d->span);
  return d;
}

// member = [ DOC ] ( "param" NAME ":" type "=" expr | let | fn ) ;
Decl *Parser::member() {
  std::string doc = docs();
  Decl *d = nullptr;
  if (is(Tok::Let)) {
    d = letDecl();
  } else if (is(Tok::Fn) || is(Tok::At)) {
    d = fnDecl();
  } else if (isWord("param")) {
    d = file.decl(Decl::Param, take().span);
    d->name = name(&d->nameSpan);
    expect(Tok::Colon, Role::ParamColon);
    d->type = type();
    expect(Tok::Equal, Role::ParamEqual);
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
Decl *Parser::step() {
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
    expect(Tok::Equal, Role::StageEqual);
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
Decl *Parser::testDecl() {
  Decl *d = file.decl(Decl::Test, take().span);
  d->nameSpan = cur().span;
  if (!is(Tok::String) || cur().pieces.size() != 1)
    unexpected("the test's title, a plain string");
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
Expr *Parser::block() {
  Deeper deeper(*this);
  Expr *e = file.expr(Expr::Block, cur().span);
  int level = panicking ? 0 : depths[pos] + 1;
  expect(Tok::LBrace, Role::Braces);
  while (!panicking) {
    skipNewlines();
    if (is(Tok::RBrace) || is(Tok::End))
      break;
    size_t before = pos;
    docs(); // of a let: allowed, and not kept
    if (is(Tok::Let)) {
      e->stmts.push_back(letDecl());
    } else if (is(Tok::Assert)) {
      Decl *d = file.decl(Decl::Assert, take().span);
      d->value = expr();
      d->span = spanTo(d->span);
      e->stmts.push_back(d);
    } else {
      bool minus = is(Tok::Minus) && !e->stmts.empty() && e->stmts.back()->kind == Decl::Let;
      Span begin = cur().span;
      Expr *value = expr();
      if (minus && !panicking)
        diags.warning("E0109", begin, "a line that begins with - starts a new statement")
            .also(e->stmts.back()->span, "so this ends here")
            .help("to subtract, put the - at the end of the line before");
      if (!is(Tok::Newline) && !is(Tok::RBrace)) {
        unexpected("the end of the line");
      } else if (is(Tok::Newline)) {
        skipNewlines();
        if (!is(Tok::RBrace) && !is(Tok::End)) {
          auto &d = diags.error("E0104", value->span,
                                "the value of a block is its last line; this line's value is lost");
          if (is(Tok::Minus))
            d.note("a line that begins with - starts a new statement; put the - at the end of the "
                   "line before");
          else
            d.help("name it with let, or remove it");
          fail();
        }
      }
      e->kids.push_back(value);
      if (!panicking)
        break;
    }
    finish(before, level);
    if (depths[pos] < level && !is(Tok::RBrace))
      break;
  }
  expect(Tok::RBrace);
  e->span = spanTo(e->span);
  return e;
}

// ── types ───────────────────────────────────────────────────────────────────

// type = base [ "?" ] ;
TypeExpr *Parser::type() {
  Deeper deeper(*this);
  TypeExpr *t = baseType();
  if (accept(Tok::Question))
    t->optional = true;
  t->span = spanTo(t->span);
  return t;
}

// base = path [ "<" sum ">" ] [ "[" dims "]" ] | rectype | "[" type "]"
//      | "fn" "(" [ type { "," type } ] ")" "->" type ;
TypeExpr *Parser::baseType() {
  Span at = cur().span;
  if (is(Tok::LBrace))
    return recordType();
  if (accept(Tok::LBracket, Role::ListType)) {
    TypeExpr *t = file.typeExpr(TypeExpr::List, at);
    t->args.push_back(type());
    expect(Tok::RBracket);
    return t;
  }
  if (accept(Tok::Fn)) {
    TypeExpr *t = file.typeExpr(TypeExpr::Fn, at);
    expect(Tok::LParen, Role::FnTypeParen);
    while (!is(Tok::RParen) && !panicking) {
      t->args.push_back(type());
      if (!separator(Tok::RParen))
        break;
    }
    expect(Tok::RParen);
    expect(Tok::Arrow);
    t->result = type();
    return t;
  }
  TypeExpr *t = file.typeExpr(TypeExpr::Named, at);
  t->path.push_back(name(nullptr, "a type"));
  while (accept(Tok::Dot))
    t->path.push_back(name());
  if (accept(Tok::Less, Role::BoundOpen)) {
    t->bound = sum();
    expect(Tok::Greater, Role::BoundClose);
  }
  if (accept(Tok::LBracket, Role::Subscript)) {
    t->bracketed = true;
    dims(t->dims);
  }
  return t;
}

// dims = dim { "," dim } [ "," ] ;
// dim  = "..." NAME | sum | rectype ;
void Parser::dims(std::vector<DimExpr> &out) {
  do {
    if (is(Tok::RBracket) && !out.empty())
      break;
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
  } while (separator(Tok::RBracket));
  expect(Tok::RBracket);
}

// rectype = "{" [ field { "," field } [ "," ] ] "}" ;
// field   = NAME ":" type ;
TypeExpr *Parser::recordType() {
  TypeExpr *t = file.typeExpr(TypeExpr::Record, cur().span);
  expect(Tok::LBrace, Role::RecordType);
  skipNewlines();
  while (!is(Tok::RBrace) && !panicking) {
    TypeField f;
    f.name = name(&f.span, "a field");
    expect(Tok::Colon);
    f.type = type();
    t->fields.push_back(f);
    skipNewlines();
    if (!separator(Tok::RBrace))
      break;
    skipNewlines();
  }
  expect(Tok::RBrace);
  t->span = spanTo(t->span);
  return t;
}

} // namespace r1
