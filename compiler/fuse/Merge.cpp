// Kernels over rows grow by merging groups, as long as each row stays on its own.
#include "compiler/fuse/Group.h"

using namespace mlir;
namespace r1::fuse {

namespace {

/// Ops further apart than this stay apart: what lies between would keep results alive.
constexpr int farApart = 96;
constexpr unsigned maxReads = 24;
/// Sweeps shorter than this are not worth their own loop.
constexpr int64_t shortSweep = 32;
constexpr int64_t longSweep = 1024;
constexpr int64_t fewRows = 16;
/// Reading fewer elements twice does not matter.
constexpr int64_t sizeable = 512;

/// How many leading axes of `shape` count `rows` rows; nothing if they do not divide so.
std::optional<unsigned> leadingAxes(ArrayRef<int64_t> shape, int64_t rows) {
  int64_t count = 1;
  unsigned lead = 0;
  while (lead < shape.size() && count < rows)
    count *= shape[lead++];
  if (count != rows)
    return std::nullopt;
  while (lead < shape.size() && shape[lead] == 1)
    ++lead;
  return lead;
}

bool isElementwise(const Group &g) { return !g.alongSweep && !g.chain; }

} // namespace

/// The rows of both groups together.
bool Grouping::mergedShape(const Group &a, const Group &b, Group &out, std::string &why) const {
  out.kind = Group::Rows;
  out.segment = a.segment;
  int64_t ra = countOf(a.rows), rb = countOf(b.rows);
  if (a.chain != b.chain) {
    const Group &chain = a.chain ? a : b, &other = a.chain ? b : a;
    // Element-wise work on finished sums.
    if (!isElementwise(other) || chain.accumulate || ra != rb) {
      why = "a sum over rows";
      return false;
    }
    out.rows = chain.rows;
    out.chain = true;
    out.chained = chain.chained;
    return true;
  }
  if (a.chain) {
    if (a.rows != b.rows || a.chained != b.chained || a.accumulate != b.accumulate) {
      why = "sums over different rows";
      return false;
    }
    out.rows = a.rows;
    out.chain = true;
    out.chained = a.chained;
    out.accumulate = a.accumulate;
    return true;
  }
  out.alongSweep = a.alongSweep || b.alongSweep;
  if (!out.alongSweep) {
    if (ra == rb) {
      out.rows = a.rows.size() >= b.rows.size() ? a.rows : b.rows;
      return true;
    }
    // Values of rows, and elements of the same rows.
    const Group &few = ra < rb ? a : b, &many = ra < rb ? b : a;
    int64_t sweep = countOf(many.rows) / countOf(few.rows);
    if (countOf(few.rows) < fewRows || sweep < shortSweep ||
        !leadingAxes(many.rows, countOf(few.rows))) {
      why = "other rows: " + shapeText(a.rows) + " and " + shapeText(b.rows);
      return false;
    }
    out.alongSweep = true;
    out.rows = few.rows;
    return true;
  }
  if (a.alongSweep && b.alongSweep && ra != rb) {
    why = "other rows: " + shapeText(a.rows) + " and " + shapeText(b.rows);
    return false;
  }
  const Group &swept = a.alongSweep ? a : b, &other = a.alongSweep ? b : a;
  // Threads share rows: elements that need no row are not tied to a few of them.
  if (isElementwise(other) && countOf(swept.rows) < fewRows &&
      countOf(other.rows) > longSweep * countOf(swept.rows)) {
    why = "too few rows to share among threads";
    return false;
  }
  if (!leadingAxes(other.rows, countOf(swept.rows))) {
    why = "other rows: " + shapeText(a.rows) + " and " + shapeText(b.rows);
    return false;
  }
  out.rows = swept.rows;
  return true;
}

bool Grouping::rowLocal(const Group &g, std::string &why) const {
  // Every value must have the rows in front.
  for (Operation *op : g.ops) {
    bool softmax = isa<ir::SoftmaxOp>(op);
    if (!softmax && !leadingAxes(shapeOf(op->getResult(0)), countOf(g.rows))) {
      why = "other rows: " + shapeText(g.rows);
      return false;
    }
  }
  if (readsOwnRows(
          g, *list.values, [&](Operation *op) { return isVirtual(op); },
          [&](Value v) { return sweepAxes(g, v); }))
    return true;
  why = "it reads other rows";
  return false;
}

/// Some group outside depends on one of both and feeds the other.
bool Grouping::wouldCycle(const Group &a, const Group &b) const {
  auto reaches = [&](const Group &from, const Group &to) {
    // From `from` upwards, not directly into `to`.
    SmallVector<Group *> work;
    DenseSet<Group *> seen;
    auto push = [&](const Group &g) {
      for (Value v : readsOf(g))
        if (Group *up = groupOf(v);
            up && up != &g && up->last >= to.first && seen.insert(up).second)
          work.push_back(up);
    };
    for (Value v : readsOf(from))
      if (Group *up = groupOf(v); up && up != &from && up != &to && seen.insert(up).second)
        work.push_back(up);
    while (!work.empty()) {
      Group *g = work.pop_back_val();
      if (g == &to)
        return true;
      push(*g);
    }
    return false;
  };
  return reaches(a, b) || reaches(b, a);
}

bool Grouping::tryMerge(Group &into, Group &from, std::string &why) {
  if (&into == &from)
    return false;
  if (into.kind != Group::Rows || from.kind != Group::Rows) {
    why = "the end of a kernel of another kind";
    return false;
  }
  if (into.segment != from.segment) {
    why = "outside of the loop over micro-batches";
    return false;
  }
  if (std::min(std::abs(into.first - from.last), std::abs(from.first - into.last)) > farApart) {
    why = "far apart in the program";
    return false;
  }
  if (epochs[into.first] != epochs[from.first] || epochs[into.last] != epochs[from.last]) {
    why = "a block is computed again in between";
    return false;
  }
  Group merged;
  if (!mergedShape(into, from, merged, why))
    return false;
  merged.ops = into.ops;
  merged.ops.append(from.ops.begin(), from.ops.end());
  llvm::sort(merged.ops,
             [&](Operation *a, Operation *b) { return orders.lookup(a) < orders.lookup(b); });
  if (!rowLocal(merged, why))
    return false;
  if (wouldCycle(into, from)) {
    why = "what lies between needs its result";
    return false;
  }
  llvm::SetVector<Value> reads = readsOf(into);
  for (Value v : readsOf(from))
    reads.insert(v);
  if (reads.size() > maxReads) {
    why = "the kernel would read too many buffers";
    return false;
  }
  into.ops = merged.ops;
  into.rows = merged.rows;
  into.alongSweep = merged.alongSweep;
  into.chain = merged.chain;
  into.chained = merged.chained;
  into.accumulate = merged.accumulate;
  into.first = std::min(into.first, from.first);
  into.last = std::max(into.last, from.last);
  for (Operation *op : from.ops)
    owner[op] = &into;
  readCache.clear();
  llvm::erase_if(groups, [&](auto &g) { return g.get() == &from; });
  return true;
}

void Grouping::mergeRows() {
  std::string why;
  for (auto [op, segment] : list.ops) {
    auto own = owner.find(op);
    if (own == owner.end() || own->second->kind != Group::Rows)
      continue;
    // Producers first, the nearest before the others.
    auto tryAll = [&](SmallVector<Group *> candidates) {
      llvm::sort(candidates, [](Group *a, Group *b) { return a->last > b->last; });
      candidates.erase(llvm::unique(candidates), candidates.end());
      for (Group *g : candidates)
        if (Group *mine = owner[op]; llvm::any_of(groups, [&](auto &p) { return p.get() == g; }))
          tryMerge(*g, *mine, why);
    };
    SmallVector<Group *> producers, siblings;
    llvm::SetVector<Value> mine = readsOf(*owner[op]);
    for (Value v : mine)
      if (Group *g = groupOf(v))
        producers.push_back(g);
    tryAll(producers);
    // Groups that visit the same rows of the same large value.
    bool scalar = tensorOf(op->getResult(0)).getNumElements() == 1 && isa<ir::MapOp>(op);
    for (auto &g : groups) {
      if (g.get() == owner[op] || g->kind != Group::Rows || g->segment != segment ||
          g->first > orders[op] || orders[op] - g->last > farApart)
        continue;
      if (scalar && !g->chain && countOf(g->rows) == 1) {
        siblings.push_back(g.get());
        continue;
      }
      if (countOf(g->rows) != countOf(owner[op]->rows) || g->chain != owner[op]->chain)
        continue;
      llvm::SetVector<Value> theirs = readsOf(*g);
      int64_t large = isElementwise(*g) ? countOf(g->rows) / 2 : 4 * countOf(g->rows);
      if (llvm::any_of(mine, [&](Value v) {
            return theirs.contains(v) && tensorOf(v).getNumElements() >= std::max(large, sizeable);
          }))
        siblings.push_back(g.get());
    }
    tryAll(siblings);
  }
}

bool Grouping::readsInPlace(const Group &g, Value v) const {
  return g.kind == Group::Rows && isElementwise(g) &&
         countOf(g.rows) == tensorOf(v).getNumElements() &&
         readsElementwise(
             g, v, *list.values, [&](Operation *op) { return isVirtual(op); },
             [&](Value r) { return sweepAxes(g, r); });
}

/// All that reads a product's result is one element-wise kernel with one result: the product's
/// epilogue, even if it is made of several ops.
void Grouping::takeEpilogues() {
  SmallVector<Group *> products;
  for (auto &g : groups)
    if (g->kind == Group::Product && !g->accumulate)
      products.push_back(g.get());
  for (Group *p : products) {
    Value sum = p->ops.back()->getResult(0);
    if (inMemory(sum))
      continue;
    Group *only = nullptr;
    bool several = false;
    for (auto &g : groups)
      if (g.get() != p && readsOf(*g).contains(sum)) {
        several |= only != nullptr;
        only = g.get();
      }
    if (!only || several || only->kind != Group::Rows || !isElementwise(*only) ||
        only->segment != p->segment || countOf(only->rows) != tensorOf(sum).getNumElements())
      continue;
    // One result: what the others read, or an output.
    Operation *root = nullptr;
    for (Operation *op : only->ops) {
      Value v = op->getResult(0);
      bool read = inMemory(v) || llvm::any_of(groups, [&](auto &g) {
                    return g.get() != only && readsOf(*g).contains(v);
                  });
      if (!read)
        continue;
      several |= root != nullptr;
      root = op;
    }
    if (several || !root || shapeOf(root->getResult(0)) != shapeOf(sum) ||
        readsOf(*only).size() > maxReads / 2 ||
        !readsElementwise(
            *only, sum, *list.values, [&](Operation *op) { return isVirtual(op); },
            [&](Value v) { return sweepAxes(*only, v); }) ||
        wouldCycle(*p, *only))
      continue;
    for (Operation *op : only->ops) {
      owner[op] = p;
      if (op != root)
        p->ops.push_back(op);
    }
    p->ops.push_back(root);
    p->last = std::max(p->last, only->last);
    llvm::erase_if(groups, [&](auto &g) { return g.get() == only; });
    readCache.clear();
  }
}

/// For people who look: why a launch is not part of the one before it.
void Grouping::explain() {
  Group *previous = nullptr;
  for (auto &g : groups) {
    if (previous && previous->segment == g->segment) {
      std::string why;
      Group merged;
      if (g->kind == Group::Product)
        why = "a product starts a kernel";
      else if (g->kind == Group::Scatter)
        why = "rows meet in the table";
      else if (g->kind == Group::Intrinsic)
        why = "a registered kernel";
      else if (previous->kind == Group::Product)
        why = users.lookup(previous->ops.back()->getResult(0)).size() > 1
                  ? "the product's result has several readers"
                  : "it does not read the product element by element";
      else if (previous->kind != Group::Rows)
        why = "the end of a kernel of another kind";
      else if (mergedShape(*previous, *g, merged, why))
        why = llvm::any_of(readsOf(*g), [&](Value v) { return groupOf(v) == previous; })
                  ? "it reads other rows"
                  : "nothing in common";
      g->reason = why;
    }
    previous = g.get();
  }
}

} // namespace r1::fuse
