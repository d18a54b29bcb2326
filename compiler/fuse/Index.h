// Arithmetic on index expressions of a kernel under construction: sums of products of index
// variables, simplified with the variables' known ranges (which AffineExpr alone cannot see).
#pragma once
#include "mlir/IR/AffineExpr.h"
#include "mlir/IR/Value.h"
#include "llvm/ADT/SmallVector.h"
#include <cstdint>
#include <optional>

namespace r1::fuse {

/// The index variables of a kernel: d0, d1, … with their SSA value and range 0..size-1
/// (size 0: not known). Values computed from data are variables too.
struct Dims {
  mlir::MLIRContext *context;
  llvm::SmallVector<int64_t> sizes;
  llvm::SmallVector<mlir::Value> values;

  explicit Dims(mlir::MLIRContext *context) : context(context) {}
  mlir::AffineExpr add(int64_t size, mlir::Value value = {}) {
    sizes.push_back(size);
    values.push_back(value);
    return mlir::getAffineDimExpr(sizes.size() - 1, context);
  }
};

/// constant + sum of coefficient * term, where a term is a variable, or an opaque `mod` or
/// `floordiv` of such a sum.
struct Linear {
  llvm::SmallVector<std::pair<mlir::AffineExpr, int64_t>> terms;
  int64_t constant = 0;
};

Linear toLinear(mlir::AffineExpr e, const Dims &dims);
mlir::AffineExpr toExpr(const Linear &l, const Dims &dims);
mlir::AffineExpr simplify(mlir::AffineExpr e, const Dims &dims);
/// Smallest and largest value, when every variable's range is known.
std::optional<std::pair<int64_t, int64_t>> rangeOf(mlir::AffineExpr e, const Dims &dims);

/// Row-major position of `index` in `shape`.
mlir::AffineExpr linearize(llvm::ArrayRef<mlir::AffineExpr> index, llvm::ArrayRef<int64_t> shape,
                           const Dims &dims);
/// The index in `shape` at row-major position `e`.
llvm::SmallVector<mlir::AffineExpr> delinearize(mlir::AffineExpr e, llvm::ArrayRef<int64_t> shape,
                                                const Dims &dims);
/// Applies an affine map without symbols to `index`.
llvm::SmallVector<mlir::AffineExpr>
applyMap(mlir::AffineMap map, llvm::ArrayRef<mlir::AffineExpr> index, const Dims &dims);
/// Row-major strides in elements.
llvm::SmallVector<int64_t> stridesOf(llvm::ArrayRef<int64_t> shape);
int64_t countOf(llvm::ArrayRef<int64_t> shape);

/// The position that an index or integer of a map's body stands for, if it is an affine function
/// of the map's indices.
std::optional<mlir::AffineExpr> affineOf(mlir::Value inBody, llvm::ArrayRef<mlir::AffineExpr> index,
                                         const Dims &dims);

} // namespace r1::fuse
