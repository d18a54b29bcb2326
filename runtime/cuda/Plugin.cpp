// libr1_cuda: NVIDIA GPUs behind r1_accelerator_api. Everything is done on one stream in the order of the
// calls, but for what a run copies in, which crosses on a stream of its own into device memory of the
// run, while runs before it compute; and for sums over ranks, on a third. A program is captured once as
// a graph and replayed.
#include "runtime/cuda/Driver.h"
#include "runtime/cuda/Matmul.h"
#include "runtime/cuda/TensorMap.h"
#include "runtime/device/Accelerator.h"
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

namespace {

using r1cuda::Driver;

/// A loaded kernel, or a product that the library does.
struct Function {
  const r1_kernel *kernel;
  CUfunction handle = nullptr;
  size_t args = 0; // that the machine code takes
  std::unique_ptr<r1cuda::Matmul> product = nullptr;

  /// "kernel norm_f (std/layers.r1:38:5)"
  std::string label() const {
    return "kernel " + std::string(kernel->name) +
           (kernel->place ? " (" + std::string(kernel->place) + ")" : "");
  }
};

struct Launch {
  Function *function; // null: a fill with zeros
  std::vector<CUdeviceptr> addresses;
  std::vector<CUtensorMap> maps;
  std::vector<void *> params; // into addresses and maps
  size_t bytes;
};

/// What belongs to one run that may be under way.
struct Slot {
  char *host = nullptr;    // pinned: what goes in, then what comes out
  CUdeviceptr staging = 0; // what goes in, on the device
  CUevent arrived = nullptr, done = nullptr;
};

struct Program {
  std::vector<Launch> launches;
  CUgraphExec graph = nullptr; // null: launched one by one
  std::vector<r1_accelerator_copy> in, out;
  uint64_t inBytes, outBytes;
  Slot slots[R1_ACCELERATOR_SLOTS];

