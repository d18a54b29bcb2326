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

namespace {
/// For every two candidates: 0 the first is better, 1 the second, 2 neither.
void addPreferences(const nlohmann::json &ranks, std::vector<size_t> &out) {
  for (size_t i = 0; i < ranks.size(); ++i)
    for (size_t j = i + 1; j < ranks.size(); ++j)
      out.push_back(ranks[i] < ranks[j] ? 0 : ranks[j] < ranks[i] ? 1 : 2);
}
} // namespace

std::vector<Agreement> agreement(const Form &form, const Answers &answers, size_t questions) {
  std::vector<Agreement> out;
  const std::vector<std::string> people = answers.people();
  for (const Field &f : form.fields()) {
    double sum = 0;
    size_t shared = 0;
    for (size_t x = 0; x < people.size(); ++x)
      for (size_t y = x + 1; y < people.size(); ++y) {
        std::vector<size_t> a, b;
        size_t together = 0;
        for (size_t q = 0; q < questions; ++q) {
          auto &all = answers.of(q);
          auto p = all.find(people[x]), r = all.find(people[y]);
          if (p == all.end() || r == all.end())
            continue;
          ++together;
          if (f.kind == Field::rank) {
            addPreferences(p->second[f.name], a);
            addPreferences(r->second[f.name], b);
          } else {
            a.push_back(f.indexOf(p->second[f.name]));
            b.push_back(f.indexOf(r->second[f.name]));
          }
        }
        if (a.empty())
          continue;
        const size_t values = f.kind == Field::rank ? 3 : f.values();
        sum += double(together) * cohenKappa(a, b, values, f.kind == Field::score);
        shared += together;
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
