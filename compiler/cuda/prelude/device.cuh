// The device side: what emu.h does in plain C++ is here one instruction or one intrinsic.
#pragma once

// One block per multiprocessor at least: without that number ptxas spills a few registers to fit more.
#define R1_KERNEL(name, threads) R1_KERNEL_OF(name, threads, 1)
#define R1_KERNEL_OF(name, threads, blocks)                                                        \
  extern "C" __global__ void __launch_bounds__(threads, blocks) name
#define R1_ENTRY(name, args, blocks, threads, ...)
#define R1_ENTRY_SHARED(name, args, blocks, threads, bytes, ...)
#define R1_DYNAMIC(name) extern __shared__ __align__(1024) char name[]
#define R1_MAP(name) const __grid_constant__ ::r1::tensor_map name
#define R1_SHARED(type, name, count) __shared__ __align__(16) type name[count]
#define R1_ARG(type, ...) type *R1_RESTRICT
#define R1_PTR(type) type *

namespace r1 {

R1_FN int block() { return static_cast<int>(blockIdx.x); }
R1_FN int blocks() { return static_cast<int>(gridDim.x); }
R1_FN int thread() { return static_cast<int>(threadIdx.x); }
R1_FN int lane() { return static_cast<int>(threadIdx.x & 31u); }
R1_FN int warp() { return static_cast<int>(threadIdx.x >> 5); }
/// `lane`, of which the compiler does not know that it is always the same: what is computed from it is
/// computed here, and does not occupy registers from before a loop on.
R1_FN int lane_anew() {
  int x = lane();
  asm volatile("" : "+r"(x));
  return x;
}

//===--- bits and 16-bit floats -----------------------------------------------------------===//

R1_FN int bits(float x) { return __float_as_int(x); }
R1_FN i64 bits(double x) { return __double_as_longlong(x); }
R1_FN int bits(int x) { return x; }
R1_FN float from_bits(int x) { return __int_as_float(x); }
R1_FN double from_bits(i64 x) { return __longlong_as_double(x); }

R1_FN float to_f32(bf16 x) { return __int_as_float(static_cast<int>(x.bits) << 16); }
R1_FN float to_f32(f16 x) {
  float r;
  asm("cvt.f32.f16 %0, %1;" : "=f"(r) : "h"(x.bits));
  return r;
}
/// To nearest, ties to even. A NaN keeps its high bits and becomes quiet.
R1_FN bf16 to_bf16(float x) {
  unsigned short r;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(r) : "f"(x));
  unsigned short nan = static_cast<unsigned short>((__float_as_uint(x) >> 16) | 0x40u);
  return {x == x ? r : nan};
}
R1_FN f16 to_f16(float x) {
  unsigned short r;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(r) : "f"(x));
  u32 b = __float_as_uint(x);
  unsigned short nan =
      static_cast<unsigned short>(((b >> 16) & 0x8000u) | 0x7E00u | ((b >> 13) & 0x1FFu));
  return {x == x ? r : nan};
}

//===--- arithmetic -----------------------------------------------------------------------===//

