// kern.product -> the register-blocked nest:
//
//   thread's rows x columns / columns by NC / depth by KC: pack B / rows by MC: pack A /
//   panels of B / panels of A / microkernel: mr x nv vectors of C in registers over KC steps
//
// The invariant a reader would guess wrong: accumulators START from C (zero in the first block of
// the depth), so every element is one FMA chain in increasing k and no block size, tile or thread
// count shows in the bits.
#include "compiler/cpu/ProductSchedule.h"

using namespace mlir;
using namespace r1;
using namespace r1::cpu;

static int64_t up(int64_t x, int64_t to) { return (x + to - 1) / to * to; }
static int64_t ceilDiv(int64_t x, int64_t y) { return (x + y - 1) / y; }

LogicalResult ProductSchedule::look() {
  auto args = op.getBlock()->getArguments();
  for (unsigned i = 4; i < args.size(); ++i)
    if (!isa<MemRefType>(args[i].getType()))
      return op.emitOpError("argument ") << i << " must be a memref";
  if (!args[3].getType().isF32())
    return op.emitOpError("is not supported yet: accumulates in ") << args[3].getType();
  for (unsigned i = 4; i < 7; ++i) {
    Type e = cast<MemRefType>(args[i].getType()).getElementType();
    if (!e.isF32() && !isHalf(e))
      return op.emitOpError("is not supported yet: multiplies f32, bf16 and f16, found ") << e;
  }
  size_t n = op.getBatch().size();
  auto a = op.getA(), bs = op.getB(), c = op.getC();
  auto sizes = op.getSizes();
  p.batch.assign(op.getBatch().begin(), op.getBatch().end());
  p.aBatch = a.take_front(n);
  p.bBatch = bs.take_front(n);
  p.cBatch = c.take_front(n);
  p.depth = sizes[2];
  p.swapped = c[n + 1] != 1 && c[n] == 1;
  if (!p.swapped) {
    p.rows = sizes[0], p.cols = sizes[1];
    p.aRow = a[n], p.aDepth = a[n + 1], p.bDepth = bs[n], p.bCol = bs[n + 1];
    p.cRow = c[n], p.cCol = c[n + 1];
  } else {
    p.rows = sizes[1], p.cols = sizes[0];
    p.aRow = bs[n + 1], p.aDepth = bs[n], p.bDepth = a[n + 1], p.bCol = a[n];
    p.cRow = c[n + 1], p.cCol = c[n];
    std::swap(p.aBatch, p.bBatch);
  }
  if (p.cols == 1)
    p.cCol = 1; // any stride will do
  Type cType = cast<MemRefType>(args[6].getType()).getElementType();
  auto yield = cast<kern::YieldOp>(op.getBlock()->getTerminator());
  plain = yield.getValues()[0] == args[3] && cType.isF32() && p.cCol == 1;
  if (op.getAccumulate() && !plain)
    return op.emitOpError(
        "is not supported yet: accumulates into a C that is not f32 or has no unit "
        "stride, or with an epilogue");
  bool readsC = !args[6].use_empty();
  ownPartials = !cType.isF32() || p.cCol != 1 || readsC;
  return success();
}

