//===- Ledger.h - what became of every row ---------------------------------===//
//
// Of each pass that a row enters it leaves with exactly one outcome: kept, changed, dropped or
// duplicate; a pass may add rows, each with a parent. Rows that are kept need no line of their own:
// they stand in the shards. One line of the ledger:
//
//   {"id":"a.txt@0","pass":2,"op":"apply_rules","outcome":"dropped","reason":"gopher_short_doc","evidence":{…}}
//   {"id":"a.txt@9","pass":3,"op":"dedup","outcome":"duplicate","of":"a.txt@0","evidence":{…}}
//   {"id":"a.txt@0~1.4","domain":"law","pass":4,"op":"augment","outcome":"added","evidence":{…}}
//
//===----------------------------------------------------------------------===//
#ifndef R1RT_CORPUS_LEDGER_H
#define R1RT_CORPUS_LEDGER_H
#include "runtime/corpus/Row.h"
#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace r1rt::corpus {

/// What one pass did. in = kept + changed + dropped + duplicates; out = kept + changed + added.
struct PassCount {
  uint64_t in = 0, out = 0, changed = 0, duplicates = 0, added = 0;
  std::map<std::string, uint64_t> dropped; // by reason

  uint64_t droppedRows() const;
  uint64_t kept() const { return out - added - changed; }
  /// Did every row that came in leave with one outcome?
  bool agrees() const { return in + added == out + duplicates + droppedRows() && out >= added + changed; }
  PassCount &operator+=(const PassCount &o);
  nlohmann::json toJson() const;
  static PassCount fromJson(const nlohmann::json &j);
};

/// The ledger of one chunk: lines and counts, in the order of the rows.
class Ledger {
public:
  /// `generation`: see nameOfAdded.
  explicit Ledger(std::span<const std::string> ops, unsigned generation = 1)
      : ops(ops), counts(ops.size()), generation(generation) {}

  void entered(size_t pass, uint64_t rows) { counts[pass].in += rows; }
  void left(size_t pass, uint64_t rows) { counts[pass].out += rows; }
  // `evidence` is a compact JSON object, or empty.
  void changed(size_t pass, const Row &row, std::string_view reason, std::string_view evidence);
  void dropped(size_t pass, const Row &row, std::string_view reason, std::string_view evidence);
  void duplicate(size_t pass, const Row &row, std::string_view of, std::string_view evidence);
  void added(size_t pass, const Row &row, std::string_view evidence);

  /// The id of the n-th row, from 1, that a pass makes out of the row `parent`: PARENT~GENERATION.PASS, or
  /// PARENT~GENERATION.PASS.N from the second on. The generation is one more than that of the artifacts
  /// that are read, so no two passes give the same.
  std::string nameOfAdded(std::string_view parent, size_t pass, size_t n) const;

  const std::vector<PassCount> &passes() const { return counts; }
  const std::string &lines() const { return text; }
  /// Only the counts are of interest.
  void forget() { text.clear(); }

private:
  void line(size_t pass, const Row &row, const char *outcome, const char *key,
            std::string_view value, std::string_view evidence);
  std::span<const std::string> ops; // names of the passes
  std::vector<PassCount> counts;
  unsigned generation;
  std::string text;
};

} // namespace r1rt::corpus
#endif
