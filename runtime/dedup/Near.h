//===- Near.h - clusters of duplicates in external memory --------------------===//
//
//   documents of a chunk ──KeyWriter──► key file        any worker, any order of chunks
//   all key files ──NearDuplicates::pair──► pairs       rank r of n: the bands b with b mod n == r
//   all pairs ──NearDuplicates::finish──► Clusters      one rank, once all have paired
//
// Two documents with the same key in the same band are a candidate pair. Keys come from
//   MinHash::keys          near-duplicates, believed or verified by the true Jaccard similarity;
//   SimHashBlocks::keys    near-duplicates, verified by hammingSimilarity;
//   exactHash              one band of 2 words: equal documents; nothing is left to verify.
//
// Documents are numbered 0, 1, ... through the key files in the order of their list. The result is a
// function of the keys and the options that are marked so: not of chunks, ranks, memory, threads or
// restarts. What is complete on disk is not made again: each file names by a hash what it was made
// from, so a folder that holds something else is simply overwritten.
//
//===----------------------------------------------------------------------===//
#ifndef R1RT_DEDUP_NEAR_H
#define R1RT_DEDUP_NEAR_H
#include "runtime/Status.h"
#include "runtime/dedup/KeyFile.h"
#include <compare>
#include <functional>

namespace r1rt::dedup {

/// A pair of documents, first < second.
struct DocPair {
  uint32_t first, second;
  auto operator<=>(const DocPair &) const = default;
};

/// The similarity of two documents, 0..1: called from several threads. For MinHash the Jaccard
/// similarity of their shingle sets (Text.h); for SimHash see hammingSimilarity.
using Similarity = std::function<Result<double>(uint32_t first, uint32_t second)>;

struct NearOptions {
  std::string dir = {};        // pairs and what else lies between; created if missing, shared by ranks
  std::string identity = {};   // what `similarity` and `score` depend on besides the keys
  uint64_t memory = 512 << 20; // bytes for merging and sorting, all threads together; at least 1 MiB
  unsigned threads = 1;
  /// Up to this many members of a bucket are paired each with each; each further one with the first
  /// and with its predecessor. Without verification this changes nothing in the clusters; with it,
  /// it bounds the work for a text that occurs a million times. Part of the result.
  unsigned allPairs = 16;
  Similarity similarity = {}; // empty: candidates are believed
  double least = 0.8;         // pairs of at least this similarity are joined; part of the result
  /// Of a cluster the document of the highest score is kept, of equal ones the first; empty: the
  /// first. The longest: the number of bytes as a score.
  std::function<double(uint32_t doc)> score = {};
};

struct Duplicate {
  uint32_t doc, kept; // doc is a duplicate of kept
  /// With verification: the document most similar to doc among its accepted pairs (the first of
  /// equals), and their similarity; without, `kept` and -1.
  uint32_t match;
  float similarity;
};

struct Clusters {
  std::vector<uint32_t> kept;        // for each document the one that stands for it, or itself
  std::vector<Duplicate> duplicates; // those that are not kept, in document order

  bool isKept(uint32_t doc) const { return kept[doc] == doc; }
  /// Each cluster of two or more, in the order of the kept documents; members in document order,
  /// the kept one among them.
  void forEach(const std::function<void(uint32_t kept, std::span<const uint32_t> members)> &) const;
};

class NearDuplicates {
public:
  /// Reads the heads of the key files, which must agree in bands and words; at most 2^32 - 1
  /// documents.
  static Result<NearDuplicates> open(NearOptions options, const std::vector<std::string> &keyFiles);

  uint32_t documents() const { return count; }
  /// Makes the pairs of the bands of a rank, 0 <= rank < ranks; bands whose pairs are there are
  /// skipped. Ranks work at the same time, each on files of its own.
  Status pair(unsigned rank = 0, unsigned ranks = 1) const;
  /// Pairs the bands that nobody has paired, verifies, joins. Only when no rank is pairing any more.
  /// The result also lies in dir/duplicates, a run of Duplicate.
  Result<Clusters> finish() const;

private:
  struct Accepted;
  explicit NearDuplicates(NearOptions o) : opts(std::move(o)) {}
  std::string path(const std::string &name) const { return opts.dir + "/" + name; }
  std::string pairsPath(unsigned band) const { return path("pairs-" + std::to_string(band)); }
  template <unsigned words> Status pairBand(unsigned band, unsigned threads) const;
  Status verify(std::vector<std::string> &accepted) const;
  Result<Clusters> join() const;

  NearOptions opts;
  std::vector<KeyFile> files;
  unsigned bands = 0, words = 1;
  uint32_t count = 0;
  uint64_t pairsOf = 0, resultOf = 0; // what the files of pairs and those after them are made from
};

/// The verification of SimHash: 1 - distance / 64, from files that writeHashes wrote, one for each
/// key file and in the same order. For a distance of at most k give least = 1 - k / 64.0. The files
/// are mapped; 8 bytes for each document.
Result<Similarity> hammingSimilarity(const std::vector<std::string> &files);
/// The SimHash of each document of a chunk (any value for those without keys).
Status writeHashes(const std::string &path, std::span<const uint64_t> hashes);

} // namespace r1rt::dedup
#endif
