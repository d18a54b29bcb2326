// fuse-run FILE.mlir: what the programs of a module compute, against the reference evaluator.
//
// The module goes through grad, shard, fuse, plan and cpu for each number of micro-batches given;
// every program runs on the same deterministic inputs. Outputs, gradients, parameters, states and caches
// must agree with R1Eval on the module before shard, and be bit-identical for every number of
// micro-batches and threads.
//
//   --micro 1,2,4   --team 1,2   --chunk-bytes N,M   --no-fuse   --no-intrinsics   --tolerance 1e-4
//   --print   --profile N: instead, where the time of each program goes, best of N runs on one
//   thread
#include "compiler/cpu/Cpu.h"
#include "compiler/fuse/Fuse.h"
#include "compiler/grad/Grad.h"
#include "compiler/kernels/Kernels.h"
#include "compiler/plan/Export.h"
#include "compiler/plan/Plan.h"
#include "compiler/shard/Shard.h"
#include "dialects/kern/Kern.h"
#include "dialects/r1/LeafLayout.h"
#include "dialects/r1/R1Eval.h"
#include "mlir/IR/Verifier.h"
#include "mlir/InitAllDialects.h"
#include "mlir/Parser/Parser.h"
#include "runtime/state/Philox.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/xxhash.h"
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <cstring>

using namespace mlir;
using namespace r1;
namespace cl = llvm::cl;

static cl::opt<std::string> file(cl::Positional, cl::Required, cl::desc("FILE.mlir"));
static cl::list<int> micros("micro", cl::CommaSeparated);
static cl::list<int> teams("team", cl::CommaSeparated);
static cl::opt<bool> noFuse("no-fuse"), printAll("print"), noIntrinsics("no-intrinsics");
static cl::list<int64_t> chunkBytes("chunk-bytes", cl::CommaSeparated);
static cl::opt<int> profile("profile", cl::init(0));
static cl::opt<double> tolerance("tolerance", cl::init(1e-4));

