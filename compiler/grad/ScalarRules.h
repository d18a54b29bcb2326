// Derivatives of scalar ops, and reverse mode over the straight-line body of a map.
#pragma once
#include "dialects/r1/R1.h"
#include "llvm/ADT/DenseMap.h"

namespace r1 {

/// Adjoints of the scalars of one body, given that of its yielded value. Adjoints are computed in
/// f32 (f64 for f64) whatever the type of the value; the caller rounds once.
class BodyAdjoints {
public:
  /// `active`: the block arguments and results of r1.read that lead to a parameter.
  BodyAdjoints(mlir::OpBuilder &b, const llvm::DenseSet<mlir::Value> &active)
      : b(b), active(active) {}

  /// Walks `ops` (in order) backwards from `yielded`, whose adjoint is `g`. Fails, with a message
  /// at the op, when an active op has no rule.
  mlir::LogicalResult run(llvm::ArrayRef<mlir::Operation *> ops, mlir::Value yielded,
                          mlir::Value g);

  /// The adjoint of `v`, or null when nothing flows to it.
  mlir::Value of(mlir::Value v) const { return adjoints.lookup(v); }

private:
  void add(mlir::Value v, mlir::Value g, mlir::Location loc);

  mlir::OpBuilder &b;
  llvm::DenseSet<mlir::Value> active;
  llvm::DenseMap<mlir::Value, mlir::Value> adjoints;
};

/// The names of the ops that have a rule, in the table's order.
llvm::SmallVector<llvm::StringRef> scalarRuleNames();

/// True when every index of `read` lies in the tensor: an i1 built at `b`.
mlir::Value readInRange(mlir::OpBuilder &b, mlir::Location loc, ir::ReadOp read);

} // namespace r1
