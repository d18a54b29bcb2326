#include "runtime/text/WordFinder.h"
#include "runtime/text/Chars.h"
#include "runtime/text/Utf8.h"
#include <algorithm>
#include <array>

namespace r1rt::text {

namespace {

constexpr std::array<unsigned char, 128> asciiLower = [] {
  std::array<unsigned char, 128> t{};
  for (unsigned c = 0; c < 128; ++c)
    t[c] = static_cast<unsigned char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
  return t;
}();

/// Letters and digits of ASCII.
constexpr std::array<bool, 256> isAsciiPart = [] {
  std::array<bool, 256> t{};
  for (size_t c = 0; c < 128; ++c)
    t[c] = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
  return t;
}();

} // namespace

std::string lowerCase(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    char32_t c = nextChar(text, at);
    if (c < 0x80)
      out += char(asciiLower[c]);
    else
      appendChar(out, static_cast<char32_t>(u_tolower(static_cast<UChar32>(c))));
  }
  return out;
}

WordFinder::WordFinder(const std::vector<std::string> &words, WordFinderOptions options)
    : opts(options) {
  struct Entry {
    std::string bytes;
    uint32_t word;
  };
  std::vector<Entry> entries;
  for (uint32_t i = 0; i < words.size(); ++i) {
    entries.push_back({opts.ignoreCase ? lowerCase(words[i]) : words[i], i});
    charsOf.push_back(uint32_t(countChars(words[i])));
  }
  std::stable_sort(entries.begin(), entries.end(),
                   [](const Entry &a, const Entry &b) { return a.bytes < b.bytes; });

  // The trie, breadth first: a node is a range of entries with a common beginning.
  struct Range {
    size_t begin, end, depth;
    uint32_t node, parent;
    unsigned char byte; // from the parent
  };
  constexpr uint32_t start = 258; // above root + 255, so that no base is negative
  nodes.assign(2 * start + 256, {});
  std::vector<char> taken(nodes.size(), 0);
  std::vector<Range> ranges = {{0, entries.size(), 0, root, 0, 0}};
  std::vector<Range> children;
  uint32_t firstFree = start;
  uint32_t firstWide = start; // where nodes of several children look first; holes before it are for single ones
  for (size_t k = 0; k < ranges.size(); ++k) {
    const Range r = ranges[k];
    size_t i = r.begin;
    for (; i < r.end && entries[i].bytes.size() == r.depth; ++i)
      if (!nodes[r.node].word)
        nodes[r.node].word = entries[i].word + 1;
    children.clear();
    while (i < r.end) {
      unsigned char byte = static_cast<unsigned char>(entries[i].bytes[r.depth]);
      size_t j = i;
      while (j < r.end && static_cast<unsigned char>(entries[j].bytes[r.depth]) == byte)
        ++j;
      children.push_back({i, j, r.depth + 1, 0, r.node, byte});
      i = j;
    }
    if (children.empty())
      continue;
    while (taken[firstFree])
      ++firstFree;
    firstWide = std::max(firstWide, firstFree);
    uint32_t place = children.size() == 1 ? firstFree : firstWide; // of the first child
    auto fits = [&] {
      return std::all_of(children.begin(), children.end(),
                         [&](const Range &c) { return !taken[place - children[0].byte + c.byte]; });
    };
    unsigned tries = 0;
    for (; !fits(); ++place, ++tries)
      if (place + 512 >= taken.size()) {
        taken.resize(taken.size() * 2, 0);
        nodes.resize(taken.size());
      }
    if (tries > 64)
      firstWide = place;
    if (place + 512 >= taken.size()) {
      taken.resize(taken.size() * 2, 0);
      nodes.resize(taken.size());
    }
    nodes[r.node].base = place - children[0].byte;
    for (Range &c : children) {
      c.node = nodes[r.node].base + c.byte;
      taken[c.node] = 1;
      nodes[c.node].check = r.node;
      ranges.push_back(c);
    }
  }

  // Each child's suffix is the suffix of its parent, continued.
  nodes[root].fail = root;
  for (size_t k = 1; k < ranges.size(); ++k) {
    const Range &r = ranges[k];
    Node &node = nodes[r.node];
    node.fail = r.parent == root ? root : step(nodes[r.parent].fail, r.byte);
    node.next = nodes[node.fail].word ? node.fail : nodes[node.fail].next;
  }
}

