#include "test/irgen/CompareMeaning.h"
#include "compiler/eval/Elaboration.h"
#include <cmath>
#include <random>
#include <unordered_set>

namespace r1::test {

namespace {
Elements draw(const GraphType &type, std::mt19937 &random) {
  Elements v(size_t(elementCount(type)));
  for (double &x : v)
    if (type.elem <= Elem::BF16)
      x = std::uniform_real_distribution<>(-2, 2)(random);
    else if (type.elem == Elem::Bool)
      x = double(random() % 2);
    else // unbounded integers also leave the tables they index
      x = type.bound > 0 ? double(random() % type.bound) : double(random() % 24) - 4;
  return v;
}

ir::EvalTensor tensor(const GraphType &type, Elements v) {
  ir::EvalTensor out;
  for (const GraphDim &d : type.dims)
    out.shape.push_back(d.size);
  out.values = std::move(v);
  return out;
}

/// Parameters, host scalars and draws of `fn` and of the reference bodies below it.
void setLeaves(const GraphFn &fn, std::mt19937 &random, GraphEval &oracle,
               ir::EvalContext &context) {
  for (const Node &n : fn.nodes) {
    if (n.kind == Node::HostScalar) {
      oracle.given[&n] = {3.0};
      context.scalars[n.name] = tensor(n.type, {3.0});
    }
    if (n.kind == Node::Param && !oracle.params.count(n.leaf)) {
      oracle.params[n.leaf] = draw(n.leaf->type, random);
      context.params[n.leaf->path] = tensor(n.leaf->type, oracle.params[n.leaf]);
    }
  }
  for (const auto &inner : fn.fns)
    setLeaves(*inner, random, oracle, context);
}
} // namespace

std::string compareMeaning(const GraphFn &fn, mlir::func::FuncOp func) {
  std::mt19937 random(7);
  GraphEval oracle;
  ir::EvalContext context;
  std::vector<ir::EvalTensor> args;
  for (Node *n : fn.inputs) {
    oracle.given[n] = draw(n->type, random);
    args.push_back(tensor(n->type, oracle.given[n]));
  }
  setLeaves(fn, random, oracle, context);
  auto results = ir::evaluate(func, args, context);
  if (failed(results))
    return "the generated function cannot be evaluated";
  for (size_t i = 0; i < fn.results.size(); ++i) {
    const Elements &expected = oracle.value(fn.results[i]);
    if (!oracle.error.empty())
      return "the graph cannot be evaluated: " + oracle.error;
    const std::vector<double> &found = (*results)[i].values;
    if (found.size() != expected.size())
      return "result " + std::to_string(i) + " has another number of elements";
    for (size_t k = 0; k < expected.size(); ++k) {
      double x = found[k], y = expected[k];
      bool isSame = x == y || (std::isnan(x) && std::isnan(y)) ||
                    std::fabs(x - y) <= 1e-6 * (1 + std::fabs(y));
      if (!isSame)
        return "result " + std::to_string(i) + ", element " + std::to_string(k) + ": " +
               std::to_string(x) + ", the graph gives " + std::to_string(y);
    }
  }
  return "";
}

} // namespace r1::test
