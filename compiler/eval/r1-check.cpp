// r1-check FILE[:pipeline] [--set PATH=EXPR]... [--elaborate [--row JSON]...] [--test] [--library]
//          [--no-files] [--stdlib DIR]
// Prints diagnostics; with --elaborate the elaboration as text, and what its row functions make of
// each --row and its host functions of progress 0, 0.5 and 1. For tests of check and eval.
#include "compiler/eval/Eval.h"
#include <cstdio>
#include <cstring>
#include <filesystem>

using namespace r1;

static std::string runFunctions(const Stage &s, const std::vector<std::string> &rows) {
  std::string out;
  for (size_t i = 0; i < s.hostFns.size(); ++i) {
    out += s.name + " fn " + std::to_string(i) + ":";
    for (double t : {0.0, 0.5, 1.0})
      out += " " + nlohmann::json(s.hostFns[i](t)).dump();
    out += "\n";
  }
  for (size_t i = 0; i < s.rowFns.size(); ++i)
    for (auto &row : rows) {
      out += s.name + " row_fn " + std::to_string(i) + " " + row + ": ";
      try {
        out += s.rowFns[i](nlohmann::json::parse(row)).dump() + "\n";
      } catch (const std::exception &x) {
        out += std::string("error: ") + x.what() + "\n";
      }
    }
  return out;
}

int main(int argc, char **argv) {
  std::string file, pipeline;
  LoadOptions load;
  // The library of the source tree that this was built in.
  std::error_code ec;
  load.stdlib =
      (std::filesystem::read_symlink("/proc/self/exe", ec).parent_path() / "../../stdlib").string();
  ElaborateOptions options;
  std::vector<std::string> rows;
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
    else if (is("--row") && i + 1 < argc)
      rows.push_back(argv[++i]);
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
      if (e && rows.empty())
        out += dumpElaboration(*e);
      for (size_t i = 0; e && !rows.empty() && i < e->stages.size(); ++i)
        out += runFunctions(e->stages[i], rows);
    }
  }
  for (auto &d : diags.all())
    std::fputs(render(d, sources).c_str(), stdout);
  std::fputs(out.c_str(), stdout);
  return diags.hasErrors() ? 1 : 0;
}
