//===- Decode.h - from tokens back to text ------------------------------------===//
#ifndef R1RT_TOKENIZER_DECODE_H
#define R1RT_TOKENIZER_DECODE_H
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace r1rt::tokenizer {

struct Decoder {
  enum Kind {
    byteLevel,    // GPT-2's characters are bytes
    wordPiece,    // a blank before each but the first, unless it begins with `what`, which goes
    metaspace,    // `what` is a blank; with `first` it is nothing in the first token
    bpe,          // `what`, a suffix, is a blank, and nothing in the last token
    byteFallback, // <0xE2> is a byte
    fuse,         // one token
    strip,        // up to `start` of the character `what` at the beginning of each token, `stop` at its end
    replace,      // `what` by `with`
  } kind;
  std::string what = {}, with = {};
  bool first = false, cleanUp = false; // cleanUp: wordPiece takes blanks before punctuation out
  uint64_t start = 0, stop = 0;
};

std::string decodeTokens(const std::vector<Decoder> &steps, std::vector<std::string> tokens);

/// What one token gives in the midst of others, in bytes that need not be whole characters.
std::string decodeAlone(const std::vector<Decoder> &steps, std::string_view token);

} // namespace r1rt::tokenizer
#endif
