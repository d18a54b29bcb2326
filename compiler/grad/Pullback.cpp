#include "compiler/grad/Pullback.h"

using namespace mlir;
using namespace r1;
using namespace r1::ir;

namespace {

/// sum of coeffs[d] * d + constant
struct Linear {
  SmallVector<int64_t> coeffs;
  int64_t constant = 0;

  explicit Linear(unsigned dims) : coeffs(dims, 0) {}
  Linear scaled(int64_t k) const {
    Linear r = *this;
    for (int64_t &c : r.coeffs)
      c *= k;
    r.constant *= k;
    return r;
  }
  Linear plus(const Linear &o) const {
    Linear r = *this;
    for (auto [i, c] : llvm::enumerate(o.coeffs))
      r.coeffs[i] += c;
    r.constant += o.constant;
    return r;
  }
};

/// `e` over dims of the given sizes as a linear expression. A quotient or remainder by k is
/// linear when the terms that k does not divide stay within 0..k.
std::optional<Linear> linearise(AffineExpr e, ArrayRef<int64_t> sizes) {
  Linear r(sizes.size());
  if (auto c = dyn_cast<AffineConstantExpr>(e)) {
    r.constant = c.getValue();
    return r;
  }
  if (auto d = dyn_cast<AffineDimExpr>(e)) {
    r.coeffs[d.getPosition()] = 1;
    return r;
  }
  auto bin = dyn_cast<AffineBinaryOpExpr>(e);
  if (!bin)
    return std::nullopt;
  auto l = linearise(bin.getLHS(), sizes), k = linearise(bin.getRHS(), sizes);
  if (!l || !k)
    return std::nullopt;
  if (e.getKind() == AffineExprKind::Add)
    return l->plus(*k);
  if (llvm::any_of(k->coeffs, [](int64_t c) { return c != 0; }))
    return std::nullopt;
  int64_t by = k->constant;
  if (e.getKind() == AffineExprKind::Mul)
    return l->scaled(by);
  if (by <= 0 || e.getKind() == AffineExprKind::CeilDiv)
    return std::nullopt;
  Linear quotient(sizes.size()), rest(sizes.size());
  int64_t low, high;
  quotient.constant = llvm::divideFloorSigned(l->constant, by);
  rest.constant = low = high = l->constant - quotient.constant * by;
  for (auto [i, c] : llvm::enumerate(l->coeffs)) {
    if (c % by == 0) {
      quotient.coeffs[i] = c / by;
    } else {
      rest.coeffs[i] = c;
      (c < 0 ? low : high) += c * (sizes[i] - 1);
    }
  }
  if (low < 0 || high >= by)
    return std::nullopt;
  return e.getKind() == AffineExprKind::FloorDiv ? quotient : rest;
}

/// The contributions while their space is brought into a form whose map can be inverted.
struct Space {
  OpBuilder &b;
  Location loc;
  Value c;
  AffineMap map;

  ArrayRef<int64_t> sizes() const { return tensorType(c).getShape(); }

  void reshape(ArrayRef<int64_t> shape) {
    c = ReshapeOp::create(b, loc, RankedTensorType::get(shape, tensorType(c).getElementType()), c);
  }

  /// Splits dim d into (d / k, d mod k), which become dims d and d + 1.
  void split(unsigned d, int64_t k) {
    SmallVector<int64_t> shape(sizes());
    shape[d] /= k;
    shape.insert(shape.begin() + d + 1, k);
    SmallVector<AffineExpr> dims;
    for (unsigned i = 0; i < map.getNumDims(); ++i)
      dims.push_back(i == d ? b.getAffineDimExpr(d) * k + b.getAffineDimExpr(d + 1)
                            : b.getAffineDimExpr(i < d ? i : i + 1));
    map = map.replaceDimsAndSymbols(dims, {}, shape.size(), 0);
    reshape(shape);
  }

