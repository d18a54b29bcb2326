// Polynomials are minimax fits (Remez, 120 bits, then rounded to f32) of the functions named beside
// them; ranges are those that the reductions leave.
#include "compiler/math/MathExpansion.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include <cmath>
#include <limits>

using namespace mlir;

namespace {

using Pred = arith::CmpFPredicate;

// Writes arithmetic on values of one shape (a scalar or a vector) as expressions.
struct Writer {
  OpBuilder &b;
  Location loc;
  VectorType shape; // null: scalars

  Type like(Type element) const {
    return shape ? Type(VectorType::get(shape.getShape(), element)) : element;
  }
  Value splat(TypedAttr scalar) const {
    if (!shape)
      return arith::ConstantOp::create(b, loc, scalar);
    auto type = cast<VectorType>(like(scalar.getType()));
    return arith::ConstantOp::create(b, loc, DenseElementsAttr::get(type, Attribute(scalar)));
  }
  Value f(double v) const { return splat(b.getF32FloatAttr(float(v))); }
  Value d(double v) const { return splat(b.getF64FloatAttr(v)); }
  Value i(int64_t v) const { return splat(b.getI32IntegerAttr(int32_t(v))); }
  Value l(int64_t v) const { return splat(b.getI64IntegerAttr(v)); }

  Value add(Value x, Value y) const { return arith::AddFOp::create(b, loc, x, y); }
  Value sub(Value x, Value y) const { return arith::SubFOp::create(b, loc, x, y); }
  Value mul(Value x, Value y) const { return arith::MulFOp::create(b, loc, x, y); }
  Value div(Value x, Value y) const { return arith::DivFOp::create(b, loc, x, y); }
  Value fma(Value x, Value y, Value z) const { return math::FmaOp::create(b, loc, x, y, z); }
  Value sqrt(Value x) const { return math::SqrtOp::create(b, loc, x); }
  Value abs(Value x) const { return math::AbsFOp::create(b, loc, x); }
  Value sign(Value magnitude, Value of) const {
    return math::CopySignOp::create(b, loc, magnitude, of);
  }
  Value iadd(Value x, Value y) const { return arith::AddIOp::create(b, loc, x, y); }
  Value isub(Value x, Value y) const { return arith::SubIOp::create(b, loc, x, y); }
  Value iand(Value x, Value y) const { return arith::AndIOp::create(b, loc, x, y); }
  Value shl(Value x, Value y) const { return arith::ShLIOp::create(b, loc, x, y); }
  Value sar(Value x, Value y) const { return arith::ShRSIOp::create(b, loc, x, y); }
  Value bits(Value x) const { return arith::BitcastOp::create(b, loc, like(b.getI32Type()), x); }
  Value real(Value x) const { return arith::BitcastOp::create(b, loc, like(b.getF32Type()), x); }
  Value bits64(Value x) const { return arith::BitcastOp::create(b, loc, like(b.getI64Type()), x); }
  Value real64(Value x) const { return arith::BitcastOp::create(b, loc, like(b.getF64Type()), x); }
  Value wide(Value x) const { return arith::ExtFOp::create(b, loc, like(b.getF64Type()), x); }
  Value narrow(Value x) const { return arith::TruncFOp::create(b, loc, like(b.getF32Type()), x); }
  Value cmp(Pred p, Value x, Value y) const { return arith::CmpFOp::create(b, loc, p, x, y); }
  Value eqi(Value x, Value y) const {
    return arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq, x, y);
  }
  Value pick(Value c, Value x, Value y) const { return arith::SelectOp::create(b, loc, c, x, y); }
  Value either(Value x, Value y) const { return arith::OrIOp::create(b, loc, x, y); }
  Value both(Value x, Value y) const { return arith::AndIOp::create(b, loc, x, y); }
  Value xori(Value x, Value y) const { return arith::XOrIOp::create(b, loc, x, y); }
  // Comparisons are false for NaN, which so passes through.
  Value atLeast(Value x, double lo) const { return pick(cmp(Pred::OLT, x, f(lo)), f(lo), x); }
  Value atMost(Value x, double hi) const { return pick(cmp(Pred::OGT, x, f(hi)), f(hi), x); }

