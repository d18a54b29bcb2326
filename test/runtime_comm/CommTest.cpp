// What holds for every world, here with ranks as threads. The same engine runs over MPI: mpi.test.
#include "Tree.h"
#include "runtime/comm/Wire.h"
#include <atomic>
#include <chrono>
#include <cmath>
#include <gtest/gtest.h>
#include <map>
#include <thread>

using namespace r1rt;

#define EXPECT_OK(EXPR)                                                                            \
  do {                                                                                             \
    Status s = (EXPR);                                                                             \
    EXPECT_TRUE(s) << s.message();                                                                 \
  } while (0)
#define EXPECT_HAS(TEXT, PART) EXPECT_NE((TEXT).find(PART), std::string::npos) << (TEXT)

using Body = std::function<void(Comm &)>;

// Each rank in a thread of its own, which also destroys it.
static void each(InProcess &world, const Body &body) {
  std::vector<std::thread> threads;
  for (auto &rank : world.ranks)
    threads.emplace_back([&body, comm = std::move(rank)] { body(*comm); });
  for (std::thread &t : threads)
    t.join();
}
static void inWorld(int size, const Body &body, const CommOptions &options = {}) {
  InProcess world = inProcess(size, options);
  ASSERT_EQ(world.ranks.size(), size_t(size));
  each(world, body);
}

static CommOptions impatient() {
  CommOptions options;
  options.silenceSeconds = 0.5;
  options.heartbeatSeconds = 0.1;
  return options;
}

static double since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

static bool sameBits(float a, float b) { return !memcmp(&a, &b, sizeof a); }

//===--- for each number of ranks ------------------------------------------------===//

namespace {
class World : public ::testing::TestWithParam<int> {};
} // namespace
INSTANTIATE_TEST_SUITE_P(Ranks, World, ::testing::Values(1, 2, 4, 8));

TEST_P(World, SumsHaveTheBitsOfTheTree) {
  int size = GetParam();
  // Around the sizes of pieces: none, one, one piece, two, a third, many and a rest.
  for (uint64_t n :
       {0ull, 1ull, 7ull, 8192ull, 8193ull, 16385ull, 524288ull, 524289ull, 1500007ull}) {
    std::vector<float> expected(n + 1);
    for (uint64_t i = 0; i < n; ++i)
      expected[i] = treeSum(0, uint64_t(size), i);
    inWorld(size, [&](Comm &comm) {
      std::vector<float> data(n + 1, 0.5f); // one behind the end
      for (uint64_t i = 0; i < n; ++i)
        data[i] = value(uint64_t(comm.rank()), i);
      EXPECT_OK(comm.reduceTree(data.data(), n));
      EXPECT_EQ(memcmp(data.data(), expected.data(), n * sizeof(float)), 0) << n << " floats";
      EXPECT_EQ(data[n], 0.5f);
    });
  }
}

TEST_P(World, TheOrderMatters) { // else the test above would not show it
  int size = GetParam();
  uint64_t others = 0;
  for (uint64_t i = 0; i < 10000; ++i) {
    float inOrder = value(0, i);
    for (uint64_t k = 1; k < uint64_t(size); ++k)
      inOrder += value(k, i);
    others += !sameBits(inOrder, treeSum(0, uint64_t(size), i));
  }
  if (size > 2)
    EXPECT_GT(others, 1000u);
}

