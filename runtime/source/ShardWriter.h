//===- ShardWriter.h - rows into one compressed JSONL file ------------------===//
#ifndef R1RT_SOURCE_SHARDWRITER_H
#define R1RT_SOURCE_SHARDWRITER_H
#include "runtime/Status.h"
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace r1rt::source {

struct ShardInfo {
  uint64_t rows = 0;
  uint64_t textBytes = 0;  // of all texts, before JSON
  uint64_t fileBytes = 0;  // of the compressed file
  std::string sha256, md5; // of the compressed file, lower-case hexadecimal
};

/// Writes one zstd file of JSON lines. The file appears under its name only when it is whole and on
/// disk: it is written beside it, flushed, renamed. Same rows and level, same bytes.
class ShardWriter {
public:
  /// level: of zstd, 1 to 19.
  static Result<std::unique_ptr<ShardWriter>> create(const std::string &path, int level = 3);
  /// Removes what was written, if finish() has not succeeded.
  virtual ~ShardWriter() = default;

  /// One row, {"text":TEXT,FIELDS OF more}. text: valid UTF-8. more: empty, or a JSON object
  /// without a field "text"; its fields are copied as they stand. After an error all calls return
  /// it.
  virtual Status add(std::string_view text, std::string_view more) = 0;
  /// At most once; nothing may follow.
  virtual Result<ShardInfo> finish() = 0;
};

/// Appends `text` (valid UTF-8) as a JSON string, with its quotes; only what must be escaped is.
void appendJsonString(std::string_view text, std::string &out);

} // namespace r1rt::source
#endif
