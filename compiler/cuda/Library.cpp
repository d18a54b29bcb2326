// kern.product -> r1_product.
//
// The invariant a reader would guess wrong: a library may only do what rounds as the ops of r1 say. In
// 16 bits a sum is rounded before a bias is added, which no epilogue of cuBLASLt does, and its GELU
// is another function than ours; such products stay our own kernels.
#include "compiler/cuda/Library.h"
#include "compiler/pch.h"
#include <array>

using namespace mlir;
namespace r1::cuda {
namespace {

/// Below this a tile of a library is mostly empty, and our kernels are as good.
constexpr int64_t kNarrow = 16;

/// The stride of all batch dims as one; none if they do not step evenly.
std::optional<int64_t> batchStride(ArrayRef<int64_t> sizes, ArrayRef<int64_t> strides) {
  int64_t step = 0;
  bool first = true;
  for (int i = int(sizes.size()) - 1; i >= 0; --i) {
    if (sizes[i] == 1)
      continue;
    if (first)
      step = strides[i];
    else if (strides[i] != step)
      return std::nullopt;
    first = false;
    step = strides[i] * sizes[i];
  }
  for (int i = int(sizes.size()) - 1; i >= 0; --i)
    if (sizes[i] != 1)
      return strides[i];
  return 0;
}

/// Is it a matrix of `rows` x `columns` with one stride 1 and the other at least as long as a line?
bool isMatrix(int64_t rows, int64_t columns, int64_t byRow, int64_t byColumn) {
  return (byColumn == 1 && byRow >= columns) || (byRow == 1 && byColumn >= rows);
}

std::optional<r1_dtype> dtypeOf(Type t) {
  return t.isF32()    ? std::optional(R1_F32)
         : t.isBF16() ? std::optional(R1_BF16)
         : t.isF16()  ? std::optional(R1_F16)
                      : std::nullopt;
}

/// The argument that is added to each row in f32; -1 if none is; none if the epilogue does more.
std::optional<int> biasOf(kern::ProductOp op) {
  Block *block = op.getBlock();
  Value sum = block->getArgument(3);
  Value out = cast<kern::YieldOp>(block->getTerminator()).getValues()[0];
  if (auto rounded = out.getDefiningOp<arith::TruncFOp>())
    return rounded.getIn() == sum ? std::optional(-1) : std::nullopt;
  if (out == sum)
    return -1;
  auto add = out.getDefiningOp<arith::AddFOp>();
  if (!add || op.getAccumulate())
    return std::nullopt;
  Value other = add.getLhs() == sum ? add.getRhs() : add.getRhs() == sum ? add.getLhs() : Value();
  auto load = other ? other.getDefiningOp<memref::LoadOp>() : memref::LoadOp();
  if (!load || load.getIndices().size() != 1 || load.getIndices()[0] != block->getArgument(2) ||
      !load.getType().isF32())
    return std::nullopt;
  auto bias = dyn_cast<BlockArgument>(load.getMemRef());
  if (!bias || bias.getArgNumber() < 7)
    return std::nullopt;
  return int(bias.getArgNumber()) - 4;
}

} // namespace

bool raggedLines(kern::ProductOp op) {
  auto s = op.getSizes();
  size_t n = op.getBatch().size();
  auto line = [&](ArrayRef<int64_t> strides, int64_t rows, int64_t columns) {
    return strides[n + 1] == 1 ? columns : rows;
  };
  return line(op.getA(), s[0], s[2]) % 8 || line(op.getB(), s[2], s[1]) % 8 ||
         line(op.getC(), s[0], s[1]) % 8;
}

std::optional<r1_product> libraryProduct(kern::ProductOp op) {
  Block *block = op.getBlock();
  std::array<std::optional<r1_dtype>, 3> types;
  for (unsigned i = 0; i < 3; ++i)
    types[i] = dtypeOf(cast<MemRefType>(block->getArgument(4 + i).getType()).getElementType());
  auto s = op.getSizes();
  size_t n = op.getBatch().size();
  if (!types[0] || types[0] != types[1] || !types[2] ||
      (*types[2] != R1_F32 && types[2] != types[0]) || (op.getAccumulate() && *types[2] != R1_F32) ||
      std::min({s[0], s[1], s[2]}) < kNarrow)
    return std::nullopt;
  r1_product p = {};
  p.m = s[0], p.n = s[1], p.k = s[2], p.batch = 1;
  for (int64_t b : op.getBatch())
    p.batch *= b;
  auto take = [&](ArrayRef<int64_t> strides, int64_t *to) {
    auto step = batchStride(op.getBatch(), strides.take_front(n));
    to[0] = step.value_or(0), to[1] = strides[n], to[2] = strides[n + 1];
    return step.has_value();
  };
  auto bias = biasOf(op);
  if (!take(op.getA(), p.a) || !take(op.getB(), p.b) || !take(op.getC(), p.c) || !bias ||
      !isMatrix(p.m, p.k, p.a[1], p.a[2]) || !isMatrix(p.k, p.n, p.b[1], p.b[2]) ||
      p.c[2] != 1 || p.c[1] < p.n)
    return std::nullopt;
  p.in = *types[0], p.out = *types[2];
  p.accumulate = op.getAccumulate();
  p.bias = *bias;
  return p;
}

} // namespace r1::cuda
