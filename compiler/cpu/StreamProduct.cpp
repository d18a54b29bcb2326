// A product whose A has few rows, as in decoding: each element of B meets a handful of additions, so what
// counts is to read B once, in the order in which it lies in memory.
//
//   rows of B along the columns ([K, N])     strips of columns / depths by 8 / vectors: sums in scratch
//   rows of B along the depth ([N, K])       vectors of columns / depths by one vector, transposed in registers
//
// Every element is the chain of the blocked nest: increasing depth, one FMA each.
#include "compiler/cpu/ProductSchedule.h"

using namespace mlir;
using namespace r1;
using namespace r1::cpu;

static constexpr int64_t kRows = 16;         // more rows are worth packing B
static constexpr int64_t kDepths = 8;        // rows of B that are read beside each other
static constexpr int64_t kStripBytes = 65536; // of sums, which stay in the second-level cache
static constexpr int64_t kAhead = 768;        // bytes of a row of B that are fetched before they are used
static constexpr int64_t kLine = 64;

static int64_t up(int64_t x, int64_t to) { return (x + to - 1) / to * to; }

bool ProductSchedule::streams() {
  for (int64_t n : p.batch)
    if (n != 1)
      return false;
  return p.rows <= kRows && p.cCol == 1 && (p.bCol == 1 || p.bDepth == 1) && !op.getAccumulate() &&
         p.cols >= 2 * t.lanes;
}

void ProductSchedule::chooseStream() {
  int64_t sums = t.tileRows * t.tileVectors; // registers for them
  bl.width = t.lanes;
  bl.mr = p.rows;
  bl.kc = p.depth;
  bl.nv = std::clamp<int64_t>(sums / p.rows, 1, p.bCol == 1 ? 8 : 2);
  if (p.bCol != 1 && bl.nv * p.rows + bl.width > sums + 4)
    bl.nv = 1; // a square and the sums are in registers together
  bl.nr = bl.nv * bl.width;
  jPanels = (p.cols + bl.nr - 1) / bl.nr;
  bl.nPanels = p.bCol == 1 ? std::clamp<int64_t>(kStripBytes / (4 * p.rows * bl.nr), 1, jPanels) : 1;
  auto aType = cast<MemRefType>(op.getBlock()->getArgument(p.swapped ? 5 : 4).getType());
  directA = p.rows == 1 && p.aDepth == 1 && aType.getElementType().isF32();
  atA = 0;
  atTile = directA ? 0 : up(p.rows * up(p.depth, bl.width), 16);
  scratchSize = atTile + bl.nPanels * p.rows * bl.nr;
}

/// `B` from element `at` on will be wanted soon, beyond what the processor foresees: rows lie pages apart.
void ProductSchedule::fetch(Value at, unsigned locality) {
  memref::PrefetchOp::create(b, loc, B.flat, ValueRange{at}, /*isWrite=*/false, locality,
                             /*isDataCache=*/true);
}

Value ProductSchedule::left(int64_t row, Value depth) {
  Value x = directA ? memref::LoadOp::create(b, loc, A.flat, ix.add(aOrigin, depth))
                    : memref::LoadOp::create(b, loc, k.scratch, ix.add(ix.mul(depth, p.rows), atA + row));
  return vector::BroadcastOp::create(b, loc, VectorType::get({bl.width}, b.getF32Type()), x);
}

void ProductSchedule::stream() {
  batchOrigins(ix.c(0));
  if (!directA)
    Packer(b, loc, bl, k.scratch).packA(A, p, aOrigin, ix.c(p.depth), p.rows, ix.c(atA));
  auto [j0, j1] = ix.share(ix.c(jPanels), k.tid, k.threads);
  p.bCol == 1 ? streamRows(j0, j1) : streamColumns(j0, j1);
}

