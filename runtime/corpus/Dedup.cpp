#include "runtime/corpus/Dedup.h"
#include "runtime/corpus/Strings.h"
#include "runtime/dedup/Near.h"
#include "runtime/dedup/Repeats.h"
#include "runtime/dedup/Signature.h"
#include <algorithm>
#include <optional>

namespace r1rt::corpus {

using nlohmann::json;

namespace {

std::vector<std::string> filesOf(const std::vector<ChunkFile> &chunks, const std::string &suffix) {
  std::vector<std::string> out;
  for (const ChunkFile &c : chunks)
    out.push_back(c.path + suffix);
  return out;
}

Result<dedup::Units> unitsOf(const json &how) {
  std::string units = how.value("units", "words");
  if (units == "words")
    return dedup::Units::words;
  if (units == "characters")
    return dedup::Units::characters;
  return Status::error("`units` is \"" + units + "\"; it can be \"words\" or \"characters\"",
                       ExitClass::program);
}

class Dedup final : public Barrier {
public:
  enum Kind { exact, minhash, simhash } kind = exact;
  std::optional<dedup::MinHash> minHash;
  std::optional<dedup::SimHashBlocks> blocks;
  dedup::Units units = dedup::Units::words;
  unsigned shingle = 5;
  double above = 0.8;
  bool verify = false, longest = false;

  Result<std::unique_ptr<Observer>> observe(const std::string &path) override {
    auto o = std::make_unique<Watch>(*this, path);
    unsigned bands = kind == minhash ? minHash->bands() : kind == simhash ? blocks->tables() : 1;
    R1RT_ASSIGN(o->keys, dedup::KeyWriter::create(bands, kind == exact ? 2 : 1));
    o->values.resize(kind == exact ? 2 : bands);
    if (kind == minhash)
      o->signature.resize(size_t(bands) * minHash->options().rows);
    return std::unique_ptr<Observer>(std::move(o));
  }

  Status decide(const Waiting &w) override {
    dedup::NearOptions o;
    o.dir = w.dir + "/pairs";
    o.memory = w.memory;
    o.threads = w.threads;
    Strings texts, sizes;
    if (verify && kind == minhash) {
      R1RT_ASSIGN(texts, Strings::open(w.chunks, ".texts"));
      o.similarity = [&](uint32_t a, uint32_t b) -> Result<double> {
        return dedup::jaccard(dedup::shingleSet(texts[a], units, shingle),
                              dedup::shingleSet(texts[b], units, shingle));
      };
      o.least = above;
    }
    if (kind == simhash) { // its candidates are only what the blocks say
      R1RT_ASSIGN(o.similarity, dedup::hammingSimilarity(filesOf(w.chunks, ".hashes")));
      o.least = std::max(1 - double(blocks->distance()) / 64, verify ? above : 0.0);
    }
    if (longest) {
      R1RT_ASSIGN(sizes, Strings::open(w.chunks, ".sizes"));
      o.score = [&](uint32_t doc) { return std::stod(std::string(sizes[doc])); };
    }
    auto near = dedup::NearDuplicates::open(o, filesOf(w.chunks, ".keys"));
    Status st = near ? near->pair(unsigned(w.rank), unsigned(w.ranks)) : near.status();
    R1RT_TRY(w.meet(st));
    // One rank joins; the others find what it has made.
    if (w.rank == 0) {
      auto made = near->finish();
      st = made ? Status::ok() : made.status();
      if (made)
        clusters = made.take();
    }
    R1RT_TRY(w.meet(st));
    if (w.rank != 0) {
      R1RT_ASSIGN(clusters, near->finish());
    }
    R1RT_ASSIGN(ids, Strings::open(w.chunks, ".ids"));
    return Status::ok();
  }

  Result<std::unique_ptr<Pass>> pass() override {
    return std::unique_ptr<Pass>(new Drop(*this));
  }

private:
  dedup::Clusters clusters;
  Strings ids;

  struct Watch final : Observer {
    const Dedup &d;
    std::string path;
    dedup::KeyWriter keys;
    dedup::MinHash::Scratch scratch;
    std::vector<uint64_t> values, hashes;
    std::vector<uint32_t> signature;
    StringsWriter ids, texts, sizes;
    Watch(const Dedup &d, std::string path) : d(d), path(std::move(path)) {}

    Status see(const Row &row) override {
      ids.add(row.id);
      if (d.longest)
        sizes.add(std::to_string(row.text.size()));
      switch (d.kind) {
      case exact: {
        auto h = dedup::exactHash(row.text, scratch);
        values.assign(h.begin(), h.end());
        return keys.append(values);
      }
      case simhash: {
        uint64_t h = dedup::simHash(row.text, d.units, d.shingle, scratch);
        hashes.push_back(h);
        d.blocks->keys(h, values);
        return scratch.units.empty() ? keys.append({}) : keys.append(values);
      }
      case minhash:
        break;
      }
      if (d.verify)
        texts.add(row.text);
      if (!d.minHash->sign(row.text, scratch, signature))
        return keys.append({});
      d.minHash->keys(signature, values);
      return keys.append(values);
    }

    Status finish(std::vector<std::string> &written) override {
      auto named = [&](const char *suffix) -> const std::string & { return written.emplace_back(path + suffix); };
      R1RT_TRY(keys.finish(named(".keys"), Flush::later));
      R1RT_TRY(ids.finish(named(".ids")));
      if (d.longest)
        R1RT_TRY(sizes.finish(named(".sizes")));
      if (d.kind == simhash)
        R1RT_TRY(dedup::writeHashes(path + ".hashes", hashes));
      return d.kind == minhash && d.verify ? texts.finish(named(".texts")) : Status::ok();
    }
  };

