#include "runtime/tokenizer/Normalise.h"
#include <algorithm>
#include <unicode/uchar.h>
#include <unicode/unorm2.h>

namespace r1rt::tokenizer {

namespace {

/// A normal form by Unicode 9, the version of the package's library: what is newer has no decomposition and
/// is no mark.
class Form {
public:
  static const Form &get(Normaliser::Kind kind) {
    static const Form c(UNORM2_COMPOSE, "nfc", UCHAR_NFC_QUICK_CHECK), d(UNORM2_DECOMPOSE, "nfc", UCHAR_NFD_QUICK_CHECK),
        kc(UNORM2_COMPOSE, "nfkc", UCHAR_NFKC_QUICK_CHECK), kd(UNORM2_DECOMPOSE, "nfkc", UCHAR_NFKD_QUICK_CHECK);
    return kind == Normaliser::nfc ? c : kind == Normaliser::nfd ? d : kind == Normaliser::nfkc ? kc : kd;
  }

  /// May the character change, or move, or change one before it?
  bool active(char32_t c) const { return c < changes.size() && changes[c]; }

  bool apply(const View &in, Changed &out) const;

private:
  // No character from here on changes.
  static constexpr char32_t end = 0x30000;

  Form(UNormalization2Mode mode, const char *name, UProperty check) : composes(mode == UNORM2_COMPOSE) {
    UErrorCode error = U_ZERO_ERROR;
    icu = unorm2_getInstance(nullptr, name, mode, &error); // of data that is built into the library
    changes.resize(end);
    for (char32_t c = 0xA0; c < end; ++c)
      changes[c] = old(c) && (u_getCombiningClass(UChar32(c)) != 0 ||
                              u_getIntPropertyValue(UChar32(c), check) != UNORM_YES);
  }
  static bool old(char32_t c) {
    UVersionInfo age;
    u_charAge(UChar32(c), age);
    return age[0] >= 1 && age[0] <= 9;
  }
  static uint8_t combiningClass(char32_t c) { return old(c) ? u_getCombiningClass(UChar32(c)) : 0; }

  /// A character and how it came about, in the terms of the package: 0 takes the place of the next one of the
  /// text, n > 0 of none, n < 0 of the next 1 - n. From this it derives the origin of each.
  struct Made {
    char32_t c;
    int32_t change;
  };
  void decompose(std::string_view text, std::vector<Made> &made) const;
  void compose(std::vector<Made> &made) const;

