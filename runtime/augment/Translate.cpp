// Back-translation by an installed translator that speaks apertium's protocol: `PROGRAM -u -z -f none
// PAIR` reads texts of apertium's stream format, each ended by a byte of zero, and answers likewise.
//
// Stream format: white space that must stay as it is stands in brackets, and the characters
// [ ] { } ^ $ / \ @ < > are written with a backslash before them. A text ends with ".[]", so that the
// translator sees the end of a sentence, as apertium-destxt does; apertium-retxt takes it off again.
#include "runtime/augment/Child.h"
#include "runtime/augment/Makers.h"
#include <unicode/uloc.h>

namespace r1rt::augment {

namespace {

constexpr std::string_view special = "[]{}^$/\\@<>", end = ".[]";

/// A paragraph without NUL in stream format.
std::string toStream(std::string_view text) {
  std::string out;
  for (char c : text) {
    if (c == '\n' || c == '\t' || c == '\r') {
      out += {'[', c, ']'};
      continue;
    }
    if (special.find(c) != special.npos)
      out += '\\';
    out += c;
  }
  return out.append(end);
}

std::string fromStream(std::string_view stream) {
  if (stream.ends_with(end))
    stream.remove_suffix(end.size());
  std::string out;
  for (size_t i = 0; i < stream.size(); ++i)
    if (stream[i] == '\\' && i + 1 < stream.size())
      out += stream[++i];
    else if (stream[i] != '[' && stream[i] != ']')
      out += stream[i];
  return out;
}

/// Takes out the space that a translator has put at the beginning of lines and beside other space, unless
/// the original has such space itself.
std::string tidied(const std::string &text, std::string_view original) {
  if (original.find("  ") != original.npos || original.find("\n ") != original.npos)
    return text;
  std::string out;
  for (char c : text)
    if (c != ' ' || !(out.empty() || out.back() == ' ' || out.back() == '\n'))
      out += c;
  return out;
}

/// A process for one direction.
class Translator {
public:
  static Result<Translator> start(const std::string &program, const std::string &pair, double seconds) {
    Translator t;
    t.seconds = seconds;
    std::string iso = isoPair(pair);
    Status first;
    for (const std::string &name : pair == iso ? std::vector{pair} : std::vector{pair, iso}) {
      bool notFound = false;
      Result<std::unique_ptr<Child>> child = Child::start({program, "-u", "-z", "-f", "none", name}, notFound);
      if (notFound)
        return Status::error("there is no translator `" + program + "` on this machine; help: " +
                                 (program == "apertium" ? installed(iso) : "install it, or name the path of another"),
                             ExitClass::program);
      if (!child)
        return child.status();
      t.child = child.take();
      Result<std::string> answer = t.translate("a");
      if (answer)
        return t;
      if (first.isOk())
        first = answer.status();
    }
    return Status::error("`" + program + "` does not translate \"" + pair + "\": " + first.message() +
                             (program == "apertium" ? "; help: " + installed(iso) : ""),
                         ExitClass::program);
  }

  /// apertium 3.8 passes a text on only when it has seen some of the next one, in two places (gawk's
  /// RS): so two empty ones follow each, and of three answers the first one counts.
  Result<std::string> translate(std::string_view paragraph) {
    std::string request = toStream(paragraph);
    request += std::string_view("\0[]\0[]\0", 7);
    // The answers to the empty texts before are the first to come.
    R1RT_ASSIGN(std::string answer, child->exchange(request, owed + 1, seconds));
    size_t last = answer.rfind('\0');
    owed = 2;
    return fromStream(last == answer.npos ? answer : std::string_view(answer).substr(last + 1));
  }

private:
  /// "en-es" as apertium calls it today: "eng-spa".
  static std::string isoPair(const std::string &pair) {
    size_t dash = pair.find('-');
    if (dash != 2 || pair.size() != 5)
      return pair;
    std::string from = uloc_getISO3Language(pair.substr(0, 2).c_str()), to = uloc_getISO3Language(pair.substr(3).c_str());
    return from.empty() || to.empty() ? pair : from + "-" + to;
  }
  static std::string installed(const std::string &pair) {
    return pair == "eng-spa" || pair == "spa-eng"
               ? "sudo apt-get install apertium apertium-eng-spa"
               : "sudo apt-get install apertium, and the package of this pair: apt-cache search apertium-";
  }

  std::unique_ptr<Child> child;
  double seconds = 0;
  size_t owed = 0; // answers to empty texts that have not been read
};

class BackTranslate final : public Augmenter {
public:
  BackTranslate(Translator there, Translator back, nlohmann::json names)
      : there(std::move(there)), back(std::move(back)), names(std::move(names)) {}

  Result<std::optional<std::string>> apply(std::string_view text, uint64_t, std::string &evidence) override {
    if (text.find('\0') != text.npos)
      return std::optional<std::string>(); // zeros part texts
    std::string out;
    for (std::string_view rest = text; !rest.empty();) {
      // A paragraph, then the blank lines and the space about them as they are.
      size_t first = rest.find_first_not_of(" \t\r\n");
      first = std::min(first, rest.size());
      out += rest.substr(0, first);
      rest.remove_prefix(first);
      size_t end = paragraphEnd(rest);
      if (end == 0)
        break;
      std::string_view paragraph = rest.substr(0, end);
      R1RT_ASSIGN(std::string foreign, there.translate(paragraph));
      R1RT_ASSIGN(std::string again, back.translate(foreign));
      out += tidied(again, paragraph);
      rest.remove_prefix(end);
    }
    if (out == text)
      return std::optional<std::string>();
    evidence = names.dump();
    return std::optional(std::move(out));
  }
  bool isExternal() const override { return true; }

private:
  /// The end of the last line before a blank one, without the space behind it.
  static size_t paragraphEnd(std::string_view text) {
    size_t end = text.size();
    for (size_t line = text.find('\n'); line != text.npos; line = text.find('\n', line + 1)) {
      size_t next = text.find_first_not_of(" \t\r", line + 1);
      if (next == text.npos || text[next] == '\n') {
        end = line;
        break;
      }
    }
    size_t last = text.substr(0, end).find_last_not_of(" \t\r\n");
    return last == text.npos ? 0 : last + 1;
  }

  Translator there, back;
  nlohmann::json names;
};

} // namespace

Made makeBackTranslate(const nlohmann::json &spec, const std::string &) {
  for (const char *name : {"via", "back"})
    if (spec[name].is_object())
      return Status::error("back_translate: `" + std::string(name) +
                               "` is a model of the pipeline; translation by one is not supported yet, only by an "
                               "installed program: via = \"en-es\", back = \"es-en\", program = \"apertium\"",
                           ExitClass::program);
  R1RT_ASSIGN(std::string via, textOf(spec, "via"));
  R1RT_ASSIGN(std::string back, textOf(spec, "back"));
  R1RT_ASSIGN(std::string program, textOf(spec, "program"));
  R1RT_ASSIGN(double seconds, numberOf(spec, "seconds", 0.001, 86400));
  R1RT_ASSIGN(Translator there, Translator::start(program, via, seconds));
  R1RT_ASSIGN(Translator again, Translator::start(program, back, seconds));
  return std::unique_ptr<Augmenter>(new BackTranslate(
      std::move(there), std::move(again), {{"via", via}, {"back", back}, {"program", program}}));
}

} // namespace r1rt::augment
