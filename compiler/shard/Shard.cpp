#include "compiler/shard/Shard.h"
#include "compiler/pch.h"
#include "compiler/shard/Recompute.h"
#include "compiler/shard/Rows.h"
#include "dialects/r1/LeafLayout.h"
#include <numeric>

using namespace mlir;
namespace r1 {
namespace {

using shard::Rows;

/// When an op runs: before the loop, once per turn, or after it.
enum class Phase : uint8_t { Before, Loop, After };

RankedTensorType typeOf(Value v) { return cast<RankedTensorType>(v.getType()); }

bool isNarrowFloat(Type type) { return isa<FloatType>(type) && type.getIntOrFloatBitWidth() < 32; }

class Splitter {
public:
  Splitter(func::FuncOp func, const Rows &rows, int64_t micro)
      : func(func), rows(rows), micro(micro) {}

  LogicalResult run() {
    for (Operation &op : func.getBody().front().without_terminator())
      if (failed(classify(&op)))
        return failure();
    keepForPrologue();
    build();
    return success();
  }

private:
  bool carries(Value v) const { return rows.axisOf(v) >= 0; }
  bool carries(Operation *op) const {
    return llvm::any_of(op->getResults(), [&](Value v) { return carries(v); });
  }
  static bool isLeaf(Operation *op) {
    return isa<ir::ParamOp, ir::ScalarOp, arith::ConstantOp>(op);
  }

  LogicalResult classify(Operation *op) {
    bool fromParams = isa<ir::ParamOp>(op), fromRows = false;
    Phase phase = Phase::Before;
    for (Value v : op->getOperands()) {
      Operation *def = v.getDefiningOp();
      fromParams |= def && dependsOnParams.contains(def);
      fromRows |= carries(v);
      if (def && !carries(def) && phases.lookup(def) == Phase::After)
        phase = Phase::After;
    }
    if (fromParams)
      dependsOnParams.insert(op);
    if (auto c = dyn_cast<arith::ConstantOp>(op);
        c && !cast<DenseElementsAttr>(c.getValue()).isSplat()) {
      phases[op] = Phase::Before; // a table; cut into slices if it counts rows
    } else if (carries(op)) {
      if (phase == Phase::After)
        return emitError(op->getLoc())
               << "E0314: this row's value depends on a sum over all rows that depends on "
                  "parameters; a loss must be affine in such sums";
      phases[op] = Phase::Loop;
    } else if (fromRows) {
      bool sum = isa<ir::ContractOp, ir::ScatterAddOp>(op);
      if (auto reduce = dyn_cast<ir::ReduceOp>(op)) {
        sum = reduce.getKind() == ir::ReduceKind::sum;
        op->setAttr("r1.chain", UnitAttr::get(op->getContext()));
      }
      if (!fromParams && phase == Phase::Before) {
        phases[op] = Phase::Before;
      } else if (phase == Phase::After) {
        return emitError(op->getLoc())
               << "E0314: this sum over rows depends on another one; a loss must be affine in "
                  "sums over rows";
      } else if (!sum) {
        return emitError(op->getLoc())
               << "E0314: this combines the rows of a batch otherwise than by a sum";
      } else {
        partials.push_back(op);
        phases[op] = Phase::After; // its value
      }
    } else {
      phases[op] = phase;
    }
    return success();
  }

  /// Row values that the prologue's sums read are computed over the whole batch, too.
  void keepForPrologue() {
    SmallVector<Operation *> work;
    for (auto &[op, phase] : phases)
      if (phase == Phase::Before && !carries(op))
        work.push_back(op);
    while (!work.empty()) {
      Operation *op = work.pop_back_val();
      for (Value v : op->getOperands())
        if (Operation *def = v.getDefiningOp();
            def && carries(def) && inPrologue.insert(def).second)
          work.push_back(def);
    }
  }

  RankedTensorType sliced(Value v) const {
    RankedTensorType type = typeOf(v);
    int axis = rows.axisOf(v);
    if (axis < 0)
      return type;
    SmallVector<int64_t> shape(type.getShape());
    shape[axis] /= micro;
    return RankedTensorType::get(shape, type.getElementType(), type.getEncoding());
  }

