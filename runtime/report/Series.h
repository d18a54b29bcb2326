//===- Series.h - the curves of a run -------------------------------------------===//
//
// steps.jsonl holds an object for each step; its numbers are series by name. measured.jsonl holds what is measured
// now and then. A number that is not finite is a gap.
//
//===----------------------------------------------------------------------===//
#ifndef R1RT_REPORT_SERIES_H
#define R1RT_REPORT_SERIES_H
#include "runtime/Status.h"
#include <string>
#include <vector>

namespace r1rt {

struct Series {
  std::string name;
  std::vector<double> steps, values; // of equal length, steps rising
};

/// Those of files, of which each may be missing, `loss` first, then by name; `step`, `stage` and what is no number are left out. A last line
/// that was cut off is passed over; other broken lines are errors that name the line.
Result<std::vector<Series>> readSeries(const std::vector<std::string> &paths);

/// What one column of a plot shows.
struct Column {
  bool empty = true;
  double low = 0, high = 0, mean = 0;
};
/// The series in `columns` columns from its first step to its last. At least one column.
std::vector<Column> columnsOf(const Series &s, size_t columns);

/// A plot of braille dots, `columns` x `rows` characters without the scale at its left, then a line with the
/// steps. Each column is the line from its least to its largest value. Values that are all equal are one line.
std::vector<std::string> plotText(const Series &s, size_t columns, size_t rows);
/// The means as one line of eighth blocks.
std::string sparkline(const Series &s, size_t columns);
/// "12,345", "0.0123", "1.2e-07": as few digits as tell values of that size apart.
std::string shortNumber(double v);

} // namespace r1rt
#endif
