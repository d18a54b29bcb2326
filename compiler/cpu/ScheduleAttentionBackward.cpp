// The adjoint of attention; see ScheduleAttention.cpp.
#include "compiler/cpu/Attention.h"
#include "compiler/math/MathExpansion.h"

using namespace mlir;
using namespace r1;
using namespace r1::cpu;
using namespace r1::cpu::attention;

std::pair<Value, Value> Schedule::gradientRows(Value batch, Value head, Value group, Value t0,
                                               Value at, int64_t rows) {
  auto vec = VectorType::get({w}, b.getF32Type());
  Value rowQ = ix.add(ix.mul(at, cols), atQ), rowD = ix.add(ix.mul(at, cols), atD);
  Value rowP = ix.add(ix.mul(at, pitch), atP), rowS = ix.add(ix.mul(at, pitch), atS);
  copyRows(Q, batch, t0, head, rows, rowQ);
  copyRows(dO, batch, t0, head, rows, rowD);
  SmallVector<Value> lse, delta;
  for (int64_t r = 0; r < rows; ++r) {
    Value t = ix.add(t0, r);
    Value l = memref::LoadOp::create(
        b, loc, L.flat,
        ix.add(ix.add(ix.mul(batch, L.strides[0]), ix.mul(head, L.strides[1])),
               ix.add(ix.mul(t, L.strides[2]), L.offset)));
    lse.push_back(vector::BroadcastOp::create(b, loc, vec, l));
    // delta = sum of dout * out, in the 64 lanes of every row sum.
    SmallVector<Value> parts(64 / w);
    Value o = element(O, batch, t, head);
    for (int64_t c = 0, n = 0; c < K; c += w, ++n) {
      Value x =
          arith::MulFOp::create(b, loc, loadScratch(ix.add(rowD, r * cols + c)), loadRow(O, o, c));
      Value &p = parts[n % parts.size()];
      p = p ? Value(arith::AddFOp::create(b, loc, p, x)) : x;
    }
    for (int64_t half = int64_t(parts.size()) / 2; half >= 1; half /= 2)
      for (int64_t i = 0; i < half; ++i)
        if (parts[i + half])
          parts[i] = arith::AddFOp::create(b, loc, parts[i], parts[i + half]);
    delta.push_back(vector::BroadcastOp::create(b, loc, vec,
                                                acrossLanes(b, loc, kern::Combine::sum, parts[0])));
  }
  SmallVector<Value> state{ix.c(panels), ix.c(0)};
  state = ix.loop(ix.c(0), ix.c(panels), 1, state, [&](Value panel, ValueRange in) {
    Value any = allowed(batch, t0, panel, rows, rowP).first;
    if (broken)
      return SmallVector<Value>(in);
    Value s0 = ix.mul(panel, width);
    auto place = [&](Value base, int64_t r, int64_t v) {
      return ix.add(ix.add(base, r * pitch + v * w), s0);
    };
    auto f = scf::IfOp::create(b, loc, in.getTypes(), any, true);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(f.elseBlock());
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t v = 0; v < kVectors; ++v) {
        storeScratch(constant(0), place(rowP, r, v));
        storeScratch(constant(0), place(rowS, r, v));
      }
    scf::YieldOp::create(b, loc, in);
    b.setInsertionPointToStart(f.thenBlock());
    SmallVector<Value> acc = dots(rowQ, atKeys, panel, rows);
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t v = 0; v < kVectors; ++v) {
        Value to = place(rowP, r, v);
        Value seen =
            arith::CmpFOp::create(b, loc, arith::CmpFPredicate::OEQ, loadScratch(to), constant(0));
        Value x = arith::MulFOp::create(b, loc, acc[r * kVectors + v], constant(scale));
        x = emitExp(b, loc, arith::SubFOp::create(b, loc, x, lse[r]));
        storeScratch(arith::SelectOp::create(b, loc, seen, x, constant(0)), to);
      }
    acc = dots(rowD, atValues, panel, rows);
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t v = 0; v < kVectors; ++v) {
        Value d = arith::SubFOp::create(b, loc, acc[r * kVectors + v], delta[r]);
        Value x = arith::MulFOp::create(b, loc, loadScratch(place(rowP, r, v)), d);
        storeScratch(arith::MulFOp::create(b, loc, x, constant(scale)), place(rowS, r, v));
      }
    scf::YieldOp::create(b, loc, ValueRange{ix.min(in[0], panel), ix.add(panel, 1)});
    return SmallVector<Value>(f.getResults());
  });
  if (broken)
    return {};
  Value lo = ix.mul(state[0], width), hi = ix.mul(state[1], width);
  overKeys(rowS, Ks, batch, group, lo, ix.min(hi, ix.c(S)), rows, false, std::nullopt,
           [&](int64_t c, ArrayRef<Value> acc, ArrayRef<Value>) {
             int64_t nv = int64_t(acc.size()) / rows;
             for (int64_t r = 0; r < rows; ++r)
               for (int64_t v = 0; v < nv; ++v)
                 storeRow(dQ, element(dQ, batch, ix.add(t0, r), head), c + v * w, acc[r * nv + v]);
           });
  return {lo, hi};
}

