// Mistakes seeded into kernels are seen: as a fault that names the place, or as results that differ
// between schedules.
#include "test/cuda_emu/Kernel.h"
#include <cmath>
#include <cstring>
#include <fstream>
#include <set>

using namespace emutest;

namespace {

const Library &mistakes() {
  static Library lib("mistakes.cu");
  return lib;
}

/// The lines marked "HERE kernel".
std::set<int> linesOf(const std::string &kernel) {
  std::ifstream in(std::string(R1_SOURCE) + "/test/cuda_emu/kernels/mistakes.cu");
  std::set<int> lines;
  std::string text;
  for (int n = 1; std::getline(in, text); ++n)
    if (size_t at = text.find("HERE " + kernel); at != std::string::npos)
      if (at + 5 + kernel.size() == text.size())
        lines.insert(n);
  return lines;
}

void expectFault(const std::string &kernel, std::vector<void *> args, const std::string &part) {
  SCOPED_TRACE(kernel);
  for (int schedule = 0; schedule < kSchedules; ++schedule) {
    setSchedule(schedule);
    mistakes().run(kernel, args);
    std::string fault = takeFault();
    EXPECT_NE(fault.find("kernel " + kernel + ", block 0, thread "), std::string::npos) << fault;
    EXPECT_NE(fault.find(part), std::string::npos) << fault;
    bool place = false;
    for (int line : linesOf(kernel))
      place |= fault.rfind("mistakes.cu:" + std::to_string(line) + ": ", 0) == 0;
    EXPECT_TRUE(place) << fault;
  }
}

/// The different results of a kernel under all schedules.
size_t results(const std::string &kernel, const std::vector<float> &x, size_t n) {
  std::set<std::vector<char>> all;
  for (int schedule = 0; schedule < kSchedules; ++schedule) {
    setSchedule(schedule);
    std::vector<float> in = x;
    std::vector<char> y(n * 4);
    std::vector<void *> args = {y.data()};
    if (!x.empty())
      args.insert(args.begin(), in.data());
    mistakes().run(kernel, args);
    EXPECT_EQ(takeFault(), "none");
    all.insert(y);
  }
  return all.size();
}

std::vector<float> someNumbers(size_t n) {
  std::vector<float> x(n);
  for (size_t i = 0; i < n; ++i)
    x[i] = noise(i);
  return x;
}

} // namespace

TEST(Fault, RacesShowAsDifferences) {
  std::vector<float> x = someNumbers(512);
  EXPECT_EQ(results("turn", x, 512), 1u);
  EXPECT_GT(results("turn_unsynced", x, 512), 1u);
  EXPECT_EQ(results("warp_synced", {}, 64), 1u);
  EXPECT_GT(results("warp_unsynced", {}, 64), 1u);
  EXPECT_GT(results("blocks_race", {}, 128), 1u);
}

TEST(Fault, AsynchronousCopies) {
  std::vector<float> x = someNumbers(6 * 128);
  EXPECT_EQ(results("ahead_right", x, 6 * 32), 1u);
  EXPECT_GT(results("ahead_no_wait", x, 6 * 32), 1u);
  EXPECT_GT(results("ahead_wait_too_little", x, 6 * 32), 1u);
  EXPECT_GT(results("ahead_no_sync", x, 6 * 32), 1u);
  EXPECT_GT(results("ahead_refill_too_early", x, 6 * 32), 1u);
}

TEST(Fault, UninitialisedSharedMemoryIsNaN) {
  setSchedule(0);
  std::vector<float> y(32);
  mistakes().run("not_initialised", {y.data()});
  for (int i = 0; i < 32; ++i)
    EXPECT_EQ(std::isnan(y[i]), i == 7);
}

TEST(Fault, Divergence) {
  std::vector<int> y(128);
  expectFault("some_return", {y.data()}, "has finished; all threads of a block");
  expectFault("two_barriers", {y.data()}, "block_sync, but thread ");
  expectFault("half_warp", {y.data()}, "shfl_xor, but thread ");
  expectFault("two_votes", {y.data()}, "all lanes of a warp have to reach the same one");
  expectFault("no_lane", {y.data()}, "of a warp of 16 threads");
}

TEST(Fault, Bounds) {
  alignas(16) static float x[128], y[128];
  expectFault("shared_overrun", {y}, "thread 63: element 64 of an array of 64");
  expectFault("shared_vec_overrun", {y}, "thread 31: elements 124 to 127 of an array of 126");
  expectFault("argument_overrun", {x, y}, "thread 4: element 100 of an array of 100");
  expectFault("argument_underrun", {x, y}, "thread 0: element -1 of an array of 100");
  r1emu_range ranges[] = {{x, 128 * 4}, {y, 100 * 4}};
  r1emu_ranges(ranges, 2);
  expectFault("raw_overrun", {x, y}, "in no array of the launch");
  r1emu_range shorter[] = {{x, 100 * 4}, {y, 128 * 4}};
  r1emu_ranges(shorter, 2);
  expectFault("looked_up_overrun", {x, y}, " of an array of 100");
  r1emu_ranges(nullptr, 0);
  setSchedule(0);
  mistakes().run("raw_overrun", {x, y}); // not checked
  mistakes().run("looked_up_overrun", {x, y});
  EXPECT_EQ(takeFault(), "none");
}

TEST(Fault, AlignmentAndSizes) {
  alignas(16) static float x[128], y[128];
  expectFault("misaligned", {x, y}, "an access of 16 bytes at ");
  expectFault("too_much_shared", {y}, "with `two` the block has 65536 bytes of shared memory");
}

TEST(Fault, StaysUntilCleared) {
  setSchedule(0);
  std::vector<int> x(512, 3), y(512), flags(128);
  mistakes().run("some_return", {flags.data()});
  std::string first = r1emu_fault();
  mistakes().run("turn", {x.data(), y.data()});
  mistakes().run("two_barriers", {flags.data()});
  EXPECT_EQ(r1emu_fault(), first); // and nothing ran
  EXPECT_EQ(y[0], 0);
  EXPECT_EQ(takeFault(), first);
  mistakes().run("turn", {x.data(), y.data()}, 3);
  EXPECT_EQ(takeFault(), "none");
  EXPECT_EQ(y, x);
}

TEST(Fault, OnAnyHostThread) {
  std::vector<int> y(128);
  for (int i = 0; i < 50; ++i) {
    setSchedule(i % kSchedules);
    mistakes().run("some_return", {y.data()}, 4);
    EXPECT_NE(takeFault().find("kernel some_return"), std::string::npos);
  }
}
