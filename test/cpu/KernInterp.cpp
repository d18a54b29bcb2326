#include "test/cpu/KernInterp.h"
#include "dialects/kern/Kern.h"
#include "llvm/ADT/TypeSwitch.h"
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

using namespace mlir;
using namespace r1;
using namespace r1::cpu;

namespace {

struct Scalar {
  double f = 0;
  int64_t i = 0;
};

double roundTo(Type t, double v) {
  if (t.isF64())
    return v;
  float f = float(v);
  if (t.isF32())
    return f;
  llvm::APFloat a(f);
  bool lost;
  a.convert(cast<FloatType>(t).getFloatSemantics(), llvm::APFloat::rmNearestTiesToEven, &lost);
  a.convert(llvm::APFloat::IEEEdouble(), llvm::APFloat::rmNearestTiesToEven, &lost);
  return a.convertToDouble();
}

int64_t wrap(Type t, int64_t v) {
  if (!t.isInteger())
    return v;
  unsigned bits = t.getIntOrFloatBitWidth();
  if (bits == 1)
    return v & 1;
  return bits >= 64 ? v : int64_t(uint64_t(v) << (64 - bits)) >> (64 - bits);
}

uint64_t asUnsigned(Type t, int64_t v) {
  if (!t.isInteger() || t.getIntOrFloatBitWidth() >= 64)
    return uint64_t(v);
  return uint64_t(v) & ((uint64_t(1) << t.getIntOrFloatBitWidth()) - 1);
}

Scalar readAt(Type t, const void *base, int64_t at) {
  Scalar s;
  const char *p = static_cast<const char *>(base) + at * storedBytes(t);
  if (auto ft = dyn_cast<FloatType>(t)) {
    uint64_t bits = 0;
    std::memcpy(&bits, p, storedBytes(t));
    llvm::APFloat a(ft.getFloatSemantics(), llvm::APInt(ft.getWidth(), bits));
    bool lost;
    a.convert(llvm::APFloat::IEEEdouble(), llvm::APFloat::rmNearestTiesToEven, &lost);
    s.f = a.convertToDouble();
    return s;
  }
  int64_t raw = 0;
  std::memcpy(&raw, p, storedBytes(t));
  s.i = t.isInteger(1) ? raw & 1 : wrap(t, raw);
  return s;
}

void writeAt(Type t, void *base, int64_t at, Scalar s) {
  char *p = static_cast<char *>(base) + at * storedBytes(t);
  if (auto ft = dyn_cast<FloatType>(t)) {
    llvm::APFloat a(s.f);
    bool lost;
    a.convert(ft.getFloatSemantics(), llvm::APFloat::rmNearestTiesToEven, &lost);
    uint64_t bits = a.bitcastToAPInt().getZExtValue();
    std::memcpy(p, &bits, storedBytes(t));
    return;
  }
  std::memcpy(p, &s.i, storedBytes(t));
}

int64_t evaluate(AffineExpr e, ArrayRef<int64_t> dims, ArrayRef<int64_t> symbols) {
  if (auto d = dyn_cast<AffineDimExpr>(e))
    return dims[d.getPosition()];
  if (auto s = dyn_cast<AffineSymbolExpr>(e))
    return symbols[s.getPosition()];
  if (auto c = dyn_cast<AffineConstantExpr>(e))
    return c.getValue();
  auto b = cast<AffineBinaryOpExpr>(e);
  int64_t x = evaluate(b.getLHS(), dims, symbols), y = evaluate(b.getRHS(), dims, symbols);
  auto floorDiv = [](int64_t n, int64_t d) { return n / d - (n % d < 0 ? 1 : 0); };
  switch (e.getKind()) {
  case AffineExprKind::Add:
    return x + y;
  case AffineExprKind::Mul:
    return x * y;
  case AffineExprKind::FloorDiv:
    return floorDiv(x, y);
  case AffineExprKind::CeilDiv:
    return -floorDiv(-x, y);
  default:
    return x - floorDiv(x, y) * y;
  }
}

class Machine {
public:
  llvm::DenseMap<Value, Scalar> env;
  llvm::DenseMap<Value, void *> memory;
  std::string error;

