#include "compiler/plan/Export.h"
#include "compiler/plan/Work.h"
#include "compiler/pch.h"
#include "dialects/kern/Kern.h"

using namespace mlir;
namespace r1 {
namespace {

std::optional<r1_dtype> dtypeOf(Type type) {
  if (type.isF64())
    return R1_F64;
  if (type.isF32())
    return R1_F32;
  if (type.isF16())
    return R1_F16;
  if (type.isBF16())
    return R1_BF16;
  if (type.isInteger(64))
    return R1_I64;
  if (type.isInteger(32))
    return R1_I32;
  if (type.isInteger(8))
    return R1_I8;
  if (type.isInteger(1))
    return R1_BOOL;
  return std::nullopt;
}

class Exporter {
public:
  Exporter(ModuleOp planned, ExportedModule &out) : planned(planned), out(out) {
    for (auto buffer : planned.getOps<kern::BufferOp>())
      buffers[buffer.getSymName()] = buffer;
  }

  LogicalResult run(function_ref<KernelCode(StringRef)> codeOf) {
    auto arena = planned->getAttrOfType<IntegerAttr>("kern.arena_bytes");
    if (!arena)
      return planned.emitError("export: the module has no plan yet");
    out.module.arena_bytes = arena.getInt();
    for (Operation &op : *planned.getBody())
      if (isa<kern::KernelOp, kern::ProductOp, kern::IntrinsicOp>(op)) {
        StringRef name = SymbolTable::getSymbolName(&op);
        KernelCode code = codeOf(name);
        if (!code.fn && code.image.empty() && !code.product)
          return op.emitError("export: no code for kernel @") << name;
        kernelIndex[name] = out.kernels.size();
        r1_kernel &k = out.kernels.emplace_back(kernelOf(name, code));
        Work work = workOf(&op);
        k.bytes = work.bytes;
        k.flops = work.flops;
        k.place = placeOf(op.getLoc());
        out.module.scratch_bytes = std::max(out.module.scratch_bytes, code.scratchBytes);
      }
    if (KernelCode code = codeOf("r1_sum"); code.fn || !code.image.empty()) {
      out.sum = kernelOf("r1_sum", code);
      out.module.sum = &out.sum;
    }
    for (auto buffer : planned.getOps<kern::BufferOp>()) {
      if (!buffer.getField() || failed(known(buffer)))
        continue;
      if (buffer.getPool() == "param")
        out.leaves.push_back({field(buffer), initOf(buffer),
                              buffer->getAttrOfType<BoolAttr>("trainable").getValue()});
      else if (buffer.getPool() == "state")
        out.states.push_back(field(buffer));
      else if (buffer.getPool() == "cache")
        out.caches.push_back(field(buffer));
    }
    for (auto buffer : planned.getOps<kern::BufferOp>())
      if (auto value = buffer->getAttrOfType<DenseElementsAttr>("value"))
        addConstant(buffer, value);
    for (auto program : planned.getOps<kern::ProgramOp>())
      if (failed(add(program)))
        return failure();
    if (bad)
      return failure();
    r1_module &m = out.module;
    m.kernels = out.kernels.data(), m.n_kernels = out.kernels.size();
    m.leaves = out.leaves.data(), m.n_leaves = out.leaves.size();
    m.states = out.states.data(), m.n_states = out.states.size();
    m.caches = out.caches.data(), m.n_caches = out.caches.size();
    m.programs = out.programs.data(), m.n_programs = out.programs.size();
    m.constants = out.constants.data(), m.n_constants = out.constants.size();
    return success();
  }

private:
  r1_kernel kernelOf(StringRef name, const KernelCode &code) {
    r1_kernel k = {};
    k.name = text(name);
    k.fn = code.fn;
    k.scratch_bytes = code.scratchBytes;
    k.entry = code.entry.empty() ? nullptr : text(code.entry);
    k.image = code.image.empty() ? nullptr : code.image.data();
    k.image_bytes = code.image.size();
    k.blocks = code.blocks;
    k.block_threads = code.blockThreads;
    k.shared_bytes = code.sharedBytes;
    k.maps = code.maps.data();
    k.n_maps = uint32_t(code.maps.size());
    k.product = code.product;
    return k;
  }

