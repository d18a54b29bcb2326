#include "compiler/fuse/Group.h"

using namespace mlir;
namespace r1::fuse {

Group *Grouping::groupOf(Value v) const {
  Operation *op = list.values->resolve(v).getDefiningOp();
  auto it = owner.find(op);
  return it == owner.end() ? nullptr : it->second;
}

Group &Grouping::newGroup(Operation *op, Segment segment, Group::Kind kind, int order) {
  groups.push_back(std::make_unique<Group>());
  Group &g = *groups.back();
  g.kind = kind;
  g.first = g.last = order;
  g.segment = segment;
  g.ops.push_back(op);
  owner[op] = &g;
  return g;
}

/// The rows of a kernel that begins with `op`.
void Grouping::shapeRows(Group &g, Operation *op) {
  Value result = op->getResult(0);
  g.rows.assign(shapeOf(result).begin(), shapeOf(result).end());
  if (auto reduce = dyn_cast<ir::ReduceOp>(op)) {
    // Sums along the end of a row go in lanes; sums over rows are chains.
    unsigned rank = shapeOf(reduce.getInput()).size(), kept = shapeOf(result).size();
    bool trailing = true;
    for (int64_t d : reduce.getDims())
      trailing &= d >= int64_t(kept) && d < int64_t(rank);
    g.alongSweep = trailing && !op->hasAttr("r1.chain");
    g.chain = !g.alongSweep;
    if (g.chain)
      for (int64_t d : reduce.getDims())
        g.chained.push_back(shapeOf(reduce.getInput())[d]);
    g.accumulate = list.accumulated.contains(result);
  } else if (isa<ir::SoftmaxOp, ir::LogSumExpOp>(op)) {
    Value input = op->getOperand(0);
    int64_t axis = isa<ir::SoftmaxOp>(op) ? cast<ir::SoftmaxOp>(op).getAxis()
                                          : cast<ir::LogSumExpOp>(op).getAxis();
    g.rows.clear();
    for (auto [i, size] : llvm::enumerate(shapeOf(input)))
      if (int64_t(i) != axis)
        g.rows.push_back(size);
    g.alongSweep = axis + 1 == int64_t(shapeOf(input).size());
    g.chain = !g.alongSweep;
    if (g.chain)
      g.chained.push_back(shapeOf(input)[axis]);
  }
  if (g.rows.empty())
    g.rows.push_back(1);
}

SmallVector<int64_t> Grouping::sweepAxes(const Group &g, Value v) const {
  if (g.kind != Group::Rows)
    return {};
  if (auto softmax = v.getDefiningOp<ir::SoftmaxOp>())
    return {int64_t(softmax.getAxis())};
  // The axes after those that count the rows.
  int64_t rows = countOf(g.rows), count = 1;
  ArrayRef<int64_t> shape = shapeOf(v);
  unsigned lead = 0;
  while (lead < shape.size() && (count < rows || shape[lead] == 1))
    count *= shape[lead++];
  // A trailing axis of one element belongs to the rows.
  return llvm::to_vector(llvm::seq<int64_t>(lead, shape.size()));
}

void Grouping::reads(Value v, const Group *group, llvm::SetVector<Value> &out,
                     DenseSet<Value> &seen) const {
  v = list.values->resolve(v);
  if (!seen.insert(v).second)
    return;
  Operation *op = v.getDefiningOp();
  if (op && virtuals.contains(op)) {
    for (Value operand : op->getOperands())
      reads(operand, group, out, seen);
    return;
  }
  Group *g = groupOf(v);
  if (g && g == group)
    return;
  if (op && isa<arith::ConstantOp>(op) && !g && !list.values->home(v))
    return;
  out.insert(v);
}

llvm::SetVector<Value> Grouping::readsOf(const Group &g) const {
  if (auto it = readCache.find(&g); it != readCache.end())
    return it->second;
  llvm::SetVector<Value> out;
  DenseSet<Value> seen;
  for (Operation *op : g.ops) {
    if (auto contract = dyn_cast<ir::ContractOp>(op)) {
      SmallVector<int64_t> sizes = contract.getLoopSizes();
      for (unsigned i = 0; i < 2; ++i)
        out.insert(productOperand(
                       op->getOperand(i), contract.getMap(i), sizes, *list.values,
                       [&](Value v) { return v.getDefiningOp() && isVirtual(v.getDefiningOp()); })
                       .base);
      continue;
    }
    for (Value operand : op->getOperands())
      reads(operand, &g, out, seen);
  }
  readCache[&g] = out;
  return out;
}

ProductOperand productOperand(Value operand, AffineMap map, ArrayRef<int64_t> sizes,
                              const Values &values, function_ref<bool(Value)> mayFold) {
  Dims dims(operand.getContext());
  SmallVector<AffineExpr> loops;
  for (int64_t size : sizes)
    loops.push_back(dims.add(size));
  operand = values.resolve(operand);
  SmallVector<AffineExpr> index = applyMap(map, loops, dims);
  auto stridesAt = [&](Value v, ArrayRef<AffineExpr> at) -> std::optional<ProductOperand> {
    Linear l = toLinear(linearize(at, shapeOf(v), dims), dims);
    ProductOperand out{v, SmallVector<int64_t>(sizes.size(), 0)};
    if (l.constant)
      return std::nullopt;
    for (auto [term, k] : l.terms) {
      auto d = dyn_cast<AffineDimExpr>(term);
      if (!d || k < 0)
        return std::nullopt;
      out.strides[d.getPosition()] = k;
    }
    return out;
  };
  ProductOperand best = *stridesAt(operand, index);
  Value v = operand;
  while (mayFold(v)) {
    if (auto reshape = v.getDefiningOp<ir::ReshapeOp>()) {
      Value from = values.resolve(reshape.getInput());
      index = delinearize(linearize(index, shapeOf(v), dims), shapeOf(from), dims);
      v = from;
    } else if (auto view = v.getDefiningOp<ir::MapOp>(); view && view.viewOf() >= 0) {
      index = applyMap(view.getMap(view.viewOf()), index, dims);
      v = values.resolve(view.getIns()[view.viewOf()]);
    } else {
      break;
    }
    auto here = stridesAt(v, index);
    if (!here)
      break;
    best = *here;
  }
  return best;
}

LogicalResult Grouping::run() {
  countUses();
  if (options.fuse)
    chooseEpilogues();
  chooseVirtual();
  DenseSet<Operation *> inEpilogue;
  for (auto &[contract, maps] : epilogues)
    inEpilogue.insert(maps.begin(), maps.end());
  for (auto [i, entry] : llvm::enumerate(list.ops)) {
    auto [op, segment] = entry;
    if (isVirtual(op) || inEpilogue.contains(op))
      continue;
    Group::Kind kind = isa<ir::ContractOp>(op)     ? Group::Product
                       : isa<ir::ScatterAddOp>(op) ? Group::Scatter
                       : isa<ir::KernelOp>(op)     ? Group::Intrinsic
                                                   : Group::Rows;
    Group &g = newGroup(op, segment, kind, i);
    if (kind == Group::Rows)
      shapeRows(g, op);
    else
      g.accumulate = list.accumulated.contains(op->getResult(0));
    if (kind == Group::Product)
      for (Operation *map : epilogues[op]) {
        g.ops.push_back(map);
        owner[map] = &g;
        g.last = orders[map];
      }
  }
  if (options.fuse) {
    mergeRows();
    takeEpilogues();
    chooseChunks();
  }
  for (auto &g : groups)
    for (Value v : readsOf(*g))
      if (groupOf(v))
        stored.insert(v);
  if (failed(sort()))
    return failure();
  explain();
  return success();
}

/// Dependencies first; otherwise program order. The groups of a chunked loop stay together.
LogicalResult Grouping::sort() {
  llvm::DenseMap<Group *, llvm::SetVector<Group *>> before;
  for (auto &g : groups)
    for (Value v : readsOf(*g))
      if (Group *from = groupOf(v); from && from != g.get())
        before[g.get()].insert(from);
  std::vector<std::unique_ptr<Group>> sorted;
  DenseSet<Group *> done;
  llvm::sort(groups, [](auto &a, auto &b) {
    return std::tuple(a->segment, a->last, a->first) < std::tuple(b->segment, b->last, b->first);
  });
  auto ready = [&](Group *g, int loop) {
    return llvm::all_of(
        before[g], [&](Group *b) { return done.contains(b) || (loop >= 0 && b->chunk == loop); });
  };
  auto take = [&](auto next) {
    done.insert(next->get());
    sorted.push_back(std::move(*next));
    groups.erase(next);
  };
  while (!groups.empty()) {
    auto next = llvm::find_if(groups, [&](auto &g) {
      if (g->chunk < 0)
        return ready(g.get(), -1);
      // The whole loop is ready when all that it needs from outside is there.
      return llvm::all_of(
          groups, [&](auto &m) { return m->chunk != g->chunk || ready(m.get(), g->chunk); });
    });
    if (next == groups.end())
      return emitError(groups.front()->ops.front()->getLoc(), "fuse: kernels depend on each other");
    int loop = (*next)->chunk;
    if (loop < 0) {
      take(next);
      continue;
    }
    while (true) {
      auto member =
          llvm::find_if(groups, [&](auto &g) { return g->chunk == loop && ready(g.get(), -1); });
      if (member == groups.end())
        break;
      take(member);
    }
    if (llvm::any_of(groups, [&](auto &g) { return g->chunk == loop; }))
      return emitError(groups.front()->ops.front()->getLoc(), "fuse: kernels depend on each other");
  }
  groups = std::move(sorted);
  return success();
}

SmallVector<AffineExpr> rowIndex(ArrayRef<int64_t> shape, ArrayRef<int64_t> sweepAxes,
                                 AffineExpr rowLinear, ArrayRef<AffineExpr> sweepDims,
                                 const Dims &dims) {
  SmallVector<int64_t> rowShape;
  for (auto [axis, size] : llvm::enumerate(shape))
    if (!llvm::is_contained(sweepAxes, int64_t(axis)))
      rowShape.push_back(size);
  SmallVector<AffineExpr> row = delinearize(rowLinear, rowShape, dims), out;
  unsigned r = 0, s = 0;
  for (int64_t axis = 0; axis < int64_t(shape.size()); ++axis)
    out.push_back(llvm::is_contained(sweepAxes, axis) ? sweepDims[s++] : row[r++]);
  return out;
}

std::string shapeText(ArrayRef<int64_t> shape) {
  std::string text = "[";
  for (auto [i, size] : llvm::enumerate(shape))
    text += (i ? ", " : "") + std::to_string(size);
  return text + "]";
}

} // namespace r1::fuse
