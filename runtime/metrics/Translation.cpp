#include "runtime/metrics/Translation.h"
#include "runtime/metrics/Characters.h"
#include <algorithm>
#include <cctype>
#include <cmath>
#include <set>
#include <unicode/uchar.h>

namespace r1rt::metrics {

Status comparable(const Texts &texts) {
  const size_t n = texts.hypotheses.size(), m = texts.references.size();
  if (n != m)
    return Status::error(std::to_string(n) + " hypotheses and references for " + std::to_string(m) +
                         " documents; there has to be one hypothesis for each");
  for (size_t d = 0; d < n; ++d)
    if (texts.references[d].empty())
      return Status::error("document " + std::to_string(d) + " has no reference to compare with");
  return Status::ok();
}

std::string countReferences(const Texts &texts) {
  std::set<size_t> counts;
  for (const auto &r : texts.references)
    counts.insert(r.size());
  return "nrefs:" + (counts.size() == 1 ? std::to_string(*counts.begin()) : counts.empty() ? "0" : "var");
}

static std::string number(const char *format, double v) {
  char text[32];
  std::snprintf(text, sizeof text, format, v);
  return text;
}

// ── tokenisers ──────────────────────────────────────────────────────────────

namespace {

bool isDigit(char32_t c) { return c >= '0' && c <= '9'; }
bool isDotOrComma(char32_t c) { return c == '.' || c == ','; }

/// What `from` is in the text becomes `to`.
void replace(std::u32string &text, std::u32string_view from, std::u32string_view to) {
  for (size_t at = 0; (at = text.find(from, at)) != text.npos; at += to.size())
    text.replace(at, from.size(), to);
}

/// Blanks around each character that is `symbol`.
template <class F> void spaceAround(std::u32string &text, F symbol) {
  std::u32string out;
  for (char32_t c : text) {
    bool alone = symbol(c);
    if (alone)
      out += U' ';
    out += c;
    if (alone)
      out += U' ';
  }
  text = std::move(out);
}

/// Each pair of neighbours that is `pair(a, b)`, from the left and without overlap, becomes
/// "a b " (after) or " a b" (before): what a regular expression of two characters does.
enum class Blank { before, after };
template <class F> void splitPairs(std::u32string &text, Blank blank, F pair) {
  std::u32string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (i + 1 == text.size() || !pair(text[i], text[i + 1])) {
      out += text[i];
      continue;
    }
    if (blank == Blank::before)
      out += U' ';
    out += text[i];
    out += U' ';
    out += text[++i];
    if (blank == Blank::after)
      out += U' ';
  }
  text = std::move(out);
}

/// The rules of mteval-v13a for Western languages.
void western(std::u32string &text) {
  spaceAround(text, [](char32_t c) {
    // ASCII punctuation but ' , - . and, between ` and {, letters
    return (c >= '{' && c <= '~') || (c >= '[' && c <= '`') || (c >= ' ' && c <= '&') || (c >= '(' && c <= '+') ||
           (c >= ':' && c <= '@') || c == '/';
  });
  splitPairs(text, Blank::after, [](char32_t a, char32_t b) { return !isDigit(a) && isDotOrComma(b); });
  splitPairs(text, Blank::before, [](char32_t a, char32_t b) { return isDotOrComma(a) && !isDigit(b); });
  splitPairs(text, Blank::after, [](char32_t a, char32_t b) { return isDigit(a) && b == '-'; });
}

bool isChinese(char32_t c) {
  // sacreBLEU's table. Its rows for the supplementary planes are written with four digits too few, so that they
  // mean 2001-2A6D and 2F81-2FA1; the numbers that others publish have them so.
  static constexpr std::pair<char32_t, char32_t> ranges[] = {
      {0x2001, 0x2A6D}, {0x2E80, 0x2EFF}, {0x2F00, 0x2FDF}, {0x2FF0, 0x303F}, {0x3100, 0x312F}, {0x31A0, 0x31BF},
      {0x31C0, 0x31EF}, {0x3200, 0x33FF}, {0x3400, 0x4DB5}, {0x4E00, 0x9FBB}, {0xF900, 0xFA2D}, {0xFA30, 0xFA6A},
      {0xFA70, 0xFAD9}, {0xFE10, 0xFE1F}, {0xFE30, 0xFE4F}, {0xFF00, 0xFFEF}};
  return std::any_of(std::begin(ranges), std::end(ranges), [&](auto &r) { return c >= r.first && c <= r.second; });
}

using Tokenizer = void (*)(std::u32string &);

void tokenize13a(std::u32string &text) {
  replace(text, U"<skipped>", U"");
  replace(text, U"-\n", U"");
  replace(text, U"\n", U" ");
  replace(text, U"&quot;", U"\"");
  replace(text, U"&amp;", U"&");
  replace(text, U"&lt;", U"<");
  replace(text, U"&gt;", U">");
  text = U" " + text + U" ";
  western(text);
}

void tokenizeChinese(std::u32string &text) {
  size_t begin = 0;
  while (begin < text.size() && isSpace(text[begin]))
    ++begin;
  text.erase(0, begin);
  spaceAround(text, isChinese);
  western(text);
}

void tokenizeInternational(std::u32string &text) {
  auto is = [](uint32_t mask) { return [mask](char32_t c) { return (U_GET_GC_MASK(UChar32(c)) & mask) != 0; }; };
  auto number = is(U_GC_N_MASK), punctuation = is(U_GC_P_MASK);
  splitPairs(text, Blank::after, [&](char32_t a, char32_t b) { return !number(a) && punctuation(b); });
  splitPairs(text, Blank::before, [&](char32_t a, char32_t b) { return punctuation(a) && !number(b); });
  spaceAround(text, is(U_GC_S_MASK));
}

Result<Tokenizer> tokenizerNamed(const std::string &name) {
  if (name == "13a")
    return Tokenizer(tokenize13a);
  if (name == "intl")
    return Tokenizer(tokenizeInternational);
  if (name == "zh")
    return Tokenizer(tokenizeChinese);
  if (name == "char")
    return Tokenizer([](std::u32string &text) { spaceAround(text, [](char32_t) { return true; }); });
  if (name == "none")
    return Tokenizer([](std::u32string &) {});
  return Status::error("BLEU's tokenizer is \"13a\", \"intl\", \"zh\", \"char\" or \"none\", not \"" + name + "\"",
                       ExitClass::program);
}

std::u32string tokenized(std::string_view text, bool lowercase, Tokenizer tokenizer) {
  std::u32string t = decode(lowercase ? lower(text) : std::string(text));
  t.resize(trimEnd(t).size());
  tokenizer(t);
  return t;
}

} // namespace

