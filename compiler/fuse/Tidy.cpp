// What can be said of an emitted kernel's indices: how far an argument moves per row, and which
// row dims every access steps through as one.
#include "compiler/fuse/Index.h"
#include "compiler/fuse/Program.h"

using namespace mlir;
namespace r1::fuse {

namespace {

/// The coefficient of `index` in `apply`; null where it is not linear in it.
std::optional<int64_t> coefficient(affine::AffineApplyOp apply, Value index) {
  Dims dims(index.getContext());
  for (unsigned i = 0; i < apply.getOperands().size(); ++i)
    dims.add(0);
  int64_t sum = 0;
  for (auto [term, k] : toLinear(apply.getAffineMap().getResult(0), dims).terms)
    for (auto [i, operand] : llvm::enumerate(apply.getOperands()))
      if (operand == index && term.isFunctionOfDim(i)) {
        if (!isa<AffineDimExpr>(term))
          return std::nullopt;
        sum += k;
      }
  return sum;
}

/// Every position is a function of outer * size + inner.
bool stepsAsOne(Value outer, Value inner, int64_t size) {
  for (Value index : {outer, inner})
    for (Operation *user : index.getUsers()) {
      auto apply = dyn_cast<affine::AffineApplyOp>(user);
      if (!apply)
        return false;
      auto a = coefficient(apply, outer), b = coefficient(apply, inner);
      if (!a || !b || *a != *b * size)
        return false;
    }
  return true;
}

} // namespace

std::optional<int64_t> stepOf(Value memref, Value index) {
  std::optional<int64_t> step;
  for (Operation *user : memref.getUsers()) {
    Value at = isa<memref::LoadOp>(user) ? user->getOperand(1) : user->getOperand(2);
    std::optional<int64_t> here = at == index ? 1 : 0;
    if (auto apply = at.getDefiningOp<affine::AffineApplyOp>())
      here = coefficient(apply, index);
    if (!here || (step && *step != *here))
      return std::nullopt;
    step = here;
  }
  return step.value_or(0);
}

void tidyKernel(kern::KernelOp kernel) {
  Block *body = kernel.getBlock();
  SmallVector<int64_t> rows(kernel.getRows());
  for (int i = int(rows.size()) - 2; i >= 0; --i) {
    Value outer = body->getArgument(i), inner = body->getArgument(i + 1);
    if (!stepsAsOne(outer, inner, rows[i + 1]))
      continue;
    for (Operation *user : llvm::make_early_inc_range(outer.getUsers())) {
      auto apply = cast<affine::AffineApplyOp>(user);
      AffineMap map = apply.getAffineMap();
      SmallVector<AffineExpr> dims;
      SmallVector<Value> operands;
      for (Value operand : apply.getOperands()) {
        // The inner index now counts all rows of both dims.
        if (operand == outer) {
          dims.push_back(getAffineConstantExpr(0, map.getContext()));
          continue;
        }
        dims.push_back(getAffineDimExpr(operands.size(), map.getContext()));
        operands.push_back(operand);
      }
      OpBuilder b(apply);
      AffineExpr e = map.getResult(0).replaceDims(dims);
      Value at = operands.size() == 1 && e == getAffineDimExpr(0, map.getContext())
                     ? operands[0]
                     : Value(affine::AffineApplyOp::create(
                           b, apply.getLoc(),
                           AffineMap::get(operands.size(), 0, e, map.getContext()), operands));
      apply.getResult().replaceAllUsesWith(at);
      apply.erase();
    }
    rows[i + 1] *= rows[i];
    rows.erase(rows.begin() + i);
    body->eraseArgument(i);
  }
  kernel.setRows(rows);
}

} // namespace r1::fuse
