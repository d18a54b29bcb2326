#include "runtime/source/Parquet.h"
#include "runtime/source/Layouts.h"
#include "runtime/source/ParquetPages.h"
#include "runtime/source/JsonText.h"
#include "runtime/text/Utf8.h"
#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstring>
#include <simdjson.h>

namespace r1rt::source::parquet {

namespace {

//===- Blocks ---------------------------------------------------------------------------------===//

class Blocks : public BlockReader {
public:
  Blocks(std::shared_ptr<const File> file, uint64_t blockBytes)
      : file(std::move(file)), blockBytes(blockBytes), info(std::make_shared<FileInfo>()) {
    info->path = this->file->path;
    info->parquet = this->file;
  }

  Result<bool> next(Block &block) override {
    while (group < file->groups.size() && row >= groupEnd())
      ++group;
    block.bytes.clear();
    block.cut = 0;
    block.unclosed = false;
    block.file = info;
    block.offset = block.end = row;
    block.firstLine = block.nextLine = row + 1;
    if (group == file->groups.size())
      return false;
    const RowGroup &g = file->groups[group];
    double perRow = double(g.uncompressed) / double(g.rows);
    auto rows = uint64_t(std::max(1.0, std::min(double(blockBytes) / std::max(perRow, 1.0), 1e15)));
    // Ranges are counted from the beginning of the group, so that they are the same after a seek.
    row = std::min(groupEnd(), g.firstRow + ((row - g.firstRow) / rows + 1) * rows);
    block.end = row;
    block.nextLine = row + 1;
    return true;
  }

  Status seek(uint64_t offset, uint64_t) override {
    if (offset > file->rows)
      return Status::error(file->path + ": to go on at row " + std::to_string(offset) +
                           " is not possible, there are " + std::to_string(file->rows) +
                           "; the file is another one than before");
    row = offset;
    group = 0;
    return Status::ok();
  }
  using BlockReader::seek;

  uint64_t compressedOffset() const override {
    return file->rows ? uint64_t(double(file->size) * double(row) / double(file->rows))
                      : file->size;
  }
  uint64_t compressedSize() const override { return file->size; }

private:
  uint64_t groupEnd() const { return file->groups[group].firstRow + file->groups[group].rows; }

