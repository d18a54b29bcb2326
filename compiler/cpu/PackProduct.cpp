#include "compiler/cpu/Product.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include <numeric>

using namespace mlir;
using namespace r1;
using namespace r1::cpu;

static Value zeros(OpBuilder &b, Location loc, Type element, int64_t lanes) {
  return arith::ConstantOp::create(b, loc, b.getZeroAttr(VectorType::get({lanes}, element)));
}

static Value firstLanes(OpBuilder &b, Location loc, int64_t lanes, int64_t live) {
  SmallVector<bool> bits(lanes);
  for (int64_t i = 0; i < lanes; ++i)
    bits[i] = i < live;
  return arith::ConstantOp::create(
      b, loc, DenseElementsAttr::get(VectorType::get({lanes}, b.getI1Type()), bits));
}

static Value asF32(OpBuilder &b, Location loc, Value v) {
  return isHalf(getElementTypeOrSelf(v.getType())) ? widenHalf(b, loc, v) : v;
}

Value Packer::load(const Mem &mem, Value at, int64_t lanes, int64_t live) {
  auto type = VectorType::get({lanes}, mem.element);
  if (live >= lanes)
    return asF32(b, loc, vector::LoadOp::create(b, loc, type, mem.flat, at));
  return asF32(b, loc,
               vector::MaskedLoadOp::create(b, loc, type, mem.flat, at,
                                            firstLanes(b, loc, lanes, live),
                                            zeros(b, loc, mem.element, lanes)));
}

Value Packer::loadDynamic(const Mem &mem, Value at, Value live) {
  auto type = VectorType::get({bl.width}, mem.element);
  Value mask = vector::CreateMaskOp::create(b, loc, VectorType::get({bl.width}, b.getI1Type()),
                                            ValueRange{live});
  return asF32(b, loc,
               vector::MaskedLoadOp::create(b, loc, type, mem.flat, at, mask,
                                            zeros(b, loc, mem.element, bl.width)));
}

Value Packer::gather(const Mem &mem, Value at, int64_t stride, int64_t lanes, int64_t live) {
  SmallVector<int64_t> steps;
  for (int64_t i = 0; i < lanes; ++i)
    steps.push_back(i * stride);
  Value index = arith::ConstantOp::create(
      b, loc, DenseElementsAttr::get(VectorType::get({lanes}, b.getI64Type()), ArrayRef(steps)));
  auto type = VectorType::get({lanes}, mem.element);
  return asF32(b, loc,
               vector::GatherOp::create(b, loc, type, mem.flat, ValueRange{at}, index,
                                        firstLanes(b, loc, lanes, live),
                                        zeros(b, loc, mem.element, lanes)));
}

// Exchanges off-diagonal blocks of 1, 2, 4, … lanes: log2(width) rounds of two-input shuffles.
SmallVector<Value> Packer::transpose(SmallVector<Value> rows) {
  int64_t n = rows.size();
  for (int64_t h = 1; h < n; h *= 2) {
    SmallVector<int64_t> low, high;
    for (int64_t i = 0; i < n; ++i) {
      low.push_back(i & h ? n + i - h : i);
      high.push_back(i & h ? n + i : i + h);
    }
    for (int64_t i = 0; i < n; ++i) {
      if (i & h)
        continue;
      Value x = rows[i], y = rows[i + h];
      rows[i] = vector::ShuffleOp::create(b, loc, x, y, low);
      rows[i + h] = vector::ShuffleOp::create(b, loc, x, y, high);
    }
  }
  return rows;
}

// Lines of the source run along the depth: `live` lines, `stride` apart, become columns
// [depth][pitch] of scratch.
void Packer::packRows(const Mem &mem, Value origin, int64_t stride, Value depth, int64_t live,
                      int64_t lanes, int64_t pitch, bool wholeBlocks, Value to) {
  int64_t w = bl.width;
  auto block = [&](Value k, Value liveDepth) {
    SmallVector<Value> rows;
    for (int64_t r = 0; r < w; ++r) {
      if (r >= live) {
        rows.push_back(zeros(b, loc, b.getF32Type(), w));
        continue;
      }
      Value at = ix.add(ix.add(origin, r * stride), k);
      rows.push_back(liveDepth ? loadDynamic(mem, at, liveDepth) : load(mem, at, w, w));
    }
    rows = transpose(rows);
    for (int64_t t = 0; t < w; ++t) {
      Value v = rows[t];
      if (lanes < w) {
        SmallVector<int64_t> first(lanes);
        std::iota(first.begin(), first.end(), 0);
        v = vector::ShuffleOp::create(b, loc, v, v, first);
      }
      vector::StoreOp::create(b, loc, v, scratch, ix.add(to, ix.mul(ix.add(k, t), pitch)));
    }
  };
  Value whole = wholeBlocks ? depth : ix.mul(ix.div(depth, w), w);
  ix.loop(ix.c(0), whole, w, [&](Value k) { block(k, {}); });
  if (!wholeBlocks)
    ix.when(ix.less(whole, depth), [&] { block(whole, ix.sub(depth, whole)); });
}

