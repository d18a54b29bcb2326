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
