#include "compiler/grad/Passes.h"
#include "compiler/grad/Grad.h"
#include "compiler/kernels/Kernels.h"

using namespace mlir;
using namespace r1;

namespace {

struct GradPass : PassWrapper<GradPass, OperationPass<ModuleOp>> {
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(GradPass)
  StringRef getArgument() const override { return "r1-grad"; }
  StringRef getDescription() const override {
    return "adds @backward to each stage with a loss; lowers r1.grad";
  }
  void runOnOperation() override {
    if (failed(runGrad(getOperation())))
      signalPassFailure();
  }
};

struct InlineKernelsPass : PassWrapper<InlineKernelsPass, OperationPass<ModuleOp>> {
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(InlineKernelsPass)
  StringRef getArgument() const override { return "r1-inline-kernels"; }
  StringRef getDescription() const override {
    return "replaces every r1.kernel by its reference body";
  }
  void runOnOperation() override {
    if (failed(inlineKernelBodies(getOperation())))
      signalPassFailure();
  }
};

} // namespace

void r1::registerGradPasses() {
  PassRegistration<GradPass>();
  PassRegistration<InlineKernelsPass>();
  registerGradTestPasses();
}
