// Compiled kernels on disk, by content. Internal to runtime/nvrtc.
#ifndef R1RT_NVRTC_CACHE_H
#define R1RT_NVRTC_CACHE_H
#include "runtime/nvrtc/Nvrtc.h"
#include <optional>

namespace r1rt {

/// Files `<directory>/<key>.cubin`, `.ptx` and `.json`, ready for other tools. The JSON is written
/// last and holds the hashes of the other two, so that an entry is whole or not there. Every
/// failure means "not there".
class CudaCache {
public:
  explicit CudaCache(std::string directory);
  /// SHA-256 of the parts, each with its length: no two lists of parts give the same text.
  static std::string key(const std::vector<std::string_view> &parts);
  std::optional<CudaBinary> load(const std::string &key) const;
  void store(const std::string &key, const std::string &kernel, const CudaBinary &binary) const;

private:
  std::string directory;
};

} // namespace r1rt
#endif