  /// Sums over the dims that the map does not name.
  void sumUnnamed(Type elem) {
    SmallVector<int64_t> unnamed;
    llvm::SmallBitVector bits(map.getNumDims());
    for (unsigned d = 0; d < map.getNumDims(); ++d)
      if (!map.isFunctionOfDim(d)) {
        unnamed.push_back(d);
        bits.set(d);
      }
    c = buildSum(b, loc, c, unnamed, elem);
    map = projectDims(map, bits, /*compressDims=*/true);
  }
};

/// The first dim that stands alone under a quotient or remainder, and its divisor.
std::optional<std::pair<unsigned, int64_t>> dividedDim(AffineMap map, ArrayRef<int64_t> sizes) {
  std::optional<std::pair<unsigned, int64_t>> found;
  for (AffineExpr e : map.getResults())
    e.walk([&](AffineExpr sub) {
      auto bin = dyn_cast<AffineBinaryOpExpr>(sub);
      if (found || !bin ||
          (sub.getKind() != AffineExprKind::FloorDiv && sub.getKind() != AffineExprKind::Mod))
        return;
      auto d = dyn_cast<AffineDimExpr>(bin.getLHS());
      auto k = dyn_cast<AffineConstantExpr>(bin.getRHS());
      if (d && k && k.getValue() > 1 && k.getValue() < sizes[d.getPosition()] &&
          sizes[d.getPosition()] % k.getValue() == 0)
        found = {d.getPosition(), k.getValue()};
    });
  return found;
}

/// Builds scalar index arithmetic.
struct Index {
  OpBuilder &b;
  Location loc;
  Value num(int64_t n) { return arith::ConstantIndexOp::create(b, loc, n); }
  Value add(Value x, Value y) { return arith::AddIOp::create(b, loc, x, y); }
  Value sub(Value x, Value y) { return arith::SubIOp::create(b, loc, x, y); }
  Value mul(Value x, int64_t k) {
    return k == 1 ? x : arith::MulIOp::create(b, loc, x, num(k)).getResult();
  }
  Value eq(Value x, Value y) {
    return arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq, x, y);
  }
  Value both(Value x, Value y) { return x ? arith::AndIOp::create(b, loc, x, y).getResult() : y; }
};

} // namespace

/// Solves the linear equations map(d) = e for one dim each (the pivot); the other dims are summed.
static FailureOr<Value> solve(OpBuilder &b, Location loc, Value c, AffineMap map,
                              RankedTensorType result) {
  ArrayRef<int64_t> sizes = tensorType(c).getShape();
  unsigned dims = sizes.size();
  SmallVector<Linear> rows;
  for (AffineExpr e : map.getResults()) {
    auto l = linearise(e, sizes);
    if (!l)
      return failure();
    rows.push_back(*l);
  }
  // Equations with one dim first: their pivots leave the others fewer choices.
  auto order = llvm::to_vector(llvm::seq<unsigned>(0, rows.size()));
  auto named = [&](unsigned r) { return dims - llvm::count(rows[r].coeffs, 0); };
  llvm::sort(order, [&](unsigned x, unsigned y) {
    return std::pair(named(x), x) < std::pair(named(y), y);
  });
  SmallVector<int> pivot(rows.size(), -1);
  llvm::SmallBitVector solved(dims);
  for (unsigned r : order)
    for (unsigned d = 0; d < dims; ++d)
      if (int64_t a = rows[r].coeffs[d]; a != 0 && !solved.test(d))
        if (pivot[r] < 0 || std::abs(a) < std::abs(rows[r].coeffs[pivot[r]])) {
          if (pivot[r] >= 0)
            solved.reset(pivot[r]);
          pivot[r] = d;
          solved.set(d);
        }
  SmallVector<unsigned> free;
  for (unsigned d = 0; d < dims; ++d)
    if (!solved.test(d))
      free.push_back(d);

  // A pivot may stand in a later equation: each pass takes the equations that are ready.
  llvm::SmallBitVector known(dims);
  for (unsigned d : free)
    known.set(d);
  SmallVector<unsigned> sequence;
  while (!order.empty()) {
    size_t before = order.size();
    llvm::erase_if(order, [&](unsigned r) {
      for (unsigned d = 0; d < dims; ++d)
        if (rows[r].coeffs[d] != 0 && int(d) != pivot[r] && !known.test(d))
          return false;
      if (pivot[r] >= 0)
        known.set(pivot[r]);
      sequence.push_back(r);
      return true;
    });
    if (order.size() == before)
      return failure();
  }

  unsigned rank = result.getRank();
  SmallVector<int64_t> space(result.getShape());
  for (unsigned d : free)
    space.push_back(sizes[d]);
  Type elem = tensorType(c).getElementType();
  Value spread = buildMap(b, loc, RankedTensorType::get(space, elem), {}, {}, c,
                          [&](OpBuilder &bb, Location l, ValueRange args) -> Value {
                            Index ix{bb, l};
                            SmallVector<Value> at(dims);
                            for (auto [i, d] : llvm::enumerate(free))
                              at[d] = IndexOp::create(bb, l, rank + i);
                            Value ok;
                            for (unsigned r : sequence) {
                              const Linear &row = rows[r];
                              Value rest = IndexOp::create(bb, l, r);
                              if (row.constant != 0)
                                rest = ix.sub(rest, ix.num(row.constant));
                              for (unsigned d = 0; d < dims; ++d)
                                if (row.coeffs[d] != 0 && int(d) != pivot[r])
                                  rest = ix.sub(rest, ix.mul(at[d], row.coeffs[d]));
                              if (pivot[r] < 0) {
                                ok = ix.both(ok, ix.eq(rest, ix.num(0)));
                                continue;
                              }
                              int64_t a = row.coeffs[pivot[r]];
                              if (a < 0)
                                rest = ix.sub(ix.num(0), rest);
                              a = std::abs(a);
                              at[pivot[r]] = rest;
                              if (a != 1) {
                                at[pivot[r]] = arith::FloorDivSIOp::create(bb, l, rest, ix.num(a));
                                ok = ix.both(ok, ix.eq(ix.mul(at[pivot[r]], a), rest));
                              }
                            }
                            if (ok && dims > 0)
                              at[0] = arith::SelectOp::create(bb, l, ok, at[0], ix.num(-1));
                            Value zero = arith::ConstantOp::create(bb, l, bb.getFloatAttr(elem, 0));
                            Value v = ReadOp::create(bb, l, args[0], at, zero);
                            return ok && dims == 0
                                       ? arith::SelectOp::create(bb, l, ok, v, zero).getResult()
                                       : v;
                          });
  SmallVector<int64_t> sum;
  for (unsigned i = 0; i < free.size(); ++i)
    sum.push_back(rank + i);
  return buildSum(b, loc, spread, sum, result.getElementType());
}

