//===- Runs.h - sorted files of small records, written whole or not at all --===//
//
// A run: "r1dedup2", u64 of, u32 bytes of a record, u32 0, u64 records, u64 XXH3-64 of the records,
// records. `of` is a hash of what the run was made from. Written beside its place, flushed and
// renamed; so a file under its own name is complete, and a file that was damaged later is found by
// its hash and named. Byte order is the machine's: runs are scratch files, not an exchange format.
//
//===----------------------------------------------------------------------===//
#ifndef R1RT_DEDUP_RUNS_H
#define R1RT_DEDUP_RUNS_H
#include "runtime/Status.h"
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

namespace r1rt::dedup {

/// Where records lie: a run, or a part of another file.
struct RunSource {
  std::string path;
  struct Part {
    uint64_t offset, records, hash;
  };
  std::optional<Part> part = {};
  uint32_t base = 0; // added to the records' `doc` by mergeRuns
};

/// The untyped halves; use RunWriter and RunReader.
class RunOut {
public:
  RunOut(std::string path, uint32_t recordBytes, uint64_t of);
  ~RunOut();
  RunOut(RunOut &&) noexcept;
  Status open();
  Status write(const void *records, size_t count);
  /// Flushes, renames. Without it nothing appears at the path.
  Status close();

private:
  struct State;
  std::unique_ptr<State> s;
};

class RunIn {
public:
  RunIn(RunSource source, uint32_t recordBytes);
  ~RunIn();
  RunIn(RunIn &&) noexcept;
  /// Checks the header and the file's size against it.
  Status open();
  uint64_t records() const;
  /// Up to `most` records; 0 at the end, where the hash is compared.
  Result<size_t> read(void *records, size_t most);

private:
  struct State;
  std::unique_ptr<State> s;
};

void removeFiles(const std::vector<std::string> &paths);

/// Whether a run made from `of` lies at the path, by its header and its size.
bool runExists(const std::string &path, uint64_t of);

template <class T> class RunWriter {
  static_assert(std::is_trivially_copyable_v<T>);

public:
  explicit RunWriter(std::string path, uint64_t of = 0) : out(std::move(path), sizeof(T), of) {}
  Status open() { return out.open(); }
  Status put(const T &record) {
    buffer.push_back(record);
    return buffer.size() < 65536 / sizeof(T) ? Status::ok() : flush();
  }
  Status put(std::span<const T> records) {
    R1RT_TRY(flush());
    return out.write(records.data(), records.size());
  }
  Status close() {
    R1RT_TRY(flush());
    return out.close();
  }

private:
  Status flush() {
    Status st = buffer.empty() ? Status::ok() : out.write(buffer.data(), buffer.size());
    buffer.clear();
    return st;
  }
  RunOut out;
  std::vector<T> buffer;
};

template <class T> class RunReader {
public:
  explicit RunReader(RunSource source, size_t bufferBytes = 65536)
      : in(std::move(source), sizeof(T)), most(std::max<size_t>(bufferBytes / sizeof(T), 1)) {}
  Status open() { return in.open(); }
  uint64_t records() const { return in.records(); }
  /// False at the end.
  Result<bool> next(T &record) {
    if (at == buffer.size()) {
      buffer.resize(most);
      R1RT_ASSIGN(size_t got, in.read(buffer.data(), buffer.size()));
      buffer.resize(got);
      at = 0;
      if (!got)
        return false;
    }
    record = buffer[at++];
    return true;
  }

private:
  RunIn in;
  std::vector<T> buffer;
  size_t most, at = 0;
};

/// What a merge may use. More runs than that allows are first merged in groups, into files
/// `scratch`-0, -1, ..., which are removed again.
struct MergeLimits {
  std::string scratch;
  uint64_t memory = 64 << 20; // bytes of buffers
  unsigned files = 256;       // open at a time, at least 2
};

template <class T, class Fn>
Status mergeOnce(std::span<const RunSource> sources, uint64_t memory, Fn visit) {
  const size_t buffer = std::clamp<size_t>(memory / std::max<size_t>(sources.size(), 1), 4096, 1 << 18);
  std::vector<RunReader<T>> readers;
  for (const RunSource &s : sources) {
    readers.emplace_back(s, buffer);
    R1RT_TRY(readers.back().open());
  }
  // A heap with the least record on top. Its root is replaced, not removed and added.
  struct Head {
    T record;
    uint32_t reader;
  };
  std::vector<Head> heads;
  auto greater = [](const Head &a, const Head &b) { return b.record < a.record; };
  auto pull = [&](Head &head) -> Result<bool> {
    R1RT_ASSIGN(bool more, readers[head.reader].next(head.record));
    if constexpr (requires { head.record.doc; })
      head.record.doc += sources[head.reader].base;
    return more;
  };
  for (uint32_t r = 0; r < readers.size(); ++r) {
    Head head{{}, r};
    R1RT_ASSIGN(bool more, pull(head));
    if (more)
      heads.push_back(head);
  }
  std::make_heap(heads.begin(), heads.end(), greater);
  while (!heads.empty()) {
    R1RT_TRY(visit(heads[0].record));
    Head head = heads[0];
    R1RT_ASSIGN(bool more, pull(head));
    if (!more) {
      head = heads.back();
      heads.pop_back();
      if (heads.empty())
        break;
    }
    size_t at = 0;
    for (size_t child; (child = 2 * at + 1) < heads.size(); at = child) {
      if (child + 1 < heads.size() && heads[child + 1].record < heads[child].record)
        ++child;
      if (!(heads[child].record < head.record))
        break;
      heads[at] = heads[child];
    }
    heads[at] = head;
  }
  return Status::ok();
}

/// Visits the records of sorted runs in ascending order.
template <class T, class Fn>
Status mergeRuns(std::vector<RunSource> sources, const MergeLimits &limits, Fn visit) {
  const size_t most = std::clamp<size_t>(limits.memory >> 14, 2, std::max(limits.files, 2u));
  std::vector<std::string> made; // by the level before
  for (unsigned number = 0; sources.size() > most;) {
    std::vector<RunSource> merged;
    for (size_t from = 0; from < sources.size(); from += most) {
      auto group = std::span(sources).subspan(from, std::min(most, sources.size() - from));
      merged.push_back({limits.scratch + "-" + std::to_string(number++)});
      RunWriter<T> out(merged.back().path);
      R1RT_TRY(out.open());
      R1RT_TRY(mergeOnce<T>(group, limits.memory, [&](const T &r) { return out.put(r); }));
      R1RT_TRY(out.close());
    }
    removeFiles(made);
    made.clear();
    for (const RunSource &s : merged)
      made.push_back(s.path);
    sources = std::move(merged);
  }
  R1RT_TRY(mergeOnce<T>(sources, limits.memory, visit));
  removeFiles(made);
  return Status::ok();
}

/// fn(0) ... fn(n - 1) by up to `threads` threads; the error of the least index, if any.
Status parallelFor(size_t n, unsigned threads, const std::function<Status(size_t)> &fn);

} // namespace r1rt::dedup
#endif
