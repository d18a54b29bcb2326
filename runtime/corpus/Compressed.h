//===- Compressed.h - files that appear whole, compressed or not ---------------===//
#ifndef R1RT_CORPUS_COMPRESSED_H
#define R1RT_CORPUS_COMPRESSED_H
#include "runtime/state/Files.h"
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace r1rt::corpus {

/// Makes frames of zstd, each with its own checksum. At level 1, since higher ones take longer than all rules
/// together; archives may be packed again. One per thread; its memory is used again.
class Packer {
public:
  Packer();
  ~Packer();
  /// The frame of `text`, until the next call.
  Result<std::string_view> frame(std::string_view text);

private:
  struct State;
  std::unique_ptr<State> s;
};

/// A file that is written piece by piece; it appears whole or not at all.
class OutFile {
public:
  OutFile();
  ~OutFile();
  Status open(const std::string &path);
  Status append(std::string_view text);
  /// All of another file.
  Status appendFile(const std::string &path);
  uint64_t bytes() const;
  Status finish(Flush flush = Flush::now);

private:
  struct State;
  std::unique_ptr<State> s;
};

} // namespace r1rt::corpus
#endif
