//===- OutputLog.h - what a model has written, until it is a corpus ---------------===//
//
// outputs.jsonl is only appended to, in the order in which texts end, and cut where a crash has left half a line.
//
//===----------------------------------------------------------------------===//
#ifndef R1RT_STAGES_OUTPUTLOG_H
#define R1RT_STAGES_OUTPUTLOG_H
#include "runtime/corpus/Context.h"
#include "runtime/state/Files.h"
#include <cerrno>
#include <chrono>
#include <cstring>
#include <unistd.h>
#include <unordered_map>
#include <unordered_set>

namespace r1rt {

/// What identifies a request: a row, and of several samples which.
inline std::string nameOf(const std::string &row, int64_t sample) { return row + "#" + std::to_string(sample); }

/// outputs.jsonl: {"row": ID, "sample": k, "tokens": of the prompt} and "empty": true, "cut": true where
/// the prompt was; then "outputs": [{FIELDS}], or "most": N where the prompt was too long and the row is dropped.
class OutputLog {
public:
  ~OutputLog() {
    if (fd >= 0)
      ::close(fd);
  }
  /// Reads what is there.
  Status open(const std::string &path);
  bool has(const std::string &name) const { return names.count(name) > 0; }
  uint64_t size() const { return names.size(); }
  Status add(const nlohmann::json &line);
  /// What was added is on the disk afterwards.
  Status flush();

private:
  std::string path, buffer;
  std::chrono::steady_clock::time_point flushed = std::chrono::steady_clock::now();
  int fd = -1;
  std::unordered_set<std::string> names;

  Status failed(const char *what) const {
    return Status::error(std::string("cannot ") + what + " `" + path + "`: " + std::strerror(errno));
  }
};

/// The finished log: outputs by row.
class Outputs {
public:
  /// `some`: rows may have none.
  explicit Outputs(bool some) : some(some) {}
  /// {"outputs", "tokens", "stopped"; of rows "asked", "cut", "dropped", "empty"}
  nlohmann::json counts = {{"asked", 0}, {"outputs", 0}, {"tokens", 0}, {"stopped", 0}, {"cut", 0}, {"dropped", 0}, {"empty", 0}};

  Status open(const std::string &path);

  /// corpus::Context::outputs
  Result<corpus::Written> of(const std::string &row) const;

private:
  const bool some;
  MappedFile file;
  std::unordered_map<std::string, std::vector<std::pair<size_t, size_t>>> places;

  Result<nlohmann::json> parse(size_t at, size_t size) const;
};

} // namespace r1rt
#endif
