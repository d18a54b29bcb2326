// Reductions over named axes or everything, softmax, logsumexp.
#include "compiler/eval/Builtins.h"
#include "compiler/eval/Evaluator.h"

namespace r1 {

namespace {

struct Axis {
  bool all = true;
  size_t at = 0;
};

// The axis that `v` names among the dims of `x`.
bool findAxis(Evaluator &ev, BuiltinCall &c, const TensorObj &x, const ArgVal &v, Axis &axis) {
  std::string call(ev.sh.sources.text(c.span));
  if (!v.value.is(Value::DimV)) {
    ev.err("E0206", v.span, "an axis is named by its dim, this is " + kindName(v.value));
    return false;
  }
  const Dim &d = v.value.dims();
  std::vector<size_t> hits;
  for (size_t i = 0; i < x.dims.size(); ++i)
    if (axisOf(x.dims[i]) == axisOf(d))
      hits.push_back(i);
  if (hits.empty() && !d.isConst())
    for (size_t i = 0; i < x.dims.size(); ++i)
      if (!x.dims[i].isConst() && ev.sameAxis(x.dims[i], d))
        hits.push_back(i);
  if (hits.size() == 1) {
    axis.all = false;
    axis.at = hits[0];
    return true;
  }
  std::string value(ev.sh.sources.text(c.args[0].span)), type = typeText(x.elem, x.dims);
  if (hits.empty()) {
    ev.err("E0305", v.span, "`" + call + "`: no axis of `" + value + "` is called " + d.str())
        .also(c.args[0].span, type);
  } else {
    ev.err("E0305", v.span, "`" + call + "`: two axes of `" + value + "` are called " + d.str())
        .also(c.args[0].span, type)
        .help("name the axes apart in the signature");
  }
  return false;
}

struct Loops {
  std::vector<LoopVar *> outer, inner;
  std::vector<Dim> dims; // of the result
  std::vector<Scalar *> subs;
};

Loops loops(Evaluator &ev, const TensorObj &x, const Axis &axis, Span span) {
  Loops l;
  for (size_t i = 0; i < x.dims.size(); ++i) {
    LoopVar *v = ev.g->var("i" + std::to_string(i), x.dims[i]);
    bool reduced = axis.all || i == axis.at;
    (reduced ? l.inner : l.outer).push_back(v);
    if (!reduced)
      l.dims.push_back(x.dims[i]);
    l.subs.push_back(ev.g->index(v, span));
  }
  return l;
}

Value reduced(Evaluator &ev, const TensorObj &x, const Axis &axis, ReduceOp op,
              const TensorObj *where, Span span, bool count) {
  Loops l = loops(ev, x, axis, span);
  ElemType e = x.elem;
  e.bounded = false;
  if (count) {
    e = {};
    e.e = x.elem.e;
    e.real = x.elem.real;
  }
  Elem ge = ev.g->elem(e);
  Scalar *s = count ? ev.g->constant(e, 1, span) : ev.g->read(x.node, l.subs, ge, span);
  if (where) {
    std::vector<Scalar *> subs;
    std::vector<size_t> at;
    bool ambiguous;
    ev.mapAxes(where->dims, x.dims, at, ambiguous);
    for (size_t k : at)
      subs.push_back(l.subs[k]);
    double none = op == ReduceOp::Max   ? -INFINITY
                  : op == ReduceOp::Min ? INFINITY
                  : op == ReduceOp::All ? 1
                                        : 0;
    s = ev.g->op(
        ScalarOp::Select, ge,
        {ev.g->read(where->node, subs, Elem::Bool, span), s, ev.g->constant(e, none, span)}, span);
  }
  Scalar *body = l.inner.empty() ? s : ev.g->reduce(op, ge, l.inner, s, span);
  return ev.tensor(ev.g->comprehension(l.outer, body, ev.g->type(e, l.dims), span), e, l.dims);
}

// sum(x), sum(x, D), sum(i => x[i]), each with where =
Value reduction(Evaluator &ev, BuiltinCall &c, ReduceOp op, bool mean) {
  std::string name(c.name);
  if (c[0].is(Value::Fn) && c[0].as<FnObj>().lambda) {
    if (c.has(1) || (c.has(2) && !c[2].is(Value::None)))
      return ev.fail("E0203", c.span,
                     "`" + name +
                         "` of an index function takes nothing else; write the condition inside");
    return ev.reduceLambda(op, mean, c[0].as<FnObj>(), c.span);
  }
  if (c[0].is(Value::List))
    return hostReduction(ev, c, op, mean);
  Value v = c[0].is(Value::Leaf) && ev.g ? ev.leafValue(c[0]) : c[0];
  if (v.maybe)
    return ev.present(v, c.args[0].span);
  if (v.is(Value::Unknown))
    return v;
  if (!v.is(Value::Tensor))
    return ev.fail("E0206", c.args[0].span,
                   "`" + name + "` takes a tensor, a list or an index function, this is " +
                       kindName(v));
  auto x = std::static_pointer_cast<const TensorObj>(v.o);
  bool logical = op == ReduceOp::Any || op == ReduceOp::All;
  if (logical != x->elem.isBool())
    return ev.fail("E0303", c.args[0].span,
                   logical ? "`" + name + "` is over bools, not " + kindName(v)
                           : "`" + name + "` of bools: count with sum(f32(x))");
  if (mean && !x->elem.isFloat())
    return ev.fail("E0303", c.args[0].span, "the mean of integers: convert first, f32(x)");
  Axis axis;
  if (c.has(1) && !c[1].is(Value::None) && !findAxis(ev, c, *x, c.args[1], axis))
    return {};
  std::shared_ptr<const TensorObj> where;
  if (c.has(2) && !c[2].is(Value::None)) {
    // An optional mask: with one is the more general case to check.
    const Value &w = c[2];
    if (!w.is(Value::Tensor) || !w.as<TensorObj>().elem.isBool())
      return ev.fail("E0303", c.args[2].span, "`where` is a mask of bools, this is " + kindName(w));
    where = std::static_pointer_cast<const TensorObj>(w.o);
    std::vector<Dim> dims;
    size_t bad;
    bool ambiguous;
    if (where->dims.size() > x->dims.size() ||
        !ev.align({&x->dims, &where->dims}, dims, bad, ambiguous))
      return ev.fail("E0304", c.args[2].span,
                     "`where` is " + kindName(w) + " and does not align with " + kindName(v));
  }
  Value total = reduced(ev, *x, axis, op, where.get(), c.span, false);
  if (!mean || total.isError())
    return total;
  auto &t = total.as<TensorObj>();
  if (!where) {
    Dim n(1);
    for (size_t i = 0; i < x->dims.size(); ++i)
      if (axis.all || i == axis.at)
        n = n * x->dims[i];
    return ev.arith(ScalarOp::Mul, total, Value::real(1.0 / std::max<double>(1, (double)n.size())),
                    c.span, "*");
  }
  // The mean of nothing is 0, not a division by zero.
  Value n = reduced(ev, *x, axis, ReduceOp::Sum, where.get(), c.span, true);
  Value atLeast = ev.arith(ScalarOp::Max, n, Value::real(1.0), c.span, "maximum");
  (void)t;
  return ev.arith(ScalarOp::Div, total, atLeast, c.span, "/");
}

Value sum(Evaluator &ev, BuiltinCall &c) { return reduction(ev, c, ReduceOp::Sum, false); }
Value mean(Evaluator &ev, BuiltinCall &c) { return reduction(ev, c, ReduceOp::Sum, true); }
Value maxOf(Evaluator &ev, BuiltinCall &c) { return reduction(ev, c, ReduceOp::Max, false); }
Value minOf(Evaluator &ev, BuiltinCall &c) { return reduction(ev, c, ReduceOp::Min, false); }
Value any(Evaluator &ev, BuiltinCall &c) { return reduction(ev, c, ReduceOp::Any, false); }
Value all(Evaluator &ev, BuiltinCall &c) { return reduction(ev, c, ReduceOp::All, false); }

// The sample standard deviation: divided by n - 1.
Value stdOf(Evaluator &ev, BuiltinCall &c) {
  if (!c[0].is(Value::Tensor))
    return ev.fail("E0206", c.args[0].span, "`std` takes a tensor, this is " + kindName(c[0]));
  BuiltinCall m = c;
  m.args.resize(3);
  m.given.resize(3, false);
  m.name = "mean";
  Value mu = mean(ev, m);
  if (mu.isError())
    return {};
  auto &x = c[0].as<TensorObj>();
  Axis axis;
  if (c.has(1) && !findAxis(ev, c, x, c.args[1], axis))
    return {};
  Value d = ev.arith(ScalarOp::Sub, c[0], mu, c.span, "-");
  Value q = ev.arith(ScalarOp::Mul, d, d, c.span, "*");
  if (q.isError())
    return {};
  Value s = reduced(ev, q.as<TensorObj>(), axis, ReduceOp::Sum, nullptr, c.span, false);
  Dim n(1);
  for (size_t i = 0; i < x.dims.size(); ++i)
    if (axis.all || i == axis.at)
      n = n * x.dims[i];
  double k = std::max<double>(1, (double)n.size() - 1);
  return ev.elementwise(ScalarOp::Sqrt,
                        ev.arith(ScalarOp::Mul, s, Value::real(1.0 / k), c.span, "*"), c.span,
                        "sqrt");
}

Value alongAxis(Evaluator &ev, BuiltinCall &c, Node::Kind kind) {
  std::string name(c.name);
  Value v = c[0];
  if (v.maybe)
    return ev.present(v, c.args[0].span);
  if (v.is(Value::Unknown))
    return v;
  if (!v.is(Value::Tensor) || !v.as<TensorObj>().elem.isFloat())
    return ev.fail("E0206", c.args[0].span,
                   "`" + name + "` takes a tensor of floats, this is " + kindName(v));
  auto &x = v.as<TensorObj>();
  Axis axis;
  if (!findAxis(ev, c, x, c.args[1], axis))
    return {};
  std::vector<Dim> dims = x.dims;
  if (kind == Node::LogSumExp)
    dims.erase(dims.begin() + (long)axis.at);
  Node *n = ev.g->node(kind, ev.g->type(x.elem, dims), c.span);
  n->operands = {ev.g->local(x.node)};
  n->axis = (int64_t)axis.at;
  return ev.tensor(n, x.elem, dims);
}
Value softmax(Evaluator &ev, BuiltinCall &c) { return alongAxis(ev, c, Node::Softmax); }
Value logsumexp(Evaluator &ev, BuiltinCall &c) { return alongAxis(ev, c, Node::LogSumExp); }

} // namespace

const std::vector<Builtin> &reductionBuiltins() {
  static const std::vector<Builtin> table = {
      {"sum", "x axis? where?=", sum},    {"mean", "x axis? where?=", mean},
      {"max", "x axis? where?=", maxOf},  {"min", "x axis? where?=", minOf},
      {"any", "x axis? where?=", any},    {"all", "x axis? where?=", all},
      {"std", "x axis?", stdOf},          {"softmax", "x axis", softmax},
      {"logsumexp", "x axis", logsumexp},
  };
  return table;
}

} // namespace r1