  void fail(Operation *op, const Twine &what) {
    if (error.empty())
      error = (op->getName().getStringRef() + ": " + what).str();
  }
  void step(Operation *op);
  void sweep(kern::SweepOp op, bool lanes);
  void body(Block *block) {
    for (Operation &op : block->without_terminator())
      step(&op);
  }

private:
  int64_t address(Operation *op, MemRefType type, ValueRange indices);
  bool arithmetic(Operation *op);
};

int64_t Machine::address(Operation *op, MemRefType type, ValueRange indices) {
  SmallVector<int64_t> strides;
  int64_t at;
  (void)type.getStridesAndOffset(strides, at);
  for (auto [v, stride, size] : llvm::zip(indices, strides, type.getShape())) {
    int64_t i = env[v].i;
    if (i < 0 || i >= size) {
      fail(op, "index " + Twine(i) + " outside of 0.." + Twine(size));
      i = 0;
    }
    at += i * stride;
  }
  return at;
}

double function(Operation *op, double x, double y) {
  return TypeSwitch<Operation *, double>(op)
      .Case<math::ExpOp>([&](auto) { return std::exp(x); })
      .Case<math::Exp2Op>([&](auto) { return std::exp2(x); })
      .Case<math::ExpM1Op>([&](auto) { return std::expm1(x); })
      .Case<math::LogOp>([&](auto) { return std::log(x); })
      .Case<math::Log2Op>([&](auto) { return std::log2(x); })
      .Case<math::Log10Op>([&](auto) { return std::log10(x); })
      .Case<math::Log1pOp>([&](auto) { return std::log1p(x); })
      .Case<math::TanhOp>([&](auto) { return std::tanh(x); })
      .Case<math::ErfOp>([&](auto) { return std::erf(x); })
      .Case<math::SinOp>([&](auto) { return std::sin(x); })
      .Case<math::CosOp>([&](auto) { return std::cos(x); })
      .Case<math::SqrtOp>([&](auto) { return std::sqrt(x); })
      .Case<math::RsqrtOp>([&](auto) { return 1 / std::sqrt(x); })
      .Case<math::AbsFOp>([&](auto) { return std::fabs(x); })
      .Case<math::FloorOp>([&](auto) { return std::floor(x); })
      .Case<math::CeilOp>([&](auto) { return std::ceil(x); })
      .Case<math::RoundOp>([&](auto) { return std::round(x); })
      .Case<math::RoundEvenOp>([&](auto) { return std::nearbyint(x); })
      .Case<math::TruncOp>([&](auto) { return std::trunc(x); })
      .Case<math::CopySignOp>([&](auto) { return std::copysign(x, y); })
      .Case<math::PowFOp>([&](auto) { return std::pow(x, y); })
      .Default([](auto) { return std::numeric_limits<double>::quiet_NaN(); });
}

bool Machine::arithmetic(Operation *op) {
  Type rt = op->getResult(0).getType();
  auto f = [&](unsigned n) { return env[op->getOperand(n)].f; };
  auto i = [&](unsigned n) { return env[op->getOperand(n)].i; };
  auto u = [&](unsigned n) { return asUnsigned(op->getOperand(n).getType(), i(n)); };
  Scalar r;
  auto real = [&](double v) { r.f = roundTo(rt, v); };
  auto whole = [&](int64_t v) { r.i = wrap(rt, v); };
  // One operation in f64 on f32 values, rounded once, equals the operation in f32 (for + - * / and
  // square roots); halves are computed in f32 first.
  auto once = [&](double v) { real(isa<Float64Type>(rt) ? v : double(float(v))); };
  bool known =
      TypeSwitch<Operation *, bool>(op)
          .Case<arith::AddFOp>([&](auto) { return once(f(0) + f(1)), true; })
          .Case<arith::SubFOp>([&](auto) { return once(f(0) - f(1)), true; })
          .Case<arith::MulFOp>([&](auto) { return once(f(0) * f(1)), true; })
          .Case<arith::DivFOp>([&](auto) { return once(f(0) / f(1)), true; })
          .Case<arith::NegFOp>([&](auto) { return real(-f(0)), true; })
          .Case<math::FmaOp>([&](auto) {
            double a = f(0), b = f(1), c = f(2);
            real(isa<Float64Type>(rt) ? std::fma(a, b, c)
                                      : double(std::fmaf(float(a), float(b), float(c))));
            return true;
          })
          .Case<arith::MaximumFOp>([&](auto) {
            real(std::isnan(f(0)) || std::isnan(f(1)) ? NAN : f(0) > f(1) ? f(0) : f(1));
            return true;
          })
          .Case<arith::MinimumFOp>([&](auto) {
            real(std::isnan(f(0)) || std::isnan(f(1)) ? NAN : f(0) < f(1) ? f(0) : f(1));
            return true;
          })
          .Case<arith::MaxNumFOp>([&](auto) { return real(std::fmax(f(0), f(1))), true; })
          .Case<arith::MinNumFOp>([&](auto) { return real(std::fmin(f(0), f(1))), true; })
          .Case<arith::ExtFOp, arith::TruncFOp>([&](auto) { return real(f(0)), true; })
          .Case<arith::SIToFPOp>([&](auto) { return real(double(i(0))), true; })
          .Case<arith::UIToFPOp>([&](auto) { return real(double(u(0))), true; })
          .Case<arith::FPToSIOp>([&](auto) { return whole(int64_t(f(0))), true; })
          .Case<arith::CmpFOp>([&](arith::CmpFOp c) {
            double x = f(0), y = f(1);
            bool un = std::isnan(x) || std::isnan(y);
            using P = arith::CmpFPredicate;
            P p = c.getPredicate();
            bool eq = x == y, lt = x<y, gt = x> y;
            r.i = p == P::OEQ   ? eq
                  : p == P::OGT ? gt
                  : p == P::OGE ? gt || eq
                  : p == P::OLT ? lt
                  : p == P::OLE ? lt || eq
                  : p == P::ONE ? lt || gt
                  : p == P::ORD ? !un
                  : p == P::UEQ ? un || eq
                  : p == P::UGT ? un || gt
                  : p == P::UGE ? un || gt || eq
                  : p == P::ULT ? un || lt
                  : p == P::ULE ? un || lt || eq
                  : p == P::UNE ? un || !eq
                  : p == P::UNO ? un
                                : p == P::AlwaysTrue;
            return true;
          })
          .Case<arith::CmpIOp>([&](arith::CmpIOp c) {
            int64_t x = i(0), y = i(1);
            uint64_t ux = u(0), uy = u(1);
            switch (c.getPredicate()) {
            case arith::CmpIPredicate::eq:
              r.i = x == y;
              break;
            case arith::CmpIPredicate::ne:
              r.i = x != y;
              break;
            case arith::CmpIPredicate::slt:
              r.i = x < y;
              break;
            case arith::CmpIPredicate::sle:
              r.i = x <= y;
              break;
            case arith::CmpIPredicate::sgt:
              r.i = x > y;
              break;
            case arith::CmpIPredicate::sge:
              r.i = x >= y;
              break;
            case arith::CmpIPredicate::ult:
              r.i = ux < uy;
              break;
            case arith::CmpIPredicate::ule:
              r.i = ux <= uy;
              break;
            case arith::CmpIPredicate::ugt:
              r.i = ux > uy;
              break;
            case arith::CmpIPredicate::uge:
              r.i = ux >= uy;
              break;
            }
            return true;
          })
          .Case<arith::SelectOp>(
              [&](auto) { return r = env[op->getOperand(i(0) & 1 ? 1 : 2)], true; })
          .Case<arith::AddIOp>([&](auto) { return whole(i(0) + i(1)), true; })
          .Case<arith::SubIOp>([&](auto) { return whole(i(0) - i(1)), true; })
          .Case<arith::MulIOp>([&](auto) { return whole(i(0) * i(1)), true; })
          .Case<arith::DivSIOp>([&](auto) { return whole(i(1) ? i(0) / i(1) : 0), true; })
          .Case<arith::RemSIOp>([&](auto) { return whole(i(1) ? i(0) % i(1) : 0), true; })
          .Case<arith::DivUIOp>([&](auto) { return whole(u(1) ? u(0) / u(1) : 0), true; })
          .Case<arith::RemUIOp>([&](auto) { return whole(u(1) ? u(0) % u(1) : 0), true; })
          .Case<arith::AndIOp>([&](auto) { return whole(i(0) & i(1)), true; })
          .Case<arith::OrIOp>([&](auto) { return whole(i(0) | i(1)), true; })
          .Case<arith::XOrIOp>([&](auto) { return whole(i(0) ^ i(1)), true; })
          .Case<arith::ShLIOp>([&](auto) { return whole(i(0) << i(1)), true; })
          .Case<arith::ShRSIOp>([&](auto) { return whole(i(0) >> i(1)), true; })
          .Case<arith::ShRUIOp>([&](auto) { return whole(u(0) >> i(1)), true; })
          .Case<arith::MaxSIOp>([&](auto) { return whole(std::max(i(0), i(1))), true; })
          .Case<arith::MinSIOp>([&](auto) { return whole(std::min(i(0), i(1))), true; })
          .Case<arith::ExtSIOp, arith::IndexCastOp, arith::TruncIOp>([&](auto) {
            bool bit = op->getOperand(0).getType().isInteger(1);
            return whole(bit ? -i(0) : i(0)), true;
          })
          .Case<arith::ExtUIOp, arith::IndexCastUIOp>([&](auto) { return whole(u(0)), true; })
          .Case<arith::BitcastOp>([&](auto) {
            char buffer[8] = {};
            writeAt(op->getOperand(0).getType(), buffer, 0, env[op->getOperand(0)]);
            return r = readAt(rt, buffer, 0), true;
          })
          .Default([&](auto) {
            if (!isa<math::MathDialect>(op->getDialect()) || !isa<FloatType>(rt))
              return false;
            double v = function(op, f(0), op->getNumOperands() > 1 ? f(1) : 0);
            return real(isa<Float64Type>(rt) ? v : double(float(v))), true;
          });
  if (known)
    env[op->getResult(0)] = r;
  return known;
}

void Machine::step(Operation *op) {
  if (auto c = dyn_cast<arith::ConstantOp>(op)) {
    Scalar s;
    if (auto f = dyn_cast<FloatAttr>(c.getValue()))
      s.f = f.getValueAsDouble();
    else if (auto i = dyn_cast<IntegerAttr>(c.getValue()))
      s.i = i.getType().isInteger(1) ? i.getValue().getZExtValue() : i.getInt();
    env[c.getResult()] = s;
  } else if (auto a = dyn_cast<affine::AffineApplyOp>(op)) {
    SmallVector<int64_t> dims, symbols;
    for (Value v : a.getDimOperands())
      dims.push_back(env[v].i);
    for (Value v : a.getSymbolOperands())
      symbols.push_back(env[v].i);
    Scalar s;
    s.i = evaluate(a.getAffineMap().getResult(0), dims, symbols);
    env[a.getResult()] = s;
  } else if (auto l = dyn_cast<memref::LoadOp>(op)) {
    MemRefType t = l.getMemRefType();
    env[l.getResult()] =
        readAt(t.getElementType(), memory[l.getMemRef()], address(op, t, l.getIndices()));
  } else if (auto s = dyn_cast<memref::StoreOp>(op)) {
    MemRefType t = s.getMemRefType();
    writeAt(t.getElementType(), memory[s.getMemRef()], address(op, t, s.getIndices()),
            env[s.getValue()]);
  } else if (!arithmetic(op)) {
    fail(op, "not known to the interpreter");
  }
}

Scalar combined(kern::Combine kind, Type t, Scalar x, Scalar y) {
  Scalar r;
  bool real = isa<FloatType>(t);
  switch (kind) {
  case kern::Combine::sum:
    r.f = real ? roundTo(t, x.f + y.f) : 0;
    r.i = real ? 0 : wrap(t, x.i + y.i);
    break;
  case kern::Combine::max:
    r.f = std::isnan(x.f) || std::isnan(y.f) ? NAN : std::max(x.f, y.f);
    r.i = std::max(x.i, y.i);
    break;
  case kern::Combine::min:
    r.f = std::isnan(x.f) || std::isnan(y.f) ? NAN : std::min(x.f, y.f);
    r.i = std::min(x.i, y.i);
    break;
  case kern::Combine::any:
    r.i = x.i | y.i;
    break;
  case kern::Combine::all:
    r.i = x.i & y.i;
    break;
  }
  return r;
}

Scalar start(kern::Combine kind, Type t) {
  Scalar s;
  unsigned bits = t.getIntOrFloatBitWidth();
  bool real = isa<FloatType>(t);
  if (kind == kern::Combine::max)
    s.f = -INFINITY, s.i = real ? 0 : llvm::APInt::getSignedMinValue(bits).getSExtValue();
  if (kind == kern::Combine::min)
    s.f = INFINITY, s.i = real ? 0 : llvm::APInt::getSignedMaxValue(bits).getSExtValue();
  if (kind == kern::Combine::all)
    s.i = bits == 1 ? 1 : -1;
  return s;
}

// Visits a sweep's points in row-major order.
void Machine::sweep(kern::SweepOp op, bool lanes) {
  auto sizes = op.getSizes();
  unsigned results = op.getNumResults();
  auto kind = [&](unsigned i) { return kern::Combine(op.getCombine()[i]); };
  auto yield = cast<kern::YieldOp>(op.getBlock()->getTerminator());
  int64_t width = lanes ? 64 : 1;
  std::vector<std::vector<Scalar>> acc(results);
  for (unsigned i = 0; i < results; ++i)
    acc[i].assign(width, start(kind(i), op.getResult(i).getType()));
  if (!lanes)
    for (unsigned i = 0; i < op.getInit().size(); ++i)
      acc[i][0] = env[op.getInit()[i]];
  int64_t total = 1;
  for (int64_t s : sizes)
    total *= s;
  for (int64_t n = 0; n < total; ++n) {
    int64_t rest = n, inner = 0;
    for (int d = int(sizes.size()) - 1; d >= 0; --d) {
      int64_t at = rest % sizes[d];
      if (d + 1 == int(sizes.size()))
        inner = at;
      env[op.getBlock()->getArgument(d)].i = at;
      rest /= sizes[d];
    }
    body(op.getBlock());
    for (unsigned i = 0; i < results; ++i) {
      Scalar &a = acc[i][lanes ? inner % 64 : 0];
      a = combined(kind(i), op.getResult(i).getType(), a, env[yield.getValues()[i]]);
    }
  }
  for (unsigned i = 0; i < results; ++i) {
    Type t = op.getResult(i).getType();
    for (int64_t half = width / 2; half >= 1; half /= 2)
      for (int64_t l = 0; l < half; ++l)
        acc[i][l] = combined(kind(i), t, acc[i][l], acc[i][l + half]);
    Scalar r = acc[i][0];
    if (lanes && !op.getInit().empty())
      r = combined(kind(i), t, env[op.getInit()[i]], r);
    env[op.getResult(i)] = r;
  }
}

void runKernel(Machine &m, kern::KernelOp op) {
  int64_t rows = 1;
  for (int64_t s : op.getRows())
    rows *= s;
  for (int64_t n = 0; n < rows && m.error.empty(); ++n) {
    int64_t rest = n;
    for (int d = int(op.getRows().size()) - 1; d >= 0; --d) {
      m.env[op.getBlock()->getArgument(d)].i = rest % op.getRows()[d];
      rest /= op.getRows()[d];
    }
    for (Operation &o : op.getBlock()->without_terminator()) {
      if (auto s = dyn_cast<kern::SweepOp>(o))
        m.sweep(s, op.getAlong() == "sweep");
      else
        m.step(&o);
    }
  }
}

void runProduct(Machine &m, kern::ProductOp op) {
  Block *block = op.getBlock();
  auto type = [&](unsigned n) {
    return cast<MemRefType>(block->getArgument(n).getType()).getElementType();
  };
  void *a = m.memory[block->getArgument(4)], *b = m.memory[block->getArgument(5)],
       *c = m.memory[block->getArgument(6)];
  size_t nb = op.getBatch().size();
  int64_t batches = 1;
  for (int64_t s : op.getBatch())
    batches *= s;
  auto yield = cast<kern::YieldOp>(block->getTerminator());
  auto sizes = op.getSizes();
  for (int64_t g = 0; g < batches; ++g) {
    int64_t ao = 0, bo = 0, co = 0, rest = g;
    for (int d = int(nb) - 1; d >= 0; --d) {
      int64_t at = rest % op.getBatch()[d];
      rest /= op.getBatch()[d];
      ao += at * op.getA()[d], bo += at * op.getB()[d], co += at * op.getC()[d];
    }
    for (int64_t i = 0; i < sizes[0] && m.error.empty(); ++i)
      for (int64_t j = 0; j < sizes[1]; ++j) {
        int64_t at = co + i * op.getC()[nb] + j * op.getC()[nb + 1];
        float acc = op.getAccumulate() ? float(readAt(type(6), c, at).f) : 0.0f;
        for (int64_t k = 0; k < sizes[2]; ++k)
          acc = std::fmaf(
              float(readAt(type(4), a, ao + i * op.getA()[nb] + k * op.getA()[nb + 1]).f),
              float(readAt(type(5), b, bo + k * op.getB()[nb] + j * op.getB()[nb + 1]).f), acc);
        m.env[block->getArgument(0)].i = g;
        m.env[block->getArgument(1)].i = i;
        m.env[block->getArgument(2)].i = j;
        m.env[block->getArgument(3)].f = acc;
        m.body(block);
        writeAt(type(6), c, at, m.env[yield.getValues()[0]]);
      }
  }
}

// Attention, forward and backward, by its definition in f64; outputs are rounded once.
struct Attention {
  Machine &m;
  kern::IntrinsicOp op;
  SmallVector<MemRefType> types;
  SmallVector<void *> args;
  int64_t B, T, H, K, S, G, captures;
  double scale;
  using Field = std::vector<double>;

