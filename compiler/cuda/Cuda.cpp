// A module's kernels as texts.
#include "compiler/cuda/Cuda.h"
#include "compiler/cuda/Emit.h"
#include "compiler/cuda/Library.h"
#include "compiler/pch.h"
#include <numeric>

using namespace mlir;
namespace r1::cuda {
namespace {

/// For each kernel, what the addresses of its arguments are multiples of, in bytes, at every launch.
class Alignments {
public:
  explicit Alignments(ModuleOp module) {
    for (auto buffer : module.getOps<kern::BufferOp>())
      buffers[buffer.getSymName()] = buffer;
    module.walk([&](kern::LaunchOp launch) {
      SmallVector<int64_t> &known = byKernel[launch.getKernel()];
      known.resize(launch.getArgs().size(), 64);
      for (auto [i, a] : llvm::enumerate(launch.getArgs())) {
        int64_t &align = known[i];
        for (int64_t stride : {launch.getStrides()[2 * i], launch.getStrides()[2 * i + 1]})
          align = std::gcd(align, stride);
        kern::BufferOp buffer = buffers.lookup(cast<FlatSymbolRefAttr>(a).getValue());
        while (buffer && buffer.getInside()) {
          auto type = cast<MemRefType>(buffer.getType());
          align = std::gcd(align, *buffer.getAt() * int64_t(type.getElementTypeBitWidth() / 8));
          buffer = buffers.lookup(*buffer.getInside());
        }
      }
    });
  }
  /// A kernel that nothing launches is taken for aligned.
  int64_t of(StringRef kernel, unsigned arg) const {
    auto it = byKernel.find(kernel);
    return it == byKernel.end() || arg >= it->second.size() ? 64 : it->second[arg];
  }

private:
  llvm::StringMap<kern::BufferOp> buffers;
  llvm::StringMap<SmallVector<int64_t>> byKernel;
};

std::string identifier(StringRef symbol) {
  std::string s;
  for (char c : symbol)
    s += llvm::isAlnum(c) || c == '_' ? c : '_';
  // A plain word may be a function of C, such as trunc.
  return llvm::isDigit(s[0]) || !StringRef(s).contains('_') ? "k_" + s : s;
}

/// The types of a block's arguments after the first `indices`.
SmallVector<Type> memrefs(Block &block, unsigned indices) {
  return llvm::to_vector(llvm::drop_begin(block.getArgumentTypes(), indices));
}

void addArgs(Kernel &k, StringRef symbol, ArrayRef<Type> types, ArrayRef<int64_t> writes,
             const Alignments &alignments) {
  for (auto [i, t] : llvm::enumerate(types)) {
    auto type = cast<MemRefType>(t);
    Arg arg;
    arg.written = llvm::is_contained(writes, int64_t(i));
    arg.name = (arg.written ? "y" : "x") + std::to_string(i);
    arg.element = type.getElementType();
    arg.align = alignments.of(symbol, i);
    arg.shape.assign(type.getShape().begin(), type.getShape().end());
    k.args.push_back(arg);
  }
}

/// A tensor map as the emulator makes it, from its argument in `a`.
std::string mapText(const r1_tensor_map &map) {
  std::string dims;
  for (uint32_t i = 0; i < map.rank; ++i)
    dims += (i ? ", {" : "{") + std::to_string(map.dims[i]) + ", " + std::to_string(map.strides[i]) + ", " +
            std::to_string(map.box[i]) + "}";
  return "r1::tensor_map(a[" + std::to_string(map.arg) + "], " + std::to_string(map.strides[0]) + ", {" + dims +
         "}, " + std::to_string(map.swizzle) + ")";
}

/// The parts of a kernel as one text.
std::string assemble(Operation *op, Kernel &k, MLIRContext *context, bool &failed_) {
  auto [file, line] = placeOf(op->getLoc());
  std::string kind = op->getName().stripDialect().str();
  std::string out = "// " + k.name + ": " + kind;
  if (line)
    out += ", " + file + ":" + std::to_string(line);
  out += "; " + k.why + "\n#include \"r1.cuh\"\n" + (isa<kern::IntrinsicOp>(op) ? "#include \"attention.cuh\"\n" : "");
  if (!k.maps.empty())
    out += "#include \"product_wgmma.cuh\"\n";
  Text math;
  failed_ = failed(printMath(math, k.math, context));
  out += math.str();
  out += k.before.str();
  std::string threads = k.name + ", " + std::to_string(k.grid.threads);
  out += k.grid.residents == 1 ? "R1_KERNEL(" + threads + ")("
                               : "R1_KERNEL_OF(" + threads + ", " + std::to_string(k.grid.residents) + ")(";
  std::string entry;
  for (auto [i, a] : llvm::enumerate(k.args)) {
    std::string type = (a.written ? "" : "const ") + storedName(a.element) + " *";
    // The number of elements is for the emulator, which checks accesses.
    out += std::string(i ? ", " : "") + "R1_ARG(" + (a.written ? "" : "const ") +
           storedName(a.element) + ", " + std::to_string(product(a.shape)) + ") " + a.name;
    entry += ", (" + type + ")a[" + std::to_string(i) + "]";
  }
  for (auto [i, map] : llvm::enumerate(k.maps)) {
    out += ", R1_MAP(map" + std::to_string(i) + ")";
    entry += ", " + mapText(map);
  }
  out += ") {\n" + k.body.str() + "}\n";
  out += std::string(k.sharedBytes ? "R1_ENTRY_SHARED(" : "R1_ENTRY(") + k.name + ", " + std::to_string(k.args.size()) + ", " +
         std::to_string(k.grid.blocks) + ", " + std::to_string(k.grid.threads) +
         (k.sharedBytes ? ", " + std::to_string(k.sharedBytes) : "") + entry + ")\n";
  return out;
}

} // namespace

/// What stands in the place of a kernel's text where the library does its work.
static Source forLibrary(kern::ProductOp op, r1_product p, const Alignments &alignments) {
  Source s;
  s.kernel = op.getSymName().str();
  s.name = identifier(s.kernel);
  auto [file, line] = placeOf(op.getLoc());
  static const char *const names[] = {"f64", "f32", "f16", "bf16"};
  s.how = std::string("cuBLASLt, ") + names[p.in] + " to " + names[p.out] +
          (p.accumulate ? ", added to the result" : p.bias >= 0 ? ", with its bias" : "");
  s.text = "// " + s.name + ": product" + (line ? ", " + file + ":" + std::to_string(line) : "") + "; " + s.how +
           ": " + std::to_string(p.m) + " x " + std::to_string(p.n) + ", sums of " + std::to_string(p.k) +
           (p.batch > 1 ? ", " + std::to_string(p.batch) + " times" : "") + "\n";
  s.blocks = s.threads = 0;
  p.align = 256;
  for (unsigned i = 0; i < 3; ++i)
    p.align = std::gcd(p.align, uint32_t(alignments.of(s.kernel, i)));
  s.product = p;
  return s;
}

llvm::Expected<std::vector<Source>> emitModule(ModuleOp module, const EmitOptions &options) {
  Alignments alignments(module);
  std::vector<Source> all;
  for (Operation &op : *module.getBody()) {
    if (!isa<kern::KernelOp, kern::ProductOp, kern::IntrinsicOp>(op))
      continue;
    StringRef symbol = SymbolTable::getSymbolName(&op);
    Kernel k;
    k.name = identifier(symbol);
    if (auto product = dyn_cast<kern::ProductOp>(op))
      addArgs(k, symbol, memrefs(*product.getBlock(), 4), {2}, alignments);
    if (auto product = dyn_cast<kern::ProductOp>(op); product && options.library)
      // cuBLASLt's fast kernels take lines that are whole accesses of 16 bytes; for others, such as those of a
      // vocabulary of 50257, it has slow ones (99 TFLOP/s on an H100), and ours are better.
      if (auto p = libraryProduct(product); p && !(raggedLines(product) && usesWgmma(product, options, k))) {
        all.push_back(forLibrary(product, *p, alignments));
        continue;
      }
    LogicalResult done = failure();
    if (auto kernel = dyn_cast<kern::KernelOp>(op)) {
      addArgs(k, symbol, memrefs(*kernel.getBlock(), kernel.getRows().size()), kernel.getWrites(),
              alignments);
      done = emitKernel(kernel, k);
    } else if (auto product = dyn_cast<kern::ProductOp>(op)) {
      done = emitProduct(product, options, k);
    } else {
      auto intrinsic = cast<kern::IntrinsicOp>(op);
      SmallVector<Type> types;
      for (Attribute a : intrinsic.getArgTypes())
        types.push_back(cast<TypeAttr>(a).getValue());
      addArgs(k, symbol, types, intrinsic.getWrites(), alignments);
      done = emitAttention(intrinsic, options, k);
    }
    bool failed_ = false;
    if (succeeded(done))
      all.push_back({symbol.str(), k.name, assemble(&op, k, module.getContext(), failed_), k.why,
                     k.grid.blocks, k.grid.threads, {}, k.sharedBytes, k.maps});
    if (failed(done) || failed_)
      return llvm::createStringError("kernel @" + symbol + " cannot be printed as CUDA C++");
  }
  return all;
}

} // namespace r1::cuda
