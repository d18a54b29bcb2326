//===- Corpus.h - rows of text and the passes over them --------------------===//
//
// A pipeline of data is a JSON tree; each node is {"op": NAME, arguments..., "in": tree}:
//
//   {"op":"lines","path":P,"by":"line"|"paragraph"|"file"}
//   {"op":"jsonl","path":P}
//   {"op":"split","part":"train","fractions":{"train":0.9,"test":0.1},"by":null|{"row_fn":i},
//    "contiguous":false,"seed":0,"in":...}
//   {"op":"sample","n":N,"seed":0,"in":...}
//   {"op":"filter","keep":{"row_fn":i},"in":...}   {"op":"map_rows","to":{"row_fn":i},"in":...}
//   {"op":"pack",...}   rows of tokens: see Pack.h
//
//===----------------------------------------------------------------------===//
#ifndef R1RT_DATA_CORPUS_H
#define R1RT_DATA_CORPUS_H
#include "runtime/Status.h"
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace r1rt {

struct PackedData; // Pack.h

struct Row {
  std::string text;
  nlohmann::json more; // null, or an object with the row's other fields
  nlohmann::json toJson() const;
};

struct Corpus {
  std::vector<Row> rows;
  uint64_t dropped = 0; // empty rows left out by the reader
  uint64_t textBytes() const;
};
using CorpusPtr = std::shared_ptr<const Corpus>;

/// A function of the program over rows. Must be callable from any thread.
using RowFn = std::function<Result<nlohmann::json>(const nlohmann::json &row)>;

/// What data passes need from the driver.
struct DataContext {
  std::string baseDir;       // relative paths start here; empty: the working directory
  std::vector<RowFn> rowFns; // {"row_fn": i}
  /// The directory of a finished stage's artifact, for {"stage": NAME}.
  std::function<Result<std::string>(const std::string &stage)> artifactDir;
  std::function<void(const std::string &)> warn;
  /// Opened corpora by the text of their tree: a source shared by several stages is read once.
  std::map<std::string, CorpusPtr> opened;
  /// Packed data by the text of their tree, for as long as somebody holds them.
  std::map<std::string, std::weak_ptr<const PackedData>> packed;
};

/// Rows of text; an error for a tree with "pack" at its root.
Result<CorpusPtr> openCorpus(const nlohmann::json &tree, DataContext &ctx);

/// The files that a tree reads, sorted, without duplicates (for fingerprints).
Result<std::vector<std::string>> corpusFiles(const nlohmann::json &tree, const DataContext &ctx);

/// The offset of the first byte that is not UTF-8, or npos.
size_t findBadUtf8(std::string_view text);
/// The first UTF-8 boundary at or after `at`.
size_t utf8Boundary(std::string_view text, size_t at);

} // namespace r1rt
#endif
