// The executor of a device with memory of its own, on the host in the role of a GPU: what crosses
// between the memories and when, loops, fills, what a kernel reports.
#include "runtime/device/Accelerator.h"
#include "runtime/device/Executor.h"
#include <algorithm>
#include <cstring>
#include <gtest/gtest.h>

using namespace r1rt;

// y[i] += x[i] * w[i], 100 floats.
static void axpy(void *const *args, void *, int64_t tid, int64_t threads) {
  auto *y = static_cast<float *>(args[0]);
  auto *x = static_cast<const float *>(args[1]), *w = static_cast<const float *>(args[2]);
  for (int64_t i = 100 * tid / threads; i < 100 * (tid + 1) / threads; ++i)
    y[i] += x[i] * w[i];
}
static void addOne(void *const *args, void *, int64_t tid, int64_t) {
  if (tid == 0)
    ++*static_cast<float *>(args[0]);
}
static const char *noFault() { return nullptr; }
static const char *someFault() { return "kernel axpy, block 3: element 7 of an array of 5"; }

namespace {

constexpr uint64_t kW = 0, kM = 512, kX = 1024, kY = 2688, kWork = 3200, kAll = 4096;

r1_field field(const char *name, uint64_t offset, int64_t count) {
  r1_field f = {};
  f.name = name, f.dtype = R1_F32, f.rank = 1, f.dims[0] = count, f.offset = offset;
  return f;
}

/// step: work = 0; for 4 rows of x { work += x[row] * w }; y = 0; y += work * w; m += 1
struct Module {
  r1_kernel kernels[2] = {{"axpy", axpy, 0, nullptr, nullptr, 0, 1, 1},
                          {"add", addOne, 0, nullptr, nullptr, 0, 1, 1}};
  std::vector<r1_arg> args = {{kWork, 0, 0}, {kX, 400, 0}, {kW, 0, 0}, {kY, 0, 0},
                              {kY, 0, 0},    {kWork, 0, 0}, {kW, 0, 0}, {kM, 0, 0}};
  std::vector<r1_op> ops = {{R1_OP_FILL_ZERO, 0, 0, 1, 400, 0}, {R1_OP_LOOP, 0, 0, 0, 0, 4},
                            {R1_OP_LAUNCH, 0, 0, 3, 0, 0},      {R1_OP_END, 0, 0, 0, 0, 0},
                            {R1_OP_FILL_ZERO, 0, 3, 1, 400, 0}, {R1_OP_LAUNCH, 0, 4, 3, 0, 0},
                            {R1_OP_LAUNCH, 1, 7, 1, 0, 0},      {R1_OP_LOOP, 0, 0, 0, 0, 0},
                            {R1_OP_LAUNCH, 1, 7, 1, 0, 0},      {R1_OP_END, 0, 0, 0, 0, 0}};
  r1_field x = field("x", kX, 400), y = field("y", kY, 100), m = field("m", kM, 1);
  r1_leaf w = {field("w", kW, 100), {0, 0, 0}, 1};
  r1_program program{};
  r1_module module{};
  Module() {
    program.name = "step";
    program.ops = ops.data(), program.n_ops = uint32_t(ops.size());
    program.args = args.data(), program.n_args = uint32_t(args.size());
    program.inputs = &x, program.n_inputs = 1;
    program.outputs = &y, program.n_outputs = 1;
    module.arena_bytes = kAll;
    module.kernels = kernels, module.n_kernels = 2;
    module.leaves = &w, module.n_leaves = 1;
    module.states = &m, module.n_states = 1;
    module.programs = &program, module.n_programs = 1;
    module.fault = noFault;
  }
};

class DeviceExecutor : public ::testing::Test {
protected:
  void SetUp() override {
    auto d = Device::createCpu(2);
    ASSERT_TRUE(d) << d.status().message();
    device = std::move(*d);
    auto a = Accelerator::open(hostAccelerator());
    ASSERT_TRUE(a) << a.status().message();
    accelerator = std::move(*a);
    auto e = Executor::create(*device, m.module, accelerator.get());
    ASSERT_TRUE(e) << e.status().message();
    exec = std::move(*e);
  }
  float *at(uint64_t offset) { return reinterpret_cast<float *>(exec->arena() + offset); }
  Module m;
  std::unique_ptr<Device> device;
  std::unique_ptr<Accelerator> accelerator;
  std::unique_ptr<Executor> exec;
};

} // namespace

