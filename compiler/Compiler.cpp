// The pipeline, from a stage's graph functions to callable programs, in the order in which it runs.
#include "compiler/Compiler.h"
#include "compiler/Budget.h"
#include "compiler/Messages.h"
#include "compiler/cpu/Cpu.h"
#include "compiler/cuda/Disassemble.h"
#include "compiler/cuda/Emulate.h"
#include "compiler/cuda/Library.h"
#include "compiler/decode/Decode.h"
#include "compiler/fuse/Fuse.h"
#include "compiler/grad/Grad.h"
#include "compiler/irgen/IRGen.h"
#include "compiler/plan/Export.h"
#include "compiler/plan/Plan.h"
#include "compiler/plan/Work.h"
#include "compiler/shard/Recompute.h"
#include "compiler/shard/Shard.h"
#include "dialects/kern/Kern.h"
#include "dialects/r1/R1.h"
#include "runtime/nvrtc/Nvrtc.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/Parser/Parser.h"
#include "llvm/Support/Threading.h"
#include <numeric>
#include <algorithm>
#include <deque>

using namespace mlir;

namespace r1 {

const std::vector<PhaseInfo> &phases() {
  static const std::vector<PhaseInfo> all = {
#define R1_PHASE(id, name, number, extension, what) {Phase::id, name, number, extension, what},
#include "compiler/Phases.def"
  };
  return all;
}

const PhaseInfo *findPhase(const std::string &name) {
  for (const PhaseInfo &p : phases())
    if (name == p.name)
      return &p;
  return nullptr;
}

bool needsCode(const CompileOptions &options) {
  return options.dump.empty() || std::any_of(options.dump.begin(), options.dump.end(),
                                             [](Phase p) { return p > Phase::plan; });
}

namespace {

/// Everything a compiled stage keeps alive; destroyed in reverse order.
struct Owner {
  std::unique_ptr<MLIRContext> context;
  OwningOpRef<ModuleOp> module;
  cpu::CompiledKernels kernels;
  cuda::EmulatedKernels emulated;
  std::vector<r1rt::CudaBinary> binaries;
  std::deque<r1_product> products;
  std::deque<std::vector<r1_tensor_map>> maps;
  llvm::StringMap<KernelCode> code; // by kernel; points into the five above
  std::unique_ptr<ExportedModule> exported;
};

std::unique_ptr<MLIRContext> makeContext() {
  DialectRegistry registry;
  registry.insert<ir::R1Dialect, kern::KernDialect, arith::ArithDialect, func::FuncDialect,
                  math::MathDialect, memref::MemRefDialect, affine::AffineDialect>();
  cpu::registerCpuDialects(registry);
  // Modules are small; a pool of threads costs more than it gains.
  auto context = std::make_unique<MLIRContext>(registry, MLIRContext::Threading::DISABLED);
  context->loadAllAvailableDialects();
  return context;
}

std::string print(ModuleOp module) {
  std::string text;
  llvm::raw_string_ostream os(text);
  OpPrintingFlags flags;
  flags.enableDebugInfo(true, false).useLocalScope();
  module.print(os, flags);
  return text;
}

/// Keeps only the kernel that --only names, for the levels below plan.
OwningOpRef<ModuleOp> onlyKernel(ModuleOp module, const std::string &name) {
  OwningOpRef<ModuleOp> copy = module.clone();
  for (Operation &op : llvm::make_early_inc_range(copy->getBody()->getOperations()))
    if (auto symbol = dyn_cast<SymbolOpInterface>(op); !symbol || symbol.getName() != name)
      op.erase();
  return copy;
}

/// Compiles a module that stands at some level from irgen to plan.
class StageCompiler {
public:
  /// `stage`: whose messages these are, if it is one.
  StageCompiler(const CompileOptions &options, CompileError &error, const SourceManager *sources,
                const Stage *stage = nullptr)
      : options(options), error(error), sources(sources), stage(stage), owner(std::make_shared<Owner>()),
        result(std::make_unique<CompiledStage>()) {
    owner->context = makeContext();
    messages = std::make_unique<Messages>(*owner->context, sources);
  }
  ~StageCompiler() { messages.reset(); }

  MLIRContext &context() { return *owner->context; }

  std::unique_ptr<CompiledStage> fail(int exit = 1) {
    error = {messages->text(), exit};
    return nullptr;
  }

