// Short ways to write r1 ops from C++: what grad, kernels and shard build most.
#pragma once
#include "dialects/r1/R1.h"

namespace r1::ir {

/// Builds the value that a map's body yields. `args`: a scalar per input, then a tensor per
/// capture.
using BodyFn =
    llvm::function_ref<mlir::Value(mlir::OpBuilder &, mlir::Location, mlir::ValueRange args)>;

/// An `r1.map` over the space of `result`.
mlir::Value buildMap(mlir::OpBuilder &b, mlir::Location loc, mlir::RankedTensorType result,
                     mlir::ValueRange ins, llvm::ArrayRef<mlir::AffineMap> maps,
                     mlir::ValueRange captures, BodyFn body);

/// A map whose inputs all have the result's shape.
mlir::Value buildElementwise(mlir::OpBuilder &b, mlir::Location loc, mlir::RankedTensorType result,
                             mlir::ValueRange ins, BodyFn body);

/// out[d...] = in[map(d...)].
mlir::Value buildView(mlir::OpBuilder &b, mlir::Location loc, mlir::RankedTensorType result,
                      mlir::Value in, mlir::AffineMap map);

/// `v` with elements of the float type `elem`; `v` itself when it has them already.
mlir::Value buildCast(mlir::OpBuilder &b, mlir::Location loc, mlir::Value v, mlir::Type elem);

/// A scalar of one float type as another.
mlir::Value castScalar(mlir::OpBuilder &b, mlir::Location loc, mlir::Value v, mlir::Type elem);

/// The sum over `dims`, with elements of type `elem`; `v` itself when `dims` is empty.
mlir::Value buildSum(mlir::OpBuilder &b, mlir::Location loc, mlir::Value v,
                     llvm::ArrayRef<int64_t> dims, mlir::Type elem);

/// sum over the dims that `out` does not name of lhs[l] * rhs[r]; operands of two float types
/// are brought to the wider one. `elem` is the result's element type.
mlir::Value buildContract(mlir::OpBuilder &b, mlir::Location loc, mlir::Value lhs, mlir::Value rhs,
                          mlir::AffineMap l, mlir::AffineMap r, mlir::AffineMap out,
                          mlir::Type elem);

mlir::Value buildSplat(mlir::OpBuilder &b, mlir::Location loc, mlir::RankedTensorType type,
                       double value);

inline mlir::RankedTensorType tensorType(mlir::Value v) {
  return llvm::cast<mlir::RankedTensorType>(v.getType());
}
/// `type` with another element type; names of dims stay, a bound does not.
mlir::RankedTensorType withElem(mlir::RankedTensorType type, mlir::Type elem);
/// The names of `type`'s dims that `dims` selects, as the encoding of a tensor of `shape`.
mlir::RankedTensorType withoutDims(mlir::RankedTensorType type, llvm::ArrayRef<int64_t> dims,
                                   mlir::Type elem);
/// f64 for f64, else f32: where sums and adjoints of floats are computed.
mlir::Type accumulatorOf(mlir::Type elem);

} // namespace r1::ir
