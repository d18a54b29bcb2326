#include "runtime/text/English.h"
#include "runtime/text/Chars.h"
#include <algorithm>
#include <array>
#include <bitset>
#include <map>
#include <re2/re2.h>
#include <string>
#include <unordered_map>
#define XXH_INLINE_ALL // short pieces: a call would cost as much as the hash
#include <xxhash.h>

namespace r1rt::text {

namespace {

//===-- Classes of code points ----------------------------------------------------------------------===//

bool within(char32_t c, char32_t first, char32_t last) { return c >= first && c <= last; }

/// Letters of scripts without case; whole blocks, as in spaCy.
bool isUncased(char32_t c) {
  if (c < 0x0591)
    return false;
  return within(c, 0x0591, 0x05F4) || within(c, 0x0620, 0x064A) || within(c, 0x066E, 0x06D5) ||
         within(c, 0x06E5, 0x06FF) || within(c, 0x0750, 0x077F) || within(c, 0x08A0, 0x08BD) ||
         within(c, 0x0900, 0x09FF) || within(c, 0x0B80, 0x0BFF) || within(c, 0x0C00, 0x0CFF) ||
         within(c, 0x0D80, 0x0DFF) || within(c, 0x1100, 0x137F) || within(c, 0x2E80, 0x2FDF) ||
         within(c, 0x2FF0, 0x30FF) || within(c, 0x31C0, 0x31EF) || within(c, 0x3200, 0x4DBF) ||
         within(c, 0x4E00, 0x9FFF) || within(c, 0xAC00, 0xD7AF) || within(c, 0xF900, 0xFAFF) ||
         within(c, 0xFB1D, 0xFDFB) || within(c, 0xFE30, 0xFE4F) || within(c, 0xFE70, 0xFEFC) ||
         within(c, 0x20000, 0x2FA1F);
}

/// Latin, Greek, Cyrillic: the scripts with case whose letters count.
bool isCased(char32_t c) {
  return c < 0x530 || within(c, 0x1D00, 0x1EFF) || within(c, 0x2C60, 0x2C7F) ||
         within(c, 0xA722, 0xA7FF) || within(c, 0xAB30, 0xAB64) || within(c, 0xFF21, 0xFF5A);
}

bool isOneOf(char32_t c, std::u32string_view set) { return set.find(c) != set.npos; }

/// The classes of ASCII, as bits.
enum : uint8_t { lower = 1, upper = 2, digit = 4, punct = 8, quote = 16, prefix = 32 };
constexpr std::array<uint8_t, 128> ascii = [] {
  std::array<uint8_t, 128> t{};
  for (char c = 'a'; c <= 'z'; ++c) {
    t[size_t(c)] = lower;
    t[size_t(c - 32)] = upper;
  }
  for (char c = '0'; c <= '9'; ++c)
    t[size_t(c)] = digit;
  for (char c : std::string_view(",:;!?()[]{}<>_#*&"))
    t[size_t(c)] |= punct;
  for (char c : std::string_view("'\"`,"))
    t[size_t(c)] |= quote;
  for (char c : std::string_view("%=$"))
    t[size_t(c)] |= prefix;
  return t;
}();

bool isLower(char32_t c) {
  return c < 0x80 ? ascii[c] & lower : isUncased(c) || (isCased(c) && u_islower(UChar32(c)));
}
bool isUpper(char32_t c) {
  return c < 0x80 ? ascii[c] & upper : isUncased(c) || (isCased(c) && u_isupper(UChar32(c)));
}
bool isAlpha(char32_t c) {
  return c < 0x80 ? ascii[c] & (lower | upper) : isUncased(c) || (isCased(c) && isLetter(c));
}
bool isAsciiDigit(char32_t c) { return within(c, '0', '9'); }
bool isPunct(char32_t c) {
  return c < 0x80 ? ascii[c] & punct : isOneOf(c, U"…¿؟¡。？！，、；：～·।،۔؛٪");
}
bool isQuote(char32_t c) {
  return c < 0x80 ? ascii[c] & quote : isOneOf(c, U"”“‘´’‚„»«「」『』（）〔〕【】《》〈〉〈〉⟦⟧");
}
bool isCurrency(char32_t c) {
  return c < 0x80 ? c == '$' : isOneOf(c, U"£€¥฿﷼") || within(c, 0x20A0, 0x20BF);
}
bool isIcon(char32_t c) { return c >= 0xA6 && u_charType(UChar32(c)) == U_OTHER_SYMBOL; }

/// A code point of one character that may stand before and behind any word.
bool isAffix(char32_t c) {
  return c < 0x80 ? ascii[c] & (punct | quote)
                  : isPunct(c) || isQuote(c) || isIcon(c) || c == U'—' || c == U'–';
}
/// One that may only stand before it.
bool isPrefix(char32_t c) { return c < 0x80 ? ascii[c] & prefix : c == U'§' || isCurrency(c); }

/// What may stand after a number without a space.
constexpr std::u32string_view units[] = {
    U"km",   U"km²",  U"km³",  U"m",    U"m²",   U"m³",  U"dm",   U"dm²",  U"dm³",  U"cm",  U"cm²",
    U"cm³",  U"mm",   U"mm²",  U"mm³",  U"ha",   U"µm",  U"nm",   U"yd",   U"in",   U"ft",  U"kg",
    U"g",    U"mg",   U"µg",   U"t",    U"lb",   U"oz",  U"m/s",  U"km/h", U"kmh",  U"mph", U"hPa",
    U"Pa",   U"mbar", U"mb",   U"MB",   U"kb",   U"KB",  U"gb",   U"GB",   U"tb",   U"TB",  U"T",
    U"G",    U"M",    U"K",    U"%",    U"км",   U"км²", U"км³",  U"м",    U"м²",   U"м³",  U"дм",
    U"дм²",  U"дм³",  U"см",   U"см²",  U"см³",  U"мм",  U"мм²",  U"мм³",  U"нм",   U"кг",  U"г",
    U"мг",   U"м/с",  U"км/ч", U"кПа",  U"Па",   U"мбар", U"Кб",  U"КБ",   U"кб",   U"Мб",  U"МБ",
    U"мб",   U"Гб",   U"ГБ",   U"гб",   U"Тб",   U"ТБ",  U"كم²",  U"كم³",  U"م",    U"م²",  U"م³",
    U"سم",   U"سم²",  U"سم³",  U"مم",   U"مم²",  U"مم³", U"كم",   U"غرام", U"جرام", U"جم",  U"كغ",
    U"ملغ",  U"كوب",  U"اكواب", U"US$", U"C$",   U"A$"};

//===-- Exceptions -----------------------------------------------------------------------------------===//

/// Short pieces -> the lengths of words in bytes. Most look-ups are in vain: a filter ends them.
class PieceIndex {
public:
  void add(const std::string &piece, const std::vector<uint32_t> &lengths) {
    filter.set(sketch(piece));
    map[XXH3_64bits(piece.data(), piece.size())] = {piece, lengths};
  }
  const std::vector<uint32_t> *find(std::string_view piece) const {
    if (!filter[sketch(piece)])
      return nullptr;
    auto it = map.find(XXH3_64bits(piece.data(), piece.size()));
    return it == map.end() || it->second.first != piece ? nullptr : &it->second.second;
  }

private:
  static constexpr unsigned bits = 15;
  /// Of the first byte, the middle one, the last one and the length.
  static size_t sketch(std::string_view piece) {
    const size_t n = piece.size();
    auto byte = [&](size_t i) { return uint32_t(static_cast<unsigned char>(piece[i])); };
    uint32_t key = byte(0) | byte(n / 2) << 8 | byte(n - 1) << 16 | uint32_t(n) << 24;
    return (key * 0x9E3779B1u) >> (32 - bits);
  }
  std::bitset<1 << bits> filter;
  std::unordered_map<uint64_t, std::pair<std::string, std::vector<uint32_t>>> map;
};

/// Pieces with words of their own: each maps to the lengths of its words in bytes.
class Exceptions {
public:
  Exceptions() {
    contractions();
    others();
    // Words of their own right that look like contractions ("we're", "I'll" without apostrophe).
    for (const char *word : {"ill", "its", "hell", "shell", "shed", "were", "well", "whore"}) {
      map.erase(word);
      map.erase(titled(word));
    }
    emoticons();
    // Each with the typographic apostrophe, too.
    std::vector<std::string> spellings;
    for (const auto &[piece, lengths] : map)
      if (piece.find('\'') != piece.npos)
        spellings.push_back(joined(piece, lengths));
    for (const std::string &s : spellings) {
      std::string curly;
      for (char c : s)
        curly += c == '\'' ? std::string("’") : std::string(1, c);
      add(curly);
    }
    for (const auto &[piece, lengths] : map)
      index.add(piece, lengths);
  }