  struct Drop final : RowPass {
    const Dedup &d;
    explicit Drop(const Dedup &d) : d(d) {}

    Result<Fate> look(Row &, uint64_t number, std::vector<Added> &) override {
      uint32_t doc = uint32_t(number);
      if (d.clusters.isKept(doc))
        return Fate{};
      auto &all = d.clusters.duplicates;
      auto it = std::lower_bound(all.begin(), all.end(), doc,
                                 [](const dedup::Duplicate &x, uint32_t n) { return x.doc < n; });
      std::string evidence;
      if (it->similarity >= 0) {
        char similarity[32];
        std::snprintf(similarity, sizeof similarity, "%.4f", double(it->similarity));
        evidence = std::string("{\"similarity\":") + similarity;
        if (it->match != it->kept)
          evidence += ",\"to\":" + jsonString(d.ids[it->match]);
        evidence += "}";
      }
      return Fate{Fate::duplicate, std::string(d.ids[it->kept]), evidence};
    }
  };
};

class RepeatedParts final : public Barrier {
public:
  dedup::Part part = dedup::Part::line;
  uint32_t threshold = 2;
  bool keepFirst = true;

  Result<std::unique_ptr<Observer>> observe(const std::string &path) override {
    auto o = std::make_unique<Watch>(*this, path);
    R1RT_ASSIGN(o->keys, dedup::KeyWriter::create(1));
    return std::unique_ptr<Observer>(std::move(o));
  }

  Status decide(const Waiting &w) override {
    dedup::MergeLimits limits;
    limits.memory = w.memory;
    limits.scratch = w.dir + "/merge-" + std::to_string(w.rank);
    R1RT_ASSIGN(repeated, dedup::countRepeated(filesOf(w.chunks, ".keys"), threshold, limits));
    return Status::ok();
  }

  Result<std::unique_ptr<Pass>> pass() override { return std::unique_ptr<Pass>(new Cut(*this)); }

private:
  std::vector<dedup::Repeated> repeated;

  struct Watch final : Observer {
    const RepeatedParts &p;
    std::string path;
    dedup::KeyWriter keys;
    std::vector<uint64_t> values;
    Watch(const RepeatedParts &p, std::string path) : p(p), path(std::move(path)) {}
    Status see(const Row &row) override {
      dedup::partKeys(row.text, p.part, values);
      return keys.append(values);
    }
    Status finish(std::vector<std::string> &written) override {
      written.push_back(path + ".keys");
      return keys.finish(path + ".keys", Flush::later);
    }
  };

  struct Cut final : RowPass {
    const RepeatedParts &p;
    std::vector<dedup::Removed> removed;
    explicit Cut(const RepeatedParts &p) : p(p) {}

    Result<Fate> look(Row &row, uint64_t number, std::vector<Added> &) override {
      removed.clear();
      std::string rest =
          dedup::removeRepeated(row.text, uint32_t(number), p.part, p.repeated, p.keepFirst, removed);
      if (removed.empty())
        return Fate{};
      size_t bytes = 0;
      for (const dedup::Removed &r : removed)
        bytes += r.end - r.begin;
      std::string evidence = "{\"parts\":" + std::to_string(removed.size()) +
                             ",\"bytes\":" + std::to_string(bytes) +
                             ",\"documents\":" + std::to_string(removed[0].documents) + "}";
      bool empty = rest.find_first_not_of(" \t\r\n") == rest.npos;
      if (!empty) {
        R1RT_TRY(messagesStay(row, "drop_repeats"));
        row.text = std::move(rest);
      }
      return Fate{empty ? Fate::drop : Fate::change,
                  p.part == dedup::Part::line ? "repeated_lines" : "repeated_paragraphs", evidence};
    }
  };
};

} // namespace

Result<std::unique_ptr<Barrier>> dedupBarrier(const json &t) {
  auto d = std::make_unique<Dedup>();
  json how = t.value("how", json::object());
  std::string kind = how.value("dedup", "");
  d->above = t.value("above", d->above);
  d->verify = t.value("verify", d->verify);
  d->longest = t.value("keep", "first") == "longest";
  d->shingle = how.value("shingle", d->shingle);
  R1RT_ASSIGN(d->units, unitsOf(how));
  if (kind == "exact") {
    d->kind = Dedup::exact;
  } else if (kind == "minhash") {
    d->kind = Dedup::minhash;
    dedup::MinHashOptions o;
    o.units = d->units;
    o.ngram = d->shingle;
    o.bands = how.value("bands", o.bands);
    o.rows = how.value("rows", o.rows);
    o.seed = how.value("seed", o.seed);
    R1RT_ASSIGN(dedup::MinHash m, dedup::MinHash::create(o));
    d->minHash.emplace(std::move(m));
  } else if (kind == "simhash") {
    d->kind = Dedup::simhash;
    R1RT_ASSIGN(dedup::SimHashBlocks b, dedup::SimHashBlocks::create(how.value("distance", 3u)));
    d->blocks.emplace(std::move(b));
  } else {
    return badTree("`dedup` knows exact, minhash and simhash, not \"" + kind + "\"");
  }
  return std::unique_ptr<Barrier>(std::move(d));
}

Result<std::unique_ptr<Barrier>> repeatsBarrier(const json &t) {
  auto r = std::make_unique<RepeatedParts>();
  r->part = t.value("part", "line") == "paragraph" ? dedup::Part::paragraph : dedup::Part::line;
  r->threshold = t.value("threshold", r->threshold);
  r->keepFirst = t.value("keep_first", r->keepFirst);
  return std::unique_ptr<Barrier>(std::move(r));
}

} // namespace r1rt::corpus
