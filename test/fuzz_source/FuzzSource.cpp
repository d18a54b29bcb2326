// The first byte says how the rest, a file, is read. Whatever it is, texts are UTF-8 without NUL,
// other fields are JSON for another parser, too, and neither the size of blocks nor a stop between
// two of them shows. JSON lines are compared with what that parser makes of them.
#include "runtime/source/Records.h"
#include "runtime/text/Utf8.h"
#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <sys/mman.h>
#include <unistd.h>

using namespace r1rt;
using namespace r1rt::source;
using nlohmann::json;

namespace {

[[noreturn]] void stop(const std::string &why) {
  fprintf(stderr, "%s\n", why.c_str());
  abort();
}

/// All that came out, as text: rows, bad rows, the error.
struct Log {
  std::string text;
  std::vector<std::pair<uint64_t, std::string>> rows; // offset and text, of records
  bool operator==(const Log &o) const { return text == o.text; }
};

void check(const Record &r) {
  if (text::findBadUtf8(r.text) != r.text.npos || r.text.find('\0') != r.text.npos)
    stop("the text is not UTF-8, or has a NUL");
  if (r.more.empty())
    return;
  json j = json::parse(r.more, nullptr, false);
  if (!j.is_object() || j.empty())
    stop("no object: " + std::string(r.more));
}

void take(RecordParser &parser, const Block &block, Log &log, Status &error) {
  auto at = [&](uint64_t offset) {
    if (offset < block.offset || offset >= block.end)
      stop("an offset outside of its block");
    return std::to_string(offset);
  };
  Status s = parser.parse(
      block,
      [&](const Record &r) {
        check(r);
        log.rows.emplace_back(r.offset, r.text);
        log.text += at(r.offset) + ":" + std::string(r.text) + "\1" + std::string(r.more) + "\n";
      },
      [&](const BadRow &b) {
        log.text += at(b.offset) + ", line " + std::to_string(b.line) + ":" + b.what + "\n";
      });
  if (!s && error.isOk())
    error = s;
}

/// Reads the file; after `pause` blocks goes on with another reader.
Log read(const std::string &path, const SourceOptions &options, size_t pause) {
  Log log;
  ExpansionLimits limits{.ratio = 100, .ratioFrom = 1 << 20};
  auto reader = BlockReader::open(path, options, limits);
  if (!reader) {
    log.text = reader.status().message();
    return log;
  }
  RecordParser parser(options);
  Status error;
  Block block;
  for (size_t n = 0; error.isOk(); ++n) {
    if (n == pause && n) {
      reader = BlockReader::open(path, options, limits);
      if (!reader)
        stop("does not open again");
      if (Status s = (*reader)->seek(block); !s)
        stop("cannot go on: " + s.message());
    }
    auto more = (*reader)->next(block);
    if (!more)
      error = more.status();
    else if (!*more)
      break;
    else
      take(parser, block, log, error);
  }
  // A decoder that goes on elsewhere may tell damage at another byte.
  log.text += error.isOk() ? "the end" : "an error";
  return log;
}

/// What another parser makes of lines that are short and flat enough for both.
void compare(std::string_view bytes, const Log &log) {
  size_t row = 0;
  for (size_t i = bytes.starts_with("\xEF\xBB\xBF") ? 3 : 0; i < bytes.size();) {
    size_t end = std::min(bytes.find('\n', i), bytes.size());
    std::string_view line = bytes.substr(i, end - i);
    json j = json::parse(line, nullptr, false);
    if (line.find('\0') != line.npos || line.starts_with("\xEF\xBB\xBF"))
      j = json(); // it takes these for the end and for nothing
    bool found = row < log.rows.size() && log.rows[row].first == i;
    if (found && (!j.is_object() || (j.contains("text") && j["text"] != log.rows[row].second)))
      stop("this is no row, or has another text: " + std::string(line));
    if (!found && j.is_object() && j.contains("text") && j["text"].is_string() &&
        j["text"].get<std::string>().find('\0') == std::string::npos &&
        log.text.find(" it is ") == log.text.npos && log.text.find("deeper") == log.text.npos &&
        log.text.find("one JSON list") == log.text.npos)
      stop("this is a row: " + std::string(line) + "\n" + log.text);
    row += found;
    i = end + 1;
  }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size == 0)
    return 0;
  SourceOptions options;
  options.format = Format(data[0] % 8 % 6);
  options.repairUtf8 = data[0] & 8;
  options.header = !(data[0] & 16);
  if (data[0] & 32)
    options.columns = {"text", "a"};
  options.maxRecord = data[0] & 64 ? 20 : 1 << 20;
  if (!options.header)
    options.text = "1", options.columns.clear();
  if (options.format != Format::csv)
    options.text = "text";
  std::string_view bytes(reinterpret_cast<const char *>(data) + 1, size - 1);
  static int fd = memfd_create("fuzz", 0);
  static const std::string path = "/proc/self/fd/" + std::to_string(fd);
  if (ftruncate(fd, 0) || pwrite(fd, bytes.data(), bytes.size(), 0) != ssize_t(bytes.size()))
    stop("no memory file");

  Log whole = read(path, options, 0);
  for (uint64_t blockBytes : {1, 100}) {
    options.blockBytes = blockBytes;
    // Damage is told when its block is reached; a stream tells it behind all that came before.
    if (Log parts = read(path, options, 1 + size % 5); !(parts == whole))
      stop("blocks show:\n" + whole.text + "\n---\n" + parts.text);
  }
  bool plain = compressionOf(bytes) == Compression::plain && !bytes.starts_with("\xFF\xFE") &&
               !bytes.starts_with("\xFE\xFF");
  if (options.format == Format::jsonl && !options.repairUtf8 && plain && options.maxRecord > size)
    compare(bytes, whole);
  return 0;
}
