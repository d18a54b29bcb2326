#include "runtime/dedup/Repeats.h"
#include "runtime/dedup/KeyFile.h"
#include <algorithm>
#include <optional>
#include <xxhash.h>

namespace r1rt::dedup {

namespace {

bool isBlank(std::string_view line) {
  return line.find_first_not_of(" \t\r\v\f\n") == std::string_view::npos;
}

/// fn(begin, end) for each part; end is behind its line ends, blank lines included.
template <class Fn> void forEachPart(std::string_view text, Part part, Fn fn) {
  size_t begin = 0;
  bool blankSeen = false, started = false;
  for (size_t at = 0; at < text.size();) {
    size_t newline = text.find('\n', at);
    size_t end = newline == std::string_view::npos ? text.size() : newline + 1;
    if (part == Part::line) {
      fn(at, end);
    } else {
      bool blank = isBlank(text.substr(at, end - at));
      if (!blank && blankSeen && started) {
        fn(begin, at);
        begin = at;
      }
      started |= !blank;
      blankSeen = blank;
    }
    at = end;
  }
  if (part == Part::paragraph && begin < text.size())
    fn(begin, text.size());
}

/// None for a part without units.
std::optional<uint64_t> partHash(std::string_view part, TextScratch &s) {
  const std::string_view normal = normalise(part, unfolded, s);
  if (normal.empty())
    return std::nullopt;
  return XXH3_64bits(normal.data(), normal.size());
}

} // namespace

void partKeys(std::string_view text, Part part, std::vector<uint64_t> &keys) {
  keys.clear();
  TextScratch scratch;
  forEachPart(text, part, [&](size_t from, size_t to) {
    if (auto hash = partHash(text.substr(from, to - from), scratch))
      keys.push_back(*hash);
  });
  std::sort(keys.begin(), keys.end());
  keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
}

Result<std::vector<Repeated>> countRepeated(const std::vector<std::string> &keyFiles,
                                            uint32_t threshold, const MergeLimits &limits) {
  if (threshold < 2)
    return Status::error("repeats: threshold is " + std::to_string(threshold) +
                         "; a part is repeated from 2 documents on");
  std::vector<RunSource> sources;
  uint64_t documents = 0;
  for (const std::string &path : keyFiles) {
    R1RT_ASSIGN(KeyFile f, KeyFile::open(path));
    if (f.bands() != 1 || f.words() != 1)
      return Status::error(path + ": keys of " + std::to_string(f.bands()) + " bands of " +
                           std::to_string(f.words()) + " words; those of parts are 1 band of 1");
    if (documents + f.documents() > ~uint32_t(0))
      return Status::error(path + ": more than 4294967295 documents; split the corpus");
    sources.push_back(f.band(0, uint32_t(documents)));
    documents += f.documents();
  }
  std::vector<Repeated> out;
  Repeated part{0, 0, 0};
  auto end = [&] {
    if (part.documents >= threshold)
      out.push_back(part);
  };
  R1RT_TRY(mergeRuns<KeyEntry<1>>(sources, limits, [&](const KeyEntry<1> &e) -> Status {
    if (part.documents && part.hash == e.key[0]) {
      ++part.documents;
      return Status::ok();
    }
    end();
    part = {e.key[0], 1, e.doc};
    return Status::ok();
  }));
  end();
  return out;
}

std::string removeRepeated(std::string_view text, uint32_t doc, Part part,
                           std::span<const Repeated> repeated, bool keepFirst,
                           std::vector<Removed> &removed) {
  std::string out;
  TextScratch scratch;
  removed.clear();
  forEachPart(text, part, [&](size_t from, size_t to) {
    std::string_view piece = text.substr(from, to - from);
    if (auto hash = partHash(piece, scratch)) {
      auto it = std::lower_bound(repeated.begin(), repeated.end(), *hash,
                                 [](const Repeated &r, uint64_t h) { return r.hash < h; });
      if (it != repeated.end() && it->hash == *hash && !(keepFirst && it->first == doc)) {
        removed.push_back({from, to, it->first, it->documents});
        return;
      }
    }
    out += piece;
  });
  return out;
}

Result<Contamination> Contamination::create(unsigned n, Units units) {
  if (n < 1 || n > 1000)
    return Status::error("contamination: n is " + std::to_string(n) + "; give 1 to 1000");
  Contamination c;
  c.n = n;
  c.units = units;
  return c;
}

bool Contamination::add(std::string_view text) {
  const uint32_t item = uint32_t(items.size());
  TextScratch scratch;
  std::vector<uint64_t> hashes, grams;
  hashUnits(text, {units, false, false}, scratch, hashes);
  items.emplace_back();
  if (hashes.size() < n)
    return false;
  const std::string normal = normalise(text);
  for (std::string_view u : unitsOf(normal, units))
    items.back().emplace_back(u);
  shingleHashes(hashes, n, grams);
  auto same = [&](Place a, Place b) {
    return std::equal(items[a.item].begin() + a.unit, items[a.item].begin() + a.unit + n,
                      items[b.item].begin() + b.unit);
  };
  for (uint32_t i = 0; i < grams.size(); ++i) {
    auto &list = places[grams[i]];
    Place here{item, i};
    if (std::none_of(list.begin(), list.end(), [&](Place p) { return same(p, here); }))
      list.push_back(here);
  }
  return true;
}

std::vector<Contamination::Hit> Contamination::find(std::string_view text, size_t most) const {
  std::vector<Hit> hits;
  TextScratch scratch;
  std::vector<uint64_t> hashes, grams;
  hashUnits(text, {units, false, false}, scratch, hashes);
  if (hashes.size() < n)
    return hits;
  shingleHashes(hashes, n, grams);
  std::string normal; // these three only of documents that hit
  std::vector<std::string_view> words;
  std::vector<UnitSpan> spans;
  for (uint32_t i = 0; i < grams.size() && hits.size() < most; ++i) {
    auto it = places.find(grams[i]);
    if (it == places.end())
      continue;
    if (words.empty()) {
      normal = normalise(text);
      words = unitsOf(normal, units);
      spans = unitSpans(text, units);
    }
    for (Place p : it->second) {
      if (!std::equal(words.begin() + i, words.begin() + i + n, items[p.item].begin() + p.unit))
        continue;
      Hit hit{p.item, p.unit, i, spans[i].begin, spans[i + n - 1].end, {}};
      for (unsigned w = 0; w < n; ++w)
        hit.ngram.append(w ? " " : "").append(words[i + w]);
      hits.push_back(std::move(hit));
      break;
    }
  }
  return hits;
}

} // namespace r1rt::dedup
