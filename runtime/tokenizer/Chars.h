//===- Chars.h - classes of characters as the package `tokenizers` has them -===//
//
// The package takes its classes from libraries of different Unicode versions, and none of them is the version
// of the ICU at hand. So they are tables of our own (Tables.inc), asked of the package.
//
//===----------------------------------------------------------------------===//
#ifndef R1RT_TOKENIZER_CHARS_H
#define R1RT_TOKENIZER_CHARS_H
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace r1rt::tokenizer {

/// Sets of classes. The order is that of test/bench/tokenizer_tables.py.
enum CharClass : uint16_t {
  upper = 1 << 0, // \p{Lu} \p{Lt}
  lower = 1 << 1,
  caseless = 1 << 2, // \p{Lm} \p{Lo}
  letter = upper | lower | caseless,
  number = 1 << 3,
  mark = 1 << 4,
  punctuation = 1 << 5,
  symbol = 1 << 6,
  space = 1 << 7,
  word = 1 << 8, // \w of `Whitespace`
  bertPunctuation = 1 << 9,
  bertControl = 1 << 10,
  bertAccent = 1 << 11, // of decomposed text
  accent = 1 << 12,     // of `StripAccents`
  digit = 1 << 13,      // of `Digits`
};

class CharTable {
public:
  static const CharTable &get();
  uint16_t operator[](char32_t c) const { return pages[index[c >> 8]].of[c & 0xFF]; }
  uint16_t ascii(unsigned char c) const { return pages[0].of[c]; }

private:
  CharTable();
  struct Page {
    uint16_t of[256];
  };
  uint16_t index[0x1100];
  std::vector<Page> pages; // the first is that of ASCII
};

/// The lower case of one character; but for U+0130, whose lower case is "i" and U+0307, one character.
char32_t toLower(char32_t c);

/// The code point at text[at] of well-formed UTF-8; `at` moves behind it.
inline char32_t decodeChar(std::string_view text, size_t &at) {
  const auto *s = reinterpret_cast<const unsigned char *>(text.data()) + at;
  if (s[0] < 0x80)
    return ++at, s[0];
  if (s[0] < 0xE0)
    return at += 2, char32_t(s[0] & 0x1F) << 6 | (s[1] & 0x3F);
  if (s[0] < 0xF0)
    return at += 3, char32_t(s[0] & 0x0F) << 12 | char32_t(s[1] & 0x3F) << 6 | (s[2] & 0x3F);
  return at += 4, char32_t(s[0] & 0x07) << 18 | char32_t(s[1] & 0x3F) << 12 | char32_t(s[2] & 0x3F) << 6 |
                      (s[3] & 0x3F);
}

/// The first byte of the character that text[at] belongs to, and the one behind it.
inline size_t charBegin(std::string_view text, size_t at) {
  while (at > 0 && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80)
    --at;
  return at;
}
inline size_t charEnd(std::string_view text, size_t at) {
  do
    ++at;
  while (at < text.size() && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80);
  return at;
}

void appendChar(std::string &out, char32_t c);

/// GPT-2's alphabet, by which a byte-level vocabulary writes bytes as characters: the character of a byte, and
/// the byte of a character or -1.
char32_t byteChar(unsigned char byte);
int charByte(char32_t c);
/// The bytes that a token of a byte-level vocabulary stands for; false if a character of it stands for none.
bool tokenBytes(std::string_view token, std::string &bytes);

} // namespace r1rt::tokenizer
#endif
