#include "runtime/device/Executor.h"
#include "runtime/device/Shards.h"
#include <algorithm>
#include <bit>
#include <chrono>
#include <cstring>
#include <map>

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

static bool hasCode(const r1_kernel &k, bool elsewhere) {
  return k.fn || (elsewhere && (k.image || k.product));
}

/// The loop over rows and its sums; that loops match is known.
static Status checkRows(const r1_module &m, const r1_program &p, const std::string &name) {
  auto broken = [&](const std::string &what) {
    return Status::error("the compiled module is broken: program `" + name + "` " + what);
  };
  int depth = 0, before = 0;
  uint32_t end = p.rows_begin;
  if (p.rows_begin >= p.n_ops || p.ops[p.rows_begin].kind != R1_OP_LOOP)
    return broken("has sums over rows without a loop over rows");
  for (uint32_t i = 0; i < p.rows_begin; ++i)
    before += (p.ops[i].kind == R1_OP_LOOP) - (p.ops[i].kind == R1_OP_END);
  do
    depth += (p.ops[end].kind == R1_OP_LOOP) - (p.ops[end].kind == R1_OP_END);
  while (depth && ++end < p.n_ops);
  uint64_t turns = p.ops[p.rows_begin].count, shards = std::max<uint32_t>(m.shards, 1);
  if (before || end != p.rows_end)
    return broken("has a loop over rows that lies in another one or ends elsewhere than it says");
  if (turns < shards || turns % shards)
    return broken("has " + std::to_string(turns) + " turns over rows for " + std::to_string(shards) +
                  " shards");
  for (uint32_t i = 0; i < p.n_partials; ++i) {
    const r1_region &r = p.partials[i];
    if (r.offset % 4 || r.bytes % 4 || r.bytes > m.arena_bytes || r.offset > m.arena_bytes - r.bytes)
      return broken("has a sum over rows outside of the arena or unaligned");
  }
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
      if (op.kernel >= m.n_kernels || !hasCode(m.kernels[op.kernel], elsewhere))
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
  if (p.n_partials)
    R1RT_TRY(checkRows(m, p, name));
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

uint64_t shardBytes(const r1_module &module, int ranks) {
  return treeLevels(module, ranks) * levelBytes(module);
}

namespace {

/// Bytes from which sums over ranks are worth a message: small enough for the first to be under way
/// early in the backward pass, large enough for the latency of a message not to matter.
constexpr uint64_t kBucketBytes = 4 << 20;

/// Runs programs with the threads of the CPU, in the arena that the host sees.
class CpuExecutor final : public Executor {
public:
  CpuExecutor(Device &d, const r1_module &m, Ranks *ranks) : Executor(d, m), ranks(ranks) {}
  Status prepare();
  Status run(const r1_program &p) override;

private:
  /// Ops from `from` to `to`, of the loop over rows only the turns from `turn` to `last`.
  struct Part {
    uint32_t from, to;
    uint64_t turn, last;
    const std::vector<Bucket> *sums = nullptr; // to complete on the way, in the last turn
  };
  void walk(const r1_program &p, const Part &part, int tid);
  void runPart(const r1_program &p, const Part &part);
  Status runShards(const r1_program &p);
  void joinTree(const std::vector<Piece> &pieces, unsigned shard, int tid);

  Ranks *ranks;            // null: one
  std::vector<Arena> tree; // sums of earlier shards, one for each level
  std::map<const r1_program *, std::vector<Bucket>> buckets; // of programs with sums over rows
  std::vector<uint64_t> underWay;                            // handles of sums over ranks
  Arena scratch;
  uint64_t scratchStride = 0;
  std::vector<void *> pointers; // threads × pointerStride: the arguments of a launch
  uint64_t pointerStride = 0;
  const r1_program *current = nullptr;
  Part part = {};
};

} // namespace

Result<std::unique_ptr<Executor>> Executor::create(Device &device, const r1_module &module,
                                                   Accelerator *accelerator, Ranks *ranks) {
  if (ranks && ranks->size() == 1)
    ranks = nullptr;
  uint32_t shards = std::max<uint32_t>(module.shards, 1);
  if (ranks && shards % uint32_t(ranks->size()))
    return Status::error(std::to_string(ranks->size()) + " ranks share " + std::to_string(shards) +
                             (shards == 1 ? " shard" : " shards") +
                             "; device(shards = …) has to be a multiple of the ranks",
                         ExitClass::commandLine);
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
    return createDeviceExecutor(device, module, *accelerator, ranks);
  auto e = std::make_unique<CpuExecutor>(device, module, ranks);
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
  for (uint32_t i = 0; i < mod.n_programs; ++i)
    if (mod.programs[i].n_partials)
      buckets[&mod.programs[i]] = bucketsOf(mod.programs[i], kBucketBytes);
  for (unsigned l = treeLevels(mod, ranks ? ranks->size() : 1); l > 0; --l) {
    R1RT_ASSIGN(Arena level, Arena::create(levelBytes(mod)));
    tree.push_back(std::move(level));
  }
  return Status::ok();
}

const r1_program *Executor::program(std::string_view name) const {
  for (uint32_t i = 0; i < mod.n_programs; ++i)
    if (name == mod.programs[i].name)
      return &mod.programs[i];
  return nullptr;
}

void CpuExecutor::walk(const r1_program &p, const Part &part, int tid) {
  void **args = pointers.data() + pointerStride * tid;
  char *base = memory.data();
  char *mine = scratch.data() + scratchStride * tid;
  const int64_t threads = dev.threads();
  uint64_t counter[2] = {0, 0};
  uint32_t begin[2] = {0, 0};
  int depth = 0;
  size_t complete = 0; // buckets
  auto address = [&](const r1_arg &a) {
    return base + a.offset + counter[0] * a.stride0 + counter[1] * a.stride1;
  };
  for (uint32_t i = part.from; i < part.to; ++i) {
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
      counter[depth++] = p.n_partials && i == p.rows_begin ? part.turn : 0;
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
      if (++counter[depth - 1] < (p.n_partials && i == p.rows_end ? part.last
                                                                  : p.ops[begin[depth - 1]].count))
        i = begin[depth - 1];
      else
        counter[--depth] = 0;
      break;
    }
    // Every thread is past the op: there was a barrier.
    while (part.sums && depth == 1 && counter[0] + 1 == part.last && complete < part.sums->size() &&
           (*part.sums)[complete].after == i) {
      const Bucket &b = (*part.sums)[complete++];
      if (!tree.empty()) {
        joinTree(b.pieces, unsigned(1 << tree.size()) - 1, tid);
        dev.barrier();
      }
      for (const Piece &x : b.pieces)
        if (ranks && tid == 0)
          underWay.push_back(ranks->startSum(reinterpret_cast<float *>(base + x.offset), x.bytes / 4));
    }
  }
}

