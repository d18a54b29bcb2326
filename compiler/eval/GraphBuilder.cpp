#include "compiler/eval/GraphBuilder.h"

namespace r1 {

GraphType GraphBuilder::type(const ElemType &e, const std::vector<Dim> &dims) const {
  GraphType t;
  t.elem = elem(e);
  if (e.bounded)
    t.bound = std::max<int64_t>(e.bound.size(), 0);
  for (auto &d : dims)
    t.dims.push_back({d.str(), d.size()});
  return t;
}

LoopVar *GraphBuilder::var(std::string name, const Dim &size) {
  fn.vars.push_back({std::move(name), 0, size.size(), size.str()});
  return &fn.vars.back();
}

Scalar *GraphBuilder::constant(const ElemType &e, double v, Span s) {
  fn.scalars.emplace_back();
  Scalar &x = fn.scalars.back();
  x.kind = Scalar::Const;
  x.elem = elem(e);
  x.number = v;
  x.integer = e.isFloat() ? 0 : (int64_t)v;
  x.span = s;
  return &x;
}

Scalar *GraphBuilder::integer(Elem e, int64_t v, Span s) {
  fn.scalars.emplace_back();
  Scalar &x = fn.scalars.back();
  x.kind = Scalar::Const;
  x.elem = e;
  x.number = (double)v;
  x.integer = v;
  x.span = s;
  return &x;
}

Scalar *GraphBuilder::index(LoopVar *v, Span s) {
  fn.scalars.emplace_back();
  Scalar &x = fn.scalars.back();
  x.kind = Scalar::Index;
  x.elem = Elem::I64;
  x.var = v;
  x.span = s;
  return &x;
}

Scalar *GraphBuilder::read(Node *t, std::vector<Scalar *> subs, Elem e, Span s, Scalar *otherwise) {
  fn.scalars.emplace_back();
  Scalar &x = fn.scalars.back();
  x.kind = Scalar::Read;
  x.elem = e;
  x.tensor = local(t);
  x.args = std::move(subs);
  x.otherwise = otherwise;
  x.span = s;
  return &x;
}

Scalar *GraphBuilder::op(ScalarOp o, Elem e, std::vector<Scalar *> args, Span s) {
  fn.scalars.emplace_back();
  Scalar &x = fn.scalars.back();
  x.kind = Scalar::Op;
  x.elem = e;
  x.op = o;
  x.args = std::move(args);
  x.span = s;
  return &x;
}

Scalar *GraphBuilder::reduce(ReduceOp o, Elem e, std::vector<LoopVar *> vars, Scalar *body,
                             Span s) {
  fn.scalars.emplace_back();
  Scalar &x = fn.scalars.back();
  x.kind = Scalar::Reduce;
  x.elem = e;
  x.red = o;
  x.vars = std::move(vars);
  x.args = {body};
  x.span = s;
  return &x;
}

Node *GraphBuilder::node(Node::Kind k, GraphType t, Span s) {
  fn.nodes.emplace_back();
  Node &n = fn.nodes.back();
  n.kind = k;
  n.type = std::move(t);
  n.span = s;
  n.owner = &fn;
  return &n;
}

Node *GraphBuilder::input(std::string name, GraphType t, Span s) {
  Node *n = node(Node::Input, std::move(t), s);
  n->name = std::move(name);
  n->index = (int64_t)fn.inputs.size();
  fn.inputs.push_back(n);
  return n;
}

Node *GraphBuilder::hostScalar(const std::string &name) {
  if (outer)
    return local(root().hostScalar(name));
  Node *&n = hostScalars[name];
  if (!n) {
    n = node(Node::HostScalar, {Elem::F32, 0, {}}, {});
    n->name = name;
  }
  return n;
}

Node *GraphBuilder::param(Leaf *leaf, const GraphType &t, const std::string &name) {
  if (!leaf) { // a definition being checked: parameters have no identity
    Node *n = node(Node::Param, t, {});
    n->name = name;
    return n;
  }
  if (outer && !ownParams)
    return local(outer->param(leaf, t, name));
  Node *&n = params[leaf];
  if (!n) {
    n = node(Node::Param, t, leaf->span);
    n->leaf = leaf;
    n->name = leaf->path;
  }
  return n;
}

Node *GraphBuilder::comprehension(std::vector<LoopVar *> vars, Scalar *body, GraphType t, Span s) {
  Node *n = node(Node::For, std::move(t), s);
  n->vars = std::move(vars);
  n->body = body;
  return n;
}

Node *GraphBuilder::local(Node *n) {
  if (n->owner == &fn || !outer)
    return n;
  Node *up = outer->local(n);
  Node *&c = captured[up];
  if (!c) {
    c = input(up->name.empty() ? "capture" + std::to_string(captures.size()) : up->name, up->type,
              up->span);
    captures.push_back(up);
  }
  return c;
}

} // namespace r1
