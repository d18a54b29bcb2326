#include "compiler/irgen/Expr.h"
#include <cmath>
#include <cstring>

using namespace mlir;

namespace r1::gen {

unsigned bitsOf(Elem e) {
  switch (e) {
  case Elem::F64:
  case Elem::I64:
    return 64;
  case Elem::F32:
  case Elem::I32:
    return 32;
  case Elem::F16:
  case Elem::BF16:
    return 16;
  case Elem::I8:
  case Elem::U8:
    return 8;
  case Elem::Bool:
    return 1;
  }
  return 0;
}

//===--- constants ------------------------------------------------------------------------===//

double evaluate(const Expr *e, const DenseMap<LoopVar *, int64_t> &at) {
  if (e->kind == Scalar::Const)
    return e->number;
  if (e->kind == Scalar::Index)
    return double(at.lookup(e->var));
  SmallVector<double, 3> args;
  for (Expr *a : e->args)
    args.push_back(evaluate(a, at));
  return scalarValue(e->op, e->elem, e->args[0]->elem, args.data());
}

//===--- making expressions ---------------------------------------------------------------===//

unsigned ExprPool::numberOf(LoopVar *v) {
  return numbers.try_emplace(v, numbers.size()).first->second;
}

Expr *ExprPool::intern(Expr e) {
  int64_t bits;
  std::memcpy(&bits, &e.number, sizeof bits);
  std::vector<int64_t> key = {int64_t(e.kind),
                              int64_t(e.elem),
                              bits,
                              reinterpret_cast<int64_t>(e.var),
                              reinterpret_cast<int64_t>(e.tensor.getAsOpaquePointer()),
                              int64_t(e.op),
                              int64_t(e.red),
                              e.otherwise ? int64_t(e.otherwise->id) : -1};
  for (LoopVar *v : e.vars)
    key.push_back(reinterpret_cast<int64_t>(v));
  key.push_back(-1);
  for (Expr *a : e.args)
    key.push_back(a->id);
  auto [it, isNew] = known.try_emplace(std::move(key), nullptr);
  if (!isNew)
    return it->second;

  e.id = exprs.size();
  auto absorb = [&](Expr *a) {
    for (LoopVar *v : a->free)
      if (!llvm::is_contained(e.vars, v) && !llvm::is_contained(e.free, v))
        e.free.push_back(v);
    e.reads |= a->reads;
    e.reduces |= a->reduces;
    e.costRank = std::max(e.costRank, a->costRank);
  };
  if (e.kind == Scalar::Index)
    e.free.push_back(e.var);
  for (Expr *a : e.args)
    absorb(a);
  if (e.otherwise)
    absorb(e.otherwise);
  e.reads |= e.kind == Scalar::Read;
  e.reduces |= e.kind == Scalar::Reduce;
  if (e.kind == Scalar::Reduce || e.kind == Scalar::Read)
    e.costRank = -1; // computed on its own, or a subscript
  if (e.kind == Scalar::Op)
    switch (e.op) {
    case ScalarOp::Div:
    case ScalarOp::Pow:
    case ScalarOp::Exp:
    case ScalarOp::Log:
    case ScalarOp::Sqrt:
    case ScalarOp::Rsqrt:
    case ScalarOp::Sin:
    case ScalarOp::Cos:
    case ScalarOp::Tanh:
    case ScalarOp::Erf:
      if (isFloat(e.elem))
        e.costRank = int(e.free.size());
      break;
    default:
      break;
    }
  llvm::sort(e.free, [&](LoopVar *a, LoopVar *b) { return numberOf(a) < numberOf(b); });
  exprs.push_back(std::move(e));
  return it->second = &exprs.back();
}

Expr *ExprPool::constant(double x, Elem elem, Span span) {
  Expr e{Scalar::Const, elem, span};
  e.number = valueAs(x, elem);
  return intern(std::move(e));
}

Expr *ExprPool::index(LoopVar *var, Span span) {
  numberOf(var);
  Expr e{Scalar::Index, Elem::I64, span};
  e.var = var;
  return intern(std::move(e));
}

Expr *ExprPool::read(Value tensor, Elem elem, int64_t bound, ArrayRef<Expr *> subs, Expr *otherwise,
                     Span span) {
  Expr e{Scalar::Read, elem, span};
  e.tensor = tensor;
  e.bound = bound;
  e.args.assign(subs.begin(), subs.end());
  e.otherwise = otherwise;
  return intern(std::move(e));
}

Expr *ExprPool::readAt(Value tensor, Elem elem, ArrayRef<LoopVar *> vars, Span span) {
  SmallVector<Expr *> subs;
  for (LoopVar *v : vars) {
    Expr *at = index(v, span);
    subs.push_back(
        v->lo ? op(ScalarOp::Sub, Elem::I64, {at, constant(double(v->lo), Elem::I64, span)}, span)
              : at);
  }
  return read(tensor, elem, 0, subs, nullptr, span);
}

Expr *ExprPool::reduce(ReduceOp red, Elem elem, ArrayRef<LoopVar *> vars, Expr *body, Span span) {
  for (LoopVar *v : vars)
    numberOf(v);
  Expr e{Scalar::Reduce, elem, span};
  e.red = red;
  e.vars.assign(vars.begin(), vars.end());
  e.args = {body};
  return intern(std::move(e));
}

Expr *ExprPool::op(ScalarOp o, Elem elem, ArrayRef<Expr *> args, Span span) {
  if (llvm::all_of(args, [](Expr *a) { return a->isConst(); })) {
    SmallVector<double, 3> values;
    for (Expr *a : args)
      values.push_back(a->number);
    return constant(scalarValue(o, elem, args[0]->elem, values.data()), elem, span);
  }
  if (Expr *s = simplify(o, elem, args, span))
    return s;
  Expr e{Scalar::Op, elem, span};
  e.op = o;
  e.args.assign(args.begin(), args.end());
  return intern(std::move(e));
}

/// A plainer form of op(args...), or null. Only identities that hold for every value (but for the
/// sign of zero).
Expr *ExprPool::simplify(ScalarOp o, Elem elem, ArrayRef<Expr *> a, Span span) {
  switch (o) {
  case ScalarOp::Add:
    if (a[1]->isConst(0))
      return a[0];
    if (a[0]->isConst(0))
      return a[1];
    return nullptr;
  case ScalarOp::Sub:
    if (a[1]->isConst(0))
      return a[0];
    return nullptr;
  case ScalarOp::Mul:
    if (a[1]->isConst(1))
      return a[0];
    if (a[0]->isConst(1))
      return a[1];
    return nullptr;
  case ScalarOp::Div:
  case ScalarOp::FloorDiv:
    if (a[1]->isConst(1) && (o == ScalarOp::Div || !isFloat(elem)))
      return a[0];
    return nullptr;
  case ScalarOp::Cast:
    return a[0]->elem == elem ? a[0] : nullptr;
  case ScalarOp::Not:
    if (a[0]->kind == Scalar::Op && a[0]->op == ScalarOp::Not)
      return a[0]->args[0];
    return nullptr;
  case ScalarOp::And:
  case ScalarOp::Or: {
    bool keeps = o == ScalarOp::And; // the constant that leaves the other side as it is
    for (int i : {0, 1})
      if (a[i]->isConst())
        return (a[i]->number != 0) == keeps ? a[1 - i] : a[i];
    return nullptr;
  }
  case ScalarOp::Select:
    if (a[0]->isConst())
      return a[0]->number != 0 ? a[1] : a[2];
    return a[1] == a[2] ? a[1] : nullptr;
  case ScalarOp::Pow:
    if (a[1]->isConst()) {
      Expr *x = a[0];
      double n = a[1]->number;
      auto mul = [&](Expr *l, Expr *r) { return op(ScalarOp::Mul, elem, {l, r}, span); };
      if (n == 0)
        return constant(1, elem, span);
      if (n == 1)
        return x;
      if (n == 2)
        return mul(x, x);
      if (n == 3)
        return mul(mul(x, x), x);
      if (n == 4)
        return mul(mul(x, x), mul(x, x));
      if (n == 0.5)
        return op(ScalarOp::Sqrt, elem, {x}, span);
      if (n == -0.5)
        return op(ScalarOp::Rsqrt, elem, {x}, span);
      if (n == -1)
        return op(ScalarOp::Div, elem, {constant(1, elem, span), x}, span);
      return nullptr;
    }
    // c ** y = exp(y log c), when y is data: the logarithm is taken here, in double.
    if (a[0]->isConst() && a[0]->number > 0 && a[1]->reads)
      return op(
          ScalarOp::Exp, elem,
          {op(ScalarOp::Mul, elem, {a[1], constant(std::log(a[0]->number), elem, span)}, span)},
          span);
    return nullptr;
  default:
    return nullptr;
  }
}

//===--- subscripts -----------------------------------------------------------------------===//

std::optional<std::pair<int64_t, int64_t>> rangeOf(const Expr *e) {
  using Range = std::pair<int64_t, int64_t>;
  if (isFloat(e->elem))
    return std::nullopt;
  switch (e->kind) {
  case Scalar::Const:
    return Range{int64_t(e->number), int64_t(e->number)};
  case Scalar::Index:
    return Range{e->var->lo, e->var->lo + e->var->size - 1};
  case Scalar::Read: {
    if (e->bound <= 0)
      return std::nullopt;
    Range r{0, e->bound - 1};
    if (e->otherwise) {
      auto o = rangeOf(e->otherwise);
      if (!o)
        return std::nullopt;
      r = {std::min(r.first, o->first), std::max(r.second, o->second)};
    }
    return r;
  }
  case Scalar::Reduce:
    return std::nullopt;
  case Scalar::Op:
    break;
  }
  if (e->op == ScalarOp::Select) {
    auto t = rangeOf(e->args[1]), f = rangeOf(e->args[2]);
    if (!t || !f)
      return std::nullopt;
    return Range{std::min(t->first, f->first), std::max(t->second, f->second)};
  }
  SmallVector<Range, 3> r;
  for (Expr *a : e->args) {
    auto x = rangeOf(a);
    if (!x)
      return std::nullopt;
    r.push_back(*x);
  }
  switch (e->op) {
  case ScalarOp::Add:
    return Range{r[0].first + r[1].first, r[0].second + r[1].second};
  case ScalarOp::Sub:
    return Range{r[0].first - r[1].second, r[0].second - r[1].first};
  case ScalarOp::Neg:
    return Range{-r[0].second, -r[0].first};
  case ScalarOp::Mul: {
    int64_t p[4] = {r[0].first * r[1].first, r[0].first * r[1].second, r[0].second * r[1].first,
                    r[0].second * r[1].second};
    return Range{*std::min_element(p, p + 4), *std::max_element(p, p + 4)};
  }
  case ScalarOp::FloorDiv:
    if (r[1].first != r[1].second || r[1].first <= 0)
      return std::nullopt;
    return Range{llvm::divideFloorSigned(r[0].first, r[1].first),
                 llvm::divideFloorSigned(r[0].second, r[1].first)};
  case ScalarOp::Mod:
    if (r[1].first <= 0)
      return std::nullopt;
    if (r[0].first >= 0 && r[0].second < r[1].first)
      return r[0];
    return Range{0, r[1].second - 1};
  case ScalarOp::Min:
    return Range{std::min(r[0].first, r[1].first), std::min(r[0].second, r[1].second)};
  case ScalarOp::Max:
    return Range{std::max(r[0].first, r[1].first), std::max(r[0].second, r[1].second)};
  case ScalarOp::Cast:
    return e->elem == Elem::I64 || e->elem == Elem::I32 ? std::optional<Range>(r[0]) : std::nullopt;
  default:
    return std::nullopt;
  }
}

AffineExpr affineOf(const Expr *e, ArrayRef<LoopVar *> space, MLIRContext *ctx) {
  switch (e->kind) {
  case Scalar::Const:
    return getAffineConstantExpr(int64_t(e->number), ctx);
  case Scalar::Index: {
    auto it = llvm::find(space, e->var);
    if (it == space.end())
      return {};
    return getAffineDimExpr(it - space.begin(), ctx) + e->var->lo;
  }
  case Scalar::Read:
  case Scalar::Reduce:
    return {};
  case Scalar::Op:
    break;
  }
  SmallVector<AffineExpr, 3> a;
  for (Expr *x : e->args) {
    a.push_back(isFloat(x->elem) ? AffineExpr() : affineOf(x, space, ctx));
    if (!a.back())
      return {};
  }
  switch (e->op) {
  case ScalarOp::Add:
    return a[0] + a[1];
  case ScalarOp::Sub:
    return a[0] - a[1];
  case ScalarOp::Neg:
    return -a[0];
  case ScalarOp::Mul:
    if (!isa<AffineConstantExpr>(a[0]) && !isa<AffineConstantExpr>(a[1]))
      return {};
    return a[0] * a[1];
  case ScalarOp::FloorDiv:
  case ScalarOp::Mod: {
    auto c = dyn_cast<AffineConstantExpr>(a[1]);
    if (!c || c.getValue() <= 0)
      return {};
    return e->op == ScalarOp::Mod ? a[0] % a[1] : a[0].floorDiv(a[1]);
  }
  case ScalarOp::Cast:
    return isFloat(e->elem) ? AffineExpr() : a[0];
  default:
    return {};
  }
}

} // namespace r1::gen
