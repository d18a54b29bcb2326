//===- Utf8.h - what is UTF-8 and what becomes of the rest -----------------===//
//
// Well-formed UTF-8 is what the Unicode Standard, table 3-7, says: no surrogates, nothing above
// U+10FFFF, no form longer than needed. NUL is a character like any other.
//
//===----------------------------------------------------------------------===//
#ifndef R1RT_TEXT_UTF8_H
#define R1RT_TEXT_UTF8_H
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace r1rt::text {

/// The offset of the first byte that is not part of well-formed UTF-8, or npos. For a character
/// that is cut short the offset of its first byte.
size_t findBadUtf8(std::string_view text);

/// Replaces each maximal part of an ill-formed sequence by one U+FFFD, as the decoder of the WHATWG
/// Encoding Standard does ("E2 82" and "FF" are one each, "ED A0 80" three). Returns the number of
/// replacements; a well-formed text is left as it is.
size_t repairUtf8(std::string &text);

/// Code points of well-formed UTF-8.
size_t countChars(std::string_view text);

} // namespace r1rt::text
#endif