  /// From r1, as irgen leaves it. `rows` is the global batch; `limit` the memory allowed.
  std::unique_ptr<CompiledStage> fromGraph(OwningOpRef<ModuleOp> module, int64_t rows,
                                           uint64_t limit) {
    dump(Phase::irgen, *module);
    if (failed(runGrad(*module)))
      return fail();
    dump(Phase::grad, *module);

    // As it fits the memory (Budget.h): each cut that the search proposes is planned, no code generated.
    FuseOptions fuseOptions;
    fuseOptions.intrinsics = {"flash_attention", "flash_attention_bwd"}; // scheduled by cpu/
    // A GPU wants more rows at once than a CPU's caches hold.
    if (options.target != TargetKind::cpu)
      fuseOptions.chunkBytes = int64_t(256) << 20;
    BudgetRequest request{limit, rows / options.shards, options.micro, options.remat};
    if (stage && stage->kind != "train") {
      // What an evaluation says of a row is the same in any cut; what writes or scores takes a batch as it is.
      const bool cuts = stage->kind == "evaluate" && rows > 1 && cutsWholly(*module);
      request = {.limit = limit, .rows = rows, .micro = 1, .remat = Remat::never, .whole = rows, .trains = false};
      if (cuts) {
        request.micro = options.micro ? std::gcd(options.micro, rows) : 0;
        request.whole = 0;
      }
    }
    Planned last;
    auto measure = [&](const Cut &cut) -> std::optional<Measured> {
      last = {};
      last.module = module->clone();
      ModuleOp trial = *last.module;
      Measured m{.cut = cut};
      if (failed(shardModule(trial, cut.micro * options.shards)))
        return std::nullopt;
      m.blocks = recomputeBlocks(trial, cut.again);
      last.sharded = wants(Phase::shard) ? print(trial) : "";
      if (failed(fuseModule(trial, fuseOptions)))
        return std::nullopt;
      last.fused = wants(Phase::fuse) ? print(trial) : "";
      if (failed(planModule(trial, &last.table)))
        return std::nullopt;
      // The kernels' workspace is looked at only where it matters: it means scheduling them.
      uint64_t team = options.threads ? uint64_t(options.threads)
                                      : llvm::hardware_concurrency().compute_thread_count();
      m.workspace = (limit ? workspaceOf(trial) * team : 0) + treeBytes(last.table);
      m.total = last.table.total, m.activations = last.table.activations;
      Work work = workOfPrograms(trial);
      m.bytes = work.bytes, m.flops = work.flops;
      last.cut = cut;
      return m;
    };
    std::optional<BudgetAnswer> answer = searchBudget(request, measure);
    if (!answer)
      return fail();
    if (!(last.cut == answer->chosen.cut) && !measure(answer->chosen.cut))
      return fail();
    if (!answer->fits) {
      const MemoryTable &t = last.table;
      static const SourceManager nowhere;
      Diag d;
      d.code = "E0501";
      d.title = stage ? "`" + stage->name + "` " : "";
      if (stage)
        d.primary.span = stage->span;
      explainTooLarge(d, *answer, request, t.parameters + t.gradients + t.state, t.caches, t.inputs);
      error = {render(d, sources ? *sources : nowhere), 5};
      return nullptr;
    }
    result->dumps[Phase::shard] = last.sharded;
    result->dumps[Phase::fuse] = last.fused;
    result->micro = answer->chosen.cut.micro;
    result->blocks = answer->chosen.blocks;
    result->again = answer->chosen.cut.again;
    result->rows = rows;
    result->fitted = budgetText(*answer, request.rows / result->micro, limit);
    if (request.remat == Remat::always && !result->blocks)
      result->fitted = "memory: remat = \"always\" finds no block that could be computed again";
    result->memoryLimit = limit;
    module = {}; // fromPlan lets go of the context
    return fromPlan(std::move(last.module), last.table);
  }

