// What this process occupies, as the system counts it.
#pragma once
#include "runtime/r1rt.h"
#include <cstdint>
#include <nlohmann/json.hpp>

namespace r1::tool {

/// Bytes resident now; 0 where /proc does not tell.
uint64_t residentBytes();
/// The most bytes resident since the start or the last forgetPeak; 0 where /proc does not tell.
uint64_t peakResidentBytes();
/// The memory of this machine, or what of it this process may have; 0 where the system does not tell.
uint64_t machineBytes();
/// Starts the peak anew from what is resident now. False if the system does not allow it.
bool forgetPeak();
/// Gives memory that was freed back to the system, so that it does not hide what comes next.
void returnFreeMemory();

/// The memory of one training from the end of its compilation: what is expected to be the peak, said
/// before the first step, and what it became.
class MemoryWatch {
public:
  /// Begins when compilation has ended.
  MemoryWatch(const r1_module &module, int threads);
  /// Once the data is in memory: how much it is, and how much reading it took, is known then.
  void dataLoaded();
  /// {"arena", "scratch", "data", "predicted", "measured"} in bytes; measured is 0 where the system
  /// does not tell.
  nlohmann::json result() const;

  /// What a corpus takes in memory, from the size of its files: the text, its parts and passes, and
  /// its tokens. Only for the plan; a run knows once it has read them.
  static uint64_t estimateData(uint64_t fileBytes) { return 7 * fileBytes; }
  /// For the pages of stacks, logs and the writing of checkpoints.
  static constexpr uint64_t reserve = 4 << 20;

private:
  uint64_t begin = 0, arena = 0, scratch = 0, data = 0, reading = 0;
  bool known = false;
};

} // namespace r1::tool
