//===- Block.h - one running block: its threads, warps, shared memory --------===//
//
// Threads run until they meet: a warp in an exchange, a block in a barrier. Whoever
// has to wait picks the next thread itself and switches to it; a thread that never
// waits costs no switch, since the next one starts on the same stack.
//
//===----------------------------------------------------------------------===//
#ifndef R1RT_EMU_BLOCK_H
#define R1RT_EMU_BLOCK_H
#include "runtime/emu/Emu.h"
#include "runtime/emu/Fiber.h"
#include <cstdarg>
#include <deque>
#include <memory>
#include <string>
#include <vector>

namespace r1rt::emu {

inline constexpr int kWarp = 32;

struct Schedule {
  r1emu_order order = R1EMU_IN_ORDER;
  uint64_t seed = 0;
};

/// An asynchronous copy under way.
struct Copy {
  void *to;
  const void *from;
  unsigned bytes, zeros; // zeros behind the bytes
  int group;             // of the thread; committed when it is below Thread::group
};

/// An mbarrier of the block.
struct Barrier {
  const void *at;
  int count, pending;  // arrivals of a phase; of these, still to come
  int64_t bytes;       // expected, and not there yet
  unsigned phase;      // number of the running one
  int owner;           // the thread that initialised it
  bool fenced;         // so that copies see it
};

/// A bulk copy under way.
struct BulkCopy {
  char *to;
  r1emu_map map;
  int at[5];
  size_t barrier;  // number of it
  unsigned phase;  // of the barrier, when the copy was issued
  int thread;
  r1emu_site site;
};

/// One warp's part of a wgmma under way: 16 x n x 16.
struct Wgmma {
  r1emu_wgmma what;
  int group;
  uint32_t lanes;                // that have issued it
  float *d[kWarp];
  std::vector<uint32_t> a, b;    // addresses of the operands' chunks of 16 bytes
  uint32_t fragment[kWarp][4];   // a, if it is in registers
};

/// Sums that wgmmas under way add to: the lanes' own registers hold NaNs meanwhile.
struct Sums {
  float *d;
  int count, uses; // values; wgmmas under way
  std::vector<float> values;
};

struct Thread {
  Fiber at = nullptr;          // where it is suspended
  int stack = -1;              // that it runs on; -1: not started
  int group = 0;               // the open group of copies
  const char *waits = nullptr; // the operation that it waits in
  r1emu_site site{};           // of that operation
  std::vector<Copy> copies;
  int barrier = -1;     // that it waits for
  bool fenced = false;  // wgmma_fence since the last wait
  int products = 0;     // wgmmas that it has issued
  int productGroup = 0; // the open group of them
  std::vector<Sums> sums;
};

struct Warp {
  uint32_t all = 0, ready = 0, inExchange = 0, inBarrier = 0, inWgmma = 0; // lanes
  int first = -1; // lane that came first to this exchange
  int half = 0;   // of `given` that this exchange writes; the other one may still be read
  alignas(16) char given[2][kWarp][R1EMU_LANE_BYTES];
  std::deque<Wgmma> products; // under way, in order
  int done = 0;               // wgmmas before these
  int registers = 0;          // that its threads have asked for; 0: not
  int awaited = 0;            // the lanes in inWgmma wait for the groups below this one
};

struct SharedArray {
  const void *key;
  const char *name;
  r1emu_range range;
};

/// All that the kernel's library sees of a block.
struct BlockHead {
  r1emu_block head{};
};

/// What a host thread runs blocks with.
class Block : BlockHead {
public:
  /// That of this host thread.
  static Block &mine();
  static Block &of(r1emu_block *head);

  void launch(const r1emu_kernel &kernel, r1emu_block **here, void *const *args, int64_t tid,
              int64_t threads);

  void *shared(const void *key, const char *name, uint64_t bytes, r1emu_site site);
  void barrier(r1emu_site site);
  const void *exchange(const void *given, unsigned bytes, const char *what, unsigned needs,
                       r1emu_site site);
  r1emu_range range(const void *p);
  void copy(Copy c);
  void commit();
  void wait(int groups);
  r1emu_range dynamic(r1emu_site site);
  unsigned address(const void *p, r1emu_site site);
  void barrierInit(void *at, int count, r1emu_site site);
  void barrierArrive(void *at, unsigned bytes, r1emu_site site);
  void barrierWait(void *at, unsigned parity, r1emu_site site);
  void fenceAsync();
  void bulkCopy(void *to, const r1emu_map &map, const int *at, void *barrier, r1emu_site site);
  void registers(int count, r1emu_site site);
  void wgmma(const r1emu_wgmma &what, float *d, r1emu_site site);
  void wgmmaFence();
  void wgmmaCommit();
  void wgmmaWait(int groups, r1emu_site site);
  [[noreturn]] void fault(int thread, r1emu_site site, const char *format, va_list more);
  [[noreturn]] void fault(int thread, r1emu_site site, const char *format, ...);

private:
  Block();
  void run(int block);
  static void threadMain();
  void resume(int next);
  int pick();
  int pickLane(uint32_t lanes);
  int pickWarp();
  void suspend(const char *what, r1emu_site site);
  [[noreturn]] void stuck();
  uint64_t draw();

  // Async.cpp: what goes on while threads run on.
  void startAsync();
  bool performNext();
  void performSome();
  void land(BulkCopy c);
  void perform(int warp);
  void endPhase(Barrier &b);
  void wakeWgmma(int warp);
  size_t barrierAt(const void *at, const char *what, r1emu_site site);
  void checkMap(const r1emu_map &map, r1emu_site site);
  std::vector<uint32_t> chunks(uint64_t descriptor, bool across, int first, int rows, char name,
                               r1emu_site site);
  void threadEnds(int thread);
  void stuckAtBarrier();

  const r1emu_kernel *kernel = nullptr;
  void *const *args = nullptr;
  Schedule schedule;
  uint64_t random = 0;
  Fiber host = nullptr;                    // the flow that called `launch`
  int warp = 0, finished = 0, waiting = 0; // threads, in the barrier
  int firstWaiting = 0;
  uint32_t readyWarps = 0;
  Stacks stacks;
  std::vector<Thread> threads;
  std::vector<Warp> warps;
  std::vector<SharedArray> arrays;
  std::unique_ptr<char[]> memory;
  char *sharedMemory = nullptr; // the window of shared memory begins 1024 bytes below it
  uint64_t sharedBytes = 0;     // that are taken
  std::vector<Barrier> barriers;
  std::deque<BulkCopy> bulkCopies;
  std::vector<r1emu_range> ranges;
};

/// Keeps `text` if it is the first; tells whether some text is kept.
void recordFault(const std::string &text);
bool hasFault();
/// For launches from now on.
Schedule currentSchedule();
std::vector<r1emu_range> currentRanges();

} // namespace r1rt::emu
#endif
