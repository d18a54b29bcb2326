// The plugin libr1_nvrtc without NVRTC: its machine code is a library of the emulated kernel, made by
// clang++ or g++ with the flags of runtime/emu/README.md, which the stand-in of the driver runs.
#include "runtime/nvrtc/Abi.h"
#include <atomic>
#include <cstdio>
#include <cstring>
#include <dlfcn.h>
#include <filesystem>
#include <fstream>
#include <functional>
#include <mutex>
#include <sstream>
#include <string>
#include <unistd.h>

namespace fs = std::filesystem;

namespace {

enum { kFailed = 1, kUnknownOption = 2 };

int version(int *major, int *minor, const char **file) {
  Dl_info where;
  *file = dladdr(reinterpret_cast<void *>(&version), &where) ? where.dli_fname : nullptr;
  *major = 13, *minor = 0;
  return 0;
}

constexpr int kArchs[] = {75, 80, 86, 90, 100, 120};

int archs(int *numbers, int capacity, int *count) {
  *count = int(std::size(kArchs));
  for (int i = 0; i < *count && i < capacity; ++i)
    numbers[i] = kArchs[i];
  return 0;
}

void write(const fs::path &path, const std::string &text) {
  std::ofstream(path, std::ios::binary) << text;
}
std::string read(const fs::path &path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

/// A folder that goes with the process.
const fs::path &folder() {
  static struct Folder {
    fs::path path = fs::temp_directory_path() / ("r1-fake-nvrtc-" + std::to_string(getpid()));
    Folder() { fs::create_directories(path); }
    ~Folder() {
      std::error_code ec;
      fs::remove_all(path, ec);
    }
  } f;
  return f.path;
}

int shell(const std::string &command) { return std::system(command.c_str()); }

/// The compiler with its flags, and the job's headers precompiled where it can.
std::string compilerFor(const r1_nvrtc_job *job) {
  static std::mutex mutex;
  std::lock_guard lock(mutex);
  std::string all;
  for (int i = 0; i < job->header_count; ++i)
    all += std::string(job->header_names[i]) + '\n' + job->header_texts[i];
  fs::path include = folder() / std::to_string(std::hash<std::string>()(all));
  static const bool clang = !shell("clang++-22 --version > /dev/null 2>&1");
  std::string flags = std::string(clang ? "clang++-22" : "g++") +
                      " -std=c++20 -O1 -fPIC -w -DR1_EMU -ffp-contract=off -fno-math-errno "
                      "-fvisibility=hidden -march=native -I" + include.string();
  if (!fs::exists(include)) {
    fs::create_directories(include / "runtime/emu");
    for (int i = 0; i < job->header_count; ++i) {
      std::string name = job->header_names[i];
      write(include / (name == "Abi.h" ? "runtime/emu" : "") / name, job->header_texts[i]);
    }
    if (clang)
      shell(flags + " -x c++-header " + (include / "r1.cuh").string() + " -o " + (include / "r1.pch").string());
  }
  return clang ? flags + " -include-pch " + (include / "r1.pch").string() : flags;
}

int compile(const r1_nvrtc_job *job, r1_nvrtc_sink sink, void *to) try {
  std::string name = job->name, arch;
  name.resize(name.size() - std::strlen(".cu"));
  for (int i = 0; i < job->option_count; ++i)
    if (!std::strncmp(job->options[i], "--gpu-architecture=", 19))
      arch = job->options[i] + 19;
  bool known = false;
  for (int a : kArchs)
    for (const char *form : {"sm_%d", "sm_%da", "sm_%df", "compute_%d"}) {
      char text[32];
      std::snprintf(text, sizeof text, form, a);
      known |= arch == text;
    }
  if (!known) {
    std::string log = "invalid value for --gpu-architecture: " + arch;
    sink(to, R1_NVRTC_LOG, log.data(), log.size());
    return kUnknownOption;
  }
  static std::atomic<int> number{0};
  fs::path base = folder() / std::to_string(number++);
  std::string source = base.string() + ".cpp", library = base.string() + ".so", log = base.string() + ".log";
  // The driver knows how many tensor maps a kernel takes; emulated ones make theirs.
  std::string text = job->source;
  int maps = 0;
  for (size_t at = 0; (at = text.find("R1_MAP(", at)) != std::string::npos; ++at)
    ++maps;
  write(source, text + "\nextern \"C\" __attribute__((visibility(\"default\"))) const int " + name +
                    "_maps = " + std::to_string(maps) + ";\n");
  int rc = shell(compilerFor(job) + " -shared -o " + library + " " + source + " > " + log + " 2>&1");
  text = read(log);
  if (!rc && arch[0] == 's')
    text += "ptxas info    : Compiling entry function '" + name + "' for '" + arch +
            "'\nptxas info    : Used 32 registers, used 0 barriers\n";
  sink(to, R1_NVRTC_LOG, text.data(), text.size());
  if (rc)
    return kFailed;
  // PTX carries the library as text, where it is all that there is.
  std::string code = read(library), ptx = ".target " + arch + "\n";
  if (arch[0] != 's') {
    std::string digits;
    for (unsigned char c : code)
      digits += {char('a' + c / 16), char('a' + c % 16)};
    ptx = "// R1_FAKE_PTX " + digits + "\n" + ptx;
    code.clear();
  }
  sink(to, R1_NVRTC_PTX, ptx.data(), ptx.size());
  sink(to, R1_NVRTC_CUBIN, code.data(), code.size());
  return 0;
} catch (const std::exception &e) {
  sink(to, R1_NVRTC_LOG, e.what(), std::strlen(e.what()));
  return kFailed;
}

const char *errorText(int code) { return code == kUnknownOption ? "invalid option" : "compilation"; }

} // namespace

extern "C" __attribute__((visibility("default"))) const r1_nvrtc_api *r1_nvrtc_get_api(void) {
  static const r1_nvrtc_api api = {R1_NVRTC_ABI, version, archs, compile, errorText};
  return &api;
}
