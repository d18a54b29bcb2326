//===- Stages.h - the host loops of stages ---------------------------------===//
//
//   data tree ──► rows of tokens ──► batch in the arena ──► run program ──► loss ... ──► report
//                                         ▲                      │
//                                         └── lr, t, progress    └── weights, states ──► files
//
// A job is a compiled module, a JSON description and a directory (the artifact's, leased from
// the store). Each function returns what goes into the artifact's manifest. Interruption is the
// error class `interrupted`: what was computed is saved, and the same call goes on from there.
//
//===----------------------------------------------------------------------===//
#ifndef R1RT_STAGES_STAGES_H
#define R1RT_STAGES_STAGES_H
#include "runtime/data/Pack.h"
#include "runtime/device/Executor.h"
#include "runtime/report/Reporter.h"
#include <functional>

namespace r1rt {

/// What every stage gets from the driver.
struct StageContext {
  Device &device;
  DataContext &data;
  Reporter &report;
  Accelerator *accelerator = nullptr; // where programs run; null: on `device`
  /// Those who train together; null: this process alone. All call runTrain alike; rank 0 writes.
  Ranks *ranks = nullptr;
};

/// Fits parameters. The module has the program "step" (inputs: batch leaves; scalars, of which any
/// may be missing: lr, t (1 + the steps taken), progress (0..1), clip, seed, limit (a step whose loss is
/// above it, or whose loss or gradient is not finite, changes nothing), loss_scale (of f16: the loss comes multiplied by it;
/// Guard.h); outputs: loss, grad_norm, others; the state `ema`, if any, is what AverageWeights.h says)
/// and, if "valid" is given or an `interleave` adapts its shares, "eval" (see below). Of rows in buckets it has
/// each of them for each length, "step@64", as data/Buckets.h says; so have all that follow.
///
/// spec: {"stage": NAME, "data": tree, "batch": rows, "seed": 0,
///        "budget": {"steps":n}|{"epochs":x}|{"tokens":n}|{"seconds":s},
///        "clip": c|null, "valid": tree|null, "valid_every": steps (a tenth of the budget),
///        "stop": {"patience": n, "min_delta": d}|null,        when `valid` does not get better
///        "keep": "last"|"best",                               which weights the result has
///        "guard": {"most": n, "spike": z|null, "window": n}|null,  leaves out bad steps, n in a row at most
///        "start": DIR | [{"dir": DIR, "prefix": "base."}],    weights to begin with; the leaf
///                                                             PREFIX + P takes DIR's tensor P
///        "metadata": {string: string},                        into model.safetensors
///        "checkpoint_seconds": 30, "checkpoint_steps": 0}
/// Makes model.safetensors (path -> f32), state.safetensors ("NAME.PATH"), the tokenizer's files,
/// steps.jsonl and tensorboard/. Result: {"steps", "loss", "targets", "seconds", "data":
/// PackedData::shape()}, of interleaved rows "sources": {NAME: {"rows", "taken", "share"}}, and where it applies
/// "skipped": steps, "best": {"step", "valid_loss"}, "stopped": "early". Events: step, metric (valid_loss), skipped
/// {"step", "reason": "loss"|"gradient"|"spike", "loss", "grad_norm", "rows": [{"row", "text"}]}, shares.
struct TrainJob {
  const r1_module *module = nullptr;
  nlohmann::json spec;
  std::function<double(double progress)> lr;
  std::string dir;
  /// If not null, each kernel is timed, from the second step on, and left here.
  std::vector<KernelClock> *clocks = nullptr;
};
Result<nlohmann::json> runTrain(const TrainJob &job, StageContext &ctx);

/// Metrics of a model. The module has the program "eval": inputs batch leaves, outputs nll f32[B]
/// (negative log-likelihood in nats, summed over a row's targets) and tokens f32[B] (the targets); or, for rows with
/// labels, "classify": outputs scores f32[B, C], of which the highest is the prediction.
///
/// spec: {"stage": NAME, "metrics": {NAME: {"metric": "perplexity", "per": "token"|"word"|"byte", "data": tree} |
///        {"metric": "bits_per_byte"|"loss", "data": tree} | {"metric": "accuracy"|"precision"|"recall"|"f1"|"mcc"|
///        "balanced_accuracy"|"span_f1", "average": "macro"|"micro"|"weighted", "strict": false, "data": tree}},
///        "baseline": null | {"metrics": {"stage": NAME}}, "confidence": 0.95, "resamples": 1000, "seed": 0}
/// A metric NAME comes with NAME_low and NAME_high, with a baseline also with NAME_diff, NAME_diff_low,
/// NAME_diff_high, NAME_p. Writes metrics.json, statistics.json (what a baseline is compared by), tensorboard/.
/// Result: {"metrics": {NAME: value, …}}.
struct EvaluateJob {
  const r1_module *module = nullptr;
  nlohmann::json spec;
  std::string modelDir; // model.safetensors
  std::string dir;      // empty: write nothing
};
Result<nlohmann::json> runEvaluate(const EvaluateJob &job, StageContext &ctx);

/// Metrics of rows that hold predictions. spec: as above with "data": tree, and metrics {"metric": "bleu"|"chrf"|
/// "rouge"|"rouge_coco"|"cider"|"exact_match"|"pass_at"|"span_f1"|"accuracy"|…, "hyp": {"row_fn": i}, "ref":
/// {"row_fn": i}, options as stdlib/stages.r1 names them}; pass_at has "right" and perhaps "problem" instead. The
/// baseline may be {"data": tree} as well. Errors name the row, such as one without a reference.
struct EvaluateRowsJob {
  nlohmann::json spec;
  std::string dir; // empty: write nothing
};
Result<nlohmann::json> runEvaluateRows(const EvaluateRowsJob &job, StageContext &ctx);

/// Makes a corpus: corpus/Engine.h. spec: {"stage": NAME, "data": tree}. The ranks share the work.
/// Result: {"rows", "text_bytes", "rows_in", "hashes"}; the rest is in the artifact's account.json.
struct CorpusJob {
  nlohmann::json spec;
  std::string dir;
};
Result<nlohmann::json> runCorpus(const CorpusJob &job, StageContext &ctx);

/// Counts what a corpus holds: runtime/mixture, runtime/text/Bias.h. spec: {"stage": NAME, "data": tree,
/// "before": tree|null, "words": N, "topics": N, "sample": N, "lexicon": {TAG: [WORD]}|null, "seed"}.
/// Writes metrics.json and tensorboard/; prints a table. Result: {"metrics": {documents, words, bytes}}.
struct StatisticsJob {
  nlohmann::json spec;
  std::string dir;
};
Result<nlohmann::json> runStatistics(const StatisticsJob &job, StageContext &ctx);

/// Trains a tokenizer. spec: {"stage": NAME, "data": tree, "vocab": V, "special": []}.
/// Result: {"vocab", "rows"}.
struct BpeJob {
  nlohmann::json spec;
  std::string dir;
};
Result<nlohmann::json> runBpe(const BpeJob &job, StageContext &ctx);

} // namespace r1rt
#endif
