// Which ops become one kernel: the decisions of fuse, taken before anything is emitted.
#pragma once
#include "compiler/fuse/Values.h"
#include <set>

namespace r1::fuse {

/// Where an op stands relative to the loop over micro-batches.
enum class Segment : uint8_t { Before, Loop, After };

/// Ops that become one launch.
struct Group {
  enum Kind : uint8_t { Rows, Product, Scatter, Intrinsic } kind = Rows;
  Segment segment = Segment::Before;
  llvm::SmallVector<mlir::Operation *> ops; // in program order; the last one names the kernel
  /// Rows: the shape that counts the rows, and the axes of each value that are swept.
  llvm::SmallVector<int64_t> rows;
  bool alongSweep = false;
  /// Rows: reductions over rows chain along them; nothing else of the row is shared.
  bool chain = false;
  bool accumulate = false; // a partial sum of the row loop
  std::string reason;      // why it is not one kernel with what stands before it
  int order = 0;           // program order of its last op
};

struct GroupOptions {
  bool fuse = true; // false: one kernel per op, only views are folded
};

/// One program's ops in order, with what surrounds them.
struct OpList {
  std::vector<std::pair<mlir::Operation *, Segment>> ops;
  /// Values that must be in memory whatever happens: outputs, partial sums, split operands.
  llvm::DenseSet<mlir::Value> inMemory;
  /// Partial sums of a row loop with more than one turn.
  llvm::DenseSet<mlir::Value> accumulated;
  /// Each must come before the other: old values of pools that are updated in place.
  const Values *values = nullptr;
};

class Grouping {
public:
  Grouping(const OpList &list, const GroupOptions &options) : list(list), options(options) {}
  /// Fills `groups` in an order that respects dependencies.
  mlir::LogicalResult run();

  std::vector<std::unique_ptr<Group>> groups;
  /// The group that computes `v`, or null if `v` is recomputed where it is read.
  Group *groupOf(mlir::Value v) const;
  /// Values that some group reads from memory and another computes.
  llvm::DenseSet<mlir::Value> stored;
  /// Materialised values that `group` reads, through what it recomputes.
  llvm::SetVector<mlir::Value> readsOf(const Group &group) const;
  /// Axes of `v` that a sweep of `group` visits.
  llvm::SmallVector<int64_t> sweepAxes(const Group &group, mlir::Value v) const;

private:
  bool isVirtual(mlir::Operation *op) const { return virtuals.contains(op); }
  void chooseVirtual();
  void reads(mlir::Value v, const Group *group, llvm::SetVector<mlir::Value> &out,
             llvm::DenseSet<mlir::Value> &seen) const;
  Group &newGroup(mlir::Operation *op, Segment segment, Group::Kind kind);
  void shapeRows(Group &group, mlir::Operation *op);
  mlir::LogicalResult sort();

  const OpList &list;
  GroupOptions options;
  llvm::DenseSet<mlir::Operation *> virtuals;
  llvm::DenseMap<mlir::Operation *, Group *> owner;
};

/// A contract's operand as strides over a value in memory.
struct ProductOperand {
  mlir::Value base;
  llvm::SmallVector<int64_t> strides; // elements, per dim of the contract
};
/// Through reshapes and views to a value that has `strides`; the operand itself if that fails.
ProductOperand productOperand(mlir::Value operand, mlir::AffineMap map,
                              llvm::ArrayRef<int64_t> sizes, const Values &values,
                              llvm::function_ref<bool(mlir::Value)> mayFold);

/// The operands of `op` that a kernel of their own must read from memory.
bool readsWhole(mlir::Operation *op, unsigned operand);

} // namespace r1::fuse
