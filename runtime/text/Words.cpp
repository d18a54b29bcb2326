#include "runtime/text/Words.h"
#include "runtime/text/Chars.h"
#include "runtime/text/English.h"
#include "runtime/text/Utf8.h"
#include <array>
#include <bit>
#include <cstring>
#define XXH_INLINE_ALL // short words: a call would cost as much as the hash
#include <xxhash.h>

namespace r1rt::text {

namespace {

/// The first byte of white space, Han or kana beyond ASCII, perhaps.
constexpr std::array<bool, 256> isLead = [] {
  std::array<bool, 256> t{};
  for (int c : {0xC2, 0xE1, 0xE2, 0xE3, 0xE4, 0xE5, 0xE6, 0xE7, 0xE8, 0xE9, 0xEF, 0xF0})
    t[size_t(c)] = true;
  return t;
}();

/// The place of the first byte from `at` on that is not an ASCII character above the space, eight bytes at a
/// time; text.size() if there is none.
size_t nextSpecial(std::string_view text, size_t at) {
  constexpr uint64_t high = 0x8080808080808080u, beyondSpace = 0x2121212121212121u;
  for (; at + 8 <= text.size(); at += 8) {
    uint64_t bytes;
    std::memcpy(&bytes, text.data() + at, 8);
    if constexpr (std::endian::native == std::endian::big)
      bytes = __builtin_bswap64(bytes);
    // The high bit of a byte stays if it was 0x21 or more.
    uint64_t special = (~((bytes | high) - beyondSpace) | bytes) & high;
    if (special)
      return at + size_t(std::countr_zero(special)) / 8;
  }
  while (at < text.size() && text[at] > ' ')
    ++at;
  return at;
}

uint32_t flagsOf(std::string_view word) {
  uint32_t flags = Word::symbol | Word::punctuation;
  size_t at = 0, chars = 0;
  char32_t c = 0;
  for (; at < word.size(); ++chars) {
    c = nextChar(word, at);
    if (c < 0x80 && isLetter(c)) {
      flags = (flags | Word::alpha) & ~(Word::symbol | Word::punctuation);
      continue;
    }
    if (isLetter(c))
      flags |= Word::alpha;
    if ((flags & Word::symbol) && !isSymbol(c))
      flags &= ~Word::symbol;
    if ((flags & Word::punctuation) && !isPunctuation(c))
      flags &= ~Word::punctuation;
  }
  if (chars == 1 && isSentenceEnd(c))
    flags |= Word::sentenceEnd;
  return flags;
}

} // namespace

struct WordSplitter::Impl {
  /// What became of a piece: a slot is found by the piece's hash and overwritten by the next one that
  /// falls into it. Hashes are taken for the pieces: two of the same hash and length have the
  /// chance 2^-64. Short pieces of few words only.
  struct Known {
    static constexpr size_t mostBytes = 255, mostWords = 4;
    uint64_t hash = 0;
    uint8_t bytes = 0, words = 0;
    struct Part {
      uint8_t bytes, chars, flags;
    } parts[mostWords];
  };
  static constexpr size_t slots = 1 << 15;

  std::vector<Known> known = std::vector<Known>(slots);
  EnglishPieces english;

  void push(Words &out, size_t begin, std::string_view word, uint64_t hash, uint32_t chars,
            uint32_t flags) {
    out.list.push_back(
        {uint32_t(begin), flags, uint32_t(word.size()), chars, hash});
    out.alpha += (flags & Word::alpha) != 0;
    if (!(flags & Word::symbol)) {
      ++out.plain;
      out.plainChars += chars;
    }
  }

  void addPiece(std::string_view text, size_t begin, size_t end, Words &out) {
    std::string_view piece = text.substr(begin, end - begin);
    uint64_t hash = XXH3_64bits(piece.data(), piece.size());
    Known &k = known[hash % slots];
    if (k.hash == hash && k.bytes == piece.size()) {
      if (k.words == 1) {
        push(out, begin, piece, hash, k.parts[0].chars, k.parts[0].flags);
        return;
      }
      for (unsigned i = 0; i < k.words; ++i) {
        std::string_view word = text.substr(begin, k.parts[i].bytes);
        push(out, begin, word, XXH3_64bits(word.data(), word.size()), k.parts[i].chars,
             k.parts[i].flags);
        begin += word.size();
      }
      return;
    }
    const std::vector<uint32_t> &lengths = english.cut(piece);
    const bool keep = piece.size() <= Known::mostBytes && lengths.size() <= Known::mostWords;
    if (keep) {
      k.hash = hash;
      k.bytes = uint8_t(piece.size());
      k.words = uint8_t(lengths.size());
    }
    for (size_t i = 0; i < lengths.size(); ++i) {
      std::string_view word = text.substr(begin, lengths[i]);
      uint32_t chars = uint32_t(countChars(word)), flags = flagsOf(word);
      if (keep)
        k.parts[i] = {uint8_t(word.size()), uint8_t(chars), uint8_t(flags)};
      push(out, begin, word, XXH3_64bits(word.data(), word.size()), chars, flags);
      begin += word.size();
    }
  }
};

WordSplitter::WordSplitter() : impl(std::make_unique<Impl>()) {}
WordSplitter::~WordSplitter() = default;
WordSplitter::WordSplitter(WordSplitter &&) noexcept = default;
WordSplitter &WordSplitter::operator=(WordSplitter &&) noexcept = default;

void WordSplitter::split(std::string_view text, Words &out) {
  out.list.clear();
  out.plain = out.plainChars = out.alpha = 0;
  const size_t size = text.size();
  size_t begin = 0; // of the piece that is open
  auto close = [&](size_t end) {
    if (begin < end)
      impl->addPiece(text, begin, end, out);
  };
  for (size_t i = 0; (i = nextSpecial(text, i)) < size;) {
    unsigned char byte = static_cast<unsigned char>(text[i]);
    if (byte < 0x80 ? !isSpace(byte) : !isLead[byte]) {
      ++i;
      continue;
    }
    if (byte < 0x80) {
      close(i);
      begin = ++i;
      continue;
    }
    size_t next = i;
    char32_t c = nextChar(text, next);
    if (isSpace(c)) {
      close(i);
      begin = next;
    } else if (isHanKana(c)) {
      close(i);
      std::string_view word = text.substr(i, next - i);
      impl->push(out, i, word, XXH3_64bits(word.data(), word.size()), 1, Word::alpha);
      begin = next;
    }
    i = next;
  }
  close(size);
}

uint64_t countSentences(const Word *words, size_t n) {
  uint64_t count = 1;
  bool ended = false;
  for (size_t i = 0; i < n; ++i) {
    if (words[i].flags & Word::sentenceEnd) {
      ended = true;
    } else if (ended && !(words[i].flags & Word::punctuation)) {
      ++count;
      ended = false;
    }
  }
  return count;
}

} // namespace r1rt::text
