// Sums over the GPUs of several ranks, with stand-ins: ranks are threads, a GPU's memory is the host's,
// libnccl.so.2 is test/fakes/nccl. The interface of NCCL is what the plugin really calls.
#include "runtime/nccl/Nccl.h"
#include "runtime/device/Accelerator.h"
#include "test/runtime_comm/Tree.h"
#include <chrono>
#include <deque>
#include <cmath>
#include <gtest/gtest.h>

using namespace r1rt;


#define EXPECT_HAS(TEXT, PART) EXPECT_NE((TEXT).find(PART), std::string::npos) << (TEXT)

namespace {

using Time = std::chrono::steady_clock;
double since(Time::time_point start) { return std::chrono::duration<double>(Time::now() - start).count(); }

/// A stream of a device whose memory is the host's: one thread that does what is put in, in order.
class Stream {
public:
  Stream() : worker([this] { work(); }) {}
  ~Stream() {
    put({});
    worker.join();
  }
  void put(std::function<void()> task) {
    std::lock_guard lock(mutex);
    tasks.push_back(std::move(task));
    changed.notify_all();
  }
  void wait() {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return tasks.empty(); });
  }

private:
  void work() {
    std::unique_lock lock(mutex);
    while (true) {
      changed.wait(lock, [&] { return !tasks.empty(); });
      if (!tasks.front())
        return;
      auto task = tasks.front();
      lock.unlock();
      task();
      lock.lock();
      tasks.pop_front();
      changed.notify_all();
    }
  }
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<std::function<void()>> tasks;
  std::thread worker;
};

class HostQueue final : public SideQueue {
public:
  void *stream() override { return &side; }
  Status waitForPrograms() override { return ++waits, Status::ok(); }
  Status programsWait() override { return ++joins, Status::ok(); }
  Status add(uint64_t out, uint64_t low, uint64_t high, uint64_t n) override {
    side.put([=] {
      for (uint64_t i = 0; i < n; ++i)
        at(out)[i] = at(low)[i] + at(high)[i];
    });
    return Status::ok();
  }
  Result<uint64_t> alloc(uint64_t bytes) override {
    memory.emplace_back(bytes / 4, NAN);
    return reinterpret_cast<uint64_t>(memory.back().data());
  }
  /// A whole sum, which the host waits for.
  Status sum(Ranks &ranks, std::vector<float> &data, uint64_t n) {
    R1RT_TRY(ranks.finishSum(ranks.startSum(data.data(), n)));
    side.wait();
    return ranks.health();
  }
  int waits = 0, joins = 0;

private:
  static float *at(uint64_t address) { return reinterpret_cast<float *>(address); }
  std::deque<std::vector<float>> memory;
  Stream side; // last: it ends first
};

using Body = std::function<void(Comm &, Result<std::unique_ptr<NcclRanks>> &)>;

CommOptions impatient() {
  CommOptions options;
  options.silenceSeconds = 1;
  options.heartbeatSeconds = 0.1;
  return options;
}

class Nccl : public ::testing::TestWithParam<int> {
protected:
  void SetUp() override {
    if (pluginMissing())
      GTEST_SKIP() << "libr1_nccl is built where nccl.h is found";
  }
  void TearDown() override { unsetenv("R1_FAKE_NCCL"); }
  static bool pluginMissing() {
    auto one = oneRank();
    auto ranks = NcclRanks::create(*one);
    return !ranks && ranks.status().message().find("needs the plugin") != std::string::npos;
  }
};
class NcclSizes : public Nccl {};

void each(int size, const Body &body, const NcclOptions &options = {}) {
  InProcess world = inProcess(size, impatient());
  std::vector<std::thread> threads;
  for (auto &rank : world.ranks)
    threads.emplace_back([&, comm = std::move(rank)]() mutable {
      {
        auto ranks = NcclRanks::create(*comm, options);
        body(*comm, ranks);
      }
      comm.reset();
    });
  for (std::thread &t : threads)
    t.join();
}

} // namespace

