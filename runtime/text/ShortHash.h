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

/// Of up to 16 bytes by the finalizer, without a branch on their number; longer ones by XXH3. Two words of the
/// same length of at most 8 bytes never share one. 16 bytes can be read from the begin.
[[gnu::always_inline]] inline uint64_t shortHash(std::string_view word) {
  const size_t n = word.size();
  if (n > 16)
    return XXH3_64bits(word.data(), n);
  uint64_t low, high;
  std::memcpy(&low, word.data(), 8);
  std::memcpy(&high, word.data() + 8, 8);
  const uint64_t all = ~uint64_t(0);
  low &= n >= 8 ? all : ~(all << 8 * n);
  high &= n >= 16 ? all : n <= 8 ? 0 : ~(all << 8 * (n - 8));
  return finalize(finalize(high + n * golden) ^ low);
}

/// The same of a part of `text`; nothing behind `text` is read.
[[gnu::always_inline]] inline uint64_t shortHash(std::string_view text, size_t begin, size_t n) {
  if (n > 16 || begin + 16 <= text.size())
    return shortHash({text.data() + begin, n});
  char padded[16] = {};
  std::memcpy(padded, text.data() + begin, n);
  return shortHash({padded, n});
}

} // namespace r1rt::text
#endif
