// Rewrites of r1 that make more fusible: an op whose general form needs a kernel of its own, where
// this one does not.
#include "compiler/fuse/Program.h"

using namespace mlir;
namespace r1::fuse {

namespace {

/// Updates that never meet, one for every row of the result, are a choice per element:
/// out[r, v] = v == ids[r] ? updates[r] : 0.
bool scatterToMap(ir::ScatterAddOp op) {
  AffineMap at = op.getMap(0), idsAt = op.getMap(1);
  int64_t axis = op.getAxis();
  auto result = cast<RankedTensorType>(op.getResult().getType());
  unsigned rank = at.getNumDims();
  SmallVector<int> resultAxis(rank, -1); // of each dim of the updates
  for (auto [i, e] : llvm::enumerate(at.getResults())) {
    if (int64_t(i) == axis)
      continue;
    auto d = dyn_cast<AffineDimExpr>(e);
    if (!d || resultAxis[d.getPosition()] >= 0 ||
        shapeOf(op.getUpdates())[d.getPosition()] != result.getDimSize(i))
      return false;
    resultAxis[d.getPosition()] = i;
  }
  if (llvm::is_contained(resultAxis, -1) || int64_t(rank) + 1 != result.getRank())
    return false;
  OpBuilder b(op);
  Location loc = op.getLoc();
  SmallVector<AffineExpr> position;
  for (int i : resultAxis)
    position.push_back(b.getAffineDimExpr(i));
  auto mapOver = [&](AffineMap map) {
    SmallVector<AffineExpr> results;
    for (AffineExpr e : map.getResults())
      results.push_back(e.replaceDims(position));
    return AffineMap::get(result.getRank(), 0, results, b.getContext());
  };
  AffineMap updates = mapOver(AffineMap::getMultiDimIdentityMap(rank, b.getContext()));
  auto map = ir::MapOp::create(b, loc, result, ValueRange{op.getUpdates(), op.getIds()},
                               ValueRange{}, b.getAffineMapArrayAttr({updates, mapOver(idsAt)}));
  Block *block = new Block;
  map.getBody().push_back(block);
  Type elem = elemOf(op.getUpdates()), idType = elemOf(op.getIds());
  block->addArguments({elem, idType}, {loc, loc});
  OpBuilder inner(block, block->end());
  Value i = ir::IndexOp::create(inner, loc, inner.getIndexType(), inner.getI64IntegerAttr(axis));
  Value here = arith::IndexCastOp::create(inner, loc, idType, i);
  Value hit =
      arith::CmpIOp::create(inner, loc, arith::CmpIPredicate::eq, here, block->getArgument(1));
  Value zero = arith::ConstantOp::create(inner, loc, inner.getZeroAttr(elem));
  Value out = arith::SelectOp::create(inner, loc, hit, block->getArgument(0), zero);
  if (result.getElementType() != elem)
    out = arith::ExtFOp::create(inner, loc, result.getElementType(), out);
  ir::YieldOp::create(inner, loc, ValueRange{out});
  op.getResult().replaceAllUsesWith(map.getResult());
  op.erase();
  return true;
}

/// A reduction over axes of one element each.
bool reduceToReshape(ir::ReduceOp op) {
  auto in = cast<RankedTensorType>(op.getInput().getType());
  auto out = cast<RankedTensorType>(op.getResult().getType());
  for (int64_t d : op.getDims())
    if (in.getDimSize(d) != 1)
      return false;
  if (in.getElementType() != out.getElementType() || op->hasAttr("r1.chain"))
    return false;
  OpBuilder b(op);
  op.getResult().replaceAllUsesWith(ir::ReshapeOp::create(b, op.getLoc(), out, op.getInput()));
  op.erase();
  return true;
}

/// A map that ends by widening a 16-bit value it has computed becomes two: where its result is
/// stored, that is the narrow one, and readers widen it.
void splitWidening(ir::MapOp map) {
  auto yield = cast<ir::YieldOp>(map.getBlock()->getTerminator());
  auto widen = yield.getValues()[0].getDefiningOp<arith::ExtFOp>();
  if (!widen || isa<BlockArgument>(widen.getIn()) || map->hasAttr("r1.stored"))
    return;
  OpBuilder b(map);
  b.setInsertionPointAfter(map);
  Location loc = map.getLoc();
  RankedTensorType wide = tensorOf(map.getResult());
  auto narrow = RankedTensorType::get(wide.getShape(), widen.getIn().getType(), wide.getEncoding());
  auto identity = AffineMap::getMultiDimIdentityMap(wide.getRank(), b.getContext());
  auto after = ir::MapOp::create(b, loc, wide, ValueRange{map.getResult()}, ValueRange{},
                                 b.getAffineMapArrayAttr({identity}));
  Block *block = new Block;
  after.getBody().push_back(block);
  block->addArgument(narrow.getElementType(), loc);
  b.setInsertionPointToEnd(block);
  Value out = arith::ExtFOp::create(b, loc, wide.getElementType(), block->getArgument(0));
  ir::YieldOp::create(b, loc, ValueRange{out});
  map.getResult().replaceAllUsesExcept(after.getResult(), after);
  yield->setOperand(0, widen.getIn());
  map.getResult().setType(narrow);
  if (widen->use_empty())
    widen->erase();
}

} // namespace

void simplifyModule(ModuleOp module) {
  SmallVector<ir::ReduceOp> reductions;
  module.walk([&](ir::ReduceOp op) { reductions.push_back(op); });
  for (ir::ReduceOp op : reductions)
    reduceToReshape(op);
  SmallVector<ir::ScatterAddOp> scatters;
  module.walk([&](ir::ScatterAddOp op) { scatters.push_back(op); });
  for (ir::ScatterAddOp op : scatters)
    scatterToMap(op);
  SmallVector<ir::MapOp> maps;
  module.walk([&](ir::MapOp op) { maps.push_back(op); });
  for (ir::MapOp op : maps)
    splitWidening(op);
}

} // namespace r1::fuse
