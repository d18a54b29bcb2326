#include "runtime/text/Words.h"
#include "runtime/text/Chars.h"
#include "runtime/text/English.h"
#include "runtime/text/Masks.h"
#include "runtime/text/ShortHash.h"
#include "runtime/text/Utf8.h"
#include <array>
#include <bit>
#include <cstring>

namespace r1rt::text {

namespace {

/// The first byte of white space, Han or kana beyond ASCII, perhaps.
constexpr std::array<bool, 256> isLead = [] {
  std::array<bool, 256> t{};
  for (int c : {0xC2, 0xE1, 0xE2, 0xE3, 0xE4, 0xE5, 0xE6, 0xE7, 0xE8, 0xE9, 0xEF, 0xF0})
    t[size_t(c)] = true;
  return t;
}();

/// Of a word of one character.
uint32_t flagsOf(char32_t c) {
  return (isLetter(c) ? Word::alpha : 0) | (isSymbol(c) ? Word::symbol : 0) |
         (isPunctuation(c) ? Word::punctuation : 0) | (isSentenceEnd(c) ? Word::sentenceEnd : 0);
}

uint32_t flagsOf(std::string_view word) {
  static const std::array<uint8_t, 128> ascii = [] {
    std::array<uint8_t, 128> t{};
    for (unsigned c = 0; c < t.size(); ++c)
      t[c] = uint8_t(flagsOf(char32_t(c)));
    return t;
  }();
  uint32_t any = 0, all = ~0u;
  size_t at = 0, chars = 0;
  for (; at < word.size(); ++chars) {
    const unsigned char byte = static_cast<unsigned char>(word[at]);
    const uint32_t flags = byte < 0x80 ? ascii[byte] : flagsOf(nextChar(word, at));
    at += byte < 0x80;
    any |= flags;
    all &= flags;
  }
  return (any & Word::alpha) | (all & (Word::symbol | Word::punctuation)) |
         (chars == 1 ? all & Word::sentenceEnd : 0);
}

} // namespace

uint64_t hashOfWord(std::string_view word) { return shortHash(word, 0, word.size()); }

struct WordSplitter::Impl {
  /// What became of a piece. Few words only, so that the memory of many is small enough for a core's cache.
  struct Cut {
    static constexpr size_t mostWords = 3;
    uint8_t bytes = 0; // of the piece; 0: nothing is known
    uint8_t words;
    struct Part {
      uint16_t bytes : 6, chars : 6, flags : 4;
    } parts[mostWords];
  };
  /// A slot is found by the piece's hash and overwritten by the next piece that falls into it. The piece itself is
  /// kept and compared: a hash that two share, which is easy to bring about, would let one text change another's words.
  struct Known {
    static constexpr size_t mostBytes = 16;
    Halves piece;
    Cut cut;
  };
  static_assert(sizeof(Known) == 24);
  struct KnownLong {
    static constexpr size_t mostBytes = 56;
    char piece[mostBytes];
    Cut cut;
  };
  static_assert(sizeof(KnownLong) == 64);
  static constexpr size_t slots = 1 << 17, longSlots = 1 << 14;

  std::vector<Known> known = std::vector<Known>(slots);
  std::vector<KnownLong> knownLong = std::vector<KnownLong>(longSlots);
  EnglishPieces english;

  /// Pieces whose slots are on their way from memory: looked up one by one each would be waited for.
  struct Piece {
    size_t begin, bytes;
    uint64_t hash;
    Halves halves; // of one that is short
  };
  static constexpr size_t mostWaiting = 32;
  std::array<Piece, mostWaiting> waiting;
  size_t waits = 0;

  [[gnu::always_inline]] void push(Words &out, size_t begin, size_t bytes, uint64_t hash, uint32_t chars,
                                   uint32_t flags) {
    out.list.push_back({uint32_t(begin), flags, uint32_t(bytes), chars, hash});
    static_assert(Word::alpha == 1);
    const uint64_t plain = !(flags & Word::symbol);
    out.alpha += flags & Word::alpha;
    out.plain += plain;
    out.plainChars += plain * chars;
  }

  [[gnu::always_inline]] void addPiece(std::string_view text, size_t begin, size_t bytes, Words &out) {
    Piece &p = waiting[waits++];
    p.begin = begin;
    p.bytes = bytes;
    if (bytes <= Known::mostBytes) {
      p.halves = halvesOf(text, begin, bytes);
      p.hash = shortHash(p.halves, bytes);
      __builtin_prefetch(&known[p.hash % slots]);
    } else {
      p.hash = shortHash(text, begin, bytes);
      __builtin_prefetch(&knownLong[p.hash % longSlots]);
    }
    if (waits == mostWaiting)
      look(text, out);
  }

