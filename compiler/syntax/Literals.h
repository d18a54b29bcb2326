// Numbers, strings and regexes: the tokens with an inside. Used by the lexer only.
#pragma once
#include "compiler/syntax/Lexer.h"

namespace r1 {

/// The text being lexed: bytes up to `end` of a file.
struct LexSource {
  uint32_t file;
  const std::string &text;
  uint32_t end;
  DiagEngine &diags;

  Span span(uint32_t b, uint32_t e) const { return {file, b, e}; }
  char at(uint32_t i) const { return i < end ? text[i] : '\0'; }
  bool starts(uint32_t i, std::string_view what) const {
    return std::string_view(text).substr(i, end - i).starts_with(what);
  }
};

bool isNameStart(char c);
bool isNamePart(char c);
bool isDigit(char c);

/// Each reads the literal that begins at byte `at`, fills in the token and returns the byte behind
/// it. Errors (E0102, E0103) are reported; the token then holds what could be read.
uint32_t readNumber(const LexSource &, uint32_t at, Token &);
uint32_t readString(const LexSource &, uint32_t at, Token &);
uint32_t readRegex(const LexSource &, uint32_t at, Token &);

} // namespace r1
