//===- Pass.h - what happens to rows one after the other ---------------------===//
//
// Nodes of the tree of data that look at one row at a time; each is {"op": NAME, arguments…, "in": tree}:
//
//   filter    {"keep": {"row_fn": i}}                     rows for which it is true
//   map_rows  {"to": {"row_fn": i}}                       another record in the row's place
//   extend    {"fields": {NAME: {"row_fn": i} | {"score": {"stage": S}, …}}}   more fields
//   apply_rules {"rules": […]}                              runtime/text/Rules.h
//   augment   {"share": 0..1, "how": {…}, "seed": 0}      another row beside it: runtime/augment
//   share     {"share", "seed"}                          the rows that `augment` makes others from
//   generate  {"n": samples}                              what a model has written (Context::outputs)
//   decontaminate {"against": tree, "ngram": 13, "units": "words"}
//   shots     {"of": tree, "k": n, …}                     examples from another corpus: Shots.h
//   split     {"part", "fractions", "by", "seed"}         rows whose hash lies in the part
//
//===----------------------------------------------------------------------===//
#ifndef R1RT_CORPUS_PASS_H
#define R1RT_CORPUS_PASS_H
#include "runtime/corpus/Context.h"
#include "runtime/corpus/Ledger.h"
#include "runtime/corpus/Row.h"

namespace r1rt::corpus {

/// A pass of one thread; heavy state is shared by the maker.
class Pass {
public:
  virtual ~Pass() = default;
  /// Changes `rows` in place and tells `ledger` what became of each. `number` is the pass's own;
  /// `first` is the place of the first row among all that come into the phase, which only its first
  /// pass may use.
  virtual Status apply(std::vector<Row> &rows, uint64_t first, size_t number, Ledger &ledger) = 0;
};
using PassMaker = std::function<Result<std::unique_ptr<Pass>>()>;

/// What becomes of one row.
struct Fate {
  enum Kind { keep, change, drop, duplicate } kind = keep;
  std::string reason, evidence; // of duplicates `reason` is the id of the row that is kept
};

/// A pass that looks at each row alone.
class RowPass : public Pass {
public:
  Status apply(std::vector<Row> &rows, uint64_t first, size_t number, Ledger &ledger) final;

protected:
  /// May change the row; rows in `more` are added behind it, named by `apply`, with their evidence.
  struct Added {
    Row row;
    std::string evidence;
  };
  virtual Result<Fate> look(Row &row, uint64_t number, std::vector<Added> &more) = 0;
};

/// The maker of the pass that a node describes. Node is without "in".
Result<PassMaker> makerOf(const nlohmann::json &node, const Context &ctx);
/// Is this the name of a pass that looks at one row at a time?
bool isRowPass(const std::string &op);

/// The function that {"row_fn": i} names.
Result<const RowFn *> rowFunction(const nlohmann::json &j, const Context &ctx);
Status badTree(const std::string &what);

/// The share of the whole [from, to) that a part of a split is, in the order train, valid, test.
struct SplitRange {
  double from = 0, to = 0;
};
Result<SplitRange> splitRange(const nlohmann::json &node);

} // namespace r1rt::corpus
#endif
