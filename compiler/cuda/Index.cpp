// Index arithmetic: what stays "lane 0 and a stride", so that neighbours are one access.
#include "compiler/cuda/Body.h"
#include "compiler/pch.h"
#include <numeric>

using namespace mlir;
namespace r1::cuda {

Term Term::constant(int64_t n) {
  Term t = index(std::to_string(n));
  t.number = n;
  t.align = n == 0 ? int64_t(1) << 40 : std::abs(n);
  t.nonneg = n >= 0;
  return t;
}

static bool isName(StringRef s) {
  return llvm::all_of(s, [](char c) { return llvm::isAlnum(c) || c == '_'; });
}
static std::string bracketed(const std::string &s) { return isName(s) ? s : "(" + s + ")"; }

std::string Body::asLanes(const Term &t) {
  if (t.lanes)
    return t.text;
  if (t.stride)
    return ("r1::steps<" + Twine(width) + ">(" + t.text + ", " + Twine(t.stride) + ")").str();
  return ("r1::splat<" + Twine(width) + ">(" + t.text + ")").str();
}

Term Body::add(const Term &x, const Term &y) {
  if (x.number && y.number)
    return Term::constant(*x.number + *y.number);
  if (x.number && *x.number == 0)
    return y;
  if (y.number && *y.number == 0)
    return x;
  Term r;
  r.nonneg = x.nonneg && y.nonneg;
  if (x.lanes || y.lanes) {
    r.lanes = true;
    auto side = [&](const Term &t) { return t.stride ? asLanes(t) : bracketed(t.text); };
    r.text = side(x) + " + " + side(y);
    return r;
  }
  r.text = y.number && *y.number < 0 ? x.text + " - " + std::to_string(-*y.number)
                                     : x.text + " + " + y.text;
  r.stride = x.stride + y.stride;
  r.align = std::gcd(x.align, y.align);
  return r;
}

Term Body::scale(const Term &x, int64_t c) {
  if (x.number)
    return Term::constant(*x.number * c);
  if (c == 1)
    return x;
  if (c == 0)
    return Term::constant(0);
  Term r;
  r.nonneg = x.nonneg && c > 0;
  r.lanes = x.lanes;
  r.text = bracketed(x.text) + " * " + (c < 0 ? "(" + std::to_string(c) + ")" : std::to_string(c));
  r.stride = x.stride * c;
  r.align = x.align * std::abs(c);
  return r;
}

/// Floor division or remainder by c > 0.
Term Body::divide(const Term &x, int64_t c, bool remainder) {
  if (c == 1)
    return remainder ? Term::constant(0) : x;
  if (x.number && *x.number >= 0)
    return Term::constant(remainder ? *x.number % c : *x.number / c);
  auto of = [&](const std::string &s) {
    if (x.nonneg)
      return bracketed(s) + (remainder ? " % " : " / ") + std::to_string(c);
    return std::string(remainder ? "r1::mod_floor(" : "r1::div_floor(") + s + ", " +
           std::to_string(c) + ")";
  };
  Term r;
  r.nonneg = x.nonneg || remainder;
  // The lanes of a thread whose first is a multiple of their span stay within one quotient.
  int64_t span = x.stride * width;
  if (!x.lanes &&
      (x.stride == 0 || (span > 0 && c % span == 0 && x.align % span == 0))) {
    r.text = of(x.text);
    r.align = remainder ? std::gcd(x.align, c) : x.align % c == 0 ? x.align / c : 1;
    r.stride = remainder ? x.stride : 0;
    return r;
  }
  r.lanes = true;
  r.text = of(asLanes(x));
  return r;
}

std::optional<Term> Body::affine(AffineExpr e, ArrayRef<Term> dims, ArrayRef<Term> symbols) {
  if (auto d = dyn_cast<AffineDimExpr>(e))
    return dims[d.getPosition()];
  if (auto s = dyn_cast<AffineSymbolExpr>(e))
    return symbols[s.getPosition()];
  if (auto c = dyn_cast<AffineConstantExpr>(e))
    return Term::constant(c.getValue());
  auto bin = cast<AffineBinaryOpExpr>(e);
  auto x = affine(bin.getLHS(), dims, symbols);
  if (!x)
    return std::nullopt;
  if (e.getKind() == AffineExprKind::Add) {
    auto y = affine(bin.getRHS(), dims, symbols);
    return y ? std::optional<Term>(add(*x, *y)) : std::nullopt;
  }
  auto c = dyn_cast<AffineConstantExpr>(bin.getRHS());
  if (!c)
    return std::nullopt;
  switch (e.getKind()) {
  case AffineExprKind::Mul:
    return scale(*x, c.getValue());
  case AffineExprKind::Mod:
    return divide(*x, c.getValue(), true);
  case AffineExprKind::FloorDiv:
    return divide(*x, c.getValue(), false);
  case AffineExprKind::CeilDiv:
    return divide(add(*x, Term::constant(c.getValue() - 1)), c.getValue(), false);
  default:
    return std::nullopt;
  }
}

Term Body::named(Location loc, Term t) {
  if (t.number || isName(t.text))
    return t;
  std::string name = fresh("i");
  out->line(loc, (t.lanes ? "const auto " : "const int ") + name + " = " + t.text + ";");
  t.text = name;
  return t;
}

/// Operations on indices. False: not one of them.
bool Body::indexOp(Operation *op) {
  if (auto apply = dyn_cast<affine::AffineApplyOp>(op)) {
    SmallVector<Term> dims, symbols;
    for (Value v : apply.getDimOperands())
      dims.push_back(get(v));
    for (Value v : apply.getSymbolOperands())
      symbols.push_back(get(v));
    auto t = affine(apply.getAffineMap().getResult(0), dims, symbols);
    if (!t)
      return false;
    bool once = op->getResult(0).hasOneUse();
    bind(op->getResult(0), once && t->text.size() < 60 ? *t : named(op->getLoc(), *t));
    return true;
  }
  if (auto c = dyn_cast<arith::ConstantOp>(op)) {
    auto i = dyn_cast<IntegerAttr>(c.getValue());
    if (!i || !i.getType().isIndex())
      return false;
    bind(op->getResult(0), Term::constant(i.getInt()));
    return true;
  }
  if (isa<arith::IndexCastOp, arith::IndexCastUIOp>(op)) {
    Term x = get(op->getOperand(0));
    Type to = op->getResult(0).getType();
    // `int` is both index and i32; another type is a cast like any other.
    if (to.isInteger(64) || op->getOperand(0).getType().isInteger(64) || to.isInteger(8))
      return false;
    bind(op->getResult(0), x);
    return true;
  }
  if (op->getNumResults() != 1 || !op->getResult(0).getType().isIndex() ||
      op->getNumOperands() != 2)
    return false;
  Term x = get(op->getOperand(0)), y = get(op->getOperand(1));
  if (isa<arith::AddIOp>(op)) {
    bind(op->getResult(0), named(op->getLoc(), add(x, y)));
    return true;
  }
  if (isa<arith::MulIOp>(op) && (x.number || y.number)) {
    bind(op->getResult(0),
         named(op->getLoc(), y.number ? scale(x, *y.number) : scale(y, *x.number)));
    return true;
  }
  if (isa<arith::DivUIOp, arith::DivSIOp, arith::FloorDivSIOp, arith::RemUIOp, arith::RemSIOp>(op) &&
      y.number && *y.number > 0 && x.nonneg) {
    bind(op->getResult(0), named(op->getLoc(), divide(x, *y.number,
                                                      isa<arith::RemUIOp, arith::RemSIOp>(op))));
    return true;
  }
  return false;
}

} // namespace r1::cuda
