//===- Words.h - the words of a text ---------------------------------------===//
//
// Words are what spaCy's rules for English make of a text (white space, then prefixes, suffixes, infixes,
// contractions, abbreviations, emoticons, URLs), because datatrove counts those: "don't" is "do" "n't",
// and a full stop is a word. One difference: each Han or kana character is a word by itself.
//
// Words are views into the text: nothing is allocated for a word. What becomes of a piece between two
// spaces depends on the piece only, so a WordSplitter remembers recent pieces, byte by byte: what it has
// seen before never changes the words of a text.
//
//===----------------------------------------------------------------------===//
#ifndef R1RT_TEXT_WORDS_H
#define R1RT_TEXT_WORDS_H
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

namespace r1rt::text {

struct Word {
  enum Flag : uint32_t {
    alpha = 1,       // has a letter
    symbol = 2,      // has only characters of isSymbol
    punctuation = 4, // has only characters of category P
    sentenceEnd = 8, // is one character of isSentenceEnd
  };
  uint32_t begin;  // offset in bytes
  uint32_t flags;
  uint32_t bytes;
  uint32_t chars;
  uint64_t hash;   // hashOfWord

  std::string_view of(std::string_view text) const { return text.substr(begin, bytes); }
  uint32_t end() const { return begin + bytes; }
};

/// Hashes are taken for the words where words are counted or looked up. Two words of the same length of at most 8
/// bytes never share one, two others with the chance 2^-64 unless somebody has made them so; then they count as one
/// in their own text, which changes no other text's verdict.
uint64_t hashOfWord(std::string_view word);

struct Words {
  std::vector<Word> list;
  uint64_t plain = 0;      // words that are not symbols,
  uint64_t plainChars = 0; // and their characters
  uint64_t alpha = 0;      // words with a letter
  size_t size() const { return list.size(); }
};

class WordSplitter {
public:
  WordSplitter();
  ~WordSplitter();
  WordSplitter(WordSplitter &&) noexcept;
  WordSplitter &operator=(WordSplitter &&) noexcept;

  /// Overwrites `words`. The text must be shorter than 4 GiB.
  void split(std::string_view text, Words &words);

private:
  struct Impl;
  std::unique_ptr<Impl> impl;
};

/// The sentences of words[0, n): a word after the end of a sentence, punctuation aside, opens the
/// next. 1 for a text without any end, and for no words.
uint64_t countSentences(const Word *words, size_t n);

} // namespace r1rt::text
#endif