Result<std::vector<std::string>> bleuTokens(std::string_view text, const std::string &name) {
  R1RT_ASSIGN(Tokenizer tokenizer, tokenizerNamed(name));
  std::vector<std::string> out;
  std::u32string t = tokenized(text, false, tokenizer);
  for (auto w : words(t))
    out.push_back(encode(w));
  return out;
}

// ── BLEU ────────────────────────────────────────────────────────────────────

namespace {

/// From the sums: lengths of hypotheses and references, matches and totals by order.
double bleuOf(std::span<const double> sums, const BleuOptions &o, double smoothValue) {
  const size_t orders = size_t(o.order);
  const double length = sums[0], reference = sums[1];
  double brevity = 1;
  if (length < reference)
    brevity = length > 0 ? std::exp(1 - reference / length) : 0;
  std::span<const double> matches = sums.subspan(2, orders), totals = sums.subspan(2 + orders, orders);
  if (std::all_of(matches.begin(), matches.end(), [](double m) { return m == 0; }))
    return 0;
  double halved = 1, logs = 0;
  size_t counted = 0; // orders with a precision above 0
  size_t effective = orders;
  for (size_t n = 0; n < orders; ++n) {
    double add = o.smooth == "add-k" && n > 0 ? smoothValue : 0;
    double m = matches[n] + add, t = totals[n] + add, precision = 0;
    if (t == 0)
      break;
    if (o.effectiveOrder)
      effective = n + 1;
    if (m > 0)
      precision = 100 * m / t;
    else if (o.smooth == "exp")
      precision = 100 / ((halved *= 2) * t);
    else if (o.smooth == "floor")
      precision = 100 * smoothValue / t;
    if (precision > 0) {
      logs += std::log(precision);
      ++counted;
    }
  }
  return counted < effective ? 0 : brevity * std::exp(logs / double(effective));
}

} // namespace