  /// Copies `op` into the loop's body at the shapes of one turn.
  void cloneIntoLoop(Operation *op, OpBuilder &b, IRMapping &inLoop) {
    if (auto c = dyn_cast<arith::ConstantOp>(op)) {
      auto dense = cast<DenseElementsAttr>(c.getValue());
      if (dense.isSplat())
        dense = dense.resizeSplat(sliced(c.getResult()));
      inLoop.map(c.getResult(), arith::ConstantOp::create(b, c.getLoc(), dense).getResult());
      return;
    }
    Operation *copy = b.clone(*op, inLoop);
    for (auto [was, is] : llvm::zip(op->getResults(), copy->getResults()))
      is.setType(sliced(was));
    // Captured tensors are arguments of the body, too.
    auto retype = [](Region &region, ValueRange captures) {
      auto args = region.front().getArguments().take_back(captures.size());
      for (auto [arg, capture] : llvm::zip(args, captures))
        arg.setType(capture.getType());
    };
    if (auto map = dyn_cast<ir::MapOp>(copy))
      retype(map.getBody(), map.getCaptures());
    if (auto kernel = dyn_cast<ir::KernelOp>(copy))
      for (Region &lambda : kernel.getLambdas())
        retype(lambda, kernel.getCaptures());
  }

  void build() {
    Block &block = func.getBody().front();
    OpBuilder b(func.getContext());
    SmallVector<Operation *> before, loop, after;
    for (Operation &op : block.without_terminator()) {
      bool partial = llvm::is_contained(partials, &op);
      if (isLeaf(&op) && !carries(&op))
        before.push_back(&op);
      else if (phases[&op] == Phase::Before || inPrologue.contains(&op))
        before.push_back(&op);
      if (phases[&op] == Phase::Loop || partial)
        loop.push_back(&op);
      else if (phases[&op] == Phase::After)
        after.push_back(&op);
    }
    if (partials.empty())
      return;
    // What the loop needs from outside: slices of the batch, and whole values.
    llvm::SetVector<Value> split, whole;
    llvm::SetVector<Operation *> leaves;
    DenseSet<Operation *> inside(loop.begin(), loop.end());
    for (Operation *op : loop)
      for (Value v : op->getOperands()) {
        Operation *def = v.getDefiningOp();
        if (def && inside.contains(def))
          continue;
        if (carries(v))
          split.insert(v);
        else if (def && isLeaf(def))
          leaves.insert(def);
        else
          whole.insert(v);
      }
    // Operations in their new order: before, the loop, after.
    Operation *end = block.getTerminator();
    for (Operation *op : before)
      op->moveBefore(end);
    b.setInsertionPoint(end);
    SmallVector<Type> types;
    for (Operation *op : partials) {
      RankedTensorType type = typeOf(op->getResult(0));
      types.push_back(isNarrowFloat(type.getElementType())
                          ? RankedTensorType::get(type.getShape(), b.getF32Type())
                          : type);
    }
    Location loc = partials.front()->getLoc();
    auto rowLoop =
        ir::RowLoopOp::create(b, loc, types, micro, split.getArrayRef(), whole.getArrayRef());
    Block *body = new Block;
    rowLoop.getBody().push_back(body);
    IRMapping inLoop;
    for (Value v : split)
      inLoop.map(v, body->addArgument(sliced(v), v.getLoc()));
    for (Value v : whole)
      inLoop.map(v, body->addArgument(v.getType(), v.getLoc()));
    OpBuilder inner(body, body->end());
    for (Operation *leaf : leaves)
      inner.clone(*leaf, inLoop);
    for (Operation *op : loop)
      cloneIntoLoop(op, inner, inLoop);
    // Accumulators are f32 whatever the split; the sum is rounded once, after the loop.
    SmallVector<Value> yields;
    for (auto [op, type] : llvm::zip(partials, types)) {
      Value v = inLoop.lookup(op->getResult(0));
      v.setType(type);
      yields.push_back(v);
    }
    ir::YieldOp::create(inner, loc, yields);
    for (auto [op, sum] : llvm::zip(partials, rowLoop.getResults())) {
      Value v = sum;
      RankedTensorType type = typeOf(op->getResult(0));
      if (type.getElementType() != typeOf(v).getElementType())
        v = round(b, v, type, op->getLoc());
      op->getResult(0).replaceUsesWithIf(
          v, [&](OpOperand &use) { return !inside.contains(use.getOwner()); });
    }
    for (Operation *op : after)
      if (!llvm::is_contained(partials, op))
        op->moveBefore(end);
    for (Operation *op : llvm::reverse(loop))
      if (!inPrologue.contains(op))
        op->erase();
  }