  /// The words' lengths, or null for a piece that is no exception.
  const std::vector<uint32_t> *find(std::string_view piece) const { return index.find(piece); }
  const std::map<std::string, std::vector<uint32_t>> &all() const { return map; }

private:
  static std::string titled(std::string word) {
    if (word[0] >= 'a' && word[0] <= 'z')
      word[0] = char(word[0] - 32);
    return word;
  }

  static std::string joined(const std::string &piece, const std::vector<uint32_t> &lengths) {
    std::string out;
    size_t at = 0;
    for (uint32_t n : lengths) {
      out += (at ? "\n" : "") + piece.substr(at, n);
      at += n;
    }
    return out;
  }

  /// Words separated by line feeds.
  void add(std::string_view words) {
    std::string piece;
    std::vector<uint32_t> lengths;
    while (true) {
      size_t cut = words.find('\n');
      std::string_view word = words.substr(0, cut);
      piece += word;
      lengths.push_back(uint32_t(word.size()));
      if (cut == words.npos)
        break;
      words.remove_prefix(cut + 1);
    }
    map[piece] = lengths;
  }

  /// Both "it'll" and "itll", small and capital: {"it", "'ll"}.
  void addBoth(const std::string &word, std::initializer_list<const char *> endings) {
    for (const std::string &w : {word, titled(word)}) {
      std::string with = w, without = w;
      for (std::string e : endings) {
        with += "\n" + e;
        e.erase(std::remove(e.begin(), e.end(), '\''), e.end());
        without += "\n" + e;
      }
      add(with);
      add(without);
    }
  }

