//===- Split.h - where a text is cut before the model sees it ----------------===//
#ifndef R1RT_TOKENIZER_SPLIT_H
#define R1RT_TOKENIZER_SPLIT_H
#include "runtime/Status.h"
#include "runtime/tokenizer/Scan.h"
#include <memory>
#include <re2/re2.h>

namespace r1rt::tokenizer {

/// What a text is cut at, and what becomes of the matches.
class Splitter {
public:
  enum Behaviour { removed, isolated, mergedWithPrevious, mergedWithNext, contiguous };

  /// Each character of the classes is a match.
  static Splitter ofClass(uint16_t classes, Behaviour behaviour);
  /// Each occurrence of a text that is not empty.
  static Splitter ofText(std::string text, Behaviour behaviour, bool invert = false);
  static Splitter ofScanner(Scanner scanner, Behaviour behaviour, bool invert = false);
  /// `\w+|[^\w\s]+`, whose matches stay.
  static Splitter ofWords();
  /// One of the known patterns; else one that RE2 can match with the same result. The error says what stands
  /// in the pattern and what is known.
  static Result<Splitter> ofPattern(const std::string &pattern, Behaviour behaviour, bool invert);

  /// Calls take(begin, end) for each piece that is not empty, in order.
  template <class F> void each(std::string_view text, F take) const;

private:
  template <class F> void matches(std::string_view text, F found) const;

  enum Kind { byClass, byText, byScanner, byWords, byRe2 } kind = byClass;
  Behaviour behaviour = isolated;
  bool invert = false;
  uint16_t classes = 0;
  std::string text;
  Scanner scanner;
  std::shared_ptr<const RE2> re2;
};

// ── templates ───────────────────────────────────────────────────────────────

template <class F> void Splitter::matches(std::string_view s, F found) const {
  const CharTable &table = CharTable::get();
  switch (kind) {
  case byClass:
    for (size_t at = 0, bytes; at < s.size(); at += bytes)
      if (classAt(table, s, at, bytes) & classes)
        found(at, at + bytes);
    break;
  case byText:
    for (size_t at = 0; (at = s.find(text, at)) != s.npos; at += text.size())
      found(at, at + text.size());
    break;
  case byWords:
    for (size_t at = 0, end; at < s.size(); at = end) {
      size_t bytes;
      const uint16_t c = classAt(table, s, at, bytes);
      if (c & word)
        end = run(table, s, at, word);
      else if (!(c & space))
        end = run<true>(table, s, at, word | space);
      else {
        end = at + bytes;
        continue;
      }
      found(at, end);
    }
    break;
  case byScanner: {
    auto all = [&]<Scanner::Kind k>() {
      for (size_t at = 0; at < s.size();) {
        const size_t end = scan<k>(table, scanner, s, at);
        if (end == at) {
          at = charEnd(s, at);
          continue;
        }
        found(at, end);
        at = end;
      }
    };
    switch (scanner.kind) {
    case Scanner::gpt2:
      return all.template operator()<Scanner::gpt2>();
    case Scanner::cl100k:
      return all.template operator()<Scanner::cl100k>();
    case Scanner::o200k:
      return all.template operator()<Scanner::o200k>();
    case Scanner::deepseek:
      return all.template operator()<Scanner::deepseek>();
    }
    break;
  }
  case byRe2: {
    re2::StringPiece match;
    for (size_t at = 0; at < s.size() && re2->Match(re2::StringPiece(s.data(), s.size()), at, s.size(),
                                                    RE2::UNANCHORED, &match, 1);) {
      const size_t begin = size_t(match.data() - s.data());
      at = begin + match.size(); // no pattern matches the empty text
      found(begin, at);
    }
    break;
  }
  }
}

template <class F> void Splitter::each(std::string_view s, F take) const {
  // The text as matches and gaps between them, in order; `invert` exchanges the two.
  auto parts = [&](auto part) {
    size_t done = 0;
    matches(s, [&](size_t begin, size_t end) {
      if (done < begin)
        part(done, begin, invert);
      part(begin, end, !invert);
      done = end;
    });
    if (done < s.size())
      part(done, s.size(), invert);
  };
  switch (behaviour) {
  case isolated:
    return parts([&](size_t begin, size_t end, bool) { take(begin, end); });
  case removed:
    return parts([&](size_t begin, size_t end, bool match) {
      if (!match)
        take(begin, end);
    });
  case mergedWithPrevious: // a match belongs to the gap before it, if there is one
  case mergedWithNext:     // and here to the gap behind it
  case contiguous: {       // matches in a row are one
    size_t from = 0, until = 0;
    bool before = false;
    parts([&](size_t begin, size_t end, bool match) {
      const bool joins = behaviour == contiguous           ? match == before
                         : behaviour == mergedWithPrevious ? match && !before
                                                           : !match && before;
      if (!joins && from < until) {
        take(from, until);
        from = begin;
      }
      until = end;
      before = match;
    });
    if (from < until)
      take(from, until);
    break;
  }
  }
}

} // namespace r1rt::tokenizer
#endif
