#include "compiler/cpu/Schedule.h"

using namespace mlir;
using namespace r1;
using namespace r1::cpu;

FailureOr<func::FuncOp> r1::cpu::scheduleIntrinsic(OpBuilder &b, kern::IntrinsicOp op,
                                                   const Target &t) {
  return op.emitOpError("is not supported yet on the CPU: no schedule for \"")
             << op.getName() << "\"",
         failure();
}
