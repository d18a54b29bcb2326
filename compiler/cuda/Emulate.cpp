#include "compiler/cuda/Emulate.h"
#include "runtime/emu/Emu.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FileUtilities.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/Program.h"
#include "llvm/Support/SHA256.h"
#include "llvm/Support/ThreadPool.h"
#include <dlfcn.h>
#include <mutex>

using namespace llvm;
namespace r1::cuda {
namespace {

std::string digest(StringRef text) {
  SHA256 h;
  h.update(text);
  return toHex(h.final(), /*LowerCase=*/true).substr(0, 32);
}

Error writeFile(const std::string &path, StringRef text) {
  SmallString<128> temporary;
  int fd;
  if (auto e = sys::fs::createUniqueFile(path + ".%%%%%%", fd, temporary))
    return createStringError(e, "cannot write " + path + ": " + e.message());
  raw_fd_ostream out(fd, /*shouldClose=*/true);
  out << text;
  out.close();
  if (out.has_error()) {
    out.clear_error();
    return createStringError("cannot write " + path);
  }
  if (auto e = sys::fs::rename(temporary, path))
    return createStringError(e, "cannot write " + path + ": " + e.message());
  return Error::success();
}

/// Compiles kernels in one folder, in which the prelude stands.
class HostCompiler {
public:
  static Expected<HostCompiler> create(const EmulateOptions &options) {
    const std::string &cacheDir = options.cacheDir;
    HostCompiler c;
    for (const char *name : {"clang++-22", "clang++", "g++"})
      if (auto found = sys::findProgramByName(name)) {
        c.program = *found;
        break;
      }
    if (c.program.empty())
      return createStringError("cuda-emu compiles kernels with clang++ or g++, and neither is in the "
                               "PATH; install clang-22");
    std::string all = "emulation 1";
    for (auto &[name, text] : options.files)
      all += name + '\0' + text + '\0';
    all += c.program;
    c.key = digest(all);
    if (cacheDir.empty()) {
      SmallString<128> dir;
      if (auto e = sys::fs::createUniqueDirectory("r1c-emu", dir))
        return createStringError(e, "cannot make a folder for kernels: " + e.message());
      c.dir = dir.str().str();
      c.temporary = true;
    } else {
      c.dir = cacheDir + "/emu";
    }
    std::string include = c.dir + "/" + c.key;
    if (auto e = sys::fs::create_directories(include + "/runtime/emu"))
      return createStringError(e, "cannot make " + include + ": " + e.message());
    for (auto &[name, text] : options.files) {
      std::string path = include + "/" + (name == "Abi.h" ? "runtime/emu/" : "") + name;
      if (!sys::fs::exists(path))
        if (Error e = writeFile(path, text))
          return std::move(e);
    }
    c.flags = {"-std=c++20", "-O2", "-fPIC", "-w", "-DR1_EMU", "-ffp-contract=off", "-fno-math-errno",
               "-fvisibility=hidden", "-march=native", "-I" + include};
    if (StringRef(c.program).contains("clang"))
      if (Error e = c.precompile(include))
        return std::move(e);
    return c;
  }

  ~HostCompiler() {
    if (temporary && !dir.empty())
      sys::fs::remove_directories(dir);
  }
  HostCompiler(HostCompiler &&o) noexcept { *this = std::move(o); }
  HostCompiler &operator=(HostCompiler &&o) noexcept {
    std::swap(program, o.program), std::swap(dir, o.dir), std::swap(key, o.key);
    std::swap(flags, o.flags), std::swap(temporary, o.temporary);
    return *this;
  }

  /// The library of `source`, made if it is not there.
  Expected<std::string> library(const Source &source, bool &cached) const {
    std::string base = dir + "/" + digest(key + source.text), so = base + ".so";
    cached = sys::fs::exists(so);
    if (cached)
      return so;
    if (Error e = writeFile(base + ".cpp", source.text))
      return std::move(e);
    SmallString<128> made;
    sys::fs::createUniquePath(base + ".%%%%%%.so", made, /*MakeAbsolute=*/false);
    if (Error e = run({"-shared", "-o", made.str().str(), base + ".cpp"}))
      return createStringError("kernel " + source.name + ": " + toString(std::move(e)));
    if (auto e = sys::fs::rename(made, so))
      return createStringError(e, "cannot write " + so + ": " + e.message());
    return so;
  }

private:
  HostCompiler() = default;

