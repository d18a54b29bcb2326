// The C interface: the table that kernels get, and what is common to all host threads.
#include "runtime/emu/Block.h"
#include <atomic>
#include <cstdlib>
#include <mutex>

namespace r1rt::emu {

namespace {
std::mutex mutex; // guards the rest
std::string faultText;
std::vector<r1emu_range> rangesNow;

std::atomic<bool> faulted = false;

Schedule fromEnvironment() {
  const char *text = getenv("R1_EMU_SCHEDULE");
  std::string s = text ? text : "order";
  if (s == "reverse")
    return {R1EMU_REVERSE, 0};
  if (s == "random")
    return {R1EMU_RANDOM, 1};
  if (s.rfind("random:", 0) == 0)
    return {R1EMU_RANDOM, strtoull(s.c_str() + 7, nullptr, 10)};
  return {};
}

Schedule &scheduleNow() {
  static Schedule s = fromEnvironment();
  return s;
}
} // namespace

void recordFault(const std::string &text) {
  std::lock_guard lock(mutex);
  if (faultText.empty())
    faultText = text;
  faulted = true;
}

bool hasFault() { return faulted.load(std::memory_order_relaxed); }

Schedule currentSchedule() {
  std::lock_guard lock(mutex);
  return scheduleNow();
}

std::vector<r1emu_range> currentRanges() {
  std::lock_guard lock(mutex);
  return rangesNow;
}

} // namespace r1rt::emu

using namespace r1rt::emu;

const char *r1emu_fault(void) {
  std::lock_guard lock(mutex);
  return faultText.empty() ? nullptr : faultText.c_str();
}

void r1emu_clear(void) {
  std::lock_guard lock(mutex);
  faultText.clear();
  faulted = false;
}

void r1emu_schedule(r1emu_order order, uint64_t seed) {
  std::lock_guard lock(mutex);
  scheduleNow() = {order, seed};
}

void r1emu_ranges(const r1emu_range *ranges, size_t count) {
  std::lock_guard lock(mutex);
  rangesNow.assign(ranges, ranges + count);
}

static void reportFault(r1emu_block *b, r1emu_site site, const char *format, ...) {
  va_list more;
  va_start(more, format);
  Block::of(b).fault(b->thread, site, format, more);
}

const r1emu_api *r1emu_get_api(void) {
  static const r1emu_api api = {
      R1EMU_ABI,
      [](const r1emu_kernel *kernel, r1emu_block **here, void *const *args, long long tid,
         long long threads) { Block::mine().launch(*kernel, here, args, tid, threads); },
      [](r1emu_block *b, const void *key, const char *name, unsigned long long bytes,
         r1emu_site site) { return Block::of(b).shared(key, name, bytes, site); },
      [](r1emu_block *b, r1emu_site site) { Block::of(b).barrier(site); },
      [](r1emu_block *b, const void *given, unsigned bytes, const char *what, unsigned needs,
         r1emu_site site) { return Block::of(b).exchange(given, bytes, what, needs, site); },
      [](r1emu_block *b, const void *p) { return Block::of(b).range(p); },
      [](r1emu_block *b, void *to, const void *from, unsigned bytes, unsigned zeros) {
        Block::of(b).copy({to, from, bytes, zeros, 0});
      },
      [](r1emu_block *b) { Block::of(b).commit(); },
      [](r1emu_block *b, int groups) { Block::of(b).wait(groups); },
      [](r1emu_block *b, r1emu_site site) { return Block::of(b).dynamic(site); },
      [](r1emu_block *b, const void *p, r1emu_site site) { return Block::of(b).address(p, site); },
      [](r1emu_block *b, void *barrier, int count, r1emu_site site) {
        Block::of(b).barrierInit(barrier, count, site);
      },
      [](r1emu_block *b, void *barrier, unsigned bytes, r1emu_site site) {
        Block::of(b).barrierArrive(barrier, bytes, site);
      },
      [](r1emu_block *b, void *barrier, unsigned parity, r1emu_site site) {
        Block::of(b).barrierWait(barrier, parity, site);
      },
      [](r1emu_block *b) { Block::of(b).fenceAsync(); },
      [](r1emu_block *b, void *to, const r1emu_map *map, const int *at, void *barrier,
         r1emu_site site) { Block::of(b).bulkCopy(to, *map, at, barrier, site); },
      [](r1emu_block *b, int count, r1emu_site site) { Block::of(b).registers(count, site); },
      [](r1emu_block *b, const r1emu_wgmma *what, float *d, r1emu_site site) {
        Block::of(b).wgmma(*what, d, site);
      },
      [](r1emu_block *b) { Block::of(b).wgmmaFence(); },
      [](r1emu_block *b) { Block::of(b).wgmmaCommit(); },
      [](r1emu_block *b, int groups, r1emu_site site) { Block::of(b).wgmmaWait(groups, site); },
      reportFault};
  return &api;
}