/// What the stand-in for NCCL asks of the driver.
extern "C" __attribute__((visibility("default"))) int cuLaunchHostFunc(void *stream, void (*function)(void *),
                                                                       void *data) {
  if (stream)
    static_cast<Stream *>(stream)->put([=] { function(data); });
  else // of a device that does everything at once
    function(data);
  return 0;
}

TEST_P(NcclSizes, SumsHaveTheBitsOfTheTree) {
  int size = GetParam();
  // Below and above the size from which halves are exchanged, of more than one piece, odd.
  for (uint64_t n : {1ull, 7ull, 65535ull, 65537ull, 100003ull, (8ull << 20) + 70001}) {
    std::vector<float> expected(n);
    for (uint64_t i = 0; i < n; ++i)
      expected[i] = treeSum(0, uint64_t(size), i);
    each(size, [&](Comm &comm, auto &ranks) {
      ASSERT_TRUE(ranks) << ranks.status().message();
      HostQueue queue;
      (*ranks)->useQueue(queue);
      std::vector<float> data(n + 1, 0.5f);
      for (uint64_t i = 0; i < n; ++i)
        data[i] = value(uint64_t(comm.rank()), i);
      Status done = queue.sum(**ranks, data, n);
      ASSERT_TRUE(done) << done.message();
      EXPECT_EQ(memcmp(data.data(), expected.data(), n * sizeof(float)), 0) << n << " floats";
      EXPECT_EQ(data[n], 0.5f);
      EXPECT_EQ(queue.waits, 1);
      EXPECT_EQ(queue.joins, 1);
      EXPECT_EQ((*ranks)->clock().bytes, 4 * n);
    });
  }
}
INSTANTIATE_TEST_SUITE_P(Ranks, NcclSizes, ::testing::Values(1, 2, 4, 8));

TEST_F(Nccl, ThreeRanksHaveNoTree) {
  each(3, [](Comm &, auto &ranks) {
    ASSERT_TRUE(ranks) << ranks.status().message();
    HostQueue queue;
    (*ranks)->useQueue(queue);
    std::vector<float> x = {1};
    EXPECT_HAS(queue.sum(**ranks, x, 1).message(), "a sum over 3 ranks: its fixed tree needs a power of two");
  });
}

TEST_F(Nccl, ARankThatCannotJoinIsNamedByAll) {
  setenv("R1_FAKE_NCCL", "init:1", 1);
  each(2, [](Comm &, auto &ranks) {
    ASSERT_FALSE(ranks);
    EXPECT_HAS(ranks.status().message(), "rank 1: NCCL, rank 1 of 2: ncclCommInitRankConfig: unhandled "
                                         "system error (no network interface, as R1_FAKE_NCCL asked for)");
    EXPECT_EQ(ranks.status().exitCode(), 3);
  }, {.startSeconds = 2});
}

TEST_F(Nccl, AnOldLibraryIsRefused) {
  setenv("R1_FAKE_NCCL", "old", 1);
  each(2, [](Comm &, auto &ranks) {
    ASSERT_FALSE(ranks);
    EXPECT_HAS(ranks.status().message(), "rank 0: libnccl.so.2 is of version code 2803, older than 21400");
    EXPECT_HAS(ranks.status().message(), "help: install NCCL 2.14 or newer");
    EXPECT_EQ(ranks.status().exitCode(), 2);
  });
}

TEST_F(Nccl, AMissingPluginIsRefusedByAll) {
  each(2, [](Comm &, auto &ranks) {
    ASSERT_FALSE(ranks);
    EXPECT_HAS(ranks.status().message(), "rank 0: cannot load the plugin for NCCL: /nowhere/libr1_nccl.so");
    EXPECT_EQ(ranks.status().exitCode(), 2);
  }, {.plugin = "/nowhere/libr1_nccl.so"});
}

