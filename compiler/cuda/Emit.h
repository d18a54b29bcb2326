// From one kernel of kern to the body of one CUDA kernel. Internal to compiler/cuda; see Cuda.h.
#pragma once
#include "compiler/cuda/Body.h"

namespace r1::cuda {

/// How a kernel is launched: a one-dimensional grid.
struct Grid {
  int64_t blocks = 1, threads = 128;
};

/// A kernel while it is being printed: what stands before it, its arguments, its body.
struct Kernel {
  std::string name;                 // C++ identifier
  llvm::SmallVector<Arg> args;      // in the order of a launch
  Text before, body{1};             // functors; the statements between the braces
  MathFunctions math;
  Grid grid;
  std::string why;                  // how the work is divided, for the reader
};

llvm::LogicalResult emitKernel(kern::KernelOp op, Kernel &k);
llvm::LogicalResult emitProduct(kern::ProductOp op, Kernel &k);
llvm::LogicalResult emitAttention(kern::IntrinsicOp op, Kernel &k);

inline int64_t product(llvm::ArrayRef<int64_t> v) {
  int64_t n = 1;
  for (int64_t x : v)
    n *= x;
  return n;
}
inline int64_t ceilDiv(int64_t x, int64_t y) { return (x + y - 1) / y; }

} // namespace r1::cuda
