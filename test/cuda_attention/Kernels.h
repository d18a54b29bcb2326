// What the tests of both families of kernels share: problems, masks, random arguments, a run.
#pragma once
#include "Emulate.h"
#include "Reference.h"
#include <cstring>
#include <gtest/gtest.h>
#include <random>

namespace attentiontest {

template <int B_, int T_, int S_, int H_, int G_, int K_> struct Problem {
  static constexpr int B = B_, T = T_, S = S_, H = H_, G = G_, K = K_;
  static constexpr float scale = K_ == 64 ? 0.125f : 0.2f;
  static reference::Shape shape() { return {B, T, S, H, G, K, double(scale)}; }
};

// Masks: what the compiler emits, a struct that captures pointers.
struct Everything {
  bool operator()(int, int, int) const { return true; }
};
struct Causal {
  bool operator()(int, int t, int s) const { return s <= t; }
};
/// Several documents in a row, and every seventh query sees nothing.
struct Documents {
  const int *segment, *position;
  int length;
  bool operator()(int b, int t, int s) const {
    return t % 7 != 3 && segment[b * length + t] == segment[b * length + s] &&
           position[b * length + s] <= position[b * length + t];
  }
};
/// The same with what a mask may know of a tile, as the compiler writes it.
struct CausalTiles : Causal {
  r1::Reach reach(int, int t0, int t1, int s0, int s1) const {
    return r1::at_most({s0, s1}, {t0, t1});
  }
};
struct DocumentTiles : Documents {
  r1::Reach reach(int b, int t0, int t1, int s0, int s1) const {
    auto of = [&](const int *x, int first, int last) {
      return r1::span_of(x + b * length + first, last - first + 1, 1);
    };
    return r1::both(1, r1::both(r1::equal(of(segment, t0, t1), of(segment, s0, s1)),
                                r1::at_most(of(position, s0, s1), of(position, t0, t1))));
  }
};
struct Exp {
  float operator()(float x) const { return std::exp(x); }
};
struct Log {
  float operator()(float x) const { return std::log(x); }
};

template <class E> std::vector<E> draw(size_t n, unsigned seed) {
  std::mt19937 rng(seed);
  std::normal_distribution<float> normal;
  std::vector<E> x(n);
  for (E &e : x)
    e = r1::cast<E>(normal(rng));
  return x;
}
template <class E> reference::Values wide(const std::vector<E> &x) {
  reference::Values y;
  for (E e : x)
    y.push_back(double(r1::cast<float>(e)));
  return y;
}
template <class E> bool sameBits(const std::vector<E> &a, const std::vector<E> &b) {
  return a.size() == b.size() && !std::memcmp(a.data(), b.data(), a.size() * sizeof(E));
}

/// The largest distance, in units of the tolerance for values of about the size of `want`.
inline double distance(const reference::Values &got, const reference::Values &want, double tolerance) {
  double worst = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    if (got[i] == want[i]) // infinities as well
      continue;
    double d = std::abs(got[i] - want[i]) / (tolerance * (1 + std::abs(want[i])));
    worst = d > worst || d != d ? d : worst;
    if (d != d)
      return std::numeric_limits<double>::infinity();
  }
  return worst;
}

