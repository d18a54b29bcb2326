// irgen-run FILE.r1[:pipeline] [--set PATH=EXPR]... [--stage NAME | --compare]
// Prints the r1 dialect of a pipeline, or of one stage (as r1-opt takes it); --compare instead
// compares the meaning of every entry with its graph's and prints one line for each.
#include "compiler/eval/Eval.h"
#include "compiler/irgen/IRGen.h"
#include "test/irgen/CompareMeaning.h"
#include <cstdio>

using namespace r1;

int main(int argc, char **argv) {
  std::string file, pipeline, only;
  ElaborateOptions options;
  options.checkFiles = false;
  LoadOptions load;
  load.stdlib = "stdlib";
  bool isComparison = false;
  for (int i = 1; i < argc; ++i) {
    std::string a = argv[i];
    if (a == "--set" && i + 1 < argc)
      options.sets.push_back(argv[++i]);
    else if (a == "--stdlib" && i + 1 < argc)
      load.stdlib = argv[++i];
    else if (a == "--stage" && i + 1 < argc)
      only = argv[++i];
    else if (a == "--compare")
      isComparison = true;
    else
      file = a;
  }
  if (size_t at = file.rfind(".r1:"); at != std::string::npos) {
    pipeline = file.substr(at + 4);
    file.resize(at + 3);
  }
  SourceManager sources;
  DiagEngine diags;
  auto program = loadProgram(file, load, sources, diags);
  std::unique_ptr<Analysis> analysis;
  std::unique_ptr<Elaboration> e;
  if (program && !diags.hasErrors()) {
    analysis = std::make_unique<Analysis>(*program, sources, diags);
    analysis->check();
    std::string name = diags.hasErrors() ? "" : analysis->pipeline(pipeline);
    if (!name.empty())
      e = analysis->elaborate(name, options);
  }
  for (const Diag &d : diags.all())
    std::fputs(render(d, sources).c_str(), stderr);
  if (!e)
    return 1;
  mlir::MLIRContext context;
  if (!isComparison) {
    mlir::OwningOpRef<mlir::ModuleOp> module;
    if (only.empty())
      module = irgen(*e, context, sources);
    for (const Stage &stage : e->stages)
      if (stage.name == only)
        module = irgenStage(stage, context, sources);
    if (!module)
      return 1;
    module->print(llvm::outs());
    return 0;
  }
  int failures = 0;
  for (const Stage &stage : e->stages) {
    if (stage.entries.empty())
      continue;
    auto module = irgenStage(stage, context, sources);
    if (!module)
      return 1;
    for (const auto &fn : stage.entries) {
      std::string why =
          test::compareMeaning(*fn, module->lookupSymbol<mlir::func::FuncOp>(fn->name));
      std::printf("%s %s: %s\n", stage.name.c_str(), fn->name.c_str(),
                  why.empty() ? "same" : why.c_str());
      failures += !why.empty();
    }
  }
  return failures ? 1 : 0;
}
