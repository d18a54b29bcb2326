// sm_90a under the emulator: a small product against f64, and mistakes in it, which are seen.
#include "test/cuda_emu/Kernel.h"
#include <cmath>
#include <cstring>
#include <fstream>
#include <set>

using namespace emutest;

namespace {

constexpr int kM = 64, kN = 128, kK = 384;

const Library &hopper() {
  static Library lib("hopper.cu");
  return lib;
}

struct Operands {
  alignas(16) uint16_t a[kM * kK], b[kN * kK];
  std::vector<double> want = std::vector<double>(kM * kN);

  Operands() {
    auto fill = [](uint16_t *to, int n, uint64_t seed) {
      for (int i = 0; i < n; ++i) {
        float f = noise(seed + uint64_t(i));
        uint32_t x;
        memcpy(&x, &f, 4);
        to[i] = uint16_t(x >> 16);
      }
    };
    fill(a, kM * kK, 1);
    fill(b, kN * kK, 1 << 20);
    auto value = [](uint16_t h) {
      uint32_t x = uint32_t(h) << 16;
      float f;
      memcpy(&f, &x, 4);
      return double(f);
    };
    for (int m = 0; m < kM; ++m)
      for (int n = 0; n < kN; ++n)
        for (int k = 0; k < kK; ++k)
          want[size_t(m * kN + n)] += value(a[m * kK + k]) * value(b[n * kK + k]);
  }
};

struct Outcome {
  std::string fault;
  double error = 0; // the largest difference from f64; a NaN counts as infinity
};

Outcome outcome(const std::string &kernel, int schedule) {
  static Operands x;
  setSchedule(schedule);
  std::vector<float> c(kM * kN, 7.0f);
  hopper().run(kernel + "_", {x.a, x.b, c.data()});
  Outcome o = {takeFault()};
  for (size_t i = 0; i < c.size(); ++i) {
    double e = std::fabs(double(c[i]) - x.want[i]);
    o.error = std::max(o.error, std::isnan(e) ? INFINITY : e);
  }
  return o;
}

bool isRight(const Outcome &o) { return o.fault == "none" && o.error < 1e-4; }

std::set<int> marked() {
  std::ifstream in(std::string(R1_SOURCE) + "/test/cuda_emu/kernels/hopper.cu");
  std::set<int> lines;
  std::string text;
  for (int n = 1; std::getline(in, text); ++n)
    if (text.ends_with("// HERE"))
      lines.insert(n);
  return lines;
}

/// The mistake is named under every schedule, or, with `sometimes`, under some, and never missed.
void expectFault(const std::string &kernel, const std::string &part, bool sometimes = false) {
  SCOPED_TRACE(kernel);
  int named = 0;
  for (int schedule = 0; schedule < kSchedules; ++schedule) {
    Outcome o = outcome(kernel, schedule);
    bool said = o.fault.find(part) != std::string::npos;
    named += said;
    if (!sometimes)
      EXPECT_TRUE(said) << "schedule " << schedule << ": " << o.fault;
    if (!said)
      continue;
    bool place = false;
    for (int line : marked())
      place |= o.fault.rfind("hopper.cu:" + std::to_string(line) + ": kernel " + kernel + "_, block 0, ", 0) == 0;
    EXPECT_TRUE(place) << o.fault;
  }
  EXPECT_GT(named, 0);
}

} // namespace

TEST(Hopper, ProductIsRight) {
  for (int schedule = 0; schedule < 40; ++schedule) {
    Outcome o = outcome("right", schedule);
    EXPECT_EQ(o.fault, "none");
    EXPECT_LT(o.error, 1e-4) << "schedule " << schedule;
  }
}

TEST(Hopper, WrongDescriptorsGiveWrongNumbers) {
  for (const char *kernel : {"wrong_stride", "not_swizzled"})
    for (int schedule = 0; schedule < kSchedules; ++schedule) {
      Outcome o = outcome(kernel, schedule);
      EXPECT_EQ(o.fault, "none");
      EXPECT_GT(o.error, 0.1) << kernel;
    }
  expectFault("outside", "wgmma reads A at shared address");
}

TEST(Hopper, MissingWaits) {
  for (const char *kernel : {"no_full_wait", "no_wgmma_wait", "early_refill"}) {
    int seen = 0;
    for (int schedule = 0; schedule < kSchedules; ++schedule)
      seen += !isRight(outcome(kernel, schedule));
    EXPECT_GT(seen, 0) << kernel;
  }
  // In order, where everything is as late as allowed, all three are seen for certain.
  EXPECT_NE(outcome("early_refill", 0).fault.find("which a wgmma of warp 4 still reads"), std::string::npos)
      << outcome("early_refill", 0).fault;
  EXPECT_NE(outcome("no_full_wait", 0).fault.find("to which a bulk_copy is still under way"), std::string::npos)
      << outcome("no_full_wait", 0).fault;
  EXPECT_EQ(outcome("no_wgmma_wait", 0).error, INFINITY);
}

TEST(Hopper, MissingFences) {
  expectFault("no_wgmma_fence", "wgmma without a wgmma_fence since the last wgmma_wait");
  expectFault("no_async_fence", "fence_async is missing after barrier_init");
}

TEST(Hopper, Barriers) {
  expectFault("few_bytes", "64 bytes more than were expected come to the barrier");
  expectFault("only_a", "fewer bytes were expected than are copied", true);
  expectFault("many_bytes", "barrier_wait for ever: 0 of 1 arrivals and 64 bytes are missing");
  expectFault("two_arrivals", "barrier_arrive, but all 1 arrivals of the phase have come");
  expectFault("no_init", "but nobody has initialised the barrier at shared address");
}

TEST(Hopper, SumsUnderWay) {
  expectFault("sums_touched", "the sums of a wgmma under way have been written to", true);
  expectFault("ends_early", "the thread ends while a wgmma is under way", true);
  expectFault("groups_differ", "groups of wgmmas, but lane ");
  expectFault("many_registers", "waits for ever: the block's warps would have ");
  expectFault("unaligned", "which is no multiple of 128");
}
