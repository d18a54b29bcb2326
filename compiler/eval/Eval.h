// The interface of check + eval for the driver: a loaded program is checked, tested, elaborated.
#pragma once
#include "compiler/check/Modules.h"
#include "compiler/eval/Elaboration.h"
#include <memory>
#include <string>
#include <vector>

namespace r1 {

struct GraphFn;

struct TestResult {
  std::string name;
  Span span;
  bool passed = false;
  /// The tensors whose elements the test asked for, as the results of a graph function without
  /// inputs called "test0", "test1", ..., and their elements in f64; for running the same on a target.
  std::shared_ptr<GraphFn> graph;
  std::vector<std::vector<double>> elements;
};

struct ElaborateOptions {
  /// --set PATH=EXPR, in order; later ones win.
  std::vector<std::string> sets;
  /// Report files that are not there (E0401).
  bool checkFiles = true;
  /// The numbers chosen for fit(from, to), by Stage::Fit::place; the largest of the range where none is.
  std::map<std::string, int64_t> batches;
  /// Of every stage that takes a seed and is not given one.
  int64_t seed = 0;
};

class Analysis {
public:
  /// `program`, `sources` and `diags` must outlive the analysis, and the analysis every Elaboration
  /// it made: host and row functions evaluate their lambdas in it.
  Analysis(const Program &program, SourceManager &sources, DiagEngine &diags);
  ~Analysis();

  /// Names, calls, and every definition of the user's files with symbolic dims. With `library`
  /// the prelude's definitions too.
  void check(bool library = false);

  /// The name of the pipeline that `name` means: itself, or if empty the only one or `main`.
  /// Empty after reporting E0405.
  std::string pipeline(const std::string &name);

  /// Null after reporting errors.
  std::unique_ptr<Elaboration> elaborate(const std::string &pipeline,
                                         const ElaborateOptions &options = {});
  /// Whether the errors of the last elaboration are those of its `sets`, not of the program.
  bool setIsWrong = false;

  /// Runs the `test` blocks of the main file (or of the prelude); failures are reported as E0212.
  std::vector<TestResult> runTests(bool library = false);

private:
  void checkDefinitions(bool library);
  std::unique_ptr<Elaboration> elaborateOnce(const std::string &pipeline,
                                             const ElaborateOptions &options);
  void blameSets(const std::string &pipeline, const ElaborateOptions &options, size_t before);
  struct Impl;
  std::unique_ptr<Impl> impl;
};

/// Text of an elaboration: stages, their specs and graph functions.
std::string dumpElaboration(const Elaboration &e);

} // namespace r1
