#include "runtime/device/Executor.h"
#include <algorithm>
#include <chrono>
#include <cstring>

namespace r1rt {

uint64_t dtypeBytes(r1_dtype t) {
  switch (t) {
  case R1_F64:
  case R1_I64:
    return 8;
  case R1_F32:
  case R1_I32:
    return 4;
  case R1_F16:
  case R1_BF16:
    return 2;
  case R1_I8:
  case R1_U8:
  case R1_BOOL:
    return 1;
  }
  return 0;
}

const char *dtypeName(r1_dtype t) {
  static const char *const names[] = {"f64", "f32", "f16", "bf16", "i64",
                                      "i32", "i8",  "u8",  "bool"};
  return static_cast<unsigned>(t) < 9 ? names[t] : "?";
}

uint64_t fieldElements(const r1_field &f) {
  uint64_t n = 1;
  for (uint32_t i = 0; i < f.rank; ++i)
    n *= static_cast<uint64_t>(f.dims[i]);
  return n;
}

uint64_t fieldBytes(const r1_field &f) { return fieldElements(f) * dtypeBytes(f.dtype); }

const r1_field *findField(const r1_field *fields, uint32_t n, std::string_view name) {
  for (uint32_t i = 0; i < n; ++i)
    if (name == fields[i].name)
      return &fields[i];
  return nullptr;
}

static Status checkField(const r1_module &m, const r1_field &f, const std::string &where) {
  if (!f.name || f.rank > 8)
    return Status::error("the compiled module is broken: " + where +
                         " has a field without name or of rank > 8");
  for (uint32_t i = 0; i < f.rank; ++i)
    if (f.dims[i] < 0)
      return Status::error("the compiled module is broken: " + where + "." + f.name +
                           " has a negative dim");
  uint64_t bytes = fieldBytes(f);
  if (f.offset % 4 || bytes > m.arena_bytes || f.offset > m.arena_bytes - bytes)
    return Status::error("the compiled module is broken: " + where + "." + f.name +
                         " lies outside the arena or is unaligned");
  return Status::ok();
}

static Status checkProgram(const r1_module &m, const r1_program &p, bool elsewhere) {
  std::string name = p.name ? p.name : "(unnamed)";
  auto broken = [&](uint32_t op, const char *what) {
    return Status::error("the compiled module is broken: op " + std::to_string(op) +
                         " of program `" + name + "` " + what);
  };
  uint64_t counts[2] = {1, 1};
  int depth = 0;
  for (uint32_t i = 0; i < p.n_ops; ++i) {
    const r1_op &op = p.ops[i];
    switch (op.kind) {
    case R1_OP_LOOP:
      if (depth == 2)
        return broken(i, "is a third nested loop; two are supported");
      counts[depth++] = op.count;
      continue;
    case R1_OP_END:
      if (depth == 0)
        return broken(i, "ends a loop that was not begun");
      counts[--depth] = 1;
      continue;
    case R1_OP_LAUNCH:
      if (op.kernel >= m.n_kernels || !(m.kernels[op.kernel].fn || (elsewhere && m.kernels[op.kernel].image)))
        return broken(i, "launches a kernel that does not exist");
      break;
    case R1_OP_FILL_ZERO:
      if (op.n_args > 1)
        return broken(i, "fills more than one region");
      break;
    default:
      return broken(i, "is of an unknown kind");
    }
    uint32_t n = op.kind == R1_OP_FILL_ZERO ? 1 : op.n_args;
    if (op.first_arg > p.n_args || n > p.n_args - op.first_arg)
      return broken(i, "reads past the list of arguments");
    for (uint32_t a = 0; a < n; ++a) {
      const r1_arg &g = p.args[op.first_arg + a];
      uint64_t last = g.offset;
      for (int d = 0; d < 2; ++d)
        if (counts[d])
          last += (counts[d] - 1) * (d ? g.stride1 : g.stride0);
      uint64_t bytes = op.kind == R1_OP_FILL_ZERO ? op.bytes : 0;
      if (bytes > m.arena_bytes || last > m.arena_bytes - bytes)
        return broken(i, "has an argument outside the arena");
    }
  }
  if (depth)
    return Status::error("the compiled module is broken: a loop of program `" + name +
                         "` has no end");
  struct Group {
    const r1_field *fields;
    uint32_t n;
  };
  for (auto [fields, n] :
       {Group{p.inputs, p.n_inputs}, Group{p.scalars, p.n_scalars}, Group{p.outputs, p.n_outputs}})
    for (uint32_t i = 0; i < n; ++i)
      R1RT_TRY(checkField(m, fields[i], "program `" + name + "`"));
  for (uint32_t i = 0; i < p.n_scalars; ++i)
    if (p.scalars[i].dtype != R1_F32)
      return Status::error("the compiled module is broken: a scalar of program `" + name +
                           "` is not f32");
  return Status::ok();
}

namespace {

/// Runs programs with the threads of the CPU, in the arena that the host sees.
class CpuExecutor final : public Executor {
public:
  CpuExecutor(Device &d, const r1_module &m) : Executor(d, m) {}
  Status prepare();
  Status run(const r1_program &p) override;

private:
  void walk(const r1_program &p, int tid);

