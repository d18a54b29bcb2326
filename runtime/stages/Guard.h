//===- Guard.h - steps of a training that must not count ---------------------===//
//
// The program "step" leaves weights and states alone if its loss or gradient is not finite, or its loss is
// above the scalar `limit`. Here is what decides the limit, and what f16 multiplies the loss by.
//
//===----------------------------------------------------------------------===//
#ifndef R1RT_STAGES_GUARD_H
#define R1RT_STAGES_GUARD_H
#include "runtime/Status.h"
#include <cstdint>
#include <deque>
#include <nlohmann/json.hpp>

namespace r1rt {

/// Above which a loss is a spike: median + z · s of the last `window` losses of steps that counted, s being
/// 1.4826 times their median absolute deviation (the standard deviation, were they normal), but at least 1 %
/// of the median.
class SpikeLimit {
public:
  /// z = 0: there are no spikes.
  SpikeLimit(double z = 0, uint32_t window = 64) : z(z), window(window) {}
  /// Infinity while fewer than `window` losses are known.
  double limit() const;
  void add(double loss);
  nlohmann::json state() const { return losses; }
  /// An error for what `state` has not given.
  Status restore(const nlohmann::json &state);

private:
  double z;
  uint32_t window;
  std::deque<double> losses;
};

/// The power of two that the loss is multiplied by before gradients are taken in f16 (Micikevicius et al. 2018):
/// halved when gradients overflow, doubled after 2000 steps without.
class LossScale {
public:
  static constexpr double first = 65536, least = 1.0 / 16384, most = 1 << 24;
  static constexpr uint32_t growEvery = 2000;
  double value() const { return scale; }
  void good();
  /// An error if the scale falls below `least`: then it is not the scale that overflows.
  Status overflowed();
  nlohmann::json state() const { return {{"scale", scale}, {"good", goodSteps}}; }
  Status restore(const nlohmann::json &state);

private:
  double scale = first;
  uint32_t goodSteps = 0; // since the scale was last changed
};

/// The best value of a measure that is to fall, and for how many measurements it has not fallen enough.
struct BestSoFar {
  uint64_t step = 0; // of the best; 0: none yet
  double value = 0;
  double reference = 0; // the last that was below its predecessor by more than the least difference
  uint32_t worse = 0;   // measurements since that one

  /// Takes a new measurement; true if it is the best. Only one that is below the reference by more than `minDelta`
  /// becomes the reference and begins the count again. What is not finite is worse.
  bool take(uint64_t step, double value, double minDelta);
  nlohmann::json state() const {
    return {{"step", step}, {"value", value}, {"reference", reference}, {"worse", worse}};
  }
  Status restore(const nlohmann::json &state);
};

} // namespace r1rt
#endif
