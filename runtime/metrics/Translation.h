//===- Translation.h - BLEU and chrF ------------------------------------------===//
//
// Both equal sacreBLEU's corpus_score (Post 2018): the same tokenisers, the same numbers, the same signature
// without the version at its end. Texts are UTF-8; what is not counts as U+FFFD.
//
//===----------------------------------------------------------------------===//
#ifndef R1RT_METRICS_TRANSLATION_H
#define R1RT_METRICS_TRANSLATION_H
#include "runtime/metrics/Interval.h"
#include <optional>
#include <string>
#include <string_view>

namespace r1rt::metrics {

/// What is compared: one hypothesis and at least one reference for each document.
struct Texts {
  std::vector<std::string> hypotheses;
  std::vector<std::vector<std::string>> references; // [documents][of one document]
};

struct BleuOptions {
  /// "13a" (mteval-v13a, for languages with blanks), "intl" (mteval-v14: Unicode's punctuation and symbols),
  /// "zh" (each Chinese character a token, the rest as 13a), "char" (each character), "none" (split at white
  /// space).
  std::string tokenizer = "13a";
  /// Of an order without a match: "exp" halves each time (NIST), "floor" counts `smoothValue` matches,
  /// "add-k" adds it to matches and totals of orders above 1, "none" leaves 0, and with it BLEU.
  std::string smooth = "exp";
  std::optional<double> smoothValue; // of floor (by default 0.1) and add-k (1)
  int order = 4;                     // 1..16; the longest n-gram
  bool lowercase = false;
  bool effectiveOrder = false; // leave out orders that are longer than all hypotheses
};

/// BLEU (Papineni et al. 2002), 0..100. Statistics: lengths of hypothesis and of the nearest reference, then
/// matches and totals of each order. Errors: an unknown option; numbers of texts that differ; a document
/// without a reference.
Result<Measured> bleu(const Texts &texts, const BleuOptions &o = {});

struct ChrfOptions {
  int characters = 6; // 1..32; the longest n-gram of characters
  int words = 0;      // 0..16; of words: 2 is chrF++
  int beta = 2;       // 1..100; how much more recall counts than precision
  bool lowercase = false;
  bool whitespace = false; // white space is a character, too
  bool smooth = false;     // epsilon for orders without an n-gram, which count; else they are left out
};

/// chrF (Popović 2015) and chrF++ (2017), 0..100. Statistics: for each order the n-grams of hypothesis and
/// reference, and matches. Of several references the one with the best score. Errors: as `bleu`.
Result<Measured> chrf(const Texts &texts, const ChrfOptions &o = {});

/// The tokens of BLEU's tokenisers; for tests. Errors: an unknown name.
Result<std::vector<std::string>> bleuTokens(std::string_view text, const std::string &tokenizer);

/// Ok, or what is wrong with texts that are to be compared.
Status comparable(const Texts &texts);
/// For signatures: "nrefs:2", or "nrefs:var" where documents have different numbers of references.
std::string countReferences(const Texts &texts);

} // namespace r1rt::metrics
#endif
