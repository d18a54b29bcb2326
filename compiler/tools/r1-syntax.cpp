// r1-syntax: the front end alone, for its tests.
//   r1-syntax fmt FILE          the file in the one layout
//   r1-syntax dump FILE         its tree
//   r1-syntax normalise FILE    its declarations as fingerprints see them
//   r1-syntax check [--json] FILE   its errors; exit 1 if there are any
// FILE may be -, standard input.
#include "compiler/syntax/Parser.h"
#include "compiler/syntax/Printer.h"
#include <fstream>
#include <iostream>
#include <iterator>

int main(int argc, char **argv) {
  std::vector<std::string> args(argv + 1, argv + argc);
  bool json = std::erase(args, "--json") > 0;
  std::string mode = args.empty() ? "" : args[0];
  if (args.size() != 2 ||
      (mode != "fmt" && mode != "dump" && mode != "normalise" && mode != "check")) {
    std::cerr << "usage: r1-syntax fmt|dump|normalise|check [--json] FILE\n";
    return 2;
  }
  std::string text;
  if (args[1] == "-") {
    text.assign(std::istreambuf_iterator<char>(std::cin), {});
  } else {
    std::ifstream in(args[1], std::ios::binary);
    if (!in) {
      std::cerr << "cannot read " << args[1] << "\n";
      return 2;
    }
    text.assign(std::istreambuf_iterator<char>(in), {});
  }
  r1::SourceManager sources;
  r1::DiagEngine diags;
  auto file = r1::parseFile(sources.add(args[1], std::move(text)), sources, diags);
  bool first = true;
  for (const r1::Diag &d : diags.all()) {
    std::cout << (json || first ? "" : "\n")
              << (json ? r1::renderJson(d, sources) + "\n" : r1::render(d, sources));
    first = false;
  }
  if (diags.suppressed() > 0 && !json)
    std::cout << "\n" << diags.suppressed() << " more errors\n";
  if (diags.hasErrors())
    return 1;
  if (mode == "fmt")
    std::cout << r1::format(*file, sources);
  else if (mode == "dump")
    std::cout << r1::dump(*file, sources);
  else if (mode == "normalise")
    for (const r1::Decl *d : file->decls)
      std::cout << r1::normalised(*d) << "\n";
  return 0;
}
