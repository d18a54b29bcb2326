#include "runtime/text/Chars.h"
#include "runtime/text/Rule.h"
#include "runtime/text/WordFinder.h"
#include <algorithm>
#include <cmath>
#include <zstd.h>

namespace r1rt::text {

namespace {

/// Hashes, once filled.
class HashSet {
public:
  void assign(const std::vector<uint64_t> &hashes) {
    size_t size = 64;
    while (size < hashes.size() * 2)
      size *= 2;
    slots.assign(size, 0);
    for (uint64_t h : hashes)
      if (!has(h))
        slots[place(h)] = h;
  }
  bool has(uint64_t h) const { return slots[place(h)] == h; }

private:
  /// Of the hash, or free. 0 is nobody's hash but with the chance 2^-64.
  size_t place(uint64_t h) const {
    size_t i = h & (slots.size() - 1);
    while (slots[i] && slots[i] != h)
      i = (i + 1) & (slots.size() - 1);
    return i;
  }
  std::vector<uint64_t> slots = std::vector<uint64_t>(64, 0);
};

class Noise : public Rule {
public:
  HashSet lexicon; // hashes of words in lower case
  std::optional<double> maxUnknown, maxDigits, maxRepeated, maxCompression;

  Finding apply(std::string &text, Scratch::Impl &s) const override {
    if (maxUnknown || maxDigits) {
      WordCounts c = countWords(s);
      double digits = c.lettered ? double(c.withDigits) / double(c.lettered) : 0;
      if (maxDigits && digits > *maxDigits)
        return dropped("digits_in_words", "digits_in_words", digits, "max_digits_in_words", *maxDigits);
      double unknown = c.judged ? double(c.unknown) / double(c.judged) : 0;
      if (maxUnknown && unknown > *maxUnknown) {
        Finding f = dropped("unknown_words", "unknown", unknown, "max_unknown", *maxUnknown);
        f.evidence["words"] = c.judged;
        return f;
      }
    }
    if (maxRepeated) {
      double share = repeatedChars(text);
      if (share > *maxRepeated)
        return dropped("repeated_chars", "repeated_chars", share, "max_repeated_chars", *maxRepeated);
    }
    if (maxCompression && !text.empty()) {
      s.bytes.resize(ZSTD_compressBound(text.size()));
      if (!s.zstd)
        s.zstd.reset(ZSTD_createCCtx());
      size_t n = ZSTD_compressCCtx(s.zstd.get(), s.bytes.data(), s.bytes.size(), text.data(), text.size(), 1);
      double ratio = ZSTD_isError(n) ? 0 : double(text.size()) / double(n);
      if (ratio > *maxCompression)
        return dropped("compression", "compression", ratio, "max_compression", *maxCompression);
    }
    return {};
  }

private:
  struct WordCounts {
    uint64_t lettered = 0, withDigits = 0; // words with a letter; of these with a digit, too
    uint64_t judged = 0, unknown = 0;      // words of letters only; of these not in the lexicon
  };

  WordCounts countWords(Scratch::Impl &s) const {
    WordCounts c;
    const std::string_view text = s.analysis.text();
    const std::vector<Word> &words = s.analysis.words().list;
    std::string low;
    for (size_t i = 0; i < words.size(); ++i) {
      if (!(words[i].flags & Word::alpha))
        continue;
      std::string_view word = words[i].of(text);
      bool digit = false, lettersOnly = true, hanKana = false;
      for (size_t at = 0; at < word.size();) {
        char32_t ch = nextChar(word, at);
        if (isLetter(ch)) {
          hanKana |= isHanKana(ch);
          continue;
        }
        digit |= isDigit(ch);
        lettersOnly &= ch >= 0x80 && (U_GET_GC_MASK(UChar32(ch)) & U_GC_M_MASK);
      }
      if (hanKana)
        continue; // a character is no word to look up
      ++c.lettered;
      c.withDigits += digit;
      if (!maxUnknown || !lettersOnly || words[i].chars < 2 || isContraction(words, i, text))
        continue;
      ++c.judged;
      if (lexicon.has(words[i].hash))
        continue;
      low = lowerCase(word);
      c.unknown += low == word || !lexicon.has(hashOfWord(low));
    }
    return c;
  }

  /// A part of "can't", "we'll": no word by itself.
  static bool isContraction(const std::vector<Word> &words, size_t i, std::string_view text) {
    if (i + 1 >= words.size() || words[i + 1].begin != words[i].end())
      return false;
    std::string_view next = words[i + 1].of(text);
    return next == "n't" || next == "n’t";
  }

  /// The share of characters, white space aside, in runs of more than three equal ones.
  static double repeatedChars(std::string_view text) {
    uint64_t all = 0, repeated = 0;
    for (size_t at = 0; at < text.size();) {
      char32_t c = nextChar(text, at);
      if (isSpace(c))
        continue;
      uint64_t run = 1;
      for (size_t next = at; next < text.size() && nextChar(text, next) == c; at = next)
        ++run;
      all += run;
      repeated += run > 3 ? run : 0;
    }
    return all ? double(repeated) / double(all) : 0;
  }
};

} // namespace

RulePtr makeNoise(Params &p) {
  auto r = std::make_shared<Noise>();
  std::optional<std::string> lexicon = p.optionalText("lexicon");
  r->maxUnknown = p.share("max_unknown");
  r->maxDigits = p.share("max_digits_in_words");
  r->maxRepeated = p.share("max_repeated_chars");
  r->maxCompression = p.number("max_compression", 1, INFINITY);
  if (r->maxUnknown && !lexicon)
    p.fail("max_unknown", "needs a lexicon to know words by: give `lexicon` a file with a word in each line");
  if (!r->maxUnknown && lexicon)
    p.fail("lexicon", "is \"" + *lexicon + "\", but `max_unknown` is none, so it would not be used");
  if (lexicon && !p.failed()) {
    std::vector<uint64_t> hashes;
    for (const std::string &word : p.linesOf("lexicon", *lexicon))
      hashes.push_back(hashOfWord(lowerCase(word)));
    r->lexicon.assign(hashes);
  }
  return r;
}

} // namespace r1rt::text
