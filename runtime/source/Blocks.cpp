#include "runtime/source/Csv.h"
#include "runtime/source/FileInfo.h"
#include "runtime/source/Layouts.h"
#include "runtime/source/Parquet.h"
#include "runtime/source/Scan.h"
#include "runtime/source/JsonText.h"
#include "runtime/text/Masks.h"
#include "runtime/text/Utf8.h"
#include <algorithm>
#include <cstring>

namespace r1rt::source {

std::string listNames(const std::vector<std::string> &names) {
  std::string text;
  for (size_t i = 0; i < names.size() && i < 12; ++i)
    text += (i ? ", `" : "`") + names[i] + "`";
  return names.size() > 12 ? text + " and " + std::to_string(names.size() - 12) + " more" : text;
}

Result<size_t> findText(const std::string &path, const std::vector<std::string> &fields,
                        const SourceOptions &options) {
  auto find = [&](std::string_view name) {
    size_t i = size_t(std::find(fields.begin(), fields.end(), name) - fields.begin());
    return i == fields.size() ? FileInfo::none : i;
  };
  for (const std::string &column : options.columns)
    if (find(column) == FileInfo::none)
      return Status::error(path + ": there is no column `" + column + "`; the file has " +
                           listNames(fields));
  size_t text = find(options.text);
  bool preference = find("chosen") != FileInfo::none && find("rejected") != FileInfo::none;
  bool lists = options.format == Format::parquet &&
               (find("messages") != FileInfo::none || find("conversations") != FileInfo::none ||
                find("tokens") != FileInfo::none);
  if (text == FileInfo::none && !preference && !lists)
    return Status::error(path + ": there is no column `" + options.text + "`; the file has " +
                         listNames(fields) + ": name the one that is the text");
  return text;
}

namespace {

constexpr size_t sampleBytes = 1 << 20; // in which kinds and headers are looked for
constexpr size_t sampleRows = 100;

class TextBlocks : public BlockReader {
public:
  TextBlocks(std::string path, const SourceOptions &options, ExpansionLimits limits)
      : path(std::move(path)), options(options), limits(limits) {}

  Status begin() {
    R1RT_ASSIGN(stream, ByteStream::open(path, limits));
    info = std::make_shared<FileInfo>();
    info->path = path;
    read(carry, sampleBytes);
    if (carry.starts_with("\xFF\xFE") || carry.starts_with("\xFE\xFF"))
      return Status::error(path + ": is UTF-16, expected UTF-8; convert it, as by iconv -f UTF-16 "
                                  "-t UTF-8");
    if (options.format == Format::jsonl)
      R1RT_TRY(learnKinds());
    if (options.format == Format::csv)
      R1RT_TRY(readHeader());
    return Status::ok();
  }

  Result<bool> next(Block &block) override {
    block.file = info;
    block.offset = position;
    block.firstLine = line;
    block.cut = 0;
    block.unclosed = false;
    std::string &bytes = block.bytes;
    bytes.swap(carry);
    carry.clear();
    droppedLines = 0;
    size_t end = options.format == Format::csv ? endOfCsv(block) : endOfLines(block);
    if (!failure.isOk()) { // only what is whole is delivered
      block.cut = droppedLines = 0;
      block.unclosed = false;
      end = lastBoundary(bytes);
      carry.clear();
      if (end == 0)
        return failure;
    } else if (carry.empty()) {
      carry.assign(bytes, end);
    }
    bytes.resize(end);
    position += end + block.cut;
    line += text::countByte(bytes, '\n') + droppedLines;
    block.end = position;
    block.nextLine = line;
    return end > 0;
  }

  Status seek(uint64_t offset, uint64_t toLine) override {
    if (offset < dataBegin)
      offset = dataBegin, toLine = dataLine;
    failure = Status::ok();
    ended = false;
    carry.clear();
    R1RT_ASSIGN(stream, ByteStream::open(path, limits));
    R1RT_TRY(stream->skip(offset));
    position = offset;
    line = toLine;
    return Status::ok();
  }
  using BlockReader::seek;

  uint64_t compressedOffset() const override { return stream->compressedOffset(); }
  uint64_t compressedSize() const override { return stream->compressedSize(); }

private:
  /// Appends up to n bytes. Fewer: ended or failure say why. Room is made little by little: a file may be
  /// small, and a string fills its room with zeros, which are to stay in the cache until bytes come.
  void read(std::string &to, size_t n) {
    constexpr size_t most = 256 << 10;
    while (n && !over()) {
      size_t before = to.size(), step = std::min(n, most), got = 0;
      to.resize(before + step);
      while (got < step && !over()) {
        Result<size_t> r = stream->read(to.data() + before + got, step - got);
        if (!r)
          failure = r.status();
        else if (!*r)
          ended = true;
        else
          got += *r;
      }
      to.resize(before + got);
      n -= got;
    }
  }
  bool over() const { return ended || !failure.isOk(); }

