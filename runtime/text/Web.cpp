//===- Web.cpp - the rules of C4 and of FineWeb ----------------------------===//
//
// C4: Raffel et al. 2020, section 2.2; FineWeb: Penedo et al. 2024, section 3.6. Measured as datatrove
// 0.10 does: its order of the checks, its reasons.
//
//===----------------------------------------------------------------------===//
#include "runtime/text/Chars.h"
#include "runtime/text/Rule.h"
#include "runtime/text/Utf8.h"
#include <algorithm>
#include <cmath>
#include <re2/re2.h>
#include <xxhash.h>

namespace r1rt::text {

namespace {

//===-- C4 -----------------------------------------------------------------------------------------===//

constexpr std::string_view policyPhrases[] = {"terms of use",   "privacy policy", "cookie policy",
                                              "uses cookies",   "use of cookies", "use cookies"};

/// Whether any phrase that C4 looks for can be in the text at all: mostly there is none, and lines need
/// not be searched.
bool mayHavePhrases(std::string_view text) {
  static const RE2 *any = [] {
    RE2::Options options;
    options.set_case_sensitive(false);
    options.set_encoding(RE2::Options::EncodingLatin1);
    options.set_never_capture(true);
    return new RE2("cookie|terms of use|privacy policy|javascript|lorem ipsum", options);
  }();
  return RE2::PartialMatch(re2::StringPiece(text.data(), text.size()), *any);
}

class C4 : public Rule {
public:
  bool citations = false, punctuation = false, javascript = false, loremIpsum = false, bracket = false,
       policy = false;
  std::optional<uint64_t> minSentences, minWordsOfLine, maxWordLength;

  Finding apply(std::string &text, Scratch::Impl &s) const override {
    const auto &lines = s.analysis.unicodeLines();
    const bool phrases = (javascript || loremIpsum || policy) && mayHavePhrases(text);
    const bool brackets = citations && text.find('[') != text.npos;
    std::string &kept = s.buffer;
    kept.clear();
    kept.reserve(text.size());
    size_t nextWord = 0;
    uint64_t sentences = 0, keptLines = 0, cited = 0;
    uint64_t cut[cuts] = {};
    std::string withoutCitations;

    for (std::string_view whole : lines) {
      std::string_view line = strip(whole);
      if (maxWordLength && line.size() > *maxWordLength && longestWord(line) > *maxWordLength) {
        ++cut[longWord];
        continue;
      }
      const uint64_t words = minWordsOfLine ? wordsOf(line, *minWordsOfLine) : 0;
      uint64_t citedHere = 0;
      if (brackets && (citedHere = removeCitations(line, withoutCitations)))
        line = withoutCitations;
      if (punctuation && (line.empty() || !isEnd(line.back()) || line.ends_with("..."))) {
        ++cut[noPunctuation];
        continue;
      }
      if (minWordsOfLine && words < *minWordsOfLine) {
        ++cut[fewWords];
        continue;
      }
      if (phrases)
        lower(line, lowered(s));
      const std::string &low = lowered(s);
      if (phrases && loremIpsum && low.find("lorem ipsum") != low.npos)
        return droppedFor("lorem_ipsum", line);
      if (phrases && javascript && low.find("javascript") != low.npos) {
        ++cut[hasJavascript];
        continue;
      }
      if (bracket && line.find('{') != line.npos)
        return droppedFor("curly_bracket", line);
      if (phrases && policy && std::any_of(std::begin(policyPhrases), std::end(policyPhrases), [&](auto p) {
            return low.find(p) != low.npos;
          })) {
        ++cut[hasPolicy];
        continue;
      }
      if (minSentences)
        sentences += sentencesOf(line, whole, citedHere > 0, nextWord, s);
      cited += citedHere;
      if (keptLines++)
        kept += '\n';
      kept += line;
    }
    if (minSentences && sentences < *minSentences)
      return dropped("too_few_sentences", "sentences", sentences, "min_sentences", *minSentences);

    std::string_view result = strip(kept);
    if (result == text)
      return {};
    Evidence evidence = {{"lines", lines.size()}, {"kept_lines", keptLines}};
    for (int i = 0; i < cuts; ++i)
      if (cut[i])
        evidence[cutNames[i]] = cut[i];
    if (cited)
      evidence["citations"] = cited;
    evidence["bytes"] = {text.size(), result.size()};
    bool shorter = cited || keptLines < lines.size();
    text = std::string(result);
    return {Verdict::changed, shorter ? "lines_cut" : "white_space", std::move(evidence)};
  }

private:
  enum Cut { longWord, noPunctuation, fewWords, hasJavascript, hasPolicy, cuts };
  static constexpr const char *cutNames[] = {"too_long_word", "no_terminal_punctuation",
                                             "too_few_words", "javascript", "policy"};

  static bool isEnd(char c) { return c == '.' || c == '?' || c == '!' || c == '"' || c == '\''; }

  static std::string &lowered(Scratch::Impl &s) { return s.lowered; }
  static void lower(std::string_view line, std::string &out) {
    out.resize(line.size());
    std::transform(line.begin(), line.end(), out.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? char(c + 32) : c; });
  }

  static Finding droppedFor(const char *reason, std::string_view line) {
    std::string found(line.substr(0, 80));
    repairUtf8(found);
    return {Verdict::drop, reason, {{"line", std::move(found)}}};
  }

  /// Runs without white space, no further than `most`.
  static uint64_t wordsOf(std::string_view line, uint64_t most) {
    uint64_t n = 0;
    bool inside = false;
    for (size_t at = 0; at < line.size() && n < most;) {
      bool space = isSpace(nextChar(line, at));
      n += !space && !inside;
      inside = !space;
    }
    return n;
  }

