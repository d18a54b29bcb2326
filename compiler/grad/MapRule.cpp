// The adjoint of a map: per input, the body's adjoint as a map over the same space, pulled back
// through the input's affine map.
#include "compiler/grad/Pullback.h"
#include "compiler/grad/Rules.h"
#include "compiler/grad/ScalarRules.h"

using namespace mlir;
using namespace r1;
using namespace r1::ir;

namespace {

/// What one contribution map yields, built after the primal body at the given place.
using Yielded = llvm::function_ref<FailureOr<Value>(OpBuilder &, IRMapping &, BodyAdjoints &)>;

struct MapAdjoint {
  Adjoints &adj;
  MapOp op;
  Value g;
  DenseSet<Value> active; // in the body of `op`

  MapAdjoint(Adjoints &adj, MapOp op, Value g) : adj(adj), op(op), g(g) {
    Block *body = op.getBlock();
    for (auto [value, arg] : llvm::zip_equal(op.getIns(), inputArgs()))
      if (adj.isActive(value))
        active.insert(arg);
    for (ReadOp read : body->getOps<ReadOp>())
      if (adj.isActive(captureOf(read)))
        active.insert(read.getResult());
  }

  MutableArrayRef<BlockArgument> inputArgs() {
    return op.getBlock()->getArguments().take_front(op.getIns().size());
  }

  Value captureOf(ReadOp read) {
    auto arg = cast<BlockArgument>(read.getTensor());
    return op.getCaptures()[arg.getArgNumber() - op.getIns().size()];
  }

  /// A map over op's space with the primal body, its adjoint, and `yielded` at the end.
  FailureOr<Value> build(Location loc, Type elem, Yielded yielded) {
    OpBuilder &b = adj.b;
    auto space = tensorType(op.getResult());
    SmallVector<Value> ins(op.getIns());
    SmallVector<AffineMap> maps;
    for (unsigned i = 0; i < ins.size(); ++i)
      maps.push_back(op.getMap(i));
    ins.push_back(g);
    maps.push_back(b.getMultiDimIdentityMap(space.getRank()));
    bool failedRule = false;
    Value result = buildMap(b, loc, withElem(space, elem), ins, maps, op.getCaptures(),
                            [&](OpBuilder &bb, Location l, ValueRange args) -> Value {
                              IRMapping map;
                              size_t count = op.getIns().size();
                              for (auto [i, arg] : llvm::enumerate(op.getBlock()->getArguments()))
                                map.map(arg, args[i < count ? i : i + 1]);
                              SmallVector<Operation *> ops;
                              for (Operation &o : op.getBlock()->without_terminator())
                                ops.push_back(bb.clone(o, map));
                              DenseSet<Value> cloned;
                              for (Value v : active)
                                cloned.insert(map.lookup(v));
                              BodyAdjoints body(bb, cloned);
                              Value out = map.lookup(op.getBlock()->getTerminator()->getOperand(0));
                              FailureOr<Value> v = failure();
                              if (succeeded(body.run(ops, out, args[count])))
                                v = yielded(bb, map, body);
                              failedRule = failed(v);
                              return failedRule ? args[count] : castTo(bb, l, *v, elem);
                            });
    if (failedRule) {
      result.getDefiningOp()->erase();
      return failure();
    }
    return result;
  }

  static Value castTo(OpBuilder &b, Location loc, Value v, Type elem) {
    if (!v)
      return arith::ConstantOp::create(b, loc, cast<TypedAttr>(b.getZeroAttr(elem)));
    return isa<FloatType>(elem) ? castScalar(b, loc, v, elem) : v;
  }

  LogicalResult input(unsigned i);
  LogicalResult read(ReadOp read);
  LogicalResult scatter(ReadOp read, Value contribution);
};

} // namespace

LogicalResult MapAdjoint::input(unsigned i) {
  Value x = op.getIns()[i];
  // The same tensor read in the same way twice is one contribution.
  for (unsigned k = 0; k < i; ++k)
    if (op.getIns()[k] == x && op.getMap(k) == op.getMap(i))
      return success();
  Location loc = adjointLoc(x);
  Type elem = adj.elemFor(x);
  auto c = build(loc, elem, [&](OpBuilder &b, IRMapping &map, BodyAdjoints &body) {
    Value sum;
    for (unsigned k = i; k < op.getIns().size(); ++k)
      if (op.getIns()[k] == x && op.getMap(k) == op.getMap(i))
        if (Value v = body.of(map.lookup(op.getBlock()->getArgument(k))))
          sum = sum ? arith::AddFOp::create(b, loc, sum, v) : v;
    return FailureOr<Value>(sum);
  });
  if (failed(c))
    return failure();
  auto back = pullBack(adj.b, loc, *c, op.getMap(i), adj.typeFor(x));
  if (failed(back))
    return op.emitError() << "E0311: the read by " << op.getMaps()[i]
                          << " is not differentiable: its map cannot be inverted";
  adj.add(x, *back);
  return success();
}

