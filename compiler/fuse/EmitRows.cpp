// Kernels over rows: which reductions a row needs, in which order, in how few sweeps.
#include "compiler/fuse/Emit.h"
#include "compiler/fuse/Group.h"

using namespace mlir;
namespace r1::fuse {

namespace {
int64_t softmaxAxis(Value v) {
  if (auto softmax = v.getDefiningOp<ir::SoftmaxOp>())
    return softmax.getAxis();
  return v.getDefiningOp<ir::LogSumExpOp>().getAxis();
}
/// Sums are in f32 (f64 for f64); other reductions of floats too, exactly.
Type accumulatorOf(Type elem) {
  if (!isa<FloatType>(elem) || elem.isF64())
    return elem;
  return Float32Type::get(elem.getContext());
}
} // namespace

/// Sweeps that must come before `v`'s elements can be computed.
int Emitter::levelOf(Value v) {
  v = values.resolve(v);
  if (isLoaded(v) || bound.contains(v) || !v.getDefiningOp())
    return 0;
  if (auto it = levels.find(v); it != levels.end())
    return it->second;
  int level = 0;
  for (Value operand : v.getDefiningOp()->getOperands())
    level = std::max(level, levelOf(operand));
  if (isa<ir::ReduceOp>(v.getDefiningOp()))
    level += 1;
  if (isa<ir::SoftmaxOp, ir::LogSumExpOp>(v.getDefiningOp()))
    level += 2;
  return levels[v] = level;
}

Emitter::Stat *Emitter::findStat(Stat::Kind kind, Value of) {
  for (auto &stat : stats)
    if (stat->kind == kind && stat->of == of)
      return stat.get();
  return nullptr;
}

Emitter::Stat *Emitter::addStat(Stat::Kind kind, Value of, Value input, ArrayRef<int64_t> axes,
                                int32_t combine, int level) {
  if (Stat *known = findStat(kind, of))
    return known;
  stats.push_back(std::make_unique<Stat>(
      Stat{kind, of, input, SmallVector<int64_t>(axes), combine, level, {}}));
  return stats.back().get();
}

void Emitter::collectStats(Value v) {
  v = values.resolve(v);
  if (isLoaded(v) || !v.getDefiningOp() || !collected.insert(v).second)
    return;
  for (Value operand : v.getDefiningOp()->getOperands())
    collectStats(operand);
  if (auto reduce = v.getDefiningOp<ir::ReduceOp>()) {
    addStat(Stat::Reduce, v, values.resolve(reduce.getInput()), reduce.getDims(),
            int32_t(reduce.getKind()), levelOf(reduce.getInput()));
  } else if (isa<ir::SoftmaxOp, ir::LogSumExpOp>(v.getDefiningOp())) {
    Value input = values.resolve(v.getDefiningOp()->getOperand(0));
    int level = levelOf(input);
    addStat(Stat::Max, input, input, softmaxAxis(v), int32_t(kern::Combine::max), level);
    addStat(Stat::SumExp, input, input, softmaxAxis(v), int32_t(kern::Combine::sum), level + 1);
  }
}

/// exp(x - max) / sum or log(sum) + max; a row that is -inf throughout gives zeros, or -inf.
Value Emitter::computeSoftmax(Value v, Value input, int64_t axis, ArrayRef<AffineExpr> index) {
  input = values.resolve(input);
  Stat *max = findStat(Stat::Max, input), *sum = findStat(Stat::SumExp, input);
  if (!max || !max->result || !sum || !sum->result)
    return fail("fuse: a softmax is used outside of its row", v.getLoc());
  Type type = max->result.getType();
  OpBuilder &b = rowBuilder;
  Value minusInf = constant(FloatAttr::get(type, -std::numeric_limits<double>::infinity()));
  Value zero = floatConstant(type, 0);
  Value none = arith::CmpFOp::create(b, loc, arith::CmpFPredicate::OEQ, max->result, minusInf);
  Value shift = arith::SelectOp::create(b, loc, none, zero, max->result);
  if (v.getDefiningOp<ir::LogSumExpOp>()) {
    Value log = math::LogOp::create(b, loc, sum->result);
    return toFloat(arith::AddFOp::create(b, loc, log, shift), elemOf(v));
  }
  Value one = floatConstant(type, 1);
  Value divisor = arith::SelectOp::create(b, loc, none, one, sum->result);
  Value scale = arith::DivFOp::create(b, loc, one, divisor);
  Value x = element(input, index);
  if (!x)
    return {};
  x = toFloat(x, type);
  OpBuilder &s = builderFor(x);
  Value e = math::ExpOp::create(s, loc, arith::SubFOp::create(s, loc, x, shift));
  return toFloat(arith::MulFOp::create(s, loc, e, scale), elemOf(v));
}

Emitter::Index Emitter::rootIndex(Value root, ArrayRef<int64_t> sweepAxes,
                                  ArrayRef<AffineExpr> sweepDims) {
  return rowIndex(shapeOf(root), sweepAxes, rowLinear, sweepDims, dims);
}

LogicalResult Emitter::emitSweep(ArrayRef<int64_t> sizes, ArrayRef<Stat *> group,
                                 ArrayRef<unsigned> roots) {
  MLIRContext *context = dims.context;
  SmallVector<Type> types;
  SmallVector<int32_t> combine;
  SmallVector<Value> init;
  for (Stat *stat : group) {
    types.push_back(accumulatorOf(elemOf(stat->input)));
    combine.push_back(stat->combine);
    if (kernel->accumulate) {
      Value old = load(stat->of, rootIndex(stat->of, {}, {}));
      init.push_back(isa<FloatType>(old.getType()) ? toFloat(old, types.back()) : old);
    }
  }
  SmallVector<int64_t> visited(sizes);
  if (kernel->flatSweeps)
    visited = {countOf(sizes)};
  auto sweep = kern::SweepOp::create(rowBuilder, loc, types, visited, combine, init);
  Block *body = new Block;
  sweep.getBody().push_back(body);
  sweepBuilder.setInsertionPointToEnd(body);
  rowBuilder.setInsertionPoint(sweep);
  inSweep = true;
  sweepMemo.clear();
  SmallVector<AffineExpr> sweepDims;
  for (int64_t size : visited)
    sweepDims.push_back(addDim(size, body->addArgument(IndexType::get(context), loc)));
  if (kernel->flatSweeps)
    sweepDims = delinearize(sweepDims.front(), sizes, dims);

  SmallVector<Value> yields;
  for (auto [stat, type] : llvm::zip(group, types)) {
    // The kept axes count the rows, as those of a root with the stat's input's shape do.
    Value x = element(stat->input, rootIndex(stat->input, stat->axes, sweepDims));
    if (!x)
      return failure();
    if (isa<FloatType>(type))
      x = toFloat(x, type);
    if (stat->kind == Stat::SumExp) {
      Stat *max = findStat(Stat::Max, stat->of);
      Value minusInf = constant(FloatAttr::get(type, -std::numeric_limits<double>::infinity()));
      Value none =
          arith::CmpFOp::create(rowBuilder, loc, arith::CmpFPredicate::OEQ, max->result, minusInf);
      Value shift =
          arith::SelectOp::create(rowBuilder, loc, none, floatConstant(type, 0), max->result);
      OpBuilder &b = builderFor(x);
      x = math::ExpOp::create(b, loc, arith::SubFOp::create(b, loc, x, shift));
    }
    yields.push_back(x);
  }
  // All values before the first store: a buffer may be read and written at one position.
  SmallVector<Value> elements;
  SmallVector<Index> positions;
  for (unsigned r : roots) {
    positions.push_back(rootIndex(kernel->roots[r], kernel->sweepAxes[r], sweepDims));
    elements.push_back(element(kernel->roots[r], positions.back()));
    if (!elements.back())
      return failure();
  }
  for (auto [i, r] : llvm::enumerate(roots))
    store(elements[i], kernel->roots[r], positions[i]);
  kern::YieldOp::create(sweepBuilder, loc, yields);
  inSweep = false;
  rowBuilder.setInsertionPointToEnd(block);
  for (auto [stat, result] : llvm::zip(group, sweep.getResults()))
    stat->result = result;
  for (unsigned r : roots)
    storedInner.insert(kernel->roots[r]);
  return success(!failed);
}

LogicalResult Emitter::emitRows(const RowKernel &what, Block *body) {
  kernel = &what;
  loc = what.roots.front().getLoc();
  begin(body, what.rows.size(), what.inside);
  SmallVector<AffineExpr> rowDims;
  for (int64_t size : what.rows)
    rowDims.push_back(addDim(size, body->addArgument(IndexType::get(dims.context), loc)));
  rowLinear = linearize(rowDims, what.rows, dims);

  int last = 0;
  for (Value root : what.roots)
    collectStats(root);
  for (auto &stat : stats)
    last = std::max(last, stat->level);
  for (auto [root, axes] : llvm::zip(what.roots, what.sweepAxes))
    if (!axes.empty())
      last = std::max(last, levelOf(root));

  for (int level = 0; level <= last; ++level) {
    // One sweep for everything of this level that visits the same index space.
    std::map<std::vector<int64_t>, std::pair<SmallVector<Stat *>, SmallVector<unsigned>>> sweeps;
    for (auto &stat : stats)
      if (stat->level == level) {
        std::vector<int64_t> sizes;
        for (int64_t axis : stat->axes)
          sizes.push_back(shapeOf(stat->input)[axis]);
        sweeps[sizes].first.push_back(stat.get());
      }
    for (auto [r, root] : llvm::enumerate(what.roots))
      if (!what.sweepAxes[r].empty() && levelOf(root) == level) {
        std::vector<int64_t> sizes;
        for (int64_t axis : what.sweepAxes[r])
          sizes.push_back(shapeOf(root)[axis]);
        sweeps[sizes].second.push_back(r);
      }
    for (auto &[sizes, parts] : sweeps)
      if (failed || mlir::failed(emitSweep(sizes, parts.first, parts.second)))
        return failure();
  }
  SmallVector<std::pair<Value, Value>> scalars;
  for (auto [root, axes] : llvm::zip(what.roots, what.sweepAxes))
    if (axes.empty()) {
      Value e = element(root, rootIndex(root, {}, {}));
      if (!e)
        return failure();
      scalars.push_back({e, root});
    }
  for (auto [e, root] : scalars)
    store(e, root, rootIndex(root, {}, {}));
  kern::EndOp::create(rowBuilder, loc);
  return success(!failed);
}

LogicalResult Emitter::emitScatter(ir::ScatterAddOp op, const DenseSet<Value> &computed,
                                   Block *body, SmallVectorImpl<int64_t> &rows) {
  loc = op.getLoc();
  auto map = [&](unsigned i) { return cast<AffineMapAttr>(op.getMaps()[i]).getValue(); };
  ArrayRef<int64_t> shape = shapeOf(op.getUpdates());
  // A dim that the table's position names keeps updates apart: those are the rows. Updates that
  // may meet are visited in order.
  SmallVector<bool> isRow(shape.size(), false);
  for (auto [i, e] : llvm::enumerate(map(0).getResults()))
    if (auto d = dyn_cast<AffineDimExpr>(e); d && int64_t(i) != int64_t(op.getAxis()))
      isRow[d.getPosition()] = true;
  Type indexType = IndexType::get(dims.context);
  Index index(shape.size());
  SmallVector<int64_t> sweepSizes;
  for (auto [i, size] : llvm::enumerate(shape))
    (isRow[i] ? rows : sweepSizes).push_back(size);
  bool single = rows.empty();
  if (single)
    rows.push_back(1);
  begin(body, rows.size(), computed);
  for (unsigned i = 0; i < rows.size(); ++i)
    body->addArgument(indexType, loc);
  unsigned next = 0;
  for (auto [i, size] : llvm::enumerate(shape))
    if (isRow[i])
      index[i] = addDim(size, body->getArgument(next++));
  if (!sweepSizes.empty()) {
    auto sweep = kern::SweepOp::create(rowBuilder, loc, TypeRange(), sweepSizes,
                                       ArrayRef<int32_t>(), ValueRange());
    Block *inner = new Block;
    sweep.getBody().push_back(inner);
    sweepBuilder.setInsertionPointToEnd(inner);
    rowBuilder.setInsertionPoint(sweep);
    inSweep = true;
    for (auto [i, size] : llvm::enumerate(shape))
      if (!isRow[i])
        index[i] = addDim(size, inner->addArgument(indexType, loc));
  }
  Value update = element(op.getUpdates(), index);
  Value id = element(op.getIds(), applyMap(map(1), index, dims));
  if (!update || !id)
    return failure();
  Value position = arith::IndexCastOp::create(builderFor(id), loc, indexType, id);
  Index at = applyMap(map(0), index, dims);
  at[op.getAxis()] = variable(position, shapeOf(op.getResult())[op.getAxis()]);
  OpBuilder &b = inSweep ? sweepBuilder : rowBuilder;
  Value where = indexValue(linearize(at, shapeOf(op.getResult()), dims));
  Value old =
      memref::LoadOp::create(b, loc, block->getArgument(others + argFor(op.getResult())), where);
  Type type = old.getType();
  Value sum = isa<FloatType>(type)
                  ? Value(arith::AddFOp::create(b, loc, old, toFloat(update, type)))
                  : Value(arith::AddIOp::create(b, loc, old, update));
  store(sum, op.getResult(), at);
  if (inSweep) {
    kern::YieldOp::create(sweepBuilder, loc, ValueRange());
    inSweep = false;
    rowBuilder.setInsertionPointToEnd(block);
  }
  kern::EndOp::create(rowBuilder, loc);
  return success(!failed);
}

LogicalResult Emitter::emitEpilogue(
    Value sum, Value root, Block *body, ArrayRef<int64_t> gmn,
    function_ref<SmallVector<AffineExpr>(ArrayRef<AffineExpr>, const Dims &)> indexOfResult) {
  loc = root.getLoc();
  SmallVector<AffineExpr> position;
  for (auto [i, size] : llvm::enumerate(gmn))
    position.push_back(addDim(size, body->getArgument(i)));
  // The contract's own rounding comes first.
  bound[sum] = toFloat(body->getArgument(3), elemOf(sum));
  Value out = element(root, indexOfResult(position, dims));
  if (!out)
    return failure();
  kern::YieldOp::create(rowBuilder, loc, out);
  return success(!failed);
}

} // namespace r1::fuse
