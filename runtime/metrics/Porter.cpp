// Porter's stemmer, "An algorithm for suffix stripping", Program 14 (1980), with the departures that NLTK's
// PorterStemmer has by default and rouge_score therefore, too; they are marked NLTK.
#include "runtime/metrics/Summary.h"
#include <algorithm>
#include <array>
#include <span>
#include <utility>

namespace r1rt::metrics {

namespace {

bool isVowelLetter(char c) { return c == 'a' || c == 'e' || c == 'i' || c == 'o' || c == 'u'; }

/// A y after a consonant is a vowel.
std::vector<bool> consonants(std::string_view w) {
  std::vector<bool> out;
  for (size_t i = 0; i < w.size(); ++i)
    out.push_back(w[i] == 'y' ? i == 0 || !out[i - 1] : !isVowelLetter(w[i]));
  return out;
}

/// m, the number of times that vowels are followed by consonants.
int measure(std::string_view w) {
  std::vector<bool> c = consonants(w);
  int m = 0;
  for (size_t i = 1; i < c.size(); ++i)
    m += c[i] && !c[i - 1];
  return m;
}

bool hasVowel(std::string_view w) {
  std::vector<bool> c = consonants(w);
  return std::find(c.begin(), c.end(), false) != c.end();
}

bool endsInDouble(std::string_view w) {
  return w.size() >= 2 && w[w.size() - 1] == w[w.size() - 2] && consonants(w).back();
}

/// Consonant, vowel, consonant that is not w, x or y. NLTK: or a whole word of vowel and consonant.
bool endsInCvc(std::string_view w) {
  const size_t n = w.size();
  std::vector<bool> c = consonants(w);
  if (n == 2)
    return !c[0] && c[1];
  return n >= 3 && c[n - 3] && !c[n - 2] && c[n - 1] && w[n - 1] != 'w' && w[n - 1] != 'x' && w[n - 1] != 'y';
}

using Rule = std::pair<std::string_view, std::string_view>; // suffix -> replacement

/// The first rule whose suffix the word has is applied if its stem has a measure above `above`; no other is tried.
/// False if none has been applied.
bool apply(std::string &w, std::span<const Rule> rules, int above) {
  for (auto &[suffix, to] : rules)
    if (w.ends_with(suffix)) {
      std::string_view stem(w.data(), w.size() - suffix.size());
      if (measure(stem) <= above)
        return false;
      w = std::string(stem) + std::string(to);
      return true;
    }
  return false;
}

void plurals(std::string &w) {
  if (w.ends_with("sses") || (w.ends_with("ies") && w.size() != 4))
    w.resize(w.size() - 2);
  else if (w.ends_with("s") && !w.ends_with("ss")) // NLTK: of ies in four letters, the s
    w.pop_back();
}

void participles(std::string &w) {
  if (w.ends_with("ied")) { // NLTK
    w.resize(w.size() - (w.size() == 4 ? 1 : 2));
    return;
  }
  if (w.ends_with("eed")) {
    if (measure(std::string_view(w).substr(0, w.size() - 3)) > 0)
      w.pop_back();
    return;
  }
  size_t cut = w.ends_with("ed") ? 2 : w.ends_with("ing") ? 3 : 0;
  if (!cut || !hasVowel(std::string_view(w).substr(0, w.size() - cut)))
    return;
  w.resize(w.size() - cut);
  if (w.ends_with("at") || w.ends_with("bl") || w.ends_with("iz")) {
    w += 'e';
  } else if (endsInDouble(w)) {
    if (w.back() != 'l' && w.back() != 's' && w.back() != 'z')
      w.pop_back();
  } else if (measure(w) == 1 && endsInCvc(w)) {
    w += 'e';
  }
}

/// NLTK: y after a consonant becomes i, unless that is the whole word; Porter asks for a vowel before it.
void finalY(std::string &w) {
  if (w.size() > 2 && w.ends_with("y") && consonants(w)[w.size() - 2])
    w.back() = 'i';
}

void doubleSuffixes(std::string &w) {
  static constexpr std::array<Rule, 21> rules = {{
      {"ational", "ate"}, {"tional", "tion"}, {"enci", "ence"},   {"anci", "ance"},   {"izer", "ize"},
      {"bli", "ble"},     {"alli", "al"},     {"entli", "ent"},   {"eli", "e"},       {"ousli", "ous"},
      {"ization", "ize"}, {"ation", "ate"},   {"ator", "ate"},    {"alism", "al"},    {"iveness", "ive"},
      {"fulness", "ful"}, {"ousness", "ous"}, {"aliti", "al"},    {"iviti", "ive"},   {"biliti", "ble"},
      {"fulli", "ful"}, // NLTK, and bli for abli
  }};
  // NLTK: alli becomes al, and what is then left is looked at once more.
  if (w.ends_with("alli") && measure(std::string_view(w).substr(0, w.size() - 4)) > 0)
    w.resize(w.size() - 2);
  if (apply(w, rules, 0))
    return;
  // NLTK: logi, whose l counts as part of the stem.
  if (w.ends_with("logi") && measure(std::string_view(w).substr(0, w.size() - 3)) > 0)
    w.pop_back();
}

void furtherSuffixes(std::string &w) {
  static constexpr std::array<Rule, 7> rules = {{{"icate", "ic"}, {"ative", ""}, {"alize", "al"}, {"iciti", "ic"},
                                                 {"ical", "ic"},  {"ful", ""},   {"ness", ""}}};
  apply(w, rules, 0);
}

void longSuffixes(std::string &w) {
  static constexpr std::array<Rule, 18> rules = {
      {{"al", ""},   {"ance", ""}, {"ence", ""}, {"er", ""},  {"ic", ""},  {"able", ""},
       {"ible", ""}, {"ant", ""},  {"ement", ""}, {"ment", ""}, {"ent", ""}, {"ou", ""},
       {"ism", ""},  {"ate", ""},  {"iti", ""},  {"ous", ""}, {"ive", ""}, {"ize", ""}}};
  if (!w.ends_with("ion")) {
    apply(w, rules, 1);
    return;
  }
  std::string_view stem(w.data(), w.size() - 3);
  if (measure(stem) > 1 && (stem.back() == 's' || stem.back() == 't'))
    w.resize(stem.size());
}

void finalE(std::string &w) {
  if (!w.ends_with("e"))
    return;
  std::string_view stem(w.data(), w.size() - 1);
  const int m = measure(stem);
  if (m > 1 || (m == 1 && !endsInCvc(stem)))
    w.pop_back();
}

void finalL(std::string &w) {
  if (w.ends_with("ll") && measure(std::string_view(w).substr(0, w.size() - 1)) > 1)
    w.pop_back();
}

} // namespace

std::string porterStem(std::string_view word) {
  // NLTK: words that the rules would tear from their kin.
  static constexpr std::pair<std::string_view, std::string_view> irregular[] = {
      {"sky", "sky"},         {"skies", "sky"},       {"dying", "die"},     {"lying", "lie"},     {"tying", "tie"},
      {"news", "news"},       {"innings", "inning"},  {"inning", "inning"}, {"outings", "outing"}, {"outing", "outing"},
      {"cannings", "canning"}, {"canning", "canning"}, {"howe", "howe"},     {"proceed", "proceed"}, {"exceed", "exceed"},
      {"succeed", "succeed"}};
  for (auto &[from, to] : irregular)
    if (word == from)
      return std::string(to);
  std::string w(word);
  if (w.size() <= 2)
    return w;
  plurals(w);
  participles(w);
  finalY(w);
  doubleSuffixes(w);
  furtherSuffixes(w);
  longSuffixes(w);
  finalE(w);
  finalL(w);
  return w;
}

} // namespace r1rt::metrics
