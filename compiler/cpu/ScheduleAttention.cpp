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
  if (auto capture = op.getParams().getAs<IntegerAttr>("base"))
    baseCapture = 3 + unsigned(capture.getInt());
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

Value Schedule::keysBefore(Value batch, Value t) {
  if (!baseCapture)
    return ix.c(S);
  const Mem &base = k.mems.lookup(lambda->getArgument(baseCapture));
  Value first = memref::LoadOp::create(b, loc, base.flat, ix.add(ix.mul(batch, base.strides[0]), base.offset));
  first = arith::IndexCastOp::create(b, loc, b.getIndexType(), first);
  return ix.min(ix.add(first, t), ix.c(S));
}

void Schedule::packKeys(const Mem &m, Value batch, Value group, Value keys, int64_t to) {
  Problem p{};
  p.depth = K, p.cols = S, p.bCol = m.strides[1], p.bDepth = 1;
  Blocks bl{};
  bl.width = w, bl.nv = kVectors, bl.nr = width;
  Packer packer(b, loc, bl, k.scratch);
  int64_t whole = S / width, rest = S % width;
  if (baseCapture) // what comes after the keys
    for (int64_t key = 0; key < std::min(width, S); ++key)
      fetchRow(V, ix.add(element(V, batch, ix.c(0), group), key * V.strides[1]));
  auto pack = [&](Value panel, int64_t live) {
    Value origin = element(m, batch, ix.mul(panel, width), group);
    if (baseCapture) // the next panel
      for (int64_t key = 0; key < width; ++key)
        fetchRow(m, ix.add(origin, (width + key) * m.strides[1]));
    packer.packB(m, p, origin, ix.c(K), live, ix.add(ix.mul(panel, panelSize), to));
  };
  Value end = ix.min(ix.ceilDiv(keys, width), ix.c(whole));
  if (whole)
    ix.loop(ix.c(0), end, 1, [&](Value panel) { pack(panel, width); });
  if (rest)
    ix.when(ix.less(ix.c(whole * width), keys), [&] { pack(ix.c(whole), rest); });
}

void Schedule::fetchRow(const Mem &m, Value at) {
  int64_t line = 64 / (m.element.getIntOrFloatBitWidth() / 8);
  for (int64_t c = 0; c < K; c += line)
    memref::PrefetchOp::create(b, loc, m.flat, ValueRange{ix.add(at, c)}, /*isWrite=*/false,
                               /*localityHint=*/2u, /*isDataCache=*/true);
}

std::pair<Value, Value> Schedule::allowed(Value batch, Value t, Value panel, int64_t rows, Value to) {
  Value s0 = ix.mul(panel, width);
  auto evaluate = [&](int64_t live) -> std::pair<Value, Value> {
    Value any, all;
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
            return {any, all};
          }
        Value ok = l.asVector(lambda->getTerminator()->getOperand(0));
        if (Value m = l.mask())
          ok = arith::AndIOp::create(b, loc, ok, m);
        storeScratch(arith::SelectOp::create(b, loc, ok, constant(0), constant(kNone)), at);
        any = any ? Value(arith::OrIOp::create(b, loc, any, ok)) : ok;
        all = all ? Value(arith::AndIOp::create(b, loc, all, ok)) : ok;
      }
    auto bits = VectorType::get({1}, b.getIntegerType(unsigned(w)));
    auto packed = [&](Value v) -> Value {
      return vector::ExtractOp::create(b, loc, vector::BitCastOp::create(b, loc, bits, v), int64_t(0));
    };
    auto mask = [&](bool set) -> Value {
      Type type = bits.getElementType();
      return arith::ConstantOp::create(b, loc, IntegerAttr::get(type, set ? APInt::getAllOnes(unsigned(w)) : APInt(unsigned(w), 0)));
    };
    any = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ne, packed(any), mask(false));
    all = live < width ? Value(arith::ConstantOp::create(b, loc, b.getBoolAttr(false)))
                       : Value(arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq, packed(all), mask(true)));
    return {any, all};
  };
  int64_t whole = S / width, rest = S % width;
  if (!rest)
    return evaluate(width);
  if (!whole)
    return evaluate(rest);
  auto f = scf::IfOp::create(b, loc, TypeRange{b.getI1Type(), b.getI1Type()}, ix.less(panel, ix.c(whole)), true);
  OpBuilder::InsertionGuard guard(b);
  auto fill = [&](Block *block, int64_t live) {
    b.setInsertionPointToStart(block);
    auto [any, all] = evaluate(live);
    if (!broken)
      scf::YieldOp::create(b, loc, ValueRange{any, all});
  };
  fill(f.thenBlock(), width);
  fill(f.elseBlock(), rest);
  return {f.getResult(0), f.getResult(1)};
}

SmallVector<Value> Schedule::dots(Value left, int64_t packed, Value panel, int64_t rows) {
  SmallVector<Value> acc(rows * kVectors, constant(0));
  Value at = ix.add(ix.mul(panel, panelSize), packed);
  return tile(
      ix, ix.c(0), ix.c(K), acc, rows, kVectors,
      [&](int64_t r, Value c) { return scalarScratch(ix.add(ix.add(left, r * cols), c)); },
      [&](int64_t v, Value c) { return loadScratch(ix.add(ix.add(at, v * w), ix.mul(c, width))); });
}

