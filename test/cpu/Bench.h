// GFLOP/s of kernels against the FMA peak measured in the same run.
#pragma once
#include "compiler/cpu/Cpu.h"

namespace r1::cpu {

/// Runs each kern.product (GFLOP/s) and kern.kernel (GB/s of its arguments) `reps` times on
/// `threads` threads, interleaved with the FMA loop, and prints the best of each.
int benchProducts(mlir::ModuleOp module, const CompiledKernels &compiled, int threads, int reps);

} // namespace r1::cpu
