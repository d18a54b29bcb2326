#include "compiler/cpu/Cpu.h"
#include "compiler/cpu/Lower.h"
#include "compiler/cpu/ObjectCache.h"
#include "compiler/cpu/Schedule.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlowOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"
#include "mlir/Transforms/Passes.h"
#include "llvm/ExecutionEngine/Orc/LLJIT.h"
#include "llvm/IR/LLVMContext.h"
#include "llvm/Support/MemoryBuffer.h"
#include <atomic>
#include <thread>

using namespace mlir;
using namespace r1;
using namespace r1::cpu;

void r1::cpu::registerCpuDialects(DialectRegistry &registry) {
  registry.insert<kern::KernDialect, affine::AffineDialect, arith::ArithDialect, math::MathDialect,
                  memref::MemRefDialect, scf::SCFDialect, vector::VectorDialect, func::FuncDialect,
                  cf::ControlFlowDialect, LLVM::LLVMDialect>();
  registerBuiltinDialectTranslation(registry);
  registerLLVMDialectTranslation(registry);
}

LogicalResult r1::cpu::scheduleKernels(ModuleOp module, const Target &target) {
  SmallVector<Operation *> kernels;
  for (Operation &op : *module.getBody())
    if (isa<kern::KernelOp, kern::ProductOp, kern::IntrinsicOp>(op))
      kernels.push_back(&op);
  for (Operation *op : kernels) {
    OpBuilder b(op);
    FailureOr<func::FuncOp> f = failure();
    if (auto kernel = dyn_cast<kern::KernelOp>(op))
      f = scheduleKernel(b, kernel, target);
    else if (auto product = dyn_cast<kern::ProductOp>(op))
      f = scheduleProduct(b, product, target);
    else
      f = scheduleIntrinsic(b, cast<kern::IntrinsicOp>(op), target);
    if (failed(f))
      return failure();
    op->erase();
  }
  return success();
}

//===--- one kernel -----------------------------------------------------------------------===//

namespace {

// A kernel as text under a fixed name: what is compiled, and what its code is known by.
struct Source {
  std::string text;
  std::string key; // symbol and cache name
};

// A worker's contexts; parsing another thread's text keeps them apart.
struct Compiler {
  explicit Compiler(const Target &target) : target(target) {
    DialectRegistry registry;
    registerCpuDialects(registry);
    context = std::make_unique<MLIRContext>(registry, MLIRContext::Threading::DISABLED);
    context->loadAllAvailableDialects();
  }
  llvm::Expected<OwningOpRef<ModuleOp>> lower(const std::string &text);
  llvm::Expected<llvm::SmallString<0>> compile(const Source &source);

