#include "runtime/data/Readers.h"
#include "runtime/source/Bytes.h"
#include "runtime/state/Files.h"
#include <algorithm>
#include <filesystem>
#include <glob.h>

namespace r1rt {

using nlohmann::json;

size_t findBadUtf8(std::string_view s) {
  auto byte = [&](size_t i) { return static_cast<unsigned char>(s[i]); };
  for (size_t i = 0; i < s.size();) {
    unsigned char c = byte(i);
    if (c < 0x80) {
      ++i;
      continue;
    }
    int n = c >= 0xC2 && c <= 0xDF ? 1 : (c & 0xF0) == 0xE0 ? 2 : c >= 0xF0 && c <= 0xF4 ? 3 : 0;
    if (!n || i + n >= s.size())
      return i;
    unsigned char d = byte(i + 1);
    // Overlong forms, surrogates and what lies beyond U+10FFFF show in the second byte.
    if ((c == 0xE0 && d < 0xA0) || (c == 0xED && d > 0x9F) || (c == 0xF0 && d < 0x90) ||
        (c == 0xF4 && d > 0x8F))
      return i;
    for (int k = 1; k <= n; ++k)
      if ((byte(i + k) & 0xC0) != 0x80)
        return i;
    i += n + 1;
  }
  return std::string_view::npos;
}

size_t utf8Boundary(std::string_view s, size_t at) {
  while (at < s.size() && (static_cast<unsigned char>(s[at]) & 0xC0) == 0x80)
    ++at;
  return std::min(at, s.size());
}

Result<std::vector<std::string>> expandPath(const std::string &path, const DataContext &ctx) {
  std::string full = path;
  if (!ctx.baseDir.empty() && !path.empty() && path[0] != '/')
    full = ctx.baseDir + "/" + path;
  std::error_code ec;
  // A file whose name happens to hold * or [ is meant literally.
  if (std::filesystem::exists(full, ec) || full.find_first_of("*?[") == std::string::npos)
    return std::vector<std::string>{full};
  glob_t g{};
  std::vector<std::string> out;
  int rc = glob(full.c_str(), 0, nullptr, &g);
  for (size_t i = 0; rc == 0 && i < g.gl_pathc; ++i)
    if (std::filesystem::is_regular_file(g.gl_pathv[i], ec))
      out.push_back(g.gl_pathv[i]);
  globfree(&g);
  if (out.empty())
    return Status::error("no file matches `" + full + "`");
  std::sort(out.begin(), out.end());
  return out;
}

/// The bytes of a file: as it is mapped, or decompressed.
struct FileText {
  MappedFile mapped;
  std::string decompressed;
  bool isCompressed = false;

  std::string_view text() const { return isCompressed ? decompressed : mapped.text(); }
};

static Result<FileText> openText(const std::string &path) {
  FileText file;
  R1RT_ASSIGN(file.mapped, MappedFile::open(path));
  file.isCompressed =
      source::compressionOf(file.mapped.text().substr(0, 4)) != source::Compression::plain;
  if (!file.isCompressed)
    return file;
  R1RT_ASSIGN(auto stream, source::ByteStream::open(path));
  for (std::string &to = file.decompressed;;) {
    size_t have = to.size(), more = std::max<size_t>(have, 1 << 20);
    to.resize(have + more);
    R1RT_ASSIGN(size_t n, stream->read(to.data() + have, more));
    to.resize(have + n);
    if (!n)
      return file;
  }
}

/// The text of a file, checked: not empty, UTF-8; without a byte order mark.
static Result<std::string_view> textOf(const FileText &file, const std::string &path) {
  std::string_view text = file.text();
  if (text.empty())
    return Status::error("`" + path + "` is empty");
  if (size_t bad = findBadUtf8(text); bad != std::string_view::npos) {
    char hex[8];
    std::snprintf(hex, sizeof hex, "%02x", static_cast<unsigned char>(text[bad]));
    return Status::error("`" + path + "` is not UTF-8: byte " + std::to_string(bad) + " (line " +
                         std::to_string(1 + std::count(text.begin(), text.begin() + bad, '\n')) +
                         ") is 0x" + hex);
  }
  if (text.starts_with("\xEF\xBB\xBF"))
    text.remove_prefix(3);
  return text;
}

/// Calls take(line) for each line, without its end (\n or \r\n).
template <class F> static void eachLine(std::string_view text, F take) {
  for (size_t at = 0; at < text.size();) {
    size_t end = std::min(text.find('\n', at), text.size());
    std::string_view line = text.substr(at, end - at);
    if (line.ends_with('\r'))
      line.remove_suffix(1);
    take(line);
    at = end + 1;
  }
}

static bool isBlank(std::string_view s) { return s.find_first_not_of(" \t\r\f\v") == s.npos; }

Result<CorpusPtr> readLines(const std::string &path, const std::string &by,
                            const DataContext &ctx) {
  if (by != "line" && by != "paragraph" && by != "file")
    return Status::error("`by` is \"" + by + "\"; it can be \"line\", \"paragraph\" or \"file\"",
                         ExitClass::program);
  R1RT_ASSIGN(std::vector<std::string> files, expandPath(path, ctx));
  auto corpus = std::make_shared<Corpus>();
  for (const std::string &name : files) {
    R1RT_ASSIGN(FileText file, openText(name));
    R1RT_ASSIGN(std::string_view text, textOf(file, name));
    auto add = [&](std::string row) {
      if (row.find_first_not_of(" \t\r\n\f\v") == row.npos)
        ++corpus->dropped;
      else
        corpus->rows.push_back({std::move(row), {}});
    };
    if (by == "file") {
      add(std::string(text));
    } else if (by == "line") {
      eachLine(text, [&](std::string_view line) { add(std::string(line)); });
    } else {
      std::string row;
      auto flush = [&] {
        if (!row.empty())
          add(std::move(row));
        row.clear();
      };
      eachLine(text, [&](std::string_view line) {
        if (isBlank(line) || line == "%") {
          flush();
          return;
        }
        if (!row.empty())
          row += '\n';
        row += line;
      });
      flush();
    }
  }
  if (corpus->rows.empty())
    return Status::error("`" + path + "` has no text, only empty rows");
  return CorpusPtr(corpus);
}

Result<CorpusPtr> readJsonl(const std::string &path, const DataContext &ctx) {
  R1RT_ASSIGN(std::vector<std::string> files, expandPath(path, ctx));
  auto corpus = std::make_shared<Corpus>();
  for (const std::string &name : files) {
    R1RT_ASSIGN(FileText file, openText(name));
    R1RT_ASSIGN(std::string_view text, textOf(file, name));
    uint64_t number = 0;
    Status st;
    eachLine(text, [&](std::string_view line) {
      ++number;
      if (!st.isOk() || isBlank(line)) {
        corpus->dropped += st.isOk();
        return;
      }
      json j = json::parse(line.begin(), line.end(), nullptr, /*allow_exceptions=*/false);
      if (!j.is_object()) {
        st = Status::error("line " + std::to_string(number) + " of `" + name +
                           "` is not a JSON object");
        return;
      }
      Row row;
      if (auto it = j.find("text"); it != j.end() && it->is_string()) {
        row.text = it->get<std::string>();
        j.erase(it);
      }
      if (!j.empty())
        row.more = std::move(j);
      corpus->rows.push_back(std::move(row));
    });
    R1RT_TRY(st);
  }
  if (corpus->rows.empty())
    return Status::error("`" + path + "` has no rows");
  return CorpusPtr(corpus);
}

} // namespace r1rt
