#include "compiler/tools/r1c/Session.h"
#include "compiler/tools/r1c/Files.h"
#include <cstdio>
#include <filesystem>
#include <unistd.h>

namespace r1::tool {

bool wantColor(const Options &options, int fd) {
  return options.color == "always" || (options.color == "auto" && isatty(fd) && !getenv("NO_COLOR"));
}

void Session::printDiags() {
  const auto &all = diags.all();
  for (; printed < all.size(); ++printed) {
    if (options.json)
      std::printf("%s\n", renderJson(all[printed], sources).c_str());
    else
      std::fprintf(stderr, "%s\n", render(all[printed], sources, wantColor(options, 2)).c_str());
  }
}

bool Session::load(const std::string &file) {
  LoadOptions load;
  load.stdlib = stdlibDir();
  if (load.stdlib.empty()) {
    std::fprintf(stderr, "r1c: the library (share/r1c/stdlib beside bin/r1c) is missing; install r1c again\n");
    exit = CommandWrong;
    return false;
  }
  std::error_code ec;
  if (!std::filesystem::is_regular_file(file, ec)) {
    std::fprintf(stderr, "r1c: %s: %s\n", file.c_str(),
                 std::filesystem::is_directory(file, ec) ? "this is a directory; give a .r1 file"
                                                         : "no such file");
    exit = CommandWrong;
    return false;
  }
  program = loadProgram(file, load, sources, diags);
  if (program && !diags.hasErrors()) {
    analysis = std::make_unique<Analysis>(*program, sources, diags);
    analysis->check();
  }
  printDiags();
  return program && !diags.hasErrors();
}

Elaboration *Session::elaborate(const std::string &pipeline, bool checkFiles) {
  std::string name = analysis->pipeline(pipeline);
  if (!name.empty()) {
    ElaborateOptions eo;
    eo.sets = options.sets;
    eo.checkFiles = checkFiles;
    elaboration = analysis->elaborate(name, eo);
  }
  printDiags();
  // A wrong --set is a wrong command line, not a wrong program.
  for (const Diag &d : diags.all())
    if (d.severity == Severity::Error && (d.code == "E0601" || d.code == "E0602"))
      exit = CommandWrong;
  if (diags.hasErrors())
    elaboration.reset();
  return elaboration.get();
}

} // namespace r1::tool
