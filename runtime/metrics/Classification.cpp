#include "runtime/metrics/Classification.h"
#include <algorithm>
#include <cmath>
#include <numeric>

namespace r1rt::metrics {

std::optional<ClassMetric> classMetric(std::string_view name) {
  static constexpr std::pair<std::string_view, ClassMetric> all[] = {
      {"accuracy", ClassMetric::accuracy}, {"precision", ClassMetric::precision},
      {"recall", ClassMetric::recall},     {"f1", ClassMetric::f1},
      {"mcc", ClassMetric::mcc},           {"balanced_accuracy", ClassMetric::balancedAccuracy}};
  for (auto &[n, m] : all)
    if (n == name)
      return m;
  return {};
}

std::optional<Average> averageNamed(std::string_view name) {
  if (name == "macro")
    return Average::macro;
  if (name == "micro")
    return Average::micro;
  if (name == "weighted")
    return Average::weighted;
  return {};
}

// ── from sums ───────────────────────────────────────────────────────────────

static double ratio(double a, double b) { return b != 0 ? a / b : 0; }

static double sum(std::span<const double> x) { return std::accumulate(x.begin(), x.end(), 0.0); }

ClassSums ClassSums::of(std::span<const double> sums) {
  const size_t classes = sums.size() / 3;
  return {sums.subspan(0, classes), sums.subspan(classes, classes), sums.subspan(2 * classes, classes)};
}

double ClassSums::precision(size_t cls) const { return ratio(hits[cls], predicted[cls]); }
double ClassSums::recall(size_t cls) const { return ratio(hits[cls], truths[cls]); }
double ClassSums::f1(size_t cls) const { return ratio(2 * hits[cls], predicted[cls] + truths[cls]); }

double ClassSums::averaged(ClassMetric metric, Average average) const {
  if (average == Average::micro) {
    const double p = sum(predicted), h = sum(hits), t = sum(truths);
    return ClassSums{{&p, 1}, {&h, 1}, {&t, 1}}.averaged(metric, Average::macro);
  }
  double total = 0, weights = 0;
  for (size_t c = 0; c < truths.size(); ++c) {
    const double weight = average == Average::weighted ? truths[c] : double(truths[c] + predicted[c] > 0);
    const double v = metric == ClassMetric::precision ? precision(c)
                     : metric == ClassMetric::recall  ? recall(c)
                                                      : f1(c);
    total += weight * v;
    weights += weight;
  }
  return ratio(total, weights);
}

double ClassSums::accuracy() const { return ratio(sum(hits), sum(truths)); }

double ClassSums::balancedAccuracy() const {
  double total = 0, classes = 0;
  for (size_t c = 0; c < truths.size(); ++c)
    if (truths[c] > 0) {
      total += recall(c);
      ++classes;
    }
  return ratio(total, classes);
}

double ClassSums::mcc() const {
  const double n = sum(truths), right = sum(hits);
  double both = 0, pp = 0, tt = 0;
  for (size_t c = 0; c < truths.size(); ++c) {
    both += predicted[c] * truths[c];
    pp += predicted[c] * predicted[c];
    tt += truths[c] * truths[c];
  }
  const double none = n - sum(predicted);
  pp += none * none;
  return ratio(right * n - both, std::sqrt((n * n - pp) * (n * n - tt)));
}

double ClassSums::value(ClassMetric metric, Average average) const {
  switch (metric) {
  case ClassMetric::accuracy:
    return accuracy();
  case ClassMetric::balancedAccuracy:
    return balancedAccuracy();
  case ClassMetric::mcc:
    return mcc();
  default:
    return averaged(metric, average);
  }
}

// ── rows ────────────────────────────────────────────────────────────────────

static std::string signatureOf(ClassMetric metric, Average average) {
  const char *names[] = {"macro", "micro", "weighted"};
  bool averages = metric == ClassMetric::precision || metric == ClassMetric::recall || metric == ClassMetric::f1;
  return averages ? std::string("average:") + names[int(average)] + "|zero:0" : "";
}

static const char *nameOf(ClassMetric metric) {
  const char *names[] = {"accuracy", "precision", "recall", "F1", "MCC", "balanced accuracy"};
  return names[int(metric)];
}

Result<Measured> classification(std::span<const uint32_t> truths, std::span<const uint32_t> predicted, size_t classes,
                                ClassMetric metric, Average average) {
  if (truths.size() != predicted.size())
    return Status::error(std::to_string(predicted.size()) + " predictions for " + std::to_string(truths.size()) +
                         " rows; there has to be one for each");
  Measured m;
  m.name = nameOf(metric);
  m.signature = signatureOf(metric, average);
  m.proportion = metric == ClassMetric::accuracy;
  m.statistics = Statistics(m.proportion ? 2 : 3 * classes);
  for (size_t i = 0; i < truths.size(); ++i) {
    const uint32_t t = truths[i], p = predicted[i];
    if (t >= classes || (p >= classes && p != noClass))
      return Status::error("row " + std::to_string(i) + " has the class " + std::to_string(t >= classes ? t : p) +
                           "; there are " + std::to_string(classes) + ", from 0 on");
    if (m.proportion) {
      m.statistics.add(std::vector<double>{double(t == p), 1});
      continue;
    }
    std::vector<Statistics::Entry> row;
    if (p != noClass)
      row.push_back({p, 1});
    if (t == p)
      row.push_back({uint32_t(classes + p), 1});
    row.push_back({uint32_t(2 * classes + t), 1});
    m.statistics.addEntries(row);
  }
  if (m.proportion)
    m.value = [](std::span<const double> s) { return ratio(s[0], s[1]); };
  else
    m.value = [metric, average](std::span<const double> s) { return ClassSums::of(s).value(metric, average); };
  return m;
}

uint64_t Confusion::rows() const { return std::accumulate(counts.begin(), counts.end(), uint64_t(0)); }

std::vector<double> Confusion::sums() const {
  std::vector<double> s(3 * classes);
  for (size_t t = 0; t < classes; ++t)
    for (size_t p = 0; p < classes; ++p) {
      const double n = double(at(t, p));
      s[p] += n;
      s[2 * classes + t] += n;
      if (t == p)
        s[classes + t] += n;
    }
  return s;
}

double Confusion::accuracy() const {
  std::vector<double> s = sums();
  return ClassSums::of(s).accuracy();
}

std::string Confusion::table(std::span<const std::string> names) const {
  constexpr size_t mostShown = 20, nameWidth = 16;
  std::vector<double> all = sums();
  ClassSums s = ClassSums::of(all);
  std::vector<size_t> shown(classes);
  std::iota(shown.begin(), shown.end(), size_t(0));
  if (classes > mostShown) {
    std::sort(shown.begin(), shown.end(), [&](size_t a, size_t b) {
      return s.truths[a] != s.truths[b] ? s.truths[a] > s.truths[b] : a < b;
    });
    shown.resize(mostShown);
    std::sort(shown.begin(), shown.end());
  }
  auto padded = [](std::string text, size_t width) {
    return text.size() < width ? std::string(width - text.size(), ' ') + text : text;
  };
  auto share = [](double v) {
    char text[32];
    std::snprintf(text, sizeof text, "%.3f", v);
    return std::string(text);
  };
  // A name that is too long is cut, but not within a character.
  auto nameOf = [&](size_t c) {
    std::string n = names.empty() ? std::to_string(c) : names[c];
    size_t end = std::min(n.size(), nameWidth);
    while (end < n.size() && end && (n[end] & 0xC0) == 0x80)
      --end;
    return n.substr(0, end);
  };
  size_t left = 5, cell = 5;
  for (size_t c : shown) {
    left = std::max(left, nameOf(c).size());
    cell = std::max({cell, nameOf(c).size() + 1, std::to_string(uint64_t(s.truths[c])).size() + 1});
  }
  std::string out = padded("", left) + "  taken for";
  out += "\n" + padded("is", left);
  for (size_t c : shown)
    out += padded(nameOf(c), cell);
  out += "   precision  recall     F1\n";
  for (size_t t : shown) {
    out += padded(nameOf(t), left);
    for (size_t p : shown)
      out += padded(std::to_string(at(t, p)), cell);
    out += padded(share(s.precision(t)), 12) + padded(share(s.recall(t)), 8) + padded(share(s.f1(t)), 7) + "\n";
  }
  if (classes > shown.size())
    out += "and " + std::to_string(classes - shown.size()) + " classes with fewer rows\n";
  return out;
}

} // namespace r1rt::metrics
