// Programs on a device with memory of its own. Loops are unrolled once into a flat list of launches
// with addresses, which the device runs again and again; only inputs, scalars and outputs cross
// between the two memories, as few pieces through memory of the run, so that the arena's inputs are
// the host's again as soon as a run has been started.
#include "runtime/device/Accelerator.h"
#include "runtime/device/Executor.h"
#include "runtime/device/Shards.h"
#include <algorithm>
#include <bit>
#include <cstring>
#include <deque>
#include <map>

namespace r1rt {
namespace {

/// Bytes from which sums over ranks are worth a message of their own, and a cut of the program.
constexpr uint64_t kBucketBytes = 32 << 20;

class DeviceExecutor final : public Executor, private SideQueue {
public:
  DeviceExecutor(Device &d, const r1_module &m, Accelerator &a, Ranks *ranks)
      : Executor(d, m), acc(a), ranks(ranks) {}
  Status prepare();
  Status run(const r1_program &p) override;
  Status start(const r1_program &p) override;
  Status finish() override;
  unsigned ahead() const override { return R1_ACCELERATOR_SLOTS - 1; }
  Status push() override;
  Status pull() override;

private:
  /// What the device runs in one go, and the sums over ranks that set out after it.
  struct Part {
    std::vector<r1_accelerator_op> ops;
    std::deque<std::vector<uint64_t>> args; // of the ops
    std::vector<uint32_t> kernels;          // by op; mod.n_kernels: none of the module's
    std::vector<Piece> sums;
    void *handle = nullptr;
    Accelerator::Memory memory[R1_ACCELERATOR_SLOTS];
  };
  /// A program as the device has it: one part, or several where its sums over rows cross between
  /// ranks. What goes in goes with the first, what comes out with the last.
  struct Made {
    std::deque<Part> parts; // whose ops point into them
    std::vector<r1_accelerator_copy> in, out;
    bool known[R1_ACCELERATOR_SLOTS] = {}, busy[R1_ACCELERATOR_SLOTS] = {};
  };
  struct Run {
    const r1_program *program;
    Made *made;
    uint32_t slot;
    bool done;
  };

  Status make(const r1_program &p, Made &made);
  Status makePart(const r1_program &p, Made &made, Part &part);
  void flatten(const r1_program &p, Made &made, uint32_t from, uint32_t to, uint64_t turn, uint64_t last,
               const std::vector<Bucket> *sums = nullptr);
  void flattenShards(const r1_program &p, Made &made);
  void joinTree(Part &part, const std::vector<Piece> &pieces, unsigned shard);
  static void append(Part &part, r1_accelerator_op op, std::vector<uint64_t> args, uint32_t kernel);
  Status startIn(const r1_program &p, Made &made, uint32_t slot);
  Status startParts(Made &made, uint32_t slot);
  Status finishSums();
  Status timed(Part &part, uint32_t slot);

  // SideQueue
  void *stream() override { return side; }
  Status waitForPrograms() override { return acc.sideWaits(); }
  Status programsWait() override { return acc.waitForSide(); }
  Status add(uint64_t out, uint64_t low, uint64_t high, uint64_t n) override;
  Result<uint64_t> alloc(uint64_t bytes) override { return acc.alloc(bytes); }
  Status in(const r1_field &f) { return acc.copyIn(base + f.offset, at(f), fieldBytes(f)); }
  Status out(const r1_field &f) { return acc.copyOut(at(f), base + f.offset, fieldBytes(f)); }

