#include "runtime/augment/Lexicon.h"
#include "runtime/augment/Makers.h"
#include "runtime/augment/WordNet.h"
#include "runtime/augment/Words.h"
#include "runtime/state/Philox.h"
#include <filesystem>
#include <map>
#include <mutex>

namespace r1rt::augment {

namespace {

/// A part of the text and what may stand in its place, in the same case.
struct Place {
  size_t begin, end;
  std::vector<std::string> choices;
};

class Synonyms : public Augmenter {
public:
  explicit Synonyms(double rate) : rate(rate) {}

  Result<std::optional<std::string>> apply(std::string_view text, uint64_t draw, std::string &evidence) final {
    std::vector<Place> places = placesIn(text);
    if (places.empty())
      return std::optional<std::string>();
    std::vector<Change> changes;
    for (size_t i : drawPlaces(places.size(), rate, draw)) {
      Place &p = places[i];
      changes.push_back({p.begin, p.end, p.choices[uint64_t(philox(draw, i, 1)[0]) * p.choices.size() >> 32]});
    }
    return std::optional(changed(text, changes, evidence));
  }

private:
  virtual std::vector<Place> placesIn(std::string_view text) const = 0;
  const double rate;
};

class OfWordNet final : public Synonyms {
public:
  OfWordNet(std::shared_ptr<const WordNet> net, double rate) : Synonyms(rate), net(std::move(net)) {}

private:
  std::vector<Place> placesIn(std::string_view text) const override {
    std::vector<Place> out;
    std::string_view before; // the word before
    for (const Word &w : plainWords(text)) {
      std::string_view word = text.substr(w.begin, w.end - w.begin);
      std::string_view article = std::exchange(before, word);
      Case c = caseOf(word);
      std::string small = lowered(word), a = lowered(article);
      // A capital within a sentence makes a name, few capitals alone an abbreviation.
      if (c == Case::mixed || (c == Case::title && (!w.opens || net->isName(small))) ||
          (c == Case::upper && word.size() < 5))
        continue;
      Place p{w.begin, w.end, {}};
      auto opensWithVowel = [](const std::string &s) { return s.find_first_of("aeiou") == 0; };
      for (std::string &synonym : net->synonyms(small))
        if ((a != "a" && a != "an") || opensWithVowel(synonym) == opensWithVowel(small))
          p.choices.push_back(inCase(std::move(synonym), c));
      if (!p.choices.empty())
        out.push_back(std::move(p));
    }
    return out;
  }
  std::shared_ptr<const WordNet> net;
};

class OfLexicon final : public Synonyms {
public:
  OfLexicon(std::shared_ptr<const Lexicon> lexicon, double rate) : Synonyms(rate), lexicon(std::move(lexicon)) {}

private:
  std::vector<Place> placesIn(std::string_view text) const override {
    std::vector<Place> out;
    for (const Lexicon::Match &m : lexicon->find(text)) {
      Case c = caseOf(text.substr(m.begin, m.end - m.begin));
      out.push_back({m.begin, m.end, {}});
      for (const std::string &synonym : *m.synonyms)
        out.back().choices.push_back(inCase(synonym, c));
    }
    return out;
  }
  std::shared_ptr<const Lexicon> lexicon;
};

/// What `read` makes of a path, once for all threads that use it at a time.
template <class T> Result<std::shared_ptr<const T>> shared(const std::string &path) {
  static std::mutex mutex;
  static std::map<std::string, std::weak_ptr<const T>> open;
  std::lock_guard lock(mutex);
  if (auto have = open[path].lock())
    return have;
  R1RT_ASSIGN(std::shared_ptr<const T> made, T::read(path));
  open[path] = made;
  return made;
}

} // namespace

Made makeSynonyms(const nlohmann::json &spec, const std::string &baseDir) {
  R1RT_ASSIGN(double rate, numberOf(spec, "rate", 0, 1));
  R1RT_ASSIGN(std::string lexicon, textOf(spec, "lexicon"));
  std::string path = lexicon == "wordnet" ? WordNet::debianDir : under(baseDir, lexicon);
  std::error_code ignored;
  if (lexicon == "wordnet" || std::filesystem::is_directory(path, ignored)) {
    R1RT_ASSIGN(std::shared_ptr<const WordNet> net, shared<WordNet>(path));
    return std::unique_ptr<Augmenter>(new OfWordNet(std::move(net), rate));
  }
  R1RT_ASSIGN(std::shared_ptr<const Lexicon> words, shared<Lexicon>(path));
  return std::unique_ptr<Augmenter>(new OfLexicon(std::move(words), rate));
}

} // namespace r1rt::augment
