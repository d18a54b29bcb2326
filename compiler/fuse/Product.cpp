#include "compiler/fuse/Product.h"
#include "compiler/fuse/Program.h"

using namespace mlir;
namespace r1::fuse {

namespace {

/// A run of loop dims that several operands step through as one.
struct Run {
  SmallVector<unsigned> dims; // outermost first
  int64_t size = 1;
};

using Strides = ArrayRef<SmallVector<int64_t>>;

/// Merges neighbours of `dims` (in this order) when every operand steps through both as one.
SmallVector<Run> mergeDims(ArrayRef<unsigned> dims, ArrayRef<int64_t> loops, Strides operands) {
  SmallVector<Run> runs;
  for (unsigned d : dims) {
    bool joins = !runs.empty();
    for (const auto &strides : operands)
      joins = joins && strides[runs.back().dims.back()] == strides[d] * loops[d];
    if (!joins)
      runs.push_back({});
    runs.back().dims.push_back(d);
    runs.back().size *= loops[d];
  }
  return runs;
}

} // namespace

std::optional<ProductPlan> planProduct(ir::ContractOp op, const Values &values,
                                       function_ref<bool(Value)> mayFold) {
  ProductPlan plan;
  plan.loops = op.getLoopSizes();
  ArrayRef<int64_t> loops = plan.loops;
  ProductOperand lhs = productOperand(op.getLhs(), op.getMap(0), loops, values, mayFold);
  ProductOperand rhs = productOperand(op.getRhs(), op.getMap(1), loops, values, mayFold);
  SmallVector<int64_t> c(loops.size(), 0);
  for (auto [e, stride] : llvm::zip(op.getMap(2).getResults(), stridesOf(shapeOf(op.getResult()))))
    c[cast<AffineDimExpr>(e).getPosition()] = stride;

  auto inMap = [&](unsigned map, unsigned d) { return op.getMap(map).isFunctionOfDim(d); };
  // The operand that owns the result's innermost dim is B, so that C is written in rows.
  int innermost = -1;
  for (unsigned d = 0; d < loops.size(); ++d)
    if (inMap(2, d) && loops[d] > 1 && inMap(0, d) != inMap(1, d) &&
        (innermost < 0 || c[d] < c[innermost]))
      innermost = d;
  bool swap = innermost >= 0 && inMap(0, innermost);
  if (swap)
    std::swap(lhs, rhs);
  unsigned left = swap ? 1 : 0, right = swap ? 0 : 1;

  SmallVector<unsigned> batch, m, n, k;
  for (unsigned d = 0; d < loops.size(); ++d) {
    if (loops[d] == 1)
      continue;
    if (!inMap(2, d))
      k.push_back(d);
    else if (inMap(left, d) && inMap(right, d))
      batch.push_back(d);
    else
      (inMap(left, d) ? m : n).push_back(d);
  }
  auto byResult = [&](unsigned x, unsigned y) { return c[x] > c[y]; };
  llvm::stable_sort(batch, byResult);
  llvm::stable_sort(m, byResult);
  llvm::stable_sort(n, byResult);

  SmallVector<SmallVector<int64_t>> abc{lhs.strides, rhs.strides, c};
  SmallVector<Run> mRuns = mergeDims(m, loops, abc), nRuns = mergeDims(n, loops, abc);
  SmallVector<Run> kRuns = mergeDims(k, loops, ArrayRef(abc).take_front(2));
  if (kRuns.size() > 1)
    return std::nullopt;
  // What does not merge into one m or one n is batched; the innermost run stays.
  SmallVector<Run> batchRuns = mergeDims(batch, loops, abc);
  Run mRun, nRun, kRun;
  auto keepLast = [&](SmallVector<Run> &runs, Run &kept) {
    if (runs.empty())
      return;
    kept = runs.pop_back_val();
    batchRuns.append(runs.begin(), runs.end());
  };
  keepLast(mRuns, mRun);
  keepLast(nRuns, nRun);
  if (!kRuns.empty())
    kRun = kRuns.front();

  plan.a = lhs.base;
  plan.b = rhs.base;
  plan.sizes = {mRun.size, nRun.size, kRun.size};
  plan.mDims = mRun.dims;
  plan.nDims = nRun.dims;
  auto strideOf = [](const Run &run, ArrayRef<int64_t> strides, int64_t none) {
    return run.dims.empty() ? none : strides[run.dims.back()];
  };
  for (const Run &run : batchRuns) {
    plan.batch.push_back(run.size);
    plan.batchDims.append(run.dims.begin(), run.dims.end());
    plan.strideA.push_back(strideOf(run, lhs.strides, 0));
    plan.strideB.push_back(strideOf(run, rhs.strides, 0));
    plan.strideC.push_back(strideOf(run, c, 0));
  }
  // A dim of one element has the stride that leaves the other one's rows in place.
  int64_t ak = strideOf(kRun, lhs.strides, 1), bn = strideOf(nRun, rhs.strides, 1);
  int64_t cn = strideOf(nRun, c, 1);
  plan.strideA.append({strideOf(mRun, lhs.strides, ak * kRun.size), ak});
  plan.strideB.append({strideOf(kRun, rhs.strides, bn * nRun.size), bn});
  plan.strideC.append({strideOf(mRun, c, cn * nRun.size), cn});
  return plan;
}

void normalizeContracts(ModuleOp module) {
  SmallVector<ir::ContractOp> contracts;
  module.walk([&](ir::ContractOp op) { contracts.push_back(op); });
  Values none;
  for (ir::ContractOp op : contracts) {
    if (planProduct(op, none, [](Value) { return true; }))
      continue;
    // Each operand as [its other dims…, summed dims…] in the order of the contract's dims.
    OpBuilder b(op);
    SmallVector<int64_t> loops = op.getLoopSizes();
    SmallVector<Attribute> maps;
    for (unsigned i = 0; i < 2; ++i) {
      AffineMap map = op.getMap(i);
      SmallVector<unsigned> order;
      for (bool summed : {false, true})
        for (unsigned d = 0; d < loops.size(); ++d)
          if (map.isFunctionOfDim(d) && !op.getMap(2).isFunctionOfDim(d) == summed)
            order.push_back(d);
      SmallVector<int64_t> shape;
      SmallVector<AffineExpr> results, position(loops.size());
      for (auto [j, d] : llvm::enumerate(order)) {
        shape.push_back(loops[d]);
        results.push_back(b.getAffineDimExpr(d));
        position[d] = b.getAffineDimExpr(j);
      }
      maps.push_back(AffineMapAttr::get(AffineMap::get(loops.size(), 0, results, b.getContext())));
      SmallVector<AffineExpr> from;
      for (AffineExpr e : map.getResults())
        from.push_back(position[cast<AffineDimExpr>(e).getPosition()]);
      Value operand = op->getOperand(i);
      auto type = RankedTensorType::get(shape, elemOf(operand));
      auto copy = ir::MapOp::create(
          b, op.getLoc(), type, ValueRange{operand}, ValueRange{},
          b.getAffineMapArrayAttr({AffineMap::get(order.size(), 0, from, b.getContext())}));
      copy->setAttr("r1.stored", b.getUnitAttr());
      Block *block = new Block;
      copy.getBody().push_back(block);
      block->addArgument(elemOf(operand), op.getLoc());
      OpBuilder inner(block, block->end());
      ir::YieldOp::create(inner, op.getLoc(), ValueRange{block->getArgument(0)});
      op->setOperand(i, copy.getResult());
    }
    maps.push_back(op.getMaps()[2]);
    op.setMapsAttr(b.getArrayAttr(maps));
  }
}

LogicalResult Program::emitProduct(Group &g) {
  auto op = cast<ir::ContractOp>(g.ops.front());
  Location loc = g.ops.back()->getLoc();
  Value sum = op.getResult(), root = g.ops.back()->getResult(0);
  for (Value v : {op.getLhs(), op.getRhs()})
    if (elemOf(v) != elemOf(op.getLhs()) ||
        !(elemOf(v).isF32() || elemOf(v).isBF16() || elemOf(v).isF16()))
      return emitError(op.getLoc()) << "a product of " << elemOf(op.getLhs()) << " and "
                                    << elemOf(op.getRhs()) << " is not supported yet";
  auto plan = planProduct(op, values, [&](Value v) {
    return !values.home(v) && v.getDefiningOp() && !grouping->groupOf(v);
  });
  if (!plan || !values.home(plan->a) || !values.home(plan->b))
    return emitError(op.getLoc()) << "fuse: this product's operands do not lie in memory";

  OpBuilder &b = state.builder;
  auto product = kern::ProductOp::create(b, loc, "product", plan->sizes, plan->batch, plan->strideA,
                                         plan->strideB, plan->strideC, g.accumulate);
  Block *body = new Block;
  product.getBody().push_back(body);
  for (int i = 0; i < 3; ++i)
    body->addArgument(b.getIndexType(), loc);
  body->addArgument(b.getF32Type(), loc);
  DenseSet<Value> inside;
  for (Operation *member : g.ops)
    inside.insert(member->getResult(0));
  Emitter emitter(values, b.getContext());
  emitter.begin(body, 4, inside);
  emitter.argFor(plan->a, true);
  emitter.argFor(plan->b, true);
  emitter.argFor(root, true);
  auto indexOfResult = [&](ArrayRef<AffineExpr> gmn, const Dims &dims) {
    SmallVector<AffineExpr> loops(plan->loops.size(), getAffineConstantExpr(0, b.getContext()));
    auto spread = [&](AffineExpr e, ArrayRef<unsigned> over) {
      SmallVector<int64_t> shape;
      for (unsigned d : over)
        shape.push_back(plan->loops[d]);
      for (auto [d, part] : llvm::zip(over, delinearize(e, shape, dims)))
        loops[d] = part;
    };
    spread(gmn[0], plan->batchDims);
    spread(gmn[1], plan->mDims);
    spread(gmn[2], plan->nDims);
    return applyMap(op.getMap(2), loops, dims);
  };
  int64_t gSize = countOf(plan->batch);
  if (failed(emitter.emitEpilogue(sum, root, body, {gSize, plan->sizes[0], plan->sizes[1]},
                                  indexOfResult)))
    return failure();
  SmallVector<int64_t> steps;
  if (g.chunk >= 0) {
    SmallVector<int64_t> sizes = plan->sizes;
    sizes[g.chunkSums ? 2 : 0] = g.chunkSize;
    product.setSizes(sizes);
    for (unsigned i = 0; i < emitter.args.size(); ++i) {
      BlockArgument arg = body->getArgument(4 + i);
      std::optional<int64_t> step;
      if (i == 0)
        step = plan->strideA[g.chunkSums ? 1 : 0];
      else if (i == 1)
        step = g.chunkSums ? plan->strideB[0] : 0;
      else if (i == 2)
        step = g.chunkSums ? 0 : plan->strideC[0];
      else
        step = stepOf(arg, body->getArgument(1));
      if (!step)
        return emitError(loc) << "fuse: a product over chunks of rows steps unevenly";
      steps.push_back(*step);
    }
  }
  launch(product, g, emitter.args, steps);
  return success();
}

/// A registered kernel takes its inputs, captures and results as whole buffers.
LogicalResult Program::emitIntrinsic(Group &g) {
  auto op = cast<ir::KernelOp>(g.ops.front());
  OpBuilder &b = state.builder;
  SmallVector<Value> args;
  SmallVector<Attribute> types;
  SmallVector<int64_t> writes;
  auto add = [&](Value v) {
    args.push_back(values.base(v));
    types.push_back(TypeAttr::get(MemRefType::get(shapeOf(v), elemOf(v))));
  };
  for (Value v : op->getOperands())
    add(v);
  for (Value v : op.getResults()) {
    writes.push_back(args.size());
    add(v);
  }
  for (Value v : args)
    if (!values.home(v))
      return emitError(op.getLoc())
             << "fuse: an operand of '" << op.getKernelName() << "' does not lie in memory";
  NamedAttrList params(op->getDiscardableAttrDictionary());
  params.append("inputs", b.getI64IntegerAttr(op.getIns().size()));
  params.append("captures", b.getI64IntegerAttr(op.getCaptures().size()));
  OperationState s(op.getLoc(), kern::IntrinsicOp::getOperationName());
  s.addAttribute("sym_name", b.getStringAttr("intrinsic"));
  s.addAttribute("name", b.getStringAttr(op.getKernelName()));
  s.addAttribute("arg_types", b.getArrayAttr(types));
  s.addAttribute("writes", b.getDenseI64ArrayAttr(writes));
  s.addAttribute("params", params.getDictionary(b.getContext()));
  for (Region &lambda : op.getLambdas()) {
    Region *copy = s.addRegion();
    if (failed(lambdaToKern(lambda, *copy)))
      return failure();
  }
  Operation *intrinsic = b.create(s);
  launch(intrinsic, g, args);
  return success();
}

/// The same code on memrefs: `r1.read` becomes a load, guarded unless its indices are the
/// lambda's own (those are in range, the language checks it).
LogicalResult lambdaToKern(Region &from, Region &to) {
  IRMapping mapping;
  from.cloneInto(&to, mapping);
  Block &block = to.front();
  for (BlockArgument arg : block.getArguments())
    if (auto tensor = dyn_cast<RankedTensorType>(arg.getType()))
      arg.setType(MemRefType::get(tensor.getShape(), tensor.getElementType()));
  for (Operation &op : llvm::make_early_inc_range(block)) {
    OpBuilder b(&op);
    if (auto read = dyn_cast<ir::ReadOp>(op)) {
      Value tensor = read->getOperand(0); // by now a memref
      auto memref = cast<MemRefType>(tensor.getType());
      SmallVector<Value> at;
      Value in;
      for (auto [axis, index] : llvm::enumerate(read.getIndices())) {
        Value position = index;
        if (!isa<BlockArgument>(index)) {
          Value size = arith::ConstantIndexOp::create(b, op.getLoc(), memref.getDimSize(axis));
          Value zero = arith::ConstantIndexOp::create(b, op.getLoc(), 0);
          Value ok = arith::CmpIOp::create(b, op.getLoc(), arith::CmpIPredicate::ult, index, size);
          position = arith::SelectOp::create(b, op.getLoc(), ok, index, zero);
          in = in ? Value(arith::AndIOp::create(b, op.getLoc(), in, ok)) : ok;
        }
        at.push_back(position);
      }
      Value v = memref::LoadOp::create(b, op.getLoc(), tensor, at);
      if (in)
        v = arith::SelectOp::create(b, op.getLoc(), in, v, read.getOtherwise());
      read.getResult().replaceAllUsesWith(v);
      op.erase();
    } else if (auto yield = dyn_cast<ir::YieldOp>(op)) {
      kern::YieldOp::create(b, op.getLoc(), yield.getValues());
      op.erase();
    } else if (isa_and_nonnull<ir::R1Dialect>(op.getDialect())) {
      return emitError(op.getLoc())
             << "'" << op.getName().getStringRef() << "' inside a lambda is not supported yet";
    }
  }
  return success();
}

} // namespace r1::fuse
