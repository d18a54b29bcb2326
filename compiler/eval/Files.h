// Paths and patterns that a program names.
#pragma once
#include "compiler/eval/Evaluator.h"

namespace r1 {

/// The files a path or pattern (`*`, `**`, `?`) means, sorted. Relative to the working directory.
std::vector<std::string> filesMatching(const std::string &pattern);
/// Reports E0401 with what is there instead; true when something matches.
bool reportMissing(Evaluator &ev, const std::string &pattern, Span span);

} // namespace r1