  const char *text(StringRef s) { return out.names.emplace_back(s.str()).c_str(); }

  /// "std/layers.r1:38:5"; null if the location names no file.
  const char *placeOf(Location loc) {
    const char *found = nullptr;
    loc->walk([&](Location l) {
      auto f = dyn_cast<FileLineColLoc>(l);
      if (!f)
        return WalkResult::advance();
      std::string line = std::to_string(f.getLine()), column = std::to_string(f.getColumn());
      found = text(f.getFilename().str() + ":" + line + ":" + column);
      return WalkResult::interrupt();
    });
    return found;
  }

  LogicalResult known(kern::BufferOp buffer) {
    if (dtypeOf(cast<MemRefType>(buffer.getType()).getElementType()) &&
        cast<MemRefType>(buffer.getType()).getRank() <= 8)
      return success();
    bad = true;
    return buffer.emitError("export: the host cannot read a ") << buffer.getType();
  }

  r1_field field(kern::BufferOp buffer) {
    auto type = cast<MemRefType>(buffer.getType());
    r1_field f = {};
    f.name = text(buffer.getField().value_or(buffer.getSymName()));
    f.dtype = dtypeOf(type.getElementType()).value_or(R1_F32);
    f.rank = type.getRank();
    for (auto [i, size] : llvm::enumerate(type.getShape().take_front(8)))
      f.dims[i] = size;
    f.offset = *buffer.getOffset();
    f.bound = buffer.getBound().value_or(0);
    return f;
  }

  static r1_init initOf(kern::BufferOp buffer) {
    return {int32_t(buffer->getAttrOfType<IntegerAttr>("dist").getInt()),
            buffer->getAttrOfType<FloatAttr>("a").getValueAsDouble(),
            buffer->getAttrOfType<FloatAttr>("b").getValueAsDouble()};
  }

  void addConstant(kern::BufferOp buffer, DenseElementsAttr value) {
    std::string &bytes = out.names.emplace_back();
    if (value.getElementType().isInteger(1))
      for (bool b : value.getValues<bool>())
        bytes += char(b);
    else
      for (int64_t n = value.isSplat() ? value.getNumElements() : 1; n > 0; --n)
        bytes.append(value.getRawData().begin(), value.getRawData().end());
    out.constants.push_back({uint64_t(*buffer.getOffset()), bytes.size(), bytes.data()});
  }

  std::pair<const r1_field *, uint32_t> fields(ArrayAttr symbols) {
    std::vector<r1_field> &list = out.fields.emplace_back();
    for (Attribute a : symbols) {
      kern::BufferOp buffer = buffers.lookup(cast<FlatSymbolRefAttr>(a).getValue());
      if (succeeded(known(buffer)))
        list.push_back(field(buffer));
    }
    return {list.data(), uint32_t(list.size())};
  }

  LogicalResult add(kern::ProgramOp program) {
    std::vector<r1_op> &ops = out.ops.emplace_back();
    std::vector<r1_arg> &args = out.args.emplace_back();
    if (failed(add(program.getBody().front(), ops, args)))
      return failure();
    r1_program p = rowLoop;
    rowLoop = {};
    p.name = text(program.getSymName());
    p.ops = ops.data(), p.n_ops = ops.size();
    p.args = args.data(), p.n_args = args.size();
    std::tie(p.inputs, p.n_inputs) = fields(program.getInputs());
    std::tie(p.scalars, p.n_scalars) = fields(program.getScalars());
    std::tie(p.outputs, p.n_outputs) = fields(program.getOutputs());
    out.programs.push_back(p);
    return success();
  }

