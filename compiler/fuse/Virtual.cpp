// What is recomputed where it is read instead of stored, and what a product's epilogue takes in.
#include "compiler/fuse/Group.h"

using namespace mlir;
namespace r1::fuse {

namespace {

/// Rough numbers of instructions per element.
int costOfOp(Operation &op) {
  if (isa<arith::ConstantOp, ir::IndexOp, ir::YieldOp>(op))
    return 0;
  if (isa<math::ExpOp, math::LogOp, math::ExpM1Op, math::Log1pOp>(op))
    return 8;
  if (isa<math::TanhOp, math::ErfOp>(op))
    return 12;
  if (isa<math::SinOp, math::CosOp>(op))
    return 16;
  if (isa<math::PowFOp, arith::RemFOp>(op))
    return 24;
  if (isa<arith::DivFOp, math::SqrtOp, math::RsqrtOp>(op))
    return 4;
  if (isa<ir::ReadOp>(op))
    return 3;
  return 1;
}

int costOfBody(ir::MapOp map) {
  int cost = 0;
  for (Operation &op : *map.getBlock())
    cost += costOfOp(op);
  return cost;
}

bool readsWhole(Operation *op) { return isa<ir::ContractOp, ir::KernelOp, ir::RowLoopOp>(op); }

constexpr int cheap = 8;      // recomputed for several readers whatever they are
constexpr int moderate = 32;  // cheaper than a round trip through memory, if one array is read
constexpr int expensive = 96; // kept in a kernel of its own

} // namespace

bool Grouping::inMemory(Value v) const {
  return list.inMemory.contains(v) ||
         (v.getDefiningOp() && v.getDefiningOp()->hasAttr("r1.stored"));
}

void Grouping::countUses() {
  Attribute block;
  for (auto [i, entry] : llvm::enumerate(list.ops)) {
    auto [op, segment] = entry;
    orders[op] = i;
    segments[op] = segment;
    Attribute again = op->getAttr("r1.again");
    bool begins = again && again != block;
    block = again ? again : block;
    epochs.push_back((epochs.empty() ? 0 : epochs.back()) + begins);
    for (Value v : op->getOperands()) {
      auto &list_ = users[list.values->resolve(v)];
      if (list_.empty() || list_.back() != op)
        list_.push_back(op);
    }
  }
  // A stop_grad is its operand: its users are counted there.
  for (auto [op, segment] : list.ops)
    if (auto stop = dyn_cast<ir::StopGradOp>(op))
      llvm::erase(users[list.values->resolve(stop.getResult())], op);
}

/// Does a map only widen 16-bit floats? What is stored is then the narrow value.
static bool onlyWidens(ir::MapOp map) {
  Block *block = map.getBlock();
  if (block->getOperations().size() != 2 || block->getNumArguments() != 1)
    return false;
  auto widen = dyn_cast<arith::ExtFOp>(block->front());
  return widen && widen.getIn() == block->getArgument(0);
}

/// A map that reads a product's result element by element, and nothing else reads it, is the end
/// of the product.
void Grouping::chooseEpilogues() {
  DenseSet<Operation *> taken;
  for (auto [op, segment] : list.ops) {
    if (!isa<ir::ContractOp>(op))
      continue;
    Operation *end = op;
    while (true) {
      Value v = end->getResult(0);
      if (inMemory(v) || users[v].size() != 1)
        break;
      auto map = dyn_cast<ir::MapOp>(users[v].front());
      if (!map || segments[map] != segment || taken.contains(map) || onlyWidens(map) ||
          shapeOf(map.getResult()) != shapeOf(v))
        break;
      bool direct =
          llvm::none_of(map.getCaptures(), [&](Value c) { return list.values->resolve(c) == v; });
      for (auto [i, in] : llvm::enumerate(map.getIns()))
        if (list.values->resolve(in) == v)
          direct &= map.getMap(i).isIdentity();
      if (!direct)
        break;
      taken.insert(map);
      epilogues[op].push_back(map);
      end = map;
    }
  }
}

int Grouping::costOf(Value v) const {
  v = list.values->resolve(v);
  Operation *op = v.getDefiningOp();
  if (!op || (!isVirtual(op) && !isa<arith::ConstantOp>(op)))
    return 0;
  int cost = 0;
  if (auto map = dyn_cast<ir::MapOp>(op))
    cost = costOfBody(map);
  else if (isa<ir::GatherOp>(op))
    cost = 2;
  for (Value operand : op->getOperands())
    cost += costOf(operand);
  return cost;
}

bool Grouping::worthRecomputing(Operation *op) {
  Value v = op->getResult(0);
  int64_t count = tensorOf(v).getNumElements();
  int cost = isa<ir::GatherOp>(op) ? 2 : costOfBody(cast<ir::MapOp>(op));
  for (Value operand : op->getOperands())
    cost += costOf(operand);
  ArrayRef<Operation *> readers = users[v];
  if (cost > expensive)
    return false;
  // One element of each row of a product: taken by the kernel that reads those rows anyway.
  if (auto gather = dyn_cast<ir::GatherOp>(op))
    if (Operation *src = list.values->resolve(gather.getSrc()).getDefiningOp();
        src && orders.contains(src) && tensorOf(gather.getSrc()).getNumElements() >= 8 * count)
      return false;
  for (Operation *reader : readers) {
    // Several visits of one element: a broadcast, or the sweeps of a softmax.
    int64_t visits = 1;
    if (isa<ir::MapOp, ir::GatherOp>(reader))
      visits = tensorOf(reader->getResult(0)).getNumElements() / std::max<int64_t>(count, 1);
    else if (auto scatter = dyn_cast<ir::ScatterAddOp>(reader))
      visits = tensorOf(scatter.getUpdates()).getNumElements() / std::max<int64_t>(count, 1);
    else if (isa<ir::SoftmaxOp, ir::LogSumExpOp>(reader))
      visits = 3;
    if (auto gather = dyn_cast<ir::GatherOp>(reader);
        gather && list.values->resolve(gather.getIds()) != v)
      visits = 1;
    if (visits > 1 && cost > (visits > 3 ? 4 : cheap))
      return false;
    // A value of the rows is not read again in every turn, nor one of before in the loop.
    if (segments[reader] != segments[op] && cost > cheap)
      return false;
  }
  if (readers.size() == 1)
    return true;
  if (isa<ir::GatherOp>(op) && count > 4096)
    return false;
  // Traffic of recomputing against storing once and reading back.
  llvm::SetVector<Value> sources;
  DenseSet<Value> seen;
  for (Value operand : op->getOperands())
    reads(operand, nullptr, sources, seen);
  int64_t large =
      llvm::count_if(sources, [&](Value s) { return 2 * tensorOf(s).getNumElements() >= count; });
  if (large <= 1)
    return cost <= moderate;
  return large == 2 && readers.size() == 2 && cost <= cheap;
}

void Grouping::chooseVirtual() {
  DenseSet<Value> whole; // read as a whole by a product or an intrinsic
  auto foldable = [&](Value v) { return !inMemory(v); };
  for (auto [op, segment] : list.ops) {
    if (auto contract = dyn_cast<ir::ContractOp>(op)) {
      SmallVector<int64_t> sizes = contract.getLoopSizes();
      for (unsigned i = 0; i < 2; ++i)
        whole.insert(
            productOperand(op->getOperand(i), contract.getMap(i), sizes, *list.values, foldable)
                .base);
    } else if (readsWhole(op)) {
      for (Value v : op->getOperands())
        whole.insert(list.values->base(v));
    }
  }
  DenseSet<Operation *> inEpilogue;
  for (auto &[contract, maps] : epilogues)
    inEpilogue.insert(maps.begin(), maps.end());
  for (auto [op, segment] : list.ops) {
    if (isa<ir::StopGradOp>(op)) { // stands for its operand
      virtuals.insert(op);
      continue;
    }
    if (op->getNumResults() != 1 || inEpilogue.contains(op))
      continue;
    Value v = op->getResult(0);
    if (inMemory(v) || whole.contains(v))
      continue;
    auto map = dyn_cast<ir::MapOp>(op);
    if (isa<arith::ConstantOp, ir::ReshapeOp>(op) || (map && map.viewOf() >= 0))
      virtuals.insert(op);
    else if (options.fuse && (map || isa<ir::GatherOp>(op)) && worthRecomputing(op))
      virtuals.insert(op);
  }
}

} // namespace r1::fuse
