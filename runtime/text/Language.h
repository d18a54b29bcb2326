//===- Language.h - which language a text is in ----------------------------===//
#ifndef R1RT_TEXT_LANGUAGE_H
#define R1RT_TEXT_LANGUAGE_H
#include <string>
#include <string_view>
#include <vector>

namespace r1rt::text {

struct Language {
  std::string code; // ISO 639-1 where there is one, "zh-Hant" for traditional Chinese; "un": unknown
  double share = 0; // of the text's letters, 0..1 in steps of 0.01
};

/// The languages of a UTF-8 text, the largest share first, at most three; one of the code "un" where
/// no language is found. By CLD2 (n-grams of letters, words). Of texts above 8 KiB four parts of 2 KiB
/// are judged, evenly spread.
std::vector<Language> detectLanguages(std::string_view text);

/// Whether `code` is one that detectLanguages can give.
bool isLanguageCode(std::string_view code);

} // namespace r1rt::text
#endif
