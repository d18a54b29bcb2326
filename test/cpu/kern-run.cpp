// kern-run FILE.mlir: compiles the kernels of a file, runs each on deterministic data with several
// numbers of threads and compares the results with the scalar interpreter's.
//
// Attributes of a kernel that only this tool reads: `bounds = array<i64: …>` (one per memref
// argument: integers are drawn from 0..bound), `tolerance = 1e-5` (largest difference relative to
// max(1, |value|); 0, the default, asks for the same bits), `scale = 4.0` (floats are in -4..4).
//
//   --team 1,2,3 (threads)   --lanes 8   --cpu haswell (code of another x86 machine)   --cache DIR
//   --print   --no-oracle   --emit cpu|llvm|asm   --tolerance T (of kernels that name none)
//   --target cuda-emu[:ARCH]: CUDA text under the emulator, each kernel in three orders of its threads;
//   with sm_90a the kernels of Hopper
//   --target cuda[:ARCH]: on the GPU of this machine, each kernel twice (--team 1,1,1,…: as often as that); with
//   sm_90 on a Hopper GPU the kernels that do without its own instructions
//   --break 'FROM=>TO': replaces text in the prelude and the kernels, for tests of what is caught
//   --block-k N --block-m N --block-n N   --bench [--reps N]: GFLOP/s of products and attention,
//   GB/s of other kernels, beside the FMA peak of the same run
#include "compiler/cpu/Cpu.h"
#include "compiler/cuda/Emulate.h"
#include "dialects/kern/Kern.h"
#include "runtime/device/Accelerator.h"
#include "runtime/emu/Emu.h"
#include "runtime/nvrtc/Nvrtc.h"
#include "mlir/Parser/Parser.h"
#include "test/cpu/Bench.h"
#include "test/cpu/KernInterp.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/xxhash.h"
#include <chrono>
#include <cmath>
#include <cstring>
#include <deque>
#include <sys/mman.h>
#include <thread>
#include <unistd.h>

using namespace mlir;
using namespace r1;
using namespace r1::cpu;
namespace cl = llvm::cl;

static cl::opt<std::string> file(cl::Positional, cl::Required, cl::desc("FILE.mlir"));
static cl::list<int> threadCounts("team", cl::CommaSeparated);
static cl::opt<int> lanes("lanes", cl::init(0));
static cl::opt<std::string> cpuName("cpu");
static cl::opt<std::string> targetName("target", cl::init("cpu"));
static cl::opt<std::string> breakText("break");
static cl::opt<int> blockK("block-k", cl::init(0));
static cl::opt<int> blockM("block-m", cl::init(0));
static cl::opt<int> blockN("block-n", cl::init(0));
static cl::opt<int> reps("reps", cl::init(15));
static cl::opt<std::string> cacheDir("cache");
static cl::opt<double> loosest("tolerance", cl::init(0));
static cl::opt<std::string> emit("emit");
static cl::opt<bool> printValues("print"), noOracle("no-oracle"), bench("bench");

