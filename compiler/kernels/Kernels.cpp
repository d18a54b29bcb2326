#include "compiler/kernels/Kernels.h"
#include "compiler/kernels/CacheWrite.h"
#include "compiler/kernels/FlashAttention.h"
#include "mlir/IR/IRMapping.h"

using namespace mlir;
using namespace r1;
using namespace r1::ir;

static const KernelDef kernels[] = {
    {"flash_attention", flash::keepForAdjoint, flash::adjoint, flash::reference, flash::flops},
    {"flash_attention_bwd", nullptr, nullptr, flash::backwardReference, flash::backwardFlops},
    {"cache_write", nullptr, nullptr, cache::writeReference},
    {"cache_fill", nullptr, nullptr, cache::fillReference},
};

const KernelDef *r1::findKernel(StringRef name) {
  for (const KernelDef &def : kernels)
    if (name == def.name)
      return &def;
  return nullptr;
}

/// The first result, from the function that `body` names.
static FailureOr<Value> callBody(OpBuilder &b, KernelOp op) {
  auto fn = SymbolTable::lookupNearestSymbolFrom<func::FuncOp>(op, op.getBodyAttr());
  if (!fn || fn.isExternal())
    return op.emitError() << "the reference body " << op.getBodyAttr() << " does not exist";
  SmallVector<Value> operands(op.getIns());
  operands.append(op.getCaptures().begin(), op.getCaptures().end());
  if (fn.getNumArguments() != operands.size())
    return op.emitError() << "the reference body " << op.getBodyAttr() << " takes "
                          << fn.getNumArguments() << " arguments, but the kernel has "
                          << operands.size();
  IRMapping map;
  map.map(fn.getArguments(), operands);
  for (Operation &o : fn.front().without_terminator())
    b.clone(o, map);
  return map.lookup(fn.front().getTerminator()->getOperand(0));
}

LogicalResult r1::inlineKernelBody(KernelOp op) {
  OpBuilder b(op);
  SmallVector<Value> results(op.getNumResults());
  bool rest = llvm::any_of(op.getResults().drop_front(op.getBody() ? 1 : 0),
                           [](Value r) { return !r.use_empty(); });
  if (rest) {
    const KernelDef *def = findKernel(op.getKernelName());
    if (!def || !def->reference)
      return op.emitError() << "kernel \"" << op.getKernelName()
                            << "\" has no reference for its results";
    auto values = def->reference(b, op);
    if (failed(values))
      return failure();
    results = *values;
  }
  if (op.getBody() && !op.getResult(0).use_empty()) {
    auto first = callBody(b, op);
    if (failed(first))
      return failure();
    results[0] = *first;
  }
  for (auto [old, value] : llvm::zip_equal(op.getResults(), results))
    if (value) {
      // The type of the kernel's result stays, so that users outside of r1 keep theirs.
      if (value.getType() != old.getType() && value.getDefiningOp())
        value.setType(old.getType());
      old.replaceAllUsesWith(value);
    }
  op.erase();
  return success();
}

LogicalResult r1::inlineKernelBodies(Operation *root, llvm::function_ref<bool(KernelOp)> which) {
  SmallVector<KernelOp> found;
  root->walk([&](KernelOp op) {
    if (!which || which(op))
      found.push_back(op);
  });
  for (KernelOp op : found)
    if (failed(inlineKernelBody(op)))
      return failure();
  return success();
}
