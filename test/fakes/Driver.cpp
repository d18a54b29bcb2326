// libcuda.so.1 without NVIDIA: the driver's functions that runtime/cuda calls, over a model of streams
// and memory (Model.h) and emulated kernels (Kernels.h).
#include "test/fakes/Kernels.h"
#include "test/fakes/Model.h"
#include <csignal>
#include <cstring>
#include <mutex>

using namespace fake;

namespace {

std::mutex mutex;
std::unique_ptr<Gpu> gpu; // while the primary context is retained
thread_local bool current = false;
thread_local Wrong last; // what cuGetErrorString tells of its code

struct {
} contextHandle;
CUdevice ordinal = 0; // of the context
std::map<void *, std::unique_ptr<Module>> modules;

CUresult say(const Wrong &w) {
  last = w;
  return w.code;
}

/// Kernels fail when they run; then everything after fails.
void lose(const Wrong &w) { gpu->lost = std::make_unique<Wrong>(w); }

/// A call that needs the context: `body` throws what is wrong.
template <class F> CUresult inContext(F body) {
  std::lock_guard lock(mutex);
  if (!gpu || !current)
    return say({CUDA_ERROR_INVALID_CONTEXT, "no context is current in this thread"});
  if (gpu->lost)
    return say(*gpu->lost);
  try {
    gpu->queue.tick();
    body();
    return CUDA_SUCCESS;
  } catch (const Wrong &w) {
    // What goes wrong when work is done, not when it is asked for, is there for good.
    if (w.code == CUDA_ERROR_ILLEGAL_ADDRESS)
      lose(w);
    return say(w);
  }
}

Stream &stream(CUstream s) { return get(gpu->streams, s, "stream"); }
Event &event(CUevent e) { return get(gpu->events, e, "event"); }

std::string bytesText(size_t n) { return std::to_string(n) + " bytes"; }

} // namespace

#define R1_FAKE(...) extern "C" __attribute__((visibility("default"))) CUresult CUDAAPI __VA_ARGS__

//===--- the driver and the device ---------------------------------------------===//

R1_FAKE(cuInit(unsigned)) {
  if (!Options::get().wrong.empty())
    return say({CUDA_ERROR_INVALID_VALUE, Options::get().wrong});
  return Options::get().devices ? CUDA_SUCCESS : say({CUDA_ERROR_NO_DEVICE, "no CUDA-capable device is detected"});
}
R1_FAKE(cuDriverGetVersion(int *version)) {
  *version = Options::get().driver;
  return CUDA_SUCCESS;
}
R1_FAKE(cuGetErrorName(CUresult code, const char **text)) {
#define R1_NAME(name)                                                                              \
  case name:                                                                                       \
    *text = #name;                                                                                 \
    return CUDA_SUCCESS;
  switch (code) {
    R1_NAME(CUDA_SUCCESS)
    R1_NAME(CUDA_ERROR_INVALID_VALUE)
    R1_NAME(CUDA_ERROR_OUT_OF_MEMORY)
    R1_NAME(CUDA_ERROR_NO_DEVICE)
    R1_NAME(CUDA_ERROR_INVALID_DEVICE)
    R1_NAME(CUDA_ERROR_INVALID_IMAGE)
    R1_NAME(CUDA_ERROR_INVALID_CONTEXT)
    R1_NAME(CUDA_ERROR_NO_BINARY_FOR_GPU)
    R1_NAME(CUDA_ERROR_INVALID_HANDLE)
    R1_NAME(CUDA_ERROR_ILLEGAL_STATE)
    R1_NAME(CUDA_ERROR_NOT_FOUND)
    R1_NAME(CUDA_ERROR_NOT_READY)
    R1_NAME(CUDA_ERROR_ILLEGAL_ADDRESS)
    R1_NAME(CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES)
    R1_NAME(CUDA_ERROR_NOT_SUPPORTED)
    R1_NAME(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED)
    R1_NAME(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED)
    R1_NAME(CUDA_ERROR_STREAM_CAPTURE_MERGE)
    R1_NAME(CUDA_ERROR_STREAM_CAPTURE_UNMATCHED)
    R1_NAME(CUDA_ERROR_STREAM_CAPTURE_UNJOINED)
    R1_NAME(CUDA_ERROR_STREAM_CAPTURE_ISOLATION)
    R1_NAME(CUDA_ERROR_CAPTURED_EVENT)
  default:
    *text = nullptr;
    return CUDA_ERROR_INVALID_VALUE;
  }
#undef R1_NAME
}
R1_FAKE(cuGetErrorString(CUresult code, const char **text)) {
  *text = code == last.code ? last.text.c_str() : "no error";
  return CUDA_SUCCESS;
}
R1_FAKE(cuDeviceGetCount(int *count)) {
  *count = Options::get().devices;
  return CUDA_SUCCESS;
}
R1_FAKE(cuDeviceGet(CUdevice *device, int ordinal)) {
  if (ordinal < 0 || ordinal >= Options::get().devices)
    return say({CUDA_ERROR_INVALID_DEVICE, "invalid device ordinal"});
  *device = ordinal;
  return CUDA_SUCCESS;
}
R1_FAKE(cuDeviceGetName(char *name, int bytes, CUdevice)) {
  std::strncpy(name, "Stand-in GPU", size_t(bytes));
  return CUDA_SUCCESS;
}
R1_FAKE(cuDeviceGetAttribute(int *value, CUdevice_attribute what, CUdevice)) {
  const Options &o = Options::get();
  *value = what == CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR                     ? o.major
           : what == CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR                   ? o.minor
           : what == CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT                       ? 4
           : what == CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN ? R1EMU_SHARED_BYTES_MOST
                                                                                    : -1;
  return *value < 0 ? say({CUDA_ERROR_INVALID_VALUE, "the stand-in does not know this attribute"}) : CUDA_SUCCESS;
}
R1_FAKE(cuDevicePrimaryCtxRetain(CUcontext *context, CUdevice device)) {
  std::lock_guard lock(mutex);
  ordinal = device;
  if (!gpu)
    gpu = std::make_unique<Gpu>();
  *context = reinterpret_cast<CUcontext>(&contextHandle);
  return CUDA_SUCCESS;
}
R1_FAKE(cuDevicePrimaryCtxRelease(CUdevice)) {
  std::lock_guard lock(mutex);
  modules.clear();
  gpu.reset();
  return CUDA_SUCCESS;
}
R1_FAKE(cuCtxSetCurrent(CUcontext context)) {
  current = context == reinterpret_cast<CUcontext>(&contextHandle);
  return CUDA_SUCCESS;
}
R1_FAKE(cuCtxGetDevice(CUdevice *device)) {
  return inContext([&] { *device = ordinal; });
}