  /// The words of the pieces that wait.
  [[gnu::noinline]] void look(std::string_view text, Words &out) {
    for (size_t i = 0; i < waits; ++i) {
      auto [begin, bytes, hash, halves] = waiting[i];
      const Cut *found;
      if (bytes <= Known::mostBytes) {
        Known &slot = known[hash % slots];
        found = &slot.cut;
        if (slot.cut.bytes != bytes || slot.piece != halves) {
          if (cut(text, waiting[i], slot.cut, out))
            slot.piece = halves;
          continue;
        }
      } else {
        KnownLong &slot = knownLong[hash % longSlots];
        found = &slot.cut;
        if (slot.cut.bytes != bytes || std::memcmp(slot.piece, text.data() + begin, bytes)) {
          if (cut(text, waiting[i], slot.cut, out))
            std::memcpy(slot.piece, text.data() + begin, bytes);
          continue;
        }
      }
      const Cut &k = *found;
      push(out, begin, k.parts[0].bytes, hash, k.parts[0].chars, k.parts[0].flags);
      if (k.words == 1)
        continue;
      out.list.back().hash = shortHash(text, begin, k.parts[0].bytes);
      for (unsigned w = 1; w < k.words; ++w) {
        begin += k.parts[w - 1].bytes;
        push(out, begin, k.parts[w].bytes, shortHash(text, begin, k.parts[w].bytes), k.parts[w].chars,
             k.parts[w].flags);
      }
    }
    waits = 0;
  }

  /// Cuts the piece, and notes how in `k` unless it is long or of many words; then what `k` was stays.
  [[gnu::noinline]] bool cut(std::string_view text, const Piece &piece, Cut &k, Words &out) {
    size_t begin = piece.begin;
    const std::vector<uint32_t> &lengths = english.cut(text.substr(begin, piece.bytes));
    const bool keep = piece.bytes <= KnownLong::mostBytes && lengths.size() - 1 < Cut::mostWords;
    if (keep) {
      k.bytes = uint8_t(piece.bytes);
      k.words = uint8_t(lengths.size());
    }
    for (size_t i = 0; i < lengths.size(); ++i) {
      std::string_view word = text.substr(begin, lengths[i]);
      uint32_t chars = uint32_t(countChars(word)), flags = flagsOf(word);
      if (keep)
        k.parts[i] = {uint16_t(word.size()), uint16_t(chars), uint16_t(flags)};
      push(out, begin, word.size(), shortHash(text, begin, word.size()), chars, flags);
      begin += word.size();
    }
    return keep;
  }
};

WordSplitter::WordSplitter() : impl(std::make_unique<Impl>()) {}
WordSplitter::~WordSplitter() = default;
WordSplitter::WordSplitter(WordSplitter &&) noexcept = default;
WordSplitter &WordSplitter::operator=(WordSplitter &&) noexcept = default;

void WordSplitter::split(std::string_view text, Words &out) {
  out.list.clear();
  out.plain = out.plainChars = out.alpha = 0;
  size_t begin = 0; // of the piece that is open
  auto close = [&](size_t end) __attribute__((always_inline)) {
    if (begin < end)
      impl->addPiece(text, begin, end - begin, out);
  };
  auto beyondAscii = [&](size_t at) {
    size_t next = at;
    char32_t c = nextChar(text, next);
    if (isSpace(c)) {
      close(at);
      begin = next;
    } else if (isHanKana(c)) {
      close(at);
      impl->look(text, out);
      impl->push(out, at, next - at, shortHash(text, at, next - at), 1, Word::alpha);
      begin = next;
    }
  };
  // All that is not an ASCII character above the space.
  eachMask(text, [](auto v) { return v <= ' '; }, [&](size_t block, uint64_t mask) __attribute__((always_inline)) {
    for (; mask; mask &= mask - 1) {
      const size_t at = block + size_t(std::countr_zero(mask));
      const unsigned char byte = static_cast<unsigned char>(text[at]);
      if (byte >= 0x80) {
        if (isLead[byte])
          beyondAscii(at);
      } else if (isSpace(byte)) {
        close(at);
        begin = at + 1;
      }
    }
  });
  close(text.size());
  impl->look(text, out);
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
