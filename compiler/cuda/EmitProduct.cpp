// kern.product -> a call of the prelude's product with the epilogue as a functor: chains of FMAs, of few rows
// by blocks of few columns, or tensor cores where both operands are bf16 or both f16, by wgmma on Hopper and
// mma.sync elsewhere.
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

/// Does product_few.cuh make a product: few rows that leave most of a GPU idle in tiles of 64 x 64?
bool hasFewRows(int64_t m, int64_t n, int64_t batches) {
  return m <= 16 || (m <= 64 && batches * ceilDiv(n, 64) < 132);
}

/// The columns of a block that product_few.cuh takes; the text asserts that they agree.
int64_t fewColumns(int64_t n, int64_t batches) {
  return n * batches >= 96 * 32 ? 32 : n * batches >= 96 * 16 ? 16 : 8;
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
  ArrayRef<int64_t> sa = op.getA(), sb = op.getB();
  for (unsigned i = 0; i < 3; ++i)
    if (k.args[i].align % 16)
      return false;
  return byEights(sa.drop_front(n), op.getBatch(), sa.take_front(n)) &&
         byEights({sb[n + 1], sb[n]}, op.getBatch(), sb.take_front(n));
}

/// Does product_mma_few.cuh make a product that tensor cores make?
bool hasFewRowsOfHalves(kern::ProductOp op) {
  auto sizes = op.getSizes();
  return op.getA()[op.getBatch().size() + 1] == 1 && hasFewRows(sizes[0], sizes[1], product(op.getBatch()));
}

/// From this size on wgmma is worth its ring of stages: a quarter of its smallest tile.
constexpr int64_t kLeastForWgmma = 64;

/// Neighbours of a row that the epilogue of product_wgmma.cuh takes at a time.
constexpr int64_t kEpilogueLanes = 4;

/// The columns of a tile that product_wgmma.cuh takes; the text asserts that they agree.
int64_t wgmmaColumns(int64_t m, int64_t n, int64_t batches) {
  int64_t more = ceilDiv(n, 256) * 256 - ceilDiv(n, 128) * 128;
  return batches * ceilDiv(m, 128) * ceilDiv(n, 256) >= 132 && more * 8 <= n ? 256 : 128;
}

/// How product_wgmma.cuh copies an operand with `rows` of m or n of which `tile` make a tile: boxes of 64
/// neighbours. `strides` of the batch dims, of m or n, and of k, in elements.
r1_tensor_map operandMap(uint32_t arg, Type type, int64_t rows, int64_t tile, int64_t k,
                         ArrayRef<int64_t> batch, ArrayRef<int64_t> batchStrides, int64_t byRow,
                         int64_t byK) {
  r1_tensor_map map = {};
  map.arg = arg;
  map.type = type.isBF16() ? R1_BF16 : R1_F16;
  map.swizzle = 128;
  auto add = [&](int64_t size, int64_t stride, int64_t box) {
    map.dims[map.rank] = uint64_t(size), map.strides[map.rank] = uint64_t(stride) * 2;
    map.box[map.rank++] = uint32_t(box);
  };
  if (byK == 1) {
    add(k, 1, 64);
    add(rows, byRow, tile);
  } else {
    add(rows, 1, 64);
    add(k, byK, 64);
  }
  // A batch dim that an operand does not move with is none of its map's.
  for (auto [n, stride] : llvm::reverse(llvm::zip(batch, batchStrides)))
    if (n > 1 && stride)
      add(n, stride, 1);
  return map;
}

} // namespace

bool usesWgmma(kern::ProductOp op, const EmitOptions &options, const Kernel &k) {
  auto sizes = op.getSizes();
  // Rows of a batch are M in one product and K in another, so only N may decide where they must not.
  int64_t least = options.exact ? sizes[1] : std::min({sizes[0], sizes[1], sizes[2]});
  // Few rows do without: the bits are the same on Hopper.
  return hasWgmma(options.arch) && least >= kLeastForWgmma && tensorCores(op, k) && !hasFewRowsOfHalves(op);
}