void Schedule::gradientKeys(int64_t weights, int64_t values, int64_t into, Value rows, Value lo,
                            Value hi) {
  ix.loop(lo, hi, kRows, [&](Value s) {
    for (int64_t c = 0; c < K; c += width) {
      int64_t nv = std::min(kVectors, (K - c + w - 1) / w);
      auto place = [&](int64_t r, int64_t v) {
        return ix.add(ix.mul(ix.add(s, r), cols), into + c + v * w);
      };
      SmallVector<Value> acc;
      for (int64_t r = 0; r < kRows; ++r)
        for (int64_t v = 0; v < nv; ++v)
          acc.push_back(loadScratch(place(r, v)));
      acc = tile(
          ix, ix.c(0), rows, acc, kRows, nv,
          [&](int64_t r, Value t) {
            return scalarScratch(ix.add(ix.add(s, weights + r), ix.mul(t, pitch)));
          },
          [&](int64_t v, Value t) {
            return loadScratch(ix.add(ix.mul(t, cols), values + c + v * w));
          });
      for (int64_t r = 0; r < kRows; ++r)
        for (int64_t v = 0; v < nv; ++v)
          storeScratch(acc[r * nv + v], place(r, v));
    }
  });
}

FailureOr<func::FuncOp> Schedule::backward() {
  if (failed(look(6, 3, 3)))
    return failure();
  int64_t packed = panels * panelSize, keyRows = pitch * cols;
  atKeys = 0;
  atValues = atKeys + packed;
  atQ = atValues + packed;
  atD = atQ + kBackwardRows * cols;
  atP = atD + kBackwardRows * cols;
  atS = atP + kBackwardRows * pitch;
  atDK = atS + kBackwardRows * pitch;
  atDV = atDK + keyRows;
  size = atDV + keyRows;
  if (failed(begin()))
    return failure();
  auto writes = op.getWrites();
  Q = k.list[0], Ks = k.list[1], V = k.list[2], O = k.list[3], L = k.list[4], dO = k.list[5];
  dQ = k.list[writes[0]], dK = k.list[writes[1]], dV = k.list[writes[2]];
  auto [lo, hi] = ix.share(ix.c(B * G), k.tid, k.threads);
  ix.loop(lo, hi, 1, [&](Value bg) {
    Value batch = ix.div(bg, G), group = ix.rem(bg, G);
    packKeys(Ks, batch, group, ix.c(S), atKeys);
    packKeys(V, batch, group, ix.c(S), atValues);
    ix.loop(ix.c(atDK), ix.c(atDV + keyRows), w, [&](Value i) { storeScratch(constant(0), i); });
    ix.loop(ix.c(0), ix.c(H / G), 1, [&](Value inGroup) {
      Value head = ix.add(ix.mul(group, H / G), inGroup);
      ix.loop(ix.c(0), ix.c(T), kBackwardRows, [&](Value t0) {
        Value end = ix.min(ix.add(t0, kBackwardRows), ix.c(T));
        SmallVector<Value> seen{ix.c(pitch), ix.c(0)};
        seen = ix.loop(t0, end, kRows, seen, [&](Value t, ValueRange in) {
          Value at = ix.sub(t, t0);
          SmallVector<Value> out(in);
          auto emit = [&](int64_t rows) -> SmallVector<Value> {
            auto [l, h] = gradientRows(batch, head, group, t, at, rows);
            if (broken)
              return out;
            return {ix.min(in[0], l), ix.max(in[1], h)};
          };
          int64_t whole = T / kRows * kRows, rest = T % kRows;
          if (!rest || !whole)
            return emit(rest ? rest : kRows);
          auto f = scf::IfOp::create(b, loc, in.getTypes(), ix.less(t, ix.c(whole)), true);
          OpBuilder::InsertionGuard guard(b);
          b.setInsertionPointToStart(f.thenBlock());
          scf::YieldOp::create(b, loc, emit(kRows));
          b.setInsertionPointToStart(f.elseBlock());
          scf::YieldOp::create(b, loc, emit(rest));
          return SmallVector<Value>(f.getResults());
        });
        if (broken)
          return;
        Value rows = ix.sub(end, t0);
        gradientKeys(atP, atD, atDV, rows, seen[0], seen[1]);
        gradientKeys(atS, atQ, atDK, rows, seen[0], seen[1]);
      });
    });
    if (broken)
      return;
    ix.loop(ix.c(0), ix.c(S), 1, [&](Value s) {
      for (int64_t c = 0; c < K; c += w) {
        Value at = ix.add(ix.mul(s, cols), c);
        storeRow(dK, element(dK, batch, s, group), c, loadScratch(ix.add(at, atDK)));
        storeRow(dV, element(dV, batch, s, group), c, loadScratch(ix.add(at, atDV)));
      }
    });
  });
  return end();
}
