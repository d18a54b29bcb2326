// Scheduled functions -> LLVM dialect -> optimised LLVM IR. Internal to compiler/cpu; see Cpu.h.
#pragma once
#include "compiler/cpu/Cpu.h"
#include "llvm/IR/LLVMContext.h"
#include "llvm/IR/Module.h"
#include "llvm/Target/TargetMachine.h"

namespace r1::cpu {

/// Lowers every func.func that carries r1.scratch_bytes: @name becomes the entry with the ABI of
/// r1_kernel_fn, which calls the private @name.body; @name.scratch is an i64 with the bytes of
/// scratch memory per thread.
llvm::LogicalResult lowerToLlvm(mlir::ModuleOp module);

llvm::Expected<std::unique_ptr<llvm::TargetMachine>> targetMachine(const Target &target);

/// Translates a lowered module and optimises it for `machine`.
llvm::Expected<std::unique_ptr<llvm::Module>>
toLlvm(mlir::ModuleOp module, llvm::LLVMContext &context, llvm::TargetMachine &machine);

/// Object code, or assembly text.
llvm::Expected<llvm::SmallString<0>> toMachineCode(llvm::Module &module,
                                                   llvm::TargetMachine &machine, bool text);

} // namespace r1::cpu
