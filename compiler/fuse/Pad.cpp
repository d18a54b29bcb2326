// Rows of 16-bit operands and results of products are padded to whole cache lines where their length does not
// divide into 16 bytes (a vocabulary of 50257): tensor cores and asynchronous copies then reach them. No number
// changes, only where it lies; what lies between rows is never read.
#include "compiler/fuse/Index.h"
#include "compiler/fuse/Program.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"

using namespace mlir;
namespace r1::fuse {

namespace {

constexpr int64_t lineBytes = 128, accessBytes = 16;

/// Every launch of the module, and what of it can be moved together.
class Padding {
public:
  explicit Padding(ModuleOp module) : module(module) {
    for (Operation &op : *module.getBody())
      if (auto symbol = dyn_cast<SymbolOpInterface>(op))
        symbols[symbol.getName()] = &op;
    module.walk([&](kern::LaunchOp launch) {
      for (auto [i, a] : llvm::enumerate(launch.getArgs())) {
        StringRef buffer = cast<FlatSymbolRefAttr>(a).getValue();
        launches[buffer].push_back({launch, unsigned(i)});
        byKernel[launch.getKernel()].push_back(launch);
      }
    });
    for (auto buffer : module.getOps<kern::BufferOp>())
      if (auto inside = buffer.getInside())
        viewed.insert(*inside);
  }

  void run() {
    for (auto buffer : module.getOps<kern::BufferOp>())
      if (int64_t width = wantsPadding(buffer))
        pad(buffer, width);
  }

private:
  struct Use {
    kern::LaunchOp launch;
    unsigned arg;
  };

  /// The length of the rows of `buffer` if a product reads or writes it and 16 bytes do not divide
  /// it; or 0.
  int64_t wantsPadding(kern::BufferOp buffer) {
    auto type = cast<MemRefType>(buffer.getType());
    if (buffer.getPool() != "work" || type.getRank() < 2 || !type.getElementType().isFloat() ||
        type.getElementTypeBitWidth() != 16)
      return 0;
    int64_t width = type.getShape().back();
    if (width < 64 || width * 2 % accessBytes == 0)
      return 0;
    for (Use &use : launches[buffer.getSymName()])
      if (use.arg < 3 && isa<kern::ProductOp>(symbols[use.launch.getKernel()]))
        return width;
    return 0;
  }

  /// Moves the rows of `first` and of every buffer that shares a kernel's argument with it, if all
  /// accesses allow it.
  void pad(kern::BufferOp first, int64_t width) {
    int64_t padded = llvm::alignTo(width * 2, lineBytes) / 2;
    llvm::SetVector<Operation *> buffers;
    llvm::SetVector<std::pair<Operation *, unsigned>> args;
    buffers.insert(first);
    for (unsigned i = 0; i < buffers.size(); ++i) {
      auto buffer = cast<kern::BufferOp>(buffers[i]);
      auto type = cast<MemRefType>(buffer.getType());
      if (buffer.getPool() != "work" || buffer.getInside() || viewed.contains(buffer.getSymName()) ||
          type.getRank() < 2 || type.getShape().back() != width)
        return;
      for (Use &use : launches[buffer.getSymName()]) {
        for (unsigned loop = 0; loop < 2; ++loop)
          if (use.launch.getStrides()[2 * use.arg + loop] % (width * 2))
            return;
        if (!args.insert({symbols[use.launch.getKernel()], use.arg}))
          continue;
        for (kern::LaunchOp other : byKernel[use.launch.getKernel()])
          buffers.insert(symbols[cast<FlatSymbolRefAttr>(other.getArgs()[use.arg]).getValue()]);
      }
    }
    for (auto [kernel, arg] : args)
      if (!moveArg(kernel, arg, width, padded, /*apply=*/false))
        return;
    for (auto [kernel, arg] : args)
      moveArg(kernel, arg, width, padded, /*apply=*/true);
    for (Operation *op : buffers) {
      auto buffer = cast<kern::BufferOp>(op);
      auto type = cast<MemRefType>(buffer.getType());
      SmallVector<int64_t> shape(type.getShape());
      shape.back() = padded;
      buffer.setType(MemRefType::get(shape, type.getElementType()));
      for (Use &use : launches[buffer.getSymName()]) {
        SmallVector<int64_t> strides(use.launch.getStrides());
        for (unsigned loop = 0; loop < 2; ++loop)
          (strides[2 * use.arg + loop] /= width) *= padded;
        use.launch.setStrides(strides);
      }
    }
  }

