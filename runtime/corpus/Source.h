//===- Source.h - the sources of a tree of data ------------------------------===//
//
//   {"op":"lines","path":P,"by":"line"|"paragraph"|"file"}
//   {"op":"jsonl","path":P,"text":"text"}
//   {"op":"csv","path":P,"text":"text","delimiter":","}   {"op":"parquet","path":P,"text":"text"}
//
// All take "utf8": "reject"|"repair" (default "reject"), "bad_rows": how many may be bad before that is an
// error (default 0), and "unreadable": "stop"|"skip" for a file that cannot be read (to its end).
//
//===----------------------------------------------------------------------===//
#ifndef R1RT_CORPUS_SOURCE_H
#define R1RT_CORPUS_SOURCE_H
#include "runtime/corpus/Context.h"
#include "runtime/source/Records.h"

namespace r1rt::corpus {

Result<std::vector<std::string>> sourceFiles(const nlohmann::json &node, const Context &ctx);
Result<source::SourceOptions> sourceOptions(const nlohmann::json &node);
/// How a file is called in the ids of its rows: as the program wrote it.
std::string idOfFile(const std::string &file, const Context &ctx);

} // namespace r1rt::corpus
#endif
