// What a launch of a kernel has to do at least: for profiles, which hold it against what a machine can do.
#pragma once
#include "mlir/IR/BuiltinOps.h"

namespace r1 {

struct Work {
  uint64_t bytes = 0; // read and written, each element of an argument once, as if caches held what is read again
  uint64_t flops = 0; // of products: two for each multiplication and addition. Others count none
};

/// Of a kern.kernel, kern.product or kern.intrinsic. A registered kernel says itself what it multiplies.
Work workOf(mlir::Operation *kernel);

/// Of all programs of a planned module, their loops turned.
Work workOfPrograms(mlir::ModuleOp module);

} // namespace r1