  void contractions() {
    addBoth("i", {"'m"});
    addBoth("i", {"'m", "a"});
    for (const char *w : {"i", "you", "he", "she", "it", "we", "they"}) {
      addBoth(w, {"'ll"});
      addBoth(w, {"'ll", "'ve"});
      addBoth(w, {"'d"});
      addBoth(w, {"'d", "'ve"});
    }
    for (const char *w : {"i", "you", "we", "they"})
      addBoth(w, {"'ve"});
    for (const char *w : {"you", "we", "they"})
      addBoth(w, {"'re"});
    for (const char *w : {"he", "she", "it"})
      addBoth(w, {"'s"});
    for (std::string w : {"who", "what", "when", "where", "why", "how", "there", "that", "this",
                          "these", "those"}) {
      bool plural = w == "these" || w == "those", singular = w == "that" || w == "this";
      if (!plural)
        addBoth(w, {"'s"});
      addBoth(w, {"'ll"});
      addBoth(w, {"'ll", "'ve"});
      if (!singular) {
        addBoth(w, {"'re"});
        addBoth(w, {"'ve"});
      }
      addBoth(w, {"'d"});
      addBoth(w, {"'d", "'ve"});
    }
    // "n't" loses only the apostrophe.
    for (const char *w : {"ca", "could", "do", "does", "did", "had", "may", "might", "must", "need",
                          "ought", "sha", "should", "wo", "would"}) {
      addBoth(w, {"n't"});
      addBoth(w, {"n't", "'ve"});
    }
    for (const char *w : {"could", "might", "must", "should", "would"})
      addBoth(w, {"'ve"});
    for (const char *w : {"ai", "are", "is", "was", "were", "have", "has", "dare"})
      addBoth(w, {"n't"});
    addBoth("not", {"'ve"});
    for (std::string w : {"doin", "goin", "nothin", "nuthin", "ol", "somethin", "lovin", "havin"})
      for (const std::string &s : {w, w + "'", titled(w), titled(w) + "'"})
        add(s);
    for (std::string w : {"em", "ll", "nuff"}) {
      add(w);
      add("'" + w);
    }
    for (int hour = 1; hour <= 12; ++hour)
      for (const char *half : {"a.m.", "am", "p.m.", "pm"})
        add(std::to_string(hour) + "\n" + half);
    for (const char *w : {"y'\nall", "y\nall", "how\n'd\n'y", "How\n'd\n'y", "can\nnot", "Can\nnot",
                          "gon\nna", "Gon\nna", "got\nta", "Got\nta", "let\n's", "Let\n's", "c'm\non",
                          "C'm\non"})
      add(w);
  }

