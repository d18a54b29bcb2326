//===- Pairs.h - a source and a target in each row ---------------------------===//
//
//   {"op":"translate","tok":T,"len":128,"source_len":128,"cut":"tail"|"head"|"middle",
//    "source":{"row_fn":i},"target":{"row_fn":i},"in":tree}
//
// The target is a row as `pad` makes it: its tokens with a target each. The source is one without targets,
// which an encoder reads: PackedData::source, row for row. Functions of the rows give both texts.
//
//===----------------------------------------------------------------------===//
#ifndef R1RT_DATA_PAIRS_H
#define R1RT_DATA_PAIRS_H
#include "runtime/data/Pack.h"

namespace r1rt {

/// A text that is empty, or is none, is an error that names the row.
Result<std::shared_ptr<PackedData>> readPairs(const nlohmann::json &tree, DataContext &ctx);

} // namespace r1rt
#endif
