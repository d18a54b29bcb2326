// The programs of a stage, and what they take in memory, before any stage begins.
#pragma once
#include "compiler/Compiler.h"
#include "compiler/tools/r1c/Plan.h"
#include <functional>

namespace r1::tool {

/// What a stage is compiled from and with. Without entries it runs no program.
struct Programs {
  std::vector<std::string> entries;
  CompileOptions options;
};

/// The options that the command line and the stage's `on` ask for. Looks at no device and has no cache of object code.
CompileOptions placedOptions(const Options &options, const Stage &stage);
/// What every command compiles of a stage, from its placedOptions.
Programs programsOf(const Stage &stage, CompileOptions placed);
/// What the model of a stage writes `rows` texts at once with.
Programs writerOf(const Stage &stage, int64_t rows, CompileOptions placed);
/// The last size of the input of a model's `logits` called `input`: of x.id [1, T] the tokens of a row that it was
/// trained on, of source.id [1, S] those of a source. 0: there is no such input.
int64_t contextOf(const Stage &stage, std::string_view input = "x.id");
/// Why a model keeps no caches while it writes, as CompiledStage::recomputes has it, for people; "" if it does.
std::string recomputeText(const Stage &stage, const CompiledStage &compiled);

/// The programs of a stage, planned, and their memory.
struct Foreseen {
  std::unique_ptr<CompiledStage> compiled; // without code; null: the stage runs no program
  std::vector<MemoryLine> memory;          // with workspace and data
  uint64_t peak = 0;                       // of these
};

/// Plans the programs of a stage. Fails with what a run would fail with when its turn comes: E0501 if they do not
/// fit `memory`, E0314 …
r1rt::Result<Foreseen> foresee(const Session &session, const Stage &stage, const CompileOptions &placed);

} // namespace r1::tool
