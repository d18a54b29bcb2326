// The reference evaluator: what every op of r1 means, in the dullest way. All numbers are f64,
// whatever their type: casts between floats do not round, integers are exact up to 2^53.
#pragma once
#include "dialects/r1/R1.h"
#include "llvm/ADT/StringMap.h"
#include <string>
#include <vector>

namespace r1::ir {

/// A tensor's elements in row-major order; bools are 0 and 1.
struct EvalTensor {
  llvm::SmallVector<int64_t> shape;
  std::vector<double> values;
};

/// What a function reads besides its arguments, and what it reports.
struct EvalContext {
  llvm::StringMap<EvalTensor> params;  // by path
  llvm::StringMap<EvalTensor> scalars; // by name
  /// The draws of an r1.random; without it, such an op is an error.
  std::function<EvalTensor(llvm::StringRef site, mlir::RankedTensorType type)> random;
  /// One line for each r1.expect_close that does not hold: where, the element, both numbers.
  std::vector<std::string> mismatches;
};

/// Runs `fn` on `args` (one for each argument). Fails with a message at the op that has no
/// meaning here or lacks a value; a mismatch is not a failure.
mlir::FailureOr<std::vector<EvalTensor>>
evaluate(mlir::func::FuncOp fn, llvm::ArrayRef<EvalTensor> args, EvalContext &context);

} // namespace r1::ir