  // c[0] + c[1] x + … by Horner's rule.
  Value poly(Value x, ArrayRef<double> c) const {
    Value p = f(c.back());
    for (double k : llvm::reverse(c.drop_back()))
      p = fma(p, x, f(k));
    return p;
  }
  Value poly64(Value x, ArrayRef<double> c) const {
    Value p = d(c.back());
    for (double k : llvm::reverse(c.drop_back()))
      p = fma(p, x, d(k));
    return p;
  }
};

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kLn2Hi = 0x1.62e4p-1, kLn2Lo = 0x1.7f7d1cp-20; // the first has 15 digits
constexpr double kLog2E = 0x1.715476p+0, kLog10E = 0x1.bcb7b2p-2;

// Rounding to an integer by adding 1.5 * 2^23 needs no conversion, whose result for NaN would be
// undefined; the integer is in the low bits of the sum.
struct Rounded {
  Value whole;   // f32
  Value integer; // i32
};
Rounded roundWhole(const Writer &w, Value x, double scale) {
  Value magic = w.f(0x1.8p23);
  Value t = scale == 1 ? w.add(x, magic) : w.fma(x, w.f(scale), magic);
  return {w.sub(t, magic), w.isub(w.bits(t), w.i(0x4B400000))};
}

// p * 2^n for |n| < 254, rounded once: in two steps, so that denormals and overflow come right.
Value scaleBy(const Writer &w, Value p, Value n) {
  Value half = w.sar(n, w.i(1));
  auto power = [&](Value k) { return w.real(w.shl(w.iadd(k, w.i(127)), w.i(23))); };
  return w.mul(w.mul(p, power(half)), power(w.isub(n, half)));
}

// e^r = 1 + r + r² Q(r) for |r| <= ln2 / 2
constexpr double kExp[] = {0x1p-1, 0x1.55548ep-3, 0x1.55545ep-5, 0x1.123bdcp-7, 0x1.6db4cap-10};

struct ReducedExp {
  Value r, n;
};
ReducedExp reduceExp(const Writer &w, Value x) {
  Rounded n = roundWhole(w, x, kLog2E);
  Value r = w.fma(n.whole, w.f(-kLn2Hi), x);
  return {w.fma(n.whole, w.f(-kLn2Lo), r), n.integer};
}

Value expOf(const Writer &w, Value x) {
  x = w.atMost(w.atLeast(x, -105), 89); // e^-105 rounds to 0, e^89 to infinity
  auto [r, n] = reduceExp(w, x);
  Value p = w.add(w.fma(w.mul(r, r), w.poly(r, kExp), r), w.f(1));
  return scaleBy(w, p, n);
}

Value exp2Of(const Writer &w, Value x) {
  x = w.atMost(w.atLeast(x, -151), 129);
  Rounded n = roundWhole(w, x, 1);
  Value r = w.sub(x, n.whole);
  // 2^r = 1 + r Q(r) for |r| <= 1/2
  Value q = w.poly(r, {0x1.62e43p-1, 0x1.ebfbep-3, 0x1.c6aecep-5, 0x1.3b29aap-7, 0x1.5f4896p-10,
                       0x1.44906ep-13});
  return scaleBy(w, w.fma(r, q, w.f(1)), n.integer);
}

// e^x - 1 = 2^n (e^r - 1) + (2^n - 1), at half the scale so that n = 128 fits.
Value expm1Of(const Writer &w, Value x0) {
  Value x = w.atMost(w.atLeast(x0, -20), 89);
  auto [r, n] = reduceExp(w, x);
  Value p = w.fma(w.mul(r, r), w.poly(r, kExp), r);
  Value half = w.real(w.shl(w.iadd(n, w.i(126)), w.i(23)));
  Value y = w.fma(half, p, w.sub(half, w.f(0.5)));
  y = w.add(y, y);
  // -0 and the smallest numbers are their own results.
  return w.pick(w.cmp(Pred::OLT, w.abs(x0), w.f(0x1p-25)), x0, y);
}

