// kern.kernel -> loops over vectors.
//
// The invariant a reader would guess wrong: a sum has 64 lanes whatever the machine's vectors are.
// Element i of a sweep's innermost dim goes to lane i mod 64; 64 / width vectors hold the lanes,
// and vectors that a short sweep never reaches hold zeros, which add nothing.
#include "compiler/cpu/Schedule.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace r1;
using namespace r1::cpu;

namespace {

constexpr int64_t kSumLanes = 64;

int64_t product(ArrayRef<int64_t> v) {
  int64_t n = 1;
  for (int64_t x : v)
    n *= x;
  return n;
}

class KernelSchedule {
public:
  KernelSchedule(OpBuilder &b, kern::KernelOp op, const Target &t)
      : b(b), op(op), width(t.lanes), ix{b, op.getLoc()} {}
  FailureOr<func::FuncOp> run();

private:
  LogicalResult alongSweep();
  LogicalResult alongRow();
  void bindRows(Lanes &l, Value linear, ArrayRef<int64_t> sizes);
  LogicalResult rowBlock(const Lanes &outer, Value base, int64_t live);
  LogicalResult sweepAcross(kern::SweepOp sweep, Lanes &row);
  LogicalResult sweepChains(kern::SweepOp sweep, MutableArrayRef<Lanes> parts);
  LogicalResult emitBody(Block *block, Lanes &l);
  Value tree(kern::Combine kind, SmallVector<Value> parts);

