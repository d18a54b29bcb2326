//===- Training.h - the host loop of a training, piece by piece --------------===//
//
//   Train.cpp       what is needed, the loop over steps
//   TrainStep.cpp   one step: batch, scalars, run; what becomes of a step that must not count
//   TrainState.cpp  validation, averaged weights, checkpoints, the finished artifact
//
// A step is started and finished before the next one's scalars are written, since they may depend on whether it
// counted. On a device that computes meanwhile the host fills the next batch.
//
//===----------------------------------------------------------------------===//
#ifndef R1RT_STAGES_TRAINING_H
#define R1RT_STAGES_TRAINING_H
#include "runtime/data/Buckets.h"
#include "runtime/report/TensorBoard.h"
#include "runtime/stages/Checkpoint.h"
#include "runtime/stages/Guard.h"
#include "runtime/stages/Signals.h"
#include "runtime/stages/SourceOrder.h"
#include "runtime/stages/Stages.h"
#include <chrono>
#include <cmath>

namespace r1rt {

using StepClock = std::chrono::steady_clock;

inline double secondsSince(StepClock::time_point t) {
  return std::chrono::duration<double>(StepClock::now() - t).count();
}

/// How long to train: a number of steps, or (steps = 0) seconds.
struct Budget {
  uint64_t steps = 0;
  double seconds = 0;

  /// `shares` of data.sources, if it has any, tell how many tokens a batch has on average.
  static Result<Budget> of(const nlohmann::json &j, const PackedData &data, const std::vector<double> &shares,
                           int64_t batch);
};

class Training {
public:
  Training(const TrainJob &job, StageContext &ctx) : job(job), spec(job.spec), ctx(ctx) {}
  Result<nlohmann::json> run();

private:
  // Train.cpp
  Status prepare();
  Status checkPrograms();
  Status readPolicies();
  Status startWeights();
  Status adaptShares(uint64_t first, const SignalGuard &signals);
  bool writes() const { return !ctx.ranks || ctx.ranks->rank() == 0; }
  bool lastStep() const { return budget.steps ? at.step >= budget.steps : at.seconds >= budget.seconds; }

  // TrainStep.cpp
  /// The rows of one step, which are in the inputs of its program.
  struct Batch {
    uint64_t step = 0; // 0: none
    size_t bucket = 0;
    uint64_t first = 0; // its place in the whole run, for draws
    std::vector<uint32_t> rows;
    uint64_t targets = 0;
  };
  /// What a run of the program has given.
  struct Outcome {
    double loss = NAN, gradNorm = 0;
    nlohmann::json more;
    std::string bits; // of all scalar outputs
  };
  enum class Verdict { counts, overflow, notFinite, spike };
  Status takeStep(StepLog *log);
  Batch fill(uint64_t step);
  void putRows(Batch &b);
  void putScalars(const r1_program &p, uint64_t step, double lr, double limit);
  Result<Outcome> compute(const Batch &b, uint64_t step, bool fillNext);
  Verdict judge(const Outcome &o, double limit) const;
  Status leaveOut(const Batch &b, const Outcome &o, Verdict v, double lr, double limit);
  Status failedIn(uint64_t step, const Status &st) const;
  double progressOf(uint64_t step) const;
  std::string textOf(uint32_t row, size_t most) const;

  // TrainState.cpp
  Status validate(StepLog *log);
  Status checkpoint(StepLog *log);
  Status saveBest();
  Status showWeights(StepLog *log);
  Status restore();
  Status checkTaken() const;
  Result<nlohmann::json> finish();

  const TrainJob &job;
  const nlohmann::json &spec;
  StageContext &ctx;
  std::string stage;
  uint64_t seed = 0;
  double clip = INFINITY;
  std::unique_ptr<Executor> exec;
  std::unique_ptr<BucketPrograms> steps;
  PackedPtr data, valid;
  std::unique_ptr<BatchOrder> order;
  std::unique_ptr<SourceOrder> sources; // in place of `order`, of interleaved rows
  Budget budget;
  Progress at; // of what is finished

  // What the spec asks for beside steps.
  bool guarded = false; // the program leaves everything alone when a step must not count
  bool skips = false;   // "guard" is given: such steps are left out
  uint32_t mostSkips = 0;
  bool scaled = false; // f16
  SpikeLimit spikes;
  LossScale scale;
  uint64_t validEvery = 0; // steps; 0: at the end only
  bool keepsBest = false;
  bool stopsEarly = false, stopped = false;
  uint32_t patience = 0;
  double minDelta = 0;
  BestSoFar best;

  Batch next; // filled while the device computes
  StepClock::time_point lastFinish;
  double lastLoss = NAN;
  uint64_t began = 0; // the step this run goes on from
  uint64_t lastShown = 0; // step whose weights TensorBoard has
  uint64_t lastSaved = 0;
  uint64_t lastMeasured = 0; // step whose loss on `valid` is known
};

} // namespace r1rt
#endif
