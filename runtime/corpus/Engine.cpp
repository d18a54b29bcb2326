#include "runtime/corpus/Engine.h"
#include "runtime/corpus/Artifact.h"
#include "runtime/corpus/Barrier.h"
#include "runtime/corpus/Compressed.h"
#include "runtime/corpus/Plan.h"
#include "runtime/corpus/Source.h"
#include "runtime/source/Records.h"
#include "runtime/state/Dvc.h"
#include "runtime/state/Files.h"
#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <mutex>
#include <thread>
#include <xxhash.h>

namespace r1rt::corpus {

using nlohmann::json;
namespace fs = std::filesystem;

namespace {

/// Rows that go through the passes together.
constexpr size_t batchRows = 256;

/// Files that are read one after the other, of one branch.
struct Unit {
  const Branch *branch;
  std::vector<std::string> files;
  uint64_t bytes = 0; // on disk
};

/// Where a chunk ends.
struct Position {
  size_t file = 0; // of the unit
  uint64_t offset = 0, line = 1;
};

/// What a finished chunk left beside its rows.
struct Sidecar {
  uint64_t rows = 0, rowsIn = 0, textBytesIn = 0;
  bool last = false; // of its unit
  Position at;
  std::vector<PassCount> passes;
  std::map<size_t, std::string> digests; // of the rows that left a pass
  DomainSizes domains;                   // of the rows that left

  json toJson() const {
    json counts = json::object(), sizes = json::object(), hashes = json::object();
    for (size_t i = 0; i < passes.size(); ++i)
      if (passes[i].in || passes[i].out || passes[i].added)
        counts[std::to_string(i)] = passes[i].toJson();
    for (auto &[name, d] : domains)
      sizes[name] = {d.rows, d.bytes};
    for (auto &[pass, digest] : digests)
      hashes[std::to_string(pass)] = digest;
    return {{"digests", hashes},
            {"rows", rows},
            {"rows_in", rowsIn},
            {"bytes_in", textBytesIn},
            {"last", last},
            {"file", at.file},
            {"end", {at.offset, at.line}},
            {"passes", counts},
            {"domains", sizes}};
  }
  static Sidecar fromJson(const json &j, size_t passes) {
    Sidecar s;
    s.rows = j.at("rows");
    s.rowsIn = j.at("rows_in");
    s.textBytesIn = j.at("bytes_in");
    s.last = j.at("last");
    s.at = {j.at("file"), j.at("end").at(0), j.at("end").at(1)};
    s.passes.resize(passes);
    for (auto &[i, c] : j.at("passes").items())
      s.passes.at(std::stoul(i)) = PassCount::fromJson(c);
    for (auto &[i, digest] : j.at("digests").items())
      s.digests[std::stoul(i)] = digest;
    for (auto &[name, d] : j.at("domains").items())
      s.domains[name] = {d.at(0), d.at(1)};
    return s;
  }
};

/// Of ids, texts and fields, one row after the other; told in hexadecimal.
class Digest {
public:
  Digest() : state(XXH3_createState(), XXH3_freeState) { XXH3_128bits_reset(state.get()); }
  void add(const Row &row) {
    for (std::string_view part : {std::string_view(row.id), std::string_view(row.text), std::string_view(row.more)}) {
      uint64_t n = part.size();
      XXH3_128bits_update(state.get(), &n, sizeof n);
      XXH3_128bits_update(state.get(), part.data(), part.size());
    }
  }
  std::string text() const {
    XXH128_hash_t h = XXH3_128bits_digest(state.get());
    char out[40];
    std::snprintf(out, sizeof out, "%016llx%016llx", (unsigned long long)h.high64, (unsigned long long)h.low64);
    return out;
  }

private:
  std::unique_ptr<XXH3_state_t, decltype(&XXH3_freeState)> state;
};

/// A part of a unit, read but not yet looked at.
struct Chunk {
  size_t unit = 0, number = 0;
  struct Part {
    size_t file;
    source::Block block;
  };
  std::vector<Part> parts;
  std::vector<std::pair<size_t, std::string>> unreadable; // files that were skipped, with what is wrong
  bool last = false;
  Position at;
};

source::SourceOptions readerOptions(const Branch &b, uint64_t chunkBytes) {
  source::SourceOptions s;
  if (b.origin.kind == Origin::source) {
    s = *sourceOptions(b.origin.node); // was looked at when the tree was planned
    s.blockBytes = std::min(s.blockBytes, chunkBytes);
  } else {
    s.format = source::Format::jsonl;
    s.maxRecord = 1ull << 31; // ours may be as large as readers allow
    s.sameTypes = false;      // rows of several sources
    s.blockBytes = chunkBytes;
  }
  return s;
}

/// What `mix` calls the rows of a branch before they come to the pass at `place`.
void nameDomain(const Branch &b, size_t place, std::vector<Row> &rows) {
  for (auto &[at, domain] : b.domains)
    if (at == place)
      for (Row &row : rows)
        row.domain = domain;
}

/// Turns blocks of a branch into rows, and bad rows into lines of the ledger. One per thread.
class RowReader {
public:
  RowReader(const Branch &b, const Context &ctx, uint64_t chunkBytes)
      : branch(b), ctx(ctx), parser(readerOptions(b, chunkBytes)),
        most(b.origin.kind == Origin::source ? b.origin.node.value("bad_rows", uint64_t(0)) : 0) {}

