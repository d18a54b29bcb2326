// An executor whose sums over rows meet over shards and ranks: the bits, and when they set out.
#include "Tree.h"
#include "runtime/comm/Comm.h"
#include "runtime/device/Executor.h"
#include <gtest/gtest.h>
#include <thread>

using namespace r1rt;

#define EXPECT_HAS(TEXT, PART) EXPECT_NE((TEXT).find(PART), std::string::npos) << (TEXT)

namespace {

constexpr uint64_t kLarge = 1200001, kSmall = 1001; // floats; the large one is a bucket of its own
constexpr uint64_t kTurns = 8, kShards = 4;

// args: the sum, the number of the turn.
template <uint64_t N, uint64_t salt>
void accumulate(void *const *args, void *, int64_t tid, int64_t threads) {
  auto *y = static_cast<float *>(args[0]);
  auto turn = uint64_t(*static_cast<const float *>(args[1]));
  for (uint64_t i = N * uint64_t(tid) / uint64_t(threads); i < N * uint64_t(tid + 1) / uint64_t(threads); ++i)
    y[i] += value(turn, i + salt);
}
void countUp(void *const *args, void *, int64_t tid, int64_t) {
  if (tid == 0)
    ++*static_cast<float *>(args[0]);
}

/// for 8 turns { large += ...; small += ... (in a loop of two, each half); count } count
struct Module {
  static constexpr uint64_t large = 0, small = (kLarge * 4 + 63) / 64 * 64, turns = small + 8192,
                            count = turns + 64 * kTurns, end = count + 64;
  r1_kernel kernels[3] = {};
  std::vector<r1_arg> args = {{large, 0, 0}, {turns, 64, 0}, {small, 0, 0},
                              {turns, 64, 0}, {count, 0, 0}};
  std::vector<r1_op> ops = {{R1_OP_FILL_ZERO, 0, 0, 1, kLarge * 4, 0},
                            {R1_OP_FILL_ZERO, 0, 2, 1, kSmall * 4, 0},
                            {R1_OP_LOOP, 0, 0, 0, 0, kTurns},
                            {R1_OP_LAUNCH, 0, 0, 2, 0, 0},
                            {R1_OP_LOOP, 0, 0, 0, 0, 2},
                            {R1_OP_LAUNCH, 1, 2, 2, 0, 0},
                            {R1_OP_END, 0, 0, 0, 0, 0},
                            {R1_OP_LAUNCH, 2, 4, 1, 0, 0},
                            {R1_OP_END, 0, 0, 0, 0, 0},
                            {R1_OP_LAUNCH, 2, 4, 1, 0, 0}};
  // As a plan exports them: neighbours are one region.
  std::vector<r1_region> partials = {{large, small + kSmall * 4 - large}};
  r1_program program = {};
  r1_module module = {};
  const r1_module &get() {
    kernels[0].name = "large", kernels[0].fn = accumulate<kLarge, 0>;
    kernels[1].name = "small", kernels[1].fn = accumulate<kSmall, 77>;
    kernels[2].name = "count", kernels[2].fn = countUp;
    program.name = "step";
    program.ops = ops.data(), program.n_ops = uint32_t(ops.size());
    program.args = args.data(), program.n_args = uint32_t(args.size());
    program.partials = partials.data(), program.n_partials = uint32_t(partials.size());
    program.rows_begin = 2, program.rows_end = 8;
    module.arena_bytes = end, module.shards = kShards;
    module.kernels = kernels, module.n_kernels = 3;
    module.programs = &program, module.n_programs = 1;
    return module;
  }
};

/// The ranks of a world; keeps what the executor had counted when each sum began.
class Recorder final : public Ranks {
public:
  explicit Recorder(Comm &comm) : comm(comm) {}
  int rank() const override { return comm.rank(); }
  int size() const override { return comm.size(); }
  uint64_t startSum(float *data, uint64_t n) override {
    started.push_back({n, *counter});
    return comm.reduceTreeStart(data, n);
  }
  Status finishSum(uint64_t handle) override {
    EXPECT_EQ(*counter, kTurns / uint64_t(size())); // nothing of what follows the loop has run
    return comm.reduceTreeFinish(handle);
  }
  Status fromFirst(void *data, uint64_t bytes) override { return comm.broadcast(data, bytes, 0); }
  Clock clock() const override { return {}; }

