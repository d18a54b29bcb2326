// Shared by the halves of the product's schedule: the nest (ScheduleProduct.cpp) and packing
// (PackProduct.cpp).
#pragma once
#include "compiler/cpu/Schedule.h"

namespace r1::cpu {

/// A product seen from the vector unit: rows i are broadcast, columns j are lanes. When only m has
/// unit stride in C the roles of A and B are exchanged (a * b commutes, so the bits stay).
struct Problem {
  bool swapped = false; // i is n, j is m
  int64_t rows, cols, depth;
  llvm::SmallVector<int64_t> batch;
  int64_t aRow, aDepth, bDepth, bCol, cRow, cCol; // strides in elements
  llvm::ArrayRef<int64_t> aBatch, bBatch, cBatch;
};

/// Cache blocks, in elements; see Target.
struct Blocks {
  int64_t width;      // lanes per vector
  int64_t mr, nv, nr; // register tile: mr rows by nv vectors (nr columns)
  int64_t kc;         // depth of a block, a multiple of width
  int64_t kBlocks;
  int64_t mPanels; // panels of A per block
  int64_t nPanels; // panels of B per block
};

/// Copies panels of the operands into f32 scratch memory: B as [panel][kc][nr], A as
/// [panel][kc][mr], zeros where the matrix ends.
class Packer {
public:
  Packer(mlir::OpBuilder &b, mlir::Location loc, const Blocks &blocks, mlir::Value scratch)
      : b(b), loc(loc), ix{b, loc}, bl(blocks), scratch(scratch) {}

  /// One panel of B: `cols` live columns from `origin` (element of `mem` at the block's first
  /// depth, the panel's first column) over `depth` (index) steps, to scratch[to…].
  void packB(const Mem &mem, const Problem &p, mlir::Value origin, mlir::Value depth, int64_t cols,
             mlir::Value to);
  /// The panels first … end of B, `depth` steps from `depthAt`, to scratch[to…].
  void packBlock(const Mem &mem, const Problem &p, mlir::Value origin, mlir::Value depthAt,
                 mlir::Value depth, mlir::Value first, mlir::Value end, int64_t to);
  /// One panel of A, `rows` live rows.
  void packA(const Mem &mem, const Problem &p, mlir::Value origin, mlir::Value depth, int64_t rows,
             mlir::Value to);

  /// `lanes` elements from `at`, of which `live` exist (the others are 0), as f32.
  mlir::Value load(const Mem &mem, mlir::Value at, int64_t lanes, int64_t live);
  /// rows[i][j] becomes rows[j][i]; as many vectors as a vector has lanes.
  llvm::SmallVector<mlir::Value> transpose(llvm::SmallVector<mlir::Value> rows);

private:
  mlir::Value loadDynamic(const Mem &mem, mlir::Value at, mlir::Value live);
  mlir::Value gather(const Mem &mem, mlir::Value at, int64_t stride, int64_t lanes, int64_t live);
  void packRows(const Mem &mem, mlir::Value origin, int64_t stride, mlir::Value depth, int64_t live,
                int64_t lanes, int64_t pitch, bool wholeBlocks, mlir::Value to);

  mlir::OpBuilder &b;
  mlir::Location loc;
  Index ix;
  const Blocks &bl;
  mlir::Value scratch;
};

} // namespace r1::cpu
