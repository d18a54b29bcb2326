//===- Interleave.h - rows of several sources as one ------------------------===//
//
//   {"op":"interleave","sources":{NAME: tree of rows of tokens,…},
//    "weight":{NAME: share},"floor":{…},"cap":{…},"adapt":{"row_fn":i}|null}
//
// The rows of all sources, one source after the other; in which order training visits them is
// stages/SourceOrder.h's business. "masked" may stand above it.
//
//===----------------------------------------------------------------------===//
#ifndef R1RT_DATA_INTERLEAVE_H
#define R1RT_DATA_INTERLEAVE_H
#include "runtime/data/Pack.h"

namespace r1rt {

/// Opens a tree whose root is "interleave". Rows of different lengths, classes, tokenizers or sides of
/// padding are an error that names both sources.
Result<std::shared_ptr<PackedData>> readInterleaved(const nlohmann::json &tree, DataContext &ctx);

} // namespace r1rt
#endif
