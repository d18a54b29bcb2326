// y = x * rsqrt(mean(x^2)) over 37 rows of 130, 16 threads per row: sweeps with a tail.
#include "r1.cuh"
R1_KERNEL(rows, 128)(R1_ARG(const float, 37 * 130) x, R1_ARG(float, 37 * 130) y) {
  const int lane = r1::thread() % 16;
  const bool on = r1::block() * 8 + r1::thread() / 16 < 37;
  const int row = on ? r1::block() * 8 + r1::thread() / 16 : 36;
  auto s = r1::splat<4>(0.0f);
  for (int j = lane * 4; j < 130; j += 64) {
    const auto v = r1::gather<4>(x, r1::steps<4>(row * 130 + j, 1), 130 - j);
    s = r1::keep(130 - j, s + v * v, s);
  }
  const auto t = r1::row_sum<4>(s.v);
  const auto scale = 1.0f / r1::sqrt(t / 130.0f + 1e-5f);
  for (int j = lane * 4; j < 130; j += 64) {
    const auto v = r1::load_strided<4>(x, row * 130 + j, 1, 130 - j);
    if (on) r1::store_strided<4>(y, row * 130 + j, 1, v * scale, 130 - j);
  }
}
R1_ENTRY(rows, 2, 5, 128, (const float *)a[0], (float *)a[1])