void Packer::packB(const Mem &mem, const Problem &p, Value origin, Value depth, int64_t cols,
                   Value to) {
  int64_t w = bl.width;
  for (int64_t v = 0; v < bl.nv && v * w < cols && p.bCol != 1 && p.bDepth == 1; ++v)
    packRows(mem, ix.add(origin, v * w * p.bCol), p.bCol, depth, std::min(w, cols - v * w), w,
             bl.nr, p.depth % w == 0, ix.add(to, v * w));
  if (p.bCol != 1 && p.bDepth == 1)
    return;
  ix.loop(ix.c(0), depth, 1, [&](Value k) {
    Value at = ix.add(origin, ix.mul(k, p.bDepth));
    Value out = ix.add(to, ix.mul(k, bl.nr));
    for (int64_t v = 0; v < bl.nv && v * w < cols; ++v) {
      int64_t live = std::min(w, cols - v * w);
      Value x = p.bCol == 1 ? load(mem, ix.add(at, v * w), w, live)
                            : gather(mem, ix.add(at, v * w * p.bCol), p.bCol, w, live);
      vector::StoreOp::create(b, loc, x, scratch, ix.add(out, v * w));
    }
  });
}

void Packer::packBlock(const Mem &mem, const Problem &p, Value origin, Value depthAt, Value depth,
                       Value first, Value end, int64_t to) {
  auto source = [&](Value panel) {
    return ix.add(origin, ix.add(ix.mul(depthAt, p.bDepth), ix.mul(panel, bl.nr * p.bCol)));
  };
  auto target = [&](Value panel) {
    return ix.add(ix.mul(ix.sub(panel, first), bl.kc * bl.nr), to);
  };
  if (p.bCol != 1 || bl.nPanels == 1) {
    ix.loop(first, end, 1, [&](Value panel) {
      withLive(ix, p.cols, bl.nr, panel,
               [&](int64_t cols) { packB(mem, p, source(panel), depth, cols, target(panel)); });
    });
    return;
  }
  // Rows of B are contiguous over the whole block: read them that way.
  int64_t whole = p.cols / bl.nr, rest = p.cols % bl.nr;
  Value wholeEnd = rest ? ix.min(end, ix.c(whole)) : end;
  ix.loop(ix.c(0), depth, 1, [&](Value k) {
    ix.loop(first, wholeEnd, 1, [&](Value panel) {
      Value at = ix.add(source(panel), ix.mul(k, p.bDepth));
      Value out = ix.add(target(panel), ix.mul(k, bl.nr));
      for (int64_t v = 0; v < bl.nv; ++v)
        vector::StoreOp::create(b, loc, load(mem, ix.add(at, v * bl.width), bl.width, bl.width),
                                scratch, ix.add(out, v * bl.width));
    });
  });
  if (rest)
    ix.when(ix.less(ix.c(whole), end), [&] {
      Value panel = ix.c(whole);
      packB(mem, p, source(panel), depth, rest, target(panel));
    });
}

void Packer::packA(const Mem &mem, const Problem &p, Value origin, Value depth, int64_t rows,
                   Value to) {
  if (p.aRow != 1 && p.aDepth == 1 && bl.mr <= bl.width) {
    packRows(mem, origin, p.aRow, depth, rows, bl.mr, bl.mr, p.depth % bl.width == 0, to);
    return;
  }
  ix.loop(ix.c(0), depth, 1, [&](Value k) {
    Value at = ix.add(origin, ix.mul(k, p.aDepth));
    Value x = p.aRow == 1 ? load(mem, at, bl.mr, rows) : gather(mem, at, p.aRow, bl.mr, rows);
    vector::StoreOp::create(b, loc, x, scratch, ix.add(to, ix.mul(k, bl.mr)));
  });
}
