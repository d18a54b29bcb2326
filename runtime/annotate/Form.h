//===- Form.h - what people are asked about a row -----------------------------===//
//
//   {"keep": ["keep", "drop"], "logic": [1, 5], "order": "rank"}
//
// Each field is asked for in the order of the form's names. A list of two or more texts is a choice; a
// list of two whole numbers is a score from the first to the second, both included.
// "rank" orders the candidates of the row: the answer is the rank of each, 1 the best; candidates of the same
// rank are equally good, and a rank is one more than the number of better ones ([1, 3, 1]).
//
//===----------------------------------------------------------------------===//
#ifndef R1RT_ANNOTATE_FORM_H
#define R1RT_ANNOTATE_FORM_H
#include "runtime/Status.h"
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace r1rt::annotate {

/// The most candidates of a ranking: each is a letter.
constexpr size_t mostCandidates = 26;

struct Field {
  enum Kind { choice, score, rank };
  std::string name;
  Kind kind = choice;
  std::vector<std::string> choices; // of a choice
  int64_t low = 0, high = 0;        // of a score

  /// How many answers there can be to a choice or a score.
  size_t values() const { return kind == score ? size_t(high - low + 1) : choices.size(); }
  /// The number of an answer among them, 0 ... values() - 1; values() for what is none.
  size_t indexOf(const nlohmann::json &answer) const;
  nlohmann::json valueAt(size_t index) const;
  /// Can this be the answer where there are so many candidates?
  bool accepts(const nlohmann::json &answer, size_t candidates) const;
  /// An answer as it was typed: a choice, the beginning of one choice alone, or its number from 1; the
  /// number of a score; the letters of the candidates from the best to the worst, equally good ones with
  /// an equals sign between them ("b > a = c", "b a=c").
  Result<nlohmann::json> read(std::string_view typed, size_t candidates) const;
  /// "1 keep  2 drop", "1 … 5", "A … D from best to worst, such as B > A = C"
  std::string help(size_t candidates) const;
};

/// Ranks of candidates from any numbers of which lower is better; equal numbers share a rank.
std::vector<size_t> ranksOf(const std::vector<size_t> &badness);

class Form {
public:
  /// The error says which field is wrong and what it can be.
  static Result<Form> create(const nlohmann::json &form);
  const std::vector<Field> &fields() const { return all; }
  /// Does it ask for the order of candidates?
  bool ranks() const;
  /// An error unless the answer has exactly the form's fields, each with a value that can be given for a
  /// question of so many candidates.
  Status check(const nlohmann::json &answer, size_t candidates) const;
  /// The answer that stands for those of several people. For each field: the choice of most, of equals
  /// the one that the form names first; of scores the median, of two the lower; of rankings the order by
  /// the sum of ranks (Borda's count), equal sums sharing a rank. At least one answer.
  nlohmann::json decide(const std::map<std::string, nlohmann::json> &answers) const;

private:
  std::vector<Field> all;
};

} // namespace r1rt::annotate
#endif
