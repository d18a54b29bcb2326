// The CUDA target: kern kernels -> CUDA C++ text.
//
//   kern.kernel / kern.product / kern.intrinsic
//     -- Emit*.cpp -->  a body over the prelude's device functions      (--emit=cuda)
//     -- runtime/nvrtc  -->  PTX and machine code of a device           (--emit=ptx, cubin)
//     -- Emulate.cpp -->  the same text compiled for the host           (--target cuda-emu)
//
// The emitted text includes only the prelude ("r1.cuh"), which travels inside the program.
#pragma once
#include "mlir/IR/BuiltinOps.h"
#include "runtime/r1rt.h"
#include "llvm/Support/Error.h"
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace r1::cuda {

struct EmitOptions {
  std::string arch; // whose instructions may be used: "sm_90a" has wgmma. Empty: those of sm_80
  /// How a product is computed does not depend on the number of rows of a batch.
  bool exact = false;
  bool library = false; // cuBLASLt does the products that it can; the device's bits are then its own
};

/// One kernel as text, and how it is launched: `blocks` blocks of `threads` threads, arguments in
/// the order of kern.launch. Or, where `product` is set, what the library is to do: there is then no
/// kernel, and the text says so.
struct Source {
  std::string kernel; // the symbol in the module
  std::string name;   // the function in the text
  std::string text;
  std::string how; // how the work is divided, in words
  int64_t blocks = 1, threads = 1;
  std::optional<r1_product> product = {};
  int64_t sharedBytes = 0;              // of dynamic shared memory, for each block
  std::vector<r1_tensor_map> maps = {}; // that follow the arguments
};

/// Every kern.kernel, kern.product and kern.intrinsic of `module`, in the order in which they
/// stand. What the target cannot do is emitted as a diagnostic of the module's context.
llvm::Expected<std::vector<Source>> emitModule(mlir::ModuleOp module, const EmitOptions &options = {});

/// The kernel of r1_module.sum.
Source sumOfShards();

/// The prelude's files, by the names that they are included under.
const std::vector<std::pair<std::string, std::string>> &prelude();

} // namespace r1::cuda
