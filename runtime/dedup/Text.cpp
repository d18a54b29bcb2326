#include "runtime/dedup/Text.h"
#include "runtime/text/ShortHash.h"
#include <algorithm>
#include <bit>
#include <cstring>
#include <unicode/uchar.h>
#include <unicode/unorm2.h>
#include <unicode/utf16.h>
#include <unicode/utf8.h>
#include <xxhash.h>

namespace r1rt::dedup {

namespace {

/// Han and kana: written without spaces, a character is about a word.
bool isWordByItself(UChar32 c) {
  return (c >= 0x3040 && c <= 0x30FF) || (c >= 0x3400 && c <= 0x4DBF) ||
         (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0xF900 && c <= 0xFAFF) ||
         (c >= 0x20000 && c <= 0x3FFFF);
}

bool isAsciiDigit(char c) { return c >= '0' && c <= '9'; }

/// The rule but for numbers, code point by code point: keep(bytes, length, begin, end) for what stays,
/// begin and end counted in `text`; part() for what parts words.
template <class Keep, class Part>
void scan(std::string_view text, bool foldDiacritics, Keep keep, Part part) {
  UErrorCode status = U_ZERO_ERROR;
  static const UNormalizer2 *nfd = unorm2_getNFDInstance(&status); // of ICU's own data: cannot fail
  const char *from = text.data();
  const size_t size = text.size();
  for (size_t i = 0; i < size;) {
    const size_t begin = i;
    char bytes[4];
    if (unsigned char byte = static_cast<unsigned char>(from[i]); byte < 128) {
      ++i;
      bytes[0] = char(byte >= 'A' && byte <= 'Z' ? byte + 32 : byte);
      if ((bytes[0] >= 'a' && bytes[0] <= 'z') || isAsciiDigit(bytes[0]))
        keep(bytes, size_t(1), begin, i);
      else
        part();
      continue;
    }
    UChar32 c;
    U8_NEXT(from, i, size, c);
    if (c >= 0x4E00 && c <= 0x9FFF) { // most of Chinese: letters without case or parts
      keep(from + begin, size_t(3), begin, i);
      continue;
    }
    if (c < 0)
      continue;
    auto one = [&](UChar32 c) {
      const uint32_t category = U_GET_GC_MASK(c);
      if (category & (U_GC_P_MASK | U_GC_S_MASK | U_GC_CC_MASK | U_GC_Z_MASK))
        return part();
      if (category & U_GC_C_MASK || (foldDiacritics && category & U_GC_MN_MASK))
        return;
      c = u_foldCase(c, U_FOLD_CASE_DEFAULT);
      size_t length = 0;
      U8_APPEND_UNSAFE(bytes, length, c);
      keep(bytes, length, begin, i);
    };
    UChar parts[32]; // the longest canonical decomposition has 4
    int32_t count = foldDiacritics ? unorm2_getDecomposition(nfd, c, parts, 32, &status) : -1;
    if (count < 0)
      one(c);
    for (int32_t p = 0; p < count;) {
      UChar32 d;
      U16_NEXT(parts, p, count, d);
      one(d);
    }
  }
}

/// fn(unit) for the units of a word of the normal form.
template <class Fn> void forEachUnit(std::string_view word, Units units, Fn fn) {
  const char *s = word.data();
  const size_t size = word.size();
  size_t begin = 0; // of the unit that is open
  for (size_t i = 0; i < size;) {
    const size_t at = i;
    UChar32 c;
    U8_NEXT_UNSAFE(s, i, c);
    if (units == Units::characters || isWordByItself(c)) {
      if (begin < at)
        fn(word.substr(begin, at - begin));
      fn(word.substr(at, i - at));
      begin = i;
    }
  }
  if (begin < size)
    fn(word.substr(begin));
}

constexpr size_t block = 64; // bytes that have one bit each in a mask

enum Mask { keptMask, highMask, digitMask, maskCount };

/// For each block the masks of ASCII letters and digits, of bytes that are not ASCII, and of ASCII digits;
/// and ASCII letters in lower case. `text` holds `blocks` whole blocks.
typedef unsigned char Bytes __attribute__((ext_vector_type(block)));
typedef bool Bits __attribute__((ext_vector_type(block)));
__attribute__((target_clones("avx512bw", "avx2", "default"))) void classify(char *text, size_t blocks,
                                                                            uint64_t *masks) {
  for (size_t b = 0; b < blocks; ++b, masks += maskCount) {
    Bytes v;
    std::memcpy(&v, text + b * block, block);
    v = Bytes(v - 'A') < 26 ? Bytes(v + 32) : v;
    std::memcpy(text + b * block, &v, block);
    const auto isDigit = Bytes(v - '0') < 10;
    const Bits kept = __builtin_convertvector((Bytes(v - 'a') < 26) | isDigit, Bits);
    const Bits high = __builtin_convertvector(v >= 128, Bits);
    const Bits digit = __builtin_convertvector(isDigit, Bits);
    std::memcpy(masks + keptMask, &kept, 8);
    std::memcpy(masks + highMask, &high, 8);
    std::memcpy(masks + digitMask, &digit, 8);
  }
}

/// Masks of `text`, its lower case in s.lower; one more block than hold a byte or end the last word.
size_t classify(std::string_view text, TextScratch &s) {
  const size_t blocks = text.size() / block + 1, padded = (blocks + 1) * block;
  if (s.lower.size() < padded)
    s.lower.resize(padded * 2), s.masks.resize(padded * 2 / block * maskCount);
  std::memcpy(s.lower.data(), text.data(), text.size());
  std::memset(s.lower.data() + text.size(), ' ', padded - text.size());
  classify(s.lower.data(), blocks + 1, s.masks.data());
  return blocks;
}

/// The bytes of the digit at a place, or 0.
size_t digitAt(std::string_view text, size_t at) {
  if (at >= text.size() || static_cast<unsigned char>(text[at]) < 128)
    return at < text.size() && isAsciiDigit(text[at]);
  size_t end = at;
  UChar32 c;
  U8_NEXT(text.data(), end, text.size(), c);
  return c >= 0 && !(c >= 0x2E80 && c <= 0xA61F) && u_isdigit(c) ? end - at : 0;
}

size_t digitsAt(std::string_view text, size_t at) {
  size_t end = at;
  while (size_t n = digitAt(text, end))
    end += n;
  return end - at;
}

/// The bytes of a decimal separator, or 0.
size_t separatorAt(std::string_view text, size_t at) {
  if (at >= text.size())
    return 0;
  if (text[at] == '.' || text[at] == ',')
    return 1;
  for (std::string_view s : {"\u060C", "\u066B", "\u2396", "\u2397", "\u2398"})
    if (text.substr(at, s.size()) == s)
      return s.size();
  return 0;
}

/// Writes `text` with "0" for each number into s.folded; false if it has none. The masks of `text` are in
/// `s`.
bool foldNumbers(std::string_view text, size_t blocks, TextScratch &s) {
  s.folded.clear();
  size_t copied = 0, passed = 0; // up to which place
  for (size_t b = 0; b < blocks; ++b) {
    const uint64_t *masks = s.masks.data() + b * maskCount;
    for (uint64_t bits = masks[digitMask] | masks[highMask]; bits; bits &= bits - 1) {
      const size_t at = b * block + unsigned(std::countr_zero(bits));
      if (at < passed)
        continue;
      size_t n = digitsAt(text, at);
      if (!n)
        continue;
      if (size_t separator = separatorAt(text, at + n))
        if (size_t more = digitsAt(text, at + n + separator))
          n += separator + more;
      s.folded.append(text, copied, at - copied) += '0';
      copied = passed = at + n;
    }
  }
  if (!copied)
    return false;
  s.folded.append(text, copied);
  return true;
}

/// fn(word, ascii) for each word of the normal form in order, `ascii` if it is ASCII for certain; 16
/// bytes can be read from its begin.
template <class Fn>
void forEachWord(std::string_view text, const Form &form, TextScratch &s, Fn fn) {
  size_t blocks = classify(text, s);
  if (form.foldNumbers && foldNumbers(text, blocks, s)) {
    text = s.folded;
    blocks = classify(text, s);
  }
  const char *lower = s.lower.data();
  const uint64_t *masks = s.masks.data();
  auto byCharacter = [&](std::string_view token) {
    s.word.clear();
    auto flush = [&] {
      const size_t length = s.word.size();
      if (length) {
        s.word.append(16, ' '); // can be read
        fn(std::string_view(s.word.data(), length), false);
      }
      s.word.clear();
    };
    scan(
        token, form.foldDiacritics,
        [&](const char *bytes, size_t n, size_t, size_t) { s.word.append(bytes, n); }, flush);
    flush();
  };
  auto token = [&](size_t begin, size_t end) {
    const size_t length = end - begin;
    const uint64_t *high = masks + begin / block * maskCount + highMask;
    const unsigned shift = begin % block;
    if (length > block || (high[0] >> shift | high[maskCount] << 1 << (block - 1 - shift)) &
                              (~uint64_t(0) >> (block - length)))
      byCharacter(text.substr(begin, length));
    else
      fn(std::string_view(lower + begin, length), true);
  };
  size_t begin = 0;
  bool open = false;
  uint64_t before = 0; // whether the last byte of the block before belongs to a token
  for (size_t b = 0; b < blocks; ++b) {
    const uint64_t inside = masks[b * maskCount + keptMask] | masks[b * maskCount + highMask];
    for (uint64_t edges = inside ^ (inside << 1 | before); edges; edges &= edges - 1) {
      const size_t at = b * block + unsigned(std::countr_zero(edges));
      if (open)
        token(begin, at);
      begin = at;
      open = !open;
    }
    before = inside >> (block - 1);
  }
}

} // namespace

std::string_view normalise(std::string_view text, const Form &form, TextScratch &s) {
  std::string &normal = s.normal; // is never made shorter, for then it would be filled again
  size_t size = 0;
  forEachWord(text, form, s, [&](std::string_view word, bool) {
    constexpr size_t atOnce = 16;
    if (normal.size() < size + 1 + std::max(word.size(), atOnce))
      normal.resize(2 * normal.size() + text.size() + word.size() + 64);
    normal[size] = ' ';
    size += size > 0;
    if (word.size() <= atOnce)
      std::memcpy(normal.data() + size, word.data(), atOnce);
    else
      std::memcpy(normal.data() + size, word.data(), word.size());
    size += word.size();
  });
  return std::string_view(normal).substr(0, size);
}

std::string normalise(std::string_view text, const Form &form) {
  TextScratch s;
  return std::string(normalise(text, form, s));
}

std::vector<std::string_view> unitsOf(std::string_view normal, Units units) {
  std::vector<std::string_view> out;
  for (size_t at = 0; at < normal.size();) {
    const size_t end = std::min(normal.find(' ', at), normal.size());
    forEachUnit(normal.substr(at, end - at), units, [&](std::string_view u) { out.push_back(u); });
    at = end + 1;
  }
  return out;
}

std::vector<UnitSpan> unitSpans(std::string_view text, Units units) {
  std::vector<UnitSpan> out;
  bool open = false; // whether the last span can grow
  scan(
      text, false,
      [&](const char *bytes, size_t, size_t begin, size_t end) {
        UChar32 c;
        U8_GET_UNSAFE(bytes, 0, c);
        const bool alone = units == Units::characters || isWordByItself(c);
        if (open && !alone)
          out.back().end = end;
        else
          out.push_back({begin, end});
        open = !alone;
      },
      [&] { open = false; });
  return out;
}

void hashUnits(std::string_view text, const Form &form, TextScratch &s,
               std::vector<uint64_t> &hashes) {
  hashes.clear();
  forEachWord(text, form, s, [&](std::string_view word, bool ascii) {
    if (ascii && form.units == Units::words)
      hashes.push_back(text::shortHash(word));
    else
      forEachUnit(word, form.units, [&](std::string_view u) { hashes.push_back(text::shortHash(u)); });
  });
}

void shingleHashes(const std::vector<uint64_t> &units, unsigned n,
                   std::vector<uint64_t> &shingles) {
  constexpr uint64_t base = text::golden; // odd: multiplication modulo 2^64 loses nothing
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
      shingles.push_back(text::finalize(h));
  }
  if (shingles.empty() && !units.empty())
    shingles.push_back(text::finalize(h));
}

std::vector<uint64_t> shingleSet(std::string_view text, const Form &form, unsigned n) {
  TextScratch scratch;
  std::vector<uint64_t> hashes, shingles;
  hashUnits(text, form, scratch, hashes);
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
