//===- Interval.h - how far a number can be trusted ---------------------------===//
//
// A metric of a corpus is a function of sums over its documents. So documents can be drawn again without
// looking at a text again: what the bootstrap needs is each document's summands and that function.
//
//===----------------------------------------------------------------------===//
#ifndef R1RT_METRICS_INTERVAL_H
#define R1RT_METRICS_INTERVAL_H
#include "runtime/Status.h"
#include <cstddef>
#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <span>
#include <vector>

namespace r1rt::metrics {

struct Interval {
  double low = 0, high = 1;
};

/// Wilson's score interval of a proportion (Wilson, 1927, JASA 22, p. 209): of `hits` among `n` trials,
/// with z the normal quantile of 1 - (1 - confidence) / 2 and p = hits / n,
///   (p + z²/2n ± z √(p(1 - p)/n + z²/4n²)) / (1 + z²/n).
/// Two-sided; confidence lies between 0 and 1. Of no trials nothing is known: [0, 1].
Interval wilson(uint64_t hits, uint64_t n, double confidence = 0.95);

/// A matrix [documents, width] of which only what is not 0 is held.
class Statistics {
public:
  struct Entry {
    uint32_t column;
    double value;
  };

  explicit Statistics(size_t width = 0) : columns(width) {}

  size_t width() const { return columns; }
  size_t documents() const { return ends.size(); }
  /// One more document; `row` has `width` numbers.
  void add(std::span<const double> row);
  /// The same from what is not 0; columns are below `width`.
  void addEntries(std::span<const Entry> row);
  std::span<const Entry> row(size_t document) const;
  /// sums[c] += the document's number in column c.
  void addTo(size_t document, std::span<double> sums) const;
  /// Over all documents, in their order.
  std::vector<double> sums() const;

  /// {"width": w, "documents": [[column, value, column, value, …], …]}; every bit of a value comes back.
  nlohmann::json toJson() const;
  static Result<Statistics> fromJson(const nlohmann::json &j);

private:
  size_t columns;
  std::vector<size_t> ends; // of a document's entries
  std::vector<Entry> entries;
};

/// A metric of a corpus.
struct Measured {
  std::string name;      // "BLEU", "ROUGE-L"
  std::string signature; // all that the number depends on but the texts: "nrefs:1|case:mixed|…"
  Statistics statistics{0};
  std::function<double(std::span<const double>)> value; // of the sums of the statistics
  /// The share of documents that are hits: statistics are [hit, 1], and its interval is Wilson's.
  bool proportion = false;

  double total() const { return value(statistics.sums()); }
};

struct BootstrapOptions {
  uint32_t resamples = 1000; // at least 2
  double confidence = 0.95;  // between 0 and 1
  uint64_t seed = 0;
};

/// The percentile interval (Efron 1979) of the metric over resamples of its documents, each as many as there
/// are, drawn with replacement. Of R sorted values it spans those that leave floor(R (1 - confidence) / 2)
/// out on either side. The draws depend on the seed and the number of documents alone. For a proportion
/// Wilson's interval instead. Of no documents: what `value` says of sums of 0, twice.
Interval interval(const Measured &m, const BootstrapOptions &o = {});

/// What makes a difference of two systems on the same documents.
struct Difference {
  double value = 0;  // ours - theirs
  Interval interval; // of paired resamples: both get the same draws
  /// Two-sided, of the hypothesis that both are as good. Proportions: McNemar's exact test. Else the share of
  /// resamples whose difference lies at least as far from their mean as `value` from 0, that is
  /// (1 + #{|d_r - mean d| >= |value|}) / (1 + R) (Efron and Tibshirani 1993, 16.4).
  double p = 1;
};

/// Errors: another number of documents, or another signature. Whether the documents are the same ones is for
/// the caller to know.
Result<Difference> compare(const Measured &ours, const Measured &theirs, const BootstrapOptions &o = {});

/// McNemar's exact test: of n = onlyOurs + onlyTheirs documents that one of two systems gets right, the
/// two-sided probability under Binomial(n, 1/2) of a split at least as uneven. 1 for n = 0.
double mcnemar(uint64_t onlyOurs, uint64_t onlyTheirs);

} // namespace r1rt::metrics
#endif
