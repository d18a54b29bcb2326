#include "compiler/kernels/FlashAttention.h"
#include "dialects/r1/R1Build.h"
#include "mlir/IR/IRMapping.h"
#include <cmath>

using namespace mlir;
using namespace r1;
using namespace r1::ir;

namespace {

/// Sizes and the pieces that the forward and the backward reference share. Letters name dims:
/// b batch, h head, t query, s key, c channel.
struct Attention {
  OpBuilder &b;
  KernelOp op;
  Location loc;
  int64_t B, T, H, K, S, G;
  Type wide;
  AffineExpr d0, d1, d2, d3, d4;

  Attention(OpBuilder &b, KernelOp op) : b(b), op(op), loc(op.getLoc()) {
    auto q = tensorType(op.getIns()[0]).getShape(), k = tensorType(op.getIns()[1]).getShape();
    B = q[0], T = q[1], H = q[2], K = q[3], S = k[1], G = k[2];
    wide = accumulatorOf(tensorType(op.getIns()[0]).getElementType());
    bindDims(b.getContext(), d0, d1, d2, d3, d4);
  }

  RankedTensorType type(ArrayRef<int64_t> shape) const {
    return RankedTensorType::get(shape, wide);
  }
  AffineMap map(unsigned dims, ArrayRef<AffineExpr> results) const {
    return AffineMap::get(dims, 0, results, b.getContext());
  }
  double scale() const {
    auto given = op->getAttrOfType<FloatAttr>("scale");
    return given ? given.getValueAsDouble() : 1.0 / std::sqrt(double(K));
  }

  /// x [B, S, G, K] with a copy of each head for every query head that reads it: [B, S, H, K].
  Value perQueryHead(Value x) const {
    return buildView(b, loc, RankedTensorType::get({B, S, H, K}, tensorType(x).getElementType()), x,
                     map(4, {d0, d1, d2.floorDiv(H / G), d3}));
  }
  /// The sum over the query heads that share a head: [B, S, H, K] -> [B, S, G, K], of type `elem`.
  Value perKeyHead(Value x, Type elem) const {
    Value split = ReshapeOp::create(b, loc, type({B, S, G, H / G, K}), x);
    return buildSum(b, loc, split, int64_t(3), elem);
  }

  /// Scores [B, H, T, S]: q·k scaled, -inf where the lambda forbids.
  Value scores(Value q, Value k) {
    Value dot = buildContract(b, loc, q, perQueryHead(k), map(5, {d0, d2, d1, d4}),
                              map(5, {d0, d3, d1, d4}), map(5, {d0, d1, d2, d3}), wide);
    Region &lambda = op.getLambdas().front();
    return buildMap(b, loc, type({B, H, T, S}), dot, b.getMultiDimIdentityMap(4), op.getCaptures(),
                    [&](OpBuilder &bb, Location l, ValueRange args) -> Value {
                      IRMapping m;
                      m.map(lambda.getArgument(0), IndexOp::create(bb, l, 0).getResult());
                      m.map(lambda.getArgument(1), IndexOp::create(bb, l, 2).getResult());
                      m.map(lambda.getArgument(2), IndexOp::create(bb, l, 3).getResult());
                      m.map(lambda.getArguments().drop_front(3), args.drop_front());
                      for (Operation &o : lambda.front().without_terminator())
                        bb.clone(o, m);
                      Value ok = m.lookupOrDefault(lambda.front().getTerminator()->getOperand(0));
                      Value s = arith::ConstantOp::create(bb, l, bb.getFloatAttr(wide, scale()));
                      Value lost = arith::ConstantOp::create(
                          bb, l, bb.getFloatAttr(wide, -std::numeric_limits<double>::infinity()));
                      Value x = arith::MulFOp::create(bb, l, args[0], s);
                      return arith::SelectOp::create(bb, l, ok, x, lost);
                    });
  }
};

LogicalResult expectOneLambda(KernelOp op) {
  if (op.getLambdas().size() == 1)
    return success();
  return op.emitError() << op.getKernelName() << " takes one lambda, found "
                        << op.getLambdas().size();
}

} // namespace

KernelOp flash::keepForAdjoint(KernelOp op) {
  if (op.getNumResults() == 2)
    return op;
  OpBuilder b(op);
  auto q = tensorType(op.getIns()[0]).getShape();
  Type lse = RankedTensorType::get({q[0], q[2], q[1]},
                                   accumulatorOf(tensorType(op.getIns()[0]).getElementType()));
  auto kept = KernelOp::create(b, op.getLoc(), TypeRange{op.getResult(0).getType(), lse},
                               op.getKernelNameAttr(), op.getIns(), op.getCaptures(),
                               op.getBodyAttr(), op.getLambdas().size());
  kept->setDiscardableAttrs(op->getDiscardableAttrDictionary());
  for (auto [to, from] : llvm::zip_equal(kept.getLambdas(), op.getLambdas()))
    to.takeBody(from);
  op.getResult(0).replaceAllUsesWith(kept.getResult(0));
  op.erase();
  return kept;
}

FailureOr<SmallVector<Value>> flash::adjoint(OpBuilder &b, KernelOp op,
                                             ArrayRef<Value> resultAdjoints) {
  if (failed(expectOneLambda(op)))
    return failure();
  if (op.getNumResults() == 2 && resultAdjoints[1])
    return op.emitError("E0311: the log-sum-exp of attention is not differentiable");
  SmallVector<Value> ins(op.getIns());
  ins.append({op.getResult(0), op.getResult(1), resultAdjoints[0]});
  SmallVector<Type> types(op.getIns().getTypes());
  auto back = KernelOp::create(b, op.getLoc(), types, b.getStringAttr("flash_attention_bwd"), ins,
                               op.getCaptures(), FlatSymbolRefAttr(), op.getLambdas().size());
  back->setDiscardableAttrs(op->getDiscardableAttrDictionary());
  for (auto [to, from] : llvm::zip_equal(back.getLambdas(), op.getLambdas())) {
    IRMapping map;
    from.cloneInto(&to, map);
  }
  return SmallVector<Value>(back.getResults());
}

