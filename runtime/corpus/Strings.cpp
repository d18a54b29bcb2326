#include "runtime/corpus/Strings.h"
#include <algorithm>
#include <cstring>

namespace r1rt::corpus {

Status StringsWriter::finish(const std::string &path) const {
  uint64_t n = ends.size() - 1;
  std::string_view parts[] = {{reinterpret_cast<const char *>(&n), sizeof n},
                              {reinterpret_cast<const char *>(ends.data()), ends.size() * sizeof ends[0]},
                              bytes};
  return writeFileAtomic(path, parts, Flush::later);
}

Result<Strings> Strings::open(const std::vector<ChunkFile> &chunks, const std::string &suffix) {
  Strings s;
  for (const ChunkFile &c : chunks) {
    if (c.rows == 0)
      continue;
    std::string path = c.path + suffix;
    R1RT_ASSIGN(MappedFile f, MappedFile::open(path));
    std::string_view text = f.text();
    uint64_t n = 0, end = 0, head = (c.rows + 2) * sizeof n;
    if (text.size() >= head) {
      std::memcpy(&n, text.data(), sizeof n);
      std::memcpy(&end, text.data() + head - sizeof end, sizeof end);
    }
    if (text.size() < head || n != c.rows || end != text.size() - head)
      return Status::error("`" + path + "` is damaged; help: --fresh begins the stage again");
    s.firsts.push_back(c.first);
    s.files.push_back(std::move(f));
  }
  return s;
}

std::string_view Strings::operator[](uint64_t row) const {
  size_t i = size_t(std::upper_bound(firsts.begin(), firsts.end(), row) - firsts.begin()) - 1;
  const char *data = files[i].text().data();
  uint64_t n, range[2], at = row - firsts[i];
  std::memcpy(&n, data, sizeof n);
  std::memcpy(range, data + (1 + at) * sizeof n, sizeof range);
  return {data + (n + 2) * sizeof n + range[0], range[1] - range[0]};
}

} // namespace r1rt::corpus
