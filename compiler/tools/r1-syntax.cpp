// r1-syntax: the front end alone, for its tests.  r1-syntax fmt|dump|check FILE
#include "compiler/syntax/Parser.h"
#include "compiler/syntax/Printer.h"
#include <fstream>
#include <iostream>
#include <sstream>

int main(int argc, char **argv) {
  if (argc != 3) {
    std::cerr << "usage: r1-syntax fmt|dump|check FILE\n";
    return 2;
  }
  std::ifstream in(argv[2], std::ios::binary);
  std::stringstream text;
  text << in.rdbuf();
  r1::SourceManager sources;
  r1::DiagEngine diags;
  uint32_t id = sources.add(argv[2], text.str());
  auto file = r1::parseFile(id, sources, diags);
  for (const r1::Diag &d : diags.all())
    std::cout << r1::render(d, sources) << "\n";
  if (diags.hasErrors())
    return 1;
  std::string mode = argv[1];
  if (mode == "fmt")
    std::cout << r1::format(*file, sources);
  else if (mode == "dump")
    std::cout << r1::dump(*file, sources);
  return 0;
}
