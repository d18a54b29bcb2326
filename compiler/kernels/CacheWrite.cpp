#include "compiler/kernels/CacheWrite.h"
#include "dialects/r1/R1Build.h"

using namespace mlir;
using namespace r1;
using namespace r1::ir;

FailureOr<SmallVector<Value>> cache::writeReference(OpBuilder &b, KernelOp op) {
  Value x = op.getIns()[0], old = op.getIns()[1], at = op.getIns()[2];
  auto type = tensorType(old);
  int64_t places = type.getDimSize(1), rows = tensorType(x).getDimSize(1);
  auto identity = b.getMultiDimIdentityMap(unsigned(type.getRank()));
  Value out = buildMap(
      b, op.getLoc(), type, old, identity, {x, at},
      [&](OpBuilder &bb, Location l, ValueRange args) -> Value {
        SmallVector<Value> index;
        for (int64_t d = 0; d < type.getRank(); ++d)
          index.push_back(IndexOp::create(bb, l, uint64_t(d)).getResult());
        auto number = [&](int64_t n) { return arith::ConstantOp::create(bb, l, bb.getI32IntegerAttr(int32_t(n))); };
        Value first = ReadOp::create(bb, l, bb.getI32Type(), args[2], ValueRange{index[0]}, number(0));
        first = arith::MinSIOp::create(bb, l, first, number(places - rows));
        first = arith::MaxSIOp::create(bb, l, first, number(0));
        first = arith::IndexCastOp::create(bb, l, bb.getIndexType(), first);
        index[1] = arith::SubIOp::create(bb, l, index[1], first);
        return ReadOp::create(bb, l, type.getElementType(), args[1], index, args[0]);
      });
  return SmallVector<Value>{out};
}

FailureOr<SmallVector<Value>> cache::fillReference(OpBuilder &b, KernelOp op) {
  Value x = op.getIns()[0], old = op.getIns()[1], from = op.getIns()[2], row = op.getIns()[3];
  auto type = tensorType(old);
  int64_t axis = op->getAttrOfType<IntegerAttr>("axis").getInt();
  int64_t given = tensorType(x).getDimSize(axis), rows = type.getDimSize(axis);
  auto identity = b.getMultiDimIdentityMap(unsigned(type.getRank()));
  Value out = buildMap(
      b, op.getLoc(), type, old, identity, {x, from, row},
      [&](OpBuilder &bb, Location l, ValueRange args) -> Value {
        SmallVector<Value> index;
        for (int64_t d = 0; d < type.getRank(); ++d)
          index.push_back(IndexOp::create(bb, l, uint64_t(d)).getResult());
        auto number = [&](int64_t n) { return arith::ConstantOp::create(bb, l, bb.getI32IntegerAttr(int32_t(n))); };
        auto read = [&](Value list, int64_t j, int64_t most) -> Value {
          Value place = arith::ConstantIndexOp::create(bb, l, j);
          Value v = ReadOp::create(bb, l, bb.getI32Type(), list, ValueRange{place}, number(0));
          v = arith::MinSIOp::create(bb, l, v, number(most));
          v = arith::MaxSIOp::create(bb, l, v, number(0));
          return arith::IndexCastOp::create(bb, l, bb.getIndexType(), v);
        };
        Value own = index[axis], v = args[0];
        for (int64_t j = 0; j < tensorType(row).getDimSize(0); ++j) {
          index[axis] = read(args[2], j, given - 1);
          Value other = ReadOp::create(bb, l, type.getElementType(), args[1], index, args[0]);
          Value same = arith::CmpIOp::create(bb, l, arith::CmpIPredicate::eq, own, read(args[3], j, rows - 1));
          v = arith::SelectOp::create(bb, l, same, other, v);
        }
        return v;
      });
  return SmallVector<Value>{out};
}
