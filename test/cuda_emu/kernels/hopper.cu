// A product of 64 x 128 over 384 k on sm_90a, right and with one mistake each: 128 threads of which one
// copies through two stages, 128 that multiply. Lines where a fault may be named are marked HERE.
#include "r1.cuh"

enum Mistake {
  right,
  no_full_wait,      // a stage is read before its copies have come
  no_wgmma_wait,     // sums are read while they are made
  wrong_stride,      // 8 rows are said to be 512 bytes apart
  not_swizzled,      // the descriptor's layout is not that of the copies
  early_refill,      // a stage is given back before wgmma has read it
  no_wgmma_fence,    //
  no_async_fence,    // copies do not see the barriers
  few_bytes,         // fewer bytes are expected than come
  only_a,            // those of one of two copies
  many_bytes,        // more
  two_arrivals,      // of the one that a phase waits for
  no_init,           // of the barriers that say a stage is empty
  sums_touched,      // while a wgmma is under way
  ends_early,        // before its wgmmas have ended
  unaligned,         // a copy to a multiple of 64
  outside,           // a descriptor of memory that the block does not have
  many_registers,    // more than the producer gives
  groups_differ,     // one lane commits more often
};

constexpr int K = 384, stages = 2, sizeA = 64 * 128, sizeB = 128 * 128, size = sizeA + sizeB;
constexpr int bytes = stages * (size + 16) + 128;

R1_FN r1::u64 tile(r1::u32 start, int stride, int layout) {
  return start >> 4 | 1ull << 16 | r1::u64(stride >> 4) << 32 | r1::u64(layout) << 62;
}

template <int X, class C>
R1_FN void body(const r1::tensor_map &a, const r1::tensor_map &b, C c) {
  R1_DYNAMIC(memory);
  auto full = r1::as<r1::u64>(memory + stages * size), empty = full + stages;
  if (r1::thread() == 0) {
    for (int s = 0; s < stages; ++s) {
      r1::barrier_init(full + s, 1);
      if (X != no_init)
        r1::barrier_init(empty + s, 4);
    }
    if (X != no_async_fence)
      r1::fence_async();
  }
  r1::block_sync();
  if (r1::warp() < 4) {
    r1::registers_down<X == many_registers ? 248 : 24>();                                          // HERE
    if (r1::thread() == 0)
      for (int s = 0; s < K / 64; ++s) {
        const int stage = s % stages;
        auto to = memory + (stage * size + (X == unaligned ? 64 : 0));
        r1::barrier_wait(empty + stage, (s / stages & 1) ^ 1);                                       // HERE
        r1::barrier_expect(full + stage, X == only_a ? sizeA : X == few_bytes ? size - 64 : X == many_bytes ? size + 64 : size); // HERE
        if (X == two_arrivals)
          r1::barrier_arrive(full + stage);                                                          // HERE
        r1::bulk_copy(to, a, {s * 64, 0}, full + stage);                                             // HERE
        r1::bulk_copy(to + sizeA, b, {s * 64, 0}, full + stage);                                     // HERE
      }
  } else {
    r1::registers_up<X == many_registers ? 256 : 240>();                                           // HERE
    const r1::u32 window = r1::shared_address(memory + 0);
    const int stride = X == wrong_stride ? 512 : 1024, layout = X == not_swizzled ? 0 : 1;
    float acc[64] = {};
    for (int s = 0; s < K / 64; ++s) {
      const int stage = s % stages;
      const r1::u32 at = window + static_cast<r1::u32>(X == outside ? stages * size : stage * size);
      if (X != no_full_wait)
        r1::barrier_wait(full + stage, s / stages & 1);                                              // HERE
      if (X != no_wgmma_fence)
        r1::wgmma_fence();
      for (int k = 0; k < 128; k += 32)
        r1::wgmma<r1::bf16, false, false>(acc, tile(at + k, stride, layout),                         // HERE
                                          tile(at + sizeA + k, stride, layout));
      if (X == groups_differ && r1::thread() == 130)
        r1::wgmma_commit();
      r1::wgmma_commit();
      if (X == sums_touched)
        acc[3] = 0;
      if (X == early_refill && r1::lane() == 0)
        r1::barrier_arrive(empty + stage);                                                           // HERE
      if (!(X == no_wgmma_wait || X == ends_early) || s + 1 < K / 64)
        r1::wgmma_wait<0>(acc);                                                                      // HERE
      if (X != early_refill && r1::lane() == 0)
        r1::barrier_arrive(empty + stage);                                                           // HERE
    }
    if (X == ends_early)
      return;
    const int m = r1::warp() % 4 * 16 + r1::lane() / 4, n = r1::lane() % 4 * 2;
    for (int j = 0; j < 64; ++j)
      c[(m + j % 4 / 2 * 8) * 128 + j / 4 * 8 + n + j % 2] = acc[j];
    if (X == no_wgmma_wait)
      r1::wgmma_wait<0>(acc);
  }
}

#define KERNEL(name)                                                                               \
  R1_KERNEL(name##_, 256)(R1_MAP(a), R1_MAP(b), R1_ARG(float, 64 * 128) c) {                       \
    body<name>(a, b, c);                                                                           \
  }                                                                                                \
  R1_ENTRY_SHARED(name##_, 3, 1, 256, bytes,                                                       \
                  r1::tensor_map(a[0], 2, {{K, 2, 64}, {64, K * 2, 64}}, 128),                     \
                  r1::tensor_map(a[1], 2, {{K, 2, 64}, {128, K * 2, 128}}, 128), (float *)a[2])
KERNEL(right)
KERNEL(no_full_wait)
KERNEL(no_wgmma_wait)
KERNEL(wrong_stride)
KERNEL(not_swizzled)
KERNEL(early_refill)
KERNEL(no_wgmma_fence)
KERNEL(no_async_fence)
KERNEL(few_bytes)
KERNEL(only_a)
KERNEL(many_bytes)
KERNEL(two_arrivals)
KERNEL(no_init)
KERNEL(sums_touched)
KERNEL(ends_early)
KERNEL(unaligned)
KERNEL(outside)
KERNEL(many_registers)
KERNEL(groups_differ)
