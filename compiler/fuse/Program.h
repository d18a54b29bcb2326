// One program under construction: buffers, groups, launches.
#pragma once
#include "compiler/fuse/Emit.h"
#include "compiler/fuse/Fuse.h"
#include "compiler/fuse/Group.h"
#include "dialects/r1/LeafLayout.h"
#include "llvm/ADT/StringSet.h"

namespace r1::fuse {

/// What the programs of a module share.
struct ModuleState {
  mlir::ModuleOp module;
  const FuseOptions &options;
  ir::LeafLayout layout;
  llvm::StringSet<> symbols;
  llvm::StringMap<int> numbered; // the last number of freshSymbol's names
  llvm::StringMap<std::string> leafBuffers, gradBuffers, scalarBuffers, stateBuffers,
      cacheBuffers; // by role
  llvm::StringMap<std::string> copyBuffers; // pools of rounded parameters, by copyRole
  std::string frozenBuffer;                 // the pool of leaves that are not trained
  llvm::DenseMap<mlir::Attribute, std::string> constantBuffers;
  llvm::StringMap<mlir::Operation *> kernels; // canonical text -> the kernel
  mlir::OpBuilder builder;

  ModuleState(mlir::ModuleOp module, const FuseOptions &options)
      : module(module), options(options), builder(module.getContext()) {}
  /// `base` with what a symbol cannot hold replaced; numbered if it is taken.
  std::string freshSymbol(llvm::StringRef base);
  kern::BufferOp buffer(llvm::StringRef name, mlir::RankedTensorType type, llvm::StringRef pool,
                        mlir::Location loc);
  /// A buffer for what lies `at` (a number, in elements) in the buffer `pool`.
  std::string part(llvm::StringRef pool, llvm::StringRef kind, mlir::RankedTensorType type, llvm::StringRef at,
                   mlir::Location loc);
  /// The buffer of a parameter in the precision that it is read in; "" if no leaf has its path.
  std::string leafBuffer(ir::ParamOp param);
  /// The kernel `op` or an equal one that exists already (then `op` is erased).
  mlir::StringAttr uniqueKernel(mlir::Operation *op, llvm::StringRef name);
};

/// Builds kern.program @name from functions that run one after the other.
class Program {
public:
  Program(ModuleState &state, llvm::StringRef name) : state(state), name(name) {}
  mlir::LogicalResult run(llvm::ArrayRef<mlir::func::FuncOp> functions);

private:
  mlir::LogicalResult bindArguments(mlir::func::FuncOp func);
  void bindLeaves(mlir::func::FuncOp func);
  mlir::LogicalResult listOps(mlir::func::FuncOp func);
  mlir::LogicalResult bindResults(mlir::func::FuncOp func);
  mlir::LogicalResult bindInPlace();
  void homeStored();
  void reuseInPlace();
  mlir::LogicalResult emitAll();
  mlir::LogicalResult emitGroup(Group &group);
  mlir::LogicalResult emitRows(Group &group);
  mlir::LogicalResult emitProduct(Group &group);
  mlir::LogicalResult emitScatter(Group &group);
  mlir::LogicalResult emitIntrinsic(Group &group);
  mlir::LogicalResult emitCacheWrite(Group &group);
  mlir::LogicalResult emitCacheFill(Group &group);
  /// `chunkSteps`: elements by which each argument moves with the loop over chunks; empty: none.
  void launch(mlir::Operation *kernel, const Group &group, llvm::ArrayRef<mlir::Value> args,
              llvm::ArrayRef<int64_t> chunkSteps = {});
  void fill(llvm::StringRef buffer, mlir::Location loc);
  void copy(mlir::Value from, const Home &to, mlir::Location loc);

  ModuleState &state;
  std::string name;
  Values values;
  OpList list;
  std::unique_ptr<Grouping> grouping;
  mlir::SmallVector<mlir::Attribute> inputs, scalars, outputs;
  mlir::OpBuilder builder{state.module.getContext()}; // where launches go
  int64_t micro = 1;                                  // turns of the row loop
  bool inLoop = false;
  mlir::Value loss; // that the functions so far have given
  llvm::SmallVector<mlir::Value> partials; // what the row loop adds up
  /// A pool that the program replaces: the old value, the new one.
  struct InPlace {
    mlir::Value before, after;
  };
  llvm::SmallVector<InPlace> inPlace;
  llvm::SmallVector<std::pair<mlir::Value, Home>> copies; // at the program's end
};

/// Merges row dims that every access steps through as one.
void tidyKernel(kern::KernelOp kernel);
/// Rewrites of r1 before anything is grouped.
void simplifyModule(mlir::ModuleOp module);
/// Parameters that are read rounded are read from a pool that is kept rounded (Copies.cpp).
void introduceCopies(ModuleState &state);
/// Rows that products read in 16 bits become whole lines of memory (Pad.cpp).
void padRows(mlir::ModuleOp module);
/// What a function's result is called that such a pool takes: "copy:bf16", "frozen copy:f16".
std::string copyRole(mlir::Type elem, bool trainable);
/// Copies a lambda of r1.kernel as one of kern.intrinsic.
mlir::LogicalResult lambdaToKern(mlir::Region &from, mlir::Region &to);
/// How many elements the accesses to `memref` advance per step of `index`; null after an error.
std::optional<int64_t> stepOf(mlir::Value memref, mlir::Value index);
/// "rmsnorm_l29": from the ops and the source line.
std::string kernelName(const Group &group);

} // namespace r1::fuse
