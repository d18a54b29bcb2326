// Scalar code inside the body of a map or the lambda of a kernel.
#include "compiler/irgen/Gen.h"

using namespace mlir;
using namespace r1::ir;

namespace r1::gen {

Value FnGen::emitMap(Expr *e, ArrayRef<LoopVar *> space, Location loc, RankedTensorType type) {
  return BodyGen::map(*this, e, space, loc, type);
}

Value BodyGen::map(FnGen &gen, Expr *e, ArrayRef<LoopVar *> space, Location loc,
                   RankedTensorType type) {
  auto block = std::make_unique<Block>();
  BodyGen body(gen, space, block.get(), true);
  Value v = body.emit(e);
  if (!v)
    return {};
  YieldOp::create(body.b, loc, ValueRange{v});
  auto op = MapOp::create(gen.b, loc, type, body.ins, body.captures,
                          gen.b.getAffineMapArrayAttr(body.maps));
  op.getBody().push_back(block.release());
  return op.getResult();
}

bool BodyGen::lambda(FnGen &gen, Expr *e, ArrayRef<LoopVar *> vars, ArrayRef<Value> captures,
                     Block *block) {
  BodyGen body(gen, vars, block, false);
  body.captures.assign(captures.begin(), captures.end());
  Value v = body.emit(e);
  if (!v)
    return false;
  YieldOp::create(body.b, v.getLoc(), ValueRange{v});
  return true;
}

//===--- what a body sees -----------------------------------------------------------------===//

Value BodyGen::input(Value tensor, AffineMap map) {
  for (unsigned i = 0; i < ins.size(); ++i)
    if (ins[i] == tensor && maps[i] == map)
      return block->getArgument(i);
  auto type = cast<RankedTensorType>(tensor.getType());
  Value arg = block->insertArgument(ins.size(), type.getElementType(), tensor.getLoc());
  ins.push_back(tensor);
  maps.push_back(map);
  return arg;
}

Value BodyGen::capture(Value tensor) {
  unsigned first = isMap ? ins.size() : space.size();
  for (unsigned i = 0; i < captures.size(); ++i)
    if (captures[i] == tensor)
      return block->getArgument(first + i);
  if (!isMap)
    return {};
  captures.push_back(tensor);
  return block->addArgument(tensor.getType(), tensor.getLoc());
}

Value BodyGen::position(LoopVar *var, Location loc) {
  unsigned at = llvm::find(space, var) - space.begin();
  if (!isMap)
    return block->getArgument(at);
  Value &v = positions[var];
  if (!v)
    v = IndexOp::create(b, loc, at);
  return v;
}

Value BodyGen::constant(double x, Elem elem, Location loc) {
  Type type = elemType(elem, gen.ctx);
  TypedAttr attr;
  if (auto f = dyn_cast<FloatType>(type))
    attr = b.getFloatAttr(f, x);
  else if (elem == Elem::Bool)
    attr = b.getBoolAttr(x != 0);
  else
    attr = b.getIntegerAttr(type, APInt(type.getIntOrFloatBitWidth(), uint64_t(int64_t(x)),
                                        /*isSigned=*/true, /*implicitTrunc=*/true));
  Value &v = constants[{attr, type}];
  if (!v)
    v = arith::ConstantOp::create(b, loc, type, attr);
  return v;
}

Value BodyGen::constantIndex(int64_t x, Location loc) {
  auto attr = b.getIndexAttr(x);
  Value &v = constants[{attr, b.getIndexType()}];
  if (!v)
    v = arith::ConstantOp::create(b, loc, attr);
  return v;
}

/// `e` over the positions of `space`, as index arithmetic.
Value BodyGen::affineIndex(AffineExpr e, Location loc) {
  if (auto c = dyn_cast<AffineConstantExpr>(e))
    return constantIndex(c.getValue(), loc);
  if (auto d = dyn_cast<AffineDimExpr>(e))
    return position(space[d.getPosition()], loc);
  auto bin = cast<AffineBinaryOpExpr>(e);
  if (e.getKind() == AffineExprKind::Add) { // a + -1 * b, a + -3
    AffineExpr less = -bin.getRHS();
    auto c = dyn_cast<AffineConstantExpr>(less);
    if ((c && c.getValue() > 0) || isa<AffineDimExpr>(less))
      return arith::SubIOp::create(b, loc, affineIndex(bin.getLHS(), loc), affineIndex(less, loc));
  }
  Value l = affineIndex(bin.getLHS(), loc), r = affineIndex(bin.getRHS(), loc);
  switch (e.getKind()) {
  case AffineExprKind::Add:
    return arith::AddIOp::create(b, loc, l, r);
  case AffineExprKind::Mul:
    return arith::MulIOp::create(b, loc, l, r);
  case AffineExprKind::FloorDiv:
    return arith::FloorDivSIOp::create(b, loc, l, r);
  default: { // Mod by a positive constant
    Value q = arith::FloorDivSIOp::create(b, loc, l, r);
    return arith::SubIOp::create(b, loc, l, arith::MulIOp::create(b, loc, q, r));
  }
  }
}

Value BodyGen::indexOf(Expr *e) {
  Location loc = gen.module.loc(e->span);
  if (AffineExpr a = affineOf(e, space, gen.ctx))
    return affineIndex(a, loc);
  Value v = emit(e);
  if (!v)
    return {};
  // Unsigned bytes are widened as such; everything else keeps its sign.
  if (e->elem == Elem::U8)
    return arith::IndexCastUIOp::create(b, loc, b.getIndexType(), v);
  return arith::IndexCastOp::create(b, loc, b.getIndexType(), v);
}

//===--- expressions ----------------------------------------------------------------------===//

Value BodyGen::emit(Expr *e) {
  if (Value v = known.lookup(e))
    return v;
  Location loc = gen.module.loc(e->span);
  Value v;
  switch (e->kind) {
  case Scalar::Const:
    return constant(e->number, e->elem, loc);
  case Scalar::Index: {
    Value at = position(e->var, loc);
    v = arith::IndexCastOp::create(b, loc, b.getI64Type(), at);
    if (e->var->lo)
      v = arith::AddIOp::create(b, loc, v, constant(double(e->var->lo), Elem::I64, loc));
    break;
  }
  case Scalar::Read:
    v = emitRead(e, loc);
    break;
  case Scalar::Op:
    v = emitOp(e, loc);
    break;
  case Scalar::Reduce:
    gen.error(e->span, "a reduction inside a kernel's lambda is not supported yet: compute it "
                       "before the call and read its result");
    return {};
  }
  return known[e] = v;
}

Value BodyGen::emitRead(Expr *e, Location loc) {
  if (isMap)
    if (auto map = gen.directMap(e, space))
      return input(e->tensor, *map);
  Value from = capture(e->tensor);
  if (!from) {
    gen.error(e->span, "a kernel's lambda reads a tensor that is not among its captures");
    return {};
  }
  SmallVector<Value> indices;
  for (Expr *sub : e->args) {
    indices.push_back(indexOf(sub));
    if (!indices.back())
      return {};
  }
  Value otherwise = e->otherwise ? emit(e->otherwise) : constant(0, e->elem, loc);
  if (!otherwise)
    return {};
  return ReadOp::create(b, loc, otherwise.getType(), from, indices, otherwise);
}

Value BodyGen::emitCast(Expr *e, Value x, Location loc) {
  Elem from = e->args[0]->elem, to = e->elem;
  Type type = elemType(to, gen.ctx);
  if (from == to)
    return x;
  bool isUnsigned = from == Elem::Bool || from == Elem::U8;
  if (to == Elem::Bool) {
    Value zero = constant(0, from, loc);
    if (isFloat(from))
      return arith::CmpFOp::create(b, loc, arith::CmpFPredicate::UNE, x, zero);
    return arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ne, x, zero);
  }
  if (isFloat(from) && isFloat(to)) {
    if (bitsOf(from) < bitsOf(to))
      return arith::ExtFOp::create(b, loc, type, x);
    if (bitsOf(from) > bitsOf(to))
      return arith::TruncFOp::create(b, loc, type, x);
    // f16 and bf16 meet in f32.
    Value wide = arith::ExtFOp::create(b, loc, b.getF32Type(), x);
    return arith::TruncFOp::create(b, loc, type, wide);
  }
  if (isFloat(to))
    return isUnsigned ? arith::UIToFPOp::create(b, loc, type, x).getResult()
                      : arith::SIToFPOp::create(b, loc, type, x).getResult();
  if (isFloat(from))
    return to == Elem::U8 ? arith::FPToUIOp::create(b, loc, type, x).getResult()
                          : arith::FPToSIOp::create(b, loc, type, x).getResult();
  if (bitsOf(from) < bitsOf(to))
    return isUnsigned ? arith::ExtUIOp::create(b, loc, type, x).getResult()
                      : arith::ExtSIOp::create(b, loc, type, x).getResult();
  if (bitsOf(from) > bitsOf(to))
    return arith::TruncIOp::create(b, loc, type, x);
  return x; // i8 and u8 are the same bits
}

