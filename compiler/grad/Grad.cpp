// The walk: values from the parameters forward are active; from the loss backward each op's rule
// adds to the adjoints of its active operands.
#include "compiler/grad/Grad.h"
#include "compiler/grad/RowAxis.h"
#include "compiler/grad/Rules.h"
#include "compiler/kernels/Kernels.h"
#include "mlir/IR/Dominance.h"
#include "mlir/Transforms/CSE.h"
#include "llvm/ADT/MapVector.h"

using namespace mlir;
using namespace r1;
using namespace r1::ir;

static bool isFloatTensor(Value v) {
  auto type = dyn_cast<RankedTensorType>(v.getType());
  return type && isa<FloatType>(type.getElementType());
}

/// Marks what depends on `wrt`. Ops of `block` in order.
static void markActive(Adjoints &adj, Block &block, ArrayRef<Value> wrt) {
  for (Value v : wrt)
    adj.setActive(v);
  for (Operation &op : block)
    if (!isa<StopGradOp>(op) &&
        llvm::any_of(op.getOperands(), [&](Value v) { return adj.isActive(v); }))
      for (Value r : op.getResults())
        if (isFloatTensor(r))
          adj.setActive(r);
}

/// The ops of `block` that `loss` depends on.
static DenseSet<Operation *> ancestors(Value loss) {
  DenseSet<Operation *> seen;
  SmallVector<Value> work = {loss};
  while (!work.empty()) {
    Operation *op = work.pop_back_val().getDefiningOp();
    if (op && seen.insert(op).second)
      work.append(op->operand_begin(), op->operand_end());
  }
  return seen;
}

FailureOr<SmallVector<Value>> r1::differentiate(Value loss, ArrayRef<Value> wrt) {
  Operation *def = loss.getDefiningOp();
  Block *block = loss.getParentBlock();
  OpBuilder b(block->getTerminator());
  auto zeros = [&](Value v) {
    return buildSplat(b, v.getLoc(), withElem(tensorType(v), tensorType(v).getElementType()), 0);
  };
  if (!def) {
    SmallVector<Value> grads;
    for (Value v : wrt)
      grads.push_back(zeros(v));
    return grads;
  }

  // Kernels take the form that their adjoint needs, or give way to their bodies.
  {
    Adjoints probe(b);
    markActive(probe, *block, wrt);
    DenseSet<Operation *> needed = ancestors(loss);
    SmallVector<KernelOp> kernels;
    for (KernelOp op : block->getOps<KernelOp>())
      if (needed.contains(op) &&
          llvm::any_of(op.getOperands(), [&](Value v) { return probe.isActive(v); }))
        kernels.push_back(op);
    for (KernelOp op : kernels) {
      const KernelDef *known = findKernel(op.getKernelName());
      if (known && known->adjoint) {
        if (known->keepForAdjoint)
          known->keepForAdjoint(op);
      } else if (failed(inlineKernelBody(op))) {
        return failure();
      }
    }
  }

  Adjoints adj(b);
  markActive(adj, *block, wrt);
  adj.rowAxis = findRowAxes(*block);
  DenseSet<Operation *> needed = ancestors(loss);
  SmallVector<Operation *> order;
  for (Operation &op : *block)
    if (needed.contains(&op))
      order.push_back(&op);
  adj.add(loss, buildSplat(b, adjointLoc(loss), tensorType(loss), 1));
  for (Operation *op : llvm::reverse(order)) {
    bool active = llvm::any_of(op->getOperands(), [&](Value v) { return adj.isActive(v); });
    if (active && failed(differentiateOp(adj, op)))
      return failure();
  }
  SmallVector<Value> grads;
  for (Value v : wrt) {
    Value g = adj.sum(v);
    grads.push_back(g ? g : zeros(v));
  }
  return grads;
}

