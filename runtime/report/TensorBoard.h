//===- TensorBoard.h - series of a stage, in files -------------------------===//
#ifndef R1RT_REPORT_TENSORBOARD_H
#define R1RT_REPORT_TENSORBOARD_H
#include "runtime/Status.h"
#include "runtime/report/Reporter.h"
#include <memory>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

namespace r1rt {

uint32_t crc32c(std::string_view data);

/// The distribution of numbers: 30 buckets of equal width from the least to the largest, what is not finite left out.
struct Histogram {
  static constexpr int buckets = 30;
  double low = 0, high = 0; // of the finite values; one bucket's width apart if all are equal
  std::vector<uint64_t> counts;
  uint64_t notFinite = 0;

  static Histogram of(std::span<const float> values);
};

/// An event file of scalars, histograms and texts that TensorBoard (and W&B's importer) read.
class TensorBoardWriter {
public:
  static Result<std::unique_ptr<TensorBoardWriter>> create(const std::string &dir);
  ~TensorBoardWriter();
  Status scalars(uint64_t step, const std::vector<std::pair<std::string, double>> &values);
  Status histogram(uint64_t step, std::string_view tag, const Histogram &h);
  /// Markdown, in UTF-8.
  Status text(uint64_t step, std::string_view tag, std::string_view text);
  Status flush();

private:
  Status record(std::string_view event);
  Status summary(uint64_t step, std::string_view values);
  FILE *file = nullptr;
  std::string path;
};

/// The series of a training stage: steps.jsonl (one object per step), measured.jsonl (what is measured now and then)
/// and an event file in `dir`/tensorboard.
class StepLog {
public:
  /// Steps after `keepUntil` are cut off: a resumed run makes them again.
  static Result<std::unique_ptr<StepLog>> open(const std::string &dir, const std::string &stage,
                                               uint64_t keepUntil);
  Status step(const StepRecord &r);
  /// Another number, as it is after step `step`.
  Status measured(uint64_t step, const std::string &name, double value);
  TensorBoardWriter &events() { return *board; }
  Status flush();

private:
  struct File {
    ~File();
    /// Opens it behind its lines up to step `keepUntil`.
    Status open(const std::string &path, uint64_t keepUntil);
    Status line(const nlohmann::json &j);
    Status flush();
    FILE *file = nullptr;
    std::string path;
  };
  File steps, measurements;
  std::string stage;
  std::unique_ptr<TensorBoardWriter> board;
};

} // namespace r1rt
#endif
