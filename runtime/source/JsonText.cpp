#include "runtime/source/JsonText.h"
#include <cstdint>
#include <cstring>

namespace r1rt::source {

/// The first byte of `text` at or after `i` that a JSON string must escape, or the end.
static size_t findEscaped(std::string_view text, size_t i) {
  constexpr uint64_t ones = ~0ull / 255, high = ones * 128;
  for (; i + 8 <= text.size(); i += 8) {
    uint64_t w;
    memcpy(&w, text.data() + i, 8);
    // The high bit of a byte of zero(x) is set if the byte is 0 (and perhaps above such a one).
    auto zero = [&](uint64_t x) { return (x - ones) & ~x; };
    uint64_t control = (w - ones * 0x20) & ~w;
    if ((control | zero(w ^ ones * '"') | zero(w ^ ones * '\\')) & high)
      break;
  }
  for (; i < text.size(); ++i)
    if (static_cast<unsigned char>(text[i]) < 0x20 || text[i] == '"' || text[i] == '\\')
      break;
  return i;
}

void appendJsonString(std::string_view text, std::string &out) {
  out += '"';
  for (size_t from = 0;;) {
    size_t at = findEscaped(text, from);
    out.append(text, from, at - from);
    if (at == text.size())
      break;
    char c = text[at];
    out += '\\';
    switch (c) {
    case '\b': out += 'b'; break;
    case '\f': out += 'f'; break;
    case '\n': out += 'n'; break;
    case '\r': out += 'r'; break;
    case '\t': out += 't'; break;
    case '"':
    case '\\': out += c; break;
    default:
      out += "u00";
      out += "0123456789abcdef"[c >> 4 & 15];
      out += "0123456789abcdef"[c & 15];
    }
    from = at + 1;
  }
  out += '"';
}

} // namespace r1rt::source
