//===- Statistics.h - what a domain holds: counts, lengths, frequent words ---===//
//
// Words are the units of runtime/dedup/Text.h in normal form: lower case, no punctuation, and each Han or
// kana character a word of its own.
//
//===----------------------------------------------------------------------===//
#ifndef R1RT_MIXTURE_STATISTICS_H
#define R1RT_MIXTURE_STATISTICS_H
#include "runtime/Status.h"
#include <array>
#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace r1rt::mixture {

struct WordCount {
  std::string word;
  uint64_t count = 0;
};

/// How often each word occurs: exact as long as there are at most `limit` distinct words, then the
/// summary of Misra and Gries (1982), which is space-saving up to a constant (Agarwal et al., Mergeable
/// Summaries, 2012): a count is too low by at most `error()`, and error() <= words / limit. So every
/// word that makes up more than 1 / limit of the text is there. Exact counts do not depend on the order
/// of adding and merging; beyond the limit they do: merge parts in a fixed order. Words of more than 64
/// bytes count in `words()` but are not listed. Memory: about 80 bytes for each of `limit` words.
class WordCounts {
public:
  explicit WordCounts(size_t limit = defaultLimit) : limit(limit ? limit : 1) {}
  static constexpr size_t defaultLimit = 1 << 17, longest = 64;
  void add(std::string_view word, uint64_t count = 1);
  void merge(const WordCounts &other);
  uint64_t words() const { return total; }
  size_t distinct() const { return entries.size(); } // a lower bound if not exact
  uint64_t error() const { return tooLow; }
  bool isExact() const { return tooLow == 0; }
  /// 0 if it is not known.
  uint64_t countOf(std::string_view word) const;
  /// The `most` most frequent, in falling order; of equal ones that first by bytes.
  std::vector<WordCount> top(size_t most) const;

  nlohmann::json toJson() const;
  static Result<WordCounts> fromJson(const nlohmann::json &j);

private:
  struct Entry {
    uint64_t hash, count;
    uint32_t begin, length; // in `bytes`
  };
  size_t slotOf(uint64_t hash, std::string_view word) const;
  void rebuild(size_t slots);
  void shrink();
  std::string_view textOf(const Entry &e) const { return std::string_view(bytes).substr(e.begin, e.length); }

  size_t limit;
  uint64_t total = 0, tooLow = 0;
  std::vector<Entry> entries;
  std::vector<uint32_t> table; // 1 + index in `entries`, 0 is free; linear probing
  std::string bytes;
};

/// Of one domain. One thread adds; parts are merged in a fixed order.
class Statistics {
public:
  explicit Statistics(size_t wordLimit = WordCounts::defaultLimit) : frequencies(wordLimit) {}
  void add(std::string_view text);
  void merge(const Statistics &other);

  uint64_t documents = 0, bytes = 0;
  uint64_t characters = 0; // code points of UTF-8
  uint64_t words = 0;
  std::array<uint64_t, 33> lengths{}; // documents of 2 ** (i - 1) .. 2 ** i - 1 words; [0]: of none
  WordCounts frequencies;

  /// {"documents", "bytes", "characters", "words", "lengths", "frequencies"}
  nlohmann::json toJson() const;
  /// An error names the field that is missing or of another type.
  static Result<Statistics> fromJson(const nlohmann::json &j);
};

using DomainStatistics = std::map<std::string, Statistics>;

/// A table for a terminal: a line for each domain, then the sum. The `topWords` typical words are those
/// that are more frequent in the domain than in the others, by the log-likelihood ratio (Dunning, 1993);
/// with one domain simply the most frequent.
std::string table(const DomainStatistics &domains, size_t topWords = 5);

/// Series for TensorBoardWriter::scalars: PREFIX/documents/DOMAIN, …/words, …/bytes, …/share (of words),
/// …/words_per_document, …/type_token_ratio (exact counts only).
std::vector<std::pair<std::string, double>> scalars(const DomainStatistics &domains,
                                                    const std::string &prefix = "data");

} // namespace r1rt::mixture
#endif
