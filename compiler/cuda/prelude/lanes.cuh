// Lane by lane: operators and functions of numbers, lifted to vec. A number beside a vec stands for
// all lanes.
#pragma once

namespace r1 {

template <class T> R1_FN T lane_of(const T &x, int) { return x; }
template <class T, int N> R1_FN T lane_of(const vec<T, N> &x, int i) { return x.v[i]; }

/// Lifts the functions called `name` that stand before it.
#define R1_LANES(name)                                                                             \
  template <class... A, ::r1::when<(::r1::common_width<A...>() > 0)> = 0>                          \
  R1_FN auto name(const A &...a) {                                                                 \
    ::r1::vec<decltype(name(::r1::lane_of(a, 0)...)), ::r1::common_width<A...>()> r;               \
    R1_UNROLL                                                                                      \
    for (int i = 0; i < ::r1::common_width<A...>(); ++i)                                           \
      r.v[i] = name(::r1::lane_of(a, i)...);                                                       \
    return r;                                                                                      \
  }

#define R1_OPERATOR(op)                                                                            \
  template <class A, class B, when<(common_width<A, B>() > 0)> = 0>                                \
  R1_FN auto operator op(const A &a, const B &b) {                                                 \
    vec<decltype(lane_of(a, 0) op lane_of(b, 0)), common_width<A, B>()> r;                         \
    R1_UNROLL                                                                                      \
    for (int i = 0; i < common_width<A, B>(); ++i)                                                 \
      r.v[i] = lane_of(a, i) op lane_of(b, i);                                                     \
    return r;                                                                                      \
  }
R1_OPERATOR(+)
R1_OPERATOR(-)
R1_OPERATOR(*)
R1_OPERATOR(/)
R1_OPERATOR(%)
R1_OPERATOR(&)
R1_OPERATOR(|)
R1_OPERATOR(^)
R1_OPERATOR(&&)
R1_OPERATOR(||)
R1_OPERATOR(==)
R1_OPERATOR(!=)
R1_OPERATOR(<)
R1_OPERATOR(<=)
R1_OPERATOR(>)
R1_OPERATOR(>=)
#undef R1_OPERATOR

#define R1_OPERATOR(op)                                                                            \
  template <class T, int N> R1_FN auto operator op(const vec<T, N> &a) {                           \
    vec<decltype(op a.v[0]), N> r;                                                                 \
    R1_UNROLL                                                                                      \
    for (int i = 0; i < N; ++i)                                                                    \
      r.v[i] = op a.v[i];                                                                          \
    return r;                                                                                      \
  }
R1_OPERATOR(-)
R1_OPERATOR(!)
R1_OPERATOR(~)
#undef R1_OPERATOR

//===--- numbers --------------------------------------------------------------------------===//

R1_FN float nan() { return from_bits(0x7FC00000); }
R1_FN float inf() { return from_bits(0x7F800000); }

#define R1_NUMBER template <class T, when<width_of<T> == 0> = 0>
R1_NUMBER R1_FN bool ordered(T a, T b) { return a == a && b == b; }
R1_NUMBER R1_FN bool unordered(T a, T b) { return a != a || b != b; }
R1_NUMBER R1_FN T select(bool c, T a, T b) { return c ? a : b; }

template <class T> struct unsigned_ {
  using type = u32;
};
template <> struct unsigned_<i64> {
  using type = u64;
};
/// The unsigned type of an integer; of anything below 32 bits, that of 32 bits.
template <class T> using unsigned_of = typename unsigned_<T>::type;

// Integers wrap around.
R1_NUMBER R1_FN T add_wrap(T a, T b) {
  return static_cast<T>(static_cast<unsigned_of<T>>(a) + static_cast<unsigned_of<T>>(b));
}
R1_NUMBER R1_FN T sub_wrap(T a, T b) {
  return static_cast<T>(static_cast<unsigned_of<T>>(a) - static_cast<unsigned_of<T>>(b));
}
R1_NUMBER R1_FN T mul_wrap(T a, T b) {
  return static_cast<T>(static_cast<unsigned_of<T>>(a) * static_cast<unsigned_of<T>>(b));
}
R1_NUMBER R1_FN T shift_left(T a, T by) {
  return static_cast<T>(static_cast<unsigned_of<T>>(a) << by);
}
R1_NUMBER R1_FN T shift_right(T a, T by) { return a >> by; }
R1_NUMBER R1_FN T shift_right_u(T a, T by) {
  return static_cast<T>(static_cast<unsigned_of<T>>(a) >> by);
}
// As if without a sign.
R1_NUMBER R1_FN bool less_u(T a, T b) {
  return static_cast<unsigned_of<T>>(a) < static_cast<unsigned_of<T>>(b);
}
R1_NUMBER R1_FN T div_u(T a, T b) {
  return static_cast<T>(static_cast<unsigned_of<T>>(a) / static_cast<unsigned_of<T>>(b));
}
R1_NUMBER R1_FN T rem_u(T a, T b) {
  return static_cast<T>(static_cast<unsigned_of<T>>(a) % static_cast<unsigned_of<T>>(b));
}
R1_FN i64 widen_u(int x) { return static_cast<i64>(static_cast<u32>(x)); }
/// Rounded down; the remainder has the sign of b.
R1_NUMBER R1_FN T div_floor(T a, T b) {
  T q = a / b;
  return a % b != 0 && (a % b < 0) != (b < 0) ? q - 1 : q;
}
R1_NUMBER R1_FN T mod_floor(T a, T b) {
  T r = a % b;
  return r != 0 && (r < 0) != (b < 0) ? r + b : r;
}
R1_NUMBER R1_FN T max_i(T a, T b) { return a < b ? b : a; }
R1_NUMBER R1_FN T min_i(T a, T b) { return b < a ? b : a; }

/// To the nearest integer, halves away from zero.
R1_NUMBER R1_FN T round(T x) {
  T whole = trunc(x);
  return abs(x - whole) >= T(0.5) ? whole + copysign(T(1), x) : copysign(whole, x);
}

R1_LANES(ordered)
R1_LANES(round)
R1_LANES(unordered)
R1_LANES(select)
R1_LANES(add_wrap)
R1_LANES(sub_wrap)
R1_LANES(mul_wrap)
R1_LANES(shift_left)
R1_LANES(shift_right)
R1_LANES(shift_right_u)
R1_LANES(less_u)
R1_LANES(div_u)
R1_LANES(rem_u)
R1_LANES(widen_u)
R1_LANES(div_floor)
R1_LANES(mod_floor)
R1_LANES(max_i)
R1_LANES(min_i)
R1_LANES(mul_high_u)
R1_LANES(clz)
R1_LANES(popcount)
R1_LANES(bits)
R1_LANES(from_bits)
R1_LANES(fma)
R1_LANES(sqrt)
R1_LANES(div)
R1_LANES(div_calm)
R1_LANES(floor)
R1_LANES(ceil)
R1_LANES(rint)
R1_LANES(trunc)
R1_LANES(abs)
R1_LANES(copysign)
R1_LANES(maximum)
R1_LANES(minimum)
R1_LANES(max_num)
R1_LANES(min_num)

/// One type from another: to an integer toward zero, to a 16-bit float by way of f32 and rounded to
/// nearest. Of a vec, each lane.
template <class To, class From> R1_FN auto cast(const From &x) {
  if constexpr (width_of<From> > 0) {
    vec<To, width_of<From>> r;
    R1_UNROLL
    for (int i = 0; i < width_of<From>; ++i)
      r.v[i] = cast<To>(x.v[i]);
    return r;
  } else if constexpr (same<To, From>) {
    return x;
  } else if constexpr (is_half<From>) {
    return cast<To>(to_f32(x));
  } else if constexpr (same<To, bf16>) {
    return to_bf16(static_cast<float>(x));
  } else if constexpr (same<To, f16>) {
    return to_f16(static_cast<float>(x));
  } else if constexpr (same<To, bool>) {
    return x != 0;
  } else if constexpr (is_real<From> && !is_real<To>) {
    if constexpr (sizeof(To) == 8)
      return to_i64(x);
    else
      return static_cast<To>(to_i32(x));
  } else {
    return static_cast<To>(x);
  }
}

//===--- lanes in memory ------------------------------------------------------------------===//

template <int N, class T> R1_FN vec<T, N> splat(T x) {
  vec<T, N> r;
  R1_UNROLL
  for (int i = 0; i < N; ++i)
    r.v[i] = x;
  return r;
}
/// first, first + step, …
template <int N> R1_FN vec<int, N> steps(int first, int step) {
  vec<int, N> r;
  R1_UNROLL
  for (int i = 0; i < N; ++i)
    r.v[i] = first + i * step;
  return r;
}
/// `next` in the first `live` lanes, `before` in the others.
template <class T, int N> R1_FN vec<T, N> keep(int live, vec<T, N> next, vec<T, N> before) {
  R1_UNROLL
  for (int i = 0; i < N; ++i)
    next.v[i] = i < live ? next.v[i] : before.v[i];
  return next;
}

/// As `load`, but elements from `live` on are not touched: they are `other`.
template <int N, class P>
R1_FN vec<element<P>, N> load_guard(P p, int live, element<P> other = {} R1_AT) {
  if (live >= N)
    return load<N>(p R1_PASS);
  vec<element<P>, N> r = splat<N>(other);
  R1_UNROLL
  for (int i = 0; i < N - 1; ++i)
    if (i < live)
      r.v[i] = read(p, i R1_PASS);
  return r;
}
/// As `store`, but elements from `live` on are not touched.
template <int N, class P>
R1_FN void store_guard(P p, vec<element<P>, N> x, int live R1_AT) {
  if (live >= N) {
    store(p, x R1_PASS);
    return;
  }
  R1_UNROLL
  for (int i = 0; i < N - 1; ++i)
    if (i < live)
      write(p, i, x.v[i] R1_PASS);
}

/// The elements at + i * stride; those from `live` on are zero and not touched.
template <int N, class P>
R1_FN vec<element<P>, N> load_strided(P p, int at_, int stride, int live = N R1_AT) {
  vec<element<P>, N> r = {};
  R1_UNROLL
  for (int i = 0; i < N; ++i)
    if (i < live)
      r.v[i] = read(p, at_ + i * stride R1_PASS);
  return r;
}
template <int N, class P>
R1_FN void store_strided(P p, int at_, int stride, vec<element<P>, N> x, int live = N R1_AT) {
  R1_UNROLL
  for (int i = 0; i < N; ++i)
    if (i < live)
      write(p, at_ + i * stride, x.v[i] R1_PASS);
}

/// The elements at each lane's index; lanes from `live` on are zero and not touched.
template <int N, class P>
R1_FN vec<element<P>, N> gather(P p, vec<int, N> index, int live = N R1_AT) {
  vec<element<P>, N> r = {};
  R1_UNROLL
  for (int i = 0; i < N; ++i)
    if (i < live)
      r.v[i] = read(p, index.v[i] R1_PASS);
  return r;
}
template <int N, class P>
R1_FN void scatter(P p, vec<int, N> index, vec<element<P>, N> x, int live = N R1_AT) {
  R1_UNROLL
  for (int i = 0; i < N; ++i)
    if (i < live)
      write(p, index.v[i], x.v[i] R1_PASS);
}

} // namespace r1