  /// The prelude takes most of the time of a kernel: parsed once.
  Error precompile(const std::string &include) {
    std::string pch = include + "/r1.pch";
    if (!sys::fs::exists(pch)) {
      SmallString<128> made;
      sys::fs::createUniquePath(include + "/%%%%%%.pch", made, /*MakeAbsolute=*/false);
      if (Error e = run({"-x", "c++-header", include + "/r1.cuh", "-o", made.str().str()}))
        return e;
      if (auto e = sys::fs::rename(made, pch))
        return createStringError(e, "cannot write " + pch + ": " + e.message());
    }
    flags.push_back("-include-pch");
    flags.push_back(pch);
    return Error::success();
  }

  Error run(std::vector<std::string> more) const {
    std::vector<std::string> words = {program};
    words.insert(words.end(), flags.begin(), flags.end());
    words.insert(words.end(), more.begin(), more.end());
    std::vector<StringRef> args(words.begin(), words.end());
    SmallString<128> log;
    if (auto e = sys::fs::createTemporaryFile("r1c-emu", "log", log))
      return createStringError(e, "cannot make a temporary file: " + e.message());
    FileRemover removeLog(log);
    std::optional<StringRef> redirects[] = {StringRef(""), StringRef(log), StringRef(log)};
    std::string why;
    int rc = sys::ExecuteAndWait(program, args, std::nullopt, redirects, 0, 0, &why);
    if (rc == 0)
      return Error::success();
    std::string said = why;
    if (auto text = MemoryBuffer::getFile(log))
      said += (*text)->getBuffer().take_front(4000);
    return createStringError(program + " failed:\n" + said);
  }

  std::string program, dir, key;
  std::vector<std::string> flags;
  bool temporary = false;
};

struct Libraries {
  std::vector<void *> handles;
  ~Libraries() {
    for (void *h : handles)
      dlclose(h);
  }
};

} // namespace

Expected<EmulatedKernels> emulate(const std::vector<Source> &sources,
                                  const EmulateOptions &options) {
  auto compiler = HostCompiler::create(options);
  if (!compiler)
    return compiler.takeError();
  auto libraries = std::make_shared<Libraries>();
  EmulatedKernels out;
  std::mutex mutex;
  Error failed = Error::success();
  {
    DefaultThreadPool pool(hardware_concurrency(options.threads));
    for (const Source &s : sources)
      pool.async([&] {
        bool cached = false;
        auto path = compiler->library(s, cached);
        void *handle = path ? dlopen(path->c_str(), RTLD_NOW | RTLD_LOCAL) : nullptr;
        std::lock_guard lock(mutex);
        if (!path) {
          failed = joinErrors(std::move(failed), path.takeError());
          return;
        }
        using Bind = void (*)(const r1emu_api *);
        auto bind = handle ? reinterpret_cast<Bind>(dlsym(handle, "r1emu_bind")) : nullptr;
        auto fn = handle ? reinterpret_cast<r1_kernel_fn>(dlsym(handle, (s.name + "_run").c_str()))
                         : nullptr;
        if (!bind || !fn) {
          const char *why = dlerror();
          failed = joinErrors(std::move(failed),
                              createStringError("kernel " + s.name + " does not load: " +
                                                (why ? why : "a symbol is missing")));
          return;
        }
        libraries->handles.push_back(handle);
        bind(r1emu_get_api());
        out.kernels[s.kernel] = {fn, cached};
      });
    pool.wait();
  }
  if (failed)
    return std::move(failed);
  r1emu_clear();
  out.libraries = libraries;
  return out;
}

const char *emulationFault() { return r1emu_fault(); }

} // namespace r1::cuda
