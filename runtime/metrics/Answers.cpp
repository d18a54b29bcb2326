#include "runtime/metrics/Answers.h"
#include "runtime/metrics/Characters.h"
#include <algorithm>
#include <cctype>
#include <cmath>

namespace r1rt::metrics {

// ── exact match ─────────────────────────────────────────────────────────────

static bool isDigit(char c) { return c >= '0' && c <= '9'; }

/// "1,000.50" -> "1000.5", "7.00" -> "7"; other full stops and commas stay.
static std::string plainNumbers(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size();) {
    if (!isDigit(text[i])) {
      out += text[i++];
      continue;
    }
    while (i < text.size() && (isDigit(text[i]) || (text[i] == ',' && i + 1 < text.size() && isDigit(text[i + 1])))) {
      if (text[i] != ',')
        out += text[i];
      ++i;
    }
    if (i >= text.size() || text[i] != '.')
      continue;
    size_t end = i + 1;
    while (end < text.size() && isDigit(text[end]))
      ++end;
    size_t used = end;
    while (used > i + 1 && text[used - 1] == '0')
      --used;
    if (used > i + 1)
      out += text.substr(i, used - i);
    i = end;
  }
  return out;
}

std::string normalAnswer(std::string_view text, const MatchOptions &o) {
  std::string s = o.lowercase ? lower(text) : std::string(text);
  if (o.numbers)
    s = plainNumbers(s);
  if (o.punctuation)
    std::erase_if(s, [](unsigned char c) { return c < 128 && std::ispunct(c); });
  std::u32string t = decode(s);
  if (o.articles) {
    auto isWord = [](char32_t c) { return c >= 128 ? !isSpace(c) : std::isalnum(int(c)) || c == '_'; };
    std::u32string kept;
    for (size_t i = 0; i < t.size();) {
      size_t begin = i;
      while (i < t.size() && isWord(t[i]))
        ++i;
      std::u32string_view word(t.data() + begin, i - begin);
      if (word == U"a" || word == U"an" || word == U"the")
        kept += U' ';
      else
        kept += word;
      if (i < t.size())
        kept += t[i++];
    }
    t = std::move(kept);
  }
  if (o.whitespace) {
    std::u32string kept;
    for (auto w : words(t)) {
      if (!kept.empty())
        kept += U' ';
      kept += w;
    }
    t = std::move(kept);
  }
  return encode(t);
}

Result<Measured> exactMatch(const Texts &texts, const MatchOptions &o) {
  R1RT_TRY(comparable(texts));
  Measured m;
  m.name = "exact match";
  for (auto [on, name] : {std::pair{o.lowercase, "case"}, {o.numbers, "numbers"}, {o.punctuation, "punctuation"},
                          {o.articles, "articles"}, {o.whitespace, "space"}})
    if (on)
      m.signature += (m.signature.empty() ? "ignores:" : ",") + std::string(name);
  m.proportion = true;
  m.statistics = Statistics(2);
  for (size_t d = 0; d < texts.hypotheses.size(); ++d) {
    const std::string mine = normalAnswer(texts.hypotheses[d], o);
    const auto &all = texts.references[d];
    bool hit = std::any_of(all.begin(), all.end(), [&](auto &r) { return normalAnswer(r, o) == mine; });
    m.statistics.add(std::vector<double>{double(hit), 1});
  }
  m.value = [](std::span<const double> s) { return s[1] > 0 ? s[0] / s[1] : 0; };
  return m;
}

// ── pass@k ──────────────────────────────────────────────────────────────────

double passAt(uint64_t n, uint64_t c, uint64_t k) {
  if (n - c < k)
    return 1;
  double miss = 1; // C(n - c, k) / C(n, k), without a large number in between
  for (uint64_t i = n - c + 1; i <= n; ++i)
    miss *= 1 - double(k) / double(i);
  return 1 - miss;
}

Result<Measured> passAt(std::span<const Samples> problems, uint64_t k) {
  if (!k)
    return Status::error("pass@k is of 1 sample at least, this is of 0", ExitClass::program);
  Measured m;
  m.name = "pass@" + std::to_string(k);
  uint64_t low = ~uint64_t(0), high = 0;
  m.statistics = Statistics(2);
  for (size_t p = 0; p < problems.size(); ++p) {
    const Samples &s = problems[p];
    if (s.samples < k || s.right > s.samples)
      return Status::error("problem " + std::to_string(p) + " has " + std::to_string(s.samples) + " samples, of which " +
                           std::to_string(s.right) + " are right; pass@" + std::to_string(k) + " needs " +
                           std::to_string(k) + " at least");
    low = std::min(low, s.samples);
    high = std::max(high, s.samples);
    m.statistics.add(std::vector<double>{passAt(s.samples, s.right, k), 1});
  }
  m.signature = "n:" + (low == high ? std::to_string(high) : low > high ? "0" : "var");
  m.proportion = k == 1 && low == 1 && high == 1;
  m.value = [](std::span<const double> s) { return s[1] > 0 ? s[0] / s[1] : 0; };
  return m;
}

// ── likelihood ──────────────────────────────────────────────────────────────

double likelihood(const LikelihoodSums &s, LikelihoodUnit unit) {
  switch (unit) {
  case LikelihoodUnit::perplexity:
    return std::exp(s.nll / s.tokens);
  case LikelihoodUnit::wordPerplexity:
    return std::exp(s.nll / s.words);
  case LikelihoodUnit::bytePerplexity:
    return std::exp(s.nll / s.bytes);
  case LikelihoodUnit::bitsPerByte:
    return s.nll / std::log(2.0) / s.bytes;
  case LikelihoodUnit::loss:
    break;
  }
  return s.nll / s.tokens;
}

Measured likelihood(std::span<const LikelihoodSums> parts, LikelihoodUnit unit, const std::string &part) {
  const char *names[] = {"perplexity", "word perplexity", "byte perplexity", "bits per byte", "loss"};
  Measured m;
  m.name = names[int(unit)];
  m.signature = "part:" + part;
  m.statistics = Statistics(4);
  for (const LikelihoodSums &p : parts)
    m.statistics.add(std::vector<double>{p.nll, p.tokens, p.words, p.bytes});
  m.value = [unit](std::span<const double> s) { return likelihood({s[0], s[1], s[2], s[3]}, unit); };
  return m;
}

} // namespace r1rt::metrics
