#include "compiler/check/Modules.h"

namespace r1 {

void checkNames(const Program &program, const std::vector<std::string> &builtins,
                const SourceManager &sources, DiagEngine &diags) {}

} // namespace r1
