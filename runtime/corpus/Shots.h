//===- Shots.h - worked examples for each row -------------------------------------===//
//
//   shots  {"of": tree, "k": n, "format": {"row_fn": i}, "field": NAME, "seed": s}
//
// Gives each row a field with `k` examples from another corpus, one after the other, each as `format` writes
// it: a few-shot prompt. Which ones depends on the seed and the source row's id only, so samples of a row have the
// same ones. No row is an example of itself, nor is another one with the same content.
//
//===----------------------------------------------------------------------===//
#ifndef R1RT_CORPUS_SHOTS_H
#define R1RT_CORPUS_SHOTS_H
#include "runtime/corpus/Pass.h"

namespace r1rt::corpus {

/// Reads all of `of`, and keeps what `format` makes of it in memory.
Result<PassMaker> shotsMaker(const nlohmann::json &node, const Context &ctx);

} // namespace r1rt::corpus
#endif
