//===- Form.h - what people are asked about a row -----------------------------===//
//
//   {"keep": ["keep", "drop"], "logic": [1, 5]}
//
// Each field is asked for in the order of the form's names. A list of two or more texts is a choice; a
// list of two whole numbers is a score from the first to the second, both included.
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

struct Field {
  std::string name;
  std::vector<std::string> choices; // empty: a score
  int64_t low = 0, high = 0;        // of a score

  bool isScore() const { return choices.empty(); }
  /// How many answers there can be.
  size_t values() const { return isScore() ? size_t(high - low + 1) : choices.size(); }
  /// The number of an answer among them, 0 ... values() - 1; values() for what is none.
  size_t indexOf(const nlohmann::json &answer) const;
  nlohmann::json valueAt(size_t index) const;
  /// An answer as it was typed: a choice, the beginning of one choice alone, or its number from 1; the
  /// number of a score.
  Result<nlohmann::json> read(std::string_view typed) const;
  /// "1 keep  2 drop", "1 … 5"
  std::string help() const;
};

class Form {
public:
  /// The error says which field is wrong and what it can be.
  static Result<Form> create(const nlohmann::json &form);
  const std::vector<Field> &fields() const { return all; }
  /// An error unless the answer has exactly the form's fields, each with a value that can be given.
  Status check(const nlohmann::json &answer) const;
  /// The answer that stands for those of several people. For each field: the choice of most, of equals
  /// the one that the form names first; of scores the median, of two the lower. At least one answer.
  nlohmann::json decide(const std::map<std::string, nlohmann::json> &answers) const;

private:
  std::vector<Field> all;
};

} // namespace r1rt::annotate
#endif