  uint64_t outAt() const { return (inBytes + 255) / 256 * 256; }
};

struct Gpu {
  Driver driver;
  CUdevice id = 0;
  CUcontext context = nullptr;
  CUstream stream = nullptr, copies = nullptr;
  CUstream side = nullptr; // for what crosses between ranks; made when asked for
  CUevent programsDone = nullptr, sideDone = nullptr;
  r1_accelerator_info info = {};
  std::vector<CUdeviceptr> memory;
  std::vector<CUmodule> modules;
  std::unique_ptr<r1cuda::CublasLt> lt;
  std::vector<std::unique_ptr<Function>> functions;
  std::vector<std::unique_ptr<Program>> programs;
  std::vector<CUevent> clocks;
  /// Host memory that copies go through, so that they do not wait and the caller's memory is its own.
  char *staging = nullptr;
  size_t staged = 0;
  bool sync = false, graphs = true;
  std::string wrong;
};

constexpr size_t kStaging = size_t(32) << 20;

Gpu &gpu(void *device) { return *static_cast<Gpu *>(device); }

/// Errors of kernels that had been launched before.
bool isLate(CUresult rc) {
  return rc == CUDA_ERROR_LAUNCH_FAILED || rc == CUDA_ERROR_LAUNCH_TIMEOUT ||
         rc == CUDA_ERROR_ILLEGAL_ADDRESS || rc == CUDA_ERROR_MISALIGNED_ADDRESS ||
         rc == CUDA_ERROR_ILLEGAL_INSTRUCTION || rc == CUDA_ERROR_INVALID_PC ||
         rc == CUDA_ERROR_INVALID_ADDRESS_SPACE || rc == CUDA_ERROR_HARDWARE_STACK_ERROR ||
         rc == CUDA_ERROR_ASSERT;
}

/// Null if all is well, else what the driver says about `call`. `of`: whose launch it was.
const char *failed(Gpu &g, CUresult rc, const char *call, const Function *of = nullptr) {
  if (rc == CUDA_SUCCESS)
    return nullptr;
  const char *name = nullptr, *text = nullptr;
  g.driver.cuGetErrorName(rc, &name);
  g.driver.cuGetErrorString(rc, &text);
  g.wrong = of ? of->label() + ": " : "";
  g.wrong += std::string(call, std::strcspn(call, "(")) + ": " + (text ? text : "unknown") + " (" +
             (name ? name : "?") + ")";
  if (isLate(rc) && !g.sync)
    g.wrong += "\nhelp: a kernel that was launched before has failed; with R1_SYNC=1 in the environment "
               "each one is waited for, and the message names it";
  return g.wrong.c_str();
}

const char *failed(Gpu &g, const std::string &wrong, const Function &of) {
  if (wrong.empty())
    return nullptr;
  g.wrong = of.label() + ": " + wrong;
  return g.wrong.c_str();
}

#define R1_TRY_CU(call)                                                                            \
  do {                                                                                             \
    if (const char *wrong = failed(g, g.driver.call, #call))                                       \
      return wrong;                                                                                \
  } while (0)
#define R1_TRY_TEXT(call)                                                                          \
  do {                                                                                             \
    if (const char *wrong = call)                                                                  \
      return wrong;                                                                                \
  } while (0)

void freeProgram(Gpu &g, Program &p) {
  if (p.graph)
    g.driver.cuGraphExecDestroy(p.graph);
  for (Slot &s : p.slots) {
    for (CUevent e : {s.arrived, s.done})
      if (e)
        g.driver.cuEventDestroy(e);
    if (s.host)
      g.driver.cuMemFreeHost(s.host);
  }
}

void close(void *device) {
  Gpu &g = gpu(device);
  if (g.context) {
    g.driver.cuCtxSetCurrent(g.context);
    for (CUstream s : {g.copies, g.side, g.stream})
      if (s)
        g.driver.cuStreamSynchronize(s);
    for (auto &p : g.programs)
      freeProgram(g, *p);
    for (CUevent e : g.clocks)
      g.driver.cuEventDestroy(e);
    for (CUevent e : {g.programsDone, g.sideDone})
      if (e)
        g.driver.cuEventDestroy(e);
    g.functions.clear(); // products before their library
    g.lt.reset();
    for (CUmodule m : g.modules)
      g.driver.cuModuleUnload(m);
    for (CUdeviceptr p : g.memory)
      g.driver.cuMemFree(p);
    if (g.staging)
      g.driver.cuMemFreeHost(g.staging);
    for (CUstream s : {g.copies, g.side, g.stream})
      if (s)
        g.driver.cuStreamDestroy(s);
    g.driver.cuDevicePrimaryCtxRelease(g.id);
  }
  delete &g;
}

const char *start(Gpu &g, int32_t index) {
  g.sync = std::getenv("R1_SYNC");
  g.graphs = !g.sync && !std::getenv("R1_NO_GRAPH");
  if (const char *wrong = g.driver.open())
    return wrong;
  int count = 0, major = 0, minor = 0;
  R1_TRY_CU(cuDeviceGetCount(&count));
  if (index >= count) {
    g.wrong = "device " + std::to_string(index) + " (counted from 0) was asked for, and this machine has " +
              std::to_string(count) +
              "\nhelp: each rank takes a GPU of its own; start as many on a machine as it has GPUs";
    return g.wrong.c_str();
  }
  R1_TRY_CU(cuDeviceGet(&g.id, index));
  R1_TRY_CU(cuDeviceGetName(g.info.name, sizeof g.info.name, g.id));
  R1_TRY_CU(cuDeviceGetAttribute(&major, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, g.id));
  R1_TRY_CU(cuDeviceGetAttribute(&minor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, g.id));
  R1_TRY_CU(cuDeviceGetAttribute(&g.info.processors, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, g.id));
  if (major < 8) { // maxima with NaN, copies into shared memory, bf16
    g.wrong = std::string(g.info.name) + " has compute capability " + std::to_string(major) + "." +
              std::to_string(minor) + "; kernels need 8.0 or newer\nhelp: leave --target out to run on the CPU";
    return g.wrong.c_str();
  }
  // The features of one architecture alone (wgmma) have a letter.
  std::snprintf(g.info.arch, sizeof g.info.arch, "sm_%d%d%s", major, minor,
                major == 9 && minor == 0 ? "a" : "");
  R1_TRY_CU(cuDevicePrimaryCtxRetain(&g.context, g.id));
  R1_TRY_CU(cuCtxSetCurrent(g.context));
  R1_TRY_CU(cuStreamCreate(&g.stream, CU_STREAM_NON_BLOCKING));
  R1_TRY_CU(cuStreamCreate(&g.copies, CU_STREAM_NON_BLOCKING));
  void *staging = nullptr;
  R1_TRY_CU(cuMemHostAlloc(&staging, kStaging, 0));
  g.staging = static_cast<char *>(staging);
  return nullptr;
}

const char *open(int32_t index, void **device) {
  auto *g = new Gpu;
  if (const char *wrong = start(*g, index)) {
    static thread_local std::string why;
    why = wrong;
    close(g);
    return why.c_str();
  }
  *device = g;
  return nullptr;
}

const char *info(void *device, r1_accelerator_info *out) {
  Gpu &g = gpu(device);
  size_t free = 0, total = 0;
  R1_TRY_CU(cuMemGetInfo(&free, &total));
  g.info.free_bytes = free, g.info.total_bytes = total;
  *out = g.info;
  return nullptr;
}

const char *alloc(void *device, uint64_t bytes, uint64_t *address) {
  Gpu &g = gpu(device);
  CUdeviceptr p = 0;
  R1_TRY_CU(cuMemAlloc(&p, bytes));
  g.memory.push_back(p);
  R1_TRY_CU(cuMemsetD8Async(p, 0, bytes, g.stream));
  *address = p;
  return nullptr;
}

const char *wait(void *device) {
  Gpu &g = gpu(device);
  R1_TRY_CU(cuStreamSynchronize(g.stream));
  g.staged = 0;
  return nullptr;
}

const char *copyIn(void *device, uint64_t to, const void *from, uint64_t bytes) {
  Gpu &g = gpu(device);
  for (uint64_t done = 0; done < bytes;) {
    if (g.staged == kStaging)
      R1_TRY_TEXT(wait(device));
    size_t n = std::min<uint64_t>(bytes - done, kStaging - g.staged);
    std::memcpy(g.staging + g.staged, static_cast<const char *>(from) + done, n);
    R1_TRY_CU(cuMemcpyHtoDAsync(to + done, g.staging + g.staged, n, g.stream));
    g.staged = std::min(kStaging, (g.staged + n + 255) / 256 * 256);
    done += n;
  }
  return nullptr;
}

const char *copyOut(void *device, void *to, uint64_t from, uint64_t bytes) {
  Gpu &g = gpu(device);
  R1_TRY_TEXT(wait(device));
  for (uint64_t done = 0; done < bytes;) {
    size_t n = std::min<uint64_t>(bytes - done, kStaging);
    R1_TRY_CU(cuMemcpyDtoHAsync(g.staging, from + done, n, g.stream));
    R1_TRY_CU(cuStreamSynchronize(g.stream));
    std::memcpy(static_cast<char *>(to) + done, g.staging, n);
    done += n;
  }
  return nullptr;
}

const char *loadProduct(Gpu &g, Function &f) {
  if (!g.lt) {
    auto lt = std::make_unique<r1cuda::CublasLt>();
    R1_TRY_TEXT(failed(g, lt->open(), f));
    R1_TRY_CU(cuMemAlloc(&lt->workspace, r1cuda::CublasLt::workspaceBytes));
    g.memory.push_back(lt->workspace);
    g.lt = std::move(lt);
  }
  f.product = std::make_unique<r1cuda::Matmul>(*g.lt);
  return failed(g, f.product->make(*f.kernel->product), f);
}

const char *loadCode(Gpu &g, Function &f) {
  CUmodule module = nullptr;
  R1_TRY_TEXT(failed(g, g.driver.cuModuleLoadData(&module, f.kernel->image), "cuModuleLoadData", &f));
  g.modules.push_back(module);
  R1_TRY_TEXT(failed(g, g.driver.cuModuleGetFunction(&f.handle, module, f.kernel->entry),
                     "cuModuleGetFunction", &f));
  for (size_t offset, size; g.driver.cuFuncGetParamInfo(f.handle, f.args, &offset, &size) == CUDA_SUCCESS;)
    ++f.args;
  if (f.kernel->shared_bytes) // what is more than 48 KB has to be asked for
    R1_TRY_TEXT(failed(g,
                       g.driver.cuFuncSetAttribute(f.handle, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES,
                                                   static_cast<int>(f.kernel->shared_bytes)),
                       "cuFuncSetAttribute", &f));
  return nullptr;
}

const char *load(void *device, const r1_kernel *kernel, const void **function) {
  Gpu &g = gpu(device);
  Function &f = *g.functions.emplace_back(std::make_unique<Function>(Function{kernel}));
  *function = &f;
  if (kernel->product)
    return loadProduct(g, f);
  if (kernel->image)
    return loadCode(g, f);
  return failed(g, "it has no code for a GPU", f);
}

const char *issue(Gpu &g, Launch &l, CUstream stream) {
  if (!l.function) {
    R1_TRY_CU(cuMemsetD8Async(l.addresses[0], 0, l.bytes, stream));
    return nullptr;
  }
  Function &f = *l.function;
  if (f.product)
    R1_TRY_TEXT(failed(g, f.product->issue(l.addresses.data(), stream), f));
  else
    R1_TRY_TEXT(failed(g,
                       g.driver.cuLaunchKernel(f.handle, f.kernel->blocks, 1, 1, f.kernel->block_threads,
                                               1, 1, f.kernel->shared_bytes, stream, l.params.data(),
                                               nullptr),
                       "cuLaunchKernel", &f));
  return g.sync ? failed(g, g.driver.cuStreamSynchronize(stream), "cuStreamSynchronize", &f) : nullptr;
}

const char *issueAll(Gpu &g, Program &p) {
  for (Launch &l : p.launches)
    R1_TRY_TEXT(issue(g, l, g.stream));
  return nullptr;
}

const char *capture(Gpu &g, Program &p) {
  CUgraph graph = nullptr;
  // Relaxed: the first use of a product's algorithm may load a module.
  R1_TRY_CU(cuStreamBeginCapture(g.stream, CU_STREAM_CAPTURE_MODE_RELAXED));
  const char *wrong = issueAll(g, p);
  CUresult ended = g.driver.cuStreamEndCapture(g.stream, &graph);
  if (wrong) {
    if (graph)
      g.driver.cuGraphDestroy(graph);
    return wrong;
  }
  R1_TRY_TEXT(failed(g, ended, "cuStreamEndCapture"));
  CUresult rc = g.driver.cuGraphInstantiate(&p.graph, graph, 0);
  g.driver.cuGraphDestroy(graph);
  return failed(g, rc, "cuGraphInstantiate");
}

const char *program(void *device, const r1_accelerator_program *what, void **made) {
  Gpu &g = gpu(device);
  Program &p = *g.programs.emplace_back(std::make_unique<Program>());
  *made = &p;
  p.in.assign(what->in, what->in + what->n_in);
  p.out.assign(what->out, what->out + what->n_out);
  p.inBytes = what->in_bytes, p.outBytes = what->out_bytes;
  for (uint64_t i = 0; i < what->n_ops; ++i) {
    const r1_accelerator_op &op = what->ops[i];
    auto *f = static_cast<Function *>(const_cast<void *>(op.function));
    uint32_t maps = f && f->handle ? f->kernel->n_maps : 0;
    if (f && f->handle && f->args != op.n_args + maps)
      return failed(g,
                    "its machine code takes " + std::to_string(f->args) + " arguments, and launch " +
                        std::to_string(i) + " of the program gives " + std::to_string(op.n_args + maps) +
                        "\nhelp: this is a mistake of r1c; --fresh STAGE after removing the folder "
                        "`kernels` of the store rules out files of another version",
                    *f);
    Launch &l = p.launches.emplace_back(
        Launch{f, {op.args, op.args + op.n_args}, std::vector<CUtensorMap>(maps), {}, op.bytes});
    for (uint32_t k = 0; k < maps; ++k) {
      const r1_tensor_map &map = f->kernel->maps[k];
      R1_TRY_TEXT(failed(g,
                         map.arg < op.n_args
                             ? r1cuda::encodeTensorMap(g.driver, map, l.addresses[map.arg], l.maps[k])
                             : "a tensor map of argument " + std::to_string(map.arg) + ", of " +
                                   std::to_string(op.n_args),
                         *f));
    }
  }
  for (Launch &l : p.launches) {
    for (CUdeviceptr &a : l.addresses)
      l.params.push_back(&a);
    for (CUtensorMap &m : l.maps)
      l.params.push_back(&m);
  }
  return g.graphs ? capture(g, p) : nullptr;
}

/// A slot gets its memory and events when it is first used.
const char *makeSlot(Gpu &g, Program &p, Slot &s) {
  if (s.host)
    return nullptr;
  void *host = nullptr;
  R1_TRY_CU(cuMemHostAlloc(&host, p.outAt() + p.outBytes + 1, 0));
  s.host = static_cast<char *>(host);
  R1_TRY_CU(cuEventCreate(&s.arrived, CU_EVENT_DISABLE_TIMING));
  R1_TRY_CU(cuEventCreate(&s.done, CU_EVENT_DISABLE_TIMING));
  if (p.inBytes) {
    R1_TRY_CU(cuMemAlloc(&s.staging, p.inBytes));
    g.memory.push_back(s.staging);
  }
  return nullptr;
}

const char *memory(void *device, void *made, uint32_t slot, void **in, const void **out) {
  Gpu &g = gpu(device);
  auto &p = *static_cast<Program *>(made);
  Slot &s = p.slots[slot];
  R1_TRY_TEXT(makeSlot(g, p, s));
  *in = s.host, *out = s.host + p.outAt();
  return nullptr;
}

/// What goes in, on its own stream. The slot's memory on both sides is free: its last run is finished.
const char *sendIn(Gpu &g, Program &p, Slot &s) {
  R1_TRY_TEXT(makeSlot(g, p, s));
  if (!p.inBytes)
    return nullptr;
  R1_TRY_CU(cuMemcpyHtoDAsync(s.staging, s.host, p.inBytes, g.copies));
  R1_TRY_CU(cuEventRecord(s.arrived, g.copies));
  R1_TRY_CU(cuStreamWaitEvent(g.stream, s.arrived, 0));
  for (const r1_accelerator_copy &c : p.in)
    R1_TRY_CU(cuMemcpyDtoDAsync(c.address, s.staging + c.at, c.bytes, g.stream));
  return nullptr;
}

const char *sendOut(Gpu &g, Program &p, Slot &s) {
  for (const r1_accelerator_copy &c : p.out)
    R1_TRY_CU(cuMemcpyDtoHAsync(s.host + p.outAt() + c.at, c.address, c.bytes, g.stream));
  R1_TRY_CU(cuEventRecord(s.done, g.stream));
  return nullptr;
}

const char *start(void *device, void *made, uint32_t slot) {
  Gpu &g = gpu(device);
  auto &p = *static_cast<Program *>(made);
  R1_TRY_TEXT(sendIn(g, p, p.slots[slot]));
  if (p.graph)
    R1_TRY_CU(cuGraphLaunch(p.graph, g.stream));
  else
    R1_TRY_TEXT(issueAll(g, p));
  return sendOut(g, p, p.slots[slot]);
}

const char *finish(void *device, void *made, uint32_t slot) {
  Gpu &g = gpu(device);
  R1_TRY_CU(cuEventSynchronize(static_cast<Program *>(made)->slots[slot].done));
  return nullptr;
}

const char *timed(void *device, void *made, uint32_t slot, double *seconds) {
  Gpu &g = gpu(device);
  auto &p = *static_cast<Program *>(made);
  while (g.clocks.size() <= p.launches.size()) {
    CUevent e = nullptr;
    R1_TRY_CU(cuEventCreate(&e, CU_EVENT_DEFAULT));
    g.clocks.push_back(e);
  }
  R1_TRY_TEXT(sendIn(g, p, p.slots[slot]));
  R1_TRY_CU(cuEventRecord(g.clocks[0], g.stream));
  for (size_t i = 0; i < p.launches.size(); ++i) {
    R1_TRY_TEXT(issue(g, p.launches[i], g.stream));
    R1_TRY_CU(cuEventRecord(g.clocks[i + 1], g.stream));
  }
  R1_TRY_TEXT(sendOut(g, p, p.slots[slot]));
  R1_TRY_TEXT(finish(device, made, slot));
  for (size_t i = 0; i < p.launches.size(); ++i) {
    float ms = 0;
    R1_TRY_CU(cuEventElapsedTime(&ms, g.clocks[i], g.clocks[i + 1]));
    seconds[i] += double(ms) / 1e3;
  }
  return nullptr;
}

const char *side(void *device, void **stream) {
  Gpu &g = gpu(device);
  if (!g.side) {
    R1_TRY_CU(cuStreamCreate(&g.side, CU_STREAM_NON_BLOCKING));
    R1_TRY_CU(cuEventCreate(&g.programsDone, CU_EVENT_DISABLE_TIMING));
    R1_TRY_CU(cuEventCreate(&g.sideDone, CU_EVENT_DISABLE_TIMING));
  }
  *stream = g.side;
  return nullptr;
}

const char *sideWaits(void *device) {
  Gpu &g = gpu(device);
  R1_TRY_CU(cuEventRecord(g.programsDone, g.stream));
  R1_TRY_CU(cuStreamWaitEvent(g.side, g.programsDone, 0));
  return nullptr;
}

const char *waitForSide(void *device) {
  Gpu &g = gpu(device);
  R1_TRY_CU(cuEventRecord(g.sideDone, g.side));
  R1_TRY_CU(cuStreamWaitEvent(g.stream, g.sideDone, 0));
  return nullptr;
}

const char *launchOnSide(void *device, const r1_accelerator_op *op) {
  Gpu &g = gpu(device);
  Launch l = {};
  l.function = static_cast<Function *>(const_cast<void *>(op->function));
  l.addresses.assign(op->args, op->args + op->n_args);
  l.bytes = op->bytes;
  for (CUdeviceptr &a : l.addresses)
    l.params.push_back(&a);
  return issue(g, l, g.side);
}

} // namespace

extern "C" __attribute__((visibility("default"))) const r1_accelerator_api *
r1_accelerator_get_api(void) {
  static const r1_accelerator_api api = {R1_ACCELERATOR_ABI, open, close,  info,    alloc,
                                         copyIn,             copyOut, load, program, memory,
                                         start,              finish,  timed, wait,    side,
                                         sideWaits,          waitForSide,    launchOnSide};
  return &api;
}
