//===- HashTable.h - counts by 64-bit hashes, cleared at no cost -----------===//
#ifndef R1RT_TEXT_HASHTABLE_H
#define R1RT_TEXT_HASHTABLE_H
#include <cstddef>
#include <cstdint>
#include <vector>

namespace r1rt::text {

/// Keys are hashes, and taken for what they are hashes of: among n of them a wrong pair has the chance
/// n^2 / 2^65.
class HashTable {
public:
  /// Forgets all keys and makes room for `most` of them.
  void clear(size_t most) {
    size_t wanted = 64;
    while (wanted < most * 2)
      wanted *= 2;
    if (wanted > slots.size()) {
      slots.assign(wanted, {});
      round = 0;
    }
    mask = wanted - 1;
    if (++round == 0) { // once in 2^32
      slots.assign(slots.size(), {});
      round = 1;
    }
  }

  /// The slot of a key, which it has until `clear`; its count is 0 if the key is new.
  uint32_t find(uint64_t key) {
    size_t i = (key ^ (key >> 32)) & mask;
    while (slots[i].round == round && slots[i].key != key)
      i = (i + 1) & mask;
    if (slots[i].round != round)
      slots[i] = {key, round, 0};
    return uint32_t(i);
  }

  uint32_t &count(uint32_t slot) { return slots[slot].count; }

private:
  struct Slot {
    uint64_t key = 0;
    uint32_t round = 0, count = 0;
  };
  std::vector<Slot> slots;
  size_t mask = 0;
  uint32_t round = 0;
};

} // namespace r1rt::text
#endif
