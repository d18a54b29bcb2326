//===- Text.h - a text being encoded, and where its bytes come from ----------===//
#ifndef R1RT_TOKENIZER_TEXT_H
#define R1RT_TOKENIZER_TEXT_H
#include "runtime/tokenizer/Chars.h"

namespace r1rt::tokenizer {

/// Bytes [begin, end) of the text that was given.
struct Range {
  uint32_t begin = 0, end = 0;
};

/// A part of a text, with the origin of each of its bytes where a step has moved or changed some.
struct View {
  std::string_view text;
  const Range *origin = nullptr; // for each byte; null: the byte text[i] is byte base + i of what was given
  size_t base = 0;
  const char *limit = text.data() + text.size(); // memory may be read up to here

  View part(size_t begin, size_t end) const {
    return {text.substr(begin, end - begin), origin ? origin + begin : nullptr, base + begin, limit};
  }
  /// What the bytes [begin, end) stand for: whole characters. Not of an empty range.
  Range range(size_t begin, size_t end) const {
    if (origin)
      return {origin[begin].begin, origin[end - 1].end};
    return {uint32_t(base + charBegin(text, begin)), uint32_t(base + charEnd(text, end - 1))};
  }
};

/// A text that a step writes.
struct Changed {
  std::string text;
  std::vector<Range> origin; // for each byte, if tracked
  bool tracked = false;

  explicit Changed(bool tracked) : tracked(tracked) {}
  View view() const { return {text, tracked ? origin.data() : nullptr}; }
  /// `from`: any byte of `in` whose origin the character shares.
  void add(char32_t c, const View &in, size_t from) {
    appendChar(text, c);
    if (tracked)
      origin.resize(text.size(), in.range(from, from + 1));
  }
  void add(std::string_view s, const View &in, size_t from) {
    text += s;
    if (tracked)
      origin.resize(text.size(), in.range(from, from + 1));
  }
  /// The bytes [begin, end) as they stand.
  void copy(const View &in, size_t begin, size_t end) {
    text += in.text.substr(begin, end - begin);
    for (size_t i = begin; tracked && i < end; ++i)
      origin.push_back(in.range(i, i + 1));
  }
};

} // namespace r1rt::tokenizer
#endif
