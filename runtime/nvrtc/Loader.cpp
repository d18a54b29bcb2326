#include "runtime/device/Plugin.h"
#include "runtime/nvrtc/Nvrtc.h"

namespace r1rt {

static constexpr PluginKind kind = {
    "libr1_nvrtc.so",     "r1_nvrtc_get_api", "NVRTC",
    "CUDA kernels need",  "libnvrtc.so",      "install the CUDA toolkit 13.0 or newer"};

Result<const r1_nvrtc_api *> loadNvrtc(const std::string &file) {
  R1RT_ASSIGN(void *symbol, pluginSymbol(kind, file));
  const r1_nvrtc_api *api = reinterpret_cast<decltype(&r1_nvrtc_get_api)>(symbol)();
  if (api->abi != R1_NVRTC_ABI)
    return wrongPluginVersion(kind, api->abi, R1_NVRTC_ABI);
  return api;
}

Result<std::string> nvrtcVersion(const std::string &plugin) {
  R1RT_ASSIGN(const r1_nvrtc_api *api, loadNvrtc(plugin));
  int major = 0, minor = 0;
  const char *file = nullptr;
  if (int code = api->version(&major, &minor, &file))
    return Status::error(std::string("NVRTC does not say its version: ") + api->error_text(code));
  return std::to_string(major) + "." + std::to_string(minor);
}

} // namespace r1rt
