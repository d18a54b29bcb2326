// Programs on a device with memory of its own. Loops are unrolled once into a flat list of launches
// with addresses, which the device runs again and again; only inputs, scalars and outputs cross
// between the two memories.
#include "runtime/device/Accelerator.h"
#include "runtime/device/Executor.h"
#include <algorithm>
#include <map>

namespace r1rt {
namespace {

class DeviceExecutor final : public Executor {
public:
  DeviceExecutor(Device &d, const r1_module &m, Accelerator &a) : Executor(d, m), acc(a) {}
  Status prepare();
  Status run(const r1_program &p) override;
  Status push() override;
  Status pull() override;

private:
  Result<void *> flatten(const r1_program &p);
  Status in(const r1_field &f) { return acc.copyIn(base + f.offset, at(f), fieldBytes(f)); }
  Status out(const r1_field &f) { return acc.copyOut(at(f), base + f.offset, fieldBytes(f)); }

  Accelerator &acc;
  uint64_t base = 0; // of the device's arena
  std::vector<const void *> functions;
  std::map<const r1_program *, void *> programs;
};

/// The end of what the host ever sees: work buffers lie behind it.
uint64_t visibleEnd(const r1_module &m) {
  uint64_t end = 64;
  auto see = [&](const r1_field &f) { end = std::max(end, f.offset + fieldBytes(f)); };
  for (uint32_t i = 0; i < m.n_leaves; ++i)
    see(m.leaves[i].param);
  for (uint32_t i = 0; i < m.n_states; ++i)
    see(m.states[i]);
  for (uint32_t i = 0; i < m.n_constants; ++i)
    end = std::max(end, m.constants[i].offset + m.constants[i].bytes);
  for (uint32_t i = 0; i < m.n_programs; ++i) {
    const r1_program &p = m.programs[i];
    for (uint32_t k = 0; k < p.n_inputs; ++k)
      see(p.inputs[k]);
    for (uint32_t k = 0; k < p.n_scalars; ++k)
      see(p.scalars[k]);
    for (uint32_t k = 0; k < p.n_outputs; ++k)
      see(p.outputs[k]);
  }
  return end;
}

Status DeviceExecutor::prepare() {
  R1RT_TRY(mapArena(visibleEnd(mod)));
  R1RT_ASSIGN(base, acc.alloc(mod.arena_bytes));
  for (uint32_t i = 0; i < mod.n_constants; ++i)
    R1RT_TRY(acc.copyIn(base + mod.constants[i].offset, mod.constants[i].data, mod.constants[i].bytes));
  for (uint32_t i = 0; i < mod.n_kernels; ++i) {
    R1RT_ASSIGN(const void *f, acc.load(mod.kernels[i]));
    functions.push_back(f);
  }
  return Status::ok();
}

Result<void *> DeviceExecutor::flatten(const r1_program &p) {
  std::vector<r1_accelerator_op> ops;
  std::vector<std::vector<uint64_t>> args;
  uint64_t counter[2] = {0, 0};
  uint32_t begin[2] = {0, 0};
  int depth = 0;
  for (uint32_t i = 0; i < p.n_ops; ++i) {
    const r1_op &op = p.ops[i];
    if (op.kind == R1_OP_LOOP && op.count == 0) { // to the matching end
      for (int open = 1; open;) {
        ++i;
        open += p.ops[i].kind == R1_OP_LOOP;
        open -= p.ops[i].kind == R1_OP_END;
      }
      continue;
    }
    if (op.kind == R1_OP_LOOP) {
      begin[depth] = i;
      counter[depth++] = 0;
      continue;
    }
    if (op.kind == R1_OP_END) {
      if (++counter[depth - 1] < p.ops[begin[depth - 1]].count)
        i = begin[depth - 1];
      else
        counter[--depth] = 0;
      continue;
    }
    std::vector<uint64_t> &list = args.emplace_back();
    uint32_t n = op.kind == R1_OP_FILL_ZERO ? 1 : op.n_args;
    for (uint32_t a = 0; a < n; ++a) {
      const r1_arg &g = p.args[op.first_arg + a];
      list.push_back(base + g.offset + counter[0] * g.stride0 + counter[1] * g.stride1);
    }
    r1_accelerator_op o = {};
    o.n_args = n;
    if (op.kind == R1_OP_FILL_ZERO) {
      o.bytes = op.bytes;
    } else {
      const r1_kernel &k = mod.kernels[op.kernel];
      o.function = functions[op.kernel];
      o.blocks = k.blocks, o.threads = k.block_threads;
    }
    ops.push_back(o);
  }
  for (size_t i = 0; i < ops.size(); ++i)
    ops[i].args = args[i].data();
  return acc.program(ops.data(), ops.size());
}

Status DeviceExecutor::run(const r1_program &p) {
  void *&made = programs[&p];
  if (!made) {
    R1RT_ASSIGN(made, flatten(p));
  }
  for (uint32_t i = 0; i < p.n_inputs; ++i)
    R1RT_TRY(in(p.inputs[i]));
  for (uint32_t i = 0; i < p.n_scalars; ++i)
    R1RT_TRY(in(p.scalars[i]));
  R1RT_TRY(acc.run(made));
  for (uint32_t i = 0; i < p.n_outputs; ++i)
    R1RT_TRY(out(p.outputs[i]));
  if (!p.n_outputs)
    R1RT_TRY(acc.wait());
  return faulted(p);
}

Status DeviceExecutor::push() {
  for (uint32_t i = 0; i < mod.n_leaves; ++i)
    R1RT_TRY(in(mod.leaves[i].param));
  for (uint32_t i = 0; i < mod.n_states; ++i)
    R1RT_TRY(in(mod.states[i]));
  return Status::ok();
}

Status DeviceExecutor::pull() {
  for (uint32_t i = 0; i < mod.n_leaves; ++i)
    R1RT_TRY(out(mod.leaves[i].param));
  for (uint32_t i = 0; i < mod.n_states; ++i)
    R1RT_TRY(out(mod.states[i]));
  return Status::ok();
}

} // namespace

Result<std::unique_ptr<Executor>> createDeviceExecutor(Device &device, const r1_module &module,
                                                       Accelerator &accelerator) {
  auto e = std::make_unique<DeviceExecutor>(device, module, accelerator);
  R1RT_TRY(e->prepare());
  return std::unique_ptr<Executor>(std::move(e));
}

} // namespace r1rt
