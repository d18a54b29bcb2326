//===- Signature.h - MinHash, SimHash and exact hashes of documents --------===//
//
// MinHash (Broder, 1997): two documents agree in one place of their signatures with the
// probability s, the Jaccard similarity of their shingle sets; cut into b bands of r rows, they
// agree in a whole band with the probability 1 - (1 - s^r)^b.
//
// The permutations are x -> a x + b modulo 2^32, a odd: the linear permutations of Bohman, Cooper
// and Frieze (Min-wise independent linear permutations, 2000), over the upper half of the
// shingle's 64-bit hash. a and b are drawn by Philox, keyed (seed, permutation), so that
// signatures of different runs and machines can be compared.
//
//===----------------------------------------------------------------------===//
#ifndef R1RT_DEDUP_SIGNATURE_H
#define R1RT_DEDUP_SIGNATURE_H
#include "runtime/Status.h"
#include "runtime/dedup/Text.h"
#include <array>
#include <span>

namespace r1rt::dedup {

struct MinHashOptions {
  Units units = Units::words;
  bool foldNumbers = true, foldDiacritics = true;
  unsigned ngram = 5;           // 1..1000
  unsigned bands = 14, rows = 8; // 1..1024 each, bands * rows <= 4096
  uint64_t seed = 1;
  Form form() const { return {units, foldNumbers, foldDiacritics}; }
};

/// Immutable after `create`; the methods may be called from any thread, one Scratch each.
class MinHash {
public:
  struct Scratch {
    TextScratch text;
    std::vector<uint64_t> units, shingles;
    std::vector<uint32_t> values, minima;
  };

  static Result<MinHash> create(const MinHashOptions &options);
  const MinHashOptions &options() const { return opts; }
  unsigned bands() const { return opts.bands; }

  /// bands * rows minima into `out`. False, and `out` untouched, for a text without any unit:
  /// it resembles nothing.
  bool sign(std::string_view text, Scratch &scratch, std::span<uint32_t> out) const;
  /// The same from shingle hashes; at least one.
  void signShingles(std::span<const uint64_t> shingles, Scratch &scratch,
                    std::span<uint32_t> out) const;
  /// One 64-bit key for each band of a signature.
  void keys(std::span<const uint32_t> signature, std::span<uint64_t> out) const;

private:
  MinHashOptions opts;
  std::vector<uint32_t> factor, shift; // padded to a multiple of 16
};

/// SimHash (Charikar, 2002): bit i is the majority of the bits i of all shingles, each occurrence
/// counted; a tie is 0. A text without units has the hash 0.
uint64_t simHash(std::string_view text, const Form &form, unsigned ngram, MinHash::Scratch &scratch);

/// Finds hashes at a Hamming distance of at most k, as Manku, Jain and Das Sarma (2007): 64 bits in
/// k + more blocks; k differing bits spoil at most k of them, so one of the C(k + more, more)
/// choices of `more` blocks agrees, and is a key.
class SimHashBlocks {
public:
  /// distance 0..7, more 1..4.
  static Result<SimHashBlocks> create(unsigned distance, unsigned more = 2);
  unsigned tables() const { return unsigned(masks.size()); }
  unsigned distance() const { return most; }
  void keys(uint64_t hash, std::span<uint64_t> out) const;

private:
  unsigned most = 0;
  std::vector<uint64_t> masks;
};

/// XXH3-128 of the normal form without folding: equal documents but for case, space and punctuation.
std::array<uint64_t, 2> exactHash(std::string_view text, MinHash::Scratch &scratch);

} // namespace r1rt::dedup
#endif
