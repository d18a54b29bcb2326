// The syntax tree. Plain structs owned by their File; names are slices of the source text, which
// outlives it. Every node knows its bytes.
//
// Children are kept in the same few fields for all kinds (`kids`, `args`, ...), so that walking a
// tree needs no switch: see `forEachChild`.
#pragma once
#include "compiler/diag/Diag.h"
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace r1 {

struct Expr;
struct TypeExpr;
struct Decl;

/// The family a number's unit belongs to. Families do not mix.
enum class UnitFamily : uint8_t { None, Ratio, Memory, Time, Length };

/// One argument of a call: `e`, `name = e` or `...e`.
struct Arg {
  std::string_view name; // empty: positional or spread
  Expr *value = nullptr;
  bool spread = false;
  Span nameSpan, span;
};

/// One field of a record: `name = e` or `...e`.
using RecordField = Arg;

/// A parameter of a function, model, pipeline or lambda.
struct Parameter {
  std::string_view name;
  TypeExpr *type = nullptr; // may be null
  Expr *init = nullptr;     // default value; of a lambda: the range after `in`
  Span span, nameSpan;
};

/// `for i, j in 2, ...s`
struct ForIndex {
  std::string_view name;
  Expr *range = nullptr; // after `in`; may be null
  bool pack = false;
  Span span;
};

/// One subscript: `e` or `...s`.
struct Subscript {
  Expr *value = nullptr; // null for a pack
  std::string_view pack;
  Span span;
};

enum class BinOp : uint8_t {
  Coalesce,
  Or,
  And,
  Eq,
  Ne,
  Lt,
  Le,
  Gt,
  Ge,
  Range,
  Add,
  Sub,
  Mul,
  Div,
  MatMul,
  Pow
};
const char *spelling(BinOp); // "??", "or", ...

struct Expr {
  enum Kind : uint8_t {
    Int,    // integer, with `unit` when it has one
    Float,  // number, with `unit` when it has one
    String, // parts and kids: parts[0] kids[0] parts[1] ... (kids are the ${} expressions)
    Regex,  // text: the raw pattern; textSpan starts at its first byte
    Bool,   // integer 0 or 1
    None,
    Name,   // name
    List,   // kids
    Record, // args
    Block,  // stmts, kids[0] the value (absent: kids empty)
    Lambda, // params => kids[0]
    For,    // indices => kids[0]
    If,     // kids: condition, then, else
    Pipe,   // kids[0] |> kids[1], which is a Call: the first argument of it
    Binary, // op, kids[0], kids[1]
    Not,
    Neg,    // kids[0]
    Member, // kids[0] . name (nameSpan)
    Call,   // kids[0] ( args )
    Index,  // kids[0] [ subs ]
    As,     // kids[0] as type
    Paren,  // ( kids[0] )
    Error   // what could not be parsed; reported already
  } kind = Error;
  BinOp op{};
  Span span;
  Span nameSpan;         // Member: the name; Regex: the pattern
  std::string_view name; // Name, Member
  std::string_view unit; // Int, Float: "GB", "steps", "%"; empty if none
  UnitFamily family = UnitFamily::None;
  int64_t integer = 0;
  double number = 0;              // value of Int and Float, before the unit is applied
  std::string text;               // Regex: pattern
  std::vector<std::string> parts; // String: literal pieces, unescaped
  std::vector<Expr *> kids;
  std::vector<Arg> args;
  std::vector<Parameter> params;
  std::vector<ForIndex> indices;
  std::vector<Subscript> subs;
  std::vector<Decl *> stmts; // Block: Let and Assert
  TypeExpr *type = nullptr;
  bool triple = false; // String: written """..."""
  /// The value with its unit: bytes, seconds, or a plain count.
  double scaled() const;
};

/// `name: type` of a record type.
struct TypeField {
  std::string_view name;
  TypeExpr *type = nullptr;
  Span span;
};

/// One dim of a tensor type: a size expression, a pack, or (Corpus[{...}]) a row type.
struct DimExpr {
  Expr *size = nullptr;
  std::string_view pack;
  TypeExpr *row = nullptr;
  Span span;
};

struct TypeExpr {
  enum Kind : uint8_t {
    Named,  // path, bound, dims
    Record, // fields
    List,   // args[0]
    Fn      // args -> result
  } kind = Named;
  bool optional = false;
  bool bracketed = false; // Named with [ ]: a tensor or a generic
  Span span;
  std::vector<std::string_view> path; // "real", "prelude.x"
  Expr *bound = nullptr;              // i32<V>
  std::vector<DimExpr> dims;
  std::vector<TypeField> fields;
  std::vector<TypeExpr *> args;
  TypeExpr *result = nullptr;
};

/// `@name(args)`
struct Attr {
  std::string_view name;
  std::vector<Arg> args;
  Span span;
  bool present = false;
};

/// A declaration, a member, a step or a statement.
struct Decl {
  enum Kind : uint8_t {
    Import,    // path or file; alias; names
    Let,       // name, type?, value
    TypeAlias, // name, dimNames, type
    Fn,        // attr?, name, params, type? (result), value (null: a built-in's signature)
    Model,     // name, params, members
    Pipeline,  // name, params, members
    Test,      // text, value (a block)
    Param,     // member: name, type, value
    Stage,     // step: name, on?, value
    Assert     // statement: value
  } kind = Let;
  Span span, nameSpan;
  std::string_view name;
  std::string doc; // lines of /// joined by newlines
  Attr attr;
  std::vector<Parameter> params;
  TypeExpr *type = nullptr;
  Expr *value = nullptr;
  Expr *on = nullptr;
  bool block = false; // Fn: written with a block instead of `= expr`
  std::vector<Decl *> members;
  std::vector<std::string_view> dimNames; // TypeAlias
  std::vector<std::string_view> path;     // Import
  std::string file;                       // Import
  std::string_view alias;                 // Import
  struct Imported {
    std::string_view name;
    Span span;
  };
  std::vector<Imported> names; // Import
  std::string text;            // Test: its title
};

/// Of `@builtin("name", version, "PARAM")`: the parameter that takes, as a record, the named arguments that
/// are none of the other parameters, as in extend(data, quality = …). Empty for all other functions.
inline std::string_view gathersNamed(const Decl &d) {
  if (!d.attr.present || d.attr.args.size() < 3 || d.attr.args[2].value->parts.empty())
    return {};
  return d.attr.args[2].value->parts[0];
}

/// A comment, kept for fmt. `ownLine`: nothing but spaces before it.
struct Comment {
  Span span;
  bool ownLine = false;
};

/// A parsed file. Owns its nodes.
struct File {
  uint32_t id = 0; // in the SourceManager
  std::string doc; // lines of //!
  std::vector<Decl *> decls;
  std::vector<Comment> comments;

  Expr *expr(Expr::Kind kind, Span span);
  TypeExpr *typeExpr(TypeExpr::Kind kind, Span span);
  Decl *decl(Decl::Kind kind, Span span);

private:
  std::deque<Expr> exprs;
  std::deque<TypeExpr> types;
  std::deque<Decl> declarations;
};

/// Calls `f` on every direct child expression, including those in types, parameters and statements.
template <class F> void forEachChild(const Decl &d, F &&f);
template <class F> void forEachChild(const TypeExpr &t, F &&f) {
  if (t.bound)
    f(*t.bound);
  for (auto &d : t.dims) {
    if (d.size)
      f(*d.size);
    if (d.row)
      forEachChild(*d.row, f);
  }
  for (auto &x : t.fields)
    forEachChild(*x.type, f);
  for (auto *a : t.args)
    forEachChild(*a, f);
  if (t.result)
    forEachChild(*t.result, f);
}
template <class F> void forEachChild(const Expr &e, F &&f) {
  for (auto *k : e.kids)
    f(*k);
  for (auto &a : e.args)
    f(*a.value);
  for (auto &p : e.params) {
    if (p.type)
      forEachChild(*p.type, f);
    if (p.init)
      f(*p.init);
  }
  for (auto &i : e.indices)
    if (i.range)
      f(*i.range);
  for (auto &s : e.subs)
    if (s.value)
      f(*s.value);
  for (auto *s : e.stmts)
    forEachChild(*s, f);
  if (e.type)
    forEachChild(*e.type, f);
}
template <class F> void forEachChild(const Decl &d, F &&f) {
  for (auto &a : d.attr.args)
    f(*a.value);
  for (auto &p : d.params) {
    if (p.type)
      forEachChild(*p.type, f);
    if (p.init)
      f(*p.init);
  }
  if (d.type)
    forEachChild(*d.type, f);
  if (d.on)
    f(*d.on);
  if (d.value)
    f(*d.value);
  for (auto *m : d.members)
    forEachChild(*m, f);
}

} // namespace r1