  const Target &target;
  std::unique_ptr<MLIRContext> context;
};

llvm::Expected<OwningOpRef<ModuleOp>> Compiler::lower(const std::string &text) {
  std::string message;
  ScopedDiagnosticHandler handler(context.get(), [&](Diagnostic &d) {
    llvm::raw_string_ostream(message) << (message.empty() ? "" : "\n") << d;
    return success();
  });
  OwningOpRef<ModuleOp> module = parseSourceString<ModuleOp>(text, context.get());
  if (!module || failed(scheduleKernels(*module, target)) || failed(lowerToLlvm(*module)))
    return llvm::createStringError(message.empty() ? "a kernel could not be lowered" : message);
  return std::move(module);
}

llvm::Expected<llvm::SmallString<0>> Compiler::compile(const Source &source) {
  auto module = lower(source.text);
  if (!module)
    return module.takeError();
  auto machine = targetMachine(target);
  if (!machine)
    return machine.takeError();
  llvm::LLVMContext llvmContext;
  auto ir = toLlvm(**module, llvmContext, **machine);
  if (!ir)
    return ir.takeError();
  return toMachineCode(**ir, **machine, false);
}

bool isKernel(Operation &op) { return isa<kern::KernelOp, kern::ProductOp, kern::IntrinsicOp>(op); }

// The kernels of `module` that `keep` names, scheduled in its own context: locations stay, and what
// the scheduler has to say is emitted as diagnostics there.
OwningOpRef<ModuleOp> scheduleCopy(ModuleOp module, const Target &target,
                                   function_ref<bool(StringRef)> keep) {
  MLIRContext *context = module.getContext();
  DialectRegistry registry;
  registerCpuDialects(registry);
  context->appendDialectRegistry(registry);
  for (StringRef name : registry.getDialectNames())
    context->getOrLoadDialect(name);
  OwningOpRef<ModuleOp> copy = ModuleOp::create(module.getLoc());
  for (Operation &op : *module.getBody())
    if (isKernel(op) && keep(SymbolTable::getSymbolName(&op).getValue()))
      copy->push_back(op.clone());
  if (failed(scheduleKernels(*copy, target)))
    return {};
  return copy;
}

std::string printed(Operation *op, StringRef name) {
  Operation *copy = op->clone();
  SymbolTable::setSymbolName(copy, name);
  std::string text;
  llvm::raw_string_ostream stream(text);
  copy->print(stream, OpPrintingFlags().useLocalScope());
  copy->erase();
  return text;
}

} // namespace

//===--- all kernels ----------------------------------------------------------------------===//

struct CompiledKernels::Code {
  std::unique_ptr<llvm::orc::LLJIT> jit;
};
CompiledKernels::CompiledKernels() = default;
CompiledKernels::CompiledKernels(CompiledKernels &&) noexcept = default;
CompiledKernels &CompiledKernels::operator=(CompiledKernels &&) noexcept = default;
CompiledKernels::~CompiledKernels() = default;

const CompiledKernels::Kernel *CompiledKernels::find(StringRef symbol) const {
  for (const Kernel &k : list)
    if (k.name == symbol)
      return &k;
  return nullptr;
}

static std::string targetKey(const Target &t) {
  std::string s;
  llvm::raw_string_ostream(s) << t.triple << '|' << t.cpu << '|' << t.features << '|' << t.lanes
                              << '|' << t.tileRows << '|' << t.tileVectors << '|' << t.blockK << '|'
                              << t.blockM << '|' << t.blockN;
  return s;
}