  /// `bad` counts the bad rows of the whole phase.
  Status read(const std::string &file, const source::Block &block, Ledger &ledger,
              std::atomic<uint64_t> &bad, const std::function<Status(Row &&)> &take) {
    bool isSource = branch.origin.kind == Origin::source;
    std::string name = isSource ? idOfFile(file, ctx) : "";
    uint64_t came = 0, lost = 0;
    Status st; // the first error; nothing is looked at after it
    auto onRow = [&](const source::Record &r) {
      if (!st.isOk())
        return;
      ++came;
      Row row;
      if (isSource) {
        row.text = r.text;
        row.more = r.more;
        row.id = name + "@" + std::to_string(r.offset);
      } else {
        row = rowOfShard(r.text, r.more);
      }
      st = take(std::move(row));
    };
    auto onBad = [&](const source::BadRow &r) {
      if (!st.isOk())
        return;
      ++lost;
      std::string id = name + "@" + std::to_string(r.offset);
      if (branch.pass != SIZE_MAX)
        ledger.dropped(branch.pass, id, "bad_row",
                       "{\"line\":" + std::to_string(r.line) + ",\"what\":" + jsonString(r.what) + "}");
      if (bad.fetch_add(1) >= most)
        st = Status::error("line " + std::to_string(r.line) + " (byte " + std::to_string(r.offset) +
                           "): " + r.what +
                           (most ? "; more than " + std::to_string(most) + " rows are bad" : "") +
                           "; help: bad_rows = N lets N of them pass and notes them in the ledger");
    };
    R1RT_TRY(parser.parse(block, onRow, onBad));
    if (branch.pass != SIZE_MAX) {
      ledger.entered(branch.pass, came + lost);
      ledger.left(branch.pass, came);
    }
    return st.withContext("`" + file + "`");
  }

private:
  const Branch &branch;
  const Context &ctx;
  source::RecordParser parser;
  uint64_t most;
};

/// The rows of a branch that begins with files, in order, on this thread.
Status eachSourceRow(const Branch &b, const Context &ctx, const std::function<Status(Row &&)> &take) {
  constexpr uint64_t chunk = 8 << 20;
  std::vector<std::string> ops(b.pass == SIZE_MAX ? 1 : b.pass + 1);
  std::atomic<uint64_t> bad{0};
  RowReader rows(b, ctx, chunk);
  bool skip = b.origin.kind == Origin::source && b.origin.node.value("unreadable", "stop") == "skip";
  for (const std::string &file : b.origin.files) {
    auto read = [&]() -> Status {
      Ledger ledger(ops);
      R1RT_ASSIGN(auto reader, source::BlockReader::open(file, readerOptions(b, chunk)));
      for (source::Block block;;) {
        R1RT_ASSIGN(bool more, reader->next(block));
        if (!more)
          return Status::ok();
        if (Status st = rows.read(file, block, ledger, bad, take); !st) {
          skip = false; // the file was read, what it holds is the matter
          return st;
        }
      }
    };
    if (Status st = read(); !st) {
      if (!skip)
        return st;
      if (ctx.warn)
        ctx.warn(st.message() + "; the rest of the file is left out");
    }
  }
  if (bad && ctx.warn)
    ctx.warn(std::to_string(bad) + " bad rows of `" + b.origin.node.value("path", "") + "` were left out");
  return Status::ok();
}

/// One phase of a plan on one rank.
class PhaseRun {
public:
  PhaseRun(const Plan &plan, size_t phase, const Context &ctx, const EngineOptions &o,
           Barrier *before, Barrier *after, const std::vector<ChunkFile> *earlier)
      : plan(plan), phase(plan.phases[phase]), number(phase), ctx(ctx), o(o), before(before),
        after(after), earlier(earlier), dir(o.dir + "/scratch/" + std::to_string(phase)) {}

