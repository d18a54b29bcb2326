// The scalar and lane functions of the prelude on the emulation side, without a kernel around them.
#include "r1.cuh"
#include <cmath>
#include <cstdint>
#include <gtest/gtest.h>
#include <limits>

static const float kInf = std::numeric_limits<float>::infinity();
static const float kNan = std::numeric_limits<float>::quiet_NaN();

/// Round to nearest even of |x| to `bits` bits of fraction above 2^least, in double arithmetic.
static double rounded(double x, int fraction, int least, double most) {
  if (x == 0)
    return x;
  int e = std::max(std::ilogb(x), least);
  double unit = std::ldexp(1.0, e - fraction), r = std::nearbyint(x / unit) * unit;
  return std::fabs(r) > most ? std::copysign(HUGE_VAL, x) : r;
}

TEST(Prelude, HalvesRoundToNearestEven) {
  uint64_t s = 1;
  for (int i = 0; i < 2000000; ++i) {
    s = s * 6364136223846793005u + 1442695040888963407u;
    float x = r1::from_bits(static_cast<int>(s >> 32));
    if (std::isnan(x)) {
      unsigned b = static_cast<unsigned>(s >> 32);
      ASSERT_EQ(r1::to_bf16(x).bits, (b >> 16 | 0x40) & 0xFFFF);
      ASSERT_EQ(r1::to_f16(x).bits, (b >> 16 & 0x8000) | 0x7E00 | (b >> 13 & 0x1FF));
      continue;
    }
    if (i % 2) // more of them within f16
      x = std::ldexp(x, -std::ilogb(x == 0 ? 1 : x) + static_cast<int>(s % 45) - 27);
    ASSERT_EQ(r1::to_f32(r1::to_bf16(x)), rounded(x, 7, -126, 0x1.FEp127)) << x;
    ASSERT_EQ(r1::to_f32(r1::to_f16(x)), rounded(x, 10, -14, 65504)) << x;
    ASSERT_EQ(std::signbit(r1::to_f32(r1::to_f16(x))), std::signbit(x));
  }
}

TEST(Prelude, HalvesGoThere) { // and back, all of them
  for (unsigned b = 0; b < 65536; ++b) {
    r1::f16 h{static_cast<unsigned short>(b)};
    r1::bf16 g{static_cast<unsigned short>(b)};
    unsigned quiet = (b & 0x7C00) == 0x7C00 && (b & 0x3FF) ? b | 0x200 : b;
    ASSERT_EQ(r1::to_f16(r1::to_f32(h)).bits, quiet);
    quiet = (b & 0x7F80) == 0x7F80 && (b & 0x7F) ? b | 0x40 : b;
    ASSERT_EQ(r1::to_bf16(r1::to_f32(g)).bits, quiet);
  }
  EXPECT_EQ(r1::to_f32(r1::f16{0x3C00}), 1.0f);
  EXPECT_EQ(r1::to_f32(r1::f16{0x0001}), 0x1p-24f);
  EXPECT_EQ(r1::to_f32(r1::f16{0xFBFF}), -65504.0f);
}

TEST(Prelude, MaximaAndMinima) {
  EXPECT_TRUE(std::isnan(r1::maximum(kNan, 1.0f)));
  EXPECT_TRUE(std::isnan(r1::maximum(1.0f, kNan)));
  EXPECT_TRUE(std::isnan(r1::minimum(kNan, -kInf)));
  EXPECT_EQ(r1::max_num(kNan, 1.0f), 1.0f);
  EXPECT_EQ(r1::min_num(1.0f, kNan), 1.0f);
  EXPECT_TRUE(std::isnan(r1::max_num(kNan, kNan)));
  for (bool swap : {false, true}) {
    float a = swap ? 0.0f : -0.0f, b = swap ? -0.0f : 0.0f;
    EXPECT_FALSE(std::signbit(r1::maximum(a, b)));
    EXPECT_TRUE(std::signbit(r1::minimum(a, b)));
    EXPECT_FALSE(std::signbit(r1::max_num(a, b)));
    EXPECT_TRUE(std::signbit(r1::min_num(a, b)));
  }
  EXPECT_EQ(r1::maximum(-kInf, 3.0f), 3.0f);
  EXPECT_EQ(r1::minimum(2.0, 3.0), 2.0);
}

