//===- Globs.h - the files that patterns name -------------------------------===//
#ifndef R1RT_SOURCE_GLOBS_H
#define R1RT_SOURCE_GLOBS_H
#include "runtime/Status.h"
#include <string>
#include <vector>

namespace r1rt::source {

/// The regular files that the patterns name, in the order of their bytes, each once. `*`, `?` and
/// `[a-z]` match inside a name, but no leading dot; the component `**` matches any number of
/// folders, none included, without following links; `**.txt` is `**/*.txt`. A file whose name holds
/// such characters is meant literally if it exists. Relative patterns start at baseDir ("" is the
/// working directory). A pattern that matches nothing is an error that says what is there instead.
Result<std::vector<std::string>> expandGlobs(const std::vector<std::string> &patterns,
                                             const std::string &baseDir = {});

} // namespace r1rt::source
#endif
