// The adjoint of an affine read: sums the contributions of every position that read an element.
#pragma once
#include "dialects/r1/R1Build.h"

namespace r1 {

/// x_adj[e] = sum over all d with map(d) = e of c[d], for x of type `result`. Where `map` leaves
/// the tensor (a guarded read), c is not used. Fails without a message when `map` cannot be
/// inverted; then nothing was built.
mlir::FailureOr<mlir::Value> pullBack(mlir::OpBuilder &b, mlir::Location loc, mlir::Value c,
                                      mlir::AffineMap map, mlir::RankedTensorType result);

/// `index` as an affine expression of the enclosing map's dims, or null when it depends on data.
mlir::AffineExpr affineOf(mlir::Value index);

} // namespace r1
