// What elaboration makes of a pipeline: its stages in order, everything known but the data.
#pragma once
#include "compiler/eval/Graph.h"
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace r1 {

/// One parameter of a model, in path order ("blocks[0].attn.q.w").
struct Leaf {
  std::string path;
  GraphType type; // storage: f32
  int dist = 0;   // 0 constant a; 1 normal(mean a, std b); 2 uniform in a..b
  double a = 0, b = 0;
  bool trainable = true; // selected by the stage's `trainable`
  std::string from;      // the stage whose artifact gives its start value; "" = initialised
  std::string fromPath;  // and the leaf's path in that artifact
  Span span;
};

/// Host functions that run while a stage runs, named from the spec JSON by {"fn": index}.
using HostFn = std::function<double(double)>;                        // schedules
using RowFn = std::function<nlohmann::json(const nlohmann::json &)>; // rows; thread-safe

/// One stage. `spec` is canonical JSON of its host arguments (units resolved: bytes, seconds,
/// {"steps": n} ...), with {"stage": NAME} where another stage's artifact is read, data pipelines
/// as trees of {"op": ..., "in": ...}, and {"fn": i} / {"row_fn": i} where a host function stands,
/// always beside "source": its normalised text (which is what the fingerprint sees).
struct Stage {
  std::string name, kind; // kind: the built-in called: "train", "evaluate", "bpe", "corpus", ...
  Span span;
  nlohmann::json spec;
  /// Of a training with `batch = fit(from, to)`: the spec has the number that was chosen. No part of the
  /// fingerprint; to = 0: none.
  struct Fit {
    int64_t from = 0, to = 0;
    std::string place; // for ElaborateOptions::batches
  } fit;
  nlohmann::json shown; // of arguments that are models or functions: what people are shown, by name
  nlohmann::json on;              // placement: outside the fingerprint; null if none
  std::vector<std::string> reads; // stages whose artifacts it uses, in order of first use
  std::vector<std::string> gates; // stages that have to pass before it begins (`given`)
  std::vector<std::string> files; // files and globs it reads, as written (relative to cwd)
  std::map<std::string, nlohmann::json>
      builtins;                     // built-in name -> semantic version, for the fingerprint
  std::vector<std::string> sources; // normalised text of each language function it uses
  std::string result;               // "corpus" | "tokenizer" | "model" | "metrics"
  // model stages
  std::string model;                    // the declaration of the library that it is made from, else text for messages
  nlohmann::ordered_json modelArguments; // that have a JSON form; {"fn": NAME}, {"model": NAME, "args": …}
  std::vector<Leaf> leaves;                      // path order
  std::vector<std::unique_ptr<GraphFn>> entries; // train: loss, update (per N, see irgen), ...
  bool measures = false;                         // train: "eval" is run on the way
  std::vector<HostFn> hostFns;
  std::vector<RowFn> rowFns;
};

struct Elaboration {
  std::string pipeline;
  std::map<std::string, nlohmann::json> parameters; // effective values of pipeline parameters
  int64_t seed = 0;                                 // of stages that are given none
  std::vector<Stage> stages;                        // a topological order, source order within it
};

} // namespace r1
