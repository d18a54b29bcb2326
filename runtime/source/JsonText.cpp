#include "runtime/source/JsonText.h"
#include "runtime/text/Masks.h"
#include <bit>

namespace r1rt::source {

static void appendEscaped(char c, std::string &out) {
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
}

void appendJsonString(std::string_view text, std::string &out) {
  out += '"';
  size_t from = 0;
  auto isEscaped = [](auto v) { return ((v >= 0) & (v < 0x20)) | (v == '"') | (v == '\\'); };
  text::eachMask(text, isEscaped, [&](size_t block, uint64_t mask) {
    for (; mask; mask &= mask - 1) {
      const size_t at = block + size_t(std::countr_zero(mask));
      out.append(text, from, at - from);
      appendEscaped(text[at], out);
      from = at + 1;
    }
  });
  out.append(text, from);
  out += '"';
}

} // namespace r1rt::source
