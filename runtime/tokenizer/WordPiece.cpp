#include "runtime/tokenizer/Chars.h"
#include "runtime/tokenizer/Model.h"

namespace r1rt::tokenizer {

WordPiece::WordPiece(const Vocabulary &vocabulary, int32_t unknown, std::string_view prefix, uint64_t maxChars)
    : unknown(unknown), maxChars(maxChars) {
  std::vector<std::pair<std::string_view, int32_t>> first, later;
  for (int32_t id = 0; id <= vocabulary.highest(); ++id) {
    const std::string_view token = vocabulary.text(id);
    if (token.empty())
      continue;
    first.push_back({token, id});
    if (token.size() > prefix.size() && token.starts_with(prefix))
      later.push_back({token.substr(prefix.size()), id});
  }
  grow(initial, first);
  grow(continuing, later);
}

void WordPiece::grow(Tree &tree, std::span<const std::pair<std::string_view, int32_t>> tokens) {
  size_t bytes = 0;
  for (auto &[text, id] : tokens)
    bytes += text.size();
  tree.edges.reserve(bytes);
  tree.ends.assign(1, -1);
  for (auto &[text, id] : tokens) {
    uint64_t node = 0;
    for (char c : text) {
      const uint64_t key = node << 8 | static_cast<unsigned char>(c);
      node = tree.edges.find(key);
      if (node == PairMap::none) {
        node = tree.ends.size();
        tree.edges.set(key, node);
        tree.ends.push_back(-1);
      }
    }
    tree.ends[node] = id;
  }
}

bool WordPiece::longest(const Tree &tree, std::string_view text, size_t at, int32_t &id, size_t &end) {
  bool found = false;
  for (uint64_t node = 0; at < text.size();) {
    node = tree.edges.find(node << 8 | static_cast<unsigned char>(text[at]));
    if (node == PairMap::none)
      break;
    ++at;
    if (tree.ends[node] >= 0)
      id = tree.ends[node], end = at, found = true;
  }
  return found;
}

void WordPiece::tokenize(std::string_view piece, std::vector<Token> &tokens) const {
  const size_t before = tokens.size();
  uint64_t chars = 0;
  if (piece.size() > maxChars)
    for (size_t at = 0; at < piece.size() && chars <= maxChars; at = charEnd(piece, at))
      ++chars;
  if (chars <= maxChars) {
    size_t at = 0, end = 0;
    for (int32_t id; at < piece.size(); at = end) {
      if (!longest(at ? continuing : initial, piece, at, id, end))
        break;
      tokens.push_back({id, uint32_t(end - at)});
    }
    if (at == piece.size())
      return;
  }
  tokens.resize(before);
  tokens.push_back({unknown, uint32_t(piece.size())});
}

} // namespace r1rt::tokenizer
