#include "runtime/text/Utf8.h"
#include "runtime/text/Masks.h"
#include <cstring>

namespace r1rt::text {

namespace {

/// Of the sequence that starts at p: the bytes of a well-formed character, or minus the bytes of the
/// maximal part that is replaced together.
int sequenceAt(const unsigned char *p, size_t left) {
  unsigned char lead = p[0], low = 0x80, high = 0xBF;
  if (lead < 0x80)
    return 1;
  int more;
  if (lead >= 0xC2 && lead <= 0xDF) {
    more = 1;
  } else if (lead >= 0xE0 && lead <= 0xEF) {
    more = 2;
    low = lead == 0xE0 ? 0xA0 : 0x80;  // no longer than needed
    high = lead == 0xED ? 0x9F : 0xBF; // no surrogates
  } else if (lead >= 0xF0 && lead <= 0xF4) {
    more = 3;
    low = lead == 0xF0 ? 0x90 : 0x80;
    high = lead == 0xF4 ? 0x8F : 0xBF; // at most U+10FFFF
  } else {
    return -1;
  }
  for (int i = 1; i <= more; ++i) {
    if (size_t(i) >= left || p[i] < low || p[i] > high)
      return -i;
    low = 0x80, high = 0xBF;
  }
  return more + 1;
}

bool isAscii8(const unsigned char *p) {
  uint64_t word;
  std::memcpy(&word, p, 8);
  return (word & 0x8080808080808080u) == 0;
}

} // namespace

size_t findBadUtf8(std::string_view text) {
  auto *p = reinterpret_cast<const unsigned char *>(text.data());
  const size_t size = text.size();
  for (size_t i = 0; i < size;) {
    if (i + 8 <= size && isAscii8(p + i)) {
      i += 8;
      continue;
    }
    int n = sequenceAt(p + i, size - i);
    if (n < 0)
      return i;
    i += size_t(n);
  }
  return std::string_view::npos;
}

size_t repairUtf8(std::string &text) {
  size_t bad = findBadUtf8(text);
  if (bad == std::string_view::npos)
    return 0;
  std::string out;
  out.reserve(text.size() + 64);
  std::string_view rest = text;
  size_t count = 0;
  while (bad != std::string_view::npos) {
    out.append(rest, 0, bad);
    out += "\xEF\xBF\xBD";
    ++count;
    int n = sequenceAt(reinterpret_cast<const unsigned char *>(rest.data()) + bad, rest.size() - bad);
    rest.remove_prefix(bad + size_t(-n));
    bad = findBadUtf8(rest);
  }
  out += rest;
  text = std::move(out);
  return count;
}

size_t countChars(std::string_view text) {
  return countBytes(text, [](auto v) { return v > -65; }); // not 10xxxxxx
}

} // namespace r1rt::text
