#include "runtime/text/Language.h"
#include "runtime/text/Rule.h"
#include "runtime/text/Utf8.h"
#include <algorithm>
#include <cld2/public/compact_lang_det.h>
#include <cld2/public/encodings.h>

namespace r1rt::text {

namespace {

// Longer texts are judged by parts of them, evenly spread: an article has one language.
constexpr size_t samples = 4, sampleBytes = 2048;

/// Part i, from the beginning of a character to the end of one.
std::string sampleAt(std::string_view text, size_t i) {
  size_t begin = (text.size() - sampleBytes) / (samples - 1) * i, end = begin + sampleBytes;
  auto inside = [&](size_t at) { return at < text.size() && (text[at] & 0xC0) == 0x80; };
  while (inside(begin))
    ++begin;
  while (inside(end))
    ++end;
  return std::string(text.substr(begin, end - begin));
}

} // namespace

std::vector<Language> detectLanguages(std::string_view text) {
  if (text.empty())
    return {{"un", 0}};
  std::string sample;
  if (text.size() > samples * sampleBytes) {
    for (size_t i = 0; i < samples; ++i)
      sample += sampleAt(text, i) + "\n";
    text = sample;
  }
  if (findBadUtf8(text) != text.npos) { // CLD2 would read outside of its tables
    sample = text;
    repairUtf8(sample);
    text = sample;
  }
  CLD2::Language languages[3];
  int percents[3], bytes;
  bool reliable;
  CLD2::DetectLanguageSummary(text.data(), int(text.size()), /*is_plain_text=*/true, languages, percents,
                              &bytes, &reliable);
  std::vector<Language> out;
  for (int i = 0; i < 3; ++i)
    if (languages[i] != CLD2::UNKNOWN_LANGUAGE && percents[i] > 0)
      out.push_back({CLD2::LanguageCode(languages[i]), percents[i] / 100.0});
  std::stable_sort(out.begin(), out.end(),
                   [](const Language &a, const Language &b) { return a.share > b.share; });
  if (out.empty())
    out.push_back({"un", 0});
  return out;
}

bool isLanguageCode(std::string_view code) {
  for (int i = 0; i < CLD2::NUM_LANGUAGES; ++i)
    if (code == CLD2::LanguageCode(static_cast<CLD2::Language>(i)))
      return true;
  return false;
}

namespace {

class LanguageRule : public Rule {
public:
  std::vector<std::string> codes;
  double atLeast = 0;

  Finding apply(std::string &text, Scratch::Impl &s) const override {
    double share = 0;
    std::vector<Language> found = detectLanguages(text);
    for (const Language &l : found)
      if (std::find(codes.begin(), codes.end(), l.code) != codes.end())
        share += l.share;
    if (share >= atLeast)
      return {};
    Evidence languages;
    for (const Language &l : found)
      languages[l.code] = l.share;
    Finding f = dropped("language", "share", share, "at_least", atLeast);
    f.evidence["languages"] = std::move(languages);
    return f;
  }
};

} // namespace

RulePtr makeLanguage(Params &p) {
  auto r = std::make_shared<LanguageRule>();
  r->codes = p.texts("codes");
  r->atLeast = p.share("at_least").value_or(0);
  for (const std::string &code : r->codes)
    if (!isLanguageCode(code))
      p.fail("codes", "has \"" + code +
                          "\", expected codes of ISO 639-1 like \"en\", \"zh\" (simplified Chinese), "
                          "\"zh-Hant\"");
  if (r->codes.empty())
    p.fail("codes", "is empty, so that no text would be kept; give at least one, as in [\"en\"]");
  return r;
}

} // namespace r1rt::text
