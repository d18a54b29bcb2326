#include "runtime/tokenizer/Added.h"
#include "runtime/tokenizer/Chars.h"
#include "runtime/tokenizer/Scan.h"

namespace r1rt::tokenizer {

bool Finder::build(const std::vector<std::pair<std::string, uint32_t>> &forms,
                   const std::vector<AddedToken> *all) {
  tokens = all;
  size_t bytes = 0;
  for (auto &[form, at] : forms)
    bytes += form.size();
  edges.reserve(bytes);
  ends.assign(1, -1);
  for (auto &[form, at] : forms) {
    uint64_t node = 0;
    for (char c : form) {
      const uint64_t key = node << 8 | static_cast<unsigned char>(c);
      node = edges.find(key);
      if (node == PairMap::none) {
        node = ends.size();
        edges.set(key, node);
        ends.push_back(-1);
      }
    }
    if (node == 0)
      continue;
    if (ends[node] >= 0)
      return false;
    ends[node] = int32_t(at);
    starts[static_cast<unsigned char>(form[0])] = true;
  }
  return true;
}

const AddedToken *Finder::next(std::string_view text, size_t at, size_t &begin, size_t &end) const {
  if (empty())
    return nullptr;
  for (; at < text.size(); ++at) {
    if (!starts[static_cast<unsigned char>(text[at])])
      continue;
    int32_t found = -1;
    uint64_t node = 0;
    for (size_t i = at; i < text.size(); ++i) {
      node = edges.find(node << 8 | static_cast<unsigned char>(text[i]));
      if (node == PairMap::none)
        break;
      if (ends[node] >= 0)
        found = ends[node], end = i + 1;
    }
    if (found >= 0) {
      begin = at;
      return &(*tokens)[size_t(found)];
    }
  }
  return nullptr;
}

bool Finder::widen(std::string_view text, const AddedToken &token, size_t done, size_t &begin, size_t &end) {
  const CharTable &table = CharTable::get();
  size_t bytes;
  auto before = [&](size_t at) { return classAt(table, text, charBegin(text, at - 1), bytes); };
  if (token.singleWord && ((begin > 0 && (before(begin) & word)) ||
                           (end < text.size() && (classAt(table, text, end, bytes) & word))))
    return false;
  if (token.leftBlanks)
    while (begin > done && (before(begin) & space))
      begin = charBegin(text, begin - 1);
  if (token.rightBlanks)
    end = run(table, text, end, space);
  return true;
}

} // namespace r1rt::tokenizer
