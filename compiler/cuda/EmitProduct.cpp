// kern.product -> a call of the prelude's product with the epilogue as a functor: chains of FMAs, or
// tensor cores where both operands are bf16 or both f16.
#include "compiler/cuda/Emit.h"
#include "compiler/pch.h"

using namespace mlir;
namespace r1::cuda {
namespace {

struct Tile {
  int64_t m, n, threads;
};

/// The tile that product.cuh takes for a product; the text asserts that they agree.
Tile tileOf(int64_t m, int64_t n, int64_t batches) {
  bool large = m * n * batches >= int64_t(128) * 128 * 256 && m >= 128 && n >= 128;
  return large ? Tile{128, 128, 256} : Tile{64, 64, 256};
}

/// Do 8 neighbours of an operand always lie as one access of 16 bytes, as product_mma.cuh asks?
/// `strides` of the two dims, then of the batch. The end of a row may be ragged.
bool byEights(ArrayRef<int64_t> strides, ArrayRef<int64_t> batch,
              ArrayRef<int64_t> batchStrides) {
  unsigned along = strides[1] == 1 ? 1 : 0;
  bool ok = strides[along] == 1 && strides[1 - along] % 8 == 0;
  for (auto [n, stride] : llvm::zip(batch, batchStrides))
    ok &= n == 1 || stride % 8 == 0;
  return ok;
}

bool tensorCores(kern::ProductOp op, const Kernel &k) {
  Type a = k.args[0].element;
  if ((!a.isBF16() && !a.isF16()) || k.args[1].element != a)
    return false;
  size_t n = op.getBatch().size();
  auto s = op.getSizes();
  ArrayRef<int64_t> sa = op.getA(), sb = op.getB();
  for (unsigned i = 0; i < 3; ++i)
    if (k.args[i].align % 16)
      return false;
  return byEights(sa.drop_front(n), op.getBatch(), sa.take_front(n)) &&
         byEights({sb[n + 1], sb[n]}, op.getBatch(), sb.take_front(n));
}

} // namespace

LogicalResult emitProduct(kern::ProductOp op, Kernel &k) {
  auto sizes = op.getSizes();
  size_t batches = op.getBatch().size();
  if (batches > 3)
    return op.emitOpError("has ") << batches << " batch dims; a CUDA kernel takes 3 at most";
  Block *block = op.getBlock();
  auto yield = cast<kern::YieldOp>(block->getTerminator());

  Text &text = k.before;
  std::string shape = k.name + "_shape", epilogue = k.name + "_epilogue";
  text.open("struct " + shape);
  text.line("static constexpr int M = " + Twine(sizes[0]) + ", N = " + Twine(sizes[1]) +
            ", K = " + Twine(sizes[2]) + ";");
  auto strides = [&](const char *name, ArrayRef<int64_t> s, const char *row, const char *col) {
    std::string line = "static constexpr int ";
    for (unsigned i = 0; i < 3; ++i)
      line += name + std::string("B") + std::to_string(i) + " = " +
              std::to_string(i < batches ? s[i] : 0) + ", ";
    line += name + std::string(row) + " = " + std::to_string(s[batches]) + ", " + name + col + " = " +
            std::to_string(s[batches + 1]) + ";";
    text.line(line);
  };
  std::string line = "static constexpr int ";
  for (unsigned i = 0; i < 3; ++i)
    line += "B" + std::to_string(i) + " = " + std::to_string(i < batches ? op.getBatch()[i] : 1) +
            (i < 2 ? ", " : ";");
  text.line(line);
  strides("A", op.getA(), "M", "K");
  strides("B", op.getB(), "K", "N");
  strides("C", op.getC(), "M", "N");
  text.line(std::string("static constexpr bool ACCUMULATE = ") +
            (op.getAccumulate() ? "true" : "false") + ";");
  text.line("static constexpr int ALIGN = " +
            Twine(std::min({k.args[0].align, k.args[1].align, k.args[2].align})) + ";");
  text.close("};");

  text.open("struct " + epilogue);
  Body body(text, k.math, 1);
  SmallVector<std::string> members;
  for (unsigned i = 0; i < k.args.size(); ++i) {
    Arg arg = k.args[i];
    Value v = block->getArgument(4 + i);
    body.bindArg(v, arg);
    if (i < 3 && v.use_empty())
      continue;
    text.line("R1_PTR(const " + storedName(arg.element) + ") " + arg.name + ";");
    members.push_back(arg.name);
  }
  const char *const names[] = {"g", "m", "n"};
  for (unsigned i = 0; i < 3; ++i)
    body.bind(block->getArgument(i), Term::index(names[i]));
  Term sum;
  sum.text = "sum";
  body.bind(block->getArgument(3), sum);
  text.open("R1_FN " + storedName(k.args[2].element) + " operator()(int g, int m, int n, float sum) const");
  if (failed(body.emitBlock(block)))
    return failure();
  text.line("return " + body.number(yield.getValues()[0]) + ";");
  text.close();
  text.close("};");
  bool mma = tensorCores(op, k);
  std::string way = mma ? "product_mma" : "product";
  Tile tile = mma ? Tile{128, 128, 256} : tileOf(sizes[0], sizes[1], product(op.getBatch()));
  k.grid.threads = tile.threads;
  k.grid.blocks = product(op.getBatch()) * ceilDiv(sizes[0], tile.m) * ceilDiv(sizes[1], tile.n);
  k.why = std::string(mma ? "tensor cores, " : "") + "tiles of " + std::to_string(tile.m) + " x " +
          std::to_string(tile.n);
  text.line("static_assert(r1::" + way + "_blocks<" + shape + ">() == " + Twine(k.grid.blocks) +
            " && r1::" + way + "_threads<" + shape + ">() == " + Twine(tile.threads) +
            ", \"the grid\");");
  k.body.line(op.getLoc(), "r1::" + way + "<" + shape + ">(" + k.args[0].name + ", " + k.args[1].name +
                               ", " + k.args[2].name + ", " + epilogue + "{" +
                               llvm::join(members, ", ") + "});");
  return success();
}

} // namespace r1::cuda
