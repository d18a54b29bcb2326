//===- Words.h - words that a thread has met, with their tokens --------------===//
#ifndef R1RT_TOKENIZER_WORDS_H
#define R1RT_TOKENIZER_WORDS_H
#include "runtime/tokenizer/Model.h"
#include <cstring>

namespace r1rt::tokenizer {

/// Remembers what a model made of a word. What comes out does not depend on it; when it is full it begins anew.
class Words {
public:
  /// This thread's, of the model with that serial number. Valid until the thread asks for another's.
  static Words &of(uint64_t serial);
  static uint64_t newSerial();

  /// The tokens of a piece that is not empty; valid until the next call. `end`: up to where bytes can be read.
  std::span<const Token> tokenize(const Model &model, std::string_view piece, const char *end) {
    if (piece.size() > longest)
      return compute(model, piece);
    const Key key = piece.size() < 16 ? shortKey(piece, end) : longKey(piece);
    for (size_t i = key.place();; i = (i + 1) & (capacity - 1)) {
      const Slot &slot = slots[i];
      if (slot.key.high == 0)
        return learn(model, piece, key, i);
      if (slot.key == key && (piece.size() < 16 || spelling(slot) == piece))
        return {tokens.data() + slot.from, slot.count};
    }
  }

private:
  static constexpr size_t capacity = size_t(1) << 16, mostTokens = size_t(1) << 20, longest = 255;

  /// A short word is its own key, with its size in the highest byte; of a longer one it is a hash.
  struct Key {
    uint64_t low, high; // high is never 0
    bool operator==(const Key &) const = default;
    size_t place() const {
      uint64_t h = (low ^ (high << 29 | high >> 35)) * 0x9E3779B97F4A7C15u;
      return size_t((h ^ h >> 32) * 0xD6E8FEB86659FD93u >> 48);
    }
  };
  struct Slot {
    Key key;
    uint32_t from, count; // in `tokens`; of a long word the token before says where in `spellings` it stands
  };

  static Key shortKey(std::string_view piece, const char *end) {
    uint64_t part[2] = {0, 0};
    const size_t n = piece.size();
    if (end - piece.data() >= 16) {
      memcpy(part, piece.data(), 16);
      if (n < 8)
        part[0] &= ~(~uint64_t(0) << 8 * n), part[1] = 0;
      else
        part[1] &= ~(~uint64_t(0) << 8 * (n - 8));
    } else {
      memcpy(part, piece.data(), n);
    }
    return {part[0], part[1] | uint64_t(n) << 56};
  }
  static Key longKey(std::string_view piece);
  std::string_view spelling(const Slot &slot) const {
    const Token &at = tokens[slot.from - 1];
    return std::string_view(spellings).substr(uint32_t(at.id), at.bytes);
  }
  std::span<const Token> compute(const Model &model, std::string_view piece);
  std::span<const Token> learn(const Model &model, std::string_view piece, Key key, size_t place);

  uint64_t owner = 0, used = 0; // `used`: when it was asked for last
  std::vector<Slot> slots;
  std::vector<Token> tokens, fresh;
  std::string spellings;
  size_t count = 0;
};

} // namespace r1rt::tokenizer
#endif
