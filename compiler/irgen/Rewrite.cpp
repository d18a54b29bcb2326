// What the parts of a comprehension become: tensors of their own, or scalar code in one map.
#include "compiler/irgen/Gen.h"

using namespace mlir;
using namespace r1::ir;

namespace r1::gen {

/// Tables of index arithmetic (the frequencies of a rotation) up to this size become constants.
static constexpr int64_t largestTable = 4096;

static int64_t volume(ArrayRef<LoopVar *> vars) {
  int64_t n = 1;
  for (LoopVar *v : vars)
    n *= v->size;
  return n;
}

VarList FnGen::freeIn(Expr *e, ArrayRef<LoopVar *> space) {
  VarList list;
  for (LoopVar *v : space)
    if (e->variesWith(v))
      list.push_back(v);
  return list;
}

RankedTensorType FnGen::typeOver(Elem elem, ArrayRef<LoopVar *> space) {
  SmallVector<int64_t> shape;
  for (LoopVar *v : space)
    shape.push_back(v->size);
  return RankedTensorType::get(shape, elemType(elem, ctx));
}

std::optional<AffineMap> FnGen::directMap(Expr *read, ArrayRef<LoopVar *> space) {
  auto shape = cast<RankedTensorType>(read->tensor.getType()).getShape();
  SmallVector<AffineExpr> exprs;
  for (auto [sub, size] : llvm::zip(read->args, shape)) {
    AffineExpr a = affineOf(sub, space, ctx);
    auto range = rangeOf(sub);
    if (!a || !range || range->first < 0 || range->second >= size)
      return std::nullopt;
    exprs.push_back(a);
  }
  return AffineMap::get(space.size(), 0, exprs, ctx);
}

Value FnGen::tensor(Expr *e, ArrayRef<LoopVar *> space, Location loc, RankedTensorType type) {
  Expr *r = rewrite(e, space);
  if (!r)
    return {};
  RankedTensorType plain = typeOver(r->elem, space);
  if (r->isConst()) {
    Attribute value = isa<FloatType>(plain.getElementType())
                          ? Attribute(b.getFloatAttr(plain.getElementType(), r->number))
                          : Attribute(b.getIntegerAttr(plain.getElementType(), int64_t(r->number)));
    return arith::ConstantOp::create(b, loc, plain, DenseElementsAttr::get(plain, value));
  }
  if (r->kind == Scalar::Read)
    if (auto map = directMap(r, space))
      if (map->isIdentity() && sameTensor(r->tensor.getType(), plain)) {
        // Names are given once, by the tensor that the source names first.
        auto has = cast<RankedTensorType>(r->tensor.getType());
        Operation *def = r->tensor.getDefiningOp();
        if (type && !has.getEncoding() && def && !isa<arith::ConstantOp>(def))
          r->tensor.setType(type);
        return r->tensor;
      }
  return emitMap(r, space, loc, type ? type : plain);
}

//===--- rewriting ------------------------------------------------------------------------===//

Expr *FnGen::table(Expr *e, ArrayRef<LoopVar *> over) {
  RankedTensorType type = typeOver(e->elem, over);
  DenseMap<LoopVar *, int64_t> at;
  for (LoopVar *v : over)
    at[v] = v->lo;
  SmallVector<Attribute> numbers;
  for (int64_t i = 0, n = volume(over); i < n; ++i) {
    double x = evaluate(e, at);
    numbers.push_back(isFloat(e->elem)
                          ? Attribute(b.getFloatAttr(type.getElementType(), x))
                          : Attribute(b.getIntegerAttr(type.getElementType(), int64_t(x))));
    for (LoopVar *v : llvm::reverse(over)) {
      if (++at[v] < v->lo + v->size)
        break;
      at[v] = v->lo;
    }
  }
  Value t = arith::ConstantOp::create(b, module.loc(e->span), type,
                                      DenseElementsAttr::get(type, numbers));
  return pool.readAt(t, e->elem, over, e->span);
}

Expr *FnGen::rewrite(Expr *e, ArrayRef<LoopVar *> space) {
  // Depth first over the DAG, top down: the largest part that can stand alone does.
  DenseMap<Expr *, Expr *> done;
  std::function<Expr *(Expr *)> walk = [&](Expr *x) -> Expr * {
    if (x->isConst() || x->kind == Scalar::Index)
      return x;
    if (Expr *known = done.lookup(x))
      return known;
    VarList over = freeIn(x, space);
    std::pair<unsigned, std::vector<LoopVar *>> key{x->id, {over.begin(), over.end()}};
    auto part = [&](auto make) -> Expr * {
      auto it = parts.find(key);
      if (it != parts.end())
        return it->second;
      Expr *made = make();
      if (made)
        parts[key] = made;
      return made;
    };
    Expr *to = nullptr;
    if (x->kind == Scalar::Reduce) {
      to = part([&] { return lowerReduce(x, over, x->elem); });
    } else if (x->kind == Scalar::Read) {
      if (directMap(x, space)) {
        to = x;
      } else {
        to = part([&] { return lowerGather(x, over); });
        if (!to && !failed) {
          // Guarded, or data-dependent in several places: read inside the map's body.
          SmallVector<Expr *> subs;
          for (Expr *s : x->args) {
            subs.push_back(walk(s));
            if (!subs.back())
              return nullptr;
          }
          Expr *otherwise = x->otherwise ? walk(x->otherwise) : nullptr;
          if (x->otherwise && !otherwise)
            return nullptr;
          to = pool.read(x->tensor, x->elem, x->bound, subs, otherwise, x->span);
        }
      }
    } else {
      // A sum that is rounded right away is rounded once, by its own op.
      Expr *arg = x->args[0];
      bool roundsSum = x->op == ScalarOp::Cast && isNarrow(x->elem) &&
                       arg->kind == Scalar::Reduce && arg->red == ReduceOp::Sum &&
                       arg->elem == Elem::F32;
      bool isSmaller = over.size() < space.size() && volume(over) < volume(space);
      if (roundsSum) {
        to = part([&] { return lowerReduce(arg, over, x->elem); });
      } else if (x->isCostly() && !x->reads && !over.empty() && volume(over) <= largestTable) {
        to = part([&] { return table(x, over); });
      } else if (x->isCostly() && x->reads && isSmaller) {
        to = part([&]() -> Expr * {
          Value t = tensor(x, over, module.loc(x->span));
          return t ? pool.readAt(t, x->elem, over, x->span) : nullptr;
        });
      } else {
        SmallVector<Expr *, 3> args;
        for (Expr *a : x->args) {
          args.push_back(walk(a));
          if (!args.back())
            return nullptr;
        }
        to = pool.op(x->op, x->elem, args, x->span);
      }
    }
    return done[x] = to;
  };
  return walk(e);
}

//===--- data-dependent reads -------------------------------------------------------------===//

/// A read at one data-dependent position becomes r1.gather; null (without an error) if it is not
/// of that form.
Expr *FnGen::lowerGather(Expr *read, ArrayRef<LoopVar *> space) {
  auto type = cast<RankedTensorType>(read->tensor.getType());
  SmallVector<AffineExpr> src;
  int64_t axis = -1;
  for (auto [i, sub] : llvm::enumerate(read->args)) {
    if (AffineExpr a = affineOf(sub, space, ctx)) {
      auto range = rangeOf(sub);
      if (!range || range->first < 0 || range->second >= type.getDimSize(i))
        return nullptr;
      src.push_back(a);
      continue;
    }
    if (axis >= 0)
      return nullptr;
    axis = i;
    src.push_back(getAffineConstantExpr(0, ctx));
  }
  if (axis < 0)
    return nullptr;

  Expr *id = read->args[axis];
  Span span = read->span;
  if (id->kind == Scalar::Op && id->op == ScalarOp::Cast && id->elem == Elem::I64 &&
      !isFloat(id->args[0]->elem) && id->args[0]->elem != Elem::Bool)
    id = id->args[0];
  auto num = [&](int64_t x) { return pool.constant(double(x), id->elem, span); };
  int64_t size = type.getDimSize(axis);
  auto range = rangeOf(id);
  bool isSafe = (range && range->first >= 0 && range->second < size) || !read->otherwise;
  Expr *ids = id;
  if (!isSafe)
    ids = pool.op(ScalarOp::Max, id->elem,
                  {pool.op(ScalarOp::Min, id->elem, {id, num(size - 1)}, span), num(0)}, span);

  VarList idVars = freeIn(ids, space);
  Value idTensor = tensor(ids, idVars, module.loc(id->span));
  if (!idTensor)
    return nullptr;
  SmallVector<AffineExpr> at;
  for (LoopVar *v : idVars)
    at.push_back(getAffineDimExpr(llvm::find(space, v) - space.begin(), ctx));
  AffineMap maps[2] = {AffineMap::get(space.size(), 0, src, ctx),
                       AffineMap::get(space.size(), 0, at, ctx)};
  Value v = GatherOp::create(b, module.loc(span), typeOver(read->elem, space), read->tensor,
                             idTensor, axis, b.getAffineMapArrayAttr(maps));
  Expr *out = pool.readAt(v, read->elem, space, span);
  if (!isSafe) {
    Expr *low = pool.op(ScalarOp::Ge, Elem::Bool, {id, num(0)}, span);
    Expr *high = pool.op(ScalarOp::Lt, Elem::Bool, {id, num(size)}, span);
    Expr *inside = pool.op(ScalarOp::And, Elem::Bool, {low, high}, span);
    out = pool.op(ScalarOp::Select, read->elem, {inside, out, read->otherwise}, span);
  }
  return rewrite(out, space);
}

} // namespace r1::gen
