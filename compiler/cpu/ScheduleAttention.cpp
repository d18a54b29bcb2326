// kern.intrinsic "flash_attention" and "flash_attention_bwd" -> loops over blocks of queries.
//
//   forward, per (b, h), 8 queries:   scores (8 x all keys, in scratch) | row maxima | exponentials
//   |
//                                     one FMA chain over the keys for out and for the row sum
//   backward, per (b, g), 32 queries: p and ds (32 x all keys, in scratch) | dq chains over the
//   keys |
//                                     dk and dv: chains over the queries (heads of the group first)
//
// The invariant a reader would guess wrong: nothing is rescaled block by block. The maximum is
// exact before the first exponential and sums are chains over single keys, so a key that may not be
// seen is a no-op wherever it stands, and skipping a whole panel of such keys cannot show in the
// bits.
#include "compiler/cpu/Attention.h"
#include "compiler/math/MathExpansion.h"
#include <cmath>

using namespace mlir;
using namespace r1;
using namespace r1::cpu;
using namespace r1::cpu::attention;

static int64_t up(int64_t x, int64_t to) { return (x + to - 1) / to * to; }

LogicalResult Schedule::look(unsigned inputs, unsigned minResults, unsigned maxResults) {
  auto types = op.getArgTypes();
  unsigned results = op.getWrites().size();
  if (op.getLambdas().size() != 1 || types.size() < inputs + results || results < minResults ||
      results > maxResults)
    return op.emitOpError("takes ") << inputs << " inputs, captures, " << minResults << " to "
                                    << maxResults << " results and one lambda";
  auto type = [&](unsigned i) { return cast<MemRefType>(cast<TypeAttr>(types[i]).getValue()); };
  for (unsigned i = 0; i < 3; ++i) {
    if (type(i).getRank() != 4)
      return op.emitOpError("takes q [B, T, H, K] and k, v [B, S, G, K]");
    if (!type(i).getElementType().isF32() && !isHalf(type(i).getElementType()))
      return op.emitOpError("is not supported yet on ") << type(i).getElementType();
  }
  auto q = type(0).getShape(), kv = type(1).getShape();
  B = q[0], T = q[1], H = q[2], K = q[3], S = kv[1], G = kv[2];
  if (kv[0] != B || kv[3] != K || G == 0 || H % G)
    return op.emitOpError("has queries ") << type(0) << " that do not fit keys " << type(1);
  auto given = op.getParams().getAs<FloatAttr>("scale");
  scale = float(given ? given.getValueAsDouble() : 1.0 / std::sqrt(double(K)));
  width = kVectors * w;
  panels = (S + width - 1) / width;
  pitch = panels * width;
  cols = up(K, width);
  panelSize = up(K, w) * width;
  lambda = &op.getLambdas()[0].front();
  return success();
}

LogicalResult Schedule::begin() {
  SmallVector<Value> args;
  for (Attribute t : op.getArgTypes())
    args.push_back(arguments.addArgument(cast<TypeAttr>(t).getValue(), loc));
  auto made = beginKernel(b, op, op.getSymName(), args, op.getWrites(), size);
  if (failed(made))
    return failure();
  k = std::move(*made);
  unsigned inputs = unsigned(args.size() - op.getWrites().size()) -
                    (lambda->getNumArguments() - 3); // captures stand between
  for (unsigned i = 3; i < lambda->getNumArguments(); ++i)
    k.mems[lambda->getArgument(i)] = k.list[inputs + i - 3];
  return success();
}

FailureOr<func::FuncOp> Schedule::end() {
  if (broken) {
    k.func.erase();
    return failure();
  }
  endKernel(b, k);
  return k.func;
}

Value Schedule::constant(float v) {
  auto type = VectorType::get({w}, b.getF32Type());
  return arith::ConstantOp::create(b, loc,
                                   DenseElementsAttr::get(type, Attribute(b.getF32FloatAttr(v))));
}

Value Schedule::loadScratch(Value at) {
  return vector::LoadOp::create(b, loc, VectorType::get({w}, b.getF32Type()), k.scratch, at);
}

void Schedule::storeScratch(Value v, Value at) {
  vector::StoreOp::create(b, loc, v, k.scratch, at);
}

Value Schedule::element(const Mem &m, Value x0, Value x1, Value x2) {
  Value at = ix.add(ix.mul(x0, m.strides[0]), ix.mul(x1, m.strides[1]));
  return ix.add(ix.add(at, ix.mul(x2, m.strides[2])), m.offset);
}

