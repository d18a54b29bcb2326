//===- Classification.h - how often a classifier is right --------------------===//
#ifndef R1RT_METRICS_CLASSIFICATION_H
#define R1RT_METRICS_CLASSIFICATION_H
#include "runtime/metrics/Interval.h"
#include <optional>
#include <string>

namespace r1rt::metrics {

enum class ClassMetric { accuracy, precision, recall, f1, mcc, balancedAccuracy };
enum class Average {
  macro,   // the mean over the classes that occur, among the rows or among what they were taken for
  micro,   // hits, predictions and truths summed over the classes; with one class a row, the accuracy
  weighted // the mean over the classes, weighted by how many rows are of each
};
std::optional<ClassMetric> classMetric(std::string_view name); // "accuracy", …, "balanced_accuracy"
std::optional<Average> averageNamed(std::string_view name);    // "macro", "micro", "weighted"

/// Rows by class: those taken for it, of these the ones that are of it, and those that are of it. All that
/// the metrics need, so that C classes are 3 C sums and not C² cells.
struct ClassSums {
  std::span<const double> predicted, hits, truths; // [classes]

  /// `sums` holds one after the other.
  static ClassSums of(std::span<const double> sums);

  // As scikit-learn, with its zero_division = 0: what is 0/0 is 0.
  double precision(size_t cls) const;
  double recall(size_t cls) const;
  /// The harmonic mean of both, 2 TP / (2 TP + FP + FN).
  double f1(size_t cls) const;
  /// `metric` is precision, recall or f1.
  double averaged(ClassMetric metric, Average average) const;
  /// The share of rows that were taken for what they are.
  double accuracy() const;
  /// The mean of recall over the classes that rows are of.
  double balancedAccuracy() const;
  /// Matthews' correlation of truth and prediction for any number of classes (Gorodkin 2004), -1..1; 0 where
  /// all rows are of one class or taken for one. Those that no prediction was made for are taken for a class more.
  double mcc() const;
  /// `average` is of precision, recall and f1 alone.
  double value(ClassMetric metric, Average average) const;
};

/// Rows by what they are and what they were taken for.
class Confusion {
public:
  explicit Confusion(size_t classes) : classes(classes), counts(classes * classes) {}

  /// Both are below the number of classes.
  void add(size_t truth, size_t predicted) { ++counts[truth * classes + predicted]; }
  size_t size() const { return classes; }
  uint64_t at(size_t truth, size_t predicted) const { return counts[truth * classes + predicted]; }
  uint64_t rows() const;
  /// For ClassSums::of.
  std::vector<double> sums() const;
  /// The share of rows that were taken for what they are; 0 of no rows.
  double accuracy() const;
  /// A table for people: a line for each class, what it was taken for, precision, recall and F1. `names` has a
  /// name for each class or is empty (then numbers). Of more than 20 classes the 20 largest.
  std::string table(std::span<const std::string> names) const;

private:
  size_t classes;
  std::vector<uint64_t> counts;
};

/// The prediction for a row that none was made for. It is never right, nor a prediction of any class.
constexpr uint32_t noClass = ~uint32_t(0);

/// A metric of rows with one class each, below `classes`, which were taken for one each, or for `noClass`. Statistics: for each row its prediction, hit and
/// truth as ClassSums; of accuracy [hit, 1]. Errors: numbers of rows that differ; a class that is too large, by its
/// row.
Result<Measured> classification(std::span<const uint32_t> truths, std::span<const uint32_t> predicted, size_t classes,
                                ClassMetric metric, Average average = Average::macro);

} // namespace r1rt::metrics
#endif