Result<Measured> bleu(const Texts &texts, const BleuOptions &o) {
  R1RT_TRY(comparable(texts));
  R1RT_ASSIGN(Tokenizer tokenizer, tokenizerNamed(o.tokenizer));
  if (o.smooth != "exp" && o.smooth != "floor" && o.smooth != "add-k" && o.smooth != "none")
    return Status::error("BLEU's smoothing is \"exp\", \"floor\", \"add-k\" or \"none\", not \"" + o.smooth + "\"",
                         ExitClass::program);
  if (o.order < 1 || o.order > 16)
    return Status::error("BLEU counts n-grams of 1 to 16 tokens at most, not " + std::to_string(o.order),
                         ExitClass::program);
  const bool hasValue = o.smooth == "floor" || o.smooth == "add-k";
  const double smoothValue = o.smoothValue.value_or(o.smooth == "floor" ? 0.1 : 1);
  if (hasValue && !(smoothValue >= 0 && std::isfinite(smoothValue)))
    return Status::error("BLEU's smoothing adds a number of at least 0, not " + number("%g", smoothValue),
                         ExitClass::program);
  Measured m;
  m.name = "BLEU";
  m.signature = countReferences(texts) + "|case:" + (o.lowercase ? "lc" : "mixed") + "|eff:" +
                (o.effectiveOrder ? "yes" : "no") + "|tok:" + o.tokenizer + "|smooth:" + o.smooth +
                (hasValue ? "[" + number("%.2f", smoothValue) + "]" : "") +
                (o.order == 4 ? "" : "|order:" + std::to_string(o.order));
  const size_t orders = size_t(o.order);
  m.statistics = Statistics(2 + 2 * orders);
  std::vector<double> row(m.statistics.width());
  for (size_t d = 0; d < texts.hypotheses.size(); ++d) {
    Vocabulary vocabulary;
    Ngrams ngrams;
    auto counts = [&](const std::string &text, size_t &length) {
      std::u32string t = tokenized(text, o.lowercase, tokenizer);
      std::vector<uint32_t> ids = vocabulary.idsOf(words(t));
      length = ids.size();
      return countNgrams(ids, o.order, ngrams);
    };
    size_t length = 0, nearest = 0;
    const NgramCounts mine = counts(texts.hypotheses[d], length);
    std::vector<uint32_t> most(ngrams.size()); // how often any one reference has an n-gram of the hypothesis
    bool first = true;
    for (const std::string &reference : texts.references[d]) {
      size_t n = 0;
      const NgramCounts theirs = counts(reference, n);
      auto off = [&](size_t x) { return x > length ? x - length : length - x; };
      if (first || off(n) < off(nearest) || (off(n) == off(nearest) && n < nearest))
        nearest = n;
      first = false;
      for (const auto &order : theirs.orders)
        for (auto &c : order)
          if (c.ngram < most.size())
            most[c.ngram] = std::max(most[c.ngram], c.count);
    }
    row[0] = double(length);
    row[1] = double(nearest);
    for (size_t n = 0; n < orders; ++n) {
      double match = 0;
      for (auto &c : mine.orders[n])
        match += std::min(c.count, most[c.ngram]);
      row[2 + n] = match;
      row[2 + orders + n] = double(mine.total(n));
    }
    m.statistics.add(row);
  }
  m.value = [o, smoothValue](std::span<const double> sums) { return bleuOf(sums, o, smoothValue); };
  return m;
}

// ── chrF ────────────────────────────────────────────────────────────────────

