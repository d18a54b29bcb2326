//===- Tokenizer.h - the tokenizers of Hugging Face's tokenizer.json --------===//
//
// Reads tokenizer.json and gives the ids, offsets and texts that the package `tokenizers` gives for it.
// What is supported stands in README.md; a file that needs more is refused with the place in the file,
// what stands there, and what is known.
//
//===----------------------------------------------------------------------===//
#ifndef R1RT_TOKENIZER_TOKENIZER_H
#define R1RT_TOKENIZER_TOKENIZER_H
#include "runtime/Status.h"
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace r1rt::tokenizer {

/// A token of an encoded text.
struct Piece {
  int32_t id;
  uint32_t begin, end; // bytes of the text it stands for; both 0 for tokens that the template adds
  bool operator==(const Piece &) const = default;
};

/// A tokenizer that was read; immutable, so any number of threads may use it at once. The same text gives
/// the same ids whatever was encoded before.
class Encoder {
public:
  /// From the content of a tokenizer.json, of at most maxFile bytes. A message names the place in the JSON:
  /// "`model.merges[3]` is …".
  static Result<Encoder> fromJson(std::string_view json);
  /// From a file, or a directory with a tokenizer.json. A tokenizer_config.json and a
  /// special_tokens_map.json beside it name the special tokens.
  static Result<Encoder> open(const std::string &path);
  static constexpr size_t maxFile = size_t(1) << 28;

  /// Appends the ids of `text`. What is not UTF-8 counts as U+FFFD, as text::repairUtf8 has it. `addSpecial`:
  /// with what the template adds ([CLS] … [SEP]). `specialIsText`: where the text spells a special token it
  /// is no token, so that text of others cannot end a turn. Truncation and padding that the file asks for
  /// are not done.
  void encode(std::string_view text, std::vector<int32_t> &ids, bool addSpecial = false,
              bool specialIsText = false) const;
  /// The same with the bytes that each token stands for. Text of less than 4 GiB.
  void encode(std::string_view text, std::vector<Piece> &pieces, bool addSpecial = false,
              bool specialIsText = false) const;
  /// The text of `ids`. `skipSpecial`: special tokens give nothing. Ids that are not in the vocabulary
  /// give nothing. What is not UTF-8 in the end becomes U+FFFD, as in the package.
  std::string decode(std::span<const int32_t> ids, bool skipSpecial = true) const;
  /// The bytes of one token as it stands inside a text, for output that grows token by token: with a
  /// byte-level vocabulary they need not be whole characters. The pieces of a text joined are its
  /// decoding, but for what the decoder does at the beginning of a text (see README.md).
  std::string bytesOf(int32_t id) const;

  /// One more than the highest id: the rows that a table of embeddings needs.
  int32_t vocabSize() const;
  /// -1: there is no such token.
  int32_t tokenToId(std::string_view token) const;
  /// As it stands in the file; empty: there is no such id.
  std::string_view idToToken(int32_t id) const;
  /// Is `id` a special token, which decode skips?
  bool isSpecial(int32_t id) const;

  /// Ids of tokens with a role; -1: none. From tokenizer_config.json and special_tokens_map.json where
  /// they are present and name one, else the first of the usual names that the vocabulary has.
  struct Roles {
    int32_t bos = -1, eos = -1, pad = -1, unk = -1, mask = -1, cls = -1, sep = -1;
  };
  const Roles &roles() const;

  struct Impl;
  explicit Encoder(std::shared_ptr<const Impl> impl) : impl(std::move(impl)) {}

private:
  std::shared_ptr<const Impl> impl;
};

} // namespace r1rt::tokenizer
#endif
