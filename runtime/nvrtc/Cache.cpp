#include "runtime/nvrtc/Cache.h"
#include "runtime/state/Files.h"
#include <mutex>
#include <nlohmann/json.hpp>

using nlohmann::json;

namespace r1rt {

CudaCache::CudaCache(std::string dir) : directory(std::move(dir)) {
  if (!directory.empty() && !makeDirs(directory))
    directory.clear();
}

std::string CudaCache::key(const std::vector<std::string_view> &parts) {
  std::string all;
  for (std::string_view part : parts)
    (all += std::to_string(part.size()) + ":") += part;
  return sha256(all);
}

std::optional<CudaBinary> CudaCache::load(const std::string &key) const {
  if (directory.empty())
    return std::nullopt;
  std::string base = directory + "/" + key;
  auto text = readFile(base + ".json");
  auto ptx = text ? readFile(base + ".ptx") : text;
  auto cubin = ptx ? readFile(base + ".cubin") : ptx;
  if (!cubin)
    return std::nullopt;
  json entry = json::parse(*text, nullptr, /*allow_exceptions=*/false);
  try {
    if (entry.at("ptx") != sha256(*ptx) || entry.at("cubin") != sha256(*cubin))
      return std::nullopt;
    const json &r = entry.at("resources");
    auto number = [&](const char *name) { return r.at(name).get<int>(); };
    CudaBinary b;
    b.resources = {number("registers"),  number("spillStores"), number("spillLoads"),
                   number("stackFrame"), number("sharedBytes"), number("barriers")};
    b.log = entry.at("log").get<std::string>();
    b.ptx = ptx.take();
    b.cubin = cubin.take();
    b.cached = true;
    return b;
  } catch (const json::exception &) {
    return std::nullopt; // written by another version, or by hand
  }
}

void CudaCache::store(const std::string &key, const std::string &kernel,
                      const CudaBinary &b) const {
  if (directory.empty())
    return;
  const CudaResources &r = b.resources;
  json entry = {{"kernel", kernel},
                {"ptx", sha256(b.ptx)},
                {"cubin", sha256(b.cubin)},
                {"resources",
                 {{"registers", r.registers},
                  {"spillStores", r.spillStores},
                  {"spillLoads", r.spillLoads},
                  {"stackFrame", r.stackFrame},
                  {"sharedBytes", r.sharedBytes},
                  {"barriers", r.barriers}}},
                {"log", b.log}};
  std::string text = entry.dump(2, ' ', false, json::error_handler_t::replace) + "\n";
  std::string base = directory + "/" + key;
  // The temporary names of writeFileAtomic differ between processes, not between threads.
  static std::mutex mutex;
  std::lock_guard lock(mutex);
  if (writeFileAtomic(base + ".ptx", b.ptx) && writeFileAtomic(base + ".cubin", b.cubin))
    (void)writeFileAtomic(base + ".json", text);
}

} // namespace r1rt
