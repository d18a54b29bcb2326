// grad(f, wrt = ["blocks[-1].**"]): the value of a function and its gradients with respect to
// parameters of the stage's model.
#include "compiler/eval/Builtins.h"
#include "compiler/eval/Models.h"
#include <algorithm>

namespace r1 {

/// f takes nothing and gives one float; the result is {value, grads} with one tensor per selected
/// parameter, in path order.
Value gradientOf(Evaluator &ev, BuiltinCall &c) {
  if (ev.testMode) {
    ev.err("E0403", c.span, "`grad` needs the model of a stage, and a test has none")
        .note(
            "its place is the loss of a `train` stage: loss = (m, b) => … grad(() => …, wrt = …)");
    return {};
  }
  if (!ev.g || ev.loopDepth)
    return ev.fail("E0214", c.span, "`grad` stands in graph functions, outside of `for`");
  if (ev.g->ownParams)
    return ev.fail("E0311", c.span, "a `grad` inside of another: a gradient has no gradient");
  if (!c[0].is(Value::Fn))
    return ev.fail("E0206", c.args[0].span,
                   "`grad` takes a function without parameters, () => …, this is " +
                       kindName(c[0]));
  std::vector<std::string> patterns;
  if (c[1].is(Value::Str))
    patterns = {c[1].string()};
  else if (c[1].is(Value::List))
    for (auto &x : c[1].as<ListObj>().items)
      if (x.is(Value::Str))
        patterns.push_back(x.string());
  if (patterns.empty())
    return ev.fail("E0206", c.args[1].span, "`wrt` is a path pattern or a list of them");

  auto fn = std::make_unique<GraphFn>();
  fn->name = "grad";
  GraphBuilder inner(*fn, ev.g);
  inner.ownParams = true;
  Value v;
  {
    Saved<GraphBuilder *> now(ev.g, &inner);
    v = ev.apply(c[0], std::vector<Value>{}, c.args[0].span);
    ElemType f32;
    if (v.is(Value::Tensor) && v.as<TensorObj>().dims.empty())
      v = ev.cast(v, f32, c.args[0].span);
  }
  if (v.isError())
    return {};
  if (!v.is(Value::Tensor) || !v.as<TensorObj>().dims.empty())
    return ev.fail("E0302", c.args[0].span, "`grad` is of one number, this is " + kindName(v));
  fn->results = {v.as<TensorObj>().node};

  auto &root = ev.g->root();
  GraphBuilder &b = *ev.g;
  Node *n = b.node(Node::Grad, v.as<TensorObj>().node->type, c.span);
  n->operands = inner.captures;
  n->fn = fn.get();
  std::vector<std::pair<Leaf *, const LeafObj *>> selected;
  // The leaves lie in one array, in path order.
  for (auto &[obj, leaf] : root.leaves)
    selected.emplace_back(leaf, obj);
  std::sort(selected.begin(), selected.end());
  std::vector<Value> grads;
  std::string why;
  for (auto &[leaf, obj] : selected) {
    Path path = parsePath(leaf->path, root.listSizes);
    bool hit = false;
    for (auto &p : patterns)
      hit |= matchPath(p, path, why);
    if (!hit)
      continue;
    n->wrt.push_back(leaf);
    Node *r = b.node(Node::GradResult, leaf->type, c.span);
    r->operands = {n};
    r->index = (int64_t)n->wrt.size();
    ElemType f32;
    grads.push_back(ev.tensor(r, f32, obj->dims));
  }
  // What was computed outside of the function comes in as a constant.
  bool depends = false;
  for (auto &x : fn->nodes)
    depends |= x.kind == Node::Param && std::count(n->wrt.begin(), n->wrt.end(), x.leaf);
  root.fn.fns.push_back(std::move(fn));
  if (!why.empty())
    return ev.fail("E0403", c.args[1].span, "`wrt` is not a path pattern: " + why);
  if (grads.empty() && !ev.symbolic)
    return ev.fail("E0403", c.args[1].span, "`wrt` selects no parameter of the stage's model");
  if (!depends && !ev.symbolic) {
    ev.err("E0311", c.args[0].span, "what `grad` is of depends on no parameter that `wrt` selects")
        .note("values from outside of () => … count as constants; compute them inside");
    return {};
  }
  Node *value = b.node(Node::GradResult, n->type, c.span);
  value->operands = {n};
  ElemType f32;
  return Value::record(
      {{"value", ev.tensor(value, f32, {})}, {"grads", Value::list(std::move(grads))}});
}

} // namespace r1
