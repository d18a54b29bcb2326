// What became of rows: the account of a corpus, the history of one row, two corpora side by side.
#pragma once
#include "compiler/tools/r1c/Plan.h"

namespace r1::tool {

/// Is the artifact of this manifest a corpus (of annotated or generated rows, too)?
bool holdsRows(const nlohmann::json &manifest);

/// The table of passes of the corpus in `dir`.
r1rt::Status showAccount(const std::string &dir);
/// The history of row o.row in a corpus and in those that it was made from.
r1rt::Status showRow(const std::string &fingerprint, r1rt::Store &store, const Options &o);
/// The rows that others are duplicates of, with those.
r1rt::Status showClusters(const std::string &fingerprint, r1rt::Store &store, const Options &o);
/// What two corpora did with the rows of which only one of them has kept.
r1rt::Status compareCorpora(const std::string &a, const std::string &b, r1rt::Store &store, const Options &o);
/// Files against the manifest, and a corpus against its own account; an error if something is wrong.
r1rt::Status verifyArtifact(const std::string &fingerprint, r1rt::Store &store, const Options &o);

} // namespace r1::tool
