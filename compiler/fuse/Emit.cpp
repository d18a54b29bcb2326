// Elements of values: loads, map bodies, gathers. Sweeps are in EmitRows.cpp.
#include "compiler/fuse/Emit.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"

using namespace mlir;
namespace r1::fuse {

Value Values::resolve(Value v) const {
  while (true) {
    if (auto it = aliases.find(v); it != aliases.end())
      v = it->second;
    else if (auto stop = v.getDefiningOp<ir::StopGradOp>())
      v = stop.getInput();
    else
      return v;
  }
}

Value Values::base(Value v) const {
  v = resolve(v);
  while (auto reshape = v.getDefiningOp<ir::ReshapeOp>()) {
    if (home(v))
      break;
    v = resolve(reshape.getInput());
  }
  return v;
}

void Emitter::begin(Block *body, unsigned numOthers, const DenseSet<Value> &computed) {
  block = body;
  others = numOthers;
  inside = computed;
  rowBuilder.setInsertionPointToEnd(body);
}

Value Emitter::fail(const Twine &why, Location at) {
  if (!failed)
    emitError(at) << why.str();
  failed = true;
  return {};
}

OpBuilder &Emitter::builderFor(ValueRange operands) {
  if (inSweep)
    for (Value v : operands)
      if (v.getParentBlock() != block)
        return sweepBuilder;
  return rowBuilder;
}

AffineExpr Emitter::addDim(int64_t size, Value value) {
  dimInSweep.push_back(value && value.getParentBlock() != block);
  return dims.add(size, value);
}

AffineExpr Emitter::variable(Value index, int64_t size) {
  for (auto [i, v] : llvm::enumerate(dims.values))
    if (v == index)
      return getAffineDimExpr(i, dims.context);
  return addDim(size, index);
}

bool Emitter::variesInSweep(ArrayRef<AffineExpr> index) const {
  bool varies = false;
  for (AffineExpr e : index)
    e.walk([&](AffineExpr part) {
      if (auto d = dyn_cast<AffineDimExpr>(part))
        varies |= dimInSweep[d.getPosition()];
    });
  return varies;
}

Value Emitter::constant(TypedAttr value) {
  for (Operation &op : *block)
    if (auto c = dyn_cast<arith::ConstantOp>(op); c && c.getValue() == value)
      return c;
  OpBuilder atStart(block, block->begin());
  return arith::ConstantOp::create(atStart, loc, value);
}

Value Emitter::floatConstant(Type type, double value) {
  return constant(FloatAttr::get(type, value));
}

Value Emitter::toFloat(Value v, Type type) {
  unsigned from = v.getType().getIntOrFloatBitWidth(), to = type.getIntOrFloatBitWidth();
  if (v.getType() == type)
    return v;
  OpBuilder &b = builderFor(v);
  if (from < to)
    return arith::ExtFOp::create(b, loc, type, v);
  return arith::TruncFOp::create(b, loc, type, v);
}

/// An index expression as an SSA value.
Value Emitter::indexValue(AffineExpr e) {
  e = simplify(e, dims);
  if (auto c = dyn_cast<AffineConstantExpr>(e))
    return constant(IntegerAttr::get(IndexType::get(dims.context), c.getValue()));
  if (auto d = dyn_cast<AffineDimExpr>(e))
    return dims.values[d.getPosition()];
  // Only the variables that occur become operands.
  SmallVector<Value> operands;
  SmallVector<AffineExpr> renamed(dims.sizes.size(), getAffineConstantExpr(0, dims.context));
  for (unsigned i = 0; i < dims.sizes.size(); ++i)
    if (e.isFunctionOfDim(i)) {
      renamed[i] = getAffineDimExpr(operands.size(), dims.context);
      operands.push_back(dims.values[i]);
    }
  AffineMap map = AffineMap::get(operands.size(), 0, e.replaceDims(renamed), dims.context);
  return affine::AffineApplyOp::create(builderFor(operands), loc, map, operands);
}

unsigned Emitter::argFor(Value v, bool fresh) {
  v = values.resolve(v);
  const Home *home = values.home(v);
  assert(home && "a kernel's argument lives in memory");
  for (auto [i, arg] : llvm::enumerate(args))
    if (!fresh && *values.home(arg) == *home)
      return i;
  auto type = MemRefType::get({tensorOf(v).getNumElements()}, elemOf(v));
  block->addArgument(type, loc);
  args.push_back(v);
  return args.size() - 1;
}

bool Emitter::isLoaded(Value v) const { return values.home(v) && !inside.contains(v); }

Value Emitter::load(Value v, ArrayRef<AffineExpr> index) {
  Value memref = block->getArgument(others + argFor(v));
  Value at = indexValue(linearize(index, shapeOf(v), dims));
  return memref::LoadOp::create(builderFor(at), loc, memref, at);
}

void Emitter::store(Value element, Value v, ArrayRef<AffineExpr> index) {
  unsigned arg = argFor(v);
  if (!llvm::is_contained(writes, arg))
    writes.push_back(arg);
  Value at = indexValue(linearize(index, shapeOf(v), dims));
  // The only row of a kernel is still its row: lanes beyond it must not store.
  if (tensorOf(v).getNumElements() == 1 && others == 1)
    at = block->getArgument(0);
  OpBuilder &b = inSweep ? sweepBuilder : rowBuilder;
  memref::StoreOp::create(b, loc, element, block->getArgument(others + arg), at);
}

Value Emitter::element(Value v, ArrayRef<AffineExpr> index) {
  v = values.resolve(v);
  Key key{v.getAsOpaquePointer(), {}};
  for (AffineExpr e : index)
    key.second.push_back(e.getAsOpaquePointer());
  Memo &memo = inSweep && variesInSweep(index) ? sweepMemo : rowMemo;
  if (auto it = memo.find(key); it != memo.end())
    return it->second;
  Value out;
  if (auto it = bound.find(v); it != bound.end())
    out = it->second;
  else if (isLoaded(v) || storedInner.contains(v))
    out = load(v, index);
  else
    out = compute(v, index);
  if (out)
    memo[key] = out;
  return out;
}

Value Emitter::compute(Value v, ArrayRef<AffineExpr> index) {
  Operation *op = v.getDefiningOp();
  if (!op)
    return fail("fuse: an argument without a buffer", v.getLoc());
  if (auto c = dyn_cast<arith::ConstantOp>(op)) {
    auto dense = dyn_cast<DenseElementsAttr>(c.getValue());
    if (!dense)
      return fail("a constant of this kind is not supported yet", op->getLoc());
    if (!dense.isSplat())
      return fail("fuse: a table without a buffer", op->getLoc());
    return constant(cast<TypedAttr>(dense.getSplatValue<Attribute>()));
  }
  if (auto reshape = dyn_cast<ir::ReshapeOp>(op)) {
    Value from = values.resolve(reshape.getInput());
    return element(from, delinearize(linearize(index, shapeOf(v), dims), shapeOf(from), dims));
  }
  if (auto gather = dyn_cast<ir::GatherOp>(op)) {
    auto map = [&](unsigned i) { return cast<AffineMapAttr>(gather.getMaps()[i]).getValue(); };
    Value id = element(gather.getIds(), applyMap(map(1), index, dims));
    if (!id)
      return {};
    Index at = applyMap(map(0), index, dims);
    Value src = values.resolve(gather.getSrc());
    Value position =
        arith::IndexCastOp::create(builderFor(id), loc, IndexType::get(dims.context), id);
    at[gather.getAxis()] = variable(position, shapeOf(src)[gather.getAxis()]);
    return element(src, at);
  }
  if (auto map = dyn_cast<ir::MapOp>(op)) {
    IRMapping mapping;
    return computeInBody(map.getBlock()->getTerminator()->getOperand(0), map, index, mapping);
  }
  if (auto softmax = dyn_cast<ir::SoftmaxOp>(op))
    return computeSoftmax(v, softmax.getInput(), softmax.getAxis(), index);
  if (auto logsumexp = dyn_cast<ir::LogSumExpOp>(op))
    return computeSoftmax(v, logsumexp.getInput(), logsumexp.getAxis(), index);
  if (isa<ir::ReduceOp>(op)) {
    Stat *stat = findStat(Stat::Reduce, v);
    if (!stat || !stat->result)
      return fail("fuse: a reduction is used outside of its row", op->getLoc());
    Type type = elemOf(v);
    return isa<FloatType>(type) ? toFloat(stat->result, type) : stat->result;
  }
  return fail(Twine("fuse: '") + op->getName().getStringRef() + "' is not computed by elements",
              op->getLoc());
}

std::optional<AffineExpr> affineOf(Value v, ArrayRef<AffineExpr> index, const Dims &dims) {
  Operation *op = v.getDefiningOp();
  if (!op || !v.getType().isIntOrIndex() || v.getType().isInteger(1))
    return std::nullopt;
  if (auto i = dyn_cast<ir::IndexOp>(op))
    return index[i.getDim()];
  if (auto c = dyn_cast<arith::ConstantOp>(op))
    return getAffineConstantExpr(cast<IntegerAttr>(c.getValue()).getInt(), dims.context);
  if (isa<arith::IndexCastOp, arith::ExtSIOp, arith::TruncIOp>(op))
    return affineOf(op->getOperand(0), index, dims);
  if (op->getNumOperands() != 2)
    return std::nullopt;
  auto lhs = affineOf(op->getOperand(0), index, dims);
  if (!lhs)
    return std::nullopt;
  auto rhs = affineOf(op->getOperand(1), index, dims);
  if (!rhs)
    return std::nullopt;
  if (isa<arith::AddIOp>(op))
    return simplify(*lhs + *rhs, dims);
  if (isa<arith::SubIOp>(op))
    return simplify(*lhs - *rhs, dims);
  if (isa<arith::MulIOp>(op)) {
    if (isa<AffineConstantExpr>(*lhs))
      std::swap(lhs, rhs);
    if (isa<AffineConstantExpr>(*rhs))
      return simplify(*lhs * *rhs, dims);
    return std::nullopt;
  }
  auto divisor = dyn_cast<AffineConstantExpr>(*rhs);
  auto range = rangeOf(*lhs, dims);
  if (!divisor || divisor.getValue() <= 0 || !range || range->first < 0)
    return std::nullopt;
  if (isa<arith::FloorDivSIOp, arith::DivSIOp, arith::DivUIOp>(op))
    return simplify(lhs->floorDiv(*rhs), dims);
  if (isa<arith::RemSIOp, arith::RemUIOp>(op))
    return simplify(*lhs % *rhs, dims);
  return std::nullopt;
}

/// `v` of `map`'s body at `index`, on demand: what does not vary within the sweep is thereby
/// computed once per row.
Value Emitter::computeInBody(Value v, ir::MapOp map, ArrayRef<AffineExpr> index,
                             IRMapping &mapping) {
  if (Value done = mapping.lookupOrNull(v))
    return done;
  Value out;
  if (auto arg = dyn_cast<BlockArgument>(v)) {
    unsigned i = arg.getArgNumber();
    out = element(map.getIns()[i], applyMap(map.getMap(i), index, dims));
  } else if (auto e = affineOf(v, index, dims)) {
    out = indexValue(*e);
    if (!v.getType().isIndex() && out) {
      if (auto c = dyn_cast<AffineConstantExpr>(*e))
        out = constant(IntegerAttr::get(v.getType(), c.getValue()));
      else
        out = arith::IndexCastOp::create(builderFor(out), loc, v.getType(), out);
    }
  } else if (auto c = v.getDefiningOp<arith::ConstantOp>()) {
    out = constant(cast<TypedAttr>(c.getValue()));
  } else if (auto read = v.getDefiningOp<ir::ReadOp>()) {
    out = computeRead(read, map, index, mapping);
  } else {
    Operation *op = v.getDefiningOp();
    if (op->getNumRegions())
      return fail("control flow inside a map is not supported yet", op->getLoc());
    for (Value operand : op->getOperands())
      if (!computeInBody(operand, map, index, mapping))
        return {};
    SmallVector<Value> operands;
    for (Value operand : op->getOperands())
      operands.push_back(mapping.lookup(operand));
    Operation *copy = builderFor(operands).clone(*op, mapping);
    copy->setLoc(loc);
    return mapping.lookup(v);
  }
  if (out)
    mapping.map(v, out);
  return out;
}

/// A read outside of the tensor gives the default: the position is clamped, then one of both is
/// chosen, so that the code stays straight-line.
Value Emitter::computeRead(ir::ReadOp op, ir::MapOp map, ArrayRef<AffineExpr> index,
                           IRMapping &mapping) {
  auto capture = cast<BlockArgument>(op.getTensor());
  Value tensor = values.resolve(map.getCaptures()[capture.getArgNumber() - map.getIns().size()]);
  Index at;
  Value allInside;
  for (auto [axis, operand] : llvm::enumerate(op.getIndices())) {
    int64_t size = shapeOf(tensor)[axis];
    auto e = affineOf(operand, index, dims);
    if (e) {
      auto range = rangeOf(*e, dims);
      if (range && range->first >= 0 && range->second < size) {
        at.push_back(*e);
        continue;
      }
    }
    Value position = e ? indexValue(*e) : computeInBody(operand, map, index, mapping);
    if (!position)
      return {};
    auto indexAttr = [&](int64_t n) {
      return constant(IntegerAttr::get(IndexType::get(dims.context), n));
    };
    // Unsigned: a negative position is a large one.
    OpBuilder &b = builderFor(position);
    Value in = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ult, position, indexAttr(size));
    Value clamped = arith::SelectOp::create(b, loc, in, position, indexAttr(0));
    if (allInside)
      allInside = arith::AndIOp::create(builderFor({allInside, in}), loc, allInside, in);
    else
      allInside = in;
    at.push_back(variable(clamped, size));
  }
  Value read = element(tensor, at);
  if (!read || !allInside)
    return read;
  Value otherwise = computeInBody(op.getOtherwise(), map, index, mapping);
  if (!otherwise)
    return {};
  return arith::SelectOp::create(builderFor({allInside, read, otherwise}), loc, allInside, read,
                                 otherwise);
}

} // namespace r1::fuse