namespace {

uint64_t mix(uint64_t x) {
  x += 0x9E3779B97F4A7C15u;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
  return x ^ (x >> 31);
}

/// Deterministic values of a tensor: floats in -1..1, integers below their bound.
ir::EvalTensor draw(RankedTensorType type, StringRef name, bool positive = false) {
  ir::EvalTensor t;
  t.shape.assign(type.getShape().begin(), type.getShape().end());
  uint64_t seed = 0;
  for (char c : name)
    seed = seed * 131 + uint64_t(c);
  int64_t bound = 2;
  if (auto ty = dyn_cast_or_null<ir::TyAttr>(type.getEncoding()); ty && ty.getBound())
    bound = ty.getBound();
  for (int64_t i = 0; i < type.getNumElements(); ++i) {
    uint64_t r = mix(seed + uint64_t(i));
    if (isa<FloatType>(type.getElementType())) {
      // Multiples of 2^-7: exact in bf16.
      double x = double(int64_t(r % 255) - 127) / 128;
      t.values.push_back(positive ? std::abs(x) : x);
    } else {
      t.values.push_back(double(r % uint64_t(bound)));
    }
  }
  return t;
}

double loadAs(r1_dtype type, const char *at, int64_t i) {
  auto widen = [](uint32_t bits) {
    float f;
    std::memcpy(&f, &bits, 4);
    return double(f);
  };
  switch (type) {
  case R1_F64: {
    double v;
    std::memcpy(&v, at + 8 * i, 8);
    return v;
  }
  case R1_F32: {
    float v;
    std::memcpy(&v, at + 4 * i, 4);
    return v;
  }
  case R1_BF16: {
    uint16_t v;
    std::memcpy(&v, at + 2 * i, 2);
    return widen(uint32_t(v) << 16);
  }
  case R1_I64: {
    int64_t v;
    std::memcpy(&v, at + 8 * i, 8);
    return double(v);
  }
  case R1_I32: {
    int32_t v;
    std::memcpy(&v, at + 4 * i, 4);
    return v;
  }
  default:
    return double(uint8_t(at[i]));
  }
}

void storeAs(r1_dtype type, char *at, int64_t i, double x) {
  switch (type) {
  case R1_F64:
    std::memcpy(at + 8 * i, &x, 8);
    return;
  case R1_F32: {
    float v = float(x);
    std::memcpy(at + 4 * i, &v, 4);
    return;
  }
  case R1_BF16: {
    float f = float(x);
    uint32_t bits;
    std::memcpy(&bits, &f, 4);
    uint16_t v = uint16_t(bits >> 16);
    std::memcpy(at + 2 * i, &v, 2);
    return;
  }
  case R1_I64: {
    int64_t v = int64_t(x);
    std::memcpy(at + 8 * i, &v, 8);
    return;
  }
  case R1_I32: {
    int32_t v = int32_t(x);
    std::memcpy(at + 4 * i, &v, 4);
    return;
  }
  default:
    at[i] = char(x);
  }
}

int64_t countOf(const r1_field &f) {
  int64_t n = 1;
  for (uint32_t d = 0; d < f.rank; ++d)
    n *= f.dims[d];
  return n;
}

using Results = std::map<std::string, std::vector<double>>; // "program/output" -> elements

/// What the reference evaluator says of every entry.
FailureOr<Results> reference(ModuleOp module) {
  Results results;
  ir::EvalContext context;
  ir::LeafLayout layout = ir::layoutLeaves(module);
  for (auto leaf : module.getOps<ir::LeafOp>())
    context.params[leaf.getPath()] = draw(cast<RankedTensorType>(leaf.getType()), leaf.getPath());
  module.walk([&](ir::ScalarOp s) {
    ir::EvalTensor t = draw(cast<RankedTensorType>(s.getType()), s.getScalarName(), true);
    t.values[0] += 0.25;
    context.scalars[s.getScalarName()] = t;
  });
  context.random = [&](StringRef site, RankedTensorType type) {
    // The definition of compiler/shard/Random.cpp, with the runtime's Philox.
    ir::EvalTensor t;
    t.shape.assign(type.getShape().begin(), type.getShape().end());
    MLIRContext *ctx = module.getContext();
    auto scalar = [&](StringRef name) {
      double x = draw(RankedTensorType::get({}, Float32Type::get(ctx)), name, true).values[0];
      return uint32_t(int32_t(x + 0.25));
    };
    uint64_t hash = llvm::xxh3_64bits(site);
    int64_t perRow = type.getNumElements() / type.getDimSize(0);
    for (int64_t i = 0; i < type.getNumElements(); ++i) {
      uint32_t row = uint32_t(i / perRow), element = uint32_t(i % perRow);
      r1rt::PhiloxBlock words = r1rt::philox({element / 4, row, scalar("t"), 0},
                                             uint32_t(hash) ^ scalar("seed"), uint32_t(hash >> 32));
      t.values.push_back(double(words[element % 4] >> 8) * 0x1p-24);
    }
    return t;
  };
  std::vector<double> grads(layout.trainableSize, 0.0);
  auto backward = module.lookupSymbol<func::FuncOp>("backward");
  auto update = module.lookupSymbol<func::FuncOp>("update");
  SmallVector<func::FuncOp> order;
  for (auto f : module.getOps<func::FuncOp>())
    if (!f.isPrivate() && f != update)
      order.push_back(f);
  if (update)
    order.push_back(update);
  for (func::FuncOp f : order) {
    auto entry = f->getAttrOfType<StringAttr>("r1.entry");
    if (entry && entry.getValue() == "loss" && backward)
      continue;
    bool step = update && (f == backward || f == update);
    std::string program = step ? "step" : entry ? entry.getValue().str() : f.getSymName().str();
    std::vector<ir::EvalTensor> args;
    for (BlockArgument a : f.getArguments()) {
      auto type = cast<RankedTensorType>(a.getType());
      auto role = f.getArgAttrOfType<StringAttr>(a.getArgNumber(), "r1.role");
      auto name = f.getArgAttrOfType<StringAttr>(a.getArgNumber(), "r1.name");
      if (!role) {
        args.push_back(
            draw(type, name ? name.getValue() : "arg" + std::to_string(a.getArgNumber())));
        continue;
      }
      ir::EvalTensor t;
      if (role.getValue().starts_with("cache:")) {
        t.shape.assign(type.getShape().begin(), type.getShape().end());
        t.values.assign(size_t(type.getNumElements()), 0.0);
        args.push_back(t);
        continue;
      }
      t.shape = {layout.trainableSize};
      t.values.assign(layout.trainableSize, 0.0);
      for (const ir::LeafSlot &slot : layout.trainable)
        for (int64_t i = 0; i < slot.count; ++i) {
          ir::LeafOp leaf = slot.op;
          if (role.getValue() == "param")
            t.values[slot.offset + i] = context.params[leaf.getPath()].values[i];
        }
      if (role.getValue() == "grad")
        t.values = grads;
      args.push_back(t);
    }
    auto out = ir::evaluate(f, args, context);
    if (failed(out))
      return failure();
    for (unsigned i = 0; i < f.getNumResults(); ++i) {
      auto role = f.getResultAttrOfType<StringAttr>(i, "r1.role");
      auto name = f.getResultAttrOfType<StringAttr>(i, "r1.name");
      StringRef field = name ? name.getValue() : "";
      if (role) {
        results[role.getValue().str()] = (*out)[i].values;
      } else if (field.consume_front("grad:")) {
        const ir::LeafSlot *slot = layout.find(field);
        for (int64_t k = 0; k < slot->count; ++k)
          grads[slot->offset + k] = (*out)[i].values[k];
        results["grad"] = grads;
      } else {
        results[program + "/" + (name ? field.str() : "result" + std::to_string(i))] =
            (*out)[i].values;
      }
    }
  }
  return results;
}

/// Seconds per kernel in one run of a program.
std::map<std::string, std::pair<double, int>> spent;

struct Machine {
  std::vector<char> memory, scratch;
  char *arena = nullptr;

