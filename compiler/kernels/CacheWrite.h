// "cache_write": the rows of a tensor become places of a cache.
//
//   ins      x [B, N, …]   cache [B, S, …]   at i32 [B]
//   result   the cache with x[b, n] in the place of cache[b, at[b] + n]
//
// `at` is brought into 0 … S - N. The old cache is not read after its write, so the new one lies over it.
#pragma once
#include "dialects/r1/R1.h"

namespace r1::cache {

mlir::FailureOr<llvm::SmallVector<mlir::Value>> writeReference(mlir::OpBuilder &b, ir::KernelOp op);

} // namespace r1::cache