  std::shared_ptr<const File> file;
  uint64_t blockBytes, row = 0;
  size_t group = 0;
  std::shared_ptr<FileInfo> info;
};

//===- Values as JSON -------------------------------------------------------------------------===//

using Wide = __int128;

/// Big-endian two's complement of at most 16 bytes.
Wide bigEndian(std::string_view bytes) {
  Wide v = !bytes.empty() && bytes[0] < 0 ? -1 : 0;
  for (char c : bytes)
    v = Wide(static_cast<unsigned __int128>(v) << 8 | static_cast<unsigned char>(c));
  return v;
}

void appendDecimal(Wide v, int scale, std::string &out) {
  bool negative = v < 0;
  auto u = negative ? 0 - static_cast<unsigned __int128>(v) : static_cast<unsigned __int128>(v);
  std::string digits; // the last one first
  for (; u || digits.size() <= size_t(scale); u /= 10)
    digits += char('0' + int(u % 10));
  if (negative)
    out += '-';
  for (size_t i = digits.size(); i-- > 0;) {
    out += digits[i];
    if (i == size_t(scale) && scale > 0)
      out += '.';
  }
}

void appendPadded(int64_t v, int width, std::string &out) {
  std::string digits = std::to_string(v < 0 ? -v : v);
  if (v < 0)
    out += '-';
  out.append(size_t(std::max(0, width - int(digits.size()))), '0');
  out += digits;
}

int64_t floorDiv(int64_t a, int64_t b) { return a / b - (a % b < 0); }

/// YYYY-MM-DD of the proleptic Gregorian calendar. Counted in eras of 400 years, whose years begin
/// in March.
void appendDate(int64_t daysSince1970, std::string &out) {
  int64_t days = daysSince1970 + 719468, era = floorDiv(days, 146097), day = days - era * 146097;
  int64_t year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
  int64_t ofYear = day - (365 * year + year / 4 - year / 100), month = (5 * ofYear + 2) / 153;
  appendPadded(year + era * 400 + (month >= 10), 4, out);
  out += '-';
  appendPadded(month < 10 ? month + 3 : month - 9, 2, out);
  out += '-';
  appendPadded(ofYear - (153 * month + 2) / 5 + 1, 2, out);
}

/// HH:MM:SS, with all digits of a fraction that is not 0.
void appendTime(int64_t ticks, int64_t perSecond, std::string &out) {
  int64_t seconds = ticks / perSecond, fraction = ticks % perSecond;
  appendPadded(seconds / 3600, 2, out);
  out += ':';
  appendPadded(seconds / 60 % 60, 2, out);
  out += ':';
  appendPadded(seconds % 60, 2, out);
  if (!fraction)
    return;
  out += '.';
  appendPadded(fraction, perSecond == 1000 ? 3 : perSecond == 1000000 ? 6 : 9, out);
}

void appendTimestamp(int64_t days, int64_t ticks, const Leaf &leaf, std::string &out) {
  out += '"';
  appendDate(days, out);
  out += 'T';
  appendTime(ticks, leaf.perSecond, out);
  out += leaf.utc ? "Z\"" : "\"";
}

template <class T> void appendReal(T v, std::string &out) {
  if (!std::isfinite(v)) {
    out += "null"; // JSON has no other word for it
    return;
  }
  char buffer[40];
  char *end = std::to_chars(buffer, buffer + sizeof buffer, v).ptr;
  std::string_view text(buffer, size_t(end - buffer));
  out += text;
  if (text.find_first_of(".e") == text.npos)
    out += ".0";
}

float halfToFloat(uint16_t h) {
  int exponent = h >> 10 & 31, fraction = h & 1023;
  float v = exponent == 31  ? (fraction ? NAN : INFINITY)
            : exponent == 0 ? std::ldexp(float(fraction), -24)
                            : std::ldexp(float(fraction | 1024), exponent - 25);
  return h >> 15 ? -v : v;
}

} // namespace

Result<std::unique_ptr<BlockReader>>
openBlocks(const std::string &path, const SourceOptions &options, ExpansionLimits limits) {
  R1RT_ASSIGN(auto file, File::open(path, options, limits));
  return std::unique_ptr<BlockReader>(
      std::make_unique<Blocks>(std::move(file), options.blockBytes));
}

//===- Rows -----------------------------------------------------------------------------------===//

struct Rows::Impl {
  explicit Impl(const SourceOptions &o) : options(o) {}

  const SourceOptions options;
  std::shared_ptr<const File> file;
  size_t group = 0;
  uint64_t nextRow = 0;                         // where the columns stand
  std::vector<std::unique_ptr<Column>> columns; // of each leaf, null if it is not wanted
  std::string more, textBuffer, scratch, why;

  /// Has the columns stand at the row.
  void go(std::shared_ptr<const File> to, uint64_t row) {
    bool here = file == to && !columns.empty() && row == nextRow &&
                row < file->groups[group].firstRow + file->groups[group].rows;
    if (here)
      return;
    file = std::move(to);
    auto after = std::upper_bound(file->groups.begin(), file->groups.end(), row,
                                  [](uint64_t r, const RowGroup &g) { return r < g.firstRow; });
    group = size_t(after - file->groups.begin()) - 1;
    columns.clear();
    columns.resize(file->leaves.size());
    for (size_t f : file->wanted)
      for (size_t i = file->fields[f].firstLeaf; i < file->fields[f].lastLeaf; ++i) {
        columns[i] = std::make_unique<Column>(*file, group, i);
        columns[i]->skipRows(row - file->groups[group].firstRow);
      }
    nextRow = row;
  }

  Status status() const {
    for (const auto &c : columns)
      if (c && c->failed())
        return c->status();
    return Status::ok();
  }

  Column &first(const Node &node) { return *columns[node.firstLeaf]; }
  void advance(const Node &node) {
    for (size_t i = node.firstLeaf; i < node.lastLeaf; ++i)
      columns[i]->advance();
  }

  /// A string of the file, checked or repaired; false if the row is a bad one.
  bool usable(std::string_view &text, const std::string &name) {
    if (simdjson::validate_utf8(text))
      return true;
    if (!options.repairUtf8) {
      if (why.empty())
        why = "wrong UTF-8 in column `" + name + "` at byte " +
              std::to_string(text::findBadUtf8(text));
      return false;
    }
    scratch = text;
    text::repairUtf8(scratch);
    text = scratch;
    return true;
  }

