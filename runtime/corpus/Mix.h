// The barrier `mix`: domains in shares; see Barrier.h.
#ifndef R1RT_CORPUS_MIX_H
#define R1RT_CORPUS_MIX_H
#include "runtime/corpus/Barrier.h"

namespace r1rt::corpus {

/// Does the mixture take everything, so that nothing has to be decided?
bool takesAll(const nlohmann::json &node);
Result<std::unique_ptr<Barrier>> mixBarrier(const nlohmann::json &node);

} // namespace r1rt::corpus
#endif
