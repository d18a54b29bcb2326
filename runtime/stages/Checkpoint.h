//===- Checkpoint.h - everything a training run needs to go on -------------===//
//
// One safetensors file with the leaves ("w.PATH") and states ("s.NAME.PATH"), the step and a
// hash of the data in its metadata. It replaces its predecessor atomically; the predecessor is
// kept under another name, in case the newer one was damaged on disk.
//
//===----------------------------------------------------------------------===//
#ifndef R1RT_STAGES_CHECKPOINT_H
#define R1RT_STAGES_CHECKPOINT_H
#include "runtime/stages/Weights.h"
#include <functional>
#include <nlohmann/json.hpp>

namespace r1rt {

struct Progress {
  uint64_t step = 0;    // finished steps
  uint64_t taken = 0;   // those of them that changed the weights
  uint64_t skipped = 0; // left out by "guard"
  uint32_t skippedInRow = 0;
  double seconds = 0;   // of wall time spent on them
  uint64_t targets = 0; // seen in them
  nlohmann::json order; // SourceOrder::state() of interleaved rows, else null
  nlohmann::json policies; // what decides over steps: loss scale, losses, best validation
};

Status saveCheckpoint(const Executor &e, const std::string &dir, const Progress &p);
/// Restores the newest whole checkpoint of `dir` into the arena; step 0 if there is none. A
/// damaged one is named in a warning and passed over.
Result<Progress> loadCheckpoint(Executor &e, const std::string &dir,
                                const std::function<void(const std::string &)> &warn);
/// The weights of the best validation so far, beside the checkpoints: written, read into the leaves, and of
/// which step they are.
Status saveBestWeights(const Executor &e, const std::string &dir, uint64_t step);
Status loadBestWeights(Executor &e, const std::string &dir);
Result<uint64_t> bestStep(const std::string &dir);
/// What the checkpoints in `dir` take on disk.
uint64_t checkpointBytes(const std::string &dir);
/// Removes the checkpoints and best weights of a finished run.
void removeCheckpoints(const std::string &dir);

} // namespace r1rt
#endif
