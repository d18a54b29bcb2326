#include "runtime/metrics/Summary.h"
#include "runtime/metrics/Characters.h"
#include <algorithm>
#include <cmath>
#include <map>

namespace r1rt::metrics {

// ── ROUGE ───────────────────────────────────────────────────────────────────

namespace {

/// The mean over documents, of statistics [..., score, 1].
double meanOf(std::span<const double> sums) {
  const size_t n = sums.size();
  return sums[n - 1] > 0 ? sums[n - 2] / sums[n - 1] : 0;
}

struct Score {
  double precision = 0, recall = 0, f = 0;
};

Score scoreOf(double hits, size_t mine, size_t theirs) {
  Score s;
  s.precision = hits / double(std::max<size_t>(mine, 1));
  s.recall = hits / double(std::max<size_t>(theirs, 1));
  if (s.precision + s.recall > 0)
    s.f = 2 * s.precision * s.recall / (s.precision + s.recall);
  return s;
}

/// Runs of a-z and 0-9, as numbers.
class RougeTokens {
public:
  explicit RougeTokens(bool stem) : stem(stem) {}

  std::vector<uint32_t> operator()(std::string_view text) {
    std::vector<uint32_t> out;
    std::string small = lower(text);
    auto counts = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
    for (size_t i = 0; i < small.size();) {
      size_t begin = i;
      while (i < small.size() && counts(small[i]))
        ++i;
      if (i > begin) {
        std::string token = small.substr(begin, i - begin);
        if (stem && token.size() > 3)
          token = porterStem(token);
        if (!token.empty())
          out.push_back(ids.try_emplace(std::move(token), uint32_t(ids.size())).first->second);
      }
      i += i == begin;
    }
    return out;
  }
  /// Of each line that is not empty.
  std::vector<std::vector<uint32_t>> sentences(std::string_view text) {
    std::vector<std::vector<uint32_t>> out;
    for (size_t i = 0; i <= text.size();) {
      size_t end = std::min(text.find('\n', i), text.size());
      if (end > i)
        out.push_back((*this)(text.substr(i, end - i)));
      i = end + 1;
    }
    return out;
  }

private:
  bool stem;
  std::unordered_map<std::string, uint32_t> ids;
};

using Ids = std::vector<uint32_t>;

Score ngramScore(const Ids &mine, const Ids &theirs, int n) {
  Ngrams ngrams;
  const NgramCounts a = countNgrams(mine, n, ngrams), b = countNgrams(theirs, n, ngrams);
  std::unordered_map<uint32_t, uint32_t> has;
  for (auto &c : b.orders.back())
    has[c.ngram] = c.count;
  double hits = 0;
  for (auto &c : a.orders.back())
    if (auto at = has.find(c.ngram); at != has.end())
      hits += std::min(c.count, at->second);
  return scoreOf(hits, a.total(size_t(n - 1)), b.total(size_t(n - 1)));
}

/// Lengths of longest common subsequences of all beginnings: [i][j] of i of a and j of b.
class CommonTable {
public:
  CommonTable(const Ids &a, const Ids &b) : width(b.size() + 1) {
    cells.resize((a.size() + 1) * width);
    for (size_t i = 1; i <= a.size(); ++i)
      for (size_t j = 1; j <= b.size(); ++j)
        cells[i * width + j] = a[i - 1] == b[j - 1] ? at(i - 1, j - 1) + 1 : std::max(at(i - 1, j), at(i, j - 1));
  }
  uint32_t at(size_t i, size_t j) const { return cells[i * width + j]; }

private:
  size_t width;
  std::vector<uint32_t> cells;
};

/// The last of them alone, in memory for one row.
template <class Sequence> uint32_t longestCommon(const Sequence &a, const Sequence &b) {
  std::vector<uint32_t> row(b.size() + 1);
  for (const auto &x : a) {
    uint32_t diagonal = 0;
    for (size_t j = 1; j <= b.size(); ++j) {
      const uint32_t above = row[j];
      row[j] = x == b[j - 1] ? diagonal + 1 : std::max(above, row[j - 1]);
      diagonal = above;
    }
  }
  return row.back();
}

Score sequenceScore(const Ids &mine, const Ids &theirs) {
  if (mine.empty() || theirs.empty())
    return {};
  return scoreOf(longestCommon(theirs, mine), mine.size(), theirs.size());
}

/// Each sentence of the reference with all of the hypothesis: the union of its common subsequences (Lin 2004,
/// section 3.2), where no occurrence of a token counts twice (as in ROUGE 1.5.5).
Score summaryScore(const std::vector<Ids> &mine, const std::vector<Ids> &theirs) {
  std::unordered_map<uint32_t, int64_t> leftMine, leftTheirs;
  size_t n = 0, m = 0;
  for (const Ids &s : mine)
    for (uint32_t t : s)
      ++leftMine[t], ++n;
  for (const Ids &s : theirs)
    for (uint32_t t : s)
      ++leftTheirs[t], ++m;
  if (!n || !m)
    return {};
  double hits = 0;
  for (const Ids &r : theirs) {
    std::vector<bool> common(r.size());
    for (const Ids &c : mine) {
      const CommonTable t(r, c);
      // Of several subsequences rouge_score takes this one.
      for (size_t i = r.size(), j = c.size(); i && j;) {
        if (r[i - 1] == c[j - 1]) {
          common[i - 1] = true;
          --i, --j;
        } else if (t.at(i, j - 1) > t.at(i - 1, j)) {
          --j;
        } else {
          --i;
        }
      }
    }
    for (size_t i = 0; i < r.size(); ++i) {
      if (!common[i])
        continue;
      int64_t &a = leftMine[r[i]], &b = leftTheirs[r[i]];
      if (a > 0 && b > 0) {
        ++hits;
        --a, --b;
      }
    }
  }
  return scoreOf(hits, n, m);
}

} // namespace

Result<Measured> rouge(const Texts &texts, const RougeOptions &o) {
  R1RT_TRY(comparable(texts));
  const bool counts = o.type.size() == 1 && o.type[0] >= '1' && o.type[0] <= '9';
  if (!counts && o.type != "L" && o.type != "Lsum")
    return Status::error("ROUGE's type is \"1\" to \"9\", \"L\" or \"Lsum\", not \"" + o.type + "\"",
                         ExitClass::program);
  Measured m;
  m.name = "ROUGE-" + o.type;
  m.signature = countReferences(texts) + "|score:f1|tok:a-z0-9|stem:" + (o.stemmer ? "porter" : "no");
  m.statistics = Statistics(4);
  for (size_t d = 0; d < texts.hypotheses.size(); ++d) {
    RougeTokens tokens(o.stemmer);
    std::vector<Ids> mineBySentence;
    Ids mine;
    if (o.type == "Lsum")
      mineBySentence = tokens.sentences(texts.hypotheses[d]);
    else
      mine = tokens(texts.hypotheses[d]);
    std::optional<Score> best;
    for (const std::string &reference : texts.references[d]) {
      Score s = o.type == "Lsum" ? summaryScore(mineBySentence, tokens.sentences(reference))
                : o.type == "L"  ? sequenceScore(mine, tokens(reference))
                                 : ngramScore(mine, tokens(reference), o.type[0] - '0');
      if (!best || s.f > best->f)
        best = s;
    }
    m.statistics.add(std::vector<double>{best->precision, best->recall, best->f, 1});
  }
  m.value = meanOf;
  return m;
}

Result<Measured> rougeCoco(const Texts &texts) {
  R1RT_TRY(comparable(texts));
  auto split = [](std::string_view text) {
    std::vector<std::string_view> out;
    for (size_t i = 0; i <= text.size();) {
      size_t end = std::min(text.find(' ', i), text.size());
      out.push_back(text.substr(i, end - i));
      i = end + 1;
    }
    return out;
  };
  constexpr double beta2 = 1.2 * 1.2;
  Measured m;
  m.name = "ROUGE-L (COCO)";
  m.signature = countReferences(texts) + "|beta:1.2|tok:blank";
  m.statistics = Statistics(2);
  for (size_t d = 0; d < texts.hypotheses.size(); ++d) {
    const auto mine = split(texts.hypotheses[d]);
    double precision = 0, recall = 0;
    for (const std::string &reference : texts.references[d]) {
      const auto theirs = split(reference);
      const double common = longestCommon(theirs, mine);
      precision = std::max(precision, common / double(mine.size()));
      recall = std::max(recall, common / double(theirs.size()));
    }
    const double f = precision > 0 ? (1 + beta2) * precision * recall / (recall + beta2 * precision) : 0;
    m.statistics.add(std::vector<double>{f, 1});
  }
  m.value = meanOf;
  return m;
}

// ── CIDEr-D ─────────────────────────────────────────────────────────────────

Result<Measured> cider(const Texts &texts) {
  R1RT_TRY(comparable(texts));
  constexpr int orders = 4;
  constexpr double sigma = 6;
  Vocabulary vocabulary;
  Ngrams ngrams;
  auto counts = [&](const std::string &text) {
    std::u32string t = decode(text);
    return countNgrams(vocabulary.idsOf(words(t)), orders, ngrams);
  };
  const size_t documents = texts.hypotheses.size();
  std::vector<std::vector<NgramCounts>> references(documents);
  std::vector<uint32_t> frequency, last; // documents that have an n-gram in a reference; the last such
  for (size_t d = 0; d < documents; ++d)
    for (const std::string &reference : texts.references[d]) {
      references[d].push_back(counts(reference));
      frequency.resize(ngrams.size(), 0);
      last.resize(ngrams.size(), ~0u);
      for (const auto &order : references[d].back().orders)
        for (auto &c : order)
          if (last[c.ngram] != d) {
            last[c.ngram] = uint32_t(d);
            ++frequency[c.ngram];
          }
    }
  const double all = std::log(double(documents));

  struct Vector {
    std::vector<std::vector<std::pair<uint32_t, double>>> weights; // [order] of n-gram and tf-idf
    double norm[orders] = {};
    double length = 0; // its bigrams: cider_scorer measures lengths so
  };
  auto vectorOf = [&](const NgramCounts &c) {
    Vector v;
    v.weights.resize(orders);
    for (size_t n = 0; n < orders; ++n) {
      for (auto &x : c.orders[n]) {
        const double known = x.ngram < frequency.size() ? frequency[x.ngram] : 0;
        const double weight = x.count * (all - std::log(std::max(1.0, known)));
        v.weights[n].emplace_back(x.ngram, weight);
        v.norm[n] += weight * weight;
      }
      v.norm[n] = std::sqrt(v.norm[n]);
    }
    v.length = double(c.total(1));
    return v;
  };

  Measured m;
  m.name = "CIDEr-D";
  m.signature = countReferences(texts) + "|n:4|sigma:6|df:corpus|tok:blank";
  m.statistics = Statistics(2);
  for (size_t d = 0; d < documents; ++d) {
    const Vector mine = vectorOf(counts(texts.hypotheses[d]));
    double score = 0;
    for (const NgramCounts &reference : references[d]) {
      const Vector theirs = vectorOf(reference);
      const double apart = mine.length - theirs.length;
      for (size_t n = 0; n < orders; ++n) {
        std::unordered_map<uint32_t, double> has(theirs.weights[n].begin(), theirs.weights[n].end());
        double common = 0;
        for (auto &[ngram, weight] : mine.weights[n])
          if (auto at = has.find(ngram); at != has.end())
            common += std::min(weight, at->second) * at->second;
        if (mine.norm[n] > 0 && theirs.norm[n] > 0)
          common /= mine.norm[n] * theirs.norm[n];
        score += common * std::exp(-apart * apart / (2 * sigma * sigma));
      }
    }
    m.statistics.add(std::vector<double>{10 * score / orders / double(references[d].size()), 1});
  }
  m.value = meanOf;
  return m;
}

} // namespace r1rt::metrics
