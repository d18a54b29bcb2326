//===- Gopher.cpp - the rules of Rae et al. 2021 (appendix A) --------------===//
//
// Quality and repetition, measured as datatrove 0.10 does: its order of the checks, its reasons.
//
//===----------------------------------------------------------------------===//
#include "runtime/text/Chars.h"
#include "runtime/text/Masks.h"
#include "runtime/text/Rule.h"
#include "runtime/text/Utf8.h"
#include <algorithm>
#include <bit>
#include <cmath>
#include <xxhash.h>

namespace r1rt::text {

namespace {

double ratio(uint64_t part, uint64_t whole) { return whole ? double(part) / double(whole) : 0.0; }

uint64_t hashOf(std::string_view s) { return XXH3_64bits(s.data(), s.size()); }

/// Occurrences that do not overlap.
uint64_t occurrences(std::string_view text, std::string_view what) {
  uint64_t n = 0;
  for (size_t at = text.find(what); at != text.npos; at = text.find(what, at + what.size()))
    ++n;
  return n;
}

//===-- Quality ------------------------------------------------------------------------------------===//

class GopherQuality : public Rule {
public:
  std::optional<uint64_t> minWords, maxWords, minStopWords;
  std::optional<double> minWordLength, maxWordLength, maxSymbols, maxBullets, maxEllipsis, minAlpha;
  std::vector<uint64_t> stopWords; // hashes, distinct
  uint64_t stopBits = 0;           // bit (hash >> 58) of each

  Finding apply(std::string &text, Scratch::Impl &s) const override {
    const Words &words = s.analysis.words();
    if (minWords && words.plain < *minWords)
      return dropped("gopher_short_doc", "words", words.plain, "min_words", *minWords);
    if (maxWords && words.plain > *maxWords)
      return dropped("gopher_long_doc", "words", words.plain, "max_words", *maxWords);

    double length = ratio(words.plainChars, words.plain);
    if (minWordLength && length < *minWordLength)
      return dropped("gopher_below_avg_threshold", "word_length", length, "min_word_length",
                     *minWordLength);
    if (maxWordLength && length > *maxWordLength)
      return dropped("gopher_above_avg_threshold", "word_length", length, "max_word_length",
                     *maxWordLength);

    if (maxSymbols) {
      double hashes = ratio(countByte(text, '#'), words.size());
      if (hashes > *maxSymbols)
        return dropped("gopher_too_many_hashes", "hashes_per_word", hashes, "max_symbols", *maxSymbols);
      double dots = ratio(occurrences(text, "...") + occurrences(text, "…"), words.size());
      if (dots > *maxSymbols)
        return dropped("gopher_too_many_ellipsis", "ellipses_per_word", dots, "max_symbols",
                       *maxSymbols);
    }

    if (maxBullets || maxEllipsis) {
      const auto &lines = s.analysis.unicodeLines();
      uint64_t bullets = 0, ellipses = 0;
      for (std::string_view line : lines) {
        std::string_view l = strip(line);
        bullets += l.starts_with("•") || l.starts_with("-");
        ellipses += l.ends_with("...") || l.ends_with("…");
      }
      if (double share = ratio(bullets, lines.size()); maxBullets && share > *maxBullets)
        return dropped("gopher_too_many_bullets", "bullet_lines", share, "max_bullet_lines",
                       *maxBullets);
      if (double share = ratio(ellipses, lines.size()); maxEllipsis && share > *maxEllipsis)
        return dropped("gopher_too_many_end_ellipsis", "ellipsis_lines", share, "max_ellipsis_lines",
                       *maxEllipsis);
    }

    if (double share = ratio(words.alpha, words.size()); minAlpha && share < *minAlpha)
      return dropped("gopher_below_alpha_threshold", "alpha_words", share, "min_alpha_words",
                     *minAlpha);
    if (uint64_t n = stopWordsIn(words, s); minStopWords && n < *minStopWords)
      return dropped("gopher_enough_stop_words", "stop_words", n, "min_stop_words", *minStopWords);
    return {};
  }

private:
  /// The different stop words of the text; no further than minStopWords.
  uint64_t stopWordsIn(const Words &words, Scratch::Impl &s) const {
    if (!minStopWords)
      return 0;
    std::vector<char> &seen = s.bytes;
    seen.assign(stopWords.size(), 0);
    uint64_t n = 0;
    for (const Word &w : words.list) {
      if (!(stopBits >> (w.hash >> 58) & 1))
        continue;
      auto it = std::lower_bound(stopWords.begin(), stopWords.end(), w.hash);
      if (it == stopWords.end() || *it != w.hash || seen[size_t(it - stopWords.begin())])
        continue;
      seen[size_t(it - stopWords.begin())] = 1;
      if (++n >= *minStopWords)
        break;
    }
    return n;
  }
};

//===-- Repetition -----------------------------------------------------------------------------------===//

class GopherRepetition : public Rule {
public:
  static constexpr unsigned longest = 10;
  std::optional<double> lines, lineChars, paragraphs, paragraphChars;
  std::optional<double> top[5];           // [n]: of the most frequent n-gram, n = 2..4
  std::optional<double> duplicate[longest + 1]; // [n]: n = 5..10