  Attention(Machine &m, kern::IntrinsicOp op, ArrayRef<void *> args)
      : m(m), op(op), types(memrefTypes(op)), args(args) {
    auto q = types[0].getShape(), k = types[1].getShape();
    B = q[0], T = q[1], H = q[2], K = q[3], S = k[1], G = k[2];
    scale = 1 / std::sqrt(double(K));
    if (auto s = op.getParams().getAs<FloatAttr>("scale"))
      scale = s.getValueAsDouble();
    captures = op.getParams().getAs<IntegerAttr>("inputs").getInt();
    Block &lambda = op.getLambdas()[0].front();
    for (unsigned i = 3; i < lambda.getNumArguments(); ++i)
      m.memory[lambda.getArgument(i)] = args[captures + i - 3];
  }
  double in(unsigned n, std::initializer_list<int64_t> at) {
    int64_t linear = 0;
    for (auto [x, size] : llvm::zip(at, types[n].getShape()))
      linear = linear * size + x;
    return readAt(types[n].getElementType(), args[n], linear).f;
  }
  void out(unsigned n, std::initializer_list<int64_t> at, double v) {
    int64_t linear = 0;
    for (auto [x, size] : llvm::zip(at, types[n].getShape()))
      linear = linear * size + x;
    Scalar s;
    s.f = v;
    writeAt(types[n].getElementType(), args[n], linear, s);
  }
  bool allowed(int64_t b, int64_t t, int64_t s) {
    Block &lambda = op.getLambdas()[0].front();
    m.env[lambda.getArgument(0)].i = b;
    m.env[lambda.getArgument(1)].i = t;
    m.env[lambda.getArgument(2)].i = s;
    m.body(&lambda);
    return m.env[lambda.getTerminator()->getOperand(0)].i & 1;
  }
  Field scores(int64_t b, int64_t h, int64_t t) {
    Field x(S, -INFINITY);
    for (int64_t s = 0; s < S; ++s)
      if (allowed(b, t, s)) {
        x[s] = 0;
        for (int64_t c = 0; c < K; ++c)
          x[s] += in(0, {b, t, h, c}) * in(1, {b, s, h / (H / G), c});
        x[s] *= scale;
      }
    return x;
  }
  void forward() {
    auto writes = op.getWrites();
    for (int64_t b = 0; b < B; ++b)
      for (int64_t h = 0; h < H; ++h)
        for (int64_t t = 0; t < T; ++t) {
          Field x = scores(b, h, t);
          double top = *std::max_element(x.begin(), x.end()), sum = 0;
          for (double &v : x)
            sum += v = v == -INFINITY ? 0 : std::exp(v - top);
          for (int64_t c = 0; c < K; ++c) {
            double y = 0;
            for (int64_t s = 0; s < S; ++s)
              y += x[s] ? x[s] * in(2, {b, s, h / (H / G), c}) : 0;
            out(writes[0], {b, t, h, c}, sum ? y / sum : 0);
          }
          if (writes.size() > 1)
            out(writes[1], {b, h, t}, sum ? top + std::log(sum) : -INFINITY);
        }
  }
  void backward() {
    auto writes = op.getWrites();
    Field dk(B * S * G * K), dv(dk);
    for (int64_t b = 0; b < B; ++b)
      for (int64_t h = 0; h < H; ++h)
        for (int64_t t = 0; t < T; ++t) {
          int64_t g = h / (H / G);
          Field x = scores(b, h, t), dq(K);
          double delta = 0, lse = in(4, {b, h, t});
          for (int64_t c = 0; c < K; ++c)
            delta += in(5, {b, t, h, c}) * in(3, {b, t, h, c});
          for (int64_t s = 0; s < S; ++s) {
            if (x[s] == -INFINITY)
              continue;
            double p = std::exp(x[s] - lse), dp = 0;
            for (int64_t c = 0; c < K; ++c)
              dp += in(5, {b, t, h, c}) * in(2, {b, s, g, c});
            double ds = p * (dp - delta) * scale;
            for (int64_t c = 0; c < K; ++c) {
              int64_t at = ((b * S + s) * G + g) * K + c;
              dq[c] += ds * in(1, {b, s, g, c});
              dk[at] += ds * in(0, {b, t, h, c});
              dv[at] += p * in(5, {b, t, h, c});
            }
          }
          for (int64_t c = 0; c < K; ++c)
            out(writes[0], {b, t, h, c}, dq[c]);
        }
    for (int64_t b = 0; b < B; ++b)
      for (int64_t s = 0; s < S; ++s)
        for (int64_t g = 0; g < G; ++g)
          for (int64_t c = 0; c < K; ++c) {
            int64_t at = ((b * S + s) * G + g) * K + c;
            out(writes[1], {b, s, g, c}, dk[at]);
            out(writes[2], {b, s, g, c}, dv[at]);
          }
  }
};

} // namespace

