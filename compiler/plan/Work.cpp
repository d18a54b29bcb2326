#include "compiler/plan/Work.h"
#include "compiler/kernels/Kernels.h"
#include "compiler/pch.h"
#include "dialects/kern/Kern.h"
#include "llvm/ADT/SetVector.h"

using namespace mlir;
namespace r1 {
namespace {

int64_t product(ArrayRef<int64_t> sizes) {
  int64_t n = 1;
  for (int64_t s : sizes)
    n *= s;
  return n;
}

uint64_t bytesOf(Type element) { return (element.getIntOrFloatBitWidth() + 7) / 8; }

/// The loop indices that `v` is computed from, also through memory.
void indicesOf(Value v, llvm::SetVector<BlockArgument> &out) {
  if (auto arg = dyn_cast<BlockArgument>(v)) {
    if (arg.getType().isIndex())
      out.insert(arg);
    return;
  }
  Operation *op = v.getDefiningOp();
  if (isa<kern::SweepOp>(op))
    return; // one value for the row
  for (Value operand : op->getOperands())
    indicesOf(operand, out);
}

/// How many elements an access at `positions` meets: one for each value of the loop indices it depends on.
uint64_t elementsOf(ValueRange positions, Block *body, ArrayRef<int64_t> rows) {
  llvm::SetVector<BlockArgument> indices;
  for (Value p : positions)
    indicesOf(p, indices);
  uint64_t n = 1;
  for (BlockArgument index : indices) {
    ArrayRef<int64_t> sizes = rows;
    if (index.getOwner() != body)
      if (auto sweep = dyn_cast<kern::SweepOp>(index.getOwner()->getParentOp()))
        sizes = sweep.getSizes();
    if (index.getArgNumber() < sizes.size())
      n *= uint64_t(sizes[index.getArgNumber()]);
  }
  return n;
}

/// Loads and stores in `body`, whose first indices have the sizes `rows`.
uint64_t traffic(Block *body, ArrayRef<int64_t> rows) {
  llvm::DenseMap<Value, uint64_t> reads, writes;
  auto note = [&](auto &map, Value memref, ValueRange at) {
    uint64_t &most = map[memref];
    most = std::max(most, elementsOf(at, body, rows));
  };
  body->walk([&](Operation *op) {
    if (auto load = dyn_cast<memref::LoadOp>(op))
      note(reads, load.getMemRef(), load.getIndices());
    if (auto store = dyn_cast<memref::StoreOp>(op))
      note(writes, store.getMemRef(), store.getIndices());
  });
  uint64_t bytes = 0;
  for (auto *map : {&reads, &writes})
    for (auto [memref, n] : *map) {
      auto type = cast<MemRefType>(memref.getType());
      // A table is read or written once, however many rows meet in it.
      bytes += std::min<uint64_t>(n, uint64_t(type.getNumElements())) * bytesOf(type.getElementType());
    }
  return bytes;
}

Work ofProduct(kern::ProductOp op) {
  auto s = op.getSizes();
  size_t batches = op.getBatch().size();
  int64_t batch = product(op.getBatch());
  auto operand = [&](ArrayRef<int64_t> strides, int64_t rows, int64_t columns) {
    uint64_t n = uint64_t(rows * columns);
    for (size_t i = 0; i < batches; ++i)
      n *= strides[i] ? uint64_t(op.getBatch()[i]) : 1;
    return n;
  };
  Block *block = op.getBlock();
  auto element = [&](unsigned i) {
    return bytesOf(cast<MemRefType>(block->getArgument(4 + i).getType()).getElementType());
  };
  Work w;
  w.flops = 2 * uint64_t(batch) * uint64_t(s[0]) * uint64_t(s[1]) * uint64_t(s[2]);
  uint64_t c = uint64_t(batch) * uint64_t(s[0]) * uint64_t(s[1]) * element(2);
  w.bytes = operand(op.getA(), s[0], s[2]) * element(0) + operand(op.getB(), s[2], s[1]) * element(1) +
            c * (op.getAccumulate() ? 2 : 1) + traffic(block, {batch, s[0], s[1]});
  return w;
}

Work ofIntrinsic(kern::IntrinsicOp op) {
  Work w;
  SmallVector<MemRefType> types;
  for (Attribute a : op.getArgTypes()) {
    types.push_back(cast<MemRefType>(cast<TypeAttr>(a).getValue()));
    w.bytes += uint64_t(types.back().getNumElements()) * bytesOf(types.back().getElementType());
  }
  if (const KernelDef *def = findKernel(op.getName()); def && def->flops)
    w.flops = def->flops(types[0].getShape(), types[1].getShape());
  return w;
}

} // namespace

Work workOf(Operation *kernel) {
  if (auto op = dyn_cast<kern::ProductOp>(kernel))
    return ofProduct(op);
  if (auto op = dyn_cast<kern::IntrinsicOp>(kernel))
    return ofIntrinsic(op);
  auto op = cast<kern::KernelOp>(kernel);
  return {traffic(op.getBlock(), op.getRows()), 0};
}

Work workOfPrograms(ModuleOp module) {
  llvm::StringMap<Work> works;
  for (Operation &op : *module.getBody())
    if (isa<kern::KernelOp, kern::ProductOp, kern::IntrinsicOp>(op))
      works[SymbolTable::getSymbolName(&op)] = workOf(&op);
  Work sum;
  module.walk([&](kern::LaunchOp launch) {
    uint64_t turns = 1;
    for (auto loop = launch->getParentOfType<kern::LoopOp>(); loop; loop = loop->getParentOfType<kern::LoopOp>())
      turns *= uint64_t(loop.getCount());
    const Work &work = works[launch.getKernel()];
    sum.bytes += turns * work.bytes;
    sum.flops += turns * work.flops;
  });
  return sum;
}

} // namespace r1
