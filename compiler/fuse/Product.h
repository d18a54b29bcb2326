// From a contract to the sizes and strides of kern.product.
#pragma once
#include "compiler/fuse/Group.h"
#include "compiler/fuse/Index.h"

namespace r1::fuse {

struct ProductPlan {
  mlir::Value a, b;                 // values in memory
  llvm::SmallVector<int64_t> sizes; // m, n, k
  llvm::SmallVector<int64_t> batch;
  llvm::SmallVector<int64_t> strideA, strideB, strideC; // batch…, then (m, k), (k, n), (m, n)
  /// The loop dims behind g, m and n, outermost first.
  llvm::SmallVector<unsigned> batchDims, mDims, nDims;
  llvm::SmallVector<int64_t> loops; // sizes of the contract's dims
};

/// Empty if the summed dims do not step through both operands as one.
std::optional<ProductPlan> planProduct(ir::ContractOp op, const Values &values,
                                       llvm::function_ref<bool(mlir::Value)> mayFold);

/// Copies operands whose summed dims do not lie in one piece into a layout where they do.
void normalizeContracts(mlir::ModuleOp module);

} // namespace r1::fuse
