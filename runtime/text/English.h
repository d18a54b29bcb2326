//===- English.h - how a piece of text between two spaces is cut into words -===//
//
// The steps of spaCy's tokenizer for English (Honnibal and Montani; rules of version 3.8): prefixes and
// suffixes are taken off in turn until an exception (contraction, abbreviation, emoticon) is left; the
// rest is a URL or is cut at its infixes; last, exceptions that lie across several words are put
// together again.
//
//===----------------------------------------------------------------------===//
#ifndef R1RT_TEXT_ENGLISH_H
#define R1RT_TEXT_ENGLISH_H
#include <memory>
#include <string_view>
#include <vector>

namespace r1rt::text {

class EnglishPieces {
public:
  EnglishPieces();
  ~EnglishPieces();

  /// The lengths in bytes of the words of a piece without white space, in order; `piece` has at least
  /// a byte. Not for two threads at a time.
  const std::vector<uint32_t> &cut(std::string_view piece);

private:
  struct Impl;
  std::unique_ptr<Impl> impl;
};

} // namespace r1rt::text
#endif