void ProductSchedule::chooseBlocks() {
  bl.width = t.lanes;
  bl.mr = t.tileRows;
  bl.nv = t.tileVectors;
  bl.nr = bl.nv * bl.width;
  iPanels = ceilDiv(p.rows, bl.mr);
  jPanels = ceilDiv(p.cols, bl.nr);
  bl.kBlocks = ceilDiv(p.depth, t.blockK);
  bl.kc = up(ceilDiv(p.depth, bl.kBlocks), bl.width);
  bl.kBlocks = ceilDiv(p.depth, bl.kc);
  if (bl.kBlocks == 1)
    ownPartials = false;
  // A block of A and a panel of B share the second-level cache.
  int64_t mc = std::min<int64_t>(t.blockM, std::max<int64_t>(bl.mr, t.blockM * 768 / bl.kc));
  bl.mPanels = std::min(iPanels, std::max<int64_t>(1, mc / bl.mr));
  bl.nPanels = std::min(jPanels, std::max<int64_t>(1, t.blockN / bl.nr));
  superPanels = iPanels;
  // Rows that lie whole pages apart share cache sets: those are packed even where A could be read
  // in place.
  auto aType = cast<MemRefType>(op.getBlock()->getArgument(p.swapped ? 5 : 4).getType());
  directA =
      p.aDepth == 1 && aType.getElementType().isF32() && (p.aRow % 1024 != 0 || p.rows <= bl.mr);
  // A shallow block of B stays in the second-level cache whole: then rows are the outer loop, which
  // walks C along its rows. A deep one that a single block of A meets need not outlive its panel.
  int64_t panelBytes = bl.kc * bl.nr * 4, cacheBytes = 448 << 10;
  rowsOuter = 4 * panelBytes <= cacheBytes;
  if (rowsOuter)
    bl.nPanels = std::min(bl.nPanels, cacheBytes / panelBytes);
  else if (directA && p.bCol != 1 && iPanels <= bl.mPanels)
    bl.nPanels = 1;
  if (ownPartials) {
    bl.nPanels = std::min<int64_t>(bl.nPanels, 4);
    superPanels = std::min<int64_t>(iPanels, 128);
  }
  atB = 0;
  atA = atB + bl.nPanels * bl.kc * bl.nr;
  atTile = atA + (directA ? 0 : up(bl.mPanels * bl.kc * bl.mr, 16));
  atPartial = atTile + bl.mr * bl.nr;
  scratchSize = atPartial + (ownPartials ? superPanels * bl.mr * bl.nPanels * bl.nr : 0);
}

// Threads form a grid over batches, rows and columns: the one with the least work for the busiest
// thread, packing included. Decided at run time, since the number of threads is known only then.
ProductSchedule::Region ProductSchedule::split() {
  int64_t batches = 1;
  for (int64_t n : p.batch)
    batches *= n;
  auto pick = [&](Value divides, Value x, Value y) -> Value {
    return arith::SelectOp::create(b, loc, divides, x, y);
  };
  auto cost = [&](Value tb, Value ti, Value tj) {
    auto most = [&](int64_t total, Value parts) {
      return ix.div(ix.sub(ix.add(parts, total), ix.c(1)), parts);
    };
    Value x = ix.mul(most(iPanels, ti), bl.mr), y = ix.mul(most(jPanels, tj), bl.nr);
    Value work = ix.add(ix.mul(x, y), ix.mul(ix.add(ix.mul(x, directA ? 1 : 2), y), 8));
    return ix.mul(work, most(batches, tb));
  };
  Value one = ix.c(1), zero = ix.c(0), end = ix.add(k.threads, 1);
  auto rowsLoop = [&](Value tb, Value rest, ValueRange best) {
    return ix.loop(one, ix.add(rest, 1), 1, best, [&](Value ti, ValueRange c) {
      Value tj = ix.div(rest, ti);
      Value now = cost(tb, ti, tj);
      Value whole = ix.equal(ix.mul(ti, tj), rest);
      Value better = arith::AndIOp::create(b, loc, whole, ix.less(now, c[0]));
      return SmallVector<Value>{pick(better, now, c[0]), pick(better, tb, c[1]),
                                pick(better, ti, c[2])};
    });
  };
  SmallVector<Value> best{ix.c(INT64_MAX), one, one};
  if (batches == 1)
    best = rowsLoop(one, k.threads, best);
  else
    best = ix.loop(one, end, 1, best, [&](Value tb, ValueRange c) {
      Value rest = ix.div(k.threads, tb);
      Value whole = ix.equal(ix.mul(tb, rest), k.threads);
      // Not a divisor: no candidates.
      return rowsLoop(tb, pick(whole, rest, zero), c);
    });
  Value tb = best[1], ti = best[2];
  Value perBatch = ix.div(k.threads, tb);
  Value tj = ix.div(perBatch, ti);
  Value inBatch = b.createOrFold<arith::RemUIOp>(loc, k.tid, perBatch);
  Region r;
  std::tie(r.g0, r.g1) = ix.share(ix.c(batches), ix.div(k.tid, perBatch), tb);
  std::tie(r.i0, r.i1) = ix.share(ix.c(iPanels), ix.div(inBatch, tj), ti);
  std::tie(r.j0, r.j1) =
      ix.share(ix.c(jPanels), b.createOrFold<arith::RemUIOp>(loc, inBatch, tj), tj);
  return r;
}