TEST_P(World, AllRanksAgreeOnEveryBit) {
  // NaNs of different payloads, infinities, zeros of both signs, numbers below the smallest normal
  // one.
  int size = GetParam();
  const uint64_t n = 1001;
  std::vector results(size_t{unsigned(size)}, std::vector<float>(n));
  inWorld(size, [&](Comm &comm) {
    auto &data = results[size_t(comm.rank())];
    for (uint64_t i = 0; i < n; ++i) {
      uint32_t r = uint32_t(comm.rank());
      uint32_t special[] = {0x7fc00000 + r, 0xffc00100 + r, 0x7f800000, 0xff800000, 0x80000000, 0,
                            1 + r};
      memcpy(&data[i], &special[(i * 31 + i * r) % 7], sizeof(float));
    }
    EXPECT_OK(comm.reduceTree(data.data(), n));
  });
  for (const auto &data : results)
    EXPECT_EQ(checksum(data), checksum(results[0]));
  // A sum of zeros below zero is one, and small numbers are not lost.
  std::vector small(size_t{unsigned(size)}, std::vector{-0.0f, 1e-45f});
  inWorld(size,
          [&](Comm &comm) { EXPECT_OK(comm.reduceTree(small[size_t(comm.rank())].data(), 2)); });
  for (const auto &data : small) {
    EXPECT_TRUE(sameBits(data[0], -0.0f));
    EXPECT_TRUE(sameBits(data[1], std::ldexp(float(size), -149)));
  }
}

TEST_P(World, SumsOverlapWithEachOtherAndWithWork) {
  int size = GetParam();
  inWorld(size, [&](Comm &comm) {
    std::vector<std::vector<float>> buckets;
    std::vector<ReduceHandle> handles;
    for (uint64_t b = 0; b < 20; ++b) {
      std::vector<float> bucket(5000 * b + 3);
      for (uint64_t i = 0; i < bucket.size(); ++i)
        bucket[i] = value(uint64_t(comm.rank()), i + b);
      buckets.push_back(std::move(bucket));
      handles.push_back(comm.reduceTreeStart(buckets.back().data(), buckets.back().size()));
      if (b == 7) // other collectives come in their order
        EXPECT_OK(comm.barrier());
    }
    for (uint64_t b = 20; b-- > 0;) // finished in another order
      EXPECT_OK(comm.reduceTreeFinish(handles[b]));
    for (uint64_t b = 0; b < 20; ++b)
      for (uint64_t i = 0; i < buckets[b].size(); i += 997)
        EXPECT_TRUE(sameBits(buckets[b][i], treeSum(0, uint64_t(size), i + b)));
  });
}

TEST_P(World, NobodyPassesABarrierAlone) {
  int size = GetParam();
  std::atomic<int> arrived{0};
  inWorld(size, [&](Comm &comm) {
    for (int round = 1; round <= 50; ++round) {
      ++arrived;
      EXPECT_OK(comm.barrier());
      EXPECT_GE(arrived, round * size);
      EXPECT_OK(comm.barrier());
    }
  });
}

TEST_P(World, BroadcastsFromEachRank) {
  int size = GetParam();
  for (uint64_t bytes : {0ull, 1ull, 5000ull, (1ull << 20) + 1, (3ull << 20)})
    inWorld(size, [&](Comm &comm) {
      for (int root = 0; root < size; ++root) {
        std::string data(bytes, char('a' + comm.rank())), expected(bytes, char('a' + root));
        if (bytes)
          data.back() = expected.back() = '!';
        EXPECT_OK(comm.broadcast(data.data(), bytes, root));
        EXPECT_TRUE(data == expected);
      }
      std::string wrong = comm.broadcast(nullptr, 0, size).message();
      EXPECT_EQ(wrong, "broadcast from rank " + std::to_string(size) + ", but there are " +
                           std::to_string(size) + " ranks, counted from 0");
      EXPECT_OK(comm.barrier()); // and the world goes on
    });
}

TEST_P(World, GathersTextsOfAllSizes) {
  int size = GetParam();
  inWorld(size, [&](Comm &comm) {
    auto text = [](int rank) {
      return std::string(rank % 2 ? size_t(rank) * 700001 : size_t(rank), char('0' + rank));
    };
    auto all = comm.gatherText(text(comm.rank()));
    ASSERT_TRUE(all) << all.status().message();
    ASSERT_EQ(all->size(), size_t(size));
    for (int k = 0; k < size; ++k)
      EXPECT_TRUE((*all)[size_t(k)] == text(k)) << k;
  });
}

