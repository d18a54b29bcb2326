#include "runtime/tokenizer/Vocabulary.h"
#include <bit>
#include <cassert>
#include <xxhash.h>

namespace r1rt::tokenizer {

void PairMap::reserve(size_t count) {
  size_t size = std::bit_ceil(count * 2 + 2);
  slots.assign(size, {});
  mask = size - 1;
  shift = 64 - std::countr_zero(size);
}

void PairMap::set(uint64_t key, uint64_t value) {
  assert(key != none);
  size_t i = place(key);
  while (slots[i].key != none && slots[i].key != key)
    i = (i + 1) & mask;
  slots[i] = {key, value};
}

void Vocabulary::reserve(size_t n, int32_t highest) {
  at.assign(size_t(highest + 1), {});
  slots.assign(std::bit_ceil(n * 2 + 2), {});
}

bool Vocabulary::add(std::string_view text, int32_t id) {
  if (has(id))
    return false;
  const uint32_t hash = uint32_t(XXH3_64bits(text.data(), text.size()));
  const size_t mask = slots.size() - 1;
  size_t i = hash & mask;
  for (; slots[i].id >= 0; i = (i + 1) & mask)
    if (slots[i].hash == hash && this->text(slots[i].id) == text)
      return false;
  slots[i] = {hash, id};
  at[size_t(id)] = {uint32_t(all.size()), uint32_t(text.size())};
  all += text;
  ++count;
  return true;
}

int32_t Vocabulary::find(std::string_view text) const {
  if (slots.empty())
    return -1;
  const uint32_t hash = uint32_t(XXH3_64bits(text.data(), text.size()));
  const size_t mask = slots.size() - 1;
  for (size_t i = hash & mask; slots[i].id >= 0; i = (i + 1) & mask)
    if (slots[i].hash == hash && this->text(slots[i].id) == text)
      return slots[i].id;
  return -1;
}

} // namespace r1rt::tokenizer
