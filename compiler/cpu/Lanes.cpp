#include "compiler/cpu/Lanes.h"
#include "compiler/math/MathExpansion.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/Matchers.h"
#include <numeric>

using namespace mlir;
using namespace r1::cpu;

static Type shapedLike(Value v, Type element) {
  if (auto vec = dyn_cast<VectorType>(v.getType()))
    return VectorType::get(vec.getShape(), element);
  return element;
}

static Value splatLike(OpBuilder &b, Location loc, Value v, int64_t bits, unsigned width) {
  TypedAttr attr = b.getIntegerAttr(b.getIntegerType(width), bits);
  if (auto vec = dyn_cast<VectorType>(v.getType()))
    attr = DenseElementsAttr::get(VectorType::get(vec.getShape(), attr.getType()), Attribute(attr));
  return arith::ConstantOp::create(b, loc, attr);
}

Value r1::cpu::widenHalf(OpBuilder &b, Location loc, Value v) {
  Type f32 = shapedLike(v, b.getF32Type());
  if (!getElementTypeOrSelf(v.getType()).isBF16())
    return arith::ExtFOp::create(b, loc, f32, v);
  Value bits = arith::BitcastOp::create(b, loc, shapedLike(v, b.getI16Type()), v);
  bits = arith::ExtUIOp::create(b, loc, shapedLike(v, b.getI32Type()), bits);
  bits = arith::ShLIOp::create(b, loc, bits, splatLike(b, loc, v, 16, 32));
  return arith::BitcastOp::create(b, loc, f32, bits);
}

Value r1::cpu::narrowHalf(OpBuilder &b, Location loc, Value v, Type half) {
  Type result = shapedLike(v, half);
  if (!half.isBF16())
    return arith::TruncFOp::create(b, loc, result, v);
  auto k = [&](int64_t c) { return splatLike(b, loc, v, c, 32); };
  Value bits = arith::BitcastOp::create(b, loc, shapedLike(v, b.getI32Type()), v);
  Value high = arith::ShRUIOp::create(b, loc, bits, k(16));
  Value odd = arith::AndIOp::create(b, loc, high, k(1));
  Value rounded =
      arith::AddIOp::create(b, loc, bits, arith::AddIOp::create(b, loc, odd, k(0x7FFF)));
  rounded = arith::ShRUIOp::create(b, loc, rounded, k(16));
  Value quiet = arith::OrIOp::create(b, loc, high, k(0x40));
  Value isNaN = arith::CmpFOp::create(b, loc, arith::CmpFPredicate::UNO, v, v);
  bits = arith::SelectOp::create(b, loc, isNaN, quiet, rounded);
  bits = arith::TruncIOp::create(b, loc, shapedLike(v, b.getI16Type()), bits);
  return arith::BitcastOp::create(b, loc, result, bits);
}

Value r1::cpu::emitElementwise(OpBuilder &b, Operation *op, ValueRange operands) {
  Location loc = op->getLoc();
  Type result = getElementTypeOrSelf(op->getResult(0).getType());
  auto elementOf = [](Value v) { return getElementTypeOrSelf(v.getType()); };
  bool moves = isa<arith::SelectOp, arith::BitcastOp, arith::ConstantOp>(op);
  SmallVector<Value> in(operands);
  if (isa<arith::ExtFOp>(op) && isHalf(elementOf(in[0]))) {
    Value v = widenHalf(b, loc, in[0]);
    return result.isF32() ? v : arith::ExtFOp::create(b, loc, shapedLike(v, result), v);
  }
  if (isa<arith::TruncFOp>(op) && isHalf(result)) {
    if (!elementOf(in[0]).isF32())
      in[0] = arith::TruncFOp::create(b, loc, shapedLike(in[0], b.getF32Type()), in[0]);
    return narrowHalf(b, loc, in[0], result);
  }
  Type half;
  if (!moves) {
    for (Value &v : in)
      if (isHalf(elementOf(v)))
        v = widenHalf(b, loc, v);
    if (isHalf(result)) {
      half = result;
      result = b.getF32Type();
    }
  }
  Value out = expandMath(b, op, in);
  if (!out) {
    NamedAttrList attrs(op->getAttrDictionary());
    attrs.erase("fastmath");
    // A select's shape is its values', a comparison's its operands'.
    Value shape = in.empty() ? Value() : in.back();
    OperationState state(loc, op->getName().getStringRef(), in,
                         TypeRange{shape ? shapedLike(shape, result) : result}, attrs);
    out = b.create(state)->getResult(0);
  }
  return half ? narrowHalf(b, loc, out, half) : out;
}

