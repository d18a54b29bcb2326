// Kernels that write to rows of a cache, which stays where it is.
#include "compiler/fuse/Program.h"

using namespace mlir;
namespace r1::fuse {

/// The rows of x go to data-dependent rows of the cache, which stays where it is.
LogicalResult Program::emitCacheWrite(Group &g) {
  auto op = cast<ir::KernelOp>(g.ops.front());
  Location loc = op.getLoc();
  Value x = values.base(op.getIns()[0]), at = values.base(op.getIns()[2]), cache = op.getResult(0);
  if (values.home(cache)->buffer != values.home(values.base(op.getIns()[1]))->buffer)
    return emitError(loc) << "fuse: a cache is read after it has been written to";
  for (Value v : {x, at})
    if (!values.home(v))
      return emitError(loc) << "fuse: an operand of 'cache_write' does not lie in memory";
  auto shape = shapeOf(op.getIns()[0]);
  int64_t B = shape[0], N = shape[1], S = shapeOf(cache)[1], inner = countOf(shape.drop_front(2));
  auto kernel = kern::KernelOp::create(state.builder, loc, "kernel", ArrayRef<int64_t>{B, N, inner}, "row",
                                       ArrayRef<int64_t>{2});
  Block *body = new Block;
  kernel.getBody().push_back(body);
  OpBuilder b = OpBuilder::atBlockEnd(body);
  SmallVector<Value> row;
  for (int i = 0; i < 3; ++i)
    row.push_back(body->addArgument(b.getIndexType(), loc));
  auto memory = [&](Value v) {
    return body->addArgument(MemRefType::get({countOf(shapeOf(v))}, elemOf(v)), loc);
  };
  Value from = memory(x), first = memory(at), to = memory(cache);
  auto number = [&](int64_t n) { return arith::ConstantOp::create(b, loc, b.getI32IntegerAttr(int32_t(n))); };
  Value slot = memref::LoadOp::create(b, loc, first, row[0]);
  slot = arith::MinSIOp::create(b, loc, slot, number(S - N));
  slot = arith::MaxSIOp::create(b, loc, slot, number(0));
  slot = arith::IndexCastOp::create(b, loc, b.getIndexType(), slot);
  AffineExpr d0, d1, d2, d3;
  bindDims(b.getContext(), d0, d1, d2, d3);
  auto place = [&](AffineExpr e, ValueRange of) {
    return affine::AffineApplyOp::create(b, loc, AffineMap::get(unsigned(of.size()), 0, e), of);
  };
  Value v = memref::LoadOp::create(b, loc, from, ValueRange{place((d0 * N + d1) * inner + d2, row)});
  memref::StoreOp::create(b, loc, v, to,
                          ValueRange{place((d0 * S + d1 + d3) * inner + d2, {row[0], row[1], row[2], slot})});
  kern::EndOp::create(b, loc);
  tidyKernel(kernel);
  launch(kernel, g, {x, at, cache});
  return success();
}

/// Each place of x goes to the rows that are named. Pairs are rows of the kernel, in no order: those of one row of the
/// cache have one `from`. They stand next to each other for each place, so a row that is named again is written again
/// where it is still near.
LogicalResult Program::emitCacheFill(Group &g) {
  auto op = cast<ir::KernelOp>(g.ops.front());
  Location loc = op.getLoc();
  Value x = values.base(op.getIns()[0]), from = values.base(op.getIns()[2]), row = values.base(op.getIns()[3]),
        cache = op.getResult(0);
  if (values.home(cache)->buffer != values.home(values.base(op.getIns()[1]))->buffer)
    return emitError(loc) << "fuse: a cache is read after it has been written to";
  for (Value v : {x, from, row})
    if (!values.home(v))
      return emitError(loc) << "fuse: an operand of 'cache_fill' does not lie in memory";
  auto shape = shapeOf(cache);
  auto axis = size_t(op->getAttrOfType<IntegerAttr>("axis").getInt());
  int64_t outer = countOf(shape.take_front(axis)), B = shape[axis], E = shapeOf(x)[axis], W = shapeOf(row)[0];
  int64_t places = axis + 1 < shape.size() ? shape[axis + 1] : 1, inner = countOf(shape.drop_front(axis + 1)) / places;
  auto kernel = kern::KernelOp::create(state.builder, loc, "kernel", ArrayRef<int64_t>{outer * places, W, inner}, "row",
                                       ArrayRef<int64_t>{3});
  Block *body = new Block;
  kernel.getBody().push_back(body);
  OpBuilder b = OpBuilder::atBlockEnd(body);
  SmallVector<Value> at;
  for (int i = 0; i < 3; ++i)
    at.push_back(body->addArgument(b.getIndexType(), loc));
  auto memory = [&](Value v) {
    return body->addArgument(MemRefType::get({countOf(shapeOf(v))}, elemOf(v)), loc);
  };
  Value given = memory(x), numbers = memory(from), rows = memory(row), to = memory(cache);
  auto number = [&](int64_t n) { return arith::ConstantOp::create(b, loc, b.getI32IntegerAttr(int32_t(n))); };
  auto chosen = [&](Value list, int64_t count) -> Value {
    Value v = memref::LoadOp::create(b, loc, list, at[1]);
    v = arith::MinSIOp::create(b, loc, v, number(count - 1));
    v = arith::MaxSIOp::create(b, loc, v, number(0));
    return arith::IndexCastOp::create(b, loc, b.getIndexType(), v);
  };
  // d0 counts the dims before the rows and the first one after them.
  AffineExpr d0, d1, d2;
  bindDims(b.getContext(), d0, d1, d2);
  auto place = [&](int64_t count, Value number) -> Value {
    AffineExpr e = ((d0.floorDiv(places) * count + d2) * places + d0 % places) * inner + d1;
    return affine::AffineApplyOp::create(b, loc, AffineMap::get(3, 0, e), ValueRange{at[0], at[2], number});
  };
  Value v = memref::LoadOp::create(b, loc, given, ValueRange{place(E, chosen(numbers, E))});
  memref::StoreOp::create(b, loc, v, to, ValueRange{place(B, chosen(rows, B))});
  kern::EndOp::create(b, loc);
  tidyKernel(kernel);
  launch(kernel, g, {x, from, row, cache});
  return success();
}

} // namespace r1::fuse
