//===- Bias.h - how often a corpus uses the words of a tagged lexicon ------===//
//
//   {"female": ["she", "her"], "male": ["he", "him"]}  ──►  counts and rates per tag
//
// Words are compared in lower case (Unicode's simple mapping). Han words are found inside runs of
// characters, the longest at each place; others are whole words, phrases with single spaces too.
//
//===----------------------------------------------------------------------===//
#ifndef R1RT_TEXT_BIAS_H
#define R1RT_TEXT_BIAS_H
#include "runtime/Status.h"
#include <cstdint>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace r1rt::text {

class Scratch;

/// Counts over texts; those of several threads or ranks add up to the same in any order.
struct BiasCounts {
  struct Tag {
    uint64_t words = 0;                    // occurrences of the tag's words
    uint64_t texts = 0;                    // texts with at least one
    std::map<std::string, uint64_t> each = {}; // occurrences of each word that occurred
  };
  uint64_t words = 0, texts = 0; // of all texts; words as rules count them, without pure punctuation
  std::map<std::string, Tag> tags;

  void add(const BiasCounts &other);
  /// {"words":N,"texts":N,"tags":{TAG:{"words":N,"texts":N,"per_1000_words":R,"each":{WORD:N}}}}
  nlohmann::json toJson() const;
  /// Of toJson's form; rates are not read. Errors name the field.
  static Result<BiasCounts> fromJson(const nlohmann::json &);
};

/// A lexicon, immutable: may be used by many threads.
class BiasLexicon {
public:
  /// {TAG: [WORD, ...]}; a word may have several tags. Errors name the tag.
  static Result<BiasLexicon> create(const nlohmann::json &lexicon);
  /// All tags with zero counts.
  BiasCounts zero() const;
  void count(std::string_view text, BiasCounts &into, Scratch &scratch) const;

private:
  struct Impl;
  std::shared_ptr<const Impl> impl;
};

} // namespace r1rt::text
#endif