  void others() {
    for (const char *w :
         {"'S",    "'s",    "‘S",    "‘s",    "and/or", "w/o",  "'re",   "'Cause", "'cause", "'cos",
          "'Cos",  "'coz",  "'Coz",  "'cuz",  "'Cuz",   "'bout", "ma'am", "Ma'am", "o'clock",
          "O'clock", "'d"})
      add(w);
    addAll("Mt. Ak. Ala. Apr. Ariz. Ark. Aug. Calif. Colo. Conn. Dec. Del. Feb. Fla. Ga. Ia. Id. Ill. "
           "Ind. Jan. Jul. Jun. Kan. Kans. Ky. La. Mar. Mass. Mich. Minn. Miss. N.C. N.D. N.H. N.J. N.M. "
           "N.Y. Neb. Nebr. Nev. Nov. Oct. Okla. Ore. Pa. S.C. Sep. Sept. Tenn. Va. Wash. Wis. "
           "a.m. Adm. Bros. co. Co. Corp. D.C. Dr. e.g. E.g. E.G. Gen. Gov. i.e. I.e. I.E. Inc. Jr. Ltd. "
           "Md. Messrs. Mo. Mont. Mr. Mrs. Ms. p.m. Ph.D. Prof. Rep. Rev. Sen. St. vs. v.s. "
           "ä. ö. ü. C++ '' ' \\\") \\t \\n <space>");
    for (char c = 'a'; c <= 'z'; ++c)
      add(std::string{c, '.'});
    for (const char *u : {"c", "f", "k", "C", "F", "K"})
      add("°\n" + std::string(u) + "\n.");
    add("—");
  }

  void emoticons() {
    addAll(":) :-) :)) :-)) :))) :-))) (: (-: =) (= :] :-] [: [-: [= =] :o) (o: :} :-} 8) 8-) (-8 ;) ;-) "
           "(; (-; :( :-( :(( :-(( :((( :-((( ): )-: =( >:( :') :'-) :'( :'-( :/ :-/ =/ =| :| :-| ]= =[ :1 "
           ":P :-P :p :-p :O :-O :o :-o :0 :-0 :() >:o :* :-* :3 :-3 =3 :> :-> :X :-X :x :-x :D :-D ;D ;-D "
           "=D xD XD xDD XDD 8D 8-D ^_^ ^__^ ^___^ >.< >.> <.< ._. ;_; -_- -__- v.v V.V v_v V_V o_o o_O O_o "
           "O_O 0_o o_0 0_0 o.O O.o O.O o.o 0.0 o.0 0.o @_@ <3 <33 <333 </3 (^_^) (-_-) (._.) (>_<) (*_*) "
           "(¬_¬) ಠ_ಠ ಠ︵ಠ (ಠ_ಠ) (╯°□°）╯︵┻━┻ ><(((*>");
  }

  void addAll(std::string_view separatedBySpaces) {
    while (!separatedBySpaces.empty()) {
      size_t cut = separatedBySpaces.find(' ');
      if (cut != 0)
        add(separatedBySpaces.substr(0, cut));
      if (cut == separatedBySpaces.npos)
        break;
      separatedBySpaces.remove_prefix(cut + 1);
    }
  }