  OpBuilder &b;
  kern::KernelOp op;
  int64_t width;
  Index ix;
  KernelFunc k;
  bool broken = false; // an operation inside a loop's body could not be emitted
};

FailureOr<func::FuncOp> KernelSchedule::run() {
  SmallVector<Value> args;
  for (BlockArgument a : op.getBlock()->getArguments().drop_front(op.getRows().size()))
    args.push_back(a);
  auto made = beginKernel(b, op, op.getSymName(), args, op.getWrites(), 0);
  if (failed(made))
    return failure();
  k = std::move(*made);
  if (failed(op.getAlong() == "row" ? alongRow() : alongSweep()) || broken) {
    k.func.erase();
    return failure();
  }
  endKernel(b, k);
  return k.func;
}

// Row indices from the linear row.
void KernelSchedule::bindRows(Lanes &l, Value linear, ArrayRef<int64_t> sizes) {
  int64_t below = product(sizes);
  for (size_t i = 0; i < sizes.size(); ++i) {
    below /= sizes[i];
    Value index = ix.div(linear, below);
    if (i)
      index = ix.rem(index, sizes[i]);
    l.bindIndex(op.getBlock()->getArgument(i), index, sizes[i] - 1);
  }
}

LogicalResult KernelSchedule::emitBody(Block *block, Lanes &l) {
  for (Operation &o : block->without_terminator())
    if (failed(l.emit(&o)))
      return failure();
  return success();
}

//===--- along "sweep": scalar rows, vectors across each sweep's innermost dim ---------------===//

LogicalResult KernelSchedule::alongSweep() {
  int64_t rows = product(op.getRows());
  auto [lo, hi] = ix.share(ix.c(rows), k.tid, k.threads);
  ix.loop(lo, hi, 1, [&](Value r) {
    Lanes row(b, width, k.mems);
    bindRows(row, r, op.getRows());
    for (Operation &o : op.getBlock()->without_terminator()) {
      auto sweep = dyn_cast<kern::SweepOp>(o);
      if (failed(sweep ? sweepAcross(sweep, row) : row.emit(&o))) {
        broken = true;
        return;
      }
    }
  });
  return failure(broken);
}

// Lane i with lane i + 32, then 16, 8, 4, 2, 1; absent vectors are the identity.
Value KernelSchedule::tree(kern::Combine kind, SmallVector<Value> parts) {
  Location loc = op.getLoc();
  int64_t all = kSumLanes / width;
  parts.resize(all);
  for (int64_t half = all / 2; half >= 1; half /= 2)
    for (int64_t i = 0; i < half; ++i)
      if (parts[i + half])
        parts[i] = combine(b, loc, kind, parts[i], parts[i + half]);
  return acrossLanes(b, loc, kind, parts[0]);
}

LogicalResult KernelSchedule::sweepAcross(kern::SweepOp sweep, Lanes &row) {
  Location loc = sweep.getLoc();
  auto sizes = sweep.getSizes();
  auto yield = cast<kern::YieldOp>(sweep.getBlock()->getTerminator());
  unsigned results = sweep.getNumResults();
  for (unsigned i = 0; i < results; ++i)
    if (isHalf(sweep.getResult(i).getType()))
      return sweep.emitOpError("combines 16-bit floats; widen them to f32 first");
  int64_t inner = sizes.empty() ? 1 : sizes.back();
  int64_t perBlock = results ? std::min(kSumLanes / width, (inner + width - 1) / width) : 1;
  int64_t block = perBlock * width;

  auto kind = [&](unsigned i) { return kern::Combine(sweep.getCombine()[i]); };
  SmallVector<Value> acc; // [result][vector]
  for (unsigned i = 0; i < results; ++i) {
    TypedAttr zero = identity(b, kind(i), sweep.getResult(i).getType());
    auto type = VectorType::get({width}, zero.getType());
    Value v = arith::ConstantOp::create(b, loc, DenseElementsAttr::get(type, Attribute(zero)));
    acc.append(perBlock, v);
  }
  // One block of vectors from `base`; the last may have fewer live lanes.
  auto visit = [&](const Lanes &outer, Value base, int64_t live, ValueRange carried) {
    SmallVector<Value> next(carried);
    for (int64_t u = 0; u < perBlock && u * width < live; ++u) {
      Lanes l = outer;
      l.setLive(std::min(width, live - u * width));
      if (!sizes.empty())
        l.bindStep(sweep.getBlock()->getArgument(sizes.size() - 1), ix.add(base, u * width), width,
                   inner - 1);
      if (failed(emitBody(sweep.getBlock(), l))) {
        broken = true;
        return next;
      }
      for (unsigned i = 0; i < results; ++i) {
        Value &a = next[i * perBlock + u];
        Value sum = combine(b, loc, kind(i), a, l.asVector(yield.getValues()[i]));
        if (Value m = l.mask())
          sum = arith::SelectOp::create(b, loc, m, sum, a);
        a = sum;
      }
    }
    return next;
  };
  auto innermost = [&](Lanes &l, ValueRange carried) {
    int64_t full = inner / block, rest = inner % block;
    SmallVector<Value> next(carried);
    if (full == 1)
      next = visit(l, ix.c(0), block, next);
    else if (full > 1)
      next = ix.loop(ix.c(0), ix.c(full * block), block, next,
                     [&](Value base, ValueRange c) { return visit(l, base, block, c); });
    if (rest)
      next = visit(l, ix.c(full * block), rest, next);
    return next;
  };
  SmallVector<Value> last;
  if (sizes.empty()) {
    last = visit(row, ix.c(0), 1, acc);
  } else {
    // All dims but the innermost are loops.
    std::function<SmallVector<Value>(unsigned, Lanes, ValueRange)> nest =
        [&](unsigned dim, Lanes l, ValueRange carried) -> SmallVector<Value> {
      if (dim + 1 == sizes.size())
        return innermost(l, carried);
      BlockArgument index = sweep.getBlock()->getArgument(dim);
      return ix.loop(ix.c(0), ix.c(sizes[dim]), 1, carried, [&](Value i, ValueRange c) {
        Lanes here = l;
        here.bindIndex(index, i, sizes[dim] - 1);
        return nest(dim + 1, here, c);
      });
    };
    last = nest(0, row, acc);
  }
  if (broken)
    return failure();
  for (unsigned i = 0; i < results; ++i) {
    Value v = tree(kind(i), SmallVector<Value>(ArrayRef(last).slice(i * perBlock, perBlock)));
    if (!sweep.getInit().empty())
      v = combine(b, loc, kind(i), row.asScalar(sweep.getInit()[i]), v);
    row.bind(sweep.getResult(i), Lane::uniform(v));
  }
  return success();
}

//===--- along "row": vectors across the innermost row dim, sweeps as chains -----------------===//

LogicalResult KernelSchedule::alongRow() {
  auto rows = op.getRows();
  if (rows.empty()) { // one row: nothing to vectorise, nothing to split
    ix.when(ix.equal(k.tid, ix.c(0)), [&] {
      SmallVector<Lanes> parts{Lanes(b, width, k.mems)};
      for (Operation &o : op.getBlock()->without_terminator()) {
        auto sweep = dyn_cast<kern::SweepOp>(o);
        if (failed(sweep ? sweepChains(sweep, parts) : parts[0].emit(&o))) {
          broken = true;
          return;
        }
      }
    });
    return failure(broken);
  }
  int64_t size = rows.back(), outer = product(rows.drop_back());
  bool chains = false;
  for (Operation &o : *op.getBlock())
    chains |= isa<kern::SweepOp>(o);
  // A chain reads a strip per step: several vectors make the strip worth a cache line or more.
  int64_t block = width * (chains ? std::min<int64_t>(4, (size + width - 1) / width) : 1);
  int64_t full = size / block, rest = size % block, blocks = full + (rest ? 1 : 0);

  auto strip = [&](const Lanes &l, Value lo, Value hi) { // blocks [lo, hi) of one outer row
    if (full)
      ix.loop(lo, rest ? ix.min(hi, ix.c(full)) : hi, 1, [&](Value i) {
        if (failed(rowBlock(l, ix.mul(i, block), block)))
          broken = true;
      });
    if (rest)
      ix.when(ix.equal(hi, ix.c(blocks)), [&] {
        if (failed(rowBlock(l, ix.c(full * block), rest)))
          broken = true;
      });
  };
  auto [lo, hi] = ix.share(ix.c(outer * blocks), k.tid, k.threads);
  if (outer == 1) {
    Lanes l(b, width, k.mems);
    bindRows(l, ix.c(0), rows.drop_back());
    ix.when(ix.less(lo, hi), [&, lo = lo, hi = hi] { strip(l, lo, hi); });
    return failure(broken);
  }
  ix.loop(ix.div(lo, blocks), ix.ceilDiv(hi, blocks), 1, [&, lo = lo, hi = hi](Value o) {
    Lanes l(b, width, k.mems);
    bindRows(l, o, rows.drop_back());
    Value first = ix.mul(o, blocks);
    strip(l, ix.max(ix.sub(lo, first), ix.c(0)), ix.min(ix.sub(hi, first), ix.c(blocks)));
  });
  return failure(broken);
}

LogicalResult KernelSchedule::rowBlock(const Lanes &outer, Value base, int64_t live) {
  unsigned dim = op.getRows().size() - 1;
  SmallVector<Lanes> parts;
  for (int64_t at = 0; at < live; at += width) {
    Lanes l = outer;
    l.setLive(std::min(width, live - at));
    l.bindStep(op.getBlock()->getArgument(dim), ix.add(base, at), width, op.getRows()[dim] - 1);
    parts.push_back(l);
  }
  for (Operation &o : op.getBlock()->without_terminator()) {
    if (auto sweep = dyn_cast<kern::SweepOp>(o)) {
      if (failed(sweepChains(sweep, parts)))
        return failure();
      continue;
    }
    for (Lanes &l : parts)
      if (failed(l.emit(&o)))
        return failure();
  }
  return success();
}

LogicalResult KernelSchedule::sweepChains(kern::SweepOp sweep, MutableArrayRef<Lanes> parts) {
  Location loc = sweep.getLoc();
  auto yield = cast<kern::YieldOp>(sweep.getBlock()->getTerminator());
  unsigned results = sweep.getNumResults();
  bool scalar = op.getRows().empty();
  for (unsigned i = 0; i < results; ++i)
    if (isHalf(sweep.getResult(i).getType()))
      return sweep.emitOpError("combines 16-bit floats; widen them to f32 first");
  auto kind = [&](unsigned i) { return kern::Combine(sweep.getCombine()[i]); };

  SmallVector<Value> acc; // [part][result]
  for (Lanes &l : parts)
    for (unsigned i = 0; i < results; ++i) {
      if (!sweep.getInit().empty()) {
        Value init = sweep.getInit()[i];
        acc.push_back(scalar ? l.asScalar(init) : l.asVector(init));
        continue;
      }
      TypedAttr zero = identity(b, kind(i), sweep.getResult(i).getType());
      if (!scalar)
        zero = DenseElementsAttr::get(VectorType::get({width}, zero.getType()), Attribute(zero));
      acc.push_back(arith::ConstantOp::create(b, loc, zero));
    }
  std::function<SmallVector<Value>(unsigned, SmallVector<Lanes>, ValueRange)> nest =
      [&](unsigned dim, SmallVector<Lanes> here, ValueRange carried) -> SmallVector<Value> {
    SmallVector<Value> next(carried);
    if (dim < sweep.getSizes().size()) {
      int64_t size = sweep.getSizes()[dim];
      return ix.loop(ix.c(0), ix.c(size), 1, carried, [&](Value i, ValueRange c) {
        for (Lanes &l : here)
          l.bindIndex(sweep.getBlock()->getArgument(dim), i, size - 1);
        return nest(dim + 1, here, c);
      });
    }
    for (auto [p, l] : llvm::enumerate(here)) {
      if (failed(emitBody(sweep.getBlock(), l))) {
        broken = true;
        return next;
      }
      for (unsigned i = 0; i < results; ++i) {
        Value v = yield.getValues()[i];
        Value &a = next[p * results + i];
        a = combine(b, loc, kind(i), a, scalar ? l.asScalar(v) : l.asVector(v));
      }
    }
    return next;
  };
  SmallVector<Value> last = nest(0, SmallVector<Lanes>(parts), acc);
  if (broken)
    return failure();
  for (auto [p, l] : llvm::enumerate(parts))
    for (unsigned i = 0; i < results; ++i) {
      Value v = last[p * results + i];
      l.bind(sweep.getResult(i), scalar ? Lane::uniform(v) : Lane::vector(v));
    }
  return success();
}

} // namespace

FailureOr<func::FuncOp> r1::cpu::scheduleKernel(OpBuilder &b, kern::KernelOp op, const Target &t) {
  return KernelSchedule(b, op, t).run();
}
