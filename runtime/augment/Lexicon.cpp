#include "runtime/augment/Lexicon.h"
#include "runtime/augment/Words.h"
#include "runtime/state/Files.h"
#include <algorithm>
#include <map>
#include <unicode/uchar.h>

namespace r1rt::augment {

static std::string_view trimmed(std::string_view s) {
  size_t b = s.find_first_not_of(" \t\r"), e = s.find_last_not_of(" \t\r");
  return b == s.npos ? std::string_view() : s.substr(b, e - b + 1);
}

static bool isUtf8(std::string_view s) {
  for (size_t at = 0; at < s.size();) {
    size_t begin = at;
    if (nextChar(s, at) == 0xFFFD && s.substr(begin, at - begin) != "\xEF\xBF\xBD")
      return false;
  }
  return true;
}

Result<std::shared_ptr<const Lexicon>> Lexicon::read(const std::string &path) {
  R1RT_ASSIGN(std::string content, readFile(path));
  std::map<std::string, std::vector<std::string>> words;
  size_t number = 0;
  for (std::string_view rest = content; !rest.empty();) {
    size_t end = std::min(rest.find('\n'), rest.size());
    std::string_view line = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    ++number;
    if (number == 1 && line.starts_with("\xEF\xBB\xBF"))
      line.remove_prefix(3);
    if (trimmed(line).empty() || line.starts_with('#'))
      continue;
    auto wrong = [&](const std::string &what) {
      return Status::error("lexicon " + path + ":" + std::to_string(number) + ": " + what +
                               "; expected WORD<TAB>SYNONYM,SYNONYM,…",
                           ExitClass::program);
    };
    if (!isUtf8(line))
      return wrong("the line is not UTF-8");
    size_t tab = line.find('\t');
    if (tab == line.npos)
      return wrong("there is no tab in \"" + std::string(line.substr(0, 60)) + "\"");
    std::string word = lowered(trimmed(line.substr(0, tab)));
    if (word.empty())
      return wrong("there is no word before the tab");
    std::vector<std::string> &synonyms = words[word];
    size_t before = synonyms.size();
    for (std::string_view list = line.substr(tab + 1); !list.empty();) {
      size_t comma = std::min(list.find(','), list.size());
      std::string_view synonym = trimmed(list.substr(0, comma));
      list.remove_prefix(std::min(comma + 1, list.size()));
      if (!synonym.empty() && lowered(synonym) != word)
        synonyms.emplace_back(synonym);
    }
    if (synonyms.size() == before)
      return wrong("\"" + word + "\" has no synonym");
  }
  if (words.empty())
    return Status::error("lexicon " + path + " holds no word; expected lines WORD<TAB>SYNONYM,SYNONYM,…",
                         ExitClass::program);
  auto lexicon = std::make_shared<Lexicon>();
  for (auto &[word, synonyms] : words)
    lexicon->entries.push_back({word, std::move(synonyms)});
  return std::shared_ptr<const Lexicon>(std::move(lexicon));
}

std::vector<Lexicon::Match> Lexicon::find(std::string_view text) const {
  // The text in lower case, and where each of its bytes comes from.
  struct Char {
    size_t begin, folded; // in the text, in `lower`
    bool word;            // of a script with spaces
    bool address;
  };
  std::string lower;
  std::vector<Char> chars;
  size_t runEnd = 0;
  bool address = false;
  for (size_t at = 0; at < text.size();) {
    if (at >= runEnd) {
      runEnd = std::min(text.find_first_of(" \t\n\r", at), text.size() - 1) + 1;
      address = isAddress(text.substr(at, runEnd - at));
    }
    size_t begin = at;
    char32_t c = nextChar(text, at);
    chars.push_back({begin, lower.size(), u_isalnum(UChar32(c)) && !isIdeograph(c), address});
    appendChar(lower, char32_t(u_tolower(UChar32(c))));
  }
  chars.push_back({text.size(), lower.size(), false, false});

  std::vector<Match> out;
  for (size_t i = 0; i + 1 < chars.size();) {
    size_t matchEnd = 0;
    const Entry *match = nullptr;
    if (!chars[i].address && !(i > 0 && chars[i - 1].word && chars[i].word)) {
      // Entries that agree with the text so far: fewer with each character.
      auto low = entries.begin(), high = entries.end();
      for (size_t j = i; j + 1 < chars.size() && low != high; ++j) {
        size_t from = chars[j].folded - chars[i].folded, to = chars[j + 1].folded - chars[i].folded;
        std::string_view part = std::string_view(lower).substr(chars[j].folded, to - from);
        auto at = [&](const Entry &e) { return std::string_view(e.word).substr(std::min(from, e.word.size()), to - from); };
        low = std::lower_bound(low, high, part, [&](const Entry &e, std::string_view p) { return at(e) < p; });
        high = std::upper_bound(low, high, part, [&](std::string_view p, const Entry &e) { return p < at(e); });
        if (low != high && low->word.size() == to && !(chars[j].word && chars[j + 1].word))
          match = &*low, matchEnd = j + 1;
      }
    }
    if (match) {
      out.push_back({chars[i].begin, chars[matchEnd].begin, &match->synonyms});
      i = matchEnd;
    } else {
      ++i;
    }
  }
  return out;
}

} // namespace r1rt::augment
