//===- Barrier.h - passes that see all rows before they judge one ------------===//
//
//   dedup    {"how": {…}, "above": 0.8, "keep": "first"|"longest", "verify": bool}
//   mix      {"by", "weight", "temper", "cap", "floor", "seed"}
//   repeats  {"part": "line"|"paragraph", "threshold", "keep_first"}
//   sample   {"n": N, "seed": 0}
//   split    {"contiguous": true, "part", "fractions"}
//
// While a phase runs, each chunk is observed by its worker, who leaves what the barrier needs beside
// the chunk's rows. When all chunks are there, the barrier decides; its pass then opens the next phase.
//
//===----------------------------------------------------------------------===//
#ifndef R1RT_CORPUS_BARRIER_H
#define R1RT_CORPUS_BARRIER_H
#include "runtime/corpus/Pass.h"

namespace r1rt::corpus {

struct DomainSize {
  uint64_t rows = 0, bytes = 0; // of text
  DomainSize &operator+=(const DomainSize &o);
};
using DomainSizes = std::map<std::string, DomainSize>;

struct ChunkFile {
  std::string path;       // PATH.rows and its like
  uint64_t first = 0, rows = 0; // in the order of the phase
  DomainSizes domains;
};

/// A finished phase.
struct Waiting {
  std::string dir; // for the barrier's own files
  std::vector<ChunkFile> chunks;
  uint64_t rows = 0;
  uint64_t memory = 0;
  unsigned threads = 1;
  int rank = 0, ranks = 1;
  std::function<Status(const Status &)> meet; // EngineOptions::meet, never empty
};

class Observer {
public:
  virtual ~Observer() = default;
  virtual Status see(const Row &row) = 0;
  /// Its files are complete. Those that are to be flushed yet are added to `written`.
  virtual Status finish(std::vector<std::string> &written) = 0;
};

class Barrier {
public:
  virtual ~Barrier() = default;
  /// Of one chunk, whose files begin with `path`; null if there is nothing to observe.
  virtual Result<std::unique_ptr<Observer>> observe(const std::string &path) = 0;
  /// All ranks call it.
  virtual Status decide(const Waiting &waiting) = 0;
  /// What was decided, for the account; null if that goes without saying.
  virtual nlohmann::json report() const { return nullptr; }
  /// After `decide`: may be called for each thread. Lives as long as the barrier.
  virtual Result<std::unique_ptr<Pass>> pass() = 0;
};

/// Does the node need all rows first?
bool isBarrier(const nlohmann::json &node);
/// A barrier that needs no files of its own, so that rows may wait for it in memory.
bool isSmall(const nlohmann::json &node);

Result<std::unique_ptr<Barrier>> barrierOf(const nlohmann::json &node);

} // namespace r1rt::corpus
#endif
