// r1c check: everything that can be known without data or device.
#include "compiler/tools/r1c/Session.h"
#include <cstdio>

int r1::tool::checkCommand(const Options &o) {
  int exit = Done;
  for (const std::string &file : o.files) {
    // Never freed: the process ends, and freeing many small objects one by one takes a while.
    static std::vector<Session *> sessions;
    Session &session = *sessions.emplace_back(new Session(o));
    session.plansMemory = false;
    if (!session.load(file)) {
      exit = session.exit;
      continue;
    }
    // A file of definitions needs no pipeline; one with pipelines has each elaborated.
    for (const Decl *d : session.program->main->files[0]->decls)
      if (d->kind == Decl::Pipeline && !session.elaborate(std::string(d->name)))
        exit = session.exit;
  }
  if (o.json)
    printEvent("check", {{"ok", exit == Done}, {"files", o.files}});
  return exit;
}
