//===- Fim.h - documents for filling in the middle ---------------------------===//
#ifndef R1RT_DATA_FIM_H
#define R1RT_DATA_FIM_H
#include "runtime/data/Tokenizer.h"

namespace r1rt {

/// Bavarian et al. 2022: with the probability `rate` a document is cut at two of its characters, drawn evenly, and
/// written as PREFIX prefix SUFFIX suffix MIDDLE middle, or with the probability `spm` as PREFIX SUFFIX suffix MIDDLE
/// prefix middle. The parts are encoded apart. What is drawn is a function of the seed and the document's number.
class Fim {
public:
  Fim() = default; // leaves documents as they are
  /// {"rate","spm","seed","tokens":[PREFIX, SUFFIX, MIDDLE]} or null. Errors: a rate out of 0 to 1, a special token
  /// that the tokenizer does not have.
  static Result<Fim> of(const nlohmann::json &spec, const Tokenizer &tok);
  /// Appends the ids of document `number`, `text` in UTF-8.
  void encode(std::string_view text, uint64_t number, const Tokenizer &tok, std::vector<int32_t> &ids) const;

private:
  double rate = 0, spm = 0;
  uint64_t key = 0;
  int32_t prefix = -1, suffix = -1, middle = -1;
};

} // namespace r1rt
#endif
