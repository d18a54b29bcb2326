#include "compiler/plan/Plan.h"
#include "compiler/pch.h"
#include "dialects/kern/Kern.h"
#include "llvm/ADT/MapVector.h"

using namespace mlir;
namespace r1 {
namespace {

constexpr uint64_t alignment = 64;

uint64_t align(uint64_t n) { return (n + alignment - 1) / alignment * alignment; }

uint64_t elementBytes(Type type) {
  return type.isIndex() ? 8 : (type.getIntOrFloatBitWidth() + 7) / 8;
}

uint64_t bytesOf(kern::BufferOp buffer) {
  auto type = cast<MemRefType>(buffer.getType());
  return uint64_t(type.getNumElements()) * elementBytes(type.getElementType());
}

/// A work buffer's life within its program: positions of launches, both ends included.
struct Life {
  kern::BufferOp buffer;
  uint64_t bytes = 0, offset = 0;
  int first = 0, last = 0;

  bool meets(const Life &other) const { return first <= other.last && other.first <= last; }
};

/// Walks a program in order and notes when each work buffer is in use.
class Liveness {
public:
  explicit Liveness(const llvm::StringMap<kern::BufferOp> &buffers) : buffers(buffers) {}

  void walk(Block &block) {
    for (Operation &op : block) {
      if (auto loop = dyn_cast<kern::LoopOp>(op)) {
        int begin = position;
        walk(loop.getBody().front());
        closeLoop(begin, position);
        continue;
      }
      if (auto launch = dyn_cast<kern::LaunchOp>(op)) {
        for (Attribute a : launch.getArgs())
          use(cast<FlatSymbolRefAttr>(a).getValue());
      } else if (auto fill = dyn_cast<kern::FillOp>(op)) {
        use(fill.getBuffer());
      }
      ++position;
    }
  }

  llvm::MapVector<Operation *, Life> lives;

private:
  void use(StringRef name) {
    kern::BufferOp buffer = buffers.lookup(name);
    while (buffer.getInside())
      buffer = buffers.lookup(*buffer.getInside());
    if (buffer.getPool() != "work")
      return;
    auto [it, isNew] = lives.insert({buffer, Life()});
    Life &life = it->second;
    if (isNew)
      life = {buffer, align(bytesOf(buffer)), 0, position, position};
    life.last = position;
  }