  static Value round(OpBuilder &b, Value v, RankedTensorType type, Location loc) {
    auto identity = AffineMap::getMultiDimIdentityMap(type.getRank(), b.getContext());
    auto map = ir::MapOp::create(b, loc, type, ValueRange{v}, ValueRange{},
                                 b.getAffineMapArrayAttr({identity}));
    Block *block = new Block;
    map.getBody().push_back(block);
    block->addArgument(typeOf(v).getElementType(), loc);
    OpBuilder inner(block, block->end());
    Value narrow =
        arith::TruncFOp::create(inner, loc, type.getElementType(), block->getArgument(0));
    ir::YieldOp::create(inner, loc, ValueRange{narrow});
    return map.getResult();
  }

  func::FuncOp func;
  const Rows &rows;
  int64_t micro;
  llvm::MapVector<Operation *, Phase> phases;
  DenseSet<Operation *> dependsOnParams, inPrologue;
  SmallVector<Operation *> partials;
};

/// Results that are one number of each row become sums over rows: row b adds its number to element b of zeros,
/// which leaves its bits, but for the sign of a zero. False if another result counts rows.
bool gatherRowResults(func::FuncOp func, const Rows &rows) {
  Operation *end = func.getBody().front().getTerminator();
  for (Value v : end->getOperands())
    if (rows.axisOf(v) >= 0 && (typeOf(v).getRank() != 1 || !typeOf(v).getElementType().isF32()))
      return false;
  OpBuilder b(end);
  for (OpOperand &result : end->getOpOperands()) {
    if (rows.axisOf(result.get()) < 0)
      continue;
    RankedTensorType type = typeOf(result.get());
    SmallVector<int32_t> numbers(type.getDimSize(0));
    std::iota(numbers.begin(), numbers.end(), 0);
    Location loc = result.get().getLoc();
    auto table = arith::ConstantOp::create(
        b, loc, DenseElementsAttr::get(RankedTensorType::get(type.getShape(), b.getI32Type()), ArrayRef(numbers)));
    AffineMap zero = AffineMap::get(1, 0, b.getAffineConstantExpr(0)), row = b.getMultiDimIdentityMap(1);
    result.set(ir::ScatterAddOp::create(b, loc, type, result.get(), table, 0, b.getAffineMapArrayAttr({zero, row})));
  }
  return true;
}

} // namespace

int64_t rowsOf(ModuleOp module) {
  int64_t most = 0;
  for (auto func : module.getOps<func::FuncOp>())
    for (BlockArgument arg : func.getArguments())
      if (func.getArgAttr(arg.getArgNumber(), "r1.rows"))
        if (auto type = dyn_cast<RankedTensorType>(arg.getType()); type && type.getRank())
          most = std::max(most, type.getDimSize(0));
  return most;
}

bool cutsWholly(ModuleOp module) {
  OwningOpRef<ModuleOp> trial = module.clone();
  ScopedDiagnosticHandler quiet(module.getContext(), [](Diagnostic &) { return success(); });
  if (failed(shardModule(*trial, rowsOf(module))))
    return false;
  for (auto func : trial->getOps<func::FuncOp>())
    for (unsigned i = 0; i < func.getNumArguments(); ++i)
      if (func.getArgAttr(i, "r1.rows") && func.getBody().getOps<ir::RowLoopOp>().empty())
        return false;
  return true;
}

LogicalResult shardModule(ModuleOp module, int64_t micro) {
  if (micro < 1)
    return module.emitError("shard: the number of micro-batches is at least 1");
  for (auto func : module.getOps<func::FuncOp>()) {
    if (func.isPrivate() || func.isDeclaration() || !func.getBody().getOps<ir::RowLoopOp>().empty())
      continue;
    shard::lowerRandoms(func);
    bool hasRows = false;
    for (unsigned i = 0; i < func.getNumArguments(); ++i)
      hasRows |= bool(func.getArgAttr(i, "r1.rows"));
    if (!hasRows)
      continue;
    Rows rows;
    if (failed(rows.analyze(func)))
      return failure();
    if (llvm::any_of(func.getBody().front().getTerminator()->getOperands(),
                     [&](Value v) { return rows.axisOf(v) >= 0; })) {
      if (micro == 1 || rows.positional || !gatherRowResults(func, rows))
        continue;
      rows = Rows();
      if (failed(rows.analyze(func)))
        return failure();
    }
    int64_t count = micro;
    if (rows.count() % micro) {
      if (func.getSymName().split('@').first == "backward")
        return emitError(func.getLoc())
               << "shard: a batch of " << rows.count() << " rows does not split into " << micro
               << " equal micro-batches";
      count = std::gcd(rows.count(), micro);
    }
    if (rows.positional && count > 1)
      return emitError(rows.positional->getLoc())
             << "shard: the position of a row within the batch is not supported yet when the "
                "batch is split";
    if (failed(Splitter(func, rows, count).run()))
      return failure();
  }
  return success();
}

uint64_t estimateBytes(ModuleOp module, int64_t micro) {
  ir::LeafLayout layout = ir::layoutLeaves(module);
  uint64_t bytes = 4 * uint64_t(layout.frozenSize);
  auto backward = module.lookupSymbol<func::FuncOp>("backward");
  auto update = module.lookupSymbol<func::FuncOp>("update");
  auto sizeOf = [](Value v) -> uint64_t {
    auto type = dyn_cast<RankedTensorType>(v.getType());
    if (!type || !type.getElementType().isIntOrFloat())
      return 0;
    return uint64_t(type.getNumElements()) * ((type.getElementTypeBitWidth() + 7) / 8);
  };
  if (update)
    for (BlockArgument pool : update.getArguments())
      bytes += sizeOf(pool);
  else
    bytes += 4 * uint64_t(layout.trainableSize);
  if (!backward)
    return bytes;
  Rows rows;
  ScopedDiagnosticHandler quiet(module.getContext(), [](Diagnostic &) { return success(); });
  bool known = succeeded(rows.analyze(backward));
  for (BlockArgument arg : backward.getArguments())
    bytes += sizeOf(arg);
  // The peak of what is alive, op by op; a row's value exists for one micro-batch.
  llvm::DenseMap<Operation *, int> order;
  std::vector<int64_t> change(1, 0);
  int n = 0;
  for (Operation &op : backward.getBody().front())
    order[&op] = n++;
  change.assign(n + 2, 0);
  for (Operation &op : backward.getBody().front())
    for (Value v : op.getResults()) {
      if (isa<ir::ParamOp, ir::ScalarOp, arith::ConstantOp, ir::ReshapeOp, ir::StopGradOp>(op))
        continue;
      uint64_t size = sizeOf(v);
      if (known && rows.axisOf(v) >= 0)
        size /= micro;
      int last = order[&op];
      for (Operation *user : v.getUsers())
        last = std::max(last, order.lookup(user));
      change[order[&op]] += size;
      change[last + 1] -= size;
    }
  int64_t alive = 0, peak = 0;
  for (int64_t c : change)
    peak = std::max(peak, alive += c);
  return bytes + uint64_t(peak);
}

namespace {
struct ShardPass : PassWrapper<ShardPass, OperationPass<ModuleOp>> {
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(ShardPass)
  ShardPass() = default;
  ShardPass(const ShardPass &other) : PassWrapper(other) {}
  StringRef getArgument() const final { return "r1-shard"; }
  StringRef getDescription() const final { return "rows into micro-batches"; }
  void runOnOperation() final {
    if (failed(shardModule(getOperation(), micro)))
      signalPassFailure();
  }
  Option<int64_t> micro{*this, "micro", llvm::cl::desc("number of micro-batches"),
                        llvm::cl::init(1)};
};
} // namespace

void registerShardPasses() {
  PassRegistration<ShardPass>();
  registerRecomputePass();
}

} // namespace r1
