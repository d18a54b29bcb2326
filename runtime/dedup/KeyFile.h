//===- KeyFile.h - the keys of a chunk of documents ---------------------------===//
//
// A key file: "r1keys01", u32 bands, u32 words of a key, u64 documents, u64 entries of a band, for
// each band the u64 XXH3-64 of its entries, then the entries of band 0, of band 1, ...: the key and
// the u32 number of the document in the chunk, ascending. So each band is a sorted run, which any
// rank can merge with those of other files without reading the other bands. Numbers count from the
// chunk's first document, so a chunk can be written before its place in the corpus is known.
//
//===----------------------------------------------------------------------===//
#ifndef R1RT_DEDUP_KEYFILE_H
#define R1RT_DEDUP_KEYFILE_H
#include "runtime/Status.h"
#include "runtime/dedup/Runs.h"
#include "runtime/state/Files.h"

namespace r1rt::dedup {

/// A key of 64 or 128 bits and the document that has it: 12 or 20 bytes, the bulk of all disk.
template <unsigned words> struct __attribute__((packed)) KeyEntry {
  uint64_t key[words];
  uint32_t doc;
  bool sameKey(const KeyEntry &o) const {
    return key[0] == o.key[0] && key[words - 1] == o.key[words - 1];
  }
  bool operator<(const KeyEntry &o) const {
    for (unsigned w = 0; w < words; ++w)
      if (key[w] != o.key[w])
        return key[w] < o.key[w];
    return doc < o.doc;
  }
  bool operator==(const KeyEntry &o) const { return sameKey(o) && doc == o.doc; }
};

/// Holds a chunk's keys, 8 words + 4 bytes for each document and band, until they are written.
class KeyWriter {
public:
  /// bands 1..1024, words 1 or 2.
  static Result<KeyWriter> create(unsigned bands, unsigned words = 1);
  /// The next document: bands * words values, or none if it resembles nothing. With one band a
  /// document may have any number of keys (Repeats.h).
  Status append(std::span<const uint64_t> keys);
  uint32_t documents() const { return count; }
  /// Writes the file, whole or not at all. The writer is empty afterwards, ready for the next chunk.
  Status finish(const std::string &path, Flush flush = Flush::now);

private:
  unsigned bands = 0, words = 1;
  uint32_t count = 0;
  template <unsigned w> using Lists = std::vector<std::vector<KeyEntry<w>>>; // by band
  Lists<1> narrow; // words = 1
  Lists<2> wide;   // words = 2
  template <unsigned w> void append(Lists<w> &lists, std::span<const uint64_t> keys);
  template <unsigned w> Status finish(Lists<w> &lists, const std::string &path, Flush flush);
};

/// The head of a key file.
class KeyFile {
public:
  /// Checks the head and the size; the entries are checked against their hash when they are read.
  static Result<KeyFile> open(std::string path);
  unsigned bands() const { return unsigned(hashes.size()); }
  unsigned words() const { return keyWords; }
  uint32_t documents() const { return count; }
  /// A hash of the head, and so of all keys.
  uint64_t fingerprint() const { return headHash; }
  /// Of the corpus: the entries of a band, numbered from `base`.
  RunSource band(unsigned b, uint32_t base) const;

private:
  std::string path;
  unsigned keyWords = 1;
  uint32_t count = 0;
  uint64_t entries = 0, headHash = 0;
  std::vector<uint64_t> hashes; // by band
};

} // namespace r1rt::dedup
#endif