//===--- memory ----------------------------------------------------------------===//

R1_FAKE(cuMemGetInfo(size_t *free, size_t *total)) {
  return inContext([&] {
    *total = Options::get().memory;
    *free = *total - std::min(*total, gpu->memory.used());
  });
}
R1_FAKE(cuMemAlloc(CUdeviceptr *p, size_t bytes)) {
  return inContext([&] {
    gpu->notInCapture("cuMemAlloc");
    *p = gpu->memory.alloc(bytes);
  });
}
R1_FAKE(cuMemFree(CUdeviceptr p)) {
  return inContext([&] {
    gpu->notInCapture("cuMemFree");
    for (auto &[handle, s] : gpu->streams) // as the driver does
      gpu->synchronize(*s);
    gpu->memory.free(p);
  });
}
R1_FAKE(cuMemHostAlloc(void **p, size_t bytes, unsigned)) {
  return inContext([&] {
    gpu->notInCapture("cuMemHostAlloc");
    *p = gpu->memory.allocHost(bytes);
  });
}
R1_FAKE(cuMemFreeHost(void *p)) {
  return inContext([&] {
    gpu->notInCapture("cuMemFreeHost");
    for (auto &[handle, s] : gpu->streams)
      gpu->synchronize(*s);
    gpu->memory.freeHost(p);
  });
}
R1_FAKE(cuMemsetD8Async(CUdeviceptr to, unsigned char value, size_t bytes, CUstream s)) {
  return inContext([&] {
    char *p = gpu->memory.at(to, bytes, "cuMemsetD8Async");
    gpu->put(stream(s), {"a fill", [=] { std::memset(p, value, bytes); }});
  });
}
R1_FAKE(cuMemcpyHtoDAsync(CUdeviceptr to, const void *from, size_t bytes, CUstream s)) {
  return inContext([&] {
    std::string what = "a copy of " + bytesText(bytes) + " to the device";
    char *p = gpu->memory.at(to, bytes, what);
    gpu->memory.mustBePinned(from, bytes, what);
    gpu->put(stream(s), {what, [=] { std::memcpy(p, from, bytes); }, from, nullptr, bytes});
  });
}
R1_FAKE(cuMemcpyDtoHAsync(void *to, CUdeviceptr from, size_t bytes, CUstream s)) {
  return inContext([&] {
    std::string what = "a copy of " + bytesText(bytes) + " from the device";
    const char *p = gpu->memory.at(from, bytes, what);
    gpu->memory.mustBePinned(to, bytes, what);
    gpu->put(stream(s), {what, [=] { std::memcpy(to, p, bytes); }, nullptr, to, bytes});
  });
}
R1_FAKE(cuMemcpyDtoDAsync(CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream s)) {
  return inContext([&] {
    std::string what = "a copy of " + bytesText(bytes) + " on the device";
    char *p = gpu->memory.at(to, bytes, what);
    const char *q = gpu->memory.at(from, bytes, what);
    gpu->put(stream(s), {what, [=] { std::memcpy(p, q, bytes); }});
  });
}

