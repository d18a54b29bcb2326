#include "runtime/state/Files.h"
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <memory>
#include <openssl/evp.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include <utility>

namespace r1rt {

static Status systemError(const std::string &path, const std::string &what, int code = errno) {
  std::string text = "cannot " + what + " `" + path + "`: ";
  if (code == ENOSPC)
    return Status::error(text + "the disk is full");
  if (code == EROFS)
    return Status::error(text + "the file system is read-only");
  return Status::error(text + std::strerror(code));
}

namespace {
struct Fd {
  int fd;
  explicit Fd(int fd) : fd(fd) {}
  ~Fd() {
    if (fd >= 0)
      ::close(fd);
  }
};
} // namespace

MappedFile::~MappedFile() {
  if (ptr)
    munmap(ptr, bytes);
}

Result<MappedFile> MappedFile::open(const std::string &path) {
  Fd f(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (f.fd < 0)
    return errno == ENOENT ? Status::error("there is no file `" + path + "`")
                           : systemError(path, "open");
  struct stat st;
  if (fstat(f.fd, &st))
    return systemError(path, "look at");
  if (S_ISDIR(st.st_mode))
    return Status::error("`" + path + "` is a directory, not a file");
  if (!S_ISREG(st.st_mode))
    return Status::error("`" + path + "` is not a regular file");
  MappedFile m;
  if (st.st_size == 0)
    return m;
  void *p = mmap(nullptr, size_t(st.st_size), PROT_READ, MAP_PRIVATE, f.fd, 0);
  if (p == MAP_FAILED)
    return systemError(path, "read");
  m.ptr = p;
  m.bytes = size_t(st.st_size);
  return m;
}

void MappedFile::release(std::string_view part) const {
  constexpr uintptr_t page = 4096;
  uintptr_t from = (reinterpret_cast<uintptr_t>(part.data()) + page - 1) / page * page;
  uintptr_t to = reinterpret_cast<uintptr_t>(part.data() + part.size()) / page * page;
  if (from < to)
    (void)madvise(reinterpret_cast<void *>(from), to - from, MADV_DONTNEED); // only a wish
}

Result<std::string> readFile(const std::string &path) {
  R1RT_ASSIGN(MappedFile m, MappedFile::open(path));
  return std::string(m.text());
}

static void flushDirectoryOf(const std::string &path) {
  std::string dir = std::filesystem::path(path).parent_path().string();
  Fd d(::open(dir.empty() ? "." : dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (d.fd >= 0)
    (void)fsync(d.fd); // some file systems refuse; the rename itself has succeeded
}

static Status writeAtomic(const std::string &path, const std::function<Result<std::string_view>()> &next, Flush flush) {
  std::string temp = path + ".tmp" + std::to_string(getpid());
  int code = 0;
  {
    Fd f(::open(temp.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
    if (f.fd < 0)
      return systemError(path, "write");
    while (!code) {
      auto given = next();
      if (!given) {
        ::unlink(temp.c_str());
        return given.status();
      }
      std::string_view part = *given;
      if (part.empty())
        break;
      while (!part.empty() && !code) {
        ssize_t n = ::write(f.fd, part.data(), std::min<size_t>(part.size(), 1u << 30));
        if (n >= 0)
          part.remove_prefix(size_t(n));
        else if (errno != EINTR)
          code = errno;
      }
    }
    if (!code && flush == Flush::now && fsync(f.fd))
      code = errno;
    // Some file systems (FUSE, NFS, those with quotas) tell only here that there was no room.
    if (::close(std::exchange(f.fd, -1)) && !code)
      code = errno;
  }
  if (!code && std::rename(temp.c_str(), path.c_str()))
    code = errno;
  if (code) {
    ::unlink(temp.c_str());
    return systemError(path, "write", code);
  }
  if (flush == Flush::now)
    flushDirectoryOf(path);
  return Status::ok();
}

Status writeFileAtomic(const std::string &path, const std::function<Result<std::string_view>()> &next) {
  return writeAtomic(path, next, Flush::now);
}

Status writeFileAtomic(const std::string &path, std::span<const std::string_view> parts, Flush flush) {
  size_t i = 0;
  auto next = [&]() -> Result<std::string_view> {
    while (i < parts.size() && parts[i].empty())
      ++i;
    return i < parts.size() ? parts[i++] : std::string_view();
  };
  return writeAtomic(path, next, flush);
}

Status writeFileAtomic(const std::string &path, std::string_view content, Flush flush) {
  return writeFileAtomic(path, std::span<const std::string_view>(&content, 1), flush);
}

Status flushFiles(std::span<const std::string> paths) {
  for (const std::string &path : paths) {
    Fd f(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (f.fd < 0 || fsync(f.fd))
      return systemError(path, "write");
  }
  if (!paths.empty())
    flushDirectoryOf(paths.back());
  return Status::ok();
}

Status makeDirs(const std::string &path) {
  std::error_code ec;
  std::filesystem::create_directories(path, ec);
  return ec ? systemError(path, "make the directory", ec.value()) : Status::ok();
}

Status requireSpace(const std::string &dir, uint64_t bytes, const std::string &what) {
  struct statvfs v;
  if (statvfs(dir.c_str(), &v))
    return systemError(dir, "look at the free space of");
  uint64_t free = uint64_t(v.f_bavail) * v.f_frsize;
  if (free < bytes)
    return Status::error(what + " needs " + bytesText(bytes) + " on the disk of `" + dir +
                         "`, which has " + bytesText(free) + " left");
  return Status::ok();
}

std::string sha256(std::string_view content) {
  unsigned char out[EVP_MAX_MD_SIZE];
  unsigned n = 0;
  EVP_Digest(content.data(), content.size(), out, &n, EVP_sha256(), nullptr);
  std::string hex;
  for (unsigned i = 0; i < n; ++i) {
    hex += "0123456789abcdef"[out[i] >> 4];
    hex += "0123456789abcdef"[out[i] & 15];
  }
  return hex;
}

Result<std::string> sha256File(const std::string &path) {
  R1RT_ASSIGN(MappedFile m, MappedFile::open(path));
  return sha256(m.text());
}

std::string bytesText(uint64_t bytes) {
  const char *units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
  double v = double(bytes);
  int u = 0;
  while (v >= 1024 && u < 4) {
    v /= 1024;
    ++u;
  }
  char buf[64];
  std::snprintf(buf, sizeof buf, u ? "%.1f %s" : "%.0f %s", v, units[u]);
  return buf;
}

} // namespace r1rt
