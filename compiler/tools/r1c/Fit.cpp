#include "compiler/tools/r1c/Fit.h"
#include "compiler/tools/r1c/Foresee.h"
#include <bit>
#include <cstdio>

namespace r1::tool {

namespace {

const Stage *stageOf(const Elaboration &program, const std::string &place) {
  for (const Stage &s : program.stages)
    if (s.fit.to && s.fit.place == place)
      return &s;
  return nullptr;
}

/// Does a step of the stage fit in one piece? An error that is not about memory is left in `error`.
bool fitsUncut(const Session &session, const Stage &stage, CompileError &error) {
  CompileOptions o = placedOptions(session.options, stage);
  o.micro = 1;
  o.remat = Remat::never; // "at once" means without computing again, too
  o.dump = {Phase::plan};
  error = {};
  bool fits = bool(compileStage(*session.elaboration, stage, programsOf(stage, o).entries, session.sources, o, error));
  if (fits || error.exit == NoMemory)
    error = {};
  return fits;
}

} // namespace

bool chooseBatches(Session &session, const std::string &pipeline, ElaborateOptions options) {
  std::vector<std::string> places;
  for (const Stage &s : session.elaboration->stages)
    if (s.fit.to && s.on.is_object() && s.on.contains("memory"))
      places.push_back(s.fit.place);
  for (const std::string &place : places) {
    int64_t rows = 0;
    while (const Stage *s = stageOf(*session.elaboration, place)) {
      rows = s->spec.at("batch").get<int64_t>();
      CompileError error;
      // What is wrong otherwise is said where the stage is compiled.
      if (fitsUncut(session, *s, error) || !error.message.empty() || rows / 2 < s->fit.from)
        break;
      options.batches[place] = rows / 2;
      session.elaboration = session.analysis->elaborate(pipeline, options);
      if (!session.elaboration)
        return false;
    }
    options.batches[place] = rows;
  }
  return true;
}

} // namespace r1::tool
