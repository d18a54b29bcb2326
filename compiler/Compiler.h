// The whole compiler from a .r1 file to callable programs; the only place where the phases meet.
#pragma once
#include "compiler/Budget.h"
#include "compiler/diag/Diag.h"
#include "compiler/eval/Elaboration.h"
#include "runtime/r1rt.h"
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace r1 {

/// The levels that --emit prints, in order; see Phases.def.
enum class Phase : uint8_t {
#define R1_PHASE(id, name, number, extension, what) id,
#include "compiler/Phases.def"
};
struct PhaseInfo {
  Phase phase;
  const char *name;
  int number;
  const char *extension;
  const char *what;
};
/// All phases in order.
const std::vector<PhaseInfo> &phases();
/// The phase called `name`, or null.
const PhaseInfo *findPhase(const std::string &name);

/// Where a stage's kernels run.
enum class TargetKind : uint8_t {
  cpu,
  cudaEmu, // CUDA text, compiled for the host and run under an emulator
  cuda,    // NVIDIA, through NVRTC
};

struct CompileOptions {
  TargetKind target = TargetKind::cpu;
  std::string arch = "sm_90a"; // of the targets cuda and cuda-emu, and of the levels cuda, ptx and cubin
  std::string cacheDir;     // object code cached by content; empty: none
  int threads = 2;          // for code generation
  uint64_t memory = 0;      // bytes the arena and the kernels' workspace may take; 0: no limit
  int64_t micro = 0;        // force this many micro-batches of a shard; 0: as the memory asks for
  Remat remat = Remat::automatic; // may blocks be computed again?
  bool exact = false;       // bits = "exact": no product by a library
  int64_t shards = 1;       // parts of a batch whose sums meet in a tree: a power of two
  /// Of the entries "decode" and "prefill" (decode/Decode.h): texts at once, positions of a text that are
  /// kept (0: those of a row), new positions of one run of "prefill"; sources of one run of "encode", which comes
  /// with them where the model has a source.
  struct Decode {
    int64_t rows = 1, slots = 0, chunk = 64, sources = 1;
    bool orRecompute = false; // where they cannot be derived, compile "logits" instead and say why
  } decode;
  std::string kernel;       // dumps show this kernel only
  bool report = false;      // fill CompiledStage::report
  bool workspace = false;   // find CompiledStage::scratchBytes even if no code is generated
  /// Levels to keep as text in CompiledStage::dumps (irgen and later).
  std::vector<Phase> dump;
};

/// A line of the memory table: what and how many bytes.
struct MemoryLine {
  std::string what;
  uint64_t bytes = 0;
};

/// A kernel of a stage, for `r1c compile --report`.
struct KernelReport {
  std::string name, kind; // kind: kernel, product or a registered kernel's name
  std::string from;       // "std/layers.r1:29"
  int launches = 0;       // in the programs' texts; loops repeat them
  uint64_t bytes = 0, flops = 0; // of one launch, at least (compiler/plan/Work.h)
  std::string how;        // how the work is divided, on CUDA
  int64_t blocks = 0, threads = 0;                            // CUDA's grid
  int registers = 0, spillBytes = 0, sharedBytes = 0;         // from ptxas
  double seconds = 0;                                         // that its compilation took
};

/// The executable form of a model stage. Owns the machine code that `module` points into.
struct CompiledStage {
  const r1_module *module = nullptr;
  int64_t rows = 1;                    // of a batch
  int64_t micro = 1;                   // micro-batches chosen
  int64_t blocks = 0, again = 0;       // that gradients could have computed again; that they do
  std::string fitted;                  // how the step was made to fit, for people; "" if it is in one piece
  std::vector<MemoryLine> memory;      // sums to the arena
  uint64_t scratchBytes = 0;           // workspace of the kernels, for each thread
  uint64_t memoryLimit = 0;            // what arena and workspace together may take; 0: no limit
  int distinctKernels = 0, cachedKernels = 0, launches = 0;
  int products = 0, libraryProducts = 0; // launches of products; of them by a device's library
  std::string recomputes;              // why there is "logits" instead of "decode" and "prefill"
  std::map<Phase, std::string> dumps;
  std::map<std::string, std::string> cubins; // machine code by kernel, if Phase::cubin is wanted
  std::vector<KernelReport> report;
  std::shared_ptr<void> owner;
};

/// Either a value or a message; `exit` is the exit code the command ends with.
struct CompileError {
  std::string message;
  int exit = 1;
};

/// Compiles one model stage: irgen, grad, shard (micro-batches and blocks computed again, as memory asks
/// for), fuse, plan, cpu. Only the entries called `entries` are compiled. On failure returns null and fills
/// `error` (with the .r1 place where there is one).
std::unique_ptr<CompiledStage> compileStage(const Elaboration &program, const Stage &stage,
                                            const std::vector<std::string> &entries,
                                            const SourceManager &sources,
                                            const CompileOptions &options, CompileError &error);

/// Compiles graph functions without inputs, each of them a program of its name.
std::unique_ptr<CompiledStage> compileFunctions(const std::vector<const GraphFn *> &functions,
                                                const SourceManager &sources,
                                                const CompileOptions &options, CompileError &error);

/// The level irgen of a whole program: its stages as operations, whose operands and results are
/// artifacts, and the module of each. On failure returns "" and fills `error`.
std::string emitPipeline(const Elaboration &program, const SourceManager &sources,
                         CompileError &error);

/// Compiles MLIR text that stands at some level: runs the phases after it. For `r1c compile x.mlir`.
std::unique_ptr<CompiledStage> compileText(const std::string &text, const std::string &fileName,
                                           const CompileOptions &options, CompileError &error);

/// Only the dumps of levels up to `plan` are wanted: no code is generated.
bool needsCode(const CompileOptions &options);

/// The version that fingerprints of artifacts record as `numerics`: raised whenever the arithmetic
/// of emitted code changes.
constexpr int numerics = 1;

} // namespace r1
