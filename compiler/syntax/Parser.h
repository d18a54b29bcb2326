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

} // namespace r1
