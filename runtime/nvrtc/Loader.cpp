#include "runtime/nvrtc/Nvrtc.h"
#include <dlfcn.h>
#include <filesystem>
#include <map>
#include <mutex>

namespace fs = std::filesystem;

namespace r1rt {

static constexpr const char *kPlugin = "libr1_nvrtc.so";

static std::string linkerError() {
  const char *text = dlerror();
  return text ? text : "no reason given";
}

static Result<const r1_nvrtc_api *> symbolsOf(void *library, const std::string &file) {
  auto get = reinterpret_cast<const r1_nvrtc_api *(*)(void)>(dlsym(library, "r1_nvrtc_get_api"));
  if (!get)
    return Status::error("`" + file + "` is not the plugin for NVRTC: " + linkerError());
  const r1_nvrtc_api *api = get();
  if (api->abi != R1_NVRTC_ABI)
    return Status::error("the plugin `" + file + "` speaks version " + std::to_string(api->abi) +
                         " of the interface, this r1c version " + std::to_string(R1_NVRTC_ABI) +
                         "\nhelp: build r1c and the plugin from the same sources");
  return api;
}

static Result<const r1_nvrtc_api *> open(const std::string &file) {
  // Local: the symbols of the toolkit must not meet those of r1c.
  if (void *library = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL))
    return symbolsOf(library, file);
  // The text names what is missing: the file itself, or a library it needs.
  std::string why = linkerError();
  std::string help;
  std::error_code ec;
  if (why.find("libnvrtc.so") != std::string::npos)
    help = "\nhelp: install NVRTC of the CUDA toolkit 13.0 or newer, or name the folder that holds "
           "it in LD_LIBRARY_PATH";
  else if (!fs::exists(file, ec))
    help = "\nhelp: install the CUDA toolkit 13.0 or newer, then configure and build r1c again";
  return Status::error("cannot load the plugin for NVRTC: " + why + help);
}

static Result<const r1_nvrtc_api *> search() {
  std::error_code ec;
  fs::path bin = fs::read_symlink("/proc/self/exe", ec).parent_path();
  std::string looked;
  if (!ec)
    for (fs::path dir : {bin.parent_path() / "lib", bin / "lib", bin}) {
      fs::path file = dir / kPlugin;
      if (fs::exists(file, ec))
        return open(file.string());
      looked += "`" + dir.string() + "`, ";
    }
  if (void *library = dlopen(kPlugin, RTLD_NOW | RTLD_LOCAL))
    return symbolsOf(library, kPlugin);
  return Status::error(
      "CUDA kernels need the plugin " + std::string(kPlugin) + ", which is not in " + looked +
      "nor where the loader looks (" + linkerError() +
      ")\nhelp: it is built where the CUDA toolkit is found: install version 13.0 or newer, then "
      "configure and build r1c again");
}

Result<const r1_nvrtc_api *> loadNvrtc(const std::string &file) {
  static std::mutex mutex;
  static std::map<std::string, const r1_nvrtc_api *> loaded;
  std::lock_guard lock(mutex);
  if (auto it = loaded.find(file); it != loaded.end())
    return it->second;
  auto api = file.empty() ? search() : open(file);
  if (api)
    loaded[file] = *api;
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
