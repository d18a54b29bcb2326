// A short way to write graph functions by hand, for tests.
#pragma once
#include "compiler/eval/Elaboration.h"
#include "compiler/irgen/IRGen.h"

namespace r1::test {

/// A trainable leaf that starts as zeros.
inline Leaf leaf(std::string path, std::vector<GraphDim> dims) {
  Leaf l;
  l.path = std::move(path);
  l.type.dims = std::move(dims);
  return l;
}

struct Builder {
  GraphFn fn;
  std::deque<Leaf> leaves;

  using Dims = std::vector<GraphDim>;

  Node *node(Node::Kind kind, Elem elem, Dims dims, int64_t bound = 0) {
    fn.nodes.emplace_back();
    Node &n = fn.nodes.back();
    n.kind = kind;
    n.type = {elem, bound, std::move(dims)};
    return &n;
  }
  Node *input(std::string name, Elem elem, Dims dims, int64_t bound = 0, bool rows = true) {
    Node *n = node(Node::Input, elem, std::move(dims), bound);
    n->name = std::move(name);
    n->index = int64_t(fn.inputs.size());
    fn.inputs.push_back(n);
    fn.rows.push_back(rows);
    return n;
  }
  Node *param(std::string path, Dims dims) {
    leaves.push_back(leaf(path, dims));
    Node *n = node(Node::Param, Elem::F32, dims);
    n->leaf = &leaves.back();
    return n;
  }
  LoopVar *var(std::string name, int64_t size, int64_t lo = 0) {
    fn.vars.push_back({name, lo, size, name});
    return &fn.vars.back();
  }
  Node *forAll(Elem elem, std::vector<LoopVar *> vars, Scalar *body) {
    Dims dims;
    for (LoopVar *v : vars) {
      std::string name = v->name;
      for (char &c : name)
        c = char(toupper(c));
      dims.push_back({name, v->size});
    }
    Node *n = node(Node::For, elem, dims);
    n->vars = std::move(vars);
    n->body = body;
    return n;
  }
  void result(std::string name, Node *n) {
    fn.results.push_back(n);
    fn.resultNames.push_back(std::move(name));
  }

  Scalar *scalar(Scalar::Kind kind, Elem elem) {
    fn.scalars.emplace_back();
    fn.scalars.back().kind = kind;
    fn.scalars.back().elem = elem;
    return &fn.scalars.back();
  }
  Scalar *num(double x, Elem elem = Elem::F32) {
    Scalar *s = scalar(Scalar::Const, elem);
    s->number = x;
    s->integer = int64_t(x);
    return s;
  }
  Scalar *at(LoopVar *v) {
    Scalar *s = scalar(Scalar::Index, Elem::I64);
    s->var = v;
    return s;
  }
  Scalar *read(Node *t, std::vector<Scalar *> subs, Scalar *otherwise = nullptr) {
    Scalar *s = scalar(Scalar::Read, t->type.elem);
    s->tensor = t;
    s->args = std::move(subs);
    s->otherwise = otherwise;
    return s;
  }
  /// t[vars...]
  Scalar *get(Node *t, std::vector<LoopVar *> vars) {
    std::vector<Scalar *> subs;
    for (LoopVar *v : vars)
      subs.push_back(at(v));
    return read(t, subs);
  }
  Scalar *op(ScalarOp o, std::vector<Scalar *> args, Elem elem) {
    Scalar *s = scalar(Scalar::Op, elem);
    s->op = o;
    s->args = std::move(args);
    return s;
  }
  Scalar *op(ScalarOp o, std::vector<Scalar *> args) {
    Elem elem = args.back()->elem;
    if (o >= ScalarOp::Lt && o <= ScalarOp::Ne)
      elem = Elem::Bool;
    return op(o, std::move(args), elem);
  }
  Scalar *cast(Elem to, Scalar *x) { return op(ScalarOp::Cast, {x}, to); }
  Scalar *reduce(ReduceOp red, std::vector<LoopVar *> vars, Scalar *body) {
    Scalar *s = scalar(Scalar::Reduce, body->elem);
    s->red = red;
    s->vars = std::move(vars);
    s->args = {body};
    return s;
  }
};

} // namespace r1::test
