// The kernels of compiler/cuda/prelude/attention.cuh on the host, each under three orders of
// threads, against a definition in f64.
#include "Emulate.h"
#include "Reference.h"
#include <cstring>
#include <gtest/gtest.h>
#include <random>

namespace {

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
double distance(const reference::Values &got, const reference::Values &want, double tolerance) {
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

template <class P, class E> struct Kernels {
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
      r1::attention_forward<P>(q, k, v, out, Lse<float>(static_cast<float *>(a[5])), allow, Exp(),
                               Log());
    };
    auto without = [](void *const *a) {
      Keys<const E> k(static_cast<E *>(a[1])), v(static_cast<E *>(a[2]));
      Queries<const E> q(static_cast<E *>(a[0]));
      Queries<E> out(static_cast<E *>(a[3]));
      Allow allow = *static_cast<Allow *>(a[4]);
      r1::attention_forward<P>(q, k, v, out, static_cast<float *>(nullptr), allow, Exp(), Log());
    };
    constexpr int blocks = r1::attention_forward_blocks<P>();
    if (withLse)
      emulate("forward", blocks, r1::attention_threads, order, args, body);
    else
      emulate("forward", blocks, r1::attention_threads, order, args, without);
  }
  template <class Allow> void backward(Allow allow, r1emu_order order = R1EMU_IN_ORDER) {
    std::vector<void *> args{q.data(),    k.data(),  v.data(),  out.data(), lse.data(),
                             dout.data(), dq.data(), dk.data(), dv.data(),  &allow};
    emulate("backward", r1::attention_backward_blocks<P>(), r1::attention_threads, order, args,
            [](void *const *a) {
              Queries<const E> q(static_cast<E *>(a[0])), out(static_cast<E *>(a[3])),
                  dout(static_cast<E *>(a[5]));
              Keys<const E> k(static_cast<E *>(a[1])), v(static_cast<E *>(a[2]));
              Lse<const float> lse(static_cast<float *>(a[4]));
              Queries<E> dq(static_cast<E *>(a[6]));
              Keys<E> dk(static_cast<E *>(a[7])), dv(static_cast<E *>(a[8]));
              Allow allow = *static_cast<Allow *>(a[9]);
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

template <class P, class E, class Allow>
void check(Allow allow, double forwardTol, double backTol) {
  Kernels<P, E> run;
  auto p = P::shape();
  auto q = wide(run.q), k = wide(run.k), v = wide(run.v), dout = wide(run.dout);
  run.forward(allow);
  auto want = reference::forward(p, q, k, v, allow);
  double out = distance(wide(run.out), want.out, forwardTol);
  double lse = distance(wide(run.lse), want.lse, 2e-6);
  EXPECT_LE(out, 1);
  EXPECT_LE(lse, 1);
  run.backward(allow);
  auto grad = reference::backward(p, q, k, v, {wide(run.out), wide(run.lse)}, dout, allow);
  double dq = distance(wide(run.dq), grad.dq, backTol);
  double dk = distance(wide(run.dk), grad.dk, backTol);
  double dv = distance(wide(run.dv), grad.dv, backTol);
  EXPECT_LE(dq, 1);
  EXPECT_LE(dk, 1);
  EXPECT_LE(dv, 1);
  std::printf("    of the tolerance: out %.2f lse %.2f dq %.2f dk %.2f dv %.2f\n", out, lse, dq, dk,
              dv);
  for (r1emu_order order : {R1EMU_REVERSE, R1EMU_RANDOM}) {
    Kernels<P, E> other;
    other.forward(allow, order);
    other.backward(allow, order);
    EXPECT_TRUE(sameBits(run.out, other.out)) << order;
    EXPECT_TRUE(sameBits(run.lse, other.lse)) << order;
    EXPECT_TRUE(sameBits(run.dq, other.dq)) << order;
    EXPECT_TRUE(sameBits(run.dk, other.dk)) << order;
    EXPECT_TRUE(sameBits(run.dv, other.dv)) << order;
  }
}

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
};

constexpr double kF32 = 4e-6, kF32Back = 1e-5, kBf16 = 4.5e-3, kBf16Back = 4.5e-3, kF16 = 6e-4;

} // namespace

TEST(Attention, AllPairsWholeTiles) {
  check<Problem<1, 64, 128, 2, 2, 64>, float>(Everything(), kF32, kF32Back);
}
TEST(Attention, CausalOddSizes) {
  check<Problem<2, 77, 77, 1, 1, 23>, float>(Causal(), kF32, kF32Back);
}
TEST(Attention, MoreKeysThanQueries) {
  check<Problem<1, 5, 131, 2, 1, 16>, float>(Everything(), kF32, kF32Back);
}
TEST(Attention, DocumentsAndRowsThatSeeNothing) {
  Rows rows(2, 150);
  check<Problem<2, 150, 150, 4, 2, 36>, float>(rows.mask(), kF32, kF32Back);
}
TEST(Attention, OneQueryOneKeyOneChannel) {
  check<Problem<1, 1, 1, 1, 1, 1>, float>(Everything(), kF32, kF32Back);
}
TEST(Attention, GroupedHeads) {
  check<Problem<2, 70, 70, 6, 2, 32>, float>(Causal(), kF32, kF32Back);
}
TEST(Attention, WideHeads) {
  check<Problem<1, 70, 66, 2, 1, 128>, float>(Causal(), kF32, kF32Back);
}
TEST(Attention, ChannelsThatAreNoPowerOfTwo) {
  check<Problem<1, 66, 66, 1, 1, 80>, float>(Causal(), kF32, kF32Back);
  check<Problem<1, 40, 40, 1, 1, 50>, float>(Causal(), kF32, kF32Back);
}
TEST(Attention, VeryWideHeads) {
  check<Problem<1, 20, 70, 2, 1, 256>, float>(Everything(), kF32, 2 * kF32Back);
}
TEST(Attention, Bf16) {
  Rows rows(1, 90);
  check<Problem<1, 90, 90, 2, 1, 64>, r1::bf16>(rows.mask(), kBf16, kBf16Back);
  check<Problem<1, 70, 70, 1, 1, 36>, r1::bf16>(Causal(), kBf16, kBf16Back);
}
TEST(Attention, F16) { check<Problem<1, 70, 70, 2, 1, 33>, r1::f16>(Causal(), kF16, kF16); }

TEST(Attention, WithoutLse) {
  using P = Problem<1, 33, 33, 1, 1, 8>;
  Kernels<P, float> a, b;
  a.forward(Causal());
  b.forward(Causal(), R1EMU_IN_ORDER, false);
  EXPECT_TRUE(sameBits(a.out, b.out));
  EXPECT_EQ(b.lse[0], 77.0f);
}

TEST(Attention, NothingAllowed) {
  using P = Problem<1, 70, 70, 1, 1, 8>;
  Kernels<P, float> run;
  struct None {
    bool operator()(int, int, int) const { return false; }
  } none;
  run.forward(none);
  run.backward(none);
  std::vector<float> zero(run.q.size());
  for (auto *x : {&run.out, &run.dq, &run.dk, &run.dv})
    EXPECT_TRUE(sameBits(*x, zero));
  for (float l : run.lse)
    EXPECT_EQ(l, -std::numeric_limits<float>::infinity());
}

// A tile of keys that is skipped, and the same tile visited for the sake of another row, leave the
// same bits in the rows that see nothing of it.
TEST(Attention, SkippingDoesNotShow) {
  using P = Problem<1, 64, 192, 1, 1, 32>;
  struct Mask {
    int visitor; // this row sees the tiles that the others do not
    bool operator()(int, int t, int s) const { return t == visitor || (s >= 64 && s < 128); }
  };
  Kernels<P, float> skipped, visited;
  skipped.forward(Mask{-1});
  visited.forward(Mask{20});
  for (size_t i = 0; i < skipped.out.size(); ++i)
    if (i / 32 != 20)
      EXPECT_EQ(skipped.out[i], visited.out[i]) << i;
  skipped.backward(Mask{-1});
  visited.backward(Mask{20});
  for (size_t i = 0; i < skipped.dq.size(); ++i)
    if (i / 32 != 20)
      EXPECT_EQ(skipped.dq[i], visited.dq[i]) << i;
}

// Scores far apart and large: nothing overflows, and late maxima replace early ones.
TEST(Attention, LargeScores) {
  using P = Problem<1, 64, 192, 1, 1, 16>;
  Kernels<P, float> run;
  for (size_t i = 0; i < run.q.size(); ++i)
    run.q[i] = i % 16 ? 0.0f : 1.0f;
  for (int s = 0; s < 192; ++s)
    run.k[s * 16] = float(s - 40) * 10; // the scale is 0.2: 2 between neighbours, up to 302
  run.forward(Everything());
  // Row by row the same: weights in proportion to 1, e^-2, e^-4, … from the last key down.
  for (int c = 0; c < 16; ++c) {
    double want = 0, sum = 0;
    for (int s = 0; s < 192; ++s) {
      double w = std::exp(2.0 * (s - 191));
      want += w * run.v[s * 16 + c];
      sum += w;
    }
    EXPECT_NEAR(run.out[c], want / sum, 1e-5);
    EXPECT_NEAR(run.lse[0], 302 + std::log(sum), 1e-4);
  }
}

// The adjoint that the others are compared with is the derivative of the definition.
TEST(Reference, CentralDifferences) {
  reference::Shape p{1, 5, 6, 2, 1, 3, 0.4};
  auto q = wide(draw<float>(p.queries(), 1)), k = wide(draw<float>(p.keys(), 2)),
       v = wide(draw<float>(p.keys(), 3)), dout = wide(draw<float>(p.queries(), 4));
  auto allow = [](int, int t, int s) { return s <= t && t != 2; };
  auto grad = reference::backward(p, q, k, v, reference::forward(p, q, k, v, allow), dout, allow);
  auto loss = [&] {
    auto out = reference::forward(p, q, k, v, allow).out;
    double sum = 0;
    for (size_t i = 0; i < out.size(); ++i)
      sum += out[i] * dout[i];
    return sum;
  };
  auto compare = [&](reference::Values &x, const reference::Values &dx) {
    for (size_t i = 0; i < x.size(); ++i) {
      double at = x[i], h = 1e-5;
      x[i] = at + h;
      double up = loss();
      x[i] = at - h;
      double down = loss();
      x[i] = at;
      EXPECT_NEAR(dx[i], (up - down) / (2 * h), 1e-8);
    }
  };
  compare(q, grad.dq);
  compare(k, grad.dk);
  compare(v, grad.dv);
}
