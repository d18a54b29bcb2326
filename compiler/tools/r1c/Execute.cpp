#include "compiler/tools/r1c/Execute.h"
#include "compiler/tools/r1c/KernelTable.h"
#include "compiler/tools/r1c/Memory.h"
#include "runtime/stages/Score.h"
#include "runtime/state/Files.h"
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <mutex>

using nlohmann::json;
using r1rt::ExitClass;
using r1rt::Result;
using r1rt::Status;

namespace r1::tool {

namespace {

bool hasEntry(const Stage &stage, const std::string &name) {
  return std::any_of(stage.entries.begin(), stage.entries.end(),
                     [&](const auto &e) { return e->name == name; });
}

/// The stage that {"stage": NAME} names, or "".
std::string stageName(const json &spec) {
  return spec.is_object() ? spec.value("stage", "") : "";
}

/// What the sums over ranks have cost since `before`, and how much of it lay behind the backward pass.
std::string sumsLine(const r1rt::Ranks &ranks, const r1rt::Ranks::Clock &before) {
  r1rt::Ranks::Clock c = ranks.clock();
  double busy = c.busy - before.busy, waited = c.waited - before.waited;
  char line[200];
  int n = std::snprintf(line, sizeof line, "\nsums over %d ranks: %llu, %.3f MB in all", ranks.size(),
                        static_cast<unsigned long long>(c.sums - before.sums),
                        double(c.bytes - before.bytes) / 1e6);
  if (busy > 0) // on GPUs nobody measures them
    std::snprintf(line + n, sizeof line - size_t(n),
                  "; %.3f s in the background, %.3f s of them waited for (%.0f %% hidden)", busy, waited,
                  100 * std::max(0.0, 1 - waited / busy));
  return line + std::string("\n");
}

} // namespace

ExitClass exitClass(int code) {
  return code == NoMemory ? ExitClass::memory : code == CommandWrong ? ExitClass::commandLine : ExitClass::program;
}

Result<std::unique_ptr<r1rt::Accelerator>> openTarget(const std::string &target, int index) {
  if (target == "cpu")
    return std::unique_ptr<r1rt::Accelerator>();
  auto wrong = [&](const Status &st) {
    return Status::error("--target " + target + ": " + st.message(), ExitClass::commandLine);
  };
  const r1_accelerator_api *api = r1rt::hostAccelerator();
  if (target == "cuda") {
    auto loaded = r1rt::loadCuda();
    if (!loaded)
      return wrong(loaded.status());
    api = *loaded;
  }
  auto device = r1rt::Accelerator::open(api, index);
  if (!device)
    return wrong(device.status());
  return std::move(*device);
}

Placement placementOf(const Stage &stage) {
  Placement p;
  if (stage.on.is_object()) {
    p.shards = stage.on.value("shards", p.shards);
    p.bits = stage.on.value("bits", p.bits);
    p.threads = stage.on.value("threads", p.threads);
    std::string remat = stage.on.value("remat", "auto");
    p.remat = remat == "never" ? Remat::never : remat == "always" ? Remat::always : Remat::automatic;
  }
  return p;
}

int Runner::threads(const Stage &stage) const {
  return session.options.threads ? session.options.threads : placementOf(stage).threads;
}

Result<CompileOptions> Runner::compileOptions(const Stage &stage) const {
  CompileOptions o = placedOptions(session.options, stage);
  o.cacheDir = store.writable() ? store.root() + "/kernels" : "";
  if (o.target == TargetKind::cuda) {
    R1RT_ASSIGN(r1rt::Accelerator * gpu, accelerator());
    o.arch = gpu->info().arch;
  }
  return o;
}

Result<r1rt::Device *> Runner::device(const Stage &stage) {
  int n = threads(stage);
  if (!cpu || n != cpuThreads) {
    cpu.reset();
    R1RT_ASSIGN(cpu, r1rt::Device::createCpu(n));
    cpuThreads = n;
  }
  return cpu.get();
}

Result<r1rt::Accelerator *> Runner::accelerator() const {
  if (!opened) {
    R1RT_ASSIGN(opened, openTarget(session.options.target, deviceIndex));
  }
  return opened.get();
}

Result<std::string> Runner::dirOf(const std::string &stage) const {
  auto it = dirs.find(stage);
  if (it == dirs.end())
    return Status::error("the artifact of stage `" + stage + "` is not there; run it first");
  return it->second;
}

r1rt::DataContext &Runner::data(const Stage &stage) {
  r1rt::DataContext *c = &shared;
  if (!stage.rowFns.empty()) {
    own = std::make_unique<r1rt::DataContext>();
    c = own.get();
    for (const RowFn &fn : stage.rowFns)
      c->rowFns.push_back([fn](const json &row) -> Result<json> {
        try {
          return fn(row);
        } catch (const std::exception &e) {
          return Status::error(e.what());
        }
      });
  }
  if (auto dev = device(stage))
    c->threads = unsigned((*dev)->threads());
  c->artifactDir = [this](const std::string &name) { return dirOf(name); };
  c->scorer = [this, &stage](const json &spec) { return scorer(stage, spec); };
  c->warn = [this, name = stage.name](const std::string &text) { report.warning(name, text); };
  return *c;
}

/// A scorer and what it runs on, for as long as somebody may ask it.
struct Runner::Judge {
  std::unique_ptr<CompiledStage> compiled;
  std::unique_ptr<r1rt::Scorer> scorer;
  std::mutex one; // rows come from many threads
};

Result<r1rt::corpus::ScoreFn> Runner::scorer(const Stage &stage, const json &spec) {
  if (!hasEntry(stage, "score"))
    return Status::error("the scores of a model are made in a stage of their own", ExitClass::program);
  R1RT_ASSIGN(std::string modelDir, dirOf(stageName(spec.value("score", json()))));
  auto judge = std::make_shared<Judge>();
  R1RT_ASSIGN(judge->compiled, compile(stage));
  R1RT_ASSIGN(r1rt::Device * dev, device(stage));
  R1RT_ASSIGN(r1rt::Accelerator * where, accelerator());
  R1RT_ASSIGN(judge->scorer, r1rt::Scorer::create(*dev, *judge->compiled->module, modelDir, spec, where));
  return r1rt::corpus::ScoreFn([judge](std::span<const std::string_view> texts, std::span<float> out) {
    std::lock_guard lock(judge->one);
    return judge->scorer->score(texts, out);
  });
}

Result<std::unique_ptr<CompiledStage>> Runner::compile(const Stage &stage) {
  R1RT_ASSIGN(CompileOptions placed, compileOptions(stage));
  return compile(stage, programsOf(stage, placed));
}

Result<std::unique_ptr<CompiledStage>> Runner::compile(const Stage &stage, const Programs &programs) {
  for (const std::string &name : programs.entries)
    if (!hasEntry(stage, name == "decode" || name == "prefill" ? "logits" : name)) // these two are derived from it
      return Status::error("stage `" + stage.name + "` has no entry `" + name +
                               "`: its model has no forward over tokens",
                           ExitClass::program);
  CompileError error;
  std::unique_ptr<CompiledStage> compiled =
      compileStage(*session.elaboration, stage, programs.entries, session.sources, programs.options, error);
  if (!compiled)
    return Status::error(error.message, exitClass(error.exit));
  return compiled;
}

Result<json> Runner::train(const PlannedStage &p, const std::string &dir) {
  const Stage &s = *p.stage;
  auto t0 = std::chrono::steady_clock::now();
  R1RT_ASSIGN(auto compiled, compile(s));
  double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - t0).count();
  report.event("kernel", {{"stage", s.name},
                          {"kernels", compiled->distinctKernels},
                          {"cached", compiled->cachedKernels},
                          {"launches", compiled->launches},
                          {"micro", compiled->micro},
                          {"blocks", compiled->blocks},
                          {"again", compiled->again},
                          {"arena_bytes", compiled->module->arena_bytes},
                          {"compile_seconds", seconds}});
  if (!compiled->fitted.empty() && !session.options.quiet)
    report.note(s.name + "  " + compiled->fitted);
  R1RT_ASSIGN(r1rt::Device * dev, device(s));
  MemoryWatch watch(*compiled->module, dev->threads());
  R1RT_ASSIGN(r1rt::Accelerator * where, accelerator());
  r1rt::StageContext ctx{*dev, data(s), report, where, ranks};
  if (!ranks || ranks->rank() == 0)
    R1RT_TRY(r1rt::writeFileAtomic(dir + "/kernels.json", kernelList(*compiled->module, "step").dump(1) + "\n"));
  // Held here, so that the training finds it: the peak is predicted before the first step.
  R1RT_ASSIGN(r1rt::PackedPtr rows, r1rt::openPacked(s.spec.value("data", json()), ctx.data));
  r1rt::PackedPtr validRows;
  if (auto v = s.spec.find("valid"); v != s.spec.end() && !v->is_null()) {
    R1RT_ASSIGN(validRows, r1rt::openPacked(*v, ctx.data));
  }
  watch.dataLoaded();
  r1rt::TrainJob job;
  job.module = compiled->module;
  job.spec = s.spec;
  job.spec["stage"] = s.name;
  job.spec["checkpoint_steps"] = session.options.checkpointEvery;
  job.dir = dir;
  // Leaves that come from another stage's weights, under the path they have there.
  json start = json::array();
  for (const Leaf &leaf : s.leaves) {
    if (leaf.from.empty())
      continue;
    if (!leaf.path.ends_with(leaf.fromPath))
      return Status::error("stage `" + s.name + "`: parameter `" + leaf.path + "` starts from `" +
                               leaf.fromPath + "` of stage `" + leaf.from +
                               "`; weights moved within a model are not supported yet",
                           ExitClass::program);
    R1RT_ASSIGN(std::string from, dirOf(leaf.from));
    json entry = {{"dir", from},
                  {"prefix", leaf.path.substr(0, leaf.path.size() - leaf.fromPath.size())}};
    if (std::find(start.begin(), start.end(), entry) == start.end())
      start.push_back(entry);
  }
  if (!start.empty())
    job.spec["start"] = start;
  job.spec["metadata"] = {{"r1.fingerprint", p.fingerprint}, {"r1.stage", s.name}};
  const json &lr = s.spec.value("lr", json(0.0));
  if (lr.is_number()) {
    double v = lr.get<double>();
    job.lr = [v](double) { return v; };
  } else {
    job.lr = s.hostFns.at(lr.at("fn").get<size_t>());
  }
  std::vector<r1rt::KernelClock> clocks;
  if (!session.options.profile.empty())
    job.clocks = &clocks;
  r1rt::Ranks::Clock before = ranks ? ranks->clock() : r1rt::Ranks::Clock();
  auto result = r1rt::runTrain(job, ctx);
  if (result)
    (*result)["memory"] = watch.result();
  if (result && job.clocks && (!ranks || ranks->rank() == 0)) {
    std::string table = profileTable(*compiled->module, clocks);
    if (ranks)
      table += sumsLine(*ranks, before);
    R1RT_TRY(r1rt::writeFileAtomic(session.options.profile, table));
  }
  return result;
}

