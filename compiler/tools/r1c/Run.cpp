// r1c run: stages in order; what is finished is reused, what was interrupted goes on.
#include "compiler/tools/r1c/Execute.h"
#include "compiler/tools/r1c/Files.h"
#include "runtime/state/Files.h"
#include <chrono>
#include <cstdio>
#include <filesystem>

using nlohmann::json;
using r1rt::ArtifactState;

namespace r1::tool {

namespace {

double now() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

json manifestInfo(const Session &session, const PlannedStage &p,
                  const std::vector<PlannedStage> &plan) {
  json reads = json::object();
  for (const std::string &r : p.stage->reads)
    for (const PlannedStage &q : plan)
      if (q.stage->name == r)
        reads[r] = q.fingerprint;
  return {{"stage", p.stage->name},    {"pipeline", session.elaboration->pipeline},
          {"kind", p.stage->kind},     {"spec", p.stage->spec},
          {"components", p.components}, {"reads", reads},
          {"overrides", session.options.sets}, {"numerics", numerics},
          {"version", R1C_VERSION},    {"time", now()}};
}

/// The gate of an evaluate stage: false if `require` says no.
bool gatePasses(const Stage &s, const json &result) {
  if (!s.spec.contains("require") || !s.spec["require"].is_object())
    return true;
  size_t i = s.spec["require"].at("row_fn").get<size_t>();
  json verdict = s.rowFns.at(i)(result.value("metrics", json::object()));
  return verdict.is_boolean() && verdict.get<bool>();
}

} // namespace

int runCommand(const Options &o) {
  auto [file, name] = splitFileAndName(o.file);
  Session session(o);
  if (!session.load(file) || !session.elaborate(name))
    return session.exit;
  auto fail = [&](const r1rt::Status &st) {
    std::fprintf(stderr, "r1c run: %s\n", st.message().c_str());
    return st.exitCode();
  };
  auto store = r1rt::Store::open(o.store);
  if (!store)
    return fail(store.status());
  auto plan = planStages(*session.elaboration, store->get(), o);
  if (!plan)
    return fail(plan.status());

  r1rt::Reporter::Options ro;
  ro.json = o.json;
  ro.quiet = o.quiet;
  r1rt::Reporter report(ro);
  if (o.failOnChange)
    for (const PlannedStage &p : *plan)
      if (p.runs()) {
        report.note("stage " + p.stage->name + " would run");
        return WouldChange;
      }

  Runner runner(session, **store, report);
  for (PlannedStage &p : *plan) {
    const Stage &s = *p.stage;
    if (!p.selected)
      continue;
    if (!p.runs()) {
      report.stage(s.name, "cached", {{"fingerprint", p.fingerprint}});
      runner.finished(s.name, (*store)->dir(p.fingerprint));
      // A finished gate that had said no says no again.
      auto m = (*store)->manifest(p.fingerprint);
      if (m && !gatePasses(s, m->value("result", *m))) {
        report.stage(s.name, "failed", {{"why", "require is not met"}});
        return GateFailed;
      }
      continue;
    }
    if (p.fresh) {
      std::error_code ec;
      std::filesystem::remove_all((*store)->dir(p.fingerprint), ec);
    }
    auto lease = (*store)->begin(p.fingerprint, manifestInfo(session, p, *plan),
                                 [&](const std::string &text) { report.note(text); });
    if (!lease)
      return fail(lease.status().withContext("stage `" + s.name + "`"));
    if (lease->state() == ArtifactState::finished) {
      report.stage(s.name, "cached", {{"fingerprint", p.fingerprint}});
      runner.finished(s.name, lease->dir());
      continue;
    }
    report.stage(s.name, "started", {{"resumes", lease->state() == ArtifactState::interrupted}});
    auto result = runner.execute(p, lease->dir());
    if (!result) {
      bool interrupted = result.status().exitCode() == Interrupted;
      report.stage(s.name, interrupted ? "interrupted" : "failed");
      return fail(result.status().withContext("stage `" + s.name + "`"));
    }
    if (auto st = (*store)->finish(*lease, *result); !st)
      return fail(st.withContext("stage `" + s.name + "`"));
    runner.finished(s.name, lease->dir());
    report.stage(s.name, "done", *result);
    report.artifact(s.name, p.fingerprint, lease->dir());
    if (!gatePasses(s, *result)) {
      report.stage(s.name, "failed", {{"why", "require is not met"}});
      return GateFailed;
    }
  }
  return Done;
}

int generateCommand(const Options &o) {
  auto [file, name] = splitFileAndName(o.file);
  Session session(o);
  if (!session.load(file) || !session.elaborate(""))
    return session.exit;
  auto fail = [&](const std::string &text, int code) {
    std::fprintf(stderr, "r1c generate: %s\n", text.c_str());
    return code;
  };
  auto store = r1rt::Store::open(o.store);
  if (!store)
    return fail(store.status().message(), store.status().exitCode());
  auto plan = planStages(*session.elaboration, store->get(), o);
  if (!plan)
    return fail(plan.status().message(), plan.status().exitCode());
  const PlannedStage *target = nullptr;
  std::string models;
  for (const PlannedStage &p : *plan) {
    if (p.stage->result == "model") {
      models += " " + p.stage->name;
      if (name.empty() || p.stage->name == name)
        target = &p;
    }
  }
  if (!target)
    return fail("no trained stage `" + name + "` in " + file + "; it has:" + models, CommandWrong);
  if (target->state != ArtifactState::finished)
    return fail("stage `" + target->stage->name + "` has not been trained with these settings; run  r1c run " +
                    file + " --only " + target->stage->name +
                    (target->why.empty() ? "" : "  (" + target->why + ")"),
                StageFailed);
  r1rt::Reporter::Options ro;
  ro.json = o.json;
  r1rt::Reporter report(ro);
  Runner runner(session, **store, report);
  for (const PlannedStage &p : *plan)
    if (p.state == ArtifactState::finished)
      runner.finished(p.stage->name, (*store)->dir(p.fingerprint));
  std::string prompt;
  for (const std::string &word : o.prompt)
    prompt += (prompt.empty() ? "" : " ") + word;
  if (!o.json)
    report.text(prompt);
  auto result = runner.generate(*target, prompt, [&](const std::string &piece) {
    if (!o.json)
      report.text(piece);
  });
  if (!result)
    return fail(result.status().message(), result.status().exitCode());
  if (o.json)
    report.event("text", {{"stage", target->stage->name}, {"prompt", prompt}, {"result", *result}});
  else
    report.text("\n");
  return Done;
}

} // namespace r1::tool
