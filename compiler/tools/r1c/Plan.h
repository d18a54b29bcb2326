// What would run, and why: each stage's fingerprint, and what the store has of it.
#pragma once
#include "compiler/tools/r1c/Session.h"
#include "runtime/state/Store.h"
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

namespace r1::tool {

struct PlannedStage {
  const Stage *stage = nullptr;
  std::string fingerprint;
  /// What the fingerprint is made of, by name: "argument lr", "file a.txt", "built-in pack", ...
  nlohmann::json components;
  r1rt::ArtifactState state = r1rt::ArtifactState::absent;
  bool selected = true;  // --only, --until
  bool fresh = false;    // --fresh: its artifact is not used
  bool runs() const { return selected && (fresh || state != r1rt::ArtifactState::finished); }
  /// The first component that differs from the newest artifact of the same stage in the store, or
  /// what is damaged in its artifact; empty if there is none.
  std::string why;
};

/// The stage whose model `name` means, or without a name the last that makes one; it has been made with these
/// settings. Errors say which there are, and how to make it.
r1rt::Result<const PlannedStage *> madeModel(const std::vector<PlannedStage> &plan, const std::string &file,
                                             const std::string &name, const Options &o);

/// The size of all files that a stage reads; what is not there counts as nothing.
uint64_t fileBytes(const Stage &stage);

/// The most characters of an argument in a line for people.
constexpr size_t shownCharacters = 100;
/// An argument of a stage's spec, for people: what was written where the spec still says it. A
/// function is told by what it captured: "a function with from = 0.01, to = 1e-04".
std::string argumentText(const nlohmann::json &value, size_t most = shownCharacters);
/// The argument `name` of a spec, as `shown` (Stage::shown, which a manifest has, too) tells it if it does.
std::string argumentText(const nlohmann::json &shown, const std::string &name, const nlohmann::json &value);

/// Fingerprints every stage of the pipeline and looks it up. `store` may be null (nothing stored).
/// Fails when a file cannot be read or an option names no stage.
r1rt::Result<std::vector<PlannedStage>> planStages(const Elaboration &program, r1rt::Store *store,
                                                   const Options &options);

} // namespace r1::tool
