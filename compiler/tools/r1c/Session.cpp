#include "compiler/tools/r1c/Session.h"
#include "compiler/tools/r1c/Files.h"
#include "compiler/tools/r1c/Fit.h"
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <unistd.h>

using nlohmann::json;

namespace r1::tool {

bool wantColor(const Options &options, int fd) {
  return options.color == "always" || (options.color == "auto" && isatty(fd) && !getenv("NO_COLOR"));
}

void printEvent(const char *event, json fields) {
  fields["v"] = 1;
  fields["t"] =
      std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
  fields["event"] = event;
  std::printf("%s\n", fields.dump(-1, ' ', false, json::error_handler_t::replace).c_str());
  std::fflush(stdout);
}

int Session::fail(const char *command, const r1rt::Status &status) const {
  if (options.json)
    printEvent("diagnostic", {{"severity", "error"}, {"message", status.message()}});
  std::fprintf(stderr, "r1c %s: %s\n", command, status.message().c_str());
  return status.exitCode();
}

void Session::printDiags() {
  const auto &all = diags.all();
  for (; printed < all.size(); ++printed) {
    if (options.noAdvice && all[printed].code == "E0215")
      continue;
    if (options.json)
      printEvent("diagnostic", json::parse(renderJson(all[printed], sources)));
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
  bool directory = std::filesystem::is_directory(file, ec);
  if (directory || !std::filesystem::exists(file, ec)) {
    std::string text = file + (directory ? ": this is a directory; give a .r1 file" : ": no such file");
    if (options.json)
      printEvent("diagnostic", {{"severity", "error"}, {"message", text}});
    std::fprintf(stderr, "r1c: %s\n", text.c_str());
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

Elaboration *Session::elaborate(const std::string &pipeline, long seed) {
  std::string name = analysis->pipeline(pipeline);
  if (!name.empty()) {
    ElaborateOptions eo;
    eo.sets = options.sets;
    eo.seed = std::max(seed, 0l);
    elaboration = analysis->elaborate(name, eo);
    printDiags();
    // What the elaborations for other batches say has been said.
    if (elaboration && chooseBatches(*this, name, eo))
      printed = diags.all().size();
  }
  printDiags();
  // A wrong --set is a wrong command line, not a wrong program.
  if (analysis->setIsWrong)
    exit = CommandWrong;
  if (diags.hasErrors())
    elaboration.reset();
  return elaboration.get();
}

Elaboration *Session::elaborateFor(std::string &stage) {
  if (size_t dot = stage.find('.'); dot != std::string::npos) {
    std::string first = stage.substr(0, dot);
    const Decl *d = program->main->find(first);
    if (d && d->kind == Decl::Pipeline) {
      stage.erase(0, dot + 1);
      return elaborate(first);
    }
  }
  return elaborate("");
}

} // namespace r1::tool
