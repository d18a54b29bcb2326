#include "runtime/text/Bias.h"
#include "runtime/text/Rule.h"
#include "runtime/text/WordFinder.h"
#include <algorithm>

namespace r1rt::text {

using nlohmann::json;

void BiasCounts::add(const BiasCounts &other) {
  words += other.words;
  texts += other.texts;
  for (const auto &[name, tag] : other.tags) {
    Tag &mine = tags[name];
    mine.words += tag.words;
    mine.texts += tag.texts;
    for (const auto &[word, n] : tag.each)
      mine.each[word] += n;
  }
}

json BiasCounts::toJson() const {
  json out = {{"words", words}, {"texts", texts}, {"tags", json::object()}};
  for (const auto &[name, tag] : tags)
    out["tags"][name] = {{"words", tag.words},
                         {"texts", tag.texts},
                         {"per_1000_words", words ? 1000.0 * double(tag.words) / double(words) : 0.0},
                         {"each", tag.each}};
  return out;
}

namespace {

Status readCount(const json &object, const char *name, const std::string &where, uint64_t &out) {
  if (!object.is_object() || !object.contains(name) || !object[name].is_number_unsigned())
    return Status::error("counts of a lexicon: `" + where + name +
                         "` is missing or not a whole number; the JSON is not what toJson writes");
  out = object[name].get<uint64_t>();
  return Status::ok();
}

} // namespace

Result<BiasCounts> BiasCounts::fromJson(const json &j) {
  BiasCounts out;
  R1RT_TRY(readCount(j, "words", "", out.words));
  R1RT_TRY(readCount(j, "texts", "", out.texts));
  if (!j.contains("tags") || !j["tags"].is_object())
    return Status::error("counts of a lexicon: `tags` is missing or not an object");
  for (const auto &[name, tag] : j["tags"].items()) {
    const std::string where = "tags." + name + ".";
    Tag &mine = out.tags[name];
    R1RT_TRY(readCount(tag, "words", where, mine.words));
    R1RT_TRY(readCount(tag, "texts", where, mine.texts));
    if (!tag.contains("each") || !tag["each"].is_object())
      return Status::error("counts of a lexicon: `" + where + "each` is missing or not an object");
    for (const auto &[word, n] : tag["each"].items())
      R1RT_TRY(readCount(tag["each"], word.c_str(), where + "each.", mine.each[word]));
  }
  return out;
}

struct BiasLexicon::Impl {
  std::vector<std::string> tags;
  std::vector<std::string> words;            // in lower case, distinct
  std::vector<std::vector<uint32_t>> tagsOf; // of each word
  WordFinder finder;
};

Result<BiasLexicon> BiasLexicon::create(const json &lexicon) {
  auto wrong = [](const std::string &what) {
    return Status::error("the lexicon " + what, ExitClass::program);
  };
  if (!lexicon.is_object() || lexicon.empty())
    return wrong("is not a record of tags with at least one, as in {female = [\"she\"], male = [\"he\"]}");
  auto impl = std::make_shared<Impl>();
  std::map<std::string, std::vector<uint32_t>> tagsOf;
  for (const auto &[tag, words] : lexicon.items()) {
    if (!words.is_array() || words.empty())
      return wrong("has the tag `" + tag + "` without a list of words; give at least one");
    uint32_t number = uint32_t(impl->tags.size());
    impl->tags.push_back(tag);
    for (const json &word : words) {
      if (!word.is_string() || word.get_ref<const std::string &>().empty())
        return wrong("has the tag `" + tag + "` with " +
                     word.dump(-1, ' ', false, json::error_handler_t::replace) +
                     ", expected words that are not empty");
      auto &mine = tagsOf[lowerCase(word.get<std::string>())];
      if (mine.empty() || mine.back() != number)
        mine.push_back(number);
    }
  }
  for (auto &[word, tags] : tagsOf) {
    impl->words.push_back(word);
    impl->tagsOf.push_back(std::move(tags));
  }
  impl->finder = WordFinder(impl->words, {});
  BiasLexicon out;
  out.impl = std::move(impl);
  return out;
}

BiasCounts BiasLexicon::zero() const {
  BiasCounts out;
  for (const std::string &tag : impl->tags)
    out.tags[tag];
  return out;
}

void BiasLexicon::count(std::string_view text, BiasCounts &into, Scratch &scratch) const {
  Scratch::Impl &s = *scratch;
  s.analysis.splitter.split(text, s.words);
  into.words += s.words.plain;
  ++into.texts;
  std::vector<WordFinder::Found> found;
  impl->finder.find(text, found);
  std::vector<char> seen(impl->tags.size(), 0);
  for (const auto &f : found)
    for (uint32_t tag : impl->tagsOf[f.word]) {
      BiasCounts::Tag &t = into.tags[impl->tags[tag]];
      ++t.words;
      ++t.each[impl->words[f.word]];
      t.texts += !seen[tag];
      seen[tag] = 1;
    }
}

} // namespace r1rt::text
