// The plugin libr1_nvrtc: the only code that sees NVRTC's header and is linked with it.
#include "runtime/nvrtc/Abi.h"
#include <dlfcn.h>
#include <nvrtc.h>
#include <string>
#include <vector>

static int version(int *major, int *minor, const char **file) {
  Dl_info where;
  bool known = dladdr(reinterpret_cast<void *>(&nvrtcVersion), &where) && where.dli_fname;
  *file = known ? where.dli_fname : nullptr;
  return nvrtcVersion(major, minor);
}

static int archs(int *numbers, int capacity, int *count) {
  if (nvrtcResult r = nvrtcGetNumSupportedArchs(count))
    return r;
  std::vector<int> all(static_cast<size_t>(*count));
  if (nvrtcResult r = nvrtcGetSupportedArchs(all.data()))
    return r;
  for (int i = 0; i < *count && i < capacity; ++i)
    numbers[i] = all[static_cast<size_t>(i)];
  return 0;
}

// Fetches one result by its pair of functions. `text`: drop the terminating zero.
template <class SizeFn, class GetFn>
static nvrtcResult fetch(nvrtcProgram program, SizeFn sizeOf, GetFn get, bool text, int what,
                         r1_nvrtc_sink sink, void *to) {
  size_t size = 0;
  if (nvrtcResult r = sizeOf(program, &size))
    return r;
  std::string bytes(size, '\0');
  if (nvrtcResult r = size ? get(program, bytes.data()) : NVRTC_SUCCESS)
    return r;
  while (text && !bytes.empty() && bytes.back() == '\0')
    bytes.pop_back();
  sink(to, what, bytes.data(), bytes.size());
  return NVRTC_SUCCESS;
}

static int compile(const r1_nvrtc_job *job, r1_nvrtc_sink sink, void *to) try {
  nvrtcProgram program = nullptr;
  if (nvrtcResult r = nvrtcCreateProgram(&program, job->source, job->name, job->header_count,
                                         job->header_texts, job->header_names))
    return r;
  nvrtcResult code = nvrtcCompileProgram(program, job->option_count, job->options);
  // The log is there after a failure as well; that one of NVRTC's results cannot be fetched matters
  // only when it has compiled.
  nvrtcResult log =
      fetch(program, nvrtcGetProgramLogSize, nvrtcGetProgramLog, true, R1_NVRTC_LOG, sink, to);
  if (!code)
    code = log;
  if (!code)
    code = fetch(program, nvrtcGetPTXSize, nvrtcGetPTX, true, R1_NVRTC_PTX, sink, to);
  if (!code)
    code = fetch(program, nvrtcGetCUBINSize, nvrtcGetCUBIN, false, R1_NVRTC_CUBIN, sink, to);
  (void)nvrtcDestroyProgram(&program);
  return code;
} catch (...) {
  return NVRTC_ERROR_OUT_OF_MEMORY;
}

static const char *errorText(int code) {
  return nvrtcGetErrorString(static_cast<nvrtcResult>(code));
}

extern "C" __attribute__((visibility("default"))) const r1_nvrtc_api *r1_nvrtc_get_api(void) {
  static const r1_nvrtc_api api = {R1_NVRTC_ABI, version, archs, compile, errorText};
  return &api;
}
