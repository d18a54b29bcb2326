// Tree to text.
#pragma once
#include "compiler/syntax/AST.h"
#include <string>

namespace r1 {

/// The one layout (`r1c fmt`): 100 columns, two spaces, comments kept. `format(parse(format(x)))`
/// equals `format(x)`. The file must have parsed without errors.
std::string format(const File &, const SourceManager &);

/// An expression, type or declaration on one line with no comments and with the parameters of
/// lambdas renamed in order, so that texts are equal iff the trees are equal up to those names.
/// What fingerprints hash.
std::string normalised(const Expr &);
std::string normalised(const Decl &);

/// The tree with kinds and lines, for --emit=syntax.
std::string dump(const File &, const SourceManager &);

} // namespace r1
