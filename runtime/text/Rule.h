//===- Rule.h - one rule of a RuleSet, within the library ------------------===//
#ifndef R1RT_TEXT_RULE_H
#define R1RT_TEXT_RULE_H
#include "runtime/text/Analysis.h"
#include "runtime/text/HashTable.h"
#include "runtime/text/Params.h"
#include "runtime/text/Rules.h"
#include <nlohmann/json.hpp>
#include <zstd.h>

namespace r1rt::text {

using Evidence = nlohmann::ordered_json;

struct Scratch::Impl {
  Analysis analysis; // of the text that rules see
  Words words; // of parts that a rule has changed
  HashTable table;
  std::vector<uint64_t> grams, bits;
  std::vector<uint32_t> places, slots;
  std::string buffer, lowered;
  std::vector<char> bytes;
  struct FreeZstd {
    void operator()(ZSTD_CCtx *c) const { ZSTD_freeCCtx(c); }
  };
  std::unique_ptr<ZSTD_CCtx, FreeZstd> zstd; // made when a rule needs it
};

/// What a rule says of a text.
struct Finding {
  Verdict::Kind kind = Verdict::keep;
  std::string reason = {};
  Evidence evidence = {};
};

class Rule {
public:
  virtual ~Rule() = default;
  /// `s.analysis` is of `text`; when the rule changes it, that becomes invalid.
  virtual Finding apply(std::string &text, Scratch::Impl &s) const = 0;

  std::string name;
};

/// The evidence of a measured value beyond its limit.
inline Finding dropped(const char *reason, const char *measure, Evidence value, const char *limitName,
                       Evidence limit) {
  Finding f{Verdict::drop, reason};
  f.evidence[measure] = std::move(value); // a list in braces would be copied, and most texts are dropped
  f.evidence[limitName] = std::move(limit);
  return f;
}

using RulePtr = std::shared_ptr<Rule>;
// Each reads its parameters; errors are kept in `p`.
RulePtr makeNormalise(Params &p);
RulePtr makeGopherQuality(Params &p);
RulePtr makeGopherRepetition(Params &p);
RulePtr makeC4(Params &p);
RulePtr makeFineWeb(Params &p);
RulePtr makePattern(Params &p);
RulePtr makeBlacklist(Params &p);
RulePtr makeLanguage(Params &p);
RulePtr makeNoise(Params &p);

} // namespace r1rt::text
#endif
