//===- Device.h - where programs run: memory and threads -------------------===//
#ifndef R1RT_DEVICE_DEVICE_H
#define R1RT_DEVICE_DEVICE_H
#include "runtime/Status.h"
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

namespace r1rt {

/// One anonymous mapping, zeroed and 64-byte aligned (in fact page aligned).
/// Large arenas ask for huge pages. Unmapped on destruction.
class Arena {
public:
  Arena() = default;
  Arena(Arena &&o) noexcept : ptr(o.ptr), bytes(o.bytes) { o.ptr = nullptr, o.bytes = 0; }
  Arena &operator=(Arena &&o) noexcept {
    std::swap(ptr, o.ptr), std::swap(bytes, o.bytes);
    return *this;
  }
  ~Arena();
  /// Refuses (exit class memory) what the system will not map.
  static Result<Arena> create(uint64_t bytes);

  char *data() const { return ptr; }
  uint64_t size() const { return bytes; }

private:
  char *ptr = nullptr;
  uint64_t bytes = 0;
};

/// All threads of a device meet here. Waiters spin briefly, then sleep.
class Barrier {
public:
  explicit Barrier(int threads, int spins) : threads(threads), spins(spins) {}
  void wait();

private:
  const int threads, spins;
  alignas(64) std::atomic<int> arrived{0};
  alignas(64) std::atomic<uint32_t> phase{0};
};

/// A CPU with a persistent pool of threads. The caller of `parallel` is thread 0.
/// One caller at a time.
class Device {
public:
  /// The cores that this process may use.
  static int cores();
  /// threads <= 0: one per core that this process may use.
  static Result<std::unique_ptr<Device>> createCpu(int threads = 0);
  ~Device();
  Device(const Device &) = delete;
  Device &operator=(const Device &) = delete;

  int threads() const { return nThreads; }
  using Task = void (*)(void *context, int tid);
  /// Runs task(context, tid) on every thread and returns when all are done.
  void parallel(Task task, void *context);
  /// For use inside a task: returns when every thread has called it.
  void barrier() { meet.wait(); }

private:
  explicit Device(int threads, int spins) : nThreads(threads), spins(spins), meet(threads, spins) {}
  void work(int tid);

  const int nThreads, spins;
  Barrier meet;
  Task task = nullptr;
  void *context = nullptr;
  alignas(64) std::atomic<uint32_t> generation{0};
  alignas(64) std::atomic<int> running{0};
  bool quit = false;
  std::vector<std::thread> workers;
};

} // namespace r1rt
#endif
