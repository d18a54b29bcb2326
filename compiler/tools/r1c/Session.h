// One program as the command line asked for it: loaded, checked, elaborated.
#pragma once
#include "compiler/diag/Diag.h"
#include "compiler/eval/Eval.h"
#include "compiler/tools/r1c/Options.h"
#include "runtime/Status.h"
#include <memory>
#include <string>

namespace r1::tool {

class Session {
public:
  explicit Session(const Options &options) : options(options) {}

  /// Reads and checks `file`. On errors prints them and returns false.
  bool load(const std::string &file);
  /// Elaborates the pipeline called `pipeline` (empty: the only one, or `main`) under --set. Prints
  /// diagnostics; null on errors, with `exit` the code to end with.
  /// `seed`: of the stages that set none; negative: 0.
  Elaboration *elaborate(const std::string &pipeline, long seed = -1);
  /// The same for a command that names a stage: `stage` is STAGE of the only pipeline or `main`, or
  /// PIPELINE.STAGE, from which the pipeline is taken off.
  Elaboration *elaborateFor(std::string &stage);

  /// Prints what was reported since the last call: text on standard error, or JSON lines on
  /// standard output with --json.
  void printDiags();

  /// Reports a failure of the command `r1c COMMAND`: text on standard error and, with --json, a
  /// `diagnostic` event. Returns the exit code.
  int fail(const char *command, const r1rt::Status &status) const;

  const Options &options;
  SourceManager sources;
  DiagEngine diags;
  std::unique_ptr<Program> program;
  std::unique_ptr<Analysis> analysis;
  std::unique_ptr<Elaboration> elaboration;
  int exit = ProgramWrong;

private:
  size_t printed = 0;
};

/// The fields every event has, as one JSON line on standard output.
void printEvent(const char *event, nlohmann::json fields);

/// Should text on this file descriptor be coloured?
bool wantColor(const Options &options, int fd);

} // namespace r1::tool
