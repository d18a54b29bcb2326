// Scalar code of a kernel from the r1 ops fused into it.
//
// Every access is a load or store of a 1-D memref at one `affine.apply`, so that its stride along
// any index can be read off.
#pragma once
#include "compiler/fuse/Index.h"
#include "compiler/fuse/Values.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/IRMapping.h"
#include <map>

namespace r1::fuse {

/// A kernel over rows (kern.kernel).
struct RowKernel {
  llvm::SmallVector<int64_t> rows;      // sizes of the row dims; product = number of rows
  bool alongSweep = false;              // lanes along the sweeps, or along the innermost row dim
  llvm::SmallVector<mlir::Value> roots; // what it stores, in order
  /// Per root: its axes that the sweeps visit; the others, in order, count the rows.
  llvm::SmallVector<llvm::SmallVector<int64_t>> sweepAxes;
  /// Values computed here; every other value with a home is loaded from it.
  llvm::DenseSet<mlir::Value> inside;
  /// Sums continue the chain that stands in their root's home.
  bool accumulate = false;
  /// Sweeps visit all their axes with one index (the rows of a chunk that a sum is over).
  bool flatSweeps = false;
};

/// Emits the elements of r1 values at index expressions. One per kernel.
class Emitter {
public:
  Emitter(const Values &values, mlir::MLIRContext *context)
      : values(values), dims(context), rowBuilder(context), sweepBuilder(context) {}

  /// The values whose homes the kernel takes, in the order of its memref arguments.
  llvm::SmallVector<mlir::Value> args;
  llvm::SmallVector<int64_t> writes;

  /// Adds the body of `kernel` to the empty `body`. Its row indices are the block's arguments.
  mlir::LogicalResult emitRows(const RowKernel &kernel, mlir::Block *body);
  /// updates and ids are evaluated, the table (a home) is updated in place.
  /// `rows` becomes the sizes of the kernel's row dims.
  mlir::LogicalResult emitScatter(ir::ScatterAddOp op, const llvm::DenseSet<mlir::Value> &inside,
                                  mlir::Block *body, llvm::SmallVectorImpl<int64_t> &rows);
  /// The epilogue of a product from `sum` (the contract's value) to `root`, after `begin`:
  /// `body` holds g, m, n (of sizes `gmn`) and the accumulator, then A, B, C. Yields the element.
  mlir::LogicalResult emitEpilogue(mlir::Value sum, mlir::Value root, mlir::Block *body,
                                   llvm::ArrayRef<int64_t> gmn,
                                   llvm::function_ref<llvm::SmallVector<mlir::AffineExpr>(
                                       llvm::ArrayRef<mlir::AffineExpr>, const Dims &)>
                                       indexOfResult);
  /// Starts a body whose first `others` arguments are no memrefs.
  void begin(mlir::Block *body, unsigned others, const llvm::DenseSet<mlir::Value> &inside);
  /// The number of the memref argument for `v`'s home, added if it is new (or if `fresh`).
  unsigned argFor(mlir::Value v, bool fresh = false);

private:
  using Index = llvm::SmallVector<mlir::AffineExpr>;
  using Key = std::pair<void *, std::vector<const void *>>;
  using Memo = std::map<Key, mlir::Value>;

  /// A reduction that the row's values need, done in one sweep.
  struct Stat {
    enum Kind { Reduce, Max, SumExp } kind;
    mlir::Value of; // the reduce op's result, or the input of softmax / logsumexp
    mlir::Value input;
    llvm::SmallVector<int64_t> axes;
    int32_t combine;
    int level;          // of its input
    mlir::Value result; // once emitted
  };

  mlir::Value element(mlir::Value v, llvm::ArrayRef<mlir::AffineExpr> index);
  mlir::Value compute(mlir::Value v, llvm::ArrayRef<mlir::AffineExpr> index);
  mlir::Value computeInBody(mlir::Value v, ir::MapOp map, llvm::ArrayRef<mlir::AffineExpr> index,
                            mlir::IRMapping &mapping);
  mlir::Value computeRead(ir::ReadOp op, ir::MapOp map, llvm::ArrayRef<mlir::AffineExpr> index,
                          mlir::IRMapping &mapping);
  mlir::Value computeSoftmax(mlir::Value v, mlir::Value input, int64_t axis,
                             llvm::ArrayRef<mlir::AffineExpr> index);
  bool isLoaded(mlir::Value v) const;
  mlir::Value load(mlir::Value v, llvm::ArrayRef<mlir::AffineExpr> index);
  void store(mlir::Value element, mlir::Value v, llvm::ArrayRef<mlir::AffineExpr> index);
  mlir::Value indexValue(mlir::AffineExpr e);
  mlir::AffineExpr variable(mlir::Value index, int64_t size);
  mlir::Value constant(mlir::TypedAttr value);
  mlir::Value floatConstant(mlir::Type type, double value);
  mlir::Value toFloat(mlir::Value v, mlir::Type type);
  bool variesInSweep(llvm::ArrayRef<mlir::AffineExpr> index) const;
  /// Within the sweep, if any of `operands` is.
  mlir::OpBuilder &builderFor(mlir::ValueRange operands);
  mlir::AffineExpr addDim(int64_t size, mlir::Value value);
  mlir::Value fail(const llvm::Twine &why, mlir::Location at);

  int levelOf(mlir::Value v);
  void collectStats(mlir::Value v);
  Stat *addStat(Stat::Kind kind, mlir::Value of, mlir::Value input, llvm::ArrayRef<int64_t> axes,
                int32_t combine, int level);
  Stat *findStat(Stat::Kind kind, mlir::Value of);
  Index rootIndex(mlir::Value root, llvm::ArrayRef<int64_t> sweepAxes,
                  llvm::ArrayRef<mlir::AffineExpr> sweepDims);
  mlir::LogicalResult emitSweep(llvm::ArrayRef<int64_t> sizes, llvm::ArrayRef<Stat *> stats,
                                llvm::ArrayRef<unsigned> roots);

  const Values &values;
  Dims dims;
  llvm::SmallVector<bool> dimInSweep;
  mlir::OpBuilder rowBuilder, sweepBuilder;
  mlir::Block *block = nullptr;
  unsigned others = 0;
  mlir::Location loc = mlir::UnknownLoc::get(rowBuilder.getContext());
  const RowKernel *kernel = nullptr;
  llvm::DenseSet<mlir::Value> inside, storedInner;
  llvm::DenseMap<mlir::Value, mlir::Value> bound; // the accumulator of a product
  mlir::AffineExpr rowLinear;
  bool inSweep = false, failed = false;
  Memo rowMemo, sweepMemo;
  std::vector<std::unique_ptr<Stat>> stats;
  llvm::DenseMap<mlir::Value, int> levels;
  llvm::DenseSet<mlir::Value> collected;
};

} // namespace r1::fuse
