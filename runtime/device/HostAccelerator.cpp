// The host in the role of a GPU: device memory that only copies reach, programs of emulated kernels.
#include "runtime/device/Accelerator.h"
#include "runtime/device/Device.h"
#include <chrono>
#include <cstdio>
#include <cstring>
#include <unistd.h>

namespace r1rt {
namespace {

struct Host {
  std::unique_ptr<Device> cpu;
  std::vector<Arena> memory;
  std::string wrong;
  struct Op {
    r1_kernel_fn fn;
    std::vector<void *> args;
    uint64_t bytes;
  };
  struct Program {
    std::vector<Op> ops;
    std::vector<r1_accelerator_copy> in, out;
    struct Slot {
      std::vector<char> in, out;
    } slots[R1_ACCELERATOR_SLOTS];
  };
  std::vector<std::unique_ptr<Program>> programs;
};
Host::Program &programOf(void *made) { return *static_cast<Host::Program *>(made); }
Host &host(void *device) { return *static_cast<Host *>(device); }
void *pointer(uint64_t address) { return reinterpret_cast<void *>(address); }

const char *openHost(int32_t, void **device) {
  auto cpu = Device::createCpu();
  static thread_local std::string why;
  if (!cpu)
    return (why = cpu.status().message()).c_str();
  auto *h = new Host;
  h->cpu = std::move(*cpu);
  *device = h;
  return nullptr;
}

const char *info(void *, r1_accelerator_info *info) {
  std::snprintf(info->name, sizeof info->name, "emulated device");
  std::snprintf(info->arch, sizeof info->arch, "emu");
  uint64_t page = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  info->total_bytes = page * static_cast<uint64_t>(sysconf(_SC_PHYS_PAGES));
  info->free_bytes = info->total_bytes;
  info->processors = 1;
  return nullptr;
}

const char *alloc(void *device, uint64_t bytes, uint64_t *address) {
  Host &h = host(device);
  auto arena = Arena::create(bytes);
  if (!arena)
    return (h.wrong = arena.status().message()).c_str();
  h.memory.push_back(std::move(*arena));
  *address = reinterpret_cast<uint64_t>(h.memory.back().data());
  return nullptr;
}

const char *copyIn(void *, uint64_t to, const void *from, uint64_t bytes) {
  std::memcpy(pointer(to), from, bytes);
  return nullptr;
}
const char *copyOut(void *, void *to, uint64_t from, uint64_t bytes) {
  std::memcpy(to, pointer(from), bytes);
  return nullptr;
}

const char *load(void *device, const r1_kernel *kernel, const void **function) {
  if (!kernel->fn) {
    Host &h = host(device);
    h.wrong = std::string("kernel ") + kernel->name + ": it has no code for the host";
    return h.wrong.c_str();
  }
  *function = reinterpret_cast<const void *>(kernel->fn);
  return nullptr;
}

const char *program(void *device, const r1_accelerator_program *what, void **made) {
  auto p = std::make_unique<Host::Program>();
  p->in.assign(what->in, what->in + what->n_in);
  p->out.assign(what->out, what->out + what->n_out);
  for (Host::Program::Slot &s : p->slots)
    s.in.resize(what->in_bytes), s.out.resize(what->out_bytes);
  for (uint64_t i = 0; i < what->n_ops; ++i) {
    const r1_accelerator_op &o = what->ops[i];
    Host::Op op = {reinterpret_cast<r1_kernel_fn>(const_cast<void *>(o.function)), {}, o.bytes};
    for (uint32_t a = 0; a < o.n_args; ++a)
      op.args.push_back(pointer(o.args[a]));
    p->ops.push_back(std::move(op));
  }
  *made = p.get();
  host(device).programs.push_back(std::move(p));
  return nullptr;
}

const char *memory(void *, void *made, uint32_t slot, void **in, const void **out) {
  Host::Program::Slot &s = programOf(made).slots[slot];
  *in = s.in.data(), *out = s.out.data();
  return nullptr;
}

void runOne(Host &h, Host::Op &op) {
  if (!op.fn) {
    std::memset(op.args[0], 0, op.bytes);
    return;
  }
  struct Call {
    Host::Op &op;
    int threads;
  } call{op, h.cpu->threads()};
  h.cpu->parallel(
      [](void *c, int tid) {
        auto &call = *static_cast<Call *>(c);
        call.op.fn(call.op.args.data(), nullptr, tid, call.threads);
      },
      &call);
}

/// All at once; with `seconds`, what each op takes is added there.
void runAll(Host &h, Host::Program &p, uint32_t slot, double *seconds) {
  using Clock = std::chrono::steady_clock;
  Host::Program::Slot &s = p.slots[slot];
  for (const r1_accelerator_copy &c : p.in)
    std::memcpy(pointer(c.address), s.in.data() + c.at, c.bytes);
  for (size_t i = 0; i < p.ops.size(); ++i) {
    auto begin = Clock::now();
    runOne(h, p.ops[i]);
    if (seconds)
      seconds[i] += std::chrono::duration<double>(Clock::now() - begin).count();
  }
  for (const r1_accelerator_copy &c : p.out)
    std::memcpy(s.out.data() + c.at, pointer(c.address), c.bytes);
}

const char *start(void *device, void *made, uint32_t slot) {
  runAll(host(device), programOf(made), slot, nullptr);
  return nullptr;
}
const char *finish(void *, void *, uint32_t) { return nullptr; }
const char *timed(void *device, void *made, uint32_t slot, double *seconds) {
  runAll(host(device), programOf(made), slot, seconds);
  return nullptr;
}

const char *wait(void *) { return nullptr; }

const char *side(void *, void **stream) {
  *stream = nullptr;
  return nullptr;
}
const char *launchOnSide(void *device, const r1_accelerator_op *o) {
  Host::Op op = {reinterpret_cast<r1_kernel_fn>(const_cast<void *>(o->function)), {}, o->bytes};
  for (uint32_t a = 0; a < o->n_args; ++a)
    op.args.push_back(pointer(o->args[a]));
  runOne(host(device), op);
  return nullptr;
}
void close(void *device) { delete &host(device); }

} // namespace

const r1_accelerator_api *hostAccelerator() {
  static const r1_accelerator_api api = {R1_ACCELERATOR_ABI, openHost, close,  info,  alloc,
                                         copyIn,             copyOut,  load,   program, memory,
                                         start,              finish,   timed,  wait,    side,
                                         wait,               wait,     launchOnSide};
  return &api;
}

} // namespace r1rt