  std::map<std::string, std::vector<uint32_t>> map;
  PieceIndex index;
};

//===-- URLs -----------------------------------------------------------------------------------------===//

/// The rule for URLs, Perini's with the scheme optional. Addresses of private networks are none.
const RE2 &urlPattern() {
  static const RE2 *pattern = [] {
    const std::string host = R"([A-Za-z0-9\x{a1}-\x{ffff}])", octet = R"((?:1?\d{1,2}|2[0-4]\d|25[0-5]))",
                      last = R"((?:[1-9]\d?|1\d\d|2[0-4]\d|25[0-4]))";
    const std::string first = // 1..223 but 10, 127, 169, 172, 192
        R"((?:[1-9]|1[1-9]|[2-9]\d|1[0-13-58]\d|12[0-689]|16[0-8]|17[013-9]|19[013-9]|2[01]\d|22[0-3]))";
    const std::string address =
        "(?:" + first + R"(\.)" + octet +
        R"(|169\.(?:1?\d{1,2}|2[0-4]\d|25[0-35])|192\.(?:\d{1,2}|1[0-57-9]\d|16[0-79]|2[0-4]\d|25[0-5]))"
        R"(|172\.(?:\d|0\d|1[0-5]|3[2-9]|[4-9]\d|1\d\d|2[0-4]\d|25[0-5])))" +
        R"(\.)" + octet + R"(\.)" + last;
    RE2::Options options;
    options.set_dot_nl(true);
    options.set_log_errors(false);
    return new RE2(R"((?:[\pL\pN_+.\-]{2,}://)?(?:.+(?::.*)?@)?(?:)" + address + "|(?:(?:" + host +
                       R"([A-Za-z0-9\x{a1}-\x{ffff}_\-]*)?)" + host +
                       R"(\.)+[\p{Ll}\p{Lo}]{2,})(?::\p{Nd}{2,5})?(?:[/?#].*)?)",
                   options);
  }();
  return *pattern;
}

} // namespace

//===-- The steps ------------------------------------------------------------------------------------===//

struct EnglishPieces::Impl {
  Exceptions exceptions;
  /// Exceptions with an affix or an infix -> the words the steps make of them without exceptions: where
  /// these lie side by side, they are put together.
  PieceIndex reunions;
  size_t mostWords = 0;

  // The piece: its code points and where each begins.
  std::string_view piece;
  std::vector<char32_t> chars;
  std::vector<uint32_t> starts;
  std::vector<std::pair<size_t, size_t>> words; // in code points
  std::vector<std::pair<size_t, size_t>> suffixes, infixes;
  std::vector<uint32_t> result;
  std::vector<char> seen, joins; // of `reunite`; joins: this many words from here on

  Impl() {
    for (const auto &[text, lengths] : exceptions.all()) {
      load(text);
      const size_t n = chars.size();
      findInfixes(0, n);
      if (!prefixAt(0, n) && !suffixAt(0, n) && infixes.empty())
        continue;
      steps(false);
      std::vector<uint32_t> parts;
      for (auto [b, e] : words)
        parts.push_back(starts[e] - starts[b]);
      reunions.add(text, parts);
      mostWords = std::max(mostWords, parts.size());
    }
  }

  void load(std::string_view text) {
    piece = text;
    chars.clear();
    starts.clear();
    for (size_t at = 0; at < text.size();) {
      starts.push_back(uint32_t(at));
      chars.push_back(nextChar(text, at));
    }
    starts.push_back(uint32_t(text.size()));
  }

  std::string_view bytes(size_t b, size_t e) const {
    return piece.substr(starts[b], starts[e] - starts[b]);
  }
  const std::vector<uint32_t> *exception(size_t b, size_t e) const {
    return exceptions.find(bytes(b, e));
  }

  /// Code points of the prefix of chars[b, e), 0 for none.
  size_t prefixAt(size_t b, size_t e) const {
    if (b == e)
      return 0;
    char32_t c = chars[b];
    if (c == '.') {
      size_t run = b;
      while (run < e && chars[run] == '.')
        ++run;
      return run - b >= 2 ? run - b : 0;
    }
    if (c == '+')
      return b + 1 < e && isAsciiDigit(chars[b + 1]) ? 0 : 1;
    if (isAffix(c) || isPrefix(c))
      return 1;
    if (c == 'U' && e - b >= 3 && chars[b + 1] == 'S' && chars[b + 2] == '$')
      return 3;
    if ((c == 'C' || c == 'A') && e - b >= 2 && chars[b + 1] == '$')
      return 2;
    return 0;
  }

  /// Where a unit, which has at most 5 code points, may follow.
  bool hasDigitNear(size_t b, size_t e) const {
    size_t from = e - b > 6 ? e - 6 : b;
    return std::any_of(chars.begin() + long(from), chars.begin() + long(e), isAsciiDigit);
  }

