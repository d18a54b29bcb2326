// What the functions of warp.cuh and the shuffles give, one kernel each.
#include "r1.cuh"

// Element i of a row belongs to lane i mod 64; a thread has L lanes.
template <int L, class T> R1_FN void rows_of(const T *x, T *sum, T *max, T *min) {
  const int per = 64 / L, row = r1::block() * (128 / per) + r1::thread() / per;
  const int r = r1::thread() % per;
  T s[L], hi[L], lo[L];
  for (int i = 0; i < L; ++i) {
    s[i] = hi[i] = lo[i] = x[row * 192 + r * L + i];
    for (int j = 64; j < 192; j += 64) {
      T v = x[row * 192 + j + r * L + i];
      s[i] = r1::Sum()(s[i], v);
      hi[i] = r1::Max()(hi[i], v);
      lo[i] = r1::Min()(lo[i], v);
    }
  }
  // Every thread stores, each to its own place: all of them have the result.
  sum[row * per + r] = r1::row_sum<L>(s);
  max[row * per + r] = r1::row_max<L>(hi);
  min[row * per + r] = r1::row_min<L>(lo);
}
#define ROWS(name, L, T)                                                                           \
  R1_KERNEL(name, 128)                                                                             \
  (const T *R1_RESTRICT x, T *R1_RESTRICT sum, T *R1_RESTRICT max, T *R1_RESTRICT min) {           \
    rows_of<L>(x, sum, max, min);                                                                  \
  }                                                                                                \
  R1_ENTRY(name, 4, 3, 128, (const T *)a[0], (T *)a[1], (T *)a[2], (T *)a[3])
ROWS(rows2, 2, float)
ROWS(rows4, 4, float)
ROWS(rows8, 8, float)
ROWS(ints4, 4, int)
ROWS(longs2, 2, long long)

R1_KERNEL(votes, 64)(const int *R1_RESTRICT x, int *R1_RESTRICT y) {
  bool b = x[r1::thread()] != 0;
  bool lanes[4] = {b, false, false, false}, others[4] = {b, true, true, true};
  y[r1::thread() * 5 + 0] = r1::any(b);
  y[r1::thread() * 5 + 1] = r1::all(b);
  y[r1::thread() * 5 + 2] = static_cast<int>(r1::ballot(b));
  y[r1::thread() * 5 + 3] = r1::row_any<4>(lanes);
  y[r1::thread() * 5 + 4] = r1::row_all<4>(others);
}
R1_ENTRY(votes, 2, 1, 64, (const int *)a[0], (int *)a[1])

// Each thread hands its value around the warp in several ways, then around the block.
R1_KERNEL(around, 96)(long long *R1_RESTRICT y) {
  R1_SHARED(int, box, 96);
  long long x = r1::block() * 1000 + r1::thread();
  long long s = r1::shfl_xor(x, 5) + 10000 * r1::shfl(x, r1::lane() * 7 + 3) +
                100000000 * r1::shfl_down(x, 9);
  box[r1::thread()] = static_cast<int>(x);
  r1::block_sync();
  y[r1::block() * 96 + r1::thread()] = s + 1000000000000LL * box[95 - r1::thread()];
}
R1_ENTRY(around, 1, 5, 96, (long long *)a[0])

// Threads of a warp talk through shared memory.
R1_KERNEL(talk, 64)(int *R1_RESTRICT y) {
  R1_SHARED(int, box, 64);
  int sum = r1::thread();
  for (int i = 0; i < 20; ++i) {
    box[r1::thread()] = sum;
    r1::warp_sync();
    sum += box[r1::thread() ^ (i % 31)] % 1000;
    r1::warp_sync();
  }
  y[r1::thread()] = sum;
}
R1_ENTRY(talk, 1, 1, 64, (int *)a[0])
