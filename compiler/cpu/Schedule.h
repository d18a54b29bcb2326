// kern -> scheduled functions (the `cpu` level). Internal to compiler/cpu; see Cpu.h.
//
// Each kernel becomes
//   func.func @name(%m0: memref<..>, …, %scratch: memref<..xf32>, %tid: index, %threads: index)
// over flat memrefs (bools as i8); `%scratch` is there only if the attribute `r1.scratch_bytes` >
// 0. A launch calls it once per thread; each thread takes a contiguous share that depends on `tid`
// and `threads` only, and no element's value depends on the share it fell in.
#pragma once
#include "compiler/cpu/Cpu.h"
#include "compiler/cpu/Lanes.h"
#include "dialects/kern/Kern.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace r1::cpu {

/// The function of one kernel while it is being written; `b` inserts into its body.
struct KernelFunc {
  mlir::func::FuncOp func;
  llvm::DenseMap<mlir::Value, Mem> mems; // by the kern block argument
  llvm::SmallVector<Mem> list;           // in argument order
  mlir::Value scratch;                   // memref<… x f32>, 64-byte aligned; null without
  mlir::Value tid, threads;              // index
};

/// Starts @name with the memrefs `args`; `writes` numbers those that are stored to, `scratch`
/// counts f32 elements per thread. Fails on types that have no static layout.
llvm::FailureOr<KernelFunc> beginKernel(mlir::OpBuilder &b, mlir::Operation *op,
                                        llvm::StringRef name, mlir::ValueRange args,
                                        llvm::ArrayRef<int64_t> writes, int64_t scratch);
void endKernel(mlir::OpBuilder &b, KernelFunc &k);

/// Index arithmetic at the insertion point; folds constants.
struct Index {
  mlir::OpBuilder &b;
  mlir::Location loc;
  mlir::Value c(int64_t v) const;
  mlir::Value add(mlir::Value x, mlir::Value y) const;
  mlir::Value add(mlir::Value x, int64_t y) const;
  mlir::Value sub(mlir::Value x, mlir::Value y) const;
  mlir::Value mul(mlir::Value x, mlir::Value y) const;
  mlir::Value mul(mlir::Value x, int64_t y) const;
  mlir::Value div(mlir::Value x, mlir::Value y) const; // unsigned
  mlir::Value div(mlir::Value x, int64_t y) const;
  mlir::Value rem(mlir::Value x, int64_t y) const;
  mlir::Value ceilDiv(mlir::Value x, int64_t y) const;
  mlir::Value min(mlir::Value x, mlir::Value y) const;
  mlir::Value max(mlir::Value x, mlir::Value y) const;
  mlir::Value less(mlir::Value x, mlir::Value y) const;
  mlir::Value equal(mlir::Value x, mlir::Value y) const;
  /// The share of `part` of `parts` in `total`: [first, second).
  std::pair<mlir::Value, mlir::Value> share(mlir::Value total, mlir::Value part,
                                            mlir::Value parts) const;
  /// for i in [lo, hi) by step: body(i)
  void loop(mlir::Value lo, mlir::Value hi, int64_t step,
            llvm::function_ref<void(mlir::Value)> body) const;
  /// The same with loop-carried values; `body` returns the next ones.
  llvm::SmallVector<mlir::Value> loop(
      mlir::Value lo, mlir::Value hi, int64_t step, mlir::ValueRange init,
      llvm::function_ref<llvm::SmallVector<mlir::Value>(mlir::Value, mlir::ValueRange)> body) const;
  void when(mlir::Value condition, llvm::function_ref<void()> body) const;
  void when(mlir::Value condition, llvm::function_ref<void()> yes,
            llvm::function_ref<void()> no) const;
};

/// Runs `body` with the number of live elements of tile number `panel` of `size`: `tile`, or what
/// the last one has. Emits two versions where there are two.
void withLive(const Index &ix, int64_t size, int64_t tile, mlir::Value panel,
              llvm::function_ref<void(int64_t live)> body);

/// How two values of a sweep combine (scalars or vectors of one type).
mlir::Value combine(mlir::OpBuilder &b, mlir::Location loc, kern::Combine kind, mlir::Value x,
                    mlir::Value y);
/// Where a chain without `init` starts.
mlir::TypedAttr identity(mlir::OpBuilder &b, kern::Combine kind, mlir::Type type);

/// The register tile: rows x vectors accumulators `acc` (row-major), each one FMA chain over depths
/// [lo, hi): acc[r][v] = a(r, k) * b(v, k) + acc[r][v], with a scalar and b a vector.
llvm::SmallVector<mlir::Value> tile(const Index &ix, mlir::Value lo, mlir::Value hi,
                                    mlir::ValueRange acc, int64_t rows, int64_t vectors,
                                    llvm::function_ref<mlir::Value(int64_t, mlir::Value)> a,
                                    llvm::function_ref<mlir::Value(int64_t, mlir::Value)> b);

/// A vector's lanes combined to a scalar: lane i with i + n/2, then n/4, …, 1.
mlir::Value acrossLanes(mlir::OpBuilder &b, mlir::Location loc, kern::Combine kind, mlir::Value v);

llvm::FailureOr<mlir::func::FuncOp> scheduleKernel(mlir::OpBuilder &b, kern::KernelOp op,
                                                   const Target &t);
llvm::FailureOr<mlir::func::FuncOp> scheduleProduct(mlir::OpBuilder &b, kern::ProductOp op,
                                                    const Target &t);
llvm::FailureOr<mlir::func::FuncOp> scheduleIntrinsic(mlir::OpBuilder &b, kern::IntrinsicOp op,
                                                      const Target &t);

} // namespace r1::cpu
