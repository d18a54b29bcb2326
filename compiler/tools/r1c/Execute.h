// Running one stage: what its kind needs compiled, and the runtime's loop for it.
#pragma once
#include "compiler/tools/r1c/Foresee.h"
#include "runtime/device/Accelerator.h"
#include "runtime/generate/Decoder.h"
#include "runtime/stages/Stages.h"

namespace r1::tool {

/// What all stages of a run share. The device starts its threads when the first stage runs.
class Runner {
public:
  Runner(Session &session, r1rt::Store &store, r1rt::Reporter &report)
      : session(session), store(store), report(report) {}

  r1rt::Ranks *ranks = nullptr; // who trains together; null: this process alone
  int deviceIndex = 0;          // of the accelerator

  /// Makes the artifact of a planned stage in `dir`; returns the result for its manifest.
  r1rt::Result<nlohmann::json> execute(const PlannedStage &p, const std::string &dir);
  /// Compiles what a model writes with: `rows` texts at once. `decoder` becomes what it was compiled for.
  r1rt::Result<std::unique_ptr<CompiledStage>> compileWriter(const Stage &stage, int64_t rows,
                                                             r1rt::generate::Decoder::Options &decoder);
  /// What the training of a stage's model leaves out of sources that are too long, as TextModel::open takes it.
  std::string sourceCut(const std::string &stage) const;
  /// Tells where the finished artifact of a stage is.
  void finished(const std::string &stage, const std::string &dir) { dirs[stage] = dir; }

  /// Compiles the programs of a stage: those of programsOf, or these, whose entries must all exist.
  r1rt::Result<std::unique_ptr<CompiledStage>> compile(const Stage &stage);
  r1rt::Result<std::unique_ptr<CompiledStage>> compile(const Stage &stage, const Programs &programs);
  /// As the command line and the stage's `on` say, with the store's cache and the GPU that is there.
  r1rt::Result<CompileOptions> compileOptions(const Stage &stage) const;

  /// The device that a stage runs on.
  r1rt::Result<r1rt::Device *> device(const Stage &stage);
  /// The accelerator of --target, opened when first asked for; null for the CPU.
  r1rt::Result<r1rt::Accelerator *> accelerator() const;

private:
  int threads(const Stage &stage) const;
  r1rt::Result<nlohmann::json> train(const PlannedStage &p, const std::string &dir);
  r1rt::Result<nlohmann::json> checkpoint(const PlannedStage &p, const std::string &dir); // Export.cpp
  r1rt::Result<nlohmann::json> annotate(const PlannedStage &p, const std::string &dir); // Annotate.cpp
  r1rt::Result<nlohmann::json> generateRows(const PlannedStage &p, const std::string &dir); // Generate.cpp
  r1rt::Result<nlohmann::json> evaluate(const PlannedStage &p, const std::string &dir);
  r1rt::DataContext &data(const Stage &stage);
  struct Judge;
  /// What {"score": {"stage": NAME}, …} in the data of a stage asks for.
  r1rt::Result<r1rt::corpus::ScoreFn> scorer(const Stage &stage, const nlohmann::json &spec);
  r1rt::Result<std::string> dirOf(const std::string &stage) const;

  Session &session;
  r1rt::Store &store;
  r1rt::Reporter &report;
  std::unique_ptr<r1rt::Device> cpu;
  mutable std::unique_ptr<r1rt::Accelerator> opened;
  int cpuThreads = 0;
  std::map<std::string, std::string> dirs;
  r1rt::DataContext shared;                // stages without row functions: sources are read once
  std::unique_ptr<r1rt::DataContext> own;  // of the stage being run, when it has row functions
};

/// What `on device(…)` says of a stage, with the defaults of stdlib/stages.r1.
struct Placement {
  int64_t shards = 1;
  std::string bits = "run";
  Remat remat = Remat::automatic;
  int threads = 0; // none said
};
Placement placementOf(const Stage &stage);

/// The accelerator that a target runs on, number `index` of those of the machine; null for the CPU. The
/// error names the target.
r1rt::Result<std::unique_ptr<r1rt::Accelerator>> openTarget(const std::string &target, int index = 0);

/// The command that asks the questions of a stage, under the same options.
std::string annotateLine(const Options &options, const std::string &stage);

/// The class of errors that ends a command with an exit code.
r1rt::ExitClass exitClass(int code);

} // namespace r1::tool
