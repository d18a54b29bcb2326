#include "compiler/grad/Rules.h"
#include "compiler/kernels/Kernels.h"

using namespace mlir;
using namespace r1;
using namespace r1::ir;

//===--- what the rules share -------------------------------------------------------------===//

Location r1::adjointLoc(Value v) {
  Location loc = v.getLoc();
  std::string name;
  if (auto named = dyn_cast<NameLoc>(loc))
    name = named.getName().str();
  else if (auto param = v.getDefiningOp<ParamOp>())
    name = param.getPath().str();
  else
    return loc;
  if (StringRef(name).ends_with("_adj"))
    return loc;
  return NameLoc::get(StringAttr::get(v.getContext(), name + "_adj"), loc);
}

Value r1::addAll(OpBuilder &b, Location loc, ArrayRef<Value> values) {
  if (values.size() == 1)
    return values.front();
  Type elem = tensorType(values.front()).getElementType();
  return buildElementwise(b, loc, tensorType(values.front()), values,
                          [&](OpBuilder &bb, Location l, ValueRange args) -> Value {
                            Type wide = accumulatorOf(elem);
                            Value sum = castScalar(bb, l, args[0], wide);
                            for (Value arg : args.drop_front())
                              sum = arith::AddFOp::create(bb, l, sum, castScalar(bb, l, arg, wide));
                            return castScalar(bb, l, sum, elem);
                          });
}

/// The element type that `v` was rounded from, or null.
static Type roundedFrom(Value v) {
  if (auto reshape = v.getDefiningOp<ReshapeOp>())
    return roundedFrom(reshape.getInput());
  auto map = v.getDefiningOp<MapOp>();
  if (!map)
    return {};
  if (int i = map.viewOf(); i >= 0)
    return roundedFrom(map.getIns()[i]);
  auto cast = map.getBlock()->getTerminator()->getOperand(0).getDefiningOp<arith::TruncFOp>();
  auto arg = cast ? dyn_cast<BlockArgument>(cast.getIn()) : BlockArgument();
  return arg && arg.getArgNumber() < map.getIns().size() ? arg.getType() : Type();
}

Type Adjoints::elemFor(Value v) const {
  Type from = roundedFrom(v);
  return from ? from : tensorType(v).getElementType();
}

void Adjoints::add(Value v, Value g) {
  if (g)
    contributions[v].push_back(buildCast(b, g.getLoc(), g, elemFor(v)));
}

ArrayRef<Value> Adjoints::parts(Value v) const {
  auto it = contributions.find(v);
  return it == contributions.end() ? ArrayRef<Value>() : ArrayRef<Value>(it->second);
}

Value Adjoints::sum(Value v) {
  auto it = contributions.find(v);
  if (it == contributions.end())
    return {};
  Value total = addAll(b, adjointLoc(v), it->second);
  it->second = {total};
  return total;
}

/// Dims 0..rank without `dims`: how a reduced tensor is read from the space of its input.
static AffineMap keptDims(MLIRContext *context, int64_t rank, ArrayRef<int64_t> dims) {
  SmallVector<AffineExpr> kept;
  for (int64_t d = 0; d < rank; ++d)
    if (!llvm::is_contained(dims, d))
      kept.push_back(getAffineDimExpr(d, context));
  return AffineMap::get(rank, 0, kept, context);
}

//===--- reduce ---------------------------------------------------------------------------===//

static LogicalResult sumRule(Adjoints &adj, ReduceOp op, Value g) {
  Value x = op.getInput();
  auto type = tensorType(x);
  Value spread = buildView(adj.b, adjointLoc(x), withElem(type, tensorType(g).getElementType()), g,
                           keptDims(op.getContext(), type.getRank(), op.getDims()));
  adj.add(x, spread);
  return success();
}

