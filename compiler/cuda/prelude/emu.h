// The emulation side: plain C++ for the host, one call into the emulator wherever threads meet.
// What device.cuh declares is here with the same names and the same bits. Functions that can fail
// know the line of their caller.
#pragma once
#include "runtime/emu/Abi.h"

using r1emu_size = decltype(sizeof 0);

namespace r1 {

using Site = r1emu_site;
constexpr Site here(const char *file = __builtin_FILE(), int line = __builtin_LINE()) {
  return {file, line};
}

namespace emu {
inline const r1emu_api *api;              // bound by the loader
inline thread_local r1emu_block *running; // of this host thread
} // namespace emu
} // namespace r1

/// What the loader calls first.
extern "C" inline __attribute__((used, visibility("default"))) void
r1emu_bind(const r1emu_api *api) {
  r1::emu::api = api;
}

#define R1_KERNEL(name, threads)                                                                   \
  static_assert((threads) > 0 && (threads) <= 1024, #name ": 1 to 1024 threads per block");        \
  static void name
#define R1_KERNEL_OF(name, threads, blocks) R1_KERNEL(name, threads)
#define R1_ENTRY(name, args, blocks, threads, ...)                                                 \
  R1_ENTRY_SHARED(name, args, blocks, threads, 0, __VA_ARGS__)
#define R1_ENTRY_SHARED(name, args, blocks, threads, bytes, ...)                                   \
  extern "C" __attribute__((visibility("default"))) void name##_run(                               \
      void *const *pointers, void *, __INT64_TYPE__ tid, __INT64_TYPE__ count) {                   \
    static const r1emu_kernel kernel = {#name, args, blocks, threads, bytes,                       \
                                        [](void *const *a) { (void)a, name(__VA_ARGS__); }};       \
    r1::emu::api->launch(&kernel, &r1::emu::running, pointers, tid, count);                        \
  }