  explicit Machine(const r1_module &m) : memory(m.arena_bytes + 64), scratch(m.scratch_bytes + 64) {
    arena = memory.data() + (64 - reinterpret_cast<uintptr_t>(memory.data()) % 64) % 64;
    // What the work region holds must not matter.
    std::memset(arena, 0, m.arena_bytes);
  }

  void run(const r1_module &m, const r1_program &p, int threads) {
    uint64_t loops[2] = {0, 0};
    run(m, p, 0, p.n_ops, loops, 0, threads);
  }

  uint32_t run(const r1_module &m, const r1_program &p, uint32_t from, uint32_t to, uint64_t *loops,
               int depth, int threads) {
    for (uint32_t i = from; i < to; ++i) {
      const r1_op &op = p.ops[i];
      auto at = [&](const r1_arg &a) {
        return arena + a.offset + loops[0] * a.stride0 + loops[1] * a.stride1;
      };
      if (op.kind == R1_OP_END)
        return i;
      if (op.kind == R1_OP_FILL_ZERO) {
        std::memset(at(p.args[op.first_arg]), 0, op.bytes);
      } else if (op.kind == R1_OP_LOOP) {
        uint32_t end = i;
        for (uint64_t n = 0; n < op.count; ++n) {
          loops[depth] = n;
          end = run(m, p, i + 1, to, loops, depth + 1, threads);
        }
        loops[depth] = 0;
        i = end;
      } else {
        std::vector<void *> args;
        for (uint32_t a = 0; a < op.n_args; ++a)
          args.push_back(at(p.args[op.first_arg + a]));
        char *s = scratch.data() + (64 - reinterpret_cast<uintptr_t>(scratch.data()) % 64) % 64;
        auto start = std::chrono::steady_clock::now();
        for (int t = 0; t < threads; ++t)
          m.kernels[op.kernel].fn(args.data(), s, t, threads);
        if (profile) {
          auto &[seconds, count] = spent[m.kernels[op.kernel].name];
          seconds +=
              std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
          ++count;
        }
      }
    }
    return to;
  }
};

/// The best of several runs, kernel by kernel.
void report(Machine &machine, const r1_module &m, const r1_program &p, int threads) {
  std::map<std::string, std::pair<double, int>> best;
  for (int i = 0; i < profile; ++i) {
    spent.clear();
    machine.run(m, p, threads);
    for (auto &[name, s] : spent)
      if (auto [it, isNew] = best.try_emplace(name, s); !isNew && s.first < it->second.first)
        it->second = s;
  }
  std::vector<std::tuple<double, int, std::string>> rows;
  double total = 0;
  for (auto &[name, s] : best) {
    rows.push_back({s.first, s.second, name});
    total += s.first;
  }
  llvm::sort(rows, std::greater<>());
  llvm::outs() << p.name << ": " << llvm::format("%.2f ms\n", total * 1e3);
  for (auto &[seconds, count, name] : rows)
    llvm::outs() << llvm::format("%9.3f ms %5.1f %% %4d x  ", seconds * 1e3, 100 * seconds / total,
                                 count)
                 << name << "\n";
}

FailureOr<Results> compiled(ModuleOp original, int64_t micro, int threads, int64_t chunk,
                            std::string &text) {
  OwningOpRef<ModuleOp> module = original.clone();
  FuseOptions options;
  options.fuse = !noFuse;
  if (!noIntrinsics)
    options.intrinsics = {"flash_attention", "flash_attention_bwd"};
  if (chunk)
    options.chunkBytes = chunk;
  if (failed(shardModule(*module, micro)) || failed(verify(*module)) ||
      failed(fuseModule(*module, options)) || failed(planModule(*module)) ||
      failed(verify(*module)))
    return failure();
  int kernels = 0, launches = 0;
  module->walk([&](Operation *op) {
    kernels += isa<kern::KernelOp, kern::ProductOp, kern::IntrinsicOp>(op);
    launches += isa<kern::LaunchOp>(op);
  });
  text = std::to_string(kernels) + " kernels, " + std::to_string(launches) + " launches";
  cpu::Options cpuOptions;
  auto code = cpu::compileKernels(*module, cpuOptions);
  if (!code) {
    llvm::errs() << "cpu: " << llvm::toString(code.takeError()) << "\n";
    return failure();
  }
  auto exported = exportModule(*module, [&](StringRef name) -> KernelCode {
    const auto *kernel = code->find(name);
    return kernel ? KernelCode{kernel->fn, kernel->scratchBytes} : KernelCode{};
  });
  if (!exported)
    return failure();
  const r1_module &m = exported->module;
  Machine machine(m);
  for (uint32_t i = 0; i < m.n_constants; ++i)
    std::memcpy(machine.arena + m.constants[i].offset, m.constants[i].data, m.constants[i].bytes);
  auto draws = [&](const r1_field &f, bool positive, double shift) {
    MLIRContext *context = original.getContext();
    Type elem =
        f.dtype <= R1_BF16 ? Type(Float32Type::get(context)) : Type(IntegerType::get(context, 32));
    Attribute encoding;
    if (f.bound)
      encoding = ir::TyAttr::get(context, {}, f.bound);
    auto type = RankedTensorType::get(ArrayRef(f.dims, f.rank), elem, encoding);
    ir::EvalTensor t = draw(type, f.name, positive);
    for (int64_t i = 0; i < countOf(f); ++i)
      storeAs(f.dtype, machine.arena + f.offset, i, t.values[i] + shift);
  };
  for (uint32_t i = 0; i < m.n_leaves; ++i)
    draws(m.leaves[i].param, false, 0);
  for (uint32_t i = 0; i < m.n_programs; ++i)
    for (uint32_t s = 0; s < m.programs[i].n_scalars; ++s)
      draws(m.programs[i].scalars[s], true, 0.25);
  for (uint32_t i = 0; i < m.n_programs; ++i)
    for (uint32_t k = 0; k < m.programs[i].n_inputs; ++k)
      draws(m.programs[i].inputs[k], false, 0);
  Results results;
  // `step` changes the parameters: it comes last, as in the reference.
  std::vector<const r1_program *> order;
  for (uint32_t i = 0; i < m.n_programs; ++i)
    order.push_back(&m.programs[i]);
  llvm::stable_sort(order, [](auto *a, auto *b) {
    return (StringRef(a->name) == "step") < (StringRef(b->name) == "step");
  });
  auto read = [&](const r1_field &f) {
    std::vector<double> v;
    for (int64_t i = 0; i < countOf(f); ++i)
      v.push_back(loadAs(f.dtype, machine.arena + f.offset, i));
    return v;
  };
  for (const r1_program *p : order) {
    if (profile)
      report(machine, m, *p, threads);
    machine.run(m, *p, threads);
    for (uint32_t i = 0; i < p->n_outputs; ++i)
      results[std::string(p->name) + "/" + p->outputs[i].name] = read(p->outputs[i]);
  }
  for (uint32_t i = 0; i < m.n_states; ++i)
    results[std::string("state:") + m.states[i].name] = read(m.states[i]);
  for (uint32_t i = 0; i < m.n_caches; ++i)
    results[std::string("cache:") + m.caches[i].name] = read(m.caches[i]);
  for (auto buffer : module->getOps<kern::BufferOp>())
    if ((buffer.getSymName() == "grads" || buffer.getSymName() == "params") &&
        !buffer.getInside()) {
      r1_field f = {};
      f.dtype = R1_F32;
      f.rank = 1;
      f.dims[0] = cast<MemRefType>(buffer.getType()).getNumElements();
      f.offset = *buffer.getOffset();
      results[buffer.getSymName() == "grads" ? "grad" : "param"] = read(f);
    }
  return results;
}

} // namespace

