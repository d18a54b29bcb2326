#include "runtime/dedup/Repeats.h"
#include "runtime/dedup/Runs.h"
#include "runtime/state/Files.h"
#include <nlohmann/json.hpp>
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
std::optional<uint64_t> partHash(std::string_view part) {
  std::string normal = normalise(part);
  if (normal.empty())
    return std::nullopt;
  return XXH3_64bits(normal.data(), normal.size());
}

} // namespace

Result<RepeatCounter> RepeatCounter::open(RepeatOptions o) {
  if (o.threshold < 2)
    return Status::error("repeats: threshold is " + std::to_string(o.threshold) +
                         "; a part is repeated from 2 documents on");
  if (o.memory < 1 << 20)
    return Status::error("repeats: memory is " + std::to_string(o.memory) +
                         " bytes; give at least 1 MiB (1048576)");
  R1RT_TRY(makeDirs(o.dir));
  RepeatCounter c(std::move(o));
  c.identity = c.opts.identity + (c.opts.part == Part::line ? "; lines" : "; paragraphs");
  if (!runExists(c.manifestPath()))
    return c;
  R1RT_ASSIGN(std::string text, readFile(c.manifestPath()));
  auto m = nlohmann::json::parse(text, nullptr, false);
  if (!m.is_object() || !m.contains("identity") || !m["identity"].is_string() ||
      !m.contains("documents") || !m["documents"].is_number_unsigned() || !m.contains("runs") ||
      !m["runs"].is_number_unsigned())
    return Status::error(c.manifestPath() +
                         ": not the manifest of a count of repeats; delete its folder and start again");
  if (m["identity"] != c.identity)
    return Status::error(c.opts.dir + " holds another count (" + m["identity"].get<std::string>() +
                         "), this one is (" + c.identity +
                         "); give another folder or delete that one");
  c.documents = m["documents"];
  c.runs = m["runs"];
  return c;
}

Status RepeatCounter::add(std::string_view text) {
  if (documents == ~uint32_t(0))
    return Status::error("repeats: more than 4294967295 documents; split the corpus");
  const size_t begin = waiting.size();
  forEachPart(text, opts.part, [&](size_t from, size_t to) {
    if (auto hash = partHash(text.substr(from, to - from)))
      waiting.push_back({*hash, documents});
  });
  std::sort(waiting.begin() + ptrdiff_t(begin), waiting.end());
  waiting.erase(std::unique(waiting.begin() + ptrdiff_t(begin), waiting.end(),
                            [](const Entry &a, const Entry &b) { return a.hash == b.hash; }),
                waiting.end());
  ++documents;
  return waiting.size() >= opts.memory / sizeof(Entry) ? flush() : Status::ok();
}

Status RepeatCounter::flush() {
  if (!waiting.empty()) {
    std::sort(waiting.begin(), waiting.end());
    RunWriter<Entry> out(runPath(runs));
    R1RT_TRY(out.open());
    R1RT_TRY(out.put(std::span<const Entry>(waiting)));
    R1RT_TRY(out.close());
    waiting.clear();
    ++runs;
  }
  nlohmann::json m = {{"identity", identity}, {"documents", documents}, {"runs", runs}};
  return writeFileAtomic(manifestPath(), m.dump(1) + "\n");
}

Result<std::vector<Repeated>> RepeatCounter::finish() {
  R1RT_TRY(flush());
  std::vector<std::string> paths;
  for (uint32_t r = 0; r < runs; ++r)
    paths.push_back(runPath(r));
  std::vector<Repeated> out;
  Repeated part{0, 0, 0};
  auto end = [&] {
    if (part.documents >= opts.threshold)
      out.push_back(part);
  };
  R1RT_TRY(mergeRuns<Entry>(paths, [&](const Entry &e) -> Status {
    if (part.documents && part.hash == e.hash) {
      ++part.documents;
      return Status::ok();
    }
    end();
    part = {e.hash, 1, e.doc};
    return Status::ok();
  }));
  end();
  return out;
}

std::string removeRepeated(std::string_view text, uint32_t doc, Part part,
                           std::span<const Repeated> repeated, bool keepFirst,
                           std::vector<Removed> &removed) {
  std::string out;
  removed.clear();
  forEachPart(text, part, [&](size_t from, size_t to) {
    std::string_view piece = text.substr(from, to - from);
    if (auto hash = partHash(piece)) {
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
  std::string buffer;
  std::vector<uint64_t> hashes, grams;
  hashUnits(text, units, buffer, hashes);
  items.emplace_back();
  if (hashes.size() < n)
    return false;
  for (std::string_view u : unitsOf(buffer, units))
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
  std::string buffer;
  std::vector<uint64_t> hashes, grams;
  hashUnits(text, units, buffer, hashes);
  if (hashes.size() < n)
    return hits;
  shingleHashes(hashes, n, grams);
  std::vector<std::string_view> words; // only of documents that hit
  for (uint32_t i = 0; i < grams.size() && hits.size() < most; ++i) {
    auto it = places.find(grams[i]);
    if (it == places.end())
      continue;
    if (words.empty())
      words = unitsOf(buffer, units);
    for (Place p : it->second) {
      if (!std::equal(words.begin() + i, words.begin() + i + n, items[p.item].begin() + p.unit))
        continue;
      Hit hit{p.item, p.unit, i, {}};
      for (unsigned w = 0; w < n; ++w)
        hit.ngram.append(w ? " " : "").append(words[i + w]);
      hits.push_back(std::move(hit));
      break;
    }
  }
  return hits;
}

} // namespace r1rt::dedup
