// Images and their functions: shared libraries of emulated kernels (runtime/emu).
#pragma once
#include "runtime/device/Device.h"
#include "runtime/emu/Emu.h"
#include "runtime/r1rt.h"
#include <cuda.h>
#include <memory>
#include <string>
#include <vector>

namespace fake {

struct Function {
  r1_kernel_fn run;
  r1emu_kernel what; // as its entry says
  int maps;          // tensor maps that it takes behind its arguments
};

class Module {
public:
  /// An ELF file, as its header describes it; or PTX of the stand-in of NVRTC, with a zero at its end.
  explicit Module(const void *image);
  ~Module();
  Module(const Module &) = delete;
  Module &operator=(const Module &) = delete;
  Function *find(const std::string &name);

private:
  int file = -1; // open as long as the library: the loader knows it by this number
  void *library = nullptr;
  std::vector<std::unique_ptr<Function>> functions;
};

/// Runs a kernel with all processors; throws what the emulator finds wrong.
void runKernel(const Function &f, std::vector<void *> args);

} // namespace fake
