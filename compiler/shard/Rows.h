// Which axis of which value counts the rows of the batch: structural, through indexing maps.
#pragma once
#include "dialects/r1/R1.h"
#include "llvm/ADT/DenseMap.h"
#include <vector>

namespace r1::shard {

/// Axes that must be cut together are one class (union-find); the class of the leading axes of
/// the arguments marked `r1.rows` is the rows.
class Rows {
public:
  /// Fails, with an error at the op, where rows are mixed.
  mlir::LogicalResult analyze(mlir::func::FuncOp func);

  int64_t count() const { return rows; } // global; 0: the function has no rows
  /// The axis of `v` that counts rows, or -1.
  int axisOf(mlir::Value v) const;
  /// An op that uses the position of a row within the batch, or null.
  mlir::Operation *positional = nullptr;

private:
  using Axis = std::pair<mlir::Value, unsigned>;
  unsigned id(Axis axis);
  unsigned find(unsigned i) const;
  void unify(Axis a, Axis b);
  /// Entry `r` of `map`, whose dims are the axes of `space`, reads axis `r` of `v`.
  void unifyMap(mlir::AffineMap map, mlir::Value v, mlir::Value space, int skip = -1);
  void visit(mlir::Operation *op);
  mlir::LogicalResult check(mlir::func::FuncOp func);

  std::vector<unsigned> parent;
  llvm::DenseMap<Axis, unsigned> ids;
  /// Axes that an op visits as a whole or out of order: no rows may be there.
  std::vector<std::pair<Axis, mlir::Operation *>> mixed;
  std::vector<std::pair<mlir::Operation *, Axis>> positions; // r1.index ops and their axis
  int64_t rows = 0;
  unsigned rowClass = ~0u;
};

/// Replaces every r1.random of `func` by a map over the rows (Random.cpp); it reads the scalars
/// `t` (step) and `seed`.
void lowerRandoms(mlir::func::FuncOp func);

} // namespace r1::shard