SmallVector<MemRefType> r1::cpu::memrefTypes(Operation *kernel) {
  SmallVector<MemRefType> types;
  if (auto in = dyn_cast<kern::IntrinsicOp>(kernel)) {
    for (Attribute t : in.getArgTypes())
      types.push_back(cast<MemRefType>(cast<TypeAttr>(t).getValue()));
    return types;
  }
  for (BlockArgument a : kernel->getRegion(0).front().getArguments())
    if (auto t = dyn_cast<MemRefType>(a.getType()))
      types.push_back(t);
  return types;
}

int64_t r1::cpu::storedBytes(Type element) {
  return element.isInteger(1) ? 1 : element.getIntOrFloatBitWidth() / 8;
}

int64_t r1::cpu::elementCount(Type memref) {
  auto t = cast<MemRefType>(memref);
  SmallVector<int64_t> strides;
  int64_t n;
  (void)t.getStridesAndOffset(strides, n);
  ++n;
  for (auto [size, stride] : llvm::zip(t.getShape(), strides))
    n += (size - 1) * stride;
  return std::max<int64_t>(n, 0);
}

double r1::cpu::readElement(Type element, const void *base, int64_t at) {
  Scalar s = readAt(element, base, at);
  return isa<FloatType>(element) ? s.f : double(s.i);
}

llvm::Error r1::cpu::interpret(Operation *op, ArrayRef<void *> args) {
  Machine m;
  if (auto in = dyn_cast<kern::IntrinsicOp>(op)) {
    Attention a(m, in, args);
    if (in.getName() == "flash_attention")
      a.forward();
    else
      a.backward();
    return m.error.empty() ? llvm::Error::success() : llvm::createStringError(m.error);
  }
  Block &block = op->getRegion(0).front();
  unsigned first = block.getNumArguments() - args.size();
  for (unsigned i = 0; i < args.size(); ++i)
    m.memory[block.getArgument(first + i)] = args[i];
  if (auto k = dyn_cast<kern::KernelOp>(op))
    runKernel(m, k);
  else if (auto p = dyn_cast<kern::ProductOp>(op))
    runProduct(m, p);
  if (!m.error.empty())
    return llvm::createStringError(m.error);
  return llvm::Error::success();
}
