//===- Augment.h - another text out of a text: synonyms, typos, translation --===//
//
// Described by the records of stdlib/augment.r1:
//
//   {"augment": "synonyms", "lexicon": "wordnet" | FILE.tsv, "rate": 0.15}
//   {"augment": "typos", "rate": 0.05}
//   {"augment": "back_translate", "via": "en-es", "back": "es-en", "program": "apertium", "seconds": 60}
//
//===----------------------------------------------------------------------===//
#ifndef R1RT_AUGMENT_AUGMENT_H
#define R1RT_AUGMENT_AUGMENT_H
#include "runtime/Status.h"
#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace r1rt {

/// Callable from one thread at a time; make one for each thread (lexicons are shared between them).
class Augmenter {
public:
  /// A lexicon's path is relative to `baseDir`. Errors of class `program`: an unknown kind, a parameter
  /// that is missing, unknown or out of range, a broken lexicon, a program or data that is not
  /// installed (with the package that has it).
  static Result<std::unique_ptr<Augmenter>> create(const nlohmann::json &spec,
                                                   const std::string &baseDir);
  virtual ~Augmenter() = default;

  /// Another text, or nullopt if nothing of this one can be changed. All random choices come from
  /// `draw`, by Philox: the same text and draw give the same result. `evidence` is compact JSON that
  /// says what was replaced, a sample of it if that is much. Errors: only of external programs.
  virtual Result<std::optional<std::string>> apply(std::string_view text, uint64_t draw,
                                                   std::string &evidence) = 0;
  /// Does another program do the work? Its version is then not part of any fingerprint.
  virtual bool isExternal() const { return false; }
};

} // namespace r1rt
#endif