//===--- lanes ----------------------------------------------------------------------------===//

void Lanes::bindStep(Value kern, Value base, int64_t align, int64_t max) {
  Lane l = Lane::uniform(base);
  l.stride = 1;
  l.align = align;
  l.max = max;
  bind(kern, l);
}

void Lanes::bindIndex(Value kern, Value base, int64_t max) {
  Lane l = Lane::uniform(base);
  l.max = max;
  bind(kern, l);
}

Lane Lanes::get(Value kern) {
  auto it = env.find(kern);
  assert(it != env.end() && "a body uses a value that was not emitted");
  return it->second;
}

Value Lanes::asScalar(Value kern) {
  Lane l = get(kern);
  return l.isUniform() ? l.base : Value();
}

Value Lanes::asVector(Value kern) { return toVector(kern.getLoc(), get(kern)); }

Value Lanes::mask() {
  if (dynamicMask)
    return dynamicMask;
  if (live >= width)
    return {};
  SmallVector<bool> bits(width);
  for (int64_t i = 0; i < width; ++i)
    bits[i] = i < live;
  auto type = VectorType::get({width}, b->getI1Type());
  return arith::ConstantOp::create(*b, b->getUnknownLoc(), DenseElementsAttr::get(type, bits));
}

static Value broadcast(OpBuilder &b, Location loc, Value v, int64_t width) {
  return vector::BroadcastOp::create(b, loc, VectorType::get({width}, v.getType()), v);
}

// 0, s, 2s, … as a vector of `type`.
static Value steps(OpBuilder &b, Location loc, Type type, int64_t width, int64_t stride) {
  SmallVector<Attribute> v;
  for (int64_t i = 0; i < width; ++i)
    v.push_back(b.getIntegerAttr(type, i * stride));
  return arith::ConstantOp::create(b, loc,
                                   DenseElementsAttr::get(VectorType::get({width}, type), v));
}

Value Lanes::toVector(Location loc, const Lane &lane) {
  if (lane.vec)
    return lane.vec;
  Value v = broadcast(*b, loc, lane.base, width);
  if (lane.stride)
    v = arith::AddIOp::create(*b, loc, v, steps(*b, loc, lane.base.getType(), width, lane.stride));
  return v;
}

//===--- index arithmetic -----------------------------------------------------------------===//

Value Lanes::constantIndex(Location loc, int64_t v) {
  return arith::ConstantIndexOp::create(*b, loc, v);
}

Lane Lanes::constantLane(Location loc, int64_t v) {
  Lane l = Lane::uniform(constantIndex(loc, v));
  l.align = v == 0 ? int64_t(1) << 40 : std::abs(v);
  l.max = v >= 0 ? v : -1;
  return l;
}

Lane Lanes::add(Location loc, const Lane &x, const Lane &y) {
  Lane r;
  r.max = x.max >= 0 && y.max >= 0 ? x.max + y.max : -1;
  if (x.vec || y.vec) {
    r.vec = arith::AddIOp::create(*b, loc, toVector(loc, x), toVector(loc, y));
    return r;
  }
  r.base = b->createOrFold<arith::AddIOp>(loc, x.base, y.base);
  r.stride = x.stride + y.stride;
  r.align = std::gcd(x.align, y.align);
  return r;
}

Lane Lanes::scale(Location loc, const Lane &x, int64_t c) {
  if (c == 1)
    return x;
  if (c == 0)
    return constantLane(loc, 0);
  Lane r;
  r.max = x.max >= 0 && c >= 0 ? x.max * c : -1;
  Value k = arith::ConstantOp::create(
      *b, loc,
      b->getIntegerAttr(getElementTypeOrSelf(x.vec ? x.vec.getType() : x.base.getType()), c));
  if (x.vec) {
    r.vec = arith::MulIOp::create(*b, loc, x.vec, broadcast(*b, loc, k, width));
    return r;
  }
  r.base = b->createOrFold<arith::MulIOp>(loc, x.base, k);
  r.stride = x.stride * c;
  r.align = x.align * std::abs(c);
  return r;
}

