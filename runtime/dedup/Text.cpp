#include "runtime/dedup/Text.h"
#include <algorithm>
#include <array>
#include <unicode/uchar.h>
#include <unicode/utf8.h>
#include <xxhash.h>

namespace r1rt::dedup {

namespace {

/// What becomes of an ASCII byte: 0 = removed, ' ' = white space, else the byte to write.
constexpr std::array<char, 128> asciiMap = [] {
  std::array<char, 128> m{};
  for (int c = 0; c < 128; ++c) {
    bool upper = c >= 'A' && c <= 'Z', lower = c >= 'a' && c <= 'z', digit = c >= '0' && c <= '9';
    bool white = c == ' ' || (c >= 9 && c <= 13);
    m[c] = upper ? char(c + 32) : lower || digit ? char(c) : white ? ' ' : '\0';
  }
  return m;
}();

/// Han and kana: written without spaces, a character is about a word.
bool isWordByItself(UChar32 c) {
  return (c >= 0x3040 && c <= 0x30FF) || (c >= 0x3400 && c <= 0x4DBF) ||
         (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0xF900 && c <= 0xFAFF) ||
         (c >= 0x20000 && c <= 0x3FFFF);
}

constexpr uint32_t removed = U_GC_P_MASK | U_GC_S_MASK | U_GC_C_MASK;

/// Writes the normal form of `text` into `out`.
void normaliseInto(std::string_view text, std::string &out) {
  // Lower case can lengthen a code point by a byte (U+023A); nothing doubles.
  out.resize(text.size() * 2 + 4);
  char *to = out.data(), *const begin = to;
  const char *from = text.data();
  const size_t size = text.size();
  bool space = false; // white space was seen since the last character written
  for (size_t i = 0; i < size;) {
    unsigned char byte = static_cast<unsigned char>(from[i]);
    if (byte < 128) {
      ++i;
      char c = asciiMap[byte];
      if (c == ' ') {
        space = true;
      } else if (c) {
        if (space && to != begin)
          *to++ = ' ';
        space = false;
        *to++ = c;
      }
      continue;
    }
    UChar32 c;
    U8_NEXT(from, i, size, c);
    if (c < 0)
      continue;
    if (u_isUWhiteSpace(c)) {
      space = true;
      continue;
    }
    if (U_GET_GC_MASK(c) & removed)
      continue;
    if (space && to != begin)
      *to++ = ' ';
    space = false;
    c = u_tolower(c);
    size_t at = 0;
    U8_APPEND_UNSAFE(to, at, c);
    to += at;
  }
  out.resize(size_t(to - begin));
}

template <class Fn> void forEachUnit(std::string_view normal, Units units, Fn fn) {
  const char *s = normal.data();
  const size_t size = normal.size();
  size_t begin = 0; // of the word that is open
  for (size_t i = 0; i < size;) {
    size_t at = i;
    unsigned char byte = static_cast<unsigned char>(s[i]);
    if (byte == ' ') {
      if (begin < at)
        fn(normal.substr(begin, at - begin));
      begin = ++i;
    } else if (byte < 128) {
      ++i;
      if (units == Units::characters)
        fn(normal.substr(at, 1)), begin = i;
    } else {
      UChar32 c;
      U8_NEXT_UNSAFE(s, i, c);
      if (units == Units::characters || isWordByItself(c)) {
        if (begin < at)
          fn(normal.substr(begin, at - begin));
        fn(normal.substr(at, i - at));
        begin = i;
      }
    }
  }
  if (begin < size)
    fn(normal.substr(begin));
}

uint64_t finalize(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
  return x ^ (x >> 31);
}

} // namespace

std::string normalise(std::string_view text) {
  std::string out;
  normaliseInto(text, out);
  return out;
}

std::vector<std::string_view> unitsOf(std::string_view normal, Units units) {
  std::vector<std::string_view> out;
  forEachUnit(normal, units, [&](std::string_view u) { out.push_back(u); });
  return out;
}

void hashUnits(std::string_view text, Units units, std::string &buffer,
               std::vector<uint64_t> &hashes) {
  normaliseInto(text, buffer);
  hashes.clear();
  forEachUnit(buffer, units,
              [&](std::string_view u) { hashes.push_back(XXH3_64bits(u.data(), u.size())); });
}

void shingleHashes(const std::vector<uint64_t> &units, unsigned n,
                   std::vector<uint64_t> &shingles) {
  constexpr uint64_t base = 0x9E3779B97F4A7C15u; // odd: multiplication modulo 2^64 loses nothing
  shingles.clear();
  uint64_t high = 1; // base^n: the factor of the unit that leaves
  for (unsigned i = 0; i < n; ++i)
    high *= base;
  uint64_t h = 0;
  for (size_t i = 0; i < units.size(); ++i) {
    h = h * base + units[i];
    if (i >= n)
      h -= high * units[i - n];
    if (i + 1 >= n)
      shingles.push_back(finalize(h));
  }
  if (shingles.empty() && !units.empty())
    shingles.push_back(finalize(h));
}

std::vector<uint64_t> shingleSet(std::string_view text, Units units, unsigned n) {
  std::string buffer;
  std::vector<uint64_t> hashes, shingles;
  hashUnits(text, units, buffer, hashes);
  shingleHashes(hashes, n, shingles);
  std::sort(shingles.begin(), shingles.end());
  shingles.erase(std::unique(shingles.begin(), shingles.end()), shingles.end());
  return shingles;
}

double jaccard(const std::vector<uint64_t> &a, const std::vector<uint64_t> &b) {
  size_t both = 0;
  for (size_t i = 0, j = 0; i < a.size() && j < b.size();) {
    if (a[i] == b[j])
      ++both, ++i, ++j;
    else if (a[i] < b[j])
      ++i;
    else
      ++j;
  }
  size_t either = a.size() + b.size() - both;
  return either ? double(both) / double(either) : 0;
}

} // namespace r1rt::dedup
