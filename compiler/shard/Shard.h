// shard: rows into micro-batches. Reads and leaves r1.
//
// Every value computed from the batch either has one entry per row, or is a sum over rows, or is
// free of rows. The rows go into one r1.row_loop of `micro` turns at 1/micro of the shapes; it
// yields the sums, each continuing its chain from turn to turn, so that `micro` never shows in
// the bits. Sums that do not depend on parameters (counts) are computed over the whole batch
// first; what is computed from the other sums comes after the loop.
#pragma once
#include "mlir/IR/BuiltinOps.h"
#include <cstdint>

namespace r1 {

/// Splits the rows of every entry whose results are free of rows, or f32 numbers one of each row. `@backward` must have a number
/// of rows that `micro` divides; other entries use the largest common divisor. Errors (E0314: not
/// a sum over rows) are emitted at the op's location.
mlir::LogicalResult shardModule(mlir::ModuleOp module, int64_t micro);

/// The rows of a batch: the most that an entry takes, 0 if none takes rows.
int64_t rowsOf(mlir::ModuleOp module);

/// Can every entry that takes rows be split, down to one row each?
bool cutsWholly(mlir::ModuleOp module);

/// An upper estimate of the arena in bytes before anything is planned, for the choice of `micro`:
/// pools, inputs and the peak of values alive in `@backward` after `grad`.
uint64_t estimateBytes(mlir::ModuleOp module, int64_t micro);

/// --r1-shard{micro=N}, --r1-recompute{blocks=N}
void registerShardPasses();

} // namespace r1
