#include "runtime/nvrtc/Nvrtc.h"
#include "runtime/nvrtc/Cache.h"
#include <algorithm>
#include <atomic>
#include <cctype>
#include <chrono>
#include <filesystem>
#include <map>
#include <thread>

namespace r1rt {

//===--- the log of ptxas ----------------------------------------------------===//

// The number before `what` in `line`, or -1: "Used 32 registers" -> 32.
static int numberBefore(std::string_view line, std::string_view what) {
  size_t at = line.find(what);
  if (at == std::string_view::npos)
    return -1;
  size_t end = at;
  while (at > 0 && std::isdigit(static_cast<unsigned char>(line[at - 1])))
    --at;
  int n = 0;
  for (size_t i = at; i < end; ++i)
    n = n * 10 + (line[i] - '0');
  return at == end ? -1 : n;
}

Result<CudaResources> parsePtxasLog(std::string_view log, const std::string &kernel) {
  // ptxas info    : Compiling entry function 'NAME' for 'sm_90a'
  // ptxas info    : Function properties for NAME
  //     0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
  // ptxas info    : Used 8 registers, used 1 barriers, 256 bytes smem
  CudaResources r;
  bool inside = false, frame = false, used = false;
  auto take = [](std::string_view line, std::string_view what, int &into) {
    if (int n = numberBefore(line, what); n >= 0)
      into = n;
  };
  while (!log.empty()) {
    size_t end = std::min(log.find('\n'), log.size());
    std::string_view line = log.substr(0, end);
    log.remove_prefix(std::min(end + 1, log.size()));
    if (line.find("Compiling entry function '") != std::string_view::npos)
      inside = line.find("'" + kernel + "'") != std::string_view::npos;
    else if (!inside)
      continue;
    else if (line.find(" bytes stack frame") != std::string_view::npos && !frame) {
      // The kernel's own line comes first; those of functions that were not inlined may follow.
      take(line, " bytes stack frame", r.stackFrame);
      take(line, " bytes spill stores", r.spillStores);
      take(line, " bytes spill loads", r.spillLoads);
      frame = true;
    } else if (line.find(" registers") != std::string_view::npos && !used) {
      take(line, " registers", r.registers);
      take(line, " barriers", r.barriers);
      take(line, " bytes smem", r.sharedBytes);
      take(line, " bytes cumulative stack size", r.stackFrame);
      used = true;
    }
  }
  if (!used)
    return Status::error("the log of ptxas does not speak of the kernel `" + kernel +
                         "`: the text has to declare it as extern \"C\" __global__");
  return r;
}

//===--- one kernel ------------------------------------------------------------===//

namespace {
/// What all kernels of one call have in common.
struct Job {
  const r1_nvrtc_api *api = nullptr;
  std::string arch, version;
  std::vector<std::string> flags;
  std::vector<const char *> headerNames, headerTexts, flagTexts;
};
} // namespace

// "13.0, libnvrtc.so.13 of 109338064 bytes": two patches of one version have different sizes.
static Result<std::string> versionStamp(const r1_nvrtc_api *api, const std::string &plugin) {
  R1RT_ASSIGN(std::string text, nvrtcVersion(plugin));
  int major = 0, minor = 0;
  const char *file = nullptr;
  std::error_code ec;
  if (!api->version(&major, &minor, &file) && file)
    if (auto size = std::filesystem::file_size(file, ec); !ec)
      text += ", " + std::filesystem::path(file).filename().string() + " of " +
              std::to_string(size) + " bytes";
  return text;
}

// "sm_90a" -> 90; -1 if it is not of this form.
static int archNumber(std::string_view arch) {
  if (!arch.starts_with("sm_"))
    return -1;
  arch.remove_prefix(3);
  if (!arch.empty() && (arch.back() == 'a' || arch.back() == 'f'))
    arch.remove_suffix(1);
  int n = 0;
  for (char c : arch) {
    if (c < '0' || c > '9' || n > 9999)
      return -1;
    n = n * 10 + (c - '0');
  }
  return arch.empty() ? -1 : n;
}

/// The error if NVRTC does not know `arch`, or has refused it. With `older` an unknown one becomes the
/// newest below it that all later devices run.
static Status checkArch(const r1_nvrtc_api *api, std::string &arch, const std::string &version,
                        bool refused, bool older = false) {
  int numbers[256], count = 0;
  if (int code = api->archs(numbers, 256, &count))
    return Status::error(std::string("NVRTC does not list its architectures: ") +
                         api->error_text(code));
  std::string list;
  bool found = false;
  int below = 0;
  for (int i = 0; i < std::min(count, 256); ++i) {
    found |= numbers[i] == archNumber(arch);
    if (numbers[i] < archNumber(arch))
      below = std::max(below, numbers[i]);
    list += (i ? ", sm_" : "sm_") + std::to_string(numbers[i]);
  }
  if (found && !refused)
    return Status::ok();
  if (older && below) {
    arch = "compute_" + std::to_string(below);
    return Status::ok();
  }
  return Status::error("NVRTC " + version.substr(0, version.find(',')) + " does not compile for `" +
                       arch + "`; it knows " + list +
                       ", some of them with the suffix `a` or `f`, as in sm_90a");
}

static Result<CudaBinary> compileOne(const Job &job, const CudaSource &source) {
  CudaBinary out;
  std::string file = source.name + ".cu";
  r1_nvrtc_job one = {file.c_str(),
                      source.text.c_str(),
                      job.headerNames.data(),
                      job.headerTexts.data(),
                      int(job.headerNames.size()),
                      job.flagTexts.data(),
                      int(job.flagTexts.size())};
  auto sink = [](void *to, int what, const char *data, size_t size) {
    auto &b = *static_cast<CudaBinary *>(to);
    (what == R1_NVRTC_LOG ? b.log : what == R1_NVRTC_PTX ? b.ptx : b.cubin).assign(data, size);
  };
  if (int code = job.api->compile(&one, sink, &out)) {
    // It knows the number of the architecture but not the suffix.
    if (out.log.find("gpu-architecture") != std::string::npos ||
        out.log.find("--nv_arch") != std::string::npos) {
      std::string arch = job.arch;
      return checkArch(job.api, arch, job.version, /*refused=*/true);
    }
    return Status::error("the kernel `" + source.name + "` does not compile for " + job.arch + " (" + job.api->error_text(code) + "):\n" + out.log);
  }
  if (out.cubin.empty()) // the driver's compiler does the rest
    return out;
  auto resources = parsePtxasLog(out.log, source.name);
  if (!resources)
    return resources.status();
  out.resources = *resources;
  return out;
}

//===--- all of them -----------------------------------------------------------===//

Result<std::vector<CudaBinary>> compileCuda(const std::vector<CudaSource> &sources,
                                            const CudaOptions &options) {
  using Clock = std::chrono::steady_clock;
  Job job;
  job.arch = options.arch;
  R1RT_ASSIGN(job.api, loadNvrtc(options.plugin));
  R1RT_ASSIGN(job.version, versionStamp(job.api, options.plugin));
  R1RT_TRY(checkArch(job.api, job.arch, job.version, /*refused=*/false, options.orOlder));

  // No contraction of a*b+c: a kernel means the same sums and products as on the CPU. The cache of NVRTC's own,
  // which it keeps where a driver is installed, would give machine code without ptxas's log.
  job.flags = {"--gpu-architecture=" + job.arch,
               "--std=c++17",
               "-default-device",
               "--fmad=false",
               "-lineinfo",
               "--no-cache",
               "--ptxas-options=-v"};
  job.flags.insert(job.flags.end(), options.moreOptions.begin(), options.moreOptions.end());
  for (const std::string &flag : job.flags)
    job.flagTexts.push_back(flag.c_str());
  std::vector<std::string_view> common{job.version};
  for (const auto &[name, text] : options.headers) {
    job.headerNames.push_back(name.c_str());
    job.headerTexts.push_back(text.c_str());
    common.push_back(name);
    common.push_back(text);
  }
  common.push_back("options"); // ends the list of headers
  common.insert(common.end(), job.flags.begin(), job.flags.end());

  CudaCache cache(options.cacheDir);
  std::vector<std::string> keys;
  std::map<std::string, size_t> firstWith; // equal kernels are compiled once
  std::vector<size_t> work;
  for (size_t i = 0; i < sources.size(); ++i) {
    std::vector<std::string_view> parts = common;
    parts.push_back(sources[i].name);
    parts.push_back(sources[i].text);
    keys.push_back(CudaCache::key(parts));
    if (firstWith.emplace(keys[i], i).second)
      work.push_back(i);
  }

  std::vector<CudaBinary> out(sources.size());
  std::vector<Status> failed(sources.size());
  std::atomic<size_t> next{0};
  std::atomic<bool> stop{false};
  auto run = [&] {
    for (size_t w; !stop && (w = next++) < work.size();) {
      size_t i = work[w];
      auto start = Clock::now();
      if (auto hit = cache.load(keys[i])) {
        out[i] = std::move(*hit);
      } else if (auto made = compileOne(job, sources[i])) {
        out[i] = made.take();
        cache.store(keys[i], sources[i].name, out[i]);
      } else {
        failed[i] = made.status();
        stop = true; // those that have begun still end, so an earlier failure is not lost
      }
      out[i].seconds = std::chrono::duration<double>(Clock::now() - start).count();
    }
  };
  size_t threads = options.threads ? options.threads : std::thread::hardware_concurrency();
  threads = std::min(std::max<size_t>(threads, 1), work.size());
  std::vector<std::thread> pool;
  for (size_t t = 1; t < threads; ++t)
    pool.emplace_back(run);
  run();
  for (std::thread &t : pool)
    t.join();

  for (const Status &s : failed)
    R1RT_TRY(s);
  for (size_t i = 0; i < sources.size(); ++i)
    if (size_t first = firstWith[keys[i]]; first != i) {
      out[i] = out[first];
      out[i].seconds = 0;
    }
  return out;
}

} // namespace r1rt
