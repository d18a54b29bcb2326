// Functions on numbers and elements: they take host values and tensors alike.
#include "compiler/eval/Builtins.h"
#include "compiler/eval/GraphEval.h"
#include <algorithm>

namespace r1 {

namespace {

Value unaryOf(Evaluator &ev, BuiltinCall &c, ScalarOp op, double (*host)(double)) {
  const Value &x = c[0];
  double f;
  if (x.is(Value::Leaf) && ev.g) {
    BuiltinCall d = c;
    d.args[0].value = ev.leafValue(x);
    return unaryOf(ev, d, op, host);
  }
  if (x.isGraph())
    return ev.elementwise(op, x, c.args[0].span, c.name.data());
  if (x.is(Value::Unknown))
    return x;
  if (x.asFloat(f))
    return op == ScalarOp::Abs && x.is(Value::Int) ? Value::integer(std::abs(x.i))
                                                   : Value::real(host(f));
  return ev.fail("E0206", c.args[0].span,
                 "`" + std::string(c.name) + "` takes a number or a tensor, this is " +
                     kindName(x));
}

#define R1_UNARY(fn, op, expr)                                                                     \
  Value fn(Evaluator &ev, BuiltinCall &c) {                                                        \
    return unaryOf(ev, c, ScalarOp::op, [](double x) -> double { return expr; });                  \
  }
R1_UNARY(expF, Exp, std::exp(x))
R1_UNARY(logF, Log, std::log(x))
R1_UNARY(sqrtF, Sqrt, std::sqrt(x))
R1_UNARY(rsqrtF, Rsqrt, 1.0 / std::sqrt(x))
R1_UNARY(sinF, Sin, std::sin(x))
R1_UNARY(cosF, Cos, std::cos(x))
R1_UNARY(tanhF, Tanh, std::tanh(x))
R1_UNARY(erfF, Erf, std::erf(x))
R1_UNARY(absF, Abs, std::fabs(x))
R1_UNARY(signF, Sign, (double)((x > 0) - (x < 0)))
#undef R1_UNARY

Value extremum(Evaluator &ev, BuiltinCall &c, bool max) {
  const Value &a = c[0], &b = c[1];
  if (a.isGraph() || b.isGraph())
    return ev.arith(max ? ScalarOp::Max : ScalarOp::Min, a, b, c.span, max ? "maximum" : "minimum",
                    c.args[0].span, c.args[1].span);
  if (a.is(Value::Unknown))
    return a;
  if (b.is(Value::Unknown))
    return b;
  int64_t m, n;
  double x, y;
  if (a.asInt(m) && b.asInt(n))
    return Value::integer(max ? std::max(m, n) : std::min(m, n));
  if (a.asFloat(x) && b.asFloat(y))
    return Value::real(max ? std::fmax(x, y) : std::fmin(x, y));
  return ev.fail("E0206", c.span,
                 "`" + std::string(c.name) + "` takes two numbers or tensors, these are " +
                     kindName(a) + " and " + kindName(b));
}
Value maximum(Evaluator &ev, BuiltinCall &c) { return extremum(ev, c, true); }
Value minimum(Evaluator &ev, BuiltinCall &c) { return extremum(ev, c, false); }

Value clamp(Evaluator &ev, BuiltinCall &c) {
  BuiltinCall lo = c, hi = c;
  lo.name = "maximum";
  hi.name = "minimum";
  lo.args = {c.args[0], c.args[1]};
  Value v = extremum(ev, lo, true);
  if (v.isError())
    return v;
  hi.args = {c.args[0], c.args[2]};
  hi.args[0].value = v;
  return extremum(ev, hi, false);
}

Value divMod(Evaluator &ev, BuiltinCall &c, bool mod) {
  const Value &a = c[0], &b = c[1];
  if (a.isGraph() || b.isGraph())
    return ev.arith(mod ? ScalarOp::Mod : ScalarOp::FloorDiv, a, b, c.span, mod ? "mod" : "div",
                    c.args[0].span, c.args[1].span);
  if (a.is(Value::Unknown) || b.is(Value::Unknown))
    return a.is(Value::Unknown) ? a : b;
  int64_t m, n;
  double x, y;
  if (a.asInt(m) && b.asInt(n)) {
    if (!n)
      return ev.fail("E0213", c.span, "division by zero");
    int64_t q = m / n, r = m % n;
    if (r && (r < 0) != (n < 0)) {
      --q;
      r += n;
    }
    return Value::integer(mod ? r : q);
  }
  if (a.asFloat(x) && b.asFloat(y))
    return Value::real(mod ? x - y * std::floor(x / y) : std::floor(x / y));
  if (a.isNumber() && b.isNumber()) {
    auto t = std::make_shared<Type>();
    t->kind = Type::Int;
    return Value::unknown(t);
  }
  return ev.fail("E0206", c.span, "`" + std::string(c.name) + "` takes two numbers");
}
Value modF(Evaluator &ev, BuiltinCall &c) { return divMod(ev, c, true); }
Value divF(Evaluator &ev, BuiltinCall &c) { return divMod(ev, c, false); }

template <int E> Value castTo(Evaluator &ev, BuiltinCall &c) {
  ElemType t;
  if (E < 0)
    t.real = true;
  else
    t.e = (Elem)E;
  return ev.cast(c[0], t, c.span);
}

Value toFloat(Evaluator &ev, BuiltinCall &c) {
  double f;
  if (c[0].isGraph()) {
    ElemType t;
    t.weak = false;
    return ev.cast(c[0], t, c.span);
  }
  if (c[0].asFloat(f))
    return Value::real(f);
  auto t = std::make_shared<Type>();
  t->kind = Type::Float;
  if (c[0].is(Value::Unknown) || c[0].is(Value::DimV))
    return Value::unknown(t);
  return ev.fail("E0206", c.args[0].span, "`float` takes a number, this is " + kindName(c[0]));
}

Value toInt(Evaluator &ev, BuiltinCall &c) {
  double f;
  int64_t n;
  if (c[0].asInt(n))
    return Value::integer(n);
  if (c[0].asFloat(f)) {
    if (!(std::fabs(f) < 9e18))
      return ev.fail("E0213", c.args[0].span, ev.text(c[0]) + " is not an int");
    return Value::integer((int64_t)std::trunc(f));
  }
  if (c[0].is(Value::Unknown) || c[0].is(Value::DimV)) {
    auto t = std::make_shared<Type>();
    t->kind = Type::Int;
    return Value::unknown(t);
  }
  return ev.fail("E0206", c.args[0].span,
                 "`int` takes a number, this is " + kindName(c[0]) +
                     (c[0].isGraph() ? "; write i32(x)" : ""));
}

Value full(Evaluator &ev, BuiltinCall &c) {
  if (!ev.g)
    return ev.fail("E0214", c.span, "`full` builds a tensor, which stands only in graph functions");
  std::vector<Dim> dims;
  for (size_t i = 1; i < c.args.size(); ++i) {
    auto d = ev.dimValue(c[i], c.args[i].span, "a size");
    if (!d)
      return {};
    dims.push_back(*d);
  }
  ElemType e;
  if (!ev.elemOf(c[0], e, c.span))
    return ev.fail("E0206", c.args[0].span, "`full` takes a number and sizes");
  if (e.weak && e.isInt())
    e.e = Elem::I32;
  e.weak = false;
  Scalar *s = ev.toScalar(c[0], e, c.span);
  if (!s)
    return {};
  std::vector<LoopVar *> vars;
  for (size_t i = 0; i < dims.size(); ++i)
    vars.push_back(ev.g->var("i" + std::to_string(i), dims[i]));
  return ev.tensor(ev.g->comprehension(vars, s, ev.g->type(e, dims), c.span), e, dims);
}

Value zerosLike(Evaluator &ev, BuiltinCall &c) {
  Value v = c[0].is(Value::Leaf) && ev.g ? ev.leafValue(c[0]) : c[0];
  if (v.is(Value::Unknown))
    return v;
  if (!v.is(Value::Tensor))
    return ev.fail("E0206", c.args[0].span, "`zeros_like` takes a tensor, this is " + kindName(v));
  auto &t = v.as<TensorObj>();
  ElemType e = t.elem;
  e.bounded = false;
  std::vector<LoopVar *> vars;
  for (size_t i = 0; i < t.dims.size(); ++i)
    vars.push_back(ev.g->var("i" + std::to_string(i), t.dims[i]));
  return ev.tensor(
      ev.g->comprehension(vars, ev.g->constant(e, 0, c.span), ev.g->type(e, t.dims), c.span), e,
      t.dims);
}

Value dropout(Evaluator &ev, BuiltinCall &c) {
  const Value &x = c[0];
  double p;
  if (x.maybe)
    return ev.present(x, c.args[0].span);
  if (x.is(Value::Unknown) || c[1].is(Value::Unknown))
    return x;
  if (!x.is(Value::Tensor))
    return ev.fail("E0206", c.args[0].span, "`dropout` takes a tensor, this is " + kindName(x));
  if (!c[1].asFloat(p) || p < 0 || p >= 1)
    return ev.fail("E0213", c.args[1].span,
                   "the rate of `dropout` is from 0 up to 1, this is " + ev.text(c[1]));
  if (p == 0 || !ev.g->training)
    return x;
  auto &t = x.as<TensorObj>();
  ElemType f32;
  Node *n = ev.g->node(Node::Random, ev.g->type(f32, t.dims), c.span);
  n->name = ev.freshPath("dropout");
  Value keep = ev.arith(ScalarOp::Ge, ev.tensor(n, f32, t.dims), Value::real(p), c.span, ">=");
  Value scaled = ev.arith(ScalarOp::Mul, x, Value::real(1.0 / (1.0 - p)), c.span, "*");
  return ev.select(keep, scaled, Value::real(0.0), c.span);
}

Value stopGrad(Evaluator &ev, BuiltinCall &c) {
  const Value &x = c[0];
  if (!x.is(Value::Tensor))
    return x;
  auto &t = x.as<TensorObj>();
  Node *n = ev.g->node(Node::StopGrad, ev.g->type(t.elem, t.dims), c.span);
  n->operands = {ev.g->local(t.node)};
  return ev.tensor(n, t.elem, t.dims);
}

Value notYet(Evaluator &ev, BuiltinCall &c) {
  return ev.fail("E0299", c.span,
                 "`" + std::string(c.name) +
                     "` is not supported yet: the language has it, this version does not run it");
}

// close(a, b): |a - b| <= abs + rel * |b|, for numbers, lists and tensors.
bool flatten(Evaluator &ev, const Value &v, std::vector<double> &out, Span span) {
  double f;
  if (v.is(Value::List)) {
    for (auto &x : v.as<ListObj>().items)
      if (!flatten(ev, x, out, span))
        return false;
    return true;
  }
  if (v.isGraph()) {
    std::vector<double> r;
    if (!ev.testMode) {
      ev.err("E0214", span, "`close` compares tensors in tests only");
      return false;
    }
    if (!ev.evaluateTensor(v, r, span))
      return false;
    out.insert(out.end(), r.begin(), r.end());
    return true;
  }
  if (!v.asFloat(f)) {
    ev.err("E0206", span, "`close` compares numbers, lists and tensors, this is " + kindName(v));
    return false;
  }
  out.push_back(f);
  return true;
}

Value close(Evaluator &ev, BuiltinCall &c) {
  std::vector<double> a, b;
  double rel = 1e-5, abs = 1e-7;
  if (c.has(2))
    c[2].asFloat(rel);
  if (c.has(3))
    c[3].asFloat(abs);
  if (c[0].is(Value::Unknown) || c[1].is(Value::Unknown)) {
    auto t = std::make_shared<Type>();
    t->kind = Type::Bool;
    return Value::unknown(t);
  }
  if (!flatten(ev, c[0], a, c.args[0].span) || !flatten(ev, c[1], b, c.args[1].span))
    return {};
  if (a.size() != b.size())
    return ev.fail("E0301", c.span,
                   "`close` of " + std::to_string(a.size()) + " and " + std::to_string(b.size()) +
                       " numbers");
  for (size_t i = 0; i < a.size(); ++i) {
    bool ok = a[i] == b[i] || (std::isnan(a[i]) && std::isnan(b[i])) ||
              std::fabs(a[i] - b[i]) <= abs + rel * std::fabs(b[i]);
    if (!ok)
      return Value::boolean(false);
  }
  return Value::boolean(true);
}

} // namespace

const std::vector<Builtin> &elementBuiltins() {
  static const std::vector<Builtin> table = {
      {"exp", "x", expF},
      {"log", "x", logF},
      {"sqrt", "x", sqrtF},
      {"rsqrt", "x", rsqrtF},
      {"sin", "x", sinF},
      {"cos", "x", cosF},
      {"tanh", "x", tanhF},
      {"erf", "x", erfF},
      {"abs", "x", absF},
      {"sign", "x", signF},
      {"maximum", "a b", maximum},
      {"minimum", "a b", minimum},
      {"clamp", "x low high", clamp},
      {"mod", "a b", modF},
      {"div", "a b", divF},
      {"f64", "x", castTo<0>},
      {"f32", "x", castTo<1>},
      {"f16", "x", castTo<2>},
      {"bf16", "x", castTo<3>},
      {"i64", "x", castTo<4>},
      {"i32", "x", castTo<5>},
      {"i8", "x", castTo<6>},
      {"u8", "x", castTo<7>},
      {"real", "x", castTo<-1>},
      {"float", "x", toFloat},
      {"int", "x", toInt},
      {"full", "value dims*", full},
      {"zeros_like", "x", zerosLike},
      {"dropout", "x rate", dropout},
      {"stop_grad", "x", stopGrad},
      {"close", "a b rel=? abs=?", close},
      {"scan", "xs init f axis", notYet},
      {"grad", "f wrt=", gradientOf},
  };
  return table;
}

std::string Evaluator::freshPath(const char *what) {
  // The place of the innermost model in the tree, the function and a count: other layers do not
  // change it.
  std::string p;
  for (size_t i = frames.size(); i-- > 0;)
    if (frames[i].self) {
      auto &paths = g->root().paths;
      if (auto it = paths.find(frames[i].self); it != paths.end())
        p = it->second;
      break;
    }
  p += (p.empty() ? "" : ".") + std::string(what);
  int n = sites[p]++;
  return n ? p + "#" + std::to_string(n) : p;
}

bool Evaluator::evaluateTensor(const Value &v, std::vector<double> &out, Span span) {
  if (!v.is(Value::Tensor))
    return false;
  GraphEval e;
  out = e.value(v.as<TensorObj>().node);
  if (!e.error.empty()) {
    err("E0299", span, e.error);
    return false;
  }
  if (measured)
    measured->push_back({v.as<TensorObj>().node, out});
  return true;
}

const Builtin *findBuiltin(std::string_view name) {
  static const std::unordered_map<std::string_view, const Builtin *> all = [] {
    std::unordered_map<std::string_view, const Builtin *> m;
    for (auto *t : {&reductionBuiltins(), &elementBuiltins(), &hostBuiltins()})
      for (auto &b : *t)
        m[b.name] = &b;
    return m;
  }();
  auto it = all.find(name);
  return it == all.end() ? nullptr : it->second;
}

const Builtin *findStageBuiltin(std::string_view name) {
  for (auto *t : {&dataBuiltins(), &stageBuiltins(), &placementBuiltins(), &annotateBuiltins(), &interleaveBuiltins(), &checkpointBuiltins(), &translateBuiltins(),
                  &metricBuiltins(), &tokenizerBuiltins(), &generateBuiltins()})
    for (auto &b : *t)
      if (name == b.name)
        return &b;
  return nullptr;
}

std::vector<std::string> builtinConstants();

std::vector<std::string> builtinNames() {
  std::vector<std::string> r = builtinConstants();
  for (auto *t : {&reductionBuiltins(), &elementBuiltins(), &hostBuiltins()})
    for (auto &b : *t)
      r.push_back(b.name);
  return r;
}

} // namespace r1
