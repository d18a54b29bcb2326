// The table: every derivative of a scalar op, on one screen.
#include "compiler/grad/ScalarRules.h"
#include "dialects/r1/R1Build.h"
#include <cmath>
#include <numbers>

using namespace mlir;
using namespace r1;
using namespace r1::ir;

namespace {

/// A scalar being built. Plain operators, so that the table reads like the formulas.
struct E {
  OpBuilder *b = nullptr;
  Location loc;
  Value v;

  E make(Value w) const { return {b, loc, w}; }
  E num(double x) const {
    return make(arith::ConstantOp::create(*b, loc, b->getFloatAttr(v.getType(), x)));
  }
};

template <class Op> E two(E x, E y) { return x.make(Op::create(*x.b, x.loc, x.v, y.v)); }
template <class Op> E one(E x) { return x.make(Op::create(*x.b, x.loc, x.v)); }
E operator+(E x, E y) { return two<arith::AddFOp>(x, y); }
E operator-(E x, E y) { return two<arith::SubFOp>(x, y); }
E operator*(E x, E y) { return two<arith::MulFOp>(x, y); }
E operator/(E x, E y) { return two<arith::DivFOp>(x, y); }
E operator-(E x) { return one<arith::NegFOp>(x); }
E operator*(double x, E y) { return y.num(x) * y; }
E operator+(double x, E y) { return y.num(x) + y; }
E operator-(double x, E y) { return y.num(x) - y; }
E exp(E x) { return one<math::ExpOp>(x); }
E log(E x) { return one<math::LogOp>(x); }
E sin(E x) { return one<math::SinOp>(x); }
E cos(E x) { return one<math::CosOp>(x); }
E trunc(E x) { return one<math::TruncOp>(x); }
E pow(E x, E y) { return two<math::PowFOp>(x, y); }
E sign(E x) { return two<math::CopySignOp>(x.num(1), x); }
E pick(Value cond, E x, E y) {
  return x.make(arith::SelectOp::create(*x.b, x.loc, cond, x.v, y.v));
}
Value cmp(arith::CmpFPredicate p, E x, E y) {
  return arith::CmpFOp::create(*x.b, x.loc, p, x.v, y.v);
}
Value isGE(E x, E y) { return cmp(arith::CmpFPredicate::OGE, x, y); }
Value isGT(E x, E y) { return cmp(arith::CmpFPredicate::OGT, x, y); }
Value isNE(E x, E y) { return cmp(arith::CmpFPredicate::UNE, x, y); }
Value isEQ(E x, E y) { return cmp(arith::CmpFPredicate::OEQ, x, y); }

/// What a derivative may read: g, the adjoint of the result; y, the result; the operands a, b.
/// `cond` is the condition of a select, whose operands a and b are its second and third.
struct At {
  E g, y, a, b;
  Value cond;
};
using Formula = E (*)(const At &);
struct Rule {
  const char *op;
  Formula wrt[3]; // by operand; null: no gradient
};

constexpr double twoOverSqrtPi = 2.0 * std::numbers::inv_sqrtpi;

#define D(...)                                                                                     \
  [](const At &at) -> E {                                                                          \
    [[maybe_unused]] const auto &[g, y, a, b, cond] = at;                                          \
    return __VA_ARGS__;                                                                            \
  }
// clang-format off
const Rule rules[] = {
    {"arith.addf",     {D(g),                                D(g)}},
    {"arith.subf",     {D(g),                                D(-g)}},
    {"arith.mulf",     {D(g * b),                            D(g * a)}},
    {"arith.divf",     {D(g / b),                            D(-(g * y) / b)}},
    {"arith.negf",     {D(-g)}},
    {"arith.remf",     {D(g),                                D(-(g * trunc(a / b)))}},
    {"arith.extf",     {D(g)}},
    {"arith.truncf",   {D(g)}},
    {"arith.select",   {nullptr, D(pick(cond, g, g.num(0))), D(pick(cond, g.num(0), g))}},
    // the first winner takes it
    {"arith.maximumf", {D(pick(isGE(a, b), g, g.num(0))),    D(pick(isGE(a, b), g.num(0), g))}},
    {"arith.maxnumf",  {D(pick(isGE(a, b), g, g.num(0))),    D(pick(isGE(a, b), g.num(0), g))}},
    {"arith.minimumf", {D(pick(isGE(b, a), g, g.num(0))),    D(pick(isGE(b, a), g.num(0), g))}},
    {"arith.minnumf",  {D(pick(isGE(b, a), g, g.num(0))),    D(pick(isGE(b, a), g.num(0), g))}},
    {"math.absf",      {D(pick(isEQ(a, a.num(0)), g.num(0), g * sign(a)))}},
    {"math.exp",       {D(g * y)}},
    {"math.exp2",      {D(g * (std::numbers::ln2 * y))}},
    {"math.expm1",     {D(g * (1.0 + y))}},
    {"math.log",       {D(g / a)}},
    {"math.log2",      {D(g / (std::numbers::ln2 * a))}},
    {"math.log1p",     {D(g / (1.0 + a))}},
    {"math.sqrt",      {D((0.5 * g) / y)}},
    {"math.rsqrt",     {D((-0.5 * g) * (y * (y * y)))}},
    {"math.sin",       {D(g * cos(a))}},
    {"math.cos",       {D(-(g * sin(a)))}},
    {"math.tanh",      {D(g * (1.0 - y * y))}},
    {"math.erf",       {D(g * (twoOverSqrtPi * exp(-(a * a))))}},
    // x^0 is constant even at 0; the exponent has a derivative where the base is positive
    {"math.powf",      {D(pick(isNE(b, b.num(0)), g * (b * pow(a, b - b.num(1))), g.num(0))),
                        D(pick(isGT(a, a.num(0)), g * (y * log(a)), g.num(0)))}},
    {"math.fma",       {D(g * b),                            D(g * a),                   D(g)}},
    {"math.copysign",  {D(g * (sign(a) * sign(b))),          nullptr}},
    {"math.floor",     {nullptr}},
    {"math.ceil",      {nullptr}},
    {"math.trunc",     {nullptr}},
    {"math.round",     {nullptr}},
    {"math.roundeven", {nullptr}},
};
// clang-format on
#undef D

const Rule *ruleOf(Operation *op) {
  for (const Rule &rule : rules)
    if (op->getName().getStringRef() == rule.op)
      return &rule;
  return nullptr;
}

} // namespace

