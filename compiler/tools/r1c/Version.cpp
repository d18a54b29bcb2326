// r1c --version: the build, the instruction set, the f32 rate measured here, the plugins found.
#include "compiler/tools/r1c/Options.h"
#include "runtime/device/Plugin.h"
#include "llvm/Config/llvm-config.h"
#include "llvm/TargetParser/Host.h"
#include <algorithm>
#include <atomic>
#include <barrier>
#include <chrono>
#include <cstdio>
#include <thread>
#include <vector>

namespace {

// One chain of multiply-adds per register: 12 hide the latency of two units and leave registers
// free on every instruction set that has at least 16.
constexpr int chains = 12;
template <int bytes> using Vec = float __attribute__((vector_size(bytes)));

template <int bytes, bool fused>
[[gnu::always_inline]] inline void multiplyAdd(int64_t rounds, float seed, float *out) {
  using V = Vec<bytes>;
  V acc[chains], x = V{} + 0.999f, y = V{} + 0.001f;
#pragma clang loop unroll(full)
  for (int i = 0; i < chains; ++i)
    acc[i] = V{} + (seed + float(i));
  for (int64_t r = 0; r < rounds; ++r)
#pragma clang loop unroll(full)
    for (int i = 0; i < chains; ++i)
      if constexpr (fused)
        acc[i] = __builtin_elementwise_fma(acc[i], x, y);
      else
        acc[i] = acc[i] * x + y;
  V sum = acc[0];
  for (int i = 1; i < chains; ++i)
    sum += acc[i];
  for (size_t l = 0; l < bytes / sizeof(float); ++l)
    *out += sum[l];
}

using Loop = void (*)(int64_t, float, float *);
struct Widest {
  Loop loop;
  int floats; // of a register
};

#if defined(__x86_64__)
__attribute__((target("avx512f"))) void wide64(int64_t rounds, float seed, float *out) {
  multiplyAdd<64, true>(rounds, seed, out);
}
__attribute__((target("avx2,fma"))) void wide32(int64_t rounds, float seed, float *out) {
  multiplyAdd<32, true>(rounds, seed, out);
}
void wide16(int64_t rounds, float seed, float *out) { multiplyAdd<16, false>(rounds, seed, out); }

Widest widest() {
  if (__builtin_cpu_supports("avx512f"))
    return {wide64, 16};
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
    return {wide32, 8};
  return {wide16, 4};
}
#else
void wide16(int64_t rounds, float seed, float *out) { multiplyAdd<16, true>(rounds, seed, out); }
Widest widest() { return {wide16, 4}; }
#endif

/// GFLOP/s of f32 multiply-adds on `threads` threads at once: the best of the attempts that fit
/// into 8 ms. Threads wait for each other before each one, so that starting them costs nothing.
double measurePeak(int threads) {
  using Clock = std::chrono::steady_clock;
  constexpr int most = 64;
  constexpr int64_t rounds = 50'000; // about 0.1 ms
  const Widest w = widest();
  const auto end = Clock::now() + std::chrono::milliseconds(8);
  std::vector<Clock::time_point> begins(size_t(threads) * most), ends(size_t(threads) * most);
  std::vector<float> sink(size_t(threads) * 16);
  std::atomic<bool> more{true};
  int attempts = 0;
  std::barrier meet(threads, [&]() noexcept {
    more = attempts < most && (attempts == 0 || Clock::now() < end);
    attempts += more;
  });
  auto work = [&](int t) {
    for (size_t a = size_t(t) * most;; ++a) {
      meet.arrive_and_wait();
      if (!more)
        return;
      begins[a] = Clock::now();
      w.loop(rounds, float(t), &sink[size_t(t) * 16]);
      ends[a] = Clock::now();
    }
  };
  std::vector<std::thread> pool;
  for (int t = 1; t < threads; ++t)
    pool.emplace_back(work, t);
  work(0);
  for (auto &t : pool)
    t.join();
  double best = 0;
  for (int a = 0; a < attempts; ++a) {
    auto from = begins[size_t(a)], to = ends[size_t(a)];
    for (size_t t = 1; t < size_t(threads); ++t) {
      from = std::min(from, begins[t * most + size_t(a)]);
      to = std::max(to, ends[t * most + size_t(a)]);
    }
    double seconds = std::chrono::duration<double>(to - from).count();
    best = std::max(best, double(threads) * double(rounds) * chains * w.floats * 2 / seconds * 1e-9);
  }
  return best;
}

} // namespace

int r1::tool::versionCommand() {
  int cores = std::max(1u, std::thread::hardware_concurrency());
  auto features = llvm::sys::getHostCPUFeatures();
  std::string set;
  for (const char *f : {"avx512f", "avx512bf16", "avx2", "fma", "neon", "sve"})
    if (features.lookup(f))
      set += (set.empty() ? "" : " ") + std::string(f);
  std::printf("r1c %s (LLVM %s)\n", R1C_VERSION, LLVM_VERSION_STRING);
  std::printf("cpu      %s, %d cores, %s\n", llvm::sys::getHostCPUName().str().c_str(), cores,
              set.empty() ? "baseline" : set.c_str());
  std::printf("peak     %.0f GFLOP/s f32 multiply-add on %d threads, measured now\n",
              measurePeak(cores), cores);
  std::string plugins;
  for (const char *name : {"nvrtc", "cuda", "mpi"})
    if (!r1rt::pluginBeside(("libr1_" + std::string(name) + ".so").c_str()).empty())
      plugins += std::string(plugins.empty() ? "" : " ") + name;
  std::printf("plugins  %s\n", plugins.empty() ? "none" : plugins.c_str());
  return Done;
}
