// Which row of a value does a kernel read? Follows what its ops read through everything that is
// recomputed on the way, with index expressions.
#include "compiler/fuse/Group.h"

using namespace mlir;
namespace r1::fuse {

namespace {

class Walk {
public:
  /// A value that lies in memory or is of the group itself, and the index at which it is read.
  /// Returns whether that is fine.
  using Visit = function_ref<bool(Value, ArrayRef<AffineExpr>)>;

  Walk(const Group &group, const Values &values, function_ref<bool(Operation *)> isVirtual,
       function_ref<SmallVector<int64_t>(Value)> sweepAxes)
      : group(group), values(values), isVirtual(isVirtual), sweepAxes(sweepAxes),
        dims(group.ops.front()->getContext()) {
    for (Operation *op : group.ops)
      inside.insert(op->getResults().begin(), op->getResults().end());
  }

  /// Rows of these sizes; rowLinear is their row-major number.
  void setRows(ArrayRef<int64_t> sizes) {
    SmallVector<AffineExpr> rows;
    for (int64_t size : sizes)
      rows.push_back(dims.add(size));
    rowLinear = linearize(rows, sizes, dims);
  }

  bool run(Visit visitor) {
    onRead = visitor;
    for (Operation *op : group.ops)
      if (!runOp(op))
        return false;
    return true;
  }

  /// What `op` reads to compute its result, where `sweep` gives the swept axes' index if the
  /// caller chooses it.
  bool runOp(Operation *op) {
    if (auto reduce = dyn_cast<ir::ReduceOp>(op))
      return visitSwept(reduce.getInput(), reduce.getDims());
    if (auto lse = dyn_cast<ir::LogSumExpOp>(op))
      return visitSwept(lse.getInput(), {int64_t(lse.getAxis())});
    if (auto softmax = dyn_cast<ir::SoftmaxOp>(op))
      return visitSwept(softmax.getInput(), {int64_t(softmax.getAxis())});
    // Not as a member (that is itself), but what it is computed from.
    Value v = op->getResult(0);
    SmallVector<int64_t> axes = sweepAxes(v);
    SmallVector<AffineExpr> sweepDims;
    for (int64_t axis : axes)
      sweepDims.push_back(dims.add(shapeOf(v)[axis]));
    return visitOperands(v, rowIndex(shapeOf(v), axes, rowLinear, sweepDims, dims));
  }

  bool visitSwept(Value input, ArrayRef<int64_t> axes) {
    SmallVector<AffineExpr> sweepDims = given;
    int64_t kept = 1;
    for (auto [i, size] : llvm::enumerate(shapeOf(input)))
      if (!llvm::is_contained(axes, int64_t(i)))
        kept *= size;
      else if (given.empty())
        sweepDims.push_back(dims.add(size));
    if (kept != countOf(group.rows))
      return false;
    return visit(input, rowIndex(shapeOf(input), axes, rowLinear, sweepDims, dims));
  }

  bool visit(Value v, ArrayRef<AffineExpr> index) {
    v = values.resolve(v);
    Operation *op = v.getDefiningOp();
    if (!inside.contains(v) && op && isVirtual(op))
      return visitOperands(v, index);
    if (op && isa<arith::ConstantOp>(op) && !values.home(v))
      return true;
    return onRead(v, index);
  }

  bool visitOperands(Value v, ArrayRef<AffineExpr> index) {
    Operation *op = v.getDefiningOp();
    if (isa<arith::ConstantOp>(op))
      return true;
    if (auto reshape = dyn_cast<ir::ReshapeOp>(op)) {
      Value from = values.resolve(reshape.getInput());
      return visit(from, delinearize(linearize(index, shapeOf(v), dims), shapeOf(from), dims));
    }
    if (auto gather = dyn_cast<ir::GatherOp>(op)) {
      SmallVector<AffineExpr> at = applyMap(gather.getMap(0), index, dims);
      at[gather.getAxis()] = dims.add(shapeOf(gather.getSrc())[gather.getAxis()]);
      return visit(gather.getIds(), applyMap(gather.getMap(1), index, dims)) &&
             visit(gather.getSrc(), at);
    }
    auto map = dyn_cast<ir::MapOp>(op);
    if (!map)
      return false;
    for (auto [i, in] : llvm::enumerate(map.getIns()))
      if (!visit(in, applyMap(map.getMap(i), index, dims)))
        return false;
    bool ok = true;
    map.getBody().walk([&](ir::ReadOp read) {
      unsigned c = cast<BlockArgument>(read.getTensor()).getArgNumber() - map.getIns().size();
      SmallVector<AffineExpr> at;
      for (Value i : read.getIndices()) {
        auto e = affineOf(i, index, dims);
        at.push_back(e ? *e : dims.add(0));
      }
      ok &= visit(map.getCaptures()[c], at);
    });
    map.getBody().walk([&](ir::IndexOp i) {
      for (Operation *user : i->getUsers())
        ok &= isa<ir::ReadOp>(user) || onPosition(index[i.getDim()]);
    });
    return ok;
  }

