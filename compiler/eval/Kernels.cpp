// A call of a @kernel function: one node, with the body as its definition.
#include "compiler/eval/Evaluator.h"

namespace r1 {

void Evaluator::watchLambda(const FnObj &f, const std::vector<ArgVal> &args) {
  for (auto &w : watched) {
    if (w.called || (w.fn.o.get() != &f && w.fn.o.get() != f.origin))
      continue;
    std::vector<LoopVar *> loops;
    std::vector<Dim> sizes;
    for (auto &a : args) {
      const DimSym *s = nullptr;
      if (a.value.is(Value::Scalar) && a.value.as<ScalarObj>().affine)
        s = a.value.as<ScalarObj>().value.symbol();
      if (!s || s->kind != DimSym::Index || !s->loop)
        return;
      loops.push_back(const_cast<LoopVar *>(s->loop));
      sizes.push_back(s->bound);
    }
    w.called = true;
    w.loops = std::move(loops);
    w.values = std::move(sizes);
    return;
  }
}

Value Evaluator::applyKernel(const Decl &d, const ScopeP &sc, const Type *result, Span span) {
  std::string name(d.name);
  if (!d.attr.args.empty() && d.attr.args[0].value->kind == Expr::String &&
      !d.attr.args[0].value->parts.empty())
    name = d.attr.args[0].value->parts[0];
  auto fn = std::make_unique<GraphFn>();
  fn->name = name;
  GraphBuilder inner(*fn, g);
  auto body = std::make_shared<Scope>(*sc);
  std::vector<Node *> operands;
  std::vector<double> numbers;
  Saved<std::vector<Watched>> keep(watched, {});
  for (auto &[param, v] : body->names) {
    double f;
    if (v.is(Value::Tensor)) {
      auto &t = v.as<TensorObj>();
      Node *in = inner.input(std::string(param), inner.type(t.elem, t.dims), t.node->span);
      operands.push_back(g->local(t.node));
      v = tensor(in, t.elem, t.dims);
    } else if (v.is(Value::Fn) && v.as<FnObj>().lambda) {
      Watched w;
      w.fn = v;
      watched.push_back(std::move(w));
    } else if (!v.is(Value::DimV) && v.asFloat(f)) {
      numbers.push_back(f);
    } else if (v.is(Value::Scalar)) {
      return fail("E0302", span,
                  "`" + std::string(d.name) +
                      "` is a kernel and takes tensors, not single elements");
    }
  }
  Value r;
  {
    Saved<GraphBuilder *> now(g, &inner);
    Saved<int> outside(loopDepth, 0);
    r = eval(*d.value, body, result);
    if (!r.isError() && result)
      r = coerce(r, *result, d.value->span, What("the result of ", d.name));
  }
  if (r.isError())
    return {};
  if (!r.is(Value::Tensor))
    return fail("E0302", span, "a kernel gives one tensor, not " + kindName(r));
  auto out = std::static_pointer_cast<const TensorObj>(r.o);
  fn->results = {inner.local(out->node)};
  Node *n = g->node(Node::Kernel, out->node->type, span);
  n->name = name;
  n->operands = operands;
  n->numbers = numbers;
  n->captures = inner.captures;
  std::vector<Watched> lambdas = watched;
  for (auto &w : lambdas) {
    if (!w.called)
      continue;
    GraphLambda l;
    std::vector<Value> indices;
    ElemType index;
    index.e = Elem::I64;
    index.weak = true;
    for (size_t i = 0; i < w.loops.size(); ++i) {
      LoopVar *v = g->var(w.loops[i]->name, w.values[i]);
      DimSym *s = sh.dims.make(v->name, DimSym::Index, 0);
      s->bound = w.values[i];
      s->loop = v;
      l.vars.push_back(v);
      indices.push_back(affineScalar(g->index(v, span), index, Dim(s)));
    }
    Value x;
    {
      Saved<int> inLoop(loopDepth, loopDepth + 1);
      x = apply(w.fn, indices, span);
    }
    ElemType e;
    if (x.isError() || !elemOf(x, e, span))
      return {};
    l.body = toScalar(x, e, span);
    if (!l.body)
      return {};
    n->lambdas.push_back(std::move(l));
  }
  n->fn = fn.get();
  g->root().fn.fns.push_back(std::move(fn));
  return tensor(n, out->elem, out->dims);
}

} // namespace r1
