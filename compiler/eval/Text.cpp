// Host values as JSON (rows, specs) and as text (fingerprints).
#include "compiler/eval/Stages.h"
#include "compiler/syntax/Printer.h"
#include <algorithm>
#include <cmath>

namespace r1 {

Json toJson(Evaluator &ev, const Value &v) {
  int64_t n;
  switch (v.kind) {
  case Value::None:
    return nullptr;
  case Value::Bool:
    return v.b;
  case Value::Int:
    return v.i;
  case Value::Float:
    if (std::isfinite(v.f))
      return v.f;
    return std::isnan(v.f) ? "nan" : v.f < 0 ? "-inf" : "inf";
  case Value::DimV:
    return v.asInt(n) ? Json(n) : Json(v.dims().str());
  case Value::Str:
    return v.string();
  case Value::Bytes:
    return (int64_t)std::llround(v.f);
  case Value::Duration:
    return v.f;
  case Value::Regex:
    return v.as<RegexObj>().text;
  case Value::DType:
    return ev.text(v);
  case Value::Budget: {
    static const char *const units[] = {"steps", "epochs", "tokens", "seconds"};
    auto &b = v.as<BudgetObj>();
    bool whole = b.amount == std::floor(b.amount) && b.amount < 9e15;
    return Json{{units[b.unit], whole ? Json((int64_t)b.amount) : Json(b.amount)}};
  }
  case Value::Range: {
    int64_t lo, hi;
    Value::dim(v.as<RangeObj>().lo).asInt(lo);
    Value::dim(v.as<RangeObj>().hi).asInt(hi);
    return Json{{"from", lo}, {"to", hi}};
  }
  case Value::List: {
    Json j = Json::array();
    for (auto &x : v.as<ListObj>().items)
      j.push_back(toJson(ev, x));
    return j;
  }
  case Value::Record: {
    Json j = Json::object();
    for (auto &[k, x] : v.as<RecordObj>().fields)
      j[k] = toJson(ev, x);
    return j;
  }
  case Value::Handle:
    return v.as<HandleObj>().spec;
  case Value::Fn:
  case Value::Model:
  case Value::ModelDef:
    return Json{{"source", canonicalText(ev, v)}};
  default:
    return nullptr;
  }
}

Value fromJson(const Json &j) {
  switch (j.type()) {
  case Json::value_t::boolean:
    return Value::boolean(j.get<bool>());
  case Json::value_t::number_integer:
  case Json::value_t::number_unsigned:
    return Value::integer(j.get<int64_t>());
  case Json::value_t::number_float:
    return Value::real(j.get<double>());
  case Json::value_t::string:
    return Value::str(j.get<std::string>());
  case Json::value_t::array: {
    std::vector<Value> items;
    for (auto &x : j)
      items.push_back(fromJson(x));
    return Value::list(std::move(items));
  }
  case Json::value_t::object: {
    Fields f;
    for (auto &[k, x] : j.items())
      f.emplace_back(k, fromJson(x));
    return Value::record(std::move(f));
  }
  default:
    return Value(Value::None);
  }
}

// The names a lambda uses that are bound outside of it and inside of a function or pipeline.
static void freeNames(const Expr &e, std::vector<std::string_view> &bound,
                      std::vector<std::string_view> &out) {
  size_t mark = bound.size();
  auto isBound = [&](std::string_view n) {
    return std::find(bound.begin(), bound.end(), n) != bound.end();
  };
  if (e.kind == Expr::Name) {
    if (!isBound(e.name) && std::find(out.begin(), out.end(), e.name) == out.end())
      out.push_back(e.name);
    return;
  }
  for (auto &p : e.params)
    bound.push_back(p.name);
  for (auto &i : e.indices)
    bound.push_back(i.name);
  for (auto *s : e.stmts)
    if (s->kind == Decl::Let)
      bound.push_back(s->name);
  forEachChild(e, [&](const Expr &k) { freeNames(k, bound, out); });
  bound.resize(mark);
}

std::string canonicalText(Evaluator &ev, const Value &v) {
  switch (v.kind) {
  case Value::Fn: {
    auto &f = v.as<FnObj>();
    if (f.constant)
      return ev.text(*f.constant);
    if (f.builtin)
      return f.builtin->name;
    if (f.decl)
      return f.self ? canonicalText(
                          ev, Value::of(Value::Model, std::const_pointer_cast<ModelObj>(f.self))) +
                          "." + std::string(f.decl->name)
                    : std::string(f.decl->name);
    if (!f.lambda)
      return f.name;
    std::string s = normalised(*f.lambda), where;
    std::vector<std::string_view> bound, names;
    freeNames(*f.lambda, bound, names);
    std::sort(names.begin(), names.end());
    for (auto n : names)
      for (Scope *sc = f.scope.get(); sc && !sc->module; sc = sc->parent.get())
        if (Value *x = sc->find(n)) {
          if (!x->isGraph())
            where +=
                (where.empty() ? " where " : ", ") + std::string(n) + " = " + canonicalText(ev, *x);
          break;
        }
    return s + where;
  }
  case Value::ModelDef:
    return std::string(v.as<ModelDefObj>().decl->name);
  case Value::Model: {
    auto &m = v.as<ModelObj>();
    if (!m.from.empty())
      return "stage " + m.from;
    std::string s;
    for (auto &p : m.decl->params)
      if (Value *x = m.scope->find(p.name))
        s += (s.empty() ? "" : ", ") + std::string(p.name) + " = " + canonicalText(ev, *x);
    return std::string(m.decl->name) + "(" + s + ")";
  }
  case Value::Handle:
    return v.as<HandleObj>().spec.dump();
  case Value::List: {
    std::string s;
    for (auto &x : v.as<ListObj>().items)
      s += (s.empty() ? "" : ", ") + canonicalText(ev, x);
    return "[" + s + "]";
  }
  case Value::Record: {
    std::string s;
    for (auto &[k, x] : v.as<RecordObj>().fields)
      s += (s.empty() ? "" : ", ") + k + " = " + canonicalText(ev, x);
    return "{" + s + "}";
  }
  case Value::Str:
    return Json(v.string()).dump();
  case Value::Regex:
    return "re" + Json(v.as<RegexObj>().text).dump();
  default:
    return ev.text(v);
  }
}

std::string shownText(Evaluator &ev, const Value &v) {
  constexpr size_t most = 2000;
  auto list = [&](auto &items, auto &&text) {
    std::string s;
    for (auto &x : items)
      if (s.size() < most)
        s += (s.empty() ? "" : ", ") + text(x);
    return s;
  };
  auto field = [&](auto &f) { return f.first + " = " + shownText(ev, f.second); };
  switch (v.kind) {
  case Value::Fn: {
    auto &f = v.as<FnObj>();
    if (!f.made.empty())
      return f.made;
    if (!f.lambda)
      return canonicalText(ev, v);
    std::string s;
    for (char c : ev.sh.sources.text(f.lambda->span)) // on one line
      if (const bool blank = c == ' ' || c == '\n' || c == '\t' || c == '\r'; !blank || (!s.empty() && s.back() != ' '))
        s += blank ? ' ' : c;
    return s;
  }
  case Value::Model: {
    auto &m = v.as<ModelObj>();
    if (!m.from.empty())
      return m.from;
    return std::string(m.decl->name) + "(" + list(m.decl->params, [&](auto &p) {
             Value *x = m.scope->find(p.name);
             return std::string(p.name) + " = " + (x ? shownText(ev, *x) : "?");
           }) + ")";
  }
  case Value::Record: {
    auto &r = v.as<RecordObj>();
    return r.made.empty() ? "{" + list(r.fields, field) + "}" : r.made;
  }
  case Value::List:
    return "[" + list(v.as<ListObj>().items, [&](auto &x) { return shownText(ev, x); }) + "]";
  case Value::Float: {
    double d = v.f;
    return std::isfinite(d) ? Json(d).dump() : ev.text(v);
  }
  default:
    return canonicalText(ev, v);
  }
}

} // namespace r1