void ProductSchedule::batchOrigins(Value batch) {
  g = batch;
  aOrigin = ix.c(A.offset), bOrigin = ix.c(B.offset), cOrigin = ix.c(C.offset);
  int64_t below = 1;
  for (int64_t n : p.batch)
    below *= n;
  for (size_t d = 0; d < p.batch.size(); ++d) {
    below /= p.batch[d];
    Value at = ix.div(batch, below);
    if (d)
      at = ix.rem(at, p.batch[d]);
    aOrigin = ix.add(aOrigin, ix.mul(at, p.aBatch[d]));
    bOrigin = ix.add(bOrigin, ix.mul(at, p.bBatch[d]));
    cOrigin = ix.add(cOrigin, ix.mul(at, p.cBatch[d]));
  }
}

void ProductSchedule::blockNest(Value i0, Value i1, Value j0, Value j1) {
  Packer packer(b, loc, bl, k.scratch);
  iSuper = i0;
  ix.loop(j0, j1, bl.nPanels, [&](Value jc) {
    jBlock = jc;
    Value jEnd = ix.min(ix.add(jc, bl.nPanels), j1);
    auto depthBlock = [&](Value pc) {
      kAt = pc;
      kLen = bl.kBlocks == 1 ? ix.c(p.depth) : ix.min(ix.c(bl.kc), ix.sub(ix.c(p.depth), pc));
      last = bl.kBlocks == 1 ? Value() : ix.equal(ix.add(pc, kLen), ix.c(p.depth));
      packer.packBlock(B, p, bOrigin, pc, kLen, jc, jEnd, atB);
      ix.loop(i0, i1, bl.mPanels, [&](Value ic) {
        iBlock = ic;
        Value iEnd = ix.min(ix.add(ic, bl.mPanels), i1);
        if (!directA)
          ix.loop(ic, iEnd, 1, [&](Value ip) {
            Value origin =
                ix.add(aOrigin, ix.add(ix.mul(pc, p.aDepth), ix.mul(ip, bl.mr * p.aRow)));
            Value to = ix.add(ix.mul(ix.sub(ip, ic), bl.kc * bl.mr), atA);
            withLive(ix, p.rows, bl.mr, ip,
                     [&](int64_t rows) { packer.packA(A, p, origin, kLen, rows, to); });
          });
        auto tileAt = [&](Value ip, Value jp) {
          withLive(ix, p.cols, bl.nr, jp, [&](int64_t cols) {
            withLive(ix, p.rows, bl.mr, ip, [&](int64_t rows) { micro(ip, jp, rows, cols); });
          });
        };
        if (rowsOuter)
          ix.loop(ic, iEnd, 1,
                  [&](Value ip) { ix.loop(jc, jEnd, 1, [&](Value jp) { tileAt(ip, jp); }); });
        else
          ix.loop(jc, jEnd, 1,
                  [&](Value jp) { ix.loop(ic, iEnd, 1, [&](Value ip) { tileAt(ip, jp); }); });
      });
    };
    if (bl.kBlocks == 1)
      depthBlock(ix.c(0));
    else
      ix.loop(ix.c(0), ix.c(p.depth), bl.kc, depthBlock);
  });
}

Value ProductSchedule::lanesMask(int64_t live) {
  SmallVector<bool> bits(bl.width);
  for (int64_t i = 0; i < bl.width; ++i)
    bits[i] = i < live;
  return arith::ConstantOp::create(
      b, loc, DenseElementsAttr::get(VectorType::get({bl.width}, b.getI1Type()), bits));
}

