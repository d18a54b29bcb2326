//===- Files.h - reading and atomically writing files ----------------------===//
#ifndef R1RT_STATE_FILES_H
#define R1RT_STATE_FILES_H
#include "runtime/Status.h"
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>

namespace r1rt {

/// A read-only mapping of a whole regular file.
class MappedFile {
public:
  MappedFile() = default;
  MappedFile(MappedFile &&o) noexcept : ptr(o.ptr), bytes(o.bytes) { o.ptr = nullptr, o.bytes = 0; }
  MappedFile &operator=(MappedFile &&o) noexcept {
    std::swap(ptr, o.ptr), std::swap(bytes, o.bytes);
    return *this;
  }
  ~MappedFile();
  static Result<MappedFile> open(const std::string &path);
  std::string_view text() const { return {static_cast<const char *>(ptr), bytes}; }
  /// The pages wholly inside `part` of the text need no memory until they are read again.
  void release(std::string_view part) const;

private:
  void *ptr = nullptr;
  size_t bytes = 0;
};

Result<std::string> readFile(const std::string &path);
/// When a file has to be on the disk: before the call returns, or not before `flushFiles`, until which it may be
/// lost if the machine stops (but not if the process does).
enum class Flush { now, later };
/// The file holds either its old content or all of the new one, also after a crash: written
/// beside it, flushed, renamed, and the directory flushed.
Status writeFileAtomic(const std::string &path, std::span<const std::string_view> parts, Flush flush = Flush::now);
Status writeFileAtomic(const std::string &path, std::string_view content, Flush flush = Flush::now);
/// Files of one directory, which is flushed as well.
Status flushFiles(std::span<const std::string> paths);
/// The same, of a content that is made while it is written: `next` gives what follows, which stays valid until it
/// is asked again, and nothing at the end. Its error leaves the old content.
Status writeFileAtomic(const std::string &path, const std::function<Result<std::string_view>()> &next);
/// `path` and the missing directories above it.
Status makeDirs(const std::string &path);
/// Fails if the file system of `dir` has less than `bytes` free for us.
Status requireSpace(const std::string &dir, uint64_t bytes, const std::string &what);

/// Lower-case hexadecimal SHA-256.
std::string sha256(std::string_view content);
Result<std::string> sha256File(const std::string &path);

/// "1.5 GiB"
std::string bytesText(uint64_t bytes);

} // namespace r1rt
#endif