  /// Code points of the suffix of chars[b, e): of several the longest.
  size_t suffixAt(size_t b, size_t e) const {
    if (b == e)
      return 0;
    const size_t n = e - b;
    char32_t c = chars[e - 1], before = n >= 2 ? chars[e - 2] : U' ';
    if (c == '.') {
      size_t run = e;
      while (run > b && chars[run - 1] == '.')
        --run;
      if (e - run >= 2)
        return e - run;
      if (n < 2)
        return 0;
      if (isAsciiDigit(before) || isLower(before) || isPunct(before) || isQuote(before) ||
          isOneOf(before, U"%²-+|"))
        return 1;
      if (n >= 3 && isUpper(before) && isUpper(chars[e - 3]))
        return 1;
      return n >= 3 && chars[e - 3] == U'°' && isOneOf(before, U"FfCcKk");
    }
    size_t best = 0;
    if (isAffix(c))
      best = c == U'…' && before == U'…' ? 2 : 1;
    if ((c == 's' || c == 'S') && (before == '\'' || before == U'’'))
      best = 2;
    if ((c == '+' || isCurrency(c)) && isAsciiDigit(before))
      best = std::max<size_t>(best, 1);
    if (n >= 2 && (within(c, '$', '%') || isAlpha(c) || isOneOf(c, U"²³")) && hasDigitNear(b, e))
      for (std::u32string_view u : units)
        if (u.back() == c && u.size() > best && u.size() < n && isAsciiDigit(chars[e - u.size() - 1]) &&
            std::equal(u.begin(), u.end(), chars.begin() + long(e - u.size())))
          best = u.size();
    return best;
  }

  /// Code points of the infix at `at` of chars[b, e), 0 for none.
  size_t infixAt(size_t b, size_t at, size_t e) const {
    char32_t c = chars[at], before = at > b ? chars[at - 1] : U' ',
             after = at + 1 < e ? chars[at + 1] : U' ';
    if (c < 0x80 && ascii[c] & (lower | upper | digit))
      return 0;
    if (c == '.') {
      size_t run = at;
      while (run < e && chars[run] == '.')
        ++run;
      if (run - at >= 2)
        return run - at;
      return (isLower(before) || isQuote(before)) && (isUpper(after) || isQuote(after));
    }
    if (c == U'…' || isIcon(c))
      return 1;
    if (isOneOf(c, U"+-*^") && isAsciiDigit(before) && (isAsciiDigit(after) || after == '-'))
      return 1;
    if (c == ',')
      return isAlpha(before) && isAlpha(after);
    if (!isAlpha(before) && !isAsciiDigit(before))
      return 0;
    if (isOneOf(c, U":<>=/"))
      return isAlpha(after);
    if (c == '-' || c == U'—') {
      size_t most = c == '-' ? 3 : 2;
      for (size_t n = 1; n <= most && at + n < e; ++n) {
        if (isAlpha(chars[at + n]))
          return n;
        if (chars[at + n] != c)
          return 0;
      }
      return 0;
    }
    return (c == U'–' || c == '~') && isAlpha(after);
  }

  void findInfixes(size_t b, size_t e) {
    infixes.clear();
    for (size_t at = b; at < e;) {
      size_t n = infixAt(b, at, e);
      if (n)
        infixes.push_back({at, at + n});
      at += n ? n : 1;
    }
  }

  void pushException(const std::vector<uint32_t> &lengths, size_t b) {
    for (uint32_t n : lengths) {
      size_t e = b;
      while (starts[e] < starts[b] + n)
        ++e;
      words.push_back({b, e});
      b = e;
    }
  }

