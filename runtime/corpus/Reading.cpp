#include "runtime/corpus/Reading.h"
#include "runtime/corpus/Source.h"

namespace r1rt::corpus {

using nlohmann::json;

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

void nameDomain(const Branch &b, size_t place, std::vector<Row> &rows) {
  for (auto &[at, domain] : b.domains)
    if (at == place)
      for (Row &row : rows)
        row.domain = domain;
}

bool skipsUnreadable(const Branch &b) {
  return b.origin.kind == Origin::source && b.origin.node.value("unreadable", "stop") == "skip";
}

/// Fields of a source that are called as ours get one underscore more: its `_id` is `__id`.
static std::string ourNamesFree(std::string_view more) {
  if (more.find("\"_id\"") == more.npos && more.find("\"_domain\"") == more.npos &&
      more.find("\"_key\"") == more.npos)
    return std::string(more);
  json j = json::parse(more, nullptr, /*allow_exceptions=*/false);
  if (!j.is_object())
    return std::string(more);
  for (const char *name : {"_id", "_domain", "_key"})
    if (auto it = j.find(name); it != j.end()) {
      json value = std::move(*it);
      j.erase(it);
      j[std::string("_") + name] = std::move(value);
    }
  return j.dump(-1, ' ', false, json::error_handler_t::replace);
}

RowReader::RowReader(const Branch &b, const Context &ctx, uint64_t chunkBytes)
    : branch(b), ctx(ctx), parser(readerOptions(b, chunkBytes)) {}

Status RowReader::read(const std::string &file, const source::Block &block, Ledger &ledger,
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
      row.more = ourNamesFree(r.more);
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
      ledger.dropped(branch.pass, Row{"", "", id, "", ""}, "bad_row",
                     "{\"line\":" + std::to_string(r.line) + ",\"what\":" + jsonString(r.what) + "}");
    uint64_t most = isSource ? branch.origin.node.value("bad_rows", uint64_t(0)) : 0;
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

Status tooManyBad(const Branch &b, uint64_t bad) {
  if (b.origin.kind != Origin::source || bad <= b.origin.node.value("bad_rows", uint64_t(0)))
    return Status::ok();
  return Status::error(std::to_string(bad) + " rows of `" + b.origin.node.value("path", "") + "` are bad, and " +
                       std::to_string(b.origin.node.value("bad_rows", uint64_t(0))) +
                       " may be; help: bad_rows = " + std::to_string(bad));
}

Status eachSourceRow(const Branch &b, const Context &ctx, const std::function<Status(Row &&)> &take) {
  constexpr uint64_t chunk = 8 << 20;
  std::vector<std::string> ops(b.pass == SIZE_MAX ? 1 : b.pass + 1);
  std::atomic<uint64_t> bad{0};
  RowReader rows(b, ctx, chunk);
  bool skip = skipsUnreadable(b);
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

} // namespace r1rt::corpus
