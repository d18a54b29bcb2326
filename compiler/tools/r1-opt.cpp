// r1-opt: every pass of the compiler on text, for tests and for looking.
#include "compiler/grad/Passes.h"
#include "dialects/kern/Kern.h"
#include "dialects/r1/R1.h"
#include "mlir/InitAllDialects.h"
#include "mlir/InitAllPasses.h"
#include "mlir/Tools/mlir-opt/MlirOptMain.h"
#ifdef R1_DECODE_PASSES
#include R1_DECODE_PASSES
#endif
#ifdef R1_SHARD_PASSES
#include R1_SHARD_PASSES
#endif
#ifdef R1_FUSE_PASSES
#include R1_FUSE_PASSES
#endif
#ifdef R1_PLAN_PASSES
#include R1_PLAN_PASSES
#endif
#ifdef R1_CPU_PASSES
#include R1_CPU_PASSES
#endif

int main(int argc, char **argv) {
  mlir::DialectRegistry registry;
  mlir::registerAllDialects(registry);
  registry.insert<r1::ir::R1Dialect, r1::kern::KernDialect>();
#ifdef R1_CPU_PASSES
  r1::cpu::registerCpuDialects(registry);
#endif
  mlir::registerAllPasses();
  r1::registerGradPasses();
#ifdef R1_DECODE_PASSES
  r1::registerDecodePasses();
#endif
#ifdef R1_SHARD_PASSES
  r1::registerShardPasses();
#endif
#ifdef R1_FUSE_PASSES
  r1::registerFusePasses();
#endif
#ifdef R1_PLAN_PASSES
  r1::registerPlanPasses();
#endif
#ifdef R1_CPU_PASSES
  r1::cpu::registerCpuPasses();
#endif
  return failed(mlir::MlirOptMain(argc, argv, "r1c's passes on MLIR text\n", registry));
}
