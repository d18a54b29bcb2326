//===- Scan.h - where blocks may end ----------------------------------------===//
#ifndef R1RT_SOURCE_SCAN_H
#define R1RT_SOURCE_SCAN_H
#include "runtime/source/Records.h"
#include <algorithm>

namespace r1rt::source {

inline bool isBlank(std::string_view s) { return s.find_first_not_of(" \t\r\f\v") == s.npos; }

/// Does the line (without its \n) part paragraphs? One that is too long for a record does not.
inline bool isSeparator(std::string_view line, uint64_t maxRecord) {
  if (line.size() > maxRecord)
    return false;
  return isBlank(line) || line == "%" || line == "%\r";
}

/// Looks for the first boundary between records in bytes that come piece by piece and begin
/// somewhere in a line. Lines end at \n, paragraphs after a separator that begins after a \n, files
/// nowhere.
class BoundaryScan {
public:
  explicit BoundaryScan(const SourceOptions &o) : BoundaryScan(o.format, o.maxRecord) {}
  explicit BoundaryScan(Format format, uint64_t maxRecord = 0)
      : format(format), maxRecord(maxRecord) {}

  /// The first byte of `piece` behind the boundary, or npos. A boundary at the end of the piece is
  /// one.
  size_t feed(std::string_view piece) {
    if (format == Format::file)
      return piece.npos;
    for (size_t i = 0; i < piece.size();) {
      size_t end = piece.find('\n', i);
      bool whole = end != piece.npos;
      if (format != Format::paragraphs)
        return whole ? end + 1 : end;
      if (aligned) // enough of the line to judge it
        line += piece.substr(i, std::min(end - i, maxRecord + 1 - line.size()));
      if (!whole)
        break;
      bool found = aligned && isSeparator(line, maxRecord);
      if (!aligned)
        alignedAt = fed + end + 1;
      aligned = true;
      line.clear();
      i = end + 1;
      if (found) {
        fed += i;
        return i;
      }
    }
    fed += piece.size();
    return piece.npos;
  }

  /// Where the first whole line begins in what was fed, 0 if none has: a record that is open since
  /// before has not begun later.
  size_t openAt() const { return alignedAt; }

private:
  Format format;
  size_t maxRecord;
  bool aligned = false; // a line end was seen
  std::string line;     // so far, if aligned
  size_t fed = 0, alignedAt = 0;
};

} // namespace r1rt::source
#endif
