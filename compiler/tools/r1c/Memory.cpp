#include "compiler/tools/r1c/Memory.h"
#include "runtime/stages/AverageWeights.h"
#include "runtime/device/Executor.h"
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <unistd.h>
#if defined(__GLIBC__)
#include <malloc.h>
#endif

namespace r1::tool {

namespace {

/// A line "NAME:   N kB" of /proc/self/status, in bytes.
uint64_t statusLine(const char *name) {
  FILE *f = std::fopen("/proc/self/status", "r");
  if (!f)
    return 0;
  uint64_t bytes = 0;
  char line[256];
  while (std::fgets(line, sizeof line, f))
    if (!std::strncmp(line, name, std::strlen(name)))
      bytes = std::strtoull(line + std::strlen(name), nullptr, 10) * 1024;
  std::fclose(f);
  return bytes;
}

} // namespace

uint64_t residentBytes() { return statusLine("VmRSS:"); }
uint64_t peakResidentBytes() { return statusLine("VmHWM:"); }

uint64_t machineBytes() {
  long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGE_SIZE);
  uint64_t bytes = pages > 0 && page > 0 ? uint64_t(pages) * uint64_t(page) : 0;
  // A container's limit, where it has one ("max": none).
  if (FILE *f = std::fopen("/sys/fs/cgroup/memory.max", "r")) {
    unsigned long long limit = 0;
    if (std::fscanf(f, "%llu", &limit) == 1 && limit && (!bytes || limit < bytes))
      bytes = limit;
    std::fclose(f);
  }
  return bytes;
}

bool forgetPeak() {
  FILE *f = std::fopen("/proc/self/clear_refs", "w");
  if (!f)
    return false;
  bool written = std::fputs("5", f) >= 0;
  return std::fclose(f) == 0 && written;
}

void returnFreeMemory() {
#if defined(__GLIBC__)
  malloc_trim(0);
#endif
}

MemoryWatch::MemoryWatch(const r1_module &module, int threads)
    : arena(module.arena_bytes),
      scratch(module.scratch_bytes * uint64_t(threads) + r1rt::shardBytes(module) + r1rt::AverageWeights::bytes(module)) {
  returnFreeMemory();
  known = forgetPeak();
  begin = residentBytes();
}

void MemoryWatch::dataLoaded() {
  reading = peakResidentBytes() - begin;
  returnFreeMemory();
  uint64_t now = residentBytes();
  data = now > begin ? now - begin : 0;
}

nlohmann::json MemoryWatch::result() const {
  uint64_t predicted = std::max(reading, data + arena + scratch) + reserve;
  return {{"arena", arena},
          {"scratch", scratch},
          {"data", data},
          {"predicted", predicted},
          {"measured", known ? peakResidentBytes() - begin : 0}};
}

} // namespace r1::tool