Value Schedule::loadRow(const Mem &m, Value at, int64_t c) {
  if (c >= K)
    return constant(0);
  Blocks bl{};
  bl.width = w;
  return Packer(b, loc, bl, k.scratch).load(m, ix.add(at, c), w, K - c);
}

void Schedule::storeRow(const Mem &m, Value at, int64_t c, Value v) {
  if (c >= K)
    return;
  if (isHalf(m.element))
    v = narrowHalf(b, loc, v, m.element);
  at = ix.add(at, c);
  if (K - c >= w) {
    vector::StoreOp::create(b, loc, v, m.flat, at);
    return;
  }
  SmallVector<bool> bits(w);
  for (int64_t i = 0; i < w; ++i)
    bits[i] = i < K - c;
  Value mask = arith::ConstantOp::create(
      b, loc, DenseElementsAttr::get(VectorType::get({w}, b.getI1Type()), bits));
  vector::MaskedStoreOp::create(b, loc, m.flat, at, mask, v);
}

void Schedule::copyRows(const Mem &m, Value batch, Value first, Value head, int64_t rows,
                        Value to) {
  for (int64_t r = 0; r < rows; ++r) {
    Value at = element(m, batch, ix.add(first, r), head);
    for (int64_t c = 0; c < K; c += w)
      storeScratch(loadRow(m, at, c), ix.add(to, r * cols + c));
  }
}

void Schedule::packKeys(const Mem &m, Value batch, Value group, int64_t to) {
  Problem p{};
  p.depth = K, p.cols = S, p.bCol = m.strides[1], p.bDepth = 1;
  Blocks bl{};
  bl.width = w, bl.nv = kVectors, bl.nr = width;
  Packer packer(b, loc, bl, k.scratch);
  int64_t whole = S / width, rest = S % width;
  auto pack = [&](Value panel, int64_t live) {
    Value origin = element(m, batch, ix.mul(panel, width), group);
    packer.packB(m, p, origin, ix.c(K), live, ix.add(ix.mul(panel, panelSize), to));
  };
  if (whole)
    ix.loop(ix.c(0), ix.c(whole), 1, [&](Value panel) { pack(panel, width); });
  if (rest)
    pack(ix.c(whole), rest);
}

Value Schedule::allowed(Value batch, Value t, Value panel, int64_t rows, Value to) {
  Value s0 = ix.mul(panel, width);
  auto evaluate = [&](int64_t live) -> Value {
    Value any;
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t v = 0; v < kVectors; ++v) {
        Value at = ix.add(ix.add(to, r * pitch + v * w), s0);
        if (live <= v * w) {
          storeScratch(constant(kNone), at);
          continue;
        }
        Lanes l(b, w, k.mems);
        l.setLive(std::min(w, live - v * w));
        l.bindIndex(lambda->getArgument(0), batch, B - 1);
        l.bindIndex(lambda->getArgument(1), ix.add(t, r), T - 1);
        l.bindStep(lambda->getArgument(2), ix.add(s0, v * w), w, S - 1);
        for (Operation &o : lambda->without_terminator())
          if (failed(l.emit(&o))) {
            broken = true;
            return any;
          }
        Value ok = l.asVector(lambda->getTerminator()->getOperand(0));
        if (Value m = l.mask())
          ok = arith::AndIOp::create(b, loc, ok, m);
        storeScratch(arith::SelectOp::create(b, loc, ok, constant(0), constant(kNone)), at);
        any = any ? Value(arith::OrIOp::create(b, loc, any, ok)) : ok;
      }
    Type bits = VectorType::get({1}, b.getIntegerType(unsigned(w)));
    Value packed = vector::ExtractOp::create(
        b, loc, vector::BitCastOp::create(b, loc, cast<VectorType>(bits), any), int64_t(0));
    Value zero = arith::ConstantOp::create(b, loc, b.getIntegerAttr(packed.getType(), 0));
    return arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ne, packed, zero);
  };
  int64_t whole = S / width, rest = S % width;
  if (!rest)
    return evaluate(width);
  if (!whole)
    return evaluate(rest);
  auto f = scf::IfOp::create(b, loc, TypeRange{b.getI1Type()}, ix.less(panel, ix.c(whole)), true);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(f.thenBlock());
  scf::YieldOp::create(b, loc, evaluate(width));
  b.setInsertionPointToStart(f.elseBlock());
  scf::YieldOp::create(b, loc, evaluate(rest));
  return f.getResult(0);
}

