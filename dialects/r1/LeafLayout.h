// Where each parameter lies within the flat pools: the one rule that irgen (shape of @update),
// fuse (buffers) and plan (offsets) share.
//
// Trainable leaves stand in path order of the module's `r1.leaf` ops, each padded to a multiple
// of 16 floats (one cache line); the pool's length N is padded to a multiple of 4096. Gradients
// and every optimiser state have the same layout, so one element-wise launch updates all leaves.
// Padding is zero and stays zero. Frozen leaves follow the same rule in a pool of their own.
#pragma once
#include "dialects/r1/R1.h"
#include <string>
#include <vector>

namespace r1::ir {

struct LeafSlot {
  LeafOp op;
  int64_t offset = 0; // in floats, within its pool
  int64_t count = 0;  // elements of the leaf
};

struct LeafLayout {
  std::vector<LeafSlot> trainable, frozen; // path order
  int64_t trainableSize = 0;               // N, in floats; 0 without trainable leaves
  int64_t frozenSize = 0;

  /// The slot of `path`, or null.
  const LeafSlot *find(llvm::StringRef path) const {
    for (const std::vector<LeafSlot> *pool : {&trainable, &frozen})
      for (const LeafSlot &slot : *pool)
        if (const_cast<LeafOp &>(slot.op).getPath() == path)
          return &slot;
    return nullptr;
  }
};

/// Offsets of the leaves declared at the top of `module`.
inline LeafLayout layoutLeaves(mlir::ModuleOp module) {
  LeafLayout layout;
  for (LeafOp leaf : module.getOps<LeafOp>()) {
    bool train = leaf.getTrainable();
    int64_t &size = train ? layout.trainableSize : layout.frozenSize;
    int64_t count = llvm::cast<mlir::RankedTensorType>(leaf.getType()).getNumElements();
    (train ? layout.trainable : layout.frozen).push_back({leaf, size, count});
    size += (count + 15) / 16 * 16;
  }
  layout.trainableSize = (layout.trainableSize + 4095) / 4096 * 4096;
  layout.frozenSize = (layout.frozenSize + 4095) / 4096 * 4096;
  return layout;
}

} // namespace r1::ir
