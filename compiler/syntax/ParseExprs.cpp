// Expressions, loosest first. The grammar's production stands above each function.
#include "compiler/syntax/ParserImpl.h"

namespace r1 {

// expr = lambda | for | if | pipe ;
Expr *Parser::expr() {
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
Expr *Parser::lambda() {
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
      if (!separator(Tok::RParen))
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
Expr *Parser::forExpr() {
  Expr *e = file.expr(Expr::For, take().span);
  do {
    ForIndex i;
    i.span = cur().span;
    i.pack = accept(Tok::Ellipsis);
    i.name = name(&i.span, "an index");
    if (!i.pack && accept(Tok::In))
      i.range = range();
    e->indices.push_back(i);
  } while (accept(Tok::Comma, Role::IndexComma));
  expect(Tok::FatArrow);
  e->kids.push_back(expr());
  e->span = spanTo(e->span);
  return e;
}

// if = "if" expr "then" expr "else" expr ;
Expr *Parser::ifExpr() {
  Expr *e = file.expr(Expr::If, take().span);
  e->kids.push_back(expr());
  expect(Tok::Then);
  e->kids.push_back(expr());
  expect(Tok::Else);
  e->kids.push_back(expr());
  e->span = spanTo(e->span);
  return e;
}

Expr *Parser::binary(BinOp op, Expr *a, Expr *b) {
  Expr *e = file.expr(Expr::Binary, a->span);
  e->op = op;
  e->kids = {a, b};
  e->span = spanTo(a->span);
  return e;
}

// pipe = coalesce { "|>" call } ;
// call = postfix ;  which must end in args
Expr *Parser::pipe() {
  Chain chain(*this);
  Expr *e = coalesce();
  while (accept(Tok::PipeRight)) {
    chain.link();
    Expr *call = postfix();
    if (!panicking && call->kind != Expr::Call) {
      diags.error("E0104", call->span, "`|>` needs a call on its right")
          .help("write " + std::string(sm.text(call->span)) + "()",
                {call->span.file, call->span.end, call->span.end}, "()");
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
Expr *Parser::coalesce() {
  Chain chain(*this);
  Expr *e = orExpr();
  while (accept(Tok::QuestionQuestion)) {
    chain.link();
    e = binary(BinOp::Coalesce, e, orExpr());
  }
  return e;
}

// or = and { "or" and } ;
Expr *Parser::orExpr() {
  Chain chain(*this);
  Expr *e = andExpr();
  while (accept(Tok::Or)) {
    chain.link();
    e = binary(BinOp::Or, e, andExpr());
  }
  return e;
}

// and = not { "and" not } ;
Expr *Parser::andExpr() {
  Chain chain(*this);
  Expr *e = notExpr();
  while (accept(Tok::And)) {
    chain.link();
    e = binary(BinOp::And, e, notExpr());
  }
  return e;
}

// not = { "not" } cmp ;
Expr *Parser::notExpr() {
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
  case Tok::EqualEqual:
    op = BinOp::Eq;
    return true;
  case Tok::NotEqual:
    op = BinOp::Ne;
    return true;
  case Tok::Less:
    op = BinOp::Lt;
    return true;
  case Tok::LessEqual:
    op = BinOp::Le;
    return true;
  case Tok::Greater:
    op = BinOp::Gt;
    return true;
  case Tok::GreaterEqual:
    op = BinOp::Ge;
    return true;
  default:
    return false;
  }
}

// cmp = range [ ( "==" | "!=" | "<" | "<=" | ">" | ">=" ) range ] ;
Expr *Parser::comparison() {
  Expr *e = range();
  BinOp op{};
  if (!comparisonOp(cur().kind, op))
    return e;
  take();
  if (op == BinOp::Gt)
    skipNewlines(); // the lexer takes `>` at a line's end for that of a type
  e = binary(op, e, range());
  BinOp again{};
  if (comparisonOp(cur().kind, again)) {
    std::string middle(sm.text(e->kids[1]->span));
    diags.error("E0107", cur().span, "comparisons do not chain")
        .also(e->span, "this is already true or false")
        .help("write  " + std::string(sm.text(e->span)) + " and " + middle + " " + spelling(again) +
              " ...");
    fail();
  }
  return e;
}

// range = sum [ ".." sum ] ;
Expr *Parser::range() {
  Expr *e = sum();
  if (accept(Tok::DotDot))
    e = binary(BinOp::Range, e, sum());
  return e;
}

// sum = product { ( "+" | "-" ) product } ;
Expr *Parser::sum() {
  Chain chain(*this);
  Expr *e = product();
  while (is(Tok::Plus) || is(Tok::Minus)) {
    chain.link();
    BinOp op = take().kind == Tok::Plus ? BinOp::Add : BinOp::Sub;
    e = binary(op, e, product());
  }
  return e;
}

// product = unary { ( "*" | "/" | "@" ) unary } ;
Expr *Parser::product() {
  Chain chain(*this);
  Expr *e = unary();
  while (is(Tok::Star) || is(Tok::Slash) || is(Tok::At)) {
    chain.link();
    Tok t = take().kind;
    BinOp op = t == Tok::Star ? BinOp::Mul : t == Tok::Slash ? BinOp::Div : BinOp::MatMul;
    e = binary(op, e, unary());
  }
  return e;
}

// unary = "-" unary | power ;
Expr *Parser::unary() {
  if (!is(Tok::Minus))
    return power();
  Deeper deeper(*this);
  mark(Role::Unary);
  Expr *e = file.expr(Expr::Neg, take().span);
  e->kids.push_back(unary());
  e->span = spanTo(e->span);
  return e;
}

// power = postfix [ "**" unary ] ;
Expr *Parser::power() {
  Expr *e = postfix();
  if (accept(Tok::StarStar)) {
    Deeper deeper(*this);
    e = binary(BinOp::Pow, e, unary());
  }
  return e;
}

// postfix = primary { "." NAME | args | "[" subs "]" | "as" type } ;
// subs    = sub { "," sub } ;
// sub     = "..." NAME | expr ;
Expr *Parser::postfix() {
  Chain chain(*this);
  Expr *e = primary();
  while (true) {
    Expr *outer = nullptr;
    if (is(Tok::Dot)) {
      chain.link();
      take();
      outer = file.expr(Expr::Member, e->span);
      outer->name = name(&outer->nameSpan, "a member");
    } else if (is(Tok::LParen)) {
      chain.link();
      outer = file.expr(Expr::Call, e->span);
      outer->args = args();
    } else if (is(Tok::LBracket)) {
      chain.link();
      outer = file.expr(Expr::Index, e->span);
      expect(Tok::LBracket, Role::Subscript);
      do {
        Subscript s;
        s.span = cur().span;
        if (is(Tok::RBracket))
          unexpected("a subscript");
        else if (accept(Tok::Ellipsis))
          s.pack = name();
        else
          s.value = expr();
        s.span = spanTo(s.span);
        if (!panicking)
          outer->subs.push_back(s);
      } while (separator(Tok::RBracket));
      expect(Tok::RBracket);
    } else if (accept(Tok::As)) {
      chain.link();
      outer = file.expr(Expr::As, e->span);
      outer->type = type();
    } else {
      return e;
    }
    outer->kids.push_back(e);
    outer->span = spanTo(e->span);
    e = outer;
  }
}

// args = "(" [ arg { "," arg } [ "," ] ] ")" ;  positional before named
std::vector<Arg> Parser::args() {
  std::vector<Arg> out;
  expect(Tok::LParen, Role::CallParen);
  while (!is(Tok::RParen) && !panicking) {
    out.push_back(arg());
    const Arg &a = out.back();
    const Arg *before = out.size() > 1 ? &out[out.size() - 2] : nullptr;
    if (!panicking && a.name.empty() && !a.spread && before && !before->name.empty()) {
      diags.error("E0104", a.span, "a positional argument after a named one")
          .also(before->span, "named here")
          .help("name this one too");
      fail();
    }
    if (!separator(Tok::RParen))
      break;
  }
  expect(Tok::RParen);
  return out;
}

// arg = [ NAME "=" | "..." ] expr ;
Arg Parser::arg() {
  Arg a;
  a.span = cur().span;
  if (accept(Tok::Ellipsis)) {
    a.spread = true;
  } else if (is(Tok::Name) && ahead().kind == Tok::Equal) {
    a.name = name(&a.nameSpan);
    expect(Tok::Equal, Role::ArgEqual);
  }
  a.value = expr();
  a.span = spanTo(a.span);
  return a;
}

// primary = NUMBER | STRING | REGEX | "true" | "false" | "none" | NAME
//         | "(" expr ")" | "[" [ expr { "," expr } [ "," ] ] "]" | record | block ;
Expr *Parser::primary() {
  Span at = cur().span;
  switch (cur().kind) {
  case Tok::Int:
  case Tok::Float: {
    const Token &t = take();
    Expr *e = file.expr(t.kind == Tok::Int ? Expr::Int : Expr::Float, at);
    e->integer = t.integer;
    e->number = t.number;
    e->unit = t.unit;
    e->family = t.family;
    return e;
  }
  case Tok::String:
    return stringExpr(take());
  case Tok::Regex: {
    const Token &t = take();
    Expr *e = file.expr(Expr::Regex, at);
    e->text = t.value;
    e->nameSpan = t.inner;
    return e;
  }
  case Tok::True:
  case Tok::False: {
    Expr *e = file.expr(Expr::Bool, at);
    e->integer = take().kind == Tok::True;
    return e;
  }
  case Tok::None:
    take();
    return file.expr(Expr::None, at);
  case Tok::Name: {
    if (firstOnLine(pos) && declStart(pos)) { // `model M` after an operator
      unexpected("an expression");
      return file.expr(Expr::Error, at);
    }
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
    mark(Role::ListBracket);
    take();
    Expr *e = file.expr(Expr::List, at);
    while (!is(Tok::RBracket) && !panicking) {
      e->kids.push_back(expr());
      if (!separator(Tok::RBracket))
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

// record = "{" [ rfield { "," rfield } [ "," ] ] "}" ;  newlines inside mean nothing
// rfield = NAME "=" expr | "..." expr ;
Expr *Parser::recordExpr() {
  Expr *e = file.expr(Expr::Record, cur().span);
  expect(Tok::LBrace, Role::Record);
  skipNewlines();
  while (!is(Tok::RBrace) && !panicking) {
    Arg a;
    a.span = cur().span;
    if (accept(Tok::Ellipsis)) {
      a.spread = true;
    } else {
      a.name = name(&a.nameSpan, "a field");
      expect(Tok::Equal, Role::ArgEqual);
    }
    a.value = expr();
    a.span = spanTo(a.span);
    e->args.push_back(a);
    skipNewlines();
    if (!separator(Tok::RBrace))
      break;
    skipNewlines();
  }
  expect(Tok::RBrace);
  e->span = spanTo(e->span);
  return e;
}

/// The ${} of a string are lexed and parsed where they stand, so that their spans are the file's.
Expr *Parser::stringExpr(const Token &t) {
  Expr *e = file.expr(Expr::String, t.span);
  e->triple = t.triple;
  for (const StringPiece &p : t.pieces) {
    e->parts.push_back(p.text);
    if (!p.expr.valid())
      continue;
    Deeper deeper(*this);
    if (panicking)
      break;
    TokenStream inner = lex(p.expr.file, p.expr.begin, p.expr.end, sm, diags);
    if (!inner.comments.empty())
      diags.error("E0104", inner.comments[0].span, "a comment inside of ${}")
          .help("put it beside the string");
    Parser sub(file, std::move(inner), sm, diags, nullptr, depth);
    sub.height = height;
    e->kids.push_back(sub.parseOnly("the end of ${}"));
  }
  return e;
}

} // namespace r1