//===--- an executor on a device -------------------------------------------------------===//

constexpr uint64_t kFloats = 100001, kTurns = 8, kShards = 4;

static void accumulate(void *const *args, void *, int64_t tid, int64_t threads) {
  auto *y = static_cast<float *>(args[0]);
  auto turn = uint64_t(*static_cast<const float *>(args[1]));
  for (uint64_t i = kFloats * uint64_t(tid) / uint64_t(threads);
       i < kFloats * uint64_t(tid + 1) / uint64_t(threads); ++i)
    y[i] += value(turn, i);
}
// r1_module.sum
static void addOrCopy(void *const *args, void *, int64_t tid, int64_t) {
  auto n = reinterpret_cast<uint64_t>(args[3]);
  for (uint64_t i = 0; tid == 0 && i < n; ++i)
    static_cast<float *>(args[0])[i] = (args[4] ? static_cast<const float *>(args[1])[i] +
                                                      static_cast<const float *>(args[2])[i]
                                                : static_cast<const float *>(args[2])[i]);
}

/// y = 0; for 8 turns in 4 shards { y += value(turn) }
struct Module {
  static constexpr uint64_t turns = (kFloats * 4 + 63) / 64 * 64, end = turns + 64 * kTurns;
  r1_kernel kernel = {}, sum = {};
  r1_arg args[2] = {{0, 0, 0}, {turns, 64, 0}};
  r1_op ops[4] = {{R1_OP_FILL_ZERO, 0, 0, 1, kFloats * 4, 0},
                  {R1_OP_LOOP, 0, 0, 0, 0, kTurns},
                  {R1_OP_LAUNCH, 0, 0, 2, 0, 0},
                  {R1_OP_END, 0, 0, 0, 0, 0}};
  r1_region partial = {0, kFloats * 4};
  r1_field input = {}, output = {};
  r1_program program = {};
  r1_module module = {};
  Module() {
    kernel.name = "accumulate", kernel.fn = accumulate;
    sum.name = "r1_sum", sum.fn = addOrCopy;
    input.name = "turns", input.dtype = R1_F32, input.rank = 1, input.dims[0] = 16 * kTurns;
    input.offset = turns;
    output.name = "y", output.dtype = R1_F32, output.rank = 1, output.dims[0] = kFloats;
    program.name = "step";
    program.ops = ops, program.n_ops = 4, program.args = args, program.n_args = 2;
    program.inputs = &input, program.n_inputs = 1, program.outputs = &output, program.n_outputs = 1;
    program.partials = &partial, program.n_partials = 1, program.rows_begin = 1, program.rows_end = 3;
    module.arena_bytes = end, module.kernels = &kernel, module.n_kernels = 1;
    module.programs = &program, module.n_programs = 1;
    module.shards = kShards, module.sum = &sum;
  }
};

/// Of some shards: the turns of one in a chain from zero, and a tree over shards.
static float shardSum(uint64_t first, uint64_t shards, uint64_t i) {
  if (shards > 1) {
    float low = shardSum(first, shards / 2, i);
    return low + shardSum(first + shards / 2, shards / 2, i);
  }
  float sum = 0;
  for (uint64_t t = 0; t < kTurns / kShards; ++t)
    sum += value(first * (kTurns / kShards) + t, i);
  return sum;
}

