// A large [rows, V] result of a product that is only read row by row (logits above all) never
// exists as a whole: its producer and all its readers run in a loop over chunks of rows. Sums over
// rows continue their chains, so the size of a chunk never shows in the bits.
#include "compiler/fuse/Group.h"
#include "compiler/fuse/Product.h"

using namespace mlir;
namespace r1::fuse {

static int64_t bytesOf(Value v) {
  return tensorOf(v).getNumElements() * ((tensorOf(v).getElementTypeBitWidth() + 7) / 8);
}

bool Grouping::growChunk(Group &start) {
  auto folds = [&](Value v) { return isVirtual(v.getDefiningOp()); };
  auto planOf = [&](const Group &g) {
    return planProduct(cast<ir::ContractOp>(g.ops.front()), *list.values, folds);
  };
  Value z = start.ops.back()->getResult(0);
  auto plan = planOf(start);
  if (!plan || !plan->batch.empty() || start.accumulate)
    return false;
  int64_t rows = plan->sizes[0], width = plan->sizes[1];
  if (plan->strideC[0] != width || plan->strideC[1] != 1)
    return false;
  // The largest number of rows that divides them all and fits.
  int64_t elem = bytesOf(z) / tensorOf(z).getNumElements(), size = 0;
  for (int64_t c = 1; c < rows && c * width * elem <= options.chunkBytes; ++c)
    if (rows % c == 0)
      size = c;
  if (size == 0)
    return false;

  struct Member {
    Group *group;
    bool sums;
  };
  SmallVector<Member> members{{&start, false}};
  DenseSet<Value> temps{z};
  SmallVector<Value> work{z};
  auto isMember = [&](Group *g) {
    return llvm::any_of(members, [&](Member &m) { return m.group == g; });
  };
  while (!work.empty()) {
    Value t = work.pop_back_val();
    for (auto &reader : groups) {
      Group &g = *reader;
      if (!readsOf(g).contains(t) || isMember(&g))
        continue;
      if (g.segment != start.segment || g.chunk >= 0)
        return false;
      bool sums = false;
      if (g.kind == Group::Product) {
        auto p = planOf(g);
        if (!p || !p->batch.empty())
          return false;
        bool asRows = p->a == t && p->b != t && p->sizes[0] == rows && p->strideA[0] == width &&
                      p->strideC[0] == p->sizes[1] && p->strideC[1] == 1;
        sums = !asRows && p->sizes[2] == rows && g.ops.size() == 1 &&
               ((p->a == t && p->strideA[1] == width) || (p->b == t && p->strideB[0] == width));
        if (!asRows && !sums)
          return false;
      } else if (g.kind != Group::Rows) {
        return false;
      } else if (g.chain) {
        if (countOf(g.chained) != rows ||
            llvm::any_of(g.ops, [](Operation *op) { return !isa<ir::ReduceOp>(op); }))
          return false;
        sums = true;
      } else if (g.alongSweep ? countOf(g.rows) != rows : countOf(g.rows) % rows != 0) {
        return false;
      }
      members.push_back({&g, sums});
      // A large result of the same rows is one more value in chunks.
      if (!sums && g.kind == Group::Rows)
        for (Operation *op : g.ops) {
          Value v = op->getResult(0);
          if (bytesOf(v) > options.chunkBytes / 2 && !inMemory(v) &&
              tensorOf(v).getNumElements() % rows == 0 && temps.insert(v).second)
            work.push_back(v);
        }
    }
  }
  for (Member &m : members)
    if (!linearInRows(
            *m.group, rows, m.sums, temps, *list.values,
            [&](Operation *op) { return isVirtual(op); },
            [&](Value v) { return sweepAxes(*m.group, v); }))
      return false;
  // Nothing outside may need one member and feed another.
  DenseSet<Group *> seen;
  SmallVector<Group *> up;
  auto pushOutside = [&](Group &g) {
    for (Value v : readsOf(g))
      if (Group *from = groupOf(v); from && !isMember(from) && seen.insert(from).second)
        up.push_back(from);
  };
  for (Member &m : members)
    pushOutside(*m.group);
  while (!up.empty()) {
    Group *g = up.pop_back_val();
    for (Value v : readsOf(*g))
      if (Group *from = groupOf(v); from && isMember(from))
        return false;
    pushOutside(*g);
  }
  for (Member &m : members) {
    m.group->chunk = chunks;
    m.group->chunkRows = rows;
    m.group->chunkSize = size;
    m.group->chunkSums = m.sums;
  }
  for (Value t : temps)
    this->temps[t] = size;
  ++chunks;
  return true;
}

void Grouping::chooseChunks() {
  if (options.chunkBytes <= 0)
    return;
  for (auto &g : groups) {
    Value z = g->ops.back()->getResult(0);
    if (g->kind == Group::Product && g->chunk < 0 && !inMemory(z) &&
        bytesOf(z) > options.chunkBytes / 2)
      growChunk(*g);
  }
}

} // namespace r1::fuse
