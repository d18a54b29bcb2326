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

  /// One copy of the body: where op's dims are in the space that is built.
  using Place = AffineMap;

  /// A map over `space` that, for each place, runs the primal body there, its adjoint and
  /// `yielded`, and adds up what they give; `finish` may change the sum.
  FailureOr<Value> build(Location loc, RankedTensorType space, ArrayRef<Place> places,
                         Yielded yielded,
                         llvm::function_ref<Value(OpBuilder &, Value)> finish = nullptr) {
    OpBuilder &b = adj.b;
    SmallVector<Value> ins;
    SmallVector<AffineMap> maps;
    for (Place place : places) {
      for (auto [i, in] : llvm::enumerate(op.getIns())) {
        ins.push_back(in);
        maps.push_back(op.getMap(i).compose(place));
      }
      ins.push_back(g);
      maps.push_back(place);
    }
    bool failedRule = false;
    Value result = buildMap(b, loc, space, ins, maps, op.getCaptures(),
                            [&](OpBuilder &bb, Location l, ValueRange args) -> Value {
                              Value sum;
                              for (auto [i, place] : llvm::enumerate(places)) {
                                auto v = copy(bb, l, place, i, places.size(), args, yielded);
                                failedRule |= failed(v);
                                if (succeeded(v) && *v)
                                  sum = sum ? arith::AddFOp::create(bb, l, sum, *v) : *v;
                              }
                              if (sum && finish)
                                sum = finish(bb, sum);
                              return failedRule ? Value(args[op.getIns().size()])
                                                : castTo(bb, l, sum, space.getElementType());
                            });
    if (failedRule) {
      result.getDefiningOp()->erase();
      return failure();
    }
    return result;
  }

  FailureOr<Value> copy(OpBuilder &b, Location loc, Place place, size_t which, size_t count,
                        ValueRange args, Yielded yielded) {
    size_t inputs = op.getIns().size(), first = which * (inputs + 1);
    IRMapping map;
    for (auto [i, arg] : llvm::enumerate(op.getBlock()->getArguments()))
      map.map(arg, args[i < inputs ? first + i : count * (inputs + 1) + i - inputs]);
    SmallVector<Operation *> ops;
    for (Operation &o : op.getBlock()->without_terminator()) {
      if (auto index = dyn_cast<IndexOp>(o)) {
        AffineExpr at = place.getResult(index.getDim());
        if (auto c = dyn_cast<AffineConstantExpr>(at))
          map.map(index.getResult(), arith::ConstantIndexOp::create(b, o.getLoc(), c.getValue()));
        else
          map.map(index.getResult(),
                  IndexOp::create(b, o.getLoc(), cast<AffineDimExpr>(at).getPosition()));
      } else {
        ops.push_back(b.clone(o, map));
      }
    }
    DenseSet<Value> cloned;
    for (Value v : active)
      cloned.insert(map.lookup(v));
    BodyAdjoints body(b, cloned);
    Value out = map.lookup(op.getBlock()->getTerminator()->getOperand(0));
    if (failed(body.run(ops, out, args[first + inputs])))
      return failure();
    return yielded(b, map, body);
  }

  /// The body once, over op's own space.
  FailureOr<Value> build(Location loc, Type elem, Yielded yielded) {
    auto space = tensorType(op.getResult());
    return build(loc, withElem(space, elem), adj.b.getMultiDimIdentityMap(space.getRank()),
                 yielded);
  }

  static Value castTo(OpBuilder &b, Location loc, Value v, Type elem) {
    if (!v)
      return arith::ConstantOp::create(b, loc, cast<TypedAttr>(b.getZeroAttr(elem)));
    return isa<FloatType>(elem) ? castScalar(b, loc, v, elem) : v;
  }

  LogicalResult input(unsigned i);
  bool isSlice(unsigned i);
  FailureOr<Value> slice(unsigned i, Yielded yielded);
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
  auto contribution = [&](OpBuilder &b, IRMapping &map, BodyAdjoints &body) {
    Value sum;
    for (unsigned k = i; k < op.getIns().size(); ++k)
      if (op.getIns()[k] == x && op.getMap(k) == op.getMap(i))
        if (Value v = body.of(map.lookup(op.getBlock()->getArgument(k))))
          sum = sum ? arith::AddFOp::create(b, loc, sum, v) : v;
    return FailureOr<Value>(sum);
  };
  if (isSlice(i)) {
    auto whole = slice(i, contribution);
    if (failed(whole))
      return failure();
    adj.add(x, *whole);
    return success();
  }
  auto c = build(loc, adj.elemFor(x), contribution);
  if (failed(c))
    return failure();
  auto back = pullBack(adj.b, loc, *c, op.getMap(i), adj.typeFor(x));
  if (failed(back))
    return op.emitError() << "E0311: the read by " << op.getMaps()[i]
                          << " is not differentiable: its map cannot be inverted";
  adj.add(x, *back);
  return success();
}