// Floor division or remainder by c > 0.
Lane Lanes::divide(Location loc, const Lane &x, int64_t c, bool remainder) {
  if (c == 1)
    return remainder ? constantLane(loc, 0) : x;
  if (x.max >= 0 && x.max < c)
    return remainder ? x : constantLane(loc, 0);
  Value k = constantIndex(loc, c);
  auto scalar = [&](Value v) -> Value {
    if (x.max < 0) {
      Value q = arith::FloorDivSIOp::create(*b, loc, v, k);
      if (!remainder)
        return q;
      return arith::SubIOp::create(*b, loc, v, arith::MulIOp::create(*b, loc, q, k));
    }
    return remainder ? b->createOrFold<arith::RemUIOp>(loc, v, k)
                     : b->createOrFold<arith::DivUIOp>(loc, v, k);
  };
  Lane r;
  r.max = remainder ? c - 1 : x.max >= 0 ? x.max / c : -1;
  // The lanes of a vector whose first is a multiple of their span stay within one quotient.
  int64_t span = x.stride * width;
  if (!x.vec && (x.stride == 0 || (span > 0 && c % span == 0 && x.align % span == 0))) {
    r.base = scalar(x.base);
    r.align = remainder ? std::gcd(x.align, c) : x.align % c == 0 ? x.align / c : 1;
    r.stride = remainder ? x.stride : 0;
    return r;
  }
  Value v = toVector(loc, x);
  if (x.max >= 0 && x.max < (int64_t(1) << 31)) { // 32-bit division by a constant is vector code
    auto narrow = VectorType::get({width}, b->getI32Type());
    Value n = arith::IndexCastUIOp::create(*b, loc, narrow, v);
    Value kv = arith::ConstantOp::create(
        *b, loc, DenseElementsAttr::get(narrow, Attribute(b->getI32IntegerAttr(int32_t(c)))));
    Value q = remainder ? Value(arith::RemUIOp::create(*b, loc, n, kv))
                        : Value(arith::DivUIOp::create(*b, loc, n, kv));
    r.vec = arith::IndexCastUIOp::create(*b, loc, v.getType(), q);
    return r;
  }
  k = broadcast(*b, loc, k, width);
  r.vec = scalar(v);
  return r;
}

std::optional<Lane> Lanes::affine(Location loc, AffineExpr e, ArrayRef<Lane> dims,
                                  ArrayRef<Lane> symbols) {
  if (auto d = dyn_cast<AffineDimExpr>(e))
    return dims[d.getPosition()];
  if (auto s = dyn_cast<AffineSymbolExpr>(e))
    return symbols[s.getPosition()];
  if (auto c = dyn_cast<AffineConstantExpr>(e))
    return constantLane(loc, c.getValue());
  auto bin = cast<AffineBinaryOpExpr>(e);
  auto x = affine(loc, bin.getLHS(), dims, symbols);
  if (!x)
    return std::nullopt;
  if (e.getKind() == AffineExprKind::Add) {
    auto y = affine(loc, bin.getRHS(), dims, symbols);
    return y ? std::optional<Lane>(add(loc, *x, *y)) : std::nullopt;
  }
  auto c = dyn_cast<AffineConstantExpr>(bin.getRHS());
  if (!c)
    return std::nullopt;
  int64_t k = c.getValue();
  switch (e.getKind()) {
  case AffineExprKind::Mul:
    return scale(loc, *x, k);
  case AffineExprKind::Mod:
    return divide(loc, *x, k, true);
  case AffineExprKind::FloorDiv:
    return divide(loc, *x, k, false);
  case AffineExprKind::CeilDiv:
    return divide(loc, add(loc, *x, constantLane(loc, k - 1)), k, false);
  default:
    return std::nullopt;
  }
}

