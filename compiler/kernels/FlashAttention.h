// "flash_attention": softmax(q kᵀ / sqrt(K) where allowed) v, without the scores in memory.
//
//   ins      q [B, T, H, K]   k [B, S, G, K]   v [B, S, G, K]     G divides H; head h reads h /
//   (H/G) lambda   (b, t, s, captures...) -> i1: may query t see key s results  out [B, T, H, K] of
//   q's type, and on demand lse [B, H, T] in f32 (f64 for f64): the
//            log of the sum of the exponentials of a row's scores, -inf where no key is allowed
//
// "flash_attention_bwd" takes (q, k, v, out, lse, dout), the same captures and lambda, and yields
// (dq, dk, dv) of the types of q, k and v.
#pragma once
#include "dialects/r1/R1.h"

namespace r1::flash {

ir::KernelOp keepForAdjoint(ir::KernelOp op);
mlir::FailureOr<llvm::SmallVector<mlir::Value>> adjoint(mlir::OpBuilder &b, ir::KernelOp op,
                                                        llvm::ArrayRef<mlir::Value> resultAdjoints);
mlir::FailureOr<llvm::SmallVector<mlir::Value>> reference(mlir::OpBuilder &b, ir::KernelOp op);
mlir::FailureOr<llvm::SmallVector<mlir::Value>> backwardReference(mlir::OpBuilder &b,
                                                                  ir::KernelOp op);

/// For q [B, T, H, K] and k [B, S, G, K]: two products of T x S x K for each head forward, five backward (Dao
/// et al. 2022; one of them computes the scores again). All pairs count, allowed or not.
uint64_t flops(llvm::ArrayRef<int64_t> q, llvm::ArrayRef<int64_t> k);
uint64_t backwardFlops(llvm::ArrayRef<int64_t> q, llvm::ArrayRef<int64_t> k);

} // namespace r1::flash
