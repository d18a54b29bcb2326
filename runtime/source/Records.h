//===- Records.h - the records of data files --------------------------------===//
//
// Reading is split in two. A BlockReader, which belongs to one thread, cuts a file into blocks of
// whole records: it decompresses and looks for a boundary. Any number of RecordParsers, one to a
// thread, turn blocks into records. Where the blocks lie depends on the file and the options only,
// and each can be reached again.
//
//   auto reader = BlockReader::open(path, options);
//   for (Block block; (*reader)->next(block);)          // false, or an error, ends it
//     parser.parse(block, [&](const Record &r) {...}, [&](const BadRow &b) {...});
//
//===----------------------------------------------------------------------===//
#ifndef R1RT_SOURCE_RECORDS_H
#define R1RT_SOURCE_RECORDS_H
#include "runtime/Status.h"
#include "runtime/source/Bytes.h"
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace r1rt::source {

enum class Format {
  lines,      // each line that is not blank
  paragraphs, // lines between blank lines or lines of one %
  file,       // the whole file
  jsonl,      // a JSON object in each line that is not blank
  csv,        // RFC 4180: quoted fields may hold delimiters and line ends
  parquet
};

struct SourceOptions {
  Format format = Format::lines;
  std::string text = "text"; // the field that is the text (jsonl, csv, parquet)
  /// The other fields to keep; empty: all; just the text's name: none. Those of a conversation
  /// (Layouts.h) are kept in any case. Parquet: the rest is not even read.
  std::vector<std::string> columns;
  char delimiter = ','; // csv; '\t' for TSV
  bool header = true;   // csv: the first row names the fields; else they are "1", "2", ...
  /// Wrong UTF-8: each maximal invalid sequence becomes U+FFFD, as the WHATWG decoder does it; else
  /// the row is a bad one. So with half of a surrogate pair in a JSON string.
  bool repairUtf8 = false;
  /// jsonl: a field of another type than in the first of the file's rows that have it makes a bad
  /// row.
  bool sameTypes = true;
  uint64_t maxRecord = 64 << 20; // bytes of a record in the file; a longer one is a bad row
  /// A block ends with the record that reaches this many bytes. What the records are does not
  /// depend on it. At least 1.
  uint64_t blockBytes = 8 << 20;
};

struct FileInfo; // what parsers need to know of a file beside the bytes of a block

/// Whole records of one file. Kept and passed to next() again, it reuses its memory.
struct Block {
  std::string bytes;      // empty for Parquet, whose parser reads the file itself
  uint64_t offset = 0;    // of the first byte in the decompressed file; Parquet: of the first row
  uint64_t end = 0;       // where the next block begins
  uint64_t firstLine = 1; // its number, from 1; Parquet: as for rows
  uint64_t nextLine = 1;  // of the next block
  uint64_t cut = 0;       // bytes of the last record, which is too long, that were left out
  bool unclosed = false;  // csv: a quote in the last record is never closed
  std::shared_ptr<const FileInfo> file;
};

class BlockReader {
public:
  /// Looks at the beginning of the file (Parquet: the end). Errors beside those of reading: the
  /// text is UTF-16; jsonl is one list; csv or Parquet has no field for the text, or none of
  /// `columns` (the message lists those it has); Parquet is cut short, encrypted, or uses what is
  /// not supported here.
  static Result<std::unique_ptr<BlockReader>>
  open(const std::string &path, const SourceOptions &options, ExpansionLimits limits = {});
  virtual ~BlockReader() = default;

  /// The next block; false at the end. Damage is told after all whole records before it.
  virtual Result<bool> next(Block &block) = 0;
  /// Goes on at `offset`, the `end` of a block, and line `line`, its `nextLine`. Plain files and
  /// Parquet jump there, compressed ones are decompressed up to there. An error if the file ends
  /// before.
  virtual Status seek(uint64_t offset, uint64_t line) = 0;
  Status seek(const Block &after) { return seek(after.end, after.nextLine); }

  virtual uint64_t compressedOffset() const = 0; // bytes of the file that are used, for progress
  virtual uint64_t compressedSize() const = 0;   // bytes of the file
};

/// One row. The views hold until the sink returns.
struct Record {
  std::string_view text; // valid UTF-8 without NUL
  /// The other fields: "" if there are none, or a compact JSON object, valid in every depth, keys
  /// in the order of the file. Numbers and (valid) escapes of JSONL stay as they are spelled;
  /// fields of csv are strings; NaN, infinities and missing values of Parquet are null. Messages of
  /// a conversation have one form, see Layouts.h.
  std::string_view more;
  uint64_t offset; // of its first byte when decompressed; Parquet: the number of the row, from 0
};

struct BadRow {
  uint64_t offset;  // as Record::offset
  uint64_t line;    // from 1; Parquet: the number of the row, from 1
  std::string what; // without file and line
};

using RecordSink = std::function<void(const Record &)>;
using BadRowSink = std::function<void(const BadRow &)>;

/// Turns blocks into records; one per thread, for any number of files read with the same options.
class RecordParser {
public:
  explicit RecordParser(SourceOptions options);
  ~RecordParser();
  RecordParser(RecordParser &&) noexcept;
  RecordParser &operator=(RecordParser &&) noexcept;

  /// Hands over the records of the block and its bad rows, in the order of the file. Bad are:
  /// broken JSON; no text, or a text that is not a string; a field of another type than at the
  /// beginning of the file; wrong UTF-8 unless it is repaired; NUL; more than maxRecord bytes; csv
  /// with another number of fields than the header, or a quote that is not closed. An error only
  /// for a Parquet file that is damaged or a decompression bomb, after the rows that come before.
  Status parse(const Block &block, const RecordSink &record, const BadRowSink &bad);

private:
  struct Impl;
  std::unique_ptr<Impl> impl;
};

} // namespace r1rt::source
#endif
