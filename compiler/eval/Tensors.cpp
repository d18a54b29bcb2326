// Element-wise operations on tensors and on elements, casts, products, reshapes.
#include "compiler/eval/Evaluator.h"
#include <algorithm>
#include <cmath>

namespace r1 {

// ── values ──────────────────────────────────────────────────────────────────

Value Evaluator::tensor(Node *n, const ElemType &e, std::vector<Dim> dims) {
  auto o = std::make_shared<TensorObj>();
  o->node = n;
  o->elem = e;
  o->elem.weak = false;
  o->dims = std::move(dims);
  return Value::of(Value::Tensor, std::move(o));
}

Value Evaluator::scalar(Scalar *s, const ElemType &e) {
  auto o = std::make_shared<ScalarObj>();
  o->s = s;
  o->elem = e;
  return Value::of(Value::Scalar, std::move(o));
}

Value Evaluator::affineScalar(Scalar *s, const ElemType &e, Dim value) {
  auto o = std::make_shared<ScalarObj>();
  o->s = s;
  o->elem = e;
  o->affine = true;
  o->value = std::move(value);
  return Value::of(Value::Scalar, std::move(o));
}

bool Evaluator::elemOf(const Value &v, ElemType &e, Span span) {
  e = {};
  switch (v.kind) {
  case Value::Tensor: e = v.as<TensorObj>().elem; return true;
  case Value::Scalar: e = v.as<ScalarObj>().elem; return true;
  case Value::Leaf: e = v.as<LeafObj>().elem; return true;
  case Value::Int:
  case Value::DimV:
    e.e = Elem::I64;
    e.weak = true;
    return true;
  case Value::Float:
    e.weak = true;
    return true;
  case Value::Bool:
    e.e = Elem::Bool;
    return true;
  case Value::Unknown: {
    auto k = v.as<UnknownObj>().type->kind;
    if (k == Type::Int || k == Type::DimT)
      e.e = Elem::I64;
    else if (k == Type::Bool)
      e.e = Elem::Bool;
    else if (k != Type::Float && k != Type::Any)
      return false;
    e.weak = k != Type::Bool;
    return true;
  }
  default: return false;
  }
}

bool Evaluator::combine(const ElemType &a, const ElemType &b, ElemType &r) {
  r = a;
  if (a.weak && b.weak) {
    if (b.isFloat())
      r = b;
  } else if (a.weak || b.weak) {
    const ElemType &w = a.weak ? a : b, &s = a.weak ? b : a;
    r = s;
    if (s.isBool() || w.isBool() || (w.isFloat() && !s.isFloat()))
      return false;
  } else if (!sameElem(a, b)) {
    return false;
  }
  r.bounded = false;
  return true;
}

Value Evaluator::present(const Value &v, Span span) {
  if (v.is(Value::Scalar)) {
    auto &x = v.as<ScalarObj>();
    auto &d = err("E0307", x.s->span.valid() ? x.s->span : span, "this read may be out of range");
    d.note("a subscript that is not proved in range gives an optional");
    d.help("say what stands there instead: " + std::string(sh.sources.text(x.s->span)) + " ?? 0.0");
  } else {
    err("E0310", span, "this may be `none`: " + kindName(v) + "?").help("give a default with ??");
  }
  return {};
}

Scalar *Evaluator::convert(Scalar *s, const ElemType &from, const ElemType &to, Span span) {
  if (!s)
    return nullptr;
  Elem want = g->elem(to);
  if (s->elem == want)
    return s;
  if (s->kind == Scalar::Const && from.weak) {
    Scalar *c = g->constant(to, s->elem >= Elem::I64 ? (double)s->integer : s->number, span);
    return c;
  }
  return g->op(ScalarOp::Cast, want, {s}, span);
}

Scalar *Evaluator::toScalar(const Value &v, const ElemType &want, Span span) {
  if (v.isError())
    return nullptr;
  if (v.maybe) {
    present(v, span);
    return nullptr;
  }
  int64_t n;
  double f;
  switch (v.kind) {
  case Value::Bool:
    return g->constant(want, v.b, span);
  case Value::Int:
  case Value::Float:
  case Value::DimV:
    if (v.asInt(n) && !want.isFloat())
      return g->integer(g->elem(want), n, span);
    return g->constant(want, v.asFloat(f) ? f : 0.0, span);
  case Value::Unknown:
    return g->constant(want, 0, span);
  case Value::Scalar: {
    auto &x = v.as<ScalarObj>();
    return convert(x.s, x.elem, want, span);
  }
  case Value::Tensor: {
    auto &t = v.as<TensorObj>();
    if (!t.dims.empty()) {
      err("E0302", span, "inside `for` values are single elements, this is " + kindName(v))
          .help("subscript it");
      return nullptr;
    }
    return convert(g->read(t.node, {}, g->elem(t.elem), span), t.elem, want, span);
  }
  default:
    err("E0206", span, "a number is needed here, this is " + kindName(v));
    return nullptr;
  }
}

// ── alignment ───────────────────────────────────────────────────────────────

// What the dim is, scope by scope outwards, until no name is left to follow.
static std::vector<Dim> chain(const Dim &d) {
  std::vector<Dim> r = {axisOf(d)};
  while (r.back().anySym([](const DimSym *s) { return s->kind == DimSym::Bound; })) {
    Dim next = axisOf(r.back().substitute([](const DimSym *s) -> std::optional<Dim> {
      if (s->kind != DimSym::Bound)
        return std::nullopt;
      return s->bound;
    }));
    r.push_back(next);
  }
  return r;
}

bool Evaluator::sameAxis(const Dim &a, const Dim &b) {
  Dim x = axisOf(a), y = axisOf(b);
  if (x == y)
    return true;
  if (x.isConst() || y.isConst())
    return sameSize(x, y) == Same::Yes;
  // Two names of one scope are two axes, even when they are equally long; names of different
  // scopes are one axis when one was bound to the other.
  const DimSym *s = x.symbol(), *t = y.symbol();
  if (s && t && s->frame == t->frame)
    return false;
  for (auto &p : chain(x))
    for (auto &q : chain(y))
      if (!p.isConst() && p == q)
        return true;
  return false;
}

bool Evaluator::mapAxes(const std::vector<Dim> &own, const std::vector<Dim> &dims, std::vector<size_t> &at,
                        bool &ambiguous) {
  at.clear();
  ambiguous = false;
  if (own.size() == dims.size()) {
    for (size_t i = 0; i < own.size(); ++i) {
      if (!sameAxis(own[i], dims[i]))
        return false;
      at.push_back(i);
    }
    return true;
  }
  // By name first; then by what the names are bound to.
  for (bool byName : {true, false}) {
    at.clear();
    bool twice = false;
    for (auto &d : own) {
      size_t from = at.empty() ? 0 : at.back() + 1, hits = 0, first = 0;
      for (size_t k = from; k < dims.size(); ++k)
        if (byName ? axisOf(d) == axisOf(dims[k]) : sameAxis(d, dims[k])) {
          if (!hits++)
            first = k;
        }
      if (!hits)
        break;
      twice |= hits > 1;
      at.push_back(first);
    }
    if (at.size() != own.size())
      continue;
    ambiguous = twice;
    return !twice;
  }
  return false;
}

bool Evaluator::align(const std::vector<const std::vector<Dim> *> &xs, std::vector<Dim> &out,
                      size_t &bad, bool &ambiguous) {
  size_t longest = 0;
  for (size_t i = 1; i < xs.size(); ++i)
    if (xs[i]->size() > xs[longest]->size())
      longest = i;
  ambiguous = false;
  if (xs.empty()) {
    out.clear();
    return true;
  }
  out = *xs[longest];
  std::vector<size_t> at;
  for (size_t i = 0; i < xs.size(); ++i)
    if (!mapAxes(*xs[i], out, at, ambiguous)) {
      bad = i;
      return false;
    }
  return true;
}

static std::string loopName(const Dim &d, size_t i, std::vector<std::string> &used) {
  std::string n = "i" + std::to_string(i);
  if (const DimSym *s = d.symbol()) {
    n.clear();
    for (char c : s->name)
      n += (char)std::tolower((unsigned char)c);
  }
  for (auto &u : used)
    if (u == n)
      n += std::to_string(i);
  used.push_back(n);
  return n;
}

/// Reads `t` at the loops of the axes it has among `dims`.
static std::vector<Scalar *> subscripts(Evaluator &ev, const std::vector<Dim> &own,
                                        const std::vector<Dim> &dims,
                                        const std::vector<LoopVar *> &vars, Span span) {
  std::vector<Scalar *> subs;
  std::vector<size_t> at;
  bool ambiguous;
  ev.mapAxes(own, dims, at, ambiguous);
  for (size_t k : at)
    subs.push_back(ev.g->index(vars[k], span));
  return subs;
}

Value Evaluator::pointwise(const std::vector<Value> &xs, const ElemType &in, const ElemType &out,
                           Span span, const std::function<Scalar *(std::vector<Scalar *> &)> &f,
                           const char *what) {
  for (auto &x : xs) {
    if (x.isError())
      return {};
    if (x.maybe)
      return present(x, span);
  }
  if (!g)
    return fail("E0214", span, std::string("`") + what + "` of tensors stands only in graph functions");
  bool inLoop = false;
  std::vector<const std::vector<Dim> *> shapes;
  std::vector<size_t> which;
  for (size_t i = 0; i < xs.size(); ++i) {
    inLoop |= xs[i].is(Value::Scalar);
    if (xs[i].is(Value::Tensor)) {
      shapes.push_back(&xs[i].as<TensorObj>().dims);
      which.push_back(i);
    }
  }
  std::vector<Scalar *> ss;
  if (inLoop) {
    for (auto &x : xs) {
      ss.push_back(toScalar(x, in, span));
      if (!ss.back())
        return {};
    }
    return scalar(f(ss), out);
  }
  std::vector<Dim> dims;
  size_t bad = 0;
  bool ambiguous = false;
  if (!align(shapes, dims, bad, ambiguous)) {
    const Value &x = xs[which[bad]];
    std::string all;
    for (size_t w : which)
      all += (all.empty() ? "" : " and ") + kindName(xs[w]);
    auto &d = err(ambiguous ? "E0305" : "E0304", span, std::string("`") + what + "` of " + all + ": " +
                      (ambiguous ? "two axes have the same name" : "the dims do not align"));
    (void)x;
    d.note("the dims of one side must be a subsequence, by name, of the other's");
    if (shapes.size() == 2) {
      auto names = [&](const std::vector<Dim> &v) {
        std::string s;
        for (auto &q : v) {
          std::string n;
          for (char c : q.str())
            n += (char)std::tolower((unsigned char)c);
          s += (s.empty() ? "" : ", ") + n;
        }
        return s;
      };
      if (shapes[0]->size() == 1 && shapes[1]->size() == 1)
        d.help("for an outer combination write  for " + names(*shapes[0]) + ", " + names(*shapes[1]) + " => x[" +
               names(*shapes[0]) + "] " + what + " y[" + names(*shapes[1]) + "]");
    }
    return {};
  }
  std::vector<LoopVar *> vars;
  std::vector<std::string> used;
  for (size_t i = 0; i < dims.size(); ++i)
    vars.push_back(g->var(loopName(dims[i], i, used), dims[i]));
  for (auto &x : xs) {
    if (x.is(Value::Tensor)) {
      auto &t = x.as<TensorObj>();
      Scalar *r = g->read(t.node, subscripts(*this, t.dims, dims, vars, span), g->elem(t.elem), span);
      ss.push_back(convert(r, t.elem, in, span));
    } else {
      ss.push_back(toScalar(x, in, span));
    }
    if (!ss.back())
      return {};
  }
  Scalar *body = f(ss);
  return tensor(g->comprehension(vars, body, g->type(out, dims), span), out, dims);
}

// ── arithmetic ──────────────────────────────────────────────────────────────

static bool comparison(ScalarOp op) { return op >= ScalarOp::Lt && op <= ScalarOp::Ne; }
static bool logical(ScalarOp op) { return op == ScalarOp::And || op == ScalarOp::Or; }

static bool constantIs(const Value &v, double want) {
  return (v.is(Value::Float) && v.f == want) || (v.is(Value::Int) && (double)v.i == want);
}

static Value affineOf(Evaluator &ev, ScalarOp op, const Value &a, const Value &b, bool &ok, Dim &out) {
  ok = false;
  auto get = [&](const Value &v, Dim &d) {
    int64_t n;
    if (v.is(Value::Scalar) && v.as<ScalarObj>().affine) {
      d = v.as<ScalarObj>().value;
      return true;
    }
    if (v.is(Value::DimV)) {
      d = v.dims();
      return true;
    }
    if (v.asInt(n)) {
      d = Dim(n);
      return true;
    }
    return false;
  };
  Dim x, y;
  if (!get(a, x) || !get(b, y))
    return {};
  auto isIndex = [](const DimSym *s) { return s->kind == DimSym::Index; };
  switch (op) {
  case ScalarOp::Add: out = x + y; ok = true; break;
  case ScalarOp::Sub: out = x - y; ok = true; break;
  case ScalarOp::Mul:
    if (!x.anySym(isIndex) || !y.anySym(isIndex)) {
      out = x * y;
      ok = true;
    }
    break;
  case ScalarOp::FloorDiv:
  case ScalarOp::Mod: {
    if (y.anySym(isIndex) || !ev.provable(x) || !ev.provable(y - Dim(1)))
      break;
    DimSym *s = ev.sh.dims.make(op == ScalarOp::Mod ? "mod" : "div", DimSym::Index, 0);
    if (op == ScalarOp::Mod) {
      s->bound = y;
    } else {
      // The largest value of x, divided.
      const DimSym *i = x.symbol();
      Dim end;
      if (i && i->kind == DimSym::Index && i->ranged)
        end = i->bound;
      else
        break;
      int64_t n = end.size(), m = y.size();
      if (n > 0 && m > 0)
        s->bound = n % m == 0 ? end / y : Dim((n - 1) / m + 1);
      else if (end.divisible(resolve(y)))
        s->bound = resolve(end) / resolve(y);
      else
        break;
    }
    out = Dim(s);
    ok = true;
    break;
  }
  default: break;
  }
  return {};
}

Value Evaluator::arith(ScalarOp op, const Value &a, const Value &b, Span span, const char *what,
                       Span aSpan, Span bSpan) {
  if (a.isError() || b.isError())
    return {};
  for (auto *x : {&a, &b}) {
    if (x->maybe)
      return present(*x, x == &a && aSpan.valid() ? aSpan : x == &b && bSpan.valid() ? bSpan : span);
    if (x->is(Value::None)) {
      err("E0310", x == &a ? aSpan : bSpan, std::string("one side of `") + what + "` is `none`").help("give a default with ??");
      return {};
    }
  }
  ElemType ea, eb, e;
  if (!elemOf(a, ea, span) || !elemOf(b, eb, span))
    return fail("E0206", span, std::string("`") + what + "` is not defined for " + kindName(a) + " and " + kindName(b));
  if (logical(op) ? !(ea.isBool() && eb.isBool()) : (!combine(ea, eb, e) || (ea.isBool() && !comparison(op)))) {
    if (logical(op) || ea.isBool() || eb.isBool())
      return fail("E0303", span, std::string("`") + what + "` is not defined for " + kindName(a) + " and " + kindName(b));
    auto &d = err("E0303", span, ea.str() + " " + what + " " + eb.str() + ": element types are never converted silently");
    if (aSpan.valid())
      d.also(aSpan, kindName(a));
    if (bSpan.valid())
      d.also(bSpan, kindName(b));
    if (ea.real != eb.real && ea.isFloat() && eb.isFloat()) {
      std::string x(sh.sources.text(aSpan)), y(sh.sources.text(bSpan));
      if (ea.real)
        d.help(x + " " + what + " real(" + y + ")  to continue in the compute dtype");
      else
        d.help("real(" + x + ") " + what + " " + y + "  to continue in the compute dtype");
      if (ea.real)
        d.help("f32(" + x + ") " + what + " " + y + "  for the result in f32");
      else
        d.help(x + " " + what + " f32(" + y + ")  for the result in f32");
    } else {
      d.help("write a cast: f32(x), real(x), i32(x)");
    }
    return {};
  }
  if (logical(op))
    e = ea;
  ElemType out = e;
  if (comparison(op)) {
    out = {};
    out.e = Elem::Bool;
  }
  if (e.isInt() && (op == ScalarOp::Div || op == ScalarOp::Pow)) {
    err("E0303", span, std::string("`") + what + "` of integers: " + kindName(a) + " and " + kindName(b))
        .help(op == ScalarOp::Div ? "div(a, b) rounds down; f32(a) / f32(b) is a fraction" : "convert first: f32(a)");
    return {};
  }
  // x + 0, x * 1 and the usual powers cost nothing.
  bool plain = a.isGraph() && !ea.weak && !comparison(op);
  if (plain && ((op == ScalarOp::Add && constantIs(b, 0)) || (op == ScalarOp::Sub && constantIs(b, 0)) ||
                (op == ScalarOp::Mul && constantIs(b, 1)) || (op == ScalarOp::Div && constantIs(b, 1)) ||
                (op == ScalarOp::Pow && constantIs(b, 1))))
    return a;
  if (b.isGraph() && !eb.weak && ((op == ScalarOp::Add && constantIs(a, 0)) || (op == ScalarOp::Mul && constantIs(a, 1))))
    return b;
  if (op == ScalarOp::Pow && b.isNumber()) {
    double p;
    if (b.asFloat(p)) {
      if (p == 2.0)
        return pointwise({a}, e, out, span, [&](auto &s) { return g->op(ScalarOp::Mul, g->elem(e), {s[0], s[0]}, span); }, what);
      if (p == 3.0)
        return pointwise({a}, e, out, span, [&](auto &s) {
          return g->op(ScalarOp::Mul, g->elem(e), {g->op(ScalarOp::Mul, g->elem(e), {s[0], s[0]}, span), s[0]}, span);
        }, what);
      if (p == 0.5)
        return elementwise(ScalarOp::Sqrt, a, span, "**");
      if (p == -0.5)
        return elementwise(ScalarOp::Rsqrt, a, span, "**");
    }
  }
  Value r = pointwise({a, b}, e, out, span, [&](auto &s) { return g->op(op, g->elem(out), {s[0], s[1]}, span); }, what);
  if (r.is(Value::Scalar) && e.isInt() && !comparison(op)) {
    bool ok;
    Dim value;
    affineOf(*this, op, a, b, ok, value);
    if (ok)
      return affineScalar(r.as<ScalarObj>().s, r.as<ScalarObj>().elem, value);
  }
  return r;
}

Value Evaluator::elementwise(ScalarOp op, const Value &x, Span span, const char *what) {
  if (x.isError())
    return {};
  if (x.maybe)
    return present(x, span);
  ElemType e;
  if (!elemOf(x, e, span))
    return fail("E0206", span, std::string("`") + what + "` is not defined for " + kindName(x));
  bool floatOnly = op >= ScalarOp::Exp && op <= ScalarOp::Sign;
  if (op == ScalarOp::Not ? !e.isBool() : e.isBool() || (floatOnly && !e.isFloat() && !e.weak)) {
    auto &d = err("E0303", span, std::string("`") + what + "` is not defined for " + kindName(x));
    if (floatOnly && e.isInt())
      d.help("convert first: f32(x)");
    return {};
  }
  if (floatOnly && e.weak && e.isInt())
    e.e = Elem::F32;
  e.bounded = false;
  Value r = pointwise({x}, e, e, span, [&](auto &s) { return g->op(op, g->elem(e), {s[0]}, span); }, what);
  if (op == ScalarOp::Neg && r.is(Value::Scalar) && x.is(Value::Scalar) && x.as<ScalarObj>().affine)
    return affineScalar(r.as<ScalarObj>().s, r.as<ScalarObj>().elem, x.as<ScalarObj>().value.scaled(-1, 1));
  return r;
}

Value Evaluator::cast(const Value &v0, ElemType to, Span span) {
  Value v = v0.is(Value::Leaf) && g ? leafValue(v0) : v0;
  if (v.isError())
    return {};
  if (v.maybe)
    return present(v, span);
  ElemType e;
  if (!elemOf(v, e, span))
    return fail("E0206", span, "a cast takes a number or a tensor, this is " + kindName(v));
  if (to.isBool() && !e.isBool())
    return fail("E0303", span, "a number is not converted to bool; compare it");
  if (g && to.real)
    to.e = g->compute;
  if (!v.isGraph() && !(g && loopDepth)) {
    double f;
    int64_t n;
    if (v.is(Value::Unknown))
      return v;
    if (to.isInt()) {
      if (v.asInt(n))
        return Value::integer(n);
      if (v.asFloat(f))
        return Value::integer((int64_t)std::trunc(f));
    }
    if (v.is(Value::Bool))
      return Value::real(v.b);
    if (v.asFloat(f))
      return Value::real(f);
    return v.is(Value::DimV) ? v : fail("E0206", span, "cannot convert " + kindName(v));
  }
  bool same = g->elem(e) == g->elem(to) && !e.weak;
  if (v.is(Value::Tensor) && same) { // only the name of the type changes
    auto &t = v.as<TensorObj>();
    return tensor(t.node, to, t.dims);
  }
  return pointwise({v}, e, to, span, [&](auto &s) { return convert(s[0], e, to, span); }, "cast");
}

// ── products, reshapes, conditions ──────────────────────────────────────────

Value Evaluator::matmul(const Value &a, const Value &b, Span span, Span aSpan, Span bSpan) {
  if (a.isError() || b.isError())
    return {};
  for (auto *x : {&a, &b})
    if (x->maybe)
      return present(*x, x == &a ? aSpan : bSpan);
  if (!a.is(Value::Tensor) || !b.is(Value::Tensor) || a.as<TensorObj>().dims.empty() || b.as<TensorObj>().dims.empty())
    return fail("E0302", span, "`@` is the product of two tensors, not of " + kindName(a) + " and " + kindName(b));
  auto &x = a.as<TensorObj>(), &w = b.as<TensorObj>();
  ElemType e;
  if (!combine(x.elem, w.elem, e)) {
    auto &d = err("E0303", span, x.elem.str() + " @ " + w.elem.str() + ": element types are never converted silently");
    d.also(aSpan, kindName(a)).also(bSpan, kindName(b));
    return {};
  }
  if (sameSize(x.dims.back(), w.dims.front()) == Same::No) {
    auto &d = err("E0301", span, "`@` joins the last axis of the left side to the first of the right: " + nameAndNumber(x.dims.back()) + " and " + nameAndNumber(w.dims.front()));
    d.also(aSpan, kindName(a)).also(bSpan, kindName(b));
    return {};
  }
  std::vector<LoopVar *> vars;
  std::vector<Dim> dims(x.dims.begin(), x.dims.end() - 1);
  dims.insert(dims.end(), w.dims.begin() + 1, w.dims.end());
  std::vector<std::string> used;
  for (size_t i = 0; i < dims.size(); ++i)
    vars.push_back(g->var(loopName(dims[i], i, used), dims[i]));
  LoopVar *k = g->var(loopName(x.dims.back(), dims.size(), used), x.dims.back());
  std::vector<Scalar *> xs, ws;
  size_t nx = x.dims.size() - 1;
  for (size_t i = 0; i < nx; ++i)
    xs.push_back(g->index(vars[i], span));
  xs.push_back(g->index(k, span));
  ws.push_back(g->index(k, span));
  for (size_t i = nx; i < dims.size(); ++i)
    ws.push_back(g->index(vars[i], span));
  Elem ge = g->elem(e);
  Scalar *body = g->reduce(ReduceOp::Sum, ge, {k},
                           g->op(ScalarOp::Mul, ge, {g->read(x.node, xs, ge, aSpan), g->read(w.node, ws, ge, bSpan)}, span), span);
  return tensor(g->comprehension(vars, body, g->type(e, dims), span), e, dims);
}

Value Evaluator::reshape(const Value &v, const Type &t, Span span) {
  if (v.maybe)
    return present(v, span);
  if (t.kind != Type::Tensor || !v.is(Value::Tensor)) {
    if (t.kind == Type::Tensor && v.is(Value::List))
      return coerce(v, t, span, "the value");
    return fail("E0302", span, "`as` reshapes a tensor, this is " + kindName(v) + " as " + t.str());
  }
  auto &x = v.as<TensorObj>();
  if (!sameElem(x.elem, t.elem)) {
    err("E0303", span, "`as` changes the shape, not the element type: " + kindName(v) + " as " + t.str())
        .help((t.elem.real ? "real" : std::string(elemName(t.elem.e))) + "(…) converts");
    return {};
  }
  std::vector<Dim> want = expand(t.dims);
  auto product = [](const std::vector<Dim> &ds) {
    Dim p(1);
    for (auto &d : ds)
      p = p * d;
    return p;
  };
  Dim from = product(x.dims), to = product(want);
  for (auto &d : want)
    if (d.inexact())
      return fail("E0312", span, d.str() + " is not a whole number");
  if (!unifyDim(to, from)) {
    auto &d = err("E0308", span, "`as` keeps the number of elements, and " + typeText(t.elem, want) + " has another");
    d.note(typeText(x.elem, x.dims) + " has " + nameAndNumber(from) + ", " + typeText(t.elem, want) + " has " + nameAndNumber(to));
    return {};
  }
  ElemType e = x.elem;
  Node *n = g->node(Node::Reshape, g->type(e, want), span);
  n->operands = {g->local(x.node)};
  return tensor(n, e, want);
}

Value Evaluator::select(const Value &c, const Value &a, const Value &b, Span span) {
  if (a.isError() || b.isError() || c.isError())
    return {};
  if (a.is(Value::Record) && b.is(Value::Record)) {
    Fields f;
    for (auto &[k, x] : a.as<RecordObj>().fields) {
      auto *y = b.as<RecordObj>().find(k);
      if (!y)
        return fail("E0208", span, "the branches of `if` are records with different fields: `" + k + "`");
      f.emplace_back(k, select(c, x, *y, span));
    }
    return Value::record(std::move(f));
  }
  ElemType ea, eb, e;
  if (!elemOf(a, ea, span) || !elemOf(b, eb, span))
    return fail("E0214", span, "`if` on a value of the graph chooses between numbers and tensors, not " + kindName(a) + " and " + kindName(b));
  if (ea.isBool() && eb.isBool())
    e = ea;
  else if (!combine(ea, eb, e)) {
    err("E0303", span, "the branches of `if` are " + ea.str() + " and " + eb.str() + ": element types are never converted silently");
    return {};
  }
  ElemType boolean;
  boolean.e = Elem::Bool;
  // The condition keeps its type; the branches become `e`.
  auto prep = [&](const Value &v) -> Value {
    if (v.is(Value::Tensor) && !sameElem(v.as<TensorObj>().elem, e))
      return cast(v, e, span);
    return v;
  };
  Value x = prep(a), y = prep(b);
  bool inLoop = c.is(Value::Scalar) || x.is(Value::Scalar) || y.is(Value::Scalar);
  if (inLoop) {
    Scalar *sc = toScalar(c, boolean, span), *sx = toScalar(x, e, span), *sy = toScalar(y, e, span);
    if (!sc || !sx || !sy)
      return {};
    return scalar(g->op(ScalarOp::Select, g->elem(e), {sc, sx, sy}, span), e);
  }
  std::vector<Value> xs = {c, x, y};
  // `pointwise` converts all operands alike, so the condition goes through a comparison's type.
  std::vector<const std::vector<Dim> *> shapes;
  for (auto &v : xs)
    if (v.is(Value::Tensor))
      shapes.push_back(&v.as<TensorObj>().dims);
  std::vector<Dim> dims;
  size_t bad;
  bool ambiguous;
  if (!align(shapes, dims, bad, ambiguous))
    return fail(ambiguous ? "E0305" : "E0304", span, "the condition and the branches of `if` do not align: " + kindName(c) + ", " + kindName(x) + ", " + kindName(y));
  std::vector<LoopVar *> vars;
  std::vector<std::string> used;
  for (size_t i = 0; i < dims.size(); ++i)
    vars.push_back(g->var(loopName(dims[i], i, used), dims[i]));
  std::vector<Scalar *> ss;
  for (size_t i = 0; i < 3; ++i) {
    const ElemType &want = i ? e : boolean;
    if (xs[i].is(Value::Tensor)) {
      auto &t = xs[i].as<TensorObj>();
      ss.push_back(convert(g->read(t.node, subscripts(*this, t.dims, dims, vars, span), g->elem(t.elem), span), t.elem, want, span));
    } else {
      ss.push_back(toScalar(xs[i], want, span));
    }
    if (!ss.back())
      return {};
  }
  return tensor(g->comprehension(vars, g->op(ScalarOp::Select, g->elem(e), ss, span), g->type(e, dims), span), e, dims);
}

Value Evaluator::graphIf(const Expr &e, const Value &cond, const ScopeP &sc, const Type *expect) {
  ElemType ce;
  if (!elemOf(cond, ce, e.span) || !ce.isBool())
    return fail("E0206", e.kids[0]->span, "a condition is a bool, this is " + kindName(cond));
  if (cond.is(Value::Tensor) && !cond.as<TensorObj>().dims.empty()) {
    err("E0302", e.kids[0]->span, "a condition is one element, this is " + kindName(cond))
        .help("choose per element inside a `for`");
    return {};
  }
  Value a, b;
  {
    Saved<std::vector<Dim>> keep(facts);
    addFacts(*e.kids[0], sc, true);
    a = eval(*e.kids[1], sc, expect);
  }
  {
    Saved<std::vector<Dim>> keep(facts);
    addFacts(*e.kids[0], sc, false);
    b = eval(*e.kids[2], sc, expect);
  }
  if (a.maybe)
    return present(a, e.kids[1]->span);
  if (b.maybe)
    return present(b, e.kids[2]->span);
  return select(cond, a, b, e.span);
}

} // namespace r1