// B [K, N]: eight rows of it at a time, along a strip of columns.
void ProductSchedule::streamRows(Value j0, Value j1) {
  int64_t w = bl.width, rows = p.rows, tileSize = rows * bl.nr;
  auto vec = VectorType::get({w}, b.getF32Type());
  Value zero = arith::ConstantOp::create(b, loc, b.getZeroAttr(vec));
  Packer packer(b, loc, bl, k.scratch);
  int64_t bytes = B.element.getIntOrFloatBitWidth() / 8, ahead = std::max<int64_t>(1, kAhead / (bl.nr * bytes));
  ix.loop(j0, j1, bl.nPanels, [&](Value jc) {
    Value jEnd = ix.min(ix.add(jc, bl.nPanels), j1);
    auto tileAt = [&](Value jp) { return ix.add(ix.mul(ix.sub(jp, jc), tileSize), atTile); };
    ix.loop(ix.c(0), ix.mul(ix.sub(jEnd, jc), tileSize), w, [&](Value i) {
      vector::StoreOp::create(b, loc, zero, k.scratch, ix.add(i, atTile));
    });
    auto steps = [&](Value depth, int64_t count) {
      ix.loop(jc, jEnd, 1, [&](Value jp) {
        withLive(ix, p.cols, bl.nr, jp, [&](int64_t cols) {
          int64_t nv = (cols + w - 1) / w;
          Value at = tileAt(jp), column = ix.add(bOrigin, ix.mul(jp, bl.nr));
          // What comes after `ahead` tiles: in the same rows, or at the strip's begin in those below.
          Value to = ix.add(jp, ahead), wraps = ix.less(jEnd, ix.add(to, 1));
          Value next = arith::SelectOp::create(
              b, loc, wraps, ix.add(ix.mul(ix.sub(to, ix.sub(jEnd, jc)), bl.nr), kDepths * p.bDepth), ix.mul(to, bl.nr));
          next = ix.add(bOrigin, ix.add(next, ix.mul(depth, p.bDepth)));
          SmallVector<Value> acc;
          for (int64_t r = 0; r < rows; ++r)
            for (int64_t v = 0; v < nv; ++v)
              acc.push_back(vector::LoadOp::create(b, loc, vec, k.scratch, ix.add(at, r * bl.nr + v * w)));
          for (int64_t u = 0; u < count; ++u) {
            Value d = ix.add(depth, u), from = ix.add(column, ix.mul(d, p.bDepth));
            SmallVector<Value> x;
            for (int64_t c = 0; c < nv * w; c += kLine / bytes)
              fetch(ix.add(ix.add(next, u * p.bDepth), c), 3);
            for (int64_t v = 0; v < nv; ++v)
              x.push_back(packer.load(B, ix.add(from, v * w), w, cols - v * w));
            for (int64_t r = 0; r < rows; ++r) {
              Value a = left(r, d);
              for (int64_t v = 0; v < nv; ++v)
                acc[r * nv + v] = math::FmaOp::create(b, loc, a, x[v], acc[r * nv + v]);
            }
          }
          for (int64_t r = 0; r < rows; ++r)
            for (int64_t v = 0; v < nv; ++v)
              vector::StoreOp::create(b, loc, acc[r * nv + v], k.scratch, ix.add(at, r * bl.nr + v * w));
        });
      });
    };
    int64_t whole = p.depth / kDepths * kDepths;
    if (whole)
      ix.loop(ix.c(0), ix.c(whole), kDepths, [&](Value depth) { steps(depth, kDepths); });
    if (whole < p.depth)
      steps(ix.c(whole), p.depth - whole);
    ix.loop(jc, jEnd, 1, [&](Value jp) {
      withLive(ix, p.cols, bl.nr, jp, [&](int64_t cols) {
        epilogue(ix.c(0), ix.mul(jp, bl.nr), rows, cols, tileAt(jp), bl.nr);
      });
    });
  });
}