Value BodyGen::emitOp(Expr *e, Location loc) {
  SmallVector<Value, 3> a;
  for (Expr *x : e->args) {
    a.push_back(emit(x));
    if (!a.back())
      return {};
  }
  Elem from = e->args[0]->elem;
  bool f = isFloat(from), u = from == Elem::U8 || from == Elem::Bool;
  auto compare = [&](arith::CmpFPredicate fp, arith::CmpIPredicate sp,
                     arith::CmpIPredicate up) -> Value {
    if (f)
      return arith::CmpFOp::create(b, loc, fp, a[0], a[1]);
    return arith::CmpIOp::create(b, loc, u ? up : sp, a[0], a[1]);
  };
  auto binary = [&]<class F, class I>() -> Value {
    return f ? F::create(b, loc, a[0], a[1]).getResult()
             : I::create(b, loc, a[0], a[1]).getResult();
  };
  using FP = arith::CmpFPredicate;
  using IP = arith::CmpIPredicate;
  switch (e->op) {
  case ScalarOp::Add:
    return binary.operator()<arith::AddFOp, arith::AddIOp>();
  case ScalarOp::Sub:
    return binary.operator()<arith::SubFOp, arith::SubIOp>();
  case ScalarOp::Mul:
    return binary.operator()<arith::MulFOp, arith::MulIOp>();
  case ScalarOp::Div:
    return binary.operator()<arith::DivFOp, arith::FloorDivSIOp>();
  case ScalarOp::Min:
    return u ? arith::MinUIOp::create(b, loc, a[0], a[1]).getResult()
             : binary.operator()<arith::MinimumFOp, arith::MinSIOp>();
  case ScalarOp::Max:
    return u ? arith::MaxUIOp::create(b, loc, a[0], a[1]).getResult()
             : binary.operator()<arith::MaximumFOp, arith::MaxSIOp>();
  case ScalarOp::Neg:
    if (f)
      return arith::NegFOp::create(b, loc, a[0]);
    return arith::SubIOp::create(b, loc, constant(0, from, loc), a[0]);
  case ScalarOp::Abs:
    if (f)
      return math::AbsFOp::create(b, loc, a[0]);
    return u ? a[0] : math::AbsIOp::create(b, loc, a[0]).getResult();
  case ScalarOp::Pow:
    return f ? math::PowFOp::create(b, loc, a[0], a[1]).getResult()
             : math::IPowIOp::create(b, loc, a[0], a[1]).getResult();
  case ScalarOp::Mod:
  case ScalarOp::FloorDiv: {
    bool mod = e->op == ScalarOp::Mod;
    if (f) {
      Value q = math::FloorOp::create(b, loc, arith::DivFOp::create(b, loc, a[0], a[1]));
      return mod ? arith::SubFOp::create(b, loc, a[0], arith::MulFOp::create(b, loc, q, a[1]))
                       .getResult()
                 : q;
    }
    auto range = rangeOf(e->args[0]), by = rangeOf(e->args[1]);
    if (u || (range && by && range->first >= 0 && by->first > 0))
      return mod ? arith::RemUIOp::create(b, loc, a[0], a[1]).getResult()
                 : arith::DivUIOp::create(b, loc, a[0], a[1]).getResult();
    Value q = arith::FloorDivSIOp::create(b, loc, a[0], a[1]);
    return mod ? arith::SubIOp::create(b, loc, a[0], arith::MulIOp::create(b, loc, q, a[1]))
                     .getResult()
               : q;
  }
  case ScalarOp::Exp:
    return math::ExpOp::create(b, loc, a[0]);
  case ScalarOp::Log:
    return math::LogOp::create(b, loc, a[0]);
  case ScalarOp::Sqrt:
    return math::SqrtOp::create(b, loc, a[0]);
  case ScalarOp::Rsqrt:
    return math::RsqrtOp::create(b, loc, a[0]);
  case ScalarOp::Sin:
    return math::SinOp::create(b, loc, a[0]);
  case ScalarOp::Cos:
    return math::CosOp::create(b, loc, a[0]);
  case ScalarOp::Tanh:
    return math::TanhOp::create(b, loc, a[0]);
  case ScalarOp::Erf:
    return math::ErfOp::create(b, loc, a[0]);
  case ScalarOp::Sign: {
    Value zero = constant(0, from, loc), one = constant(1, from, loc),
          minus = constant(-1, from, loc);
    Value pos, neg;
    if (f) {
      pos = arith::CmpFOp::create(b, loc, FP::OGT, a[0], zero);
      neg = arith::CmpFOp::create(b, loc, FP::OLT, a[0], zero);
    } else {
      pos = arith::CmpIOp::create(b, loc, IP::sgt, a[0], zero);
      neg = arith::CmpIOp::create(b, loc, IP::slt, a[0], zero);
    }
    Value low = arith::SelectOp::create(b, loc, neg, minus, zero);
    return arith::SelectOp::create(b, loc, pos, one, low);
  }
  case ScalarOp::Lt:
    return compare(FP::OLT, IP::slt, IP::ult);
  case ScalarOp::Le:
    return compare(FP::OLE, IP::sle, IP::ule);
  case ScalarOp::Gt:
    return compare(FP::OGT, IP::sgt, IP::ugt);
  case ScalarOp::Ge:
    return compare(FP::OGE, IP::sge, IP::uge);
  case ScalarOp::Eq:
    return compare(FP::OEQ, IP::eq, IP::eq);
  case ScalarOp::Ne:
    return compare(FP::UNE, IP::ne, IP::ne);
  case ScalarOp::And:
    return arith::AndIOp::create(b, loc, a[0], a[1]);
  case ScalarOp::Or:
    return arith::OrIOp::create(b, loc, a[0], a[1]);
  case ScalarOp::Not:
    return arith::XOrIOp::create(b, loc, a[0], constant(1, Elem::Bool, loc));
  case ScalarOp::Select:
    return arith::SelectOp::create(b, loc, a[0], a[1], a[2]);
  case ScalarOp::Cast:
    return emitCast(e, a[0], loc);
  }
  return {};
}

} // namespace r1::gen
