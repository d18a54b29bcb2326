#include "test/fakes/Model.h"
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <sys/mman.h>

namespace fake {

static std::string hex(uint64_t n) {
  char text[32];
  std::snprintf(text, sizeof text, "0x%llx", static_cast<unsigned long long>(n));
  return text;
}

//===--- memory --------------------------------------------------------------===//

/// What nobody has written: NaN in every floating-point type.
constexpr int kGarbage = 0xFF;

static void *map(size_t bytes, int access) {
  void *p = mmap(nullptr, std::max<size_t>(bytes, 1), access,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED)
    throw Wrong{CUDA_ERROR_OUT_OF_MEMORY, "this machine has no memory to stand in for the device's"};
  return p;
}

CUdeviceptr Memory::alloc(size_t bytes) {
  const Options &o = Options::get();
  if (!bytes)
    throw Wrong{CUDA_ERROR_INVALID_VALUE, "an allocation of 0 bytes"};
  if (bytes > o.memory - std::min<uint64_t>(inUse, o.memory) || bytes > o.largest)
    throw Wrong{CUDA_ERROR_OUT_OF_MEMORY, "out of memory"};
  // Addresses are never used again, so that those of freed memory are known for good.
  auto p = reinterpret_cast<CUdeviceptr>(map(bytes, PROT_NONE));
  char *behind = static_cast<char *>(map(bytes, PROT_READ | PROT_WRITE));
  std::memset(behind, kGarbage, bytes);
  device[p] = {bytes, behind};
  inUse += bytes;
  return p;
}

void Memory::free(CUdeviceptr p) {
  auto it = device.find(p);
  if (it == device.end() || !it->second.behind)
    throw Wrong{CUDA_ERROR_INVALID_VALUE, hex(p) + (it == device.end() ? " is not the beginning of device memory"
                                                                       : " is freed twice")};
  munmap(it->second.behind, it->second.bytes);
  it->second.behind = nullptr;
  inUse -= it->second.bytes;
}

void *Memory::allocHost(size_t bytes) {
  void *p = map(bytes, PROT_READ | PROT_WRITE);
  host[reinterpret_cast<uintptr_t>(p)] = bytes;
  return p;
}

void Memory::freeHost(void *p) {
  auto it = host.find(reinterpret_cast<uintptr_t>(p));
  if (it == host.end())
    throw Wrong{CUDA_ERROR_INVALID_VALUE, "this is no pinned memory"};
  munmap(p, it->second);
  host.erase(it);
}

char *Memory::at(CUdeviceptr p, size_t bytes, const std::string &what) const {
  auto it = device.upper_bound(p);
  if (it != device.begin() && p - (--it)->first < it->second.bytes) {
    size_t offset = p - it->first;
    if (!it->second.behind)
      throw Wrong{CUDA_ERROR_INVALID_VALUE, what + ": the memory at " + hex(p) + " was freed"};
    if (bytes <= it->second.bytes - offset)
      return it->second.behind + offset;
  }
  throw Wrong{CUDA_ERROR_INVALID_VALUE,
              what + ": " + hex(p) + " is not device memory of " + std::to_string(bytes) + " bytes"};
}

void Memory::mustBePinned(const void *p, size_t bytes, const std::string &what) const {
  auto address = reinterpret_cast<uintptr_t>(p);
  auto it = host.upper_bound(address);
  if (it == host.begin() || address - (--it)->first > it->second ||
      bytes > it->second - (address - it->first))
    throw Wrong{CUDA_ERROR_INVALID_VALUE,
                what + ": the host's memory is not pinned, so the copy would not be asynchronous"};
}

//===--- order ---------------------------------------------------------------===//

static uint64_t sumOf(const void *p, size_t bytes) {
  uint64_t h = 1469598103934665603u;
  auto *c = static_cast<const unsigned char *>(p);
  for (; bytes >= 8; c += 8, bytes -= 8) {
    uint64_t word;
    std::memcpy(&word, c, 8);
    h = (h ^ word) * 1099511628211u;
    h ^= h >> 29;
  }
  for (; bytes; --bytes)
    h = (h ^ *c++) * 1099511628211u;
  return h;
}

TaskPtr Queue::add(Op op, std::vector<TaskPtr> needs, uint64_t priority) {
  auto t = std::make_shared<Task>();
  t->priority = priority;
  std::erase_if(needs, [](const TaskPtr &n) { return !n || n->done; });
  t->needs = std::move(needs);
  t->op = std::move(op);
  if (t->op.source)
    t->sum = sumOf(t->op.source, t->op.bytes);
  if (t->op.sink) // until the copy is made, what is there means nothing
    std::memset(t->op.sink, kGarbage, t->op.bytes);
  pending.push_back(t);
  if (Options::get().order == Order::eager)
    finish(t);
  return t;
}

void Queue::run(Task &t) {
  if (t.op.source && sumOf(t.op.source, t.op.bytes) != t.sum)
    throw Wrong{CUDA_ERROR_INVALID_VALUE,
                t.op.what + ": the host's memory was changed before the copy was made"};
  if (t.op.work)
    t.op.work();
  t.done = true;
  t.end = std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
  t.needs.clear();
  t.op = {};
}

static bool isReady(const Task &t) {
  return std::all_of(t.needs.begin(), t.needs.end(), [](const TaskPtr &n) { return n->done; });
}

bool Queue::runAny() {
  std::erase_if(pending, [](const TaskPtr &t) { return t->done; });
  if (pending.empty())
    return false;
  TaskPtr best;
  for (const TaskPtr &t : pending)
    if ((!best || t->priority > best->priority) && isReady(*t))
      best = t;
  run(*best);
  return true;
}

void Queue::tick() {
  if (Options::get().order == Order::random)
    for (uint64_t n = random() % 4; n && runAny(); --n)
      ;
}

void Queue::finish(const TaskPtr &task) {
  if (!task)
    return;
  if (Options::get().order == Order::random) {
    while (!task->done && runAny())
      ;
    return;
  }
  // What was asked for last comes first.
  std::vector<TaskPtr> stack = {task};
  while (!stack.empty()) {
    TaskPtr t = stack.back();
    auto open = std::find_if(t->needs.rbegin(), t->needs.rend(), [](const TaskPtr &n) { return !n->done; });
    if (!t->done && open != t->needs.rend()) {
      stack.push_back(*open);
      continue;
    }
    stack.pop_back();
    if (!t->done)
      run(*t);
  }
  std::erase_if(pending, [](const TaskPtr &t) { return t->done; });
}

//===--- streams, events, graphs ---------------------------------------------===//

void Gpu::put(Stream &s, Op op) {
  if (s.capture) {
    s.capture->nodes.push_back({{s.front.begin(), s.front.end()}, std::move(op)});
    s.front = {s.capture->nodes.size() - 1};
    return;
  }
  std::vector<TaskPtr> needs = std::move(s.waits);
  s.waits.clear();
  needs.push_back(s.last);
  if (queue.draw() % 16 == 0)
    s.priority = queue.draw();
  s.last = queue.add(std::move(op), std::move(needs), s.priority);
}

void Gpu::record(Event &e, Stream &s) {
  e.capture = s.capture;
  e.front = s.front;
  e.task = nullptr;
  if (s.capture)
    return;
  put(s, {"an event", nullptr});
  e.task = s.last;
}

void Gpu::wait(Stream &s, const Event &e) {
  if (e.capture) {
    if (e.capture->ended)
      throw Wrong{CUDA_ERROR_CAPTURED_EVENT, "the event was recorded in a capture that has ended"};
    if (s.capture && s.capture != e.capture)
      throw Wrong{CUDA_ERROR_STREAM_CAPTURE_MERGE, "the event is of another capture"};
    if (!s.capture) {
      s.capture = e.capture;
      s.capture->streams.insert(&s);
    }
    s.front.insert(e.front.begin(), e.front.end());
    return;
  }
  if (!e.task) // never recorded
    return;
  if (s.capture)
    throw Wrong{CUDA_ERROR_STREAM_CAPTURE_ISOLATION,
                "a stream that captures waits for an event from outside of the capture"};
  s.waits.push_back(e.task);
}

void Gpu::begin(Stream &s) {
  if (s.capture)
    throw Wrong{CUDA_ERROR_ILLEGAL_STATE, "the stream captures already"};
  s.capture = std::make_shared<Capture>();
  s.capture->origin = &s;
  s.capture->streams = {&s};
  s.front.clear();
}

std::unique_ptr<Graph> Gpu::end(Stream &s) {
  if (!s.capture)
    throw Wrong{CUDA_ERROR_ILLEGAL_STATE, "the stream does not capture"};
  if (s.capture->origin != &s)
    throw Wrong{CUDA_ERROR_STREAM_CAPTURE_UNMATCHED, "the capture was begun on another stream"};
  CapturePtr c = s.capture;
  c->ended = true;
  // Every node has to be behind the origin's last one.
  std::vector<bool> reached(c->nodes.size());
  std::vector<size_t> stack(s.front.begin(), s.front.end());
  while (!stack.empty()) {
    size_t n = stack.back();
    stack.pop_back();
    if (reached[n])
      continue;
    reached[n] = true;
    stack.insert(stack.end(), c->nodes[n].needs.begin(), c->nodes[n].needs.end());
  }
  for (Stream *each : c->streams) {
    each->capture = nullptr;
    each->front.clear();
  }
  if (c->broken)
    throw Wrong{CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, "a call that is not allowed has broken the capture"};
  if (std::find(reached.begin(), reached.end(), false) != reached.end())
    throw Wrong{CUDA_ERROR_STREAM_CAPTURE_UNJOINED, "another stream was forked and not joined again"};
  auto g = std::make_unique<Graph>();
  g->nodes = std::move(c->nodes);
  return g;
}

void Gpu::launch(Exec &x, Stream &s) {
  if (s.capture)
    throw Wrong{CUDA_ERROR_NOT_SUPPORTED, "graphs within graphs are not modelled"};
  put(s, {"the begin of a graph", nullptr}); // behind what the stream waits for
  // Runs of one graph do not overlap.
  TaskPtr begin = queue.add({"the begin of a graph", nullptr}, {s.last, x.last}, s.priority);
  std::vector<TaskPtr> tasks = {};
  for (const Node &n : x.nodes) {
    std::vector<TaskPtr> needs = {begin};
    for (size_t need : n.needs)
      needs.push_back(tasks[need]);
    tasks.push_back(queue.add(n.op, std::move(needs), queue.draw()));
  }
  tasks.push_back(begin);
  s.last = x.last = queue.add({"the end of a graph", nullptr}, std::move(tasks), s.priority);
}

void Gpu::synchronize(Stream &s) {
  std::vector<TaskPtr> waits = s.waits;
  for (const TaskPtr &t : waits)
    queue.finish(t);
  queue.finish(s.last);
}

void Gpu::synchronize(const Event &e) {
  if (e.capture)
    throw Wrong{CUDA_ERROR_CAPTURED_EVENT, "the event was recorded in a capture"};
  queue.finish(e.task);
}

void Gpu::notInCapture(const char *call) {
  for (auto &[handle, s] : streams)
    if (s->capture) {
      s->capture->broken = true;
      throw Wrong{CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED,
                  std::string(call) + " is not allowed while a stream captures"};
    }
}

} // namespace fake
