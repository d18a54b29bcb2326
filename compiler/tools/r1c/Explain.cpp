// r1c --explain CODE
#include "compiler/diag/Diag.h"
#include "compiler/tools/r1c/Options.h"
#include <cstdio>

int r1::tool::explainCommand(const std::string &code) {
  if (const DiagKind *kind = findDiagKind(code)) {
    std::printf("%s: %s\n\n%s\n", kind->code, kind->name, kind->explanation);
    return Done;
  }
  std::vector<std::string> codes;
  for (const DiagKind &k : diagKinds())
    codes.push_back(k.code);
  std::string near = nearest(code, codes);
  std::fprintf(stderr, "r1c: --explain %s: no such code%s; codes run from %s to %s\n", code.c_str(),
               near.empty() ? "" : (", did you mean " + near + "?").c_str(), codes.front().c_str(),
               codes.back().c_str());
  return CommandWrong;
}