/// The first winner in row-major order takes it: the least linear index among those that equal
/// the result.
static LogicalResult extremeRule(Adjoints &adj, ReduceOp op, Value g) {
  OpBuilder &b = adj.b;
  Value x = op.getInput();
  Location loc = adjointLoc(x);
  auto type = tensorType(x);
  AffineMap id = b.getMultiDimIdentityMap(type.getRank());
  AffineMap kept = keptDims(op.getContext(), type.getRank(), op.getDims());
  int64_t count = 1;
  for (int64_t d : op.getDims())
    count *= type.getDimSize(d);
  auto linear = [&](OpBuilder &bb, Location l) {
    Value sum = arith::ConstantIndexOp::create(bb, l, 0);
    for (int64_t d : op.getDims()) {
      Value size = arith::ConstantIndexOp::create(bb, l, type.getDimSize(d));
      sum = arith::MulIOp::create(bb, l, sum, size);
      sum = arith::AddIOp::create(bb, l, sum, IndexOp::create(bb, l, d));
    }
    return arith::IndexCastOp::create(bb, l, bb.getI32Type(), sum).getResult();
  };
  Value position =
      buildMap(b, loc, withElem(type, b.getI32Type()), {x, op.getResult()}, {id, kept}, {},
               [&](OpBuilder &bb, Location l, ValueRange args) -> Value {
                 Value wins =
                     arith::CmpFOp::create(bb, l, arith::CmpFPredicate::OEQ, args[0], args[1]);
                 Value none = arith::ConstantOp::create(bb, l, bb.getI32IntegerAttr(count));
                 return arith::SelectOp::create(bb, l, wins, linear(bb, l), none);
               });
  Value first = ReduceOp::create(b, loc, withoutDims(type, op.getDims(), b.getI32Type()),
                                 ReduceKind::min, position, op.getDims());
  adj.add(x, buildMap(b, loc, withElem(type, tensorType(g).getElementType()), {g, first},
                      {kept, kept}, {}, [&](OpBuilder &bb, Location l, ValueRange args) -> Value {
                        Value wins = arith::CmpIOp::create(bb, l, arith::CmpIPredicate::eq, args[1],
                                                           linear(bb, l));
                        Value zero = arith::ConstantOp::create(
                            bb, l, cast<TypedAttr>(bb.getZeroAttr(args[0].getType())));
                        return arith::SelectOp::create(bb, l, wins, args[0], zero);
                      }));
  return success();
}

//===--- contract -------------------------------------------------------------------------===//

/// The adjoint of one operand: the result's adjoint times the other operand, summed over the dims
/// that the operand does not have: the rows of the batch first, the others in their order. So a sum
/// over rows is one chain in row order, wherever the rows stood.
static LogicalResult contractRule(Adjoints &adj, ContractOp op, Value g) {
  OpBuilder &b = adj.b;
  AffineMap out = op.getMap(2);
  for (unsigned side : {0u, 1u}) {
    Value x = op->getOperand(side), other = op->getOperand(1 - side);
    if (!adj.isActive(x))
      continue;
    AffineMap xMap = op.getMap(side), otherMap = op.getMap(1 - side);
    unsigned dims = xMap.getNumDims();
    // New order: the operand's dims as it has them, then what is summed. A dim that only the
    // operand has is neither: its adjoint is the same all along it.
    SmallVector<int> position(dims, -1);
    unsigned next = 0;
    for (AffineExpr e : xMap.getResults()) {
      unsigned d = cast<AffineDimExpr>(e).getPosition();
      if (out.isFunctionOfDim(d) || otherMap.isFunctionOfDim(d))
        position[d] = next++;
    }
    auto number = [&](unsigned d) {
      if (!xMap.isFunctionOfDim(d) && position[d] < 0)
        position[d] = next++;
    };
    for (auto [v, map] : {std::pair(Value(op.getResult()), out), std::pair(other, otherMap)})
      if (auto axis = adj.rowAxis.find(v); axis != adj.rowAxis.end())
        number(cast<AffineDimExpr>(map.getResult(axis->second)).getPosition());
    for (unsigned d = 0; d < dims; ++d)
      number(d);
    auto renumber = [&](AffineMap map) {
      SmallVector<AffineExpr> exprs;
      for (AffineExpr e : map.getResults())
        if (int p = position[cast<AffineDimExpr>(e).getPosition()]; p >= 0)
          exprs.push_back(b.getAffineDimExpr(p));
      return AffineMap::get(next, 0, exprs, b.getContext());
    };
    Location loc = adjointLoc(x);
    AffineMap gMap = renumber(out), oMap = renumber(otherMap), target = renumber(xMap);
    Value c = side == 0 ? buildContract(b, loc, g, other, gMap, oMap, target, adj.elemFor(x))
                        : buildContract(b, loc, other, g, oMap, gMap, target, adj.elemFor(x));
    if (target.getNumResults() != xMap.getNumResults()) {
      SmallVector<AffineExpr> kept;
      for (auto [r, e] : llvm::enumerate(xMap.getResults()))
        if (position[cast<AffineDimExpr>(e).getPosition()] >= 0)
          kept.push_back(b.getAffineDimExpr(r));
      c = buildView(b, loc, adj.typeFor(x), c,
                    AffineMap::get(xMap.getNumResults(), 0, kept, b.getContext()));
    } else {
      c.setType(adj.typeFor(x));
    }
    adj.add(x, c);
  }
  return success();
}

