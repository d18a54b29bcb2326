#include "runtime/corpus/PhaseRun.h"
#include "runtime/corpus/Source.h"
#include "runtime/state/Files.h"
#include <algorithm>
#include <filesystem>
#include <system_error>
#include <thread>
#include <xxhash.h>

namespace r1rt::corpus {

using nlohmann::json;
namespace fs = std::filesystem;

/// Bytes of rows that are compressed, and kept in memory, at once; and of rows that wait, which stay in the cache
/// until they are written.
constexpr size_t frameBytes = 16 << 20, pieceBytes = 256 << 10;

json Sidecar::toJson() const {
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

Sidecar Sidecar::fromJson(const json &j, size_t passes) {
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

namespace {

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

} // namespace

/// Several files may be read after one another as if they were one, if each is small.
void PhaseRun::makeUnits() {
  auto sizeOf = [](const std::string &file) {
    std::error_code ec;
    uint64_t size = fs::file_size(file, ec);
    return ec ? 0 : size;
  };
  for (const Branch &b : phase.branches) {
    badRows[&b] = 0;
    if (b.origin.kind == Origin::phase)
      for (const ChunkFile &c : before[b.origin.from].chunks)
        units.push_back({&b, {c.path + ".rows"}, sizeOf(c.path + ".rows"), &c});
    Unit u{&b, {}};
    auto close = [&] {
      if (!u.files.empty())
        units.push_back(std::move(u));
      u = Unit{&b, {}};
    };
    for (const std::string &f : b.origin.files) {
      uint64_t size = sizeOf(f);
      if (u.bytes + size > o.chunkBytes)
        close();
      u.files.push_back(f);
      u.bytes += size;
    }
    close();
  }
  for (size_t i = 0; i < units.size(); ++i)
    if (int(i % size_t(o.ranks)) == o.rank)
      unitsBytes += units[i].bytes;
}

/// Is the pass what a barrier has decided about the rows of the branch?
bool PhaseRun::isDecided(const Branch &b, size_t pass) const {
  return b.origin.kind == Origin::phase && pass == b.passes.front();
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

Result<bool> PhaseRun::nextBlock(Chunk::Part &part) {
  const Unit &u = units[unit];
  while (file < u.files.size()) {
    auto broken = [&](const Status &st) -> Status {
      if (!skipsUnreadable(*u.branch))
        return st;
      part.before.emplace_back(file, st.message());
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
  resumeAt.reset();
  pending.reset();
}

/// A chunk that is there already.
Status PhaseRun::takeSidecar(const Sidecar &s) {
  const Unit &u = units[unit];
  rowsIn += s.rowsIn, rowsOut += s.rows, bytesIn += s.textBytesIn;
  rowsFound += s.rowsIn, bytesFound += s.textBytesIn;
  if (u.branch->pass != SIZE_MAX)
    if (auto &dropped = s.passes[u.branch->pass].dropped; dropped.count("bad_row"))
      badRows[u.branch] += dropped.at("bad_row");
  if (s.last) {
    endUnit();
    return Status::ok();
  }
  ++chunk;
  pending.reset();
  reader.reset();
  resumeAt = s.at; // a seek in a compressed file reads all of it: only where it is needed
  return Status::ok();
}

Status PhaseRun::goOn() {
  if (!resumeAt)
    return Status::ok();
  file = resumeAt->file;
  R1RT_ASSIGN(reader, source::BlockReader::open(units[unit].files[file],
                                                readerOptions(*units[unit].branch, o.chunkBytes)));
  R1RT_TRY(reader->seek(resumeAt->offset, resumeAt->line));
  resumeAt.reset();
  return Status::ok();
}

/// The next chunk that is not there yet; false at the end.
Result<bool> PhaseRun::nextChunk(Chunk &c) {
  while (unit < units.size()) {
    const Unit &u = units[unit];
    R1RT_ASSIGN(auto sidecar, done(unit, chunk));
    if (sidecar) {
      R1RT_TRY(takeSidecar(*sidecar));
      continue;
    }
    c = Chunk();
    c.unit = unit;
    c.number = chunk++;
    if (u.waiting) { // whole, and not read here
      c.last = true;
      endUnit();
      return true;
    }
    R1RT_TRY(goOn());
    uint64_t bytes = 0;
    while (true) {
      if (!pending) {
        Chunk::Part part;
        if (!spare.empty()) {
          part.block = std::move(spare.back());
          spare.pop_back();
        }
        R1RT_ASSIGN(bool more, nextBlock(part));
        if (!more) {
          c.atEnd = std::move(part.before);
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
  // An error found while stopping says what the request to stop does not: that the chunk is lost, and why.
  if (failure.isOk() || (failure.getExitClass() == ExitClass::interrupted && !st.isOk()))
    failure = st;
  stop = true;
}

Status PhaseRun::work(Worker &w, Chunk &c) {
  const Unit &u = units[c.unit];
  const Branch &b = *u.branch;
  for (size_t p : b.passes)
    if (auto &pass = w.passes[p]; !pass) {
      if (isDecided(b, p)) {
        R1RT_ASSIGN(pass, before[b.origin.from].barrier->pass());
      } else {
        R1RT_ASSIGN(pass, makers.at(p)());
      }
    }
  auto &rowReader = w.readers[&b];
  if (!rowReader && !u.waiting)
    rowReader = std::make_unique<RowReader>(b, ctx, o.chunkBytes);

  std::string path = pathOf(c.unit, c.number), &lines = w.lines;
  lines.clear();
  // Rows that wait are mapped when they are read; copies may make them many.
  OutFile out;
  R1RT_TRY(out.open(path + ".rows"));
  const size_t most = after ? pieceBytes : frameBytes;
  auto put = [&]() -> Status {
    std::string_view bytes = lines;
    if (!after) {
      R1RT_ASSIGN(bytes, w.packer.frame(lines));
    }
    R1RT_TRY(out.append(bytes));
    lines.clear();
    return Status::ok();
  };
  Ledger ledger(plan.ops, plan.generation);
  Sidecar s;
  std::unique_ptr<Observer> observer;
  if (after) {
    R1RT_ASSIGN(observer, after->observe(path));
  }
  uint64_t first = u.waiting ? u.waiting->first : 0;
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
    return lines.size() > most ? put() : Status::ok();
  };

  auto note = [&](const Chunk::Unreadable &files) {
    for (auto &[file, what] : files) {
      ledger.entered(b.pass, 1);
      ledger.dropped(b.pass, Row{"", "", idOfFile(u.files[file], ctx), "", ""}, "unreadable",
                     "{\"what\":" + jsonString(what) + "}");
      if (ctx.warn)
        ctx.warn(what + "; the rest of the file is left out");
    }
  };
  auto take = [&](Row &&row) -> Status {
    ++s.rowsIn;
    s.textBytesIn += row.text.size();
    rows.push_back(std::move(row));
    return rows.size() >= batchRows ? flush() : Status::ok();
  };
  for (Chunk::Part &part : c.parts) {
    note(part.before);
    R1RT_TRY(rowReader->read(u.files[part.file], part.block, ledger, badRows.at(&b), take));
    w.spare.push_back(std::move(part.block));
  }
  note(c.atEnd);
  if (u.waiting) {
    R1RT_ASSIGN(MappedFile file, MappedFile::open(u.files[0]));
    std::string_view rest = file.text();
    for (Row row; takeWaiting(rest, row); row = Row())
      R1RT_TRY(take(std::move(row)));
    if (!rest.empty() || s.rowsIn != u.waiting->rows)
      return Status::error("`" + u.files[0] + "` is damaged; help: --fresh begins the stage again");
  }
  R1RT_TRY(flush());
  for (size_t p = 0; p < plan.passes.size(); ++p)
    if (!ledger.passes()[p].agrees())
      return Status::error("the ledger of pass `" + plan.ops[p] + "` does not agree in chunk " + path +
                           ": " + ledger.passes()[p].toJson().dump());
  std::vector<std::string> written = {path + ".rows", path + ".ledger"};
  if (observer)
    R1RT_TRY(observer->finish(written));
  if (!lines.empty())
    R1RT_TRY(put());
  R1RT_TRY(out.finish(Flush::later));
  R1RT_ASSIGN(std::string_view packed, w.packer.frame(ledger.lines()));
  R1RT_TRY(writeFileAtomic(path + ".ledger", packed, Flush::later));
  s.last = c.last;
  s.at = c.at;
  s.passes = ledger.passes();
  for (auto &[p, digest] : digests)
    s.digests[p] = digest.text();
  rowsIn += s.rowsIn, rowsOut += s.rows, bytesIn += s.textBytesIn;
  R1RT_TRY(w.sealed());
  auto seal = [written = std::move(written), path = path + ".json",
               text = s.toJson().dump(-1, ' ', false, json::error_handler_t::replace)] {
    R1RT_TRY(flushFiles(written));
    return writeFileAtomic(path, text);
  };
  try {
    w.sealing = std::async(std::launch::async, seal);
  } catch (const std::system_error &) { // the system gives no more threads
    return seal();
  }
  return Status::ok();
}

void PhaseRun::report(bool atEnd) {
  std::unique_lock lock(reportMutex, std::try_to_lock);
  auto now = std::chrono::steady_clock::now();
  if (!o.progress || !lock || (!atEnd && now - reported < std::chrono::milliseconds(100)))
    return;
  reported = now;
  Progress p;
  p.rows = rowsIn, p.kept = rowsOut, p.textBytes = bytesIn;
  p.rowsFound = rowsFound, p.bytesFound = bytesFound;
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
  makeUnits();
  R1RT_TRY(makeDirs(dir));
  for (const Branch &b : phase.branches)
    for (size_t p : b.passes)
      if (!makers.count(p) && !isDecided(b, p)) {
        R1RT_ASSIGN(PassMaker maker, makerOf(plan.passes[p], ctx));
        makers.emplace(p, std::move(maker));
      }
  unit = size_t(o.rank);
  auto workOn = [&](Worker &w) {
    while (!stop) {
      if (o.stopAsked && o.stopAsked()) {
        fail(Status::error("asked to stop", ExitClass::interrupted));
        return;
      }
      Chunk c;
      {
        std::lock_guard lock(reading);
        for (source::Block &b : w.spare)
          if (spare.size() < o.threads + 1)
            spare.push_back(std::move(b));
        w.spare.clear();
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
  auto loop = [&] {
    Worker w;
    workOn(w);
    if (Status st = w.sealed(); !st)
      fail(st);
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
  // Of all ranks, and of runs that were interrupted.
  for (const Branch &b : phase.branches) {
    if (b.origin.kind != Origin::source)
      continue;
    auto &dropped = counts[b.pass].dropped;
    uint64_t bad = dropped.count("bad_row") ? dropped.at("bad_row") : 0;
    R1RT_TRY(tooManyBad(b, bad));
    if (bad && o.rank == 0 && ctx.warn)
      ctx.warn(std::to_string(bad) + " bad rows of `" + b.origin.node.value("path", "") +
               "` were left out; the ledger has them");
  }
  return all;
}

} // namespace r1rt::corpus