void CpuExecutor::runPart(const r1_program &p, const Part &which) {
  if (which.from == which.to)
    return;
  current = &p;
  part = which;
  dev.parallel(
      [](void *self, int tid) {
        auto *e = static_cast<CpuExecutor *>(self);
        e->walk(*e->current, e->part, tid);
      },
      this);
}

Status CpuExecutor::run(const r1_program &p) {
  if (p.n_partials && (mod.shards > 1 || ranks)) {
    R1RT_TRY(runShards(p));
    return faulted(p);
  }
  runPart(p, {0, p.n_ops, 0, p.n_partials ? p.ops[p.rows_begin].count : 0});
  return faulted(p);
}

/// Shard by shard, each from zero; their sums meet in a tree over shards, then over ranks. While the
/// last shard still computes, the sums it has completed are already on their way to other ranks.
Status CpuExecutor::runShards(const r1_program &p) {
  uint64_t turns = p.ops[p.rows_begin].count / std::max<uint32_t>(mod.shards, 1);
  uint64_t local = localShards(mod, ranks ? ranks->size() : 1);
  uint64_t first = ranks ? local * uint64_t(ranks->rank()) : 0;
  const std::vector<Bucket> &sums = buckets.at(&p);
  runPart(p, {0, p.rows_begin, 0, 0});
  for (uint64_t s = 0; s < local; ++s) {
    for (uint32_t i = 0; s && i < p.n_partials; ++i)
      std::memset(memory.data() + p.partials[i].offset, 0, p.partials[i].bytes);
    uint64_t turn = (first + s) * turns;
    bool last = s + 1 == local;
    runPart(p, {p.rows_begin, p.rows_end + 1, turn, turn + turns, last ? &sums : nullptr});
    struct Job {
      CpuExecutor &e;
      const std::vector<Bucket> &sums;
      unsigned shard;
    } job{*this, sums, unsigned(s)};
    if (!last)
      dev.parallel(
          [](void *context, int tid) {
            auto &[e, sums, shard] = *static_cast<Job *>(context);
            for (const Bucket &b : sums)
              e.joinTree(b.pieces, shard, tid);
          },
          &job);
  }
  // What follows begins with the length of the whole gradient or changes all weights at once, so there
  // is nothing to gain from waiting for one sum at a time.
  Status broken;
  for (uint64_t handle : underWay)
    if (Status st = ranks->finishSum(handle); !st && broken)
      broken = st;
  underWay.clear();
  R1RT_TRY(broken);
  runPart(p, {p.rows_end + 1, p.n_ops, 0, 0});
  return Status::ok();
}

/// Thread `tid`'s part of this: the sums of shard number `shard` of this rank join those of the shards
/// before it. It is a counter in binary, whose digits are the sums of 1, 2, 4, … shards.
void CpuExecutor::joinTree(const std::vector<Piece> &pieces, unsigned shard, int tid) {
  unsigned carries = unsigned(std::countr_one(shard));
  for (const Piece &piece : pieces) {
    uint64_t n = piece.bytes / 4, threads = uint64_t(dev.threads());
    uint64_t from = n * uint64_t(tid) / threads, to = n * uint64_t(tid + 1) / threads;
    auto *x = reinterpret_cast<float *>(memory.data() + piece.offset);
    auto digit = [&](unsigned l) { return reinterpret_cast<float *>(tree[l].data() + piece.at); };
    for (unsigned l = 0; l < carries; ++l)
      for (uint64_t k = from; k < to; ++k)
        x[k] = digit(l)[k] + x[k];
    if (carries < tree.size())
      std::memcpy(digit(carries) + from, x + from, (to - from) * 4);
  }
}

} // namespace r1rt
