#include "runtime/metrics/Interval.h"
#include "runtime/state/Philox.h"
#include <algorithm>
#include <cmath>

namespace r1rt::metrics {

using nlohmann::json;

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
  // The ends that are 0 and 1 are so exactly: a gate above 0 does not pass by a rounding.
  return {hits ? std::max(0.0, (centre - half) / scale) : 0.0, hits < n ? std::min(1.0, (centre + half) / scale) : 1.0};
}

// ── statistics ──────────────────────────────────────────────────────────────

void Statistics::add(std::span<const double> row) {
  for (size_t c = 0; c < row.size(); ++c)
    if (row[c] != 0)
      entries.push_back({uint32_t(c), row[c]});
  ends.push_back(entries.size());
}

void Statistics::addEntries(std::span<const Entry> row) {
  entries.insert(entries.end(), row.begin(), row.end());
  ends.push_back(entries.size());
}

std::span<const Statistics::Entry> Statistics::row(size_t document) const {
  size_t from = document ? ends[document - 1] : 0;
  return {entries.data() + from, ends[document] - from};
}

void Statistics::addTo(size_t document, std::span<double> sums) const {
  for (const Entry &e : row(document))
    sums[e.column] += e.value;
}

std::vector<double> Statistics::sums() const {
  std::vector<double> s(columns);
  for (size_t d = 0; d < documents(); ++d)
    addTo(d, s);
  return s;
}

json Statistics::toJson() const {
  json all = json::array();
  for (size_t d = 0; d < documents(); ++d) {
    json &one = all.emplace_back(json::array());
    for (const Entry &e : row(d)) {
      one.push_back(e.column);
      one.push_back(e.value);
    }
  }
  return {{"width", columns}, {"documents", std::move(all)}};
}

Result<Statistics> Statistics::fromJson(const json &j) {
  auto bad = [](const std::string &what) { return Status::error("statistics of documents: " + what); };
  if (!j.is_object() || !j.contains("width") || !j["width"].is_number_unsigned() || !j.contains("documents") ||
      !j["documents"].is_array())
    return bad("not an object with a `width` and `documents`");
  Statistics s(j["width"].get<size_t>());
  std::vector<Entry> row;
  for (const json &one : j["documents"]) {
    const std::string at = "document " + std::to_string(s.documents()) + ": ";
    if (!one.is_array() || one.size() % 2)
      return bad(at + "not a list of columns and values");
    row.clear();
    for (size_t i = 0; i < one.size(); i += 2) {
      if (!one[i].is_number_unsigned() || one[i].get<uint64_t>() >= s.columns || !one[i + 1].is_number())
        return bad(at + one[i].dump() + ", " + one[i + 1].dump() + " is no column below " +
                   std::to_string(s.columns) + " with its value");
      row.push_back({one[i].get<uint32_t>(), one[i + 1].get<double>()});
    }
    s.addEntries(row);
  }
  return s;
}

// ── resampling ──────────────────────────────────────────────────────────────

namespace {

/// Values of `metrics`, which have the same documents, for each resample: [resamples][metrics].
std::vector<std::vector<double>> resample(std::initializer_list<const Measured *> metrics, const BootstrapOptions &o) {
  const size_t n = (*metrics.begin())->statistics.documents();
  const uint64_t key = drawKey(o.seed, "bootstrap");
  std::vector<std::vector<double>> values(o.resamples);
  std::vector<std::vector<double>> sums;
  for (const Measured *m : metrics)
    sums.emplace_back(m->statistics.width());
  for (uint32_t r = 0; r < o.resamples; ++r) {
    for (auto &s : sums)
      std::fill(s.begin(), s.end(), 0.0);
    PhiloxBlock block{};
    for (size_t i = 0; i < n; ++i) {
      if (i % 4 == 0)
        block = philox(key, i / 4, r);
      // The high half of a product: even to within n / 2^32.
      const size_t d = size_t(uint64_t(block[i % 4]) * n >> 32);
      size_t k = 0;
      for (const Measured *m : metrics)
        m->statistics.addTo(d, sums[k++]);
    }
    size_t k = 0;
    for (const Measured *m : metrics)
      values[r].push_back(m->value(sums[k++]));
  }
  return values;
}

Interval percentiles(std::vector<double> values, double confidence) {
  std::sort(values.begin(), values.end());
  const size_t out = size_t(double(values.size()) * (1 - confidence) / 2 + 1e-9);
  return {values[out], values[values.size() - 1 - out]};
}

} // namespace

Interval interval(const Measured &m, const BootstrapOptions &o) {
  if (m.proportion) {
    std::vector<double> s = m.statistics.sums();
    return wilson(uint64_t(s[0]), uint64_t(s[1]), o.confidence);
  }
  std::vector<double> values;
  for (auto &v : resample({&m}, o))
    values.push_back(v[0]);
  return percentiles(std::move(values), o.confidence);
}

double mcnemar(uint64_t onlyOurs, uint64_t onlyTheirs) {
  const uint64_t n = onlyOurs + onlyTheirs, few = std::min(onlyOurs, onlyTheirs);
  if (!n)
    return 1;
  double tail = 0; // P(X <= few)
  for (uint64_t k = 0; k <= few; ++k)
    tail += std::exp(std::lgamma(double(n) + 1) - std::lgamma(double(k) + 1) - std::lgamma(double(n - k) + 1) -
                     double(n) * std::log(2.0));
  return std::min(1.0, 2 * tail);
}

Result<Difference> compare(const Measured &ours, const Measured &theirs, const BootstrapOptions &o) {
  const size_t n = ours.statistics.documents(), m = theirs.statistics.documents();
  if (n != m)
    return Status::error("it has " + std::to_string(n) + " documents, the baseline has " + std::to_string(m) +
                         "; a difference is of the same documents");
  if (ours.name != theirs.name || ours.signature != theirs.signature)
    return Status::error("it is " + ours.name + "|" + ours.signature + ", the baseline has " + theirs.name + "|" +
                         theirs.signature + "; these numbers cannot be compared");
  Difference d;
  d.value = ours.total() - theirs.total();
  std::vector<double> differences;
  double mean = 0;
  for (auto &v : resample({&ours, &theirs}, o)) {
    differences.push_back(v[0] - v[1]);
    mean += differences.back() / o.resamples;
  }
  if (ours.proportion) {
    auto hit = [](const Measured &x, size_t i) {
      auto row = x.statistics.row(i);
      return !row.empty() && row[0].column == 0;
    };
    uint64_t only[2] = {};
    for (size_t i = 0; i < n; ++i)
      if (hit(ours, i) != hit(theirs, i))
        ++only[hit(theirs, i)];
    d.p = mcnemar(only[0], only[1]);
  } else {
    // What rounding alone sets apart is as far.
    const double far = std::abs(d.value) * (1 - 1e-12);
    uint64_t beyond = 1;
    for (double x : differences)
      beyond += std::abs(x - mean) >= far;
    d.p = double(beyond) / double(o.resamples + 1);
  }
  d.interval = percentiles(std::move(differences), o.confidence);
  return d;
}

} // namespace r1rt::metrics
