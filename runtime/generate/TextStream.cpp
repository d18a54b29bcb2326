#include "runtime/generate/TextStream.h"
#include "runtime/text/Utf8.h"
#include <algorithm>

namespace r1rt::generate {

namespace {

/// A model of bytes may produce what is not UTF-8: such bytes become U+FFFD.
std::string clean(std::string_view s) {
  std::string out;
  while (!s.empty()) {
    size_t bad = std::min(text::findBadUtf8(s), s.size());
    out += s.substr(0, bad);
    s.remove_prefix(bad);
    if (!s.empty()) {
      out += "\xEF\xBF\xBD";
      s.remove_prefix(1);
    }
  }
  return out;
}

/// Where a character begins that is cut at the end, or the end.
size_t wholeCharacters(std::string_view s) {
  for (size_t back = 1; back <= 3 && back <= s.size(); ++back) {
    auto c = static_cast<unsigned char>(s[s.size() - back]);
    if ((c & 0xC0) == 0x80)
      continue;
    size_t need = c >= 0xF0 ? 4 : c >= 0xE0 ? 3 : c >= 0xC0 ? 2 : 1;
    return need > back ? s.size() - back : s.size();
  }
  return s.size();
}

} // namespace

std::string TextStream::push(std::string_view bytes, bool mayStop) {
  if (found)
    return "";
  const size_t before = pending.size();
  pending += bytes;
  size_t cut = pending.size(), first = std::string::npos;
  for (const std::string &s : stop) {
    // Completed by these bytes: it ends behind the old ones.
    size_t from = before >= s.size() ? before - s.size() + 1 : 0;
    if (mayStop)
      first = std::min(first, pending.find(s, from));
    // What may be the begin of one stays here.
    for (size_t n = std::min(s.size() - 1, pending.size()); n > 0; --n)
      if (std::string_view(pending).substr(pending.size() - n) == std::string_view(s).substr(0, n)) {
        cut = std::min(cut, pending.size() - n);
        break;
      }
  }
  if (first != std::string::npos) {
    found = true;
    std::string out = clean(std::string_view(pending).substr(0, first));
    pending.clear();
    return out;
  }
  cut = std::min(cut, wholeCharacters(pending));
  std::string out = clean(std::string_view(pending).substr(0, cut));
  pending.erase(0, cut);
  return out;
}

std::string TextStream::finish() {
  std::string out = clean(pending);
  pending.clear();
  return out;
}

} // namespace r1rt::generate
