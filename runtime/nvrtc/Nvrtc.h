//===- Nvrtc.h - CUDA text to machine code ---------------------------------===//
//
// One program of NVRTC per kernel, compiled on several threads, with a cache on disk.
// NVRTC itself is behind the plugin libr1_nvrtc, which is loaded on first use. Neither
// a GPU nor a driver is needed.
//
//===----------------------------------------------------------------------===//
#ifndef R1RT_NVRTC_NVRTC_H
#define R1RT_NVRTC_NVRTC_H
#include "runtime/Status.h"
#include "runtime/nvrtc/Abi.h"
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace r1rt {

/// A kernel's translation unit. `name` is the kernel's: an `extern "C"` function in `text`.
struct CudaSource {
  std::string name, text;
};

/// What one thread (registers, bytes of local memory) and one block (shared bytes without the
/// dynamic ones, barriers) of a kernel take, from the log of ptxas.
struct CudaResources {
  int registers = 0, spillStores = 0, spillLoads = 0, stackFrame = 0, sharedBytes = 0, barriers = 0;
  bool operator==(const CudaResources &) const = default;
};

struct CudaBinary {
  std::string ptx, cubin;
  std::string log; // of NVRTC and ptxas, warnings included
  CudaResources resources;
  bool cached = false; // from the cache on disk
  double seconds = 0;  // that it took, here and now
};

struct CudaOptions {
  std::string arch; // "sm_90a"
  /// Where NVRTC does not know `arch`, which is a device's: PTX of the newest one that it knows below, which
  /// the driver compiles; there is no cubin then.
  bool orOlder = false;
  /// What `#include "NAME"` finds, as (name, text). NVRTC sees no file of the disk.
  std::vector<std::pair<std::string, std::string>> headers;
  std::string cacheDir;                   // empty: no cache
  unsigned threads = 0;                   // 0: one per CPU
  std::vector<std::string> moreOptions{}; // of NVRTC, after our own
  std::string plugin{};                   // a file; empty: searched (loadNvrtc)
};

/// The loaded plugin. Without `file`, libr1_nvrtc.so is searched in ../lib and lib beside the
/// executable, in the executable's folder, then where the loader looks. What has been loaded stays
/// loaded; a failure is tried anew each time. The error says what is missing and how to mend it.
Result<const r1_nvrtc_api *> loadNvrtc(const std::string &file = "");

/// "13.0"
Result<std::string> nvrtcVersion(const std::string &plugin = "");

/// Compiles each kernel; the results stand in the order of the sources. The first source that fails
/// is named in the error, with NVRTC's log.
Result<std::vector<CudaBinary>> compileCuda(const std::vector<CudaSource> &sources,
                                            const CudaOptions &options);

/// Reads the lines of `--ptxas-options=-v` about one kernel; an error if there are none.
Result<CudaResources> parsePtxasLog(std::string_view log, const std::string &kernel);

} // namespace r1rt
#endif
