#include "runtime/augment/WordNet.h"
#include "runtime/state/Files.h"
#include <algorithm>
#include <charconv>

namespace r1rt::augment {

namespace {

constexpr const char *posNames[] = {"noun", "verb", "adj", "adv"};

/// The fields of a line, one after the other.
struct Fields {
  std::string_view rest;
  std::string_view next() {
    size_t b = std::min(rest.find_first_not_of(' '), rest.size()), e = std::min(rest.find(' ', b), rest.size());
    std::string_view f = rest.substr(b, e - b);
    rest.remove_prefix(e);
    return f;
  }
  bool number(uint64_t &out, int radix = 10) {
    std::string_view f = next();
    auto [end, error] = std::from_chars(f.data(), f.data() + f.size(), out, radix);
    return error == std::errc() && end == f.data() + f.size() && !f.empty();
  }
};

/// `of` gets each line, its number, and says whether it is as it should be.
Status eachLine(const std::string &path, auto of) {
  R1RT_ASSIGN(MappedFile file, MappedFile::open(path));
  std::string_view rest = file.text();
  for (size_t number = 1; !rest.empty(); ++number) {
    size_t end = std::min(rest.find('\n'), rest.size());
    if (!of(rest.substr(0, end)))
      return Status::error(path + ":" + std::to_string(number) + ": this is no line of a WordNet 3.0 database: \"" +
                               std::string(rest.substr(0, std::min<size_t>(end, 60))) + "\"",
                           ExitClass::program);
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return Status::ok();
}

bool isSingleWord(std::string_view w) {
  return !w.empty() && std::all_of(w.begin(), w.end(), [](char c) { return c >= 'a' && c <= 'z'; });
}

/// The words of the synset at a byte of data.POS; false if there is none.
bool synset(std::string_view data, uint64_t offset, std::vector<std::string_view> &words) {
  words.clear();
  if (offset >= data.size())
    return false;
  Fields f{data.substr(offset, data.find('\n', offset) - offset)};
  uint64_t here = 0, count = 0;
  if (!f.number(here) || here != offset)
    return false;
  f.next(), f.next(); // lexicographer file, type
  if (!f.number(count, 16))
    return false;
  for (uint64_t i = 0; i < count; ++i) {
    std::string_view w = f.next();
    if (w.empty())
      return false;
    f.next();                                // lex_id
    words.push_back(w.substr(0, w.find('('))); // of adjectives: (a), (p), (ip)
  }
  return true;
}

/// "Bush" of "bush".
bool isCapital(std::string_view w, std::string_view lemma) {
  return w.size() == lemma.size() && w[0] >= 'A' && w[0] <= 'Z' && (w[0] | 32) == lemma[0] &&
         w.substr(1) == lemma.substr(1);
}

/// Words that carry grammar, or little else: what WordNet knows under these letters is something else
/// ("can", a tin), or the sentence does not bear another word.
const std::unordered_set<std::string_view> &functionWords() {
  static const std::unordered_set<std::string_view> words = {
      "a", "about", "above", "across", "after", "again", "against", "ago", "all", "almost", "along", "already",
      "also", "although", "always", "am", "among", "an", "and", "another", "any", "are", "around", "as", "at",
      "away", "back", "be", "because", "become", "becomes", "been", "before", "behind", "being", "below", "beside",
      "between", "beyond", "both", "but", "by", "came", "can", "could", "did", "do", "does", "doing", "done",
      "down", "during", "each", "either", "else", "enough", "even", "ever", "every", "except", "few", "for", "from", "get",
      "gets", "getting", "given", "go", "goes", "going", "gone", "got", "had", "has", "have", "having", "he",
      "hence", "her", "here", "hers", "him", "his", "how", "however", "i", "if", "in", "inside", "instead",
      "into", "is", "it", "its", "just", "least", "less", "let", "like", "made", "make", "makes", "making",
      "many", "may", "me", "might", "mine", "more", "most", "much", "must", "my", "near", "neither", "never",
      "no", "nor", "not", "now", "of", "off", "often", "on", "once", "one", "ones", "only", "onto", "or", "other",
      "others", "ought", "our", "ours", "out", "outside", "over", "own", "per", "put", "quite", "rather", "same",
      "see", "several", "shall", "she", "should", "since", "so", "some", "such", "take", "takes", "taking",
      "than", "that", "the", "their", "theirs", "them", "then", "there", "therefore", "these", "they", "this",
      "those", "thou", "though", "through", "thus", "till", "to", "too", "toward", "towards", "two", "under", "until",
      "up", "upon", "us", "use", "used", "uses", "using", "very", "was", "we", "well", "were", "what", "when",
      "where", "whether", "which", "while", "who", "whom", "whose", "why", "will", "with", "within", "without",
      "would", "yes", "yet", "you", "your", "yours"};
  return words;
}

bool isVowel(char c) { return std::string_view("aeiou").find(c) != std::string_view::npos; }

} // namespace

Result<std::shared_ptr<const WordNet>> WordNet::read(const std::string &dir) {
  auto net = std::make_shared<WordNet>();
  std::vector<std::string_view> words;
  for (int pos = noun; pos <= adverb; ++pos) {
    std::string name = posNames[pos];
    Result<MappedFile> data = MappedFile::open(dir + "/data." + name);
    if (!data)
      return Status::error("no WordNet 3.0 database in " + dir + ": " + data.status().message() +
                               "; help: sudo apt-get install wordnet-base, or a lexicon of your own",
                           ExitClass::program);
    // lemma pos synset_cnt p_cnt [pointers] sense_cnt tagsense_cnt offset …
    R1RT_TRY(eachLine(dir + "/index." + name, [&](std::string_view line) {
      if (line.starts_with("  ")) // the licence
        return true;
      Fields f{line};
      std::string_view word = f.next();
      f.next();
      uint64_t synsets = 0, pointers = 0, offset = 0;
      if (!f.number(synsets) || !f.number(pointers))
        return false;
      if (!isSingleWord(word))
        return true;
      for (uint64_t i = 0; i < pointers + 2; ++i)
        if (f.next().empty())
          return false;
      Lemma lemma;
      for (uint64_t i = 0; i < synsets; ++i) {
        if (!f.number(offset) || !synset(data->text(), offset, words))
          return false;
        if (i == 0)
          lemma.synset = offset;
        for (std::string_view w : words)
          if (i == 0 && isSingleWord(w) && w != word)
            lemma.synonyms.emplace_back(w);
          else if (isCapital(w, word))
            net->names.emplace(word);
      }
      net->lemmas[pos].emplace(word, std::move(lemma));
      return true;
    }));
  }
  // lemma%type:… sense_number tag_cnt
  R1RT_TRY(eachLine(dir + "/cntlist.rev", [&](std::string_view line) {
    Fields f{line};
    std::string_view key = f.next();
    uint64_t sense = 0, count = 0;
    size_t percent = key.rfind('%');
    if (percent == key.npos || percent + 1 >= key.size() || !f.number(sense) || !f.number(count))
      return false;
    int type = key[percent + 1] - '0'; // 5: a satellite of an adjective
    int pos = type == 5 ? int(adjective) : type - 1;
    if (pos < noun || pos > adverb)
      return false;
    auto it = net->lemmas[size_t(pos)].find(std::string(key.substr(0, percent)));
    if (sense == 1 && it != net->lemmas[size_t(pos)].end())
      it->second.count = uint32_t(count);
    return true;
  }));
  for (auto &all : net->lemmas)
    for (auto &[word, lemma] : all)
      std::erase_if(lemma.synonyms, [&](const std::string &synonym) {
        auto it = all.find(synonym);
        return it == all.end() || it->second.synset != lemma.synset || it->second.count == 0;
      });
  for (int pos : {noun, verb})
    R1RT_TRY(eachLine(dir + "/" + posNames[pos] + ".exc", [&](std::string_view line) {
      Fields f{line};
      std::string form(f.next()), base(f.next());
      if (base.empty())
        return false;
      net->baseOf[pos].emplace(form, base);
      net->formsOf[pos][base].push_back(form);
      return true;
    }));
  return std::shared_ptr<const WordNet>(std::move(net));
}

void WordNet::readings(std::string_view word, std::vector<Reading> &out) const {
  auto look = [&](const std::string &lemma, Pos pos, Form form) {
    if (auto it = lemmas[pos].find(lemma); it != lemmas[pos].end())
      out.push_back({&it->second, pos, form});
  };
  auto detach = [&](std::string_view ending, const char *put, Pos pos, Form form) {
    if (word.size() > ending.size() && word.ends_with(ending))
      look(std::string(word.substr(0, word.size() - ending.size())) + put, pos, form);
  };
  for (Pos pos : {noun, verb, adjective, adverb})
    look(std::string(word), pos, base);
  for (Pos pos : {noun, verb}) // "stopped", "said", "men"
    if (auto it = baseOf[pos].find(std::string(word)); it != baseOf[pos].end())
      look(it->second, pos, pos == noun ? other : word.ends_with("ed") ? ed : word.ends_with("ing") ? ing : other);
  for (auto [ending, put] : {std::pair{"s", ""}, {"ses", "s"}, {"xes", "x"}, {"zes", "z"}, {"ches", "ch"},
                             {"shes", "sh"}, {"ies", "y"}})
    if (!word.ends_with("ss"))
      detach(ending, put, noun, s);
  for (auto [ending, put] : {std::pair{"s", ""}, {"ies", "y"}, {"es", "e"}, {"es", ""}})
    if (!word.ends_with("ss"))
      detach(ending, put, verb, s);
  detach("ed", "e", verb, ed);
  detach("ed", "", verb, ed);
  detach("ing", "e", verb, ing);
  detach("ing", "", verb, ing);
}

/// Empty if the form is irregular, or not known to be regular.
std::string WordNet::inflected(const std::string &word, Pos pos, Form form) const {
  if (form == base)
    return word;
  char last = word.back(), before = word.size() > 1 ? word[word.size() - 2] : ' ';
  bool consonantY = last == 'y' && !isVowel(before);
  auto irregular = formsOf[pos].find(word);
  if (irregular != formsOf[pos].end() && form != s) {
    bool anotherPast = false; // "sang"
    for (const std::string &f : irregular->second) {
      if (f.ends_with(form == ed ? "ed" : "ing")) // "stopped", "dying"
        return f;
      anotherPast |= !f.ends_with("ing");
    }
    if (form == ed && anotherPast)
      return "";
  }
  std::string stem = word.substr(0, word.size() - 1);
  if (form == ed)
    return last == 'e' ? word + "d" : consonantY ? stem + "ied" : word + "ed";
  if (form == ing)
    return word.ends_with("ie") ? ""
           : last == 'e' && std::string_view("eoy").find(before) == std::string_view::npos ? stem + "ing"
                                                                                            : word + "ing";
  // "goods" and the like are plurals already, and potatoes are not pianos.
  if (pos == noun && (irregular != formsOf[pos].end() || (last == 's' && before != 's') || (last == 'o' && !isVowel(before))))
    return "";
  bool hisses = last == 's' || last == 'x' || last == 'z' || word.ends_with("ch") || word.ends_with("sh");
  return consonantY ? stem + "ies" : hisses || (last == 'o' && !isVowel(before)) ? word + "es" : word + "s";
}

std::vector<std::string> WordNet::synonyms(std::string_view word) const {
  std::vector<std::string> out;
  if (word.size() < 3 || functionWords().contains(word))
    return out;
  std::vector<Reading> all;
  readings(word, all);
  const Reading *best = nullptr;
  for (const Reading &r : all)
    if (!best || r.lemma->count > best->lemma->count)
      best = &r;
  if (!best || best->form == other)
    return out;
  for (const std::string &synonym : best->lemma->synonyms)
    if (std::string form = inflected(synonym, best->pos, best->form); !form.empty() && form != word)
      out.push_back(std::move(form));
  return out;
}

} // namespace r1rt::augment
