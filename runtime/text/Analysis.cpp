#include "runtime/text/Analysis.h"
#include "runtime/text/Chars.h"
#include "runtime/text/Masks.h"
#include "runtime/text/Utf8.h"
#include <bit>

namespace r1rt::text {

namespace {

/// Bytes of the line end at text[i]: 0 if there is none, "\r\n" is one.
size_t lineEndAt(std::string_view text, size_t i) {
  switch (static_cast<unsigned char>(text[i])) {
  case '\n':
  case 0x0B:
  case 0x0C:
  case 0x1C:
  case 0x1D:
  case 0x1E:
    return 1;
  case '\r':
    return text.substr(i, 2) == "\r\n" ? 2 : 1;
  case 0xC2:
    return text.substr(i, 2) == "\u0085" ? 2 : 0;
  case 0xE2: {
    std::string_view three = text.substr(i, 3);
    return three == "\u2028" || three == "\u2029" ? 3 : 0;
  }
  default:
    return 0;
  }
}

/// Than line feeds. Most texts have no byte that could begin one.
bool hasOtherLineEnds(std::string_view text) {
  bool found = false;
  auto mayBegin = [](auto v) {
    return ((v >= 0x0B) & (v <= 0x0D)) | ((v >= 0x1C) & (v <= 0x1E)) | (v == static_cast<signed char>(0xC2)) |
           (v == static_cast<signed char>(0xE2));
  };
  eachMask(text, mayBegin, [&](size_t block, uint64_t mask) {
    for (; mask && !found; mask &= mask - 1)
      found = lineEndAt(text, block + size_t(std::countr_zero(mask))) != 0;
  });
  return found;
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

const std::vector<std::string_view> &Analysis::lines() {
  if (haveLines)
    return lineList;
  haveLines = true;
  lineList.clear();
  size_t begin = 0;
  eachMask(whole, [](auto v) { return v == '\n'; }, [&](size_t block, uint64_t mask) {
    for (; mask; mask &= mask - 1) {
      const size_t end = block + size_t(std::countr_zero(mask));
      lineList.push_back(whole.substr(begin, end - begin));
      begin = end + 1;
    }
  });
  lineList.push_back(whole.substr(begin));
  return lineList;
}

const std::vector<std::string_view> &Analysis::unicodeLines() {
  if (haveUnicodeLines)
    return unicodeLineList;
  haveUnicodeLines = true;
  if (!hasOtherLineEnds(whole)) {
    unicodeLineList = lines();
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
