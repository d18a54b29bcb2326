//===- Plan.h - a tree of data as phases ------------------------------------===//
//
//   mix ─ dedup ─ clean        phase 0: sources ─► scratch, keys │ clusters │ phase 1: scratch ─ drop
//   │ └── jsonl b.jsonl   =>                                     │ barrier  │   duplicates ─ clean ─► shards
//   └── lines a.txt
//
// Passes that look at one row at a time run together, in chunks, on all cores. A pass that has to see
// all rows before it can say anything of one is a barrier: it ends a phase, whose rows wait on disk.
//
//===----------------------------------------------------------------------===//
#ifndef R1RT_CORPUS_PLAN_H
#define R1RT_CORPUS_PLAN_H
#include "runtime/corpus/Context.h"

namespace r1rt::corpus {

/// Where the rows of a branch come from.
struct Origin {
  enum Kind { source, artifact, phase } kind = source;
  nlohmann::json node;            // of a source
  std::vector<std::string> files; // of a source or an artifact
  size_t from = 0;                // the phase whose rows they are
};

struct Branch {
  Origin origin;
  size_t pass = 0;            // the number under which its rows are counted where they come in
  std::vector<size_t> passes; // that they go through, in order
  /// The names that `mix` gives them, each before the pass at this place.
  std::vector<std::pair<size_t, std::string>> domains;
};

struct Phase {
  std::vector<Branch> branches;
  size_t barrier = SIZE_MAX; // the pass at its end; none of the last phase
};

struct Plan {
  std::vector<nlohmann::json> passes; // their nodes, without "in" and "sources"; in order of the data
  std::vector<std::string> ops;       // their names
  std::vector<Phase> phases;
  unsigned generation = 1; // one more than that of the artifacts that are read
  unsigned splits = 0;     // that rows have gone through at most, those of the artifacts included
};

bool isSource(const std::string &op);

/// Expands globs and finds artifacts; reads no rows.
Result<Plan> planCorpus(const nlohmann::json &tree, const Context &ctx);

/// The files that a tree reads, sorted, without duplicates.
Result<std::vector<std::string>> treeFiles(const nlohmann::json &tree, const Context &ctx);

} // namespace r1rt::corpus
#endif
