// The schedule of a product: look, then either the blocked nest (ScheduleProduct.cpp) or, where A has
// few rows, one pass over B as it lies in memory (StreamProduct.cpp).
#pragma once
#include "compiler/cpu/Product.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

namespace r1::cpu {

using namespace mlir;

class ProductSchedule {
public:
  ProductSchedule(OpBuilder &b, kern::ProductOp op, const Target &t)
      : b(b), op(op), loc(op.getLoc()), t(t), ix{b, loc} {}
  FailureOr<func::FuncOp> run();

private:
  LogicalResult look();
  void chooseBlocks();
  struct Region {
    Value g0, g1, i0, i1, j0, j1; // batches; panels of rows and of columns
  };
  Region split();
  // StreamProduct.cpp
  bool streams();
  void chooseStream();
  void stream();
  void streamRows(Value j0, Value j1);
  void streamColumns(Value j0, Value j1);
  void fetch(Value at, unsigned locality);
  Value left(int64_t row, Value k); // an element of A, in every lane
  void batchOrigins(Value g);
  void blockNest(Value i0, Value i1, Value j0, Value j1);
  void micro(Value ip, Value jp, int64_t rows, int64_t cols);
  /// The element of C from finished sums, `rows` by `cols` of them, in rows of `pitch` from scratch[at].
  void epilogue(Value i0, Value j0, int64_t rows, int64_t cols, Value at, int64_t pitch);
  Value lanesMask(int64_t live);

  OpBuilder &b;
  kern::ProductOp op;
  Location loc;
  const Target &t;
  Index ix;
  KernelFunc k;
  Problem p;
  Blocks bl;
  Mem A, B, C;
  bool plain = false;       // the epilogue yields the accumulator
  bool ownPartials = false; // sums between blocks of the depth are kept in scratch, not in C
  bool directA = false;     // A is read where it is
  bool rowsOuter = false;   // panels of A outside of panels of B
  int64_t iPanels, jPanels, superPanels;
  int64_t atB, atA, atTile, atPartial, scratchSize; // scratch layout, f32 elements
  // State of the nest at the insertion point.
  Value g, aOrigin, bOrigin, cOrigin; // batch and its first elements
  Value kAt, kLen, last;              // the block of the depth
  Value jBlock, iBlock, iSuper;       // first panels of the blocks
  bool broken = false;
};

} // namespace r1::cpu