struct ReducedLog {
  Value e; // f32: x = 2^e (1 + f), |f| <= sqrt2 - 1
  Value f;
};
ReducedLog reduceLog(const Writer &w, Value x) {
  Value tiny = w.cmp(Pred::OLT, x, w.f(0x1p-126));
  Value scaled = w.pick(tiny, w.mul(x, w.f(0x1p25)), x);
  Value bits = w.bits(scaled);
  Value e = w.sar(w.isub(bits, w.i(0x3F3504F3)), w.i(23));
  Value m = w.real(w.isub(bits, w.shl(e, w.i(23))));
  // An integer below 2^22 to f32 through the low bits of 1.5 * 2^23.
  Value whole = w.sub(w.real(w.iadd(e, w.i(0x4B400000))), w.f(0x1.8p23));
  whole = w.sub(whole, w.pick(tiny, w.f(25), w.f(0)));
  return {whole, w.sub(m, w.f(1))};
}

// log(1 + f) = f - f²/2 + f³ P(f): returns the part after f.
Value logTail(const Writer &w, Value f) {
  Value p = w.poly(f, {0x1.555548p-2, -0x1.000006p-2, 0x1.99a4cp-3, -0x1.555c54p-3, 0x1.23369p-3,
                       -0x1.fc1fa8p-4, 0x1.e6fb9p-4, -0x1.de50fp-4, 0x1.1457acp-4});
  Value ff = w.mul(f, f);
  return w.fma(ff, w.f(-0.5), w.mul(w.mul(ff, f), p));
}

Value logLimits(const Writer &w, Value x, Value y) {
  y = w.pick(w.cmp(Pred::OEQ, x, w.f(kInf)), w.f(kInf), y);
  y = w.pick(w.cmp(Pred::OEQ, x, w.f(0)), w.f(-kInf), y);
  return w.pick(w.cmp(Pred::UGE, x, w.f(0)), w.pick(w.cmp(Pred::UNO, x, x), x, y), w.f(kNaN));
}

Value logOf(const Writer &w, Value x) {
  auto [e, f] = reduceLog(w, x);
  Value tail = w.fma(e, w.f(kLn2Lo), logTail(w, f));
  Value y = w.fma(e, w.f(kLn2Hi), w.add(f, tail));
  return logLimits(w, x, y);
}

// log2 and log10: the exponent's share and the mantissa's, scaled apart.
Value logBase(const Writer &w, Value x, double hi, double lo, double log2OfBaseInverse) {
  auto [e, f] = reduceLog(w, x);
  Value t = logTail(w, f);
  Value s = w.add(f, t);
  Value rest = w.add(w.sub(f, s), t); // what rounding s lost
  Value y = w.fma(s, w.f(hi), w.fma(s, w.f(lo), w.mul(rest, w.f(hi))));
  y = w.fma(e, w.f(log2OfBaseInverse), y);
  return logLimits(w, x, y);
}

// log(1 + x) = log(u) + (x - (u - 1)) / u with u = 1 + x rounded.
Value log1pOf(const Writer &w, Value x) {
  Value u = w.add(w.f(1), x);
  Value lost = w.div(w.sub(x, w.sub(u, w.f(1))), u);
  auto [e, f] = reduceLog(w, u);
  Value tail = w.fma(e, w.f(kLn2Lo), w.add(logTail(w, f), lost));
  Value y = w.fma(e, w.f(kLn2Hi), w.add(f, tail));
  y = logLimits(w, u, y);
  return w.pick(w.cmp(Pred::OLT, w.abs(x), w.f(0x1p-25)), x, y);
}

Value tanhOf(const Writer &w, Value x) {
  Value a = w.abs(x);
  Value z = w.mul(x, x);
  Value p = w.poly(z, {-0x1.55553p-2, 0x1.11068ep-3, -0x1.b8265cp-5, 0x1.518b12p-6,
                       -0x1.72fc3ap-8}); // (tanh(x) / x - 1) / x², |x| < 0.625
  Value near = w.fma(w.mul(z, p), x, x);
  Value e = expOf(w, w.add(a, a));
  Value far = w.sub(w.f(1), w.div(w.f(2), w.add(e, w.f(1))));
  return w.pick(w.cmp(Pred::OLT, a, w.f(0.625)), near, w.sign(far, x));
}

