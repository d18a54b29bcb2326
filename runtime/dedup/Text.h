//===- Text.h - what of a text is compared: normal form, units, shingles ---===//
//
// The normal form: words in lower case with single spaces between. The rule, exactly:
//   - white space, punctuation, symbols and control characters (Unicode's categories P, S and Cc) part
//     words: "don't" is "don t"; format characters (Cf), private and unassigned code points are
//     removed, as are bytes that are not UTF-8;
//   - the rest is mapped by Unicode's simple case folding;
//   - with foldNumbers, a number (digits of any script, with one of . , U+060C U+066B U+2396..2398 and
//     further digits, or without) is "0" where it stands, before all other rules: "v1.5b" is "v0b";
//   - with foldDiacritics, characters are decomposed canonically (NFD) and nonspacing marks removed.
// With both it is datatrove's simplify_text (0.10.1), which FineWeb was deduplicated with, but for:
// its list of punctuation has 129 characters and lacks most of P and S, such as curly opening quotes
// and the euro; it keeps format characters; its lower case has two small sigmas.
//
// Units are what n-grams count. `words`: the words, but each Han, Hiragana and Katakana character is
// a word of its own, so that Chinese is compared by characters in a mixed corpus, too; datatrove asks
// a tokenizer for each language (spaCy's English one parts "cannot", too). `characters`: each code
// point but the space.
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

/// How texts are compared: with both foldings for near-duplicates, with neither for all else, where "page
/// 1" should not equal "page 2".
struct Form {
  Units units;
  bool foldNumbers, foldDiacritics;
  constexpr Form(Units units = Units::words, bool foldNumbers = true, bool foldDiacritics = true)
      : units(units), foldNumbers(foldNumbers), foldDiacritics(foldDiacritics) {}
};
constexpr Form unfolded = {Units::words, false, false};

/// Buffers, reused to spare allocations; one for each thread.
struct TextScratch {
  std::string lower, word, folded, normal;
  std::vector<uint64_t> masks;
};

/// The normal form described above.
/// A part of the scratch, until it is used again.
std::string_view normalise(std::string_view text, const Form &form, TextScratch &scratch);
std::string normalise(std::string_view text, const Form &form = unfolded);

/// The units of a normal form, as parts of it.
std::vector<std::string_view> unitsOf(std::string_view normal, Units units);

/// The bytes of a text, which need not be in normal form, from the first to the last character of each
/// unit of its normal form without folding.
struct UnitSpan {
  size_t begin, end;
};
std::vector<UnitSpan> unitSpans(std::string_view text, Units units);

/// text::shortHash of each unit of `text`, which need not be in normal form; `hashes` is overwritten.
void hashUnits(std::string_view text, const Form &form, TextScratch &scratch,
               std::vector<uint64_t> &hashes);

/// A 64-bit hash for each n consecutive units, in order, repetitions included. A text of fewer
/// than n units, but at least one, has one shingle: all of it. n >= 1. The hash is a polynomial in
/// the units' hashes modulo 2^64, which rolls, passed through the same finalizer.
void shingleHashes(const std::vector<uint64_t> &units, unsigned n, std::vector<uint64_t> &shingles);

/// The sorted distinct shingles of a text: the set whose Jaccard similarity is meant.
std::vector<uint64_t> shingleSet(std::string_view text, const Form &form, unsigned n);

/// |a & b| / |a | b| of sorted distinct values; 0 if both are empty.
double jaccard(const std::vector<uint64_t> &a, const std::vector<uint64_t> &b);

} // namespace r1rt::dedup
#endif
