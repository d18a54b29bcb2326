#include "runtime/annotate/Ask.h"
#include "runtime/state/Files.h"
#include <algorithm>
#include <deque>
#include <unicode/uchar.h>
#include <unicode/utf8.h>

namespace r1rt::annotate {

using nlohmann::json;

namespace {

/// Columns that a character takes; -1 for what must not reach a terminal.
int columnsOf(UChar32 c) {
  if (c < 0)
    return -1;
  const uint32_t category = U_GET_GC_MASK(c);
  if (category & (U_GC_CC_MASK | U_GC_CS_MASK | U_GC_ZL_MASK | U_GC_ZP_MASK) ||
      u_hasBinaryProperty(c, UCHAR_BIDI_CONTROL))
    return -1;
  if (category & (U_GC_MN_MASK | U_GC_ME_MASK | U_GC_CF_MASK))
    return 0;
  const int width = u_getIntPropertyValue(c, UCHAR_EAST_ASIAN_WIDTH);
  return width == U_EA_WIDE || width == U_EA_FULLWIDTH ? 2 : 1;
}

std::string_view trimmed(std::string_view s) {
  const size_t begin = s.find_first_not_of(" \t\r");
  return begin == std::string_view::npos ? "" : s.substr(begin, s.find_last_not_of(" \t\r") - begin + 1);
}

/// One person's session.
class Session {
public:
  Session(const Form &form, std::span<const Question> questions, Answers &answers, const AskOptions &options,
          std::istream &in, std::ostream &out)
      : form(form), questions(questions), answers(answers), o(options), in(in), out(out) {}

  Result<Asked> run() {
    for (size_t q = 0; q < questions.size(); ++q)
      if (isOpen(q))
        queue.push_back(q);
    size_t skipped = 0; // since the last answer
    while (!queue.empty() && (o.terminal || skipped < queue.size())) {
      const size_t q = queue.front();
      if (!isOpen(q)) { // somebody else was faster
        queue.pop_front();
        continue;
      }
      json answer = json::object();
      R1RT_ASSIGN(Turn turn, askOne(q, answer));
      if (turn == quit)
        break;
      queue.pop_front();
      if (turn == skip) {
        queue.push_back(q);
        ++skipped;
        continue;
      }
      skipped = 0;
      if (turn == undo) {
        queue.push_front(q);
        if (done.empty()) {
          out << "nothing to undo\n";
          continue;
        }
        R1RT_TRY(answers.undo(done.back(), o.who));
        queue.push_front(done.back());
        done.pop_back();
        continue;
      }
      R1RT_TRY(answers.give(q, o.who, answer));
      done.push_back(q);
    }
    Asked asked{done.size(), 0};
    for (size_t q = 0; q < questions.size(); ++q)
      asked.left += isOpen(q);
    return asked;
  }

private:
  enum Turn { answered, skip, undo, quit };

  bool isOpen(size_t q) const {
    return answers.of(q).size() < o.people && !answers.of(q).count(o.who);
  }

  /// Rows of the screen for the text: the others hold the heading, the keys and a line to type in.
  size_t pageRows() const { return o.terminal ? std::max(o.rows, 10u) - 5 : SIZE_MAX; }

  void show(size_t q, std::span<const std::string> lines, size_t from) const {
    if (o.terminal)
      out << "\033[H\033[2J";
    out << o.title << ": question " << q + 1 << " of " << questions.size() << ", "
        << answers.answered(o.people) << " answered\n\n";
    const size_t to = std::min(lines.size(), from + pageRows());
    for (size_t i = from; i < to; ++i)
      out << lines[i] << "\n";
    if (to < lines.size())
      out << "… " << lines.size() - to << " more lines: Enter\n";
    out << "\n";
  }

  /// The candidates of a question in the order in which this person sees them.
  std::vector<size_t> shownOrder(const Question &question) const {
    std::vector<std::pair<std::string, size_t>> keys;
    for (size_t i = 0; i < question.candidates.size(); ++i)
      keys.emplace_back(sha256(o.who + "\n" + question.id + "\n" + std::to_string(i)), i);
    std::sort(keys.begin(), keys.end());
    std::vector<size_t> order;
    for (auto &[key, i] : keys)
      order.push_back(i);
    return order;
  }

