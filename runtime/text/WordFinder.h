//===- WordFinder.h - many words in a text at once -------------------------===//
//
// A trie over bytes in a double array (Aoe 1989). Whole words are sought from each beginning of a word, others
// by the automaton of Aho and Corasick (1975). The time for a text does not depend on the number of
// words.
//
//===----------------------------------------------------------------------===//
#ifndef R1RT_TEXT_WORDFINDER_H
#define R1RT_TEXT_WORDFINDER_H
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace r1rt::text {

struct WordFinderOptions {
  bool ignoreCase = true; // by Unicode's simple lower case
  bool wholeWords = true; // as isWholeWord (Chars.h) says
};

class WordFinder {
public:
  struct Found {
    size_t begin, end; // bytes of the text
    uint32_t word;     // place in the list; of equal words the first
  };

  WordFinder() = default;
  /// Words are UTF-8 and not empty.
  WordFinder(const std::vector<std::string> &words, WordFinderOptions options);

  /// Overwrites `found` with words that do not overlap: the leftmost first, of those at the same place
  /// the longest.
  void find(std::string_view text, std::vector<Found> &found) const;

private:
  struct Node {
    uint32_t base = 0, check = 0; // the child for a byte is base + byte, if its check is this node
    uint32_t fail = 0;            // the longest proper suffix that is a node
    uint32_t next = 0;            // the longest suffix that is a word; 0: none
    uint32_t word = 0;            // 1 + place in the list; 0: none
  };
  char32_t folded(char32_t c) const;
  uint32_t child(uint32_t node, unsigned char byte) const {
    uint32_t at = nodes[node].base + byte;
    return nodes[at].check == node && at ? at : 0;
  }
  /// Down the trie by the code point text[at], which moves behind it; 0: there is no such child.
  uint32_t childByChar(uint32_t node, std::string_view text, size_t &at) const;
  uint32_t step(uint32_t node, unsigned char byte) const {
    while (true) {
      if (uint32_t next = child(node, byte))
        return next;
      if (node == root)
        return root;
      node = nodes[node].fail;
    }
  }
  void findWhole(std::string_view text, std::vector<Found> &found) const;
  void findAnywhere(std::string_view text, std::vector<Found> &found) const;
  void collect(std::string_view text, size_t end, uint32_t node, std::vector<Found> &found) const;

  static constexpr uint32_t root = 1;
  WordFinderOptions opts;
  std::vector<Node> nodes;
  std::vector<uint32_t> charsOf; // code points of each word
};

/// Each code point in simple lower case.
std::string lowerCase(std::string_view text);

} // namespace r1rt::text
#endif
