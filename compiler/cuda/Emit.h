// From one kernel of kern to the body of one CUDA kernel. Internal to compiler/cuda; see Cuda.h.
#pragma once
#include "compiler/cuda/Body.h"
#include "compiler/cuda/Cuda.h"
#include "runtime/r1rt.h"
#include <vector>

namespace r1::cuda {

/// How a kernel is launched: a one-dimensional grid.
struct Grid {
  int64_t blocks = 1, threads = 128;
  int64_t residents = 1; // blocks for which a multiprocessor is to have registers
};

/// A kernel while it is being printed: what stands before it, its arguments, its body.
struct Kernel {
  std::string name;                 // C++ identifier
  llvm::SmallVector<Arg> args;      // in the order of a launch
  Text before, body{1};             // functors; the statements between the braces
  MathFunctions math;
  Grid grid;
  int64_t sharedBytes = 0;          // of dynamic shared memory
  std::vector<r1_tensor_map> maps;  // parameters after the arguments, called map0, map1, ...
  std::string why;                  // how the work is divided, for the reader
};

llvm::LogicalResult emitKernel(kern::KernelOp op, Kernel &k);
/// Of a kernel along "row": chains over many rows with few columns, and sums into rows that an index
/// chooses, each by whole blocks. Nothing is printed if the kernel is neither.
std::optional<llvm::LogicalResult> emitColumns(kern::KernelOp op, Kernel &k);
/// Does a device have wgmma? `arch` as in EmitOptions.
inline bool hasWgmma(llvm::StringRef arch) { return arch == "sm_90a"; }
/// Is a product, with the arguments of `k`, made by wgmma?
bool usesWgmma(kern::ProductOp op, const EmitOptions &options, const Kernel &k);
llvm::LogicalResult emitProduct(kern::ProductOp op, const EmitOptions &options, Kernel &k);
llvm::LogicalResult emitAttention(kern::IntrinsicOp op, const EmitOptions &options, Kernel &k);

// What kernels of all forms are made of.

/// At the end of `k.body`, with the memrefs of `op` bound to its arguments.
Body begin(kern::KernelOp op, Kernel &k, int64_t width);
/// Binds the row indices from the number of a unit; a unit is `width` rows of the innermost dim.
void bindRows(kern::KernelOp op, Body &body, llvm::StringRef unit, int64_t width);
/// Where a chain without `init` starts, as a literal.
std::string identity(kern::Combine kind, mlir::Type type);

inline int64_t product(llvm::ArrayRef<int64_t> v) {
  int64_t n = 1;
  for (int64_t x : v)
    n *= x;
  return n;
}
inline int64_t ceilDiv(int64_t x, int64_t y) { return (x + y - 1) / y; }

} // namespace r1::cuda