R1_FN float fma(float a, float b, float c) { return __fmaf_rn(a, b, c); }
R1_FN double fma(double a, double b, double c) { return __fma_rn(a, b, c); }
R1_FN float sqrt(float x) { return __fsqrt_rn(x); }
R1_FN double sqrt(double x) { return __dsqrt_rn(x); }
R1_FN float div(float a, float b) { return __fdiv_rn(a, b); }
R1_FN double div(double a, double b) { return __ddiv_rn(a, b); }
/// `div` without its branch for what is not normal: 2^-60 < |a / b| and |a| < 2^60; a larger b than 2^60 counts
/// as that. As the machine's own division: an approximate reciprocal made exact by remainders.
R1_FN float div_calm(float a, float b) {
  float y;
  asm("min.NaN.f32 %0, %1, 0f5D800000;" : "=f"(b) : "f"(b));
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(b));
  y = __fmaf_rn(__fmaf_rn(-b, y, 1.0f), y, y);
  float q = a * y;
  q = __fmaf_rn(__fmaf_rn(-b, q, a), y, q);
  return __fmaf_rn(__fmaf_rn(-b, q, a), y, q);
}
R1_FN float floor(float x) { return ::floorf(x); }
R1_FN double floor(double x) { return ::floor(x); }
R1_FN float ceil(float x) { return ::ceilf(x); }
R1_FN double ceil(double x) { return ::ceil(x); }
R1_FN float rint(float x) { return ::rintf(x); }
R1_FN double rint(double x) { return ::rint(x); }
R1_FN float trunc(float x) { return ::truncf(x); }
R1_FN double trunc(double x) { return ::trunc(x); }
R1_FN float abs(float x) { return ::fabsf(x); }
R1_FN double abs(double x) { return ::fabs(x); }
R1_FN float copysign(float x, float s) { return ::copysignf(x, s); }
R1_FN double copysign(double x, double s) { return ::copysign(x, s); }

/// 2^x within two units in the last place, results below 2^-126 are 0: one instruction, of which
/// the bits are the device's. For kernels whose bits are that anyway.
R1_FN float exp2_approx(float x) {
  float r;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(r) : "f"(x));
  return r;
}

/// A NaN wins; -0 is less than +0.
R1_FN float maximum(float a, float b) {
  float r;
  asm("max.NaN.f32 %0, %1, %2;" : "=f"(r) : "f"(a), "f"(b));
  return r;
}
R1_FN float minimum(float a, float b) {
  float r;
  asm("min.NaN.f32 %0, %1, %2;" : "=f"(r) : "f"(a), "f"(b));
  return r;
}
/// A number wins over a NaN.
R1_FN float max_num(float a, float b) { return ::fmaxf(a, b); }
R1_FN float min_num(float a, float b) { return ::fminf(a, b); }
R1_FN double max_num(double a, double b) { return ::fmax(a, b); }
R1_FN double min_num(double a, double b) { return ::fmin(a, b); }
R1_FN double maximum(double a, double b) { return a != a || b != b ? a + b : ::fmax(a, b); }
R1_FN double minimum(double a, double b) { return a != a || b != b ? a + b : ::fmin(a, b); }

/// Toward zero; what does not fit becomes the nearest that does, a NaN zero.
R1_FN int to_i32(float x) { return __float2int_rz(x); }
R1_FN int to_i32(double x) { return __double2int_rz(x); }
R1_FN i64 to_i64(float x) { return x == x ? __float2ll_rz(x) : 0; }
R1_FN i64 to_i64(double x) { return x == x ? __double2ll_rz(x) : 0; }

R1_FN int clz(int x) { return __clz(x); }
R1_FN int popcount(int x) { return __popc(static_cast<u32>(x)); }
/// The upper half of the unsigned product.
R1_FN int mul_high_u(int a, int b) {
  return static_cast<int>(__umulhi(static_cast<u32>(a), static_cast<u32>(b)));
}

//===--- memory ---------------------------------------------------------------------------===//

template <int Bytes> struct bytes_;
template <> struct bytes_<1> {
  using type = unsigned char;
};
template <> struct bytes_<2> {
  using type = unsigned short;
};
template <> struct bytes_<4> {
  using type = unsigned int;
};
template <> struct bytes_<8> {
  using type = uint2;
};
template <> struct bytes_<16> {
  using type = uint4;
};

/// One element.
template <class P> R1_FN element<P> read(P p, int i) { return p[i]; }
template <class P, class T> R1_FN void write(P p, int i, T x) { p[i] = x; }

