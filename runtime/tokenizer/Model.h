//===- Model.h - from a piece of text to tokens: BPE, WordPiece --------------===//
#ifndef R1RT_TOKENIZER_MODEL_H
#define R1RT_TOKENIZER_MODEL_H
#include "runtime/tokenizer/Vocabulary.h"
#include <array>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace r1rt::tokenizer {

/// A token of a piece and how many bytes of it: the bytes of the tokens before it come first.
struct Token {
  int32_t id;
  uint32_t bytes;
};

class Model {
public:
  virtual ~Model() = default;
  /// Appends the tokens of a piece that is not empty.
  virtual void tokenize(std::string_view piece, std::vector<Token> &tokens) const = 0;
};

/// Byte-pair encoding (Sennrich et al. 2016): of the pairs of neighbours the one that was learnt first is
/// merged, of equal ones the leftmost, until none is known. At most O(n log n) in the length of a piece.
class Bpe final : public Model {
public:
  struct Options {
    std::string unknown;     // the token of what has none; "": it gives nothing
    std::string prefix, suffix; // of a character that does not begin a word, and of the one that ends it
    bool fuseUnknown = false; // neighbours without a token are one unknown
    bool byteFallback = false; // they are spelt in bytes: <0xE2>
    bool ignoreMerges = false; // a whole piece that is a token stays whole
    /// Pieces are bytes, and `vocabulary` has the 256 of them and tokens of them: a byte-level model whose
    /// texts were not written as GPT-2's characters.
    bool bytes = false;
  };
  struct Merge {
    int32_t left, right, merged;
  };
  /// The vocabulary lives at least as long.
  Bpe(const Vocabulary &vocabulary, Options options, std::span<const Merge> merges);
  void tokenize(std::string_view piece, std::vector<Token> &tokens) const override;

private:
  void characters(std::string_view piece, std::vector<Token> &tokens) const;
  void mergeShort(std::span<Token> &tokens) const;
  void mergeLong(std::span<Token> &tokens) const;
  uint64_t mergeOf(int32_t left, int32_t right) const {
    return merges.find(uint64_t(uint32_t(left)) << 32 | uint32_t(right));
  }

  const Vocabulary &vocabulary;
  Options options;
  int32_t unknown = -1;
  PairMap merges;                     // left << 32 | right -> rank << 32 | merged
  std::array<int32_t, 256> ofByte;    // the token of a byte, with options.bytes; else of `<0x..>`; -1: none
  std::array<int32_t, 128> ofAscii;   // of an ASCII character, where there is neither prefix nor suffix
};

/// WordPiece (Devlin et al. 2019): the longest token that the rest of the word begins with, again and again; if
/// there is none, the whole word is unknown. Linear but for the length of the longest token.
class WordPiece final : public Model {
public:
  /// `unknown` is a token. Words of more than `maxChars` characters are unknown.
  WordPiece(const Vocabulary &vocabulary, int32_t unknown, std::string_view prefix, uint64_t maxChars);
  void tokenize(std::string_view piece, std::vector<Token> &tokens) const override;

private:
  /// A tree of bytes; node 0 is the root. What a node's token is stands in `ends`.
  struct Tree {
    PairMap edges; // node << 8 | byte -> node
    std::vector<int32_t> ends;
  };
  void grow(Tree &tree, std::span<const std::pair<std::string_view, int32_t>> tokens);
  /// The longest token at `at`: its id and end; false: there is none.
  static bool longest(const Tree &tree, std::string_view text, size_t at, int32_t &id, size_t &end);

  Tree initial, continuing;
  int32_t unknown;
  uint64_t maxChars;
};

} // namespace r1rt::tokenizer
#endif