  /// From kern with offsets.
  std::unique_ptr<CompiledStage> fromPlan(OwningOpRef<ModuleOp> module, const MemoryTable &table) {
    dump(Phase::plan, *module);
    result->memory = {{"parameters", table.parameters},
                      {"gradients", table.gradients},
                      {"optimiser state", table.state},
                      {"caches", table.caches},
                      {"inputs and outputs", table.inputs},
                      {"activations and workspace", table.activations}};
    if (!table.caches)
      llvm::erase_if(result->memory, [](const MemoryLine &l) { return l.what == "caches"; });
    if (uint64_t bytes = treeBytes(table))
      result->memory.push_back({"sums of shards", bytes});
    llvm::StringMap<bool> products; // does the library do it?
    for (auto product : module->getOps<kern::ProductOp>())
      products[product.getSymName()] = emitOptions().library && cuda::libraryProduct(product);
    module->walk([&](Operation *op) {
      if (auto launch = dyn_cast<kern::LaunchOp>(op)) {
        ++result->launches;
        result->products += products.contains(launch.getKernel());
        result->libraryProducts += products.lookup(launch.getKernel());
      }
      result->distinctKernels += isa<kern::KernelOp, kern::ProductOp, kern::IntrinsicOp>(op);
    });
    OwningOpRef<ModuleOp> subset;
    if (!options.kernel.empty())
      subset = onlyKernel(*module, options.kernel);
    for (auto [phase, level] : {std::pair{Phase::cpu, cpu::Level::Cpu},
                                {Phase::llvm, cpu::Level::Llvm},
                                {Phase::asm_, cpu::Level::Asm}}) {
      if (!wants(phase))
        continue;
      auto text = cpu::emitLevel(subset ? *subset : *module, level, cpu::Target::host());
      if (!text) {
        messages->extra += llvm::toString(text.takeError());
        return fail();
      }
      result->dumps[phase] = *text;
    }
    if (options.report)
      listKernels(*module);
    if (llvm::Error e = cudaLevels(*module)) {
      messages->extra += llvm::toString(std::move(e)) + "\n";
      return fail();
    }
    if (options.workspace)
      result->scratchBytes = workspaceOf(*module);
    if (options.dump.empty() && !options.report) {
      if (llvm::Error e = generateCode(*module)) {
        messages->extra += llvm::toString(std::move(e)) + (options.target == TargetKind::cpu ? "" : "\n");
        return fail();
      }
      owner->exported =
          exportModule(*module, [&](llvm::StringRef name) { return owner->code.lookup(name); });
      if (!owner->exported)
        return fail();
      if (options.target == TargetKind::cudaEmu)
        owner->exported->module.fault = cuda::emulationFault;
      owner->exported->module.shards = uint32_t(options.shards);
      result->module = &owner->exported->module;
      result->scratchBytes = result->module->scratch_bytes;
      // The IR has served: only machine code and tables stay in memory.
      messages.reset();
      module = {};
      subset = {};
      owner->context.reset();
    }
    result->owner = owner;
    return std::move(result);
  }

  void append(const std::string &text) { messages->extra += text; }

  LogicalResult decode(ModuleOp module) {
    return deriveDecoding(module, {options.decode.rows, options.decode.slots, options.decode.chunk,
                                   std::min(options.decode.sources, options.decode.rows)});
  }
  /// What has been said becomes the reason for computing every position anew.
  void recompute() {
    result->recomputes = messages->text(Severity::Note);
    messages->clear();
  }

private:
  /// Texts and machine code for NVIDIA, of all kernels or of the one that --only names.
  llvm::Error cudaLevels(ModuleOp module) {
    bool compiles = wants(Phase::ptx) || wants(Phase::cubin) || wants(Phase::sass) ||
                    (options.report && options.target == TargetKind::cuda);
    if (!compiles && !wants(Phase::cuda))
      return llvm::Error::success();
    auto sources = emitCuda(module);
    if (!sources)
      return sources.takeError();
    llvm::erase_if(*sources, [&](const cuda::Source &s) {
      return !options.kernel.empty() && options.kernel != s.kernel;
    });
    std::string &text = result->dumps[Phase::cuda];
    for (const cuda::Source &s : *sources)
      if (wants(Phase::cuda))
        text += (text.empty() ? "" : "\n") + s.text;
    if (!compiles)
      return llvm::Error::success();
    auto binaries = compileForNvidia(*sources);
    if (!binaries)
      return binaries.takeError();
    for (auto [s, b] : llvm::zip(*sources, *binaries)) {
      for (KernelReport &r : result->report)
        if (r.name == s.kernel) {
          r.how = s.how, r.blocks = s.blocks, r.threads = s.threads;
          r.registers = b.resources.registers;
          r.spillBytes = b.resources.spillStores + b.resources.spillLoads;
          r.sharedBytes = b.resources.sharedBytes + int(s.sharedBytes);
          r.seconds = b.seconds;
        }
      if (wants(Phase::ptx))
        result->dumps[Phase::ptx] += b.ptx;
      if (wants(Phase::sass) && !s.product) {
        auto sass = cuda::disassemble(b.cubin);
        if (!sass)
          return sass.takeError();
        result->dumps[Phase::sass] += *sass;
      }
      if (wants(Phase::cubin) && !s.product)
        result->cubins[s.name] = b.cubin;
    }
    return llvm::Error::success();
  }

