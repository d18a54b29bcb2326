// The host in the role of a GPU: device memory that only copies reach, programs of emulated kernels.
#include "runtime/device/Accelerator.h"
#include "runtime/device/Device.h"
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
  std::vector<std::unique_ptr<std::vector<Op>>> programs;
};
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

const char *load(void *, const r1_kernel *kernel, const void **function) {
  if (!kernel->fn)
    return "it has no code for the host";
  *function = reinterpret_cast<const void *>(kernel->fn);
  return nullptr;
}

const char *program(void *device, const r1_accelerator_op *ops, uint64_t count, void **made) {
  auto list = std::make_unique<std::vector<Host::Op>>();
  for (uint64_t i = 0; i < count; ++i) {
    Host::Op op = {reinterpret_cast<r1_kernel_fn>(const_cast<void *>(ops[i].function)), {},
                   ops[i].bytes};
    for (uint32_t a = 0; a < ops[i].n_args; ++a)
      op.args.push_back(pointer(ops[i].args[a]));
    list->push_back(std::move(op));
  }
  *made = list.get();
  host(device).programs.push_back(std::move(list));
  return nullptr;
}

const char *run(void *device, void *program) {
  Host &h = host(device);
  for (Host::Op &op : *static_cast<std::vector<Host::Op> *>(program)) {
    if (!op.fn) {
      std::memset(op.args[0], 0, op.bytes);
      continue;
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
  return nullptr;
}

const char *wait(void *) { return nullptr; }
void close(void *device) { delete &host(device); }

} // namespace

const r1_accelerator_api *hostAccelerator() {
  static const r1_accelerator_api api = {R1_ACCELERATOR_ABI, openHost, close,   info, alloc, copyIn,
                                         copyOut,            load,     program, run,  wait};
  return &api;
}

} // namespace r1rt
