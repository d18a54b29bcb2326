#include "compiler/cpu/Schedule.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace r1;
using namespace r1::cpu;

FailureOr<KernelFunc> r1::cpu::beginKernel(OpBuilder &b, Operation *op, StringRef name,
                                           ValueRange args, ArrayRef<int64_t> writes,
                                           int64_t scratch) {
  KernelFunc k;
  SmallVector<Type> types;
  for (Value arg : args) {
    auto type = cast<MemRefType>(arg.getType());
    Mem mem;
    mem.element = type.getElementType();
    SmallVector<int64_t> strides;
    if (!type.hasStaticShape() || failed(type.getStridesAndOffset(strides, mem.offset)) ||
        mem.offset == ShapedType::kDynamic ||
        llvm::is_contained(strides, int64_t(ShapedType::kDynamic)))
      return op->emitOpError("needs memrefs of static shape and strides, found ") << type,
             failure();
    if (!mem.element.isIntOrFloat())
      return op->emitOpError("has no loads of ") << mem.element, failure();
    mem.strides.assign(strides.begin(), strides.end());
    mem.count = mem.offset + 1;
    for (auto [size, stride] : llvm::zip(type.getShape(), strides))
      mem.count += (size - 1) * stride;
    Type stored = mem.element.isInteger(1) ? Type(b.getI8Type()) : mem.element;
    types.push_back(MemRefType::get({std::max<int64_t>(mem.count, 1)}, stored));
    k.list.push_back(mem);
  }
  if (scratch)
    types.push_back(MemRefType::get({scratch}, b.getF32Type()));
  types.push_back(b.getIndexType());
  types.push_back(b.getIndexType());

  k.func = func::FuncOp::create(b, op->getLoc(), name, b.getFunctionType(types, {}));
  k.func->setAttr("r1.scratch_bytes", b.getI64IntegerAttr(scratch * 4));
  Block *entry = k.func.addEntryBlock();
  // Arguments that a kernel stores to overlap no other argument (the contract of kern.launch).
  for (size_t i = 0; i + 2 < types.size(); ++i)
    k.func.setArgAttr(i, LLVM::LLVMDialect::getNoAliasAttrName(), b.getUnitAttr());
  for (size_t i = 0; i < args.size(); ++i) {
    k.list[i].flat = entry->getArgument(i);
    k.mems[args[i]] = k.list[i];
  }
  if (scratch)
    k.scratch = entry->getArgument(args.size());
  k.tid = entry->getArgument(types.size() - 2);
  k.threads = entry->getArgument(types.size() - 1);
  b.setInsertionPointToStart(entry);
  return k;
}

void r1::cpu::endKernel(OpBuilder &b, KernelFunc &k) {
  b.setInsertionPointToEnd(&k.func.getBody().front());
  func::ReturnOp::create(b, k.func.getLoc());
}

//===--- index arithmetic -----------------------------------------------------------------===//

Value Index::c(int64_t v) const { return arith::ConstantIndexOp::create(b, loc, v); }
Value Index::add(Value x, Value y) const { return b.createOrFold<arith::AddIOp>(loc, x, y); }
Value Index::add(Value x, int64_t y) const { return y ? add(x, c(y)) : x; }
Value Index::sub(Value x, Value y) const { return b.createOrFold<arith::SubIOp>(loc, x, y); }
Value Index::mul(Value x, Value y) const { return b.createOrFold<arith::MulIOp>(loc, x, y); }
Value Index::mul(Value x, int64_t y) const { return y == 1 ? x : mul(x, c(y)); }
Value Index::div(Value x, Value y) const { return b.createOrFold<arith::DivUIOp>(loc, x, y); }
Value Index::div(Value x, int64_t y) const { return y == 1 ? x : div(x, c(y)); }
Value Index::rem(Value x, int64_t y) const {
  return y == 1 ? c(0) : b.createOrFold<arith::RemUIOp>(loc, x, c(y));
}
Value Index::ceilDiv(Value x, int64_t y) const { return y == 1 ? x : div(add(x, y - 1), y); }
Value Index::min(Value x, Value y) const { return b.createOrFold<arith::MinSIOp>(loc, x, y); }
Value Index::max(Value x, Value y) const { return b.createOrFold<arith::MaxSIOp>(loc, x, y); }
Value Index::less(Value x, Value y) const {
  return arith::CmpIOp::create(b, loc, arith::CmpIPredicate::slt, x, y);
}
Value Index::equal(Value x, Value y) const {
  return arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq, x, y);
}

std::pair<Value, Value> Index::share(Value total, Value part, Value parts) const {
  return {div(mul(total, part), parts), div(mul(total, add(part, 1)), parts)};
}

void Index::loop(Value lo, Value hi, int64_t step, function_ref<void(Value)> body) const {
  auto f = scf::ForOp::create(b, loc, lo, hi, c(step));
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(f.getBody());
  body(f.getInductionVar());
}

