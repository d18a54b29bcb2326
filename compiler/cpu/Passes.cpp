#include "compiler/cpu/Cpu.h"
#include "compiler/cpu/Lower.h"
#include "mlir/Pass/PassRegistry.h"

using namespace mlir;
using namespace r1::cpu;

namespace {

struct KernToCpu : PassWrapper<KernToCpu, OperationPass<ModuleOp>> {
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(KernToCpu)
  KernToCpu() = default;
  KernToCpu(const KernToCpu &other) : PassWrapper(other) {}
  StringRef getArgument() const override { return "kern-to-cpu"; }
  StringRef getDescription() const override {
    return "schedule kernels for a CPU: vectors, tiles, threads";
  }
  void getDependentDialects(DialectRegistry &registry) const override {
    registerCpuDialects(registry);
  }
  void runOnOperation() override {
    Target t = Target::host();
    if (lanes) {
      t.lanes = lanes;
      if (lanes == 16)
        t.tileRows = 8, t.tileVectors = 3;
      else if (lanes == 8)
        t.tileRows = 6, t.tileVectors = 2;
      else
        t.tileRows = 8, t.tileVectors = 2;
    }
    if (failed(scheduleKernels(getOperation(), t)))
      signalPassFailure();
  }
  Option<int64_t> lanes{*this, "lanes",
                        llvm::cl::desc("f32 per vector: 16, 8 or 4 (0: this machine's)"),
                        llvm::cl::init(0)};
};

struct CpuToLlvm : PassWrapper<CpuToLlvm, OperationPass<ModuleOp>> {
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(CpuToLlvm)
  StringRef getArgument() const override { return "cpu-to-llvm"; }
  StringRef getDescription() const override {
    return "lower scheduled kernels to the LLVM dialect";
  }
  void getDependentDialects(DialectRegistry &registry) const override {
    registerCpuDialects(registry);
  }
  void runOnOperation() override {
    if (failed(lowerToLlvm(getOperation())))
      signalPassFailure();
  }
};

} // namespace

void r1::cpu::registerCpuPasses() {
  PassRegistration<KernToCpu>();
  PassRegistration<CpuToLlvm>();
}