  /// Makes what is not there yet of this rank's chunks.
  Status run();
  /// All chunks of all ranks, in order, once they are there.
  Result<std::vector<ChunkFile>> chunks();
  /// What all chunks have counted, and the digests of what left each pass, one after the other.
  const std::vector<PassCount> &counted() const { return counts; }
  const std::map<size_t, std::string> &digested() const { return digests; }
  const std::string &folder() const { return dir; }

private:
  const Plan &plan;
  const Phase &phase;
  const size_t number;
  const Context &ctx;
  const EngineOptions &o;
  Barrier *before, *after;
  const std::vector<ChunkFile> *earlier; // of the phase before
  const std::string dir;
  std::vector<Unit> units;
  std::vector<PassCount> counts;
  std::map<size_t, std::string> digests;

  std::string pathOf(size_t unit, size_t chunk) const {
    char name[48];
    std::snprintf(name, sizeof name, "/%06zu-%06zu", unit, chunk);
    return dir + name;
  }
  Status makeUnits();
  Result<std::optional<Sidecar>> done(size_t unit, size_t chunk) const;

  // ── reading: one at a time ──
  std::mutex reading;
  size_t unit = 0, chunk = 0, file = 0;
  std::unique_ptr<source::BlockReader> reader;
  uint64_t unitsBytes = 0, passedBytes = 0; // on disk, of this rank
  std::optional<Chunk::Part> pending;
  Result<bool> nextBlock(Chunk::Part &part, Chunk &into);
  Result<bool> nextChunk(Chunk &c);
  void endUnit();

