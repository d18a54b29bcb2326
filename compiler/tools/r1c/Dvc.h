// A pipeline as DVC sees it.
#pragma once
#include "compiler/tools/r1c/Plan.h"

namespace r1::tool {

/// Writes dvc.yaml and dvc.lock into the working directory: a stage for each finished one of the plan,
/// with the files and artifacts it reads and the folder that it made. An error if a dvc.yaml is there that
/// r1c has not written.
r1rt::Status writeDvc(const std::vector<PlannedStage> &plan, const r1rt::Store &store, const Options &o);

} // namespace r1::tool
