//===- Answers.h - is an answer right: exact match, pass@k, likelihood ---------===//
#ifndef R1RT_METRICS_ANSWERS_H
#define R1RT_METRICS_ANSWERS_H
#include "runtime/metrics/Translation.h"

namespace r1rt::metrics {

/// What does not count when an answer is compared, done in this order.
struct MatchOptions {
  bool lowercase = false;   // Unicode's full mapping
  bool punctuation = false; // remove ASCII punctuation
  bool articles = false;    // remove the words a, an, the
  bool numbers = false;     // remove commas between digits, and a full stop and zeros at a number's end
  bool whitespace = true;   // trim, and make one blank of each run
};

/// `text` as it is compared. With lowercase, punctuation and articles it is SQuAD's normal form (Rajpurkar et
/// al. 2016).
std::string normalAnswer(std::string_view text, const MatchOptions &o);

/// The share of documents whose hypothesis equals one of the references, 0..1; a proportion. Errors: as `bleu`.
Result<Measured> exactMatch(const Texts &texts, const MatchOptions &o = {});

/// The unbiased estimate of the probability that one of k samples is right, of n samples of which c are
/// (Chen et al. 2021): 1 - C(n - c, k) / C(n, k). Wants c <= n and 1 <= k <= n.
double passAt(uint64_t n, uint64_t c, uint64_t k);

/// What became of the samples of one problem.
struct Samples {
  uint64_t samples = 0, right = 0;
};
/// The mean of passAt over problems, 0..1. Statistics: the problem's estimate, 1. With one sample each and k = 1
/// a proportion. Errors: k of 0; a problem with fewer samples than k.
Result<Measured> passAt(std::span<const Samples> problems, uint64_t k);

/// How likely a model finds a text: sums over some of it.
struct LikelihoodSums {
  double nll = 0; // negative log-likelihood in nats
  double tokens = 0, words = 0, bytes = 0;
};
enum class LikelihoodUnit { perplexity, wordPerplexity, bytePerplexity, bitsPerByte, loss };
/// exp(nll / tokens), exp(nll / words), exp(nll / bytes), nll / (bytes ln 2), nll / tokens. Infinite or NaN
/// where there is none of the unit.
double likelihood(const LikelihoodSums &sums, LikelihoodUnit unit);
/// The same over parts of a corpus, which are what is drawn again; `part` says what they are ("document"). Each has
/// tokens, or a draw of only those that have none would be NaN.
Measured likelihood(std::span<const LikelihoodSums> parts, LikelihoodUnit unit, const std::string &part);

} // namespace r1rt::metrics
#endif
