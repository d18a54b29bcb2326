//===- Bytes.h - the bytes of a file, decompressed as they are read --------===//
#ifndef R1RT_SOURCE_BYTES_H
#define R1RT_SOURCE_BYTES_H
#include "runtime/Status.h"
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace r1rt::source {

/// Against decompression bombs: a stream may expand beyond `ratio` times its compressed bytes only
/// up to `ratioFrom` bytes of output, and never beyond `total`.
struct ExpansionLimits {
  uint64_t ratio = 1000;
  uint64_t ratioFrom = 64ull << 20;
  uint64_t total = 1ull << 42;
};

enum class Compression { plain, gzip, zstd };
/// Of a file that begins so; four bytes are enough.
Compression compressionOf(std::string_view head);

/// A file as a stream of bytes. What it holds is told by its first bytes, not by its name: gzip
/// (any number of members), zstd (any number of frames, skippable ones passed over), else plain.
/// Memory is bounded: zstd windows above 128 MiB are refused.
class ByteStream {
public:
  static Result<std::unique_ptr<ByteStream>> open(const std::string &path,
                                                  ExpansionLimits limits = {});
  virtual ~ByteStream() = default;

  /// Fills out[0, size), size > 0, with as much as there is; 0 is the end. Bytes before damage are
  /// delivered first; the call after them returns the error, as does every later one.
  virtual Result<size_t> read(char *out, size_t size) = 0;
  /// Passes over `size` bytes: a plain file jumps, others are decompressed. An error if there are
  /// less.
  virtual Status skip(uint64_t size) = 0;
  virtual uint64_t compressedOffset() const = 0; // bytes of the file that were used
  virtual uint64_t compressedSize() const = 0;   // bytes of the file
  virtual uint64_t offset() const = 0;           // bytes that were delivered or passed over
};

} // namespace r1rt::source
#endif