namespace {

// Memory that ends at a page which faults: an element read or written past the end is seen.
class Guarded {
public:
  Guarded(size_t bytes, size_t alignment) {
    size_t page = size_t(sysconf(_SC_PAGESIZE));
    size = (bytes + page - 1) / page * page + page;
    base = static_cast<char *>(
        mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    if (base == MAP_FAILED) {
      llvm::errs() << "kern-run: out of memory\n";
      std::abort();
    }
    mprotect(base + size - page, page, PROT_NONE);
    at = base + (size - page - bytes) / alignment * alignment;
  }
  ~Guarded() { munmap(base, size); }
  Guarded(const Guarded &) = delete;
  char *data() const { return at; }

private:
  char *base, *at;
  size_t size;
};

struct Argument {
  Type element;
  int64_t count;
  int64_t bytes() const { return count * storedBytes(element); }
};

uint64_t mix(uint64_t x) {
  x += 0x9E3779B97F4A7C15u;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
  return x ^ (x >> 31);
}

void fill(const Argument &a, void *data, uint64_t seed, int64_t bound, double scale) {
  for (int64_t i = 0; i < a.count; ++i) {
    uint64_t h = mix(seed * 0x100000001B3u + uint64_t(i));
    double unit = double(h >> 11) * 0x1p-52 - 1;
    char *p = static_cast<char *>(data) + i * storedBytes(a.element);
    if (a.element.isF64()) {
      double v = unit * scale;
      std::memcpy(p, &v, 8);
    } else if (a.element.isF32()) {
      float v = float(unit * scale);
      std::memcpy(p, &v, 4);
    } else if (auto f = dyn_cast<FloatType>(a.element)) {
      llvm::APFloat v(float(unit * scale));
      bool lost;
      v.convert(f.getFloatSemantics(), llvm::APFloat::rmNearestTiesToEven, &lost);
      uint64_t bits = v.bitcastToAPInt().getZExtValue();
      std::memcpy(p, &bits, storedBytes(a.element));
    } else {
      int64_t v = int64_t(h % uint64_t(std::max<int64_t>(bound, 1)));
      std::memcpy(p, &v, storedBytes(a.element));
    }
  }
}

struct Run {
  std::vector<std::unique_ptr<Guarded>> memory;
  std::vector<void *> args;
};

Run prepare(ArrayRef<Argument> arguments, ArrayRef<int64_t> bounds, double scale) {
  Run r;
  for (auto [i, a] : llvm::enumerate(arguments)) {
    r.memory.push_back(std::make_unique<Guarded>(a.bytes(), storedBytes(a.element)));
    r.args.push_back(r.memory.back()->data());
    fill(a, r.args.back(), i + 1,
         i < bounds.size()        ? bounds[i]
         : a.element.isInteger(1) ? 2
                                  : 8,
         scale);
  }
  return r;
}

/// Runs one kernel on the arguments; an error in words.
using Launcher = std::function<std::string(Run &, ArrayRef<Argument>, int threads)>;

void launch(const CompiledKernels::Kernel &k, Run &r, int threads) {
  std::vector<std::thread> pool;
  for (int t = 0; t < threads; ++t)
    pool.emplace_back([&, t] {
      // NaN: what a kernel has not written there itself must not matter.
      size_t bytes = std::max<uint64_t>(k.scratchBytes, 64);
      Guarded scratch(bytes, 64);
      std::memset(scratch.data(), 0xFF, bytes);
      k.fn(r.args.data(), scratch.data(), t, threads);
    });
  for (std::thread &t : pool)
    t.join();
}

// Checks one kernel; prints a line. True: all is well.
bool check(Operation *op, StringRef name, const Launcher &launcher) {
  std::vector<Argument> arguments;
  for (MemRefType t : memrefTypes(op))
    arguments.push_back({t.getElementType(), elementCount(t)});
  SmallVector<int64_t> bounds;
  if (auto b = op->getAttrOfType<DenseI64ArrayAttr>("bounds"))
    bounds.assign(b.asArrayRef().begin(), b.asArrayRef().end());
  double tolerance = loosest, scale = 1;
  if (auto t = op->getAttrOfType<FloatAttr>("tolerance"))
    tolerance = t.getValueAsDouble();
  if (auto t = op->getAttrOfType<FloatAttr>("scale"))
    scale = t.getValueAsDouble();

  bool emulated = StringRef(targetName).starts_with("cuda-emu");
  bool onGpu = StringRef(targetName).split(':').first == "cuda";
  std::vector<int> counts(threadCounts.begin(), threadCounts.end());
  if (counts.empty())
    counts = emulated                ? std::vector<int>{1, 2, 1}
             : onGpu                ? std::vector<int>{1, 1}
                                    : std::vector<int>{1, 2, 3, 7};
  Run first;
  uint64_t checksum = 0;
  for (auto [turn, threads] : llvm::enumerate(counts)) {
    Run r = prepare(arguments, bounds, scale);
    if (emulated)
      r1emu_schedule(r1emu_order(turn % 3), turn + 1);
    if (std::string wrong = launcher(r, arguments, threads); !wrong.empty()) {
      llvm::outs() << "FAIL @" << name << ": " << wrong << "\n";
      return false;
    }
    uint64_t sum = 0;
    for (auto [a, p] : llvm::zip(arguments, r.args))
      sum = mix(sum ^ llvm::xxh3_64bits(ArrayRef(static_cast<uint8_t *>(p), a.bytes())));
    if (first.args.empty()) {
      checksum = sum;
      first = std::move(r);
    } else if (sum != checksum) {
      llvm::outs() << "FAIL @" << name << ": other bits with " << threads << " threads "
                   << (emulated ? "and another order than with " : "than with ") << counts[0] << "\n";
      return false;
    }
  }
  double worst = 0;
  if (!noOracle) {
    Run oracle = prepare(arguments, bounds, scale);
    if (auto e = interpret(op, oracle.args)) {
      llvm::outs() << "FAIL @" << name << ": " << llvm::toString(std::move(e)) << "\n";
      return false;
    }
    std::string text;
    llvm::raw_string_ostream wrong(text);
    for (auto [i, a] : llvm::enumerate(arguments)) {
      int64_t count = 0;
      std::string first8;
      for (int64_t n = 0; n < a.count; ++n) {
        double got = readElement(a.element, first.args[i], n);
        double want = readElement(a.element, oracle.args[i], n);
        bool same = got == want ? std::signbit(got) == std::signbit(want)
                                : std::isnan(got) && std::isnan(want);
        if (same)
          continue;
        double diff = std::fabs(got - want) / std::max(1.0, std::fabs(want));
        worst = std::max(worst, std::isnan(diff) ? INFINITY : diff);
        if (tolerance != 0 && diff <= tolerance)
          continue;
        if (!count++)
          wrong << (text.empty() ? "" : "; ") << "argument " << i << " element " << n << " is "
                << llvm::format("%.9g, expected %.9g", got, want);
        else if (count <= 8)
          first8 += " " + std::to_string(n);
      }
      if (count > 1)
        wrong << ", and " << count - 1 << " more of " << a.count << ":" << first8;
    }
    if (!text.empty()) {
      llvm::outs() << "FAIL @" << name << ": " << text << "\n";
      return false;
    }
  }
  llvm::outs() << "ok @" << name << llvm::format(" %016llx", (unsigned long long)checksum);
  if (worst > 0)
    llvm::outs() << llvm::format(" within %.1e", worst);
  llvm::outs() << "\n";
  if (printValues)
    for (auto [i, a] : llvm::enumerate(arguments)) {
      llvm::outs() << "  " << i << ":";
      for (int64_t n = 0; n < std::min<int64_t>(a.count, 16); ++n)
        llvm::outs() << llvm::format(" %g", readElement(a.element, first.args[i], n));
      llvm::outs() << "\n";
    }
  return true;
}

// Every kernel of the module under the emulator.
int emulateAll(ModuleOp module) {
  cuda::EmitOptions emitted;
  emitted.arch = StringRef(targetName).split(':').second;
  auto sources = cuda::emitModule(module, emitted);
  if (!sources) {
    llvm::errs() << "kern-run: " << llvm::toString(sources.takeError()) << "\n";
    return 1;
  }
  cuda::EmulateOptions options;
  options.cacheDir = cacheDir;
  options.threads = 2;
  auto [from, to] = StringRef(breakText).split("=>");
  int broken = 0;
  auto breakIn = [&, from = from, to = to](std::string &text) {
    for (size_t at = 0; !from.empty() && (at = text.find(from, at)) != std::string::npos;
         at += to.size(), ++broken)
      text.replace(at, from.size(), to);
  };
  for (auto &[name, text] : options.files)
    breakIn(text);
  for (cuda::Source &s : *sources)
    breakIn(s.text);
  if (!from.empty() && !broken) {
    llvm::errs() << "kern-run: --break: no such text\n";
    return 1;
  }
  auto kernels = cuda::emulate(*sources, options);
  if (!kernels) {
    llvm::errs() << "kern-run: " << llvm::toString(kernels.takeError()) << "\n";
    return 1;
  }
  bool good = true;
  for (Operation &op : *module.getBody())
    if (isa<kern::KernelOp, kern::ProductOp, kern::IntrinsicOp>(op)) {
      StringRef name = SymbolTable::getSymbolName(&op);
      CompiledKernels::Kernel k = {name.str(), kernels->find(name)->fn, 0, false};
      good &= check(&op, name, [&](Run &r, ArrayRef<Argument>, int threads) -> std::string {
        launch(k, r, threads);
        const char *fault = r1emu_fault();
        std::string text = fault ? fault : "";
        r1emu_clear();
        return text;
      });
    }
  return good ? 0 : 1;
}

// Every kernel of the module on the GPU.
int gpuAll(ModuleOp module) {
  auto stop = [](const std::string &text) {
    llvm::errs() << "kern-run: " << text << "\n";
    return 1;
  };
  std::deque<r1_kernel> kernels; // outlives the GPU
  auto api = r1rt::loadCuda();
  if (!api)
    return stop(api.status().message());
  auto gpu = r1rt::Accelerator::open(*api);
  if (!gpu)
    return stop(gpu.status().message());
  cuda::EmitOptions emitted;
  StringRef arch = StringRef(targetName).split(':').second;
  emitted.arch = arch.empty() ? (*gpu)->info().arch : arch.str();
  auto sources = cuda::emitModule(module, emitted);
  if (!sources)
    return stop(llvm::toString(sources.takeError()));
  std::vector<r1rt::CudaSource> texts;
  for (const cuda::Source &s : *sources)
    texts.push_back({s.name, s.text});
  r1rt::CudaOptions options;
  options.arch = emitted.arch;
  options.headers = cuda::prelude();
  options.cacheDir = cacheDir;
  auto binaries = r1rt::compileCuda(texts, options);
  if (!binaries)
    return stop(binaries.status().message());
  bool good = true;
  size_t next = 0;
  for (Operation &op : *module.getBody()) {
    if (!isa<kern::KernelOp, kern::ProductOp, kern::IntrinsicOp>(op))
      continue;
    const cuda::Source &s = (*sources)[next];
    const r1rt::CudaBinary &binary = (*binaries)[next++];
    r1_kernel &k = kernels.emplace_back();
    k.name = k.entry = s.name.c_str();
    k.image = binary.cubin.data(), k.image_bytes = binary.cubin.size();
    k.blocks = uint32_t(s.blocks), k.block_threads = uint32_t(s.threads);
    k.shared_bytes = uint32_t(s.sharedBytes);
    k.maps = s.maps.data(), k.n_maps = uint32_t(s.maps.size());
    auto once = [&](Run &r, ArrayRef<Argument> arguments) -> r1rt::Status {
      R1RT_ASSIGN(const void *function, (*gpu)->load(k));
      std::vector<uint64_t> addresses;
      for (auto [a, p] : llvm::zip(arguments, r.args)) {
        R1RT_ASSIGN(uint64_t at, (*gpu)->alloc(uint64_t(std::max<int64_t>(a.bytes(), 1))));
        addresses.push_back(at);
        R1RT_TRY((*gpu)->copyIn(at, p, uint64_t(a.bytes())));
      }
      r1_accelerator_op launch = {function, addresses.data(), uint32_t(addresses.size()), 0};
      r1_accelerator_program what = {};
      what.name = k.name, what.ops = &launch, what.n_ops = 1;
      R1RT_ASSIGN(void *program, (*gpu)->program(what));
      R1RT_TRY((*gpu)->start(program, 0));
      R1RT_TRY((*gpu)->finish(program, 0));
      for (auto [a, p, at] : llvm::zip(arguments, r.args, addresses))
        R1RT_TRY((*gpu)->copyOut(p, at, uint64_t(a.bytes())));
      return r1rt::Status::ok();
    };
    good &= check(&op, s.kernel, [&](Run &r, ArrayRef<Argument> arguments, int) {
      return once(r, arguments).message();
    });
  }
  return good ? 0 : 1;
}

} // namespace

int main(int argc, char **argv) {
  cl::ParseCommandLineOptions(argc, argv);
  DialectRegistry registry;
  registerCpuDialects(registry);
  MLIRContext context(registry, MLIRContext::Threading::DISABLED);
  context.loadAllAvailableDialects();
  OwningOpRef<ModuleOp> module = parseSourceFile<ModuleOp>(file, &context);
  if (!module)
    return 1;
  Options options;
  options.cacheDir = cacheDir;
  if (lanes) {
    options.target.lanes = lanes;
    options.target.tileRows = lanes == 8 ? 6 : 8;
    options.target.tileVectors = lanes == 16 ? 3 : 2;
  }
  if (!cpuName.empty() && llvm::StringRef(options.target.triple).starts_with("x86_64")) {
    options.target.cpu = cpuName;
    options.target.features.clear();
  }
  if (blockK)
    options.target.blockK = blockK;
  if (blockM)
    options.target.blockM = blockM;
  if (blockN)
    options.target.blockN = blockN;
  if (!emit.empty()) {
    Level level = emit == "cpu" ? Level::Cpu : emit == "llvm" ? Level::Llvm : Level::Asm;
    auto text = emitLevel(*module, level, options.target);
    if (!text) {
      llvm::errs() << llvm::toString(text.takeError()) << "\n";
      return 1;
    }
    llvm::outs() << *text;
    return 0;
  }
  if (StringRef(targetName).split(':').first == "cuda-emu")
    return emulateAll(*module);
  if (StringRef(targetName).split(':').first == "cuda")
    return gpuAll(*module);
  auto start = std::chrono::steady_clock::now();
  auto compiled = compileKernels(*module, options);
  double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (!compiled) {
    llvm::errs() << "kern-run: " << llvm::toString(compiled.takeError()) << "\n";
    return 1;
  }
  size_t cached = 0;
  for (auto &k : compiled->kernels())
    cached += k.cached;
  llvm::errs() << llvm::format("%zu kernels (%zu cached) ready in %.1f ms\n",
                               compiled->kernels().size(), cached, seconds * 1e3);
  if (bench) {
    std::vector<int> counts(threadCounts.begin(), threadCounts.end());
    return benchProducts(*module, *compiled, counts.empty() ? 2 : counts[0],
                         std::max<int>(reps, 1));
  }
  bool good = true;
  for (Operation &op : *module->getBody())
    if (const auto *k = isa<kern::KernelOp, kern::ProductOp, kern::IntrinsicOp>(op)
                            ? compiled->find(SymbolTable::getSymbolName(&op))
                            : nullptr)
      good &= check(&op, k->name, [&](Run &r, ArrayRef<Argument>, int threads) {
        launch(*k, r, threads);
        return std::string();
      });
  return good ? 0 : 1;
}