  bool composes;
  const UNormalizer2 *icu;
  std::vector<bool> changes;
};

void Form::decompose(std::string_view text, std::vector<Made> &made) const {
  struct Pending {
    size_t order; // by class, then by place
    Made made;
  };
  std::vector<Pending> pending; // one character with class 0 and what stands on it
  auto flush = [&] {
    std::sort(pending.begin(), pending.end(), [](auto &a, auto &b) { return a.order < b.order; });
    for (Pending &p : pending)
      made.push_back(p.made);
    pending.clear();
  };
  auto put = [&](char32_t c, bool first) {
    const size_t order = combiningClass(c);
    if (order == 0)
      flush();
    pending.push_back({order << 32 | pending.size(), {c, first ? 0 : 1}});
  };
  for (size_t at = 0; at < text.size();) {
    char32_t c = decodeChar(text, at);
    UChar parts[32]; // the longest decomposition has 18
    UErrorCode error = U_ZERO_ERROR;
    int32_t n = old(c) ? unorm2_getDecomposition(icu, UChar32(c), parts, 32, &error) : -1;
    if (n < 0 || U_FAILURE(error)) {
      put(c, true);
      continue;
    }
    bool first = true;
    for (int32_t i = 0; i < n; first = false) {
      UChar32 part;
      U16_NEXT(parts, i, n, part);
      put(char32_t(part), first);
    }
  }
  flush();
}

void Form::compose(std::vector<Made> &made) const {
  size_t to = 0, starter = SIZE_MAX; // of what is kept: the last character with class 0
  int last = -1;                     // class of the last one kept behind it; -1: none
  for (Made m : made) {
    const int order = combiningClass(m.c);
    if (starter != SIZE_MAX && (last < order || last == -1)) {
      UChar32 both = unorm2_composePair(icu, UChar32(made[starter].c), UChar32(m.c));
      if (both >= 0 && old(char32_t(both))) {
        made[starter] = {char32_t(both), made[starter].change + m.change - 1};
        continue;
      }
    }
    if (order == 0)
      starter = to, last = -1;
    else if (starter != SIZE_MAX)
      last = order;
    made[to++] = m;
  }
  made.resize(to);
}

bool Form::apply(const View &in, Changed &out) const {
  const std::string_view text = in.text;
  size_t done = 0, stable = 0; // what is copied; the last character that is not active
  bool changed = false;
  std::vector<Made> made;
  for (size_t at = 0; at < text.size();) {
    const size_t begin = at;
    if (static_cast<unsigned char>(text[at]) < 0x80 || !active(decodeChar(text, at))) {
      stable = begin;
      at = charEnd(text, begin);
      continue;
    }
    // From the character before it to the next that is not active.
    while (at < text.size()) {
      size_t next = at;
      if (!active(decodeChar(text, next)))
        break;
      at = next;
    }
    const size_t from = std::max(stable, done);
    const std::string_view run = text.substr(from, at - from);
    made.clear();
    decompose(run, made);
    if (composes)
      compose(made);
    out.copy(in, done, from);
    changed = true;
    size_t offset = 0; // in the run: what the next character takes the place of
    for (Made m : made) {
      out.add(m.c, in, from + (m.change > 0 ? (offset ? offset - 1 : 0) : std::min(offset, run.size() - 1)));
      for (int32_t i = m.change; i <= 0 && offset < run.size(); ++i)
        offset = charEnd(run, offset);
    }
    done = stable = at;
  }
  if (!changed)
    return false;
  out.copy(in, done, text.size());
  return true;
}

bool ideograph(char32_t c) {
  return (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) || (c >= 0x20000 && c <= 0x2A6DF) ||
         (c >= 0x2A700 && c <= 0x2B73F) || (c >= 0x2B740 && c <= 0x2B81F) || (c >= 0x2B920 && c <= 0x2CEAF) ||
         (c >= 0xF900 && c <= 0xFAFF) || (c >= 0x2F800 && c <= 0x2FA1F);
}

/// Where `wants(c)`, write(c, begin, out) says what takes the place of the character at `begin`.
template <class Wants, class Write> bool eachChar(const View &in, Changed &out, Wants wants, Write write) {
  size_t done = 0;
  bool changed = false;
  for (size_t at = 0; at < in.text.size();) {
    const size_t begin = at;
    const char32_t c = decodeChar(in.text, at);
    if (!wants(c))
      continue;
    out.copy(in, done, begin);
    write(c, begin);
    done = at;
    changed = true;
  }
  if (changed)
    out.copy(in, done, in.text.size());
  return changed;
}

bool without(uint16_t classes, const View &in, Changed &out) {
  const CharTable &table = CharTable::get();
  return eachChar(in, out, [&](char32_t c) { return (table[c] & classes) != 0; }, [](char32_t, size_t) {});
}

bool strip(const View &in, Changed &out, bool left, bool right) {
  const CharTable &table = CharTable::get();
  size_t begin = 0, end = in.text.size();
  while (left && begin < end) {
    size_t next = begin;
    if (!(table[decodeChar(in.text, next)] & space))
      break;
    begin = next;
  }
  while (right && begin < end) {
    size_t last = charBegin(in.text, end - 1), at = last;
    if (!(table[decodeChar(in.text, at)] & space))
      break;
    end = last;
  }
  if (begin == 0 && end == in.text.size())
    return false;
  out.copy(in, begin, end);
  return true;
}

bool replaceAll(const View &in, Changed &out, std::string_view what, std::string_view with) {
  size_t done = 0;
  bool changed = false;
  for (size_t at; (at = in.text.find(what, done)) != in.text.npos; done = at + what.size()) {
    out.copy(in, done, at);
    out.add(with, in, at + what.size() - 1);
    changed = true;
  }
  if (changed)
    out.copy(in, done, in.text.size());
  return changed;
}

} // namespace

bool Normaliser::apply(const View &in, Changed &out) const {
  const CharTable &table = CharTable::get();
  switch (kind) {
  case nfc:
  case nfd:
  case nfkc:
  case nfkd:
    return Form::get(kind).apply(in, out);
  case lowercase:
    return eachChar(
        in, out, [](char32_t c) { return c == 0x130 || toLower(c) != c; },
        [&](char32_t c, size_t at) {
          if (c == 0x130)
            out.add("i\xCC\x87", in, at);
          else
            out.add(toLower(c), in, at);
        });
  case stripAccents:
    return without(accent, in, out);
  case bertAccents:
    return without(bertAccent, in, out);
  case bertClean:
    return eachChar(
        in, out, [&](char32_t c) { return c != ' ' && (table[c] & (bertControl | space)); },
        [&](char32_t c, size_t at) {
          if (!(table[c] & bertControl))
            out.add(U' ', in, at);
        });
  case bertIdeographs:
    return eachChar(in, out, ideograph, [&](char32_t c, size_t at) {
      out.add(U' ', in, at);
      out.add(c, in, at);
      out.add(U' ', in, at);
    });
  case replace:
    return replaceAll(in, out, what, with);
  case prepend:
    if (in.text.empty())
      return false;
    out.add(with, in, 0);
    out.copy(in, 0, in.text.size());
    return true;
  case stripLeft:
  case stripRight:
  case stripBoth:
    return strip(in, out, kind != stripRight, kind != stripLeft);
  case bytes:
    for (size_t at = 0; at < in.text.size(); ++at)
      out.add(byteChar(static_cast<unsigned char>(in.text[at])), in, at);
    return true;
  }
  return false;
}

View normalise(const std::vector<Normaliser> &steps, View in, Changed &a, Changed &b) {
  Changed *next = &a, *other = &b;
  for (const Normaliser &step : steps) {
    next->text.clear();
    next->origin.clear();
    if (step.apply(in, *next)) {
      in = next->view();
      std::swap(next, other);
    }
  }
  return in;
}

} // namespace r1rt::tokenizer