void ProductSchedule::micro(Value ip, Value jp, int64_t rows, int64_t cols) {
  int64_t w = bl.width, nv = ceilDiv(cols, w);
  auto vec = VectorType::get({w}, b.getF32Type());
  auto maskType = VectorType::get({w}, b.getI1Type());
  Value zero = arith::ConstantOp::create(b, loc, b.getZeroAttr(vec));
  Value i = ix.mul(ip, bl.mr), j = ix.mul(jp, bl.nr);
  auto live = [&](int64_t v) { return std::min(w, cols - v * w); };

  // Where the sums of the blocks before this one are.
  Value sums = ownPartials ? k.scratch : C.flat;
  Value sumsAt = ownPartials
                     ? ix.add(ix.add(ix.mul(ix.sub(i, ix.mul(iSuper, bl.mr)), bl.nPanels * bl.nr),
                                     ix.sub(j, ix.mul(jBlock, bl.nr))),
                              atPartial)
                     : ix.add(cOrigin, ix.add(ix.mul(i, p.cRow), ix.mul(j, p.cCol)));
  int64_t sumsRow = ownPartials ? bl.nPanels * bl.nr : p.cRow;

  SmallVector<Value> acc;
  Value started; // lanes that start from memory
  bool zeroFirst = !op.getAccumulate();
  if (zeroFirst && bl.kBlocks > 1) {
    Value later = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ne, kAt, ix.c(0));
    started = vector::BroadcastOp::create(b, loc, maskType, later);
  }
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t v = 0; v < nv; ++v) {
      if (zeroFirst && bl.kBlocks == 1) {
        acc.push_back(zero);
        continue;
      }
      Value at = ix.add(sumsAt, r * sumsRow + v * w);
      Value mask = live(v) < w ? lanesMask(live(v)) : Value();
      if (started)
        mask = mask ? Value(arith::AndIOp::create(b, loc, mask, started)) : started;
      acc.push_back(mask ? Value(vector::MaskedLoadOp::create(b, loc, vec, sums, at, mask, zero))
                         : Value(vector::LoadOp::create(b, loc, vec, sums, at)));
    }

  Value bAt = ix.add(ix.mul(ix.sub(jp, jBlock), bl.kc * bl.nr), atB);
  Value aAt = directA ? ix.add(aOrigin, ix.add(kAt, ix.mul(i, p.aRow)))
                      : ix.add(ix.mul(ix.sub(ip, iBlock), bl.kc * bl.mr), atA);
  SmallVector<Value> aRows;
  for (int64_t r = 0; r < rows; ++r)
    aRows.push_back(ix.add(aAt, directA ? r * p.aRow : r));
  acc = tile(
      ix, ix.c(0), kLen, acc, rows, nv,
      [&](int64_t r, Value kk) -> Value {
        Value at = ix.add(aRows[r], directA ? kk : ix.mul(kk, bl.mr));
        return memref::LoadOp::create(b, loc, directA ? A.flat : k.scratch, at);
      },
      [&](int64_t v, Value kk) -> Value {
        return vector::LoadOp::create(b, loc, vec, k.scratch,
                                      ix.add(ix.add(bAt, v * w), ix.mul(kk, bl.nr)));
      });

  auto store = [&](Value to, Value at, int64_t pitch, bool masked) {
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t v = 0; v < nv; ++v) {
        Value where = ix.add(at, r * pitch + v * w);
        if (masked && live(v) < w)
          vector::MaskedStoreOp::create(b, loc, to, where, lanesMask(live(v)), acc[r * nv + v]);
        else
          vector::StoreOp::create(b, loc, acc[r * nv + v], to, where);
      }
  };
  auto keep = [&] { store(sums, sumsAt, sumsRow, !ownPartials); };
  auto finish = [&] {
    store(k.scratch, ix.c(atTile), bl.nr, false);
    epilogue(i, j, rows, cols, ix.c(atTile), bl.nr);
  };
  if (plain)
    keep();
  else if (bl.kBlocks == 1)
    finish();
  else
    ix.when(last, finish, keep);
}