/// N elements from `p`, as accesses of up to 16 bytes: `p` is a multiple of vec's size, at most 16.
template <int N, class T> R1_FN vec<plain<T>, N> load(T *p) {
  using V = vec<plain<T>, N>;
  constexpr int size = sizeof(V) > 16 ? 16 : sizeof(V);
  using W = typename bytes_<size>::type;
  union Both {
    V v;
    W w[sizeof(V) / size];
  } r;
  R1_UNROLL
  for (int i = 0; i < static_cast<int>(sizeof(V)) / size; ++i)
    r.w[i] = reinterpret_cast<const W *>(p)[i];
  return r.v;
}
template <int N, class T> R1_FN void store(T *p, vec<T, N> x) {
  using V = vec<T, N>;
  constexpr int size = sizeof(V) > 16 ? 16 : sizeof(V);
  using W = typename bytes_<size>::type;
  union Both {
    V v;
    W w[sizeof(V) / size];
  } r;
  r.v = x;
  R1_UNROLL
  for (int i = 0; i < static_cast<int>(sizeof(V)) / size; ++i)
    reinterpret_cast<W *>(p)[i] = r.w[i];
}

/// As `store`, into global memory: one instruction for certain. The plain form is put together
/// again from single stores after inlining, which fails in long epilogues. What this thread loads after it
/// may be loaded before: it must not be what was stored.
template <int N, class T> R1_FN void store_global(T *p, vec<T, N> x) {
  using V = vec<T, N>;
  union Both {
    V v;
    u32 w[sizeof(V) < 4 ? 1 : sizeof(V) / 4];
  } r;
  r.v = x;
  if constexpr (sizeof(V) == 16)
    asm volatile("st.global.v4.b32 [%0], {%1, %2, %3, %4};" ::"l"(__cvta_generic_to_global(p)),
                 "r"(r.w[0]), "r"(r.w[1]), "r"(r.w[2]), "r"(r.w[3]));
  else if constexpr (sizeof(V) == 8)
    asm volatile("st.global.v2.b32 [%0], {%1, %2};" ::"l"(__cvta_generic_to_global(p)),
                 "r"(r.w[0]), "r"(r.w[1]));
  else
    store<N>(p, x);
}

/// 16 bytes from global to shared memory, under way until a wait; both are multiples of 16. The
/// last 16 - live bytes become zero, and their source is not read.
template <class T, class S> R1_FN void async_copy16(T *to, const S *from, int live = 16) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(
                   static_cast<u32>(__cvta_generic_to_shared(to))),
               "l"(__cvta_generic_to_global(from)), "r"(live)
               : "memory");
}
/// Closes the group of the copies since the last commit.
R1_FN void async_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
/// Until at most N of this thread's groups are under way. Other threads see what it copied after a
/// block_sync.
template <int N> R1_FN void async_wait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory");
}

//===--- warps and blocks -----------------------------------------------------------------===//

R1_FN void block_sync() { __syncthreads(); }
R1_FN void warp_sync() { __syncwarp(); }
/// `v` of lane `lane() ^ mask`, of lane `source`, of lane `lane() + by` (its own beyond the warp).
template <class T> R1_FN T shfl_xor(T v, int mask) {
  return static_cast<T>(__shfl_xor_sync(0xFFFFFFFFu, v, mask));
}
template <class T> R1_FN T shfl(T v, int source) {
  return static_cast<T>(__shfl_sync(0xFFFFFFFFu, v, source));
}
template <class T> R1_FN T shfl_down(T v, int by) {
  return static_cast<T>(__shfl_down_sync(0xFFFFFFFFu, v, static_cast<u32>(by)));
}
R1_FN bool any(bool x) { return __any_sync(0xFFFFFFFFu, x); }
R1_FN bool all(bool x) { return __all_sync(0xFFFFFFFFu, x); }
R1_FN u32 ballot(bool x) { return __ballot_sync(0xFFFFFFFFu, x); }
/// Over the lanes of a warp (sm_80 and newer).
R1_FN int warp_min(int x) {
  int r;
  asm volatile("redux.sync.min.s32 %0, %1, 0xffffffff;" : "=r"(r) : "r"(x));
  return r;
}
R1_FN int warp_max(int x) {
  int r;
  asm volatile("redux.sync.max.s32 %0, %1, 0xffffffff;" : "=r"(r) : "r"(x));
  return r;
}