TEST(Prelude, NumbersToIntegers) {
  EXPECT_EQ(r1::to_i32(-2.9f), -2);
  EXPECT_EQ(r1::to_i32(3e9f), 2147483647);
  EXPECT_EQ(r1::to_i32(-3e9), -2147483647 - 1);
  EXPECT_EQ(r1::to_i32(kNan), 0);
  EXPECT_EQ(r1::to_i64(-1e30f), std::numeric_limits<long long>::min());
  EXPECT_EQ(r1::to_i64(1e10), 10000000000);
  EXPECT_EQ(r1::cast<int>(1.9f), 1);
  EXPECT_EQ(r1::cast<long long>(-1.9f), -1);
  EXPECT_EQ(r1::cast<float>(r1::to_bf16(1.5f)), 1.5f);
  EXPECT_EQ(r1::cast<r1::bf16>(true).bits, 0x3F80);
  EXPECT_EQ(r1::cast<bool>(static_cast<unsigned char>(2)), true);
}

TEST(Prelude, Integers) {
  EXPECT_EQ(r1::add_wrap(2147483647, 1), -2147483647 - 1);
  EXPECT_EQ(r1::mul_wrap(65536, 65536), 0);
  EXPECT_TRUE(r1::less_u(1, -1));
  EXPECT_EQ(r1::div_u(-2, 2), 2147483647);
  EXPECT_EQ(r1::rem_u(-1LL, 10LL), 5);
  EXPECT_EQ(r1::widen_u(-1), 4294967295);
  EXPECT_EQ(r1::shift_right(-8, 1), -4);
  EXPECT_EQ(r1::shift_right_u(-8, 1), 0x7FFFFFFC);
  for (int a = -9; a <= 9; ++a)
    for (int b : {-4, -1, 1, 3}) {
      EXPECT_EQ(r1::div_floor(a, b), std::floor(static_cast<double>(a) / b));
      EXPECT_EQ(r1::div_floor(a, b) * b + r1::mod_floor(a, b), a);
    }
  EXPECT_EQ(r1::mul_high_u(-1, -1), -2);
  EXPECT_EQ(r1::clz(0), 32);
  EXPECT_EQ(r1::popcount(-1), 32);
}

TEST(Prelude, Lanes) {
  auto i = r1::steps<4>(10, 3), j = i * 2 + 1;
  auto f = r1::cast<float>(j);
  auto g = r1::fma(f, 2.0f, r1::splat<4>(0.5f));
  auto c = i > 13 && r1::splat<4>(true);
  auto s = r1::select(c, g, f);
  EXPECT_EQ(s.v[0], 21.0f);
  EXPECT_EQ(s.v[1], 27.0f);
  EXPECT_EQ(s.v[2], 66.5f);
  EXPECT_EQ((-s).v[3], -78.5f);
  auto k = r1::keep(2, r1::splat<4>(1), r1::splat<4>(2));
  EXPECT_EQ(k.v[1], 1);
  EXPECT_EQ(k.v[2], 2);
  auto h = r1::cast<float>(r1::cast<r1::bf16>(s));
  EXPECT_EQ(h.v[2], 66.5f);
  EXPECT_EQ(r1::maximum(s, 30.0f).v[1], 30.0f);
}

static r1::Site lineOf(r1::Index i) { return i.at; }
TEST(Prelude, AnIndexKnowsItsLine) {
  EXPECT_EQ(lineOf(3).line, __LINE__);
  EXPECT_STREQ(lineOf(3).file, __FILE__);
}
