#include "runtime/source/ShardWriter.h"
#include "runtime/state/Files.h"
#include <array>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <openssl/evp.h>
#include <unistd.h>
#include <zstd.h>

namespace r1rt::source {

/// The first byte of `text` at or after `i` that a JSON string must escape, or the end.
static size_t findEscaped(std::string_view text, size_t i) {
  constexpr uint64_t ones = ~0ull / 255, high = ones * 128;
  for (; i + 8 <= text.size(); i += 8) {
    uint64_t w;
    memcpy(&w, text.data() + i, 8);
    // The high bit of a byte of zero(x) is set if the byte is 0 (and perhaps above such a one).
    auto zero = [&](uint64_t x) { return (x - ones) & ~x; };
    uint64_t control = (w - ones * 0x20) & ~w;
    if ((control | zero(w ^ ones * '"') | zero(w ^ ones * '\\')) & high)
      break;
  }
  for (; i < text.size(); ++i)
    if (static_cast<unsigned char>(text[i]) < 0x20 || text[i] == '"' || text[i] == '\\')
      break;
  return i;
}

void appendJsonString(std::string_view text, std::string &out) {
  out += '"';
  for (size_t from = 0;;) {
    size_t at = findEscaped(text, from);
    out.append(text, from, at - from);
    if (at == text.size())
      break;
    char c = text[at];
    out += '\\';
    switch (c) {
    case '\b': out += 'b'; break;
    case '\f': out += 'f'; break;
    case '\n': out += 'n'; break;
    case '\r': out += 'r'; break;
    case '\t': out += 't'; break;
    case '"':
    case '\\': out += c; break;
    default:
      out += "u00";
      out += "0123456789abcdef"[c >> 4 & 15];
      out += "0123456789abcdef"[c & 15];
    }
    from = at + 1;
  }
  out += '"';
}

namespace {

/// MD5 or SHA-256 of what passes by.
class Digest {
public:
  explicit Digest(const EVP_MD *kind) { EVP_DigestInit_ex(context, kind, nullptr); }
  ~Digest() { EVP_MD_CTX_free(context); }
  void update(std::string_view bytes) { EVP_DigestUpdate(context, bytes.data(), bytes.size()); }
  std::string hex() {
    unsigned char out[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    EVP_DigestFinal_ex(context, out, &n);
    std::string text;
    for (unsigned i = 0; i < n; ++i) {
      text += "0123456789abcdef"[out[i] >> 4];
      text += "0123456789abcdef"[out[i] & 15];
    }
    return text;
  }

private:
  EVP_MD_CTX *context = EVP_MD_CTX_new();
};

class Writer : public ShardWriter {
public:
  Writer(std::string path, int level)
      : path(std::move(path)), temporary(this->path + ".tmp" + std::to_string(getpid())) {
    ZSTD_CCtx_setParameter(zstd, ZSTD_c_compressionLevel, level);
    ZSTD_CCtx_setParameter(zstd, ZSTD_c_checksumFlag, 1);
  }
  ~Writer() override {
    ZSTD_freeCCtx(zstd);
    if (fd >= 0)
      ::close(fd);
    if (begun && !finished)
      ::unlink(temporary.c_str());
  }

  Status begin() {
    fd = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0)
      return bad();
    begun = true;
    return Status::ok();
  }

  Status add(std::string_view text, std::string_view more) override {
    R1RT_TRY(failure);
    lines += "{\"text\":";
    appendJsonString(text, lines);
    if (more.size() > 2) {
      lines += ',';
      lines.append(more, 1); // up to its closing brace
    } else {
      lines += '}';
    }
    lines += '\n';
    ++info.rows;
    info.textBytes += text.size();
    if (lines.size() >= 1 << 18)
      failure = compress(ZSTD_e_continue);
    return failure;
  }

  Result<ShardInfo> finish() override {
    R1RT_TRY(failure);
    failure = Status::error(path + ": the shard is finished, no row can follow");
    R1RT_TRY(compress(ZSTD_e_end));
    if (fsync(fd))
      return bad();
    if (int f = std::exchange(fd, -1); ::close(f))
      return bad();
    if (std::rename(temporary.c_str(), path.c_str()))
      return bad();
    finished = true;
    std::string dir = std::filesystem::path(path).parent_path().string();
    if (int d = ::open(dir.empty() ? "." : dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        d >= 0) {
      (void)fsync(d); // some file systems refuse; the rename itself has succeeded
      ::close(d);
    }
    info.sha256 = sha256.hex();
    info.md5 = md5.hex();
    return info;
  }

private:
  Status bad() const {
    return Status::error("cannot write `" + path + "`: " +
                         (errno == ENOSPC ? "the disk is full after " + bytesText(info.fileBytes) +
                                                "; free some space and run again"
                                          : std::string(strerror(errno))));
  }

  Status compress(ZSTD_EndDirective how) {
    ZSTD_inBuffer in{lines.data(), lines.size(), 0};
    for (;;) {
      ZSTD_outBuffer out{packed.data(), packed.size(), 0};
      size_t left = ZSTD_compressStream2(zstd, &out, &in, how);
      if (ZSTD_isError(left))
        return Status::error("cannot compress `" + path + "`: " + ZSTD_getErrorName(left));
      R1RT_TRY(write({packed.data(), out.pos}));
      if (how == ZSTD_e_end ? left == 0 : in.pos == in.size)
        break;
    }
    lines.clear();
    return Status::ok();
  }

  Status write(std::string_view bytes) {
    sha256.update(bytes);
    md5.update(bytes);
    while (!bytes.empty()) {
      ssize_t n = ::write(fd, bytes.data(), bytes.size());
      if (n < 0 && errno == EINTR)
        continue;
      if (n < 0)
        return bad();
      info.fileBytes += size_t(n);
      bytes.remove_prefix(size_t(n));
    }
    return Status::ok();
  }

  std::string path, temporary;
  int fd = -1;
  bool begun = false, finished = false;
  std::string lines; // not compressed yet
  std::string packed = std::string(ZSTD_CStreamOutSize(), 0);
  ZSTD_CCtx *zstd = ZSTD_createCCtx();
  Digest sha256{EVP_sha256()}, md5{EVP_md5()};
  ShardInfo info;
  Status failure;
};

} // namespace

Result<std::unique_ptr<ShardWriter>> ShardWriter::create(const std::string &path, int level) {
  if (level < 1 || level > 19)
    return Status::error(path + ": zstd's level is " + std::to_string(level) +
                             "; it can be 1 to 19",
                         ExitClass::program);
  auto writer = std::make_unique<Writer>(path, level);
  R1RT_TRY(writer->begin());
  return std::unique_ptr<ShardWriter>(std::move(writer));
}

} // namespace r1rt::source