//===--- streams, events, graphs -------------------------------------------------===//

R1_FAKE(cuStreamCreate(CUstream *s, unsigned)) {
  return inContext([&] { keep(gpu->streams, std::make_unique<Stream>(), s); });
}
R1_FAKE(cuStreamDestroy(CUstream s)) {
  return inContext([&] {
    gpu->synchronize(stream(s));
    gpu->streams.erase(s);
  });
}
R1_FAKE(cuStreamSynchronize(CUstream s)) {
  return inContext([&] {
    gpu->notInCapture("cuStreamSynchronize");
    gpu->synchronize(stream(s));
  });
}
R1_FAKE(cuStreamWaitEvent(CUstream s, CUevent e, unsigned)) {
  return inContext([&] { gpu->wait(stream(s), event(e)); });
}
R1_FAKE(cuStreamBeginCapture(CUstream s, CUstreamCaptureMode)) {
  return inContext([&] { gpu->begin(stream(s)); });
}
R1_FAKE(cuStreamEndCapture(CUstream s, CUgraph *graph)) {
  return inContext([&] { keep(gpu->graphs, gpu->end(stream(s)), graph); });
}
R1_FAKE(cuEventCreate(CUevent *e, unsigned flags)) {
  return inContext([&] {
    auto made = std::make_unique<Event>();
    made->timing = !(flags & CU_EVENT_DISABLE_TIMING);
    keep(gpu->events, std::move(made), e);
  });
}
R1_FAKE(cuEventDestroy(CUevent e)) {
  return inContext([&] {
    event(e);
    gpu->events.erase(e);
  });
}
R1_FAKE(cuEventRecord(CUevent e, CUstream s)) {
  return inContext([&] { gpu->record(event(e), stream(s)); });
}
R1_FAKE(cuEventSynchronize(CUevent e)) {
  return inContext([&] {
    gpu->notInCapture("cuEventSynchronize");
    gpu->synchronize(event(e));
  });
}
R1_FAKE(cuEventElapsedTime(float *ms, CUevent from, CUevent to)) {
  return inContext([&] {
    for (const Event *e : {&event(from), &event(to)}) {
      if (!e->timing || !e->task)
        throw Wrong{CUDA_ERROR_INVALID_HANDLE, "the event takes no time, or was not recorded"};
      if (!e->task->done)
        throw Wrong{CUDA_ERROR_NOT_READY, "the event has not come yet"};
    }
    *ms = float((event(to).task->end - event(from).task->end) * 1e3);
  });
}
R1_FAKE(cuGraphInstantiateWithFlags(CUgraphExec *exec, CUgraph graph, unsigned long long)) {
  return inContext([&] {
    auto made = std::make_unique<Exec>();
    made->nodes = get(gpu->graphs, graph, "graph").nodes;
    keep(gpu->execs, std::move(made), exec);
  });
}
R1_FAKE(cuGraphLaunch(CUgraphExec exec, CUstream s)) {
  return inContext([&] { gpu->launch(get(gpu->execs, exec, "graph"), stream(s)); });
}
R1_FAKE(cuGraphDestroy(CUgraph graph)) {
  return inContext([&] {
    get(gpu->graphs, graph, "graph");
    gpu->graphs.erase(graph);
  });
}
R1_FAKE(cuGraphExecDestroy(CUgraphExec exec)) {
  return inContext([&] {
    Exec &x = get(gpu->execs, exec, "graph");
    gpu->queue.finish(x.last);
    gpu->execs.erase(exec);
  });
}

R1_FAKE(cuLaunchHostFunc(CUstream s, CUhostFn fn, void *data)) {
  return inContext([&] { gpu->put(stream(s), {"a function of the host", [=] { fn(data); }}); });
}
/// What is behind an address, for other stand-ins (test/fakes/nccl); null: no such memory.
extern "C" __attribute__((visibility("default"))) void *r1_fake_cuda_pointer(uint64_t address, uint64_t bytes) {
  try {
    return gpu ? gpu->memory.at(address, bytes, "") : nullptr;
  } catch (const Wrong &) {
    return nullptr;
  }
}

//===--- kernels -----------------------------------------------------------------===//

