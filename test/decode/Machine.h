// What decode-run runs: the stage of a file, compiled, with drawn weights.
#pragma once
#include "compiler/Compiler.h"
#include "compiler/eval/Eval.h"
#include "compiler/eval/Graph.h"
#include "runtime/device/Accelerator.h"
#include "runtime/device/Executor.h"
#include "llvm/Support/CommandLine.h"
#include <cmath>
#include <cstdio>
#include <memory>
#include <random>

using namespace r1;
namespace cl = llvm::cl;

static cl::opt<std::string> file(cl::Positional, cl::Required, cl::desc("FILE.r1:STAGE"));
static cl::list<std::string> sets("set");
static cl::list<int> rowsList("rows", cl::CommaSeparated), teams("team", cl::CommaSeparated);
static cl::opt<int64_t> slots("slots", cl::init(0)), chunk("chunk", cl::init(64)), encoded("sources", cl::init(1));
static cl::opt<int64_t> tokens("tokens", cl::init(1000)), evals("evals", cl::init(50));
static cl::opt<int> shift("shift", cl::init(0));
static cl::opt<int64_t> align("align", cl::init(1));
static cl::opt<uint64_t> seed("seed", cl::init(1));
static cl::opt<std::string> target("target", cl::init("cpu")), cache("cache");
static cl::opt<int> bench("bench", cl::init(0)), beams("beams", cl::init(0)), forget("forget", cl::init(0));

namespace {

[[noreturn]] void die(const std::string &why) {
  std::fprintf(stderr, "decode-run: %s\n", why.c_str());
  std::exit(1);
}

template <class T> T must(r1rt::Result<T> r) {
  if (!r.isOk())
    die(r.status().message());
  return std::move(*r);
}
void must(const r1rt::Status &s) {
  if (!s.isOk())
    die(s.message());
}

/// A compiled module with an executor on it, its weights drawn.
struct Machine {
  std::unique_ptr<CompiledStage> stage;
  std::unique_ptr<r1rt::Executor> exec;

  const r1_program &program(const char *name) const {
    const r1_program *p = exec->program(name);
    return p ? *p : (die(std::string("no program ") + name), *p);
  }
  template <class T> T *input(const char *prog, const char *name) const {
    const r1_program &p = program(prog);
    auto *f = r1rt::findField(p.inputs, p.n_inputs, name);
    return f ? reinterpret_cast<T *>(exec->at(*f)) : nullptr;
  }
  const r1_field &field(const char *prog, const char *name) const {
    const r1_program &p = program(prog);
    for (auto [list, n] : {std::pair{p.inputs, p.n_inputs}, std::pair{p.outputs, p.n_outputs}})
      if (auto *f = r1rt::findField(list, n, name))
        return *f;
    die(std::string(prog) + " has no field " + name);
  }
  const float *output(const char *prog, const char *name) const {
    return reinterpret_cast<const float *>(exec->at(field(prog, name)));
  }
};

struct Model {
  SourceManager sources;
  DiagEngine diags;
  std::unique_ptr<Program> program;
  std::unique_ptr<Analysis> analysis;
  std::unique_ptr<Elaboration> all;
  const Stage *stage = nullptr;
  std::unique_ptr<r1rt::Accelerator> gpu; // of the target cuda; executors on it end before it

  explicit Model(const std::string &what) {
    size_t at = what.rfind(".r1:");
    if (at == std::string::npos)
      die("expected FILE.r1:STAGE, found " + what);
    LoadOptions load;
    load.stdlib = "stdlib";
    program = loadProgram(what.substr(0, at + 3), load, sources, diags);
    if (program && !diags.hasErrors()) {
      ElaborateOptions options;
      options.checkFiles = false;
      options.sets = {sets.begin(), sets.end()};
      analysis = std::make_unique<Analysis>(*program, sources, diags);
      analysis->check();
      std::string name = diags.hasErrors() ? "" : analysis->pipeline("");
      if (!name.empty())
        all = analysis->elaborate(name, options);
    }
    for (const Diag &d : diags.all())
      if (d.severity == Severity::Error)
        std::fputs(render(d, sources).c_str(), stderr);
    if (!all)
      std::exit(1);
    for (const Stage &s : all->stages)
      if (s.name == what.substr(at + 4))
        stage = &s;
    if (!stage)
      die("no stage " + what.substr(at + 4));
  }

  Machine compile(const std::vector<std::string> &entries, int64_t rows, r1rt::Device &device) {
    CompileOptions options;
    options.cacheDir = cache;
    auto [name, arch] = llvm::StringRef(target).split(':');
    options.target = name == "cuda-emu" ? TargetKind::cudaEmu : name == "cuda" ? TargetKind::cuda : TargetKind::cpu;
    if (options.target == TargetKind::cudaEmu)
      options.arch = arch.empty() ? "sm_80" : arch.str();
    if (options.target == TargetKind::cuda) {
      if (!gpu)
        gpu = must(r1rt::Accelerator::open(must(r1rt::loadCuda())));
      options.arch = gpu->info().arch;
    }
    options.exact = true;
    options.decode = {rows, slots, chunk, encoded};
    CompileError error;
    Machine m;
    m.stage = compileStage(*all, *stage, entries, sources, options, error);
    if (!m.stage) {
      std::fputs(error.message.c_str(), stderr);
      std::exit(1);
    }
    m.exec = must(r1rt::Executor::create(device, *m.stage->module, gpu.get()));
    draw(*m.exec);
    return m;
  }

  /// Weights large enough that texts differ.
  static void draw(r1rt::Executor &e) {
    std::mt19937_64 random(seed);
    for (uint32_t i = 0; i < e.module().n_leaves; ++i) {
      const r1_leaf &leaf = e.module().leaves[i];
      const r1_field &f = leaf.param;
      auto *x = reinterpret_cast<float *>(e.at(f));
      // Gains and biases; matrices, whose sums are long.
      float scale = f.rank == 1 ? 0.2f : 2.0f / std::sqrt(float(std::min(f.dims[0], f.dims[1])));
      for (uint64_t k = 0; k < r1rt::fieldElements(f); ++k)
        x[k] = (leaf.init.dist ? 0 : float(leaf.init.a)) + scale * (float(random() >> 40) / float(1 << 23) - 1);
    }
    must(e.push());
    if (const r1_program *refresh = e.program("refresh"))
      must(e.run(*refresh));
  }
};

} // namespace
