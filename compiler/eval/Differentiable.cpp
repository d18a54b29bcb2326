// Where a loss needs a gradient and there is none (E0311).
//
// A gradient flows along float values: not through comparisons, conditions or subscripts, which is
// ordinary, but a value that was made an integer or a bool and is then used as a number has lost
// it.
#include "compiler/eval/Evaluator.h"
#include "compiler/eval/Stages.h"
#include <unordered_set>

namespace r1 {

namespace {

class Flow {
public:
  Flow(Evaluator &ev) : ev(ev) {}

  bool run(const Node *loss) {
    node(loss);
    return ok;
  }
  bool reached(const Leaf *l) const { return leaves.count(l); }

private:
  Evaluator &ev;
  bool ok = true;
  std::unordered_set<const Node *> seen;
  std::unordered_map<const Node *, bool> depends;
  std::set<const Leaf *> leaves;

  // Does the value depend on a trainable parameter in any way?
  bool dependsOn(const Node *n) {
    auto [it, fresh] = depends.emplace(n, false);
    if (!fresh)
      return it->second;
    bool d = n->kind == Node::Param && n->leaf && n->leaf->trainable;
    for (auto *o : n->operands)
      d = d || dependsOn(o);
    for (auto *c : n->captures)
      d = d || dependsOn(c);
    if (n->kind == Node::Grad)
      d = d || dependsOn(n->fn->results[0]);
    if (n->kind == Node::StopGrad)
      d = false;
    if (n->body)
      d = d || dependsOn(n->body);
    return depends[n] = d;
  }
  bool dependsOn(const Scalar *s) {
    if (s->kind == Scalar::Read && dependsOn(s->tensor))
      return true;
    for (auto *a : s->args)
      if (dependsOn(a))
        return true;
    return s->otherwise && dependsOn(s->otherwise);
  }

  void node(const Node *n) {
    if (!seen.insert(n).second || n->type.elem > Elem::BF16)
      return;
    if (n->kind == Node::Param)
      leaves.insert(n->leaf);
    if (n->kind == Node::StopGrad)
      return;
    if (n->kind == Node::GradResult && n->index > 0) {
      ev.err("E0311", n->span, "the loss depends on a gradient, which has no gradient itself")
          .help("return it beside the loss: {loss = …, norm = …}; or stop it: stop_grad(…)");
      ok = false;
      return;
    }
    if (n->kind == Node::Grad)
      node(n->fn->results[0]);
    for (auto *o : n->operands)
      node(o);
    for (auto *c : n->captures)
      node(c);
    if (n->body)
      scalar(n->body);
  }

  void scalar(const Scalar *s) {
    if (s->elem > Elem::BF16)
      return;
    switch (s->kind) {
    case Scalar::Read:
      node(s->tensor);
      if (s->otherwise)
        scalar(s->otherwise);
      return;
    case Scalar::Reduce:
      scalar(s->args[0]);
      return;
    case Scalar::Op:
      if (s->op == ScalarOp::Cast && s->args[0]->elem > Elem::BF16 && dependsOn(s->args[0])) {
        bool b = s->args[0]->elem == Elem::Bool;
        auto &d = ev.err("E0311", s->span,
                         b ? "the loss counts a condition on the parameters, which has no gradient"
                           : "the loss goes through integers, which have no gradient");
        d.help("if no gradient should pass, say so: stop_grad(…)");
        ok = false;
        return;
      }
      if (s->op == ScalarOp::Sign && dependsOn(s->args[0])) {
        if (!ev.rowMode)
          ev.sh.diags.warning("E0311", s->span, "the gradient of `sign` is 0 everywhere");
        return;
      }
      for (size_t i = s->op == ScalarOp::Select ? 1 : 0; i < s->args.size(); ++i)
        scalar(s->args[i]);
      return;
    default:
      return;
    }
  }
};

} // namespace

bool checkDifferentiable(Evaluator &ev, const Stage &s, const Node *loss, Span span) {
  Flow flow(ev);
  if (!flow.run(loss))
    return false;
  std::string without;
  int n = 0;
  for (auto &l : s.leaves)
    if (l.trainable && !flow.reached(&l) && ++n <= 3)
      without += (without.empty() ? "`" : ", `") + l.path + "`";
  if (n)
    ev.sh.diags
        .warning("E0311", span,
                 "no gradient reaches " + without +
                     (n > 3 ? " and " + std::to_string(n - 3) + " more" : ""))
        .note("the loss does not depend on " + std::string(n == 1 ? "it" : "them") + "; leave " +
              (n == 1 ? "it" : "them") + " out of `trainable` if that is meant");
  return true;
}

} // namespace r1
