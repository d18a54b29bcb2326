// fuse: from r1 (what a program means) to kern (kernels and launches). The only step that sees
// both dialects; no op of r1 is left after it.
#pragma once
#include "mlir/IR/BuiltinOps.h"
#include <string>
#include <vector>

namespace r1 {

struct FuseOptions {
  bool fuse = true; // false: one kernel per op (for tests)
  /// A [rows, V] result of a product of more than half as many bytes exists only in chunks of rows
  /// of at most so many.
  int64_t chunkBytes = int64_t(64) << 20;
  /// Registered kernels that the target has a schedule for; the others are replaced by their
  /// reference bodies.
  std::vector<std::string> intrinsics;
};

/// Rewrites the module of one stage, as `grad` (and `shard`) leave it, in place: its leaves become
/// buffers within the pools of dialects/r1/LeafLayout.h, `@backward` and `@update` together the
/// program `step` (`@"backward@64"` and `@update`: `step@64`), every other entry a program of its name. On failure an error at the op's
/// location was emitted.
mlir::LogicalResult fuseModule(mlir::ModuleOp module, const FuseOptions &options = {});

/// --r1-fuse
void registerFusePasses();

} // namespace r1
