//===- Artifact.h - a corpus that a stage made -------------------------------===//
//
//   rows-00000.jsonl.zst …    the rows, as JSON lines: {"text", "_id", "_domain", fields}
//   ledger-00000.jsonl.zst …  what became of the others: Ledger.h
//   account.json              {"passes": [{"op", "node", counts, "decided", "sha256", "md5"}], "rows", "text_bytes", "splits", "generation",
//                              "domains": {…}, "files": [{"file", "bytes", "sha256", "md5", "rows"}]}
//
// The hashes of a pass are those of the digests (XXH3-128 of ids, texts and fields) of what left it, chunk
// by chunk: two runs agree up to the first pass where they differ.
//
//===----------------------------------------------------------------------===//
#ifndef R1RT_CORPUS_ARTIFACT_H
#define R1RT_CORPUS_ARTIFACT_H
#include "runtime/corpus/Ledger.h"
#include "runtime/corpus/Row.h"
#include <functional>
#include <memory>
#include <optional>

namespace r1rt::corpus {

/// The shards of rows, in order; an error if the folder holds no finished corpus.
Result<std::vector<std::string>> shardFiles(const std::string &dir);
Result<std::vector<std::string>> ledgerFiles(const std::string &dir);
Result<nlohmann::json> readAccount(const std::string &dir);

/// The lines of a file, compressed or not, one after the other.
class LineReader {
public:
  static Result<LineReader> open(const std::string &path);
  /// Without its line break; valid until the next call. None at the end.
  Result<std::optional<std::string_view>> next();
  LineReader(LineReader &&) noexcept;
  ~LineReader();

private:
  LineReader();
  struct State;
  std::unique_ptr<State> s;
};

/// Calls take(line) for each JSON line of a compressed file; false ends it early.
Status eachLine(const std::string &path, const std::function<Result<bool>(std::string_view)> &take);

/// What one artifact knows of a row and of rows made from it: the lines of its ledger, in order of the
/// passes, and {"outcome": "row", "row": {…}} for one that is in the shards.
Result<std::vector<nlohmann::json>> historyOf(const std::string &dir, const std::string &id);

/// Counts again: hashes of the files, rows of the shards, lines of the ledger against the account, and
/// the sums of the passes. One line for each thing that is wrong.
Result<std::vector<std::string>> verify(const std::string &dir);

} // namespace r1rt::corpus
#endif
