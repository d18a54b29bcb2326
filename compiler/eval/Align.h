// Loops over the dims of aligned operands.
#pragma once
#include "compiler/eval/Evaluator.h"

namespace r1 {

/// The name of a loop over `d`: the dim's in lower case, made different from those in `used`.
std::string loopName(const Dim &d, size_t i, std::vector<std::string> &used);

/// Subscripts that read a tensor of dims `own` in loops `vars` over `dims`.
std::vector<Scalar *> subscripts(Evaluator &ev, const std::vector<Dim> &own,
                                 const std::vector<Dim> &dims, const std::vector<LoopVar *> &vars,
                                 Span span);

} // namespace r1
