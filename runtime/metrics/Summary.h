//===- Summary.h - ROUGE and CIDEr-D ------------------------------------------===//
#ifndef R1RT_METRICS_SUMMARY_H
#define R1RT_METRICS_SUMMARY_H
#include "runtime/metrics/Translation.h"

namespace r1rt::metrics {

struct RougeOptions {
  /// "1" to "9": n-grams. "L": longest common subsequence. "Lsum": the same by sentences, which are lines.
  std::string type = "L";
  bool stemmer = false; // Porter's, of words of more than three letters
};

/// ROUGE (Lin 2004) as the package rouge_score computes it, 0..1: tokens are runs of a-z and 0-9 of the
/// lower-cased text, so a text without any scores 0. The mean over documents of F1, of several references
/// the best. Statistics: precision, recall, F1, 1. Errors: as `bleu`.
Result<Measured> rouge(const Texts &texts, const RougeOptions &o = {});

/// The ROUGE-L of COCO's caption evaluation (pycocoevalcap), another number: words are what single blanks
/// separate, precision and recall are each the best over the references, and recall counts 1.2 times as much
/// (F with beta 1.2). 0..1. Statistics: F, 1. Errors: as `bleu`.
Result<Measured> rougeCoco(const Texts &texts);

/// CIDEr-D (Vedantam, Zitnick and Parikh 2015) as pycocoevalcap's cider_scorer computes it, 0..10: words are
/// what white space separates, so texts come tokenised. n-grams of 1 to 4 words weigh by how few documents
/// have them in a reference; so the score of a document depends on the others, and of a single document it
/// is 0. Statistics: the document's score, 1; resamples keep the weights. Errors: as `bleu`.
Result<Measured> cider(const Texts &texts);

/// The stem of an ASCII word in lower case: Porter (1980) with the departures of NLTK's PorterStemmer, which
/// rouge_score uses.
std::string porterStem(std::string_view word);

} // namespace r1rt::metrics
#endif
