#include "runtime/augment/Makers.h"
#include "runtime/augment/Words.h"
#include "runtime/state/Philox.h"
#include <algorithm>

namespace r1rt::augment {

namespace {

/// The letters whose keys touch that of a letter, on a keyboard of the layout QWERTY.
std::string_view neighbours(char32_t letter) {
  static constexpr std::string_view of[26] = {
      "qwsz", "vghn",  "xdfv", "serfxc", "wrsd", "drtgcv", "ftyhvb", "gyujbn", "uojk",
      "huiknm", "jiolm", "kop", "njk",    "bhjm", "ipkl",   "ol",     "wa",     "etdf",
      "awedzx", "ryfg", "yihj", "cfgb",   "qeas", "zsdc",   "tugh",   "asx"};
  return letter >= 'a' && letter <= 'z' ? of[letter - 'a'] : std::string_view();
}

enum Slip { insertion, deletion, exchange, neighbour };

/// A word with one slip; `draw` has four numbers of 32 bits. Some slip is possible in any word of three
/// letters or more.
std::string misspelt(std::string_view word, const PhiloxBlock &draw) {
  std::vector<char32_t> letters;
  for (size_t at = 0; at < word.size();)
    letters.push_back(nextChar(word, at));
  auto below = [](uint32_t draw, size_t n) { return size_t(uint64_t(draw) * n >> 32); };
  size_t at = below(draw[1], letters.size());
  char32_t letter = letters[at], small = letter >= 'A' && letter <= 'Z' ? letter | 32 : letter;
  std::string_view keys = neighbours(small);
  // The key beside, in the case of the letter; of other alphabets the same key again.
  char32_t beside = keys.empty() ? letter : char32_t(keys[below(draw[2], keys.size())]) - (small - letter);
  auto slip = Slip(below(draw[0], 4));
  if (slip == neighbour && keys.empty())
    slip = insertion;
  if (slip == exchange && at + 1 == letters.size())
    --at;
  if (slip == exchange && letters[at] == letters[at + 1])
    slip = deletion;
  switch (slip) {
  case insertion: // two keys pressed at once
    letters.insert(letters.begin() + ptrdiff_t(at) + 1, beside);
    break;
  case deletion:
    letters.erase(letters.begin() + ptrdiff_t(at));
    break;
  case exchange:
    std::swap(letters[at], letters[at + 1]);
    break;
  case neighbour:
    letters[at] = beside;
    break;
  }
  std::string out;
  for (char32_t c : letters)
    appendChar(out, c);
  return out;
}

class Typos final : public Augmenter {
public:
  explicit Typos(double rate) : rate(rate) {}

  Result<std::optional<std::string>> apply(std::string_view text, uint64_t draw, std::string &evidence) override {
    std::vector<Word> words = plainWords(text);
    std::erase_if(words, [&](const Word &w) {
      return std::count_if(text.begin() + ptrdiff_t(w.begin), text.begin() + ptrdiff_t(w.end),
                           [](char c) { return (c & 0xC0) != 0x80; }) < 3; // letters
    });
    if (words.empty())
      return std::optional<std::string>();
    std::vector<Change> changes;
    for (size_t i : drawPlaces(words.size(), rate, draw)) {
      const Word &w = words[i];
      changes.push_back({w.begin, w.end, misspelt(text.substr(w.begin, w.end - w.begin), philox(draw, i, 1))});
    }
    return std::optional(changed(text, changes, evidence));
  }

private:
  const double rate;
};

} // namespace

Made makeTypos(const nlohmann::json &spec, const std::string &) {
  R1RT_ASSIGN(double rate, numberOf(spec, "rate", 0, 1));
  return std::unique_ptr<Augmenter>(new Typos(rate));
}

} // namespace r1rt::augment