// The epilogue reads the finished tile back from scratch row by row: its code exists once per tile
// shape, whatever it computes.
void ProductSchedule::epilogue(Value i0, Value j0, int64_t rows, int64_t cols, Value tileAt, int64_t pitch) {
  int64_t w = bl.width;
  auto vec = VectorType::get({w}, b.getF32Type());
  Block *body = op.getBlock();
  auto yield = cast<kern::YieldOp>(body->getTerminator());
  unsigned rowArg = p.swapped ? 2 : 1, colArg = p.swapped ? 1 : 2;
  ix.loop(ix.c(0), ix.c(rows), 1, [&](Value r) {
    Value i = ix.add(i0, r);
    for (int64_t v = 0; v * w < cols; ++v) {
      Lanes l(b, w, k.mems);
      l.setLive(std::min(w, cols - v * w));
      Value j = ix.add(j0, v * w);
      l.bindIndex(body->getArgument(0), g, INT32_MAX);
      l.bindIndex(body->getArgument(rowArg), i, p.rows - 1);
      l.bindStep(body->getArgument(colArg), j, w, p.cols - 1);
      Value at = ix.add(ix.add(tileAt, v * w), ix.mul(r, pitch));
      l.bind(body->getArgument(3),
             Lane::vector(vector::LoadOp::create(b, loc, vec, k.scratch, at)));
      for (Operation &o : body->without_terminator())
        if (failed(l.emit(&o))) {
          broken = true;
          return;
        }
      Value out = l.asVector(yield.getValues()[0]);
      Value to = ix.add(cOrigin, ix.add(ix.mul(i, p.cRow), ix.mul(j, p.cCol)));
      Value mask = l.mask();
      if (p.cCol == 1) {
        if (mask)
          vector::MaskedStoreOp::create(b, loc, C.flat, to, mask, out);
        else
          vector::StoreOp::create(b, loc, out, C.flat, to);
        continue;
      }
      SmallVector<int64_t> steps;
      for (int64_t n = 0; n < w; ++n)
        steps.push_back(n * p.cCol);
      Value index = arith::ConstantOp::create(
          b, loc, DenseElementsAttr::get(VectorType::get({w}, b.getI64Type()), ArrayRef(steps)));
      vector::ScatterOp::create(b, loc, Type(), C.flat, ValueRange{to}, index,
                                mask ? mask : lanesMask(w), out);
    }
  });
}

FailureOr<func::FuncOp> ProductSchedule::run() {
  if (failed(look()))
    return failure();
  bool once = streams();
  once ? chooseStream() : chooseBlocks();
  SmallVector<Value> args;
  for (BlockArgument a : op.getBlock()->getArguments().drop_front(4))
    args.push_back(a);
  auto made = beginKernel(b, op, op.getSymName(), args, {2}, scratchSize);
  if (failed(made))
    return failure();
  k = std::move(*made);
  A = k.list[p.swapped ? 1 : 0];
  B = k.list[p.swapped ? 0 : 1];
  C = k.list[2];
  if (once) {
    stream();
  } else {
    Region r = split();
    ix.loop(r.g0, r.g1, 1, [&](Value batch) {
      batchOrigins(batch);
      if (superPanels >= iPanels)
        blockNest(r.i0, r.i1, r.j0, r.j1);
      else
        ix.loop(r.i0, r.i1, superPanels,
                [&](Value i) { blockNest(i, ix.min(ix.add(i, superPanels), r.i1), r.j0, r.j1); });
    });
  }
  if (broken) {
    k.func.erase();
    return failure();
  }
  endKernel(b, k);
  return k.func;
}

FailureOr<func::FuncOp> r1::cpu::scheduleProduct(OpBuilder &b, kern::ProductOp op,
                                                 const Target &t) {
  return ProductSchedule(b, op, t).run();
}
