// What the @builtin functions of stages and data share: their arguments, and what they make.
#pragma once
#include "compiler/eval/Builtins.h"
#include "compiler/eval/Stages.h"

namespace r1 {

inline int index(const BuiltinCall &c, std::string_view name) {
  for (size_t i = 0; i < c.args.size(); ++i)
    if (c.args[i].name == name)
      return (int)i;
  return -1;
}
inline const Value &arg(const BuiltinCall &c, std::string_view name) {
  static const Value none(Value::None);
  int i = index(c, name);
  return i < 0 ? none : c.args[(size_t)i].value;
}
inline Span spanOf(const BuiltinCall &c, std::string_view name) {
  int i = index(c, name);
  return i < 0 ? c.span : c.args[(size_t)i].span;
}

/// Ids of a vocabulary, of a row, rows of a batch: what the runtime counts in 32 bits, and products
/// of two in 64.
constexpr int64_t mostIds = 1 << 24;

/// The int argument `name`, of 1 to mostIds; false after E0213, which says that `what` ("a row
/// has") so many `of` ("tokens").
inline bool countOf(Evaluator &ev, const BuiltinCall &c, std::string_view name, int64_t &n,
             const char *what, const char *of) {
  if (arg(c, name).asInt(n) && n >= 1 && n <= mostIds)
    return true;
  ev.err("E0213", spanOf(c, name),
         std::string(what) + " 1 to " + std::to_string(mostIds) + " " + of + ", this is " +
             ev.text(arg(c, name)));
  return false;
}

inline bool inPipeline(Evaluator &ev, const BuiltinCall &c) {
  if (ev.stages)
    return true;
  if (!ev.symbolic)
    ev.err("E0214", c.span,
           "`" + std::string(c.name) + "` makes a part of a pipeline and stands only in one");
  return false;
}

inline std::shared_ptr<HandleObj> handle(const char *type, const BuiltinCall &c, std::string_view op) {
  auto h = std::make_shared<HandleObj>();
  h->type = type;
  h->span = c.span;
  h->builtins[std::string(op)] = c.version;
  return h;
}

/// A pass over a corpus: {"op": ..., "in": ...}.
inline std::shared_ptr<HandleObj> pass(const BuiltinCall &c, const char *op, const Value &in, Json args) {
  auto h = handle("corpus", c, op);
  auto &x = in.as<HandleObj>();
  h->spec = std::move(args);
  h->spec["op"] = op;
  h->spec["in"] = x.spec;
  h->files = x.files;
  for (auto &[k, v] : x.builtins)
    h->builtins[k] = v;
  return h;
}

inline Value unpackedOnly(Evaluator &ev, const BuiltinCall &c, const Value &in) {
  if (!in.as<HandleObj>().batch.is_null())
    return ev.fail("E0206", spanOf(c, "data"),
                   "`" + std::string(c.name) +
                       "` works on rows of text; these are packed into tokens already");
  return Value(Value::None);
}

} // namespace r1
