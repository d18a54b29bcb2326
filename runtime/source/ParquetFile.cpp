#include "runtime/source/ParquetFile.h"
#include "runtime/source/Layouts.h"
#include "runtime/source/JsonText.h"
#include "runtime/source/Thrift.h"
#include "runtime/text/Utf8.h"
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace r1rt::source::parquet {

namespace {

struct SchemaElement {
  std::string_view name;
  int64_t type = -1, width = 0, repetition = 0, children = 0, converted = -1, scale = 0;
  int logical = 0; // the number of the union's field
  int unit = 0;    // of a time: 1 milliseconds, 2 microseconds, 3 nanoseconds
  bool utc = false, isSigned = true;
};

SchemaElement readElement(Thrift &t) {
  SchemaElement e;
  t.fields([&](int id, Thrift::Type type) {
    switch (id) {
    case 1: e.type = t.integer(); return true;
    case 2: e.width = t.integer(); return true;
    case 3: e.repetition = t.integer(); return true;
    case 4: e.name = t.bytes(); return true;
    case 5: e.children = t.integer(); return true;
    case 6: e.converted = t.integer(); return true;
    case 7: e.scale = t.integer(); return true;
    case 10:
      if (type != Thrift::structure)
        return false;
      t.fields([&](int kind, Thrift::Type inner) {
        e.logical = kind;
        if (inner != Thrift::structure)
          return false;
        t.fields([&](int part, Thrift::Type what) {
          if (kind == 5 && part == 1) { // decimal
            e.scale = t.integer();
            return true;
          }
          if ((kind == 7 || kind == 8) && part == 1) // time, timestamp
            e.utc = what == Thrift::yes;
          if (kind == 10 && part == 2) // integer
            e.isSigned = what == Thrift::yes;
          if ((kind == 7 || kind == 8) && part == 2 && what == Thrift::structure) {
            t.fields([&](int unit, Thrift::Type) {
              e.unit = unit;
              return false;
            });
            return true;
          }
          return false;
        });
        return true;
      });
      return true;
    default: return false;
    }
  });
  return e;
}

class Opener {
public:
  Opener(File &file, const SourceOptions &options) : file(file), options(options) {}

  Status run(std::string_view footer) {
    Thrift t(footer);
    std::vector<SchemaElement> schema;
    int64_t rows = 0;
    bool encrypted = false;
    t.fields([&](int id, Thrift::Type type) {
      switch (id) {
      case 2: t.elements([&] { schema.push_back(readElement(t)); }); return true;
      case 3: rows = t.integer(); return true;
      case 4: t.elements([&] { readGroup(t); }); return true;
      case 8: encrypted = true; return false;
      default: return false;
      }
    });
    if (encrypted)
      return bad("is encrypted, which is not supported");
    if (t.failed() || schema.empty() || rows < 0)
      return bad("the footer is damaged: it cannot be parsed");
    if (schema[0].children < 0 || uint64_t(schema[0].children) >= schema.size())
      return bad("the footer is damaged: the schema has " + std::to_string(schema[0].children) +
                 " fields, but " + std::to_string(schema.size() - 1) + " are there");
    size_t next = 1;
    for (int64_t i = 0; i < schema[0].children; ++i) {
      file.fields.emplace_back();
      R1RT_TRY(build(schema, next, "", 0, 0, 0, file.fields.back()));
    }
    R1RT_TRY(choose());
    return checkGroups(uint64_t(rows));
  }

private:
  Status bad(const std::string &what) const { return Status::error(file.path + ": " + what); }

  void readGroup(Thrift &t) {
    RowGroup g;
    int64_t rows = 0;
    t.fields([&](int id, Thrift::Type) {
      if (id == 3) {
        rows = t.integer();
        return true;
      }
      if (id != 1)
        return false;
      t.elements([&] {
        Chunk c;
        int64_t size = -1, data = -1, dictionary = -1, values = -1, uncompressed = -1;
        t.fields([&](int part, Thrift::Type type) {
          if (part == 1) // another file's
            elsewhere = true;
          if (part != 3 || type != Thrift::structure)
            return false;
          t.fields([&](int f, Thrift::Type) {
            int64_t *to = f == 5    ? &values
                          : f == 6  ? &uncompressed
                          : f == 7  ? &size
                          : f == 9  ? &data
                          : f == 11 ? &dictionary
                                    : nullptr;
            if (f == 4)
              c.codec = int(t.integer());
            else if (to)
              *to = t.integer();
            return to || f == 4;
          });
          return true;
        });
        int64_t from = dictionary > 0 && dictionary < data ? dictionary : data;
        // What is not there or negative becomes huge, and is refused where it matters.
        c.offset = uint64_t(from), c.size = uint64_t(size);
        c.values = uint64_t(values), c.uncompressed = uint64_t(uncompressed);
        g.chunks.push_back(c);
      });
      return true;
    });
    g.rows = uint64_t(rows);
    file.groups.push_back(std::move(g));
  }

  Status build(const std::vector<SchemaElement> &schema, size_t &next, const std::string &above,
               int def, int rep, int depth, Node &node) {
    if (next >= schema.size() || depth > 60)
      return bad("the footer is damaged: the schema ends inside a group, or is too deep");
    const SchemaElement &e = schema[next++];
    node.name = e.name;
    if (text::findBadUtf8(node.name) != node.name.npos)
      return bad("the footer is damaged: the name of a column is not UTF-8");
    appendJsonString(node.name, node.key);
    node.key += ':';
    node.optional = e.repetition == 1;
    node.repeated = e.repetition == 2;
    node.def = def + (node.optional || node.repeated);
    node.rep = rep + node.repeated;
    node.firstLeaf = file.leaves.size();
    std::string path = above.empty() ? node.name : above + "." + node.name;
    if (e.children == 0 && e.type >= 0) {
      file.leaves.emplace_back();
      R1RT_TRY(describe(e, path, file.leaves.back()));
      file.leaves.back().maxDef = node.def;
      file.leaves.back().maxRep = node.rep;
    } else {
      node.kind = Node::group;
      if (e.children < 1 || uint64_t(e.children) > schema.size() - next)
        return bad("the footer is damaged: group `" + path + "` has " + std::to_string(e.children) +
                   " fields, but " + std::to_string(schema.size() - next) + " follow");
      for (int64_t i = 0; i < e.children; ++i) {
        node.children.emplace_back();
        R1RT_TRY(build(schema, next, path, node.def, node.rep, depth + 1, node.children.back()));
      }
      annotate(e, node);
    }
    node.lastLeaf = file.leaves.size();
    return Status::ok();
  }

  /// Lists and maps, by the rules of the format for those of older writers, too.
  static void annotate(const SchemaElement &e, Node &node) {
    bool list = e.converted == 3 || e.logical == 3;
    bool map = e.converted == 1 || e.converted == 2 || e.logical == 2;
    if ((!list && !map) || node.repeated || node.children.size() != 1 || !node.children[0].repeated)
      return;
    Node &inner = node.children[0];
    if (list) {
      node.kind = Node::list;
      inner.elementIsChild = inner.kind == Node::group && inner.children.size() == 1 &&
                             !inner.children[0].repeated && inner.name != "array" &&
                             inner.name != node.name + "_tuple";
    } else if (inner.kind == Node::group && inner.children.size() == 2) {
      node.kind = Node::map;
    }
  }

  Status describe(const SchemaElement &e, const std::string &path, Leaf &leaf) const {
    if (e.type > 7)
      return bad("column `" + path + "` has the physical type " + std::to_string(e.type) +
                 ", which the format does not know");
    leaf.path = path;
    leaf.type = Physical(e.type);
    const int widths[] = {0, 4, 8, 12, 4, 8, 0, 0};
    leaf.width = widths[e.type];
    if (leaf.type == Physical::fixed) {
      if (e.width < 1 || e.width > 1 << 20)
        return bad("column `" + path + "` has values of " + std::to_string(e.width) +
                   " bytes, expected 1 to 1048576");
      leaf.width = int(e.width);
    }
    bool integer = leaf.type == Physical::int32 || leaf.type == Physical::int64;
    bool bytes = leaf.type == Physical::bytes || leaf.type == Physical::fixed;
    auto is = [&](int logical, std::initializer_list<int> converted) {
      return e.logical == logical ||
             std::find(converted.begin(), converted.end(), e.converted) != converted.end();
    };
    if (bytes && !is(5, {5})) // text, too, if nothing says so: older writers do not
      leaf.meaning = Meaning::text;
    if (leaf.type == Physical::fixed && is(14, {}) && leaf.width == 16)
      leaf.meaning = Meaning::uuid;
    if (leaf.type == Physical::fixed && is(15, {}) && leaf.width == 2)
      leaf.meaning = Meaning::float16;
    if ((integer || bytes) && is(5, {5})) {
      leaf.meaning = Meaning::decimal;
      leaf.scale = int(e.scale);
      if (e.scale < 0 || e.scale > 1000 || leaf.width > 16)
        return bad("column `" + path + "` is a decimal with scale " + std::to_string(e.scale) +
                   " in " + std::to_string(leaf.width) +
                   " bytes, expected 0 to 1000 in 16 at most");
    }
    if (leaf.type == Physical::int32 && is(6, {6}))
      leaf.meaning = Meaning::date;
    if (integer && ((e.logical == 10 && !e.isSigned) || (e.converted >= 11 && e.converted <= 14)))
      leaf.meaning = Meaning::unsignedInteger;
    if (integer && is(7, {7, 8}))
      leaf.meaning = Meaning::time;
    if (leaf.type == Physical::int96 || (leaf.type == Physical::int64 && is(8, {9, 10}))) {
      leaf.meaning = Meaning::timestamp;
      leaf.utc = e.logical ? e.utc : integer;
    }
    int unit = e.unit ? e.unit : e.converted == 7 || e.converted == 9 ? 1 : 2;
    leaf.perSecond = leaf.type == Physical::int96 ? 1000000000
                     : unit == 1                  ? 1000
                     : unit == 2                  ? 1000000
                                                  : 1000000000;
    return Status::ok();
  }

  Status choose() {
    std::vector<std::string> names;
    for (const Node &f : file.fields)
      names.push_back(f.name);
    R1RT_ASSIGN(file.textField, findText(file.path, names, options));
    if (file.textField != FileInfo::none) {
      const Node &text = file.fields[file.textField];
      if (text.kind != Node::leaf || text.repeated ||
          file.leaves[text.firstLeaf].meaning != Meaning::text)
        return bad("column `" + options.text + "` is not of strings; the file has " +
                   listNames(names));
    }
    for (size_t i = 0; i < names.size(); ++i)
      if (i == file.textField || options.columns.empty() ||
          (file.textField == FileInfo::none && isLayoutField(names[i])) ||
          std::find(options.columns.begin(), options.columns.end(), names[i]) !=
              options.columns.end())
        file.wanted.push_back(i);
    return Status::ok();
  }

  Status checkGroups(uint64_t rows) {
    for (size_t n = 0; n < file.groups.size(); ++n) {
      RowGroup &g = file.groups[n];
      std::string where = "the footer is damaged: row group " + std::to_string(n) + " ";
      if (g.chunks.size() != file.leaves.size())
        return bad(where + "has " + std::to_string(g.chunks.size()) + " columns, the schema " +
                   std::to_string(file.leaves.size()));
      g.firstRow = file.rows;
      if (g.rows > rows - file.rows)
        return bad(where + "ends behind row " + std::to_string(rows) + ", the last of the file");
      file.rows += g.rows;
      for (size_t field : file.wanted)
        for (size_t i = file.fields[field].firstLeaf; i < file.fields[field].lastLeaf; ++i) {
          const Chunk &c = g.chunks[i];
          if (c.offset < 4 || c.offset > file.dataEnd || c.size > file.dataEnd - c.offset ||
              c.values > 1ull << 62)
            return bad(where + "has column `" + file.leaves[i].path + "` at byte " +
                       std::to_string(c.offset) + " with " + std::to_string(c.size) +
                       " bytes, but the data end at byte " + std::to_string(file.dataEnd));
          const char *names[] = {"none",   "Snappy", "gzip",      "LZO",
                                 "Brotli", "LZ4",    "Zstandard", "LZ4_RAW"};
          bool known = c.codec >= 0 && c.codec <= 7;
          if (!known || c.codec == 3 || c.codec == 4 || c.codec == 5 || c.codec == 7)
            return bad("column `" + file.leaves[i].path + "` is compressed with " +
                       (known ? names[c.codec] : "codec " + std::to_string(c.codec)) +
                       ", which is not supported; write it with none, Snappy, gzip or Zstandard");
          g.size += c.size;
          g.uncompressed += std::min<uint64_t>(c.uncompressed, 1ull << 40);
        }
    }
    if (elsewhere)
      return bad("the data of a column lie in another file, which is not supported");
    if (file.rows != rows)
      return bad("the footer is damaged: the row groups have " + std::to_string(file.rows) +
                 " rows, the file " + std::to_string(rows));
    return Status::ok();
  }

  File &file;
  const SourceOptions &options;
  bool elsewhere = false;
};

} // namespace

File::~File() {
  if (fd >= 0)
    ::close(fd);
}

Status File::read(uint64_t offset, char *out, size_t n) const {
  while (n > 0) {
    ssize_t got = ::pread(fd, out, n, off_t(offset));
    if (got < 0 && errno == EINTR)
      continue;
    if (got <= 0)
      return Status::error(path + ": at byte " + std::to_string(offset) + ": " +
                           (got < 0 ? std::string("cannot be read: ") + strerror(errno)
                                    : "the file ends; it was changed while it was read"));
    out += got, offset += uint64_t(got), n -= size_t(got);
  }
  return Status::ok();
}

Result<std::shared_ptr<const File>>
File::open(const std::string &path, const SourceOptions &options, ExpansionLimits limits) {
  auto file = std::make_shared<File>();
  file->path = path;
  file->limits = limits;
  file->fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  struct stat st;
  if (file->fd < 0 || fstat(file->fd, &st))
    return Status::error(path + ": cannot be opened: " + strerror(errno));
  if (!S_ISREG(st.st_mode))
    return Status::error(path + ": is no regular file, as Parquet needs one");
  file->size = uint64_t(st.st_size);
  char head[4] = {}, tail[8] = {};
  if (file->size >= 12) {
    R1RT_TRY(file->read(0, head, 4));
    R1RT_TRY(file->read(file->size - 8, tail, 8));
  }
  std::string_view begin(head, 4), end(tail + 4, 4);
  if (begin == "PARE" || end == "PARE")
    return Status::error(path + ": is encrypted, which is not supported");
  if (begin != "PAR1")
    return Status::error(path + ": is not Parquet, it does not begin with PAR1");
  if (end != "PAR1")
    return Status::error(path +
                         ": does not end with PAR1, as Parquet does; it was cut short, fetch "
                         "it again");
  uint32_t length = 0;
  for (int i = 0; i < 4; ++i)
    length |= uint32_t(static_cast<unsigned char>(tail[i])) << 8 * i;
  if (length > file->size - 12)
    return Status::error(path + ": the footer is damaged: it has " + std::to_string(length) +
                         " bytes, but only " + std::to_string(file->size - 12) + " are there");
  file->dataEnd = file->size - 8 - length;
  std::string footer(length, 0);
  R1RT_TRY(file->read(file->dataEnd, footer.data(), length));
  R1RT_TRY(Opener(*file, options).run(footer));
  return std::shared_ptr<const File>(std::move(file));
}

} // namespace r1rt::source::parquet
