//===- Compressed.h - files that appear whole, compressed or not ---------------===//
#ifndef R1RT_CORPUS_COMPRESSED_H
#define R1RT_CORPUS_COMPRESSED_H
#include "runtime/Status.h"
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace r1rt::corpus {

/// One frame, with its own checksum; written as writeFileAtomic does. At zstd's level 1, since higher ones
/// take longer than all rules together; archives may be packed again.
Status writeCompressed(const std::string &path, std::string_view text);

/// A file that is written piece by piece; it appears whole or not at all.
class OutFile {
public:
  OutFile();
  ~OutFile();
  Status open(const std::string &path);
  Status append(std::string_view text);
  /// One frame of zstd.
  Status appendFrame(std::string_view text);
  /// All of another file.
  Status appendFile(const std::string &path);
  uint64_t bytes() const;
  Status finish();

private:
  struct State;
  std::unique_ptr<State> s;
};

} // namespace r1rt::corpus
#endif