  static uint64_t longestWord(std::string_view line) {
    uint64_t longest = 0, run = 0;
    for (size_t at = 0; at < line.size();) {
      run = isSpace(nextChar(line, at)) ? 0 : run + 1;
      longest = std::max(longest, run);
    }
    return longest;
  }

  /// "[12]", "[]", "[edit]" and "[citation needed]"; the number of them, with the rest in `out`.
  static uint64_t removeCitations(std::string_view line, std::string &out) {
    uint64_t n = 0;
    size_t from = 0;
    for (size_t open = line.find('['); open != line.npos; open = line.find('[', open + 1)) {
      size_t close = open + 1;
      for (size_t next = close; close < line.size() && isDigit(nextChar(line, next)); close = next)
        ;
      if (close >= line.size() || line[close] != ']') {
        std::string_view rest = line.substr(open + 1);
        if (rest.starts_with("edit]"))
          close = open + 5;
        else if (rest.starts_with("citation needed]"))
          close = open + 16;
        else
          continue;
      }
      if (n++ == 0)
        out.clear();
      out += line.substr(from, open - from);
      from = close + 1;
      open = close;
    }
    if (n)
      out += line.substr(from);
    return n;
  }

  /// The words of the text are used for lines that are parts of it; nextWord moves on behind the line.
  static uint64_t sentencesOf(std::string_view line, std::string_view whole, bool rewritten,
                              size_t &nextWord, Scratch::Impl &s) {
    if (rewritten) {
      s.analysis.splitter.split(line, s.words);
      return countSentences(s.words.list.data(), s.words.size());
    }
    const std::vector<Word> &words = s.analysis.words().list;
    const size_t begin = size_t(whole.data() - s.analysis.text().data()), end = begin + whole.size();
    while (nextWord < words.size() && words[nextWord].begin < begin)
      ++nextWord;
    size_t first = nextWord;
    while (nextWord < words.size() && words[nextWord].begin < end)
      ++nextWord;
    return countSentences(words.data() + first, nextWord - first);
  }
};

//===-- FineWeb --------------------------------------------------------------------------------------===//

class FineWeb : public Rule {
public:
  std::optional<double> minPunctuated, maxShort, maxRepeated, maxFeeds;
  bool excludeZero = false;
  uint64_t shortLine = 0;
  std::optional<std::u32string> ends;

  Finding apply(std::string &text, Scratch::Impl &s) const override {
    uint64_t lines = 0, punctuated = 0, shorts = 0, repeatedChars = 0, feeds = 0;
    const auto &all = s.analysis.lines();
    feeds = all.size() - 1;
    s.table.clear(all.size());
    for (std::string_view line : all) {
      if (isBlank(line))
        continue;
      ++lines;
      size_t at = line.size();
      char32_t last = previousChar(line, at);
      punctuated += ends ? ends->find(last) != ends->npos : isSentenceEnd(last);
      shorts += line.size() <= shortLine || (line.size() <= shortLine * 4 && countChars(line) <= shortLine);
      if (s.table.count(s.table.find(XXH3_64bits(line.data(), line.size())))++)
        repeatedChars += countChars(line);
    }
    if (lines == 0)
      return {Verdict::drop, "empty", {{"lines", 0}}};
    if (double share = double(punctuated) / double(lines);
        minPunctuated && share < *minPunctuated && !(excludeZero && punctuated == 0))
      return dropped("line_punct_ratio", "punctuated_lines", share, "min_punctuated_lines",
                     *minPunctuated);
    if (double share = double(shorts) / double(lines); maxShort && share > *maxShort)
      return dropped("short_line_ratio", "short_lines", share, "max_short_lines", *maxShort);
    if (double share = double(repeatedChars) / double(s.analysis.chars() - feeds);
        maxRepeated && share > *maxRepeated)
      return dropped("char_dup_ratio", "repeated_line_chars", share, "max_repeated_line_chars",
                     *maxRepeated);
    if (!maxFeeds)
      return {};
    double perWord = double(feeds) / double(s.analysis.words().size());
    if (perWord > *maxFeeds)
      return dropped("list_ratio", "line_feeds_per_word", perWord, "max_line_feeds_per_word", *maxFeeds);
    return {};
  }

private:
  static bool isBlank(std::string_view line) {
    for (size_t at = 0; at < line.size();)
      if (!isSpace(nextChar(line, at)))
        return false;
    return true;
  }
};

} // namespace

RulePtr makeC4(Params &p) {
  auto r = std::make_shared<C4>();
  r->citations = p.flag("citations");
  r->punctuation = p.flag("terminal_punctuation");
  r->minSentences = p.count("min_sentences");
  r->minWordsOfLine = p.count("min_words_per_line");
  r->maxWordLength = p.count("max_word_length");
  r->loremIpsum = p.flag("lorem_ipsum");
  r->javascript = p.flag("javascript");
  r->bracket = p.flag("curly_bracket");
  r->policy = p.flag("policy");
  return r;
}

RulePtr makeFineWeb(Params &p) {
  auto r = std::make_shared<FineWeb>();
  r->minPunctuated = p.share("min_punctuated_lines");
  r->excludeZero = p.flag("allow_none_punctuated");
  r->maxShort = p.share("max_short_lines");
  r->shortLine = p.count("short_line").value_or(0);
  r->maxRepeated = p.share("max_repeated_line_chars");
  r->maxFeeds = p.number("max_line_feeds_per_word", 0, INFINITY);
  if (std::optional<std::string> ends = p.optionalText("ends")) {
    r->ends.emplace();
    for (size_t at = 0; at < ends->size();)
      r->ends->push_back(nextChar(*ends, at));
  }
  return r;
}

} // namespace r1rt::text