/// The read has constant positions, its other positions are whole dims, and the dims that it does
/// not name are few: the two halves of a rotation. Rows are never among the latter.
bool MapAdjoint::isSlice(unsigned i) {
  AffineMap map = op.getMap(i);
  auto x = tensorType(op.getIns()[i]), space = tensorType(op.getResult());
  int64_t unnamed = space.getNumElements();
  bool constants = false;
  llvm::SmallBitVector named(space.getRank());
  for (auto [r, e] : llvm::enumerate(map.getResults())) {
    if (isa<AffineConstantExpr>(e)) {
      constants = true;
      continue;
    }
    auto d = dyn_cast<AffineDimExpr>(e);
    if (!d || named.test(d.getPosition()) || space.getDimSize(d.getPosition()) != x.getDimSize(r))
      return false;
    named.set(d.getPosition());
    unnamed /= x.getDimSize(r);
  }
  auto rows = adj.rowAxis.find(op.getResult());
  bool sumsRows = rows != adj.rowAxis.end() && !named.test(rows->second);
  return constants && unnamed <= 4 && !sumsRows;
}

/// x_adj[e] = the sum over the unnamed dims of the body's adjoint, where e is at the constants;
/// else 0. One map over x: the unnamed dims are unrolled.
FailureOr<Value> MapAdjoint::slice(unsigned i, Yielded yielded) {
  OpBuilder &b = adj.b;
  AffineMap map = op.getMap(i);
  auto x = adj.typeFor(op.getIns()[i]), space = tensorType(op.getResult());
  SmallVector<SmallVector<AffineExpr>> at(1);
  for (int64_t d = 0; d < space.getRank(); ++d) {
    if (auto r = map.getResultPosition(b.getAffineDimExpr(d))) {
      for (auto &place : at)
        place.push_back(b.getAffineDimExpr(*r));
      continue;
    }
    SmallVector<SmallVector<AffineExpr>> more;
    for (auto &place : at)
      for (int64_t k = 0; k < space.getDimSize(d); ++k) {
        more.push_back(place);
        more.back().push_back(b.getAffineConstantExpr(k));
      }
    at = more;
  }
  SmallVector<Place> places;
  for (auto &place : at)
    places.push_back(AffineMap::get(x.getRank(), 0, place, b.getContext()));
  Location loc = adjointLoc(op.getIns()[i]);
  return build(loc, x, places, yielded, [&](OpBuilder &bb, Value sum) {
    Value zero = arith::ConstantOp::create(bb, loc, bb.getFloatAttr(sum.getType(), 0));
    for (auto [r, e] : llvm::enumerate(map.getResults()))
      if (auto c = dyn_cast<AffineConstantExpr>(e)) {
        Value here = IndexOp::create(bb, loc, r);
        Value there = arith::ConstantIndexOp::create(bb, loc, c.getValue());
        Value hit = arith::CmpIOp::create(bb, loc, arith::CmpIPredicate::eq, here, there);
        sum = arith::SelectOp::create(bb, loc, hit, sum, zero);
      }
    return sum;
  });
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
