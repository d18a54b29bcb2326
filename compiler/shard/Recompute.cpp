#include "compiler/shard/Recompute.h"
#include "compiler/pch.h"
#include "compiler/shard/Shard.h"
#include "dialects/r1/R1.h"

using namespace mlir;
namespace r1 {
namespace {

/// The values of a loop over rows as its forward part makes them and its gradients read them.
class Forward {
public:
  Forward(Block &body, const DenseSet<Operation *> &ops) : body(body) {
    for (Operation &op : body.without_terminator())
      if (ops.contains(&op) && !isLeaf(&op)) {
        order[&op] = int(list.size());
        list.push_back(&op);
      }
    collect();
  }

  /// Chooses the cuts, at most once. False if there is nothing between them.
  bool cut();
  int64_t blocks() const { return int64_t(cuts.size()); }
  /// Clones what the gradients read of block `b`.
  void again(int64_t b);
  /// Values that cross a cut and could be computed from others where they are read lie in memory.
  void storeKept();

private:
  /// A value that takes memory, with what is read through views of it.
  struct Root {
    Value value;
    int64_t bytes = 0;
    int def = 0, lastUse = 0; // in the forward part
    bool needed = false;      // by the gradients
    bool kept = false;        // crosses a cut
  };

  static bool isLeaf(Operation *op) { return isa<ir::ParamOp, ir::ScalarOp, arith::ConstantOp>(op); }
  bool isForward(Operation *op) const { return order.contains(op); }
  /// Through views to what lies in memory.
  static Value rootOf(Value v) {
    while (Operation *op = v.getDefiningOp()) {
      auto map = dyn_cast<ir::MapOp>(op);
      if (isa<ir::ReshapeOp, ir::StopGradOp>(op))
        v = op->getOperand(0);
      else if (map && map.viewOf() >= 0)
        v = map.getIns()[map.viewOf()];
      else
        break;
    }
    return v;
  }
  /// No memory for it can be saved: it comes from outside, is no result of the forward part, or is kept.
  bool stays(Value v) const {
    auto it = index.find(rootOf(v));
    return it == index.end() || roots[it->second].kept;
  }

  void collect() {
    for (Operation *op : list)
      for (Value v : op->getResults()) {
        auto type = dyn_cast<RankedTensorType>(v.getType());
        if (!type || rootOf(v) != v)
          continue;
        Root r;
        r.value = v;
        r.bytes = type.getNumElements() * int64_t((type.getElementTypeBitWidth() + 7) / 8);
        r.def = r.lastUse = order[op];
        index[v] = unsigned(roots.size());
        roots.push_back(r);
      }
    for (Operation &op : body)
      for (Value v : op.getOperands()) {
        auto it = index.find(rootOf(v));
        if (it == index.end())
          continue;
        Root &r = roots[it->second];
        if (isForward(&op))
          r.lastUse = std::max(r.lastUse, order.lookup(&op));
        else if (&op != body.getTerminator())
          r.needed = true;
      }
  }

  /// Positions after which few bytes are alive, before the last of the widest values is made: what
  /// follows that one is read by the gradients at once (the scores of a large vocabulary, which exist in
  /// chunks that gradients share).
  std::vector<int> candidates() const {
    int64_t widest = 0;
    int end = 0;
    for (const Root &r : roots)
      if (r.bytes >= widest)
        widest = r.bytes, end = r.def;
    std::vector<int64_t> alive(list.size() + 1, 0);
    for (const Root &r : roots)
      if (r.lastUse > r.def)
        alive[r.def] += r.bytes, alive[r.lastUse] -= r.bytes;
    for (size_t i = 1; i < alive.size(); ++i)
      alive[i] += alive[i - 1];
    std::vector<int> out;
    for (int i = 1; i < end; ++i)
      if (alive[i] <= alive[i - 1] && alive[i] < alive[i + 1])
        out.push_back(i);
    return out;
  }

