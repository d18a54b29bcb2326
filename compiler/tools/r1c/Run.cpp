// r1c run: stages in order; what is finished is reused, what was interrupted goes on.
#include "compiler/tools/r1c/World.h"
#include "compiler/tools/r1c/Dvc.h"
#include "compiler/tools/r1c/Files.h"
#include "runtime/nccl/Nccl.h"
#include "runtime/stages/Checkpoint.h"
#include "runtime/state/Files.h"
#include <algorithm>
#include <cctype>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <set>
#include <unistd.h>
#include <utility>

using nlohmann::json;
using r1rt::ArtifactState;

namespace r1::tool {

namespace {

double now() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

/// Of a GPU's products; on a CPU all bits are exact.
std::string bitsOf(const Stage &s, const Options &o) {
  return o.target == "cuda" ? placementOf(s).bits : "exact";
}

json manifestInfo(const Session &session, const PlannedStage &p,
                  const std::vector<PlannedStage> &plan) {
  json reads = json::object();
  for (const std::string &r : p.stage->reads)
    for (const PlannedStage &q : plan)
      if (q.stage->name == r)
        reads[r] = q.fingerprint;
  return {{"stage", p.stage->name},    {"pipeline", session.elaboration->pipeline},
          {"kind", p.stage->kind},     {"spec", p.stage->spec}, {"shown", p.stage->shown},
          {"components", p.components}, {"reads", reads},
          {"overrides", session.options.sets}, {"numerics", numerics},
          {"target", session.options.target},
          {"shards", placementOf(*p.stage).shards}, {"bits", bitsOf(*p.stage, session.options)}, {"version", R1C_VERSION},    {"time", now()}};
}

/// The text of a function, whose numbers stand in it as their bits, for people: "0x1.8cp+6" is 99.
std::string readable(const std::string &source) {
  std::string out;
  for (size_t at = 0; at < source.size();) {
    char *end = nullptr;
    const bool number = source.compare(at, 2, "0x") == 0 && (at == 0 || !std::isalnum(static_cast<unsigned char>(source[at - 1])));
    const double v = number ? std::strtod(source.c_str() + at, &end) : 0;
    if (!number || end == source.c_str() + at) {
      out += source[at++];
      continue;
    }
    out += json(v).dump();
    at = size_t(end - source.c_str());
  }
  return out;
}

/// The gate of an evaluate stage: why `require` says no, or "" if it does not.
r1rt::Result<std::string> gateSaysNo(const Stage &s, const json &result) {
  if (!s.spec.contains("require") || !s.spec["require"].is_object())
    return std::string();
  const json &require = s.spec["require"];
  if (s.kind == "annotate") // judged when its rows were there
    return result.value("required", true)
               ? std::string()
               : "`require` is not met by the " + result["rows"].dump() + " rows that people answered; required is " +
                     readable(require.value("source", ""));
  json metrics = result.value("metrics", json::object());
  json verdict;
  try {
    verdict = s.rowFns.at(require.at("row_fn").get<size_t>())(metrics);
  } catch (const std::exception &e) {
    return r1rt::Status::error("stage `" + s.name + "`: require: " + e.what());
  }
  if (!verdict.is_boolean())
    return r1rt::Status::error("stage `" + s.name + "`: `require` yields " + verdict.dump() +
                                   ", not true or false",
                               r1rt::ExitClass::program);
  if (verdict.get<bool>())
    return std::string();
  std::string values;
  for (auto &[name, value] : metrics.items())
    values += (values.empty() ? "" : ", ") + name + " = " + value.dump();
  return "`require` is not met: " + values + "; required is " + readable(require.value("source", ""));
}

json planEvent(const Session &session, const std::vector<PlannedStage> &plan) {
  json stages = json::array();
  for (const PlannedStage &p : plan)
    stages.push_back({{"name", p.stage->name},
                      {"kind", p.stage->kind},
                      {"state", !p.selected ? "skipped" : p.runs() ? "run" : "cached"},
                      {"why", p.why},
                      {"fingerprint", p.fingerprint}});
  return {{"pipeline", session.elaboration->pipeline},
          {"parameters", session.elaboration->parameters},
          {"stages", stages}};
}

/// Is there room on the store's disk for what the training stages of the plan will write? A stage
/// needs three times its weights and optimiser state while it trains, as checkpoints are replaced
/// whole, and keeps them once.
r1rt::Status foreseeDisk(const std::vector<PlannedStage> &plan, const r1rt::Store &store) {
  uint64_t kept = 0, most = 0;
  std::string names;
  int stages = 0;
  for (const PlannedStage &p : plan) {
    const Stage &s = *p.stage;
    if (!p.runs() || s.kind != "train")
      continue;
    uint64_t leaves = 0, trained = 0;
    std::set<std::string> states;
    for (const Leaf &leaf : s.leaves) {
      uint64_t n = 1;
      for (auto &d : leaf.type.dims)
        n *= uint64_t(d.size);
      leaves += n;
      trained += leaf.trainable ? n : 0;
    }
    for (const auto &entry : s.entries)
      if (entry->name == "update")
        for (const Node *n : entry->inputs)
          if (n->name.starts_with("s."))
            states.insert(n->name.substr(0, n->name.find('@'))); // parts of a pool are one
    uint64_t bytes = 4 * (leaves + states.size() * trained);
    uint64_t there = r1rt::checkpointBytes(store.dir(p.fingerprint));
    if (p.fresh) { // removed before it begins
      std::error_code ec;
      there = 0;
      for (const auto &file : std::filesystem::directory_iterator(store.dir(p.fingerprint), ec)) {
        uintmax_t n = file.file_size(ec);
        there += ec ? 0 : n;
      }
    }
    most = std::max(most, kept + 3 * bytes + (1 << 20) - std::min(there, 3 * bytes));
    kept += bytes;
    names += (names.empty() ? "`" : ", `") + s.name + "`";
    ++stages;
  }
  if (!stages || !store.writable())
    return r1rt::Status::ok(); // a store that is read-only is named where it is to be written
  return r1rt::requireSpace(store.root(), most, "training " + names);
}

} // namespace

/// Ranks share the shards of a batch: every stage that trains needs enough of them.
static r1rt::Status enoughShards(const std::vector<PlannedStage> &plan, int ranks) {
  for (const PlannedStage &p : plan) {
    int64_t shards = placementOf(*p.stage).shards;
    if (p.runs() && p.stage->kind == "train" && shards % ranks)
      return r1rt::Status::error(
          std::to_string(ranks) + " ranks were started, and stage `" + p.stage->name + "` has " +
              std::to_string(shards) + (shards == 1 ? " shard" : " shards") +
              "; help: device(shards = " + std::to_string(ranks) + "), or a multiple of it",
          r1rt::ExitClass::commandLine);
  }
  return r1rt::Status::ok();
}

/// What the compiler has to say of a stage's programs, memory included, is said before any stage begins.
static r1rt::Status foreseePrograms(const std::vector<PlannedStage> &plan, const Session &session, const Runner &runner) {
  for (const PlannedStage &p : plan)
    if (p.runs()) {
      R1RT_ASSIGN(CompileOptions placed, runner.compileOptions(*p.stage));
      R1RT_TRY(foresee(session, *p.stage, placed).status());
    }
  return r1rt::Status::ok();
}

static bool readsAny(const std::vector<std::string> &names, const std::set<std::string> &of) {
  return std::any_of(names.begin(), names.end(), [&](const std::string &n) { return of.count(n) > 0; });
}

/// Runs what the plan says, stage by stage; `world` joins in those that train.
static int runStages(const Options &o, Session &session, r1rt::Store &store,
                     std::vector<PlannedStage> &plan, r1rt::Reporter &report, Runner &runner,
                     World &world) {
  auto fail = [&](const r1rt::Status &st) { return session.fail("run", st); };
  // What a gate that says no leaves undone.
  auto stop = [&](const PlannedStage &gate, const std::string &why) {
    report.stage(gate.stage->name, "failed", {{"message", why}});
    for (const PlannedStage *p = &gate + 1; p != plan.data() + plan.size(); ++p)
      if (p->runs())
        report.note(p->stage->name + "  not started");
    return GateFailed;
  };

  std::set<std::string> waiting; // stages that wait for people, or for those that do
  for (PlannedStage &p : plan) {
    const Stage &s = *p.stage;
    if (!p.selected)
      continue;
    if (p.runs() && (readsAny(s.reads, waiting) || readsAny(s.gates, waiting))) {
      report.note(s.name + "  not started");
      waiting.insert(s.name);
      continue;
    }
    if (!p.runs()) {
      report.stage(s.name, "cached", {{"fingerprint", p.fingerprint}});
      runner.finished(s.name, store.dir(p.fingerprint));
      // A finished gate that had said no says no again.
      auto m = store.manifest(p.fingerprint);
      if (!m)
        return fail(m.status());
      auto no = gateSaysNo(s, *m);
      if (!no)
        return fail(no.status());
      if (!no->empty())
        return stop(p, *no);
      continue;
    }
    if (auto m = store.manifest(p.fingerprint);
        m && p.state == ArtifactState::interrupted && !p.fresh && p.why.empty() &&
        m->value("numerics", numerics) != numerics)
      return fail(r1rt::Status::error(
          "stage `" + s.name + "` was interrupted by an r1c with numerics " +
              m->value("numerics", json()).dump() + ", this one has " + std::to_string(numerics) +
              ": going on would mix two arithmetics; --fresh " + s.name + " begins it again",
          r1rt::ExitClass::commandLine));
    // A training without a checkpoint begins again, wherever.
    const bool goesOn = s.kind != "train" || r1rt::checkpointBytes(store.dir(p.fingerprint)) > 0;
    if (auto m = store.manifest(p.fingerprint);
        m && p.state == ArtifactState::interrupted && !p.fresh && p.why.empty() && goesOn) {
      json mine = {{"target", o.target}, {"shards", placementOf(s).shards}, {"bits", bitsOf(s, o)}};
      json then = {{"target", m->value("target", "cpu")},
                   {"shards", m->value("shards", 1)},
                   {"bits", m->value("bits", "exact")}};
      for (auto &[what, value] : mine.items())
        if (then[what] != value)
          return fail(r1rt::Status::error(
              "stage `" + s.name + "` was interrupted with " + what + " " + then[what].dump() +
                  ", this run has " + value.dump() + ": going on would mix two arithmetics; the old " +
                  what + " goes on, --fresh " + s.name + " begins it again",
              r1rt::ExitClass::commandLine));
    }
    const bool damaged = !p.why.empty() && p.state == ArtifactState::interrupted;
    if (damaged)
      report.warning(s.name, "the artifact " + p.fingerprint + " is damaged and made again: " + p.why);
    auto lease = store.begin(
        p.fingerprint, manifestInfo(session, p, plan),
        [&](const std::string &text) { report.note(s.name + "  " + text); }, p.fresh || damaged);
    if (!lease)
      return fail(lease.status().withContext("stage `" + s.name + "`"));
    if (lease->state() == ArtifactState::finished) {
      report.stage(s.name, "cached", {{"fingerprint", p.fingerprint}});
      runner.finished(s.name, lease->dir());
      auto m = store.manifest(p.fingerprint);
      auto no = m ? gateSaysNo(s, *m) : r1rt::Result<std::string>(m.status());
      if (!no)
        return fail(no.status());
      if (!no->empty())
        return stop(p, *no);
      continue;
    }
    json started = {{"resumes", lease->state() == ArtifactState::interrupted}};
    if (!p.why.empty())
      started["message"] = p.why;
    report.stage(s.name, "started", started);
    bool together = world.size() > 1 && (s.kind == "train" || s.kind == "corpus");
    if (together)
      if (auto st = world.announce(size_t(&p - plan.data()), lease->dir()); !st)
        return fail(st);
    auto result = runner.execute(p, lease->dir());
    if (!result && result.status().getExitClass() == r1rt::ExitClass::waiting) {
      report.stage(s.name, "waiting", {{"message", result.status().message()}});
      session.diags.noteAt("E0404", s.span, "stage `" + s.name + "` waits for people")
          .note(result.status().message())
          .help(annotateLine(o, s.name));
      waiting.insert(s.name);
      continue;
    }
    if (!result) {
      bool interrupted = result.status().exitCode() == Interrupted;
      if (together && !interrupted)
        world.abort(result.status().withContext("stage `" + s.name + "`"));
      report.stage(s.name, interrupted ? "interrupted" : "failed");
      return fail(result.status().withContext("stage `" + s.name + "`"));
    }
    if (auto st = store.finish(*lease, *result); !st)
      return fail(st.withContext("stage `" + s.name + "`"));
    runner.finished(s.name, lease->dir());
    report.stage(s.name, "done", *result);
    report.artifact(s.name, p.fingerprint, lease->dir());
    auto no = gateSaysNo(s, *result);
    if (!no)
      return fail(no.status());
    if (!no->empty())
      return stop(p, *no);
  }
  session.printDiags();
  return waiting.empty() ? Done : WaitsForPeople;
}

/// Opens the accelerator of --target, if it has one, on all ranks or on none.
static r1rt::Status openDevice(Runner &runner, World &world, const std::string &target,
                               std::unique_ptr<r1rt::NcclRanks> &gpus) {
  R1RT_ASSIGN(runner.deviceIndex, world.deviceIndex());
  R1RT_TRY(r1rt::firstError(world.communicator(), runner.accelerator().status()));
  if (target != "cuda" || world.size() == 1)
    return r1rt::Status::ok();
  R1RT_ASSIGN(gpus, r1rt::NcclRanks::create(world.communicator()));
  runner.ranks = gpus.get();
  return r1rt::Status::ok();
}

/// Where nothing has to be saved first (a stage that runs asks for SignalGuard) SIGINT and SIGTERM end the program at
/// once, as an interrupted run ends: whatever lies on the disk can be gone on from.
static void endOnSignals() {
  struct sigaction end{};
  end.sa_handler = [](int) {
    constexpr char text[] = "r1c run: interrupted; the same command goes on from here\n";
    [[maybe_unused]] ssize_t n = ::write(2, text, sizeof text - 1);
    ::_exit(Interrupted);
  };
  ::sigaction(SIGINT, &end, nullptr);
  ::sigaction(SIGTERM, &end, nullptr);
}

int runCommand(const Options &o) {
  endOnSignals();
  auto [file, name] = splitFileAndName(o.file);
  Session session(o);
  if (!session.load(file) || !session.elaborate(name, o.seed))
    return session.exit;
  auto fail = [&](const r1rt::Status &st) { return session.fail("run", st); };
  auto store = r1rt::Store::open(o.store);
  if (!store)
    return fail(store.status());
  auto plan = planStages(*session.elaboration, store->get(), o);
  if (!plan)
    return fail(plan.status());

  auto world = World::join();
  if (!world)
    return fail(world.status());
  if (auto st = (*world)->sameProgram(*plan, o.target); !st)
    return fail(st);
  if (auto st = enoughShards(*plan, (*world)->size()); !st)
    return fail(st);
  bool first = (*world)->rank() == 0; // the one that people see
  r1rt::Reporter::Options ro;
  ro.json = o.json && first;
  ro.quiet = o.quiet || !first;
  r1rt::Reporter report(ro);
  if (o.failOnChange)
    for (const PlannedStage &p : *plan)
      if (p.runs()) {
        report.note("stage " + p.stage->name + " would run" + (p.why.empty() ? "" : ": " + p.why));
        return WouldChange;
      }
  report.event("plan", planEvent(session, *plan));
  for (const PlannedStage &p : *plan)
    if (p.runs())
      report.stage(p.stage->name, "queued");
  Runner runner(session, **store, report);
  runner.ranks = (*world)->size() > 1 ? world->get() : nullptr;
  // A device that is not there is known before anything runs.
  std::unique_ptr<r1rt::NcclRanks> gpus; // the ranks, where each has one
  if (std::any_of(plan->begin(), plan->end(), [](const PlannedStage &p) { return p.runs(); }))
    if (auto st = openDevice(runner, **world, o.target, gpus); !st)
      return fail(st);
  if (auto st = foreseePrograms(*plan, session, runner); !st)
    return fail(st);
  if (auto st = foreseeDisk(*plan, **store); !st)
    return fail(st);
  if (!first)
    return (*world)->follow(runner, *plan, **store);
  int code = runStages(o, session, **store, *plan, report, runner, **world);
  if (o.dvc)
    if (auto st = writeDvc(*plan, **store, o); !st)
      code = fail(st);
  (*world)->end(code);
  return code;
}

} // namespace r1::tool
