//===- Likelihood.h - how probable a model finds a text --------------------===//
#ifndef R1RT_STAGES_LIKELIHOOD_H
#define R1RT_STAGES_LIKELIHOOD_H
#include "runtime/data/Pack.h"
#include "runtime/device/Executor.h"

namespace r1rt {

struct Likelihood {
  double nll = 0; // nats, summed over targets
  double targets = 0;
  uint64_t textBytes = 0;
  double loss() const { return targets ? nll / targets : 0; }
};

/// What a row adds; its numbers depend on no other row of its batch.
using LikelihoodPart = std::function<void(uint32_t row, double nll, double targets)>;

/// Runs the program "eval" over the rows rowAt(0), …, rowAt(rows - 1), and adds up what it yields of each; the last
/// batch is filled up with masked rows. Refuses rows without targets. Interruption by a signal is the caller's
/// business.
Result<Likelihood> measureRows(Executor &e, PackedPtr data, uint64_t rows,
                               const std::function<uint32_t(uint64_t)> &rowAt,
                               const std::function<bool(double progress)> &goOn = {},
                               const LikelihoodPart &part = {});

/// The same over all rows.
Result<Likelihood> measureLikelihood(Executor &e, PackedPtr data,
                                     const std::function<bool(double progress)> &goOn = {},
                                     const LikelihoodPart &part = {});

} // namespace r1rt
#endif