//===--- tensor cores ---------------------------------------------------------------------===//

/// Four 8 x 8 matrices of 16-bit elements out of shared memory: lanes 8i to 8i + 7 point to the
/// rows (16 bytes) of matrix i, and r[i] is elements 2 (lane mod 4) and the next one of its row
/// lane / 4. With `_trans`, of its column.
template <class T> R1_FN void ldmatrix4(u32 (&r)[4], T *row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(static_cast<u32>(__cvta_generic_to_shared(row)))
               : "memory");
}
template <class T> R1_FN void ldmatrix4_trans(u32 (&r)[4], T *row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(static_cast<u32>(__cvta_generic_to_shared(row)))
               : "memory");
}
/// Two neighbours of a fragment, each rounded to nearest; `low` is the first. (A NaN loses its payload.)
template <class H> R1_FN u32 pack_pair(float low, float high) {
  u32 r;
  if constexpr (same<H, bf16>)
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(high), "f"(low));
  else
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(high), "f"(low));
  return r;
}
/// d += a b: 16 x 8 in f32, a 16 x 16 and b 16 x 8 of type H, in the fragments of m16n8k16.
template <class H> R1_FN void mma(float (&d)[4], const u32 (&a)[4], u32 b0, u32 b1) {
  if constexpr (same<H, bf16>)
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
        "{%8, %9}, {%0, %1, %2, %3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
  else
    asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
        "{%8, %9}, {%0, %1, %2, %3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

//===--- sm_90a: mbarriers, bulk copies, wgmma ----------------------------------------------===//

/// What cuTensorMapEncodeTiled makes: a tensor in global memory, and the box of it that one copy takes.
struct __align__(64) tensor_map {
  u64 opaque[16];
};

/// `p` as a pointer to elements of another type.
template <class T> R1_FN T *as(char *p) { return reinterpret_cast<T *>(p); }
/// As the shared memory's own address, which descriptors hold.
R1_FN u32 shared_address(const void *p) { return static_cast<u32>(__cvta_generic_to_shared(p)); }

/// An mbarrier in shared memory (8 bytes). Its phases are numbered from 0; one ends when `count`
/// arrivals have come and as many bytes as they said.
R1_FN void barrier_init(u64 *b, int count) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(b)), "r"(count)
               : "memory");
}
R1_FN void barrier_arrive(u64 *b) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_address(b)) : "memory");
}
/// Arrives, and says that bulk copies bring `bytes` bytes in this phase.
R1_FN void barrier_expect(u64 *b, int bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(b)),
               "r"(bytes)
               : "memory");
}
/// Until a phase of that parity has ended. Of a new barrier the phase before the first has, parity 1.
R1_FN void barrier_wait(u64 *b, u32 parity) {
  asm volatile("{\n"
               ".reg .pred done;\n"
               "again:\n"
               "mbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n"
               "@!done bra again;\n"
               "}" ::"r"(shared_address(b)),
               "r"(parity)
               : "memory");
}
/// What this thread has written to shared memory, barriers included, is seen by bulk copies and wgmma.
R1_FN void fence_async() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }

/// The box of `map` that begins at `at` (innermost dim first) to shared memory, a multiple of 128, and
/// of 1024 for swizzled rows; what lies outside of the tensor becomes zero. Its bytes, all of them,
/// count for the phase of `b` in which this is called. One thread calls it.
template <int Rank>
R1_FN void bulk_copy(void *to, const tensor_map &map, const int (&at)[Rank], u64 *b) {
  static_assert(Rank >= 2 && Rank <= 5, "2 to 5 dims");
  const u32 d = shared_address(to), bar = shared_address(b);
  const u64 m = reinterpret_cast<u64>(&map);
  if constexpr (Rank == 2)
    asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes "
                 "[%0], [%1, {%3, %4}], [%2];" ::"r"(d), "l"(m), "r"(bar), "r"(at[0]), "r"(at[1])
                 : "memory");
  else if constexpr (Rank == 3)
    asm volatile("cp.async.bulk.tensor.3d.shared::cluster.global.tile.mbarrier::complete_tx::bytes "
                 "[%0], [%1, {%3, %4, %5}], [%2];" ::"r"(d), "l"(m), "r"(bar), "r"(at[0]),
                 "r"(at[1]), "r"(at[2])
                 : "memory");
  else if constexpr (Rank == 4)
    asm volatile("cp.async.bulk.tensor.4d.shared::cluster.global.tile.mbarrier::complete_tx::bytes "
                 "[%0], [%1, {%3, %4, %5, %6}], [%2];" ::"r"(d), "l"(m), "r"(bar), "r"(at[0]),
                 "r"(at[1]), "r"(at[2]), "r"(at[3])
                 : "memory");
  else
    asm volatile("cp.async.bulk.tensor.5d.shared::cluster.global.tile.mbarrier::complete_tx::bytes "
                 "[%0], [%1, {%3, %4, %5, %6, %7}], [%2];" ::"r"(d), "l"(m), "r"(bar), "r"(at[0]),
                 "r"(at[1]), "r"(at[2]), "r"(at[3]), "r"(at[4])
                 : "memory");
}

/// Registers of each thread, called by all threads of a warpgroup: a producer gives some of its own to
/// the consumers. Going up waits until they are there: all warps together have as many as at the start.
template <int N> R1_FN void registers_up() {
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(N));
}
template <int N> R1_FN void registers_down() {
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(N));
}

template <class T, int Count> R1_FN void settle(T (&x)[Count]) {
  R1_UNROLL
  for (int i = 0; i < Count; ++i)
    if constexpr (same<T, float>)
      asm volatile("" : "+f"(x[i])::"memory");
    else if constexpr (same<T, u32>)
      asm volatile("" : "+r"(x[i])::"memory");
    else
      settle(x[i]);
}
/// Before the first wgmma, and after registers that one uses were read or written: those named are written by
/// then, and not between this and the wgmma.
template <class... R> R1_FN void wgmma_fence(R &...registers) {
  (settle(registers), ...);
  asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}
/// Closes the group of the wgmmas since the last commit.
R1_FN void wgmma_commit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
/// Until at most N of the warp's groups are under way. With 0, `sums` may be read again.
template <int N, int Count> R1_FN void wgmma_wait(float (&sums)[Count]) {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(N) : "memory");
  settle(sums); // not read before this
}

// The registers of 32, 64 and 128 sums, as text and as operands.
#define R1_TEXT32 \
  "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, " \
  "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31"
#define R1_TEXT64 \
  R1_TEXT32 ", " \
  "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, " \
  "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"
#define R1_TEXT128 \
  R1_TEXT64 ", " \
  "%64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79, " \
  "%80, %81, %82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95, " \
  "%96, %97, %98, %99, %100, %101, %102, %103, %104, %105, %106, %107, %108, %109, %110, %111, " \
  "%112, %113, %114, %115, %116, %117, %118, %119, %120, %121, %122, %123, %124, %125, %126, %127"
#define R1_SUMS4(i) "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3])
#define R1_SUMS16(i) R1_SUMS4(i), R1_SUMS4(i + 4), R1_SUMS4(i + 8), R1_SUMS4(i + 12)
#define R1_SUMS32(i) R1_SUMS16(i), R1_SUMS16(i + 16)
#define R1_SUMS64(i) R1_SUMS32(i), R1_SUMS32(i + 32)
#define R1_SUMS128(i) R1_SUMS64(i), R1_SUMS64(i + 64)
#define R1_WGMMA(shape, types, text, sums, a_, b_, ta, tb) \
  asm volatile("wgmma.mma_async.sync.aligned." shape ".f32." types " {" text "}, " a_ ", " b_ \
               ", 1, 1, 1, " ta ", " tb ";" \
               : sums(0) \
               : "l"(a), "l"(b), "n"(AcrossA), "n"(AcrossB) \
               : "memory")