  // ── working: many at a time ──
  struct Worker {
    std::map<size_t, std::unique_ptr<Pass>> passes;
    std::map<const Branch *, std::unique_ptr<RowReader>> readers;
  };
  std::map<size_t, PassMaker> makers;
  std::atomic<uint64_t> rowsIn{0}, rowsOut{0}, bytesIn{0}, badRows{0};
  std::mutex failing;
  Status failure;
  std::atomic<bool> stop{false};
  void fail(const Status &st);
  Status work(Worker &w, Chunk &c);
  void report(bool atEnd);
  std::chrono::steady_clock::time_point reported;
  std::mutex reportMutex;
};

/// Several files may be read after one another as if they were one, if each is small.
Status PhaseRun::makeUnits() {
  for (const Branch &b : phase.branches) {
    std::vector<std::string> files = b.origin.files;
    if (b.origin.kind == Origin::phase)
      for (const ChunkFile &c : *earlier)
        files.push_back(c.path + ".rows");
    Unit u{&b, {}, 0};
    auto close = [&] {
      if (!u.files.empty())
        units.push_back(std::move(u));
      u = Unit{&b, {}, 0};
    };
    for (const std::string &f : files) {
      std::error_code ec;
      uint64_t size = fs::file_size(f, ec);
      size = ec ? 0 : size;
      // The rows of a chunk are numbered from its first, so it stays alone.
      if (b.origin.kind == Origin::phase || u.bytes + size > o.chunkBytes)
        close();
      u.files.push_back(f);
      u.bytes += size;
    }
    close();
  }
  for (size_t i = 0; i < units.size(); ++i)
    if (int(i % size_t(o.ranks)) == o.rank)
      unitsBytes += units[i].bytes;
  return Status::ok();
}

Result<std::optional<Sidecar>> PhaseRun::done(size_t unit, size_t chunk) const {
  std::string path = pathOf(unit, chunk) + ".json";
  std::error_code ec;
  if (!fs::exists(path, ec))
    return std::optional<Sidecar>();
  R1RT_ASSIGN(std::string text, readFile(path));
  try {
    return std::optional<Sidecar>(Sidecar::fromJson(json::parse(text), plan.passes.size()));
  } catch (const std::exception &e) {
    return Status::error("`" + path + "` is damaged (" + e.what() + "); help: --fresh begins the stage again");
  }
}

Result<bool> PhaseRun::nextBlock(Chunk::Part &part, Chunk &into) {
  const Unit &u = units[unit];
  bool skip = u.branch->origin.kind == Origin::source &&
              u.branch->origin.node.value("unreadable", "stop") == "skip";
  while (file < u.files.size()) {
    auto broken = [&](const Status &st) -> Status {
      if (!skip)
        return st;
      into.unreadable.emplace_back(file, st.message());
      reader.reset();
      ++file;
      return Status::ok();
    };
    if (!reader) {
      auto opened = source::BlockReader::open(u.files[file], readerOptions(*u.branch, o.chunkBytes));
      if (!opened) {
        R1RT_TRY(broken(opened.status()));
        continue;
      }
      reader = opened.take();
    }
    auto more = reader->next(part.block);
    if (!more) {
      R1RT_TRY(broken(more.status()));
      continue;
    }
    if (*more) {
      part.file = file;
      return true;
    }
    reader.reset();
    ++file;
  }
  return false;
}

void PhaseRun::endUnit() {
  passedBytes += units[unit].bytes;
  unit += size_t(o.ranks);
  chunk = file = 0;
  reader.reset();
  pending.reset();
}

/// The next chunk that is not there yet; false at the end.
Result<bool> PhaseRun::nextChunk(Chunk &c) {
  while (unit < units.size()) {
    const Unit &u = units[unit];
    R1RT_ASSIGN(auto sidecar, done(unit, chunk));
    if (sidecar) {
      rowsIn += sidecar->rowsIn, rowsOut += sidecar->rows, bytesIn += sidecar->textBytesIn;
      if (sidecar->last) {
        endUnit();
        continue;
      }
      ++chunk;
      pending.reset();
      if (!reader || file != sidecar->at.file) {
        file = sidecar->at.file;
        R1RT_ASSIGN(reader, source::BlockReader::open(u.files[file], readerOptions(*u.branch, o.chunkBytes)));
      }
      R1RT_TRY(reader->seek(sidecar->at.offset, sidecar->at.line));
      continue;
    }
    c = Chunk();
    c.unit = unit;
    c.number = chunk++;
    if (u.branch->origin.kind == Origin::phase) { // whole, and not read here
      c.last = true;
      endUnit();
      return true;
    }
    uint64_t bytes = 0;
    while (true) {
      if (!pending) {
        Chunk::Part part;
        R1RT_ASSIGN(bool more, nextBlock(part, c));
        if (!more) {
          c.last = true;
          c.at = {u.files.size()};
          break;
        }
        pending = std::move(part);
      }
      uint64_t size = std::max<uint64_t>(pending->block.bytes.size(), 1);
      if (!c.parts.empty() && bytes + size > o.chunkBytes)
        break;
      bytes += size;
      c.at = {pending->file, pending->block.end, pending->block.nextLine};
      c.parts.push_back(std::move(*pending));
      pending.reset();
    }
    if (c.last)
      endUnit();
    return true;
  }
  return false;
}

void PhaseRun::fail(const Status &st) {
  std::lock_guard lock(failing);
  if (failure.isOk())
    failure = st;
  stop = true;
}

Status PhaseRun::work(Worker &w, Chunk &c) {
  const Unit &u = units[c.unit];
  const Branch &b = *u.branch;
  for (size_t p : b.passes)
    if (auto &pass = w.passes[p]; !pass) {
      if (p == b.passes.front() && before && b.origin.kind == Origin::phase) {
        R1RT_ASSIGN(pass, before->pass());
      } else {
        R1RT_ASSIGN(pass, makers.at(p)());
      }
    }
  auto &rowReader = w.readers[&b];
  if (!rowReader && b.origin.kind != Origin::phase)
    rowReader = std::make_unique<RowReader>(b, ctx, o.chunkBytes);

  std::string path = pathOf(c.unit, c.number), lines;
  Ledger ledger(plan.ops);
  Sidecar s;
  std::unique_ptr<Observer> observer;
  if (after) {
    R1RT_ASSIGN(observer, after->observe(path));
  }
  bool waited = b.origin.kind == Origin::phase;
  uint64_t first = waited ? (*earlier)[c.unit].first : 0;
  std::vector<Row> rows;
  std::map<size_t, Digest> digests;
  auto flush = [&]() -> Status {
    uint64_t came = rows.size();
    if (b.pass != SIZE_MAX)
      for (const Row &row : rows)
        digests[b.pass].add(row);
    for (size_t i = 0; i < b.passes.size(); ++i) {
      size_t p = b.passes[i];
      nameDomain(b, i, rows);
      ledger.entered(p, rows.size());
      R1RT_TRY(w.passes[p]->apply(rows, first, p, ledger));
      ledger.left(p, rows.size());
      for (const Row &row : rows)
        digests[p].add(row);
    }
    nameDomain(b, b.passes.size(), rows);
    first += came;
    for (Row &row : rows) {
      if (after)
        appendWaiting(row, lines);
      else
        appendShardLine(row, lines);
      ++s.rows;
      DomainSize &d = s.domains[row.domain];
      ++d.rows;
      d.bytes += row.text.size();
      if (observer)
        R1RT_TRY(observer->see(row));
    }
    rows.clear();
    return Status::ok();
  };

  for (auto &[file, what] : c.unreadable) {
    ledger.entered(b.pass, 1);
    ledger.dropped(b.pass, idOfFile(u.files[file], ctx), "unreadable",
                   "{\"what\":" + jsonString(what) + "}");
    if (ctx.warn)
      ctx.warn(what + "; the rest of the file is left out");
  }
  auto take = [&](Row &&row) -> Status {
    ++s.rowsIn;
    s.textBytesIn += row.text.size();
    rows.push_back(std::move(row));
    return rows.size() >= batchRows ? flush() : Status::ok();
  };
  for (Chunk::Part &part : c.parts) {
    R1RT_TRY(rowReader->read(u.files[part.file], part.block, ledger, badRows, take));
    part.block = {};
  }
  if (waited) {
    R1RT_ASSIGN(MappedFile file, MappedFile::open(u.files[0]));
    std::string_view rest = file.text();
    for (Row row; takeWaiting(rest, row); row = Row())
      R1RT_TRY(take(std::move(row)));
    if (!rest.empty() || s.rowsIn != (*earlier)[c.unit].rows)
      return Status::error("`" + u.files[0] + "` is damaged; help: --fresh begins the stage again");
  }
  R1RT_TRY(flush());
  for (size_t p = 0; p < plan.passes.size(); ++p)
    if (!ledger.passes()[p].agrees())
      return Status::error("the ledger of pass `" + plan.ops[p] + "` does not agree in chunk " + path +
                           ": " + ledger.passes()[p].toJson().dump());
  if (observer)
    R1RT_TRY(observer->finish());
  R1RT_TRY(after ? writeFileAtomic(path + ".rows", lines) : writeCompressed(path + ".rows", lines));
  R1RT_TRY(writeCompressed(path + ".ledger", ledger.lines()));
  s.last = c.last;
  s.at = c.at;
  s.passes = ledger.passes();
  for (auto &[p, digest] : digests)
    s.digests[p] = digest.text();
  R1RT_TRY(writeFileAtomic(path + ".json", s.toJson().dump()));
  rowsIn += s.rowsIn, rowsOut += s.rows, bytesIn += s.textBytesIn;
  return Status::ok();
}

void PhaseRun::report(bool atEnd) {
  std::unique_lock lock(reportMutex, std::try_to_lock);
  auto now = std::chrono::steady_clock::now();
  if (!o.progress || !lock || (!atEnd && now - reported < std::chrono::milliseconds(100)))
    return;
  reported = now;
  Progress p;
  p.step = "rows";
  p.rows = rowsIn, p.kept = rowsOut, p.textBytes = bytesIn;
  {
    std::lock_guard inReader(reading);
    uint64_t at = passedBytes + (reader ? reader->compressedOffset() : 0);
    p.done = atEnd ? 1 : unitsBytes ? std::min(1.0, double(at) / double(unitsBytes)) : 1;
  }
  p.phase = unsigned(number + 1);
  p.phases = unsigned(plan.phases.size());
  o.progress(p);
}

Status PhaseRun::run() {
  R1RT_TRY(makeUnits());
  R1RT_TRY(makeDirs(dir));
  for (const Branch &b : phase.branches)
    for (size_t p : b.passes)
      if (!makers.count(p) && !(b.origin.kind == Origin::phase && p == b.passes.front())) {
        R1RT_ASSIGN(PassMaker maker, makerOf(plan.passes[p], ctx));
        makers.emplace(p, std::move(maker));
      }
  unit = size_t(o.rank);
  auto loop = [&] {
    Worker w;
    while (!stop) {
      if (o.stopAsked && o.stopAsked()) {
        fail(Status::error("asked to stop", ExitClass::interrupted));
        return;
      }
      Chunk c;
      {
        std::lock_guard lock(reading);
        auto more = nextChunk(c);
        if (!more)
          return fail(more.status());
        if (!*more)
          return;
      }
      if (Status st = work(w, c); !st)
        return fail(st);
      report(false);
    }
  };
  std::vector<std::thread> others;
  for (unsigned i = 1; i < o.threads; ++i)
    others.emplace_back(loop);
  loop();
  for (std::thread &t : others)
    t.join();
  R1RT_TRY(failure);
  report(true);
  return Status::ok();
}

Result<std::vector<ChunkFile>> PhaseRun::chunks() {
  std::vector<ChunkFile> all;
  counts.assign(plan.passes.size(), {});
  uint64_t first = 0;
  for (size_t u = 0; u < units.size(); ++u)
    for (size_t k = 0;; ++k) {
      R1RT_ASSIGN(auto s, done(u, k));
      if (!s)
        return Status::error("chunk " + pathOf(u, k) + " is missing");
      all.push_back({pathOf(u, k), first, s->rows, s->domains});
      first += s->rows;
      for (size_t p = 0; p < counts.size(); ++p)
        counts[p] += s->passes[p];
      for (auto &[p, digest] : s->digests)
        digests[p] += digest;
      if (s->last)
        break;
    }
  return all;
}

/// An error that names the pass which left nothing, if one did.
Status keptSome(const Plan &plan, const std::vector<PassCount> &counts) {
  for (size_t i = 0; i < counts.size(); ++i)
    if (counts[i].in && !counts[i].out) {
      std::string part = plan.passes[i].value("part", "");
      return Status::error((plan.ops[i] == "split" ? "the part `" + part + "` of the split got"
                                                   : "`" + plan.ops[i] + "` kept") +
                           " none of the " + std::to_string(counts[i].in) + " rows");
    }
  return Status::ok();
}

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

Result<json> makeCorpus(const json &tree, const Context &ctx, const EngineOptions &options) {
  EngineOptions o = options;
  if (!o.meet)
    o.meet = [](const Status &st) { return st; };
  std::error_code ec;
  if (fs::exists(o.dir + "/account.json", ec)) { // only the manifest was missing
    R1RT_TRY(o.meet(Status::ok()));
    return readAccount(o.dir);
  }
  R1RT_ASSIGN(Plan plan, planCorpus(tree, ctx));
  R1RT_TRY(o.meet(o.rank == 0 ? sameWork(plan, o) : Status::ok()));
  std::vector<PassCount> counts(plan.passes.size());
  std::vector<std::vector<ChunkFile>> phases;
  std::map<size_t, json> decided; // by the barriers' passes
  std::map<size_t, std::string> digests;
  std::unique_ptr<Barrier> before;
  for (size_t p = 0; p < plan.phases.size(); ++p) {
    const Phase &phase = plan.phases[p];
    std::unique_ptr<Barrier> after;
    if (phase.barrier != SIZE_MAX) {
      R1RT_ASSIGN(after, barrierOf(plan.passes[phase.barrier]));
    }
    PhaseRun run(plan, p, ctx, o, before.get(), after.get(), p ? &phases.back() : nullptr);
    R1RT_TRY(o.meet(run.run()));
    R1RT_ASSIGN(std::vector<ChunkFile> chunks, run.chunks());
    for (size_t i = 0; i < counts.size(); ++i)
      counts[i] += run.counted()[i];
    for (auto &[i, digest] : run.digested())
      digests[i] += digest;
    if (after) {
      Waiting w;
      w.dir = run.folder();
      w.chunks = chunks;
      w.rows = chunks.empty() ? 0 : chunks.back().first + chunks.back().rows;
      w.domains = sizesOf(chunks);
      w.memory = o.memory, w.threads = o.threads, w.rank = o.rank, w.ranks = o.ranks, w.meet = o.meet;
      R1RT_TRY(after->decide(w));
      decided[phase.barrier] = after->report();
    }
    phases.push_back(std::move(chunks));
    before = std::move(after);
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
      JoinedFile out;
      R1RT_TRY(out.open(o.dir + "/" + file));
      uint64_t n = 0;
      while (at < parts.size() && out.bytes() < o.shardBytes) {
        R1RT_TRY(out.append(parts[at]));
        n += rows[at++];
      }
      R1RT_TRY(out.finish());
      R1RT_ASSIGN(dvc::FileHashes h, dvc::hashFile(o.dir + "/" + file));
      files.push_back({{"file", file}, {"rows", n}, {"bytes", h.size}, {"sha256", h.sha256}, {"md5", h.md5}});
    }
    return Status::ok();
  };
  std::vector<std::string> rowParts, ledgerParts;
  std::vector<uint64_t> rows, lines;
  for (const ChunkFile &c : phases.back()) {
    rowParts.push_back(c.path + ".rows");
    rows.push_back(c.rows);
  }
  for (auto &chunks : phases)
    for (const ChunkFile &c : chunks) {
      ledgerParts.push_back(c.path + ".ledger");
      lines.push_back(0);
    }
  R1RT_TRY(join("rows", rowParts, rows));
  R1RT_TRY(join("ledger", ledgerParts, lines));

