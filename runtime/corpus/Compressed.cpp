#include "runtime/corpus/Compressed.h"
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <unistd.h>
#include <zstd.h>

namespace r1rt::corpus {

struct Packer::State {
  std::unique_ptr<ZSTD_CCtx, decltype(&ZSTD_freeCCtx)> context{ZSTD_createCCtx(), ZSTD_freeCCtx};
  std::unique_ptr<char[]> frame; // not a string, which would be filled with zeros first
  size_t room = 0;
};

Packer::Packer() : s(std::make_unique<State>()) {}
Packer::~Packer() = default;

Result<std::string_view> Packer::frame(std::string_view text) {
  if (size_t bound = ZSTD_compressBound(text.size()); bound > s->room) {
    s->frame = std::make_unique_for_overwrite<char[]>(bound);
    s->room = bound;
  }
  ZSTD_CCtx *context = s->context.get();
  ZSTD_CCtx_reset(context, ZSTD_reset_session_and_parameters);
  ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, 1);
  ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);
  size_t n = ZSTD_compress2(context, s->frame.get(), s->room, text.data(), text.size());
  if (ZSTD_isError(n))
    return Status::error(std::string("zstd: ") + ZSTD_getErrorName(n));
  return std::string_view(s->frame.get(), n);
}

namespace {

Status failed(const std::string &what, const std::string &path) {
  return Status::error("cannot " + what + " `" + path + "`: " +
                       (errno == ENOSPC ? "the disk is full" : std::strerror(errno)));
}

/// take(part) for each MiB of a file.
template <class F> Status eachPart(const std::string &path, F take) {
  int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return failed("open", path);
  std::string buffer(1 << 20, '\0');
  Status st;
  while (st.isOk()) {
    ssize_t n = ::read(fd, buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0)
      st = failed("read", path);
    if (n <= 0)
      break;
    st = take(std::string_view(buffer.data(), size_t(n)));
  }
  ::close(fd);
  return st;
}

} // namespace

struct OutFile::State {
  std::string path;
  int fd = -1;
  uint64_t bytes = 0;
};

OutFile::OutFile() : s(std::make_unique<State>()) {}

OutFile::~OutFile() {
  if (s->fd >= 0) {
    ::close(s->fd);
    ::unlink((s->path + ".tmp").c_str());
  }
}

uint64_t OutFile::bytes() const { return s->bytes; }

Status OutFile::open(const std::string &path) {
  s->path = path;
  s->fd = ::open((path + ".tmp").c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  return s->fd < 0 ? failed("write", path) : Status::ok();
}

Status OutFile::append(std::string_view text) {
  s->bytes += text.size();
  while (!text.empty()) {
    ssize_t n = ::write(s->fd, text.data(), text.size());
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0)
      return failed("write", s->path);
    text.remove_prefix(size_t(n));
  }
  return Status::ok();
}

Status OutFile::appendFile(const std::string &path) {
  return eachPart(path, [&](std::string_view text) { return append(text); });
}

Status OutFile::finish(Flush flush) {
  int fd = s->fd;
  s->fd = -1;
  bool ok = flush == Flush::later || ::fsync(fd) == 0;
  ok = ::close(fd) == 0 && ok;
  ok = ok && ::rename((s->path + ".tmp").c_str(), s->path.c_str()) == 0;
  if (!ok) {
    Status st = failed("write", s->path);
    ::unlink((s->path + ".tmp").c_str());
    return st;
  }
  if (flush == Flush::later)
    return Status::ok();
  std::string folder = std::filesystem::path(s->path).parent_path();
  if (int dir = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); dir >= 0) {
    ::fsync(dir);
    ::close(dir);
  }
  return Status::ok();
}

} // namespace r1rt::corpus
