// Shuffles, votes, barriers, and the tree of 64 lanes, under every schedule.
#include "test/cuda_emu/Kernel.h"
#include <cmath>
#include <cstring>
#include <functional>

using namespace emutest;

/// The tree, as it is written down: lane i with i + 32, then 16, 8, 4, 2, 1.
template <class T> static T tree(std::vector<T> lanes, std::function<T(T, T)> op) {
  for (int n = 32; n > 0; n /= 2)
    for (int i = 0; i < n; ++i)
      lanes[i] = op(lanes[i], lanes[i + n]);
  return lanes[0];
}

template <class T> static void checkRows(const Library &lib, const std::string &kernel, int lanes) {
  SCOPED_TRACE(kernel);
  int per = 64 / lanes, rows = 3 * 128 / per;
  std::vector<T> x(rows * 192), sum(rows * per), max(rows * per), min(rows * per);
  for (size_t i = 0; i < x.size(); ++i)
    x[i] = static_cast<T>(noise(i) * (std::is_same_v<T, float> ? 100.0f : 1e9f));
  auto combine = [&](int row, std::function<T(T, T)> op) {
    std::vector<T> l(64);
    for (int i = 0; i < 64; ++i) {
      const T *p = &x[row * 192 + i];
      l[i] = op(op(p[0], p[64]), p[128]);
    }
    return tree<T>(l, op);
  };
  for (int schedule = 0; schedule < kSchedules; ++schedule) {
    setSchedule(schedule);
    lib.run(kernel, {x.data(), sum.data(), max.data(), min.data()}, 1 + schedule % 3);
    ASSERT_EQ(takeFault(), "none");
    auto add = [](T a, T b) {
      if constexpr (std::is_same_v<T, float>)
        return a + b;
      else
        return static_cast<T>(static_cast<std::make_unsigned_t<T>>(a) +
                              static_cast<std::make_unsigned_t<T>>(b));
    };
    for (int r = 0; r < rows; ++r) {
      T s = combine(r, add), hi = combine(r, [](T a, T b) { return std::max(a, b); }),
        lo = combine(r, [](T a, T b) { return std::min(a, b); });
      for (int t = 0; t < per; ++t) {
        ASSERT_EQ(memcmp(&sum[r * per + t], &s, sizeof s), 0) << "row " << r << " thread " << t;
        ASSERT_EQ(max[r * per + t], hi);
        ASSERT_EQ(min[r * per + t], lo);
      }
    }
  }
}

TEST(Warp, RowsInSixtyFourLanes) {
  Library lib("warp.cu");
  checkRows<float>(lib, "rows2", 2);
  checkRows<float>(lib, "rows4", 4);
  checkRows<float>(lib, "rows8", 8);
  checkRows<int>(lib, "ints4", 4);
  checkRows<long long>(lib, "longs2", 2);
}

TEST(Warp, Votes) {
  Library lib("warp.cu");
  std::vector<int> x(64), y(64 * 5);
  for (int i = 0; i < 64; ++i)
    x[i] = i >= 32 || i % 3 == 0;
  for (int schedule = 0; schedule < kSchedules; ++schedule) {
    setSchedule(schedule);
    lib.run("votes", {x.data(), y.data()});
    ASSERT_EQ(takeFault(), "none");
    for (int t = 0; t < 64; ++t) {
      EXPECT_EQ(y[t * 5], 1);
      EXPECT_EQ(y[t * 5 + 1], t >= 32);
      EXPECT_EQ(static_cast<unsigned>(y[t * 5 + 2]), t >= 32 ? ~0u : 0x49249249u);
      EXPECT_EQ(y[t * 5 + 3], 1);
      EXPECT_EQ(y[t * 5 + 4], t >= 32);
    }
  }
}

TEST(Warp, HandsAround) {
  Library lib("warp.cu");
  for (int schedule = 0; schedule < kSchedules; ++schedule) {
    setSchedule(schedule);
    std::vector<long long> y(5 * 96);
    lib.run("around", {y.data()}, 2);
    ASSERT_EQ(takeFault(), "none");
    for (long long b = 0; b < 5; ++b)
      for (long long t = 0; t < 96; ++t) {
        long long w = t / 32 * 32, l = t % 32, x = b * 1000;
        long long want = x + w + (l ^ 5) + 10000 * (x + w + (l * 7 + 3) % 32) +
                         100000000 * (x + w + (l + 9 > 31 ? l : l + 9)) +
                         1000000000000 * (x + 95 - t);
        ASSERT_EQ(y[b * 96 + t], want) << b << " " << t;
      }
  }
}

TEST(Warp, TalksThroughSharedMemory) {
  Library lib("warp.cu");
  std::vector<int> first;
  for (int schedule = 0; schedule < kSchedules; ++schedule) {
    setSchedule(schedule);
    std::vector<int> y(64);
    lib.run("talk", {y.data()});
    ASSERT_EQ(takeFault(), "none");
    if (schedule == 0)
      first = y;
    EXPECT_EQ(y, first);
  }
}

TEST(Warp, RowsWithTails) {
  Library lib("rows.cu");
  std::vector<float> x(37 * 130), want(37 * 130);
  for (size_t i = 0; i < x.size(); ++i)
    x[i] = noise(i);
  for (int r = 0; r < 37; ++r) {
    std::vector<float> l(64);
    for (int j = 0; j < 130; ++j)
      l[j % 64] += x[r * 130 + j] * x[r * 130 + j];
    float t = tree<float>(l, [](float a, float b) { return a + b; });
    float scale = 1.0f / std::sqrt(t / 130.0f + 1e-5f);
    for (int j = 0; j < 130; ++j)
      want[r * 130 + j] = x[r * 130 + j] * scale;
  }
  for (int schedule = 0; schedule < kSchedules; ++schedule) {
    setSchedule(schedule);
    std::vector<float> y(37 * 130);
    lib.run("rows", {x.data(), y.data()}, 3);
    ASSERT_EQ(takeFault(), "none");
    EXPECT_EQ(memcmp(y.data(), want.data(), y.size() * 4), 0);
  }
}
