// Object code on disk, by content. Internal to compiler/cpu.
#pragma once
#include "llvm/ADT/SmallString.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/MemoryBuffer.h"
#include <memory>
#include <string>

namespace r1::cpu {

/// Files `<directory>/<key>.o`: an object followed by its hash, written whole under another name
/// and renamed, so that readers see all of a file or none. Every failure means "not there".
class ObjectCache {
public:
  /// `target` is part of every key, as is the build of this compiler. An empty directory: no cache.
  ObjectCache(std::string directory, std::string target);
  std::string key(llvm::StringRef text) const;
  std::unique_ptr<llvm::MemoryBuffer> load(llvm::StringRef key) const;
  void store(llvm::StringRef key, llvm::StringRef object) const;

private:
  std::string path(llvm::StringRef key) const;
  std::string directory, salt;
};

} // namespace r1::cpu
