#include "runtime/tokenizer/Split.h"

namespace r1rt::tokenizer {

namespace {

struct Known {
  std::string_view pattern, name;
  Scanner scanner;
};

// Raw strings with delimiters, because the patterns have quotes and parentheses.
const Known known[] = {
    {R"x('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)x", "GPT-2", {Scanner::gpt2}},
    {R"x((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)x",
     "Llama 3",
     {Scanner::cl100k, 3}},
    {R"x((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)x",
     "Qwen 2",
     {Scanner::cl100k, 1}},
    {R"x((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)x",
     "Qwen 3.5",
     {Scanner::cl100k, 1, letter | mark}},
    {R"x([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)x",
     "GPT-4o",
     {Scanner::o200k}},
    {R"x([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)x",
     "DeepSeek-V3",
     {Scanner::deepseek}},
};

/// From the package's expressions to RE2's, which have other Unicode tables and other meanings of \s: classes
/// are spelt out, and what could mean something else is refused.
class Translator {
public:
  explicit Translator(std::string_view pattern) : in(pattern) {}

  /// False: `bad` says what cannot be translated.
  bool run() {
    while (at < in.size())
      if (!item())
        return false;
    return true;
  }
  std::string out, bad;

private:
  bool refuse(size_t from, size_t to) {
    bad = std::string(in.substr(from, to - from));
    return false;
  }

  bool item() {
    const size_t begin = at;
    switch (const char c = in[at]) {
    case '(':
      ++at;
      if (in.substr(at).starts_with("?:"))
        at += 2, out += "(?:";
      else if (at < in.size() && in[at] == '?')
        return refuse(begin, std::min(begin + 4, in.size()));
      else
        out += "(?:";
      return true;
    case ')':
    case '|':
      ++at;
      out += c;
      return true;
    case '?':
    case '*':
    case '+':
    case '{':
      return quantifier();
    case '[':
      return bracket();
    case '\\':
      return escape(false);
    case '.':
    case '^':
    case '$':
    case ']':
    case '}':
      return refuse(begin, begin + 1);
    default:
      literal();
      return true;
    }
  }

  bool quantifier() {
    const size_t begin = at;
    if (in[at] == '{') {
      size_t close = in.find('}', at);
      if (close == in.npos || close > at + 8 || close == at + 1 ||
          in.substr(at + 1, close - at - 1).find_first_not_of("0123456789,") != in.npos)
        return refuse(begin, std::min(begin + 8, in.size()));
      at = close + 1;
    } else {
      ++at;
    }
    if (at < in.size() && in[at] == '?')
      ++at;
    if (at < in.size() && (in[at] == '+' || in[at] == '*' || in[at] == '{')) // possessive, or repeated twice
      return refuse(begin, at + 1);
    out += in.substr(begin, at - begin);
    return true;
  }

  void literal() {
    const size_t begin = at;
    at = charEnd(in, at);
    const std::string_view c = in.substr(begin, at - begin);
    out += RE2::QuoteMeta(re2::StringPiece(c.data(), c.size()));
  }

  bool escape(bool inBracket) {
    const size_t begin = at++;
    if (at == in.size())
      return refuse(begin, at);
    const char c = in[at];
    if (c == 'p' || c == 'P') {
      const size_t close = in.find('}', at);
      if (at + 1 >= in.size() || in[at + 1] != '{' || close == in.npos || close > at + 8)
        return refuse(begin, std::min(begin + 4, in.size()));
      const std::string_view name = in.substr(at + 2, close - at - 2);
      at = close + 1;
      uint16_t classes = name == "L"    ? letter
                         : name == "Ll" ? lower
                         : name == "N"  ? number
                         : name == "M"  ? mark
                         : name == "P"  ? punctuation
                         : name == "S"  ? symbol
                                        : 0;
      return classes ? characterClass(classes, c == 'P', inBracket) : refuse(begin, at);
    }
    ++at;
    switch (c) {
    case 's':
    case 'S':
      return characterClass(space, c == 'S', inBracket);
    case 'r':
    case 'n':
    case 't':
      out += {'\\', c};
      return true;
    default:
      if (static_cast<unsigned char>(c) < 0x80 && !isalnum(static_cast<unsigned char>(c))) {
        out += {'\\', c};
        return true;
      }
      return refuse(begin, at);
    }
  }

