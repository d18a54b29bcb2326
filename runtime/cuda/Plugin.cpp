// libr1_cuda: NVIDIA GPUs behind r1_accelerator_api. One stream, on which everything happens in the
// order of the calls; a program is captured once as a graph and replayed.
#include "runtime/cuda/Driver.h"
#include "runtime/device/Accelerator.h"
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

namespace {

using r1cuda::Driver;

struct Launch {
  CUfunction function; // null: a fill with zeros
  std::vector<CUdeviceptr> addresses;
  std::vector<void *> params; // into addresses
  unsigned blocks, threads;
  size_t bytes;
};

struct Program {
  std::vector<Launch> launches;
  CUgraphExec graph = nullptr; // null: launched one by one
};

struct Gpu {
  Driver driver;
  CUdevice id = 0;
  CUcontext context = nullptr;
  CUstream stream = nullptr;
  r1_accelerator_info info = {};
  std::vector<CUdeviceptr> memory;
  std::vector<CUmodule> modules;
  std::vector<Program *> programs;
  /// Host memory that copies go through, so that they do not wait and the caller's memory is its own.
  char *staging = nullptr;
  size_t staged = 0;
  std::string wrong;
};

constexpr size_t kStaging = size_t(32) << 20;

Gpu &gpu(void *device) { return *static_cast<Gpu *>(device); }

/// Null if all is well, else what the driver says about `call`.
const char *failed(Gpu &g, CUresult rc, const char *call) {
  if (rc == CUDA_SUCCESS)
    return nullptr;
  const char *name = nullptr, *text = nullptr;
  g.driver.cuGetErrorName(rc, &name);
  g.driver.cuGetErrorString(rc, &text);
  g.wrong = std::string(call) + ": " + (text ? text : "unknown") + " (" + (name ? name : "?") + ")";
  return g.wrong.c_str();
}

#define R1_TRY_CU(call)                                                                            \
  do {                                                                                             \
    if (const char *wrong = failed(g, g.driver.call, #call))                                       \
      return wrong;                                                                                \
  } while (0)

void close(void *device) {
  Gpu &g = gpu(device);
  if (g.context) {
    g.driver.cuCtxSetCurrent(g.context);
    if (g.stream)
      g.driver.cuStreamSynchronize(g.stream);
    for (Program *p : g.programs) {
      if (p->graph)
        g.driver.cuGraphExecDestroy(p->graph);
      delete p;
    }
    for (CUmodule m : g.modules)
      g.driver.cuModuleUnload(m);
    for (CUdeviceptr p : g.memory)
      g.driver.cuMemFree(p);
    if (g.staging)
      g.driver.cuMemFreeHost(g.staging);
    if (g.stream)
      g.driver.cuStreamDestroy(g.stream);
    g.driver.cuDevicePrimaryCtxRelease(g.id);
  }
  delete &g;
}

const char *start(Gpu &g, int32_t index) {
  if (const char *wrong = g.driver.open())
    return wrong;
  int count = 0, major = 0, minor = 0;
  R1_TRY_CU(cuDeviceGetCount(&count));
  if (index >= count) {
    g.wrong = "device " + std::to_string(index) + " was asked for, and this machine has " +
              std::to_string(count);
    return g.wrong.c_str();
  }
  R1_TRY_CU(cuDeviceGet(&g.id, index));
  R1_TRY_CU(cuDevicePrimaryCtxRetain(&g.context, g.id));
  R1_TRY_CU(cuCtxSetCurrent(g.context));
  R1_TRY_CU(cuStreamCreate(&g.stream, CU_STREAM_NON_BLOCKING));
  void *staging = nullptr;
  R1_TRY_CU(cuMemHostAlloc(&staging, kStaging, 0));
  g.staging = static_cast<char *>(staging);
  R1_TRY_CU(cuDeviceGetName(g.info.name, sizeof g.info.name, g.id));
  R1_TRY_CU(cuDeviceGetAttribute(&major, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, g.id));
  R1_TRY_CU(cuDeviceGetAttribute(&minor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, g.id));
  R1_TRY_CU(cuDeviceGetAttribute(&g.info.processors, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, g.id));
  if (major < 8) {
    g.wrong = std::string(g.info.name) + " has compute capability " + std::to_string(major) + "." +
              std::to_string(minor) + "; kernels need 8.0 or newer";
    return g.wrong.c_str();
  }
  // The features of one architecture alone (wgmma) have a letter.
  std::snprintf(g.info.arch, sizeof g.info.arch, "sm_%d%d%s", major, minor,
                major == 9 && minor == 0 ? "a" : "");
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
      if (const char *wrong = wait(device))
        return wrong;
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
  if (const char *wrong = wait(device))
    return wrong;
  for (uint64_t done = 0; done < bytes;) {
    size_t n = std::min<uint64_t>(bytes - done, kStaging);
    R1_TRY_CU(cuMemcpyDtoHAsync(g.staging, from + done, n, g.stream));
    R1_TRY_CU(cuStreamSynchronize(g.stream));
    std::memcpy(static_cast<char *>(to) + done, g.staging, n);
    done += n;
  }
  return nullptr;
}

const char *load(void *device, const r1_kernel *kernel, const void **function) {
  Gpu &g = gpu(device);
  CUmodule module = nullptr;
  CUfunction f = nullptr;
  R1_TRY_CU(cuModuleLoadData(&module, kernel->image));
  g.modules.push_back(module);
  R1_TRY_CU(cuModuleGetFunction(&f, module, kernel->entry));
  *function = f;
  return nullptr;
}

const char *issue(Gpu &g, Launch &l) {
  if (!l.function) {
    R1_TRY_CU(cuMemsetD8Async(l.addresses[0], 0, l.bytes, g.stream));
    return nullptr;
  }
  R1_TRY_CU(cuLaunchKernel(l.function, l.blocks, 1, 1, l.threads, 1, 1, 0, g.stream,
                           l.params.data(), nullptr));
  return nullptr;
}

const char *issueAll(Gpu &g, Program &p) {
  for (Launch &l : p.launches)
    if (const char *wrong = issue(g, l))
      return wrong;
  return nullptr;
}

const char *program(void *device, const r1_accelerator_op *ops, uint64_t count, void **made) {
  Gpu &g = gpu(device);
  auto *p = new Program;
  g.programs.push_back(p);
  for (uint64_t i = 0; i < count; ++i) {
    Launch l = {static_cast<CUfunction>(const_cast<void *>(ops[i].function)),
                {ops[i].args, ops[i].args + ops[i].n_args}, {}, ops[i].blocks, ops[i].threads,
                ops[i].bytes};
    p->launches.push_back(std::move(l));
  }
  for (Launch &l : p->launches)
    for (CUdeviceptr &a : l.addresses)
      l.params.push_back(&a);
  *made = p;
  if (std::getenv("R1_NO_GRAPH"))
    return nullptr;
  CUgraph graph = nullptr;
  R1_TRY_CU(cuStreamBeginCapture(g.stream, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
  const char *wrong = issueAll(g, *p);
  CUresult ended = g.driver.cuStreamEndCapture(g.stream, &graph);
  if (wrong)
    return wrong;
  if (const char *why = failed(g, ended, "cuStreamEndCapture"))
    return why;
  CUresult rc = g.driver.cuGraphInstantiate(&p->graph, graph, 0);
  g.driver.cuGraphDestroy(graph);
  return failed(g, rc, "cuGraphInstantiate");
}

const char *run(void *device, void *made) {
  Gpu &g = gpu(device);
  auto *p = static_cast<Program *>(made);
  if (!p->graph)
    return issueAll(g, *p);
  R1_TRY_CU(cuGraphLaunch(p->graph, g.stream));
  return nullptr;
}

} // namespace

extern "C" __attribute__((visibility("default"))) const r1_accelerator_api *
r1_accelerator_get_api(void) {
  static const r1_accelerator_api api = {R1_ACCELERATOR_ABI, open, close,   info, alloc, copyIn,
                                         copyOut,            load, program, run,  wait};
  return &api;
}
