#include "runtime/device/Device.h"
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <system_error>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace r1rt {

static inline void relax() {
#if defined(__x86_64__)
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

/// Returns once `a` no longer holds `old`.
template <class T> static void awaitChange(const std::atomic<T> &a, T old, int spins) {
  for (int i = 0; i < spins; ++i) {
    if (a.load(std::memory_order_acquire) != old)
      return;
    relax();
  }
  while (a.load(std::memory_order_acquire) == old)
    a.wait(old, std::memory_order_acquire);
}

Arena::~Arena() {
  if (ptr)
    munmap(ptr, bytes);
}

Result<Arena> Arena::create(uint64_t bytes) {
  constexpr uint64_t page = 4096, huge = 2u << 20;
  Arena a;
  a.bytes = (std::max<uint64_t>(bytes, 1) + page - 1) / page * page;
  if (a.bytes < bytes)
    return Status::error("an arena of " + std::to_string(bytes) + " bytes does not fit in memory",
                         ExitClass::memory);
  void *p = mmap(nullptr, a.bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED)
    return Status::error("cannot get " + std::to_string(bytes) +
                             " bytes of memory from the system: " + std::strerror(errno),
                         ExitClass::memory);
  a.ptr = static_cast<char *>(p);
  if (a.bytes >= huge)
    (void)madvise(p, a.bytes, MADV_HUGEPAGE); // only a wish: refused where huge pages are off
  return a;
}

void Barrier::wait() {
  if (threads == 1)
    return;
  uint32_t now = phase.load(std::memory_order_acquire);
  if (arrived.fetch_add(1, std::memory_order_acq_rel) + 1 == threads) {
    arrived.store(0, std::memory_order_relaxed);
    phase.store(now + 1, std::memory_order_release);
    phase.notify_all();
    return;
  }
  awaitChange(phase, now, spins);
}

int Device::cores() {
  cpu_set_t set;
  return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
}

Result<std::unique_ptr<Device>> Device::createCpu(int threads) {
  const int cores = Device::cores();
  if (threads <= 0)
    threads = cores;
  if (threads > 4096)
    return Status::error(std::to_string(threads) + " threads asked for; at most 4096 are possible",
                         ExitClass::commandLine);
  // With more threads than cores, spinning only delays the thread that is waited for.
  int spins = threads <= cores ? 1000 : 0;
  std::unique_ptr<Device> d(new Device(threads, spins));
  // Signals go to the caller's thread, which knows what to do with them.
  sigset_t all, old;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, &old);
  Status st;
  try {
    for (int t = 1; t < threads; ++t)
      d->workers.emplace_back([p = d.get(), t] { p->work(t); });
  } catch (const std::system_error &e) {
    st = Status::error(std::string("cannot start a thread: ") + e.what());
  }
  pthread_sigmask(SIG_SETMASK, &old, nullptr);
  if (!st.isOk())
    return st;
  return d;
}

Device::~Device() {
  quit = true;
  generation.fetch_add(1, std::memory_order_release);
  generation.notify_all();
  for (std::thread &w : workers)
    w.join();
}

void Device::work(int tid) {
  uint32_t seen = 0;
  for (;;) {
    awaitChange(generation, seen, spins);
    ++seen;
    if (quit)
      return;
    task(context, tid);
    if (running.fetch_sub(1, std::memory_order_acq_rel) == 1)
      running.notify_one();
  }
}

void Device::parallel(Task t, void *ctx) {
  if (nThreads > 1) {
    task = t;
    context = ctx;
    running.store(nThreads - 1, std::memory_order_relaxed);
    generation.fetch_add(1, std::memory_order_release);
    generation.notify_all();
  }
  t(ctx, 0);
  if (nThreads > 1)
    for (int left; (left = running.load(std::memory_order_acquire)) != 0;)
      awaitChange(running, left, spins);
}

} // namespace r1rt
