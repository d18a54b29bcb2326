// The dull scalar interpreter of kern kernels: the oracle of every schedule.
#pragma once
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Operation.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/Support/Error.h"

namespace r1::cpu {

/// The memref arguments of a kern.kernel, kern.product or kern.intrinsic.
llvm::SmallVector<mlir::MemRefType> memrefTypes(mlir::Operation *kernel);

/// Runs a kern.kernel, kern.product or kern.intrinsic (attention) on row-major (or strided) host
/// memory: args[i] points at the first byte of its i-th memref argument; bools are bytes. Sums take
/// the order that KernOps.td defines, element by element; functions are libm's in f64, rounded.
llvm::Error interpret(mlir::Operation *kernel, llvm::ArrayRef<void *> args);

/// Bytes of an element in memory, and elements of a memref argument.
int64_t storedBytes(mlir::Type element);
int64_t elementCount(mlir::Type memref);
double readElement(mlir::Type element, const void *base, int64_t at);

} // namespace r1::cpu
