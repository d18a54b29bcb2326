//===- WordNet.h - synonyms out of WordNet's database files ------------------===//
//
// The files index.POS, data.POS, POS.exc and cntlist.rev of WordNet 3.0 (wndb(5), senseidx(5)), which
// Debian's wordnet-base has in /usr/share/wordnet. A word's synonyms are the other single words of its
// first, that is most frequent, sense whose own first sense it is as well, and who
// occur so in WordNet's semantically tagged texts (cntlist.rev): "clip" may mean a time, and "cognise" to
// know, but hardly anybody says so. Of a word of several parts of speech that one counts whose first
// sense is the most frequent in these texts.
//
//===----------------------------------------------------------------------===//
#ifndef R1RT_AUGMENT_WORDNET_H
#define R1RT_AUGMENT_WORDNET_H
#include "runtime/Status.h"
#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace r1rt::augment {

/// Immutable: many threads may read.
class WordNet {
public:
  static constexpr const char *debianDir = "/usr/share/wordnet";
  /// Errors name the file, for missing ones the package, for broken ones the line.
  static Result<std::shared_ptr<const WordNet>> read(const std::string &dir);

  /// Of a word in lower case, in its own inflection: plural and third person -s, -ed, -ing, taken off
  /// by morphy's rules of detachment and its lists of exceptions (morphy(7)) and put on again. Synonyms
  /// with irregular forms are left out. None for function words ("have", "can") and those of less than
  /// three letters.
  std::vector<std::string> synonyms(std::string_view word) const;
  /// Is this word, in lower case, a name as well ("bush")?
  bool isName(std::string_view word) const { return names.contains(std::string(word)); }

private:
  enum Pos { noun, verb, adjective, adverb };
  enum Form { base, s, ed, ing, other };
  struct Lemma {
    uint32_t count = 0; // of its first sense in the tagged texts
    uint64_t synset = 0; // its first sense: a place in data.POS
    std::vector<std::string> synonyms;
  };
  struct Reading {
    const Lemma *lemma;
    Pos pos;
    Form form;
  };
  void readings(std::string_view word, std::vector<Reading> &out) const;
  std::string inflected(const std::string &word, Pos pos, Form form) const;

  std::array<std::unordered_map<std::string, Lemma>, 4> lemmas;
  std::unordered_set<std::string> names;
  /// Irregular forms, both ways: "stopped" -> "stop".
  std::array<std::unordered_map<std::string, std::string>, 2> baseOf; // of nouns, verbs
  std::array<std::unordered_map<std::string, std::vector<std::string>>, 2> formsOf;
};

} // namespace r1rt::augment
#endif
