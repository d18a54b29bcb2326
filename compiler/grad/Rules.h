// One structural derivative rule per op of r1, and what the rules share.
#pragma once
#include "dialects/r1/R1Build.h"
#include "llvm/ADT/DenseSet.h"

namespace r1 {

/// The adjoints of a block's values while it is walked backwards. A value's contributions stay
/// separate until the walk reaches the value.
class Adjoints {
public:
  explicit Adjoints(mlir::OpBuilder &b) : b(b) {}

  /// Values through which a gradient may flow from the parameters asked for.
  void setActive(mlir::Value v) { active.insert(v); }
  bool isActive(mlir::Value v) const { return active.contains(v); }

  /// Adds one contribution; its element type is brought to elemFor(v).
  void add(mlir::Value v, mlir::Value g);

  /// The contributions of `v` in the order of the walk.
  llvm::ArrayRef<mlir::Value> parts(mlir::Value v) const;

  /// The adjoint of `v`: its contributions added up in one map. Null when there are none.
  mlir::Value sum(mlir::Value v);

  /// The element type of v's adjoint: v's own, but f32 when v is merely a rounded copy of an f32
  /// value, so that gradients of f32 parameters are summed in f32.
  mlir::Type elemFor(mlir::Value v) const;

  /// The type of v's adjoint.
  mlir::RankedTensorType typeFor(mlir::Value v) const {
    return ir::withElem(ir::tensorType(v), elemFor(v));
  }

  mlir::OpBuilder &b;
  /// The axis of a value that counts the rows of the batch.
  llvm::DenseMap<mlir::Value, unsigned> rowAxis;

private:
  llvm::DenseSet<mlir::Value> active;
  llvm::DenseMap<mlir::Value, llvm::SmallVector<mlir::Value>> contributions;
};

/// Adds the contributions of `op` to its active operands. Fails with a message at the op.
mlir::LogicalResult differentiateOp(Adjoints &adj, mlir::Operation *op);

/// The location of the adjoint of `v`: "x_adj" at v's own place.
mlir::Location adjointLoc(mlir::Value v);

/// `values` (of one shape) added from left to right in one map; the single value itself.
mlir::Value addAll(mlir::OpBuilder &b, mlir::Location loc, llvm::ArrayRef<mlir::Value> values);

// The rules, by family.
mlir::LogicalResult mapRule(Adjoints &adj, ir::MapOp op, mlir::Value g);

} // namespace r1
