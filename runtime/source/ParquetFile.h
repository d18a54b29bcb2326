//===- ParquetFile.h - the footer of a Parquet file -------------------------===//
#ifndef R1RT_SOURCE_PARQUETFILE_H
#define R1RT_SOURCE_PARQUETFILE_H
#include "runtime/source/FileInfo.h"

namespace r1rt::source::parquet {

enum class Physical { boolean, int32, int64, int96, float32, float64, bytes, fixed };
enum class Codec { none, snappy, gzip, lzo, brotli, lz4, zstd, lz4Raw };

/// What a value means, beside its physical type.
enum class Meaning { plain, text, unsignedInteger, decimal, date, time, timestamp, uuid, float16 };

struct Leaf {
  std::string path; // "messages.list.element.role"
  Physical type;
  int width = 0; // bytes of a value; 0: they vary
  int maxDef = 0, maxRep = 0;
  Meaning meaning = Meaning::plain;
  int scale = 0;         // of a decimal
  int64_t perSecond = 1; // of times and timestamps
  bool utc = false;      // timestamps are instants
};

/// A field of the schema. Levels are those of the format: a value is there if its definition level
/// reaches `def`; an element begins at repetition level `rep`.
struct Node {
  enum Kind { leaf, group, list, map } kind = leaf;
  std::string name;
  std::string key; // "NAME":
  bool optional = false, repeated = false;
  int def = 0, rep = 0;
  size_t firstLeaf = 0, lastLeaf = 0; // leaves [first, last)
  std::vector<Node> children;         // of a list or map: one, which is repeated
  bool elementIsChild = false;        // of that one: it only wraps the element, its only child
};

struct Chunk { // a column of a row group
  uint64_t offset = 0, size = 0, uncompressed = 0, values = 0;
  int codec = 0;
};

struct RowGroup {
  uint64_t firstRow = 0, rows = 0;
  std::vector<Chunk> chunks;           // of each leaf
  uint64_t size = 0, uncompressed = 0; // of the wanted leaves
};

struct File {
  std::string path;
  int fd = -1;
  uint64_t size = 0, dataEnd = 0; // the footer begins at dataEnd
  uint64_t rows = 0;
  ExpansionLimits limits;
  std::vector<Node> fields;
  std::vector<Leaf> leaves;
  std::vector<RowGroup> groups;
  std::vector<size_t> wanted; // of fields: the text, if there is one, and those to keep
  size_t textField = FileInfo::none;

  File() = default;
  File(const File &) = delete;
  ~File();
  static Result<std::shared_ptr<const File>>
  open(const std::string &path, const SourceOptions &options, ExpansionLimits limits);
  /// Fills out[0, n) from the file.
  Status read(uint64_t offset, char *out, size_t n) const;
};

} // namespace r1rt::source::parquet
#endif
