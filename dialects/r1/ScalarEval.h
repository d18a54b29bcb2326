// The scalar half of the reference evaluator: bodies of maps over arith, math, r1.index, r1.read.
#pragma once
#include "dialects/r1/R1Eval.h"

namespace r1::ir {

/// A body turned into a list of steps over numbered slots, so that it can run once per element.
class ScalarProgram {
public:
  /// `block`: arguments that are scalars are given to run(), those that are tensors are in
  /// `captures`, in order. Fails with a message at an op without meaning here.
  static mlir::FailureOr<ScalarProgram> compile(mlir::Block &block);

  /// The yielded value at position `index`.
  double run(llvm::ArrayRef<double> args, llvm::ArrayRef<const EvalTensor *> captures,
             llvm::ArrayRef<int64_t> index);

private:
  using Fn = double (*)(const double *x);
  struct Step {
    enum Kind { Constant, Index, Read, Apply } kind;
    unsigned out = 0;
    double number = 0;                // Constant
    int64_t dim = 0;                  // Index; Read: the capture
    Fn fn = nullptr;                  // Apply
    llvm::SmallVector<unsigned> from; // Apply, Read (indices, then the default)
  };
  std::vector<Step> steps;
  std::vector<double> slots;
  unsigned result = 0;
};

} // namespace r1::ir
