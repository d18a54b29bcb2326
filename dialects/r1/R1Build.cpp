#include "dialects/r1/R1Build.h"

using namespace mlir;
using namespace r1::ir;

Value r1::ir::buildMap(OpBuilder &b, Location loc, RankedTensorType result, ValueRange ins,
                       ArrayRef<AffineMap> maps, ValueRange captures, BodyFn body) {
  auto op = MapOp::create(b, loc, result, ins, captures, b.getAffineMapArrayAttr(maps));
  OpBuilder::InsertionGuard guard(b);
  Block &block = op.getBody().emplaceBlock();
  for (Value in : ins)
    block.addArgument(tensorType(in).getElementType(), in.getLoc());
  for (Value c : captures)
    block.addArgument(c.getType(), c.getLoc());
  b.setInsertionPointToStart(&block);
  Value out = body(b, loc, block.getArguments());
  YieldOp::create(b, loc, out);
  return op.getResult();
}

Value r1::ir::buildElementwise(OpBuilder &b, Location loc, RankedTensorType result, ValueRange ins,
                               BodyFn body) {
  SmallVector<AffineMap> maps(ins.size(), b.getMultiDimIdentityMap(result.getRank()));
  return buildMap(b, loc, result, ins, maps, {}, body);
}

Value r1::ir::buildView(OpBuilder &b, Location loc, RankedTensorType result, Value in,
                        AffineMap map) {
  return buildMap(b, loc, result, in, map, {},
                  [](OpBuilder &, Location, ValueRange args) { return args[0]; });
}

Value r1::ir::castScalar(OpBuilder &b, Location loc, Value v, Type elem) {
  if (v.getType() == elem)
    return v;
  if (v.getType().getIntOrFloatBitWidth() < elem.getIntOrFloatBitWidth())
    return arith::ExtFOp::create(b, loc, elem, v);
  if (v.getType().getIntOrFloatBitWidth() > elem.getIntOrFloatBitWidth())
    return arith::TruncFOp::create(b, loc, elem, v);
  return arith::TruncFOp::create(b, loc, elem, arith::ExtFOp::create(b, loc, b.getF32Type(), v));
}

Value r1::ir::buildCast(OpBuilder &b, Location loc, Value v, Type elem) {
  if (tensorType(v).getElementType() == elem)
    return v;
  return buildElementwise(
      b, loc, withElem(tensorType(v), elem), v,
      [&](OpBuilder &bb, Location l, ValueRange args) { return castScalar(bb, l, args[0], elem); });
}

Value r1::ir::buildSum(OpBuilder &b, Location loc, Value v, ArrayRef<int64_t> dims, Type elem) {
  if (dims.empty())
    return buildCast(b, loc, v, elem);
  Type in = tensorType(v).getElementType();
  bool direct = elem == in || (elem.isF32() && in.getIntOrFloatBitWidth() < 32);
  Value sum = ReduceOp::create(b, loc, withoutDims(tensorType(v), dims, direct ? elem : in),
                               ReduceKind::sum, v, dims);
  return buildCast(b, loc, sum, elem);
}

Value r1::ir::buildContract(OpBuilder &b, Location loc, Value lhs, Value rhs, AffineMap l,
                            AffineMap r, AffineMap out, Type elem) {
  Type le = tensorType(lhs).getElementType(), re = tensorType(rhs).getElementType();
  if (le != re) {
    bool leftWider = le.getIntOrFloatBitWidth() > re.getIntOrFloatBitWidth();
    Type wide = le.getIntOrFloatBitWidth() == re.getIntOrFloatBitWidth() ? b.getF32Type()
                : leftWider                                              ? le
                                                                         : re;
    lhs = buildCast(b, loc, lhs, wide);
    rhs = buildCast(b, loc, rhs, wide);
  }
  SmallVector<int64_t> shape(out.getNumResults());
  for (auto [value, map] : {std::pair(lhs, l), std::pair(rhs, r)})
    for (auto [i, e] : llvm::enumerate(map.getResults()))
      if (auto at = out.getResultPosition(e))
        shape[*at] = tensorType(value).getDimSize(i);
  return ContractOp::create(b, loc, RankedTensorType::get(shape, elem), lhs, rhs,
                            b.getAffineMapArrayAttr({l, r, out}));
}

Value r1::ir::buildSplat(OpBuilder &b, Location loc, RankedTensorType type, double value) {
  return arith::ConstantOp::create(
      b, loc, DenseElementsAttr::get(type, b.getFloatAttr(type.getElementType(), value)));
}

RankedTensorType r1::ir::withElem(RankedTensorType type, Type elem) {
  auto ty = dyn_cast_or_null<TyAttr>(type.getEncoding());
  return RankedTensorType::get(type.getShape(), elem,
                               ty ? TyAttr::get(type.getContext(), ty.getDims(), 0) : Attribute());
}

RankedTensorType r1::ir::withoutDims(RankedTensorType type, ArrayRef<int64_t> dims, Type elem) {
  auto ty = dyn_cast_or_null<TyAttr>(type.getEncoding());
  SmallVector<int64_t> shape;
  SmallVector<StringAttr> names;
  for (int64_t i = 0; i < type.getRank(); ++i)
    if (!llvm::is_contained(dims, i)) {
      shape.push_back(type.getDimSize(i));
      if (ty)
        names.push_back(ty.getDims()[i]);
    }
  return RankedTensorType::get(shape, elem,
                               ty ? TyAttr::get(type.getContext(), names, 0) : Attribute());
}

Type r1::ir::accumulatorOf(Type elem) {
  return elem.isF64() ? elem : Float32Type::get(elem.getContext());
}
