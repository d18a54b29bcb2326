//===- Corpus.h - a corpus in memory ----------------------------------------===//
//
// A pipeline of data is a JSON tree; each node is {"op": NAME, arguments..., "in": tree} or
// {"stage": NAME}, the artifact of another stage. Sources are described in corpus/Source.h, passes over
// rows in corpus/Pass.h and corpus/Barrier.h. What makes rows of tokens stands at the root: Pack.h.
//
//===----------------------------------------------------------------------===//
#ifndef R1RT_DATA_CORPUS_H
#define R1RT_DATA_CORPUS_H
#include "runtime/corpus/Context.h"
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
  uint64_t textBytes() const;
};
using CorpusPtr = std::shared_ptr<const Corpus>;

/// What data needs from the driver.
struct DataContext : corpus::Context {
  /// Opened corpora by the text of their tree: a source shared by several stages is read once.
  std::map<std::string, CorpusPtr> opened;
  /// Packed data by the text of their tree, for as long as somebody holds them.
  std::map<std::string, std::weak_ptr<const PackedData>> packed;
};

/// Rows of text; an error for a tree with "pack" at its root.
Result<CorpusPtr> openCorpus(const nlohmann::json &tree, DataContext &ctx);


} // namespace r1rt
#endif