// Integer operations that keep "grows by a stride". False: not one of them.
bool Lanes::emitIndexOp(Operation *op) {
  Location loc = op->getLoc();
  auto bindTo = [&](Lane l) {
    bind(op->getResult(0), l);
    return true;
  };
  if (auto apply = dyn_cast<affine::AffineApplyOp>(op)) {
    SmallVector<Lane> dims, symbols;
    for (Value v : apply.getDimOperands())
      dims.push_back(get(v));
    for (Value v : apply.getSymbolOperands())
      symbols.push_back(get(v));
    auto l = affine(loc, apply.getAffineMap().getResult(0), dims, symbols);
    return l && bindTo(*l);
  }
  if (auto c = dyn_cast<arith::ConstantOp>(op)) {
    auto i = dyn_cast<IntegerAttr>(c.getValue());
    return i && i.getType().isIndex() && bindTo(constantLane(loc, i.getInt()));
  }
  if (isa<arith::IndexCastOp, arith::IndexCastUIOp>(op)) {
    Lane x = get(op->getOperand(0));
    if (!x.base)
      return false;
    Lane r = x;
    OperationState state(loc, op->getName().getStringRef(), {x.base}, op->getResultTypes());
    r.base = b->create(state)->getResult(0);
    return bindTo(r);
  }
  if (op->getNumOperands() != 2 || op->getNumResults() != 1 ||
      !isa<IntegerType, IndexType>(op->getResult(0).getType()))
    return false;
  if (isa<arith::AddIOp>(op))
    return bindTo(add(loc, get(op->getOperand(0)), get(op->getOperand(1))));
  auto isConstant = [](Value v, int64_t &k) {
    APInt c;
    if (!matchPattern(v, m_ConstantInt(&c)))
      return false;
    k = c.getSExtValue();
    return true;
  };
  int64_t k;
  if (isa<arith::MulIOp>(op)) {
    if (isConstant(op->getOperand(1), k))
      return bindTo(scale(loc, get(op->getOperand(0)), k));
    if (isConstant(op->getOperand(0), k))
      return bindTo(scale(loc, get(op->getOperand(1)), k));
    return false;
  }
  if (isa<arith::SubIOp>(op) && op->getResult(0).getType().isIndex()) {
    Lane x = get(op->getOperand(0)), y = get(op->getOperand(1));
    if (!x.base || !y.base)
      return false;
    Lane r;
    r.base = b->createOrFold<arith::SubIOp>(loc, x.base, y.base);
    r.stride = x.stride - y.stride;
    r.align = std::gcd(x.align, y.align);
    return bindTo(r);
  }
  if (op->getResult(0).getType().isIndex() && isConstant(op->getOperand(1), k) && k > 0 &&
      get(op->getOperand(0)).max >= 0) {
    if (isa<arith::DivSIOp, arith::DivUIOp, arith::FloorDivSIOp>(op))
      return bindTo(divide(loc, get(op->getOperand(0)), k, false));
    if (isa<arith::RemSIOp, arith::RemUIOp>(op))
      return bindTo(divide(loc, get(op->getOperand(0)), k, true));
  }
  return false;
}

//===--- memory ---------------------------------------------------------------------------===//

std::optional<Lane> Lanes::address(Operation *op, const Mem &mem, ValueRange indices) {
  Location loc = op->getLoc();
  Lane at = constantLane(loc, mem.offset);
  for (auto [i, index] : llvm::enumerate(indices))
    at = add(loc, at, scale(loc, get(index), mem.strides[i]));
  return at;
}

// Offsets per lane as i32 where the buffer allows: half the registers.
Value Lanes::gatherIndices(Location loc, const Lane &at, const Mem &mem) {
  Type i32 = b->getI32Type();
  if (!at.vec)
    return steps(*b, loc,
                 std::abs(at.stride) * width < (int64_t(1) << 31) ? i32 : b->getIndexType(), width,
                 at.stride);
  if (mem.count >= (int64_t(1) << 31))
    return at.vec;
  return arith::IndexCastOp::create(*b, loc, VectorType::get({width}, i32), at.vec);
}

static Value fromStored(OpBuilder &b, Location loc, Value v, Type element) {
  if (!element.isInteger(1))
    return v;
  return arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ne, v, splatLike(b, loc, v, 0, 8));
}

static Value toStored(OpBuilder &b, Location loc, Value v, Type element) {
  if (!element.isInteger(1))
    return v;
  return arith::ExtUIOp::create(b, loc, shapedLike(v, b.getI8Type()), v);
}

static Value zeroVector(OpBuilder &b, Location loc, VectorType type) {
  return arith::ConstantOp::create(b, loc, b.getZeroAttr(type));
}

static Value allTrue(OpBuilder &b, Location loc, int64_t width) {
  auto type = VectorType::get({width}, b.getI1Type());
  return arith::ConstantOp::create(b, loc, DenseElementsAttr::get(type, true));
}

