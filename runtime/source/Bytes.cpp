#include "runtime/source/Bytes.h"
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>
#include <zlib.h>
#include <zstd.h>

namespace r1rt::source {

Compression compressionOf(std::string_view head) {
  auto byte = [&](size_t i) { return static_cast<unsigned char>(head[i]); };
  if (head.size() >= 2 && byte(0) == 0x1f && byte(1) == 0x8b)
    return Compression::gzip;
  uint32_t magic =
      head.size() < 4 ? 0 : byte(0) | byte(1) << 8 | byte(2) << 16 | uint32_t(byte(3)) << 24;
  bool zstd = magic == ZSTD_MAGICNUMBER ||
              (magic & ZSTD_MAGIC_SKIPPABLE_MASK) == ZSTD_MAGIC_SKIPPABLE_START;
  return zstd ? Compression::zstd : Compression::plain;
}

namespace {

class Stream : public ByteStream {
public:
  Stream(std::string path, int fd, ExpansionLimits limits)
      : path(std::move(path)), fd(fd), limits(limits), in(256 << 10) {}
  ~Stream() override {
    inflateEnd(&z); // harmless where inflateInit was not called
    ZSTD_freeDCtx(zstd);
    close(fd);
  }

  Status begin() {
    struct stat st;
    if (fstat(fd, &st))
      return bad(std::string("cannot be read: ") + strerror(errno));
    if (S_ISDIR(st.st_mode))
      return Status::error(path + ": is a directory, not a file");
    fileSize = S_ISREG(st.st_mode) ? static_cast<uint64_t>(st.st_size) : 0;
    R1RT_TRY(fill());
    kind = compressionOf({in.data(), end});
    if (kind == Compression::gzip && inflateInit2(&z, 15 + 16) != Z_OK)
      return Status::error(path + ": no memory for a gzip decoder");
    if (kind == Compression::zstd && !(zstd = ZSTD_createDCtx()))
      return Status::error(path + ": no memory for a zstd decoder");
    return Status::ok();
  }

  Result<size_t> read(char *out, size_t size) override {
    size_t done = 0;
    while (done < size && failure.isOk()) {
      // Much of a plain file at once is read to where it is wanted.
      bool direct = kind == Compression::plain && next == end && size - done >= in.size();
      if (direct) {
        Result<size_t> n = fetch(out + done, size - done);
        if (!n)
          failure = n.status();
        if (!n || !*n)
          break;
        done += *n;
        delivered += *n;
        continue;
      }
      if (Status s = fill(); !s) {
        failure = s;
        break;
      }
      size_t before = done, used = next;
      bool ended = next == end;
      if (kind == Compression::plain) {
        size_t n = std::min(size - done, end - next);
        memcpy(out + done, in.data() + next, n);
        next += n;
        done += n;
      } else {
        if (ended && !inside)
          break; // the end of the file between two members or frames
        done += kind == Compression::gzip ? inflateSome(out + done, size - done)
                                          : zstdSome(out + done, size - done);
      }
      delivered += done - before;
      if (kind != Compression::plain)
        checkExpansion();
      if (failure.isOk() && done == before && used == next && ended) {
        if (kind == Compression::plain || !inside)
          break;
        failure = bad("the file ends inside the compressed data; it was cut short, fetch it again");
      }
    }
    if (done == 0 && !failure.isOk())
      return failure;
    return done;
  }

  Status skip(uint64_t size) override {
    if (kind == Compression::plain) {
      if (size > fileSize - std::min(fileSize, delivered))
        return tooShort(delivered + size, fileSize);
      delivered += size;
      fetched = delivered;
      next = end = 0;
      if (lseek(fd, static_cast<off_t>(delivered), SEEK_SET) < 0)
        return bad(std::string("cannot go there: ") + strerror(errno));
      return Status::ok();
    }
    std::string passed(std::min<uint64_t>(size, 1 << 20), 0);
    for (uint64_t target = delivered + size; delivered < target;) {
      R1RT_ASSIGN(size_t n,
                  read(passed.data(), std::min<uint64_t>(passed.size(), target - delivered)));
      if (!n)
        return tooShort(target, delivered);
    }
    return Status::ok();
  }