FailureOr<Value> r1::pullBack(OpBuilder &b, Location loc, Value c, AffineMap map,
                              RankedTensorType result) {
  Space s{b, loc, c, map};
  while (auto divided = dividedDim(s.map, s.sizes()))
    s.split(divided->first, divided->second);
  SmallVector<AffineExpr> exprs;
  for (AffineExpr e : s.map.getResults()) {
    auto l = linearise(e, s.sizes());
    if (!l)
      return failure();
    AffineExpr flat = b.getAffineConstantExpr(l->constant);
    for (auto [d, k] : llvm::enumerate(l->coeffs))
      flat = flat + b.getAffineDimExpr(d) * k;
    exprs.push_back(flat);
  }
  s.map = AffineMap::get(s.sizes().size(), 0, exprs, b.getContext());
  s.sumUnnamed(result.getElementType());
  bool wholeDims = s.map.isPermutation();
  if (wholeDims)
    for (auto [r, e] : llvm::enumerate(s.map.getResults()))
      wholeDims &= s.sizes()[cast<AffineDimExpr>(e).getPosition()] == result.getDimSize(r);
  if (wholeDims) {
    if (s.map.isIdentity())
      return s.c;
    return buildView(b, loc, result, s.c, inversePermutation(s.map));
  }
  return solve(b, loc, s.c, s.map, result);
}

AffineExpr r1::affineOf(Value v) {
  Operation *op = v.getDefiningOp();
  if (!op)
    return {};
  MLIRContext *context = v.getContext();
  IntegerAttr constant;
  if (matchPattern(v, m_Constant(&constant)))
    return getAffineConstantExpr(constant.getInt(), context);
  if (auto index = dyn_cast<IndexOp>(op))
    return getAffineDimExpr(index.getDim(), context);
  if (isa<arith::IndexCastOp, arith::IndexCastUIOp, arith::ExtSIOp, arith::TruncIOp>(op))
    return affineOf(op->getOperand(0));
  if (op->getNumOperands() != 2)
    return {};
  AffineExpr l = affineOf(op->getOperand(0)), r = affineOf(op->getOperand(1));
  if (!l || !r)
    return {};
  if (isa<arith::AddIOp>(op))
    return l + r;
  if (isa<arith::SubIOp>(op))
    return l - r;
  if (isa<arith::MulIOp>(op) && (l.isSymbolicOrConstant() || r.isSymbolicOrConstant()))
    return l * r;
  auto k = dyn_cast<AffineConstantExpr>(r);
  if (k && k.getValue() > 0 && isa<arith::FloorDivSIOp>(op))
    return l.floorDiv(k.getValue());
  return {};
}
