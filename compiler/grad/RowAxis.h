// Which axis of a value counts the rows of the batch, so that sums over rows go in row order.
#pragma once
#include "dialects/r1/R1.h"
#include "llvm/ADT/DenseMap.h"

namespace r1 {

/// From the function's arguments with `r1.rows` (their leading dim) through the ops of `block`.
/// Values without an entry have no such axis, or none that one axis holds alone.
llvm::DenseMap<mlir::Value, unsigned> findRowAxes(mlir::Block &block);

} // namespace r1
