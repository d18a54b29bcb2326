//===- Sampling.h - choosing the next token ---------------------------------===//
//
// Of logits l the probabilities are p = softmax(l / temperature). Ids are left out in this order:
//
//   top-k   all but the k most likely (Fan et al. 2018)
//   top-p   of those, in order of likelihood, all after the first that reach the share p of their
//           sum (nucleus sampling, Holtzman et al. 2020)
//   min-p   all less likely than p times the most likely (Nguyen et al. 2024)
//
// Of equally likely ids the lower one comes first. One is drawn from the others in proportion to p.
//
//===----------------------------------------------------------------------===//
#ifndef R1RT_GENERATE_SAMPLING_H
#define R1RT_GENERATE_SAMPLING_H
#include "runtime/Status.h"
#include <cstdint>
#include <span>
#include <vector>

namespace r1rt::generate {

struct SampleOptions {
  double temperature = 1; // 0: always the most likely
  int64_t topK = 0;       // 0: off
  double topP = 1;        // 0 < p <= 1; 1: off
  double minP = 0;        // 0 <= p <= 1; 0: off
  double repetition = 1;  // > 0; 1: off. See penalise

  bool operator==(const SampleOptions &) const = default;
  /// An error of class `program` that names the first option outside its range.
  Status check() const;
};

class Sampler {
public:
  explicit Sampler(const SampleOptions &options) : o(options) {}
  /// The ids that may be drawn, ascending, and in `p` their probabilities, which need not add up to 1. Empty
  /// if no logit is a number, or one is infinite; those that are -infinity are never drawn.
  std::span<const int32_t> candidates(std::span<const float> logits);
  std::span<const double> weights() const { return p; }
  /// The id that `u`, uniform in [0, 1), draws: the first in order of ids with which the sum of
  /// probabilities passes u. -1 if there are no candidates.
  int32_t choose(std::span<const float> logits, double u);

private:
  SampleOptions o;
  std::vector<int32_t> ids;
  std::vector<double> p; // of ids
  std::vector<std::pair<float, int32_t>> order;
};

/// The repetition penalty of CTRL (Keskar et al. 2019): each id of `seen`, once, has a positive logit
/// divided by `penalty` and another multiplied by it.
void penalise(std::span<float> logits, std::span<const int32_t> seen, double penalty);

} // namespace r1rt::generate
#endif
