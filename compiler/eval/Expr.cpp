// Literals, blocks, conditions, records: expressions that are neither arithmetic nor calls.
#include "compiler/eval/Evaluator.h"
#include <algorithm>
#include <cmath>
#include <unordered_map>

namespace r1 {

// ── literals ────────────────────────────────────────────────────────────────

static Value numberLiteral(const Expr &e) {
  if (e.unit.empty()) {
    if (e.kind == Expr::Int)
      return Value::integer(e.integer);
    return Value::real(e.number);
  }
  Value v;
  switch (e.family) {
  case UnitFamily::Ratio:
    return Value::real(e.scaled());
  case UnitFamily::Memory:
    v = Value(Value::Bytes);
    v.f = e.scaled();
    return v;
  case UnitFamily::Time:
    v = Value(Value::Duration);
    v.f = e.scaled();
    return v;
  case UnitFamily::Length: {
    auto o = std::make_shared<BudgetObj>();
    o->amount = e.scaled();
    o->unit = e.unit[0] == 's' ? BudgetSteps : e.unit[0] == 'e' ? BudgetEpochs : BudgetTokens;
    return Value::of(Value::Budget, std::move(o));
  }
  case UnitFamily::None:
    break;
  }
  return Value::real(e.number);
}

Value Evaluator::bindLetValue(std::string_view name, Span span, const ScopeP &sc, Value v) {
  if (v.is(Value::DimV)) {
    int64_t n;
    if (rowMode) {
      if (v.asInt(n))
        v = Value::integer(n);
    } else if (!v.dims().isConst()) {
      v = Value::dim(
          Dim(sh.dims.bind(std::string(name), v.dims(), DimSym::Alias, sc->frame, span)));
    }
  }
  return v;
}

bool Evaluator::evalStmt(const Decl &d, const ScopeP &sc) {
  if (d.kind == Decl::Let) {
    TypeP t = d.type ? type(*d.type, sc, true) : nullptr;
    Value v = eval(*d.value, sc, t.get());
    if (d.type)
      v = t ? coerce(v, *t, d.value->span, "the value") : Value();
    sc->set(d.name, bindLetValue(d.name, d.nameSpan, sc, v));
    return true;
  }
  // Assert
  Value v = eval(*d.value, sc);
  bool ok = true;
  if (v.is(Value::Tensor)) {
    std::vector<double> r;
    if (!testMode) {
      err("E0214", d.value->span,
          "an assert in a function is about host values, this is " + kindName(v));
      return false;
    }
    if (!evaluateTensor(v, r, d.value->span))
      return false;
    for (double x : r)
      ok &= x != 0;
  } else if (!truth(v, d.value->span, ok)) {
    return v.is(Value::Unknown);
  }
  if (!ok) {
    auto &x = err("E0212", d.value->span, "the assertion fails");
    explainAssert(*d.value, sc, x);
  }
  return ok;
}

void Evaluator::explainAssert(const Expr &e, const ScopeP &sc, Diag &d) {
  if (e.kind == Expr::Binary && (e.op == BinOp::And || e.op == BinOp::Or)) {
    explainAssert(*e.kids[0], sc, d);
    explainAssert(*e.kids[1], sc, d);
    return;
  }
  // Both sides of a comparison or of `close`, when they can be shown.
  std::vector<const Expr *> sides;
  if (e.kind == Expr::Binary && e.op >= BinOp::Eq && e.op <= BinOp::Ge)
    sides = {e.kids[0], e.kids[1]};
  else if (e.kind == Expr::Call && e.kids[0]->kind == Expr::Name && e.kids[0]->name == "close")
    for (auto &a : e.args)
      if (a.name.empty())
        sides.push_back(a.value);
  // Of two names either may give way.
  if (!testMode && e.kind == Expr::Binary && (e.op == BinOp::Le || e.op == BinOp::Ge) &&
      sides[0]->kind == Expr::Name && sides[1]->kind == Expr::Name) {
    const bool le = e.op == BinOp::Le;
    const Value small = eval(*sides[!le], sc), large = eval(*sides[le], sc);
    int64_t s, l;
    if (small.asInt(s) && large.asInt(l) && s > l)
      d.help("let `" + std::string(sides[le]->name) + "` be " + std::to_string(s) + " at least, or `" +
             std::string(sides[!le]->name) + "` " + std::to_string(l) + " at most");
  }
  std::vector<std::string> notes;
  for (auto *s : sides) {
    if (s->kind == Expr::Int || s->kind == Expr::Float || s->kind == Expr::String)
      continue;
    Value v = eval(*s, sc);
    std::string shown;
    std::vector<double> xs;
    if (v.is(Value::Tensor) && testMode && evaluateTensor(v, xs, s->span)) {
      for (size_t i = 0; i < xs.size() && i < 8; ++i)
        shown += (i ? ", " : "[") + text(Value::real(xs[i]));
      shown += xs.size() > 8 ? ", ...]" : "]";
    } else if (!v.isGraph() && !v.isError()) {
      shown = text(v);
    }
    if (!shown.empty())
      notes.push_back("`" + std::string(sh.sources.text(s->span)) + "` is " + shown);
  }
  for (auto &n : notes)
    if (std::find(d.notes.begin(), d.notes.end(), n) == d.notes.end())
      d.note(n);
}

Value Evaluator::evalBlock(const Expr &e, const ScopeP &sc, const Type *expect) {
  auto inner = std::make_shared<Scope>();
  inner->parent = sc;
  inner->frame = sc->frame;
  for (auto *s : e.stmts)
    if (!evalStmt(*s, inner) && s->kind == Decl::Assert && !testMode)
      return {};
  return e.kids.empty() ? Value(Value::None) : eval(*e.kids[0], inner, expect);
}

Value Evaluator::join(const Value &a, const Value &b, Span span) {
  if (a.isError() || b.isError())
    return {};
  if (a.is(Value::None) && b.is(Value::None))
    return a;
  if (a.is(Value::None) || b.is(Value::None)) {
    Value v = a.is(Value::None) ? b : a;
    v.maybe = true;
    return v;
  }
  Value v = a;
  if (a.is(Value::DimV) && b.is(Value::DimV) && !(a.dims() == b.dims())) {
    auto t = std::make_shared<Type>();
    t->kind = Type::Int;
    return Value::unknown(t);
  }
  if ((a.is(Value::Int) || a.is(Value::Float) || a.is(Value::Bool) || a.is(Value::Str)) &&
      a.kind == b.kind) {
    auto t = std::make_shared<Type>();
    t->kind = a.is(Value::Int)     ? Type::Int
              : a.is(Value::Float) ? Type::Float
              : a.is(Value::Bool)  ? Type::Bool
                                   : Type::Str;
    return Value::unknown(t);
  }
  v.maybe |= b.maybe;
  return v;
}

// ── the switch ──────────────────────────────────────────────────────────────

Value Evaluator::eval(const Expr &e, const ScopeP &sc, const Type *expect) {
  switch (e.kind) {
  case Expr::Error:
    return {};
  case Expr::Int:
  case Expr::Float:
    return numberLiteral(e);
  case Expr::Bool:
    return Value::boolean(e.integer != 0);
  case Expr::None:
    return Value(Value::None);
  case Expr::String: {
    std::string s = e.parts.empty() ? "" : e.parts[0];
    bool unknown = false;
    for (size_t i = 0; i < e.kids.size(); ++i) {
      Value v = eval(*e.kids[i], sc);
      if (v.isError())
        return {};
      if (v.isGraph() || v.is(Value::Fn) || v.is(Value::Model) || v.is(Value::Handle))
        return fail("E0206", e.kids[i]->span, "a string cannot hold " + kindName(v));
      unknown |= v.is(Value::Unknown);
      s += text(v);
      if (i + 1 < e.parts.size())
        s += e.parts[i + 1];
      if (s.size() > longestText && !rowMode)
        break;
    }
    if (unknown) {
      auto t = std::make_shared<Type>();
      t->kind = Type::Str;
      return Value::unknown(t);
    }
    return bounded(std::move(s), e.span);
  }
  case Expr::Regex: {
    auto o = std::make_shared<RegexObj>();
    o->text = e.text;
    DiagEngine found;
    o->re = compileRegex(e, found);
    if (!o->re) // only in a --set: those of files were compiled when their names were checked
      return fail("E0108", e.span, found.all().front().title);
    return Value::of(Value::Regex, std::move(o));
  }
  case Expr::Name: {
    Value v = lookup(e.name, sc, e.span);
    if (v.is(Value::Leaf) && g)
      return leafValue(v);
    return v;
  }
  case Expr::List: {
    auto o = std::make_shared<ListObj>();
    for (auto *k : e.kids) {
      Value v =
          eval(*k, sc, expect && expect->kind == Type::List ? expect->args[0].get() : nullptr);
      if (v.isError())
        return {};
      o->items.push_back(std::move(v));
    }
    return Value::of(Value::List, std::move(o));
  }
  case Expr::Record: {
    Fields fields;
    auto put = [&](std::string name, Value v) {
      for (auto &[k, x] : fields)
        if (k == name) {
          x = std::move(v);
          return;
        }
      fields.emplace_back(std::move(name), std::move(v));
    };
    std::set<std::string_view> written;
    bool bad = false;
    for (auto &a : e.args) {
      if (a.spread) {
        Value v = eval(*a.value, sc);
        if (v.is(Value::Record)) {
          for (auto &[k, x] : v.as<RecordObj>().fields)
            put(k, x);
        } else if (!v.isError()) {
          err("E0206", a.value->span, "`...` spreads a record, this is " + kindName(v));
          bad = true;
        } else {
          bad = true;
        }
        continue;
      }
      if (!written.insert(a.name).second) {
        err("E0204", a.nameSpan, "the record has two fields `" + std::string(a.name) + "`");
        bad = true;
      }
      const Type *want = nullptr;
      if (expect)
        for (auto &[k, t] : expect->fields)
          if (k == a.name)
            want = t.get();
      Value v = eval(*a.value, sc, want);
      bad |= v.isError();
      put(std::string(a.name), std::move(v));
    }
    return bad ? Value() : Value::record(std::move(fields));
  }
  case Expr::Block:
    return evalBlock(e, sc, expect);
  case Expr::Lambda: {
    auto f = std::make_shared<FnObj>();
    f->lambda = &e;
    f->scope = sc;
    f->name = "the function";
    return Value::of(Value::Fn, std::move(f));
  }
  case Expr::For:
    return comprehension(e, sc, expect);
  case Expr::If: {
    Value c = eval(*e.kids[0], sc);
    if (c.isError())
      return {};
    if (c.is(Value::Unknown)) {
      Value a = eval(*e.kids[1], sc, expect), b = eval(*e.kids[2], sc, expect);
      return join(a, b, e.span);
    }
    if (c.isGraph())
      return graphIf(e, c, sc, expect);
    bool b;
    if (!truth(c, e.kids[0]->span, b))
      return {};
    return eval(*e.kids[b ? 1 : 2], sc, expect);
  }
  case Expr::Pipe: {
    Value x = eval(*e.kids[0], sc);
    if (x.isError())
      return {};
    return call(*e.kids[1], sc, expect, nullptr, &x, e.kids[0]->span);
  }
  case Expr::Binary: {
    if (e.op == BinOp::Coalesce) {
      Value a = eval(*e.kids[0], sc, expect);
      if (a.isError())
        return {};
      if (a.is(Value::None))
        return eval(*e.kids[1], sc, expect);
      if (!a.maybe && !(a.is(Value::Unknown) && a.as<UnknownObj>().type->optional))
        return a;
      return orElse(a, eval(*e.kids[1], sc, expect), e.span);
    }
    if (e.op == BinOp::And || e.op == BinOp::Or) {
      Value a = eval(*e.kids[0], sc);
      if (a.is(Value::Bool) && a.b == (e.op == BinOp::Or))
        return a;
      if (a.is(Value::Bool))
        return eval(*e.kids[1], sc);
      if (a.is(Value::Scalar)) {
        Saved<std::vector<Dim>> keep(facts);
        addFacts(*e.kids[0], sc, e.op == BinOp::And);
        Value b = eval(*e.kids[1], sc);
        return binary(e, a, b);
      }
      return binary(e, a, eval(*e.kids[1], sc));
    }
    Value a = eval(*e.kids[0], sc), b = eval(*e.kids[1], sc);
    return binary(e, a, b);
  }
  case Expr::Not:
  case Expr::Neg:
    return unary(e, eval(*e.kids[0], sc));
  case Expr::Member: {
    Value b = eval(*e.kids[0], sc);
    Value v = member(b, e.name, e.nameSpan, e.kids[0]);
    if (v.is(Value::Leaf) && g)
      return leafValue(v);
    return v;
  }
  case Expr::Call:
    return call(e, sc, expect);
  case Expr::Index:
    return subscript(e, sc);
  case Expr::As: {
    Value v = eval(*e.kids[0], sc);
    if (v.isError())
      return {};
    TypeP t = type(*e.type, sc, true);
    if (!t)
      return {};
    return reshape(v, *t, e.span);
  }
  case Expr::Paren:
    return eval(*e.kids[0], sc, expect);
  }
  return {};
}

} // namespace r1
