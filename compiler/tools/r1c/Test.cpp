// r1c test: the test blocks of the files, or of the library when none is given.
#include "compiler/tools/r1c/Session.h"
#include "compiler/tools/r1c/Files.h"
#include <cstdio>

int r1::tool::testCommand(const Options &o) {
  std::vector<std::string> files = o.files;
  bool library = files.empty();
  if (library)
    files = {stdlibDir() + "/prelude.r1"};
  int passed = 0, failed = 0;
  for (const std::string &file : files) {
    Session session(o);
    if (!session.load(file))
      return session.exit;
    for (const TestResult &r : session.analysis->runTests(library)) {
      (r.passed ? passed : failed)++;
      if (o.json)
        printEvent("test", {{"name", r.name}, {"passed", r.passed}});
      else if (!o.quiet || !r.passed)
        std::printf("%s  %s\n", r.passed ? "ok  " : "FAIL", r.name.c_str());
    }
    session.printDiags();
  }
  if (!o.json)
    std::printf(failed ? "%d passed, %d failed\n" : "%d passed\n", passed, failed);
  return failed ? ProgramWrong : Done;
}