#define R1_SHARED(type, name, count)                                                               \
  static_assert(sizeof(type) * (count) <= R1EMU_SHARED_BYTES,                                      \
                #name ": a block has 48 KiB of shared memory");                                    \
  static const char name##_key = 0;                                                                \
  const ::r1::shared<type, (count)> name(&name##_key, #name)
#define R1_DYNAMIC(name) const ::r1::dynamic name
#define R1_MAP(name) const ::r1::tensor_map name
#define R1_ARG(type, ...) ::r1::argument<type __VA_OPT__(, ) __VA_ARGS__>
#define R1_PTR(type) ::r1::pointer<type>

namespace r1 {

inline int block() { return emu::running->block; }
inline int blocks() { return emu::running->blocks; }
inline int thread() { return emu::running->thread; }
inline int lane() { return emu::running->thread & 31; }
inline int warp() { return emu::running->thread >> 5; }
inline int lane_anew() { return lane(); }

//===--- pointers that know their bounds --------------------------------------------------===//

/// An index and the line it stands on.
struct Index {
  i64 i;
  Site at;
  Index(int i, Site at = here()) : i(i), at(at) {}
  Index(i64 i, Site at = here()) : i(i), at(at) {}
  Index(u32 i, Site at = here()) : i(i), at(at) {}
  Index(long i, Site at = here()) : i(i), at(at) {}
  Index(unsigned long i, Site at = here()) : i(static_cast<i64>(i)), at(at) {}
};

[[noreturn]] inline void outside(i64 i, i64 n, i64 count, Site at) {
  if (n == 1)
    emu::api->fault(emu::running, at, "element %lld of an array of %lld", i, count);
  else
    emu::api->fault(emu::running, at, "elements %lld to %lld of an array of %lld", i, i + n - 1,
                    count);
  __builtin_unreachable();
}

/// Points into the elements [begin, end); reads and writes elsewhere are faults.
template <class T> struct pointer {
  T *p, *begin, *end;

  T &operator[](Index i) const { return *span(i.i, 1, i.at); }
  pointer operator+(i64 i) const { return {p + i, begin, end}; }
  pointer operator-(i64 i) const { return {p - i, begin, end}; }
  pointer &operator+=(i64 i) { return p += i, *this; }
  operator pointer<const T>() const { return {p, begin, end}; }
  /// The elements from i on, of which there have to be n.
  T *span(i64 i, i64 n, Site at) const {
    i64 first = p - begin + i;
    if (first < 0 || first + n > end - begin)
      outside(first, n, end - begin, at);
    return p + i;
  }
};

/// A kernel's argument of `Count` elements; without a number, what the registered ranges say.
template <class T, i64 Count = -1> struct argument : pointer<T> {
  argument(T *x) : pointer<T>{x, x, x + Count} {
    if constexpr (Count < 0) {
      r1emu_range r = emu::api->range(emu::running, x);
      char *begin = static_cast<char *>(const_cast<void *>(r.begin));
      if (begin) {
        this->begin = reinterpret_cast<T *>(begin);
        this->end = reinterpret_cast<T *>(begin + r.bytes);
      } else { // not registered: everywhere
        this->begin = nullptr;
        this->end = reinterpret_cast<T *>(~r1emu_size(0) / 2);
      }
    }
  }
};

/// A shared array. It is filled with NaNs when the block starts.
template <class T, i64 Count> struct shared : pointer<T> {
  shared(const char *key, const char *name, Site at = here())
      : shared(static_cast<T *>(
            emu::api->shared(emu::running, key, name, sizeof(T) * Count, at))) {}

private:
  explicit shared(T *x) : pointer<T>{x, x, x + Count} {}
};

template <class T> T *span(pointer<T> p, i64 i, i64 n, Site at) { return p.span(i, n, at); }
template <class T> T *span(T *p, i64 i, i64 n, Site at) {
  if (__builtin_expect(emu::running->checked, 0)) {
    r1emu_range r = emu::api->range(emu::running, p + i);
    const T *begin = static_cast<const T *>(r.begin);
    i64 first = p + i - begin, count = static_cast<i64>(r.bytes / sizeof(T));
    if (!begin)
      emu::api->fault(emu::running, at, "element %lld of a pointer lies in no array of the launch",
                      i);
    if (first < 0 || first + n > count)
      outside(first, n, count, at);
  }
  return p + i;
}

template <class P> element<P> read(P p, i64 i, Site at = here()) { return *span(p, i, 1, at); }
template <class P, class T> void write(P p, i64 i, T x, Site at = here()) {
  *span(p, i, 1, at) = x;
}

inline void check_aligned(const void *p, unsigned size, Site at) {
  if (reinterpret_cast<r1emu_size>(p) % size)
    emu::api->fault(emu::running, at, "an access of %u bytes at %p, which is no multiple of %u",
                    size, p, size);
}

template <int N, class P> vec<element<P>, N> load(P p, Site at = here()) {
  vec<element<P>, N> r;
  const auto *from = span(p, 0, N, at);
  check_aligned(from, sizeof r > 16 ? 16 : sizeof r, at);
  __builtin_memcpy(&r, from, sizeof r);
  return r;
}
template <int N, class P> void store(P p, vec<element<P>, N> x, Site at = here()) {
  auto *to = span(p, 0, N, at);
  check_aligned(to, sizeof x > 16 ? 16 : sizeof x, at);
  __builtin_memcpy(to, &x, sizeof x);
}

template <int N, class P> void store_global(P p, vec<element<P>, N> x, Site at = here()) {
  store<N>(p, x, at);
}

template <class P, class Q> void async_copy16(P to, Q from, int live = 16, Site at = here()) {
  constexpr int size = sizeof(element<Q>);
  if (live < 0 || live > 16)
    emu::api->fault(emu::running, at, "%d of 16 bytes are to be copied", live);
  auto *target = span(to, 0, 16 / sizeof(element<P>), at);
  const auto *source = live ? span(from, 0, (live + size - 1) / size, at) : nullptr;
  check_aligned(target, 16, at);
  check_aligned(source, 16, at);
  emu::api->copy(emu::running, target, source, live, 16 - live);
}
inline void async_commit() { emu::api->commit(emu::running); }
template <int N> void async_wait() { emu::api->wait(emu::running, N); }

//===--- bits and 16-bit floats -----------------------------------------------------------===//

template <class To, class From> To same_bits(From x) {
  static_assert(sizeof(To) == sizeof(From));
  To r;
  __builtin_memcpy(&r, &x, sizeof r);
  return r;
}
inline int bits(float x) { return same_bits<int>(x); }
inline i64 bits(double x) { return same_bits<i64>(x); }
inline int bits(int x) { return x; }
inline float from_bits(int x) { return same_bits<float>(x); }
inline double from_bits(i64 x) { return same_bits<double>(x); }

inline float to_f32(bf16 x) { return from_bits(static_cast<int>(u32(x.bits) << 16)); }
inline bf16 to_bf16(float x) {
  u32 b = same_bits<u32>(x), high = b >> 16;
  u32 rounded = (b + ((high & 1) + 0x7FFF)) >> 16;
  return {static_cast<unsigned short>(x != x ? high | 0x40 : rounded)};
}

inline float to_f32(f16 x) {
  u32 sign = u32(x.bits & 0x8000u) << 16, exponent = x.bits >> 10 & 31, rest = x.bits & 1023;
  if (exponent == 31)
    return same_bits<float>(sign | 0x7F800000u | rest << 13 | (rest ? 0x400000u : 0));
  if (exponent == 0) // rest * 2^-24, exactly
    return same_bits<float>(same_bits<u32>(static_cast<float>(rest) * 0x1p-24f) | sign);
  return same_bits<float>(sign | (exponent + 112) << 23 | rest << 13);
}
inline f16 to_f16(float x) {
  u32 b = same_bits<u32>(x), sign = b >> 16 & 0x8000, size = b & 0x7FFFFFFF, r;
  if (size > 0x7F800000)
    r = 0x7E00 | (b >> 13 & 0x1FF);
  else if (size >= 0x477FF000) // 65520 and above
    r = 0x7C00;
  else if (size < 0x38800000) // below 2^-14: adding 0.5 leaves multiples of 2^-24
    r = same_bits<u32>(same_bits<float>(size) + 0.5f) - 0x3F000000;
  else
    r = (size - 0x38000000 + 0xFFF + (size >> 13 & 1)) >> 13;
  return {static_cast<unsigned short>(r | sign)};
}

//===--- arithmetic -----------------------------------------------------------------------===//

inline float fma(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
inline double fma(double a, double b, double c) { return __builtin_fma(a, b, c); }
inline float sqrt(float x) { return __builtin_sqrtf(x); }
inline double sqrt(double x) { return __builtin_sqrt(x); }
inline float div(float a, float b) { return a / b; }
inline double div(double a, double b) { return a / b; }
inline float div_calm(float a, float b) { return a / (b > 0x1p60f ? 0x1p60f : b); }
inline float floor(float x) { return __builtin_floorf(x); }
inline double floor(double x) { return __builtin_floor(x); }
inline float ceil(float x) { return __builtin_ceilf(x); }
inline double ceil(double x) { return __builtin_ceil(x); }
inline float rint(float x) { return __builtin_rintf(x); }
inline double rint(double x) { return __builtin_rint(x); }
inline float trunc(float x) { return __builtin_truncf(x); }
inline double trunc(double x) { return __builtin_trunc(x); }
inline float abs(float x) { return __builtin_fabsf(x); }
inline double abs(double x) { return __builtin_fabs(x); }
inline float copysign(float x, float s) { return __builtin_copysignf(x, s); }
inline double copysign(double x, double s) { return __builtin_copysign(x, s); }

inline float exp2_approx(float x) { return x < -126.0f ? 0.0f : __builtin_exp2f(x); }

template <class T, when<is_real<T>> = 0> T max_num(T a, T b) {
  if (a != a || b != b)
    return a != a ? b : a;
  return a < b || (a == b && __builtin_signbit(a)) ? b : a;
}
template <class T, when<is_real<T>> = 0> T min_num(T a, T b) {
  if (a != a || b != b)
    return a != a ? b : a;
  return b < a || (a == b && __builtin_signbit(b)) ? b : a;
}
template <class T, when<is_real<T>> = 0> T maximum(T a, T b) {
  return a != a || b != b ? a + b : max_num(a, b);
}
template <class T, when<is_real<T>> = 0> T minimum(T a, T b) {
  return a != a || b != b ? a + b : min_num(a, b);
}

template <class T, when<is_real<T>> = 0> int to_i32(T x) {
  constexpr T limit = 2147483648.0;
  return x != x ? 0 : x >= limit ? 0x7FFFFFFF : x < -limit ? -0x7FFFFFFF - 1 : static_cast<int>(x);
}
template <class T, when<is_real<T>> = 0> i64 to_i64(T x) {
  constexpr T limit = 9223372036854775808.0;
  constexpr i64 most = 0x7FFFFFFFFFFFFFFF;
  return x != x ? 0 : x >= limit ? most : x < -limit ? -most - 1 : static_cast<i64>(x);
}

inline int clz(int x) { return x ? __builtin_clz(static_cast<u32>(x)) : 32; }
inline int popcount(int x) { return __builtin_popcount(static_cast<u32>(x)); }
inline int mul_high_u(int a, int b) {
  return static_cast<int>(static_cast<u64>(static_cast<u32>(a)) * static_cast<u32>(b) >> 32);
}

//===--- warps and blocks -----------------------------------------------------------------===//

namespace emu {
/// What each lane of the warp gave.
template <class T> struct Given {
  const char *bytes;
  T operator[](int lane) const {
    T r;
    __builtin_memcpy(&r, bytes + lane * R1EMU_LANE_BYTES, sizeof r);
    return r;
  }
};
template <class T> Given<T> exchange(const T &x, const char *what, int source, Site at) {
  static_assert(sizeof(T) <= R1EMU_LANE_BYTES);
  u32 needs = source >= 0 && source < 32 ? 1u << source : 0;
  return {static_cast<const char *>(api->exchange(running, &x, sizeof x, what, needs, at))};
}
inline u32 votes(bool x, const char *what, Site at) {
  Given<bool> all = exchange(x, what, -1, at);
  int first = thread() & ~31, lanes = running->threads - first;
  u32 r = 0;
  for (int i = 0; i < 32 && i < lanes; ++i)
    r |= static_cast<u32>(all[i]) << i;
  return r;
}
} // namespace emu

inline void block_sync(Site at = here()) { emu::api->barrier(emu::running, at); }
inline void warp_sync(Site at = here()) { emu::exchange(0, "warp_sync", -1, at); }
template <class T> T shfl_xor(T v, int mask, Site at = here()) {
  int source = (lane() ^ mask) & 31;
  return emu::exchange(v, "shfl_xor", source, at)[source];
}
template <class T> T shfl(T v, int source, Site at = here()) {
  return emu::exchange(v, "shfl", source & 31, at)[source & 31];
}
template <class T> T shfl_down(T v, int by, Site at = here()) {
  int source = lane() + by > 31 ? lane() : lane() + by;
  return emu::exchange(v, "shfl_down", source, at)[source];
}
inline u32 ballot(bool x, Site at = here()) { return emu::votes(x, "ballot", at); }
inline int warp_min(int x, Site at = here()) {
  emu::Given<int> all = emu::exchange(x, "warp_min", 31, at);
  for (int i = 0; i < 32; ++i)
    x = all[i] < x ? all[i] : x;
  return x;
}
inline int warp_max(int x, Site at = here()) {
  emu::Given<int> all = emu::exchange(x, "warp_max", 31, at);
  for (int i = 0; i < 32; ++i)
    x = all[i] > x ? all[i] : x;
  return x;
}
inline bool any(bool x, Site at = here()) { return emu::votes(x, "any", at) != 0; }
inline bool all(bool x, Site at = here()) { return emu::votes(!x, "all", at) == 0; }

//===--- tensor cores ---------------------------------------------------------------------===//

namespace emu {
template <class P> void matrices(u32 (&r)[4], P row, bool trans, const char *what, Site at) {
  static_assert(sizeof(element<P>) == 2, "matrices of 16-bit elements");
  const auto *p = span(row, 0, 8, at);
  check_aligned(p, 16, at);
  struct Row {
    unsigned short x[8];
  } mine;
  __builtin_memcpy(&mine, p, sizeof mine);
  Given<Row> all = exchange(mine, what, 31, at);
  int i = lane() / 4, j = lane() % 4 * 2;
  for (int m = 0; m < 4; ++m) {
    u32 low = trans ? all[8 * m + j].x[i] : all[8 * m + i].x[j];
    u32 high = trans ? all[8 * m + j + 1].x[i] : all[8 * m + i].x[j + 1];
    r[m] = low | high << 16;
  }
}
} // namespace emu

template <class P> void ldmatrix4(u32 (&r)[4], P row, Site at = here()) {
  emu::matrices(r, row, false, "ldmatrix4", at);
}
template <class P> void ldmatrix4_trans(u32 (&r)[4], P row, Site at = here()) {
  emu::matrices(r, row, true, "ldmatrix4_trans", at);
}
template <class H> u32 pack_pair(float low, float high) {
  H x[2];
  if constexpr (same<H, bf16>)
    x[0] = to_bf16(low), x[1] = to_bf16(high);
  else
    x[0] = to_f16(low), x[1] = to_f16(high);
  return x[0].bits | static_cast<u32>(x[1].bits) << 16;
}
/// Here a chain of FMAs in increasing k; the order of a device's tensor cores is not known.
template <class H>
void mma(float (&d)[4], const u32 (&a)[4], u32 b0, u32 b1, Site at = here()) {
  struct Fragments {
    H a[4][2], b[2][2];
  } mine;
  __builtin_memcpy(mine.a, a, sizeof mine.a);
  __builtin_memcpy(mine.b[0], &b0, 4);
  __builtin_memcpy(mine.b[1], &b1, 4);
  emu::Given<Fragments> all = emu::exchange(mine, "mma", 31, at);
  int group = lane() / 4, pair = lane() % 4;
  for (int k = 0; k < 16; ++k) {
    // a: rows group and group + 8; b: columns 2 pair and 2 pair + 1
    Fragments rows = all[4 * group + k % 8 / 2];
    Fragments left = all[4 * (2 * pair) + k % 8 / 2], right = all[4 * (2 * pair + 1) + k % 8 / 2];
    float a0 = to_f32(rows.a[k / 8 * 2][k % 2]), a1 = to_f32(rows.a[k / 8 * 2 + 1][k % 2]);
    float l = to_f32(left.b[k / 8][k % 2]), r = to_f32(right.b[k / 8][k % 2]);
    d[0] = fma(a0, l, d[0]), d[1] = fma(a0, r, d[1]);
    d[2] = fma(a1, l, d[2]), d[3] = fma(a1, r, d[3]);
  }
}

//===--- sm_90a: mbarriers, bulk copies, wgmma ----------------------------------------------===//

/// The dynamic shared memory of the block.
struct dynamic : pointer<char> {
  dynamic(Site at = here()) : dynamic(emu::api->dynamic(emu::running, at)) {}

private:
  explicit dynamic(r1emu_range r) {
    p = begin = static_cast<char *>(const_cast<void *>(r.begin));
    end = p + r.bytes;
  }
};
/// `p` as a pointer to elements of another type.
template <class T> pointer<T> as(pointer<char> p) {
  return {reinterpret_cast<T *>(p.p), reinterpret_cast<T *>(p.begin), reinterpret_cast<T *>(p.end)};
}

/// What the host encodes for a device, from the same numbers.
struct tensor_map : r1emu_map {
  struct Dim {
    u64 size, stride; // elements, bytes
    u32 box;          // elements
  };
  template <int Rank>
  tensor_map(void *base, unsigned element, const Dim (&d)[Rank], unsigned swizzle) : r1emu_map{} {
    this->base = base, this->rank = Rank, this->element = element, this->swizzle = swizzle;
    for (int i = 0; i < Rank; ++i)
      dims[i] = d[i].size, strides[i] = d[i].stride, box[i] = d[i].box;
  }
};

template <class T> u32 shared_address(pointer<T> p, Site at = here()) {
  return emu::api->address(emu::running, p.p, at);
}

inline void barrier_init(pointer<u64> b, int count, Site at = here()) {
  emu::api->barrier_init(emu::running, span(b, 0, 1, at), count, at);
}
inline void barrier_arrive(pointer<u64> b, Site at = here()) {
  emu::api->barrier_arrive(emu::running, span(b, 0, 1, at), 0, at);
}
inline void barrier_expect(pointer<u64> b, int bytes, Site at = here()) {
  emu::api->barrier_arrive(emu::running, span(b, 0, 1, at), static_cast<u32>(bytes), at);
}
inline void barrier_wait(pointer<u64> b, u32 parity, Site at = here()) {
  emu::api->barrier_wait(emu::running, span(b, 0, 1, at), parity, at);
}
inline void fence_async() { emu::api->fence_async(emu::running); }

template <int Rank>
void bulk_copy(pointer<char> to, const tensor_map &map, const int (&at_)[Rank], pointer<u64> b,
               Site at = here()) {
  if (map.rank != Rank)
    emu::api->fault(emu::running, at, "bulk_copy of %d dims with a tensor map of %u", Rank, map.rank);
  emu::api->bulk_copy(emu::running, to.p, &map, at_, span(b, 0, 1, at), at);
}

template <int N> void registers_up(Site at = here()) {
  static_assert(N >= 24 && N <= 256 && N % 8 == 0, "24 to 256 registers, in eights");
  emu::api->registers(emu::running, N, at);
}
template <int N> void registers_down(Site at = here()) { registers_up<N>(at); }

template <class... R> void wgmma_fence(R &...) { emu::api->wgmma_fence(emu::running); }
inline void wgmma_commit() { emu::api->wgmma_commit(emu::running); }
template <int N, int Count> void wgmma_wait(float (&)[Count], Site at = here()) {
  emu::api->wgmma_wait(emu::running, N, at);
}
template <class H, bool AcrossA, bool AcrossB, int Count>
void wgmma(float (&d)[Count], u64 a, u64 b, Site at = here()) {
  static_assert(Count == 32 || Count == 64 || Count == 128, "64 x 64, 128 or 256 sums in a warpgroup");
  static_assert(is_half<H>, "bf16 or f16");
  r1emu_wgmma what = {a, b, Count * 2, same<H, f16>, AcrossA, AcrossB, nullptr};
  emu::api->wgmma(emu::running, &what, d, at);
}
template <class H, bool AcrossB, int Count>
void wgmma_from(float (&d)[Count], const u32 (&a)[4], u64 b, Site at = here()) {
  static_assert(Count == 32 && is_half<H>, "64 x 64 sums in a warpgroup, of bf16 or f16");
  r1emu_wgmma what = {0, b, Count * 2, same<H, f16>, 0, AcrossB, a};
  emu::api->wgmma(emu::running, &what, d, at);
}

} // namespace r1
