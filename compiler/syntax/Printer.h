// Tree to text.
#pragma once
#include "compiler/syntax/AST.h"
#include <string>

namespace r1 {

/// The one layout (`r1c fmt`): 100 columns, two spaces, comments kept; see Format.cpp.
/// Formatting the result again changes nothing. The file must have parsed without errors.
std::string format(const File &, const SourceManager &);

/// An expression, type or declaration on one line, without comments, documentation and redundant
/// parentheses, with the names bound by lambdas, `for` and `let` numbered in order. Texts are equal
/// iff the trees mean the same up to those names; numbers are equal iff their bits are. It is what
/// fingerprints hash, and is not meant to be parsed.
std::string normalised(const Expr &);
std::string normalised(const TypeExpr &);
std::string normalised(const Decl &);

/// The tree, one node a line with its place, for --emit=syntax.
std::string dump(const File &, const SourceManager &);

/// A string literal's text with its escapes, without the quotes.
std::string escaped(std::string_view);

} // namespace r1
