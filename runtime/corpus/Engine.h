//===- Engine.h - makes a corpus from a tree of data -------------------------===//
//
//   files ─► units ─► chunks ──passes──► chunk files (rows, ledger, keys; then a sidecar) ─► shards
//
// A unit is one large file or several small ones that stand side by side; a chunk is a few MiB of it.
// Both are functions of the files alone, so the result is the same for any number of threads and
// ranks. A chunk is done when its sidecar is there; a run that was killed makes the others.
// Ranks share the folder: rank r takes the units u with u mod ranks == r.
//
//===----------------------------------------------------------------------===//
#ifndef R1RT_CORPUS_ENGINE_H
#define R1RT_CORPUS_ENGINE_H
#include "runtime/corpus/Context.h"
#include "runtime/corpus/Row.h"
#include <functional>

namespace r1rt::corpus {

struct Progress {
  uint64_t rows = 0, kept = 0;   // of this phase, that came in and went out
  uint64_t textBytes = 0;        // that came in
  uint64_t rowsFound = 0, bytesFound = 0; // of these, those that an earlier run has made
  double done = 0;               // share of the input of this phase, 0..1
  unsigned phase = 1, phases = 1;
};

struct EngineOptions {
  std::string dir;                // of the artifact; scratch files lie in dir/scratch
  unsigned threads = 1;
  uint64_t memory = 1ull << 30;   // bytes for sorting
  uint64_t chunkBytes = 8 << 20;  // of input, in a chunk; the order of rows does not depend on it
  uint64_t shardBytes = 128 << 20; // of compressed rows, at least, in a shard
  int rank = 0, ranks = 1;
  /// All ranks have come, and each gets the error of the first that has one; empty for one rank.
  std::function<Status(const Status &)> meet;
  std::function<void(const Progress &)> progress; // from one thread at a time, some times a second
  std::function<bool()> stopAsked;
};

/// Makes the artifact, or goes on with one that was interrupted; returns its account, on rank 0 (the
/// others return null). Errors: exit class `interrupted` when asked to stop.
Result<nlohmann::json> makeCorpus(const nlohmann::json &tree, const Context &ctx,
                                  const EngineOptions &options);

/// The rows of a tree, one after the other, without files. Barriers that need files are refused (isSmall in
/// Barrier.h); rows wait for others in memory.
Status eachRow(const nlohmann::json &tree, const Context &ctx,
               const std::function<Status(Row &&)> &take);

} // namespace r1rt::corpus
#endif