SmallVector<Value> Schedule::dots(Value left, int64_t packed, Value panel, int64_t rows) {
  SmallVector<Value> acc(rows * kVectors, constant(0));
  Value at = ix.add(ix.mul(panel, panelSize), packed);
  return tile(
      ix, ix.c(0), ix.c(K), acc, rows, kVectors,
      [&](int64_t r, Value c) { return scalarScratch(ix.add(ix.add(left, r * cols), c)); },
      [&](int64_t v, Value c) { return loadScratch(ix.add(ix.add(at, v * w), ix.mul(c, width))); });
}

// For each pair of vectors of channels: chains over the keys lo … hi of weights[r][key] * m[key];
// with `sums` also of the weights themselves (the same in every lane), given to the first pair.
void Schedule::overKeys(Value weights, const Mem &m, Value batch, Value group, Value lo, Value hi,
                        int64_t rows, bool sums,
                        function_ref<void(int64_t, ArrayRef<Value>, ArrayRef<Value>)> finish) {
  SmallVector<Value> rowSums;
  for (int64_t c = 0; c < K; c += width) {
    int64_t nv = std::min(kVectors, (K - c + w - 1) / w);
    bool count = sums && c == 0;
    SmallVector<Value> acc(rows * nv + (count ? rows : 0), constant(0));
    Value origin = element(m, batch, ix.c(0), group);
    auto last = ix.loop(lo, hi, 1, acc, [&](Value s, ValueRange in) {
      SmallVector<Value> next(in), columns;
      Value at = ix.add(origin, ix.mul(s, m.strides[1]));
      for (int64_t v = 0; v < nv; ++v)
        columns.push_back(loadRow(m, at, c + v * w));
      for (int64_t r = 0; r < rows; ++r) {
        Value x = vector::BroadcastOp::create(b, loc, constant(0).getType(),
                                              scalarScratch(ix.add(ix.add(weights, r * pitch), s)));
        for (int64_t v = 0; v < nv; ++v)
          next[r * nv + v] = math::FmaOp::create(b, loc, x, columns[v], next[r * nv + v]);
        if (count)
          next[rows * nv + r] = arith::AddFOp::create(b, loc, next[rows * nv + r], x);
      }
      return next;
    });
    if (count)
      rowSums.assign(last.begin() + rows * nv, last.end());
    finish(c, ArrayRef(last).take_front(rows * nv), rowSums);
  }
}

//===--- forward --------------------------------------------------------------------------===//

