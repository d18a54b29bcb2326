// The emitted text compiled for the host and run under the emulator (runtime/emu): CUDA kernels
// without a GPU, for tests and for finding mistakes in kernels.
#pragma once
#include "compiler/cuda/Cuda.h"
#include "llvm/ADT/StringMap.h"

namespace r1::cuda {

struct EmulateOptions {
  std::string cacheDir; // libraries are kept here by content; empty: in a folder that is removed
  unsigned threads = 0; // that compile; 0: one per processor
  /// The prelude; tests give one with mistakes.
  std::vector<std::pair<std::string, std::string>> files = prelude();
};

/// Loaded kernels with the ABI of r1_kernel_fn. Functions live as long as this object.
class EmulatedKernels {
public:
  struct Kernel {
    r1_kernel_fn fn = nullptr;
    bool cached = false;
  };
  const Kernel *find(llvm::StringRef symbol) const {
    auto it = kernels.find(symbol);
    return it == kernels.end() ? nullptr : &it->second;
  }

private:
  friend llvm::Expected<EmulatedKernels> emulate(const std::vector<Source> &,
                                                 const EmulateOptions &);
  std::shared_ptr<void> libraries;
  llvm::StringMap<Kernel> kernels;
};

/// Compiles each kernel into a small library with clang++ or g++, and loads it. The error names the
/// compiler that is missing, or the kernel that does not compile, with what the compiler said.
llvm::Expected<EmulatedKernels> emulate(const std::vector<Source> &sources,
                                        const EmulateOptions &options);

/// The first mistake that the emulator has seen, for r1_module.fault.
const char *emulationFault();

} // namespace r1::cuda