R1_FAKE(cuModuleLoadData(CUmodule *module, const void *image)) {
  return inContext([&] { keep(modules, std::make_unique<Module>(image), module); });
}
R1_FAKE(cuModuleUnload(CUmodule module)) {
  return inContext([&] {
    get(modules, module, "module");
    for (auto &[handle, s] : gpu->streams)
      gpu->synchronize(*s);
    modules.erase(module);
  });
}
R1_FAKE(cuModuleGetFunction(CUfunction *f, CUmodule module, const char *name)) {
  return inContext([&] { *f = reinterpret_cast<CUfunction>(get(modules, module, "module").find(name)); });
}
R1_FAKE(cuFuncSetAttribute(CUfunction f, CUfunction_attribute what, int value)) {
  return inContext([&] {
    auto &k = reinterpret_cast<Function *>(f)->what;
    if (what != CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES || value < k.shared ||
        value > R1EMU_SHARED_BYTES_MOST)
      throw Wrong{CUDA_ERROR_INVALID_VALUE, std::string(k.name) + ": it needs " + bytesText(size_t(k.shared)) +
                                                " of dynamic shared memory, not " + std::to_string(value)};
  });
}
R1_FAKE(cuFuncGetParamInfo(CUfunction f, size_t index, size_t *offset, size_t *bytes)) {
  auto &k = *reinterpret_cast<Function *>(f);
  size_t args = size_t(k.what.args), maps = size_t(k.maps), begin = (8 * args + 63) / 64 * 64;
  if (index >= args + maps)
    return say({CUDA_ERROR_INVALID_VALUE, "the kernel has no such argument"});
  *offset = index < args ? 8 * index : begin + 128 * (index - args);
  *bytes = index < args ? 8 : 128;
  return CUDA_SUCCESS;
}
R1_FAKE(cuTensorMapEncodeTiled(CUtensorMap *map, CUtensorMapDataType, cuuint32_t rank, void *address,
                               const cuuint64_t *dims, const cuuint64_t *strides, const cuuint32_t *box,
                               const cuuint32_t *, CUtensorMapInterleave, CUtensorMapSwizzle,
                               CUtensorMapL2promotion, CUtensorMapFloatOOBfill)) {
  return inContext([&] {
    auto p = reinterpret_cast<CUdeviceptr>(address);
    gpu->memory.at(p, 1, "cuTensorMapEncodeTiled");
    bool right = p % 16 == 0 && rank >= 1 && rank <= 5;
    for (cuuint32_t i = 0; right && i < rank; ++i)
      right = dims[i] && box[i] && box[i] <= 256 && (i + 1 == rank || strides[i] % 16 == 0);
    if (!right)
      throw Wrong{CUDA_ERROR_INVALID_VALUE, "a tensor map that the manual does not allow"};
    std::memset(map, 0, sizeof *map); // emulated kernels make their own
  });
}
R1_FAKE(cuLaunchKernel(CUfunction handle, unsigned x, unsigned y, unsigned z, unsigned threads, unsigned ty,
                       unsigned tz, unsigned shared, CUstream s, void **params, void **)) {
  return inContext([&] {
    const Function &f = *reinterpret_cast<Function *>(handle);
    std::string name = f.what.name;
    if (++gpu->launches == Options::get().refuse)
      throw Wrong{CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES, "too many resources requested for launch"};
    if (x != unsigned(f.what.blocks) || threads != unsigned(f.what.threads) || y * z * ty * tz != 1 ||
        shared != unsigned(f.what.shared))
      throw Wrong{CUDA_ERROR_INVALID_VALUE,
                  name + ": launched as " + std::to_string(x) + " x " + std::to_string(threads) + " threads with " +
                      bytesText(shared) + " of dynamic shared memory, and made for " +
                      std::to_string(f.what.blocks) + " x " + std::to_string(f.what.threads) + " with " +
                      bytesText(size_t(f.what.shared))};
    std::vector<void *> args;
    for (int i = 0; i < f.what.args; ++i) {
      CUdeviceptr p;
      std::memcpy(&p, params[i], sizeof p);
      // A number in the place of an address is passed as it is: addresses are large.
      args.push_back(p < uint64_t(1) << 32 ? reinterpret_cast<void *>(p)
                                           : gpu->memory.at(p, 1, name + ", argument " + std::to_string(i)));
    }
    gpu->put(stream(s), {name, [&f, name, args] {
                           if (++gpu->kernels == Options::get().crash)
                             throw Wrong{CUDA_ERROR_ILLEGAL_ADDRESS, "an illegal memory access was encountered"};
                           if (gpu->kernels == Options::get().interrupt)
                             std::raise(SIGINT);
                           runKernel(f, args);
                         }});
  });
}