  /// The module's kernels, and the one that adds the sums of shards.
  llvm::Expected<std::vector<cuda::Source>> emitCuda(ModuleOp module) {
    auto sources = cuda::emitModule(module, emitOptions());
    if (sources && options.shards > 1)
      sources->push_back(cuda::sumOfShards());
    return sources;
  }

  /// A library serves GPUs only.
  cuda::EmitOptions emitOptions() const {
    return {.arch = options.arch, .exact = options.exact, .library = options.target == TargetKind::cuda && !options.exact};
  }

  /// Machine code for each source, empty where the library does its work.
  llvm::Expected<std::vector<r1rt::CudaBinary>>
  compileForNvidia(const std::vector<cuda::Source> &sources, bool forDevice = false) {
    std::vector<r1rt::CudaSource> texts;
    for (const cuda::Source &s : sources)
      if (!s.product)
        texts.push_back({s.name, s.text});
    r1rt::CudaOptions o;
    o.arch = options.arch;
    o.orOlder = forDevice;
    o.headers = cuda::prelude();
    o.cacheDir = options.cacheDir.empty() ? "" : options.cacheDir + "/cuda";
    o.threads = unsigned(options.threads);
    auto binaries = r1rt::compileCuda(texts, o);
    if (!binaries)
      return llvm::createStringError(binaries.status().message());
    std::vector<r1rt::CudaBinary> all(sources.size());
    size_t next = 0;
    for (auto [s, b] : llvm::zip(sources, all)) {
      if (!s.product)
        b = std::move((*binaries)[next++]);
      result->cachedKernels += b.cached;
    }
    return all;
  }

  /// The kernels for the report: where each comes from, and how often it is launched.
  void listKernels(ModuleOp module) {
    llvm::StringMap<int> launches;
    module.walk([&](kern::LaunchOp op) { ++launches[op.getKernel()]; });
    for (Operation &op : *module.getBody()) {
      if (!isa<kern::KernelOp, kern::ProductOp, kern::IntrinsicOp>(op))
        continue;
      llvm::StringRef name = SymbolTable::getSymbolName(&op);
      if (!options.kernel.empty() && options.kernel != name)
        continue;
      KernelReport &r = result->report.emplace_back();
      r.name = name;
      auto intrinsic = dyn_cast<kern::IntrinsicOp>(op);
      r.kind = intrinsic ? intrinsic.getName() : op.getName().stripDialect();
      r.from = Messages::place(op.getLoc());
      r.launches = launches.lookup(name);
      Work work = workOf(&op);
      r.bytes = work.bytes, r.flops = work.flops;
    }
  }

  /// Fills owner->code for the target.
  llvm::Error generateCode(ModuleOp module) {
    if (options.target == TargetKind::cpu) {
      cpu::Options o;
      o.cacheDir = options.cacheDir;
      o.threads = unsigned(options.threads);
      auto kernels = cpu::compileKernels(module, o);
      if (!kernels)
        return kernels.takeError();
      owner->kernels = std::move(*kernels);
      for (const auto &k : owner->kernels.kernels()) {
        owner->code[k.name] = {k.fn, k.scratchBytes};
        result->cachedKernels += k.cached;
      }
      return llvm::Error::success();
    }
    auto sources = emitCuda(module);
    if (!sources)
      return sources.takeError();
    auto add = [&](const cuda::Source &s, r1_kernel_fn fn, llvm::StringRef image) {
      KernelCode &code = owner->code[s.kernel];
      code = {fn, 0, s.name, image, uint32_t(s.blocks), uint32_t(s.threads)};
      code.sharedBytes = uint32_t(s.sharedBytes);
      code.maps = owner->maps.emplace_back(s.maps);
      if (s.product)
        code.product = &owner->products.emplace_back(*s.product);
    };
    if (options.target == TargetKind::cudaEmu) {
      cuda::EmulateOptions o;
      o.cacheDir = options.cacheDir;
      o.threads = unsigned(options.threads);
      auto kernels = cuda::emulate(*sources, o);
      if (!kernels)
        return kernels.takeError();
      owner->emulated = std::move(*kernels);
      for (const cuda::Source &s : *sources) {
        const auto *k = owner->emulated.find(s.kernel);
        add(s, k->fn, "");
        result->cachedKernels += k->cached;
      }
      return llvm::Error::success();
    }
    auto binaries = compileForNvidia(*sources, /*forDevice=*/true);
    if (!binaries)
      return binaries.takeError();
    owner->binaries = std::move(*binaries);
    for (auto [s, binary] : llvm::zip(*sources, owner->binaries))
      add(s, nullptr, binary.cubin.empty() ? binary.ptx : binary.cubin);
    return llvm::Error::success();
  }

