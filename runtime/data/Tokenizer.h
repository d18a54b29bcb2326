//===- Tokenizer.h - text to ids and back ----------------------------------===//
//
// A tokenizer is a directory with tokenizer.r1.json: {"kind":"bytes","special":[NAME]}, {"kind":"bpe","vocab":V,
// "pieces":P} beside tokenizer.model (a SentencePiece model), or {"kind":"tokenizer.json"} beside a tokenizer.json
// of Hugging Face and, where the model came with them, tokenizer_config.json and special_tokens_map.json.
//
//===----------------------------------------------------------------------===//
#ifndef R1RT_DATA_TOKENIZER_H
#define R1RT_DATA_TOKENIZER_H
#include "runtime/data/Corpus.h"
#include <memory>
#include <span>

namespace r1rt {

class Tokenizer {
public:
  virtual ~Tokenizer() = default;
  virtual int32_t vocab() const = 0;     // ids are in 0 .. vocab-1
  virtual int32_t endOfText() const = 0; // -1: none
  /// What a document begins with. Most have one id for both; then it serves between two documents.
  virtual int32_t beginOfText() const { return endOfText(); }
  virtual int32_t padding() const = 0;   // the id that fills unused places
  /// The id of a special token; -1: there is none of that name.
  virtual int32_t special(std::string_view name) const = 0;
  /// Appends the ids of `text`, without end of text.
  virtual void encode(std::string_view text, std::vector<int32_t> &ids) const = 0;
  /// Inverse of encode; specials give nothing. The bytes need not be whole UTF-8 characters.
  virtual std::string decode(std::span<const int32_t> ids) const = 0;
  /// A tokenizer.json with which Hugging Face's `tokenizers` gives the same ids and texts. Two things differ there:
  /// where a text spells a special token it is that token; and of two merges into one periodic piece (as in
  /// "ababab") that overlap, which no text of the tests has shown yet, another may come first.
  virtual Result<std::string> tokenizerJson() const = 0;
  /// Writes the files into `dir`.
  virtual Status save(const std::string &dir) const = 0;
};
using TokenizerPtr = std::shared_ptr<const Tokenizer>;

/// 256 bytes, end of text 256, padding 257, then the specials, which no text is encoded to.
TokenizerPtr bytesTokenizer(std::vector<std::string> special = {});
/// The tokenizer saved in `dir`.
Result<TokenizerPtr> openTokenizer(const std::string &dir);
/// {"op":"bytes_tokenizer","special":[NAME]}, {"op":"tokenizer","path":FILE}, a tokenizer.json, or {"stage": NAME}.
Result<TokenizerPtr> openTokenizer(const nlohmann::json &spec, DataContext &ctx);

/// Trains byte-pair encoding with byte fallback, so that any text can be encoded. Deterministic.
/// A text that supports fewer pieces leaves the last ids unused and warns with both numbers; a
/// vocabulary without room for the bytes and specials is an error.
Result<TokenizerPtr> trainBpe(const Corpus &corpus, int32_t vocab,
                              const std::vector<std::string> &special,
                              const std::function<void(const std::string &)> &warn);

} // namespace r1rt
#endif
