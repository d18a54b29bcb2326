//===- Chars.h - classes of code points ------------------------------------===//
//
// The classes that the published rules are defined by. Their reference implementation is in Python, so
// white space and letters are what Python's str takes for them.
//
//===----------------------------------------------------------------------===//
#ifndef R1RT_TEXT_CHARS_H
#define R1RT_TEXT_CHARS_H
#include <cstdint>
#include <string>
#include <string_view>
#include <unicode/uchar.h>
#include <unicode/utf8.h>

namespace r1rt::text {

/// The code point at text[at], which moves behind it; U+FFFD for what is not UTF-8.
inline char32_t nextChar(std::string_view text, size_t &at) {
  unsigned char byte = static_cast<unsigned char>(text[at]);
  if (byte < 0x80) {
    ++at;
    return byte;
  }
  const char *s = text.data();
  const size_t size = text.size();
  UChar32 c;
  U8_NEXT_OR_FFFD(s, at, size, c);
  return static_cast<char32_t>(c);
}

/// The code point that ends before text[at], at > 0; `at` moves to its first byte.
inline char32_t previousChar(std::string_view text, size_t &at) {
  const char *s = text.data();
  // ICU's macro wants a signed index; a code point has at most 4 bytes.
  int32_t window = at < 4 ? static_cast<int32_t>(at) : 4, i = window;
  const char *from = s + (at - window);
  UChar32 c;
  U8_PREV_OR_FFFD(from, 0, i, c);
  at -= size_t(window - i);
  return static_cast<char32_t>(c);
}

/// Appends a code point in UTF-8.
void appendChar(std::string &out, char32_t c);

/// White space as Python's str.isspace has it: of ASCII 9..13, 28..32.
inline bool isSpace(char32_t c) {
  if (c < 0x80)
    return c == ' ' || (c >= 9 && c <= 13) || (c >= 0x1C && c <= 0x1F);
  return c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 ||
         c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

/// Han and kana, which are written without spaces: each character is a word by itself.
inline bool isHanKana(char32_t c) {
  return (c >= 0x3041 && c <= 0x30FF && c != 0x30FB) || (c >= 0x3400 && c <= 0x4DBF) ||
         (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0xF900 && c <= 0xFAFF) ||
         (c >= 0x20000 && c <= 0x3FFFF) || c == 0x3005 || c == 0x3007;
}

/// General category L.
inline bool isLetter(char32_t c) {
  if (c < 0x80)
    return (c | 32) >= 'a' && (c | 32) <= 'z';
  return (U_GET_GC_MASK(static_cast<UChar32>(c)) & U_GC_L_MASK) != 0;
}
inline bool isDigit(char32_t c) {
  return c < 0x80 ? c >= '0' && c <= '9' : u_charType(static_cast<UChar32>(c)) == U_DECIMAL_DIGIT_NUMBER;
}
/// General category P.
inline bool isPunctuation(char32_t c) {
  return (U_GET_GC_MASK(static_cast<UChar32>(c)) & U_GC_P_MASK) != 0;
}

/// The last character of a sentence: Unicode's property Sentence_Terminal, and the five signs of Khmer
/// that datatrove counts as well.
bool isSentenceEnd(char32_t c);

/// The characters that make a "symbol" of a word that has no others: the punctuation that CCNet (Wenzek et
/// al. 2020) removes, controls, and the ends of sentences.
bool isSymbol(char32_t c);

/// Without white space at either end.
std::string_view strip(std::string_view text);

/// Whether text[begin, end), as a word, stands by itself: no letter, digit or mark of a script that separates
/// words by spaces goes on at either end. Han, kana, Thai, Lao, Khmer and Burmese have no such bounds.
bool isWholeWord(std::string_view text, size_t begin, size_t end);

} // namespace r1rt::text
#endif