  bool wants(Phase p) const {
    return std::find(options.dump.begin(), options.dump.end(), p) != options.dump.end();
  }
  void dump(Phase p, ModuleOp module) {
    if (wants(p))
      result->dumps[p] = print(module);
  }

  /// Bytes in which the sums of shards wait for each other: one set for each level of their tree.
  uint64_t treeBytes(const MemoryTable &table) const {
    return llvm::Log2_64(uint64_t(options.shards)) * table.sums;
  }

  /// Bytes of workspace that the kernels of `module` need, for each thread.
  uint64_t workspaceOf(ModuleOp module) const {
    uint64_t most = 0;
    if (options.target != TargetKind::cpu)
      return 0; // CUDA's shared memory is part of the chip
    OwningOpRef<ModuleOp> scheduled = module.clone();
    if (failed(cpu::scheduleKernels(*scheduled, cpu::Target::host())))
      return 0; // said again where code is generated
    scheduled->walk([&](Operation *op) {
      if (auto bytes = op->getAttrOfType<IntegerAttr>("r1.scratch_bytes"))
        most = std::max(most, uint64_t(bytes.getInt()));
    });
    return most;
  }

  /// A module that has been planned with one cut.
  struct Planned {
    Cut cut{.micro = 0};
    OwningOpRef<ModuleOp> module;
    MemoryTable table;
    std::string sharded, fused; // their dumps
  };

