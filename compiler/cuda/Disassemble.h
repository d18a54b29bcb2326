// Machine code of a kernel as text, where NVIDIA's disassembler is installed.
#pragma once
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"
#include <string>

namespace r1::cuda {

/// The instructions of `cubin` with the lines of the source they come from, as `nvdisasm` prints them. It is
/// $R1_NVDISASM, or found in $PATH, $CUDA_HOME/bin or /usr/local/cuda/bin. The error says how to get it.
llvm::Expected<std::string> disassemble(llvm::StringRef cubin);

} // namespace r1::cuda