  /// The sums of a loop over rows as regions; neighbours with nothing but padding between are one.
  LogicalResult addPartials(kern::LoopOp loop, uint32_t begin, uint32_t end) {
    std::vector<r1_region> &list = out.regions.emplace_back();
    for (Attribute a : loop.getPartialsAttr().getValue()) {
      kern::BufferOp buffer = buffers.lookup(cast<FlatSymbolRefAttr>(a).getValue());
      auto type = cast<MemRefType>(buffer.getType());
      if (!type.getElementType().isF32())
        return buffer.emitOpError("export: a sum over rows of ") << type.getElementType();
      list.push_back({uint64_t(*buffer.getOffset()), uint64_t(type.getNumElements()) * 4});
    }
    llvm::sort(list, [](r1_region x, r1_region y) { return x.offset < y.offset; });
    std::vector<r1_region> merged;
    for (r1_region r : list)
      if (!merged.empty() && r.offset - (merged.back().offset + merged.back().bytes) < 64)
        merged.back().bytes = r.offset + r.bytes - merged.back().offset;
      else
        merged.push_back(r);
    list = merged;
    rowLoop.partials = list.data(), rowLoop.n_partials = list.size();
    rowLoop.rows_begin = begin, rowLoop.rows_end = end;
    return success();
  }

  LogicalResult add(Block &block, std::vector<r1_op> &ops, std::vector<r1_arg> &args) {
    for (Operation &op : block) {
      r1_op o = {};
      o.first_arg = args.size();
      if (auto launch = dyn_cast<kern::LaunchOp>(op)) {
        auto kernel = kernelIndex.find(launch.getKernel());
        if (kernel == kernelIndex.end())
          return op.emitError("export: no such kernel: @") << launch.getKernel();
        o.kind = R1_OP_LAUNCH;
        o.kernel = kernel->second;
        o.n_args = launch.getArgs().size();
        for (auto [i, a] : llvm::enumerate(launch.getArgs())) {
          kern::BufferOp buffer = buffers.lookup(cast<FlatSymbolRefAttr>(a).getValue());
          args.push_back({uint64_t(*buffer.getOffset()), uint64_t(launch.getStrides()[2 * i]),
                          uint64_t(launch.getStrides()[2 * i + 1])});
        }
        ops.push_back(o);
      } else if (auto fill = dyn_cast<kern::FillOp>(op)) {
        kern::BufferOp buffer = buffers.lookup(fill.getBuffer());
        auto type = cast<MemRefType>(buffer.getType());
        o.kind = R1_OP_FILL_ZERO;
        o.n_args = 1;
        o.bytes = uint64_t(type.getNumElements()) *
                  ((type.getElementType().getIntOrFloatBitWidth() + 7) / 8);
        args.push_back({uint64_t(*buffer.getOffset()), 0, 0});
        ops.push_back(o);
      } else if (auto loop = dyn_cast<kern::LoopOp>(op)) {
        o.kind = R1_OP_LOOP;
        o.count = loop.getCount();
        ops.push_back(o);
        uint32_t begin = ops.size() - 1;
        if (failed(add(loop.getBody().front(), ops, args)))
          return failure();
        ops.push_back({R1_OP_END, 0, uint32_t(args.size()), 0, 0, 0});
        if (loop.getPartials() && failed(addPartials(loop, begin, ops.size() - 1)))
          return failure();
      } else if (!isa<kern::EndOp>(op)) {
        return op.emitError("export: '")
               << op.getName().getStringRef() << "' is not supported yet in a program";
      }
    }
    return success();
  }

  ModuleOp planned;
  ExportedModule &out;
  llvm::StringMap<kern::BufferOp> buffers;
  llvm::StringMap<uint32_t> kernelIndex;
  r1_program rowLoop = {}; // what the loop over rows of the program under construction says
  bool bad = false;
};

} // namespace

std::unique_ptr<ExportedModule> exportModule(ModuleOp planned,
                                             function_ref<KernelCode(StringRef)> codeOf) {
  auto out = std::make_unique<ExportedModule>();
  if (failed(Exporter(planned, *out).run(codeOf)))
    return nullptr;
  return out;
}

} // namespace r1