/// Both kernels and what they are run on. `Tensor`: those of attention_mma.cuh.
template <class P, class E, bool Tensor = false> struct Kernels {
  std::vector<E> q = draw<E>(P::shape().queries(), 1), k = draw<E>(P::shape().keys(), 2),
                 v = draw<E>(P::shape().keys(), 3), dout = draw<E>(P::shape().queries(), 4);
  std::vector<E> out = draw<E>(q.size(), 5), dq = out, dk = draw<E>(k.size(), 6), dv = dk;
  std::vector<float> lse = std::vector<float>(P::shape().rows(), 77.0f);

  template <class Allow>
  void forward(Allow allow, r1emu_order order = R1EMU_IN_ORDER, bool withLse = true) {
    std::vector<void *> args{q.data(), k.data(), v.data(), out.data(), &allow};
    if (withLse)
      args.push_back(lse.data());
    auto body = [](void *const *a) {
      Keys<const E> k(static_cast<E *>(a[1])), v(static_cast<E *>(a[2]));
      Queries<const E> q(static_cast<E *>(a[0]));
      Queries<E> out(static_cast<E *>(a[3]));
      Allow allow = *static_cast<Allow *>(a[4]);
      Lse<float> lse(static_cast<float *>(a[5]));
      if constexpr (Tensor)
        r1::attention_forward_mma<P>(q, k, v, out, lse, allow, Log());
      else
        r1::attention_forward<P>(q, k, v, out, lse, allow, Exp(), Log());
    };
    auto without = [](void *const *a) {
      Keys<const E> k(static_cast<E *>(a[1])), v(static_cast<E *>(a[2]));
      Queries<const E> q(static_cast<E *>(a[0]));
      Queries<E> out(static_cast<E *>(a[3]));
      Allow allow = *static_cast<Allow *>(a[4]);
      float *none = nullptr;
      if constexpr (Tensor)
        r1::attention_forward_mma<P>(q, k, v, out, none, allow, Log());
      else
        r1::attention_forward<P>(q, k, v, out, none, allow, Exp(), Log());
    };
    constexpr int blocks = [] {
      if constexpr (Tensor)
        return r1::attention_forward_mma_blocks<P>();
      else
        return r1::attention_forward_blocks<P>();
    }();
    if (withLse)
      emulate("forward", blocks, r1::attention_threads, order, args, body);
    else
      emulate("forward", blocks, r1::attention_threads, order, args, without);
  }
  template <class Allow> void backward(Allow allow, r1emu_order order = R1EMU_IN_ORDER) {
    std::vector<void *> args{q.data(),    k.data(),  v.data(),  out.data(), lse.data(),
                             dout.data(), dq.data(), dk.data(), dv.data(),  &allow};
    constexpr int blocks = [] {
      if constexpr (Tensor)
        return r1::attention_backward_mma_blocks<P>();
      else
        return r1::attention_backward_blocks<P>();
    }();
    emulate("backward", blocks, r1::attention_threads, order, args,
            [](void *const *a) {
              Queries<const E> q(static_cast<E *>(a[0])), out(static_cast<E *>(a[3])),
                  dout(static_cast<E *>(a[5]));
              Keys<const E> k(static_cast<E *>(a[1])), v(static_cast<E *>(a[2]));
              Lse<const float> lse(static_cast<float *>(a[4]));
              Queries<E> dq(static_cast<E *>(a[6]));
              Keys<E> dk(static_cast<E *>(a[7])), dv(static_cast<E *>(a[8]));
              Allow allow = *static_cast<Allow *>(a[9]);
              if constexpr (Tensor)
                r1::attention_backward_mma<P>(q, k, v, out, lse, dout, dq, dk, dv, allow);
              else
                r1::attention_backward<P>(q, k, v, out, lse, dout, dq, dk, dv, allow, Exp());
            });
  }

private:
  // Checked pointers: an access beyond an array is a fault.
  static constexpr int rows = P::B * P::T * P::H, keyRows = P::B * P::S * P::G;
  template <class X> using Queries = r1::argument<X, rows * P::K>;
  template <class X> using Keys = r1::argument<X, keyRows * P::K>;
  template <class X> using Lse = r1::argument<X, rows>;
};

/// Segments of lengths 1, 2, 3, … and the positions in them.
struct Rows {
  std::vector<int> segment, position;
  int length;
  Rows(int batch, int length) : length(length) {
    for (int b = 0; b < batch; ++b)
      for (int t = 0, s = b, n = 0; t < length; ++t, ++n) {
        if (n > s + b)
          ++s, n = 0;
        segment.push_back(s);
        position.push_back(n);
      }
  }
  Documents mask() const { return {segment.data(), position.data(), length}; }
  DocumentTiles tiles() const { return {mask()}; }
};

} // namespace attentiontest
