//===- Characters.h - code points, and words as Python separates them ----------===//
#ifndef R1RT_METRICS_CHARACTERS_H
#define R1RT_METRICS_CHARACTERS_H
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace r1rt::metrics {

/// Each ill-formed part becomes U+FFFD.
std::u32string decode(std::string_view utf8);
std::string encode(std::u32string_view text);

/// What Python's str.isspace() says of one character.
bool isSpace(char32_t c);
std::u32string_view trimEnd(std::u32string_view text);
/// The parts between white space, as str.split() gives them.
std::vector<std::u32string_view> words(std::u32string_view text);

/// Unicode's full lower case without a language, as str.lower() has it.
std::string lower(std::string_view utf8);

/// Numbers for n-grams: equal ones get the same, within one Ngrams, from 0 on.
class Ngrams {
public:
  /// An n-gram is a shorter one (or `none`) and a word more.
  static constexpr uint32_t none = ~0u;
  uint32_t extend(uint32_t prefix, uint32_t word) {
    return ids.try_emplace(uint64_t(prefix) << 32 | word, uint32_t(ids.size())).first->second;
  }
  size_t size() const { return ids.size(); }

private:
  struct Mix {
    size_t operator()(uint64_t x) const {
      x *= 0x9E3779B97F4A7C15u;
      return size_t(x ^ x >> 32);
    }
  };
  std::unordered_map<uint64_t, uint32_t, Mix> ids;
};

/// Numbers for words.
class Vocabulary {
public:
  uint32_t id(std::u32string_view word) {
    return ids.try_emplace(std::u32string(word), uint32_t(ids.size())).first->second;
  }
  std::vector<uint32_t> idsOf(const std::vector<std::u32string_view> &words);

private:
  std::unordered_map<std::u32string, uint32_t> ids;
};

/// How often each n-gram occurs: [order - 1] in order of first occurrence.
struct NgramCounts {
  struct Count {
    uint32_t ngram, count;
  };
  std::vector<std::vector<Count>> orders;
  /// Occurrences of all n-grams of an order.
  uint64_t total(size_t order) const;
};
NgramCounts countNgrams(const std::vector<uint32_t> &words, int orders, Ngrams &ngrams);

} // namespace r1rt::metrics
#endif
