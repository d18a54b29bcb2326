// Which axes of which values count the rows and the positions of a batch of tokens.
#pragma once
#include "dialects/r1/R1.h"
#include "llvm/ADT/DenseMap.h"

namespace r1::decode {

/// Axes of a value; -1: it has none of that kind. What depends on the source has a row and no position: a source is
/// there as a whole before the first position is, so its places are axes like any other.
struct Axes {
  int row = -1, position = -1;
  bool none() const { return row < 0 && position < 0; }
  /// Computed from the source alone.
  bool ofSource() const { return row >= 0 && position < 0; }
  bool operator==(const Axes &) const = default;
};

/// How positions meet in attention.
enum class Meeting {
  own,    // queries, keys and values of the text that is written
  across, // its queries, keys and values of the source
  source, // all of the source
};

/// Follows the axes of the arguments x.id, x.pos and x.seg [B, T] through `func`, and the rows of source.id, source.pos
/// and source.seg [B, S], where it has a source.
class Positions {
public:
  explicit Positions(mlir::func::FuncOp func) : func(func) {}
  /// Fails, with an error at the op (E0313), where an op mixes positions otherwise than by attention
  /// whose mask implies pos[s] <= pos[t], or depends on where in its row a position stands. Places of the
  /// source may mix freely.
  mlir::LogicalResult run();
  Axes of(mlir::Value v) const { return axes.lookup(v); }
  Meeting meeting(ir::KernelOp attention) const {
    return of(attention.getIns()[0]).ofSource()   ? Meeting::source
           : of(attention.getIns()[1]).ofSource() ? Meeting::across
                                                  : Meeting::own;
  }
  static bool isSource(mlir::StringRef argument) { return argument.starts_with("source."); }
  /// One number in every element: it fits any number of rows and positions.
  static bool isUniform(mlir::Value v);

private:
  mlir::LogicalResult visit(mlir::Operation *op);
  /// The entries of `map` (dims: axes of the result) that `v`'s axes have; entry `skip` is not read.
  mlir::LogicalResult follow(mlir::Operation *op, mlir::Value v, mlir::AffineMap map, Axes &result,
                             int skip = -1);
  mlir::LogicalResult join(mlir::Operation *op, int &into, int axis);
  mlir::LogicalResult map(ir::MapOp op);
  mlir::LogicalResult contract(ir::ContractOp op);
  mlir::LogicalResult reshape(ir::ReshapeOp op);
  mlir::LogicalResult without(mlir::Operation *op, mlir::Value in, llvm::ArrayRef<int64_t> dims);
  mlir::LogicalResult attention(ir::KernelOp op);
  mlir::LogicalResult mixes(mlir::Operation *op, const llvm::Twine &how);
  mlir::LogicalResult depends(mlir::Operation *op);

  mlir::func::FuncOp func;
  mlir::Value pos; // the argument x.pos
  llvm::DenseMap<mlir::Value, Axes> axes;
};

} // namespace r1::decode