// B [N, K]: a square of it becomes columns in registers.
void ProductSchedule::streamColumns(Value j0, Value j1) {
  int64_t w = bl.width, rows = p.rows;
  auto vec = VectorType::get({w}, b.getF32Type());
  Value zero = arith::ConstantOp::create(b, loc, b.getZeroAttr(vec));
  Packer packer(b, loc, bl, k.scratch);
  ix.loop(j0, j1, 1, [&](Value jp) {
    withLive(ix, p.cols, bl.nr, jp, [&](int64_t cols) {
      int64_t nv = (cols + w - 1) / w;
      Value first = ix.add(bOrigin, ix.mul(jp, bl.nr * p.bCol));
      // Columns from `depth` on as they lie, one vector each, transposed.
      auto columns = [&](Value depth, int64_t v, function_ref<Value(Value)> load) {
        SmallVector<Value> x;
        for (int64_t c = 0; c < w; ++c)
          fetch(ix.add(ix.add(first, depth), (bl.nr + v * w + c) * p.bCol), 2);
        for (int64_t c = 0; c < w; ++c)
          x.push_back(c < cols - v * w ? load(ix.add(ix.add(first, depth), (v * w + c) * p.bCol)) : zero);
        return packer.transpose(x);
      };
      auto add = [&](SmallVector<Value> &acc, int64_t v, Value depth, Value x) {
        for (int64_t r = 0; r < rows; ++r)
          acc[r * nv + v] = math::FmaOp::create(b, loc, left(r, depth), x, acc[r * nv + v]);
      };
      auto square = [&](Value depth, int64_t count, ValueRange in) {
        SmallVector<Value> acc(in);
        for (int64_t v = 0; v < nv; ++v) {
          auto x = columns(depth, v, [&](Value at) { return packer.load(B, at, w, count); });
          for (int64_t u = 0; u < count; ++u)
            add(acc, v, ix.add(depth, u), x[u]);
        }
        return acc;
      };
      // Two neighbours in bf16 are transposed as one lane: the upper half is a float, the lower one shifted up.
      auto pairs = [&](Value depth, ValueRange in) {
        SmallVector<Value> acc(in);
        auto bits = VectorType::get({w}, b.getI32Type());
        auto number = [&](int64_t n) {
          return arith::ConstantOp::create(b, loc, DenseElementsAttr::get(bits, APInt(32, uint64_t(n))));
        };
        for (int64_t v = 0; v < nv; ++v) {
          auto x = columns(depth, v, [&](Value at) -> Value {
            Value both = vector::LoadOp::create(b, loc, VectorType::get({2 * w}, B.element), B.flat, at);
            return vector::BitCastOp::create(b, loc, vec, both);
          });
          for (int64_t u = 0; u < w; ++u) {
            Value both = arith::BitcastOp::create(b, loc, bits, x[u]);
            Value low = arith::ShLIOp::create(b, loc, both, number(16));
            Value high = arith::AndIOp::create(b, loc, both, number(0xFFFF0000));
            add(acc, v, ix.add(depth, 2 * u), arith::BitcastOp::create(b, loc, vec, low));
            add(acc, v, ix.add(depth, 2 * u + 1), arith::BitcastOp::create(b, loc, vec, high));
          }
        }
        return acc;
      };
      SmallVector<Value> acc(rows * nv, zero);
      int64_t done = B.element.isBF16() ? p.depth / (2 * w) * (2 * w) : 0, whole = p.depth / w * w;
      if (done)
        acc = ix.loop(ix.c(0), ix.c(done), 2 * w, acc, pairs);
      if (done < whole)
        acc = ix.loop(ix.c(done), ix.c(whole), w, acc,
                      [&](Value depth, ValueRange in) { return square(depth, w, in); });
      if (whole < p.depth)
        acc = square(ix.c(whole), p.depth - whole, acc);
      for (int64_t r = 0; r < rows; ++r)
        for (int64_t v = 0; v < nv; ++v)
          vector::StoreOp::create(b, loc, acc[r * nv + v], k.scratch, ix.c(atTile + r * bl.nr + v * w));
      epilogue(ix.c(0), ix.mul(jp, bl.nr), rows, cols, ix.c(atTile), bl.nr);
    });
  });
}
