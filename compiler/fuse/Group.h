// Which ops become one kernel: the decisions of fuse, taken before anything is emitted.
#pragma once
#include "compiler/fuse/Index.h"
#include "compiler/fuse/Values.h"
#include "llvm/ADT/SetVector.h"

namespace r1::fuse {

/// Where an op stands relative to the loop over micro-batches.
enum class Segment : uint8_t { Before, Loop, After };

/// Ops that become one launch.
struct Group {
  enum Kind : uint8_t { Rows, Product, Scatter, Intrinsic } kind = Rows;
  Segment segment = Segment::Before;
  llvm::SmallVector<mlir::Operation *> ops; // in program order; the last one names the kernel
  /// Rows: the shape that counts the rows; what a value has beyond it is swept.
  llvm::SmallVector<int64_t> rows;
  /// Rows: lanes along the sweeps (sums within a row).
  bool alongSweep = false;
  /// Rows: sums over rows (or other leading axes), as chains; rows are what is kept.
  bool chain = false;
  llvm::SmallVector<int64_t> chained; // sizes of the axes that the chains visit
  bool accumulate = false;            // a partial sum of a row loop with several turns
  std::string reason;                 // why it is not one kernel with what is launched before it
  int first = 0, last = 0;            // program order of its ops

  /// The group runs inside a loop over chunks of rows (Chunk.cpp), `chunkSize` of `chunkRows` a
  /// turn: its own rows (or a product's m), or, with `chunkSums`, the rows that it sums over.
  int chunk = -1;
  int64_t chunkRows = 0, chunkSize = 0;
  bool chunkSums = false;
};

struct GroupOptions {
  bool fuse = true; // false: one kernel per op, only views are folded
  int64_t chunkBytes = 0;
};

/// One program's ops in order, with what surrounds them.
struct OpList {
  std::vector<std::pair<mlir::Operation *, Segment>> ops;
  /// Values that must be in memory whatever happens: outputs, partial sums, split operands.
  llvm::DenseSet<mlir::Value> inMemory;
  /// Partial sums of a row loop with more than one turn.
  llvm::DenseSet<mlir::Value> accumulated;
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
  /// What `group` reads from memory, through what it recomputes.
  llvm::SetVector<mlir::Value> readsOf(const Group &group) const;
  /// Axes of `v` that a sweep of `group` visits.
  llvm::SmallVector<int64_t> sweepAxes(const Group &group, mlir::Value v) const;
  /// `group` is element-wise and reads `v` at the position of its own element only.
  bool readsInPlace(const Group &group, mlir::Value v) const;
  /// Values that exist in chunks of rows only, with their number of rows per chunk.
  llvm::DenseMap<mlir::Value, int64_t> temps;
  bool isVirtual(mlir::Operation *op) const { return op && virtuals.contains(op); }

private:
  bool inMemory(mlir::Value v) const;
  void countUses();

  // Virtual.cpp: what is recomputed where it is read, and what a product's epilogue takes in.
  void chooseEpilogues();
  void chooseVirtual();
  bool worthRecomputing(mlir::Operation *op);
  /// Operations to compute one element of `v` from what is in memory.
  int costOf(mlir::Value v) const;

  // Merge.cpp
  void mergeRows();
  /// Makes one group of both if that is legal; says why not otherwise.
  bool tryMerge(Group &into, Group &from, std::string &why);
  bool mergedShape(const Group &a, const Group &b, Group &out, std::string &why) const;
  bool rowLocal(const Group &group, std::string &why) const;
  bool wouldCycle(const Group &a, const Group &b) const;
  void takeEpilogues();
  void explain();

  // Chunk.cpp
  void chooseChunks();
  bool growChunk(Group &product);

  void reads(mlir::Value v, const Group *group, llvm::SetVector<mlir::Value> &out,
             llvm::DenseSet<mlir::Value> &seen) const;
  Group &newGroup(mlir::Operation *op, Segment segment, Group::Kind kind, int order);
  void shapeRows(Group &group, mlir::Operation *op);
  mlir::LogicalResult sort();

  int chunks = 0;
  const OpList &list;
  GroupOptions options;
  llvm::DenseSet<mlir::Operation *> virtuals;
  llvm::DenseMap<mlir::Operation *, Group *> owner;
  llvm::DenseMap<mlir::Operation *, int> orders;
  /// By order: how many blocks have begun to be computed again (shard/Recompute.h).
  std::vector<int> epochs;
  llvm::DenseMap<mlir::Operation *, Segment> segments;
  llvm::DenseMap<mlir::Value, llvm::SmallVector<mlir::Operation *>> users;
  llvm::DenseMap<mlir::Operation *, llvm::SmallVector<mlir::Operation *>> epilogues;
  mutable llvm::DenseMap<const Group *, llvm::SetVector<mlir::Value>> readCache;
};

/// A contract's operand as strides over a value in memory.
struct ProductOperand {
  mlir::Value base;
  llvm::SmallVector<int64_t> strides; // elements, per dim of the contract
};
/// Through reshapes and views to a value that has strides; the operand itself if that fails.
ProductOperand productOperand(mlir::Value operand, mlir::AffineMap map,
                              llvm::ArrayRef<int64_t> sizes, const Values &values,
                              llvm::function_ref<bool(mlir::Value)> mayFold);

/// The index of element (row, sweep position) in a value of `shape`, whose swept axes are
/// `sweepAxes`; the other axes in order count the rows.
llvm::SmallVector<mlir::AffineExpr>
rowIndex(llvm::ArrayRef<int64_t> shape, llvm::ArrayRef<int64_t> sweepAxes,
         mlir::AffineExpr rowLinear, llvm::ArrayRef<mlir::AffineExpr> sweepDims, const Dims &dims);

/// Every value of the group that another one of its ops reads is read in its own row.
bool readsOwnRows(const Group &group, const Values &values,
                  llvm::function_ref<bool(mlir::Operation *)> isVirtual,
                  llvm::function_ref<llvm::SmallVector<int64_t>(mlir::Value)> sweepAxes);
/// The group reads `v`, which it does not compute, at the position of its own element only.
bool readsElementwise(const Group &group, mlir::Value v, const Values &values,
                      llvm::function_ref<bool(mlir::Operation *)> isVirtual,
                      llvm::function_ref<llvm::SmallVector<int64_t>(mlir::Value)> sweepAxes);
/// Every element that the group's kernel reads lies at coefficient * row + something free of the
/// row, and what it reads of `temps` in its own row. The rows are `rows` leading ones of the
/// kernel (or of the product's m), or with `sums` those that it sums over.
bool linearInRows(const Group &group, int64_t rows, bool sums,
                  const llvm::DenseSet<mlir::Value> &temps, const Values &values,
                  llvm::function_ref<bool(mlir::Operation *)> isVirtual,
                  llvm::function_ref<llvm::SmallVector<int64_t>(mlir::Value)> sweepAxes);

/// "[4, 8]"
std::string shapeText(llvm::ArrayRef<int64_t> shape);

} // namespace r1::fuse
