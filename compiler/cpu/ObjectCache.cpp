#include "compiler/cpu/ObjectCache.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Config/llvm-config.h"
#include "llvm/Support/Endian.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/raw_ostream.h"
#include "llvm/Support/xxhash.h"

using namespace r1::cpu;

// The build of the compiler: another schedule makes other code of the same kernel.
static std::string buildStamp() {
  llvm::sys::fs::file_status status;
  std::string stamp = LLVM_VERSION_STRING;
  if (!llvm::sys::fs::status("/proc/self/exe", status))
    stamp += "|" + std::to_string(status.getSize()) + "|" +
             std::to_string(status.getLastModificationTime().time_since_epoch().count());
  return stamp;
}

ObjectCache::ObjectCache(std::string dir, std::string target)
    : directory(std::move(dir)), salt(buildStamp() + "|" + std::move(target)) {
  if (!directory.empty() && llvm::sys::fs::create_directories(directory))
    directory.clear();
}

std::string ObjectCache::key(llvm::StringRef text) const {
  std::string all = salt + "\n" + text.str();
  auto h = llvm::xxh3_128bits(llvm::arrayRefFromStringRef(all));
  return llvm::utohexstr(h.high64, true, 16) + llvm::utohexstr(h.low64, true, 16);
}

std::string ObjectCache::path(llvm::StringRef key) const {
  llvm::SmallString<128> p(directory);
  llvm::sys::path::append(p, key + ".o");
  return p.str().str();
}

std::unique_ptr<llvm::MemoryBuffer> ObjectCache::load(llvm::StringRef key) const {
  if (directory.empty())
    return nullptr;
  auto file = llvm::MemoryBuffer::getFile(path(key), false, false);
  if (!file || (*file)->getBufferSize() < 8)
    return nullptr;
  llvm::StringRef all = (*file)->getBuffer(), object = all.drop_back(8);
  if (llvm::support::endian::read64le(all.end() - 8) != llvm::xxh3_64bits(object))
    return nullptr;
  return llvm::MemoryBuffer::getMemBufferCopy(object, key);
}

void ObjectCache::store(llvm::StringRef key, llvm::StringRef object) const {
  if (directory.empty())
    return;
  std::string to = path(key);
  int fd;
  llvm::SmallString<128> temporary;
  if (llvm::sys::fs::createUniqueFile(to + ".%%%%%%%%", fd, temporary))
    return;
  bool written;
  {
    llvm::raw_fd_ostream out(fd, /*shouldClose=*/true);
    char hash[8];
    llvm::support::endian::write64le(hash, llvm::xxh3_64bits(object));
    out << object << llvm::StringRef(hash, 8);
    out.close();
    written = !out.has_error();
    out.clear_error();
  }
  if (!written || llvm::sys::fs::rename(temporary, to))
    llvm::sys::fs::remove(temporary);
}
