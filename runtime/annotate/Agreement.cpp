#include "runtime/annotate/Agreement.h"
#include <cmath>
#include <cstdio>

namespace r1rt::annotate {

double cohenKappa(std::span<const size_t> a, std::span<const size_t> b, size_t values, bool quadratic) {
  std::vector<double> ofA(values), ofB(values);
  double observed = 0, expected = 0; // disagreement, weighted
  auto weight = [&](size_t i, size_t j) {
    double d = double(i) - double(j);
    return quadratic ? d * d : double(i != j);
  };
  const double n = double(a.size());
  for (size_t q = 0; q < a.size(); ++q) {
    ++ofA[a[q]];
    ++ofB[b[q]];
    observed += weight(a[q], b[q]);
  }
  for (size_t i = 0; i < values; ++i)
    for (size_t j = 0; j < values; ++j)
      expected += weight(i, j) * ofA[i] * ofB[j] / n;
  return expected > 0 ? 1 - observed / expected : NAN;
}

std::vector<Agreement> agreement(const Form &form, const Answers &answers, size_t questions) {
  std::vector<Agreement> out;
  const std::vector<std::string> people = answers.people();
  for (const Field &f : form.fields()) {
    double sum = 0;
    size_t shared = 0;
    for (size_t x = 0; x < people.size(); ++x)
      for (size_t y = x + 1; y < people.size(); ++y) {
        std::vector<size_t> a, b;
        for (size_t q = 0; q < questions; ++q) {
          auto &all = answers.of(q);
          auto p = all.find(people[x]), r = all.find(people[y]);
          if (p == all.end() || r == all.end())
            continue;
          a.push_back(f.indexOf(p->second[f.name]));
          b.push_back(f.indexOf(r->second[f.name]));
        }
        if (a.empty())
          continue;
        sum += double(a.size()) * cohenKappa(a, b, f.values(), f.isScore());
        shared += a.size();
      }
    if (shared)
      out.push_back({f.name, sum / double(shared), shared});
  }
  return out;
}

std::string agreementText(const std::vector<Agreement> &all) {
  std::string out;
  for (const Agreement &a : all) {
    char value[32];
    std::snprintf(value, sizeof value, "%.2f", a.kappa);
    out += (out.empty() ? "" : ", ") + a.field + " " + (std::isnan(a.kappa) ? "undefined" : value);
  }
  return out;
}

} // namespace r1rt::annotate