LogicalResult Lanes::emitLoad(Operation *op) {
  auto load = cast<memref::LoadOp>(op);
  Location loc = op->getLoc();
  auto it = mems->find(load.getMemRef());
  if (it == mems->end())
    return op->emitOpError("reads a memref that is not an argument of the kernel");
  const Mem &mem = it->second;
  Lane at = *address(op, mem, load.getIndices());
  if (at.isUniform()) {
    Value v = memref::LoadOp::create(*b, loc, mem.flat, at.base);
    bind(load.getResult(), Lane::uniform(fromStored(*b, loc, v, mem.element)));
    return success();
  }
  Type stored = cast<MemRefType>(mem.flat.getType()).getElementType();
  auto type = VectorType::get({width}, stored);
  Value m = mask(), v;
  if (!at.vec && at.stride == 1) {
    if (m)
      v = vector::MaskedLoadOp::create(*b, loc, type, mem.flat, at.base, m,
                                       zeroVector(*b, loc, type));
    else
      v = vector::LoadOp::create(*b, loc, type, mem.flat, at.base);
  } else {
    Value base = at.vec ? constantIndex(loc, 0) : at.base;
    v = vector::GatherOp::create(*b, loc, type, mem.flat, ValueRange{base},
                                 gatherIndices(loc, at, mem), m ? m : allTrue(*b, loc, width),
                                 zeroVector(*b, loc, type));
  }
  bind(load.getResult(), Lane::vector(fromStored(*b, loc, v, mem.element)));
  return success();
}

LogicalResult Lanes::emitStore(Operation *op) {
  auto store = cast<memref::StoreOp>(op);
  Location loc = op->getLoc();
  auto it = mems->find(store.getMemRef());
  if (it == mems->end())
    return op->emitOpError("writes a memref that is not an argument of the kernel");
  const Mem &mem = it->second;
  Lane at = *address(op, mem, store.getIndices());
  Lane value = get(store.getValue());
  if (at.isUniform()) {
    if (!value.isUniform() && live == 1) // a dim of one element
      value.base = vector::ExtractOp::create(*b, loc, toVector(loc, value), ArrayRef<int64_t>{0});
    else if (!value.isUniform())
      return op->emitOpError(
          "is not supported yet: every lane of the vector dim would store to the "
          "same element");
    memref::StoreOp::create(*b, loc, toStored(*b, loc, value.base, mem.element), mem.flat, at.base);
    return success();
  }
  Value v = toStored(*b, loc, toVector(loc, value), mem.element);
  Value m = mask();
  if (!at.vec && at.stride == 1) {
    if (m)
      vector::MaskedStoreOp::create(*b, loc, mem.flat, at.base, m, v);
    else
      vector::StoreOp::create(*b, loc, v, mem.flat, at.base);
    return success();
  }
  Value base = at.vec ? constantIndex(loc, 0) : at.base;
  vector::ScatterOp::create(*b, loc, Type(), mem.flat, ValueRange{base},
                            gatherIndices(loc, at, mem), m ? m : allTrue(*b, loc, width), v);
  return success();
}

//===--- operations -----------------------------------------------------------------------===//

LogicalResult Lanes::emitElementwise(Operation *op) {
  if (op->getNumResults() != 1 || op->getNumRegions() ||
      !isa<arith::ArithDialect, math::MathDialect>(op->getDialect()))
    return op->emitOpError("is not supported yet in a kernel's body");
  // What neither MathExpansion nor one instruction computes is left to libm, in f64 only.
  if (isa<math::MathDialect>(op->getDialect()) &&
      !isa<math::ExpOp, math::Exp2Op, math::ExpM1Op, math::LogOp, math::Log1pOp, math::Log2Op,
           math::Log10Op, math::TanhOp, math::ErfOp, math::SinOp, math::CosOp, math::PowFOp,
           math::RsqrtOp, math::SqrtOp, math::FmaOp, math::AbsFOp, math::AbsIOp, math::CopySignOp,
           math::FloorOp, math::CeilOp, math::RoundOp, math::RoundEvenOp, math::TruncOp>(op))
    return op->emitOpError("is not supported yet: no expansion of this function");
  bool uniform = llvm::all_of(op->getOperands(), [&](Value v) { return get(v).isUniform(); });
  SmallVector<Value> operands;
  for (Value v : op->getOperands())
    operands.push_back(uniform ? get(v).base : toVector(op->getLoc(), get(v)));
  Value r = r1::cpu::emitElementwise(*b, op, operands);
  Lane lane = uniform ? Lane::uniform(r) : Lane::vector(r);
  bind(op->getResult(0), lane);
  return success();
}

LogicalResult Lanes::emit(Operation *op) {
  if (isa<memref::LoadOp>(op))
    return emitLoad(op);
  if (isa<memref::StoreOp>(op))
    return emitStore(op);
  if (emitIndexOp(op))
    return success();
  if (isa<affine::AffineApplyOp>(op))
    return op->emitOpError("has a map that is not supported yet: products and quotients must be by "
                           "constants");
  return emitElementwise(op);
}