  Arena scratch;
  uint64_t scratchStride = 0;
  std::vector<void *> pointers; // threads × pointerStride: the arguments of a launch
  uint64_t pointerStride = 0;
  const r1_program *current = nullptr;
};

} // namespace

Result<std::unique_ptr<Executor>> Executor::create(Device &device, const r1_module &module,
                                                   Accelerator *accelerator) {
  for (uint32_t i = 0; i < module.n_programs; ++i)
    R1RT_TRY(checkProgram(module, module.programs[i], accelerator));
  for (uint32_t i = 0; i < module.n_leaves; ++i)
    R1RT_TRY(checkField(module, module.leaves[i].param, "leaves"));
  for (uint32_t i = 0; i < module.n_states; ++i)
    R1RT_TRY(checkField(module, module.states[i], "states"));
  for (uint32_t i = 0; i < module.n_constants; ++i) {
    const r1_constant &c = module.constants[i];
    if (c.bytes > module.arena_bytes || c.offset > module.arena_bytes - c.bytes)
      return Status::error("the compiled module is broken: a constant lies outside of the arena");
  }
  if (accelerator)
    return createDeviceExecutor(device, module, *accelerator);
  auto e = std::make_unique<CpuExecutor>(device, module);
  R1RT_TRY(e->prepare());
  return std::unique_ptr<Executor>(std::move(e));
}

Status Executor::mapArena(uint64_t bytes) {
  R1RT_ASSIGN(memory, Arena::create(bytes));
  for (uint32_t i = 0; i < mod.n_constants; ++i) {
    const r1_constant &c = mod.constants[i];
    std::memcpy(memory.data() + c.offset, c.data, c.bytes);
  }
  return Status::ok();
}

Status Executor::faulted(const r1_program &p) const {
  const char *fault = mod.fault ? mod.fault() : nullptr;
  return fault ? Status::error("program `" + std::string(p.name) + "`: " + fault) : Status::ok();
}

Status CpuExecutor::prepare() {
  R1RT_TRY(mapArena(mod.arena_bytes));
  uint64_t most = mod.scratch_bytes;
  for (uint32_t i = 0; i < mod.n_kernels; ++i)
    most = std::max(most, mod.kernels[i].scratch_bytes);
  // One more line between the regions, so that neighbours never share one.
  scratchStride = (most + 63) / 64 * 64 + 64;
  R1RT_ASSIGN(scratch, Arena::create(scratchStride * static_cast<uint64_t>(dev.threads())));
  uint32_t args = 1;
  for (uint32_t i = 0; i < mod.n_programs; ++i)
    for (uint32_t k = 0; k < mod.programs[i].n_ops; ++k)
      args = std::max(args, mod.programs[i].ops[k].n_args);
  pointerStride = (args + 7) / 8 * 8 + 8;
  pointers.resize(pointerStride * static_cast<uint64_t>(dev.threads()));
  return Status::ok();
}

const r1_program *Executor::program(std::string_view name) const {
  for (uint32_t i = 0; i < mod.n_programs; ++i)
    if (name == mod.programs[i].name)
      return &mod.programs[i];
  return nullptr;
}

void CpuExecutor::walk(const r1_program &p, int tid) {
  void **args = pointers.data() + pointerStride * tid;
  char *base = memory.data();
  char *mine = scratch.data() + scratchStride * tid;
  const int64_t threads = dev.threads();
  uint64_t counter[2] = {0, 0};
  uint32_t begin[2] = {0, 0};
  int depth = 0;
  auto address = [&](const r1_arg &a) {
    return base + a.offset + counter[0] * a.stride0 + counter[1] * a.stride1;
  };
  for (uint32_t i = 0; i < p.n_ops; ++i) {
    const r1_op &op = p.ops[i];
    switch (op.kind) {
    case R1_OP_LAUNCH: {
      const r1_kernel &k = mod.kernels[op.kernel];
      for (uint32_t a = 0; a < op.n_args; ++a)
        args[a] = address(p.args[op.first_arg + a]);
      if (!clocks.empty() && tid == 0) {
        auto t0 = std::chrono::steady_clock::now();
        k.fn(args, mine, tid, threads);
        dev.barrier();
        KernelClock &c = clocks[op.kernel];
        c.seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - t0).count();
        ++c.calls;
        break;
      }
      k.fn(args, mine, tid, threads);
      dev.barrier();
      break;
    }
    case R1_OP_FILL_ZERO: {
      // Equal shares in whole cache lines.
      uint64_t share = ((op.bytes + threads - 1) / threads + 63) / 64 * 64;
      uint64_t from = std::min<uint64_t>(op.bytes, share * tid);
      uint64_t to = std::min<uint64_t>(op.bytes, from + share);
      if (to > from)
        std::memset(address(p.args[op.first_arg]) + from, 0, to - from);
      dev.barrier();
      break;
    }
    case R1_OP_LOOP:
      begin[depth] = i;
      counter[depth++] = 0;
      if (op.count == 0) { // skip to the matching end
        for (int open = 1; open;) {
          ++i;
          open += p.ops[i].kind == R1_OP_LOOP;
          open -= p.ops[i].kind == R1_OP_END;
        }
        --depth;
      }
      break;
    case R1_OP_END:
      if (++counter[depth - 1] < p.ops[begin[depth - 1]].count)
        i = begin[depth - 1];
      else
        counter[--depth] = 0;
      break;
    }
  }
}

Status CpuExecutor::run(const r1_program &p) {
  current = &p;
  dev.parallel(
      [](void *self, int tid) {
        auto *e = static_cast<CpuExecutor *>(self);
        e->walk(*e->current, tid);
      },
      this);
  return faulted(p);
}

} // namespace r1rt
