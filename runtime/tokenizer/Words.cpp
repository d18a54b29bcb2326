#include "runtime/tokenizer/Words.h"
#include <algorithm>
#include <atomic>
#include <bit>
#include <xxhash.h>

namespace r1rt::tokenizer {

static_assert(std::endian::native == std::endian::little, "a short key has its size in its last byte");

uint64_t Words::newSerial() {
  static std::atomic<uint64_t> last{0};
  return ++last;
}

Words &Words::of(uint64_t serial) {
  // A few, so that a thread that uses two tokenizers in turn does not begin anew each time.
  thread_local std::array<std::unique_ptr<Words>, 4> all;
  thread_local uint64_t clock = 0;
  ++clock;
  auto age = [](const std::unique_ptr<Words> &w) { return w ? w->used : 0; };
  auto at = std::find_if(all.begin(), all.end(), [&](auto &w) { return w && w->owner == serial; });
  if (at == all.end()) {
    at = std::min_element(all.begin(), all.end(), [&](auto &a, auto &b) { return age(a) < age(b); });
    *at = std::make_unique<Words>();
    (*at)->owner = serial;
    (*at)->slots.assign(capacity, {});
  }
  (*at)->used = clock;
  return **at;
}

Words::Key Words::longKey(std::string_view piece) {
  return {XXH3_64bits(piece.data(), piece.size()), uint64_t(0xFF) << 56 | piece.size()};
}

std::span<const Token> Words::compute(const Model &model, std::string_view piece) {
  fresh.clear();
  model.tokenize(piece, fresh);
  return fresh;
}

std::span<const Token> Words::learn(const Model &model, std::string_view piece, Key key, size_t place) {
  compute(model, piece);
  if (count >= capacity * 3 / 4 || tokens.size() + fresh.size() >= mostTokens) {
    std::fill(slots.begin(), slots.end(), Slot{});
    tokens.clear();
    spellings.clear();
    count = 0;
    place = key.place();
  }
  if (piece.size() >= 16) {
    tokens.push_back({int32_t(uint32_t(spellings.size())), uint32_t(piece.size())});
    spellings += piece;
  }
  slots[place] = {key, uint32_t(tokens.size()), uint32_t(fresh.size())};
  tokens.insert(tokens.end(), fresh.begin(), fresh.end());
  ++count;
  return fresh;
}

} // namespace r1rt::tokenizer
