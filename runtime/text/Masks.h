//===- Masks.h - many bytes of a text at a time ----------------------------===//
//
// Vectors of the compiler, which become those of any machine; tests are given one, and answer with the
// comparison of its lanes.
//
//===----------------------------------------------------------------------===//
#ifndef R1RT_TEXT_MASKS_H
#define R1RT_TEXT_MASKS_H
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace r1rt::text {

/// fn(at, mask) for each 64 bytes from text[at] on, in order: bit i tells whether text[at + i] passes the test.
/// Bytes of ASCII are 0 and more, others less.
template <class Test, class Fn> void eachMask(std::string_view text, Test test, Fn fn) {
  constexpr size_t block = 64;
  typedef signed char Bytes __attribute__((ext_vector_type(block)));
  typedef bool Bits __attribute__((ext_vector_type(block)));
  auto maskAt = [&](const char *from) {
    Bytes v;
    std::memcpy(&v, from, block);
    const Bits bits = __builtin_convertvector(test(v), Bits);
    uint64_t mask;
    std::memcpy(&mask, &bits, sizeof mask);
    return mask;
  };
  size_t at = 0;
  for (; at + block <= text.size(); at += block)
    fn(at, maskAt(text.data() + at));
  if (size_t rest = text.size() - at) {
    char padded[block] = {};
    std::memcpy(padded, text.data() + at, rest);
    fn(at, maskAt(padded) & (~uint64_t(0) >> (block - rest)));
  }
}

/// How many bytes of `text` pass the test.
template <class Test> size_t countBytes(std::string_view text, Test test) {
  constexpr size_t block = 16, most = 255; // what a lane can count
  typedef signed char Bytes __attribute__((ext_vector_type(block)));
  size_t count = 0, at = 0;
  while (at + block <= text.size()) {
    Bytes sums = 0;
    for (size_t end = at + std::min((text.size() - at) / block, most) * block; at < end; at += block) {
      Bytes v;
      std::memcpy(&v, text.data() + at, block);
      sums -= test(v); // a lane that passes is -1
    }
    unsigned char lanes[block];
    std::memcpy(lanes, &sums, block);
    for (unsigned char n : lanes)
      count += n;
  }
  for (; at < text.size(); ++at)
    count += test(static_cast<signed char>(text[at])) ? 1 : 0;
  return count;
}
inline size_t countByte(std::string_view text, char byte) {
  return countBytes(text, [byte](auto v) { return v == static_cast<signed char>(byte); });
}

} // namespace r1rt::text
#endif
