//===- ShortHash.h - 64-bit hashes of words --------------------------------===//
#ifndef R1RT_TEXT_SHORTHASH_H
#define R1RT_TEXT_SHORTHASH_H
#include <cstdint>
#include <cstring>
#include <string_view>
#include <xxhash.h>

namespace r1rt::text {

/// The finalizer of SplitMix64 (Steele et al., 2014): a permutation that spreads each bit over all.
constexpr uint64_t finalize(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
  return x ^ (x >> 31);
}

constexpr uint64_t golden = 0x9E3779B97F4A7C15u;

/// A word of at most 16 bytes as two numbers, filled up with zeros.
struct Halves {
  uint64_t low, high;
  bool operator==(const Halves &) const = default;
};

/// Without a branch on the number of bytes. 16 bytes can be read from the begin.
[[gnu::always_inline]] inline Halves halvesOf(std::string_view word) {
  const size_t n = word.size();
  const uint64_t all = ~uint64_t(0);
  Halves h;
  std::memcpy(&h.low, word.data(), 8);
  std::memcpy(&h.high, word.data() + 8, 8);
  h.low &= n >= 8 ? all : ~(all << 8 * n);
  h.high &= n >= 16 ? all : n <= 8 ? 0 : ~(all << 8 * (n - 8));
  return h;
}

/// The same of a part of `text`; nothing behind `text` is read.
[[gnu::always_inline]] inline Halves halvesOf(std::string_view text, size_t begin, size_t n) {
  if (begin + 16 <= text.size())
    return halvesOf({text.data() + begin, n});
  char padded[16] = {};
  std::memcpy(padded, text.data() + begin, n);
  return halvesOf({padded, n});
}

/// shortHash of the n bytes.
[[gnu::always_inline]] inline uint64_t shortHash(Halves h, size_t n) {
  return finalize(finalize(h.high + n * golden) ^ h.low);
}

/// Of up to 16 bytes by the finalizer, without a branch on their number; longer ones by XXH3. Two words of the
/// same length of at most 8 bytes never share one; others do only by chance, unless somebody has looked for two
/// that do, which is easy: where that matters the bytes are to be compared. 16 bytes can be read from the begin.
[[gnu::always_inline]] inline uint64_t shortHash(std::string_view word) {
  const size_t n = word.size();
  return n > 16 ? XXH3_64bits(word.data(), n) : shortHash(halvesOf(word), n);
}

/// The same of a part of `text`; nothing behind `text` is read.
[[gnu::always_inline]] inline uint64_t shortHash(std::string_view text, size_t begin, size_t n) {
  return n > 16 ? XXH3_64bits(text.data() + begin, n) : shortHash(halvesOf(text, begin, n), n);
}

} // namespace r1rt::text
#endif
