//===- Strings.h - strings of a phase's rows, by number ----------------------===//
#ifndef R1RT_CORPUS_STRINGS_H
#define R1RT_CORPUS_STRINGS_H
#include "runtime/corpus/Barrier.h"
#include "runtime/state/Files.h"

namespace r1rt::corpus {

/// Strings of a chunk, one for each row: u64 n, n + 1 offsets, bytes.
class StringsWriter {
public:
  void add(std::string_view s) {
    bytes += s;
    ends.push_back(bytes.size());
  }
  /// Flushed later.
  Status finish(const std::string &path) const;

private:
  std::string bytes;
  std::vector<uint64_t> ends = {0};
};

/// Those of all chunks; mapped, so that only what is asked for is read.
class Strings {
public:
  /// Of the files PATH + suffix of the chunks.
  static Result<Strings> open(const std::vector<ChunkFile> &chunks, const std::string &suffix);
  std::string_view operator[](uint64_t row) const;

private:
  std::vector<MappedFile> files;
  std::vector<uint64_t> firsts; // row of each
};

} // namespace r1rt::corpus
#endif