  /// What a loop shares with its surroundings lives throughout all turns of the loop. What is
  /// used inside only is written before it is read in every turn.
  void closeLoop(int begin, int end) {
    for (auto &[op, life] : lives)
      if (life.first < begin && life.last >= begin)
        life.last = std::max(life.last, end - 1);
    loops.push_back({begin, end});
  }

public:
  /// After the walk: a buffer written in a loop and read after it.
  void closeAfter() {
    for (bool changed = true; changed;) {
      changed = false;
      for (auto [begin, end] : loops)
        for (auto &[op, life] : lives) {
          bool inside = life.first >= begin && life.first < end;
          if (inside && life.last >= end && life.first != begin)
            life.first = begin, changed = true;
        }
    }
  }

private:
  const llvm::StringMap<kern::BufferOp> &buffers;
  std::vector<std::pair<int, int>> loops;
  int position = 0;
};

/// First fit, large buffers first. Returns the size of the region.
uint64_t place(MutableArrayRef<Life> lives) {
  std::vector<Life *> order;
  for (Life &life : lives)
    order.push_back(&life);
  llvm::sort(order, [](Life *a, Life *b) {
    return std::tuple(b->bytes, a->first, a->last) < std::tuple(a->bytes, b->first, b->last);
  });
  uint64_t size = 0;
  std::vector<Life *> placed; // by offset
  for (Life *life : order) {
    uint64_t offset = 0;
    for (Life *other : placed) {
      if (!life->meets(*other))
        continue;
      if (offset + life->bytes <= other->offset)
        break;
      offset = std::max(offset, other->offset + other->bytes);
    }
    life->offset = offset;
    size = std::max(size, offset + life->bytes);
    placed.insert(
        llvm::upper_bound(placed, life, [](Life *a, Life *b) { return a->offset < b->offset; }),
        life);
  }
  return size;
}

} // namespace

LogicalResult planModule(ModuleOp module, MemoryTable *out) {
  MemoryTable table;
  llvm::StringMap<kern::BufferOp> buffers;
  for (auto buffer : module.getOps<kern::BufferOp>())
    buffers[buffer.getSymName()] = buffer;
  if (buffers.empty())
    return success();
  for (auto &[name, buffer] : buffers)
    if (buffer.getInside() && !buffers.contains(*buffer.getInside()))
      return buffer.emitOpError("lies in @") << *buffer.getInside() << ", which does not exist";
  LogicalResult known = success();
  module.walk([&](kern::LaunchOp launch) {
    for (Attribute a : launch.getArgs())
      if (StringRef name = cast<FlatSymbolRefAttr>(a).getValue(); !buffers.contains(name)) {
        launch.emitOpError("takes @") << name << ", which does not exist";
        known = failure();
      }
  });
  if (failed(known))
    return failure();

  uint64_t top = 0;
  auto lay = [&](StringRef pool, uint64_t &line) {
    for (auto buffer : module.getOps<kern::BufferOp>())
      if (buffer.getPool() == pool && !buffer.getInside()) {
        buffer.setOffset(top);
        line += align(bytesOf(buffer));
        top += align(bytesOf(buffer));
      }
  };
  lay("param", table.parameters);
  lay("copy", table.parameters);
  lay("grad", table.gradients);
  lay("state", table.state);
  lay("cache", table.caches);
  for (StringRef pool : {"const", "input", "scalar", "output"})
    lay(pool, table.inputs);

  for (auto program : module.getOps<kern::ProgramOp>()) {
    Liveness liveness(buffers);
    liveness.walk(program.getBody().front());
    liveness.closeAfter();
    std::vector<Life> lives;
    for (auto &[op, life] : liveness.lives)
      lives.push_back(life);
    uint64_t size = place(lives);
    for (Life &life : lives)
      life.buffer.setOffset(top + life.offset);
    table.programs.push_back({program.getSymName().str(), size});
    table.activations = std::max(table.activations, size);
  }
  for (auto buffer : module.getOps<kern::BufferOp>()) {
    if (buffer.getPool() == "work" && !buffer.getInside() && !buffer.getOffset())
      buffer.setOffset(top); // not used by any launch
  }
  for (auto buffer : module.getOps<kern::BufferOp>()) {
    uint64_t offset = 0;
    kern::BufferOp outer = buffer;
    while (outer.getInside()) {
      offset += *outer.getAt() * elementBytes(cast<MemRefType>(outer.getType()).getElementType());
      outer = buffers.lookup(*outer.getInside());
    }
    if (outer != buffer)
      buffer.setOffset(*outer.getOffset() + offset);
  }
  table.total = top + table.activations;
  module.walk([&](kern::LoopOp loop) {
    uint64_t sums = 0;
    if (ArrayAttr partials = loop.getPartialsAttr())
      for (Attribute a : partials.getValue())
        sums += bytesOf(buffers.lookup(cast<FlatSymbolRefAttr>(a).getValue()));
    table.sums = std::max(table.sums, sums);
  });
  module->setAttr("kern.arena_bytes",
                  IntegerAttr::get(IntegerType::get(module.getContext(), 64), table.total));
  if (out)
    *out = table;
  return success();
}

namespace {
struct PlanPass : PassWrapper<PlanPass, OperationPass<ModuleOp>> {
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(PlanPass)
  StringRef getArgument() const final { return "kern-plan"; }
  StringRef getDescription() const final { return "offsets in the one arena"; }
  void runOnOperation() final {
    if (failed(planModule(getOperation())))
      signalPassFailure();
  }
};
} // namespace

void registerPlanPasses() { PassRegistration<PlanPass>(); }

} // namespace r1