  /// Fills `words`.
  void steps(bool withExceptions) {
    words.clear();
    suffixes.clear();
    size_t b = 0, e = chars.size();
    for (size_t last = 0; b < e && e - b != last;) {
      if (withExceptions && exception(b, e))
        break;
      last = e - b;
      size_t prefix = prefixAt(b, e);
      if (prefix && withExceptions && b + prefix < e && exception(b + prefix, e)) {
        words.push_back({b, b + prefix});
        b += prefix;
        break;
      }
      size_t suffix = suffixAt(b + prefix, e);
      if (suffix && withExceptions && e - suffix > b && exception(b, e - suffix)) {
        suffixes.push_back({e - suffix, e});
        e -= suffix;
        break;
      }
      if (prefix)
        words.push_back({b, b + prefix});
      if (suffix)
        suffixes.push_back({e - suffix, e});
      b += prefix;
      e -= suffix;
    }
    if (b < e) {
      const std::vector<uint32_t> *known = withExceptions ? exception(b, e) : nullptr;
      if (known)
        pushException(*known, b);
      else if (isUrl(b, e))
        words.push_back({b, e});
      else
        cutAtInfixes(b, e);
    }
    words.insert(words.end(), suffixes.rbegin(), suffixes.rend());
  }

  bool isUrl(size_t b, size_t e) const {
    std::string_view s = bytes(b, e);
    return s.size() >= 4 && s.find('.', 1) != s.npos &&
           RE2::FullMatch(re2::StringPiece(s.data(), s.size()), urlPattern());
  }

  void cutAtInfixes(size_t b, size_t e) {
    findInfixes(b, e);
    size_t from = b;
    for (auto [first, end] : infixes) {
      if (first == b)
        continue;
      if (first != from)
        words.push_back({from, first});
      words.push_back({first, end});
      from = end;
    }
    if (from < e)
      words.push_back({from, e});
  }

  /// Puts exceptions together that the steps have cut: the longest first, then the first; an exception
  /// that overlaps one is left as it is.
  void reunite() {
    if (words.size() < 2)
      return;
    bool any = false;
    seen.assign(words.size(), 0);
    joins.assign(words.size(), 0);
    for (size_t n = std::min(mostWords, words.size()); n >= 2; --n) {
      for (size_t i = 0; i + n <= words.size(); ++i) {
        const auto *parts = reunions.find(bytes(words[i].first, words[i + n - 1].second));
        if (!parts || parts->size() != n)
          continue;
        bool same = true;
        for (size_t k = 0; k < n; ++k)
          same &= starts[words[i + k].second] - starts[words[i + k].first] == (*parts)[k];
        if (!same)
          continue;
        if (!seen[i] && !seen[i + n - 1]) {
          joins[i] = char(n);
          any = true;
        }
        std::fill_n(seen.begin() + long(i), n, 1);
      }
    }
    if (!any)
      return;
    auto before = std::move(words);
    words.clear();
    for (size_t i = 0; i < before.size();) {
      if (joins[i]) {
        size_t b = before[i].first, e = before[i + size_t(joins[i]) - 1].second;
        pushException(*exception(b, e), b);
        i += size_t(joins[i]);
      } else {
        words.push_back(before[i++]);
      }
    }
  }

  /// Most pieces: ASCII letters, perhaps with one mark behind them. False, and no result, for others.
  bool cutPlain(std::string_view text) {
    size_t letters = 0;
    auto isAsciiLetter = [](char c) { return c > 0 && ascii[size_t(c)] & (lower | upper); };
    while (letters < text.size() && isAsciiLetter(text[letters]))
      ++letters;
    if (letters == 0 || letters + 1 < text.size() || exceptions.find(text))
      return false;
    if (letters < text.size()) {
      char mark = text[letters];
      bool suffix = mark == ',' || mark == ';' || mark == ':' || mark == '!' || mark == '?' || mark == ')' ||
                    (mark == '.' && isLower(static_cast<unsigned char>(text[letters - 1])));
      if (!suffix || exceptions.find(text.substr(0, letters)))
        return false;
    }
    result.push_back(uint32_t(letters));
    if (letters < text.size())
      result.push_back(1);
    return true;
  }

  void cut(std::string_view text) {
    result.clear();
    if (cutPlain(text))
      return;
    load(text);
    steps(true);
    reunite();
    for (auto [b, e] : words)
      result.push_back(starts[e] - starts[b]);
  }
};

EnglishPieces::EnglishPieces() : impl(std::make_unique<Impl>()) {}
EnglishPieces::~EnglishPieces() = default;

const std::vector<uint32_t> &EnglishPieces::cut(std::string_view piece) {
  impl->cut(piece);
  return impl->result;
}

} // namespace r1rt::text