TEST_P(NcclSizes, ShardsOnADeviceHaveTheBitsOfTheTree) {
  if (GetParam() > int(kShards))
    GTEST_SKIP() << "more ranks than shards";
  each(GetParam(), [&](Comm &comm, auto &ranks) {
    ASSERT_TRUE(ranks) << ranks.status().message();
    auto cpu = Device::createCpu(1);
    auto device = Accelerator::open(hostAccelerator());
    ASSERT_TRUE(device) << device.status().message();
    Module m;
    auto e = Executor::create(**cpu, m.module, device->get(), ranks->get());
    ASSERT_TRUE(e) << e.status().message();
    for (uint64_t t = 0; t < kTurns; ++t)
      reinterpret_cast<float *>((*e)->at(m.input))[16 * t] = float(t);
    for (int again = 0; again < 2; ++again) {
      Status s = (*e)->run(m.program);
      ASSERT_TRUE(s) << s.message();
      auto *y = reinterpret_cast<const float *>((*e)->at(m.output));
      for (uint64_t i = 0; i < kFloats; ++i)
        ASSERT_EQ(y[i], shardSum(0, kShards, i)) << i;
    }
    EXPECT_EQ((*ranks)->clock().sums, comm.size() > 1 ? 2u : 0u);
  });
}

TEST_F(Nccl, AModuleWithoutTheKernelThatAddsIsBroken) {
  auto cpu = Device::createCpu(1);
  auto device = Accelerator::open(hostAccelerator());
  Module m;
  m.module.sum = nullptr;
  auto e = Executor::create(**cpu, m.module, device->get());
  ASSERT_FALSE(e);
  EXPECT_HAS(e.status().message(), "several shards and no kernel that adds their sums");
}

/// One rank sums until it fails; the other one ends after two sums, or fails in its third.
static void sumsUntilLost(Comm &comm, NcclRanks &ranks, int last, Status &why) {
  HostQueue queue;
  ranks.useQueue(queue);
  std::vector<float> data(200000, 1.0f);
  for (int i = 0; why && (comm.rank() != 1 || i < last); ++i)
    why = queue.sum(ranks, data, data.size());
}

TEST_F(Nccl, ARankThatLeavesIsNamed) {
  auto start = Time::now();
  each(2, [](Comm &comm, auto &ranks) {
    ASSERT_TRUE(ranks) << ranks.status().message();
    Status why;
    sumsUntilLost(comm, **ranks, 2, why);
    if (comm.rank() == 0) {
      EXPECT_FALSE(why);
      EXPECT_HAS(why.message(), "NCCL, rank 0 of 2: NCCL: remote process exited");
      EXPECT_EQ((*ranks)->health().message(), why.message()); // it stays so
    }
  }, {.namingSeconds = 0.5});
  EXPECT_LE(since(start), 15);
}

// Over NVLink nothing says that a GPU's process is gone: the heartbeat does, and ends the sum.
TEST_F(Nccl, AHeartbeatEndsASumThatWouldHang) {
  setenv("R1_FAKE_NCCL", "silent", 1);
  InProcess world = inProcess(2, impatient());
  auto start = Time::now();
  std::vector<std::thread> threads;
  for (auto &rank : world.ranks)
    threads.emplace_back([&, comm = std::move(rank)]() mutable {
      {
        auto ranks = NcclRanks::create(*comm);
        ASSERT_TRUE(ranks) << ranks.status().message();
        Status why;
        sumsUntilLost(*comm, **ranks, 2, why);
        if (comm->rank() == 1)
          world.silence(1);
        else
          EXPECT_EQ(why.message(), "rank 1 of 2 has not answered for 1 s");
      }
      comm.reset();
    });
  for (std::thread &t : threads)
    t.join();
  EXPECT_LE(since(start), 25);
}

TEST_F(Nccl, AnErrorOfTheNetworkIsSeenByTheRankThatHasIt) {
  setenv("R1_FAKE_NCCL", "error:1:3", 1);
  each(2, [](Comm &comm, auto &ranks) {
    ASSERT_TRUE(ranks) << ranks.status().message();
    Status why;
    sumsUntilLost(comm, **ranks, 100, why);
    if (comm.rank() == 1) {
      EXPECT_HAS(why.message(), "NCCL, rank 1 of 2: NCCL: remote process exited or there was a network "
                                "error (a fault that R1_FAKE_NCCL asked for)");
      comm.abort(3, why.message()); // as r1c does
    } else {
      EXPECT_FALSE(why);
    }
  }, {.namingSeconds = 0.5});
}