TEST_P(World, HasRanksAndASize) {
  std::atomic<int> sum{0};
  inWorld(GetParam(), [&](Comm &comm) {
    EXPECT_EQ(comm.size(), GetParam());
    sum += 1 << comm.rank();
  });
  EXPECT_EQ(sum, (1 << GetParam()) - 1);
}

//===--- sizes that are no power of two ----------------------------------------------===//

TEST(Sizes, OnlySumsNeedAPowerOfTwo) {
  for (int size : {3, 5, 6})
    inWorld(size, [&](Comm &comm) {
      float x = 1;
      std::string text = comm.reduceTree(&x, 1).message();
      EXPECT_HAS(text, "a sum over " + std::to_string(size) +
                           " ranks: its fixed tree needs a power of two");
      EXPECT_HAS(text, size == 3 ? "start 2 or 4 ranks" : "start 4 or 8 ranks");
      EXPECT_EQ(x, 1);
      EXPECT_OK(comm.barrier());
      auto all = comm.gatherText(std::to_string(comm.rank()));
      ASSERT_TRUE(all) << all.status().message();
      EXPECT_EQ(all->back(), std::to_string(size - 1));
      for (int root = 0; root < size; ++root) {
        int y = comm.rank();
        EXPECT_OK(comm.broadcast(&y, sizeof y, root));
        EXPECT_EQ(y, root);
      }
    });
}

//===--- what goes wrong -----------------------------------------------------------------===//

TEST(Mistakes, RanksThatDoDifferentThings) {
  inWorld(4, [](Comm &comm) {
    float x[20] = {};
    EXPECT_OK(comm.barrier());
    std::string text = comm.reduceTree(x, comm.rank() == 2 ? 20 : 10).message();
    EXPECT_HAS(text, "the ranks do different things: rank ");
    EXPECT_HAS(text, "number 2, a sum of 10 floats");
    EXPECT_HAS(text, "number 2, a sum of 20 floats");
    EXPECT_EQ(comm.barrier().message(), text); // it stays so
  });
  inWorld(2, [](Comm &comm) {
    float x = 0;
    std::string text = comm.rank() ? comm.barrier().message() : comm.reduceTree(&x, 1).message();
    EXPECT_HAS(text, "number 1, a sum of 1 floats");
    EXPECT_HAS(text, "number 1, a barrier");
  });
}

TEST(Mistakes, AHandleIsFinishedOnce) {
  inWorld(2, [](Comm &comm) {
    float x = 1;
    ReduceHandle h = comm.reduceTreeStart(&x, 1);
    EXPECT_OK(comm.reduceTreeFinish(h));
    EXPECT_HAS(comm.reduceTreeFinish(h).message(), "no collective with the handle 1");
  });
}

TEST(Deaths, ARankThatHangsIsNamedByAllOthers) {
  for (int hung : {0, 2}) {
    InProcess world = inProcess(4, impatient());
    world.silence(hung);
    auto start = std::chrono::steady_clock::now();
    each(world, [&](Comm &comm) {
      std::vector<float> data(100000, 1.0f);
      Status s = comm.reduceTree(data.data(), data.size());
      ASSERT_FALSE(s);
      if (comm.rank() != hung)
        EXPECT_EQ(s.message(), "rank " + std::to_string(hung) + " of 4 has not answered for 0.5 s");
      EXPECT_EQ(s.exitCode(), 3);
      EXPECT_GE(since(start), 0.3);
      EXPECT_LE(since(start), 5);
    });
  }
}

TEST(Deaths, ARankThatHangsInTheMiddle) {
  InProcess world = inProcess(2, impatient());
  each(world, [&](Comm &comm) {
    std::vector<float> data(300000, 1.0f);
    for (int i = 0; i < 10; ++i)
      EXPECT_OK(comm.reduceTree(data.data(), data.size()));
    if (comm.rank() == 1)
      world.silence(1);
    Status s;
    while (s)
      s = comm.reduceTree(data.data(), data.size());
    if (comm.rank() == 0)
      EXPECT_EQ(s.message(), "rank 1 of 2 has not answered for 0.5 s");
  });
}

