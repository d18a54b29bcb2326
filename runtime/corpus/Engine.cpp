#include "runtime/corpus/Engine.h"
#include "runtime/corpus/Artifact.h"
#include "runtime/corpus/Compressed.h"
#include "runtime/corpus/PhaseRun.h"
#include "runtime/state/Dvc.h"
#include "runtime/state/Files.h"
#include <filesystem>

namespace r1rt::corpus {

using nlohmann::json;
namespace fs = std::filesystem;

namespace {

/// What lies in the scratch folder was begun with the same chunks and passes, or is removed.
Status sameWork(const Plan &plan, const EngineOptions &o) {
  std::string path = o.dir + "/scratch/work.json";
  std::string work = json{{"chunk_bytes", o.chunkBytes}, {"passes", plan.passes}, {"version", 1}}.dump();
  std::error_code ec;
  if (auto was = readFile(path); was && *was == work)
    return Status::ok();
  fs::remove_all(o.dir + "/scratch", ec);
  R1RT_TRY(makeDirs(o.dir + "/scratch"));
  return writeFileAtomic(path, work);
}

/// Are the files there that the account lists?
bool isWhole(const json &account, const std::string &dir) {
  for (const json &f : account["files"]) {
    std::error_code ec;
    uint64_t size = fs::file_size(dir + "/" + f.value("file", ""), ec);
    if (ec || f.value("bytes", json()) != size)
      return false;
  }
  return true;
}

/// What is left behind is only in the way.
void removeScratch(const EngineOptions &o) {
  std::error_code ec;
  fs::remove_all(o.dir + "/scratch", ec);
}

DomainSizes sizesOf(const std::vector<ChunkFile> &chunks) {
  DomainSizes all;
  for (const ChunkFile &c : chunks)
    for (auto &[name, d] : c.domains)
      all[name] += d;
  return all;
}

} // namespace

DomainSize &DomainSize::operator+=(const DomainSize &o) {
  rows += o.rows, bytes += o.bytes;
  return *this;
}

static Result<json> make(const json &tree, const Context &ctx, const EngineOptions &options) {
  EngineOptions o = options;
  if (!o.meet)
    o.meet = [](const Status &st) { return st; };
  R1RT_TRY(o.meet(Status::ok())); // nobody writes while another looks
  auto made = readAccount(o.dir);
  bool isThere = made && isWhole(*made, o.dir);
  if (isThere) { // only the manifest was missing
    if (o.rank != 0)
      return json();
    removeScratch(o);
    return made;
  }
  R1RT_ASSIGN(Plan plan, planCorpus(tree, ctx));
  R1RT_TRY(o.meet(o.rank == 0 ? sameWork(plan, o) : Status::ok()));
  std::vector<PassCount> counts(plan.passes.size());
  std::vector<FinishedPhase> phases;
  std::map<size_t, json> decided; // by the barriers' passes
  std::map<size_t, std::string> digests;
  for (size_t p = 0; p < plan.phases.size(); ++p) {
    const Phase &phase = plan.phases[p];
    FinishedPhase done;
    if (phase.barrier != SIZE_MAX) {
      R1RT_ASSIGN(done.barrier, barrierOf(plan.passes[phase.barrier]));
    }
    PhaseRun run(plan, p, ctx, o, phases, done.barrier.get());
    R1RT_TRY(o.meet(run.run()));
    R1RT_ASSIGN(done.chunks, run.chunks());
    for (size_t i = 0; i < counts.size(); ++i)
      counts[i] += run.counted()[i];
    for (auto &[i, digest] : run.digested())
      digests[i] += digest;
    if (done.barrier) {
      Waiting w;
      w.dir = run.folder();
      w.chunks = done.chunks;
      w.rows = w.chunks.empty() ? 0 : w.chunks.back().first + w.chunks.back().rows;
      w.memory = o.memory, w.threads = o.threads, w.rank = o.rank, w.ranks = o.ranks, w.meet = o.meet;
      R1RT_TRY(done.barrier->decide(w));
      decided[phase.barrier] = done.barrier->report();
    }
    phases.push_back(std::move(done));
  }
  if (o.rank != 0)
    return json();

  // Chunks become shards: compressed frames may stand one after the other.
  json files = json::array();
  auto join = [&](const char *name, const std::vector<std::string> &parts,
                  const std::vector<uint64_t> &rows) -> Status {
    size_t at = 0;
    for (size_t shard = 0; shard == 0 || at < parts.size(); ++shard) {
      char file[64];
      std::snprintf(file, sizeof file, "%s-%05zu.jsonl.zst", name, shard);
      OutFile out;
      R1RT_TRY(out.open(o.dir + "/" + file));
      uint64_t n = 0;
      while (at < parts.size() && out.bytes() < o.shardBytes) {
        R1RT_TRY(out.appendFile(parts[at]));
        n += rows[at++];
      }
      if (!out.bytes()) { // a file without a frame is none that zstd can read
        Packer packer;
        R1RT_ASSIGN(std::string_view empty, packer.frame(""));
        R1RT_TRY(out.append(empty));
      }
      R1RT_TRY(out.finish());
      R1RT_ASSIGN(dvc::FileHashes h, dvc::hashFile(o.dir + "/" + file));
      files.push_back({{"file", file}, {"rows", n}, {"bytes", h.size}, {"sha256", h.sha256}, {"md5", h.md5}});
    }
    return Status::ok();
  };
  std::vector<std::string> rowParts, ledgerParts;
  std::vector<uint64_t> rows, lines;
  for (const ChunkFile &c : phases.back().chunks) {
    rowParts.push_back(c.path + ".rows");
    rows.push_back(c.rows);
  }
  for (const FinishedPhase &phase : phases)
    for (const ChunkFile &c : phase.chunks) {
      ledgerParts.push_back(c.path + ".ledger");
      lines.push_back(0);
    }
  R1RT_TRY(join("rows", rowParts, rows));
  R1RT_TRY(join("ledger", ledgerParts, lines));

  DomainSizes domains = sizesOf(phases.back().chunks);
  DomainSize total;
  json byDomain = json::object(), passes = json::array();
  for (auto &[name, d] : domains) {
    total += d;
    byDomain[name] = {{"rows", d.rows}, {"bytes", d.bytes}};
  }
  for (size_t i = 0; i < plan.passes.size(); ++i) {
    json p = counts[i].toJson();
    p["op"] = plan.ops[i];
    p["node"] = plan.passes[i];
    dvc::FileHashes h = dvc::hashText(digests[i]);
    p["sha256"] = h.sha256;
    p["md5"] = h.md5;
    if (auto it = decided.find(i); it != decided.end() && !it->second.is_null())
      p["decided"] = it->second;
    passes.push_back(std::move(p));
  }
  json account = {{"rows", total.rows},   {"text_bytes", total.bytes}, {"domains", byDomain},
                  {"passes", passes},     {"splits", plan.splits},     {"generation", plan.generation}, {"files", files}};
  R1RT_TRY(writeFileAtomic(o.dir + "/account.json", account.dump(1, ' ', false, json::error_handler_t::replace)));
  removeScratch(o);
  return account;
}

Result<json> makeCorpus(const json &tree, const Context &ctx, const EngineOptions &options) {
  try {
    return make(tree, ctx, options);
  } catch (const json::exception &e) { // an argument of another type than described
    return badTree(e.what());
  }
}

} // namespace r1rt::corpus
