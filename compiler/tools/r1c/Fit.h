// batch = fit(32, 128): the largest batch whose step fits the stage's memory at once.
#pragma once
#include "compiler/eval/Eval.h"
#include "compiler/tools/r1c/Session.h"

namespace r1::tool {

/// Elaborates again, with the batch that each `fit` is given: the largest power of two of its range whose
/// plan, uncut, fits `on.memory`; the smallest, accumulated, where none does; the largest where no memory
/// is named. False after reporting errors.
bool chooseBatches(Session &session, const std::string &pipeline, ElaborateOptions options);

} // namespace r1::tool
