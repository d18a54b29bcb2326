// Reductions: sums of products become r1.contract, others an r1.reduce of the joint space.
#include "compiler/irgen/Gen.h"

using namespace mlir;
using namespace r1::ir;

namespace r1::gen {

namespace {
/// The factors of a summand, as far as products go.
struct Factors {
  SmallVector<Expr *> varying, fixed, divisors;
  bool negative = false;

  void add(Expr *e, Elem elem, ArrayRef<LoopVar *> vars) {
    if (e->kind == Scalar::Op && e->elem == elem && e->variesWithAny(vars)) {
      if (e->op == ScalarOp::Mul) {
        add(e->args[0], elem, vars);
        add(e->args[1], elem, vars);
        return;
      }
      if (e->op == ScalarOp::Neg) {
        negative = !negative;
        add(e->args[0], elem, vars);
        return;
      }
      if (e->op == ScalarOp::Div && !e->args[1]->variesWithAny(vars)) {
        divisors.push_back(e->args[1]);
        add(e->args[0], elem, vars);
        return;
      }
    }
    (e->variesWithAny(vars) ? varying : fixed).push_back(e);
  }
};

bool isSubset(Expr *a, Expr *b) {
  return llvm::all_of(a->free, [&](LoopVar *v) { return b->variesWith(v); });
}

/// The float that `e` widens, or `e` itself.
Expr *unwidened(Expr *e) {
  if (e->kind == Scalar::Op && e->op == ScalarOp::Cast && e->elem == Elem::F32 &&
      isNarrow(e->args[0]->elem))
    return e->args[0];
  return e;
}
} // namespace

/// If every subscript of `read` is a different plain index over a whole dim: those indices.
static std::optional<VarList> plainSubscripts(Expr *read, ArrayRef<LoopVar *> space,
                                              MLIRContext *ctx) {
  if (read->kind != Scalar::Read || read->otherwise)
    return std::nullopt;
  auto shape = cast<RankedTensorType>(read->tensor.getType()).getShape();
  VarList vars;
  for (auto [sub, size] : llvm::zip(read->args, shape)) {
    auto d = dyn_cast_or_null<AffineDimExpr>(affineOf(sub, space, ctx));
    if (!d)
      return std::nullopt;
    LoopVar *v = space[d.getPosition()];
    if (v->size != size || llvm::is_contained(vars, v))
      return std::nullopt;
    vars.push_back(v);
  }
  return vars;
}

/// The indices that `e` varies with, in the order of the tensor it reads: a view that stays close
/// to what it views.
static VarList layoutOf(Expr *e, ArrayRef<LoopVar *> space) {
  VarList order;
  Expr *read = e->kind == Scalar::Op && e->op == ScalarOp::Cast ? e->args[0] : e;
  if (read->kind == Scalar::Read)
    for (Expr *sub : read->args)
      for (LoopVar *v : sub->free)
        if (!llvm::is_contained(order, v))
          order.push_back(v);
  for (LoopVar *v : space)
    if (e->variesWith(v) && !llvm::is_contained(order, v))
      order.push_back(v);
  return order;
}

Expr *FnGen::lowerContract(Expr *r, ArrayRef<LoopVar *> space, Elem elem) {
  Factors f;
  f.add(r->args[0], r->args[0]->elem, r->vars);
  Elem factorElem = r->args[0]->elem;
  auto &v = f.varying;
  if (v.size() < 2)
    return nullptr;

  // Down to two factors: those that vary with no more than another join it.
  auto join = [&](unsigned i, unsigned j) {
    v[j] = pool.op(ScalarOp::Mul, factorElem, {v[j], v[i]}, r->span);
    v.erase(v.begin() + i);
  };
  while (v.size() > 2) {
    unsigned from = 0, to = 1;
    for (unsigned i = 0; i < v.size(); ++i)
      for (unsigned j = 0; j < v.size(); ++j)
        if (i != j && isSubset(v[i], v[j]))
          from = i, to = j;
    join(from, to);
  }

  // A product that no index tells apart is no contraction: it fuses as a map and a reduction.
  bool isContraction = false;
  for (LoopVar *x : space)
    isContraction |= v[0]->variesWith(x) != v[1]->variesWith(x);
  if (!isContraction)
    return nullptr;
  VarList summed;
  for (LoopVar *x : r->vars) {
    bool in0 = v[0]->variesWith(x), in1 = v[1]->variesWith(x);
    if (!in0 && !in1)
      return nullptr;
    if (in0 && in1)
      summed.push_back(x);
    else // summed on its own first
      v[in0 ? 0 : 1] = pool.reduce(ReduceOp::Sum, factorElem, {x}, v[in0 ? 0 : 1], r->span);
  }
  if (summed.empty())
    return nullptr;

  // bf16 operands meet exactly in f32.
  if (unwidened(v[0])->elem == unwidened(v[1])->elem)
    for (Expr *&x : v)
      x = unwidened(x);

  VarList joint(space.begin(), space.end());
  joint.append(summed.begin(), summed.end());
  Value operands[2];
  VarList subscripts[2];
  for (int i : {0, 1}) {
    if (auto plain = plainSubscripts(v[i], joint, ctx)) {
      operands[i] = v[i]->tensor;
      subscripts[i] = *plain;
      continue;
    }
    subscripts[i] = layoutOf(v[i], joint);
    operands[i] = tensor(v[i], subscripts[i], module.loc(v[i]->span));
    if (!operands[i])
      return nullptr;
  }

  VarList outs, loops;
  for (LoopVar *x : space)
    if (llvm::is_contained(subscripts[0], x) || llvm::is_contained(subscripts[1], x))
      outs.push_back(x);
  loops = outs;
  loops.append(summed.begin(), summed.end());
  auto mapOf = [&](ArrayRef<LoopVar *> vars) {
    SmallVector<AffineExpr> e;
    for (LoopVar *x : vars)
      e.push_back(getAffineDimExpr(llvm::find(loops, x) - loops.begin(), ctx));
    return AffineMap::get(loops.size(), 0, e, ctx);
  };
  AffineMap maps[3] = {mapOf(subscripts[0]), mapOf(subscripts[1]), mapOf(outs)};
  bool isBare = f.fixed.empty() && f.divisors.empty() && !f.negative;
  Elem stored = isBare ? elem : r->elem;
  Value c = ContractOp::create(b, module.loc(r->span), typeOver(stored, outs), operands[0],
                               operands[1], b.getAffineMapArrayAttr(maps));
  Expr *out = pool.readAt(c, stored, outs, r->span);
  for (Expr *x : f.fixed)
    out = pool.op(ScalarOp::Mul, r->elem, {out, pool.cast(r->elem, x)}, r->span);
  for (Expr *x : f.divisors)
    out = pool.op(ScalarOp::Div, r->elem, {out, pool.cast(r->elem, x)}, r->span);
  if (f.negative)
    out = pool.op(ScalarOp::Neg, r->elem, {out}, r->span);
  return rewrite(pool.cast(elem, out), space);
}

Expr *FnGen::lowerReduce(Expr *r, ArrayRef<LoopVar *> space, Elem elem) {
  bool isSum = r->red == ReduceOp::Sum;
  if (isSum && isFloat(r->elem)) {
    Expr *c = lowerContract(r, space, elem);
    if (c || failed)
      return c;
  }

  Expr *x = r->args[0];
  if (isSum && r->elem == Elem::F32)
    x = unwidened(x);
  VarList joint(space.begin(), space.end());
  joint.append(r->vars.begin(), r->vars.end());
  Value in;
  VarList order = joint;
  auto plain = plainSubscripts(x, joint, ctx);
  if (plain && plain->size() == joint.size()) {
    in = x->tensor;
    order = *plain;
  } else {
    in = tensor(x, joint, module.loc(x->span));
    if (!in)
      return nullptr;
  }
  SmallVector<int64_t> dims;
  VarList outs;
  for (auto [i, v] : llvm::enumerate(order))
    if (llvm::is_contained(r->vars, v))
      dims.push_back(i);
    else
      outs.push_back(v);
  // A sum of narrow floats is rounded here if the wanted type is theirs, else kept in f32.
  Elem stored = isNarrow(x->elem) && elem != x->elem ? r->elem : x->elem;
  ReduceKind kind{};
  switch (r->red) {
  case ReduceOp::Sum:
    kind = ReduceKind::sum;
    break;
  case ReduceOp::Max:
    kind = ReduceKind::max;
    break;
  case ReduceOp::Min:
    kind = ReduceKind::min;
    break;
  case ReduceOp::Any:
    kind = ReduceKind::any;
    break;
  case ReduceOp::All:
    kind = ReduceKind::all;
    break;
  }
  Value out = ir::ReduceOp::create(b, module.loc(r->span), typeOver(stored, outs), kind, in, dims);
  return rewrite(pool.cast(elem, pool.readAt(out, stored, outs, r->span)), space);
}

} // namespace r1::gen