/// d += a b for the 128 threads of a warpgroup: 64 x N in f32 (fragments of m64nNk16: thread t holds rows
/// 16 (t / 32) + t mod 32 / 4 and 8 below, of each 8 columns 2 (t mod 4) and the next one), a 64 x 16 and
/// b 16 x N of type H in shared memory, as descriptors (wgmma_tile). Across: neighbours lie along m or
/// n, not along k. It goes on until a wgmma_wait; the sums are not to be touched before.
template <class H, bool AcrossA, bool AcrossB, int Count>
R1_FN void wgmma(float (&d)[Count], u64 a, u64 b) {
  static_assert(Count == 32 || Count == 64 || Count == 128, "64 x 64, 128 or 256 sums in a warpgroup");
  static_assert(is_half<H>, "bf16 or f16");
  if constexpr (Count == 32 && same<H, bf16>)
    R1_WGMMA("m64n64k16", "bf16.bf16", R1_TEXT32, R1_SUMS32, "%32", "%33", "%34", "%35");
  else if constexpr (Count == 32)
    R1_WGMMA("m64n64k16", "f16.f16", R1_TEXT32, R1_SUMS32, "%32", "%33", "%34", "%35");
  else if constexpr (Count == 64 && same<H, bf16>)
    R1_WGMMA("m64n128k16", "bf16.bf16", R1_TEXT64, R1_SUMS64, "%64", "%65", "%66", "%67");
  else if constexpr (Count == 64)
    R1_WGMMA("m64n128k16", "f16.f16", R1_TEXT64, R1_SUMS64, "%64", "%65", "%66", "%67");
  else if constexpr (same<H, bf16>)
    R1_WGMMA("m64n256k16", "bf16.bf16", R1_TEXT128, R1_SUMS128, "%128", "%129", "%130", "%131");
  else
    R1_WGMMA("m64n256k16", "f16.f16", R1_TEXT128, R1_SUMS128, "%128", "%129", "%130", "%131");
}
/// As `wgmma`, 64 x 64 of them, with a in registers: each warp's 16 rows as the fragment of m16n8k16. Those
/// registers, too, are not to be touched before the wait, and a is to be made anew for each product: of two
/// that take turns in a loop, ptxas (12.9, 13.0) puts one that is kept into the registers of the other.
template <class H, bool AcrossB, int Count>
R1_FN void wgmma_from(float (&d)[Count], const u32 (&a)[4], u64 b) {
  static_assert(Count == 32 && is_half<H>, "64 x 64 sums in a warpgroup, of bf16 or f16");
#define R1_WGMMA_FROM(types)                                                                       \
  asm volatile("wgmma.mma_async.sync.aligned.m64n64k16.f32." types " {" R1_TEXT32                  \
               "}, {%32, %33, %34, %35}, %36, 1, 1, 1, %37;"                                       \
               : R1_SUMS32(0)                                                                      \
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "n"(AcrossB)                  \
               : "memory")
  if constexpr (same<H, bf16>)
    R1_WGMMA_FROM("bf16.bf16");
  else
    R1_WGMMA_FROM("f16.f16");
#undef R1_WGMMA_FROM
}
#undef R1_TEXT32
#undef R1_TEXT64
#undef R1_TEXT128
#undef R1_SUMS4
#undef R1_SUMS16
#undef R1_SUMS32
#undef R1_SUMS64
#undef R1_SUMS128
#undef R1_WGMMA

} // namespace r1
