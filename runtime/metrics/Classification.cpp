#include "runtime/metrics/Classification.h"
#include <algorithm>
#include <cmath>

namespace r1rt {

/// z with P(|N(0, 1)| < z) = confidence, by bisection: erf has no inverse in the library.
static double quantile(double confidence) {
  double low = 0, high = 40;
  for (int i = 0; i < 200; ++i) {
    double z = (low + high) / 2;
    (std::erfc(z / std::sqrt(2.0)) > 1 - confidence ? low : high) = z;
  }
  return (low + high) / 2;
}

Interval wilson(uint64_t hits, uint64_t n, double confidence) {
  if (!n)
    return {};
  double z = quantile(confidence), N = double(n), p = double(hits) / N;
  double centre = p + z * z / (2 * N);
  double half = z * std::sqrt(p * (1 - p) / N + z * z / (4 * N * N));
  double scale = 1 + z * z / N;
  return {std::max(0.0, (centre - half) / scale), std::min(1.0, (centre + half) / scale)};
}

uint64_t Confusion::truths(size_t cls) const {
  uint64_t n = 0;
  for (size_t p = 0; p < classes; ++p)
    n += at(cls, p);
  return n;
}

uint64_t Confusion::predictions(size_t cls) const {
  uint64_t n = 0;
  for (size_t t = 0; t < classes; ++t)
    n += at(t, cls);
  return n;
}

uint64_t Confusion::rows() const {
  uint64_t n = 0;
  for (uint64_t c : counts)
    n += c;
  return n;
}

uint64_t Confusion::hits() const {
  uint64_t n = 0;
  for (size_t c = 0; c < classes; ++c)
    n += at(c, c);
  return n;
}

double Confusion::accuracy() const {
  uint64_t n = rows();
  return n ? double(hits()) / double(n) : 0;
}

double Confusion::f1(size_t cls) const {
  uint64_t both = truths(cls) + predictions(cls); // 2 TP + FP + FN
  return both ? 2 * double(at(cls, cls)) / double(both) : 0;
}

double Confusion::f1Macro() const {
  double sum = 0;
  size_t n = 0;
  for (size_t c = 0; c < classes; ++c)
    if (truths(c) + predictions(c)) {
      sum += f1(c);
      ++n;
    }
  return n ? sum / double(n) : 0;
}

double Confusion::f1Weighted() const {
  double sum = 0;
  for (size_t c = 0; c < classes; ++c)
    sum += f1(c) * double(truths(c));
  uint64_t n = rows();
  return n ? sum / double(n) : 0;
}

} // namespace r1rt
