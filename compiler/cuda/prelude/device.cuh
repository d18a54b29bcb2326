// The device side: what emu.h does in plain C++ is here one instruction or one intrinsic.
#pragma once

// One block per multiprocessor at least: without that number ptxas spills a few registers to fit more.
#define R1_KERNEL(name, threads) extern "C" __global__ void __launch_bounds__(threads, 1) name
#define R1_ENTRY(name, args, blocks, threads, ...)
#define R1_SHARED(type, name, count) __shared__ __align__(16) type name[count]
#define R1_ARG(type, ...) type *R1_RESTRICT
#define R1_PTR(type) type *

namespace r1 {

R1_FN int block() { return static_cast<int>(blockIdx.x); }
R1_FN int blocks() { return static_cast<int>(gridDim.x); }
R1_FN int thread() { return static_cast<int>(threadIdx.x); }
R1_FN int lane() { return static_cast<int>(threadIdx.x & 31u); }
R1_FN int warp() { return static_cast<int>(threadIdx.x >> 5); }

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
/// again from single stores after inlining, which fails in long epilogues.
template <int N, class T> R1_FN void store_global(T *p, vec<T, N> x) {
  using V = vec<T, N>;
  union Both {
    V v;
    u32 w[sizeof(V) < 4 ? 1 : sizeof(V) / 4];
  } r;
  r.v = x;
  if constexpr (sizeof(V) == 16)
    asm volatile("st.global.v4.b32 [%0], {%1, %2, %3, %4};" ::"l"(__cvta_generic_to_global(p)),
                 "r"(r.w[0]), "r"(r.w[1]), "r"(r.w[2]), "r"(r.w[3])
                 : "memory");
  else if constexpr (sizeof(V) == 8)
    asm volatile("st.global.v2.b32 [%0], {%1, %2};" ::"l"(__cvta_generic_to_global(p)),
                 "r"(r.w[0]), "r"(r.w[1])
                 : "memory");
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

} // namespace r1