  Result<Turn> askOne(size_t q, json &answer) {
    const unsigned columns = o.terminal ? o.columns : ~0u;
    const std::vector<size_t> order = shownOrder(questions[q]);
    std::vector<std::string> lines = wrapText(questions[q].text, columns);
    for (size_t i = 0; i < order.size(); ++i) {
      lines.push_back("");
      const std::string letter = std::string(1, char('A' + i)) + ": ";
      for (const std::string &line : wrapText(letter + questions[q].candidates[order[i]], columns))
        lines.push_back(line);
    }
    size_t from = 0;
    show(q, lines, from);
    for (const Field &f : form.fields())
      for (std::string line;;) {
        out << f.name << " [" << f.help(order.size()) << "; s skip, u undo, q quit]: " << std::flush;
        if (!std::getline(in, line))
          return quit;
        if (!o.terminal)
          out << "\n";
        const std::string_view typed = trimmed(line);
        if (typed == "q")
          return quit;
        if (typed == "s")
          return skip;
        if (typed == "u")
          return undo;
        if (typed == "m" || typed.empty()) {
          from = from + pageRows() < lines.size() ? from + pageRows() : 0;
          show(q, lines, from);
          continue;
        }
        Result<json> value = f.read(typed, order.size());
        if (value) {
          json &to = answer[f.name] = value.take();
          if (f.kind == Field::rank) {
            const json shown = to;
            for (size_t i = 0; i < order.size(); ++i)
              to[order[i]] = shown[i];
          }
          break;
        }
        if (!o.terminal)
          return Status::error("question " + std::to_string(q + 1) + ": " + value.status().message(),
                               ExitClass::commandLine);
        out << value.status().message() << "\n";
      }
    return answered;
  }

  const Form &form;
  std::span<const Question> questions;
  Answers &answers;
  const AskOptions &o;
  std::istream &in;
  std::ostream &out;
  std::deque<size_t> queue;
  std::vector<size_t> done;
};

} // namespace

std::vector<std::string> wrapText(std::string_view text, unsigned columns) {
  columns = std::max(columns, 2u);
  std::vector<std::string> lines(1);
  unsigned used = 0;                            // columns of the last line
  size_t space = std::string::npos;             // where the last line can be broken: behind a space
  for (size_t i = 0; i < text.size();) {
    const size_t begin = i;
    UChar32 c;
    U8_NEXT(text.data(), i, text.size(), c);
    if (c == '\n') {
      lines.emplace_back();
      used = 0, space = std::string::npos;
      continue;
    }
    if (c == '\r' && i < text.size() && text[i] == '\n')
      continue;
    const std::string tab(c == '\t' ? 8 - used % 8 : 0, ' ');
    const int width = c == '\t' ? int(tab.size()) : columnsOf(c);
    const std::string_view shown = c == '\t'    ? std::string_view(tab)
                                   : width < 0 ? "\uFFFD"
                                               : text.substr(begin, i - begin);
    const unsigned wide = width < 0 ? 1 : unsigned(width);
    if (used + wide > columns) {
      std::string rest = space == std::string::npos ? "" : lines.back().substr(space);
      lines.back().resize(lines.back().size() - rest.size());
      lines.push_back(rest);
      used = 0;
      for (size_t r = 0; r < rest.size();) {
        UChar32 d;
        U8_NEXT(rest.data(), r, rest.size(), d);
        used += unsigned(std::max(columnsOf(d), 0));
      }
      space = std::string::npos;
    }
    lines.back() += shown;
    used += wide;
    if (c == ' ' || c == '\t')
      space = lines.back().size();
  }
  while (lines.size() > 1 && lines.back().empty())
    lines.pop_back();
  return lines;
}

Result<Asked> ask(const Form &form, std::span<const Question> questions, Answers &answers,
                  const AskOptions &options, std::istream &in, std::ostream &out) {
  return Session(form, questions, answers, options, in, out).run();
}

} // namespace r1rt::annotate
