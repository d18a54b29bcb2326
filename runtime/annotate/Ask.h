//===- Ask.h - asks a person, question by question -----------------------------===//
//
// On a terminal each question has the screen to itself, and long texts come in pages. From a pipe an
// answer is a line; a form with several fields takes a line for each. Candidates stand under their letters in an
// order of each person's and question's own, so that none is favoured by its place.
//
//   s  skip: the question comes again after the others      u  undo the last answer and ask it again
//   m, or an empty line: more of the text                   q  quit; the answers are kept
//
//===----------------------------------------------------------------------===//
#ifndef R1RT_ANNOTATE_ASK_H
#define R1RT_ANNOTATE_ASK_H
#include "runtime/annotate/Answers.h"
#include <istream>
#include <ostream>

namespace r1rt::annotate {

struct AskOptions {
  std::string title;       // of the stage
  std::string who;         // who answers
  unsigned people = 1;     // answers that a question needs; who has given one is not asked again
  bool terminal = false;
  unsigned columns = 80, rows = 24; // of the terminal
};

struct Asked {
  size_t answered = 0; // in this session
  size_t left = 0;     // questions that this person could still answer
};

/// Asks until nothing is left, the person quits or the input ends. Errors: the log cannot be written;
/// off a terminal also an answer that the form does not know.
Result<Asked> ask(const Form &form, std::span<const Question> questions, Answers &answers,
                  const AskOptions &options, std::istream &in, std::ostream &out);

/// A text as lines of at most `columns` columns. Nothing of it can steer a terminal: controls are shown
/// as U+FFFD.
std::vector<std::string> wrapText(std::string_view text, unsigned columns);

} // namespace r1rt::annotate
#endif
