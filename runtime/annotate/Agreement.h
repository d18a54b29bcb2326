// How far people agree on the questions that they share.
#ifndef R1RT_ANNOTATE_AGREEMENT_H
#define R1RT_ANNOTATE_AGREEMENT_H
#include "runtime/annotate/Answers.h"

namespace r1rt::annotate {

/// Cohen's kappa (Cohen, 1960) of two people's answers 0 ... values - 1 to the same questions; with
/// `quadratic` a disagreement weighs as the square of its distance (Cohen, 1968). NaN if chance alone
/// would make them agree always: no questions, or all answers the same.
double cohenKappa(std::span<const size_t> a, std::span<const size_t> b, size_t values, bool quadratic);

struct Agreement {
  std::string field;
  double kappa;     // the mean over pairs of people, each weighing as many questions as it shares; may be NaN
  size_t questions; // that two people answered, counted for each pair
};
/// For each field of the form; scores by quadratic kappa; rankings by which of two candidates is the better one, or
/// neither, for every two. Empty if no two people share a question.
std::vector<Agreement> agreement(const Form &form, const Answers &answers, size_t questions);
/// "keep 0.71, logic 0.62"
std::string agreementText(const std::vector<Agreement> &all);

} // namespace r1rt::annotate
#endif