// For each group of vectors of channels: chains over the keys lo … hi of weights[r][key] * m[key];
// with `sums` also of the weights themselves (the same in every lane), given to the first group. `whole`
// tells where in scratch stands for each panel whether every row sees all its keys: elsewhere a key of
// weight 0 is passed over, since its value may be no number.
void Schedule::overKeys(Value weights, const Mem &m, Value batch, Value group, Value lo, Value hi,
                        int64_t rows, bool sums, std::optional<int64_t> whole,
                        function_ref<void(int64_t, ArrayRef<Value>, ArrayRef<Value>)> finish) {
  SmallVector<Value> rowSums;
  // Few rows take more channels at once: a single chain would wait for itself.
  int64_t most = std::clamp<int64_t>(kRows * kVectors / rows, kVectors, 4 * kVectors);
  for (int64_t c = 0; c < K; c += most * w) {
    int64_t nv = std::min(most, (K - c + w - 1) / w);
    bool count = sums && c == 0;
    SmallVector<Value> acc(rows * nv + (count ? rows : 0), constant(0));
    Value origin = element(m, batch, ix.c(0), group);
    auto keys = [&](Value from, Value to, ValueRange init, bool guarded) {
      return ix.loop(from, to, 1, init, [&](Value s, ValueRange in) {
        SmallVector<Value> next(in), columns;
        Value at = ix.add(origin, ix.mul(s, m.strides[1]));
        if (baseCapture && c == 0)
          fetchRow(m, ix.add(at, width * m.strides[1]));
        for (int64_t v = 0; v < nv; ++v)
          columns.push_back(loadRow(m, at, c + v * w));
        for (int64_t r = 0; r < rows; ++r) {
          Value x = vector::BroadcastOp::create(b, loc, constant(0).getType(),
                                                scalarScratch(ix.add(ix.add(weights, r * pitch), s)));
          Value counts = guarded ? arith::CmpFOp::create(b, loc, arith::CmpFPredicate::UNE, x, constant(0)) : Value();
          for (int64_t v = 0; v < nv; ++v) {
            Value &sum = next[r * nv + v];
            Value more = math::FmaOp::create(b, loc, x, columns[v], sum);
            sum = guarded ? arith::SelectOp::create(b, loc, counts, more, sum) : more;
          }
          if (count)
            next[rows * nv + r] = arith::AddFOp::create(b, loc, next[rows * nv + r], x);
        }
        return next;
      });
    };
    SmallVector<Value> last;
    if (!whole)
      last = keys(lo, hi, acc, false);
    else
      last = ix.loop(ix.div(lo, width), ix.ceilDiv(hi, width), 1, acc, [&](Value panel, ValueRange in) {
        Value from = ix.mul(panel, width), flag = scalarScratch(ix.add(panel, *whole));
        Value full = arith::CmpFOp::create(b, loc, arith::CmpFPredicate::UNE, flag,
                                           arith::ConstantOp::create(b, loc, b.getF32FloatAttr(0)));
        auto f = scf::IfOp::create(b, loc, in.getTypes(), full, true);
        OpBuilder::InsertionGuard guard(b);
        b.setInsertionPointToStart(f.thenBlock());
        scf::YieldOp::create(b, loc, keys(from, ix.add(from, width), in, false));
        b.setInsertionPointToStart(f.elseBlock());
        scf::YieldOp::create(b, loc, keys(from, ix.min(ix.add(from, width), hi), in, true));
        return SmallVector<Value>(f.getResults());
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
  Value keys = keysBefore(batch, ix.add(t0, rows));
  state = ix.loop(ix.c(0), ix.ceilDiv(keys, width), 1, state, [&](Value panel, ValueRange in) {
    auto [any, all] = allowed(batch, t0, panel, rows, ix.c(atP));
    if (broken)
      return SmallVector<Value>(in);
    memref::StoreOp::create(b, loc, arith::UIToFPOp::create(b, loc, b.getF32Type(), all), k.scratch,
                            ix.add(panel, atWhole));
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
  overKeys(ix.c(atP), V, batch, group, lo, ix.min(hi, keys), rows, true, atWhole,
           [&](int64_t c, ArrayRef<Value> acc, ArrayRef<Value> sums) {
             int64_t nv = int64_t(acc.size()) / rows;
             for (int64_t r = 0; r < rows; ++r) {
               Value at = element(O, batch, ix.add(t0, r), head);
               // A query that sees nothing is all zeros.
               Value empty =
                   arith::CmpFOp::create(b, loc, arith::CmpFPredicate::OEQ, sums[r], constant(0));
               for (int64_t v = 0; v < nv; ++v) {
                 // From the -0 that products which underflow leave, a key that is not seen makes +0.
                 Value y = arith::AddFOp::create(b, loc, acc[r * nv + v], constant(0));
                 y = arith::DivFOp::create(b, loc, y, sums[r]);
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
  atWhole = atP + kRows * pitch;
  size = atWhole + panels;
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
    packKeys(Ks, batch, group, keysBefore(batch, ix.c(T)), atKeys);
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
