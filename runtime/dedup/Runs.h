//===- Runs.h - sorted files of small records, written whole or not at all --===//
//
// A run: "r1dedup1", u32 bytes of a record, u32 0, u64 records, u64 XXH3-64 of the records, records.
// Written beside its place, flushed and renamed; so a file under its own name is complete, and a
// file that was damaged later is found by its hash and named. Byte order is the machine's: runs are
// scratch files, not an exchange format.
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
#include <queue>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

namespace r1rt::dedup {

/// The untyped halves; use RunWriter and RunReader.
class RunOut {
public:
  RunOut(std::string path, uint32_t recordBytes);
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
  RunIn(std::string path, uint32_t recordBytes);
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

bool runExists(const std::string &path);

template <class T> class RunWriter {
  static_assert(std::is_trivially_copyable_v<T>);

public:
  explicit RunWriter(std::string path) : out(std::move(path), sizeof(T)) {}
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
  explicit RunReader(std::string path) : in(std::move(path), sizeof(T)) {}
  Status open() { return in.open(); }
  uint64_t records() const { return in.records(); }
  /// False at the end.
  Result<bool> next(T &record) {
    if (at == buffer.size()) {
      buffer.resize(65536 / sizeof(T));
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
  size_t at = 0;
};

/// Visits the records of sorted runs in ascending order; 64 KiB for each run.
template <class T, class Fn> Status mergeRuns(const std::vector<std::string> &paths, Fn visit) {
  std::vector<RunReader<T>> readers;
  for (const std::string &path : paths) {
    readers.emplace_back(path);
    R1RT_TRY(readers.back().open());
  }
  struct Head {
    T record;
    size_t reader;
    bool operator<(const Head &o) const { return o.record < record; } // the least on top
  };
  std::priority_queue<Head> heads;
  auto pull = [&](size_t r) -> Status {
    Head head{{}, r};
    R1RT_ASSIGN(bool more, readers[r].next(head.record));
    if (more)
      heads.push(head);
    return Status::ok();
  };
  for (size_t r = 0; r < readers.size(); ++r)
    R1RT_TRY(pull(r));
  while (!heads.empty()) {
    Head head = heads.top();
    heads.pop();
    R1RT_TRY(visit(head.record));
    R1RT_TRY(pull(head.reader));
  }
  return Status::ok();
}

/// fn(0) ... fn(n - 1) by up to `threads` threads; the error of the least index, if any.
Status parallelFor(size_t n, unsigned threads, const std::function<Status(size_t)> &fn);

} // namespace r1rt::dedup
#endif
