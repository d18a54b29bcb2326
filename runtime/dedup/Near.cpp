#include "runtime/dedup/Near.h"
#include "runtime/state/Files.h"
#include <algorithm>
#include <bit>
#include <cstring>
#include <xxhash.h>

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

struct NearDuplicates::Accepted {
  DocPair pair;
  float similarity;
};

Result<NearDuplicates> NearDuplicates::open(NearOptions o, const std::vector<std::string> &keyFiles) {
  if (o.memory < 1 << 20)
    return Status::error("dedup: memory is " + std::to_string(o.memory) +
                         " bytes; give at least 1 MiB (1048576)");
  if (!(o.least >= 0 && o.least <= 1))
    return Status::error("dedup: least is " + std::to_string(o.least) +
                         "; a similarity is between 0 and 1");
  o.threads = std::max(o.threads, 1u);
  R1RT_TRY(makeDirs(o.dir));
  NearDuplicates n(std::move(o));
  uint64_t documents = 0;
  std::vector<uint64_t> of = {n.opts.allPairs, bool(n.opts.similarity)};
  for (const std::string &path : keyFiles) {
    R1RT_ASSIGN(KeyFile f, KeyFile::open(path));
    if (n.files.empty())
      n.bands = f.bands(), n.words = f.words();
    else if (f.bands() != n.bands || f.words() != n.words)
      return Status::error(path + ": keys of " + std::to_string(f.bands()) + " bands of " +
                           std::to_string(f.words()) + " words, those of " + keyFiles[0] +
                           " are of " + std::to_string(n.bands) + " bands of " +
                           std::to_string(n.words) + "; sign all with the same options");
    documents += f.documents();
    of.push_back(f.fingerprint());
    n.files.push_back(std::move(f));
  }
  if (documents > ~uint32_t(0))
    return Status::error("dedup: " + std::to_string(documents) +
                         " documents, at most 4294967295 are compared; split the corpus");
  n.count = uint32_t(documents);
  n.pairsOf = XXH3_64bits(of.data(), 8 * of.size());
  const std::string rest = n.opts.identity + (n.opts.score ? "; scored" : "") + "; " +
                           std::to_string(std::bit_cast<uint64_t>(n.opts.least));
  n.resultOf = XXH3_64bits_withSeed(rest.data(), rest.size(), n.pairsOf);
  return n;
}

Status NearDuplicates::pair(unsigned rank, unsigned ranks) const {
  if (rank >= ranks)
    return Status::error("dedup: rank " + std::to_string(rank) + " of " + std::to_string(ranks) +
                         " ranks; they count from 0");
  std::vector<unsigned> mine;
  for (unsigned b = rank; b < bands; b += ranks)
    if (!runExists(pairsPath(b), pairsOf))
      mine.push_back(b);
  const unsigned threads = unsigned(std::min<size_t>(opts.threads, mine.size()));
  return parallelFor(mine.size(), threads, [&](size_t i) {
    return words == 1 ? pairBand<1>(mine[i], threads) : pairBand<2>(mine[i], threads);
  });
}

