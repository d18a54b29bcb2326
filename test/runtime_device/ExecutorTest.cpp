#include "runtime/device/Executor.h"
#include <gtest/gtest.h>

using namespace r1rt;

// y[i] += x[i] * scale[0], 1000 floats, split over the threads.
static void axpy(void *const *args, void *scratch, int64_t tid, int64_t threads) {
  auto *y = static_cast<float *>(args[0]);
  auto *x = static_cast<const float *>(args[1]);
  auto *s = static_cast<const float *>(args[2]);
  static_cast<int64_t *>(scratch)[0] = tid;
  for (int64_t i = 1000 * tid / threads; i < 1000 * (tid + 1) / threads; ++i)
    y[i] += x[i] * *s;
}

static void countUp(void *const *args, void *, int64_t tid, int64_t) {
  if (tid == 0)
    ++*static_cast<float *>(args[0]);
}

namespace {
struct Module {
  r1_kernel kernels[2] = {{"axpy", axpy, 64}, {"count", countUp, 0}};
  // y at 0 (1000 floats), x at 4096 (4 rows of 1000), scales at 32768 (3 of 64 bytes), n at 40960
  std::vector<r1_arg> args = {{0, 0, 0}, {4096, 4096, 0}, {32768, 0, 64}, {40960, 0, 0}};
  std::vector<r1_op> ops = {{R1_OP_FILL_ZERO, 0, 0, 1, 4000, 0}, {R1_OP_LOOP, 0, 0, 0, 0, 4},
                            {R1_OP_LOOP, 0, 0, 0, 0, 3},         {R1_OP_LAUNCH, 0, 0, 3, 0, 0},
                            {R1_OP_LAUNCH, 1, 3, 1, 0, 0},       {R1_OP_END, 0, 0, 0, 0, 0},
                            {R1_OP_LOOP, 0, 0, 0, 0, 0},         {R1_OP_LAUNCH, 1, 3, 1, 0, 0},
                            {R1_OP_END, 0, 0, 0, 0, 0},          {R1_OP_END, 0, 0, 0, 0, 0}};
  r1_program program{};
  r1_module module{};
  const r1_module &get() {
    program = {"step",
               ops.data(),
               uint32_t(ops.size()),
               args.data(),
               uint32_t(args.size()),
               nullptr,
               0,
               nullptr,
               0,
               nullptr,
               0};
    module = {45056, 64, kernels, 2, nullptr, 0, nullptr, 0, &program, 1, nullptr, 0};
    return module;
  }
};
} // namespace

class ExecutorThreads : public ::testing::TestWithParam<int> {};

TEST_P(ExecutorThreads, LoopsFillsAndLaunches) {
  auto device = Device::createCpu(GetParam());
  ASSERT_TRUE(device) << device.status().message();
  Module m;
  auto e = Executor::create(**device, m.get());
  ASSERT_TRUE(e) << e.status().message();
  char *base = (*e)->arena();
  ASSERT_EQ(reinterpret_cast<uintptr_t>(base) % 64, 0u);
  for (int r = 0; r < 4; ++r)
    for (int i = 0; i < 1000; ++i)
      reinterpret_cast<float *>(base + 4096 + 4096 * r)[i] = float(r * 1000 + i);
  for (int s = 0; s < 3; ++s)
    *reinterpret_cast<float *>(base + 32768 + 64 * s) = float(s + 1);
  for (int run = 1; run <= 200; ++run) {
    ASSERT_TRUE((*e)->run(*(*e)->program("step")));
    auto *y = reinterpret_cast<float *>(base);
    for (int i = 0; i < 1000; ++i)
      ASSERT_EQ(y[i], 6.f * (6000 + 4 * i)) << i;
    ASSERT_EQ(*reinterpret_cast<float *>(base + 40960), 12.f * run);
  }
}
INSTANTIATE_TEST_SUITE_P(Threads, ExecutorThreads, ::testing::Values(1, 2, 3, 8));

TEST(Executor, RefusesBrokenModules) {
  auto device = Device::createCpu(1);
  auto expect = [&](Module &m, const char *what) {
    auto e = Executor::create(**device, m.get());
    ASSERT_FALSE(e);
    EXPECT_NE(e.status().message().find(what), std::string::npos) << e.status().message();
  };
  Module a, b, c, d;
  a.ops[3].kernel = 7;
  expect(a, "kernel that does not exist");
  b.ops.pop_back();
  expect(b, "has no end");
  c.args[1].stride0 = 1 << 20;
  expect(c, "outside the arena");
  d.ops[0].bytes = 1 << 30;
  expect(d, "outside the arena");
}

TEST(Arena, RefusesWhatDoesNotFit) {
  auto a = Arena::create(uint64_t(1) << 60);
  ASSERT_FALSE(a);
  EXPECT_EQ(a.status().exitCode(), 5);
}
