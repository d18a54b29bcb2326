#include "compiler/fuse/Index.h"
#include "mlir/IR/AffineMap.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/MathExtras.h"
#include <numeric>

using namespace mlir;
namespace r1::fuse {

namespace {

using Range = std::optional<std::pair<int64_t, int64_t>>;

Range rangeOfLinear(const Linear &l, const Dims &dims);

Range rangeOfTerm(AffineExpr term, const Dims &dims) {
  if (auto d = dyn_cast<AffineDimExpr>(term)) {
    int64_t size = dims.sizes[d.getPosition()];
    return size > 0 ? Range({0, size - 1}) : std::nullopt;
  }
  auto binary = cast<AffineBinaryOpExpr>(term);
  int64_t c = cast<AffineConstantExpr>(binary.getRHS()).getValue();
  if (term.getKind() == AffineExprKind::Mod)
    return Range({0, c - 1});
  Range inner = rangeOf(binary.getLHS(), dims);
  if (!inner)
    return std::nullopt;
  return Range(
      {llvm::divideFloorSigned(inner->first, c), llvm::divideFloorSigned(inner->second, c)});
}

Range rangeOfLinear(const Linear &l, const Dims &dims) {
  int64_t low = l.constant, high = l.constant;
  for (auto [term, k] : l.terms) {
    Range r = rangeOfTerm(term, dims);
    if (!r)
      return std::nullopt;
    low += k * (k > 0 ? r->first : r->second);
    high += k * (k > 0 ? r->second : r->first);
  }
  return Range({low, high});
}

void addTerm(Linear &l, AffineExpr term, int64_t k) {
  for (auto &[t, c] : l.terms)
    if (t == term) {
      c += k;
      llvm::erase_if(l.terms, [](auto &p) { return p.second == 0; });
      return;
    }
  if (k)
    l.terms.push_back({term, k});
}

void addScaled(Linear &to, const Linear &from, int64_t k) {
  for (auto [t, c] : from.terms)
    addTerm(to, t, c * k);
  to.constant += from.constant * k;
}

/// l = quotient * c + rest, the rest with coefficients that c does not divide.
void splitBy(const Linear &l, int64_t c, Linear &quotient, Linear &rest) {
  for (auto [t, k] : l.terms)
    if (k % c == 0)
      quotient.terms.push_back({t, k / c});
    else
      rest.terms.push_back({t, k});
  quotient.constant = llvm::divideFloorSigned(l.constant, c);
  rest.constant = l.constant - quotient.constant * c;
}

int64_t commonFactor(const Linear &l, int64_t c) {
  int64_t g = std::gcd(c, l.constant);
  for (auto [t, k] : l.terms)
    g = std::gcd(g, k);
  return g;
}

void divideBy(Linear &l, int64_t g) {
  for (auto &[t, k] : l.terms)
    k /= g;
  l.constant /= g;
}

bool within(const Linear &l, int64_t c, const Dims &dims) {
  Range r = rangeOfLinear(l, dims);
  return r && r->first >= 0 && r->second < c;
}

Linear floorDiv(const Linear &l, int64_t c, const Dims &dims) {
  Linear q, rest;
  splitBy(l, c, q, rest);
  if (within(rest, c, dims))
    return q;
  int64_t g = commonFactor(rest, c);
  divideBy(rest, g);
  AffineExpr inner = toExpr(rest, dims);
  int64_t divisor = c / g;
  if (rest.terms.size() == 1 && rest.constant == 0 && rest.terms[0].second == 1 &&
      rest.terms[0].first.getKind() == AffineExprKind::FloorDiv) {
    auto nested = cast<AffineBinaryOpExpr>(rest.terms[0].first);
    divisor *= cast<AffineConstantExpr>(nested.getRHS()).getValue();
    inner = nested.getLHS();
  }
  addTerm(q,
          getAffineBinaryOpExpr(AffineExprKind::FloorDiv, inner,
                                getAffineConstantExpr(divisor, dims.context)),
          1);
  return q;
}

Linear mod(const Linear &l, int64_t c, const Dims &dims) {
  Linear q, rest;
  splitBy(l, c, q, rest);
  if (within(rest, c, dims))
    return rest;
  int64_t g = commonFactor(rest, c);
  divideBy(rest, g);
  AffineExpr inner = toExpr(rest, dims);
  if (rest.terms.size() == 1 && rest.constant == 0 && rest.terms[0].second == 1 &&
      rest.terms[0].first.getKind() == AffineExprKind::Mod) {
    auto nested = cast<AffineBinaryOpExpr>(rest.terms[0].first);
    if (cast<AffineConstantExpr>(nested.getRHS()).getValue() % (c / g) == 0)
      inner = nested.getLHS();
  }
  Linear out;
  addTerm(
      out,
      getAffineBinaryOpExpr(AffineExprKind::Mod, inner, getAffineConstantExpr(c / g, dims.context)),
      g);
  return out;
}

/// k*c*(e floordiv c) + k*(e mod c) is k*e.
void recombine(Linear &l, const Dims &dims) {
  for (bool changed = true; changed;) {
    changed = false;
    for (auto [t, k] : llvm::to_vector(l.terms)) {
      if (t.getKind() != AffineExprKind::Mod)
        continue;
      auto binary = cast<AffineBinaryOpExpr>(t);
      int64_t c = cast<AffineConstantExpr>(binary.getRHS()).getValue();
      // In its simplest form: (x floordiv a) floordiv c is x floordiv (a * c).
      Linear quotient = floorDiv(toLinear(binary.getLHS(), dims), c, dims);
      if (quotient.terms.size() != 1 || quotient.terms[0].second != 1 || quotient.constant)
        continue;
      AffineExpr div = quotient.terms[0].first;
      auto other = llvm::find_if(l.terms, [&](auto &p) { return p.first == div; });
      if (other == l.terms.end() || other->second != k * c)
        continue;
      llvm::erase_if(l.terms, [&](auto &p) { return p.first == div || p.first == t; });
      addScaled(l, toLinear(binary.getLHS(), dims), k);
      changed = true;
      break;
    }
  }
}

} // namespace

Linear toLinear(AffineExpr e, const Dims &dims) {
  Linear out;
  switch (e.getKind()) {
  case AffineExprKind::Constant:
    out.constant = cast<AffineConstantExpr>(e).getValue();
    return out;
  case AffineExprKind::DimId:
  case AffineExprKind::SymbolId:
    // A variable that can only be 0 is no variable.
    if (auto d = dyn_cast<AffineDimExpr>(e); d && dims.sizes[d.getPosition()] == 1)
      return out;
    addTerm(out, e, 1);
    return out;
  default:
    break;
  }
  auto binary = cast<AffineBinaryOpExpr>(e);
  Linear lhs = toLinear(binary.getLHS(), dims), rhs = toLinear(binary.getRHS(), dims);
  if (e.getKind() == AffineExprKind::Add) {
    addScaled(lhs, rhs, 1);
    recombine(lhs, dims);
    return lhs;
  }
  if (e.getKind() == AffineExprKind::Mul) {
    if (!rhs.terms.empty())
      std::swap(lhs, rhs);
    addScaled(out, lhs, rhs.constant);
    return out;
  }
  if (e.getKind() == AffineExprKind::FloorDiv)
    return floorDiv(lhs, rhs.constant, dims);
  return mod(lhs, rhs.constant, dims);
}

AffineExpr toExpr(const Linear &l, const Dims &dims) {
  auto terms = l.terms;
  auto rank = [](AffineExpr t) {
    auto d = dyn_cast<AffineDimExpr>(t);
    return d ? d.getPosition() : ~0u;
  };
  llvm::stable_sort(terms, [&](auto &a, auto &b) { return rank(a.first) < rank(b.first); });
  AffineExpr sum = getAffineConstantExpr(l.constant, dims.context);
  AffineExpr out;
  for (auto [t, k] : terms)
    out = out ? out + t * k : t * k;
  if (!out)
    return sum;
  return l.constant ? out + sum : out;
}

AffineExpr simplify(AffineExpr e, const Dims &dims) { return toExpr(toLinear(e, dims), dims); }

std::optional<std::pair<int64_t, int64_t>> rangeOf(AffineExpr e, const Dims &dims) {
  return rangeOfLinear(toLinear(e, dims), dims);
}

SmallVector<int64_t> stridesOf(ArrayRef<int64_t> shape) {
  SmallVector<int64_t> strides(shape.size(), 1);
  for (int i = int(shape.size()) - 2; i >= 0; --i)
    strides[i] = strides[i + 1] * shape[i + 1];
  return strides;
}

int64_t countOf(ArrayRef<int64_t> shape) {
  int64_t n = 1;
  for (int64_t s : shape)
    n *= s;
  return n;
}

AffineExpr linearize(ArrayRef<AffineExpr> index, ArrayRef<int64_t> shape, const Dims &dims) {
  Linear sum;
  for (auto [e, stride] : llvm::zip(index, stridesOf(shape)))
    addScaled(sum, toLinear(e, dims), stride);
  recombine(sum, dims);
  return toExpr(sum, dims);
}

SmallVector<AffineExpr> delinearize(AffineExpr e, ArrayRef<int64_t> shape, const Dims &dims) {
  SmallVector<AffineExpr> out;
  Linear l = toLinear(e, dims);
  for (auto [i, stride] : llvm::enumerate(stridesOf(shape))) {
    Linear q = floorDiv(l, stride, dims);
    out.push_back(toExpr(i == 0 ? q : mod(q, shape[i], dims), dims));
  }
  return out;
}

SmallVector<AffineExpr> applyMap(AffineMap map, ArrayRef<AffineExpr> index, const Dims &dims) {
  SmallVector<AffineExpr> out;
  for (AffineExpr e : map.getResults())
    out.push_back(simplify(e.replaceDims(index), dims));
  return out;
}

} // namespace r1::fuse
