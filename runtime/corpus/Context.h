//===- Context.h - what the passes over rows need from outside ---------------===//
#ifndef R1RT_CORPUS_CONTEXT_H
#define R1RT_CORPUS_CONTEXT_H
#include "runtime/Status.h"
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace r1rt {

/// A function of the program over rows. Must be callable from any thread.
using RowFn = std::function<Result<nlohmann::json>(const nlohmann::json &row)>;

namespace corpus {

/// Scores texts by a trained model. One caller at a time; what a text gets does not depend on those
/// that it is scored with.
using ScoreFn = std::function<Status(std::span<const std::string_view> texts, std::span<float> out)>;

/// What a model has written to a row: the fields of each sample, or why the row is dropped.
struct Written {
  std::vector<nlohmann::json> samples;
  std::string dropped; // the reason; empty: it is not
  nlohmann::json evidence;
};
using OutputsFn = std::function<Result<Written>(const std::string &id)>;

struct Context {
  std::string baseDir;       // relative paths start here; empty: the working directory
  std::vector<RowFn> rowFns; // {"row_fn": i}
  unsigned threads = 1;      // to tokenise with; they show in no result
  /// The directory of a finished stage's artifact, for {"stage": NAME}.
  std::function<Result<std::string>(const std::string &stage)> artifactDir;
  std::function<void(const std::string &)> warn;
  /// The scorer that {"score": {"stage": NAME}, …} describes; empty: there are none here.
  std::function<Result<ScoreFn>(const nlohmann::json &spec)> scorer;
  OutputsFn outputs; // for the pass `generate`; callable from any thread; empty: there are none here
};

} // namespace corpus
} // namespace r1rt
#endif
