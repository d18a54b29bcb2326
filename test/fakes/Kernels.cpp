#include "test/fakes/Kernels.h"
#include "test/fakes/Model.h"
#include <cstring>
#include <dlfcn.h>
#include <elf.h>
#include <sys/mman.h>
#include <unistd.h>

namespace fake {

/// Bytes of an ELF file: section headers stand at its end.
static size_t sizeOf(const void *image) {
  Elf64_Ehdr h;
  std::memcpy(&h, image, sizeof h);
  return h.e_shoff + size_t(h.e_shnum) * h.e_shentsize;
}

/// The library in an image: its bytes, or what the stand-in of NVRTC writes as PTX.
static std::string libraryIn(const void *image) {
  const char *text = static_cast<const char *>(image);
  static constexpr char ptx[] = "// R1_FAKE_PTX ";
  if (!std::memcmp(image, ELFMAG, SELFMAG))
    return {text, sizeOf(image)};
  if (std::strncmp(text, ptx, sizeof ptx - 1))
    throw Wrong{CUDA_ERROR_INVALID_IMAGE, "the image is neither an emulated kernel nor PTX of the stand-in"};
  std::string bytes;
  for (text += sizeof ptx - 1; *text != '\n'; text += 2)
    bytes += char((text[0] - 'a') * 16 + (text[1] - 'a'));
  return bytes;
}

static void *openLibrary(const void *image, int &file) {
  std::string bytes = libraryIn(image);
  file = memfd_create("kernel", 0);
  for (size_t done = 0; done < bytes.size();) {
    ssize_t n = write(file, bytes.data() + done, bytes.size() - done);
    if (n <= 0)
      throw Wrong{CUDA_ERROR_OUT_OF_MEMORY, "the image cannot be written"};
    done += size_t(n);
  }
  return dlopen(("/proc/self/fd/" + std::to_string(file)).c_str(), RTLD_NOW | RTLD_LOCAL);
}

Module::Module(const void *image) : library(openLibrary(image, file)) {
  if (!library) {
    const char *why = dlerror();
    throw Wrong{CUDA_ERROR_NO_BINARY_FOR_GPU,
                "the image is no library of an emulated kernel: " + std::string(why ? why : "")};
  }
}
Module::~Module() {
  dlclose(library);
  if (file >= 0)
    close(file);
}

namespace {
/// Where a kernel's entry leaves what it is, instead of being run.
const r1emu_kernel *seen;
} // namespace

Function *Module::find(const std::string &name) {
  using Bind = void (*)(const r1emu_api *);
  auto bind = reinterpret_cast<Bind>(dlsym(library, "r1emu_bind"));
  auto run = reinterpret_cast<r1_kernel_fn>(dlsym(library, (name + "_run").c_str()));
  if (!bind || !run)
    throw Wrong{CUDA_ERROR_NOT_FOUND, "the image has no function " + name};
  r1emu_api probe = *r1emu_get_api();
  probe.launch = [](const r1emu_kernel *k, r1emu_block **, void *const *, long long, long long) { seen = k; };
  bind(&probe);
  run(nullptr, nullptr, 0, 1);
  bind(r1emu_get_api());
  auto *maps = static_cast<const int *>(dlsym(library, (name + "_maps").c_str()));
  return functions.emplace_back(std::make_unique<Function>(Function{run, *seen, maps ? *maps : 0})).get();
}

void runKernel(const Function &f, std::vector<void *> args) {
  static std::unique_ptr<r1rt::Device> cpu = r1rt::Device::createCpu().take();
  struct Call {
    const Function &f;
    void **args;
    int threads;
  } call{f, args.data(), cpu->threads()};
  cpu->parallel(
      [](void *c, int tid) {
        auto &call = *static_cast<Call *>(c);
        call.f.run(call.args, nullptr, tid, call.threads);
      },
      &call);
  if (const char *fault = r1emu_fault()) {
    std::string text = fault;
    r1emu_clear();
    throw Wrong{CUDA_ERROR_ILLEGAL_ADDRESS, text};
  }
}

} // namespace fake
