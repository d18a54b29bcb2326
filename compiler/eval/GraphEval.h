// Runs a GraphFn in f64, one element after the other: the oracle of everything that is faster.
#pragma once
#include "compiler/eval/Graph.h"
#include <string>
#include <unordered_map>
#include <vector>

namespace r1 {

struct Leaf;

/// Row-major elements; booleans are 0 and 1.
using Elements = std::vector<double>;

class GraphEval {
public:
  /// Values of inputs, parameters and host scalars must be set before `value` needs them.
  std::unordered_map<const Node *, Elements> given;
  std::unordered_map<const Leaf *, Elements> params;

  /// The elements of a node; memoised. On a node that cannot be evaluated `error` is set and
  /// zeros are returned.
  const Elements &value(const Node *n);
  std::string error;

private:
  Elements compute(const Node *n);
  double scalar(const Scalar *s);
  double reduce(const Scalar *s, size_t var);
  std::unordered_map<const Node *, Elements> done;
  std::unordered_map<const LoopVar *, int64_t> at;
};

/// The number of elements of a type whose sizes are known.
int64_t elementCount(const GraphType &t);

/// Readable text of a graph function, one node per line.
std::string dumpGraph(const GraphFn &fn, int indent = 0);
std::string typeText(const GraphType &t);

} // namespace r1
