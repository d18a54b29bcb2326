#include "runtime/augment/Words.h"
#include <unicode/uchar.h>
#include <unicode/uscript.h>
#include <unicode/utf8.h>

namespace r1rt::augment {

char32_t nextChar(std::string_view text, size_t &at) {
  UChar32 c;
  U8_NEXT_OR_FFFD(reinterpret_cast<const uint8_t *>(text.data()), at, text.size(), c);
  return char32_t(c);
}

void appendChar(std::string &text, char32_t c) {
  uint8_t b[4];
  size_t n = 0;
  U8_APPEND_UNSAFE(b, n, UChar32(c));
  text.append(reinterpret_cast<char *>(b), n);
}

bool isAlphabetic(char32_t c) {
  if (c < 0x80)
    return (c | 32) >= 'a' && (c | 32) <= 'z';
  return (c < 0x590 || (c >= 0x1E00 && c < 0x2000)) && u_isalpha(UChar32(c));
}

bool isIdeograph(char32_t c) {
  if (c < 0x2E80)
    return false;
  UErrorCode error = U_ZERO_ERROR;
  UScriptCode s = uscript_getScript(UChar32(c), &error);
  return s == USCRIPT_HAN || s == USCRIPT_HIRAGANA || s == USCRIPT_KATAKANA;
}

bool isAddress(std::string_view run) {
  return run.find("://") != run.npos || run.find('@') != run.npos || run.starts_with("www.");
}

static bool isMark(char32_t c) { // punctuation or a symbol
  return (U_GET_GC_MASK(UChar32(c)) & (U_GC_P_MASK | U_GC_S_MASK)) != 0;
}

std::vector<Word> plainWords(std::string_view text) {
  std::vector<Word> out;
  bool opens = true;
  for (size_t at = 0; at < text.size();) {
    size_t begin = at, next = at;
    char32_t c = nextChar(text, next);
    if (u_isspace(UChar32(c))) {
      at = next;
      if (c == '\n' && at < text.size() && text[at] == '\n')
        opens = true;
      continue;
    }
    // The run, its first and last character that is no mark, and whether all between are letters.
    size_t first = text.npos, last = begin;
    bool marked = false, letters = true;
    for (size_t here = at; at < text.size(); at = here) {
      c = nextChar(text, here);
      if (u_isspace(UChar32(c)))
        break;
      if (isMark(c)) {
        marked |= first != text.npos; // within the run, if another letter follows
        continue;
      }
      letters &= !marked && isAlphabetic(c);
      if (first == text.npos)
        first = at;
      last = here;
    }
    if (first != text.npos && letters)
      out.push_back({first, last, opens});
    std::string_view ending = text.substr(last, at - last);
    if (first != text.npos)
      opens = ending.find_first_of(".!?:") != ending.npos;
  }
  return out;
}

Case caseOf(std::string_view word) {
  size_t uppers = 0, lowers = 0;
  bool firstUpper = false;
  for (size_t at = 0; at < word.size();) {
    bool first = at == 0;
    char32_t c = nextChar(word, at);
    bool upper = u_isupper(UChar32(c));
    firstUpper |= first && upper;
    (upper ? uppers : lowers) += 1;
  }
  return uppers == 0 ? Case::lower : uppers == 1 && firstUpper ? Case::title : lowers == 0 ? Case::upper : Case::mixed;
}

static std::string mapped(std::string_view text, auto map) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    bool first = at == 0;
    size_t begin = at;
    char32_t c = nextChar(text, at), m = map(c, first);
    if (m == c)
      out += text.substr(begin, at - begin); // also what is no UTF-8
    else
      appendChar(out, m);
  }
  return out;
}

std::string lowered(std::string_view text) {
  return mapped(text, [](char32_t c, bool) { return char32_t(u_tolower(UChar32(c))); });
}

std::string inCase(std::string word, Case c) {
  if (c != Case::title && c != Case::upper)
    return word;
  return mapped(word, [c](char32_t x, bool first) {
    return first || c == Case::upper ? char32_t(u_toupper(UChar32(x))) : x;
  });
}

} // namespace r1rt::augment