  /// Reads the block and what follows it, up to its end, which is returned; for lines, paragraphs
  /// and whole files.
  size_t endOfLines(Block &block) {
    std::string &bytes = block.bytes;
    BoundaryScan scan(options);
    size_t blockBytes = options.format == Format::file ? options.maxRecord + 1 : options.blockBytes;
    size_t scanned = blockBytes - 1;
    for (;;) {
      if (bytes.size() > scanned) {
        size_t at = scan.feed(std::string_view(bytes).substr(scanned));
        if (at != bytes.npos)
          return scanned + at;
        scanned = bytes.size();
      }
      if (over())
        return bytes.size();
      // The record that is open began at scan.openAt() or before.
      size_t limit =
          options.maxRecord + (options.format == Format::file ? 0 : blockBytes + scan.openAt());
      if (bytes.size() > limit) {
        dropRest(block, scan);
        return bytes.size();
      }
      read(bytes,
           std::max(blockBytes, bytes.size()) - std::min(blockBytes, bytes.size()) + readAhead);
    }
  }

  /// Leaves out what belongs to a record that is too long; true if that goes on behind the chunk.
  bool drop(const std::string &chunk, Block &block, BoundaryScan &scan) {
    size_t at = scan.feed(chunk), n = std::min(at, chunk.size());
    block.cut += n;
    droppedLines += text::countByte(std::string_view(chunk).substr(0, n), '\n');
    if (at == chunk.npos)
      return true;
    carry.assign(chunk, at);
    return false;
  }
  void dropRest(Block &block, BoundaryScan &scan) {
    std::string chunk;
    do {
      chunk.clear();
      read(chunk, 256 << 10);
    } while (drop(chunk, block, scan) && !over());
  }

  size_t endOfCsv(Block &block) {
    std::string &bytes = block.bytes;
    for (size_t from = 0;;) {
      std::string_view window = std::string_view(bytes).substr(from, options.maxRecord + 1);
      CsvRecord r = scanCsv(window, 0, options.delimiter);
      if (r.ended == CsvRecord::line) {
        from += r.end;
        if (from >= options.blockBytes)
          return from;
        continue;
      }
      bool tooLong = window.size() > options.maxRecord;
      if (!tooLong && !over()) {
        read(bytes, std::max(options.blockBytes - std::min(options.blockBytes, bytes.size()),
                             window.size()) +
                        readAhead);
        continue;
      }
      if (!tooLong && r.ended == CsvRecord::text)
        return bytes.size(); // the last line has no end
      size_t lineEnd = window.find('\n');
      block.unclosed = r.ended == CsvRecord::quotes;
      if (block.unclosed && lineEnd != window.npos)
        return from + lineEnd +
               1; // as if the quote were a stray one, the next row is the next line
      if (!tooLong)
        return bytes.size();
      // Quotes are not looked for any more: up to the end of the line.
      block.unclosed = false;
      size_t kept = from + window.size();
      BoundaryScan scan(Format::lines);
      std::string rest = bytes.substr(kept);
      bytes.resize(kept);
      if (drop(rest, block, scan) && !over())
        dropRest(block, scan);
      return bytes.size();
    }
  }

  /// The end of the last record that is surely whole.
  size_t lastBoundary(const std::string &bytes) const {
    size_t end = 0;
    switch (options.format) {
    case Format::lines:
    case Format::jsonl: return bytes.rfind('\n') + 1;
    case Format::csv:
      for (;;) {
        CsvRecord r = scanCsv(bytes, end, options.delimiter);
        if (r.ended != CsvRecord::line || r.end - end > options.maxRecord + 1)
          return end;
        end = r.end;
      }
    case Format::paragraphs: {
      BoundaryScan scan(Format::paragraphs, options.maxRecord);
      for (;;) {
        size_t at = scan.feed(std::string_view(bytes).substr(end));
        if (at == bytes.npos)
          return end;
        end += at;
      }
    }
    default: return 0;
    }
  }

