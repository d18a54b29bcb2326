//===- Answers.h - questions, and the log of what people answered ---------------===//
//
//   questions.jsonl   {"id", "text", "candidates": [...]}         fixed when the stage first runs
//   answers.jsonl     {"id", "who", "answer": {…}, "time"}        appended to
//                     {"id", "who", "undo": true, "time"}
//
// The last line of a question and a person counts. Each line is appended by one write under a lock and
// flushed to the disk, so several people can answer at the same time and nothing that was confirmed is
// lost; what a crash left of a line that was not confirmed is cut off before the next.
//
//===----------------------------------------------------------------------===//
#ifndef R1RT_ANNOTATE_ANSWERS_H
#define R1RT_ANNOTATE_ANSWERS_H
#include "runtime/annotate/Form.h"
#include <span>
#include <unordered_map>

namespace r1rt::annotate {

struct Question {
  std::string id, text;
  std::vector<std::string> candidates; // to be ranked; none unless the form asks for it
};

Status writeQuestions(const std::string &path, std::span<const Question> questions);
Result<std::vector<Question>> readQuestions(const std::string &path);
/// A name for these questions under this form: equal ones share their answers, others never do.
std::string keyOf(const nlohmann::json &form, std::span<const Question> questions);

class Answers {
public:
  /// Reads the log, if there is one; its folder is created. The log may only speak of these questions.
  static Result<Answers> open(const std::string &path, const Form &form,
                              std::span<const Question> questions);
  /// Reads what others have appended since.
  Status refresh();

  Status give(size_t question, const std::string &who, const nlohmann::json &answer);
  Status undo(size_t question, const std::string &who);

  /// Who answered a question, and what.
  const std::map<std::string, nlohmann::json> &of(size_t question) const { return given[question]; }
  /// Questions with answers of at least `people` people.
  size_t answered(unsigned people) const;
  /// All who have answered something, sorted.
  std::vector<std::string> people() const;

private:
  Status append(size_t question, const std::string &who, const char *key, const nlohmann::json &value);
  Status take(std::string_view line, size_t number);

  std::string path;
  Form form;
  std::vector<std::string> ids;
  std::vector<size_t> candidates;                  // how many each question has
  std::unordered_map<std::string, size_t> numbers; // by id
  std::vector<std::map<std::string, nlohmann::json>> given;
  size_t readBytes = 0, readLines = 0;
};

} // namespace r1rt::annotate
#endif
