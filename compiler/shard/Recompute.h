// What is computed again for gradients instead of kept. Reads and leaves r1, after the rows are split.
//
// The forward part of a loop over rows is cut where few bytes are alive into blocks (of a transformer:
// its layers, or halves of them). What crosses a cut is kept. Whatever else the gradients read of a
// block that is computed again is cloned right before its first reader, each clone marked
// {r1.again = number of the block}, so that the originals end within the forward part. Clones are the
// same ops with the same attributes otherwise, random draws (functions of row numbers) among them:
// their bits are the originals'.
#pragma once
#include "mlir/IR/BuiltinOps.h"
#include <cstdint>

namespace r1 {

/// Computes the first `again` blocks of every @backward again (all that there are, if fewer; none, if 0).
/// Returns how many blocks the largest one has; what comes after the last block, where the gradients
/// begin, is none of them.
int64_t recomputeBlocks(mlir::ModuleOp module, int64_t again);

/// --r1-recompute{blocks=N}
void registerRecomputePass();

} // namespace r1
