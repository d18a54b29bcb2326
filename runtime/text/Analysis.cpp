#include "runtime/text/Analysis.h"
#include "runtime/text/Chars.h"
#include "runtime/text/Utf8.h"
#include <array>

namespace r1rt::text {

namespace {

enum Byte : uint8_t { other, feed, lineEnd, lead }; // lead: of a line end beyond ASCII, perhaps

constexpr std::array<uint8_t, 256> byteClass = [] {
  std::array<uint8_t, 256> t{};
  t['\n'] = feed;
  for (int c : {0x0B, 0x0C, 0x0D, 0x1C, 0x1D, 0x1E})
    t[size_t(c)] = lineEnd;
  t[0xC2] = t[0xE2] = lead;
  return t;
}();

/// Bytes of the line end at text[i]: 0 if there is none, "\r\n" is one.
size_t lineEndAt(std::string_view text, size_t i) {
  switch (byteClass[static_cast<unsigned char>(text[i])]) {
  case other:
    return 0;
  case feed:
    return 1;
  case lineEnd:
    return text[i] == '\r' && text.substr(i, 2) == "\r\n" ? 2 : 1;
  default:
    if (text.substr(i, 2) == "\u0085")
      return 2;
    std::string_view three = text.substr(i, 3);
    return three == "\u2028" || three == "\u2029" ? 3 : 0;
  }
}

} // namespace

void Analysis::reset(std::string_view newText) {
  whole = newText;
  charCount.reset();
  haveWords = haveLines = haveUnicodeLines = haveParagraphs = false;
}

const Words &Analysis::words() {
  if (!haveWords) {
    splitter.split(whole, wordList);
    haveWords = true;
  }
  return wordList;
}

size_t Analysis::chars() {
  if (!charCount)
    charCount = countChars(whole);
  return *charCount;
}

void Analysis::findLines() {
  lineList.clear();
  otherLineEnds = false;
  size_t begin = 0;
  for (size_t i = 0; i < whole.size(); ++i) {
    uint8_t kind = byteClass[static_cast<unsigned char>(whole[i])];
    if (kind == other)
      continue;
    if (kind == feed) {
      lineList.push_back(whole.substr(begin, i - begin));
      begin = i + 1;
    } else if (!otherLineEnds) {
      otherLineEnds = lineEndAt(whole, i) != 0;
    }
  }
  lineList.push_back(whole.substr(begin));
  haveLines = true;
}

const std::vector<std::string_view> &Analysis::lines() {
  if (!haveLines)
    findLines();
  return lineList;
}

const std::vector<std::string_view> &Analysis::unicodeLines() {
  if (haveUnicodeLines)
    return unicodeLineList;
  haveUnicodeLines = true;
  lines();
  if (!otherLineEnds) {
    unicodeLineList = lineList;
    if (unicodeLineList.back().empty())
      unicodeLineList.pop_back();
    return unicodeLineList;
  }
  unicodeLineList.clear();
  size_t begin = 0;
  for (size_t i = 0; i < whole.size();) {
    size_t end = lineEndAt(whole, i);
    if (!end) {
      ++i;
      continue;
    }
    unicodeLineList.push_back(whole.substr(begin, i - begin));
    begin = i += end;
  }
  if (begin < whole.size())
    unicodeLineList.push_back(whole.substr(begin));
  return unicodeLineList;
}

const std::vector<std::string_view> &Analysis::paragraphs() {
  if (haveParagraphs)
    return paragraphList;
  haveParagraphs = true;
  paragraphList.clear();
  std::string_view rest = strip(whole);
  while (true) {
    size_t end = rest.find("\n\n");
    paragraphList.push_back(rest.substr(0, end));
    if (end == rest.npos)
      return paragraphList;
    size_t next = rest.find_first_not_of('\n', end);
    rest.remove_prefix(next); // there is one: the text does not end in white space
  }
}

} // namespace r1rt::text
