//===- Readers.h - files to rows -------------------------------------------===//
#ifndef R1RT_DATA_READERS_H
#define R1RT_DATA_READERS_H
#include "runtime/data/Corpus.h"

namespace r1rt {

/// The regular files that a path or glob names, sorted; an error if there is none.
Result<std::vector<std::string>> expandPath(const std::string &path, const DataContext &ctx);
Result<CorpusPtr> readLines(const std::string &path, const std::string &by, const DataContext &ctx);
Result<CorpusPtr> readJsonl(const std::string &path, const DataContext &ctx);

} // namespace r1rt
#endif