  Accelerator &acc;
  Ranks *ranks;          // null: one
  void *side = nullptr;  // the stream on which sums over ranks run, where they are queued
  uint64_t base = 0;     // of the device's arena
  uint64_t tree = 0;     // on the device: sums of earlier shards, one level after the other
  unsigned levels = 0;   // of the tree
  const void *sum = nullptr; // the function of mod.sum
  std::vector<uint64_t> sums; // over ranks, under way
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
  if (!ranks && mod.shards <= 1)
    return Status::ok();
  if (!mod.sum)
    return Status::error("the compiled module is broken: it has several shards and no kernel that adds "
                         "their sums");
  R1RT_ASSIGN(sum, acc.load(*mod.sum));
  levels = treeLevels(mod, ranks ? ranks->size() : 1);
  if (levels) {
    R1RT_ASSIGN(tree, acc.alloc(levels * levelBytes(mod)));
  }
  if (ranks && ranks->queued()) {
    R1RT_ASSIGN(side, acc.side());
    ranks->useQueue(*this);
  }
  return Status::ok();
}

void DeviceExecutor::append(Part &part, r1_accelerator_op op, std::vector<uint64_t> args,
                            uint32_t kernel) {
  part.args.push_back(std::move(args));
  op.args = part.args.back().data();
  op.n_args = uint32_t(part.args.back().size());
  part.ops.push_back(op);
  part.kernels.push_back(kernel);
}

/// The sums of shard number `shard` of this rank join those of the shards before it: a counter in
/// binary, whose digits are the sums of 1, 2, 4, … shards.
void DeviceExecutor::joinTree(Part &part, const std::vector<Piece> &pieces, unsigned shard) {
  unsigned carries = unsigned(std::countr_one(shard));
  r1_accelerator_op op = {};
  op.function = sum;
  for (const Piece &piece : pieces) {
    uint64_t x = base + piece.offset, n = piece.bytes / 4;
    auto digit = [&](unsigned l) { return tree + l * levelBytes(mod) + piece.at; };
    for (unsigned l = 0; l < carries; ++l)
      append(part, op, {l + 1 == carries && carries < levels ? digit(carries) : x, digit(l), x, n, 1},
             mod.n_kernels);
    if (!carries && levels)
      append(part, op, {digit(0), x, x, n, 0}, mod.n_kernels);
  }
}

/// Shard by shard, each from zero. Where there are other ranks, the last shard is cut where sums are
/// complete, so that they cross while the rest of it is computed.
void DeviceExecutor::flattenShards(const r1_program &p, Made &made) {
  uint64_t turns = p.ops[p.rows_begin].count / std::max<uint32_t>(mod.shards, 1);
  uint64_t local = localShards(mod, ranks ? ranks->size() : 1);
  uint64_t first = ranks ? local * uint64_t(ranks->rank()) : 0;
  std::vector<Piece> all = piecesOf(p);
  std::vector<Bucket> buckets = bucketsOf(p, kBucketBytes);
  flatten(p, made, 0, p.rows_begin, 0, 0);
  for (uint64_t s = 0; s < local; ++s) {
    for (const Piece &piece : all)
      if (r1_accelerator_op fill = {}; s) {
        fill.bytes = piece.bytes;
        append(made.parts.back(), fill, {base + piece.offset}, mod.n_kernels);
      }
    uint64_t turn = (first + s) * turns;
    bool cross = ranks && s + 1 == local;
    flatten(p, made, p.rows_begin, p.rows_end + 1, turn, turn + turns, cross ? &buckets : nullptr);
    if (!cross)
      joinTree(made.parts.back(), all, unsigned(s));
  }
  flatten(p, made, p.rows_end + 1, p.n_ops, 0, 0);
}

/// Ops from `from` to `to`, of the loop over rows only the turns from `turn` to `last`.
void DeviceExecutor::flatten(const r1_program &p, Made &made, uint32_t from, uint32_t to, uint64_t turn,
                             uint64_t last, const std::vector<Bucket> *sums) {
  uint64_t counter[2] = {0, 0};
  uint32_t begin[2] = {0, 0};
  int depth = 0;
  size_t complete = 0; // buckets
  for (uint32_t i = from; i < to; ++i) {
    const r1_op &op = p.ops[i];
    if (op.kind == R1_OP_LOOP && op.count == 0) { // to the matching end
      for (int open = 1; open;) {
        ++i;
        open += p.ops[i].kind == R1_OP_LOOP;
        open -= p.ops[i].kind == R1_OP_END;
      }
    } else if (op.kind == R1_OP_LOOP) {
      begin[depth] = i;
      counter[depth++] = p.n_partials && i == p.rows_begin ? turn : 0;
    } else if (op.kind == R1_OP_END) {
      if (++counter[depth - 1] < (p.n_partials && i == p.rows_end ? last : p.ops[begin[depth - 1]].count))
        i = begin[depth - 1];
      else
        counter[--depth] = 0;
    } else {
      std::vector<uint64_t> list;
      bool fill = op.kind == R1_OP_FILL_ZERO;
      for (uint32_t a = 0, n = fill ? 1 : op.n_args; a < n; ++a) {
        const r1_arg &g = p.args[op.first_arg + a];
        list.push_back(base + g.offset + counter[0] * g.stride0 + counter[1] * g.stride1);
      }
      r1_accelerator_op o = {};
      o.bytes = fill ? op.bytes : 0;
      o.function = fill ? nullptr : functions[op.kernel];
      append(made.parts.back(), o, std::move(list), fill ? mod.n_kernels : op.kernel);
    }
    while (sums && depth == 1 && counter[0] + 1 == last && complete < sums->size() &&
           (*sums)[complete].after == i) {
      const Bucket &b = (*sums)[complete++];
      joinTree(made.parts.back(), b.pieces, unsigned(localShards(mod, ranks->size()) - 1));
      made.parts.back().sums = b.pieces;
      made.parts.emplace_back();
    }
  }
}

Status DeviceExecutor::make(const r1_program &p, Made &made) {
  made.parts.clear();
  made.parts.emplace_back();
  if (p.n_partials && (mod.shards > 1 || ranks))
    flattenShards(p, made);
  else
    flatten(p, made, 0, p.n_ops, 0, p.n_partials ? p.ops[p.rows_begin].count : 0);
  for (Part &part : made.parts)
    R1RT_TRY(makePart(p, made, part));
  return Status::ok();
}

Status DeviceExecutor::makePart(const r1_program &p, Made &made, Part &part) {
  r1_accelerator_program what = {};
  what.name = p.name;
  what.ops = part.ops.data(), what.n_ops = part.ops.size();
  if (&part == &made.parts.front()) {
    std::vector<r1_field> given(p.inputs, p.inputs + p.n_inputs);
    given.insert(given.end(), p.scalars, p.scalars + p.n_scalars);
    made.in = pieces(std::move(given), base, what.in_bytes);
    what.in = made.in.data(), what.n_in = uint32_t(made.in.size());
  }
  if (&part == &made.parts.back()) {
    made.out = pieces({p.outputs, p.outputs + p.n_outputs}, base, what.out_bytes);
    what.out = made.out.data(), what.n_out = uint32_t(made.out.size());
  }
  R1RT_ASSIGN(part.handle, acc.program(what));
  part.ops = {}, part.args = {};
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
  uint32_t slot = made.busy[0];
  Status st = underWay.size() > ahead()
                  ? Status::error(std::to_string(underWay.size()) + " runs are not finished yet")
                  : startIn(p, made, slot);
  if (!st)
    return st.withContext("program `" + std::string(p.name) + "`");
  made.busy[slot] = true;
  underWay.push_back({&p, &made, slot, !clocks.empty()});
  return Status::ok();
}

Status DeviceExecutor::startIn(const r1_program &p, Made &made, uint32_t slot) {
  if (made.parts.empty() || !made.parts.back().handle)
    R1RT_TRY(make(p, made));
  for (Part &part : made.parts)
    if (!made.known[slot]) {
      R1RT_ASSIGN(part.memory[slot], acc.memory(part.handle, slot));
    }
  made.known[slot] = true;
  for (const r1_accelerator_copy &c : made.in)
    std::memcpy(made.parts.front().memory[slot].in + c.at, memory.data() + (c.address - base), c.bytes);
  Status started = startParts(made, slot);
  Status summed = finishSums(); // in any case: they are at work in the device's memory
  return started ? summed : started;
}

Status DeviceExecutor::startParts(Made &made, uint32_t slot) {
  for (Part &part : made.parts) {
    if (&part == &made.parts.back())
      R1RT_TRY(finishSums());
    R1RT_TRY(clocks.empty() ? acc.start(part.handle, slot) : timed(part, slot));
    if (!part.sums.empty() && !ranks->queued())
      R1RT_TRY(acc.wait());
    for (const Piece &x : part.sums)
      sums.push_back(ranks->startSum(reinterpret_cast<float *>(base + x.offset), x.bytes / 4));
  }
  return Status::ok();
}

/// What follows the loop over rows needs all of them: the length of the gradient comes first.
Status DeviceExecutor::finishSums() {
  Status broken;
  for (uint64_t handle : sums)
    if (Status st = ranks->finishSum(handle); !st && broken)
      broken = st;
  sums.clear();
  return broken;
}

Status DeviceExecutor::add(uint64_t out, uint64_t low, uint64_t high, uint64_t n) {
  uint64_t args[] = {out, low, high, n, 1};
  r1_accelerator_op op = {};
  op.function = sum;
  op.args = args, op.n_args = 5;
  return acc.launchOnSide(op);
}

Status DeviceExecutor::timed(Part &part, uint32_t slot) {
  std::vector<double> seconds(part.kernels.size());
  R1RT_TRY(acc.timed(part.handle, slot, seconds.data()));
  for (size_t i = 0; i < seconds.size(); ++i)
    if (part.kernels[i] < mod.n_kernels) {
      clocks[part.kernels[i]].seconds += seconds[i];
      ++clocks[part.kernels[i]].calls;
    }
  return Status::ok();
}

Status DeviceExecutor::finish() {
  if (underWay.empty())
    return Status::error("no run is under way");
  Run r = underWay.front();
  underWay.pop_front();
  r.made->busy[r.slot] = false;
  const Part &last = r.made->parts.back();
  Status done = r.done ? Status::ok() : acc.finish(last.handle, r.slot);
  if (ranks) // a rank that is lost explains all else
    R1RT_TRY(ranks->health());
  R1RT_TRY(done.withContext("program `" + std::string(r.program->name) + "`"));
  for (const r1_accelerator_copy &c : r.made->out)
    std::memcpy(memory.data() + (c.address - base), last.memory[r.slot].out + c.at, c.bytes);
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
                                                       Accelerator &accelerator, Ranks *ranks) {
  auto e = std::make_unique<DeviceExecutor>(device, module, accelerator, ranks);
  R1RT_TRY(e->prepare());
  return std::unique_ptr<Executor>(std::move(e));
}

} // namespace r1rt
