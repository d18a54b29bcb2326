// The CPU target: kern kernels -> vectors, register-blocked products -> machine code.
//
//   kern.kernel / kern.product / kern.intrinsic
//     -- Schedule*.cpp -->  func + scf + vector + memref + arith      (--emit=cpu)
//     -- Lower.cpp     -->  LLVM dialect -> LLVM IR, O3               (--emit=llvm)
//     -- Jit.cpp       -->  object code, cached on disk by content    (--emit=asm)
//
// The driver calls compileKernels() with the module that `plan` left and fills r1_kernel from what
// it returns. Kernels obey r1_kernel_fn (runtime/r1rt.h): they split their own work over the
// threads that call them, and their bits depend neither on `threads` nor on the machine's vector
// width.
#pragma once
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"
#include "mlir/Pass/Pass.h"
#include "runtime/r1rt.h"
#include "llvm/Support/Error.h"
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace r1::cpu {

/// What a machine offers to a schedule. Speed only: bits are the same for every value.
struct Target {
  std::string triple, cpu, features; // LLVM's names
  int64_t lanes = 16;                // f32 per vector register: 16 AVX-512, 8 AVX2, 4 NEON
  int64_t tileRows = 8;              // the product's register tile: rows of A …
  int64_t tileVectors = 3;           // … by vectors of B
  int64_t blockK = 1024, blockM = 256, blockN = 3072; // upper bounds of the product's cache blocks

  /// The machine this process runs on.
  static Target host();
};

enum class Level { Cpu, Llvm, Asm };

struct Options {
  Target target = Target::host();
  /// Object code is kept here by content; empty: no cache. Created when missing. A cache that
  /// cannot be read or written costs time, never correctness.
  std::string cacheDir;
  /// Threads that compile (each with contexts of its own); 0: one per processor.
  unsigned threads = 0;
};

/// Loaded code. Function pointers live as long as this object.
class CompiledKernels {
public:
  struct Kernel {
    std::string name; // the kernel's symbol
    r1_kernel_fn fn = nullptr;
    uint64_t scratchBytes = 0; // per thread
    bool cached = false;       // its code came from the cache
  };
  const std::vector<Kernel> &kernels() const { return list; }
  const Kernel *find(llvm::StringRef symbol) const;

  CompiledKernels();
  CompiledKernels(CompiledKernels &&) noexcept;
  CompiledKernels &operator=(CompiledKernels &&) noexcept;
  ~CompiledKernels();

private:
  friend llvm::Expected<CompiledKernels> compileKernels(mlir::ModuleOp, const Options &);
  struct Code;
  std::unique_ptr<Code> code;
  std::vector<Kernel> list;
};

/// Compiles every kern.kernel, kern.product and kern.intrinsic of `module` (other operations are
/// left alone), in the order in which they stand. Equal kernels (up to their names) are compiled
/// once. What the scheduler cannot do is emitted as a diagnostic of `module`'s context, at its
/// place, and said again in the error.
///
/// What a launch promises to a kernel: an argument that the kernel writes overlaps no other
/// argument. Only a kern.kernel "along row" without sweeps may get the same buffer twice, if it
/// reads and writes it at equal indices.
llvm::Expected<CompiledKernels> compileKernels(mlir::ModuleOp module, const Options &options);

/// One level of `module`'s kernels as text; `Level::Cpu` keeps their locations.
llvm::Expected<std::string> emitLevel(mlir::ModuleOp module, Level level, const Target &target);

/// Replaces every kernel of `module` by its scheduled function (attribute r1.scratch_bytes).
llvm::LogicalResult scheduleKernels(mlir::ModuleOp module, const Target &target);

/// The dialects that scheduled functions and their lowering use.
void registerCpuDialects(mlir::DialectRegistry &registry);
/// --kern-to-cpu (schedule for this machine), --cpu-to-llvm (lower what it leaves).
void registerCpuPasses();

} // namespace r1::cpu