int main(int argc, char **argv) {
  cl::ParseCommandLineOptions(argc, argv);
  DialectRegistry registry;
  registerAllDialects(registry);
  registry.insert<ir::R1Dialect, kern::KernDialect>();
  cpu::registerCpuDialects(registry);
  MLIRContext context(registry);
  context.loadAllAvailableDialects();
  OwningOpRef<ModuleOp> module = parseSourceFile<ModuleOp>(file, &context);
  if (!module || failed(runGrad(*module)))
    return 1;
  OwningOpRef<ModuleOp> plain = module->clone();
  if (failed(inlineKernelBodies(*plain)))
    return 1;
  auto expected = profile ? FailureOr<Results>(Results()) : reference(*plain);
  if (failed(expected))
    return 1;
  if (micros.empty())
    micros.push_back(1);
  if (teams.empty())
    teams.push_back(1);
  std::optional<Results> first;
  bool bad = false;
  if (chunkBytes.empty())
    chunkBytes.push_back(0);
  struct Setting {
    int micro, threads;
    int64_t chunk;
  };
  std::vector<Setting> settings;
  for (int micro : micros)
    for (int threads : teams)
      for (int64_t chunk : chunkBytes)
        settings.push_back({micro, threads, chunk});
  for (auto [micro, threads, chunk] : settings) {
    std::string text;
    auto actual = compiled(*module, micro, threads, chunk, text);
    if (failed(actual))
      return 1;
    if (chunk)
      llvm::outs() << "chunks of " << chunk << " bytes, ";
    llvm::outs() << "micro " << micro << ", threads " << threads << ": " << text << "\n";
    for (auto &[name, want] : *expected) {
      auto it = actual->find(name);
      if (it == actual->end() || it->second.size() != want.size()) {
        llvm::outs() << "  " << name << ": missing\n";
        bad = true;
        continue;
      }
      double worst = 0, scale = 1e-3;
      for (double w : want)
        if (std::isfinite(w))
          scale = std::max(scale, std::abs(w));
      size_t at = 0;
      for (size_t i = 0; i < want.size(); ++i) {
        double d = want[i] == it->second[i] ? 0 : std::abs(want[i] - it->second[i]) / scale;
        if (!(d <= worst))
          worst = d, at = i;
      }
      bool off = !(worst <= tolerance);
      if (off || printAll)
        llvm::outs() << "  " << name << "[" << at << "]: " << it->second[at] << ", expected "
                     << want[at] << (off ? "  WRONG" : "") << "\n";
      bad |= off;
    }
    if (!first) {
      first = *actual;
      continue;
    }
    for (auto &[name, values] : *first)
      if (std::memcmp(values.data(), (*actual)[name].data(), 8 * values.size())) {
        llvm::outs() << "  " << name << ": other bits than in the first run\n";
        bad = true;
      }
  }
  llvm::outs() << (bad ? "FAILED\n" : "ok\n");
  return bad;
}
