#include "compiler/eval/GraphEval.h"
#include "compiler/eval/ScalarValue.h"
#include <cmath>
#include <limits>

namespace r1 {

int64_t elementCount(const GraphType &t) {
  int64_t n = 1;
  for (auto &d : t.dims)
    n *= d.size;
  return n;
}

const Elements &GraphEval::value(const Node *n) {
  if (auto it = given.find(n); it != given.end())
    return it->second;
  if (auto it = done.find(n); it != done.end())
    return it->second;
  return done[n] = compute(n);
}

double GraphEval::scalar(const Scalar *s) {
  switch (s->kind) {
  case Scalar::Const:
    return isFloat(s->elem) ? s->number : (double)s->integer;
  case Scalar::Index:
    return (double)at[s->var];
  case Scalar::Read: {
    int64_t offset = 0;
    for (size_t i = 0; i < s->args.size(); ++i) {
      int64_t k = (int64_t)scalar(s->args[i]), n = s->tensor->type.dims[i].size;
      if (k < 0 || k >= n) {
        if (s->otherwise)
          return scalar(s->otherwise);
        error = "a read of " + typeText(s->tensor->type) + " is out of range";
        return 0;
      }
      offset = offset * n + k;
    }
    const Elements &v = value(s->tensor);
    return offset < (int64_t)v.size() ? v[offset] : 0.0;
  }
  case Scalar::Op: {
    if (s->op == ScalarOp::Select) // only the branch taken: the other may read out of range
      return scalar(s->args[scalar(s->args[0]) != 0 ? 1 : 2]);
    double a[3] = {0, 0, 0};
    for (size_t i = 0; i < s->args.size() && i < 3; ++i)
      a[i] = scalar(s->args[i]);
    return scalarValue(s->op, s->elem, s->args[0]->elem, a);
  }
  case Scalar::Reduce:
    return reduce(s, 0);
  }
  return 0;
}

double GraphEval::reduce(const Scalar *s, size_t depth) {
  if (depth == s->vars.size())
    return scalar(s->args[0]);
  LoopVar *v = s->vars[depth];
  ScalarOp combine = ScalarOp::Add;
  double acc = 0;
  switch (s->red) {
  case ReduceOp::Sum:
    break;
  case ReduceOp::Max:
    combine = ScalarOp::Max;
    acc = -std::numeric_limits<double>::infinity();
    break;
  case ReduceOp::Min:
    combine = ScalarOp::Min;
    acc = std::numeric_limits<double>::infinity();
    break;
  case ReduceOp::Any:
    combine = ScalarOp::Or;
    break;
  case ReduceOp::All:
    combine = ScalarOp::And;
    acc = 1;
    break;
  }
  for (int64_t i = 0; i < v->size; ++i) {
    at[v] = v->lo + i;
    double x = reduce(s, depth + 1);
    const double pair[2] = {acc, x};
    acc = scalarValue(combine, s->elem, s->elem, pair);
  }
  return acc;
}

Elements GraphEval::compute(const Node *n) {
  Elements r((size_t)elementCount(n->type));
  switch (n->kind) {
  case Node::Input:
  case Node::HostScalar:
  case Node::Random:
    error = "no value was given for `" + n->name + "`";
    return r;
  case Node::Param:
    if (auto it = params.find(n->leaf); it != params.end())
      return it->second;
    error = "no value was given for the parameter `" + n->name + "`";
    return r;
  case Node::Literal:
    return n->numbers;
  case Node::Reshape:
  case Node::StopGrad:
    return value(n->operands[0]);
  case Node::For: {
    std::vector<int64_t> saved;
    for (auto *v : n->vars)
      at[v] = v->lo;
    for (size_t k = 0; k < r.size(); ++k) {
      r[k] = scalar(n->body);
      for (size_t i = n->vars.size(); i-- > 0;) {
        LoopVar *v = n->vars[i];
        if (++at[v] < v->lo + v->size)
          break;
        at[v] = v->lo;
      }
    }
    return r;
  }
  case Node::Softmax:
  case Node::LogSumExp: {
    const Elements &x = value(n->operands[0]);
    auto &dims = n->operands[0]->type.dims;
    int64_t outer = 1, inner = 1, len = dims[n->axis].size;
    for (int64_t i = 0; i < (int64_t)dims.size(); ++i)
      (i < n->axis ? outer : inner) *= i == n->axis ? 1 : dims[i].size;
    for (int64_t o = 0; o < outer; ++o)
      for (int64_t i = 0; i < inner; ++i) {
        auto pos = [&](int64_t k) { return (size_t)((o * len + k) * inner + i); };
        double m = -std::numeric_limits<double>::infinity(), sum = 0;
        for (int64_t k = 0; k < len; ++k)
          m = std::fmax(m, x[pos(k)]);
        bool empty = std::isinf(m) && m < 0; // fully masked: a row of zeros
        for (int64_t k = 0; k < len && !empty; ++k)
          sum += std::exp(x[pos(k)] - m);
        if (n->kind == Node::LogSumExp)
          r[(size_t)(o * inner + i)] = empty ? m : m + std::log(sum);
        else
          for (int64_t k = 0; k < len; ++k)
            r[pos(k)] = empty ? 0.0 : std::exp(x[pos(k)] - m) / sum;
      }
    return r;
  }
  case Node::Kernel: {
    GraphEval body;
    size_t k = 0;
    for (auto *o : n->operands)
      body.given[n->fn->inputs[k++]] = value(o);
    for (auto *c : n->captures)
      body.given[n->fn->inputs[k++]] = value(c);
    body.params = params;
    r = body.value(n->fn->results[0]);
    if (!body.error.empty())
      error = body.error;
    return r;
  }
  case Node::Grad:
  case Node::GradResult:
    error = "grad is not evaluated by the reference evaluator";
    return r;
  }
  return r;
}

} // namespace r1