  Finding apply(std::string &text, Scratch::Impl &s) const override {
    if (text.empty())
      return {Verdict::drop, "empty", {{"chars", 0}}};
    const size_t chars = s.analysis.chars();

    Repeated p = repeated(s.analysis.paragraphs(), s.table);
    if (double share = ratio(p.parts, p.all); paragraphs && share > *paragraphs)
      return dropped("dup_para_frac", "paragraphs", share, "max_paragraphs", *paragraphs);
    if (double share = ratio(p.chars, chars); paragraphChars && share > *paragraphChars)
      return dropped("dup_para_char_frac", "paragraph_chars", share, "max_paragraph_chars",
                     *paragraphChars);

    Repeated l = repeatedLines(s.analysis.lines(), s.table);
    if (double share = ratio(l.parts, l.all); lines && share > *lines)
      return dropped("dup_line_frac", "lines", share, "max_lines", *lines);
    if (double share = ratio(l.chars, chars); lineChars && share > *lineChars)
      return dropped("dup_line_char_frac", "line_chars", share, "max_line_chars", *lineChars);

    return grams(s, chars);
  }

private:
  struct Repeated {
    uint64_t all = 0, parts = 0, chars = 0; // of the parts that occurred before
    void add(std::string_view part, HashTable &table) {
      ++all;
      if (table.count(table.find(hashOf(part)))++) {
        ++parts;
        chars += countChars(part);
      }
    }
  };

  static Repeated repeated(const std::vector<std::string_view> &parts, HashTable &table) {
    Repeated r;
    table.clear(parts.size());
    for (std::string_view part : parts)
      r.add(part, table);
    return r;
  }

  /// Lines between runs of line feeds: of the empty ones only those at the ends of the text count.
  static Repeated repeatedLines(const std::vector<std::string_view> &lines, HashTable &table) {
    Repeated r;
    table.clear(lines.size());
    for (size_t i = 0; i < lines.size(); ++i)
      if (!lines[i].empty() || i == 0 || (i + 1 == lines.size() && r.all > 0))
        r.add(lines[i], table);
    return r;
  }

  static uint64_t extended(uint64_t gram, uint64_t word) { return (gram ^ (gram >> 29)) * 0x9E3779B97F4A7C15u + word; }

  /// Pairs of words into s.grams, and into s.places where those stand that may occur twice: each sets a bit that
  /// its hash names, and most pairs are alone with theirs.
  static void findPairs(const std::vector<Word> &words, Scratch::Impl &s) {
    const size_t pairs = words.empty() ? 0 : words.size() - 1, bits = std::bit_ceil(std::max<size_t>(pairs, 4) * 16);
    s.grams.resize(words.size());
    s.places.resize(words.size());
    s.bits.assign(bits / 64 * 2, 0);
    uint64_t *once = s.bits.data(), *twice = once + bits / 64;
    for (size_t i = 0; i < pairs; ++i) {
      const uint64_t gram = extended(words[i].hash, words[i + 1].hash), bit = uint64_t(1) << (gram & 63);
      const size_t at = (gram & (bits - 1)) / 64;
      s.grams[i] = gram;
      twice[at] |= once[at] & bit;
      once[at] |= bit;
    }
    size_t kept = 0;
    for (size_t i = 0; i < pairs; ++i) {
      s.places[kept] = uint32_t(i);
      kept += twice[(s.grams[i] & (bits - 1)) / 64] >> (s.grams[i] & 63) & 1;
    }
    s.places.resize(kept);
  }

