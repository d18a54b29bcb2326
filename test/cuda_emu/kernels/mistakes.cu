// Kernels with one mistake each, some beside the right ones. Lines marked HERE are the ones that a
// fault has to name.
#include "r1.cuh"

// Turns the rows of x around, by way of shared memory. Wrong: nobody waits.
template <bool Right> R1_FN void turn(const int *x, int *y) {
  R1_SHARED(int, box, 128);
  const int t = r1::thread(), row = r1::block() * 128;
  box[t] = x[row + t];
  if (Right)
    r1::block_sync();
  y[row + t] = box[127 - t];
}
R1_KERNEL(turn, 128)(const int *R1_RESTRICT x, int *R1_RESTRICT y) { turn<true>(x, y); }
R1_ENTRY(turn, 2, 4, 128, (const int *)a[0], (int *)a[1])
R1_KERNEL(turn_unsynced, 128)(const int *R1_RESTRICT x, int *R1_RESTRICT y) { turn<false>(x, y); }
R1_ENTRY(turn_unsynced, 2, 4, 128, (const int *)a[0], (int *)a[1])

// Lane 0 sums what its warp wrote. Wrong: the warp does not wait.
template <bool Right> R1_FN void gather_warp(int *y) {
  R1_SHARED(int, box, 64);
  box[r1::thread()] = r1::thread() * r1::thread();
  if (Right)
    r1::warp_sync();
  int sum = 0;
  for (int i = 0; i < 32; ++i)
    sum += box[r1::warp() * 32 + i] % 1000;
  y[r1::thread()] = sum;
}
R1_KERNEL(warp_synced, 64)(int *R1_RESTRICT y) { gather_warp<true>(y); }
R1_ENTRY(warp_synced, 1, 1, 64, (int *)a[0])
R1_KERNEL(warp_unsynced, 64)(int *R1_RESTRICT y) { gather_warp<false>(y); }
R1_ENTRY(warp_unsynced, 1, 1, 64, (int *)a[0])

// A block reads what another one writes.
R1_KERNEL(blocks_race, 32)(int *R1_RESTRICT y) {
  int i = r1::block() * 32 + r1::thread();
  y[i] = y[(i + 32) % 128] + 1;
}
R1_ENTRY(blocks_race, 1, 4, 32, (int *)a[0])

R1_KERNEL(some_return, 128)(int *R1_RESTRICT y) {
  if (r1::thread() >= 100)
    return;
  r1::block_sync(); // HERE some_return
  y[r1::thread()] = 1;
}
R1_ENTRY(some_return, 1, 1, 128, (int *)a[0])

R1_KERNEL(two_barriers, 64)(int *R1_RESTRICT y) {
  if (r1::thread() < 32)
    r1::block_sync(); // HERE two_barriers
  else
    r1::block_sync(); // HERE two_barriers
  y[r1::thread()] = 1;
}
R1_ENTRY(two_barriers, 1, 1, 64, (int *)a[0])

R1_KERNEL(half_warp, 32)(int *R1_RESTRICT y) {
  int v = r1::thread();
  if (r1::lane() < 16)
    v = r1::shfl_xor(v, 8); // HERE half_warp
  y[r1::thread()] = v;
}
R1_ENTRY(half_warp, 1, 1, 32, (int *)a[0])

R1_KERNEL(two_votes, 32)(int *R1_RESTRICT y) {
  bool odd = r1::thread() % 2;
  y[r1::thread()] = odd ? r1::any(odd)  // HERE two_votes
                        : r1::all(odd); // HERE two_votes
}
R1_ENTRY(two_votes, 1, 1, 32, (int *)a[0])

R1_KERNEL(no_lane, 48)(int *R1_RESTRICT y) {
  y[r1::thread()] = r1::shfl_xor(r1::thread(), 16); // HERE no_lane
}
R1_ENTRY(no_lane, 1, 1, 48, (int *)a[0])

R1_KERNEL(shared_overrun, 64)(int *R1_RESTRICT y) {
  R1_SHARED(int, box, 64);
  box[r1::thread()] = 1;
  r1::block_sync();
  y[r1::thread()] =
      box[r1::thread() + 1]; // HERE shared_overrun
}
R1_ENTRY(shared_overrun, 1, 1, 64, (int *)a[0])

R1_KERNEL(shared_vec_overrun, 32)(float *R1_RESTRICT y) {
  R1_SHARED(float, box, 126);
  auto v = r1::load<4>(box + r1::thread() * 4); // HERE shared_vec_overrun
  r1::store<4>(y + r1::thread() * 4, v);
}
R1_ENTRY(shared_vec_overrun, 1, 1, 32, (float *)a[0])