uint32_t WordFinder::childByChar(uint32_t node, std::string_view text, size_t &at) const {
  unsigned char byte = static_cast<unsigned char>(text[at]);
  if (byte < 0x80) {
    ++at;
    return child(node, opts.ignoreCase ? asciiLower[byte] : byte);
  }
  size_t from = at;
  char32_t c = nextChar(text, at);
  char32_t low = folded(c);
  if (low == c) {
    for (; from < at && node; ++from)
      node = child(node, static_cast<unsigned char>(text[from]));
    return node;
  }
  std::string bytes;
  appendChar(bytes, low);
  for (size_t i = 0; i < bytes.size() && node; ++i)
    node = child(node, static_cast<unsigned char>(bytes[i]));
  return node;
}

char32_t WordFinder::folded(char32_t c) const {
  return opts.ignoreCase && !isHanKana(c) ? static_cast<char32_t>(u_tolower(static_cast<UChar32>(c)))
                                          : c;
}

void WordFinder::findWhole(std::string_view text, std::vector<Found> &found) const {
  for (size_t begin = 0; begin < text.size();) {
    size_t at = begin, end = begin;
    uint32_t word = 0;
    for (uint32_t node = root; at < text.size() && (node = childByChar(node, text, at));)
      if (nodes[node].word && isWholeWord(text, begin, at)) {
        word = nodes[node].word;
        end = at;
      }
    if (word) {
      found.push_back({begin, end, word - 1});
      begin = end;
      continue;
    }
    // No word begins inside of another one.
    bool inside = isAsciiPart[static_cast<unsigned char>(text[begin])];
    nextChar(text, begin);
    while (inside && begin < text.size() && isAsciiPart[static_cast<unsigned char>(text[begin])])
      ++begin;
  }
}

void WordFinder::collect(std::string_view text, size_t end, uint32_t node,
                         std::vector<Found> &found) const {
  if (!nodes[node].word)
    node = nodes[node].next;
  for (; node; node = nodes[node].next) {
    uint32_t word = nodes[node].word - 1;
    size_t begin = end; // lower case may have another length in bytes, but as many characters
    for (uint32_t i = 0; i < charsOf[word] && begin > 0; ++i)
      previousChar(text, begin);
    found.push_back({begin, end, word});
  }
}

void WordFinder::findAnywhere(std::string_view text, std::vector<Found> &found) const {
  uint32_t node = root;
  for (size_t at = 0; at < text.size();) {
    unsigned char byte = static_cast<unsigned char>(text[at]);
    if (byte < 0x80) {
      ++at;
      node = step(node, opts.ignoreCase ? asciiLower[byte] : byte);
    } else {
      size_t from = at;
      char32_t c = nextChar(text, at), low = folded(c);
      std::string bytes;
      if (low != c)
        appendChar(bytes, low);
      for (char b : low == c ? text.substr(from, at - from) : std::string_view(bytes))
        node = step(node, static_cast<unsigned char>(b));
    }
    if (nodes[node].word | nodes[node].next)
      collect(text, at, node, found);
  }
  std::sort(found.begin(), found.end(), [](const Found &a, const Found &b) {
    return a.begin != b.begin ? a.begin < b.begin : a.end > b.end;
  });
  size_t kept = 0, end = 0;
  for (const Found &f : found)
    if (f.begin >= end) {
      end = f.end;
      found[kept++] = f;
    }
  found.resize(kept);
}

void WordFinder::find(std::string_view text, std::vector<Found> &found) const {
  found.clear();
  if (!charsOf.empty())
    opts.wholeWords ? findWhole(text, found) : findAnywhere(text, found);
}

} // namespace r1rt::text