  Block &body;
  std::vector<Operation *> list;
  llvm::DenseMap<Operation *, int> order;
  std::vector<Root> roots;
  llvm::DenseMap<Value, unsigned> index;
  std::vector<int> cuts; // the last op of each block
};

/// Chen et al. 2016 trade what is kept between blocks for what is alive within one. Both are known here
/// for every pair of candidates, so the cuts are those with the least sum: for a bound of a block's
/// bytes, the cheapest way through the candidates; of all bounds, the best.
bool Forward::cut() {
  std::vector<int> at = candidates();
  size_t n = at.size();
  if (!n)
    return false;
  at.insert(at.begin(), -1);
  // kept[i][j]: what newly crosses cut j when i is the cut before; inner[i][j]: what lies between.
  std::vector<std::vector<int64_t>> kept(n + 1, std::vector<int64_t>(n + 1)), inner = kept;
  std::vector<int64_t> bounds;
  for (size_t j = 1; j <= n; ++j) {
    std::vector<int64_t> crossing(j), within(j); // by the candidate before the value
    for (const Root &r : roots) {
      if (r.def > at[j])
        continue;
      size_t i = size_t(llvm::lower_bound(at, r.def) - at.begin()) - 1; // at[i] < def
      if (r.lastUse > at[j])
        crossing[i] += r.bytes;
      else if (r.needed)
        within[i] += r.bytes;
    }
    for (size_t i = j; i-- > 0;) {
      kept[i][j] = crossing[i] + (i + 1 < j ? kept[i + 1][j] : 0);
      inner[i][j] = within[i] + (i + 1 < j ? inner[i + 1][j] : 0);
      bounds.push_back(inner[i][j]);
    }
  }
  llvm::sort(bounds);
  bounds.erase(llvm::unique(bounds), bounds.end());
  constexpr size_t tries = 32;
  int64_t best = -1;
  for (size_t t = 0; t < std::min(tries, bounds.size()); ++t) {
    int64_t bound = bounds[bounds.size() <= tries ? t : t * (bounds.size() - 1) / (tries - 1)];
    std::vector<int64_t> cost(n + 1, -1);
    std::vector<size_t> from(n + 1, 0);
    cost[0] = 0;
    for (size_t j = 1; j <= n; ++j)
      for (size_t i = 0; i < j; ++i)
        if (cost[i] >= 0 && inner[i][j] <= bound && (cost[j] < 0 || cost[i] + kept[i][j] < cost[j]))
          cost[j] = cost[i] + kept[i][j], from[j] = i;
    if (cost[n] < 0)
      continue;
    // A block's gradients are as large as its values.
    int64_t sum = cost[n] + 2 * bound;
    if (best >= 0 && sum >= best)
      continue;
    best = sum;
    cuts.clear();
    for (size_t j = n; j; j = from[j])
      cuts.insert(cuts.begin(), at[j]);
  }
  for (Root &r : roots)
    for (int c : cuts)
      r.kept |= r.def <= c && r.lastUse > c;
  return true;
}

void Forward::storeKept() {
  for (Root &r : roots)
    if (auto map = r.value.getDefiningOp<ir::MapOp>(); map && r.kept)
      if (llvm::any_of(map.getOperands(), [&](Value v) { return !stays(v); }))
        map->setAttr("r1.stored", UnitAttr::get(map.getContext()));
}

void Forward::again(int64_t b) {
  int first = b ? cuts[b - 1] + 1 : 0, last = cuts[b];
  auto inBlock = [&](Operation *op) {
    auto it = order.find(op);
    return it != order.end() && it->second >= first && it->second <= last;
  };
  // What the gradients read, and what that is made of.
  DenseSet<Operation *> wanted;
  SmallVector<Operation *> work;
  Operation *reader = nullptr;
  for (int i = first; i <= last; ++i)
    for (Value v : list[i]->getResults())
      for (Operation *user : v.getUsers()) {
        if (isForward(user) || user == body.getTerminator() || stays(v))
          continue;
        if (!reader || user->isBeforeInBlock(reader))
          reader = user;
        if (wanted.insert(list[i]).second)
          work.push_back(list[i]);
      }
  while (!work.empty())
    for (Value v : work.pop_back_val()->getOperands())
      if (Operation *def = v.getDefiningOp(); def && inBlock(def) && !stays(v) && wanted.insert(def).second)
        work.push_back(def);
  if (!reader)
    return;
  OpBuilder at(reader);
  IRMapping clones;
  for (int i = first; i <= last; ++i) {
    if (!wanted.contains(list[i]))
      continue;
    // A mark of its own keeps a clone from being found equal to its original.
    at.clone(*list[i], clones)->setAttr("r1.again", at.getI64IntegerAttr(b));
    for (Value v : list[i]->getResults())
      if (!stays(v))
        v.replaceUsesWithIf(clones.lookup(v), [&](OpOperand &use) {
          return !isForward(use.getOwner()) && use.getOwner() != body.getTerminator();
        });
  }
}

/// The ops of `loop` that the loss and what is reported of the forward part are made of. What is reported of gradients
/// reads the forward part as they do.
DenseSet<Operation *> forwardOps(func::FuncOp func, ir::RowLoopOp loop) {
  SmallVector<Value> work;
  for (OpOperand &result : func.getBody().front().getTerminator()->getOpOperands()) {
    unsigned i = result.getOperandNumber();
    auto name = func.getResultAttrOfType<StringAttr>(i, "r1.name");
    bool gradient = (name && name.getValue().starts_with("grad:")) || func.getResultAttr(i, "r1.of_grad");
    if (i == 0 || !gradient)
      work.push_back(result.get());
  }
  DenseSet<Operation *> ops, seen;
  while (!work.empty()) {
    Value v = work.pop_back_val();
    Operation *op = v.getDefiningOp();
    if (op == loop) {
      work.push_back(loop.getBlock()->getTerminator()->getOperand(cast<OpResult>(v).getResultNumber()));
      continue;
    }
    if (!op || !seen.insert(op).second)
      continue;
    if (op->getBlock() == loop.getBlock())
      ops.insert(op);
    work.append(op->operand_begin(), op->operand_end());
  }
  return ops;
}

} // namespace

int64_t recomputeBlocks(ModuleOp module, int64_t again) {
  int64_t blocks = 0;
  for (auto func : module.getOps<func::FuncOp>()) {
    if (func.getSymName().split('@').first != "backward" || func.isDeclaration())
      continue;
    for (auto loop : func.getBody().getOps<ir::RowLoopOp>()) {
      Forward forward(*loop.getBlock(), forwardOps(func, loop));
      if (!forward.cut())
        continue;
      blocks = std::max(blocks, forward.blocks());
      if (again > 0)
        forward.storeKept();
      for (int64_t b = 0; b < std::min(again, forward.blocks()); ++b)
        forward.again(b);
    }
  }
  return blocks;
}

namespace {
struct RecomputePass : PassWrapper<RecomputePass, OperationPass<ModuleOp>> {
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(RecomputePass)
  RecomputePass() = default;
  RecomputePass(const RecomputePass &other) : PassWrapper(other) {}
  StringRef getArgument() const final { return "r1-recompute"; }
  StringRef getDescription() const final { return "blocks computed again for gradients"; }
  void runOnOperation() final { (void)recomputeBlocks(getOperation(), blocks); }
  Option<int64_t> blocks{*this, "blocks", llvm::cl::desc("the first blocks that are computed again"),
                         llvm::cl::init(int64_t(1) << 32)};
};
} // namespace

void registerRecomputePass() { PassRegistration<RecomputePass>(); }

} // namespace r1