  Status learnKinds() {
    std::string sample = carry;
    size_t size = ended ? sample.size() : sample.rfind('\n') + 1;
    sample.append(JsonRows::padding, 0);
    JsonRows rows(options);
    size_t from = sample.starts_with("\xEF\xBB\xBF") ? 3 : 0, number = 0;
    for (size_t taken = 0; from < size && taken < sampleRows; ++number) {
      size_t end = std::min(sample.find('\n', from), size);
      std::string_view row = std::string_view(sample).substr(from, end - from);
      from = end + 1;
      if (isBlank(row))
        continue;
      size_t bracket = row.find('['), next = row.find_first_not_of(" \t\r", bracket + 1);
      if (taken++ == 0 && isBlank(row.substr(0, bracket)) && (next == row.npos || row[next] == '{'))
        return Status::error(path +
                             ": is one JSON list, expected an object in each line; convert it, "
                             "as by jq -c '.[]'");
      if (options.sameTypes)
        rows.learnKinds(row, number + 1, info->kinds);
    }
    return Status::ok();
  }

  Status readHeader() {
    size_t from = carry.starts_with("\xEF\xBB\xBF") ? 3 : 0;
    std::vector<CsvField> fields;
    CsvRecord r = scanCsv(carry, from, options.delimiter, &fields);
    if (from == carry.size())
      return failure.isOk() ? Status::error(path + ": is empty, expected a row of csv") : failure;
    if (r.ended == CsvRecord::quotes || (r.ended == CsvRecord::text && !ended))
      return failure.isOk()
                 ? Status::error(
                       path + ": line 1: no row of csv ends in the first " +
                       std::to_string(carry.size()) + " bytes" +
                       (r.ended == CsvRecord::quotes ? ", for a quote is not closed" : ""))
                 : failure;
    std::vector<std::string> names(fields.size());
    for (size_t i = 0; i < names.size(); ++i)
      if (options.header)
        appendCsvField(carry, fields[i], names[i]);
      else
        names[i] = std::to_string(i + 1);
    for (size_t i = 0; i < names.size(); ++i) {
      if (text::findBadUtf8(names[i]) != std::string::npos)
        return Status::error(path + ": line 1: the name of column " + std::to_string(i + 1) +
                             " is not UTF-8");
      if (std::find(names.begin(), names.begin() + ptrdiff_t(i), names[i]) !=
          names.begin() + ptrdiff_t(i))
        return Status::error(path + ": line 1: two columns have the name `" + names[i] +
                             "`; give them different ones");
    }
    R1RT_ASSIGN(info->textField, findText(path, names, options));
    for (size_t i = 0; i < names.size(); ++i) {
      std::string key;
      if (i != info->textField && (options.columns.empty() ||
                                   (info->textField == FileInfo::none && isLayoutField(names[i])) ||
                                   std::find(options.columns.begin(), options.columns.end(),
                                             names[i]) != options.columns.end())) {
        appendJsonString(names[i], key);
        key += ':';
      }
      info->keys.push_back(std::move(key));
    }
    if (!options.header)
      return Status::ok();
    dataBegin = position = r.end;
    dataLine = line = 1 + text::countByte(std::string_view(carry).substr(0, r.end), '\n');
    carry.erase(0, r.end);
    return Status::ok();
  }

  static constexpr size_t readAhead = 64 << 10;

  std::string path;
  SourceOptions options;
  ExpansionLimits limits;
  std::unique_ptr<ByteStream> stream;
  std::shared_ptr<FileInfo> info;
  std::string carry; // read, but behind the last block
  bool ended = false;
  Status failure;                  // of the stream, told after what came before
  uint64_t position = 0, line = 1; // of the next block
  uint64_t dataBegin = 0, dataLine = 1;
  uint64_t droppedLines = 0;
};

} // namespace

Result<std::unique_ptr<BlockReader>>
BlockReader::open(const std::string &path, const SourceOptions &options, ExpansionLimits limits) {
  auto wrong = [&](const char *what, uint64_t has, const char *expected) {
    return Status::error(path + ": " + what + " is " + std::to_string(has) + "; it can be " +
                             expected,
                         ExitClass::program);
  };
  if (options.maxRecord < 1 || options.maxRecord > 1ull << 31)
    return wrong("the limit of a record", options.maxRecord, "1 to 2147483648 bytes");
  if (options.blockBytes < 1 || options.blockBytes > 1ull << 31)
    return wrong("the size of a block", options.blockBytes, "1 to 2147483648 bytes");
  unsigned char d = static_cast<unsigned char>(options.delimiter);
  if (options.format == Format::csv && (d == '"' || d == '\n' || d == '\r' || d == 0 || d >= 0x80))
    return wrong("the byte of the delimiter", d, "one of ASCII, but no quote, line end or NUL");
  if (options.format == Format::parquet)
    return parquet::openBlocks(path, options, limits);
  auto reader = std::make_unique<TextBlocks>(path, options, limits);
  R1RT_TRY(reader->begin());
  return std::unique_ptr<BlockReader>(std::move(reader));
}

} // namespace r1rt::source
