// What both sides share: the names of types, short vectors, a few traits.
#pragma once

// R1_FN: a function of the prelude. R1_UNROLL stands before a loop, R1_ROLLED before one that is to stay,
// R1_UNROLL_BY(n) before one of which n rounds are to be one: so that their loads are under way together, or,
// of a short loop, so that not all are, as its addresses cost registers.
// In emulation a function that may fail says where it was called: R1_AT ends its parameters (R1_AT0
// is all of them), R1_PASS (R1_PASS0) hands the place on. On the device these are nothing.
#ifdef R1_EMU
#define R1_FN inline
#define R1_UNROLL
#define R1_ROLLED
#define R1_UNROLL_BY(n)
#define R1_AT , ::r1::Site at = ::r1::here()
#define R1_AT0 ::r1::Site at = ::r1::here()
#define R1_PASS , at
#define R1_PASS0 at
#else
#define R1_FN __device__ __forceinline__
#define R1_UNROLL _Pragma("unroll")
#define R1_ROLLED _Pragma("unroll 1")
#define R1_TEXT_OF(x) #x
#define R1_UNROLL_BY(n) _Pragma(R1_TEXT_OF(unroll n))
#define R1_AT
#define R1_AT0
#define R1_PASS
#define R1_PASS0
#endif
#define R1_RESTRICT __restrict__

namespace r1 {

using i64 = long long;
using u64 = unsigned long long;
using u32 = unsigned int;

/// Storage of 16-bit floats: arithmetic is done in f32 (cast<float>) and rounded once (cast<bf16>).
struct bf16 {
  unsigned short bits;
};
struct f16 {
  unsigned short bits;
};

/// N neighbours. Operators and functions work lane by lane (lanes.cuh).
template <class T, int N> struct vec {
  T v[N];
};

template <bool B, class T, class F> struct choose_ {
  using type = T;
};
template <class T, class F> struct choose_<false, T, F> {
  using type = F;
};
template <bool B, class T, class F> using choose = typename choose_<B, T, F>::type;

template <class A, class B> constexpr bool same = false;
template <class A> constexpr bool same<A, A> = true;

template <bool B> struct when_ {};
template <> struct when_<true> {
  using type = int;
};
/// A template parameter `when<CONDITION> = 0` removes the overload where the condition fails.
template <bool B> using when = typename when_<B>::type;

template <class T> struct plain_ {
  using type = T;
};
template <class T> struct plain_<const T> {
  using type = T;
};
template <class T> struct plain_<T &> : plain_<T> {};
template <class T> using plain = typename plain_<T>::type;

template <class T> T &lvalue_of();
/// What a pointer, or in emulation a checked pointer or shared array, points to.
template <class P> using element = plain<decltype(lvalue_of<P>()[0])>;

/// Lanes of a vec; 0 for anything else; of several arguments, the most.
template <class T> constexpr int width_of = 0;
template <class T, int N> constexpr int width_of<vec<T, N>> = N;
template <class T, int N> constexpr int width_of<const vec<T, N>> = N;
template <class... A> constexpr int common_width() {
  int n = 0;
  ((n = width_of<A> > n ? width_of<A> : n), ...);
  return n;
}

template <class T> constexpr bool is_half = same<T, bf16> || same<T, f16>;
template <class T> constexpr bool is_real = same<T, float> || same<T, double>;

} // namespace r1
