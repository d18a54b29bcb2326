// Text to tree.
#pragma once
#include "compiler/syntax/AST.h"
#include <memory>

namespace r1 {

/// Parses a file that was added to `sources`. Always returns a tree; what could not be parsed was
/// reported to `diags` (E01xx) and is left out or an Expr::Error.
std::unique_ptr<File> parseFile(uint32_t id, const SourceManager &sources, DiagEngine &diags);

/// Parses a single expression, e.g. the right side of --set.
std::unique_ptr<File> parseExpr(uint32_t id, const SourceManager &sources, DiagEngine &diags,
                                Expr *&out);

/// The left side of --set: "sft.on.memory" -> {"sft", "on", "memory"}; empty if it is none.
std::vector<std::string> parseSetPath(std::string_view text);

/// Source texts may have this many bytes.
constexpr size_t maxSourceBytes = 8u << 20;
/// Expressions, types and blocks nest this deep, and trees are at most this high.
constexpr int maxNesting = 200, maxHeight = 600;

/// What a token is where the token alone does not tell; the parser says it to fmt.
enum class Role : uint8_t {
  None,
  CallParen,   // ( of a call, parameters or an attribute's arguments
  ParamsParen, // ( of a declaration's parameters
  NamesParen,  // ( of import "x" (a, b)
  FnTypeParen, // ( of fn(int) -> bool
  Subscript,   // [ of x[i], real[B, T], type T[...]
  ListBracket, // [ of a list
  ListType,    // [ of [str]
  Record,      // { of {a = 1}
  RecordType,  // { of {a: int}
  Braces,      // { of a block or of a declaration's body
  BoundOpen,   // < and > of i32<N>
  BoundClose,
  Unary,     // -x
  Attribute, // @kernel
  LetEqual,  // = of let x = e (without a type), param, stage, and of name = e in lists
  ParamEqual,
  StageEqual,
  ArgEqual,
  ParamColon, // : of a param
  IndexComma  // , between the indices of a for
};

struct TokenStream;
/// Lexes and parses again a file that has no errors, keeping tokens and their roles.
std::unique_ptr<File> parseRoles(uint32_t id, const SourceManager &sources, TokenStream &tokens,
                                 std::vector<Role> &roles);

} // namespace r1