Value erfOf(const Writer &w, Value x) {
  Value a = w.abs(x);
  Value z = w.mul(x, x);
  // erf(x) / x - 1, |x| < 0.92
  Value p = w.poly(z, {0x1.06eba8p-3, -0x1.812744p-2, 0x1.ce2e24p-4, -0x1.b810e8p-6, 0x1.54df18p-8,
                       -0x1.ab1050p-11, 0x1.5f9518p-14});
  Value near = w.fma(x, p, x);
  Value c = w.atMost(a, 4); // erf(4) rounds to 1
  // log(erfc(a)), 0.91 < a < 4, weighted by erfc / erf
  Value q =
      w.poly(c, {0x1.460f60p-13, -0x1.2120e0p+0, -0x1.4467aap-1, -0x1.ba1a66p-4, 0x1.96e684p-6,
                 -0x1.07b82cp-8, 0x1.96b6cap-12, -0x1.ae873ep-17, -0x1.512cee0p-21});
  Value far = w.sub(w.f(1), expOf(w, q));
  return w.pick(w.cmp(Pred::OLT, a, w.f(0.92)), near, w.sign(far, x));
}

// sin(x + quarter pi/2). The reduction is done in f64, where x is exact.
Value sinOf(const Writer &w, Value x, int quarter) {
  Value wide = w.wide(x);
  Value magic = w.d(0x1.8p52);
  Value t = w.fma(wide, w.d(0x1.45f306dc9c883p-1), magic);
  Value n = w.sub(t, magic);
  Value r = w.fma(n, w.d(-0x1.921fb54442d18p+0), wide);
  r = w.narrow(w.fma(n, w.d(-0x1.1a62633145c07p-54), r));
  Value q = arith::TruncIOp::create(w.b, w.loc, w.like(w.b.getI32Type()), w.bits64(t));
  q = w.iadd(q, w.i(quarter));
  Value z = w.mul(r, r);
  Value s = w.poly(z, {-0x1.555556p-3, 0x1.111108p-7, -0x1.a00f68p-13, 0x1.6ccbb4p-19});
  s = w.fma(w.mul(z, s), r, r);
  Value c = w.poly(z, {0x1.55554ap-5, -0x1.6c0c58p-10, 0x1.99f2dep-16});
  c = w.fma(w.mul(z, z), c, w.fma(z, w.f(-0.5), w.f(1)));
  Value y = w.pick(w.eqi(w.iand(q, w.i(1)), w.i(0)), s, c);
  y = w.real(w.xori(w.bits(y), w.shl(w.iand(q, w.i(2)), w.i(30))));
  if (quarter == 0) // sin(-0) is -0
    y = w.pick(w.cmp(Pred::OEQ, x, w.f(0)), x, y);
  return y;
}

