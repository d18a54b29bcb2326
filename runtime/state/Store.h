//===- Store.h - artifacts by fingerprint ----------------------------------===//
//
//   .r1/
//     hashes.json                 content hashes of files, by (size, mtime, inode)
//     <fingerprint>/
//       lock                      flock: one writer at a time
//       manifest.json             state, stage, files with their sizes
//       model.safetensors ...     what the stage made
//
// An artifact is finished once its manifest says so and every file it lists has the size it
// lists; otherwise it is interrupted, and the next run goes on from what is there.
//
//===----------------------------------------------------------------------===//
#ifndef R1RT_STATE_STORE_H
#define R1RT_STATE_STORE_H
#include "runtime/Status.h"
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace r1rt {

enum class ArtifactState { absent, interrupted, finished };

/// The right to write one artifact; given back on destruction.
class ArtifactLease {
public:
  ArtifactLease(ArtifactLease &&o) noexcept : fd(o.fd), path(std::move(o.path)), found(o.found) {
    o.fd = -1;
  }
  ArtifactLease &operator=(ArtifactLease &&o) noexcept {
    std::swap(fd, o.fd), std::swap(path, o.path), std::swap(found, o.found);
    return *this;
  }
  ~ArtifactLease();
  const std::string &dir() const { return path; }
  /// What was there when the lease was given. `finished`: another run made it meanwhile; use
  /// it as it is.
  ArtifactState state() const { return found; }

private:
  friend class Store;
  ArtifactLease(int fd, std::string path, ArtifactState found)
      : fd(fd), path(std::move(path)), found(found) {}
  int fd;
  std::string path;
  ArtifactState found;
};

class Store {
public:
  /// Opens the store at `root`, making it if need be. A store that cannot be written is opened
  /// for reading: what it holds can be used, `begin` fails.
  static Result<std::unique_ptr<Store>> open(const std::string &root);
  /// Opens the store at `root` to look at it: nothing is written, and one that is not there is empty.
  static Result<std::unique_ptr<Store>> look(const std::string &root);

  const std::string &root() const { return base; }
  /// May files be kept here? Never in a store that is not there.
  bool writable() const { return canWrite; }
  std::string dir(const std::string &fingerprint) const { return base + "/" + fingerprint; }

  ArtifactState state(const std::string &fingerprint) const;
  /// Why an artifact that was finished does not count as finished: its manifest is missing or broken,
  /// or the first file that is missing or has another size, with both sizes. Empty if nothing is
  /// wrong.
  std::string damage(const std::string &fingerprint) const;
  Result<nlohmann::json> manifest(const std::string &fingerprint) const;
  /// Fingerprints with a manifest, sorted.
  std::vector<std::string> list() const;

  /// Takes the lease on an artifact. If another process has it, calls `waiting` once with a
  /// message and waits. `info` (stage name, arguments, ...) goes into the manifest. With `anew`
  /// what was there is removed once the lease is held.
  Result<ArtifactLease> begin(const std::string &fingerprint, nlohmann::json info,
                              const std::function<void(const std::string &)> &waiting = {},
                              bool anew = false);
  /// Declares the artifact finished: lists the files now in its directory (temporary ones are
  /// removed) with their sizes, MD5 and SHA-256, and adds `result` to the manifest. What result["hashes"] has,
  /// {FILE: {"md5", "sha256"}}, is not computed again.
  Status finish(const ArtifactLease &lease, const nlohmann::json &result = {});

  /// SHA-256 of a file's content; read again only if its size, time or inode changed.
  Result<std::string> fileHash(const std::string &path);

private:
  std::string base;
  bool canWrite = true, onlyLooks = false;
  nlohmann::json hashes;
};

} // namespace r1rt
#endif
