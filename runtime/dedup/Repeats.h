//===- Repeats.h - repeated lines and paragraphs; contamination --------------===//
#ifndef R1RT_DEDUP_REPEATS_H
#define R1RT_DEDUP_REPEATS_H
#include "runtime/Status.h"
#include "runtime/dedup/Runs.h"
#include "runtime/dedup/Text.h"
#include <span>
#include <unordered_map>

namespace r1rt::dedup {

enum class Part { line, paragraph }; // a paragraph ends at a line of white space only

/// The hashes of a document's parts, each once: keys of one band, for KeyWriter::append. Parts without a
/// unit (empty, only punctuation) have none.
void partKeys(std::string_view text, Part part, std::vector<uint64_t> &keys);

/// A part that occurs in at least `threshold` documents.
struct Repeated {
  uint64_t hash; // XXH3-64 of its normal form
  uint32_t documents, first; // how many have it, and the first of them
};

/// The repeated parts of all documents, ascending by hash. Key files of one band, in document order;
/// threshold at least 2; see MergeLimits.
Result<std::vector<Repeated>> countRepeated(const std::vector<std::string> &keyFiles,
                                            uint32_t threshold, const MergeLimits &limits);

struct Removed {
  size_t begin, end; // bytes of the part in the document
  uint32_t first;    // the document in which it stays, or stood first
  uint32_t documents;
};

/// The document without its repeated parts. keepFirst: the first document keeps them.
std::string removeRepeated(std::string_view text, uint32_t doc, Part part,
                           std::span<const Repeated> repeated, bool keepFirst,
                           std::vector<Removed> &removed);

/// Words n-grams of evaluation texts that occur in documents (GPT-3: Brown et al., 2020, appendix C,
/// n = 13 words, lower case, without punctuation). Equality is of the units, not only of hashes.
class Contamination {
public:
  /// n 1..1000.
  static Result<Contamination> create(unsigned n = 13, Units units = Units::words);
  /// An evaluation text; its number is the order of adding. False if it has fewer than n units and
  /// so takes no part.
  bool add(std::string_view text);

  struct Hit {
    uint32_t item;                // the evaluation text
    uint32_t itemUnit, docUnit;   // where the n-gram begins, counted in units
    size_t begin, end;            // its bytes in the document, from its first to its last character
    std::string ngram;            // in normal form, units separated by spaces
  };
  /// The hits of a document in order, at most `most`: one for each place where an n-gram begins, with
  /// the first evaluation text that has it. Callable from any thread once all texts are added.
  std::vector<Hit> find(std::string_view text, size_t most = SIZE_MAX) const;

private:
  unsigned n = 13;
  Units units = Units::words;
  struct Place {
    uint32_t item, unit;
  };
  std::vector<std::vector<std::string>> items;
  std::unordered_map<uint64_t, std::vector<Place>> places; // several: texts whose hashes collide
};

} // namespace r1rt::dedup
#endif
