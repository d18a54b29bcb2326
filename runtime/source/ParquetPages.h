//===- ParquetPages.h - the values of one column of a row group -------------===//
#ifndef R1RT_SOURCE_PARQUETPAGES_H
#define R1RT_SOURCE_PARQUETPAGES_H
#include "runtime/source/ParquetFile.h"

namespace r1rt::source::parquet {

// The streams below hold a view of a page and never read beyond it. After its end, or a mistake,
// they yield 0 and `bad` is true.

/// Runs of equal values, or values of `width` bits side by side: levels, indices, booleans.
class Hybrid {
public:
  Hybrid() = default;
  Hybrid(std::string_view bytes, int width) : bytes(bytes), width(width) {}
  uint32_t next();
  bool bad = false;

private:
  void run();
  std::string_view bytes; // after the run at hand
  int width = 0;
  uint64_t left = 0; // in the run
  uint32_t same = 0; // its value, or:
  bool packed = false;
  std::string_view bits;
  uint64_t bit = 0;
};

/// DELTA_BINARY_PACKED.
class Deltas {
public:
  Deltas() = default;
  explicit Deltas(std::string_view bytes);
  uint64_t next();
  uint64_t remaining() const { return left; }
  /// Where the encoded values end; passes over all that remain.
  size_t end();
  bool bad = false;

private:
  void block();
  std::string_view all;
  size_t at = 0;
  uint64_t left = 0, value = 0, least = 0;
  bool first = true;
  uint64_t perBlock = 0, blocks = 0, perMini = 0;
  size_t widths = 0;             // where those of the block lie
  uint64_t mini = 0, inMini = 0; // of the block; how many are left in it
  int width = 0;
  uint64_t bit = 0;
};

/// A value; which member counts says the physical type.
struct Value {
  std::string_view bytes; // of bytes, fixed, int96; until the next value of the column is asked for
  uint64_t bits = 0;      // of the others; int32 with its sign extended
};

/// Walks over the entries of one column of a row group. An entry is a value or says what is missing
/// there. Only a page is in memory, and the dictionary.
class Column {
public:
  Column(const File &file, size_t group, size_t leaf);
  ~Column();

  /// The entry at hand, after which advance() goes on to the next one; the levels of the end are 0.
  bool atEnd();
  int def() { return atEnd() ? 0 : defLevel; }
  int rep() { return atEnd() ? 0 : repLevel; }
  bool present() { return def() == leaf.maxDef && !ended; }
  /// Its value, once, if it is present.
  Value value();
  void advance();
  /// Passes over rows; only between two of them.
  void skipRows(uint64_t rows);

  /// The first mistake; entries and values behind it are empty.
  const Status &status() const { return failure; }
  bool failed() const { return !failure.isOk(); }
  void fail(const std::string &what);

private:
  struct Header;
  void load();                // the entry at hand, if it is not yet
  bool readHeader(Header &h); // false at the end
  bool page(const Header &h); // false: it was no data page
  bool payload(const Header &h, std::string &out, size_t raw);
  bool decompress(std::string_view in, char *out, size_t size);
  void dictionary(const Header &h);
  void values(int encoding, std::string_view bytes);
  uint64_t fixedBits(std::string_view bytes) const;
  Value plain();
  Value split();

  const File &file;
  const Leaf &leaf;
  const Chunk &chunk;
  size_t group;
  uint64_t position, end; // of the next page in the file
  uint64_t pageBegin = 0; // for messages
  uint64_t entriesLeft;   // in the chunk, behind the page
  uint64_t inPage = 0;    // entries left in the page, without the one at hand
  bool loaded = false, consumed = false, ended = false;
  int defLevel = 0, repLevel = 0;
  Hybrid defs, reps;

  std::string packed, data; // of the page, data decompressed
  std::string dictionaryData;
  std::vector<Value> dictionaryValues;
  enum {
    none,
    plainValues,
    indices,
    runs,
    deltas,
    deltaLengths,
    deltaBytes,
    splitBytes
  } how = none;
  std::string_view rest; // of the values
  Hybrid indexes;
  Deltas delta, lengths;
  std::string last;           // of deltaBytes and splitBytes
  uint64_t at = 0, count = 0; // of booleans and splitBytes
  void *zstd = nullptr;
  Status failure;
};

} // namespace r1rt::source::parquet
#endif