  /// An n-gram can occur twice only if the (n-1)-grams at its place and the next do: so only the places of
  /// repeated ones are looked at.
  Finding grams(Scratch::Impl &s, size_t chars) const {
    const std::vector<Word> &words = s.analysis.words().list;
    const size_t size = words.size();
    auto charsOf = [&](size_t from, unsigned n) {
      uint64_t sum = 0;
      for (size_t i = from; i < from + n; ++i)
        sum += words[i].chars;
      return sum;
    };
    findPairs(words, s);
    std::vector<uint64_t> &gram = s.grams;    // hash of the n-gram at each of `places`
    std::vector<uint32_t> &places = s.places; // where n-grams may be repeated
    for (unsigned n = 2; n <= longest && n <= size; ++n) {
      size_t kept = n == 2 ? places.size() : 0;
      for (size_t k = 0; n > 2 && k + 1 < places.size(); ++k) {
        uint32_t i = places[k];
        if (places[k + 1] != i + 1)
          continue;
        gram[i] = extended(gram[i], words[i + n - 1].hash);
        places[kept++] = i;
      }
      places.resize(kept);
      s.table.clear(kept);
      s.slots.resize(kept);
      uint32_t most = 1, first = 0;
      for (size_t k = 0; k < kept; ++k) {
        s.slots[k] = s.table.find(gram[places[k]]);
        most = std::max(most, ++s.table.count(s.slots[k]));
      }
      if (n <= 4 && top[n]) {
        if (most > 1)
          for (size_t k = 0; k < kept; ++k)
            if (s.table.count(s.slots[k]) == most) {
              first = places[k];
              break;
            }
        double share = ratio((charsOf(first, n) + n - 1) * most, chars);
        if (share > *top[n])
          return tooMany("top_" + std::to_string(n) + "_gram", "top_" + std::to_string(n) + "gram", share, *top[n],
                         s.analysis.text(), words, first, n);
      }
      size_t repeatedPlaces = 0;
      for (size_t k = 0; k < kept; ++k)
        if (s.table.count(s.slots[k]) > 1) {
          s.slots[repeatedPlaces] = s.slots[k];
          places[repeatedPlaces++] = places[k];
        }
      places.resize(repeatedPlaces);
      if (n >= 5 && duplicate[n]) {
        constexpr uint32_t seen = 0; // counts are above 1
        uint64_t repeatedChars = 0;
        size_t next = 0, example = 0;
        for (size_t k = 0; k < repeatedPlaces; ++k) {
          if (places[k] < next)
            continue;
          uint32_t &mark = s.table.count(s.slots[k]);
          if (mark == seen) {
            if (!repeatedChars)
              example = places[k];
            repeatedChars += charsOf(places[k], n);
            next = places[k] + n;
          }
          mark = seen;
        }
        double share = ratio(repeatedChars, chars);
        if (share > *duplicate[n])
          return tooMany("duplicated_" + std::to_string(n) + "_n_grams", "dup_" + std::to_string(n) + "gram",
                         share, *duplicate[n], s.analysis.text(), words, example, n);
      }
    }
    return {};
  }

  static Finding tooMany(std::string reason, const std::string &parameter, double share, double limit,
                         std::string_view text, const std::vector<Word> &words, size_t at, unsigned n) {
    uint32_t begin = words[at].begin, end = words[at + n - 1].end();
    std::string example(text.substr(begin, std::min<size_t>(end - begin, 80)));
    repairUtf8(example);
    return {Verdict::drop,
            std::move(reason),
            {{parameter, share}, {"max_" + parameter, limit}, {"example", std::move(example)}}};
  }
};

} // namespace

RulePtr makeGopherQuality(Params &p) {
  auto r = std::make_shared<GopherQuality>();
  const double inf = INFINITY;
  r->minWords = p.count("min_words");
  r->maxWords = p.count("max_words");
  r->minWordLength = p.number("min_word_length", 0, inf);
  r->maxWordLength = p.number("max_word_length", 0, inf);
  r->maxSymbols = p.number("max_symbols", 0, inf);
  r->maxBullets = p.share("max_bullet_lines");
  r->maxEllipsis = p.share("max_ellipsis_lines");
  r->minAlpha = p.share("min_alpha_words");
  r->minStopWords = p.count("min_stop_words");
  for (const std::string &word : p.texts("stop_words"))
    r->stopWords.push_back(hashOfWord(word));
  std::sort(r->stopWords.begin(), r->stopWords.end());
  r->stopWords.erase(std::unique(r->stopWords.begin(), r->stopWords.end()), r->stopWords.end());
  for (uint64_t h : r->stopWords)
    r->stopBits |= uint64_t(1) << (h >> 58);
  if (r->minStopWords && *r->minStopWords > r->stopWords.size())
    p.fail("min_stop_words", "is " + std::to_string(*r->minStopWords) + ", but `stop_words` has only " +
                                 std::to_string(r->stopWords.size()) +
                                 ": no text would be kept; give more words, or none");
  return r;
}

RulePtr makeGopherRepetition(Params &p) {
  auto r = std::make_shared<GopherRepetition>();
  r->lines = p.share("max_lines");
  r->paragraphs = p.share("max_paragraphs");
  r->lineChars = p.share("max_line_chars");
  r->paragraphChars = p.share("max_paragraph_chars");
  for (unsigned n = 2; n <= 4; ++n)
    r->top[n] = p.share(("max_top_" + std::to_string(n) + "gram").c_str());
  for (unsigned n = 5; n <= GopherRepetition::longest; ++n)
    r->duplicate[n] = p.share(("max_dup_" + std::to_string(n) + "gram").c_str());
  return r;
}

} // namespace r1rt::text
