//===- PhaseRun.h - the chunks of one phase, on one rank ----------------------===//
#ifndef R1RT_CORPUS_PHASERUN_H
#define R1RT_CORPUS_PHASERUN_H
#include "runtime/corpus/Barrier.h"
#include "runtime/corpus/Compressed.h"
#include "runtime/corpus/Engine.h"
#include "runtime/corpus/Reading.h"
#include <chrono>
#include <future>
#include <mutex>
#include <optional>

namespace r1rt::corpus {

/// Chunks whose rows wait, and what has been decided about them.
struct FinishedPhase {
  std::vector<ChunkFile> chunks;
  std::unique_ptr<Barrier> barrier; // null: the last phase
};

/// Files that are read one after the other, of one branch.
struct Unit {
  const Branch *branch;
  std::vector<std::string> files;
  uint64_t bytes = 0;              // on disk
  const ChunkFile *waiting = nullptr; // of an earlier phase, else
};

/// Where a chunk ends.
struct Position {
  size_t file = 0; // of the unit
  uint64_t offset = 0, line = 1;
};

/// What a finished chunk left beside its rows.
struct Sidecar {
  uint64_t rows = 0, rowsIn = 0, textBytesIn = 0;
  bool last = false; // of its unit
  Position at;
  std::vector<PassCount> passes;
  std::map<size_t, std::string> digests; // of the rows that left a pass
  DomainSizes domains;                   // of the rows that left

  nlohmann::json toJson() const;
  /// Throws what nlohmann::json throws.
  static Sidecar fromJson(const nlohmann::json &j, size_t passes);
};

/// A part of a unit, read but not yet looked at.
struct Chunk {
  using Unreadable = std::vector<std::pair<size_t, std::string>>; // files that were skipped: what is wrong
  size_t unit = 0, number = 0;
  struct Part {
    size_t file;
    source::Block block;
    Unreadable before;
  };
  std::vector<Part> parts;
  Unreadable atEnd;
  bool last = false;
  Position at;
};

/// One phase of a plan on one rank.
class PhaseRun {
public:
  /// `before`: the phases before it. `after`: the barrier at its end, or null.
  PhaseRun(const Plan &plan, size_t phase, const Context &ctx, const EngineOptions &o,
           const std::vector<FinishedPhase> &before, Barrier *after)
      : plan(plan), phase(plan.phases[phase]), number(phase), ctx(ctx), o(o), before(before), after(after),
        dir(o.dir + "/scratch/" + std::to_string(phase)) {}

  /// Makes what is not there yet of this rank's chunks.
  Status run();
  /// All chunks of all ranks, in order, once they are there.
  Result<std::vector<ChunkFile>> chunks();
  /// What all chunks have counted, and the digests of what left each pass, one after the other.
  const std::vector<PassCount> &counted() const { return counts; }
  const std::map<size_t, std::string> &digested() const { return digests; }
  const std::string &folder() const { return dir; }

private:
  const Plan &plan;
  const Phase &phase;
  const size_t number;
  const Context &ctx;
  const EngineOptions &o;
  const std::vector<FinishedPhase> &before;
  Barrier *after;
  const std::string dir;
  std::vector<Unit> units;
  std::vector<PassCount> counts;
  std::map<size_t, std::string> digests;

  std::string pathOf(size_t unit, size_t chunk) const {
    char name[48];
    std::snprintf(name, sizeof name, "/%06zu-%06zu", unit, chunk);
    return dir + name;
  }
  void makeUnits();
  bool isDecided(const Branch &b, size_t pass) const;
  Result<std::optional<Sidecar>> done(size_t unit, size_t chunk) const;

  // ── reading: one at a time ──
  std::mutex reading;
  size_t unit = 0, chunk = 0, file = 0;
  std::unique_ptr<source::BlockReader> reader;
  uint64_t unitsBytes = 0, passedBytes = 0; // on disk, of this rank
  std::optional<Position> resumeAt; // where reading goes on once a chunk is missing
  std::optional<Chunk::Part> pending;
  std::vector<source::Block> spare; // their memory is used again: fresh pages cost as much as filling them
  Status takeSidecar(const Sidecar &s);
  Status goOn();
  Result<bool> nextBlock(Chunk::Part &part);
  Result<bool> nextChunk(Chunk &c);
  void endUnit();

  // ── working: many at a time ──
  struct Worker {
    std::map<size_t, std::unique_ptr<Pass>> passes;
    std::map<const Branch *, std::unique_ptr<RowReader>> readers;
    std::string lines; // rows on their way into a file
    Packer packer;
    std::vector<source::Block> spare; // that it has read
    /// The last chunk on its way to the disk, while the next one is worked on: first its files, then the
    /// sidecar that says they are there.
    std::future<Status> sealing;
    Status sealed() { return sealing.valid() ? sealing.get() : Status::ok(); }
  };
  std::map<size_t, PassMaker> makers;
  std::atomic<uint64_t> rowsIn{0}, rowsOut{0}, bytesIn{0};
  std::atomic<uint64_t> rowsFound{0}, bytesFound{0}; // in chunks that an earlier run has made
  std::map<const Branch *, std::atomic<uint64_t>> badRows;
  std::mutex failing;
  Status failure;
  std::atomic<bool> stop{false};
  void fail(const Status &st);
  Status work(Worker &w, Chunk &c);
  void report(bool atEnd);
  std::chrono::steady_clock::time_point reported;
  std::mutex reportMutex;
};

} // namespace r1rt::corpus
#endif