  /// The characters of the classes as ranges.
  bool characterClass(uint16_t classes, bool negate, bool inBracket) {
    if (negate && inBracket)
      return refuse(at - 2, at);
    if (!inBracket)
      out += negate ? "[^" : "[";
    const CharTable &table = CharTable::get();
    char text[32];
    for (char32_t c = 0; c < 0x110000; ++c) {
      if (!(table[c] & classes))
        continue;
      const char32_t first = c;
      while (c + 1 < 0x110000 && (table[c + 1] & classes))
        ++c;
      snprintf(text, sizeof text, "\\x{%X}-\\x{%X}", unsigned(first), unsigned(c));
      out += text;
    }
    if (!inBracket)
      out += ']';
    return true;
  }

  bool bracket() {
    const size_t begin = at++;
    out += '[';
    if (at < in.size() && in[at] == '^') {
      ++at;
      out += '^';
    }
    for (bool first = true; at < in.size() && in[at] != ']'; first = false) {
      if (in[at] == '[' || in.substr(at).starts_with("&&"))
        return refuse(begin, at + 1); // sets within sets
      if (in[at] == '\\') {
        if (!escape(true))
          return false;
        continue;
      }
      if (in[at] == '-') { // between two characters a range; first or last a character
        const bool range = !first && at + 1 < in.size() && in[at + 1] != ']';
        out += range ? "-" : "\\-";
        ++at;
        continue;
      }
      literal();
    }
    if (at == in.size())
      return refuse(begin, at);
    ++at;
    out += ']';
    return true;
  }

  std::string_view in;
  size_t at = 0;
};

} // namespace

Splitter Splitter::ofClass(uint16_t classes, Behaviour behaviour) {
  Splitter s;
  s.kind = byClass, s.classes = classes, s.behaviour = behaviour;
  return s;
}

Splitter Splitter::ofText(std::string text, Behaviour behaviour, bool invert) {
  Splitter s;
  s.kind = byText, s.text = std::move(text), s.behaviour = behaviour, s.invert = invert;
  return s;
}

Splitter Splitter::ofScanner(Scanner scanner, Behaviour behaviour, bool invert) {
  Splitter s;
  s.kind = byScanner, s.scanner = scanner, s.behaviour = behaviour, s.invert = invert;
  return s;
}

Splitter Splitter::ofWords() {
  Splitter s;
  s.kind = byWords, s.behaviour = removed, s.invert = true;
  return s;
}

Result<Splitter> Splitter::ofPattern(const std::string &pattern, Behaviour behaviour, bool invert) {
  std::string names;
  for (const Known &k : known) {
    if (k.pattern == pattern)
      return ofScanner(k.scanner, behaviour, invert);
    names += (names.empty() ? "" : ", ") + std::string(k.name);
  }
  const std::string others = "; known are the patterns of " + names +
                             ", and those of literals, sets, \\p{L Ll N M P S}, \\s, groups, | and ? * + {m,n}";
  Translator to(pattern);
  if (!to.run())
    return Status::error("the pattern has `" + to.bad + "`, which has no exact counterpart here" + others);
  RE2::Options options;
  options.set_log_errors(false);
  options.set_max_mem(int64_t(64) << 20);
  auto re2 = std::make_shared<RE2>(to.out, options);
  if (!re2->ok())
    return Status::error("the pattern is not a regular expression" + others);
  if (RE2::FullMatch("", *re2))
    return Status::error("the pattern matches the empty text, at which no text can be cut");
  Splitter s;
  s.kind = byRe2, s.re2 = std::move(re2), s.behaviour = behaviour, s.invert = invert;
  return s;
}

} // namespace r1rt::tokenizer
