// Memory, streams, events, captures and graphs as CUDA's driver has them: what the manual allows, in the
// nastiest order that it allows, and an error for what it does not.
//
// The invariant a reader would guess wrong: an address of device memory is never a pointer. It lies in a
// range that nobody may read; what is behind it lies elsewhere, and `Memory::at` finds it.
#pragma once
#include "test/fakes/Options.h"
#include <cuda.h>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

namespace fake {

/// Thrown by what is below, caught at the driver's functions.
struct Wrong {
  CUresult code;
  std::string text;
};

class Memory {
public:
  CUdeviceptr alloc(size_t bytes);
  void free(CUdeviceptr p);
  void *allocHost(size_t bytes);
  void freeHost(void *p);
  /// What is behind `bytes` bytes of device memory; `what` is told if they are not there.
  char *at(CUdeviceptr p, size_t bytes, const std::string &what) const;
  void mustBePinned(const void *p, size_t bytes, const std::string &what) const;
  size_t used() const { return inUse; }

private:
  struct Block {
    size_t bytes;
    char *behind; // null: freed
  };
  std::map<CUdeviceptr, Block> device;
  std::map<uintptr_t, size_t> host;
  size_t inUse = 0;
};

/// Something that a stream does.
struct Op {
  std::string what;
  std::function<void()> work; // may throw
  /// Host memory that is read or written when the op runs.
  const void *source = nullptr;
  void *sink = nullptr;
  size_t bytes = 0;
};

struct Task;
using TaskPtr = std::shared_ptr<Task>;
struct Task {
  std::vector<TaskPtr> needs;
  Op op;
  uint64_t sum = 0;      // of the source, when the op was asked for
  uint64_t priority = 0; // in a random order
  bool done = false;
  double end = 0; // seconds
};

/// Does tasks in an order that their needs allow.
class Queue {
public:
  TaskPtr add(Op op, std::vector<TaskPtr> needs, uint64_t priority);
  void finish(const TaskPtr &task);
  /// A chance for work that nobody waits for.
  void tick();
  uint64_t draw() { return random(); }

private:
  void run(Task &task);
  bool runAny();
  std::list<TaskPtr> pending;
  std::mt19937_64 random{Options::get().seed};
};

struct Node {
  std::vector<size_t> needs;
  Op op;
};

struct Stream;
struct Capture {
  Stream *origin;
  std::vector<Node> nodes;
  std::set<Stream *> streams;
  bool ended = false, broken = false;
};
using CapturePtr = std::shared_ptr<Capture>;

struct Stream {
  TaskPtr last;
  std::vector<TaskPtr> waits; // for the next task
  CapturePtr capture;
  std::set<size_t> front; // nodes of the capture that the next one needs
  uint64_t priority = 0;  // of its tasks, for a while: so that a stream may fall far behind another
};

struct Event {
  bool timing;
  TaskPtr task;
  CapturePtr capture; // recorded there
  std::set<size_t> front;
};

struct Graph {
  std::vector<Node> nodes;
};
struct Exec {
  std::vector<Node> nodes;
  TaskPtr last;
};

/// The one device, and all that was made on it.
class Gpu {
public:
  Memory memory;
  Queue queue;
  std::map<void *, std::unique_ptr<Stream>> streams;
  std::map<void *, std::unique_ptr<Event>> events;
  std::map<void *, std::unique_ptr<Graph>> graphs;
  std::map<void *, std::unique_ptr<Exec>> execs;
  /// The error after which nothing works any more.
  std::unique_ptr<Wrong> lost;
  uint64_t launches = 0, kernels = 0; // calls of cuLaunchKernel; kernels that ran

  void put(Stream &s, Op op);
  void record(Event &e, Stream &s);
  void wait(Stream &s, const Event &e);
  void begin(Stream &s);
  std::unique_ptr<Graph> end(Stream &s);
  void launch(Exec &x, Stream &s);
  void synchronize(Stream &s);
  void synchronize(const Event &e);
  /// What no thread may call while one of its streams captures; it breaks the capture.
  void notInCapture(const char *call);
};

/// The object behind a handle.
template <class T>
T &get(std::map<void *, std::unique_ptr<T>> &all, void *handle, const char *kind) {
  auto it = all.find(handle);
  if (it == all.end())
    throw Wrong{CUDA_ERROR_INVALID_HANDLE, std::string("this is no ") + kind + ", or no longer one"};
  return *it->second;
}
template <class T, class H> void keep(std::map<void *, std::unique_ptr<T>> &all, std::unique_ptr<T> t, H *to) {
  T *raw = t.get();
  all[raw] = std::move(t);
  *to = reinterpret_cast<H>(raw);
}

} // namespace fake