TEST(Deaths, ComputingIsNotSilence) {
  inWorld(
      4,
      [](Comm &comm) {
        float x = 1;
        if (comm.rank() == 3)
          std::this_thread::sleep_for(std::chrono::seconds(2)); // four times the patience
        EXPECT_OK(comm.reduceTree(&x, 1));
        EXPECT_EQ(x, 4);
        if (comm.rank() == 0)
          std::this_thread::sleep_for(std::chrono::seconds(2)); // the last one to leave
      },
      impatient());
}

TEST(Deaths, ARankThatLeavesEarlyIsNamedAtOnce) {
  auto start = std::chrono::steady_clock::now();
  inWorld(4, [&](Comm &comm) {
    float x = 1;
    EXPECT_OK(comm.reduceTree(&x, 1));
    if (comm.rank() == 1)
      return;
    std::string text = comm.reduceTree(&x, 1).message();
    EXPECT_HAS(text, "rank 1 of 4 has left after its collective 1; rank ");
    EXPECT_HAS(text, " of 4 is at number 2");
  });
  EXPECT_LE(since(start), 5); // long before the 20 s of silence
}

TEST(Deaths, LeavingAfterTheLastCollectiveIsNoMistake) {
  for (int i = 0; i < 200; ++i)
    inWorld(4, [&](Comm &comm) {
      std::vector<float> data(10000, 1.0f);
      EXPECT_OK(comm.reduceTree(data.data(), data.size()));
    });
}

TEST(Deaths, ARankThatGivesUpSaysWhy) {
  auto start = std::chrono::steady_clock::now();
  inWorld(4, [&](Comm &comm) {
    float x = 1;
    EXPECT_OK(comm.reduceTree(&x, 1));
    if (comm.rank() == 3)
      comm.abort(5, "its data does not fit in memory");
    EXPECT_EQ(comm.reduceTree(&x, 1).message(),
              "rank 3 of 4 gave up: its data does not fit in memory");
  });
  EXPECT_LE(since(start), 5);
}

namespace {
/// A wire between two ranks whose library does not come back from a call.
class Stuck final : public Wire {
public:
  explicit Stuck(std::shared_ptr<std::atomic<bool>> go) : go(std::move(go)) {}
  int rank() const override { return 0; }
  int size() const override { return 2; }
  const char *name() const override { return "the stuck wire"; }
  Result<int> send(int, int, const void *, uint64_t) override { return 0; }
  Result<int> receive(int, int, void *, uint64_t) override { return 1; }
  Result<bool> test(int, uint64_t &) override {
    while (!*go)
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    return Status::error("late");
  }
  bool closesTogether() const override { return true; }
  Status close() override { return Status::ok(); }
  bool forget() override { return true; }
  void abort(int) override {}

private:
  std::shared_ptr<std::atomic<bool>> go;
};
} // namespace

TEST(Deaths, ALibraryThatDoesNotReturnIsNoReasonToWait) {
  auto start = std::chrono::steady_clock::now();
  auto go = std::make_shared<std::atomic<bool>>(false);
  CommOptions options = impatient();
  options.startSeconds = 0.2;
  auto late = worldOver(
      [go]() -> Result<std::unique_ptr<Wire>> {
        while (!*go)
          std::this_thread::sleep_for(std::chrono::milliseconds(5));
        return Status::error("late");
      },
      options);
  ASSERT_FALSE(late);
  EXPECT_EQ(late.status().message(), "the ranks have not found each other for 0.2 s");
  {
    auto world = worldOver(
        [go]() -> Result<std::unique_ptr<Wire>> {
          return std::unique_ptr<Wire>(std::make_unique<Stuck>(go));
        },
        options);
    ASSERT_TRUE(world) << world.status().message();
    EXPECT_EQ((*world)->barrier().message(),
              "the stuck wire has not returned to rank 0 of 2 for 0.625 s");
  }
  EXPECT_LE(since(start), 10);
  *go = true; // both threads end
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
}

//===--- how a process was started ---------------------------------------------------------===//

