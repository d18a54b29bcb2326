// Source texts, places in them, and how wide text is on a screen.
#include "compiler/diag/Diag.h"
#include <algorithm>

namespace r1 {

uint32_t nextCodePoint(std::string_view text, size_t &at) {
  auto byte = [&](size_t k) -> uint32_t { return uint8_t(text[k]); };
  uint32_t lead = byte(at);
  size_t length = lead < 0x80       ? 1
                  : lead >> 5 == 6  ? 2
                  : lead >> 4 == 14 ? 3
                  : lead >> 3 == 30 ? 4
                                    : 0;
  if (length == 0 || at + length > text.size()) {
    ++at;
    return 0xFFFD;
  }
  uint32_t point = length == 1 ? lead : lead & (0xFFu >> (length + 1));
  for (size_t k = 1; k < length; ++k) {
    if (byte(at + k) >> 6 != 2) {
      ++at;
      return 0xFFFD;
    }
    point = point << 6 | (byte(at + k) & 63);
  }
  static constexpr uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
  if (point < least[length] || point > 0x10FFFF || (point >= 0xD800 && point < 0xE000)) {
    ++at;
    return 0xFFFD;
  }
  at += length;
  return point;
}

uint32_t columnsOf(uint32_t point) {
  struct Range {
    uint32_t first, last;
  };
  static constexpr Range none[] = {{0x300, 0x36F},   {0x200B, 0x200F},  {0x202A, 0x202E},
                                   {0x2060, 0x2064}, {0x20D0, 0x20F0},  {0xFE00, 0xFE0F},
                                   {0xFEFF, 0xFEFF}, {0xE0100, 0xE01EF}};
  static constexpr Range two[] = {{0x1100, 0x115F},   {0x2E80, 0x303E},   {0x3041, 0xA4CF},
                                  {0xA960, 0xA97C},   {0xAC00, 0xD7A3},   {0xF900, 0xFAFF},
                                  {0xFE30, 0xFE6F},   {0xFF01, 0xFF60},   {0xFFE0, 0xFFE6},
                                  {0x1F300, 0x1F64F}, {0x1F680, 0x1F6FF}, {0x1F900, 0x1FAFF},
                                  {0x20000, 0x3FFFD}};
  auto in = [point](const Range &r) { return point >= r.first && point <= r.last; };
  if (std::any_of(std::begin(none), std::end(none), in))
    return 0;
  return std::any_of(std::begin(two), std::end(two), in) ? 2 : 1;
}

uint32_t columnsOf(std::string_view text) {
  uint32_t n = 0;
  for (size_t i = 0; i < text.size();)
    n += columnsOf(nextCodePoint(text, i));
  return n;
}

SourceFile::Place SourceFile::place(uint32_t offset) const {
  auto it = std::upper_bound(lineStarts.begin(), lineStarts.end(), offset);
  uint32_t line = uint32_t(it - lineStarts.begin());
  uint32_t start = lineStarts[line - 1];
  offset = std::min<uint32_t>(offset, uint32_t(text.size()));
  std::string_view before = std::string_view(text).substr(start, offset - start);
  uint32_t column = 1;
  for (size_t i = 0; i < before.size(); ++column)
    nextCodePoint(before, i);
  return {line, column};
}

std::string_view SourceFile::line(uint32_t number) const {
  uint32_t begin = lineStarts[number - 1];
  uint32_t end = number < lineStarts.size() ? lineStarts[number] - 1 : uint32_t(text.size());
  if (end > begin && text[end - 1] == '\r')
    --end;
  return std::string_view(text).substr(begin, end - begin);
}

uint32_t SourceManager::add(std::string path, std::string text) {
  SourceFile f{std::move(path), std::move(text), {0}};
  for (uint32_t i = 0; i < f.text.size(); ++i)
    if (f.text[i] == '\n')
      f.lineStarts.push_back(i + 1);
  files.push_back(std::move(f));
  return uint32_t(files.size());
}

std::string_view SourceManager::text(Span s) const {
  if (!has(s.file))
    return {};
  std::string_view all = file(s.file).text;
  return s.begin <= s.end && s.end <= all.size() ? all.substr(s.begin, s.end - s.begin)
                                                 : std::string_view();
}

std::string SourceManager::where(Span s) const {
  if (!has(s.file))
    return "";
  auto p = file(s.file).place(s.begin);
  return file(s.file).path + ":" + std::to_string(p.line) + ":" + std::to_string(p.column);
}

} // namespace r1