  const Group &group;
  const Values &values;
  function_ref<bool(Operation *)> isVirtual;
  function_ref<SmallVector<int64_t>(Value)> sweepAxes;
  Dims dims;
  AffineExpr rowLinear;
  SmallVector<AffineExpr> given; // index along the swept axes, if not new variables
  DenseSet<Value> inside;
  Visit onRead = nullptr;
  std::function<bool(AffineExpr)> onPosition = [](AffineExpr) { return true; };
};

} // namespace

bool readsOwnRows(const Group &group, const Values &values,
                  function_ref<bool(Operation *)> isVirtual,
                  function_ref<SmallVector<int64_t>(Value)> sweepAxes) {
  Walk walk(group, values, isVirtual, sweepAxes);
  walk.setRows(group.rows);
  return walk.run([&](Value v, ArrayRef<AffineExpr> index) {
    if (!walk.inside.contains(v))
      return true; // from memory
    SmallVector<int64_t> axes = sweepAxes(v), shape;
    SmallVector<AffineExpr> row;
    for (auto [i, e] : llvm::enumerate(index))
      if (!llvm::is_contained(axes, int64_t(i))) {
        row.push_back(e);
        shape.push_back(shapeOf(v)[i]);
      }
    return linearize(row, shape, walk.dims) == walk.rowLinear;
  });
}

bool readsElementwise(const Group &group, Value wanted, const Values &values,
                      function_ref<bool(Operation *)> isVirtual,
                      function_ref<SmallVector<int64_t>(Value)> sweepAxes) {
  Walk walk(group, values, isVirtual, sweepAxes);
  walk.setRows(group.rows);
  return walk.run([&](Value v, ArrayRef<AffineExpr> index) {
    return (v != wanted && !walk.inside.contains(v)) ||
           linearize(index, shapeOf(v), walk.dims) == walk.rowLinear;
  });
}

bool linearInRows(const Group &group, int64_t rows, bool sums, const DenseSet<Value> &temps,
                  const Values &values, function_ref<bool(Operation *)> isVirtual,
                  function_ref<SmallVector<int64_t>(Value)> sweepAxes) {
  Walk walk(group, values, isVirtual, sweepAxes);
  AffineExpr row;
  if (group.kind == Group::Product) {
    // The epilogue: m counts the rows, n is what the result has beyond them.
    Value root = group.ops.back()->getResult(0);
    walk.setRows({rows, tensorOf(root).getNumElements() / rows});
    row = getAffineDimExpr(0, root.getContext());
  } else if (sums) {
    walk.setRows(group.rows);
    row = walk.dims.add(rows);
    walk.given = delinearize(row, group.chained, walk.dims);
  } else {
    walk.setRows({rows, countOf(group.rows) / rows});
    row = getAffineDimExpr(0, group.ops.front()->getContext());
  }
  unsigned number = cast<AffineDimExpr>(row).getPosition();
  walk.onPosition = [&](AffineExpr e) { return !e.isFunctionOfDim(number); };
  auto check = [&](Value v, ArrayRef<AffineExpr> index) {
    if (walk.inside.contains(v))
      return true;
    int64_t step = 0;
    for (auto [term, k] : toLinear(linearize(index, shapeOf(v), walk.dims), walk.dims).terms) {
      if (term == row)
        step = k;
      else if (term.isFunctionOfDim(number))
        return false;
    }
    return !temps.contains(v) || step == tensorOf(v).getNumElements() / rows;
  };
  if (group.kind != Group::Product)
    return walk.run(check);
  walk.onRead = check;
  for (Operation *op : ArrayRef(group.ops).drop_front())
    if (!walk.visitOperands(op->getResult(0),
                            delinearize(walk.rowLinear, shapeOf(op->getResult(0)), walk.dims)))
      return false;
  return true;
}

} // namespace r1::fuse
