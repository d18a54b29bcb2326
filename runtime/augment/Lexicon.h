//===- Lexicon.h - a user's lexicon: words and their synonyms ----------------===//
//
// A text file of lines WORD<TAB>SYNONYM,SYNONYM,… in UTF-8; empty lines and those that begin with '#' are
// passed over. Words may be Chinese, or phrases of several words. A word that comes again adds to its
// synonyms.
//
//===----------------------------------------------------------------------===//
#ifndef R1RT_AUGMENT_LEXICON_H
#define R1RT_AUGMENT_LEXICON_H
#include "runtime/Status.h"
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace r1rt::augment {

/// Immutable: many threads may read.
class Lexicon {
public:
  /// Errors name FILE:LINE, what stands there and what should.
  static Result<std::shared_ptr<const Lexicon>> read(const std::string &path);

  struct Match {
    size_t begin, end; // bytes of the text
    const std::vector<std::string> *synonyms;
  };
  /// The words of a text from left to right, the longest at each place, without overlap and in any case.
  /// In scripts that have spaces between words only whole words; not in addresses.
  std::vector<Match> find(std::string_view text) const;
  size_t size() const { return entries.size(); }

private:
  struct Entry {
    std::string word; // lower case
    std::vector<std::string> synonyms;
  };
  std::vector<Entry> entries; // sorted by word
};

} // namespace r1rt::augment
#endif
