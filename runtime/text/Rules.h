//===- Rules.h - rules that keep, change or drop a text --------------------===//
//
//   JSON of a list of rules ──RuleSet::create──► RuleSet ──apply(text)──► Verdict
//
// Each rule is an object {"rule": NAME, PARAMETERS...} with all parameters there; stdlib/rules.r1 has a
// constructor for each, which documents the parameters and has their defaults. null switches a
// threshold off. Rules are applied in the order of the list until one drops the text.
//
// Texts are UTF-8 (Utf8.h); a byte that is not counts as U+FFFD. Lengths of words, lines and texts are in
// code points.
//
//===----------------------------------------------------------------------===//
#ifndef R1RT_TEXT_RULES_H
#define R1RT_TEXT_RULES_H
#include "runtime/Status.h"
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace r1rt::text {

struct Verdict {
  enum Kind { keep, changed, drop } kind = keep;
  std::string rule;     // the rule that dropped, or of the last change
  std::string reason;   // what it found: the word of datatrove where it has one ("gopher_short_doc")
  std::string evidence; // a JSON object: the measured value and its limit; what was cut, how much
};

/// What applying rules needs besides the text: buffers that are used again, a memory of words. One
/// for each thread; its history does not show in any verdict.
class Scratch {
public:
  Scratch();
  ~Scratch();
  Scratch(Scratch &&) noexcept;
  Scratch &operator=(Scratch &&) noexcept;

  struct Impl;
  Impl &operator*() const { return *impl; }

private:
  std::unique_ptr<Impl> impl;
};

class Rule; // one of them, within the library

/// A list of rules, immutable: may be used by many threads, each with a Scratch of its own.
class RuleSet {
public:
  /// Reads the files that rules name, relative to baseDir (empty: the working directory). Errors
  /// name the rule by its place in the list, from 1, and the parameter.
  static Result<RuleSet> create(const nlohmann::json &rules, const std::string &baseDir);
  /// The files that `create` would read, sorted, without duplicates (for fingerprints).
  static Result<std::vector<std::string>> files(const nlohmann::json &rules,
                                                const std::string &baseDir);

  /// Applies the rules in order until one drops; changes the text in place. The evidence of `changed` is
  /// {"changes":[{"rule":NAME,"reason":...,...},...]}, one for each rule that changed the text, and
  /// `rule` and `reason` are the last one's. That of `drop` is the dropping rule's, with "changes" if
  /// earlier rules changed the text, which is then as they left it. Texts of 4 GiB or more are dropped
  /// by the rule "size" for the reason "too_long".
  Verdict apply(std::string &text, Scratch &scratch) const;

  size_t size() const { return list.size(); }

private:
  std::vector<std::shared_ptr<const Rule>> list;
};

} // namespace r1rt::text
#endif
