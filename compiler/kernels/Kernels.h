// The registry of `@kernel` intrinsics: the one place in the compiler that knows their names.
#pragma once
#include "dialects/r1/R1.h"

namespace r1 {

/// One intrinsic. Shapes are those of the builders in Kernels.cpp's files, one per kernel.
struct KernelDef {
  const char *name;

  /// The same kernel with the results that its adjoint needs (it may be `op` itself); uses of
  /// op's results are moved over and `op` is erased when it is replaced. Null: nothing to add.
  ir::KernelOp (*keepForAdjoint)(ir::KernelOp op) = nullptr;

  /// Adjoints of `ins`, from those of the results (null where nothing flows back). Null: the
  /// reference body is differentiated instead.
  mlir::FailureOr<llvm::SmallVector<mlir::Value>> (*adjoint)(
      mlir::OpBuilder &b, ir::KernelOp op, llvm::ArrayRef<mlir::Value> resultAdjoints) = nullptr;

  /// The results in other ops of r1, for results that the body symbol does not define.
  mlir::FailureOr<llvm::SmallVector<mlir::Value>> (*reference)(mlir::OpBuilder &b,
                                                               ir::KernelOp op) = nullptr;

  /// Operations of its products, two for each multiplication and addition, from the shapes of its first
  /// two inputs. Null: none.
  uint64_t (*flops)(llvm::ArrayRef<int64_t> first, llvm::ArrayRef<int64_t> second) = nullptr;
};

/// The kernel called `name`, or null: then only its reference body is known.
const KernelDef *findKernel(llvm::StringRef name);

/// Replaces `op` by its reference: the body's function for the first result, the registry for the
/// others. Fails with a message at the op when neither defines a result that is used.
mlir::LogicalResult inlineKernelBody(ir::KernelOp op);

/// Every r1.kernel below `root` that `which` selects (all, when it is null).
mlir::LogicalResult inlineKernelBodies(mlir::Operation *root,
                                       llvm::function_ref<bool(ir::KernelOp)> which = nullptr);

} // namespace r1
