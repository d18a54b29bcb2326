// Products, reshapes, and `if` on values of the graph.
#include "compiler/eval/Align.h"
#include <algorithm>
#include <cmath>

namespace r1 {

Value Evaluator::matmul(const Value &a, const Value &b, Span span, Span aSpan, Span bSpan) {
  if (a.isError() || b.isError())
    return {};
  for (auto *x : {&a, &b})
    if (x->maybe)
      return present(*x, x == &a ? aSpan : bSpan);
  if (!a.is(Value::Tensor) || !b.is(Value::Tensor) || a.as<TensorObj>().dims.empty() ||
      b.as<TensorObj>().dims.empty())
    return fail("E0302", span,
                "`@` is the product of two tensors, not of " + kindName(a) + " and " + kindName(b));
  auto &x = a.as<TensorObj>(), &w = b.as<TensorObj>();
  ElemType e;
  if (!combine(x.elem, w.elem, e)) {
    auto &d =
        err("E0303", span,
            x.elem.str() + " @ " + w.elem.str() + ": element types are never converted silently");
    d.also(aSpan, kindName(a)).also(bSpan, kindName(b));
    return {};
  }
  if (sameSize(x.dims.back(), w.dims.front()) == Same::No) {
    auto &d = err("E0301", span,
                  "`@` joins the last axis of the left side to the first of the right: " +
                      nameAndNumber(x.dims.back()) + " and " + nameAndNumber(w.dims.front()));
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
  Scalar *body =
      g->reduce(ReduceOp::Sum, ge, {k},
                g->op(ScalarOp::Mul, ge,
                      {g->read(x.node, xs, ge, aSpan), g->read(w.node, ws, ge, bSpan)}, span),
                span);
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
    err("E0303", span,
        "`as` changes the shape, not the element type: " + kindName(v) + " as " + t.str())
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
    auto &d =
        err("E0308", span,
            "`as` keeps the number of elements, and " + typeText(t.elem, want) + " has another");
    d.note(typeText(x.elem, x.dims) + " has " + nameAndNumber(from) + ", " +
           typeText(t.elem, want) + " has " + nameAndNumber(to));
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
        return fail("E0208", span,
                    "the branches of `if` are records with different fields: `" + k + "`");
      f.emplace_back(k, select(c, x, *y, span));
    }
    return Value::record(std::move(f));
  }
  ElemType ea, eb, e;
  if (!elemOf(a, ea, span) || !elemOf(b, eb, span))
    return fail("E0214", span,
                "`if` on a value of the graph chooses between numbers and tensors, not " +
                    kindName(a) + " and " + kindName(b));
  if (ea.isBool() && eb.isBool())
    e = ea;
  else if (!combine(ea, eb, e)) {
    err("E0303", span,
        "the branches of `if` are " + ea.str() + " and " + eb.str() +
            ": element types are never converted silently");
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
    return fail(ambiguous ? "E0305" : "E0304", span,
                "the condition and the branches of `if` do not align: " + kindName(c) + ", " +
                    kindName(x) + ", " + kindName(y));
  std::vector<LoopVar *> vars;
  std::vector<std::string> used;
  for (size_t i = 0; i < dims.size(); ++i)
    vars.push_back(g->var(loopName(dims[i], i, used), dims[i]));
  std::vector<Scalar *> ss;
  for (size_t i = 0; i < 3; ++i) {
    const ElemType &want = i ? e : boolean;
    if (xs[i].is(Value::Tensor)) {
      auto &t = xs[i].as<TensorObj>();
      ss.push_back(convert(
          g->read(t.node, subscripts(*this, t.dims, dims, vars, span), g->elem(t.elem), span),
          t.elem, want, span));
    } else {
      ss.push_back(toScalar(xs[i], want, span));
    }
    if (!ss.back())
      return {};
  }
  return tensor(
      g->comprehension(vars, g->op(ScalarOp::Select, g->elem(e), ss, span), g->type(e, dims), span),
      e, dims);
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