  uint64_t compressedOffset() const override { return fetched - (end - next); }
  uint64_t compressedSize() const override { return fileSize; }
  uint64_t offset() const override { return delivered; }

private:
  Result<size_t> fetch(char *to, size_t size) {
    ssize_t n;
    do
      n = ::read(fd, to, size);
    while (n < 0 && errno == EINTR);
    if (n < 0)
      return bad(std::string("cannot be read: ") + strerror(errno));
    fetched += static_cast<size_t>(n);
    return static_cast<size_t>(n);
  }

  Status fill() {
    if (next < end)
      return Status::ok();
    next = end = 0;
    R1RT_ASSIGN(end, fetch(in.data(), in.size()));
    return Status::ok();
  }

  Status tooShort(uint64_t wanted, uint64_t has) const {
    return Status::error(path + ": to go on at byte " + std::to_string(wanted) +
                         " is not possible, there are " + std::to_string(has) +
                         "; the file is another one than before");
  }

  Status bad(const std::string &what) const {
    return Status::error(path + ": at byte " + std::to_string(compressedOffset()) + " (byte " +
                         std::to_string(delivered) + " of the text): " + what);
  }

  size_t inflateSome(char *out, size_t size) {
    if (!inside && next < end) {
      inflateReset(&z);
      inside = true;
    }
    z.next_in = reinterpret_cast<Bytef *>(in.data() + next);
    z.avail_in = static_cast<uInt>(end - next);
    z.next_out = reinterpret_cast<Bytef *>(out);
    uInt room = static_cast<uInt>(std::min<size_t>(size, 1 << 30));
    z.avail_out = room;
    int rc = inflate(&z, Z_NO_FLUSH);
    next = end - z.avail_in;
    if (rc == Z_STREAM_END)
      inside = false;
    else if (rc != Z_OK && rc != Z_BUF_ERROR)
      failure = bad(std::string("damaged gzip data: ") + (z.msg ? z.msg : zError(rc)));
    return room - z.avail_out;
  }

  size_t zstdSome(char *out, size_t size) {
    ZSTD_inBuffer src{in.data() + next, end - next, 0};
    ZSTD_outBuffer dst{out, size, 0};
    size_t rc = ZSTD_decompressStream(zstd, &dst, &src);
    next += src.pos;
    if (ZSTD_isError(rc))
      failure = bad(std::string("damaged zstd data: ") + ZSTD_getErrorName(rc));
    else
      inside = rc != 0;
    return dst.pos;
  }

  void checkExpansion() {
    uint64_t packed = std::max<uint64_t>(compressedOffset(), 1);
    if (!failure.isOk())
      return;
    if (delivered > limits.total)
      failure = bad("expands beyond the limit of " + std::to_string(limits.total) +
                    " bytes; raise the limit if the file is trusted");
    else if (delivered > limits.ratioFrom && delivered / packed >= limits.ratio)
      failure = bad("expands to more than " + std::to_string(limits.ratio) +
                    " times its size, as a decompression bomb does; raise the limit if the file "
                    "is trusted");
  }

  std::string path;
  int fd;
  ExpansionLimits limits;
  std::vector<char> in;
  size_t next = 0, end = 0; // in[next, end) is not used yet
  uint64_t fetched = 0, delivered = 0, fileSize = 0;
  Compression kind = Compression::plain;
  bool inside = false; // inside a member or frame
  z_stream z{};
  ZSTD_DCtx *zstd = nullptr;
  Status failure;
};

} // namespace

Result<std::unique_ptr<ByteStream>> ByteStream::open(const std::string &path,
                                                     ExpansionLimits limits) {
  int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return Status::error(path + ": cannot be opened: " + strerror(errno));
  auto stream = std::make_unique<Stream>(path, fd, limits);
  R1RT_TRY(stream->begin());
  return std::unique_ptr<ByteStream>(std::move(stream));
}

} // namespace r1rt::source
