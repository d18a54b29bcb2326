#include "runtime/source/Csv.h"
#include "runtime/source/FileInfo.h"
#include "runtime/source/Layouts.h"
#include "runtime/source/Parquet.h"
#include "runtime/source/Scan.h"
#include "runtime/source/JsonText.h"
#include "runtime/text/Utf8.h"
#include <cstring>
#include <simdjson.h>

namespace r1rt::source {

struct RecordParser::Impl {
  explicit Impl(const SourceOptions &o) : options(o), json(o), parquet(o) {}

  SourceOptions options;
  JsonRows json;
  parquet::Rows parquet;
  std::string buffer, more, repaired, why;
  std::vector<CsvField> fields;

  // Of the block at hand:
  const Block *block = nullptr;
  const RecordSink *record = nullptr;
  const BadRowSink *bad = nullptr;
  std::string_view bytes;
  bool clean = false; // all of it is UTF-8 without NUL

  uint64_t offsetOf(size_t at) const { return block->offset + at; }
  void reject(size_t at, uint64_t line, std::string what) const {
    (*bad)({offsetOf(at), line, std::move(what)});
  }

  /// Is the record bytes[from, to) longer than it may be?
  bool tooLong(size_t from, size_t to, uint64_t line) const {
    bool last = to == bytes.size(); // of which the rest was left out
    if (to - from <= options.maxRecord && !(last && block->cut))
      return false;
    reject(from, line,
           "the record is longer than " + std::to_string(options.maxRecord) + " bytes, the limit");
    return true;
  }

  /// The text, repaired if need be; false if it cannot be taken, and `why` says so.
  bool usable(std::string_view &text) {
    if (clean)
      return true;
    if (size_t at = text::findBadUtf8(text); at != text.npos) {
      if (!options.repairUtf8) {
        char hex[8];
        std::snprintf(hex, sizeof hex, "0x%02X", static_cast<unsigned char>(text[at]));
        why = "wrong UTF-8 at byte " + std::to_string(at) + " of the row: " + hex;
        return false;
      }
      repaired = text;
      text::repairUtf8(repaired);
      text = repaired;
    }
    if (size_t at = text.find('\0'); at != text.npos) {
      why = "a NUL character at byte " + std::to_string(at) + " of the row";
      return false;
    }
    return true;
  }

  void takeText(std::string_view text, size_t at, uint64_t line) {
    if (usable(text))
      (*record)({text, {}, offsetOf(at)});
    else
      reject(at, line, why);
  }

  /// Calls take(begin, end without \n, number) for each line from `from` on.
  template <class F> void eachLine(size_t from, F take) const {
    uint64_t number = block->firstLine;
    for (size_t i = from; i < bytes.size(); ++number) {
      size_t end = std::min(bytes.find('\n', i), bytes.size());
      take(i, end, number);
      i = end + 1;
    }
  }

  std::string_view trimmed(size_t from, size_t to) const {
    std::string_view line = bytes.substr(from, to - from);
    if (line.ends_with('\r'))
      line.remove_suffix(1);
    return line;
  }

  void lines(size_t from) {
    eachLine(from, [&](size_t i, size_t end, uint64_t number) {
      if (std::string_view line = trimmed(i, end); !tooLong(i, end, number) && !isBlank(line))
        takeText(line, i, number);
    });
  }

  void paragraphs(size_t from) {
    size_t begin = bytes.npos, last = 0;
    uint64_t first = 0;
    auto flush = [&] {
      if (begin == bytes.npos || tooLong(begin, last, first)) {
        begin = bytes.npos;
        return;
      }
      std::string_view text = trimmed(begin, last);
      if (text.find('\r') != text.npos) {
        buffer.clear();
        for (size_t i = 0; i < text.size(); ++i)
          if (text[i] != '\r' || i + 1 == text.size() || text[i + 1] != '\n')
            buffer += text[i];
        text = buffer;
      }
      takeText(text, begin, first);
      begin = bytes.npos;
    };
    eachLine(from, [&](size_t i, size_t end, uint64_t number) {
      if (isSeparator(bytes.substr(i, end - i), options.maxRecord))
        return flush();
      if (begin == bytes.npos)
        begin = i, first = number;
      last = end;
    });
    flush();
  }

