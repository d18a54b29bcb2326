// What a stage has done, to look at: curves in the terminal, and a page.
#pragma once
#include "compiler/tools/r1c/Plan.h"

namespace r1::tool {

/// The curves of the artifact in `dir`, if it has any.
r1rt::Status showCurves(const std::string &dir);

/// Writes o.html: what the stage is and has given, its curves, memory and kernels, its rows, and what it was made from.
r1rt::Status writePage(const std::string &fingerprint, r1rt::Store &store, const Options &o);

} // namespace r1::tool