llvm::Expected<CompiledKernels> r1::cpu::compileKernels(ModuleOp module, const Options &options) {
  ObjectCache cache(options.cacheDir, targetKey(options.target));
  std::vector<Source> sources; // distinct, in order
  llvm::StringMap<size_t> known;
  struct Use {
    std::string name;
    size_t source;
  };
  std::vector<Use> uses;
  for (Operation &op : *module.getBody()) {
    if (!isKernel(op))
      continue;
    std::string text = printed(&op, "kernel");
    std::string key = "r1k_" + cache.key(text);
    auto [it, isNew] = known.try_emplace(key, sources.size());
    if (isNew)
      sources.push_back({printed(&op, key), key});
    uses.push_back({SymbolTable::getSymbolName(&op).str(), it->second});
  }

  std::vector<std::unique_ptr<llvm::MemoryBuffer>> objects(sources.size());
  std::vector<char> cached(sources.size(), 0);
  std::vector<size_t> missing;
  for (size_t i = 0; i < sources.size(); ++i) {
    objects[i] = cache.load(sources[i].key);
    cached[i] = objects[i] != nullptr;
    if (!objects[i])
      missing.push_back(i);
  }
  // Workers take the next kernel until none is left.
  std::vector<std::string> errors(sources.size());
  std::atomic<size_t> next{0};
  auto work = [&] {
    std::unique_ptr<Compiler> compiler;
    for (size_t n; (n = next++) < missing.size();) {
      size_t i = missing[n];
      if (!compiler)
        compiler = std::make_unique<Compiler>(options.target);
      auto code = compiler->compile(sources[i]);
      if (!code) {
        errors[i] = llvm::toString(code.takeError());
        continue;
      }
      cache.store(sources[i].key, *code);
      objects[i] = llvm::MemoryBuffer::getMemBufferCopy(*code, sources[i].key);
    }
  };
  size_t threads = options.threads ? options.threads : std::thread::hardware_concurrency();
  threads = std::min(std::max<size_t>(threads, 1), missing.size());
  std::vector<std::thread> pool;
  for (size_t i = 1; i < threads; ++i)
    pool.emplace_back(work);
  work();
  for (std::thread &t : pool)
    t.join();
  for (const Use &use : uses)
    if (!errors[use.source].empty()) {
      scheduleCopy(module, options.target, [&](StringRef name) { return name == use.name; });
      return llvm::createStringError("kernel @" + use.name + ": " + errors[use.source]);
    }

  CompiledKernels result;
  if (uses.empty())
    return std::move(result);
  auto machine = targetMachine(options.target); // also initialises LLVM's target
  if (!machine)
    return machine.takeError();
  auto jit = llvm::orc::LLJITBuilder()
                 .setJITTargetMachineBuilder(
                     llvm::orc::JITTargetMachineBuilder(llvm::Triple(options.target.triple)))
                 .setPlatformSetUp(llvm::orc::setUpInactivePlatform)
                 .create();
  if (!jit)
    return jit.takeError();
  for (auto &object : objects)
    if (auto e = (*jit)->addObjectFile(std::move(object)))
      return std::move(e);
  std::vector<CompiledKernels::Kernel> loaded(sources.size());
  for (size_t i = 0; i < sources.size(); ++i) {
    auto entry = (*jit)->lookup(sources[i].key);
    if (!entry)
      return entry.takeError();
    auto scratch = (*jit)->lookup(sources[i].key + ".scratch");
    if (!scratch)
      return scratch.takeError();
    loaded[i].fn = entry->toPtr<r1_kernel_fn>();
    loaded[i].scratchBytes = uint64_t(*scratch->toPtr<const int64_t *>());
    loaded[i].cached = cached[i];
  }
  for (const Use &use : uses) {
    result.list.push_back(loaded[use.source]);
    result.list.back().name = use.name;
  }
  result.code = std::make_unique<CompiledKernels::Code>();
  result.code->jit = std::move(*jit);
  return std::move(result);
}

llvm::Expected<std::string> r1::cpu::emitLevel(ModuleOp module, Level level, const Target &target) {
  std::string text, out;
  llvm::raw_string_ostream stream(out);
  if (level == Level::Cpu) {
    OwningOpRef<ModuleOp> scheduled = scheduleCopy(module, target, [](StringRef) { return true; });
    PassManager pm(module.getContext());
    pm.addPass(createCSEPass()); // one copy of each constant: for reading
    if (!scheduled || failed(pm.run(*scheduled)))
      return llvm::createStringError("a kernel could not be scheduled");
    scheduled->print(stream, OpPrintingFlags().enableDebugInfo(true, false).useLocalScope());
    stream << "\n";
    return out;
  }
  for (Operation &op : *module.getBody())
    if (isKernel(op) || op.hasAttr("r1.scratch_bytes")) // scheduled already, where the level cpu is read
      text += printed(&op, SymbolTable::getSymbolName(&op).getValue()) + "\n";
  Compiler compiler(target);
  auto lowered = compiler.lower(text);
  if (!lowered)
    return lowered.takeError();
  auto machine = targetMachine(target);
  if (!machine)
    return machine.takeError();
  llvm::LLVMContext llvmContext;
  auto ir = toLlvm(**lowered, llvmContext, **machine);
  if (!ir)
    return ir.takeError();
  if (level == Level::Llvm) {
    stream << **ir;
    return out;
  }
  auto code = toMachineCode(**ir, **machine, true);
  if (!code)
    return code.takeError();
  return code->str().str();
}