  /// Can rows of argument `arg` be `padded` apart instead of `width`? With `apply` they are.
  bool moveArg(Operation *kernel, unsigned arg, int64_t width, int64_t padded, bool apply) {
    Block *block = nullptr;
    SmallVector<int64_t> sizes;
    unsigned first = 0;
    if (auto product = dyn_cast<kern::ProductOp>(kernel)) {
      if (arg < 3 && !moveOperand(product, arg, width, padded, apply))
        return false;
      block = product.getBlock();
      int64_t batches = 1;
      for (int64_t n : product.getBatch())
        batches *= n;
      sizes = {batches, product.getSizes()[0], product.getSizes()[1]};
      first = 4;
    } else if (auto nest = dyn_cast<kern::KernelOp>(kernel)) {
      block = nest.getBlock();
      sizes.assign(nest.getRows().begin(), nest.getRows().end());
      first = sizes.size();
    } else {
      return false;
    }
    BlockArgument memref = block->getArgument(first + arg);
    auto type = cast<MemRefType>(memref.getType());
    if (type.getNumElements() % width)
      return false;
    SmallVector<Operation *> accesses(memref.getUsers().begin(), memref.getUsers().end());
    for (Operation *access : accesses) {
      unsigned at = isa<memref::LoadOp>(access) ? 1 : 2;
      if (!isa<memref::LoadOp, memref::StoreOp>(access) || access->getNumOperands() != at + 1)
        return false;
      auto moved =
          moveIndex(access->getOperand(at), block, sizes, width, padded, type.getNumElements());
      if (!moved)
        return false;
      if (!apply)
        continue;
      OpBuilder b(access);
      Operation *before = access->getOperand(at).getDefiningOp();
      access->setOperand(at, affine::AffineApplyOp::create(b, access->getLoc(), moved->first,
                                                           moved->second));
      if (before && before->use_empty())
        before->erase();
    }
    if (apply)
      memref.setType(MemRefType::get({type.getNumElements() / width * padded}, type.getElementType()));
    return true;
  }

  bool moveOperand(kern::ProductOp product, unsigned arg, int64_t width, int64_t padded, bool apply) {
    SmallVector<int64_t> strides(arg == 0 ? product.getA() : arg == 1 ? product.getB() : product.getC());
    SmallVector<int64_t> sizes(product.getBatch());
    auto mnk = product.getSizes();
    sizes.append({mnk[arg == 1 ? 2 : 0], mnk[arg == 0 ? 2 : 1]});
    for (auto [s, size] : llvm::zip(strides, sizes)) {
      if (s % width == 0)
        (s /= width) *= padded;
      else if (s != 1 || size > width)
        return false; // steps within a row, or over its end
    }
    if (apply)
      arg == 0 ? product.setA(strides) : arg == 1 ? product.setB(strides) : product.setC(strides);
    return true;
  }

  /// The position of the same element when rows are `padded` apart: `index` must be
  /// row * width + column, with a column that stays within the row. A column that a gather chose has
  /// no range of its own, but if the rest reaches the begin of every row, first to last, of an array
  /// of `count` elements, only columns stay inside.
  std::optional<std::pair<AffineMap, SmallVector<Value>>>
  moveIndex(Value index, Block *block, ArrayRef<int64_t> sizes, int64_t width, int64_t padded,
            int64_t count) {
    auto apply = index.getDefiningOp<affine::AffineApplyOp>();
    SmallVector<Value> operands(apply ? ValueRange(apply.getOperands()) : ValueRange(index));
    Dims dims(index.getContext());
    for (Value v : operands) {
      auto arg = dyn_cast<BlockArgument>(v);
      int64_t size = 0; // not known
      if (arg && arg.getOwner() == block)
        size = arg.getArgNumber() < sizes.size() ? sizes[arg.getArgNumber()] : 0;
      else if (arg)
        if (auto sweep = dyn_cast<kern::SweepOp>(arg.getOwner()->getParentOp()))
          size = sweep.getSizes()[arg.getArgNumber()];
      dims.add(size, v);
    }
    AffineExpr e = apply ? apply.getAffineMap().getResult(0) : getAffineDimExpr(0, dims.context);
    Linear linear = toLinear(e, dims), column;
    column.constant = linear.constant % width;
    if (linear.constant < 0)
      return std::nullopt;
    Linear rows;
    rows.constant = linear.constant - column.constant;
    linear.constant = linear.constant / width * padded + column.constant;
    for (auto &[term, k] : linear.terms) {
      if (k % width == 0) {
        rows.terms.push_back({term, k});
        (k /= width) *= padded;
      } else {
        column.terms.push_back({term, k});
      }
    }
    auto range = rangeOf(toExpr(column, dims), dims);
    bool chosen = !range && column.constant == 0 && column.terms.size() == 1 &&
                  column.terms[0].second == 1 && isa<AffineDimExpr>(column.terms[0].first);
    if (chosen) {
      auto reach = rangeOf(toExpr(rows, dims), dims);
      if (!reach || reach->first != 0 || reach->second != count - width)
        return std::nullopt;
    } else if (!range || range->first < 0 || range->second >= width) {
      return std::nullopt;
    }
    return std::pair(AffineMap::get(dims.sizes.size(), 0, toExpr(linear, dims), dims.context),
                     operands);
  }

  ModuleOp module;
  llvm::StringMap<Operation *> symbols;
  llvm::StringMap<SmallVector<Use>> launches;               // by buffer
  llvm::StringMap<SmallVector<kern::LaunchOp>> byKernel;
  llvm::StringSet<> viewed;                                 // buffers that others are a part of
};

} // namespace

void padRows(ModuleOp module) { Padding(module).run(); }

} // namespace r1::fuse
