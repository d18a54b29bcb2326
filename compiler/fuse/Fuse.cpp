#include "compiler/fuse/Fuse.h"
#include "compiler/fuse/Product.h"
#include "compiler/fuse/Program.h"
#include "compiler/kernels/Kernels.h"
#include "mlir/IR/Dominance.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "mlir/Transforms/CSE.h"

using namespace mlir;
namespace r1 {
namespace {

using namespace fuse;

/// The pools and, within them, one view per leaf.
void declareLeaves(ModuleState &state) {
  OpBuilder &b = state.builder;
  Location loc = state.module.getLoc();
  Type f32 = b.getF32Type();
  auto pool = [&](StringRef name, int64_t size, StringRef kind) {
    return state.buffer(name, RankedTensorType::get({size}, f32), kind, loc).getSymName().str();
  };
  auto view = [&](const ir::LeafSlot &slot, StringRef prefix, StringRef kind, StringRef inside) {
    ir::LeafOp leaf = slot.op;
    kern::BufferOp buffer =
        state.buffer((prefix + leaf.getPath()).str(), cast<RankedTensorType>(leaf.getType()), kind,
                     leaf.getLoc());
    buffer.setField(leaf.getPath());
    buffer.setInside(inside);
    buffer.setAt(slot.offset);
    if (kind == "param") {
      buffer->setAttr("dist", leaf.getDistAttr());
      buffer->setAttr("a", leaf.getAAttr());
      buffer->setAttr("b", leaf.getBAttr());
      buffer->setAttr("trainable", b.getBoolAttr(leaf.getTrainable()));
    }
    return buffer.getSymName().str();
  };
  const ir::LeafLayout &layout = state.layout;
  std::string params, grads, frozen;
  if (layout.trainableSize) {
    state.leafBuffers[""] = params = pool("params", layout.trainableSize, "param");
    bool hasGradients = false;
    for (auto func : state.module.getOps<func::FuncOp>())
      for (unsigned i = 0; i < func.getNumResults(); ++i)
        if (auto n = func.getResultAttrOfType<StringAttr>(i, "r1.name"))
          hasGradients |= n.getValue().starts_with("grad:");
    if (hasGradients)
      state.gradBuffers[""] = grads = pool("grads", layout.trainableSize, "grad");
  }
  if (layout.frozenSize)
    state.frozenBuffer = frozen = pool("frozen", layout.frozenSize, "param");
  // In the order of the module's leaves, which is the path order that the host knows.
  for (ir::LeafOp leaf : state.module.getOps<ir::LeafOp>()) {
    const ir::LeafSlot &slot = *layout.find(leaf.getPath());
    state.leafBuffers[leaf.getPath()] =
        view(slot, "p_", "param", leaf.getTrainable() ? params : frozen);
  }
  if (!grads.empty())
    for (const ir::LeafSlot &slot : layout.trainable) {
      ir::LeafOp leaf = slot.op;
      state.gradBuffers[leaf.getPath()] = view(slot, "g_", "grad", grads);
    }
}

/// Equal ops become one, unused ones none.
void dropDead(ModuleOp module) {
  IRRewriter rewriter(module.getContext());
  DominanceInfo dominance;
  for (auto func : module.getOps<func::FuncOp>()) {
    eliminateCommonSubExpressions(rewriter, dominance, func);
    SmallVector<Operation *> ops;
    func.walk([&](Operation *op) { ops.push_back(op); });
    // Users first: what only they used is dead then, too.
    for (Operation *op : llvm::reverse(ops))
      if (isOpTriviallyDead(op))
        op->erase();
  }
}

} // namespace

LogicalResult fuseModule(ModuleOp module, const FuseOptions &options) {
  if (module.getOps<func::FuncOp>().empty() && module.getOps<ir::LeafOp>().empty())
    return success();
  if (failed(inlineKernelBodies(module, [&](ir::KernelOp op) {
        return op.getKernelName() != "cache_write" && op.getKernelName() != "cache_fill" &&
               !llvm::is_contained(options.intrinsics, op.getKernelName());
      })))
    return failure();
  if (options.fuse)
    simplifyModule(module);
  dropDead(module);
  normalizeContracts(module);
  ModuleState state(module, options);
  state.layout = ir::layoutLeaves(module);
  state.builder.setInsertionPointToEnd(module.getBody());

  for (auto func : module.getOps<func::FuncOp>())
    state.symbols.insert(func.getSymName());
  declareLeaves(state);
  introduceCopies(state);
  dropDead(module);

  // Private functions are bodies of kernels; the others are entries.
  SmallVector<func::FuncOp> entries;
  for (auto func : module.getOps<func::FuncOp>())
    if (!func.isPrivate() && !func.isDeclaration())
      entries.push_back(func);

  func::FuncOp backward = module.lookupSymbol<func::FuncOp>("backward");
  func::FuncOp update = module.lookupSymbol<func::FuncOp>("update");
  if (backward && update) {
    // A program uses its functions up: the steps of other buckets have copies of the update.
    SmallVector<std::pair<std::string, func::FuncOp>> others;
    for (func::FuncOp func : entries)
      if (auto [name, bucket] = func.getSymName().split('@'); name == "backward" && !bucket.empty())
        others.push_back({("step@" + bucket).str(), func});
    for (auto &[name, func] : others) {
      func::FuncOp copy = update.clone();
      copy.setSymName(("update of " + name));
      module.getBody()->getOperations().insertAfter(Block::iterator(update), copy);
      if (failed(Program(state, name).run({func, copy})))
        return failure();
    }
    if (failed(Program(state, "step").run({backward, update})))
      return failure();
  }
  for (func::FuncOp func : entries) {
    if (backward && update && (func == update || func.getSymName().split('@').first == "backward"))
      continue;
    StringRef name = func.getSymName();
    if (auto entry = func->getAttrOfType<StringAttr>("r1.entry"))
      name = entry.getValue();
    if (name.split('@').first == "loss" && backward)
      continue; // only its gradient runs
    state.symbols.erase(func.getSymName());
    if (failed(Program(state, name).run({func})))
      return failure();
  }
  for (Operation &op : llvm::make_early_inc_range(*module.getBody()))
    if (isa<func::FuncOp, ir::LeafOp>(op))
      op.erase();
  padRows(module);
  WalkResult left = module.walk([](Operation *op) {
    if (!isa_and_nonnull<ir::R1Dialect>(op->getDialect()))
      return WalkResult::advance();
    emitError(op->getLoc()) << "fuse: '" << op->getName().getStringRef() << "' is left over";
    return WalkResult::interrupt();
  });
  return failure(left.wasInterrupted());
}

namespace {

struct FusePass : PassWrapper<FusePass, OperationPass<ModuleOp>> {
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(FusePass)
  FusePass() = default;
  FusePass(const FusePass &other) : PassWrapper(other) {}
  StringRef getArgument() const final { return "r1-fuse"; }
  StringRef getDescription() const final { return "r1 to kern: one region per kernel"; }
  void getDependentDialects(DialectRegistry &registry) const final {
    registry.insert<kern::KernDialect, arith::ArithDialect, math::MathDialect,
                    memref::MemRefDialect, affine::AffineDialect>();
  }
  void runOnOperation() final {
    FuseOptions options;
    options.fuse = fuse;
    options.chunkBytes = chunkBytes;
    if (failed(fuseModule(getOperation(), options)))
      signalPassFailure();
  }
  Option<bool> fuse{*this, "fuse", llvm::cl::desc("false: one kernel per op"),
                    llvm::cl::init(true)};
  Option<int64_t> chunkBytes{*this, "chunk-bytes",
                             llvm::cl::desc("larger intermediates of a product are chunked"),
                             llvm::cl::init(FuseOptions().chunkBytes)};
};

} // namespace

void registerFusePasses() { PassRegistration<FusePass>(); }

} // namespace r1