  const CompileOptions &options;
  CompileError &error;
  const SourceManager *sources; // null: the text has no .r1
  const Stage *stage;
  std::shared_ptr<Owner> owner;
  std::unique_ptr<Messages> messages;
  std::unique_ptr<CompiledStage> result;
};

} // namespace

std::unique_ptr<CompiledStage> compileStage(const Elaboration &program, const Stage &stage,
                                            const std::vector<std::string> &entries,
                                            const SourceManager &sources,
                                            const CompileOptions &options, CompileError &error) {
  (void)program;
  StageCompiler compiler(options, error, &sources, &stage);
  OwningOpRef<ModuleOp> module = irgenStage(stage, compiler.context(), sources);
  if (!module)
    return compiler.fail();
  std::vector<std::string> kept = entries;
  if (llvm::is_contained(entries, "decode") || llvm::is_contained(entries, "prefill")) {
    if (succeeded(compiler.decode(*module))) {
      kept.push_back("encode"); // where the model has a source
    } else {
      if (!options.decode.orRecompute)
        return compiler.fail();
      compiler.recompute();
      kept = {"logits"};
    }
  }
  for (auto fn : llvm::make_early_inc_range(module->getOps<func::FuncOp>())) {
    auto entry = fn->getAttrOfType<StringAttr>("r1.entry");
    if (entry && !llvm::is_contained(kept, entry.getValue()))
      fn.erase();
  }
  uint64_t limit = options.memory;
  if (stage.on.is_object() && stage.on.contains("memory") && stage.on["memory"].is_number())
    limit = stage.on["memory"].get<uint64_t>();
  const int64_t rows = stage.spec.contains("batch") ? stage.spec["batch"].get<int64_t>() : std::max<int64_t>(1, rowsOf(*module));
  return compiler.fromGraph(std::move(module), rows, limit);
}

std::unique_ptr<CompiledStage> compileFunctions(const std::vector<const GraphFn *> &functions,
                                                const SourceManager &sources,
                                                const CompileOptions &options, CompileError &error) {
  StageCompiler compiler(options, error, &sources);
  OwningOpRef<ModuleOp> module = ModuleOp::create(UnknownLoc::get(&compiler.context()));
  for (const GraphFn *fn : functions)
    if (!irgenFunction(*fn, *module, fn->name, true, sources))
      return compiler.fail();
  return compiler.fromGraph(std::move(module), 1, options.memory);
}

std::string emitPipeline(const Elaboration &program, const SourceManager &sources,
                         CompileError &error) {
  std::unique_ptr<MLIRContext> context = makeContext();
  Messages messages(*context, &sources);
  OwningOpRef<ModuleOp> module = irgen(program, *context, sources);
  if (module)
    return print(*module);
  error = {messages.text(), 1};
  return "";
}

/// The level that MLIR text stands at, by what only this level has; null if it is none. What has no
/// gradients in it is the same before grad and after, and counts as irgen.
static const PhaseInfo *levelOf(ModuleOp module) {
  bool r1 = false, loops = false, backward = false, kern = false, offsets = false, scheduled = false;
  module->walk([&](Operation *op) {
    r1 |= isa<ir::R1Dialect>(op->getDialect());
    loops |= isa<ir::RowLoopOp>(op);
    auto entry = op->getAttrOfType<StringAttr>("r1.entry");
    backward |= entry && entry.getValue() == "backward";
    kern |= isa<kern::ProgramOp, kern::KernelOp, kern::ProductOp, kern::IntrinsicOp>(op);
    offsets |= isa<kern::BufferOp>(op) && op->hasAttr("offset");
    scheduled |= isa<func::FuncOp>(op) && op->hasAttr("r1.scratch_bytes");
  });
  if (r1)
    return findPhase(loops ? "shard" : backward ? "grad" : "irgen");
  if (kern)
    return findPhase(offsets ? "plan" : "fuse");
  return scheduled ? findPhase("cpu") : nullptr;
}

std::unique_ptr<CompiledStage> compileText(const std::string &text, const std::string &fileName,
                                           const CompileOptions &options, CompileError &error) {
  StageCompiler compiler(options, error, nullptr);
  OwningOpRef<ModuleOp> module =
      parseSourceString<ModuleOp>(text, ParserConfig(&compiler.context()), fileName);
  if (!module)
    return compiler.fail();
  // A whole pipeline: the module of its stage, if there is one with a model.
  SmallVector<ModuleOp> stages(module->getOps<ModuleOp>());
  if (stages.size() > 1) {
    std::string names;
    for (ModuleOp s : stages)
      names += (names.empty() ? "" : ", ") + s.getSymName().value_or("?").str();
    compiler.append(fileName + ": holds the stages " + names +
                    "; print one with `r1c compile FILE.r1:STAGE --emit=irgen`\n");
    return compiler.fail();
  }
  if (stages.size() == 1) {
    OwningOpRef<ModuleOp> stage = stages[0].clone();
    module = std::move(stage);
  }
  const PhaseInfo *level = levelOf(*module);
  if (!level) {
    compiler.append(fileName + ": holds neither r1 nor kern operations, nor scheduled kernels\n");
    return compiler.fail();
  }
  // The text has its own level, which is the text as it is, and those that follow.
  auto has = [&](Phase p) {
    return p >= level->phase && (level->phase < Phase::cpu || p <= Phase::asm_);
  };
  std::string own;
  for (Phase p : options.dump) {
    if (has(p)) {
      if (p == level->phase)
        own = print(*module) + (p == Phase::cpu ? "\n" : "");
      continue;
    }
    std::string follow;
    for (const PhaseInfo &q : phases())
      if (has(q.phase))
        follow += std::string(" ") + q.name;
    compiler.append(fileName + ": stands at the level " + level->name + ", from which " +
                    phases()[size_t(p)].name + " does not follow; --emit can be" + follow);
    return compiler.fail(2);
  }
  if (level->phase == Phase::cpu && options.report) {
    compiler.append(fileName + ": stands at the level cpu; the report reads plan or an earlier one");
    return compiler.fail(2);
  }
  MemoryTable table;
  std::unique_ptr<CompiledStage> compiled;
  if (level->phase < Phase::fuse)
    compiled = compiler.fromGraph(std::move(module), 1, options.memory);
  else if (level->phase == Phase::cpu || succeeded(planModule(*module, &table)))
    compiled = compiler.fromPlan(std::move(module), table);
  else
    return compiler.fail();
  if (compiled && !own.empty())
    compiled->dumps[level->phase] = own;
  return compiled;
}

} // namespace r1
