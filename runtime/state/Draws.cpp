#include "runtime/state/Draws.h"
#include "runtime/state/Philox.h"
#include <algorithm>
#include <cmath>
#include <numeric>
#include <xxhash.h>

namespace r1rt {

uint64_t drawKey(uint64_t seed, std::string_view name) {
  return XXH64(name.data(), name.size(), seed);
}
uint64_t drawKey(uint64_t key, uint64_t number) {
  unsigned char bytes[8]; // explicit order: the same key on every machine
  for (int i = 0; i < 8; ++i)
    bytes[i] = static_cast<unsigned char>(number >> (8 * i));
  return XXH64(bytes, 8, key);
}

// log, cos and sin here are our own: libm picks variants by CPU, and initial weights must be
// the same bits everywhere. Only +, -, *, /, sqrt are used, without contraction.

/// Natural logarithm of x in (0, 1]: x = m 2^e, log m = 2 artanh((m-1)/(m+1)).
static double logUnit(double x) {
  int e;
  double m = std::frexp(x, &e);
  if (m < 0.70710678118654752) {
    m *= 2;
    --e;
  }
  double s = (m - 1) / (m + 1), s2 = s * s, sum = 0;
  for (int k = 25; k >= 3; k -= 2)
    sum = (sum + 1.0 / k) * s2;
  return 2 * s * (1 + sum) + e * 0.69314718055994531;
}

/// cos and sin of r in 0 .. pi/4, by Taylor polynomials.
static double cosSmall(double r) {
  double x = r * r, sum = 0;
  for (int k = 18; k >= 2; k -= 2)
    sum = (1 - sum) * x / double(k * (k - 1));
  return 1 - sum;
}
static double sinSmall(double r) {
  double x = r * r, sum = 0;
  for (int k = 18; k >= 2; k -= 2)
    sum = (1 - sum) * x / double(k * (k + 1));
  return r * (1 - sum);
}

/// cos and sin of 2 pi u for u in [0, 1).
static void circle(double u, double &c, double &s) {
  int quarter = int(u * 4);
  double t = u - quarter * 0.25; // in [0, 1/4)
  constexpr double tau = 6.283185307179586;
  double ct, st;
  if (t <= 0.125) {
    ct = cosSmall(tau * t);
    st = sinSmall(tau * t);
  } else {
    ct = sinSmall(tau * (0.25 - t));
    st = cosSmall(tau * (0.25 - t));
  }
  switch (quarter) {
  case 0:
    c = ct, s = st;
    break;
  case 1:
    c = -st, s = ct;
    break;
  case 2:
    c = -ct, s = -st;
    break;
  default:
    c = st, s = -ct;
    break;
  }
}

void drawInit(const r1_init &init, uint64_t seed, std::string_view path, uint64_t begin,
              uint64_t end, float *out) {
  uint64_t key = drawKey(seed, path);
  if (init.dist == 0) {
    std::fill(out + begin, out + end, float(init.a));
    return;
  }
  // One block serves elements 2i and 2i + 1.
  for (uint64_t pair = begin / 2; pair * 2 < end; ++pair) {
    PhiloxBlock b = philox(key, pair);
    double u[2] = {uniform01(b[0], b[1]), uniform01(b[2], b[3])}, v[2];
    if (init.dist == 1) {
      double c, s, radius = std::sqrt(-2 * logUnit(1 - u[0]));
      circle(u[1], c, s);
      v[0] = init.a + init.b * (radius * c);
      v[1] = init.a + init.b * (radius * s);
    } else {
      v[0] = init.a + (init.b - init.a) * u[0];
      v[1] = init.a + (init.b - init.a) * u[1];
    }
    for (uint64_t i = std::max(begin, pair * 2); i < std::min(end, pair * 2 + 2); ++i)
      out[i] = float(v[i - pair * 2]);
  }
}

void drawInit(Device &device, const r1_init &init, uint64_t seed, std::string_view path,
              uint64_t elements, float *out) {
  struct Job {
    const r1_init &init;
    uint64_t seed;
    std::string_view path;
    uint64_t n;
    float *out;
    int threads;
  } job{init, seed, path, elements, out, device.threads()};
  device.parallel(
      [](void *p, int tid) {
        auto &j = *static_cast<Job *>(p);
        uint64_t share = (j.n + j.threads - 1) / j.threads;
        uint64_t from = std::min(j.n, share * tid);
        drawInit(j.init, j.seed, j.path, from, std::min(j.n, from + share), j.out);
      },
      &job);
}

std::vector<uint32_t> permutation(uint64_t key, uint32_t n) {
  std::vector<uint32_t> p(n);
  std::iota(p.begin(), p.end(), 0u);
  for (uint32_t i = n; i > 1; --i) {
    PhiloxBlock b = philox(key, i, 1);
    uint64_t r = uint64_t(b[0]) << 32 | b[1];
    std::swap(p[i - 1], p[uint64_t((unsigned __int128)r * i >> 64)]);
  }
  return p;
}

RowOrder::RowOrder(uint32_t rows, uint64_t seed, std::string_view stage)
    : rows(rows), key(drawKey(seed, stage)) {}

uint32_t RowOrder::row(uint64_t index) {
  if (index / rows != epoch) {
    epoch = index / rows;
    order = permutation(drawKey(key, epoch), rows);
  }
  return order[index % rows];
}

} // namespace r1rt