static Result<Launch> launched(const std::map<std::string, std::string> &environment) {
  return launchFromEnvironment([&](const char *name) -> const char * {
    auto it = environment.find(name);
    return it == environment.end() ? nullptr : it->second.c_str();
  });
}

TEST(Launch, IsReadFromTheEnvironment) {
  struct Case {
    std::map<std::string, std::string> environment;
    bool several;
    int rank, size;
  };
  for (const Case &c : {
           Case{{}, false, -1, -1},
           Case{{{"OMPI_COMM_WORLD_SIZE", "4"}, {"OMPI_COMM_WORLD_RANK", "2"}}, true, 2, 4},
           Case{{{"OMPI_COMM_WORLD_SIZE", "1"}, {"OMPI_COMM_WORLD_RANK", "0"}, {"PMIX_RANK", "0"}},
                false,
                0,
                1},
           Case{{{"PMI_SIZE", "2"}, {"PMI_RANK", "1"}}, true, 1, 2},
           Case{{{"PMIX_RANK", "3"}}, true, 3, -1},
           Case{{{"SLURM_NTASKS", "8"}, {"SLURM_PROCID", "7"}, {"SLURM_STEP_ID", "0"}}, true, 7, 8},
           // A step of another size than the job.
           Case{{{"SLURM_NTASKS", "8"},
                 {"SLURM_STEP_NUM_TASKS", "2"},
                 {"SLURM_PROCID", "1"},
                 {"SLURM_STEP_ID", "5"}},
                true,
                1,
                2},
           // A batch script, and a shell in an allocation: not steps of srun.
           Case{{{"SLURM_NTASKS", "8"}, {"SLURM_PROCID", "0"}}, false, -1, -1},
           Case{{{"SLURM_NTASKS", "8"}, {"SLURM_PROCID", "0"}, {"SLURM_STEP_ID", "4294967290"}},
                false,
                -1,
                -1},
           // Slurm of an older kind: one task.
           Case{
               {{"SLURM_NTASKS", "1"}, {"SLURM_PROCID", "0"}, {"SLURM_STEP_ID", "0"}}, false, 0, 1},
       }) {
    auto launch = launched(c.environment);
    ASSERT_TRUE(launch) << launch.status().message();
    EXPECT_EQ(launch->several, c.several) << launch->by;
    EXPECT_EQ(launch->rank, c.rank) << launch->by;
    EXPECT_EQ(launch->size, c.size) << launch->by;
  }
  auto wrong = launched({{"OMPI_COMM_WORLD_SIZE", "four"}});
  ASSERT_FALSE(wrong);
  EXPECT_HAS(wrong.status().message(), "OMPI_COMM_WORLD_SIZE=four");
}

TEST(Launch, AMissingPluginIsNamedWithItsRemedy) {
  setenv("OMPI_COMM_WORLD_SIZE", "2", 1);
  setenv("OMPI_COMM_WORLD_RANK", "1", 1);
  CommOptions options;
  options.plugin = "/nowhere/libr1_mpi.so";
  auto world = worldFromEnvironment(options);
  unsetenv("OMPI_COMM_WORLD_SIZE");
  unsetenv("OMPI_COMM_WORLD_RANK");
  ASSERT_FALSE(world);
  EXPECT_HAS(
      world.status().message(),
      "started by mpirun (OMPI_COMM_WORLD_SIZE) as rank 1 of 2: cannot load the plugin for MPI: ");
  EXPECT_HAS(world.status().message(), "help: install Open MPI");
}

TEST(Launch, WithoutALauncherThereIsOneRank) {
  if (getenv("OMPI_COMM_WORLD_SIZE") || getenv("PMI_SIZE") || getenv("PMIX_RANK") ||
      getenv("SLURM_STEP_ID"))
    GTEST_SKIP() << "this test itself was started by a launcher";
  auto world = worldFromEnvironment();
  ASSERT_TRUE(world) << world.status().message();
  EXPECT_EQ((*world)->size(), 1);
}
