//===- EvaluationLog.h - what a stage says of its metrics --------------------===//
//
//   Measured ──► value, interval ─┬─► difference to the baseline's ──► table, events, TensorBoard
//                                 └─► statistics.json, which a later stage takes as its baseline
//
//===----------------------------------------------------------------------===//
#ifndef R1RT_STAGES_EVALUATIONLOG_H
#define R1RT_STAGES_EVALUATIONLOG_H
#include "runtime/metrics/Classification.h"
#include "runtime/stages/Stages.h"
#include <map>
#include <set>

namespace r1rt {

/// A metric and the documents it is of, each by a hash of what it is compared with.
struct Judged {
  metrics::Measured metric;
  std::vector<uint64_t> references; // [documents]
};

class EvaluationLog {
public:
  /// `spec`: Stages.h. Reads the statistics of a baseline that is a stage. Errors: it has no metric by one of these
  /// names, or its files are damaged.
  static Result<EvaluationLog> open(const nlohmann::json &spec, StageContext &ctx);

  /// Reports a metric; `baseline`, if given, is the same of other predictions. Errors: it is not finite; the
  /// baseline is of other documents or has another signature.
  Status add(const std::string &name, Judged j, const Judged *baseline = nullptr);
  /// Prints what the rows of `data` were taken for, the first time it is asked to.
  void confusion(const std::string &data, std::span<const uint32_t> truths, std::span<const uint32_t> predicted,
                 const std::vector<std::string> &names, size_t classes);

  /// A text that was judged, for TensorBoard to show the first of them.
  void text(const std::string &hypothesis, const std::vector<std::string> &references);

  /// Writes metrics.json, statistics.json and tensorboard/, unless `dir` is empty. Result: {"metrics": {NAME:
  /// value, NAME_low: …}}.
  Result<nlohmann::json> finish(const std::string &dir);

private:
  explicit EvaluationLog(StageContext &ctx) : ctx(&ctx) {}
  Status difference(const std::string &name, const Judged &ours, const Judged &theirs);
  void say(const std::string &name, double value, nlohmann::json more);

  StageContext *ctx;
  std::string stage, baselineName;
  metrics::BootstrapOptions options;
  std::map<std::string, Judged> before; // of a baseline that is a stage; without `value`
  nlohmann::json values = nlohmann::json::object(), statistics = nlohmann::json::object();
  std::set<std::string> shown;
  std::vector<std::pair<std::string, std::string>> texts; // judged, and what would be right
};

} // namespace r1rt
#endif
