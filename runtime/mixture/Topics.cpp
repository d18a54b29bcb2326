#include "runtime/mixture/Topics.h"
#include "runtime/dedup/Text.h"
#include "runtime/state/Philox.h"
#include <algorithm>
#include <cassert>
#include <cmath>
#include <numeric>
#include <thread>
#include <unicode/uscript.h>
#include <unicode/utf8.h>
#include <unordered_map>
#include <unordered_set>

namespace r1rt::mixture {

// ── the sample ──────────────────────────────────────────────────────────────

void DocumentSample::add(std::string_view id, std::string_view text) {
  constexpr size_t longest = 16 << 10;
  uint64_t draw = drawKey(drawKey(seed, "topics"), id);
  if (most == 0 || (heap.size() == most && draw > heap.front().draw))
    return;
  if (text.size() > longest) { // not within a character
    size_t end = longest;
    while (end > 0 && (text[end] & 0xC0) == 0x80)
      --end;
    text = text.substr(0, end);
  }
  heap.push_back({draw, std::string(id), std::string(text)});
  std::push_heap(heap.begin(), heap.end());
  if (heap.size() > most) {
    std::pop_heap(heap.begin(), heap.end());
    heap.pop_back();
  }
}

void DocumentSample::merge(DocumentSample &&other) {
  for (Document &d : other.heap) {
    heap.push_back(std::move(d));
    std::push_heap(heap.begin(), heap.end());
    if (heap.size() > most) {
      std::pop_heap(heap.begin(), heap.end());
      heap.pop_back();
    }
  }
  other.heap.clear();
}

std::vector<DocumentSample::Document> DocumentSample::documents() const {
  std::vector<Document> out = heap;
  std::sort(out.begin(), out.end(), [](auto &a, auto &b) { return a.id < b.id; });
  return out;
}

// ── TF-IDF ──────────────────────────────────────────────────────────────────

namespace {

/// One Han or kana character.
bool isIdeograph(std::string_view unit) {
  int32_t i = 0;
  UChar32 c;
  U8_NEXT(reinterpret_cast<const uint8_t *>(unit.data()), i, int32_t(unit.size()), c);
  if (c < 0x2E80 || i != int32_t(unit.size()))
    return false;
  UErrorCode error = U_ZERO_ERROR;
  UScriptCode script = uscript_getScript(c, &error);
  return script == USCRIPT_HAN || script == USCRIPT_HIRAGANA || script == USCRIPT_KATAKANA;
}

/// The terms of a normal form, as parts of it.
std::vector<std::string_view> termsOf(std::string_view normal) {
  std::vector<std::string_view> units = dedup::unitsOf(normal, dedup::Units::words), out;
  bool paired = false; // the unit before this one is in a pair already
  for (size_t i = 0; i < units.size(); ++i) {
    std::string_view u = units[i];
    bool ideograph = isIdeograph(u);
    bool beside = ideograph && i + 1 < units.size() && units[i + 1].data() == u.data() + u.size() &&
                  isIdeograph(units[i + 1]);
    if (beside)
      out.push_back({u.data(), u.size() + units[i + 1].size()});
    else if (!ideograph || !paired)
      out.push_back(u);
    paired = beside;
  }
  return out;
}

/// Words that carry grammar, and the rests of "don't", "we'll": they are in texts of any topic.
bool isFunctionWord(std::string_view term) {
  static const std::unordered_set<std::string_view> words = {
      "about", "above", "after", "again", "against", "all", "almost", "also", "although", "always", "am", "among",
      "an", "and", "another", "any", "are", "around", "as", "at", "be", "because", "been", "before", "being",
      "between", "both", "but", "by", "can", "cannot", "could", "did", "didn", "do", "does", "doesn", "doing",
      "don", "down", "during", "each", "either", "else", "even", "ever", "every", "few", "for", "from", "had",
      "has", "hasn", "have", "haven", "having", "he", "her", "here", "hers", "him", "his", "how", "however",
      "if", "in", "into", "is", "isn", "it", "its", "just", "ll", "many", "may", "me", "might", "more", "most",
      "much", "must", "my", "neither", "never", "no", "nor", "not", "now", "of", "off", "often", "on", "once",
      "only", "onto", "or", "other", "others", "our", "ours", "out", "over", "own", "per", "quite", "rather",
      "re", "same", "several", "shall", "she", "should", "since", "so", "some", "such", "than", "that", "the",
      "their", "theirs", "them", "then", "there", "these", "they", "this", "those", "though", "through", "thus",
      "to", "too", "toward", "towards", "under", "until", "up", "upon", "us", "ve", "very", "was", "wasn", "we",
      "were", "what", "when", "where", "whether", "which", "while", "who", "whom", "whose", "why", "will", "with",
      "within", "without", "won", "would", "yet", "you", "your", "yours"};
  static constexpr std::string_view characters[] = {"的", "了", "是", "在", "和", "与", "也", "就", "都", "而",
                                                    "及", "或", "一", "不", "这", "那", "其", "之", "以", "于",
                                                    "为", "有", "我", "你", "他", "她", "它", "们", "个", "被"};
  return term.size() == 1 || words.contains(term) ||
         std::any_of(std::begin(characters), std::end(characters),
                     [&](std::string_view c) { return term.find(c) != term.npos; });
}

double squared(const SparseVector &x) {
  double s = 0;
  for (double v : x.values)
    s += v * v;
  return s;
}

void parallel(size_t n, unsigned threads, auto body) {
  threads = unsigned(std::clamp<size_t>(threads, 1, n / 64 + 1));
  std::vector<std::thread> pool;
  for (unsigned t = 1; t < threads; ++t)
    pool.emplace_back([&, t] { body(n * t / threads, n * (t + 1) / threads); });
  body(0, n / threads);
  for (auto &t : pool)
    t.join();
}

} // namespace

TfIdf tfIdf(std::span<const std::string_view> texts, const TfIdfOptions &options) {
  struct Term {
    uint64_t count = 0;
    uint32_t documents = 0, last = UINT32_MAX, id = UINT32_MAX;
  };
  std::unordered_map<std::string_view, Term> all; // keys are parts of `normals`
  std::vector<std::string> normals;
  normals.reserve(texts.size());
  std::vector<std::vector<std::string_view>> documents;
  for (uint32_t d = 0; d < texts.size(); ++d) {
    normals.push_back(dedup::normalise(texts[d]));
    documents.push_back(termsOf(normals.back()));
    for (std::string_view t : documents.back()) {
      Term &term = all[t];
      ++term.count;
      if (term.last != d)
        ++term.documents, term.last = d;
    }
  }
  double n = double(texts.size());
  std::vector<std::pair<std::string_view, Term *>> chosen;
  for (auto &[text, term] : all)
    if (term.documents >= options.minDocuments && term.documents <= options.maxShare * n &&
        (options.functionWords || !isFunctionWord(text)))
      chosen.push_back({text, &term});
  std::sort(chosen.begin(), chosen.end(), [](auto &a, auto &b) {
    return a.second->count != b.second->count ? a.second->count > b.second->count : a.first < b.first;
  });
  chosen.resize(std::min(chosen.size(), options.vocabulary));
  std::sort(chosen.begin(), chosen.end(), [](auto &a, auto &b) { return a.first < b.first; });

  TfIdf out;
  for (auto &[text, term] : chosen) {
    term->id = uint32_t(out.terms.size());
    out.terms.emplace_back(text);
    out.idf.push_back(std::log((1 + n) / (1 + term->documents)) + 1);
  }
  for (auto &document : documents) {
    std::vector<uint32_t> ids;
    for (std::string_view t : document)
      if (uint32_t id = all[t].id; id != UINT32_MAX)
        ids.push_back(id);
    std::sort(ids.begin(), ids.end());
    SparseVector row;
    for (size_t i = 0; i < ids.size();) {
      size_t end = i;
      while (end < ids.size() && ids[end] == ids[i])
        ++end;
      row.terms.push_back(ids[i]);
      row.values.push_back(double(end - i) * out.idf[ids[i]]);
      i = end;
    }
    double length = std::sqrt(squared(row));
    for (double &v : row.values)
      v /= length;
    out.rows.push_back(std::move(row));
  }
  return out;
}

// ── k-means ─────────────────────────────────────────────────────────────────

namespace {

std::vector<double> dense(const SparseVector &x, size_t dims) {
  std::vector<double> out(dims);
  for (size_t i = 0; i < x.terms.size(); ++i)
    out[x.terms[i]] = x.values[i];
  return out;
}

double distance(const SparseVector &x, double xx, const std::vector<double> &c, double cc) {
  double dot = 0;
  for (size_t i = 0; i < x.terms.size(); ++i)
    dot += x.values[i] * c[x.terms[i]];
  return std::max(0.0, xx - 2 * dot + cc);
}

} // namespace

std::vector<std::vector<double>> seedCentres(std::span<const SparseVector> rows, size_t dims, size_t k,
                                             uint64_t seed) {
  std::vector<std::vector<double>> centres;
  if (rows.empty() || k == 0)
    return centres;
  uint64_t key = drawKey(seed, "k-means++");
  auto draw = [&](size_t i) {
    PhiloxBlock b = philox(key, i);
    return uniform01(b[0], b[1]);
  };
  std::vector<double> norms(rows.size()), far(rows.size(), INFINITY); // squared distance to the nearest centre
  for (size_t i = 0; i < rows.size(); ++i)
    norms[i] = squared(rows[i]);
  size_t next = size_t(draw(0) * double(rows.size()));
  for (;;) {
    centres.push_back(dense(rows[next], dims));
    double sum = 0;
    for (size_t i = 0; i < rows.size(); ++i) {
      far[i] = std::min(far[i], distance(rows[i], norms[i], centres.back(), norms[next]));
      sum += far[i];
    }
    if (centres.size() == k || sum == 0)
      return centres;
    double at = draw(centres.size()) * sum;
    size_t last = 0; // the last one that has any chance: rounding may leave `at` above the sum
    for (next = 0; next < rows.size(); ++next) {
      if (far[next] == 0)
        continue;
      last = next;
      if ((at -= far[next]) < 0)
        break;
    }
    next = last;
  }
}

Clusters kMeans(std::span<const SparseVector> rows, std::vector<std::vector<double>> centres,
                unsigned rounds, unsigned threads) {
  Clusters out;
  size_t n = rows.size(), k = centres.size(), dims = k == 0 ? 0 : centres[0].size();
  assert(k > 0 && k <= n);
  out.of.assign(n, UINT32_MAX);
  std::vector<double> norms(n), distances(n), flat(dims * k), centreNorms(k);
  for (size_t i = 0; i < n; ++i)
    norms[i] = squared(rows[i]);

  auto assign = [&] {
    for (size_t c = 0; c < k; ++c) {
      centreNorms[c] = 0;
      for (size_t t = 0; t < dims; ++t) {
        centreNorms[c] += centres[c][t] * centres[c][t];
        flat[t * k + c] = centres[c][t]; // side by side: one term of all centres at once
      }
    }
    std::vector<uint32_t> before = out.of;
    parallel(n, threads, [&](size_t begin, size_t end) {
      std::vector<double> dots(k);
      for (size_t i = begin; i < end; ++i) {
        std::fill(dots.begin(), dots.end(), 0.0);
        for (size_t t = 0; t < rows[i].terms.size(); ++t) {
          const double *c = &flat[rows[i].terms[t] * k];
          for (size_t j = 0; j < k; ++j)
            dots[j] += rows[i].values[t] * c[j];
        }
        size_t best = 0;
        for (size_t c = 1; c < k; ++c)
          if (centreNorms[c] - 2 * dots[c] < centreNorms[best] - 2 * dots[best])
            best = c;
        out.of[i] = uint32_t(best);
        distances[i] = std::max(0.0, norms[i] - 2 * dots[best] + centreNorms[best]);
      }
    });
    std::vector<uint32_t> members(k);
    for (uint32_t c : out.of)
      ++members[c];
    for (uint32_t c = 0; c < k; ++c) {
      if (members[c] != 0)
        continue;
      size_t farthest = n;
      for (size_t i = 0; i < n; ++i)
        if (members[out.of[i]] > 1 && (farthest == n || distances[i] > distances[farthest]))
          farthest = i;
      --members[out.of[farthest]];
      out.of[farthest] = c;
      members[c] = 1;
      distances[farthest] = 0;
    }
    return out.of != before;
  };

  while (assign() && out.rounds < rounds) {
    ++out.rounds;
    for (auto &c : centres)
      std::fill(c.begin(), c.end(), 0.0);
    std::vector<double> members(k);
    for (size_t i = 0; i < n; ++i) {
      std::vector<double> &c = centres[out.of[i]];
      ++members[out.of[i]];
      for (size_t t = 0; t < rows[i].terms.size(); ++t)
        c[rows[i].terms[t]] += rows[i].values[t];
    }
    for (size_t c = 0; c < k; ++c)
      for (double &v : centres[c])
        v /= members[c];
  }
  out.inertia = std::accumulate(distances.begin(), distances.end(), 0.0);
  out.centres = std::move(centres);
  return out;
}

// ── topics ──────────────────────────────────────────────────────────────────

Topics findTopics(std::span<const std::string_view> texts, const TopicOptions &options) {
  Topics out;
  out.of.assign(texts.size(), Topics::none);
  TfIdf words = tfIdf(texts, options.tfIdf);
  std::vector<SparseVector> rows;
  std::vector<uint32_t> places;
  for (uint32_t i = 0; i < texts.size(); ++i)
    if (!words.rows[i].terms.empty()) {
      rows.push_back(std::move(words.rows[i]));
      places.push_back(i);
    }
  if (rows.empty() || options.topics == 0)
    return out;
  size_t dims = words.terms.size();
  Clusters best;
  for (unsigned r = 0; r < std::max(1u, options.restarts); ++r) {
    auto centres = seedCentres(rows, dims, options.topics, drawKey(options.seed, uint64_t(r)));
    Clusters c = kMeans(rows, std::move(centres), options.rounds, options.threads);
    if (best.of.empty() || c.inertia < best.inertia)
      best = std::move(c);
  }

  size_t k = best.centres.size();
  std::vector<double> mean(dims);
  for (auto &row : rows)
    for (size_t t = 0; t < row.terms.size(); ++t)
      mean[row.terms[t]] += row.values[t] / double(rows.size());
  std::vector<Topic> topics(k);
  std::vector<double> nearest(k, INFINITY), centreNorms(k);
  for (size_t c = 0; c < k; ++c)
    centreNorms[c] = std::inner_product(best.centres[c].begin(), best.centres[c].end(), best.centres[c].begin(), 0.0);
  for (size_t i = 0; i < rows.size(); ++i) {
    uint32_t c = best.of[i];
    double d = distance(rows[i], squared(rows[i]), best.centres[c], centreNorms[c]);
    ++topics[c].documents;
    if (d < nearest[c])
      nearest[c] = d, topics[c].nearest = places[i];
  }
  for (size_t c = 0; c < k; ++c) {
    auto weight = [&](uint32_t t) { return best.centres[c][t] - (k > 1 ? mean[t] : 0); };
    std::vector<uint32_t> order(dims);
    std::iota(order.begin(), order.end(), 0);
    size_t most = std::min(options.terms, dims);
    std::partial_sort(order.begin(), order.begin() + ptrdiff_t(most), order.end(), [&](uint32_t a, uint32_t b) {
      return weight(a) != weight(b) ? weight(a) > weight(b) : a < b;
    });
    for (size_t i = 0; i < most && weight(order[i]) > 0; ++i)
      topics[c].terms.push_back(words.terms[order[i]]);
  }

  std::vector<uint32_t> order(k), newOf(k);
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(),
                   [&](uint32_t a, uint32_t b) {
    return topics[a].documents != topics[b].documents ? topics[a].documents > topics[b].documents : a < b;
  });
  for (uint32_t i = 0; i < k; ++i) {
    newOf[order[i]] = i;
    out.topics.push_back(std::move(topics[order[i]]));
  }
  for (size_t i = 0; i < rows.size(); ++i)
    out.of[places[i]] = newOf[best.of[i]];
  return out;
}

nlohmann::json Topics::toJson() const {
  nlohmann::json out = nlohmann::json::array();
  for (const Topic &t : topics)
    out.push_back({{"terms", t.terms}, {"documents", t.documents}, {"nearest", t.nearest}});
  return out;
}

} // namespace r1rt::mixture
