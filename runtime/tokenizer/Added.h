//===- Added.h - tokens that are found in a text before anything else --------===//
#ifndef R1RT_TOKENIZER_ADDED_H
#define R1RT_TOKENIZER_ADDED_H
#include "runtime/tokenizer/Vocabulary.h"
#include <array>

namespace r1rt::tokenizer {

/// A token of "added_tokens".
struct AddedToken {
  std::string content;
  int32_t id = -1;
  bool singleWord = false;     // only where no word goes on
  bool leftBlanks = false;     // white space before it is part of it
  bool rightBlanks = false;    // and behind it
  bool normalised = true;      // looked for in the normalised text, in its own normalised form
  bool special = false;
};

/// Finds tokens in a text: the leftmost, of those that begin there the longest.
class Finder {
public:
  static constexpr size_t longest = 1024; // bytes of a token, which bounds the work for each byte of text
  /// `forms`: what to look for, with the place in `tokens`. False: two are equal.
  bool build(const std::vector<std::pair<std::string, uint32_t>> &forms, const std::vector<AddedToken> *tokens);
  bool empty() const { return ends.size() <= 1; }

  /// take(begin, end, token) for each part that is not empty, in order; `token` is null between tokens. With
  /// `skipSpecial` special tokens are text.
  template <class F> void each(std::string_view text, bool skipSpecial, F take) const {
    size_t done = 0;
    for (size_t at = 0, begin, end; const AddedToken *token = next(text, at, begin, end); at = end) {
      size_t from = begin, to = end;
      if ((skipSpecial && token->special) || !widen(text, *token, done, from, to))
        continue;
      if (done < from)
        take(done, from, static_cast<const AddedToken *>(nullptr));
      take(from, to, token);
      done = to;
    }
    if (done < text.size())
      take(done, text.size(), static_cast<const AddedToken *>(nullptr));
  }

private:
  /// The first token at or behind `at`, or null.
  const AddedToken *next(std::string_view text, size_t at, size_t &begin, size_t &end) const;
  /// With the white space that belongs to it, from `done` on; false: it is no word of its own.
  static bool widen(std::string_view text, const AddedToken &token, size_t done, size_t &begin, size_t &end);

  const std::vector<AddedToken> *tokens = nullptr;
  std::array<bool, 256> starts{};
  PairMap edges; // node << 8 | byte -> node
  std::vector<int32_t> ends; // of a node the token, -1: none
};

} // namespace r1rt::tokenizer
#endif