//===--- data-dependent -------------------------------------------------------------------===//

/// Where every position of the source outside of the axis is read exactly once, no two reads can
/// meet: x_adj[e] = g where the axis is at the id, else 0. This keeps the adjoint of
/// "the logit of the target" a map.
static Value gatherAsMap(Adjoints &adj, GatherOp op, Value g) {
  OpBuilder &b = adj.b;
  Value x = op.getSrc();
  auto type = tensorType(x), space = tensorType(op.getResult());
  SmallVector<AffineExpr> dims(space.getRank());
  for (auto [r, e] : llvm::enumerate(op.getMap(0).getResults())) {
    auto d = dyn_cast<AffineDimExpr>(e);
    if (r == op.getAxis())
      continue;
    if (!d || dims[d.getPosition()] || space.getDimSize(d.getPosition()) != type.getDimSize(r))
      return {};
    dims[d.getPosition()] = b.getAffineDimExpr(r);
  }
  if (!llvm::all_of(dims, [](AffineExpr e) { return bool(e); }))
    return {};
  unsigned rank = type.getRank();
  AffineMap gMap = AffineMap::get(rank, 0, dims, b.getContext());
  AffineMap idMap = op.getMap(1).compose(gMap);
  return buildMap(
      b, adjointLoc(x), withElem(type, tensorType(g).getElementType()), {g, op.getIds()},
      {gMap, idMap}, {}, [&](OpBuilder &bb, Location l, ValueRange a) -> Value {
        Value at = IndexOp::create(bb, l, op.getAxis());
        at = arith::IndexCastOp::create(bb, l, a[1].getType(), at);
        Value hit = arith::CmpIOp::create(bb, l, arith::CmpIPredicate::eq, a[1], at);
        Value zero =
            arith::ConstantOp::create(bb, l, cast<TypedAttr>(bb.getZeroAttr(a[0].getType())));
        return arith::SelectOp::create(bb, l, hit, a[0], zero);
      });
}

static LogicalResult gatherRule(Adjoints &adj, GatherOp op, Value g) {
  Value x = op.getSrc();
  if (Value map = gatherAsMap(adj, op, g)) {
    adj.add(x, map);
    return success();
  }
  adj.add(x, ScatterAddOp::create(adj.b, adjointLoc(x), adj.typeFor(x), g, op.getIds(),
                                  op.getAxis(), op.getMaps()));
  return success();
}

static LogicalResult scatterRule(Adjoints &adj, ScatterAddOp op, Value g) {
  Value x = op.getUpdates();
  auto type = withElem(tensorType(x), tensorType(g).getElementType());
  adj.add(x,
          GatherOp::create(adj.b, adjointLoc(x), type, g, op.getIds(), op.getAxis(), op.getMaps()));
  return success();
}

//===--- stable forms, shape --------------------------------------------------------------===//

/// y * (g - sum(y * g))
static LogicalResult softmaxRule(Adjoints &adj, SoftmaxOp op, Value g) {
  OpBuilder &b = adj.b;
  Value x = op.getInput(), y = op.getResult();
  Location loc = adjointLoc(x);
  auto type = tensorType(y);
  Type elem = type.getElementType(), wide = accumulatorOf(elem);
  auto widened = [&](OpBuilder &bb, Location l, Value v) { return castScalar(bb, l, v, wide); };
  Value product = buildElementwise(
      b, loc, withElem(type, wide), {y, g}, [&](OpBuilder &bb, Location l, ValueRange a) -> Value {
        return arith::MulFOp::create(bb, l, widened(bb, l, a[0]), widened(bb, l, a[1]));
      });
  int64_t axis = op.getAxis();
  Value dot = buildSum(b, loc, product, axis, wide);
  AffineMap id = b.getMultiDimIdentityMap(type.getRank());
  AffineMap kept = keptDims(op.getContext(), type.getRank(), axis);
  adj.add(x, buildMap(b, loc, withElem(type, elem), {y, g, dot}, {id, id, kept}, {},
                      [&](OpBuilder &bb, Location l, ValueRange a) -> Value {
                        Value d = arith::SubFOp::create(bb, l, widened(bb, l, a[1]), a[2]);
                        Value p = arith::MulFOp::create(bb, l, widened(bb, l, a[0]), d);
                        return castScalar(bb, l, p, elem);
                      }));
  return success();
}