  DomainSizes domains = sizesOf(phases.back());
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
                  {"passes", passes},     {"derived", plan.derived},   {"files", files}};
  R1RT_TRY(writeFileAtomic(o.dir + "/account.json", account.dump(1)));
  fs::remove_all(o.dir + "/scratch", ec); // what is left behind is only in the way
  return account;
}

Status eachRow(const json &tree, const Context &ctx, const std::function<Status(Row &&)> &take) {
  R1RT_ASSIGN(Plan plan, planCorpus(tree, ctx));
  std::vector<Row> waiting; // of the phase before
  std::unique_ptr<Barrier> before;
  Ledger ledger(plan.ops);
  for (size_t p = 0; p < plan.phases.size(); ++p) {
    const Phase &phase = plan.phases[p];
    bool last = p + 1 == plan.phases.size();
    if (!last && !isSmall(plan.passes[phase.barrier]))
      return Status::error("`" + plan.ops[phase.barrier] +
                               "` has to see all rows first, so it needs a stage of its own: stage s = … |> " +
                               plan.ops[phase.barrier] + "(…)",
                           ExitClass::program);
    std::vector<Row> out;
    for (const Branch &b : phase.branches) {
      std::vector<std::unique_ptr<Pass>> passes;
      for (size_t i : b.passes) {
        if (before && i == b.passes.front()) {
          R1RT_ASSIGN(std::unique_ptr<Pass> pass, before->pass());
          passes.push_back(std::move(pass));
        } else {
          R1RT_ASSIGN(PassMaker maker, makerOf(plan.passes[i], ctx));
          R1RT_ASSIGN(std::unique_ptr<Pass> pass, maker());
          passes.push_back(std::move(pass));
        }
      }
      uint64_t first = 0;
      std::vector<Row> rows;
      auto flush = [&]() -> Status {
        uint64_t came = rows.size();
        for (size_t i = 0; i < passes.size(); ++i) {
          nameDomain(b, i, rows);
          ledger.entered(b.passes[i], rows.size());
          R1RT_TRY(passes[i]->apply(rows, first, b.passes[i], ledger));
          ledger.left(b.passes[i], rows.size());
        }
        nameDomain(b, passes.size(), rows);
        ledger.forget();
        first += came;
        for (Row &row : rows) {
          if (last)
            R1RT_TRY(take(std::move(row)));
          else
            out.push_back(std::move(row));
        }
        rows.clear();
        return Status::ok();
      };
      if (b.origin.kind == Origin::phase) {
        for (size_t at = 0; at < waiting.size(); at += batchRows) {
          for (size_t i = at; i < std::min(waiting.size(), at + batchRows); ++i)
            rows.push_back(std::move(waiting[i]));
          R1RT_TRY(flush());
        }
        continue;
      }
      R1RT_TRY(eachSourceRow(b, ctx, [&](Row &&row) -> Status {
        rows.push_back(std::move(row));
        return rows.size() >= batchRows ? flush() : Status::ok();
      }));
      R1RT_TRY(flush());
    }
    if (!last) {
      R1RT_ASSIGN(before, barrierOf(plan.passes[phase.barrier]));
      Waiting w;
      w.rows = out.size();
      w.chunks.resize(1);
      w.chunks[0].rows = out.size();
      for (const Row &row : out)
        w.chunks[0].domains[row.domain].bytes += row.text.size();
      w.meet = [](const Status &st) { return st; };
      R1RT_TRY(before->decide(w));
    }
    waiting = std::move(out);
  }
  return keptSome(plan, ledger.passes());
}

} // namespace r1rt::corpus
