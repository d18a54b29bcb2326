//===- Weights.h - parameters and optimiser state to and from files --------===//
#ifndef R1RT_STAGES_WEIGHTS_H
#define R1RT_STAGES_WEIGHTS_H
#include "runtime/device/Executor.h"
#include "runtime/state/Safetensors.h"

namespace r1rt {

/// Parameters as views into the arena, named by path.
std::vector<TensorView> leafViews(const Executor &e);
/// The parts of each state pool, named STATE.PATH. A pool is laid out as the trainable leaves
/// are: a part is as far from its pool's begin as its leaf is from the first leaf. Padding is not
/// in the views: it stays zero.
Result<std::vector<TensorView>> stateViews(const Executor &e);

/// Draws every leaf from its initialiser.
void initLeaves(Executor &e, uint64_t seed);
/// Copies the tensors of `file` into the leaves named prefix + tensor. all: every leaf with that
/// prefix must be there. Shapes must agree, and the bytes with the hash that the file says it has.
/// Returns how many leaves were set.
Result<uint32_t> loadLeaves(Executor &e, const std::string &file, const std::string &prefix,
                            bool all);

/// To call when the host has written leaves or states: hands them to the device, and brings rounded
/// copies of leaves up to date, where the module has any (its program `refresh`).
Status leavesWritten(Executor &e);

} // namespace r1rt
#endif