/// g * exp(x - n); zero where every x is -inf
static LogicalResult logSumExpRule(Adjoints &adj, LogSumExpOp op, Value g) {
  OpBuilder &b = adj.b;
  Value x = op.getInput();
  auto type = tensorType(x);
  Type elem = type.getElementType(), wide = accumulatorOf(elem);
  AffineMap id = b.getMultiDimIdentityMap(type.getRank());
  AffineMap kept = keptDims(op.getContext(), type.getRank(), int64_t(op.getAxis()));
  adj.add(x, buildMap(b, adjointLoc(x), withElem(type, elem), {x, op.getResult(), g},
                      {id, kept, kept}, {}, [&](OpBuilder &bb, Location l, ValueRange a) -> Value {
                        Value xs = castScalar(bb, l, a[0], wide), n = castScalar(bb, l, a[1], wide);
                        Value lost = arith::ConstantOp::create(
                            bb, l, bb.getFloatAttr(wide, -std::numeric_limits<double>::infinity()));
                        Value zero = arith::ConstantOp::create(bb, l, bb.getFloatAttr(wide, 0));
                        Value p = math::ExpOp::create(bb, l, arith::SubFOp::create(bb, l, xs, n));
                        Value none =
                            arith::CmpFOp::create(bb, l, arith::CmpFPredicate::OEQ, n, lost);
                        p = arith::SelectOp::create(bb, l, none, zero, p);
                        p = arith::MulFOp::create(bb, l, castScalar(bb, l, a[2], wide), p);
                        return castScalar(bb, l, p, elem);
                      }));
  return success();
}

static LogicalResult reshapeRule(Adjoints &adj, ReshapeOp op, Value g) {
  Value x = op.getInput();
  auto type = withElem(tensorType(x), tensorType(g).getElementType());
  adj.add(x, ReshapeOp::create(adj.b, adjointLoc(x), type, g));
  return success();
}

//===--- kernels --------------------------------------------------------------------------===//

static LogicalResult kernelRule(Adjoints &adj, KernelOp op) {
  const KernelDef *def = findKernel(op.getKernelName());
  if (!def || !def->adjoint)
    return op.emitError() << "E0311: kernel \"" << op.getKernelName()
                          << "\" has neither an adjoint nor a reference body to differentiate";
  for (Value c : op.getCaptures())
    if (adj.isActive(c))
      return op.emitError() << "E0311: kernel \"" << op.getKernelName()
                            << "\" gives no gradient to what its lambda captures";
  SmallVector<Value> results;
  for (Value r : op.getResults())
    results.push_back(adj.sum(r));
  auto grads = def->adjoint(adj.b, op, results);
  if (failed(grads))
    return failure();
  for (auto [in, g] : llvm::zip_equal(op.getIns(), *grads))
    if (adj.isActive(in))
      adj.add(in, g);
  return success();
}

//===--- the table ------------------------------------------------------------------------===//

LogicalResult r1::differentiateOp(Adjoints &adj, Operation *op) {
  if (!llvm::any_of(op->getResults(), [&](Value r) { return !adj.parts(r).empty(); }))
    return success();
  if (auto kernel = dyn_cast<KernelOp>(op))
    return kernelRule(adj, kernel);
  Value g = op->getNumResults() == 1 ? adj.sum(op->getResult(0)) : Value();
  return TypeSwitch<Operation *, LogicalResult>(op)
      .Case<ParamOp, ScalarOp, RandomOp, StopGradOp, arith::ConstantOp>(
          [](Operation *) { return success(); })
      .Case([&](MapOp map) { return mapRule(adj, map, g); })
      .Case([&](ReduceOp r) {
        return r.getKind() == ReduceKind::sum ? sumRule(adj, r, g) : extremeRule(adj, r, g);
      })
      .Case([&](ContractOp c) { return contractRule(adj, c, g); })
      .Case([&](GatherOp x) { return gatherRule(adj, x, g); })
      .Case([&](ScatterAddOp x) { return scatterRule(adj, x, g); })
      .Case([&](SoftmaxOp s) { return softmaxRule(adj, s, g); })
      .Case([&](LogSumExpOp l) { return logSumExpRule(adj, l, g); })
      .Case([&](ReshapeOp r) { return reshapeRule(adj, r, g); })
      .Default([](Operation *o) {
        return o->emitError() << "E0311: " << o->getName()
                              << " is not differentiable, and a gradient is needed here";
      });
}