SmallVector<StringRef> r1::scalarRuleNames() {
  SmallVector<StringRef> names;
  for (const Rule &rule : rules)
    names.push_back(rule.op);
  return names;
}

Value r1::readInRange(OpBuilder &b, Location loc, ReadOp read) {
  Value all;
  for (auto [i, index] : llvm::enumerate(read.getIndices())) {
    Value zero = arith::ConstantIndexOp::create(b, loc, 0);
    Value size = arith::ConstantIndexOp::create(b, loc, tensorType(read.getTensor()).getDimSize(i));
    for (auto [p, bound] :
         {std::pair(arith::CmpIPredicate::sge, zero), std::pair(arith::CmpIPredicate::slt, size)}) {
      Value in = arith::CmpIOp::create(b, loc, p, index, bound);
      all = all ? arith::AndIOp::create(b, loc, all, in) : in;
    }
  }
  return all ? all : arith::ConstantOp::create(b, loc, b.getBoolAttr(true));
}

void BodyAdjoints::add(Value v, Value g, Location loc) {
  Value &sum = adjoints[v];
  sum = sum ? arith::AddFOp::create(b, loc, sum, g) : g;
}

LogicalResult BodyAdjoints::run(ArrayRef<Operation *> ops, Value yielded, Value g) {
  for (Operation *op : ops)
    if (op->getNumResults() == 1 && isa<FloatType>(op->getResult(0).getType()) &&
        llvm::any_of(op->getOperands(), [&](Value v) { return active.contains(v); }))
      active.insert(op->getResult(0));
  if (!active.contains(yielded))
    return success();

  auto wide = [&](Value v, Location loc) -> Value {
    return isa<FloatType>(v.getType()) ? castScalar(b, loc, v, accumulatorOf(v.getType())) : v;
  };
  add(yielded, wide(g, yielded.getLoc()), yielded.getLoc());
  for (Operation *op : llvm::reverse(ops)) {
    if (op->getNumResults() != 1 || !active.contains(op->getResult(0)))
      continue;
    Value gy = adjoints.lookup(op->getResult(0));
    if (!gy)
      continue;
    Location loc = op->getLoc();
    if (auto read = dyn_cast<ReadOp>(op)) {
      // Inside the tensor the caller takes the adjoint; outside it belongs to the default.
      if (active.contains(read.getOtherwise())) {
        Value zero = arith::ConstantOp::create(b, loc, b.getFloatAttr(gy.getType(), 0));
        add(read.getOtherwise(),
            arith::SelectOp::create(b, loc, readInRange(b, loc, read), zero, gy), loc);
      }
      continue;
    }
    const Rule *rule = ruleOf(op);
    if (!rule)
      return op->emitError() << "E0311: " << op->getName()
                             << " is not differentiable, and a gradient is needed here";
    bool isSelect = isa<arith::SelectOp>(op);
    auto wideAs = [&](Value v) { return castScalar(b, loc, wide(v, loc), gy.getType()); };
    auto operand = [&](unsigned i) {
      i += isSelect;
      Value v = op->getOperand(std::min(i, op->getNumOperands() - 1));
      return E{&b, loc, isa<FloatType>(v.getType()) ? wideAs(v) : v};
    };
    At at{E{&b, loc, gy}, E{&b, loc, wideAs(op->getResult(0))}, operand(0), operand(1),
          op->getOperand(0)};
    for (auto [i, v] : llvm::enumerate(op->getOperands()))
      if (active.contains(v) && rule->wrt[i])
        add(v, castScalar(b, loc, rule->wrt[i](at).v, accumulatorOf(v.getType())), loc);
  }
  return success();
}
