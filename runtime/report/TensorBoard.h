//===- TensorBoard.h - series of a stage, in files -------------------------===//
#ifndef R1RT_REPORT_TENSORBOARD_H
#define R1RT_REPORT_TENSORBOARD_H
#include "runtime/Status.h"
#include "runtime/report/Reporter.h"
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

namespace r1rt {

uint32_t crc32c(std::string_view data);

/// An event file of scalars that TensorBoard (and W&B's importer) read.
class TensorBoardWriter {
public:
  static Result<std::unique_ptr<TensorBoardWriter>> create(const std::string &dir);
  ~TensorBoardWriter();
  Status scalars(uint64_t step, const std::vector<std::pair<std::string, double>> &values);
  Status flush();

private:
  Status record(std::string_view event);
  FILE *file = nullptr;
  std::string path;
};

/// The series of a training stage: steps.jsonl (one object per step) and an event file in
/// `dir`/tensorboard.
class StepLog {
public:
  /// Steps after `keepUntil` are cut off: a resumed run makes them again.
  static Result<std::unique_ptr<StepLog>> open(const std::string &dir, const std::string &stage,
                                               uint64_t keepUntil);
  ~StepLog();
  Status step(const StepRecord &r);
  Status flush();

private:
  FILE *file = nullptr;
  std::string path, stage;
  std::unique_ptr<TensorBoardWriter> board;
};

} // namespace r1rt
#endif
