#include "runtime/text/Chars.h"
#include <algorithm>
#include <iterator>

namespace r1rt::text {

void appendChar(std::string &out, char32_t c) {
  char bytes[4];
  int32_t n = 0;
  U8_APPEND_UNSAFE(bytes, n, c);
  out.append(bytes, size_t(n));
}

bool isSentenceEnd(char32_t c) {
  if (c < 0x80)
    return c == '.' || c == '!' || c == '?';
  return u_hasBinaryProperty(static_cast<UChar32>(c), UCHAR_S_TERM) ||
         (c >= 0x17D4 && c <= 0x17DA && c != 0x17D7 && c != 0x17D8);
}

bool isSymbol(char32_t c) {
  if (c < 0x80) // all but letters, digits, white space: and the controls
    return !isLetter(c) && !isDigit(c) && c != ' ' && c != '\t' && c != '\n';
  static constexpr char32_t others[] = {
      0xAB,   0xB4,   0xBB,   0x2013, 0x2014, 0x2019, 0x201C, 0x201D, 0x201E, 0x2026, 0x2236,
      0x2501, 0x25BA, 0x3001, 0x3008, 0x3009, 0x300A, 0x300B, 0x300C, 0x300D, 0x3010, 0x3011,
      0xFF05, 0xFF08, 0xFF09, 0xFF0C, 0xFF11, 0xFF1A, 0xFF1B, 0xFF5E};
  return c < 0xA0 || std::binary_search(std::begin(others), std::end(others), c) || isSentenceEnd(c);
}

std::string_view strip(std::string_view text) {
  size_t begin = 0, end = text.size();
  while (begin < end) {
    size_t at = begin;
    if (!isSpace(nextChar(text, at)))
      break;
    begin = at;
  }
  while (end > begin) {
    size_t at = end;
    if (!isSpace(previousChar(text, at)))
      break;
    end = at;
  }
  return text.substr(begin, end - begin);
}

namespace {

/// Part of a word in a script whose words have bounds.
bool isBounded(char32_t c) {
  if (c < 0x80)
    return isLetter(c) || isDigit(c) || c == '_';
  constexpr uint32_t parts = U_GC_L_MASK | U_GC_M_MASK | U_GC_N_MASK;
  if (!(U_GET_GC_MASK(static_cast<UChar32>(c)) & parts) || isHanKana(c))
    return false;
  bool withoutSpaces = (c >= 0x0E00 && c <= 0x0EFF) || (c >= 0x1000 && c <= 0x109F) ||
                       (c >= 0x1780 && c <= 0x17FF); // Thai and Lao, Burmese, Khmer
  return !withoutSpaces;
}

} // namespace

bool isWholeWord(std::string_view text, size_t begin, size_t end) {
  if (begin == end)
    return true;
  size_t first = begin, last = end;
  if (begin > 0) {
    size_t before = begin;
    if (isBounded(nextChar(text, first)) && isBounded(previousChar(text, before)))
      return false;
  }
  return end >= text.size() || !isBounded(previousChar(text, last)) ||
         !isBounded(nextChar(text, end));
}

} // namespace r1rt::text
