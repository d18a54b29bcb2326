// Kernels of a module: their names, and that equal ones exist once.
#include "compiler/fuse/Program.h"
#include "mlir/IR/Dominance.h"
#include "mlir/Transforms/CSE.h"

using namespace mlir;
namespace r1::fuse {

namespace {

/// The line of the innermost place in a source file.
unsigned lineOf(Location loc) {
  if (auto file = dyn_cast<FileLineColLoc>(loc))
    return file.getLine();
  if (auto name = dyn_cast<NameLoc>(loc))
    return lineOf(name.getChildLoc());
  if (auto call = dyn_cast<CallSiteLoc>(loc))
    return lineOf(call.getCallee());
  if (auto fused = dyn_cast<FusedLoc>(loc))
    for (Location part : fused.getLocations())
      if (unsigned line = lineOf(part))
        return line;
  return 0;
}

/// What an op is called in a kernel's name: a map by its last step.
StringRef wordOf(Operation *op) {
  if (auto map = dyn_cast<ir::MapOp>(op)) {
    Operation *last = map.getBlock()->getTerminator()->getOperand(0).getDefiningOp();
    if (!last)
      return "copy";
    StringRef word = last->getName().stripDialect();
    if (word.ends_with("f") || word.ends_with("i"))
      word = word.drop_back();
    return word;
  }
  if (auto reduce = dyn_cast<ir::ReduceOp>(op))
    return ir::stringifyReduceKind(reduce.getKind());
  if (isa<ir::ContractOp>(op))
    return "product";
  if (auto kernel = dyn_cast<ir::KernelOp>(op))
    return kernel.getKernelName();
  return op->getName().stripDialect();
}

} // namespace

std::string kernelName(const Group &group) {
  // At most three words: the reductions and products say most.
  SmallVector<StringRef> words;
  for (bool heavy : {true, false})
    for (Operation *op : group.ops)
      if (!isa<ir::MapOp, ir::ReshapeOp, arith::ConstantOp>(op) == heavy && words.size() < 3 &&
          !llvm::is_contained(words, wordOf(op)))
        words.push_back(wordOf(op));
  std::string name = llvm::join(words, "_");
  if (unsigned line = lineOf(group.ops.back()->getLoc()))
    name += "_l" + std::to_string(line);
  return name;
}

StringAttr ModuleState::uniqueKernel(Operation *op, StringRef name) {
  IRRewriter rewriter(op->getContext());
  DominanceInfo dominance;
  eliminateCommonSubExpressions(rewriter, dominance, op);
  // Names and places do not count; SSA names are numbered in order.
  SymbolTable::setSymbolName(op, "k");
  std::string text;
  llvm::raw_string_ostream os(text);
  op->print(os, OpPrintingFlags().printGenericOpForm().useLocalScope());
  auto [it, isNew] = kernels.try_emplace(text, op);
  if (!isNew) {
    op->erase();
    return SymbolTable::getSymbolName(it->second);
  }
  SymbolTable::setSymbolName(op, freshSymbol(name));
  return SymbolTable::getSymbolName(op);
}

} // namespace r1::fuse
