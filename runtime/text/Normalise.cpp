#include "runtime/text/Chars.h"
#include "runtime/text/Rule.h"
#include <algorithm>
#include <array>
#include <unicode/bytestream.h>
#include <unicode/normalizer2.h>

namespace r1rt::text {

namespace {

/// A control or an invisible format character. The joiners of Arabic and Indic scripts (and emoji) and
/// tags are kept, since a text looks different without them.
bool isControl(char32_t c) {
  if (c < 0x20 || c == 0x7F)
    return !(c >= 9 && c <= 13);
  return (c >= 0x80 && c <= 0x9F && c != 0x85) || c == 0xAD || c == 0x200B || c == 0x200E ||
         c == 0x200F || (c >= 0x202A && c <= 0x202E) || (c >= 0x2060 && c <= 0x2064) ||
         (c >= 0x2066 && c <= 0x206F) || c == 0xFEFF || (c >= 0xFFF9 && c <= 0xFFFB);
}

/// Bytes that stay as they are wherever they stand: ASCII that is visible, and those of characters beyond
/// ASCII that are neither white space nor a control.
constexpr std::array<bool, 256> isPlain = [] {
  std::array<bool, 256> t{};
  for (size_t c = 0x21; c < 256; ++c)
    t[c] = c != 0x7F && c != 0xC2 && c != 0xE1 && c != 0xE2 && c != 0xE3 && c != 0xEF;
  return t;
}();

/// Writes a text with its white space collapsed.
class Collapser {
public:
  explicit Collapser(std::string &out) : out(out) {}

  void space(char32_t c) {
    if (c == '\r' || c == '\n' || c == 0x0B || c == 0x0C || c == 0x85 || c == 0x2028)
      feeds += !(c == '\n' && last == '\r');
    else if (c == 0x2029)
      feeds += 2;
    else
      spaces = true;
    last = c;
  }
  void add(std::string_view visible) {
    if (feeds | spaces) {
      if (!out.empty() && feeds)
        out.append(std::min<size_t>(feeds, 2), '\n');
      else if (!out.empty())
        out += ' ';
      feeds = 0;
      spaces = false;
      last = 0;
    }
    out += visible;
  }

private:
  std::string &out;
  size_t feeds = 0;
  bool spaces = false;
  char32_t last = 0; // of the white space
};

class Normalise : public Rule {
public:
  const icu::Normalizer2 *form = nullptr; // null: none
  bool whitespace = false, controls = false;

  Finding apply(std::string &text, Scratch::Impl &s) const override {
    const size_t before = text.size();
    bool composed = form && compose(text, s.buffer);
    uint64_t removed = 0;
    s.buffer.clear();
    s.buffer.reserve(text.size());
    if (whitespace || controls)
      removed = clean(text, s.buffer);
    bool cleaned = (whitespace || controls) && s.buffer != text;
    if (cleaned)
      text.swap(s.buffer);
    if (!composed && !cleaned)
      return {};
    Evidence evidence = {{"unicode", composed}, {"controls", removed}};
    evidence["bytes"] = {before, text.size()};
    return {Verdict::changed, "normalised", std::move(evidence)};
  }

private:
  /// Whether the text was not yet in the form.
  bool compose(std::string &text, std::string &buffer) const {
    if (std::all_of(text.begin(), text.end(), [](char c) { return static_cast<signed char>(c) >= 0; }))
      return false;
    icu::StringPiece source(text.data(), int32_t(std::min<size_t>(text.size(), INT32_MAX)));
    UErrorCode code = U_ZERO_ERROR;
    if (text.size() > INT32_MAX || form->isNormalizedUTF8(source, code) || U_FAILURE(code))
      return false;
    buffer.clear();
    icu::StringByteSink<std::string> sink(&buffer, source.size());
    form->normalizeUTF8(0, source, sink, nullptr, code);
    if (U_FAILURE(code) || buffer == text)
      return false;
    text.swap(buffer);
    return true;
  }

  /// The text without controls and with its white space collapsed; the number of controls.
  uint64_t clean(std::string_view text, std::string &out) const {
    uint64_t removed = 0;
    Collapser collapser(out);
    auto plainAt = [&](size_t i) { return i < text.size() && isPlain[static_cast<unsigned char>(text[i])]; };
    for (size_t at = 0; at < text.size();) {
      size_t from = at;
      // A single space between two such bytes stays as well.
      while (plainAt(at) || (at > from && at < text.size() && text[at] == ' ' && plainAt(at + 1)))
        ++at;
      if (at > from) {
        whitespace ? collapser.add(text.substr(from, at - from)) : void(out += text.substr(from, at - from));
        continue;
      }
      char32_t c = nextChar(text, at);
      if (controls && isControl(c))
        ++removed;
      else if (whitespace && isSpace(c))
        collapser.space(c);
      else if (whitespace)
        collapser.add(text.substr(from, at - from));
      else
        out += text.substr(from, at - from);
    }
    return removed;
  }
};

} // namespace

RulePtr makeNormalise(Params &p) {
  auto r = std::make_shared<Normalise>();
  std::string form = p.oneOf("form", {"NFC", "NFKC", "none"});
  r->whitespace = p.oneOf("whitespace", {"collapse", "keep"}) == "collapse";
  r->controls = p.oneOf("controls", {"remove", "keep"}) == "remove";
  UErrorCode code = U_ZERO_ERROR;
  if (form == "NFC")
    r->form = icu::Normalizer2::getNFCInstance(code);
  else if (form == "NFKC")
    r->form = icu::Normalizer2::getNFKCInstance(code);
  if (U_FAILURE(code))
    p.fail("form", "is \"" + form + "\", for which ICU has no tables: " + u_errorName(code));
  return r;
}

} // namespace r1rt::text