namespace {

/// From n-grams of the hypothesis, of the reference, and matches, by order.
double chrfOf(std::span<const double> sums, const ChrfOptions &o) {
  constexpr double epsilon = 1e-16;
  const double factor = double(o.beta) * o.beta;
  double smoothed = 0, precisions = 0, recalls = 0;
  size_t effective = 0;
  for (size_t i = 0; i < sums.size(); i += 3) {
    const double mine = sums[i], theirs = sums[i + 1], match = sums[i + 2];
    const double precision = mine > 0 ? match / mine : epsilon, recall = theirs > 0 ? match / theirs : epsilon;
    const double both = factor * precision + recall;
    smoothed += both > 0 ? (1 + factor) * precision * recall / both : epsilon;
    if (mine > 0 && theirs > 0) {
      precisions += precision;
      recalls += recall;
      ++effective;
    }
  }
  if (o.smooth)
    return 100 * smoothed / (double(sums.size()) / 3);
  if (!effective || precisions + recalls == 0)
    return 0;
  const double p = precisions / double(effective), r = recalls / double(effective);
  return 100 * ((1 + factor) * p * r / (factor * p + r));
}

/// Words, with punctuation at the end of one, or else at its beginning, set apart.
std::vector<std::u32string_view> chrfWords(std::u32string_view text) {
  auto isPunctuation = [](char32_t c) { return c < 128 && std::ispunct(int(c)); };
  std::vector<std::u32string_view> out;
  for (auto w : words(text)) {
    size_t cut = w.size();
    if (w.size() > 1)
      cut = isPunctuation(w.back()) ? w.size() - 1 : isPunctuation(w.front()) ? 1 : w.size();
    out.push_back(w.substr(0, cut));
    if (cut < w.size())
      out.push_back(w.substr(cut));
  }
  return out;
}

} // namespace

Result<Measured> chrf(const Texts &texts, const ChrfOptions &o) {
  R1RT_TRY(comparable(texts));
  auto within = [](int v, int low, int high) { return v >= low && v <= high; };
  if (!within(o.characters, 1, 32) || !within(o.words, 0, 16) || !within(o.beta, 1, 100))
    return Status::error("chrF counts n-grams of 1 to 32 characters and of 0 to 16 words at most, with a beta of 1 to "
                         "100; not " +
                             std::to_string(o.characters) + ", " + std::to_string(o.words) + " and " +
                             std::to_string(o.beta),
                         ExitClass::program);
  Measured m;
  m.name = "chrF" + std::to_string(o.beta) + std::string(size_t(o.words), '+');
  m.signature = countReferences(texts) + "|case:" + (o.lowercase ? "lc" : "mixed") + "|eff:" +
                (o.smooth ? "no" : "yes") + "|nc:" + std::to_string(o.characters) + "|nw:" +
                std::to_string(o.words) + "|space:" + (o.whitespace ? "yes" : "no");
  const size_t orders = size_t(o.characters + o.words);
  m.statistics = Statistics(3 * orders);
  for (size_t d = 0; d < texts.hypotheses.size(); ++d) {
    Vocabulary vocabulary;
    Ngrams characters, wordNgrams;
    auto counts = [&](const std::string &text) {
      std::u32string t = decode(o.lowercase ? lower(text) : text);
      std::vector<uint32_t> ids;
      for (char32_t c : t)
        if (o.whitespace || !isSpace(c))
          ids.push_back(c);
      NgramCounts all = countNgrams(ids, o.characters, characters);
      if (o.words) {
        NgramCounts more = countNgrams(vocabulary.idsOf(chrfWords(t)), o.words, wordNgrams);
        all.orders.insert(all.orders.end(), more.orders.begin(), more.orders.end());
      }
      return all;
    };
    const NgramCounts mine = counts(texts.hypotheses[d]);
    double best = -1;
    std::vector<double> bestRow;
    for (const std::string &reference : texts.references[d]) {
      const NgramCounts theirs = counts(reference);
      std::vector<double> row;
      for (size_t n = 0; n < orders; ++n) {
        std::unordered_map<uint32_t, uint32_t> has;
        for (auto &c : theirs.orders[n])
          has[c.ngram] = c.count;
        double match = 0;
        for (auto &c : mine.orders[n])
          if (auto at = has.find(c.ngram); at != has.end())
            match += std::min(c.count, at->second);
        // An order that the reference has no n-gram of does not count against the hypothesis.
        row.insert(row.end(), {has.empty() ? 0 : double(mine.total(n)), double(theirs.total(n)), match});
      }
      if (double score = chrfOf(row, o); score > best) {
        best = score;
        bestRow = std::move(row);
      }
    }
    m.statistics.add(bestRow);
  }
  m.value = [o](std::span<const double> sums) { return chrfOf(sums, o); };
  return m;
}

} // namespace r1rt::metrics
