// Sums in 64 fixed lanes: element i of a sweep belongs to lane i mod 64, and the lanes meet in a
// fixed tree (lane i with i + 32, then 16, 8, 4, 2, 1). R = 64 / L neighbouring threads have a row;
// thread r of them holds lanes r * L … r * L + L - 1.
#pragma once

namespace r1 {

/// The tree over all lanes of the row; each of its threads gets the result. `op` commutes.
template <int L, class T, class Op> R1_FN T row_tree(const T (&lanes)[L], Op op R1_AT) {
  static_assert(L == 2 || L == 4 || L == 8 || L == 16 || L == 32, "2 to 32 lanes per thread");
  T v[L];
  R1_UNROLL
  for (int i = 0; i < L; ++i)
    v[i] = lanes[i];
  R1_UNROLL
  for (int mask = 32 / L; mask > 0; mask /= 2) {
    R1_UNROLL
    for (int i = 0; i < L; ++i)
      v[i] = op(v[i], shfl_xor(v[i], mask R1_PASS));
  }
  R1_UNROLL
  for (int n = L / 2; n > 0; n /= 2) {
    R1_UNROLL
    for (int i = 0; i < n; ++i)
      v[i] = op(v[i], v[i + n]);
  }
  return v[0];
}

struct Sum {
  template <class T> R1_FN T operator()(T a, T b) const {
    if constexpr (is_real<T>)
      return a + b;
    else
      return add_wrap(a, b);
  }
};
struct Max {
  template <class T> R1_FN T operator()(T a, T b) const {
    if constexpr (is_real<T>)
      return maximum(a, b);
    else
      return max_i(a, b);
  }
};
struct Min {
  template <class T> R1_FN T operator()(T a, T b) const {
    if constexpr (is_real<T>)
      return minimum(a, b);
    else
      return min_i(a, b);
  }
};
struct Any {
  template <class T> R1_FN T operator()(T a, T b) const { return a | b; }
};
struct All {
  template <class T> R1_FN T operator()(T a, T b) const { return a & b; }
};

template <int L, class T> R1_FN T row_sum(const T (&lanes)[L] R1_AT) {
  return row_tree<L>(lanes, Sum() R1_PASS);
}
template <int L, class T> R1_FN T row_max(const T (&lanes)[L] R1_AT) {
  return row_tree<L>(lanes, Max() R1_PASS);
}
template <int L, class T> R1_FN T row_min(const T (&lanes)[L] R1_AT) {
  return row_tree<L>(lanes, Min() R1_PASS);
}
template <int L, class T> R1_FN T row_any(const T (&lanes)[L] R1_AT) {
  return row_tree<L>(lanes, Any() R1_PASS);
}
template <int L, class T> R1_FN T row_all(const T (&lanes)[L] R1_AT) {
  return row_tree<L>(lanes, All() R1_PASS);
}

} // namespace r1
