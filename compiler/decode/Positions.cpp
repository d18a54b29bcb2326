#include "compiler/decode/Positions.h"
#include "compiler/pch.h"

using namespace mlir;
namespace r1::decode {

static ArrayRef<int64_t> shapeOf(Value v) { return cast<RankedTensorType>(v.getType()).getShape(); }

LogicalResult Positions::mixes(Operation *op, const Twine &how) {
  InFlightDiagnostic d = emitError(op->getLoc());
  d << "E0313: this model cannot be sampled from with caches: " << how;
  d.attachNote() << "sampling produces positions left to right, so each may read only s <= t";
  d.attachNote() << "help: let positions meet in `attention(…, allow = …)` with pos[b, s] <= pos[b, t], which "
                    "keeps a cache";
  return failure();
}

LogicalResult Positions::depends(Operation *op) {
  return mixes(op, "this depends on where in its row a position stands; read x.pos instead");
}

bool Positions::isUniform(Value v) {
  Operation *op = v.getDefiningOp();
  if (auto constant = dyn_cast_or_null<arith::ConstantOp>(op)) {
    auto dense = dyn_cast<DenseElementsAttr>(constant.getValue());
    return dense && dense.isSplat();
  }
  auto map = dyn_cast_or_null<ir::MapOp>(op);
  return map && map.getIns().empty() && map.getCaptures().empty() &&
         map.getBlock()->getOps<ir::IndexOp>().empty();
}

LogicalResult Positions::join(Operation *op, int &into, int axis) {
  if (into >= 0 && into != axis)
    return mixes(op, "this combines positions of a row with each other");
  into = axis;
  return success();
}

LogicalResult Positions::follow(Operation *op, Value v, AffineMap map, Axes &result, int skip) {
  Axes a = of(v);
  for (auto [i, e] : llvm::enumerate(map.getResults())) {
    bool position = int(i) == a.position, row = int(i) == a.row;
    if (!position && !row)
      continue;
    auto d = dyn_cast<AffineDimExpr>(e);
    if (int(i) == skip || !d)
      return mixes(op, position ? "this reads other positions than its own"
                                : "this combines the rows of a batch");
    if (failed(join(op, position ? result.position : result.row, d.getPosition())))
      return failure();
  }
  return success();
}

/// Does `map` read `v` by the row or the position, along an axis that is none?
static bool readsByPlace(AffineMap map, Axes of, Axes result, int skip = -1) {
  for (auto [i, e] : llvm::enumerate(map.getResults())) {
    if (int(i) == of.row || int(i) == of.position || int(i) == skip)
      continue;
    for (int axis : {result.row, result.position})
      if (axis >= 0 && e.isFunctionOfDim(axis))
        return true;
  }
  return false;
}

LogicalResult Positions::map(ir::MapOp op) {
  Axes result;
  for (auto [i, v] : llvm::enumerate(op.getIns()))
    if (failed(follow(op, v, op.getMap(i), result)))
      return failure();
  auto captureOf = [&](ir::ReadOp read) {
    return op.getCaptures()[cast<BlockArgument>(read.getTensor()).getArgNumber() - op.getIns().size()];
  };
  for (auto read : op.getBlock()->getOps<ir::ReadOp>()) {
    Axes a = of(captureOf(read));
    for (int axis : {a.row, a.position}) {
      if (axis < 0)
        continue;
      auto index = read.getIndices()[axis].getDefiningOp<ir::IndexOp>();
      if (!index)
        return mixes(read, axis == a.position ? "this reads other positions than its own"
                                              : "this combines the rows of a batch");
      if (failed(join(read, axis == a.position ? result.position : result.row, index.getDim())))
        return failure();
    }
  }
  for (auto [i, v] : llvm::enumerate(op.getIns()))
    if (readsByPlace(op.getMap(i), of(v), result) && !isUniform(v))
      return depends(op);
  // An index may choose the own element of what has one for each position, and nothing else.
  for (auto index : op.getBlock()->getOps<ir::IndexOp>()) {
    bool position = int(index.getDim()) == result.position;
    if (!position && int(index.getDim()) != result.row)
      continue;
    for (OpOperand &use : index->getUses()) {
      auto read = dyn_cast<ir::ReadOp>(use.getOwner());
      Axes a = read ? of(captureOf(read)) : Axes();
      int own = position ? a.position : a.row;
      if (!read || own < 0 || use.getOperandNumber() != unsigned(own) + 1)
        return depends(op);
    }
  }
  axes[op.getResult()] = result;
  return success();
}

LogicalResult Positions::contract(ir::ContractOp op) {
  Axes loops;
  Value sides[] = {op.getLhs(), op.getRhs()};
  for (int i : {0, 1})
    if (failed(follow(op, sides[i], op.getMap(i), loops)))
      return failure();
  for (int i : {0, 1})
    if (readsByPlace(op.getMap(i), of(sides[i]), loops))
      return depends(op);
  Axes result;
  for (auto [i, e] : llvm::enumerate(op.getMap(2).getResults())) {
    int d = cast<AffineDimExpr>(e).getPosition();
    if (d == loops.position)
      result.position = int(i);
    if (d == loops.row)
      result.row = int(i);
  }
  if ((loops.position >= 0) != (result.position >= 0))
    return mixes(op, "this is a sum over positions");
  if ((loops.row >= 0) != (result.row >= 0))
    return mixes(op, "this combines the rows of a batch");
  axes[op.getResult()] = result;
  return success();
}

/// An axis stays one where as many elements lie above it, and it has its size.
LogicalResult Positions::reshape(ir::ReshapeOp op) {
  auto from = shapeOf(op.getInput()), to = shapeOf(op.getResult());
  Axes a = of(op.getInput()), result;
  auto place = [&](int axis, int first) {
    int64_t above = 1, here = 1;
    for (int i = 0; i < axis; ++i)
      above *= from[i];
    for (int j = 0; j < int(to.size()); here *= to[j++])
      if (j >= first && here == above && to[j] == from[axis])
        return j;
    return -1;
  };
  // Axes of one element look alike: the row comes first, as it did.
  if (a.row >= 0)
    result.row = place(a.row, 0);
  if (a.position >= 0)
    result.position = place(a.position, a.row >= 0 && a.row < a.position ? result.row + 1 : 0);
  if ((a.row >= 0 && result.row < 0) || (a.position >= 0 && result.position < 0))
    return mixes(op, "`as` makes one axis of positions and something else");
  axes[op.getResult()] = result;
  return success();
}

LogicalResult Positions::without(Operation *op, Value in, ArrayRef<int64_t> dims) {
  Axes a = of(in);
  if (a.position >= 0 && llvm::is_contained(dims, int64_t(a.position)))
    return mixes(op, "this combines positions of a row with each other");
  if (a.row >= 0 && llvm::is_contained(dims, int64_t(a.row)))
    return mixes(op, "this combines the rows of a batch");
  auto moved = [&](int axis) {
    return axis < 0 ? -1 : axis - int(llvm::count_if(dims, [&](int64_t d) { return d < axis; }));
  };
  axes[op->getResult(0)] = {moved(a.row), moved(a.position)};
  return success();
}

/// Whether `v`, a bit of the mask, is false for every s behind t: a comparison pos[b, s] <= pos[b, t] or
/// s <= t, or a conjunction with one.
static bool impliesCausal(Value v, Block &lambda, llvm::function_ref<bool(Value)> isPos) {
  if (auto both = v.getDefiningOp<arith::AndIOp>())
    return impliesCausal(both.getLhs(), lambda, isPos) || impliesCausal(both.getRhs(), lambda, isPos);
  if (auto choice = v.getDefiningOp<arith::SelectOp>())
    return matchPattern(choice.getFalseValue(), m_Zero()) &&
           (impliesCausal(choice.getCondition(), lambda, isPos) ||
            impliesCausal(choice.getTrueValue(), lambda, isPos));
  auto compare = v.getDefiningOp<arith::CmpIOp>();
  if (!compare)
    return false;
  Value low = compare.getLhs(), high = compare.getRhs();
  using P = arith::CmpIPredicate;
  P p = compare.getPredicate();
  if (p == P::sge || p == P::sgt)
    std::swap(low, high);
  else if (p != P::sle && p != P::slt)
    return false;
  auto place = [&](Value x, unsigned index) {
    while (isa_and_nonnull<arith::IndexCastOp, arith::ExtSIOp>(x.getDefiningOp()))
      x = x.getDefiningOp()->getOperand(0);
    if (x == lambda.getArgument(index))
      return 1; // the index itself
    auto read = x.getDefiningOp<ir::ReadOp>();
    return read && isPos(read.getTensor()) && read.getIndices()[0] == lambda.getArgument(0) &&
                   read.getIndices()[1] == lambda.getArgument(index)
               ? 2
               : 0;
  };
  int s = place(low, 2), t = place(high, 1);
  return s && s == t;
}

LogicalResult Positions::attention(ir::KernelOp op) {
  if (op.getKernelName() != "flash_attention" || op.getLambdas().size() != 1)
    return mixes(op, "the kernel " + op.getKernelName() + " has no form with a cache");
  const Meeting meets = meeting(op);
  const Axes queries = meets == Meeting::source ? Axes{0, -1} : Axes{0, 1},
             keys = meets == Meeting::own ? Axes{0, 1} : Axes{0, -1};
  for (auto [i, v] : llvm::enumerate(op.getIns()))
    if (of(v) != (i ? keys : queries))
      return mixes(op, "attention takes queries, keys and values with rows and positions as their "
                       "leading axes");
  Block &lambda = op.getLambdas()[0].front();
  Value b = lambda.getArgument(0), t = lambda.getArgument(1), s = lambda.getArgument(2);
  auto captureOf = [&](Value tensor) {
    return op.getCaptures()[cast<BlockArgument>(tensor).getArgNumber() - 3];
  };
  // What the mask reads of a position is kept for later positions, so it must be at t or at s. Places of the source
  // stay where they are.
  for (auto read : lambda.getOps<ir::ReadOp>()) {
    Axes a = of(captureOf(read.getTensor()));
    if (a.row >= 0 && read.getIndices()[a.row] != b)
      return mixes(read, "this combines the rows of a batch");
    // Within the source t and s are places of it, and so no position of the text that is written.
    if (a.position >= 0 && meets == Meeting::source)
      return mixes(read, "the mask of attention within the source reads the text that is written, which comes after it");
    if (a.position >= 0 && read.getIndices()[a.position] != t &&
        (meets == Meeting::across || read.getIndices()[a.position] != s))
      return mixes(read, meets == Meeting::own ? "the mask reads another position than t and s"
                                               : "the mask of attention to the source reads another position than t");
    for (auto [i, index] : llvm::enumerate(read.getIndices()))
      if (int(i) != a.row && int(i) != a.position &&
          (index == b || (index == t && meets != Meeting::source) || (index == s && meets == Meeting::own)))
        return depends(read);
  }
  for (Operation *user : b.getUsers())
    if (!isa<ir::ReadOp>(user))
      return mixes(user, "the mask depends on the number of a row");
  if (meets == Meeting::across)
    for (Operation *user : t.getUsers())
      if (!isa<ir::ReadOp>(user))
        return depends(user);
  auto isPos = [&](Value tensor) {
    Value v = captureOf(tensor);
    while (auto stop = v.getDefiningOp<ir::StopGradOp>())
      v = stop.getInput();
    return v == pos;
  };
  if (meets == Meeting::own && !impliesCausal(lambda.getTerminator()->getOperand(0), lambda, isPos))
    return mixes(op, "the mask of this attention lets a position see later ones: it has no "
                     "pos[b, s] <= pos[b, t] that holds wherever it does");
  for (Value v : op.getResults())
    axes[v] = queries;
  return success();
}

LogicalResult Positions::visit(Operation *op) {
  if (auto m = dyn_cast<ir::MapOp>(op))
    return map(m);
  if (auto c = dyn_cast<ir::ContractOp>(op))
    return contract(c);
  if (auto r = dyn_cast<ir::ReshapeOp>(op))
    return reshape(r);
  if (auto r = dyn_cast<ir::ReduceOp>(op))
    return without(op, r.getInput(), r.getDims());
  if (auto l = dyn_cast<ir::LogSumExpOp>(op))
    return without(op, l.getInput(), {int64_t(l.getAxis())});
  if (auto s = dyn_cast<ir::SoftmaxOp>(op)) {
    Axes a = of(s.getInput());
    if (failed(without(op, s.getInput(), {int64_t(s.getAxis())})))
      return failure();
    axes[s.getResult()] = a;
    return success();
  }
  if (auto g = dyn_cast<ir::GatherOp>(op)) {
    Axes result;
    int axis = int(g.getAxis());
    if (failed(follow(op, g.getSrc(), g.getMap(0), result, axis)) ||
        failed(follow(op, g.getIds(), g.getMap(1), result)))
      return failure();
    if (readsByPlace(g.getMap(0), of(g.getSrc()), result, axis) ||
        readsByPlace(g.getMap(1), of(g.getIds()), result))
      return depends(op);
    axes[g.getResult()] = result;
    return success();
  }
  if (auto k = dyn_cast<ir::KernelOp>(op))
    return attention(k);
  if (auto s = dyn_cast<ir::StopGradOp>(op)) {
    axes[s.getResult()] = of(s.getInput());
    return success();
  }
  bool tracked = llvm::any_of(op->getOperands(), [&](Value v) { return !of(v).none(); });
  if (tracked && !isa<func::ReturnOp>(op))
    return mixes(op, "'" + op->getName().getStringRef() + "' has no form with a cache");
  return success();
}

LogicalResult Positions::run() {
  for (BlockArgument arg : func.getArguments()) {
    auto name = func.getArgAttrOfType<StringAttr>(arg.getArgNumber(), "r1.name");
    if (!name || shapeOf(arg).size() != 2)
      return emitError(arg.getLoc()) << "decode: a model of tokens takes x.id, x.pos and x.seg [B, T]";
    axes[arg] = isSource(name.getValue()) ? Axes{0, -1} : Axes{0, 1};
    if (name.getValue() == "x.pos")
      pos = arg;
  }
  for (Operation &op : func.getBody().front())
    if (failed(visit(&op)))
      return failure();
  return success();
}

} // namespace r1::decode