R1_KERNEL(argument_overrun, 32)(R1_ARG(const float, 100) x, R1_ARG(float, 100) y) {
  for (int i = r1::thread(); i <= 100; i += 32)
    y[i] = x[i] + 1.0f; // HERE argument_overrun
}
R1_ENTRY(argument_overrun, 2, 1, 32, (const float *)a[0], (float *)a[1])

R1_KERNEL(argument_underrun, 32)(R1_ARG(const float, 100) x, R1_ARG(float, 100) y) {
  y[r1::thread()] = x[r1::thread() - 1]; // HERE argument_underrun
}
R1_ENTRY(argument_underrun, 2, 1, 32, (const float *)a[0], (float *)a[1])

R1_KERNEL(looked_up_overrun, 32)(R1_ARG(const float) x, R1_ARG(float) y) {
  y[r1::thread()] = x[r1::thread() + 70]; // HERE looked_up_overrun
}
R1_ENTRY(looked_up_overrun, 2, 1, 32, (const float *)a[0], (float *)a[1])

R1_KERNEL(raw_overrun, 32)(const float *R1_RESTRICT x, float *R1_RESTRICT y) {
  auto v = r1::load<4>(x + r1::thread() * 4);
  r1::store<4>(y + r1::thread() * 4, v); // HERE raw_overrun
}
R1_ENTRY(raw_overrun, 2, 1, 32, (const float *)a[0], (float *)a[1])

R1_KERNEL(misaligned, 8)(const float *R1_RESTRICT x, float *R1_RESTRICT y) {
  auto v = r1::load<4>(x + r1::thread() * 4 + 2); // HERE misaligned
  r1::store<4>(y + r1::thread() * 4, v);
}
R1_ENTRY(misaligned, 2, 1, 8, (const float *)a[0], (float *)a[1])

R1_KERNEL(too_much_shared, 32)(float *R1_RESTRICT y) {
  R1_SHARED(float, one, 8192);
  R1_SHARED(float, two, 8192); // HERE too_much_shared
  y[r1::thread()] = one[0] + two[0];
}
R1_ENTRY(too_much_shared, 1, 1, 32, (float *)a[0])

R1_KERNEL(not_initialised, 32)(float *R1_RESTRICT y) {
  R1_SHARED(float, box, 32);
  if (r1::thread() != 7)
    box[r1::thread()] = 1.0f;
  y[r1::thread()] = box[r1::thread()];
}
R1_ENTRY(not_initialised, 1, 2, 32, (float *)a[0])

// y[step] = a sum over the row `step` of x, which is copied ahead into one of two rows.
// Wrong in one of several ways.
enum { kRight, kNoWait, kWaitTooLittle, kNoSync, kRefillTooEarly };
template <int Mistake> R1_FN void ahead(const float *x, float *y) {
  R1_SHARED(float, rows, 2 * 128);
  const int t = r1::thread();
  auto fetch = [&](int step) {
    if (step < 6)
      r1::async_copy16(&rows[step % 2 * 128 + t * 4], x + step * 128 + t * 4);
    r1::async_commit();
  };
  fetch(0);
  for (int step = 0; step < 6; ++step) {
    if (Mistake == kRefillTooEarly || Mistake == kRight)
      fetch(step + 1);
    if (Mistake != kNoWait) {
      if (Mistake == kRefillTooEarly || Mistake == kRight)
        r1::async_wait<1>();
      else if (Mistake == kWaitTooLittle)
        r1::async_wait<1>();
      else
        r1::async_wait<0>();
    }
    if (Mistake != kNoSync)
      r1::block_sync();
    float sum = 0.0f;
    for (int i = 0; i < 128; ++i)
      sum += rows[step % 2 * 128 + (i + t * 4) % 128] * (i % 7 + 1);
    y[step * 32 + t] = sum;
    if (Mistake != kRefillTooEarly)
      r1::block_sync();
    if (Mistake != kRefillTooEarly && Mistake != kRight)
      fetch(step + 1);
  }
}
#define AHEAD(name, mistake)                                                                       \
  R1_KERNEL(name, 32)(const float *R1_RESTRICT x, float *R1_RESTRICT y) { ahead<mistake>(x, y); }  \
  R1_ENTRY(name, 2, 1, 32, (const float *)a[0], (float *)a[1])
AHEAD(ahead_right, kRight)
AHEAD(ahead_no_wait, kNoWait)
AHEAD(ahead_wait_too_little, kWaitTooLittle)
AHEAD(ahead_no_sync, kNoSync)
AHEAD(ahead_refill_too_early, kRefillTooEarly)
