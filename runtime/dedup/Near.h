//===- Near.h - clusters of near-duplicates in external memory --------------===//
//
//   keys of the bands ──add──► sorted runs on disk ──merge──► pairs ──verify──► union-find ──► kept
//
// Documents are numbered 0, 1, ... in document order. Two documents with the same key in the same
// band are a candidate pair; keys come from MinHash::keys or SimHashBlocks::keys. The result is a
// function of the keys and the options that are marked so: not of memory, threads or restarts.
//
// Killed at any point, a deduplication goes on: `open` the same folder, add the documents from
// `next()` on, `finish`.
//
//===----------------------------------------------------------------------===//
#ifndef R1RT_DEDUP_NEAR_H
#define R1RT_DEDUP_NEAR_H
#include "runtime/Status.h"
#include <compare>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

namespace r1rt::dedup {

/// A pair of documents, first < second.
struct DocPair {
  uint32_t first, second;
  auto operator<=>(const DocPair &) const = default;
};

/// The similarity of two documents, 0..1: called from several threads. For MinHash the Jaccard
/// similarity of their shingle sets; for SimHash 1 - distance / 64.
using Similarity = std::function<Result<double>(uint32_t first, uint32_t second)>;

struct NearOptions {
  std::string dir = {};      // scratch files; created if missing
  std::string identity = {}; // what the keys depend on (corpus, MinHash options): a restart must agree
  unsigned bands = 14;   // 1..1024; part of the result
  uint64_t memory = 512 << 20; // bytes for the entries that wait to be sorted, at least 1 MiB
  unsigned threads = 1;
  /// Up to this many members of a bucket are paired each with each; each further one with the first
  /// and with its predecessor. Without verification this changes nothing in the clusters; with it,
  /// it bounds the work for a text that occurs a million times. Part of the result.
  unsigned allPairs = 16;
  Similarity similarity = {}; // empty: candidates are believed
  double least = 0.8;    // pairs of at least this similarity are joined; part of the result
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
  /// Starts, or goes on with what the folder holds. An error if it holds another deduplication.
  static Result<NearDuplicates> open(NearOptions options);

  /// The first document that has to be added; those before it are safe on disk.
  uint32_t next() const { return documents; }
  /// All documents were added, and a former run began to merge: only `finish` is left.
  bool isComplete() const { return complete; }
  /// The next document in order, with one key for each band; empty: it resembles nothing.
  Status add(std::span<const uint64_t> keys);
  /// Merges, verifies, joins. The result also lies in dir/duplicates, a run of Duplicate.
  Result<Clusters> finish();

private:
  explicit NearDuplicates(NearOptions o) : opts(std::move(o)) {}
  std::string path(const std::string &name) const { return opts.dir + "/" + name; }
  std::string runPath(unsigned band, uint32_t run) const;
  Status writeManifest() const;
  Status flush();
  Status pairBand(unsigned band) const;
  Status verify(std::vector<std::string> &accepted) const;

  // 12 bytes: the bulk of all memory and disk.
  struct __attribute__((packed)) Entry {
    uint64_t key;
    uint32_t doc;
    bool operator<(const Entry &o) const { return key != o.key ? key < o.key : doc < o.doc; }
  };
  struct Accepted {
    DocPair pair;
    float similarity;
  };

  NearOptions opts;
  std::string identity;
  uint32_t documents = 0, runs = 0;
  bool complete = false;
  std::vector<std::vector<Entry>> buffers; // by band
  size_t perBuffer = 0, waiting = 0;
};

//===----------------------------------------------------------------------===//
// Ranks: band b belongs to rank b mod ranks. Each rank turns its documents into one buffer for each
// owner, the buffers are exchanged (MPI_Alltoallv of bytes), each owner turns what it got into pairs,
// the pairs are gathered by all, and each joins them to the same clusters.
//===----------------------------------------------------------------------===//

struct BandEntry {
  uint64_t key;
  uint32_t band, doc;
  auto operator<=>(const BandEntry &) const = default;
};

/// keys: `bands` for each document, documents first, first + 1, ...; `empty[i]` marks documents
/// without a signature (empty span: none). One buffer for each rank.
std::vector<std::vector<BandEntry>> shareBands(std::span<const uint64_t> keys, unsigned bands,
                                               uint32_t first, std::span<const uint8_t> empty,
                                               unsigned ranks);

/// The sorted distinct candidate pairs of the bands in `buffers`, one from each rank.
std::vector<DocPair> pairsOf(std::span<const std::vector<BandEntry>> buffers, unsigned allPairs);

/// Joins pairs in any order; score as in NearOptions.
Clusters clustersOf(uint32_t documents, std::span<const std::vector<DocPair>> pairs,
                    const std::function<double(uint32_t)> &score = {});

} // namespace r1rt::dedup
#endif
