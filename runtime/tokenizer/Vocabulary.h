//===- Vocabulary.h - tokens by text and by id; small tables of hashes -------===//
#ifndef R1RT_TOKENIZER_VOCABULARY_H
#define R1RT_TOKENIZER_VOCABULARY_H
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace r1rt::tokenizer {

/// 64-bit keys, but for ~0, to 64-bit values. Made once, then only read.
class PairMap {
public:
  static constexpr uint64_t none = ~uint64_t(0);
  void reserve(size_t count);
  /// A key that is there already gets the new value. No more keys than were reserved.
  void set(uint64_t key, uint64_t value);
  uint64_t find(uint64_t key) const {
    if (slots.empty())
      return none;
    for (size_t i = place(key);; i = (i + 1) & mask) {
      if (slots[i].key == key)
        return slots[i].value;
      if (slots[i].key == none)
        return none;
    }
  }

private:
  struct Slot {
    uint64_t key = none, value = none;
  };
  size_t place(uint64_t key) const { return size_t((key * 0x9E3779B97F4A7C15u) >> shift); }
  std::vector<Slot> slots;
  size_t mask = 0;
  int shift = 63;
};

/// Texts with ids that need not be dense.
class Vocabulary {
public:
  /// Before anything is added: how many, and the highest id.
  void reserve(size_t count, int32_t highest);
  /// False: the text or the id is there already.
  bool add(std::string_view text, int32_t id);
  int32_t find(std::string_view text) const; // -1: not there
  bool has(int32_t id) const { return id >= 0 && size_t(id) < at.size() && at[size_t(id)].size != absent; }
  std::string_view text(int32_t id) const { // empty: not there
    return has(id) ? std::string_view(all).substr(at[size_t(id)].from, at[size_t(id)].size) : std::string_view();
  }
  size_t size() const { return count; }
  int32_t highest() const { return int32_t(at.size()) - 1; }

private:
  static constexpr uint32_t absent = ~uint32_t(0);
  struct Place {
    uint32_t from = 0, size = absent;
  };
  struct Slot {
    uint32_t hash = 0;
    int32_t id = -1;
  };
  std::string all;
  std::vector<Place> at; // by id
  std::vector<Slot> slots;
  size_t count = 0;
};

} // namespace r1rt::tokenizer
#endif