  void jsonl(size_t from) {
    eachLine(from, [&](size_t i, size_t end, uint64_t number) {
      std::string_view row = bytes.substr(i, end - i);
      if (tooLong(i, end, number) || isBlank(row))
        return;
      if (end + JsonRows::padding > bytes.size()) {
        buffer = row;
        buffer.append(JsonRows::padding, '\0');
        row = std::string_view(buffer).substr(0, row.size());
      }
      if (json.read(row, block->file->kinds))
        (*record)({json.text(), json.more(), offsetOf(i)});
      else
        reject(i, number, json.problem());
    });
  }

  void csv(size_t from) {
    uint64_t number = block->firstLine;
    for (size_t i = from; i < bytes.size();) {
      CsvRecord r = scanCsv(bytes, i, options.delimiter, &fields);
      size_t end = r.end - (r.ended == CsvRecord::line);
      if (tooLong(i, end, number)) {
      } else if (r.ended == CsvRecord::quotes) {
        reject(i, number,
               "a quote is not closed in " +
                   (block->unclosed ? std::to_string(options.maxRecord) +
                                          " bytes, the "
                                          "limit of a record, or up to the end of the file"
                                    : std::string("the row")));
      } else if (!trimmed(i, end).empty()) {
        std::string_view row = bytes.substr(i, end - i);
        if (usable(row) && csvRow(r, row))
          (*record)({text, more, offsetOf(i)});
        else
          reject(i, number, why);
      }
      number += uint64_t(
          std::count(bytes.begin() + ptrdiff_t(i), bytes.begin() + ptrdiff_t(r.end), '\n'));
      i = r.end;
    }
  }
  std::string_view text; // of the row of csv

  /// The row of `fields`; `row` is it, perhaps repaired.
  bool csvRow(const CsvRecord &r, std::string_view row) {
    const FileInfo &file = *block->file;
    if (r.tail) {
      why = "something follows the quote that closes a field; a quote inside is written twice";
      return false;
    }
    std::string_view all = bytes;
    if (row.data() == repaired.data()) {
      scanCsv(row, 0, options.delimiter, &fields);
      all = row;
    }
    if (fields.size() != file.keys.size()) {
      why = "the row has " + std::to_string(fields.size()) + " fields, expected " +
            std::to_string(file.keys.size());
      return false;
    }
    more = "{";
    for (size_t i = 0; i < fields.size(); ++i) {
      if (i != file.textField && file.keys[i].empty())
        continue;
      std::string_view value = all.substr(fields[i].begin, fields[i].end - fields[i].begin);
      if (i == file.textField) {
        if (fields[i].doubled) {
          buffer.clear();
          appendCsvField(all, fields[i], buffer);
          value = buffer;
        }
        text = value;
        continue;
      }
      if (more.size() > 1)
        more += ',';
      more += file.keys[i];
      if (fields[i].doubled) {
        field.clear();
        appendCsvField(all, fields[i], field);
        value = field;
      }
      appendJsonString(value, more);
    }
    more += '}';
    if (file.textField == FileInfo::none) {
      buffer.clear();
      if (normaliseLayout(more, buffer, why) != Layout::normalised)
        return false;
      text = buffer;
    } else if (more.size() == 2) {
      more.clear();
    }
    return true;
  }
  std::string field;
};

RecordParser::RecordParser(SourceOptions options) : impl(new Impl(options)) {}
RecordParser::~RecordParser() = default;
RecordParser::RecordParser(RecordParser &&) noexcept = default;
RecordParser &RecordParser::operator=(RecordParser &&) noexcept = default;

Status RecordParser::parse(const Block &block, const RecordSink &record, const BadRowSink &bad) {
  Impl &p = *impl;
  if (p.options.format == Format::parquet)
    return p.parquet.parse(block, record, bad);
  p.block = &block;
  p.record = &record;
  p.bad = &bad;
  p.bytes = block.bytes;
  p.clean = p.options.format != Format::jsonl && simdjson::validate_utf8(p.bytes) &&
            !memchr(p.bytes.data(), 0, p.bytes.size());
  size_t from = block.offset == 0 && p.bytes.starts_with("\xEF\xBB\xBF") ? 3 : 0;
  switch (p.options.format) {
  case Format::lines: p.lines(from); break;
  case Format::paragraphs: p.paragraphs(from); break;
  case Format::jsonl: p.jsonl(from); break;
  case Format::csv: p.csv(from); break;
  case Format::file:
    if (!p.tooLong(from, p.bytes.size(), 1))
      p.takeText(p.bytes.substr(from), from, 1);
    break;
  case Format::parquet: break;
  }
  return Status::ok();
}

} // namespace r1rt::source
