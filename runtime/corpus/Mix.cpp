#include "runtime/corpus/Mix.h"
#include "runtime/dedup/Text.h"
#include "runtime/mixture/Shares.h"
#include "runtime/state/Files.h"
#include <algorithm>
#include <cstring>

namespace r1rt::corpus {

using nlohmann::json;

bool takesAll(const json &t) {
  auto none = [&](const char *name) { return t.value(name, json::object()).empty(); };
  return none("weight") && none("cap") && none("floor") && t.value("temper", 1.0) == 1 &&
         t.value("repeat", 1.0) == 1 && t.value("total", json()).is_null();
}

namespace {

class Mix final : public Barrier {
public:
  enum By { documents, bytes, tokens } by = tokens;
  std::vector<std::string> names;
  json weight, cap, floor;
  double temper = 1, repeat = 1;
  std::optional<uint64_t> total;
  uint64_t seed = 0;

  Result<std::unique_ptr<Observer>> observe(const std::string &path) override {
    if (by == documents)
      return std::unique_ptr<Observer>();
    return std::unique_ptr<Observer>(new Watch(*this, path));
  }

  Status decide(const Waiting &w) override {
    std::map<std::string, mixture::Domain> found;
    std::map<std::string, uint64_t> counts;
    for (const std::string &name : names)
      found[name]; // also if it has no rows
    for (const ChunkFile &c : w.chunks) {
      if (!c.rows)
        continue;
      // The rows of a chunk come from one source, and so are of one domain.
      const std::string &name = c.domains.begin()->first;
      chunks.push_back({c.first, counts[name], name});
      counts[name] += c.rows;
      mixture::Domain &d = found[name];
      R1RT_TRY(eachSize(c, [&](uint64_t, uint64_t size) { d.size += size; }));
    }
    std::vector<mixture::Domain> domains;
    for (auto &[name, d] : found) {
      d.name = name;
      if (weight.contains(name))
        d.weight = weight[name].get<double>();
      d.cap = cap.value(name, d.cap);
      d.floor = floor.value(name, d.floor);
      domains.push_back(d);
    }
    R1RT_ASSIGN(std::vector<double> shares, mixture::shares(domains, temper));
    R1RT_ASSIGN(mixture::Takes takes, mixture::takes(domains, shares, total, repeat));
    for (size_t i = 0; i < domains.size(); ++i) {
      const std::string &name = domains[i].name;
      uint64_t n = counts[name], take = takes.units[i];
      if (by != documents) {
        mixture::Choice order(seed, name, n, n);
        mixture::RankedSizes sizes(n);
        uint64_t index = 0;
        for (const ChunkFile &c : w.chunks)
          if (c.rows && c.domains.begin()->first == name)
            R1RT_TRY(eachSize(c, [&](uint64_t, uint64_t size) { sizes.add(order.rank(index++), size); }));
        take = sizes.documentsFor(take);
      }
      choices.emplace(name, mixture::Choice(seed, name, n, take));
      decided[name] = {{"documents", n}, {"size", domains[i].size}, {"share", shares[i]}, {"taken", take}};
    }
    if (!domains.empty())
      decided[domains[takes.scarcest].name]["scarcest"] = true;
    return Status::ok();
  }

  json report() const override { return decided; }

  Result<std::unique_ptr<Pass>> pass() override { return std::unique_ptr<Pass>(new Take(*this)); }

private:
  struct Begin {
    uint64_t first, index; // of the chunk's first row: in the phase, in its domain
    std::string domain;
  };
  std::vector<Begin> chunks;
  std::map<std::string, mixture::Choice> choices;
  json decided = json::object();

  /// Calls take(row in the chunk, its size).
  template <class F> Status eachSize(const ChunkFile &c, F take) const {
    if (by == documents) {
      for (uint64_t i = 0; i < c.rows; ++i)
        take(i, 1);
      return Status::ok();
    }
    R1RT_ASSIGN(std::string text, readFile(c.path + ".sizes"));
    if (text.size() != c.rows * sizeof(uint32_t))
      return Status::error("`" + c.path + ".sizes` is damaged; help: --fresh begins the stage again");
    for (uint64_t i = 0; i < c.rows; ++i) {
      uint32_t size;
      std::memcpy(&size, text.data() + i * sizeof size, sizeof size);
      take(i, size);
    }
    return Status::ok();
  }

  struct Watch final : Observer {
    const Mix &m;
    std::string path, sizes;
    dedup::TextScratch scratch;
    std::vector<uint64_t> hashes;
    Watch(const Mix &m, std::string path) : m(m), path(std::move(path)) {}
    Status see(const Row &row) override {
      uint32_t size = uint32_t(std::min<size_t>(row.text.size(), UINT32_MAX));
      if (m.by == tokens) {
        dedup::hashUnits(row.text, dedup::unfolded, scratch, hashes);
        size = uint32_t(hashes.size());
      }
      sizes.append(reinterpret_cast<const char *>(&size), sizeof size);
      return Status::ok();
    }
    Status finish(std::vector<std::string> &written) override {
      written.push_back(path + ".sizes");
      return writeFileAtomic(path + ".sizes", sizes, Flush::later);
    }
  };

  struct Take final : RowPass {
    const Mix &m;
    explicit Take(const Mix &m) : m(m) {}
    Result<Fate> look(Row &row, uint64_t number, std::vector<Added> &more) override {
      auto it = std::upper_bound(m.chunks.begin(), m.chunks.end(), number,
                                 [](uint64_t n, const Begin &b) { return n < b.first; }) - 1;
      uint32_t copies = m.choices.at(it->domain).copies(it->index + number - it->first);
      for (uint32_t i = 1; i < copies; ++i)
        more.push_back({row, ""});
      return copies ? Fate{} : Fate{Fate::drop, "over_share", ""};
    }
  };
};

} // namespace

Result<std::unique_ptr<Barrier>> mixBarrier(const json &t) {
  auto m = std::make_unique<Mix>();
  std::string by = t.value("by", "tokens");
  if (by != "tokens" && by != "bytes" && by != "documents")
    return badTree("`mix` counts by tokens, bytes or documents, not by \"" + by + "\"");
  m->by = by == "tokens" ? Mix::tokens : by == "bytes" ? Mix::bytes : Mix::documents;
  m->names = t.value("domains", m->names);
  m->weight = t.value("weight", json::object());
  m->cap = t.value("cap", json::object());
  m->floor = t.value("floor", json::object());
  m->temper = t.value("temper", m->temper);
  m->repeat = t.value("repeat", m->repeat);
  m->seed = t.value("seed", m->seed);
  if (json total = t.value("total", json()); !total.is_null())
    m->total = total.get<uint64_t>();
  return std::unique_ptr<Barrier>(std::move(m));
}

} // namespace r1rt::corpus
