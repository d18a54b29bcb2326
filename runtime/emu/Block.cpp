#include "runtime/emu/Block.h"
#include <algorithm>
#include <bit>
#include <cstdio>
#include <cstring>

namespace r1rt::emu {

static constexpr uint64_t kAlign = 1024; // of all shared memory

Block::Block() : memory(new char[R1EMU_SHARED_BYTES_MOST + kAlign]) {
  auto p = reinterpret_cast<uintptr_t>(memory.get());
  sharedMemory = memory.get() + (kAlign - p % kAlign);
}

Block &Block::of(r1emu_block *head) {
  return static_cast<Block &>(*reinterpret_cast<BlockHead *>(head));
}

Block &Block::mine() {
  static thread_local std::unique_ptr<Block> block(new Block);
  return *block;
}

uint64_t Block::draw() {
  random += 0x9E3779B97F4A7C15u;
  uint64_t z = (random ^ (random >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

void Block::launch(const r1emu_kernel &k, r1emu_block **here, void *const *a, int64_t tid,
                   int64_t count) {
  if (hasFault())
    return;
  kernel = &k;
  args = a;
  schedule = currentSchedule();
  ranges = currentRanges();
  head.threads = k.threads;
  head.blocks = k.blocks;
  head.checked = !ranges.empty();
  if (threads.size() < static_cast<size_t>(k.threads))
    threads.resize(k.threads);
  size_t n = (k.threads + kWarp - 1) / kWarp;
  if (warps.size() < n)
    warps.resize(n);
  *here = &head;
  int64_t mine = tid < k.blocks ? (k.blocks - tid + count - 1) / count : 0;
  bool backward =
      schedule.order == R1EMU_REVERSE || (schedule.order == R1EMU_RANDOM && (schedule.seed & 1));
  for (int64_t i = 0; i < mine && !hasFault(); ++i)
    run(static_cast<int>(tid + count * (backward ? mine - 1 - i : i)));
}

/// Runs one block to its end, or to its first fault.
void Block::run(int number) {
  head.block = number;
  random = schedule.seed * 0x2545F4914F6CDD1Du + static_cast<uint64_t>(number);
  warp = finished = waiting = 0;
  readyWarps = 0;
  arrays.clear();
  sharedBytes = static_cast<uint64_t>(kernel->shared);
  memset(sharedMemory, 0xFF, sharedBytes);
  startAsync();
  int n = head.threads;
  for (int t = 0; t < n; ++t) {
    threads[t].stack = -1;
    threads[t].group = 0;
    threads[t].waits = nullptr;
    threads[t].copies.clear();
  }
  for (int w = 0; w * kWarp < n; ++w) {
    int lanes = std::min(kWarp, n - w * kWarp);
    warps[w].all = warps[w].ready = lanes == kWarp ? ~0u : (1u << lanes) - 1;
    warps[w].inExchange = warps[w].inBarrier = 0;
    warps[w].half = 0;
    readyWarps |= 1u << w;
  }
  stacks.giveBackAll();
  warp = pickWarp();
  int first = pick(), stack = stacks.take();
  if (stack < 0) {
    recordFault("no memory for the stacks of emulated threads");
    return;
  }
  threads[first].stack = stack;
  head.thread = first;
  switchFiber(&host, stacks.start(stack, threadMain));
}

/// What runs on every stack: threads, one after the other as long as none of them waits.
void Block::threadMain() {
  Block &b = mine();
  for (;;) {
    b.kernel->body(b.args);
    int self = b.head.thread, next = -1;
    b.threads[self].waits = nullptr;
    ++b.finished;
    b.threadEnds(self);
    if (b.finished == b.head.threads) {
      Fiber unused;
      switchFiber(&unused, b.host);
    }
    next = b.pick();
    int stack = b.threads[self].stack;
    if (b.threads[next].stack < 0) {
      b.threads[next].stack = stack;
      b.head.thread = next;
      continue;
    }
    // The stack is free once we have left it, and nobody takes it before that.
    b.stacks.giveBack(stack);
    b.head.thread = next;
    Fiber unused;
    switchFiber(&unused, b.threads[next].at);
  }
}

int Block::pickLane(uint32_t lanes) {
  switch (schedule.order) {
  case R1EMU_IN_ORDER:
    return std::countr_zero(lanes);
  case R1EMU_REVERSE:
    return 31 - std::countl_zero(lanes);
  case R1EMU_RANDOM:
    break;
  }
  for (uint64_t skip = draw() % std::popcount(lanes); skip; --skip)
    lanes &= lanes - 1;
  return std::countr_zero(lanes);
}

/// Of the warps with a thread that may run.
int Block::pickWarp() { return pickLane(readyWarps); }

/// Takes the thread that runs next out of those that may.
int Block::pick() {
  if (schedule.order == R1EMU_RANDOM && !barriers.empty() && draw() % 4 == 0)
    performSome();
  for (;;) {
    Warp *w = &warps[warp];
    if (!w->ready) {
      readyWarps &= ~(1u << warp);
      if (w->inExchange == w->all) { // it is complete: its lanes go on
        w->ready = w->all;
        w->inExchange = 0;
        w->half ^= 1;
        readyWarps |= 1u << warp;
        if (schedule.order == R1EMU_RANDOM && draw() % 4 == 0)
          warp = pickWarp();
        continue;
      }
      if (!readyWarps) {
        if (waiting != head.threads) {
          if (performNext())
            continue;
          stuck();
        }
        waiting = 0;
        for (int i = 0; i * kWarp < head.threads; ++i) {
          warps[i].ready = warps[i].all;
          warps[i].inBarrier = 0;
          readyWarps |= 1u << i;
        }
      }
      warp = pickWarp();
      continue;
    }
    int lane = pickLane(w->ready);
    w->ready &= ~(1u << lane);
    return warp * kWarp + lane;
  }
}

/// The running thread waits in `what`; returns when it may go on.
void Block::suspend(const char *what, r1emu_site site) {
  int self = head.thread;
  threads[self].waits = what;
  threads[self].site = site;
  int next = pick();
  if (next != self)
    resume(next);
  threads[self].waits = nullptr;
}

void Block::resume(int next) {
  int self = head.thread;
  head.thread = next;
  Fiber to = threads[next].at;
  if (threads[next].stack < 0) {
    int stack = stacks.take();
    if (stack < 0)
      fault(next, threads[self].site, "no memory for the stack of this thread");
    threads[next].stack = stack;
    to = stacks.start(stack, threadMain);
  }
  switchFiber(&threads[self].at, to);
}

static bool samePlace(const r1emu_site &a, const r1emu_site &b) {
  return a.line == b.line && (a.file == b.file || strcmp(a.file, b.file) == 0);
}

static const char *baseName(const char *file) {
  const char *slash = strrchr(file, '/');
  return slash ? slash + 1 : file;
}

static std::string placeText(const r1emu_site &s) {
  return std::string(baseName(s.file)) + ":" + std::to_string(s.line);
}

void Block::barrier(r1emu_site site) {
  int self = head.thread;
  Warp &w = warps[self / kWarp];
  w.inBarrier |= 1u << (self % kWarp);
  ++waiting;
  if (waiting == 1)
    firstWaiting = self;
  else if (!samePlace(threads[firstWaiting].site, site))
    fault(self, site,
          "block_sync, but thread %d waits in the block_sync of %s; all threads of a block have to "
          "reach the same one",
          firstWaiting, placeText(threads[firstWaiting].site).c_str());
  suspend("block_sync", site);
}

const void *Block::exchange(const void *given, unsigned bytes, const char *what, unsigned needs,
                            r1emu_site site) {
  int self = head.thread, lane = self % kWarp;
  Warp &w = warps[self / kWarp];
  if (needs & ~w.all)
    fault(self, site, "%s reads lane %d of a warp of %d threads", what, std::countr_zero(needs),
          std::popcount(w.all));
  if (w.inExchange) {
    const Thread &other = threads[self - lane + w.first];
    if (other.waits != what && strcmp(other.waits, what) != 0)
      fault(self, site,
            "%s, but lane %d waits in the %s of %s; all lanes of a warp have to reach "
            "the same one",
            what, w.first, other.waits, placeText(other.site).c_str());
    if (!samePlace(other.site, site))
      fault(self, site,
            "%s, but lane %d waits in that of %s; all lanes of a warp have to reach the "
            "same one",
            what, w.first, placeText(other.site).c_str());
  } else {
    w.first = lane;
  }
  w.inExchange |= 1u << lane;
  auto *all = w.given[w.half];
  memcpy(all[lane], given, bytes);
  suspend(what, site);
  return all;
}

/// No thread may run, and not all have finished: some wait for what will never come.
void Block::stuck() {
  auto describe = [&](int t) {
    if (threads[t].waits)
      return "waits in the " + std::string(threads[t].waits) + " of " + placeText(threads[t].site);
    return std::string("has finished");
  };
  // A warp that is torn apart says more than the barrier that it never reaches.
  for (int w = 0; w * kWarp < head.threads; ++w) {
    uint32_t in = warps[w].inExchange, out = warps[w].all & ~in;
    if (!in)
      continue;
    int t = w * kWarp + std::countr_zero(in), other = w * kWarp + std::countr_zero(out);
    fault(t, threads[t].site,
          "%s, but thread %d %s; all lanes of a warp have to reach the same one", threads[t].waits,
          other, describe(other).c_str());
  }
  stuckAtBarrier();
  int t = 0, other = 0;
  while (!threads[t].waits)
    ++t;
  while (threads[other].waits)
    ++other;
  fault(t, threads[t].site,
        "block_sync, but thread %d %s; all threads of a block have to reach the same one", other,
        describe(other).c_str());
}

void *Block::shared(const void *key, const char *name, uint64_t bytes, r1emu_site site) {
  for (SharedArray &s : arrays)
    if (s.key == key)
      return const_cast<void *>(s.range.begin);
  uint64_t at = (sharedBytes + 15) / 16 * 16;
  auto most = static_cast<uint64_t>(kernel->shared ? R1EMU_SHARED_BYTES_MOST : R1EMU_SHARED_BYTES);
  if (at + bytes > most)
    fault(head.thread, site, "with `%s` the block has %llu bytes of shared memory; it may have %d",
          name, static_cast<unsigned long long>(at + bytes), static_cast<int>(most));
  sharedBytes = at + bytes;
  char *p = sharedMemory + at;
  memset(p, 0xFF, bytes);
  arrays.push_back({key, name, {p, bytes}});
  return p;
}

r1emu_range Block::range(const void *p) {
  auto holds = [&](const r1emu_range &r) {
    return static_cast<uint64_t>(static_cast<const char *>(p) -
                                 static_cast<const char *>(r.begin)) < r.bytes;
  };
  for (size_t i = 0; i < ranges.size(); ++i)
    if (holds(ranges[i])) {
      r1emu_range found = ranges[i];
      std::swap(ranges[0], ranges[i]); // the next access is likely beside this one
      return found;
    }
  for (const SharedArray &s : arrays)
    if (holds(s.range))
      return s.range;
  return {nullptr, 0};
}

static void carryOut(const Copy &c) {
  if (c.bytes)
    memcpy(c.to, c.from, c.bytes);
  memset(static_cast<char *>(c.to) + c.bytes, 0, c.zeros);
}

void Block::copy(Copy c) {
  c.group = threads[head.thread].group;
  bool atOnce = schedule.order == R1EMU_REVERSE || (schedule.order == R1EMU_RANDOM && (draw() & 1));
  if (atOnce)
    carryOut(c);
  else
    threads[head.thread].copies.push_back(c);
}

void Block::commit() { ++threads[head.thread].group; }

void Block::wait(int groups) {
  Thread &t = threads[head.thread];
  auto done = [&](const Copy &c) {
    if (c.group >= t.group - groups)
      return false;
    carryOut(c);
    return true;
  };
  t.copies.erase(std::remove_if(t.copies.begin(), t.copies.end(), done), t.copies.end());
}

void Block::fault(int thread, r1emu_site site, const char *format, va_list more) {
  char text[512];
  vsnprintf(text, sizeof text, format, more);
  recordFault(placeText(site) + ": kernel " + kernel->name + ", block " +
              std::to_string(head.block) + ", thread " + std::to_string(thread) + ": " + text);
  Fiber unused; // the threads of the block are left where they are
  switchFiber(&unused, host);
  __builtin_unreachable();
}

void Block::fault(int thread, r1emu_site site, const char *format, ...) {
  va_list more;
  va_start(more, format);
  fault(thread, site, format, more);
}

} // namespace r1rt::emu