  void appendString(std::string_view text, const Leaf &leaf) {
    if (usable(text, leaf.path))
      appendJsonString(text, more);
  }

  void scalar(const Leaf &leaf, const Value &v) {
    auto integer = int64_t(v.bits);
    switch (leaf.meaning) {
    case Meaning::text: return appendString(v.bytes, leaf);
    case Meaning::unsignedInteger:
      more += std::to_string(leaf.type == Physical::int32 ? uint32_t(v.bits) : v.bits);
      return;
    case Meaning::decimal:
      if (v.bytes.size() > 16 && why.empty())
        why = "a decimal in column `" + leaf.path + "` has " + std::to_string(v.bytes.size()) +
              " bytes, expected 16 at most";
      appendDecimal(leaf.type == Physical::int32 || leaf.type == Physical::int64
                        ? Wide(integer)
                        : bigEndian(v.bytes.substr(0, 16)),
                    leaf.scale, more);
      return;
    case Meaning::date:
      more += '"';
      appendDate(integer, more);
      more += '"';
      return;
    case Meaning::time:
      more += '"';
      appendTime(integer, leaf.perSecond, more);
      more += '"';
      return;
    case Meaning::timestamp: {
      int64_t perDay = leaf.perSecond * 86400;
      if (leaf.type == Physical::int96) { // nanoseconds of the day, and its Julian number
        int64_t ticks = 0;
        int32_t day = 0;
        memcpy(&ticks, v.bytes.data(), v.bytes.size() == 12 ? 8 : 0);
        memcpy(&day, v.bytes.data() + 8, v.bytes.size() == 12 ? 4 : 0);
        int64_t days = floorDiv(ticks, perDay);
        return appendTimestamp(int64_t(day) - 2440588 + days, ticks - days * perDay, leaf, more);
      }
      int64_t days = floorDiv(integer, perDay);
      return appendTimestamp(days, integer - days * perDay, leaf, more);
    }
    case Meaning::uuid:
      more += '"';
      for (size_t i = 0; i < v.bytes.size(); ++i) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
          more += '-';
        more += "0123456789abcdef"[v.bytes[i] >> 4 & 15];
        more += "0123456789abcdef"[v.bytes[i] & 15];
      }
      more += '"';
      return;
    case Meaning::float16: return appendReal(halfToFloat(uint16_t(v.bits)), more);
    case Meaning::plain: break;
    }
    switch (leaf.type) {
    case Physical::boolean: more += v.bits ? "true" : "false"; break;
    case Physical::float32: appendReal(std::bit_cast<float>(uint32_t(v.bits)), more); break;
    case Physical::float64: appendReal(std::bit_cast<double>(v.bits), more); break;
    default: more += std::to_string(integer);
    }
  }

  /// Appends the repeated node's elements up to the end of the list, with `one` for each.
  template <class F> void elements(const Node &node, F one) {
    Column &c = first(node);
    if (c.def() < node.def) { // none
      advance(node);
      return;
    }
    size_t begin = more.size();
    for (bool comma = false;; comma = true) {
      if (comma)
        more += ',';
      one();
      if (c.atEnd() || c.rep() < node.rep)
        break;
      if (more.size() > options.maxRecord) { // told when the row ends
        tooLong = true;
        more.resize(begin);
      }
    }
  }
  bool tooLong = false;

  /// Appends the value of a node that is there, or of one element of it.
  void value(const Node &node) {
    switch (node.kind) {
    case Node::leaf: {
      Column &c = *columns[node.firstLeaf];
      if (c.present())
        scalar(file->leaves[node.firstLeaf], c.value());
      else
        more += "null";
      c.advance();
      return;
    }
    case Node::group: {
      more += '{';
      bool comma = false;
      for (const Node &child : node.children) {
        if (std::exchange(comma, true))
          more += ',';
        more += child.key;
        any(child);
      }
      more += '}';
      return;
    }
    case Node::list: {
      const Node &inner = node.children[0];
      more += '[';
      elements(inner, [&] { inner.elementIsChild ? any(inner.children[0]) : value(inner); });
      more += ']';
      return;
    }
    case Node::map: {
      const Node &pair = node.children[0], &key = pair.children[0];
      bool object = key.kind == Node::leaf && !key.repeated &&
                    file->leaves[key.firstLeaf].meaning == Meaning::text;
      more += object ? '{' : '[';
      elements(pair, [&] {
        if (!object)
          return value(pair);
        if (first(key).def() < key.def && why.empty())
          why = "a key in column `" + node.name + "` is null";
        any(key);
        more += ':';
        any(pair.children[1]);
      });
      more += object ? '}' : ']';
    }
    }
  }