TEST_F(DeviceExecutor, InputsGoAndOutputsComeWithARun) {
  for (int i = 0; i < 100; ++i)
    at(kW)[i] = 2;
  ASSERT_TRUE(exec->push());
  for (int run = 1; run <= 3; ++run) {
    for (int i = 0; i < 400; ++i)
      at(kX)[i] = float(run * i);
    std::memset(at(kY), 0xFF, 400);
    ASSERT_TRUE(exec->run(*exec->program("step")));
    for (int i = 0; i < 100; ++i)
      ASSERT_EQ(at(kY)[i], 4.f * float(run) * float(4 * i + 600)) << i;
  }
}

TEST_F(DeviceExecutor, WeightsAndStatesCrossWhenAsked) {
  ASSERT_TRUE(exec->push());
  at(kW)[5] = 7; // not handed over
  ASSERT_TRUE(exec->run(*exec->program("step")));
  ASSERT_TRUE(exec->run(*exec->program("step")));
  EXPECT_EQ(*at(kM), 0) << "the host's copy is as it was";
  ASSERT_TRUE(exec->pull());
  EXPECT_EQ(*at(kM), 2);
  EXPECT_EQ(at(kW)[5], 0);
  *at(kM) = 10;
  ASSERT_TRUE(exec->push());
  ASSERT_TRUE(exec->run(*exec->program("step")));
  ASSERT_TRUE(exec->pull());
  EXPECT_EQ(*at(kM), 11);
}

TEST_F(DeviceExecutor, ARunIsStartedBeforeTheOneBeforeIsFinished) {
  const r1_program &step = *exec->program("step");
  for (int i = 0; i < 100; ++i)
    at(kW)[i] = 1;
  ASSERT_TRUE(exec->push());
  ASSERT_EQ(exec->ahead(), 1u);
  auto fill = [&](float v) { std::fill_n(at(kX), 400, v); };
  fill(1);
  ASSERT_TRUE(exec->start(step));
  fill(2); // the first run has its own
  ASSERT_TRUE(exec->start(step));
  fill(3);
  EXPECT_FALSE(exec->start(step)) << "a third run has no place";
  EXPECT_FALSE(exec->run(step)) << "outputs of the others would be lost";
  ASSERT_TRUE(exec->finish());
  EXPECT_EQ(at(kY)[7], 4) << "the outputs of the oldest";
  ASSERT_TRUE(exec->start(step));
  ASSERT_TRUE(exec->finish());
  EXPECT_EQ(at(kY)[7], 8);
  ASSERT_TRUE(exec->finish());
  EXPECT_EQ(at(kY)[7], 12);
  EXPECT_FALSE(exec->finish());
  ASSERT_TRUE(exec->pull());
  EXPECT_EQ(*at(kM), 3);
}

TEST_F(DeviceExecutor, ClocksCountLaunchesOfKernels) {
  exec->startClocks();
  for (int run = 0; run < 2; ++run)
    ASSERT_TRUE(exec->run(*exec->program("step")));
  const std::vector<KernelClock> &clocks = exec->kernelClocks();
  ASSERT_EQ(clocks.size(), 2u);
  EXPECT_EQ(clocks[0].calls, 10u) << "4 in the loop and one behind it, without fills";
  EXPECT_EQ(clocks[1].calls, 2u);
  EXPECT_GT(clocks[0].seconds, 0);
}

TEST_F(DeviceExecutor, AFaultEndsTheRun) {
  m.module.fault = someFault;
  Status st = exec->run(*exec->program("step"));
  ASSERT_FALSE(st);
  EXPECT_EQ(st.message(), "program `step`: kernel axpy, block 3: element 7 of an array of 5");
}

TEST(Accelerator, SaysWhatDoesNotFit) {
  auto a = Accelerator::open(hostAccelerator());
  ASSERT_TRUE(a);
  auto p = (*a)->alloc(uint64_t(1) << 60);
  ASSERT_FALSE(p);
  EXPECT_EQ(p.status().getExitClass(), ExitClass::memory);
  EXPECT_NE(p.status().message().find("1152921504606846976 bytes were asked for"), std::string::npos)
      << p.status().message();
}

TEST(Accelerator, AKernelWithoutCodeIsNamed) {
  auto device = Device::createCpu(1);
  auto a = Accelerator::open(hostAccelerator());
  Module m;
  m.kernels[1].fn = nullptr;
  m.kernels[1].image = "code";
  auto e = Executor::create(**device, m.module, a->get());
  ASSERT_FALSE(e);
  EXPECT_NE(e.status().message().find("kernel add"), std::string::npos) << e.status().message();
}
