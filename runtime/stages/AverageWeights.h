//===- AverageWeights.h - weights averaged over steps ------------------------===//
#ifndef R1RT_STAGES_AVERAGEWEIGHTS_H
#define R1RT_STAGES_AVERAGEWEIGHTS_H
#include "runtime/device/Executor.h"
#include <vector>

namespace r1rt {

/// The state `ema` of a module is the moving average of each trainable leaf less the leaf, so that it begins
/// with zeros like every state. While this is in place the leaves hold their averages instead; no step
/// is to be run meanwhile. Without such a state nothing changes.
class AverageWeights {
public:
  explicit AverageWeights(Executor &e) : exec(e) {}
  AverageWeights(const AverageWeights &) = delete;
  static bool in(const r1_module &m);
  /// What it puts aside meanwhile.
  static uint64_t bytes(const r1_module &m);
  /// Both are to be called; nothing may run in between but programs that only read.
  Status show();
  Status hide();

private:
  Executor &exec;
  std::vector<std::vector<char>> leaves; // as they were
};

} // namespace r1rt
#endif
