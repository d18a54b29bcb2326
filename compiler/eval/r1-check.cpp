// r1-check FILE[:pipeline] [--set PATH=EXPR]... [--elaborate] [--test] [--library] [--stdlib DIR]
// Prints diagnostics; with --elaborate the elaboration as text. For tests of check and eval.
#include "compiler/eval/Eval.h"
#include <cstdio>
#include <cstring>

using namespace r1;

int main(int argc, char **argv) {
  std::string file, pipeline;
  LoadOptions load;
  load.stdlib = "stdlib";
  ElaborateOptions options;
  bool elaborate = false, test = false, library = false;
  for (int i = 1; i < argc; ++i) {
    auto is = [&](const char *s) { return !std::strcmp(argv[i], s); };
    if (is("--set") && i + 1 < argc)
      options.sets.push_back(argv[++i]);
    else if (is("--stdlib") && i + 1 < argc)
      load.stdlib = argv[++i];
    else if (is("--elaborate"))
      elaborate = true;
    else if (is("--test"))
      test = true;
    else if (is("--library"))
      library = true;
    else if (is("--no-files"))
      options.checkFiles = false;
    else
      file = argv[i];
  }
  if (size_t at = file.rfind(".r1:"); at != std::string::npos) {
    pipeline = file.substr(at + 4);
    file.resize(at + 3);
  }
  SourceManager sources;
  DiagEngine diags;
  std::string out;
  auto program = loadProgram(file, load, sources, diags);
  std::unique_ptr<Analysis> analysis;
  std::unique_ptr<Elaboration> e;
  if (program && !diags.hasErrors()) {
    analysis = std::make_unique<Analysis>(*program, sources, diags);
    analysis->check(library);
    if (test && !diags.hasErrors()) {
      for (auto &r : analysis->runTests(library))
        out += (r.passed ? "ok    " : "FAIL  ") + r.name + "\n";
    } else if (elaborate && !diags.hasErrors()) {
      std::string name = analysis->pipeline(pipeline);
      if (!name.empty())
        e = analysis->elaborate(name, options);
      if (e)
        out += dumpElaboration(*e);
    }
  }
  for (auto &d : diags.all())
    std::fputs(render(d, sources).c_str(), stdout);
  std::fputs(out.c_str(), stdout);
  return diags.hasErrors() ? 1 : 0;
}