SmallVector<Value> Index::loop(Value lo, Value hi, int64_t step, ValueRange init,
                               function_ref<SmallVector<Value>(Value, ValueRange)> body) const {
  if (init.empty()) {
    loop(lo, hi, step, [&](Value i) { body(i, {}); });
    return {};
  }
  auto f = scf::ForOp::create(b, loc, lo, hi, c(step), init);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(f.getBody());
  SmallVector<Value> next = body(f.getInductionVar(), f.getRegionIterArgs());
  scf::YieldOp::create(b, loc, next);
  return SmallVector<Value>(f.getResults());
}

void Index::when(Value condition, function_ref<void()> body) const {
  auto f = scf::IfOp::create(b, loc, condition, /*withElseRegion=*/false);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(f.thenBlock());
  body();
}

void Index::when(Value condition, function_ref<void()> yes, function_ref<void()> no) const {
  auto f = scf::IfOp::create(b, loc, condition, /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(f.thenBlock());
  yes();
  b.setInsertionPointToStart(f.elseBlock());
  no();
}

void r1::cpu::withLive(const Index &ix, int64_t size, int64_t tile, Value panel,
                       function_ref<void(int64_t)> body) {
  int64_t whole = size / tile, rest = size % tile;
  if (!rest)
    body(tile);
  else if (!whole)
    body(rest);
  else
    ix.when(ix.less(panel, ix.c(whole)), [&] { body(tile); }, [&] { body(rest); });
}

//===--- combining ------------------------------------------------------------------------===//

Value r1::cpu::combine(OpBuilder &b, Location loc, kern::Combine kind, Value x, Value y) {
  bool real = isa<FloatType>(getElementTypeOrSelf(x.getType()));
  switch (kind) {
  case kern::Combine::sum:
    return real ? Value(arith::AddFOp::create(b, loc, x, y))
                : Value(arith::AddIOp::create(b, loc, x, y));
  case kern::Combine::max:
    return real ? Value(arith::MaximumFOp::create(b, loc, x, y))
                : Value(arith::MaxSIOp::create(b, loc, x, y));
  case kern::Combine::min:
    return real ? Value(arith::MinimumFOp::create(b, loc, x, y))
                : Value(arith::MinSIOp::create(b, loc, x, y));
  case kern::Combine::any:
    return arith::OrIOp::create(b, loc, x, y);
  case kern::Combine::all:
    return arith::AndIOp::create(b, loc, x, y);
  }
  llvm_unreachable("unknown combination");
}

TypedAttr r1::cpu::identity(OpBuilder &b, kern::Combine kind, Type type) {
  if (auto f = dyn_cast<FloatType>(type)) {
    if (kind == kern::Combine::sum)
      return b.getFloatAttr(type, 0.0);
    bool negative = kind == kern::Combine::max;
    return b.getFloatAttr(type, APFloat::getInf(f.getFloatSemantics(), negative));
  }
  unsigned bits = type.getIntOrFloatBitWidth();
  switch (kind) {
  case kern::Combine::max:
    return b.getIntegerAttr(type, APInt::getSignedMinValue(bits));
  case kern::Combine::min:
    return b.getIntegerAttr(type, APInt::getSignedMaxValue(bits));
  case kern::Combine::all:
    return b.getIntegerAttr(type, APInt::getAllOnes(bits));
  default:
    return b.getIntegerAttr(type, APInt::getZero(bits));
  }
}

Value r1::cpu::acrossLanes(OpBuilder &b, Location loc, kern::Combine kind, Value v) {
  for (int64_t half = cast<VectorType>(v.getType()).getDimSize(0) / 2; half >= 1; half /= 2) {
    SmallVector<int64_t> low, high;
    for (int64_t i = 0; i < half; ++i) {
      low.push_back(i);
      high.push_back(i + half);
    }
    v = combine(b, loc, kind, vector::ShuffleOp::create(b, loc, v, v, low),
                vector::ShuffleOp::create(b, loc, v, v, high));
  }
  return vector::ExtractOp::create(b, loc, v, int64_t(0));
}

SmallVector<Value> r1::cpu::tile(const Index &ix, Value lo, Value hi, ValueRange acc, int64_t rows,
                                 int64_t vectors, function_ref<Value(int64_t, Value)> a,
                                 function_ref<Value(int64_t, Value)> b) {
  return ix.loop(lo, hi, 1, acc, [&](Value k, ValueRange in) {
    SmallVector<Value> next(in), columns;
    for (int64_t v = 0; v < vectors; ++v)
      columns.push_back(b(v, k));
    for (int64_t r = 0; r < rows; ++r) {
      Value x = vector::BroadcastOp::create(ix.b, ix.loc, in[0].getType(), a(r, k));
      for (int64_t v = 0; v < vectors; ++v)
        next[r * vectors + v] =
            math::FmaOp::create(ix.b, ix.loc, x, columns[v], next[r * vectors + v]);
    }
    return next;
  });
}