void Schedule::queryBlock(Value batch, Value head, Value group, Value t0, int64_t rows) {
  auto vec = VectorType::get({w}, b.getF32Type());
  copyRows(Q, batch, t0, head, rows, ix.c(atQ));
  Value none = constant(kNone);
  // Scores of all panels, the row maxima, and the panels that hold any key.
  SmallVector<Value> state(rows, none);
  state.push_back(ix.c(panels));
  state.push_back(ix.c(0));
  state = ix.loop(ix.c(0), ix.c(panels), 1, state, [&](Value panel, ValueRange in) {
    Value any = allowed(batch, t0, panel, rows, ix.c(atP));
    if (broken)
      return SmallVector<Value>(in);
    auto f = scf::IfOp::create(b, loc, in.getTypes(), any, true);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(f.elseBlock());
    scf::YieldOp::create(b, loc, in);
    b.setInsertionPointToStart(f.thenBlock());
    SmallVector<Value> next(in), acc = dots(ix.c(atQ), atKeys, panel, rows);
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t v = 0; v < kVectors; ++v) {
        Value at = ix.add(ix.mul(panel, width), atP + r * pitch + v * w);
        Value seen =
            arith::CmpFOp::create(b, loc, arith::CmpFPredicate::OEQ, loadScratch(at), constant(0));
        Value x = arith::MulFOp::create(b, loc, acc[r * kVectors + v], constant(scale));
        x = arith::SelectOp::create(b, loc, seen, x, none);
        storeScratch(x, at);
        next[r] = arith::MaximumFOp::create(b, loc, next[r], x);
      }
    next[rows] = ix.min(in[rows], panel);
    next[rows + 1] = ix.add(panel, 1);
    scf::YieldOp::create(b, loc, next);
    return SmallVector<Value>(f.getResults());
  });
  if (broken)
    return;
  Value lo = ix.mul(state[rows], width), hi = ix.mul(state[rows + 1], width);
  SmallVector<Value> maxima, shifts;
  for (int64_t r = 0; r < rows; ++r) {
    Value m = acrossLanes(b, loc, kern::Combine::max, state[r]);
    Value lost = arith::ConstantOp::create(b, loc, b.getF32FloatAttr(kNone));
    Value zero = arith::ConstantOp::create(b, loc, b.getF32FloatAttr(0));
    Value empty = arith::CmpFOp::create(b, loc, arith::CmpFPredicate::OEQ, m, lost);
    maxima.push_back(m);
    shifts.push_back(
        vector::BroadcastOp::create(b, loc, vec, arith::SelectOp::create(b, loc, empty, zero, m)));
  }
  ix.loop(lo, hi, w, [&](Value s) {
    for (int64_t r = 0; r < rows; ++r) {
      Value at = ix.add(s, atP + r * pitch);
      Value x = arith::SubFOp::create(b, loc, loadScratch(at), shifts[r]);
      storeScratch(emitExp(b, loc, x), at);
    }
  });
  overKeys(ix.c(atP), V, batch, group, lo, ix.min(hi, ix.c(S)), rows, true,
           [&](int64_t c, ArrayRef<Value> acc, ArrayRef<Value> sums) {
             int64_t nv = int64_t(acc.size()) / rows;
             for (int64_t r = 0; r < rows; ++r) {
               Value at = element(O, batch, ix.add(t0, r), head);
               // A query that sees nothing is all zeros.
               Value empty =
                   arith::CmpFOp::create(b, loc, arith::CmpFPredicate::OEQ, sums[r], constant(0));
               for (int64_t v = 0; v < nv; ++v) {
                 Value y = arith::DivFOp::create(b, loc, acc[r * nv + v], sums[r]);
                 storeRow(O, at, c + v * w, arith::SelectOp::create(b, loc, empty, constant(0), y));
               }
               if (c == 0 && L.flat) {
                 Value sum = vector::ExtractOp::create(b, loc, sums[r], int64_t(0));
                 Value lse = arith::AddFOp::create(b, loc, maxima[r], emitLog(b, loc, sum));
                 Value to = ix.add(ix.add(ix.mul(batch, L.strides[0]), ix.mul(head, L.strides[1])),
                                   ix.add(ix.mul(ix.add(t0, r), L.strides[2]), L.offset));
                 memref::StoreOp::create(b, loc, lse, L.flat, to);
               }
             }
           });
}

FailureOr<func::FuncOp> Schedule::forward() {
  if (failed(look(3, 1, 2)))
    return failure();
  atKeys = 0;
  atQ = atKeys + panels * panelSize;
  atP = atQ + kRows * cols;
  size = atP + kRows * pitch;
  if (failed(begin()))
    return failure();
  auto writes = op.getWrites();
  Q = k.list[0], Ks = k.list[1], V = k.list[2], O = k.list[writes[0]];
  if (writes.size() > 1)
    L = k.list[writes[1]];
  int64_t blocks = (T + kRows - 1) / kRows;
  auto [lo, hi] = ix.share(ix.c(B * H * blocks), k.tid, k.threads);
  ix.loop(ix.div(lo, blocks), ix.ceilDiv(hi, blocks), 1, [&, lo = lo, hi = hi](Value bh) {
    Value batch = ix.div(bh, H), head = ix.rem(bh, H), group = ix.div(head, H / G);
    packKeys(Ks, batch, group, atKeys);
    Value first = ix.mul(bh, blocks);
    ix.loop(ix.max(ix.sub(lo, first), ix.c(0)), ix.min(ix.sub(hi, first), ix.c(blocks)), 1,
            [&](Value q) {
              withLive(ix, T, kRows, q, [&](int64_t rows) {
                queryBlock(batch, head, group, ix.mul(q, kRows), rows);
              });
            });
  });
  return end();
}

FailureOr<func::FuncOp> r1::cpu::scheduleIntrinsic(OpBuilder &b, kern::IntrinsicOp op,
                                                   const Target &t) {
  if (op.getName() == "flash_attention")
    return Schedule(b, op, t).forward();
  if (op.getName() == "flash_attention_bwd")
    return Schedule(b, op, t).backward();
  return op.emitOpError("is not supported yet on the CPU: no schedule for \"")
             << op.getName() << "\"",
         failure();
}