/// The one r1.param of `path` at the start of `block`: all others are replaced by it.
static Value theParam(Block &block, StringRef path, Type type, Location loc) {
  ParamOp first;
  for (ParamOp op : llvm::make_early_inc_range(block.getOps<ParamOp>())) {
    if (op.getPath() != path)
      continue;
    if (!first) {
      first = op;
      op->moveBefore(&block, block.begin());
    } else {
      op.getResult().replaceAllUsesWith(first.getResult());
      op.erase();
    }
  }
  if (first)
    return first.getResult();
  OpBuilder b = OpBuilder::atBlockBegin(&block);
  return ParamOp::create(b, loc, type, path);
}

static LogicalResult expectScalarLoss(Operation *at, Value loss) {
  if (isFloatTensor(loss) && tensorType(loss).getRank() == 0)
    return success();
  return at->emitError() << "the first result must be a float of rank 0, found " << loss.getType();
}

/// Marks the results of the function around `op` that are made of its gradients, the first `values` results aside.
/// Afterwards nothing tells gradients that are reported from what they are taken of.
static void markMadeOf(GradOp op, unsigned values) {
  auto fn = dyn_cast<func::FuncOp>(op->getParentOp());
  if (!fn)
    return;
  DenseSet<Value> seen;
  SmallVector<Value> work(op.getResults().drop_front(values));
  while (!work.empty())
    for (OpOperand &use : work.pop_back_val().getUses()) {
      Operation *user = op->getBlock()->findAncestorOpInBlock(*use.getOwner());
      if (user == op->getBlock()->getTerminator())
        fn.setResultAttr(use.getOperandNumber(), "r1.of_grad", UnitAttr::get(op.getContext()));
      for (Value v : user->getResults())
        if (seen.insert(v).second)
          work.push_back(v);
    }
}

LogicalResult r1::lowerGradOps(ModuleOp module) {
  SmallVector<GradOp> ops;
  module.walk([&](GradOp op) { ops.push_back(op); });
  for (GradOp op : ops) {
    auto fn = SymbolTable::lookupNearestSymbolFrom<func::FuncOp>(op, op.getCalleeAttr());
    if (!fn || fn.isExternal())
      return op.emitError() << "the function " << op.getCalleeAttr() << " does not exist";
    unsigned values = fn.getNumResults();
    if (op.getNumResults() != values + op.getWrt().size())
      return op.emitError() << "has " << op.getNumResults() << " results, expected " << values
                            << " values and " << op.getWrt().size() << " gradients";
    if (!fn.front().getOps<GradOp>().empty())
      return op.emitError("gradients of gradients are not supported yet: the function takes a "
                          "gradient itself");
    // Differentiate a copy, so that the adjoint has a block of its own, then move it here.
    OwningOpRef<func::FuncOp> copy = fn.clone();
    Block &body = copy->front();
    SmallVector<Value> wrt;
    for (auto [i, path] : llvm::enumerate(op.getWrt().getAsValueRange<StringAttr>()))
      wrt.push_back(theParam(body, path, op.getResult(values + i).getType(), op.getLoc()));
    Operation *ret = body.getTerminator();
    if (failed(expectScalarLoss(fn, ret->getOperand(0))))
      return failure();
    // The copy stands beside the original while symbols of kernel bodies are looked up in it.
    copy->setSymVisibility("private");
    copy->setSymName((fn.getSymName() + "__grad").str());
    func::FuncOp inserted = copy.release();
    fn->getBlock()->getOperations().insertAfter(Block::iterator(fn), inserted);
    auto grads = differentiate(ret->getOperand(0), wrt);
    if (succeeded(grads)) {
      IRMapping map;
      map.map(inserted.getArguments(), op.getInputs());
      OpBuilder b(op);
      for (Operation &o : body.without_terminator())
        b.clone(o, map);
      SmallVector<Value> results;
      for (Value v : ret->getOperands())
        results.push_back(map.lookupOrDefault(v));
      for (Value v : *grads)
        results.push_back(map.lookupOrDefault(v));
      markMadeOf(op, values);
      op.replaceAllUsesWith(results);
      op.erase();
    }
    inserted.erase();
    if (failed(grads))
      return failure();
  }
  return success();
}

