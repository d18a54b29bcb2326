#include "runtime/tokenizer/Chars.h"
#include <algorithm>
#include <array>
#include <cstring>
#include <iterator>

namespace r1rt::tokenizer {

namespace {

struct LowerRun {
  char32_t first, last;
  int32_t step, difference;
};

#include "runtime/tokenizer/Tables.inc"

struct ByteAlphabet {
  std::array<char32_t, 256> chars;
  std::array<int16_t, 512> bytes;
  ByteAlphabet() {
    bytes.fill(-1);
    char32_t next = 256;
    for (int b = 0; b < 256; ++b) {
      const bool shown = (b >= '!' && b <= '~') || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE;
      chars[size_t(b)] = shown ? char32_t(b) : next++;
      bytes[chars[size_t(b)]] = int16_t(b);
    }
  }
};
const ByteAlphabet &alphabet() {
  static const ByteAlphabet a;
  return a;
}

} // namespace

CharTable::CharTable() {
  Page page;
  size_t run = 0;
  for (char32_t first = 0; first < 0x110000; first += 256) {
    for (char32_t c = first; c < first + 256; ++c) {
      while (run + 2 < std::size(classRuns) && classRuns[run + 2] <= c)
        run += 2;
      page.of[c - first] = uint16_t(classRuns[run + 1]);
    }
    // Most pages repeat: of unassigned characters, of ideographs.
    size_t at = 0;
    while (at < pages.size() && memcmp(pages[at].of, page.of, sizeof page.of) != 0)
      ++at;
    if (at == pages.size())
      pages.push_back(page);
    index[first >> 8] = uint16_t(at);
  }
}

const CharTable &CharTable::get() {
  static const CharTable table;
  return table;
}

char32_t toLower(char32_t c) {
  const LowerRun *run = std::upper_bound(std::begin(lowerRuns), std::end(lowerRuns), c,
                                         [](char32_t x, const LowerRun &r) { return x < r.first; });
  if (run == std::begin(lowerRuns))
    return c;
  --run;
  if (c > run->last || (c - run->first) % char32_t(run->step) != 0)
    return c;
  return char32_t(int32_t(c) + run->difference);
}

void appendChar(std::string &out, char32_t c) {
  if (c < 0x80) {
    out += char(c);
  } else if (c < 0x800) {
    out += char(0xC0 | c >> 6);
    out += char(0x80 | (c & 0x3F));
  } else if (c < 0x10000) {
    out += char(0xE0 | c >> 12);
    out += char(0x80 | (c >> 6 & 0x3F));
    out += char(0x80 | (c & 0x3F));
  } else {
    out += char(0xF0 | c >> 18);
    out += char(0x80 | (c >> 12 & 0x3F));
    out += char(0x80 | (c >> 6 & 0x3F));
    out += char(0x80 | (c & 0x3F));
  }
}

char32_t byteChar(unsigned char byte) { return alphabet().chars[byte]; }

int charByte(char32_t c) { return c < 512 ? alphabet().bytes[c] : -1; }

bool tokenBytes(std::string_view token, std::string &bytes) {
  bytes.clear();
  for (size_t at = 0; at < token.size();) {
    int b = charByte(decodeChar(token, at));
    if (b < 0)
      return false;
    bytes += char(b);
  }
  return true;
}

} // namespace r1rt::tokenizer