  void any(const Node &node) {
    if (node.repeated) {
      more += '[';
      elements(node, [&] { value(node); });
      more += ']';
    } else if (node.optional && first(node).def() < node.def) {
      more += "null";
      advance(node);
    } else {
      value(node);
    }
  }

  Status parse(const Block &block, const RecordSink &record, const BadRowSink &bad) {
    go(block.file->parquet, block.offset);
    const File &f = *file;
    uint64_t emitted = 0;
    uint64_t limit = std::max(f.limits.ratioFrom, f.limits.ratio * f.groups[group].size);
    for (uint64_t row = block.offset; row < block.end; ++row) {
      for (const auto &c : columns)
        if (c && c->atEnd())
          c->fail("damaged: the column ends before row " + std::to_string(row) + " of the file");
      why.clear();
      tooLong = false;
      std::string_view text;
      bool found = false;
      more = "{";
      for (size_t field : f.wanted) {
        const Node &node = f.fields[field];
        if (field == f.textField) {
          found = first(node).present();
          if (found) // the view holds, as the column goes on below
            text = first(node).value().bytes;
          continue;
        }
        if (more.size() > 1)
          more += ',';
        more += node.key;
        any(node);
      }
      more += '}';
      bool ownText = f.textField != FileInfo::none;
      if (ownText && found && !usable(text, options.text))
        found = false;
      R1RT_TRY(status());
      emit(row, text, found, record, bad);
      emitted += text.size() + more.size() + 1;
      if (emitted > limit)
        return Status::error(
            f.path + ": row group " + std::to_string(group) + " expands to more than " +
            std::to_string(limit) + " bytes at row " + std::to_string(row) +
            ", as a decompression bomb does; raise the limit if the file is trusted");
      if (ownText)
        first(f.fields[f.textField]).advance();
      for (size_t i = 0; i < columns.size(); ++i)
        if (Column *c = columns[i].get(); c && f.leaves[i].maxRep && c->rep() != 0)
          c->fail("damaged: a list goes on in row " + std::to_string(row + 1) +
                  " of the file, other columns do not");
      nextRow = row + 1;
    }
    return status();
  }

  void emit(uint64_t row, std::string_view text, bool found, const RecordSink &record,
            const BadRowSink &bad) {
    auto reject = [&](std::string what) { bad({row, row + 1, std::move(what)}); };
    if (tooLong || more.size() > options.maxRecord || text.size() > options.maxRecord)
      return reject("the record is longer than " + std::to_string(options.maxRecord) +
                    " bytes, the limit");
    if (!why.empty())
      return reject(why);
    if (file->textField == FileInfo::none) {
      textBuffer.clear();
      switch (normaliseLayout(more, textBuffer, why)) {
      case Layout::normalised: text = textBuffer; break;
      case Layout::bad: return reject(why);
      case Layout::none: return reject("the fields of a conversation or preference are missing");
      }
    } else if (!found) {
      return reject("column `" + options.text + "` is null, expected a string");
    }
    if (size_t at = text.find('\0'); at != text.npos)
      return reject("the text has a NUL character at byte " + std::to_string(at));
    record({text, more.size() > 2 ? std::string_view(more) : std::string_view(), row});
  }
};

Rows::Rows(const SourceOptions &options) : impl(new Impl(options)) {}
Rows::~Rows() = default;

Status Rows::parse(const Block &block, const RecordSink &record, const BadRowSink &bad) {
  if (block.offset == block.end)
    return Status::ok();
  Status s = impl->parse(block, record, bad);
  if (!s)
    impl->columns.clear();
  return s;
}

} // namespace r1rt::source::parquet
