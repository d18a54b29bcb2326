// Programs on a device with memory of its own. Loops are unrolled once into a flat list of launches
// with addresses, which the device runs again and again; only inputs, scalars and outputs cross
// between the two memories, as few pieces through memory of the run, so that the arena's inputs are
// the host's again as soon as a run has been started.
#include "runtime/device/Accelerator.h"
#include "runtime/device/Executor.h"
#include <algorithm>
#include <cstring>
#include <deque>
#include <map>

namespace r1rt {
namespace {

class DeviceExecutor final : public Executor {
public:
  DeviceExecutor(Device &d, const r1_module &m, Accelerator &a) : Executor(d, m), acc(a) {}
  Status prepare();
  Status run(const r1_program &p) override;
  Status start(const r1_program &p) override;
  Status finish() override;
  unsigned ahead() const override { return R1_ACCELERATOR_SLOTS - 1; }
  Status push() override;
  Status pull() override;

private:
  /// A program as the device has it.
  struct Made {
    void *handle = nullptr;
    std::vector<r1_accelerator_copy> in, out;
    std::vector<uint32_t> kernels; // by op; mod.n_kernels: a fill
    struct Slot {
      Accelerator::Memory memory;
      bool known = false, busy = false;
    } slots[R1_ACCELERATOR_SLOTS];
  };
  struct Run {
    const r1_program *program;
    Made *made;
    uint32_t slot;
    bool done;
  };

  Status make(const r1_program &p, Made &made);
  Status startIn(const r1_program &p, Made &made, uint32_t slot);
  Status timed(Made &made, uint32_t slot);
  Status in(const r1_field &f) { return acc.copyIn(base + f.offset, at(f), fieldBytes(f)); }
  Status out(const r1_field &f) { return acc.copyOut(at(f), base + f.offset, fieldBytes(f)); }

  Accelerator &acc;
  uint64_t base = 0; // of the device's arena
  std::vector<const void *> functions;
  std::map<const r1_program *, Made> programs;
  std::deque<Run> underWay;
};

/// Fields as pieces of memory at `base`, one after the other in the memory of a run. Fields begin at
/// multiples of 64, so that what is between two closer ones belongs to nobody: they are one piece.
std::vector<r1_accelerator_copy> pieces(std::vector<r1_field> fields, uint64_t base, uint64_t &end) {
  std::sort(fields.begin(), fields.end(),
            [](const r1_field &x, const r1_field &y) { return x.offset < y.offset; });
  std::vector<r1_accelerator_copy> list;
  end = 0;
  for (const r1_field &f : fields) {
    uint64_t address = base + f.offset, bytes = fieldBytes(f);
    if (!bytes)
      continue;
    if (!list.empty() && address < list.back().address + list.back().bytes + 64) {
      r1_accelerator_copy &last = list.back();
      last.bytes = std::max(last.bytes, address + bytes - last.address);
    } else {
      list.push_back({address, (end + 63) / 64 * 64, bytes});
    }
    end = list.back().at + list.back().bytes;
  }
  return list;
}

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

Status DeviceExecutor::make(const r1_program &p, Made &made) {
  made = {};
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
    if (op.kind == R1_OP_FILL_ZERO)
      o.bytes = op.bytes;
    else
      o.function = functions[op.kernel];
    ops.push_back(o);
    made.kernels.push_back(op.kind == R1_OP_FILL_ZERO ? mod.n_kernels : op.kernel);
  }
  for (size_t i = 0; i < ops.size(); ++i)
    ops[i].args = args[i].data();
  std::vector<r1_field> given(p.inputs, p.inputs + p.n_inputs);
  given.insert(given.end(), p.scalars, p.scalars + p.n_scalars);
  r1_accelerator_program what = {};
  what.name = p.name;
  what.ops = ops.data(), what.n_ops = ops.size();
  made.in = pieces(std::move(given), base, what.in_bytes);
  made.out = pieces({p.outputs, p.outputs + p.n_outputs}, base, what.out_bytes);
  what.in = made.in.data(), what.n_in = uint32_t(made.in.size());
  what.out = made.out.data(), what.n_out = uint32_t(made.out.size());
  R1RT_ASSIGN(made.handle, acc.program(what));
  return Status::ok();
}

Status DeviceExecutor::run(const r1_program &p) {
  if (!underWay.empty())
    return Status::error("program `" + std::string(p.name) + "` is run while `" +
                         underWay.front().program->name + "` is not finished");
  R1RT_TRY(start(p));
  return finish();
}

Status DeviceExecutor::start(const r1_program &p) {
  Made &made = programs[&p];
  uint32_t slot = made.slots[0].busy;
  Status st = underWay.size() > ahead()
                  ? Status::error(std::to_string(underWay.size()) + " runs are not finished yet")
                  : startIn(p, made, slot);
  if (!st)
    return st.withContext("program `" + std::string(p.name) + "`");
  made.slots[slot].busy = true;
  underWay.push_back({&p, &made, slot, !clocks.empty()});
  return Status::ok();
}

Status DeviceExecutor::startIn(const r1_program &p, Made &made, uint32_t slot) {
  if (!made.handle)
    R1RT_TRY(make(p, made));
  Made::Slot &s = made.slots[slot];
  if (!s.known) {
    R1RT_ASSIGN(s.memory, acc.memory(made.handle, slot));
    s.known = true;
  }
  for (const r1_accelerator_copy &c : made.in)
    std::memcpy(s.memory.in + c.at, memory.data() + (c.address - base), c.bytes);
  return clocks.empty() ? acc.start(made.handle, slot) : timed(made, slot);
}

Status DeviceExecutor::timed(Made &made, uint32_t slot) {
  std::vector<double> seconds(made.kernels.size());
  R1RT_TRY(acc.timed(made.handle, slot, seconds.data()));
  for (size_t i = 0; i < seconds.size(); ++i)
    if (made.kernels[i] < mod.n_kernels) {
      clocks[made.kernels[i]].seconds += seconds[i];
      ++clocks[made.kernels[i]].calls;
    }
  return Status::ok();
}

Status DeviceExecutor::finish() {
  if (underWay.empty())
    return Status::error("no run is under way");
  Run r = underWay.front();
  underWay.pop_front();
  Made::Slot &s = r.made->slots[r.slot];
  s.busy = false;
  if (!r.done)
    R1RT_TRY(acc.finish(r.made->handle, r.slot)
                 .withContext("program `" + std::string(r.program->name) + "`"));
  for (const r1_accelerator_copy &c : r.made->out)
    std::memcpy(memory.data() + (c.address - base), s.memory.out + c.at, c.bytes);
  return faulted(*r.program);
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
