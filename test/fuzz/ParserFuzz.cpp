// Any bytes: parsing must neither crash nor hang. What parses without errors is formatted; the
// result must parse, mean the same, keep every comment, and stay as it is when formatted again.
//
//   test/fuzz/run 60     builds this and the other fuzzer, and runs both for 60 seconds
#include "compiler/syntax/Parser.h"
#include "compiler/syntax/Printer.h"
#include <cstdio>
#include <cstdlib>

using namespace r1;

namespace {

struct Parsed {
  SourceManager sources;
  DiagEngine diags;
  std::unique_ptr<File> file;
  explicit Parsed(std::string text) {
    file = parseFile(sources.add("fuzz.r1", std::move(text)), sources, diags);
  }
  std::string meaning() const {
    std::string s = file->doc;
    for (const Decl *d : file->decls)
      s += "\n" + d->doc + "\n" + normalised(*d);
    return s;
  }
};

[[noreturn]] void stop(const char *why, const std::string &before, const std::string &after) {
  fprintf(stderr, "%s\n--- before\n%s\n--- after\n%s\n", why, before.c_str(), after.c_str());
  abort();
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  std::string text(reinterpret_cast<const char *>(data), size);
  Parsed a(text);
  for (const Diag &d : a.diags.all()) {
    render(d, a.sources);
    renderJson(d, a.sources);
  }
  dump(*a.file, a.sources);
  if (a.diags.hasErrors())
    return 0;
  std::string once = format(*a.file, a.sources);
  Parsed b(once);
  if (b.diags.hasErrors())
    stop(render(b.diags.all()[0], b.sources).c_str(), text, once);
  if (a.meaning() != b.meaning())
    stop("the meaning changed", a.meaning(), b.meaning());
  if (a.file->comments.size() != b.file->comments.size())
    stop("comments were lost", text, once);
  std::string twice = format(*b.file, b.sources);
  if (once != twice)
    stop("formatting twice differs", once, twice);
  return 0;
}
