// Makes nodes of one GraphFn.
#pragma once
#include "compiler/eval/Elaboration.h"
#include "compiler/eval/Value.h"
#include <unordered_map>

namespace r1 {

class GraphBuilder {
public:
  GraphBuilder(GraphFn &fn, GraphBuilder *outer = nullptr) : fn(fn), outer(outer) {
    if (outer) {
      compute = outer->compute;
      training = outer->training;
    }
  }
  GraphFn &fn;
  GraphBuilder *outer;
  Elem compute = Elem::F32; // what `real` is
  bool training = false;
  bool ownParams = false; // mentions parameters itself instead of capturing them (bodies of grad)
  std::map<std::string, int64_t> listSizes; // "blocks" -> 12: for patterns with negative indices
  /// Parameters that a graph may mention, by identity; of the outermost builder.
  std::map<const LeafObj *, Leaf *> leaves;
  /// Where models sit in the tree, for the call-site paths of random draws.
  std::map<const ModelObj *, std::string> paths;
  /// Nodes of outer functions that this one reads, in order of first read (kernel bodies).
  std::vector<Node *> captures;

  GraphBuilder &root() { return outer ? outer->root() : *this; }
  Elem elem(const ElemType &e) const { return e.real ? compute : e.e; }
  GraphType type(const ElemType &e, const std::vector<Dim> &dims) const;

  LoopVar *var(std::string name, const Dim &size);
  Scalar *constant(const ElemType &e, double v, Span s);
  Scalar *integer(Elem e, int64_t v, Span s);
  Scalar *index(LoopVar *v, Span s);
  Scalar *read(Node *t, std::vector<Scalar *> subs, Elem e, Span s, Scalar *otherwise = nullptr);
  Scalar *op(ScalarOp o, Elem e, std::vector<Scalar *> args, Span s);
  Scalar *reduce(ReduceOp o, Elem e, std::vector<LoopVar *> vars, Scalar *body, Span s);

  Node *node(Node::Kind k, GraphType t, Span s);
  Node *input(std::string name, GraphType t, Span s);
  Node *hostScalar(const std::string &name);
  Node *param(Leaf *leaf, const GraphType &t, const std::string &name);
  std::unordered_map<Node *, Node *> casts; // parameters in the compute dtype
  Node *comprehension(std::vector<LoopVar *> vars, Scalar *body, GraphType t, Span s);
  /// The node as this function sees it: its own, or an input that stands for a captured one.
  Node *local(Node *n);

private:
  std::unordered_map<Node *, Node *> captured;
  std::map<std::string, Node *> hostScalars;
  std::map<Leaf *, Node *> params;
};

} // namespace r1
