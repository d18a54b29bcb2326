// Text to tokens. The newline rule is applied here: a Newline token appears only where a statement
// ends, so the parser never thinks about lines.
#pragma once
#include "compiler/syntax/AST.h"
#include <string>
#include <vector>

namespace r1 {

enum class Tok : uint8_t {
  End,
  Newline,
  Name,
  Int,
  Float,
  String,
  Regex,
  Doc,
  FileDoc,
  // keywords
  Let,
  Fn,
  If,
  Then,
  Else,
  For,
  In,
  And,
  Or,
  Not,
  As,
  Assert,
  True,
  False,
  None,
  // punctuation
  LParen,
  RParen,
  LBracket,
  RBracket,
  LBrace,
  RBrace,
  Comma,
  Colon,
  Dot,
  DotDot,
  Ellipsis,
  Arrow,
  FatArrow,
  Equal,
  EqualEqual,
  NotEqual,
  Less,
  LessEqual,
  Greater,
  GreaterEqual,
  Plus,
  Minus,
  Star,
  StarStar,
  Slash,
  At,
  Question,
  QuestionQuestion,
  PipeRight
};
/// As messages call it: "`)`", "a name", "the end of the file".
const char *tokenName(Tok);

/// A piece of a string literal: text, then the bytes of a ${...} expression (empty at the end).
struct StringPiece {
  std::string text;
  Span expr;
};

struct Token {
  Tok kind = Tok::End;
  Span span;
  std::string_view text; // the source bytes; a number's without its unit
  std::string_view unit;
  UnitFamily family = UnitFamily::None;
  int64_t integer = 0;
  double number = 0;
  std::vector<StringPiece> pieces; // String
  std::string value;               // Regex: the pattern; Doc: the text
  Span inner;                      // Regex: the pattern's bytes
  bool triple = false;
  int match = -1; // index of the partner of a bracket
};

struct TokenStream {
  std::vector<Token> tokens; // ends with End
  std::vector<Comment> comments;
};

/// Lexes bytes begin..end of a file (a whole file, or the inside of an interpolation). Errors are
/// reported and skipped.
TokenStream lex(uint32_t file, uint32_t begin, uint32_t end, const SourceManager &, DiagEngine &);

/// The family of a unit's spelling, None if it is no unit; `scale` is what one of it is in bytes,
/// seconds or counts.
UnitFamily unitFamily(std::string_view unit, double &scale);

} // namespace r1
