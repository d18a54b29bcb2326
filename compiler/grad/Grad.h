// Reverse-mode differentiation of the r1 dialect.
#pragma once
#include "dialects/r1/R1.h"

namespace r1 {

/// Appends to the block of `loss` (before its terminator) the gradients of the rank-0 float `loss`
/// with respect to each of `wrt`, in their order; a value that the loss does not depend on has a
/// gradient of zeros. Kernels on the way that have no registered adjoint are replaced by their
/// bodies. Only what lies between `wrt` and `loss` is visited.
mlir::FailureOr<llvm::SmallVector<mlir::Value>> differentiate(mlir::Value loss,
                                                              llvm::ArrayRef<mlir::Value> wrt);

/// Replaces every r1.grad below `module` by the callee's body and its adjoint. Results of functions that are made of its
/// gradients are marked `r1.of_grad`.
mlir::LogicalResult lowerGradOps(mlir::ModuleOp module);

/// For each function with `r1.entry = "loss"` of the stage's module: adds `@backward` with the same
/// arguments, marked `r1.entry = "backward"`, that returns the loss, the other results (which
/// carry no gradient), and `grad:PATH` for each trainable leaf in the order of the r1.leaf ops.
/// An entry `loss@64`, for rows of another length, gets `@"backward@64"`; the second and later losses of
/// a module without such a mark `@backward_NAME`.
mlir::LogicalResult addBackward(mlir::ModuleOp module);

/// The whole phase on `module` and the modules nested in it: lowerGradOps, addBackward,
/// canonicalisation and common subexpressions. Idempotent.
mlir::LogicalResult runGrad(mlir::ModuleOp module);

} // namespace r1
