//===- Parquet.h - rows of Parquet files ------------------------------------===//
//
// The format as of parquet-format 2.10: data pages of both versions; encodings PLAIN,
// PLAIN_DICTIONARY and RLE_DICTIONARY, RLE, DELTA_BINARY_PACKED, DELTA_LENGTH_BYTE_ARRAY,
// DELTA_BYTE_ARRAY, BYTE_STREAM_SPLIT; codecs none, Snappy, gzip, Zstandard; nested columns of any
// depth. Only wanted columns are read, a page of each at a time, whatever the size of row groups.
//
// A row becomes JSON: lists (also those of older writers) are lists, maps with strings as keys are
// objects, other maps lists of {"key","value"}; numbers are numbers, decimals with all their
// digits; dates and times are strings of ISO 8601; UUIDs are hexadecimal; bytes without a type are
// text.
//
//===----------------------------------------------------------------------===//
#ifndef R1RT_SOURCE_PARQUET_H
#define R1RT_SOURCE_PARQUET_H
#include "runtime/source/FileInfo.h"

namespace r1rt::source::parquet {

/// Blocks are ranges of rows inside row groups, of about blockBytes bytes before compression.
Result<std::unique_ptr<BlockReader>>
openBlocks(const std::string &path, const SourceOptions &options, ExpansionLimits limits);

/// Takes the rows of blocks; goes on where the last block ended, or finds its way there. One per
/// thread.
class Rows {
public:
  explicit Rows(const SourceOptions &options);
  ~Rows();
  Status parse(const Block &block, const RecordSink &record, const BadRowSink &bad);

private:
  struct Impl;
  std::unique_ptr<Impl> impl;
};

} // namespace r1rt::source::parquet
#endif
