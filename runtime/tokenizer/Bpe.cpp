#include "runtime/tokenizer/Chars.h"
#include "runtime/tokenizer/Model.h"
#include <algorithm>
#include <cstdio>
#include <queue>

namespace r1rt::tokenizer {

Bpe::Bpe(const Vocabulary &vocabulary, Options o, std::span<const Merge> list)
    : vocabulary(vocabulary), options(std::move(o)), unknown(vocabulary.find(options.unknown)) {
  if (options.unknown.empty())
    unknown = -1;
  merges.reserve(list.size());
  for (size_t rank = 0; rank < list.size(); ++rank)
    merges.set(uint64_t(uint32_t(list[rank].left)) << 32 | uint32_t(list[rank].right),
               uint64_t(rank) << 32 | uint32_t(list[rank].merged));
  for (int b = 0; b < 256; ++b) {
    char name[8] = {char(b)};
    if (!options.bytes)
      snprintf(name, sizeof name, "<0x%02X>", unsigned(b));
    ofByte[size_t(b)] = vocabulary.find(std::string_view(name, options.bytes ? 1 : 6));
  }
  for (int c = 0; c < 128; ++c) {
    const char name = char(c);
    ofAscii[size_t(c)] = vocabulary.find(std::string_view(&name, 1));
  }
}

/// What the merges begin with.
void Bpe::characters(std::string_view piece, std::vector<Token> &tokens) const {
  if (options.bytes) {
    for (char c : piece)
      tokens.push_back({ofByte[static_cast<unsigned char>(c)], 1});
    return;
  }
  const bool plain = options.prefix.empty() && options.suffix.empty();
  uint32_t pending = 0; // bytes of an unknown that may go on
  std::string spelt;
  for (size_t at = 0; at < piece.size();) {
    const size_t begin = at;
    at = charEnd(piece, at);
    const uint32_t bytes = uint32_t(at - begin);
    std::string_view name = piece.substr(begin, bytes);
    int32_t id;
    if (plain && bytes == 1) {
      id = ofAscii[static_cast<unsigned char>(name[0])];
    } else {
      if (!plain) {
        spelt.assign(begin > 0 ? options.prefix : "").append(name).append(at == piece.size() ? options.suffix : "");
        name = spelt;
      }
      id = vocabulary.find(name);
    }
    if (id >= 0) {
      if (pending)
        tokens.push_back({unknown, pending});
      pending = 0;
      tokens.push_back({id, bytes});
      continue;
    }
    if (options.byteFallback &&
        std::all_of(name.begin(), name.end(), [&](char c) { return ofByte[static_cast<unsigned char>(c)] >= 0; })) {
      // An unknown before them goes on, and comes to stand behind them: as in the package.
      for (char c : name)
        tokens.push_back({ofByte[static_cast<unsigned char>(c)], 1});
      continue;
    }
    if (unknown < 0)
      continue;
    if (pending && !options.fuseUnknown) {
      tokens.push_back({unknown, pending});
      pending = 0;
    }
    pending += bytes;
  }
  if (pending)
    tokens.push_back({unknown, pending});
}

void Bpe::tokenize(std::string_view piece, std::vector<Token> &tokens) const {
  if (options.ignoreMerges)
    if (int32_t id = vocabulary.find(piece); id >= 0) {
      tokens.push_back({id, uint32_t(piece.size())});
      return;
    }
  const size_t before = tokens.size();
  characters(piece, tokens);
  std::span<Token> made(tokens.data() + before, tokens.size() - before);
  if (made.size() <= 48)
    mergeShort(made);
  else
    mergeLong(made);
  tokens.resize(before + made.size());
}

/// By looking at all pairs each time.
void Bpe::mergeShort(std::span<Token> &tokens) const {
  uint64_t merge[48]; // of a token and the next
  size_t n = tokens.size();
  for (size_t i = 0; i + 1 < n; ++i)
    merge[i] = mergeOf(tokens[i].id, tokens[i + 1].id);
  while (n > 1) {
    size_t best = 0;
    for (size_t i = 1; i + 1 < n; ++i)
      if (merge[i] < merge[best])
        best = i;
    if (merge[best] == PairMap::none)
      break;
    tokens[best] = {int32_t(uint32_t(merge[best])), tokens[best].bytes + tokens[best + 1].bytes};
    --n;
    for (size_t i = best + 1; i < n; ++i)
      tokens[i] = tokens[i + 1], merge[i - 1] = merge[i];
    if (best + 1 < n)
      merge[best] = mergeOf(tokens[best].id, tokens[best + 1].id);
    if (best > 0)
      merge[best - 1] = mergeOf(tokens[best - 1].id, tokens[best].id);
  }
  tokens = tokens.first(n);
}

/// By a heap of (rank, place) over a linked list; entries that no longer hold are passed over.
void Bpe::mergeLong(std::span<Token> &tokens) const {
  const uint32_t n = uint32_t(tokens.size());
  constexpr uint32_t end = ~uint32_t(0);
  std::vector<uint32_t> next(n), previous(n);
  std::vector<uint64_t> entries;
  auto rankOf = [&](uint32_t i) -> uint64_t { // with the merged token in the low half
    return next[i] == end ? PairMap::none : mergeOf(tokens[i].id, tokens[next[i]].id);
  };
  for (uint32_t i = 0; i < n; ++i)
    next[i] = i + 1 < n ? i + 1 : end, previous[i] = i - 1;
  for (uint32_t i = 0; i < n; ++i)
    if (uint64_t merge = rankOf(i); merge != PairMap::none)
      entries.push_back((merge >> 32 << 32) | i);
  std::priority_queue heap(std::greater<uint64_t>(), std::move(entries));
  while (!heap.empty()) {
    const uint64_t top = heap.top();
    heap.pop();
    const uint32_t i = uint32_t(top);
    if (tokens[i].bytes == 0) // went into the one before it
      continue;
    const uint64_t merge = rankOf(i);
    if (merge == PairMap::none || merge >> 32 != top >> 32)
      continue;
    const uint32_t gone = next[i];
    tokens[i] = {int32_t(uint32_t(merge)), tokens[i].bytes + tokens[gone].bytes};
    tokens[gone].bytes = 0;
    next[i] = next[gone];
    if (next[i] != end)
      previous[next[i]] = i;
    for (uint32_t at : {previous[i], i})
      if (at != end)
        if (uint64_t m = rankOf(at); m != PairMap::none)
          heap.push((m >> 32 << 32) | at);
  }
  uint32_t kept = 0;
  for (uint32_t i = 0; i != end; i = next[i])
    tokens[kept++] = tokens[i];
  tokens = tokens.first(kept);
}

} // namespace r1rt::tokenizer
