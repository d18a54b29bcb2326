// r1c fmt: prints, rewrites (-w) or checks (--check) the one layout.
#include "compiler/syntax/Parser.h"
#include "compiler/syntax/Printer.h"
#include "compiler/tools/r1c/Session.h"
#include "runtime/state/Files.h"
#include <cstdio>

int r1::tool::fmtCommand(const Options &o) {
  int exit = Done;
  for (const std::string &path : o.files) {
    auto text = r1rt::readFile(path);
    if (!text) {
      std::fprintf(stderr, "r1c fmt: %s\n", text.status().message().c_str());
      return CommandWrong;
    }
    SourceManager sources;
    DiagEngine diags;
    auto file = parseFile(sources.add(path, *text), sources, diags);
    for (const Diag &d : diags.all())
      std::fprintf(stderr, "%s\n", render(d, sources, wantColor(o, 2)).c_str());
    if (diags.hasErrors()) {
      exit = ProgramWrong; // an unparsed file is left as it is
      continue;
    }
    std::string formatted = format(*file, sources);
    if (o.fmtCheck) {
      if (formatted != *text) {
        std::fprintf(stderr, "%s: not formatted; run  r1c fmt -w %s\n", path.c_str(), path.c_str());
        exit = ProgramWrong;
      }
    } else if (!o.fmtWrite) {
      std::fwrite(formatted.data(), 1, formatted.size(), stdout);
    } else if (formatted != *text) {
      if (auto st = r1rt::writeFileAtomic(path, formatted); !st) {
        std::fprintf(stderr, "r1c fmt: %s\n", st.message().c_str());
        return CommandWrong;
      }
    }
  }
  return exit;
}
