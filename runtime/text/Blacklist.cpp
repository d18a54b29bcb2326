#include "runtime/text/Action.h"
#include "runtime/text/WordFinder.h"

namespace r1rt::text {

namespace {

class Blacklist : public Rule {
public:
  Action action;
  std::vector<std::string> words;
  WordFinder finder;

  Finding apply(std::string &text, Scratch::Impl &s) const override {
    std::vector<WordFinder::Found> found;
    finder.find(text, found);
    std::vector<Match> matches;
    for (const auto &f : found)
      matches.push_back({f.begin, f.end});
    Finding result = action.apply("blacklist", matches, text);
    if (result.kind == Verdict::drop)
      result.evidence["word"] = words[found[0].word];
    return result;
  }
};

} // namespace

RulePtr makeBlacklist(Params &p) {
  auto r = std::make_shared<Blacklist>();
  r->words = p.texts("words");
  std::optional<std::string> file = p.optionalText("file");
  if (file && !p.failed())
    for (std::string &line : p.linesOf("file", *file))
      r->words.push_back(std::move(line));
  if (r->words.empty() && !file)
    p.fail("words", "is empty and `file` is none; give words, or a file with one in each line");
  WordFinderOptions options;
  options.wholeWords = p.flag("whole_words");
  options.ignoreCase = p.flag("ignore_case");
  r->action = Action::read(p, "<blacklisted>");
  if (!p.failed())
    r->finder = WordFinder(r->words, options);
  return r;
}

} // namespace r1rt::text