Result<json> Runner::evaluate(const PlannedStage &p, const std::string &dir) {
  const Stage &s = *p.stage;
  R1RT_ASSIGN(std::string modelDir, dirOf(stageName(s.spec.value("model", json()))));
  R1RT_ASSIGN(auto compiled, compile(s));
  r1rt::EvaluateJob job;
  job.module = compiled->module;
  job.spec = s.spec;
  job.spec["stage"] = s.name;
  job.modelDir = modelDir;
  job.dir = dir;
  R1RT_ASSIGN(r1rt::Device * dev, device(s));
  R1RT_ASSIGN(r1rt::Accelerator * where, accelerator());
  r1rt::StageContext ctx{*dev, data(s), report, where};
  return r1rt::runEvaluate(job, ctx);
}

Result<json> Runner::execute(const PlannedStage &p, const std::string &dir) {
  const Stage &s = *p.stage;
  if (s.kind == "train")
    return train(p, dir);
  if (s.kind == "evaluate" && s.spec.contains("model"))
    return evaluate(p, dir);
  if (s.kind == "annotate")
    return annotate(p, dir);
  if (s.kind == "generate")
    return generateRows(p, dir);
  if (s.kind == "checkpoint")
    return checkpoint(p, dir);
  // What runs no program of its own; `together`: the ranks that share the work.
  auto onHost = [&]<class Job>(Result<json> (*run)(const Job &, r1rt::StageContext &),
                               r1rt::Ranks *together) -> Result<json> {
    R1RT_ASSIGN(r1rt::Device * dev, device(s));
    r1rt::StageContext ctx{*dev, data(s), report, nullptr, together};
    Job job{s.spec, dir};
    job.spec["stage"] = s.name;
    return run(job, ctx);
  };
  if (s.kind == "corpus")
    return onHost(r1rt::runCorpus, ranks);
  if (s.kind == "evaluate")
    return onHost(r1rt::runEvaluateRows, nullptr);
  if (s.kind == "statistics")
    return onHost(r1rt::runStatistics, nullptr);
  if (s.kind == "bpe")
    return onHost(r1rt::runBpe, nullptr);
  return Status::error("stages of kind `" + s.kind + "` are not supported yet", ExitClass::program);
}

} // namespace r1::tool
