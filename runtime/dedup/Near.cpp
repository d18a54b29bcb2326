#include "runtime/dedup/Near.h"
#include "runtime/dedup/Runs.h"
#include "runtime/state/Files.h"
#include <bit>
#include <nlohmann/json.hpp>
#include <unistd.h>

namespace r1rt::dedup {

namespace {

/// The pairs of buckets whose members arrive in ascending order; see NearOptions::allPairs.
template <class Emit> class Bucket {
public:
  Bucket(unsigned allPairs, Emit emit) : allPairs(std::max(allPairs, 1u)), emit(std::move(emit)) {}
  void start() { head.clear(); }
  Status add(uint32_t doc) {
    if (head.size() < allPairs) {
      for (uint32_t other : head)
        R1RT_TRY(emit(DocPair{other, doc}));
      head.push_back(doc);
    } else {
      R1RT_TRY(emit(DocPair{head.front(), doc}));
      if (last != head.front())
        R1RT_TRY(emit(DocPair{last, doc}));
    }
    last = doc;
    return Status::ok();
  }

private:
  const unsigned allPairs;
  Emit emit;
  std::vector<uint32_t> head;
  uint32_t last = 0;
};

/// Disjoint sets whose root is the least member, so that the order of joins does not matter.
class Sets {
public:
  explicit Sets(uint32_t n) : parent(n) {
    for (uint32_t i = 0; i < n; ++i)
      parent[i] = i;
  }
  uint32_t root(uint32_t a) {
    while (parent[a] != a)
      a = parent[a] = parent[parent[a]];
    return a;
  }
  void join(DocPair p) {
    uint32_t a = root(p.first), b = root(p.second);
    if (a != b)
      parent[std::max(a, b)] = std::min(a, b);
  }
  /// For each member its root, or the member of the highest score.
  std::vector<uint32_t> take(const std::function<double(uint32_t)> &score) {
    const uint32_t n = uint32_t(parent.size());
    for (uint32_t i = 0; i < n; ++i)
      parent[i] = parent[parent[i]]; // roots are less: those before i are resolved
    if (!score)
      return std::move(parent);
    std::vector<uint32_t> best = parent;
    for (uint32_t i = 0; i < n; ++i)
      if (parent[i] != i && score(i) > score(best[parent[i]]))
        best[parent[i]] = i;
    for (uint32_t i = 0; i < n; ++i)
      parent[i] = best[parent[i]];
    return std::move(parent);
  }

private:
  std::vector<uint32_t> parent;
};

void listDuplicates(Clusters &c) {
  for (uint32_t d = 0; d < c.kept.size(); ++d)
    if (c.kept[d] != d)
      c.duplicates.push_back({d, c.kept[d], c.kept[d], -1});
}

constexpr uint64_t pairsPerChunk = 1 << 16;

} // namespace

void Clusters::forEach(
    const std::function<void(uint32_t, std::span<const uint32_t>)> &visit) const {
  std::vector<DocPair> members; // (kept, member)
  for (const Duplicate &d : duplicates)
    members.push_back({d.kept, d.doc});
  std::sort(members.begin(), members.end());
  std::vector<uint32_t> list;
  for (size_t i = 0; i < members.size();) {
    const uint32_t k = members[i].first;
    list.assign(1, k);
    for (; i < members.size() && members[i].first == k; ++i)
      list.push_back(members[i].second);
    std::sort(list.begin(), list.end());
    visit(k, list);
  }
}

std::string NearDuplicates::runPath(unsigned band, uint32_t run) const {
  return path("band-" + std::to_string(band) + "-run-" + std::to_string(run));
}

Result<NearDuplicates> NearDuplicates::open(NearOptions o) {
  if (o.bands < 1 || o.bands > 1024)
    return Status::error("dedup: bands is " + std::to_string(o.bands) + "; give 1 to 1024");
  if (o.memory < 1 << 20)
    return Status::error("dedup: memory is " + std::to_string(o.memory) +
                         " bytes; give at least 1 MiB (1048576)");
  if (!(o.least >= 0 && o.least <= 1))
    return Status::error("dedup: least is " + std::to_string(o.least) +
                         "; a similarity is between 0 and 1");
  R1RT_TRY(makeDirs(o.dir));
  NearDuplicates n(std::move(o));
  const NearOptions &opts = n.opts;
  n.identity = opts.identity + "; bands " + std::to_string(opts.bands) + ", all pairs up to " +
               std::to_string(opts.allPairs) +
               (opts.similarity ? ", similarity at least " + std::to_string(opts.least)
                                : std::string(", not verified"));
  n.perBuffer = size_t(opts.memory / opts.bands / sizeof(Entry));
  n.buffers.resize(opts.bands);
  if (!runExists(n.path("manifest.json"))) {
    R1RT_TRY(n.writeManifest());
    return n;
  }
  R1RT_ASSIGN(std::string text, readFile(n.path("manifest.json")));
  auto m = nlohmann::json::parse(text, nullptr, false);
  if (!m.is_object() || !m.contains("identity") || !m["identity"].is_string() ||
      !m.contains("documents") || !m["documents"].is_number_unsigned() || !m.contains("runs") ||
      !m["runs"].is_number_unsigned() || !m.contains("complete") || !m["complete"].is_boolean())
    return Status::error(n.path("manifest.json") +
                         ": not the manifest of a deduplication; delete its folder and start again");
  if (m["identity"] != n.identity)
    return Status::error(opts.dir + " holds another deduplication (" +
                         m["identity"].get<std::string>() + "), this one is (" + n.identity +
                         "); give another folder or delete that one");
  n.documents = m["documents"];
  n.runs = m["runs"];
  n.complete = m["complete"];
  return n;
}

Status NearDuplicates::writeManifest() const {
  nlohmann::json m = {
      {"identity", identity}, {"documents", documents}, {"runs", runs}, {"complete", complete}};
  return writeFileAtomic(path("manifest.json"), m.dump(1) + "\n");
}

Status NearDuplicates::add(std::span<const uint64_t> keys) {
  if (complete)
    return Status::error(opts.dir + ": all " + std::to_string(documents) +
                         " documents were added; only `finish` is left");
  if (!keys.empty() && keys.size() != opts.bands)
    return Status::error("dedup: document " + std::to_string(documents) + " has " +
                         std::to_string(keys.size()) + " keys, there are " +
                         std::to_string(opts.bands) + " bands");
  if (documents == ~uint32_t(0))
    return Status::error("dedup: more than 4294967295 documents; split the corpus");
  if (!keys.empty()) {
    if (waiting == 0)
      for (auto &b : buffers)
        b.reserve(perBuffer);
    for (unsigned b = 0; b < opts.bands; ++b)
      buffers[b].push_back({keys[b], documents});
    ++waiting;
  }
  ++documents;
  return waiting >= perBuffer ? flush() : Status::ok();
}

Status NearDuplicates::flush() {
  if (!waiting)
    return writeManifest();
  R1RT_TRY(parallelFor(opts.bands, opts.threads, [&](size_t b) -> Status {
    std::sort(buffers[b].begin(), buffers[b].end());
    RunWriter<Entry> out(runPath(unsigned(b), runs));
    R1RT_TRY(out.open());
    R1RT_TRY(out.put(std::span<const Entry>(buffers[b])));
    buffers[b].clear();
    return out.close();
  }));
  ++runs;
  waiting = 0;
  return writeManifest();
}

Status NearDuplicates::pairBand(unsigned band) const {
  const std::string result = path("pairs-" + std::to_string(band));
  std::vector<std::string> paths;
  for (uint32_t r = 0; r < runs; ++r)
    paths.push_back(runPath(band, r));
  if (!runExists(result)) {
    RunWriter<DocPair> out(result);
    R1RT_TRY(out.open());
    // Verification reads pairs in order, so they are sorted in pieces; joining needs no order.
    std::vector<DocPair> piece;
    std::vector<std::string> pieces;
    const size_t most = std::max<size_t>(opts.memory / std::max(opts.threads, 1u) / sizeof(DocPair),
                                         1 << 12);
    auto writePiece = [&]() -> Status {
      std::sort(piece.begin(), piece.end());
      pieces.push_back(result + "-piece-" + std::to_string(pieces.size()));
      RunWriter<DocPair> w(pieces.back());
      R1RT_TRY(w.open());
      R1RT_TRY(w.put(std::span<const DocPair>(piece)));
      piece.clear();
      return w.close();
    };
    Bucket bucket(opts.allPairs, [&](DocPair p) -> Status {
      if (!opts.similarity)
        return out.put(p);
      piece.push_back(p);
      return piece.size() < most ? Status::ok() : writePiece();
    });
    bool open = false;
    uint64_t key = 0;
    R1RT_TRY(mergeRuns<Entry>(paths, [&](const Entry &e) -> Status {
      if (!open || e.key != key)
        bucket.start();
      open = true;
      key = e.key;
      return bucket.add(e.doc);
    }));
    if (!piece.empty())
      R1RT_TRY(writePiece());
    R1RT_TRY(mergeRuns<DocPair>(pieces, [&](const DocPair &p) { return out.put(p); }));
    R1RT_TRY(out.close());
    for (const std::string &p : pieces)
      ::unlink(p.c_str());
  }
  for (const std::string &p : paths)
    ::unlink(p.c_str());
  return Status::ok();
}

/// All distinct candidates in order, in chunks; the accepted ones of a chunk are a file.
Status NearDuplicates::verify(std::vector<std::string> &accepted) const {
  std::vector<DocPair> chunk;
  auto judge = [&]() -> Status {
    std::string name = path("accepted-" + std::to_string(accepted.size()));
    accepted.push_back(name);
    if (!runExists(name)) {
      std::vector<double> similarity(chunk.size());
      constexpr size_t step = 256;
      R1RT_TRY(parallelFor((chunk.size() + step - 1) / step, opts.threads, [&](size_t i) -> Status {
        for (size_t p = i * step; p < std::min(chunk.size(), (i + 1) * step); ++p) {
          R1RT_ASSIGN(similarity[p], opts.similarity(chunk[p].first, chunk[p].second));
        }
        return Status::ok();
      }));
      RunWriter<Accepted> out(name);
      R1RT_TRY(out.open());
      for (size_t p = 0; p < chunk.size(); ++p)
        if (similarity[p] >= opts.least)
          R1RT_TRY(out.put(Accepted{chunk[p], float(similarity[p])}));
      R1RT_TRY(out.close());
    }
    chunk.clear();
    return Status::ok();
  };
  std::vector<std::string> paths;
  for (unsigned b = 0; b < opts.bands; ++b)
    paths.push_back(path("pairs-" + std::to_string(b)));
  R1RT_TRY(mergeRuns<DocPair>(paths, [&](const DocPair &p) -> Status {
    if (!chunk.empty() && chunk.back() == p)
      return Status::ok();
    if (chunk.size() >= pairsPerChunk) // here, so that a chunk never parts equal pairs
      R1RT_TRY(judge());
    chunk.push_back(p);
    return Status::ok();
  }));
  return chunk.empty() ? Status::ok() : judge();
}

Result<Clusters> NearDuplicates::finish() {
  if (!complete) {
    complete = true;
    R1RT_TRY(flush());
  }
  std::vector<std::vector<Entry>>().swap(buffers);
  R1RT_TRY(parallelFor(opts.bands, opts.threads,
                       [&](size_t b) { return pairBand(unsigned(b)); }));
  Clusters c;
  Sets sets(documents);
  auto inRange = [&](DocPair p) { return p.first < p.second && p.second < documents; };
  auto outOfRange = [&](const std::string &file) {
    return Status::error(file + ": a pair names a document that does not exist (there are " +
                         std::to_string(documents) + "); delete the folder and start again");
  };
  if (!opts.similarity) {
    for (unsigned b = 0; b < opts.bands; ++b) {
      const std::string file = path("pairs-" + std::to_string(b));
      R1RT_TRY(mergeRuns<DocPair>({file}, [&](const DocPair &p) -> Status {
        if (!inRange(p))
          return outOfRange(file);
        sets.join(p);
        return Status::ok();
      }));
    }
    c.kept = sets.take(opts.score);
    listDuplicates(c);
  } else {
    std::vector<std::string> accepted;
    R1RT_TRY(verify(accepted));
    std::vector<uint32_t> match(documents);
    std::vector<float> similarity(documents, -1);
    for (const std::string &file : accepted) {
      RunReader<Accepted> in(file);
      R1RT_TRY(in.open());
      for (Accepted a;;) {
        R1RT_ASSIGN(bool more, in.next(a));
        if (!more)
          break;
        if (!inRange(a.pair))
          return outOfRange(file);
        sets.join(a.pair);
        // Pairs ascend, so the first of equals comes first for either side.
        if (a.similarity > similarity[a.pair.second])
          similarity[a.pair.second] = a.similarity, match[a.pair.second] = a.pair.first;
        if (a.similarity > similarity[a.pair.first])
          similarity[a.pair.first] = a.similarity, match[a.pair.first] = a.pair.second;
      }
    }
    c.kept = sets.take(opts.score);
    listDuplicates(c);
    for (Duplicate &d : c.duplicates)
      d.match = match[d.doc], d.similarity = similarity[d.doc];
  }
  RunWriter<Duplicate> out(path("duplicates"));
  R1RT_TRY(out.open());
  R1RT_TRY(out.put(std::span<const Duplicate>(c.duplicates)));
  R1RT_TRY(out.close());
  return c;
}

std::vector<std::vector<BandEntry>> shareBands(std::span<const uint64_t> keys, unsigned bands,
                                               uint32_t first, std::span<const uint8_t> empty,
                                               unsigned ranks) {
  std::vector<std::vector<BandEntry>> out(ranks);
  for (size_t i = 0; i < keys.size() / bands; ++i)
    if (empty.empty() || !empty[i])
      for (unsigned b = 0; b < bands; ++b)
        out[b % ranks].push_back({keys[i * bands + b], b, first + uint32_t(i)});
  return out;
}

std::vector<DocPair> pairsOf(std::span<const std::vector<BandEntry>> buffers, unsigned allPairs) {
  std::vector<BandEntry> all;
  for (const auto &b : buffers)
    all.insert(all.end(), b.begin(), b.end());
  std::sort(all.begin(), all.end());
  std::vector<DocPair> pairs;
  Bucket bucket(allPairs, [&](DocPair p) { return pairs.push_back(p), Status::ok(); });
  for (size_t i = 0; i < all.size(); ++i) {
    if (!i || all[i].key != all[i - 1].key || all[i].band != all[i - 1].band)
      bucket.start();
    (void)bucket.add(all[i].doc); // the visitor above has no way to fail
  }
  std::sort(pairs.begin(), pairs.end());
  pairs.erase(std::unique(pairs.begin(), pairs.end()), pairs.end());
  return pairs;
}

Clusters clustersOf(uint32_t documents, std::span<const std::vector<DocPair>> pairs,
                    const std::function<double(uint32_t)> &score) {
  Sets sets(documents);
  for (const auto &list : pairs)
    for (DocPair p : list)
      sets.join(p);
  Clusters c;
  c.kept = sets.take(score);
  listDuplicates(c);
  return c;
}

} // namespace r1rt::dedup
