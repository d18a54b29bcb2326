//===- JsonText.h - writing JSON strings --------------------------------------===//
#ifndef R1RT_SOURCE_JSONTEXT_H
#define R1RT_SOURCE_JSONTEXT_H
#include <string>
#include <string_view>

namespace r1rt::source {

/// Appends `text` (valid UTF-8) as a JSON string, with its quotes; only what must be escaped is.
void appendJsonString(std::string_view text, std::string &out);

} // namespace r1rt::source
#endif
