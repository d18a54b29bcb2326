//===- Analysis.h - what rules measure of a text, each thing once ----------===//
#ifndef R1RT_TEXT_ANALYSIS_H
#define R1RT_TEXT_ANALYSIS_H
#include "runtime/text/Words.h"
#include <optional>

namespace r1rt::text {

/// The parts of one text, found when they are first asked for. Views into the text: `reset` after a
/// change.
class Analysis {
public:
  void reset(std::string_view newText);

  std::string_view text() const { return whole; }
  const Words &words();
  size_t chars();
  /// Between line feeds: one more than there are line feeds, empty ones included.
  const std::vector<std::string_view> &lines();
  /// As Python's str.splitlines: all line ends of Unicode, no empty line at the end.
  const std::vector<std::string_view> &unicodeLines();
  /// Of the text without white space at its ends, separated by two or more line feeds.
  const std::vector<std::string_view> &paragraphs();

  WordSplitter splitter; // for parts that a rule has changed, too

private:
  std::string_view whole;
  Words wordList;
  std::vector<std::string_view> lineList, unicodeLineList, paragraphList;
  std::optional<size_t> charCount;
  bool haveWords = false, haveLines = false, haveUnicodeLines = false, haveParagraphs = false;
};

} // namespace r1rt::text
#endif