template <unsigned words> Status NearDuplicates::pairBand(unsigned band, unsigned threads) const {
  std::vector<RunSource> sources;
  uint32_t base = 0;
  for (const KeyFile &f : files) {
    sources.push_back(f.band(band, base));
    base += f.documents();
  }
  const std::string result = pairsPath(band);
  RunWriter<DocPair> out(result, pairsOf);
  R1RT_TRY(out.open());
  // Half of the memory merges, half sorts pairs: verification reads them in order, and in pieces
  // they can be sorted. Joining needs no order.
  const MergeLimits limits{result + "-merged", opts.memory / threads / 2, 512 / threads};
  std::vector<DocPair> piece;
  std::vector<RunSource> pieces;
  const size_t most = std::max<size_t>(limits.memory / sizeof(DocPair), 1 << 12);
  auto writePiece = [&]() -> Status {
    std::sort(piece.begin(), piece.end());
    pieces.push_back({result + "-piece-" + std::to_string(pieces.size())});
    RunWriter<DocPair> w(pieces.back().path);
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
  std::optional<KeyEntry<words>> last;
  R1RT_TRY(mergeRuns<KeyEntry<words>>(sources, limits, [&](const KeyEntry<words> &e) -> Status {
    if (!last || !e.sameKey(*last))
      bucket.start();
    last = e;
    return bucket.add(e.doc);
  }));
  if (pieces.empty()) {
    std::sort(piece.begin(), piece.end());
    R1RT_TRY(out.put(std::span<const DocPair>(piece)));
    return out.close();
  }
  R1RT_TRY(writePiece());
  R1RT_TRY(mergeRuns<DocPair>(pieces, limits, [&](const DocPair &p) { return out.put(p); }));
  R1RT_TRY(out.close());
  for (const RunSource &p : pieces)
    removeFiles({p.path});
  return Status::ok();
}

/// All distinct candidates in order, in chunks; the accepted ones of a chunk are a file.
Status NearDuplicates::verify(std::vector<std::string> &accepted) const {
  std::vector<DocPair> chunk;
  auto judge = [&]() -> Status {
    std::string name = path("accepted-" + std::to_string(accepted.size()));
    accepted.push_back(name);
    if (!runExists(name, resultOf)) {
      std::vector<double> similarity(chunk.size());
      constexpr size_t step = 256;
      R1RT_TRY(parallelFor((chunk.size() + step - 1) / step, opts.threads, [&](size_t i) -> Status {
        for (size_t p = i * step; p < std::min(chunk.size(), (i + 1) * step); ++p) {
          R1RT_ASSIGN(similarity[p], opts.similarity(chunk[p].first, chunk[p].second));
        }
        return Status::ok();
      }));
      RunWriter<Accepted> out(name, resultOf);
      R1RT_TRY(out.open());
      for (size_t p = 0; p < chunk.size(); ++p)
        if (similarity[p] >= opts.least)
          R1RT_TRY(out.put(Accepted{chunk[p], float(similarity[p])}));
      R1RT_TRY(out.close());
    }
    chunk.clear();
    return Status::ok();
  };
  std::vector<RunSource> sources;
  for (unsigned b = 0; b < bands; ++b)
    sources.push_back({pairsPath(b)});
  R1RT_TRY(mergeRuns<DocPair>(
      sources, {path("pairs-merged"), opts.memory, 512}, [&](const DocPair &p) -> Status {
        if (!chunk.empty() && chunk.back() == p)
          return Status::ok();
        if (chunk.size() >= pairsPerChunk) // here, so that a chunk never parts equal pairs
          R1RT_TRY(judge());
        chunk.push_back(p);
        return Status::ok();
      }));
  return chunk.empty() ? Status::ok() : judge();
}

Result<Clusters> NearDuplicates::join() const {
  Clusters c;
  Sets sets(count);
  auto check = [&](DocPair p, const std::string &file) {
    return p.first < p.second && p.second < count
               ? Status::ok()
               : Status::error(file + ": a pair names a document that does not exist (there are " +
                               std::to_string(count) + "); delete the folder and start again");
  };
  if (!opts.similarity) {
    for (unsigned b = 0; b < bands; ++b) {
      RunReader<DocPair> in({pairsPath(b)});
      R1RT_TRY(in.open());
      for (DocPair p;;) {
        R1RT_ASSIGN(bool more, in.next(p));
        if (!more)
          break;
        R1RT_TRY(check(p, pairsPath(b)));
        sets.join(p);
      }
    }
    c.kept = sets.take(opts.score);
    listDuplicates(c);
    return c;
  }
  std::vector<std::string> accepted;
  R1RT_TRY(verify(accepted));
  std::vector<uint32_t> match(count);
  std::vector<float> similarity(count, -1);
  for (const std::string &file : accepted) {
    RunReader<Accepted> in({file});
    R1RT_TRY(in.open());
    for (Accepted a;;) {
      R1RT_ASSIGN(bool more, in.next(a));
      if (!more)
        break;
      R1RT_TRY(check(a.pair, file));
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
  return c;
}

Result<Clusters> NearDuplicates::finish() const {
  const std::string result = path("duplicates");
  if (!runExists(result, resultOf)) {
    R1RT_TRY(pair());
    R1RT_ASSIGN(Clusters c, join());
    RunWriter<Duplicate> out(result, resultOf);
    R1RT_TRY(out.open());
    R1RT_TRY(out.put(std::span<const Duplicate>(c.duplicates)));
    R1RT_TRY(out.close());
    return c;
  }
  Clusters c;
  c.kept.resize(count);
  for (uint32_t d = 0; d < count; ++d)
    c.kept[d] = d;
  RunReader<Duplicate> in({result});
  R1RT_TRY(in.open());
  for (Duplicate d;;) {
    R1RT_ASSIGN(bool more, in.next(d));
    if (!more)
      return c;
    if (d.doc >= count || d.kept >= count)
      return Status::error(result + ": names a document that does not exist (there are " +
                           std::to_string(count) + "); delete the file and run again");
    c.kept[d.doc] = d.kept;
    c.duplicates.push_back(d);
  }
}

Status writeHashes(const std::string &path, std::span<const uint64_t> hashes) {
  RunWriter<uint64_t> out(path);
  R1RT_TRY(out.open());
  R1RT_TRY(out.put(hashes));
  return out.close();
}

Result<Similarity> hammingSimilarity(const std::vector<std::string> &paths) {
  struct Chunk {
    MappedFile file;
    const char *hashes; // unaligned
  };
  struct Hashes {
    std::vector<Chunk> chunks;
    std::vector<uint64_t> ends; // of each chunk, in documents
    Result<uint64_t> of(uint32_t doc) const {
      size_t c = size_t(std::upper_bound(ends.begin(), ends.end(), doc) - ends.begin());
      if (c == ends.size())
        return Status::error("simhash: document " + std::to_string(doc) + " has no hash, there are " +
                             std::to_string(ends.empty() ? 0 : ends.back()));
      uint64_t h;
      std::memcpy(&h, chunks[c].hashes + 8 * (doc - (c ? ends[c - 1] : 0)), 8);
      return h;
    }
  };
  auto all = std::make_shared<Hashes>();
  for (const std::string &path : paths) {
    RunReader<uint64_t> in({path});
    R1RT_TRY(in.open());
    for (uint64_t h;;) { // so that a damaged file is found before it is believed
      R1RT_ASSIGN(bool more, in.next(h));
      if (!more)
        break;
    }
    R1RT_ASSIGN(MappedFile file, MappedFile::open(path));
    const char *hashes = file.text().data() + (file.text().size() - 8 * in.records());
    all->ends.push_back((all->ends.empty() ? 0 : all->ends.back()) + in.records());
    all->chunks.push_back({std::move(file), hashes});
  }
  return Similarity([all](uint32_t a, uint32_t b) -> Result<double> {
    R1RT_ASSIGN(uint64_t x, all->of(a));
    R1RT_ASSIGN(uint64_t y, all->of(b));
    return 1 - std::popcount(x ^ y) / 64.0;
  });
}

} // namespace r1rt::dedup
