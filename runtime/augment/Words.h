//===- Words.h - the words of a text that may be changed ---------------------===//
#ifndef R1RT_AUGMENT_WORDS_H
#define R1RT_AUGMENT_WORDS_H
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace r1rt::augment {

/// A run between white space that is letters of an alphabet (Latin, Greek, Cyrillic) throughout, once
/// punctuation at both ends is taken off. So numbers, addresses, identifiers, "don't" and "well-known"
/// are none.
struct Word {
  size_t begin, end; // bytes
  bool opens;        // it opens a sentence: the first one, or after . ! ? : or a blank line
};
std::vector<Word> plainWords(std::string_view text);

/// An address: it holds "://" or '@', or begins with "www.".
bool isAddress(std::string_view run);

/// How a word is written. `mixed` is "iPhone".
enum class Case { lower, title, upper, mixed };
Case caseOf(std::string_view word);
/// `word`, which is lower case, written like that; unchanged if mixed.
std::string inCase(std::string word, Case c);
/// By code points, each by its simple mapping.
std::string lowered(std::string_view text);

/// Code points; bytes that are no UTF-8 are U+FFFD.
char32_t nextChar(std::string_view text, size_t &at);
void appendChar(std::string &text, char32_t c);
bool isAlphabetic(char32_t c);
/// Han, kana: text without spaces between words.
bool isIdeograph(char32_t c);

} // namespace r1rt::augment
#endif
