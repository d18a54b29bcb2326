//===- Normalise.h - what happens to a text before it is cut -----------------===//
#ifndef R1RT_TOKENIZER_NORMALISE_H
#define R1RT_TOKENIZER_NORMALISE_H
#include "runtime/tokenizer/Text.h"

namespace r1rt::tokenizer {

struct Normaliser {
  enum Kind {
    nfc, nfd, nfkc, nfkd,
    lowercase,
    stripAccents,  // \p{M} goes
    bertAccents,   // \p{Mn} goes, of text that NFD has gone over
    bertClean,     // control characters go, white space becomes a blank
    bertIdeographs, // blanks around each
    replace,       // `what` by `with`
    prepend,       // `with`, unless the text is empty
    stripLeft, stripRight, stripBoth, // white space
    bytes,         // bytes as GPT-2's characters
  } kind;
  std::string what = {}, with = {};

  /// False: `in` stays as it is, and `out` is not touched. Else `out`, empty before, is what becomes of it.
  bool apply(const View &in, Changed &out) const;
};

/// All in order: `in` itself, or a view of one of the two buffers.
View normalise(const std::vector<Normaliser> &steps, View in, Changed &a, Changed &b);

} // namespace r1rt::tokenizer
#endif
