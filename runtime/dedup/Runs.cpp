#include "runtime/dedup/Runs.h"
#include <atomic>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <mutex>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>
#include <xxhash.h>

namespace r1rt::dedup {

namespace {

struct Header {
  char magic[8];
  uint64_t of;
  uint32_t recordBytes, zero;
  uint64_t records, hash;
};
constexpr char magic[9] = "r1dedup2";

struct HashState {
  XXH3_state_t *state = XXH3_createState();
  HashState() { XXH3_64bits_reset(state); }
  ~HashState() { XXH3_freeState(state); }
  HashState(const HashState &) = delete;
};

Status systemError(const std::string &path, const char *what) {
  return Status::error(path + ": cannot " + what + ": " + std::strerror(errno));
}

Status damaged(const std::string &path, const std::string &why) {
  return Status::error(path + ": " + why +
                       "; the file was damaged after it was written: delete its folder and run "
                       "the deduplication again");
}

} // namespace

struct RunOut::State {
  std::string path, temporary;
  uint32_t recordBytes;
  uint64_t of;
  FILE *file = nullptr;
  uint64_t records = 0;
  HashState hash;
};

RunOut::RunOut(std::string path, uint32_t recordBytes, uint64_t of) : s(std::make_unique<State>()) {
  s->temporary = path + ".tmp";
  s->path = std::move(path);
  s->recordBytes = recordBytes;
  s->of = of;
}
RunOut::RunOut(RunOut &&) noexcept = default;
RunOut::~RunOut() {
  if (s && s->file) {
    std::fclose(s->file);
    ::unlink(s->temporary.c_str());
  }
}

Status RunOut::open() {
  s->file = std::fopen(s->temporary.c_str(), "wbe");
  if (!s->file)
    return systemError(s->temporary, "create");
  Header header{};
  if (std::fwrite(&header, sizeof header, 1, s->file) != 1)
    return systemError(s->temporary, "write");
  return Status::ok();
}

Status RunOut::write(const void *records, size_t count) {
  if (count && std::fwrite(records, s->recordBytes, count, s->file) != count)
    return systemError(s->temporary, "write");
  XXH3_64bits_update(s->hash.state, records, count * s->recordBytes);
  s->records += count;
  return Status::ok();
}

Status RunOut::close() {
  Header header{};
  std::memcpy(header.magic, magic, 8);
  header.of = s->of;
  header.recordBytes = s->recordBytes;
  header.records = s->records;
  header.hash = XXH3_64bits_digest(s->hash.state);
  if (std::fseek(s->file, 0, SEEK_SET) || std::fwrite(&header, sizeof header, 1, s->file) != 1 ||
      std::fflush(s->file) || ::fsync(::fileno(s->file)))
    return systemError(s->temporary, "write");
  FILE *file = std::exchange(s->file, nullptr);
  if (std::fclose(file) || ::rename(s->temporary.c_str(), s->path.c_str()))
    return systemError(s->path, "put the written file in place");
  std::string dir = s->path.substr(0, s->path.find_last_of('/'));
  if (int fd = ::open(dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); fd >= 0) {
    ::fsync(fd);
    ::close(fd);
  }
  return Status::ok();
}

struct RunIn::State {
  RunSource source;
  uint32_t recordBytes;
  FILE *file = nullptr;
  RunSource::Part part{};
  uint64_t left = 0;
  HashState hash;
};

RunIn::RunIn(RunSource source, uint32_t recordBytes) : s(std::make_unique<State>()) {
  s->source = std::move(source);
  s->recordBytes = recordBytes;
}
RunIn::RunIn(RunIn &&) noexcept = default;
RunIn::~RunIn() {
  if (s && s->file)
    std::fclose(s->file);
}

Status RunIn::open() {
  const std::string &path = s->source.path;
  s->file = std::fopen(path.c_str(), "rbe");
  if (!s->file)
    return systemError(path, "open");
  std::setvbuf(s->file, nullptr, _IONBF, 0); // readers have buffers of their own
  if (s->source.part) {
    s->part = *s->source.part;
    if (::fseeko(s->file, off_t(s->part.offset), SEEK_SET))
      return systemError(path, "read");
  } else {
    struct stat st;
    if (::fstat(::fileno(s->file), &st))
      return systemError(path, "examine");
    Header header;
    if (std::fread(&header, sizeof header, 1, s->file) != 1 ||
        std::memcmp(header.magic, magic, 8) || header.recordBytes != s->recordBytes)
      return damaged(path, "not a run of records of " + std::to_string(s->recordBytes) + " bytes");
    uint64_t payload = uint64_t(st.st_size) - sizeof(Header);
    if (payload % s->recordBytes || payload / s->recordBytes != header.records)
      return damaged(path, "its header tells of " + std::to_string(header.records) +
                               " records, there are " + std::to_string(payload) + " bytes of them");
    s->part = {sizeof(Header), header.records, header.hash};
  }
  s->left = s->part.records;
  return Status::ok();
}

uint64_t RunIn::records() const { return s->part.records; }

Result<size_t> RunIn::read(void *records, size_t most) {
  const std::string &path = s->source.path;
  size_t n = size_t(std::min<uint64_t>(most, s->left));
  if (!n) {
    if (XXH3_64bits_digest(s->hash.state) != s->part.hash)
      return damaged(path, "its records do not have the hash that its header names");
    return size_t(0);
  }
  if (std::fread(records, s->recordBytes, n, s->file) != n)
    return std::ferror(s->file) ? systemError(path, "read")
                                : damaged(path, "it ends before its last record");
  XXH3_64bits_update(s->hash.state, records, n * s->recordBytes);
  s->left -= n;
  return n;
}

void removeFiles(const std::vector<std::string> &paths) {
  for (const std::string &p : paths)
    ::unlink(p.c_str());
}

bool runExists(const std::string &path, uint64_t of) {
  FILE *file = std::fopen(path.c_str(), "rbe");
  if (!file)
    return false;
  Header header;
  struct stat st;
  bool there = std::fread(&header, sizeof header, 1, file) == 1 &&
               !std::memcmp(header.magic, magic, 8) && header.of == of && header.recordBytes &&
               !::fstat(::fileno(file), &st) &&
               (uint64_t(st.st_size) - sizeof header) / header.recordBytes == header.records;
  std::fclose(file);
  return there;
}

Status parallelFor(size_t n, unsigned threads, const std::function<Status(size_t)> &fn) {
  std::atomic<size_t> next{0}, failedAt{n};
  std::mutex mutex;
  Status failure;
  auto work = [&] {
    for (size_t i; (i = next++) < n && i < failedAt;) {
      Status st = fn(i);
      if (st)
        continue;
      std::lock_guard lock(mutex);
      if (i < failedAt) {
        failedAt = i;
        failure = st;
      }
    }
  };
  std::vector<std::thread> others;
  for (size_t t = 1; t < std::min<size_t>(threads, n); ++t)
    others.emplace_back(work);
  work();
  for (std::thread &t : others)
    t.join();
  return failure;
}

} // namespace r1rt::dedup
