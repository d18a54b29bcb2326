#include "test/cpu/Bench.h"
#include "dialects/kern/Kern.h"
#include "test/cpu/KernInterp.h"
#include "llvm/Support/Format.h"
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <ctime>
#include <thread>

using namespace mlir;
using namespace r1;
using namespace r1::cpu;

namespace {

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// Seconds of processor time of this thread: blind to other programs' share of the machine.
double threadTime() {
  timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return double(t.tv_sec) + double(t.tv_nsec) * 1e-9;
}

// Threads that wait by spinning: for measurements only.
class Team {
public:
  explicit Team(int n) : size(n) {
    for (int t = 1; t < n; ++t)
      threads.emplace_back([this, t] {
        for (uint64_t seen = 0;;) {
          while (round.load() == seen)
            std::this_thread::yield();
          seen = round.load();
          if (!job)
            return;
          job(t);
          ++done;
        }
      });
  }
  ~Team() {
    job = nullptr;
    ++round;
    for (auto &t : threads)
      t.join();
  }
  void run(std::function<void(int)> f) {
    job = std::move(f);
    done = 0;
    ++round;
    job(0);
    while (done != size - 1)
      std::this_thread::yield();
  }

private:
  int size;
  std::function<void(int)> job;
  std::atomic<uint64_t> round{0};
  std::atomic<int> done{0};
  std::vector<std::thread> threads;
};

#if defined(__x86_64__)
typedef float V16 __attribute__((vector_size(64)));
__attribute__((target("avx512f"), noinline)) float fmaLoop(int64_t n) {
  V16 a[24], x = {}, y = {};
  x += 1.0f, y += 1e-7f;
  for (auto &v : a)
    v = y;
  for (int64_t i = 0; i < n; ++i)
#pragma clang loop unroll(full)
    for (int j = 0; j < 24; ++j)
      a[j] = __builtin_elementwise_fma(a[j], x, y);
  float s = 0;
  for (auto &v : a)
    s += v[0];
  return s;
}
bool canMeasure() { return __builtin_cpu_supports("avx512f"); }
#else
float fmaLoop(int64_t) { return 0; }
bool canMeasure() { return false; }
#endif

struct Memory {
  std::vector<void *> args;
  ~Memory() {
    for (void *p : args)
      std::free(p);
  }
};

} // namespace

int r1::cpu::benchProducts(ModuleOp module, const CompiledKernels &compiled, int threads,
                           int reps) {
  Team team(threads);
  for (Operation &op : *module.getBody()) {
    const auto *k = isa<kern::KernelOp, kern::ProductOp, kern::IntrinsicOp>(op)
                        ? compiled.find(SymbolTable::getSymbolName(&op))
                        : nullptr;
    if (!k)
      continue;
    Memory memory;
    int64_t bytes = 0;
    for (MemRefType t : memrefTypes(&op)) {
      int64_t size = elementCount(t) * storedBytes(t.getElementType());
      bytes += size;
      void *p = std::aligned_alloc(4096, size_t(size + 4095) / 4096 * 4096);
      int64_t n = elementCount(t);
      for (int64_t i = 0; i < n && t.getElementType().isF32(); ++i)
        static_cast<float *>(p)[i] = float((i * 7919) % 1013) / 1013 - 0.5f;
      if (!t.getElementType().isF32())
        memset(p, 0, size_t(size));
      memory.args.push_back(p);
    }
    std::vector<void *> scratch;
    for (int t = 0; t < threads; ++t) {
      size_t n = (k->scratchBytes + 4095) / 4096 * 4096 + 4096;
      scratch.push_back(std::aligned_alloc(4096, n));
      memset(scratch.back(), 0, n);
    }
    double best = 1e9, peak = 0, bestBusy = 1e9, peakBusy = 0;
    std::vector<double> busy(threads);
    auto timed = [&](int t, auto &&work) {
      double start = threadTime();
      work();
      busy[t] = threadTime() - start;
    };
    auto mean = [&] {
      double s = 0;
      for (double x : busy)
        s += x;
      return s / threads;
    };
    std::vector<double> times;
    for (int r = 0; r < reps; ++r) {
      if (canMeasure()) {
        int64_t n = 1000000;
        std::atomic<int> sink{0};
        double t0 = now();
        team.run([&](int t) { timed(t, [&] { sink += fmaLoop(n) > 0; }); });
        double flops = 24.0 * 32 * double(n) * threads / 1e9;
        peak = std::max(peak, flops / (now() - t0));
        peakBusy = std::max(peakBusy, flops / mean());
      }
      double t0 = now();
      team.run(
          [&](int t) { timed(t, [&] { k->fn(memory.args.data(), scratch[t], t, threads); }); });
      times.push_back(now() - t0);
      bestBusy = std::min(bestBusy, mean());
      best = std::min(best, times.back());
    }
    std::sort(times.begin(), times.end());
    llvm::outs() << llvm::format("%-28s best %9.3f ms  median %9.3f ms", k->name.c_str(),
                                 best * 1e3, times[times.size() / 2] * 1e3);
    double flops = 0;
    if (auto p = dyn_cast<kern::ProductOp>(op)) {
      flops = 2;
      for (int64_t s : p.getSizes())
        flops *= double(s);
      for (int64_t s : p.getBatch())
        flops *= double(s);
    } else if (auto f = op.getAttrOfType<FloatAttr>("flops")) {
      flops = f.getValueAsDouble();
    }
    if (flops > 0)
      llvm::outs() << llvm::format(
          "  %7.1f GFLOP/s = %5.1f%% of the peak %6.1f, %5.1f%% by CPU time", flops / best / 1e9,
          flops / best / 1e7 / std::max(peak, 1e-9), peak,
          flops / bestBusy / 1e7 / std::max(peakBusy, 1e-9));
    else
      llvm::outs() << llvm::format("  %6.1f GB/s", double(bytes) / best / 1e9);
    llvm::outs() << "\n";
    for (void *p : scratch)
      std::free(p);
  }
  return 0;
}
