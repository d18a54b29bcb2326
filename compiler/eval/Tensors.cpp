// Tensors and elements as values; arithmetic and casts.
#include "compiler/eval/Align.h"
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
  case Value::Tensor:
    e = v.as<TensorObj>().elem;
    return true;
  case Value::Scalar:
    e = v.as<ScalarObj>().elem;
    return true;
  case Value::Leaf:
    e = v.as<LeafObj>().elem;
    return true;
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
  default:
    return false;
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

// ── arithmetic ──────────────────────────────────────────────────────────────

static bool comparison(ScalarOp op) { return op >= ScalarOp::Lt && op <= ScalarOp::Ne; }
static bool logical(ScalarOp op) { return op == ScalarOp::And || op == ScalarOp::Or; }

static bool constantIs(const Value &v, double want) {
  return (v.is(Value::Float) && v.f == want) || (v.is(Value::Int) && (double)v.i == want);
}

static Value affineOf(Evaluator &ev, ScalarOp op, const Value &a, const Value &b, bool &ok,
                      Dim &out) {
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
  case ScalarOp::Add:
    out = x + y;
    ok = true;
    break;
  case ScalarOp::Sub:
    out = x - y;
    ok = true;
    break;
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
  default:
    break;
  }
  return {};
}

Value Evaluator::arith(ScalarOp op, const Value &a, const Value &b, Span span, const char *what,
                       Span aSpan, Span bSpan) {
  if (a.isError() || b.isError())
    return {};
  for (auto *x : {&a, &b}) {
    if (x->maybe)
      return present(*x, x == &a && aSpan.valid()   ? aSpan
                         : x == &b && bSpan.valid() ? bSpan
                                                    : span);
    if (x->is(Value::None)) {
      err("E0310", x == &a ? aSpan : bSpan, std::string("one side of `") + what + "` is `none`")
          .help("give a default with ??");
      return {};
    }
  }
  ElemType ea, eb, e;
  if (!elemOf(a, ea, span) || !elemOf(b, eb, span))
    return fail("E0206", span,
                std::string("`") + what + "` is not defined for " + kindName(a) + " and " +
                    kindName(b));
  if (logical(op) ? !(ea.isBool() && eb.isBool())
                  : (!combine(ea, eb, e) || (ea.isBool() && !comparison(op)))) {
    if (logical(op) || ea.isBool() || eb.isBool())
      return fail("E0303", span,
                  std::string("`") + what + "` is not defined for " + kindName(a) + " and " +
                      kindName(b));
    auto &d = err("E0303", span,
                  ea.str() + " " + what + " " + eb.str() +
                      ": element types are never converted silently");
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
    err("E0303", span,
        std::string("`") + what + "` of integers: " + kindName(a) + " and " + kindName(b))
        .help(op == ScalarOp::Div ? "div(a, b) rounds down; f32(a) / f32(b) is a fraction"
                                  : "convert first: f32(a)");
    return {};
  }
  // x + 0, x * 1 and the usual powers cost nothing.
  bool plain = a.isGraph() && !ea.weak && !comparison(op);
  if (plain &&
      ((op == ScalarOp::Add && constantIs(b, 0)) || (op == ScalarOp::Sub && constantIs(b, 0)) ||
       (op == ScalarOp::Mul && constantIs(b, 1)) || (op == ScalarOp::Div && constantIs(b, 1)) ||
       (op == ScalarOp::Pow && constantIs(b, 1))))
    return a;
  if (b.isGraph() && !eb.weak &&
      ((op == ScalarOp::Add && constantIs(a, 0)) || (op == ScalarOp::Mul && constantIs(a, 1))))
    return b;
  if (op == ScalarOp::Pow && b.isNumber()) {
    double p;
    if (b.asFloat(p)) {
      if (p == 2.0)
        return pointwise(
            {a}, e, out, span,
            [&](auto &s) { return g->op(ScalarOp::Mul, g->elem(e), {s[0], s[0]}, span); }, what);
      if (p == 3.0)
        return pointwise(
            {a}, e, out, span,
            [&](auto &s) {
              return g->op(ScalarOp::Mul, g->elem(e),
                           {g->op(ScalarOp::Mul, g->elem(e), {s[0], s[0]}, span), s[0]}, span);
            },
            what);
      if (p == 0.5)
        return elementwise(ScalarOp::Sqrt, a, span, "**");
      if (p == -0.5)
        return elementwise(ScalarOp::Rsqrt, a, span, "**");
    }
  }
  Value r = pointwise(
      {a, b}, e, out, span, [&](auto &s) { return g->op(op, g->elem(out), {s[0], s[1]}, span); },
      what);
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
  Value r = pointwise(
      {x}, e, e, span, [&](auto &s) { return g->op(op, g->elem(e), {s[0]}, span); }, what);
  if (op == ScalarOp::Neg && r.is(Value::Scalar) && x.is(Value::Scalar) && x.as<ScalarObj>().affine)
    return affineScalar(r.as<ScalarObj>().s, r.as<ScalarObj>().elem,
                        x.as<ScalarObj>().value.scaled(-1, 1));
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

} // namespace r1
