// Scalar bodies of kern kernels, executed on the lanes of one vector.
#pragma once
#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinTypes.h"
#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/SmallVector.h"

namespace r1::cpu {

/// A memref argument of a kernel, seen as one dimension. Bools are stored as bytes.
struct Mem {
  mlir::Value flat;                      // memref<count x stored>
  llvm::SmallVector<int64_t, 4> strides; // elements, one per dim of the kern type
  int64_t offset = 0;                    // elements
  int64_t count = 0;
  mlir::Type element; // of the kern type (i1 where `flat` holds i8)
};

/// One value of a scalar body over all lanes: the same in every lane (`base`, stride 0), an integer
/// growing by `stride` per lane from `base`, or a vector.
struct Lane {
  mlir::Value base;
  int64_t stride = 0;
  mlir::Value vec;
  int64_t align = 1; // indices: `base` is a multiple of this
  int64_t max = -1;  // indices: 0 <= value <= max in every live lane; -1: not known

  static Lane uniform(mlir::Value v) {
    Lane l;
    l.base = v;
    return l;
  }
  static Lane vector(mlir::Value v) {
    Lane l;
    l.vec = v;
    return l;
  }
  bool isUniform() const { return base && stride == 0; }
};

/// Emits a body for `width` neighbouring positions of one dim (the vector dim), of which the first
/// `live` exist. What does not depend on the vector dim stays scalar: an embedding row is one
/// scalar index and vector accesses. Copies are cheap and independent (one per vector of a block).
class Lanes {
public:
  Lanes(mlir::OpBuilder &b, int64_t width, const llvm::DenseMap<mlir::Value, Mem> &mems)
      : b(&b), width(width), live(width), mems(&mems) {}

  int64_t getWidth() const { return width; }
  int64_t getLive() const { return live; }
  void setLive(int64_t n) { live = n; }
  /// Only lanes below `n` (a run-time index) exist.
  void setLive(mlir::Value mask) { dynamicMask = mask; }
  void bind(mlir::Value kern, Lane lane) { env[kern] = lane; }
  /// An index that is `base` in lane 0 and grows by one.
  void bindStep(mlir::Value kern, mlir::Value base, int64_t align, int64_t max);
  /// An index that is the same in every lane.
  void bindIndex(mlir::Value kern, mlir::Value base, int64_t max);

  /// Emits one operation of a body (not a sweep, not a terminator).
  llvm::LogicalResult emit(mlir::Operation *op);
  /// The value over all lanes / in the only form it has when nothing varies.
  mlir::Value asVector(mlir::Value kern);
  mlir::Value asScalar(mlir::Value kern);
  bool isUniform(mlir::Value kern) { return get(kern).isUniform(); }
  /// vector<width x i1>, or null when all lanes are live.
  mlir::Value mask();

private:
  Lane get(mlir::Value kern);
  mlir::Value toVector(mlir::Location loc, const Lane &lane);
  mlir::Value constantIndex(mlir::Location loc, int64_t v);
  Lane constantLane(mlir::Location loc, int64_t v);
  Lane add(mlir::Location loc, const Lane &x, const Lane &y);
  Lane scale(mlir::Location loc, const Lane &x, int64_t c);
  Lane divide(mlir::Location loc, const Lane &x, int64_t c, bool remainder);
  std::optional<Lane> affine(mlir::Location loc, mlir::AffineExpr e, llvm::ArrayRef<Lane> dims,
                             llvm::ArrayRef<Lane> symbols);
  std::optional<Lane> address(mlir::Operation *op, const Mem &mem, mlir::ValueRange indices);
  mlir::Value gatherIndices(mlir::Location loc, const Lane &at, const Mem &mem);
  llvm::LogicalResult emitLoad(mlir::Operation *op);
  llvm::LogicalResult emitStore(mlir::Operation *op);
  bool emitIndexOp(mlir::Operation *op);
  llvm::LogicalResult emitElementwise(mlir::Operation *op);

  mlir::OpBuilder *b;
  int64_t width, live;
  mlir::Value dynamicMask;
  const llvm::DenseMap<mlir::Value, Mem> *mems;
  llvm::DenseMap<mlir::Value, Lane> env;
};

/// f32 from bf16 or f16 and back (to nearest, ties to even; NaN stays NaN): the same bits on every
/// machine. Scalars or vectors.
mlir::Value widenHalf(mlir::OpBuilder &b, mlir::Location loc, mlir::Value v);
mlir::Value narrowHalf(mlir::OpBuilder &b, mlir::Location loc, mlir::Value v, mlir::Type half);
inline bool isHalf(mlir::Type t) { return t.isBF16() || t.isF16(); }

/// `op`, an elementwise operation of arith or math, on `operands` of its own shape or vectors
/// instead: halves are computed in f32 and rounded, functions expanded, flags dropped.
mlir::Value emitElementwise(mlir::OpBuilder &b, mlir::Operation *op, mlir::ValueRange operands);

} // namespace r1::cpu