LogicalResult MapAdjoint::read(ReadOp read) {
  Value x = captureOf(read);
  Location loc = adjointLoc(x);
  auto c = build(loc, adj.elemFor(x), [&](OpBuilder &b, IRMapping &map, BodyAdjoints &body) {
    return FailureOr<Value>(body.of(map.lookup(read.getResult())));
  });
  if (failed(c))
    return failure();
  SmallVector<AffineExpr> exprs;
  for (Value index : read.getIndices())
    exprs.push_back(affineOf(index));
  if (llvm::all_of(exprs, [](AffineExpr e) { return bool(e); })) {
    auto map = AffineMap::get(tensorType(op.getResult()).getRank(), 0, exprs, op.getContext());
    auto back = pullBack(adj.b, loc, *c, map, adj.typeFor(x));
    if (succeeded(back)) {
      adj.add(x, *back);
      return success();
    }
  }
  return scatter(read, *c);
}

/// Positions that are data: contributions go to the linear index, those outside of the tensor are
/// zero at index 0.
LogicalResult MapAdjoint::scatter(ReadOp read, Value contribution) {
  OpBuilder &b = adj.b;
  Value x = captureOf(read);
  Location loc = adjointLoc(x);
  auto xType = tensorType(x);
  auto space = tensorType(op.getResult());
  bool small = xType.getNumElements() <= std::numeric_limits<int32_t>::max();
  Type idType = small ? b.getI32Type() : b.getI64Type();
  auto ids = build(loc, idType, [&](OpBuilder &bb, IRMapping &map, BodyAdjoints &) {
    auto cloned = cast<ReadOp>(map.lookup(read.getResult()).getDefiningOp());
    Value linear = arith::ConstantIndexOp::create(bb, loc, 0);
    for (auto [i, index] : llvm::enumerate(cloned.getIndices())) {
      Value size = arith::ConstantIndexOp::create(bb, loc, xType.getDimSize(i));
      linear = arith::MulIOp::create(bb, loc, linear, size);
      linear = arith::AddIOp::create(bb, loc, linear, index);
    }
    Value zero = arith::ConstantIndexOp::create(bb, loc, 0);
    Value id = arith::SelectOp::create(bb, loc, readInRange(bb, loc, cloned), linear, zero);
    return FailureOr<Value>(arith::IndexCastOp::create(bb, loc, idType, id));
  });
  auto updates = build(loc, adj.elemFor(x), [&](OpBuilder &bb, IRMapping &map, BodyAdjoints &body) {
    auto cloned = cast<ReadOp>(map.lookup(read.getResult()).getDefiningOp());
    Value v = body.of(cloned.getResult());
    if (!v)
      return FailureOr<Value>(v);
    Value zero = arith::ConstantOp::create(bb, loc, bb.getFloatAttr(v.getType(), 0));
    return FailureOr<Value>(
        arith::SelectOp::create(bb, loc, readInRange(bb, loc, cloned), v, zero));
  });
  if (failed(ids) || failed(updates))
    return failure();
  auto toFlat = AffineMap::get(space.getRank(), 0, b.getAffineConstantExpr(0), b.getContext());
  Value flat = ScatterAddOp::create(
      b, loc, RankedTensorType::get({xType.getNumElements()}, adj.elemFor(x)), *updates, *ids, 0,
      b.getAffineMapArrayAttr({toFlat, b.getMultiDimIdentityMap(space.getRank())}));
  adj.add(x, ReshapeOp::create(b, loc, adj.typeFor(x), flat));
  if (Operation *dead = contribution.getDefiningOp(); dead && dead->use_empty())
    dead->erase();
  return success();
}

LogicalResult r1::mapRule(Adjoints &adj, MapOp op, Value g) {
  MapAdjoint rule(adj, op, g);
  for (unsigned i = 0; i < op.getIns().size(); ++i)
    if (adj.isActive(op.getIns()[i]) && failed(rule.input(i)))
      return failure();
  SmallVector<ReadOp> reads(op.getBlock()->getOps<ReadOp>());
  for (ReadOp read : reads)
    if (adj.isActive(rule.captureOf(read)) && failed(rule.read(read)))
      return failure();
  return success();
}