FailureOr<SmallVector<Value>> flash::reference(OpBuilder &b, KernelOp op) {
  if (failed(expectOneLambda(op)))
    return failure();
  Attention a(b, op);
  Value scores = a.scores(op.getIns()[0], op.getIns()[1]);
  Value p = SoftmaxOp::create(b, a.loc, scores.getType(), scores, 3);
  // (b, t, h, c | s)
  Value out =
      buildContract(b, a.loc, p, a.perQueryHead(op.getIns()[2]), a.map(5, {a.d0, a.d2, a.d1, a.d4}),
                    a.map(5, {a.d0, a.d4, a.d2, a.d3}), a.map(5, {a.d0, a.d1, a.d2, a.d3}),
                    tensorType(op.getResult(0)).getElementType());
  SmallVector<Value> results = {out};
  if (op.getNumResults() == 2)
    results.push_back(LogSumExpOp::create(b, a.loc, a.type({a.B, a.H, a.T}), scores, 3));
  return results;
}

// With p = exp(scores - lse), dp = dout·v, delta = sum_c dout * out:
//   ds = p * (dp - delta) * scale,  dq = ds k,  dk = dsᵀ q,  dv = pᵀ dout.
FailureOr<SmallVector<Value>> flash::backwardReference(OpBuilder &b, KernelOp op) {
  if (failed(expectOneLambda(op)))
    return failure();
  Attention a(b, op);
  auto ins = op.getIns();
  Value q = ins[0], k = ins[1], v = ins[2], out = ins[3], lse = ins[4], dout = ins[5];
  auto [d0, d1, d2, d3, d4] = std::tie(a.d0, a.d1, a.d2, a.d3, a.d4);
  auto full = a.type({a.B, a.H, a.T, a.S});
  AffineMap perRow = a.map(4, {d0, d1, d2});
  AffineMap id = b.getMultiDimIdentityMap(4);
  Value p =
      buildMap(b, a.loc, full, {a.scores(q, k), lse}, {id, perRow}, {},
               [&](OpBuilder &bb, Location l, ValueRange x) -> Value {
                 Value lost = arith::ConstantOp::create(
                     bb, l, bb.getFloatAttr(a.wide, -std::numeric_limits<double>::infinity()));
                 Value zero = arith::ConstantOp::create(bb, l, bb.getFloatAttr(a.wide, 0));
                 Value e = math::ExpOp::create(bb, l, arith::SubFOp::create(bb, l, x[0], x[1]));
                 Value none = arith::CmpFOp::create(bb, l, arith::CmpFPredicate::OEQ, x[1], lost);
                 return arith::SelectOp::create(bb, l, none, zero, e);
               });
  Value product =
      buildElementwise(b, a.loc, a.type({a.B, a.T, a.H, a.K}), {dout, out},
                       [&](OpBuilder &bb, Location l, ValueRange x) -> Value {
                         return arith::MulFOp::create(bb, l, castScalar(bb, l, x[0], a.wide),
                                                      castScalar(bb, l, x[1], a.wide));
                       });
  Value delta = buildSum(b, a.loc, product, int64_t(3), a.wide); // [B, T, H]
  // (b, h, t, s | c)
  Value dp = buildContract(b, a.loc, dout, a.perQueryHead(v), a.map(5, {d0, d2, d1, d4}),
                           a.map(5, {d0, d3, d1, d4}), a.map(5, {d0, d1, d2, d3}), a.wide);
  double scale = a.scale();
  Value ds = buildMap(b, a.loc, full, {p, dp, delta}, {id, id, a.map(4, {d0, d2, d1})}, {},
                      [&](OpBuilder &bb, Location l, ValueRange x) -> Value {
                        Value d = arith::SubFOp::create(bb, l, x[1], x[2]);
                        Value s = arith::ConstantOp::create(bb, l, bb.getFloatAttr(a.wide, scale));
                        Value e = arith::MulFOp::create(bb, l, x[0], d);
                        return arith::MulFOp::create(bb, l, e, s);
                      });
  Type elem = tensorType(q).getElementType();
  // (b, t, h, c | s)
  Value dq = buildContract(b, a.loc, ds, a.perQueryHead(k), a.map(5, {d0, d2, d1, d4}),
                           a.map(5, {d0, d4, d2, d3}), a.map(5, {d0, d1, d2, d3}), elem);
  // (b, s, h, c | t)
  auto overQueries = [&](Value x, Value y) {
    return buildContract(b, a.loc, x, y, a.map(5, {d0, d2, d4, d1}), a.map(5, {d0, d4, d2, d3}),
                         a.map(5, {d0, d1, d2, d3}), a.wide);
  };
  Value dk = a.perKeyHead(overQueries(ds, q), elem);
  Value dv = a.perKeyHead(overQueries(p, dout), elem);
  return SmallVector<Value>{dq, dk, dv};
}

/// Multiplications and additions of one product of queries and keys.
static uint64_t pairs(ArrayRef<int64_t> q, ArrayRef<int64_t> k) {
  return uint64_t(2 * q[0] * q[1] * q[2] * q[3] * k[1]);
}
uint64_t r1::flash::flops(ArrayRef<int64_t> q, ArrayRef<int64_t> k) { return 2 * pairs(q, k); }
uint64_t r1::flash::backwardFlops(ArrayRef<int64_t> q, ArrayRef<int64_t> k) { return 5 * pairs(q, k); }
