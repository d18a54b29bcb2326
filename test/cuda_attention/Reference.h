// Attention and its adjoint in f64, written out.
#pragma once
#include <cmath>
#include <functional>
#include <limits>
#include <vector>

namespace reference {

struct Shape {
  int B, T, S, H, G, K;
  double scale;
  size_t queries() const { return size_t(B) * T * H * K; }
  size_t keys() const { return size_t(B) * S * G * K; }
  size_t rows() const { return size_t(B) * H * T; }
  size_t q(int b, int t, int h, int c) const { return ((size_t(b) * T + t) * H + h) * K + c; }
  size_t k(int b, int s, int g, int c) const { return ((size_t(b) * S + s) * G + g) * K + c; }
  size_t row(int b, int h, int t) const { return (size_t(b) * H + h) * T + t; }
};
using Allow = std::function<bool(int, int, int)>;
using Values = std::vector<double>;

// The sizes are the same sums of absolute values: what rounding the weights of a sum costs at most,
// in units of the rounding.
struct Forward {
  Values out, lse, size{};
};
struct Backward {
  Values dq, dk, dv, dqSize{}, dkSize{}, dvSize{};
};

inline double score(const Shape &p, const Values &q, const Values &k, int b, int t, int s, int h) {
  double x = 0;
  for (int c = 0; c < p.K; ++c)
    x += q[p.q(b, t, h, c)] * k[p.k(b, s, h / (p.H / p.G), c)];
  return x * p.scale;
}

inline Forward forward(const Shape &p, const Values &q, const Values &k, const Values &v,
                       const Allow &allow) {
  Forward r{Values(p.queries()), Values(p.rows(), -std::numeric_limits<double>::infinity()),
            Values(p.queries())};
  for (int b = 0; b < p.B; ++b)
    for (int h = 0; h < p.H; ++h)
      for (int t = 0; t < p.T; ++t) {
        double sum = 0;
        for (int s = 0; s < p.S; ++s) {
          if (!allow(b, t, s))
            continue;
          double w = std::exp(score(p, q, k, b, t, s, h)); // small enough in these tests
          sum += w;
          for (int c = 0; c < p.K; ++c) {
            double x = w * v[p.k(b, s, h / (p.H / p.G), c)];
            r.out[p.q(b, t, h, c)] += x;
            r.size[p.q(b, t, h, c)] += std::abs(x);
          }
        }
        if (sum == 0)
          continue;
        r.lse[p.row(b, h, t)] = std::log(sum);
        for (int c = 0; c < p.K; ++c) {
          r.out[p.q(b, t, h, c)] /= sum;
          r.size[p.q(b, t, h, c)] /= sum;
        }
      }
  return r;
}

/// `out` and `lse` as they were stored, so that their rounding is not counted against the adjoint.
inline Backward backward(const Shape &p, const Values &q, const Values &k, const Values &v,
                         const Forward &f, const Values &dout, const Allow &allow) {
  Backward r{Values(p.queries()), Values(p.keys()), Values(p.keys()),
             Values(p.queries()), Values(p.keys()), Values(p.keys())};
  auto add = [](double &sum, double &size, double x) { sum += x, size += std::abs(x); };
  for (int b = 0; b < p.B; ++b)
    for (int h = 0; h < p.H; ++h)
      for (int t = 0; t < p.T; ++t) {
        int g = h / (p.H / p.G);
        double delta = 0;
        for (int c = 0; c < p.K; ++c)
          delta += f.out[p.q(b, t, h, c)] * dout[p.q(b, t, h, c)];
        for (int s = 0; s < p.S; ++s) {
          if (!allow(b, t, s))
            continue;
          double w = std::exp(score(p, q, k, b, t, s, h) - f.lse[p.row(b, h, t)]), dw = 0;
          for (int c = 0; c < p.K; ++c)
            dw += dout[p.q(b, t, h, c)] * v[p.k(b, s, g, c)];
          double ds = w * (dw - delta) * p.scale;
          for (int c = 0; c < p.K; ++c) {
            size_t x = p.q(b, t, h, c), y = p.k(b, s, g, c);
            add(r.dq[x], r.dqSize[x], ds * k[y]);
            add(r.dk[y], r.dkSize[y], ds * q[x]);
            add(r.dv[y], r.dvSize[y], w * dout[x]);
          }
        }
      }
  return r;
}

} // namespace reference