  const float *counter = nullptr;
  std::vector<std::pair<uint64_t, float>> started; // floats, count

private:
  Comm &comm;
};

/// Of one shard: its turns in a chain from zero. Shards meet in a tree.
float expected(uint64_t first, uint64_t shards, uint64_t i) {
  if (shards == 1) {
    float sum = 0;
    for (uint64_t t = 0; t < kTurns / kShards; ++t)
      sum += value(first * (kTurns / kShards) + t, i);
    return sum;
  }
  float low = expected(first, shards / 2, i);
  return low + expected(first + shards / 2, shards / 2, i);
}

void run(Executor &e, Recorder *ranks) {
  for (uint64_t t = 0; t < kTurns; ++t)
    *reinterpret_cast<float *>(e.arena() + Module::turns + 64 * t) = float(t);
  auto *count = reinterpret_cast<float *>(e.arena() + Module::count);
  for (int again = 0; again < 2; ++again) {
    *count = 0;
    Status s = e.run(*e.program("step"));
    ASSERT_TRUE(s) << s.message();
    auto *large = reinterpret_cast<const float *>(e.arena() + Module::large);
    for (uint64_t i = 0; i < kLarge; i += again ? 1009 : 1)
      ASSERT_EQ(large[i], expected(0, kShards, i)) << i;
    auto *small = reinterpret_cast<const float *>(e.arena() + Module::small);
    for (uint64_t i = 0; i < kSmall; ++i) {
      float sum = 0; // twice in each turn
      auto shard = [&](uint64_t s) {
        float sum = 0;
        for (uint64_t t = 0; t < 2 * kTurns / kShards; ++t)
          sum += value(s * (kTurns / kShards) + t / 2, i + 77);
        return sum;
      };
      sum = (shard(0) + shard(1)) + (shard(2) + shard(3));
      ASSERT_EQ(small[i], sum) << i;
    }
  }
  if (!ranks)
    return;
  // The large sum sets out in the last turn of the last shard, before that turn's last launch; so does
  // the small one, which is ready then as well.
  float before = float(kTurns / uint64_t(ranks->size())) - 1;
  ASSERT_EQ(ranks->started.size(), 4u); // two, in two runs
  for (size_t k = 0; k < 4; ++k) {
    EXPECT_GE(ranks->started[k].first, k % 2 ? kSmall : kLarge);
    EXPECT_EQ(ranks->started[k].second, before);
  }
}

class Shards : public ::testing::TestWithParam<std::pair<int, int>> {}; // ranks, threads

} // namespace

TEST_P(Shards, HaveTheBitsOfTheTreeAndSetOutEarly) {
  auto [ranks, threads] = GetParam();
  InProcess world = inProcess(ranks);
  std::vector<std::thread> processes;
  for (auto &rank : world.ranks)
    processes.emplace_back([&, threads = threads, comm = std::move(rank)] {
      auto device = Device::createCpu(threads);
      ASSERT_TRUE(device) << device.status().message();
      Module m;
      Recorder recorder(*comm);
      auto e = Executor::create(**device, m.get(), nullptr, &recorder);
      ASSERT_TRUE(e) << e.status().message();
      recorder.counter = reinterpret_cast<const float *>((*e)->arena() + Module::count);
      run(**e, comm->size() > 1 ? &recorder : nullptr);
    });
  for (std::thread &t : processes)
    t.join();
}
INSTANTIATE_TEST_SUITE_P(Ranks, Shards,
                         ::testing::Values(std::pair(1, 1), std::pair(1, 3), std::pair(2, 1),
                                           std::pair(2, 2), std::pair(4, 1)));

TEST(ShardsMistakes, BrokenModules) {
  auto device = Device::createCpu(1);
  auto wrong = [&](auto change) {
    Module m;
    m.get();
    change(m);
    auto e = Executor::create(**device, m.module);
    return e ? std::string("accepted") : e.status().message();
  };
  EXPECT_EQ(wrong([](Module &) {}), "accepted");
  EXPECT_HAS(wrong([](Module &m) { m.program.rows_begin = 3; }), "without a loop over rows");
  EXPECT_HAS(wrong([](Module &m) { m.program.rows_begin = 90; }), "without a loop over rows");
  EXPECT_HAS(wrong([](Module &m) { m.program.rows_end = 7; }), "ends elsewhere than it says");
  EXPECT_HAS(wrong([](Module &m) { m.program.rows_begin = 4, m.program.rows_end = 6; }),
             "lies in another one");
  EXPECT_HAS(wrong([](Module &m) { m.module.shards = 16; }), "8 turns over rows for 16 shards");
  EXPECT_HAS(wrong([](Module &m) { m.partials[0].bytes = Module::end; m.partials[0].offset = 64; }),
             "a sum over rows outside of the arena");
  EXPECT_HAS(wrong([](Module &m) { m.partials[0].offset = 2; }), "or unaligned");
}

TEST(ShardsMistakes, ARankThatDiesEndsTheRun) {
  CommOptions options;
  options.silenceSeconds = 0.5;
  options.heartbeatSeconds = 0.1;
  InProcess world = inProcess(2, options);
  std::thread dead([comm = std::move(world.ranks[1])] {}); // leaves before the first sum
  std::thread alive([comm = std::move(world.ranks[0])] {
    auto device = Device::createCpu(1);
    Module m;
    Recorder recorder(*comm);
    auto e = Executor::create(**device, m.get(), nullptr, &recorder);
    ASSERT_TRUE(e) << e.status().message();
    auto *count = reinterpret_cast<float *>((*e)->arena() + Module::count);
    recorder.counter = count;
    Status s = (*e)->run(*(*e)->program("step"));
    EXPECT_HAS(s.message(), "rank 1 of 2 has left after its collective 0");
    EXPECT_EQ(*count, kTurns / 2); // the update has not run
  });
  dead.join();
  alive.join();
}
