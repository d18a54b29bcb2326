//===- Dvc.h - versions of data as DVC writes them ---------------------------===//
//
// What `dvc status` (3.x) compares: the MD5 of a file's bytes; for a directory the MD5 of the text that
// Python's json.dumps(sort_keys=True) makes of [{"md5", "relpath"}, …] sorted by relpath, with ".dir"
// behind it. Empty directories do not count.
//
//===----------------------------------------------------------------------===//
#ifndef R1RT_STATE_DVC_H
#define R1RT_STATE_DVC_H
#include "runtime/Status.h"
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace r1rt::dvc {

/// Lower-case hexadecimal hashes, both from one pass over the bytes.
struct FileHashes {
  std::string md5, sha256;
  uint64_t size = 0;
};
Result<FileHashes> hashFile(const std::string &path);
FileHashes hashText(std::string_view text);

/// A file or directory that a stage reads or writes.
struct Item {
  std::string path;   // as it is written: relative to the .dvc, dvc.yaml file
  std::string md5;    // of a directory with ".dir"
  uint64_t size = 0;  // of a directory the sum of its files
  uint64_t files = 0; // of a directory its number of files; 0: a file
};

/// A file below a directory. `path` is relative to it, with '/'.
struct Entry {
  std::string path, md5;
  uint64_t size = 0;
};
/// A directory from its files' hashes, in any order.
Item directory(std::string path, std::vector<Entry> entries);
/// Hashes what is at `root`/`path`: a file, or all files below a directory, links followed. What
/// is neither file nor directory is an error.
Result<Item> itemAt(const std::string &root, std::string path);

/// The text of PATH.dvc for an output. `cached`: DVC is to find it in its cache as well; only `dvc add`
/// and `dvc commit` put it there.
std::string dvcFile(const Item &out, bool cached = false);

struct Stage {
  std::string name; // must be unique; letters, digits, '_' and '-' are safe
  std::string cmd;
  std::vector<Item> deps, outs;
};
/// dvc.yaml, the stages as `dvc repro` runs them, and dvc.lock (schema 2.0), what they were like when
/// they ran.
std::string dvcYaml(const std::vector<Stage> &stages, bool cached = false);
std::string dvcLock(const std::vector<Stage> &stages);

} // namespace r1rt::dvc
#endif
