// The sum that every world has to give, in the plainest form.
#ifndef R1_TEST_RUNTIME_COMM_TREE_H
#define R1_TEST_RUNTIME_COMM_TREE_H
#include <cstdint>
#include <cstring>
#include <vector>

/// A value of no particular form, of either sign and of sizes that differ by 2^16, so that the
/// order of a sum shows.
inline float value(uint64_t shard, uint64_t i) {
  uint64_t x = (shard << 40) + i + 1;
  x = (x ^ (x >> 31)) * 0x9e3779b97f4a7c15;
  x = (x ^ (x >> 29)) * 0xbf58476d1ce4e5b9;
  x ^= x >> 32;
  uint32_t bits = uint32_t(x & 0x807fffff) | (uint32_t(119 + (x >> 32) % 17) << 23);
  float f;
  memcpy(&f, &bits, sizeof f);
  return f;
}

/// The binary tree over the shards `first` to `first + count - 1`, a power of two of them.
inline float treeSum(uint64_t first, uint64_t count, uint64_t i) {
  if (count == 1)
    return value(first, i);
  float low = treeSum(first, count / 2, i), high = treeSum(first + count / 2, count / 2, i);
  return low + high;
}

/// FNV-1a over the bits.
inline uint64_t checksum(const std::vector<float> &data) {
  uint64_t h = 0xcbf29ce484222325;
  for (float f : data) {
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    h = (h ^ bits) * 0x100000001b3;
  }
  return h;
}
#endif
