#include "compiler/shard/Rows.h"
#include "compiler/pch.h"

using namespace mlir;
namespace r1::shard {

static ArrayRef<int64_t> shapeOf(Value v) { return cast<RankedTensorType>(v.getType()).getShape(); }

unsigned Rows::id(Axis axis) {
  auto [it, isNew] = ids.try_emplace(axis, parent.size());
  if (isNew)
    parent.push_back(parent.size());
  return it->second;
}

unsigned Rows::find(unsigned i) const {
  while (parent[i] != i)
    i = parent[i];
  return i;
}

void Rows::unify(Axis a, Axis b) {
  unsigned x = find(id(a)), y = find(id(b));
  parent[std::max(x, y)] = std::min(x, y);
}

void Rows::unifyMap(AffineMap map, Value v, Value space, int skip) {
  for (auto [r, e] : llvm::enumerate(map.getResults())) {
    if (int(r) == skip)
      continue;
    AffineExpr inner = e;
    // Row r of [B*T] reads b = r floordiv T.
    if (e.getKind() == AffineExprKind::FloorDiv)
      inner = cast<AffineBinaryOpExpr>(e).getLHS();
    if (auto d = dyn_cast<AffineDimExpr>(inner))
      unify({v, r}, {space, d.getPosition()});
    else
      mixed.push_back({{v, unsigned(r)}, v.getDefiningOp()});
  }
}

void Rows::visit(Operation *op) {
  auto same = [&](Value a, Value b) {
    for (unsigned i = 0; i < shapeOf(a).size(); ++i)
      unify({a, i}, {b, i});
  };
  auto kept = [&](Value in, Value out, ArrayRef<int64_t> dims) {
    unsigned o = 0;
    for (unsigned i = 0; i < shapeOf(in).size(); ++i)
      if (!llvm::is_contained(dims, int64_t(i)))
        unify({in, i}, {out, o++});
  };
  if (auto map = dyn_cast<ir::MapOp>(op)) {
    Value out = map.getResult();
    for (unsigned i = 0; i < map.getIns().size(); ++i)
      unifyMap(map.getMap(i), map.getIns()[i], out);
    map.getBody().walk([&](ir::ReadOp read) {
      unsigned c = cast<BlockArgument>(read.getTensor()).getArgNumber() - map.getIns().size();
      Value capture = map.getCaptures()[c];
      for (auto [axis, index] : llvm::enumerate(read.getIndices()))
        if (auto i = index.getDefiningOp<ir::IndexOp>())
          unify({capture, unsigned(axis)}, {out, unsigned(i.getDim())});
        else
          mixed.push_back({{capture, unsigned(axis)}, read});
    });
    map.getBody().walk([&](ir::IndexOp i) {
      for (Operation *user : i->getUsers())
        if (!isa<ir::ReadOp>(user))
          positions.push_back({i, {out, unsigned(i.getDim())}});
    });
  } else if (auto reduce = dyn_cast<ir::ReduceOp>(op)) {
    kept(reduce.getInput(), reduce.getResult(), reduce.getDims());
  } else if (auto softmax = dyn_cast<ir::SoftmaxOp>(op)) {
    same(softmax.getInput(), softmax.getResult());
    mixed.push_back({{softmax.getInput(), unsigned(softmax.getAxis())}, op});
  } else if (auto lse = dyn_cast<ir::LogSumExpOp>(op)) {
    kept(lse.getInput(), lse.getResult(), {int64_t(lse.getAxis())});
    mixed.push_back({{lse.getInput(), unsigned(lse.getAxis())}, op});
  } else if (auto contract = dyn_cast<ir::ContractOp>(op)) {
    for (unsigned d = 0; d < contract.getMap(0).getNumDims(); ++d) {
      std::optional<Axis> first;
      auto join = [&](AffineMap map, Value v) {
        for (auto [r, e] : llvm::enumerate(map.getResults()))
          if (cast<AffineDimExpr>(e).getPosition() == d) {
            if (first)
              unify(*first, {v, unsigned(r)});
            else
              first = Axis{v, unsigned(r)};
          }
      };
      join(contract.getMap(0), contract.getLhs());
      join(contract.getMap(1), contract.getRhs());
      join(contract.getMap(2), contract.getResult());
    }
  } else if (auto gather = dyn_cast<ir::GatherOp>(op)) {
    int axis = gather.getAxis();
    unifyMap(gather.getMap(0), gather.getSrc(), gather.getResult(), axis);
    unifyMap(gather.getMap(1), gather.getIds(), gather.getResult());
    mixed.push_back({{gather.getSrc(), unsigned(axis)}, op});
  } else if (auto scatter = dyn_cast<ir::ScatterAddOp>(op)) {
    int axis = scatter.getAxis();
    unifyMap(scatter.getMap(0), scatter.getResult(), scatter.getUpdates(), axis);
    unifyMap(scatter.getMap(1), scatter.getIds(), scatter.getUpdates());
    mixed.push_back({{scatter.getResult(), unsigned(axis)}, op});
  } else if (auto reshape = dyn_cast<ir::ReshapeOp>(op)) {
    // Groups of axes with equal products; the outermost of each group carries its rows.
    ArrayRef<int64_t> from = shapeOf(reshape.getInput()), to = shapeOf(reshape.getResult());
    unsigned i = 0, j = 0;
    while (i < from.size() && j < to.size()) {
      if (from[i] == 1 && to[j] != 1) {
        ++i;
        continue;
      }
      if (to[j] == 1 && from[i] != 1) {
        ++j;
        continue;
      }
      unify({reshape.getInput(), i}, {reshape.getResult(), j});
      int64_t a = from[i++], b = to[j++];
      while (a != b)
        if (a < b)
          a *= from[i++];
        else
          b *= to[j++];
    }
  } else if (auto stop = dyn_cast<ir::StopGradOp>(op)) {
    same(stop.getInput(), stop.getResult());
  } else if (auto kernel = dyn_cast<ir::KernelOp>(op)) {
    // Inputs and results of a kernel lead with the rows; a capture does where a lambda reads it
    // at the first index.
    std::optional<Axis> first;
    auto join = [&](Axis axis) {
      if (first)
        unify(*first, axis);
      else
        first = axis;
    };
    for (Value v : kernel.getIns())
      if (!shapeOf(v).empty())
        join({v, 0});
    for (Value v : kernel.getResults())
      if (!shapeOf(v).empty())
        join({v, 0});
    for (Region &lambda : kernel.getLambdas()) {
      unsigned indices = llvm::count_if(lambda.front().getArguments(),
                                        [](BlockArgument a) { return a.getType().isIndex(); });
      lambda.walk([&](ir::ReadOp read) {
        Value capture =
            kernel.getCaptures()[cast<BlockArgument>(read.getTensor()).getArgNumber() - indices];
        for (auto [axis, index] : llvm::enumerate(read.getIndices()))
          if (auto arg = dyn_cast<BlockArgument>(index); arg && arg.getArgNumber() == 0)
            join({capture, unsigned(axis)});
      });
    }
  }
}

int Rows::axisOf(Value v) const {
  auto type = dyn_cast<RankedTensorType>(v.getType());
  if (!type || rowClass == ~0u)
    return -1;
  for (unsigned i = 0; i < type.getShape().size(); ++i)
    if (auto it = ids.find({v, i}); it != ids.end() && find(it->second) == find(rowClass))
      return i;
  return -1;
}

LogicalResult Rows::check(func::FuncOp func) {
  auto isRow = [&](Axis axis) {
    auto it = ids.find(axis);
    return it != ids.end() && find(it->second) == find(rowClass);
  };
  auto error = [](Operation *op) {
    return emitError(op->getLoc())
           << "E0314: this mixes the rows of a batch; a loss must be a sum over rows";
  };
  for (auto &[axis, op] : mixed)
    if (isRow(axis))
      return error(op ? op : func.getOperation());
  for (auto &[op, axis] : positions)
    if (isRow(axis))
      positional = op;
  WalkResult result = func.walk([&](Operation *op) {
    if (op->getParentOp() != func)
      return WalkResult::advance();
    for (Value v : op->getResults()) {
      if (!isa<RankedTensorType>(v.getType()))
        continue;
      int found = 0;
      for (unsigned i = 0; i < shapeOf(v).size(); ++i)
        if (isRow({v, i})) {
          ++found;
          if (shapeOf(v)[i] % rows)
            return (void)error(op), WalkResult::interrupt();
        }
      if (found > 1 || (found && isa<ir::ParamOp>(op)))
        return (void)error(op), WalkResult::interrupt();
    }
    return WalkResult::advance();
  });
  return failure(result.wasInterrupted());
}

LogicalResult Rows::analyze(func::FuncOp func) {
  for (BlockArgument arg : func.getArguments()) {
    if (!func.getArgAttr(arg.getArgNumber(), "r1.rows"))
      continue;
    if (shapeOf(arg).empty())
      return emitError(arg.getLoc()) << "shard: a value without dims cannot count rows";
    unsigned axis = id({arg, 0});
    if (rowClass == ~0u) {
      rowClass = axis;
      rows = shapeOf(arg)[0];
    } else {
      parent[find(axis)] = find(rowClass);
      if (shapeOf(arg)[0] != rows)
        return emitError(arg.getLoc()) << "shard: " << shapeOf(arg)[0] << " rows beside " << rows;
    }
  }
  if (rowClass == ~0u)
    return success();
  for (Operation &op : func.getBody().front())
    visit(&op);
  return check(func);
}

} // namespace r1::shard
