// "cache_write": the rows of a tensor become places of a cache.
//
//   ins      x [B, N, …]   cache [B, S, …]   at i32 [B]
//   result   the cache with x[b, n] in the place of cache[b, at[b] + n]
//
// `at` is brought into 0 … S - N. The old cache is not read after its write, so the new one lies over it.
//
// "cache_fill": whole rows of a cache. `axis` (an attribute) counts the rows.
//
//   ins      x [E, …]   cache [B, …]   from i32 [W]   row i32 [W]
//   result   the cache with x[from[j]] in the place of cache[row[j]], for each j
//
// `from` is brought into 0 … E - 1, `row` into 0 … B - 1. Pairs come in no order and may come again, so pairs of one
// row must have one `from`. The new cache lies over the old one.
#pragma once
#include "dialects/r1/R1.h"

namespace r1::cache {

mlir::FailureOr<llvm::SmallVector<mlir::Value>> writeReference(mlir::OpBuilder &b, ir::KernelOp op);
mlir::FailureOr<llvm::SmallVector<mlir::Value>> fillReference(mlir::OpBuilder &b, ir::KernelOp op);

} // namespace r1::cache
