#include "runtime/dedup/KeyFile.h"
#include <cerrno>
#include <cstring>
#include <sys/stat.h>
#include <xxhash.h>

namespace r1rt::dedup {

namespace {

struct Head {
  char magic[8];
  uint32_t bands, words;
  uint64_t documents, entries;
};
constexpr char magic[9] = "r1keys01";

uint64_t entryBytes(unsigned words) { return 8 * words + 4; }

template <class T> std::string_view bytesOf(const T *values, size_t count) {
  return {reinterpret_cast<const char *>(values), count * sizeof(T)};
}

} // namespace

Result<KeyWriter> KeyWriter::create(unsigned bands, unsigned words) {
  if (bands < 1 || bands > 1024)
    return Status::error("dedup: bands is " + std::to_string(bands) + "; give 1 to 1024");
  if (words < 1 || words > 2)
    return Status::error("dedup: keys of " + std::to_string(words) + " words; give 1 or 2");
  KeyWriter w;
  w.bands = bands;
  w.words = words;
  if (words == 1)
    w.narrow.resize(bands);
  else
    w.wide.resize(bands);
  return w;
}

template <unsigned w> void KeyWriter::append(Lists<w> &lists, std::span<const uint64_t> keys) {
  for (size_t k = 0; k < keys.size(); k += w) {
    KeyEntry<w> e;
    for (unsigned i = 0; i < w; ++i)
      e.key[i] = keys[k + i];
    e.doc = count;
    lists[bands == 1 ? 0 : k / w].push_back(e);
  }
}

Status KeyWriter::append(std::span<const uint64_t> keys) {
  const size_t each = size_t(bands) * words;
  if (!keys.empty() && (bands == 1 ? keys.size() % words : keys.size() != each))
    return Status::error("dedup: document " + std::to_string(count) + " has " +
                         std::to_string(keys.size()) + " words of keys; " + std::to_string(bands) +
                         " bands of " + std::to_string(words) + " make " + std::to_string(each));
  if (count == ~uint32_t(0))
    return Status::error("dedup: more than 4294967295 documents; split the corpus");
  if (words == 1)
    append(narrow, keys);
  else
    append(wide, keys);
  ++count;
  return Status::ok();
}

template <unsigned w> Status KeyWriter::finish(Lists<w> &lists, const std::string &path, Flush flush) {
  std::vector<uint64_t> hashes;
  std::vector<std::string_view> parts(2);
  for (auto &list : lists) {
    std::sort(list.begin(), list.end());
    list.erase(std::unique(list.begin(), list.end()), list.end());
    parts.push_back(bytesOf(list.data(), list.size()));
    hashes.push_back(XXH3_64bits(parts.back().data(), parts.back().size()));
  }
  Head head{{}, bands, words, count, lists[0].size()};
  std::memcpy(head.magic, magic, 8);
  parts[0] = bytesOf(&head, 1);
  parts[1] = bytesOf(hashes.data(), hashes.size());
  R1RT_TRY(writeFileAtomic(path, parts, flush));
  for (auto &list : lists)
    list.clear();
  count = 0;
  return Status::ok();
}

Status KeyWriter::finish(const std::string &path, Flush flush) {
  return words == 1 ? finish(narrow, path, flush) : finish(wide, path, flush);
}

Result<KeyFile> KeyFile::open(std::string path) {
  auto damaged = [&](const std::string &why) {
    return Status::error(path + ": " + why + "; delete the file and sign its documents again");
  };
  FILE *file = std::fopen(path.c_str(), "rbe");
  if (!file)
    return Status::error(path + ": cannot open: " + std::strerror(errno));
  std::unique_ptr<FILE, int (*)(FILE *)> closer(file, std::fclose);
  Head head;
  struct stat st;
  if (::fstat(::fileno(file), &st))
    return Status::error(path + ": cannot examine: " + std::strerror(errno));
  if (std::fread(&head, sizeof head, 1, file) != 1 || std::memcmp(head.magic, magic, 8) ||
      head.bands < 1 || head.bands > 1024 || head.words < 1 || head.words > 2 ||
      head.documents > ~uint32_t(0) || head.entries > uint64_t(1) << 40)
    return damaged("not a file of keys");
  KeyFile f;
  f.hashes.resize(head.bands);
  uint64_t size = sizeof head + head.bands * (8 + head.entries * entryBytes(head.words));
  if (std::fread(f.hashes.data(), 8, head.bands, file) != head.bands ||
      uint64_t(st.st_size) != size)
    return damaged("its head tells of " + std::to_string(size) + " bytes, it has " +
                   std::to_string(st.st_size));
  f.keyWords = head.words;
  f.count = uint32_t(head.documents);
  f.entries = head.entries;
  f.headHash = XXH3_64bits_withSeed(f.hashes.data(), 8 * f.hashes.size(),
                                    XXH3_64bits(&head, sizeof head));
  f.path = std::move(path);
  return f;
}

RunSource KeyFile::band(unsigned b, uint32_t base) const {
  uint64_t offset = sizeof(Head) + 8 * hashes.size() + b * entries * entryBytes(keyWords);
  return {path, RunSource::Part{offset, entries, hashes[b]}, base};
}

} // namespace r1rt::dedup