LogicalResult emitProduct(kern::ProductOp op, const EmitOptions &options, Kernel &k) {
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
  bool wgmma = usesWgmma(op, options, k);
  SmallVector<std::string> members;
  for (unsigned i = 0; i < k.args.size(); ++i) {
    if (i < 3 && block->getArgument(4 + i).use_empty())
      continue;
    text.line("R1_PTR(const " + storedName(k.args[i].element) + ") " + k.args[i].name + ";");
    members.push_back(k.args[i].name);
  }
  // For one sum, and for those of `lanes` neighbours from a multiple of `lanes` on.
  auto apply = [&](int64_t lanes) {
    Body body(text, k.math, lanes);
    for (auto [i, arg] : llvm::enumerate(k.args))
      body.bindArg(block->getArgument(4 + i), arg);
    const char *const names[] = {"g", "m"};
    for (unsigned i = 0; i < 2; ++i)
      body.bind(block->getArgument(i), Term::index(names[i]));
    body.bind(block->getArgument(2), lanes > 1 ? Term::index("n", 1, lanes) : Term::index("n"));
    Term sum;
    sum.text = "sum", sum.lanes = lanes > 1;
    body.bind(block->getArgument(3), sum);
    auto of = [&](const std::string &type) {
      return lanes > 1 ? "r1::vec<" + type + ", " + std::to_string(lanes) + ">" : type;
    };
    text.open("R1_FN " + of(storedName(k.args[2].element)) + " operator()(int g, int m, int n, " + of("float") +
              " sum) const");
    if (failed(body.emitBlock(block)))
      return failure();
    Value result = yield.getValues()[0];
    text.line("return " + (lanes > 1 ? body.vector(result) : body.number(result)) + ";");
    text.close();
    return success();
  };
  if (failed(apply(1)) || (wgmma && failed(apply(kEpilogueLanes))))
    return failure();
  text.close("};");
  int64_t groups = product(op.getBatch());
  bool tensor = tensorCores(op, k);
  bool few = tensor ? hasFewRowsOfHalves(op) : hasFewRows(sizes[0], sizes[1], groups);
  std::string way = wgmma ? "product_wgmma" : tensor ? "product_mma" : "product";
  if (few)
    way += "_few";
  Tile tile = wgmma    ? Tile{128, wgmmaColumns(sizes[0], sizes[1], groups), 384}
              : few    ? Tile{sizes[0], fewColumns(sizes[1], groups), 128}
              : tensor ? Tile{128, 128, 256}
                       : tileOf(sizes[0], sizes[1], groups);
  int64_t tiles = groups * ceilDiv(sizes[0], tile.m) * ceilDiv(sizes[1], tile.n);
  k.grid.threads = tile.threads;
  k.grid.blocks = wgmma ? std::min<int64_t>(tiles, 132) : tiles;
  k.why = std::string(wgmma ? "wgmma, " : tensor ? "tensor cores, " : "") + "tiles of " +
          std::to_string(tile.m) + " x " + std::to_string(tile.n);
  std::string agree = "r1::" + way + "_blocks<" + shape + ">() == " + std::to_string(k.grid.blocks) +
                      " && r1::" + way + "_threads<" + shape + ">() == " + std::to_string(tile.threads);
  std::string from = k.args[0].name + ", " + k.args[1].name, with = shape;
  if (wgmma) {
    size_t n = batches;
    ArrayRef<int64_t> sa = op.getA(), sb = op.getB();
    k.maps = {operandMap(0, k.args[0].element, sizes[0], tile.m, sizes[2], op.getBatch(), sa.take_front(n),
                         sa[n], sa[n + 1]),
              operandMap(1, k.args[1].element, sizes[1], tile.n, sizes[2], op.getBatch(), sb.take_front(n),
                         sb[n + 1], sb[n])};
    // Stages of 64 k, each with the two barriers of its ring; sums on their way out.
    int64_t stages = tile.n == 256 ? 4 : 6;
    k.sharedBytes = stages * ((tile.m + tile.n) * 64 * 2 + 16) + 8 * 16 * 64 * 4;
    agree += " && r1::product_wgmma_columns<" + shape + ">() == " + std::to_string(tile.n) +
             " && r1::product_wgmma_shared<" + shape + ">() == " + std::to_string(k.sharedBytes);
    from = "map0, map1";
    with += ", " + storedName(k.args[0].element);
  }
  text.line("static_assert(" + agree + ", \"the grid\");");
  k.body.line(op.getLoc(), "r1::" + way + "<" + with + ">(" + from + ", " + k.args[2].name + ", " + epilogue + "{" +
                               llvm::join(members, ", ") + "});");
  return success();
}

} // namespace r1::cuda
