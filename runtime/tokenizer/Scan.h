//===- Scan.h - the regular expressions of well-known tokenizers, by hand ----===//
//
// They look ahead (`\s+(?!\S)`), which RE2 does not, and most of the time goes into them. Alternatives are tried
// in order, as in the expressions; the comments quote what is read.
//
//===----------------------------------------------------------------------===//
#ifndef R1RT_TOKENIZER_SCAN_H
#define R1RT_TOKENIZER_SCAN_H
#include "runtime/tokenizer/Chars.h"
#include <algorithm>

namespace r1rt::tokenizer {

struct Scanner {
  enum Kind { gpt2, cl100k, o200k, deepseek } kind = gpt2;
  int digits = 0;            // cl100k: numbers are cut after so many
  uint16_t letters = letter; // cl100k: what words consist of
};

/// The class of the character at text[at], and its bytes.
inline uint16_t classAt(const CharTable &table, std::string_view text, size_t at, size_t &bytes) {
  const unsigned char byte = static_cast<unsigned char>(text[at]);
  if (byte < 0x80)
    return bytes = 1, table.ascii(byte);
  size_t next = at;
  const char32_t c = decodeChar(text, next);
  bytes = next - at;
  return table[c];
}

/// The end of the characters from `at` on that are of the classes; with `not_`: that are of none.
template <bool not_ = false>
size_t run(const CharTable &table, std::string_view text, size_t at, uint16_t classes) {
  for (size_t bytes; at < text.size(); at += bytes)
    if (bool(classAt(table, text, at, bytes) & classes) == not_)
      break;
  return at;
}

inline bool lineEnd(char c) { return c == '\r' || c == '\n'; }

/// `'s|'t|'re|'ve|'m|'ll|'d`, with `anyCase` in upper case as well, where ſ (U+017F) is an s. `at` if none of
/// them stands there.
inline size_t contraction(std::string_view text, size_t at, bool anyCase) {
  if (at + 1 >= text.size() || text[at] != '\'')
    return at;
  auto low = [&](size_t i) -> char {
    const char c = i < text.size() ? text[i] : '\0';
    return anyCase && c >= 'A' && c <= 'Z' ? char(c | 0x20) : c;
  };
  switch (low(at + 1)) {
  case 's':
  case 't':
  case 'm':
  case 'd':
    return at + 2;
  case 'r':
  case 'v':
    return low(at + 2) == 'e' ? at + 3 : at;
  case 'l':
    return low(at + 2) == 'l' ? at + 3 : at;
  case '\xC5':
    return anyCase && at + 2 < text.size() && text[at + 2] == '\xBF' ? at + 3 : at;
  default:
    return at;
  }
}

/// `\s+(?!\S)|\s+` where white space stands at `at`: all of it, but for the last character where something
/// follows and it is not the only one.
inline size_t blanks(std::string_view text, size_t at, size_t end) {
  if (end == text.size())
    return end;
  const size_t last = charBegin(text, end - 1);
  return last > at ? last : end;
}

/// `\s*[\r\n]+|\s+(?!\S)|\s+`
inline size_t blanksOrLines(const CharTable &table, std::string_view text, size_t at) {
  const size_t end = run(table, text, at, space);
  for (size_t line = end; line > at; --line)
    if (lineEnd(text[line - 1]))
      return line;
  return blanks(text, at, end);
}

/// The end of the match that begins at `at` < text.size(), or `at` if none does.
template <Scanner::Kind kind>
size_t scan(const CharTable &table, const Scanner &scanner, std::string_view text, size_t at);

template <>
inline size_t scan<Scanner::gpt2>(const CharTable &table, const Scanner &, std::string_view text, size_t at) {
  if (size_t end = contraction(text, at, false); end > at)
    return end;
  // ` ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+`
  const size_t from = text[at] == ' ' && at + 1 < text.size() ? at + 1 : at;
  size_t bytes;
  const uint16_t c = classAt(table, text, from, bytes);
  if (c & letter)
    return run(table, text, from + bytes, letter);
  if (c & number)
    return run(table, text, from + bytes, number);
  if (!(c & space))
    return run<true>(table, text, from + bytes, space | letter | number);
  return blanks(text, at, run(table, text, at, space));
}

/// `\p{N}{1,digits}` behind a first number.
inline size_t numbers(const CharTable &table, std::string_view text, size_t at, int digits) {
  size_t bytes;
  for (int n = 1; n < digits && at < text.size() && (classAt(table, text, at, bytes) & number); ++n)
    at += bytes;
  return at;
}

template <>
inline size_t scan<Scanner::cl100k>(const CharTable &table, const Scanner &scanner, std::string_view text,
                                    size_t at) {
  if (size_t end = contraction(text, at, true); end > at)
    return end;
  // `[^\r\n\p{L}\p{N}]?\p{L}+`
  size_t bytes, more;
  const uint16_t c = classAt(table, text, at, bytes);
  if (c & scanner.letters)
    return run(table, text, at + bytes, scanner.letters);
  if (c & number)
    return numbers(table, text, at + bytes, scanner.digits);
  const size_t next = at + bytes;
  const uint16_t behind = next < text.size() ? classAt(table, text, next, more) : uint16_t(space);
  if ((behind & scanner.letters) && !lineEnd(text[at]))
    return run(table, text, next + more, scanner.letters);
  // ` ?[^\s\p{L}\p{N}]+[\r\n]*`
  const uint16_t others = space | scanner.letters | number;
  const bool blank = text[at] == ' ' && !(behind & others);
  if (blank || !(c & space)) {
    size_t end = run<true>(table, text, next, others);
    while (end < text.size() && lineEnd(text[end]))
      ++end;
    return end;
  }
  return blanksOrLines(table, text, at);
}

/// `[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+`, or the same with + and *, and a contraction. `at`
/// if no letter or mark stands there.
inline size_t cased(const CharTable &table, std::string_view text, size_t at) {
  constexpr uint16_t first = upper | caseless | mark, second = lower | caseless | mark;
  size_t end = run(table, text, at, first);
  if (size_t longer = run(table, text, end, second); longer > end) {
    end = longer;
  } else {
    // The second part has to take something from the first: up to the last that it may take.
    for (size_t back = end, bytes; back > at;) {
      const size_t one = charBegin(text, back - 1);
      if (classAt(table, text, one, bytes) & second) {
        end = back;
        break;
      }
      back = one;
    }
  }
  return end > at ? std::max(end, contraction(text, end, true)) : at;
}

template <>
inline size_t scan<Scanner::o200k>(const CharTable &table, const Scanner &, std::string_view text, size_t at) {
  // `[^\r\n\p{L}\p{N}]?` and a word, that character being of the word where it can.
  size_t bytes;
  const uint16_t c = classAt(table, text, at, bytes);
  if (c & (letter | mark))
    return cased(table, text, at);
  if (c & number)
    return numbers(table, text, at + bytes, 3);
  const size_t next = at + bytes;
  if (!lineEnd(text[at]))
    if (size_t end = cased(table, text, next); end > next)
      return end;
  // ` ?[^\s\p{L}\p{N}]+[\r\n/]*`
  constexpr uint16_t others = space | letter | number;
  size_t more;
  const bool blank = text[at] == ' ' && next < text.size() && !(classAt(table, text, next, more) & others);
  if (blank || !(c & space)) {
    size_t end = run<true>(table, text, next, others);
    while (end < text.size() && (lineEnd(text[end]) || text[end] == '/'))
      ++end;
    return end;
  }
  return blanksOrLines(table, text, at);
}

template <>
inline size_t scan<Scanner::deepseek>(const CharTable &table, const Scanner &, std::string_view text, size_t at) {
  auto isLetter = [](char ch) { return (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z'); };
  size_t bytes, more = 0;
  const uint16_t c = classAt(table, text, at, bytes);
  const size_t next = at + bytes;
  const bool ascii = static_cast<unsigned char>(text[at]) < 0x80;
  // ASCII punctuation and `[A-Za-z]+`
  if (ascii && (c & (punctuation | symbol)) && next < text.size() && isLetter(text[next])) {
    size_t end = next + 1;
    while (end < text.size() && isLetter(text[end]))
      ++end;
    return end;
  }
  // `[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+`
  if (c & (letter | mark))
    return run(table, text, next, letter | mark);
  const uint16_t behind = next < text.size() ? classAt(table, text, next, more) : uint16_t(0);
  if ((behind & (letter | mark)) && !lineEnd(text[at]) && !(c & (punctuation | symbol)))
    return run(table, text, next + more, letter | mark);
  // ` ?[\p{P}\p{S}]+[\r\n]*`
  if ((c & (punctuation | symbol)) || (text[at] == ' ' && (behind & (punctuation | symbol)))) {
    size_t end = run(table, text, next, punctuation | symbol);
    while (end < text.size() && lineEnd(text[end]))
      ++end;
    return end;
  }
  return c & space ? blanksOrLines(table, text, at) : at;
}

} // namespace r1rt::tokenizer
#endif
