//===- Classification.h - how often a classifier is right --------------------===//
#ifndef R1RT_METRICS_CLASSIFICATION_H
#define R1RT_METRICS_CLASSIFICATION_H
#include <cstddef>
#include <cstdint>
#include <vector>

namespace r1rt {

struct Interval {
  double low = 0, high = 1;
};

/// Wilson's score interval of a proportion (Wilson, 1927, JASA 22, p. 209): of `hits` among `n` trials,
/// with z the normal quantile of 1 - (1 - confidence) / 2 and p = hits / n,
///   (p + z²/2n ± z √(p(1 - p)/n + z²/4n²)) / (1 + z²/n).
/// Two-sided; confidence lies between 0 and 1. Of no trials nothing is known: [0, 1].
Interval wilson(uint64_t hits, uint64_t n, double confidence = 0.95);

/// Rows by what they are and what they were taken for.
class Confusion {
public:
  explicit Confusion(size_t classes) : classes(classes), counts(classes * classes) {}

  /// Both are below the number of classes.
  void add(size_t truth, size_t predicted) { ++counts[truth * classes + predicted]; }
  uint64_t at(size_t truth, size_t predicted) const { return counts[truth * classes + predicted]; }
  uint64_t rows() const;
  uint64_t hits() const;
  /// The share of rows that were taken for what they are; 0 of no rows.
  double accuracy() const;

  /// The harmonic mean of precision and recall of one class, 2 TP / (2 TP + FP + FN); 0 where that is 0/0.
  double f1(size_t cls) const;
  /// The mean over the classes that occur, among the rows or among what they were taken for.
  double f1Macro() const;
  /// TP, FP and FN summed over the classes; as each row has one class, this is the accuracy.
  double f1Micro() const { return accuracy(); }
  /// The mean over the classes, weighted by how many rows are of each.
  double f1Weighted() const;

private:
  uint64_t truths(size_t cls) const;
  uint64_t predictions(size_t cls) const;

  size_t classes;
  std::vector<uint64_t> counts;
};

} // namespace r1rt
#endif
