// r1c check: everything that can be known without data or device.
#include "compiler/tools/r1c/Foresee.h"
#include "compiler/tools/r1c/Session.h"
#include "runtime/report/Reporter.h"
#include <cstdio>

namespace r1::tool {

namespace {

/// What the compiler finds wrong with the stages' programs, memory included, each on its own; the exit code.
int checkPrograms(const Session &session, r1rt::Reporter &report) {
  int exit = Done;
  for (const Stage &s : session.elaboration->stages) {
    auto seen = foresee(session, s, placedOptions(session.options, s));
    if (!seen) {
      const int code = session.fail("check", seen.status());
      exit = exit ? exit : code;
    } else if (seen->compiled) {
      if (std::string why = recomputeText(s, *seen->compiled); !why.empty())
        report.note(why);
    }
  }
  return exit;
}

} // namespace

int checkCommand(const Options &o) {
  int exit = Done;
  r1rt::Reporter::Options ro;
  ro.json = o.json;
  ro.quiet = o.quiet;
  r1rt::Reporter report(ro);
  for (const std::string &file : o.files) {
    // Never freed: the process ends, and freeing many small objects one by one takes a while.
    static std::vector<Session *> sessions;
    Session &session = *sessions.emplace_back(new Session(o));
    if (!session.load(file)) {
      exit = session.exit;
      continue;
    }
    // A file of definitions needs no pipeline; one with pipelines has each elaborated.
    for (const Decl *d : session.program->main->files[0]->decls)
      if (d->kind == Decl::Pipeline) {
        const int code = session.elaborate(std::string(d->name)) ? checkPrograms(session, report) : session.exit;
        exit = code ? code : exit;
      }
  }
  if (o.json)
    printEvent("check", {{"ok", exit == Done}, {"files", o.files}});
  return exit;
}

} // namespace r1::tool
