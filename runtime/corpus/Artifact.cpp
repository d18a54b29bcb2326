#include "runtime/corpus/Artifact.h"
#include "runtime/source/Bytes.h"
#include "runtime/state/Dvc.h"
#include "runtime/state/Files.h"
#include <filesystem>

namespace r1rt::corpus {

using nlohmann::json;

Result<json> readAccount(const std::string &dir) {
  R1RT_ASSIGN(std::string text, readFile(dir + "/account.json"));
  json j = json::parse(text, nullptr, false);
  if (!j.is_object() || !j.contains("files") || !j["files"].is_array() || !j.contains("passes"))
    return Status::error("`" + dir + "/account.json` is damaged");
  return j;
}

static Result<std::vector<std::string>> filesOf(const std::string &dir, std::string_view kind) {
  R1RT_ASSIGN(json account, readAccount(dir));
  std::vector<std::string> out;
  for (const json &f : account["files"])
    if (std::string name = f.value("file", ""); name.starts_with(kind))
      out.push_back(dir + "/" + name);
  return out;
}

Result<std::vector<std::string>> shardFiles(const std::string &dir) { return filesOf(dir, "rows-"); }

Result<std::vector<std::string>> ledgerFiles(const std::string &dir) { return filesOf(dir, "ledger-"); }

struct LineReader::State {
  std::unique_ptr<source::ByteStream> stream;
  std::string buffer;
  size_t used = 0, searched = 0;
  bool end = false;
};

LineReader::LineReader() : s(new State) {}
LineReader::LineReader(LineReader &&) noexcept = default;
LineReader::~LineReader() = default;

Result<LineReader> LineReader::open(const std::string &path) {
  LineReader r;
  R1RT_ASSIGN(r.s->stream, source::ByteStream::open(path));
  return r;
}

Result<std::optional<std::string_view>> LineReader::next() {
  constexpr size_t piece = 1 << 20;
  for (;;) {
    size_t stop = s->buffer.find('\n', std::max(s->used, s->searched));
    if (stop != std::string::npos || (s->end && s->used < s->buffer.size())) {
      std::string_view line = std::string_view(s->buffer).substr(s->used, std::min(stop, s->buffer.size()) - s->used);
      s->used = s->searched = std::min(stop, s->buffer.size() - 1) + 1;
      return std::optional<std::string_view>(line);
    }
    if (s->end)
      return std::optional<std::string_view>();
    s->buffer.erase(0, s->used);
    s->used = 0;
    s->searched = s->buffer.size();
    s->buffer.resize(s->searched + piece);
    R1RT_ASSIGN(size_t n, s->stream->read(s->buffer.data() + s->searched, piece));
    s->buffer.resize(s->searched + n);
    s->end = n == 0;
  }
}

Status eachLine(const std::string &path, const std::function<Result<bool>(std::string_view)> &take) {
  R1RT_ASSIGN(LineReader lines, LineReader::open(path));
  for (;;) {
    R1RT_ASSIGN(std::optional<std::string_view> line, lines.next());
    if (!line)
      return Status::ok();
    R1RT_ASSIGN(bool more, take(*line));
    if (!more)
      return Status::ok();
  }
}

Result<std::vector<json>> historyOf(const std::string &dir, const std::string &id) {
  std::vector<json> found;
  // The row itself, and those made from it.
  std::string mine = jsonString(id), child = mine.substr(0, mine.size() - 1) + "~";
  auto isMeant = [&](std::string_view line, std::string_view key) {
    size_t at = line.find(key);
    if (at == line.npos)
      return false;
    std::string_view rest = line.substr(at + key.size());
    return rest.starts_with(mine) || rest.starts_with(child);
  };
  R1RT_ASSIGN(std::vector<std::string> ledgers, ledgerFiles(dir));
  for (const std::string &file : ledgers)
    R1RT_TRY(eachLine(file, [&](std::string_view line) -> Result<bool> {
      if (isMeant(line, "\"id\":"))
        found.push_back(json::parse(line, nullptr, false));
      return true;
    }));
  R1RT_ASSIGN(std::vector<std::string> shards, shardFiles(dir));
  for (const std::string &file : shards)
    R1RT_TRY(eachLine(file, [&](std::string_view line) -> Result<bool> {
      if (isMeant(line, "\"_id\":"))
        found.push_back({{"id", id}, {"outcome", "row"}, {"row", json::parse(line, nullptr, false)}});
      return true;
    }));
  return found;
}

Result<std::vector<std::string>> verify(const std::string &dir) {
  R1RT_ASSIGN(json account, readAccount(dir));
  std::vector<std::string> wrong;
  auto differs = [&](const std::string &what, const json &found, const json &expected) {
    if (found != expected)
      wrong.push_back(what + " is " + found.dump() + ", the account says " + expected.dump());
  };
  uint64_t rows = 0, bytes = 0;
  std::vector<PassCount> counted(account["passes"].size());
  for (const json &f : account["files"]) {
    std::string name = f.value("file", ""), path = dir + "/" + name;
    auto h = dvc::hashFile(path);
    if (!h) {
      wrong.push_back(h.status().message());
      continue;
    }
    differs("`" + name + "`: its size", h->size, f.value("bytes", json()));
    differs("`" + name + "`: its SHA-256", h->sha256, f.value("sha256", json()));
    differs("`" + name + "`: its MD5", h->md5, f.value("md5", json()));
    uint64_t lines = 0;
    Status st = eachLine(path, [&](std::string_view line) -> Result<bool> {
      ++lines;
      json j = json::parse(line, nullptr, false);
      if (!j.is_object()) {
        wrong.push_back("`" + name + "`: line " + std::to_string(lines) + " is not a JSON object");
        return false;
      }
      if (name.starts_with("rows-")) {
        bytes += j.value("text", "").size();
        return true;
      }
      size_t pass = j.value("pass", size_t(0));
      if (pass >= counted.size()) {
        wrong.push_back("`" + name + "`: line " + std::to_string(lines) + " names pass " + std::to_string(pass));
        return true;
      }
      std::string outcome = j.value("outcome", "");
      counted[pass].changed += outcome == "changed";
      counted[pass].duplicates += outcome == "duplicate";
      counted[pass].added += outcome == "added";
      if (outcome == "dropped")
        ++counted[pass].dropped[j.value("reason", "")];
      return true;
    });
    if (!st)
      wrong.push_back(st.message());
    if (name.starts_with("rows-")) {
      differs("`" + name + "`: its number of rows", lines, f.value("rows", json()));
      rows += lines;
    }
  }
  differs("the number of rows", rows, account.value("rows", json()));
  differs("the bytes of text", bytes, account.value("text_bytes", json()));
  for (size_t i = 0; i < counted.size(); ++i) {
    const json &p = account["passes"][i];
    PassCount c = PassCount::fromJson(p);
    std::string name = "pass " + std::to_string(i) + " (" + p.value("op", "") + ")";
    if (!c.agrees())
      wrong.push_back(name + ": its sums do not agree: " + p.dump());
    differs(name + ": lines of changed rows", counted[i].changed, c.changed);
    differs(name + ": lines of duplicates", counted[i].duplicates, c.duplicates);
    differs(name + ": lines of added rows", counted[i].added, c.added);
    differs(name + ": lines of dropped rows", counted[i].dropped, c.dropped);
  }
  return wrong;
}

} // namespace r1rt::corpus
