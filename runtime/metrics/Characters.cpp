#include "runtime/metrics/Characters.h"
#include <algorithm>
#include <unicode/uchar.h>
#include <unicode/ustring.h>
#include <unicode/utf16.h>
#include <unicode/utf8.h>

namespace r1rt::metrics {

std::u32string decode(std::string_view utf8) {
  std::u32string out;
  out.reserve(utf8.size());
  const auto *s = reinterpret_cast<const uint8_t *>(utf8.data());
  for (size_t i = 0; i < utf8.size();) {
    UChar32 c;
    U8_NEXT_OR_FFFD(s, i, utf8.size(), c);
    out.push_back(char32_t(c));
  }
  return out;
}

std::string encode(std::u32string_view text) {
  std::string out;
  for (char32_t c : text) {
    char bytes[4];
    size_t n = 0;
    U8_APPEND_UNSAFE(bytes, n, UChar32(c));
    out.append(bytes, n);
  }
  return out;
}

bool isSpace(char32_t c) {
  if (c < 128)
    return c == ' ' || (c >= '\t' && c <= '\r') || (c >= 0x1C && c <= 0x1F);
  if (u_charType(UChar32(c)) == U_SPACE_SEPARATOR)
    return true;
  const UCharDirection d = u_charDirection(UChar32(c));
  return d == U_WHITE_SPACE_NEUTRAL || d == U_BLOCK_SEPARATOR || d == U_SEGMENT_SEPARATOR;
}

std::u32string_view trimEnd(std::u32string_view text) {
  while (!text.empty() && isSpace(text.back()))
    text.remove_suffix(1);
  return text;
}

std::vector<std::u32string_view> words(std::u32string_view text) {
  std::vector<std::u32string_view> out;
  for (size_t i = 0; i < text.size();) {
    size_t begin = i;
    while (i < text.size() && !isSpace(text[i]))
      ++i;
    if (i > begin)
      out.push_back(text.substr(begin, i - begin));
    while (i < text.size() && isSpace(text[i]))
      ++i;
  }
  return out;
}

std::string lower(std::string_view utf8) {
  if (std::all_of(utf8.begin(), utf8.end(), [](char c) { return static_cast<unsigned char>(c) < 128; })) {
    std::string out(utf8);
    for (char &c : out)
      c = c >= 'A' && c <= 'Z' ? char(c + 32) : c;
    return out;
  }
  std::u16string wide;
  for (char32_t c : decode(utf8)) {
    if (c > 0xFFFF)
      wide.push_back(char16_t(U16_LEAD(c)));
    wide.push_back(c > 0xFFFF ? U16_TRAIL(c) : char16_t(c));
  }
  // A character becomes at most three.
  std::u16string small(3 * wide.size(), u'\0');
  UErrorCode error = U_ZERO_ERROR;
  const int32_t n = u_strToLower(small.data(), int32_t(small.size()), wide.data(), int32_t(wide.size()), "", &error);
  std::string out;
  for (int32_t i = 0; i < n;) {
    UChar32 c;
    U16_NEXT(small, i, n, c);
    char bytes[4];
    size_t length = 0;
    U8_APPEND_UNSAFE(bytes, length, c);
    out.append(bytes, length);
  }
  return out;
}

std::vector<uint32_t> Vocabulary::idsOf(const std::vector<std::u32string_view> &words) {
  std::vector<uint32_t> out;
  out.reserve(words.size());
  for (auto w : words)
    out.push_back(id(w));
  return out;
}

uint64_t NgramCounts::total(size_t order) const {
  uint64_t n = 0;
  for (const Count &c : orders[order])
    n += c.count;
  return n;
}

NgramCounts countNgrams(const std::vector<uint32_t> &words, int orders, Ngrams &ngrams) {
  NgramCounts out;
  out.orders.resize(size_t(orders));
  std::vector<uint32_t> at(words.size(), Ngrams::none); // the n-gram that begins at a word
  std::unordered_map<uint32_t, size_t> seen;
  for (int n = 1; n <= orders; ++n) {
    seen.clear();
    auto &counts = out.orders[size_t(n - 1)];
    for (size_t i = 0; i + size_t(n) <= words.size(); ++i) {
      at[i] = ngrams.extend(at[i], words[i + size_t(n) - 1]);
      auto [where, fresh] = seen.try_emplace(at[i], counts.size());
      if (fresh)
        counts.push_back({at[i], 0});
      ++counts[where->second].count;
    }
  }
  return out;
}

} // namespace r1rt::metrics