// 2^(b log2 |a|) in f64, whose 53 digits leave the result's error at half an ulp of f32.
Value powOf(const Writer &w, Value a, Value b) {
  Value mag = w.abs(a);
  Value bits = w.bits64(w.wide(mag));
  Value e = w.sar(w.isub(bits, w.l(0x3FE6A09E667F3BCD)), w.l(52));
  Value m = w.real64(w.isub(bits, w.shl(e, w.l(52))));
  Value whole = w.sub(w.real64(w.iadd(e, w.l(0x4338000000000000))), w.d(0x1.8p52));
  Value s = w.div(w.sub(m, w.d(1)), w.add(m, w.d(1)));
  Value z = w.mul(s, s); // atanh(s) / s
  Value p = w.poly64(z, {0x1.0000000000001p+0, 0x1.5555555552cacp-2, 0x1.999999a4565e5p-3,
                         0x1.249240a4962e1p-3, 0x1.c722d798711c1p-4, 0x1.7321cfa7be382p-4,
                         0x1.58e566ff78a4dp-4});
  Value lg = w.fma(w.mul(s, p), w.d(2 * M_LOG2E), whole);
  Value y = w.mul(w.wide(b), lg);
  y = w.pick(w.cmp(Pred::OGT, y, w.d(300)), w.d(300), y);
  y = w.pick(w.cmp(Pred::OLT, y, w.d(-300)), w.d(-300), y);
  Value t = w.add(y, w.d(0x1.8p52));
  Value r = w.sub(y, w.sub(t, w.d(0x1.8p52)));
  Value q = w.poly64(r, {0x1.000000000003dp+0, 0x1.62e42fefa3a3cp-1, 0x1.ebfbdff8146e2p-3,
                         0x1.c6b08d7035941p-5, 0x1.3b2ab72b60a43p-7, 0x1.5d87feaaa4e14p-10,
                         0x1.43088d9cfc97ep-13, 0x1.ffcb30ec10339p-17, 0x1.63f03267796d5p-20,
                         0x1.b694eeefaa52ap-24});
  Value n = w.isub(w.bits64(t), w.l(0x4338000000000000));
  Value result = w.narrow(w.mul(q, w.real64(w.shl(w.iadd(n, w.l(1023)), w.l(52)))));

  Value up = w.cmp(Pred::OGT, b, w.f(0));
  result = w.pick(w.cmp(Pred::OEQ, mag, w.f(0)), w.pick(up, w.f(0), w.f(kInf)), result);
  result = w.pick(w.cmp(Pred::OEQ, mag, w.f(kInf)), w.pick(up, w.f(kInf), w.f(0)), result);
  // |a| is one, b infinite: 1, not 0 * infinity.
  result = w.pick(w.cmp(Pred::OEQ, mag, w.f(1)), w.f(1), result);
  Value isWhole = w.cmp(Pred::OEQ, math::RoundEvenOp::create(w.b, w.loc, b), b);
  Value half = w.mul(b, w.f(0.5));
  Value isEven = w.cmp(Pred::OEQ, math::RoundEvenOp::create(w.b, w.loc, half), half);
  Value signedResult = w.pick(isEven, result, w.sign(result, a));
  Value negative = w.both(w.cmp(Pred::OLT, a, w.f(0)), w.cmp(Pred::ONE, mag, w.f(kInf)));
  result = w.pick(isWhole, signedResult, w.pick(negative, w.f(kNaN), result));
  result = w.pick(w.cmp(Pred::UNO, a, b), w.add(a, b), result);
  Value one = w.either(w.cmp(Pred::OEQ, b, w.f(0)), w.cmp(Pred::OEQ, a, w.f(1)));
  return w.pick(one, w.f(1), result);
}

} // namespace

Value r1::expandMath(OpBuilder &b, Operation *op, ValueRange v) {
  if (v.empty() || !getElementTypeOrSelf(v[0].getType()).isF32())
    return {};
  Writer w{b, op->getLoc(), dyn_cast<VectorType>(v[0].getType())};
  if (isa<math::ExpOp>(op))
    return expOf(w, v[0]);
  if (isa<math::Exp2Op>(op))
    return exp2Of(w, v[0]);
  if (isa<math::ExpM1Op>(op))
    return expm1Of(w, v[0]);
  if (isa<math::LogOp>(op))
    return logOf(w, v[0]);
  if (isa<math::Log1pOp>(op))
    return log1pOf(w, v[0]);
  if (isa<math::Log2Op>(op))
    return logBase(w, v[0], kLog2E, M_LOG2E - kLog2E, 1);
  if (isa<math::Log10Op>(op))
    return logBase(w, v[0], kLog10E, M_LOG10E - kLog10E, M_LN2 * M_LOG10E);
  if (isa<math::TanhOp>(op))
    return tanhOf(w, v[0]);
  if (isa<math::ErfOp>(op))
    return erfOf(w, v[0]);
  if (isa<math::SinOp>(op))
    return sinOf(w, v[0], 0);
  if (isa<math::CosOp>(op))
    return sinOf(w, v[0], 1);
  if (isa<math::PowFOp>(op))
    return powOf(w, v[0], v[1]);
  if (isa<math::RsqrtOp>(op))
    return w.div(w.f(1), w.sqrt(v[0]));
  return {};
}

Value r1::emitExp(OpBuilder &b, Location loc, Value x) {
  return expOf(Writer{b, loc, dyn_cast<VectorType>(x.getType())}, x);
}

Value r1::emitLog(OpBuilder &b, Location loc, Value x) {
  return logOf(Writer{b, loc, dyn_cast<VectorType>(x.getType())}, x);
}
