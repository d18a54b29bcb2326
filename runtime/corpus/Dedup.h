// The barriers that compare rows: `dedup` and `repeats`; see Barrier.h.
#ifndef R1RT_CORPUS_DEDUP_H
#define R1RT_CORPUS_DEDUP_H
#include "runtime/corpus/Barrier.h"

namespace r1rt::corpus {

Result<std::unique_ptr<Barrier>> dedupBarrier(const nlohmann::json &node);
Result<std::unique_ptr<Barrier>> repeatsBarrier(const nlohmann::json &node);

} // namespace r1rt::corpus
#endif
