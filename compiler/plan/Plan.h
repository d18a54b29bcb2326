// plan: where every buffer lies in the one arena. Reads and leaves kern.
//
// Order within the arena: parameters, frozen parameters, gradients, optimiser state, caches,
// constants, inputs, host numbers, outputs; then the work region, which the programs share, since only one
// of them runs at a time.
#pragma once
#include "mlir/IR/BuiltinOps.h"
#include <cstdint>
#include <string>
#include <vector>

namespace r1 {

/// What the arena is for, in bytes. `total` is the arena's size (sums up with alignment).
struct MemoryTable {
  uint64_t parameters = 0; // trainable and frozen
  uint64_t gradients = 0;
  uint64_t state = 0;       // of the optimiser
  uint64_t caches = 0;      // of earlier positions, for programs that produce texts
  uint64_t inputs = 0;      // global batches, host numbers, outputs, constants
  uint64_t activations = 0; // the work region: the peak over programs
  uint64_t total = 0;
  uint64_t sums = 0; // of that, sums over rows that a loop over micro-batches continues
  /// The work region that each program needs.
  std::vector<std::pair<std::string, uint64_t>> programs;
};

/// Writes `offset` (bytes, a multiple of 64) on every kern.buffer and `arena_bytes` on the module.
mlir::LogicalResult planModule(mlir::ModuleOp module, MemoryTable *table = nullptr);

/// --kern-plan
void registerPlanPasses();

} // namespace r1