LogicalResult r1::addBackward(ModuleOp module) {
  SmallVector<func::FuncOp> losses;
  for (func::FuncOp fn : module.getOps<func::FuncOp>()) {
    auto entry = fn->getAttrOfType<StringAttr>("r1.entry");
    if (entry && entry.getValue().split('@').first == "loss" && !fn.isExternal())
      losses.push_back(fn);
  }
  for (func::FuncOp fn : losses) {
    StringRef bucket = fn->getAttrOfType<StringAttr>("r1.entry").getValue().drop_front(strlen("loss")); // "@64"
    std::string name = "backward" + bucket.str();
    if (bucket.empty() && fn != losses.front())
      name = "backward_" + fn.getSymName().str();
    if (module.lookupSymbol(name))
      continue;
    func::FuncOp backward = fn.clone();
    backward.setSymName(name);
    backward->setAttr("r1.entry", StringAttr::get(module.getContext(), "backward" + bucket));
    module.getBody()->getOperations().insertAfter(Block::iterator(fn), backward);
    Block &body = backward.front();
    Operation *ret = body.getTerminator();
    if (failed(expectScalarLoss(fn, ret->getOperand(0))))
      return failure();
    SmallVector<LeafOp> leaves;
    SmallVector<Value> wrt;
    for (LeafOp leaf : module.getOps<LeafOp>())
      if (leaf.getTrainable()) {
        leaves.push_back(leaf);
        wrt.push_back(theParam(body, leaf.getPath(), leaf.getType(), leaf.getLoc()));
      }
    auto grads = differentiate(ret->getOperand(0), wrt);
    if (failed(grads))
      return failure();
    ret->insertOperands(ret->getNumOperands(), *grads);
    unsigned first = backward.getNumResults();
    SmallVector<Type> results(ret->getOperandTypes());
    SmallVector<Attribute> attrs;
    for (unsigned i = 0; i < results.size(); ++i)
      attrs.push_back(i < first ? backward.getResultAttrDict(i) : DictionaryAttr());
    backward.setFunctionType(
        FunctionType::get(module.getContext(), backward.getArgumentTypes(), results));
    auto nothing = DictionaryAttr::get(module.getContext());
    for (Attribute &a : attrs)
      a = a ? a : nothing;
    backward.setAllResultAttrs(ArrayRef<Attribute>(attrs));
    for (auto [i, leaf] : llvm::enumerate(leaves))
      backward.setResultAttr(first + i, "r1.name",
                             StringAttr::get(module.getContext(), "grad:" + leaf.getPath()));
  }
  return success();
}

/// Canonicalisation and common subexpressions, to a fixed point of the former.
static LogicalResult simplify(ModuleOp module) {
  RewritePatternSet patterns(module.getContext());
  for (Dialect *dialect : module.getContext()->getLoadedDialects())
    dialect->getCanonicalizationPatterns(patterns);
  for (RegisteredOperationName name : module.getContext()->getRegisteredOperations())
    name.getCanonicalizationPatterns(patterns, module.getContext());
  FrozenRewritePatternSet frozen(std::move(patterns));
  for (int i = 0; i < 2; ++i) {
    if (failed(applyPatternsGreedily(module, frozen)))
      return module.emitError("canonicalisation did not converge");
    IRRewriter rewriter(module.getContext());
    DominanceInfo dominance(module);
    eliminateCommonSubExpressions(rewriter, dominance, module);
  }
  return success();
}

LogicalResult r1::runGrad(ModuleOp module) {
  // Views folded first: a parameter read through one is then recognised as itself.
  if (failed(simplify(module)) || failed(lowerGradOps(module)))
    return failure();
  WalkResult walked = module.walk([](ModuleOp m) {
    return failed(addBackward(m)) ? WalkResult::interrupt() : WalkResult::advance();
  });
  return walked.wasInterrupted() ? failure() : simplify(module);
}
