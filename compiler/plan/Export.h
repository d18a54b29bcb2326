// The planned module as the C structures that the runtime reads.
#pragma once
#include "mlir/IR/BuiltinOps.h"
#include "runtime/r1rt.h"
#include "llvm/ADT/STLFunctionalExtras.h"
#include <deque>
#include <memory>
#include <string>
#include <vector>

namespace r1 {

/// Machine code of a kernel: a function of this process, `scratchBytes` per thread, or the function
/// `entry` of an image for a device, with its grid (or both, where a device is emulated); or none,
/// where a device's library does the product.
struct KernelCode {
  r1_kernel_fn fn = nullptr;
  uint64_t scratchBytes = 0;
  std::string entry = "";
  llvm::StringRef image = {}; // kept alive by the caller
  uint32_t blocks = 0, blockThreads = 0;
  const r1_product *product = nullptr; // kept alive by the caller
  uint32_t sharedBytes = 0;            // of dynamic shared memory
  llvm::ArrayRef<r1_tensor_map> maps = {}; // kept alive by the caller
};

/// `module` points into the other members.
struct ExportedModule {
  r1_module module = {};
  std::deque<std::string> names;
  std::vector<r1_kernel> kernels;
  r1_kernel sum = {};
  std::vector<r1_leaf> leaves;
  std::vector<r1_field> states, caches;
  std::vector<r1_program> programs;
  std::vector<r1_constant> constants;
  std::deque<std::vector<r1_op>> ops;
  std::deque<std::vector<r1_arg>> args;
  std::deque<std::vector<r1_field>> fields;
  std::deque<std::vector<r1_region>> regions;
};

/// `codeOf` gives the code of the kernel of a name, and of `r1_sum` (r1_module.sum) if there is one. On failure returns null; an error was emitted.
std::unique_ptr<ExportedModule>
exportModule(mlir::ModuleOp planned, llvm::function_ref<KernelCode(llvm::StringRef)> codeOf);

} // namespace r1
