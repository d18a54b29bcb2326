//===- Text.h - what of a text is compared: normal form, units, shingles ---===//
//
// The normal form is the idea of datatrove's simplify_text: lower case, no punctuation, single
// spaces. The rule, exactly:
//   - code points of Unicode's general categories P (punctuation) and S (symbols), and controls
//     and format characters (C) other than white space, are removed: "don't" is "dont";
//   - each run of white space becomes one space, none at either end;
//   - the rest is mapped by Unicode's simple lower case; bytes that are not UTF-8 are removed.
// Digits and diacritics are kept as they are (datatrove folds both).
//
// Units are what n-grams count. `words`: the runs between spaces, but each Han, Hiragana and
// Katakana character is a word of its own, so that Chinese is compared by characters in a mixed
// corpus, too. `characters`: each code point except the space.
//
//===----------------------------------------------------------------------===//
#ifndef R1RT_DEDUP_TEXT_H
#define R1RT_DEDUP_TEXT_H
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace r1rt::dedup {

enum class Units { words, characters };

/// The normal form described above.
std::string normalise(std::string_view text);

/// The units of a normal form, as parts of it.
std::vector<std::string_view> unitsOf(std::string_view normal, Units units);

/// A 64-bit hash (XXH3) of each unit of `text`, which need not be in normal form.
/// Reuse the two buffers to spare allocations; `hashes` is overwritten.
void hashUnits(std::string_view text, Units units, std::string &buffer,
               std::vector<uint64_t> &hashes);

/// A 64-bit hash for each n consecutive units, in order, repetitions included. A text of fewer
/// than n units, but at least one, has one shingle: all of it. n >= 1. The hash is a polynomial in
/// the units' hashes modulo 2^64, which rolls, passed through a finalizer (Steele et al., SplitMix).
void shingleHashes(const std::vector<uint64_t> &units, unsigned n, std::vector<uint64_t> &shingles);

/// The sorted distinct shingles of a text: the set whose Jaccard similarity is meant.
std::vector<uint64_t> shingleSet(std::string_view text, Units units, unsigned n);

/// |a & b| / |a | b| of sorted distinct values; 0 if both are empty.
double jaccard(const std::vector<uint64_t> &a, const std::vector<uint64_t> &b);

} // namespace r1rt::dedup
#endif
