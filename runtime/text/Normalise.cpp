#include "runtime/text/Chars.h"
#include "runtime/text/Rule.h"
#include <algorithm>
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

/// Appends a text with its white space collapsed, piece by piece.
class Collapser {
public:
  explicit Collapser(std::string &out) : out(out) {}

  void add(char32_t c, std::string_view bytes) {
    if (c == '\r' || c == '\n' || c == 0x0B || c == 0x0C || c == 0x85 || c == 0x2028) {
      feeds += !(c == '\n' && last == '\r');
    } else if (c == 0x2029) {
      feeds += 2;
    } else if (isSpace(c)) {
      space = true;
    } else {
      if (!out.empty() && feeds)
        out.append(std::min<size_t>(feeds, 2), '\n');
      else if (!out.empty() && space)
        out += ' ';
      feeds = 0;
      space = false;
      out += bytes;
    }
    last = c;
  }

private:
  std::string &out;
  size_t feeds = 0;
  bool space = false;
  char32_t last = 0;
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
    Evidence evidence = {{"unicode", composed}, {"white_space", cleaned && !(removed && onlyControls())}};
    evidence["controls"] = removed;
    evidence["bytes"] = {before, text.size()};
    return {Verdict::changed, "normalised", std::move(evidence)};
  }

private:
  bool onlyControls() const { return !whitespace; }

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
    for (size_t at = 0; at < text.size();) {
      size_t from = at;
      char32_t c = nextChar(text, at);
      if (controls && isControl(c))
        ++removed;
      else if (whitespace)
        collapser.add(c, text.substr(from, at - from));
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
