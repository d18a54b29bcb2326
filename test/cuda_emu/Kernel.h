// Kernels of this folder, compiled and run under the emulator.
#pragma once
#include "runtime/emu/Emu.h"
#include "runtime/r1rt.h"
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <dlfcn.h>
#include <filesystem>
#include <gtest/gtest.h>
#include <string>
#include <thread>
#include <unistd.h>
#include <vector>

namespace emutest {

/// kernels/FILE.cu with flags like "-DMISTAKE=1"; its functions live as long as this.
class Library {
public:
  explicit Library(const std::string &file, const std::string &flags = "") {
    static int number = 0;
    std::string source = R1_SOURCE, made = std::filesystem::temp_directory_path() /
                                           ("r1-cuda-emu-" + std::to_string(getpid()) + "-" +
                                            std::to_string(number++) + ".so");
    std::string command = R1_HOST_COMPILER " -x c++ -std=c++20 -O2 -march=native -fPIC -shared -w "
                                           "-DR1_EMU -ffp-contract=off -fno-math-errno "
                                           "-fvisibility=hidden -I" +
                          source + " -I" + source + "/compiler/cuda/prelude " + flags + " " +
                          source + "/test/cuda_emu/kernels/" + file + " -o " + made;
    if (system(command.c_str()) != 0) {
      ADD_FAILURE() << "does not compile: " << command;
      return;
    }
    handle = dlopen(made.c_str(), RTLD_NOW | RTLD_LOCAL);
    std::filesystem::remove(made);
    if (!handle) {
      ADD_FAILURE() << dlerror();
      return;
    }
    auto bind = reinterpret_cast<void (*)(const r1emu_api *)>(dlsym(handle, "r1emu_bind"));
    ASSERT(bind);
    bind(r1emu_get_api());
  }
  ~Library() {
    if (handle)
      dlclose(handle);
  }
  Library(const Library &) = delete;
  Library &operator=(const Library &) = delete;

  /// Runs a kernel with host threads that share its blocks.
  void run(const std::string &kernel, std::vector<void *> args, int threads = 1) const {
    auto fn =
        handle ? reinterpret_cast<r1_kernel_fn>(dlsym(handle, (kernel + "_run").c_str())) : nullptr;
    ASSERT(fn);
    std::vector<std::thread> others;
    for (int t = 1; t < threads; ++t)
      others.emplace_back([&, t] { fn(args.data(), nullptr, t, threads); });
    if (fn)
      fn(args.data(), nullptr, 0, threads);
    for (std::thread &t : others)
      t.join();
  }

private:
  static void ASSERT(bool found) {
    if (!found)
      ADD_FAILURE() << "the kernel's library lacks a symbol";
  }
  void *handle = nullptr;
};

/// The fault that stands, or "none"; cleared.
inline std::string takeFault() {
  const char *text = r1emu_fault();
  std::string s = text ? text : "none";
  r1emu_clear();
  return s;
}

/// In order, reverse, and four random ones.
inline constexpr int kSchedules = 6;
inline void setSchedule(int i) {
  r1emu_schedule(i == 0   ? R1EMU_IN_ORDER
                 : i == 1 ? R1EMU_REVERSE
                          : R1EMU_RANDOM,
                 static_cast<uint64_t>(i));
}

/// Numbers in (-1, 1), the same ones everywhere.
inline float noise(uint64_t i) {
  i = (i + 1) * 0x9E3779B97F4A7C15u;
  i = (i ^ (i >> 29)) * 0xBF58476D1CE4E5B9u;
  return static_cast<float>(static_cast<int64_t>(i ^ (i >> 32)) >> 32) * 0x1p-31f;
}

} // namespace emutest
