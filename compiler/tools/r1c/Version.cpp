// r1c --version: the build, the instruction set, the f32 rate measured here, the plugins found.
#include "compiler/tools/r1c/Options.h"
#include "llvm/Config/llvm-config.h"
#include "llvm/TargetParser/Host.h"
#include <chrono>
#include <cstdio>
#include <thread>
#include <vector>

namespace {

// One multiply-add chain per register; 12 hide the latency of two FMA units and leave registers
// free on every instruction set that has at least 16.
using Vec = float __attribute__((vector_size(64)));

#if defined(__x86_64__)
__attribute__((target_clones("avx512f", "avx2,fma", "default")))
#endif
void fmaChains(int64_t rounds, float seed, float *out) {
  Vec acc[12];
  for (int i = 0; i < 12; ++i)
    acc[i] = Vec{} + (seed + float(i));
  Vec x = Vec{} + 0.999f, y = Vec{} + 0.001f;
  for (int64_t r = 0; r < rounds; ++r)
#pragma clang loop unroll(full)
    for (int i = 0; i < 12; ++i)
      acc[i] = __builtin_elementwise_fma(acc[i], x, y);
  for (int i = 0; i < 12; ++i)
    for (int l = 0; l < 16; ++l)
      *out += acc[i][l];
}

/// GFLOP/s of f32 multiply-adds on `threads` threads over about 4 ms.
double measurePeak(int threads) {
  const int64_t rounds = 40'000;
  double best = 0;
  for (int attempt = 0; attempt < 3; ++attempt) {
    std::vector<std::thread> pool;
    std::vector<float> sink(size_t(threads) * 16);
    auto t0 = std::chrono::steady_clock::now();
    for (int t = 0; t < threads; ++t)
      pool.emplace_back([&, t] { fmaChains(rounds, float(t), &sink[size_t(t) * 16]); });
    for (auto &t : pool)
      t.join();
    double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - t0).count();
    best = std::max(best, double(threads) * double(rounds) * 12 * 16 * 2 / seconds * 1e-9);
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
  std::printf("plugins  none (this build has the CPU target)\n");
  return Done;
}
