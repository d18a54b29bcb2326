#include "runtime/report/TensorBoard.h"
#include "runtime/stages/Checkpoint.h"
#include "runtime/stages/Likelihood.h"
#include "runtime/stages/Signals.h"
#include "runtime/stages/SourceOrder.h"
#include "runtime/stages/Stages.h"
#include "runtime/state/Draws.h"
#include <algorithm>
#include <chrono>
#include <cmath>
#include <deque>

namespace r1rt {

using nlohmann::json;
using Clock = std::chrono::steady_clock;

namespace {

double since(Clock::time_point t) {
  return std::chrono::duration<double>(Clock::now() - t).count();
}

Status badSpec(const std::string &what) {
  return Status::error("the description of the training is not right: " + what, ExitClass::program);
}

/// How long to train: a number of steps, or (steps = 0) seconds.
struct Budget {
  uint64_t steps = 0;
  double seconds = 0;

  /// `shares` of data.sources, if it has any, tell how many tokens a batch has on average.
  static Result<Budget> of(const json &j, const PackedData &data, const std::vector<double> &shares, int64_t batch) {
    if (!j.is_object() || j.size() != 1 || !j.begin()->is_number())
      return badSpec("\"budget\" is not one of steps, epochs, tokens, seconds with a number");
    double v = j.begin()->get<double>();
    std::string unit = j.begin().key();
    if (!(v > 0) || v > 1e15)
      return Status::error("the budget is " + j.begin()->dump() + " " + unit +
                               "; it must be more than 0",
                           ExitClass::program);
    Budget b;
    if (unit == "seconds") {
      b.seconds = v;
      return b;
    }
    double perRow = 0;
    if (unit == "tokens") {
      auto mean = [&](uint32_t first, uint32_t rows) {
        double sum = 0;
        for (uint32_t r = first; r < first + rows; ++r)
          sum += double(data.targets(r));
        return sum / rows;
      };
      if (data.sources.empty())
        perRow = mean(0, data.rows());
      for (size_t i = 0; i < data.sources.size(); ++i)
        perRow += shares[i] * mean(data.sources[i].first, data.sources[i].rows);
      if (perRow == 0)
        return Status::error("the data has no token to predict");
    }
    double steps = unit == "steps"    ? v
                   : unit == "epochs" ? v * data.rows() / double(batch)
                   : unit == "tokens" ? v / (perRow * double(batch))
                                      : 0;
    if (steps <= 0)
      return badSpec("a budget in `" + unit + "`");
    b.steps = uint64_t(std::max(1.0, std::ceil(steps - 1e-9)));
    return b;
  }
};

/// A scalar output of a program.
double readScalar(const Executor &e, const r1_field &f) {
  return f.dtype == R1_F64 ? *reinterpret_cast<double *>(e.at(f))
                           : double(*reinterpret_cast<float *>(e.at(f)));
}

bool isScalar(const r1_field &f) {
  return fieldElements(f) == 1 && (f.dtype == R1_F32 || f.dtype == R1_F64);
}

class Training {
public:
  Training(const TrainJob &job, StageContext &ctx) : job(job), spec(job.spec), ctx(ctx) {}
  Result<json> run();

private:
  Status prepare();
  bool writes() const { return !ctx.ranks || ctx.ranks->rank() == 0; }
  Status startWeights();
  Status failedIn(uint64_t stepNumber, const Status &st) const;
  Status adaptShares(uint64_t first, const SignalGuard &signals);
  Status startStep();
  Status finishStep(StepLog *log);
  Status finishSteps(StepLog *log, size_t but);
  Status validate(uint64_t step);
  Status checkpoint(StepLog *log);
  Result<json> finish(double loss);

  const TrainJob &job;
  const json &spec;
  StageContext &ctx;
  std::string stage;
  uint64_t seed = 0;
  double clip = INFINITY;
  std::unique_ptr<Executor> exec;
  const r1_program *step = nullptr;
  const r1_field *lossField = nullptr, *normField = nullptr;
  PackedPtr data, valid;
  std::unique_ptr<Batcher> batcher;
  std::unique_ptr<RowOrder> order;
  std::unique_ptr<SourceOrder> sources; // in place of `order`, of interleaved rows
  Budget budget;
  Progress at; // of what is finished
  /// Steps that have been started and are not finished: a device computes one while the host reads the
  /// results of the one before.
  struct Started {
    StepRecord record;
    uint64_t targets;
    Clock::time_point begin;
  };
  std::deque<Started> started;
  Clock::time_point lastFinish;
  double lastLoss = NAN;
  uint64_t began = 0; // the step this run goes on from
  uint64_t lastSaved = 0;
};

Status Training::startWeights() {
  initLeaves(*exec, seed);
  auto it = spec.find("start");
  if (it == spec.end() || it->is_null())
    return Status::ok();
  json list = it->is_string() ? json::array({{{"dir", *it}, {"prefix", ""}}}) : *it;
  for (const json &s : list) {
    std::string dir = s.value("dir", ""), prefix = s.value("prefix", "");
    R1RT_ASSIGN(uint32_t n, loadLeaves(*exec, dir + "/model.safetensors", prefix, false));
    if (!n)
      return Status::error("none of the weights in `" + dir + "` has a place in the model");
  }
  return Status::ok();
}

Status Training::prepare() {
  stage = spec.value("stage", "train");
  seed = spec.value("seed", uint64_t(0));
  if (auto c = spec.find("clip"); c != spec.end() && c->is_number())
    clip = c->get<double>();
  if (!spec.contains("data"))
    return badSpec("it has no \"data\"");
  R1RT_ASSIGN(data, openPacked(spec["data"], ctx.data));
  R1RT_ASSIGN(exec, Executor::create(ctx.device, *job.module, ctx.accelerator, ctx.ranks));
  step = exec->program("step");
  if (!step)
    return Status::error("the compiled module has no program `step`");
  R1RT_ASSIGN(Batcher b, Batcher::create(data, *step));
  batcher = std::make_unique<Batcher>(std::move(b));
  if (spec.contains("batch") && spec["batch"] != batcher->batch())
    return Status::error("the program was compiled for batches of " +
                         std::to_string(batcher->batch()) + " rows, not " + spec["batch"].dump());
  for (uint32_t i = 0; i < step->n_scalars; ++i) {
    std::string_view name = step->scalars[i].name;
    if (name != "lr" && name != "t" && name != "progress" && name != "clip" &&
        name != "seed")
      return Status::error("the program `step` wants the scalar `" + std::string(name) +
                           "`, which training does not have");
  }
  lossField = findField(step->outputs, step->n_outputs, "loss");
  normField = findField(step->outputs, step->n_outputs, "grad_norm");
  if (!lossField || !isScalar(*lossField))
    return Status::error("the program `step` yields no scalar `loss`");
  if (auto v = spec.find("valid"); v != spec.end() && !v->is_null()) {
    R1RT_ASSIGN(valid, openPacked(*v, ctx.data));
    if (!exec->program("eval"))
      return Status::error("the compiled module has no program `eval` to measure `valid` with");
  }
  if (const json *node = SourceOrder::find(spec["data"])) {
    R1RT_ASSIGN(sources, SourceOrder::create(data, *node, seed, stage));
    if (sources->adapts() && !exec->program("eval"))
      return Status::error("the compiled module has no program `eval` to measure sources with");
  } else {
    order = std::make_unique<RowOrder>(data->rows(), seed, stage);
  }
  R1RT_ASSIGN(budget, Budget::of(spec.value("budget", json()), *data,
                                 sources ? sources->shares() : std::vector<double>(), batcher->batch()));

  R1RT_ASSIGN(std::vector<TensorView> states, stateViews(*exec));
  uint64_t bytes = 0;
  for (const TensorView &t : leafViews(*exec))
    bytes += t.data.size();
  for (const TensorView &t : states)
    bytes += t.data.size();
  // Two checkpoints and one being written, or one checkpoint and the final files.
  // A step takes some 400 bytes in steps.jsonl and the event file.
  uint64_t have = checkpointBytes(job.dir), need = 3 * bytes + 400 * budget.steps + (1 << 20);
  if (writes())
    R1RT_TRY(requireSpace(job.dir, need - std::min(need, have), "stage `" + stage + "`"));
  R1RT_TRY(startWeights());
  R1RT_ASSIGN(at, loadCheckpoint(*exec, job.dir,
                                 [&](const std::string &m) { ctx.report.warning(stage, m); }));
  R1RT_TRY(leavesWritten(*exec));
  lastSaved = began = at.step;
  if (sources && at.step)
    R1RT_TRY(sources->restore(at.order));
  const json *node = SourceOrder::find(spec["data"]), &part = node ? *node->at("sources").begin() : spec["data"];
  if (std::string op = part.value("op", ""); op == "pad" || op == "label")
    ctx.report.note(stage + "  " + data->shapeText());
  if (at.step) {
    ctx.report.note(stage + "  goes on after step " + std::to_string(at.step));
  }
  if (sources) {
    std::string rows;
    for (const PackedData::Source &s : data->sources)
      rows += (rows.empty() ? "" : ", ") + s.name + " " + std::to_string(s.rows);
    ctx.report.event("shares", {{"stage", stage}, {"step", at.step}, {"shares", sources->named(sources->shares())}});
    ctx.report.note(stage + "  shares " + sources->text() + "; rows " + rows);
  }
  return Status::ok();
}

/// What went wrong on the device, and what is left of the training.
Status Training::failedIn(uint64_t stepNumber, const Status &st) const {
  if (st)
    return st;
  std::string kept = lastSaved ? "\nhelp: the checkpoint of step " + std::to_string(lastSaved) +
                                     " is kept; the same command goes on from there"
                               : "";
  return Status::error("step " + std::to_string(stepNumber) + ": " + st.message() + kept,
                       st.getExitClass());
}

/// At an epoch's end, before the batch that begins with the place `first`: asks the rule of `interleave` for
/// new shares. The losses it sees are those of the weights after the last step. All ranks measure alike and
/// take what rank 0 has found.
Status Training::adaptShares(uint64_t first, const SignalGuard &signals) {
  // Alone it may be interrupted, and is then done again; ranks have to agree on that, so they go on.
  auto goOn = [&](double) { return ctx.ranks || !signals.stopAsked(); };
  R1RT_ASSIGN(std::vector<double> losses, sources->losses(*exec, batcher->batch(), goOn));
  R1RT_ASSIGN(std::vector<double> shares, sources->adapted(losses, ctx.data));
  if (ctx.ranks)
    R1RT_TRY(ctx.ranks->fromFirst(shares.data(), shares.size() * sizeof(double)));
  R1RT_TRY(sources->setShares(first, shares));
  uint64_t epoch = (first + uint64_t(batcher->batch()) - 1) / data->rows(); // of its last row
  ctx.report.event("shares", {{"stage", stage},
                              {"step", at.step},
                              {"epoch", epoch},
                              {"shares", sources->named(sources->shares())},
                              {"loss", sources->named(losses)}});
  std::string seen;
  for (size_t i = 0; i < losses.size(); ++i) {
    char loss[32];
    std::snprintf(loss, sizeof loss, " %.4f", losses[i]);
    seen += (seen.empty() ? "" : ", ") + data->sources[i].name + loss;
  }
  ctx.report.note(stage + "  step " + std::to_string(at.step) + "  loss " + seen + "; shares " + sources->text());
  return Status::ok();
}

Status Training::startStep() {
  Started s;
  s.begin = Clock::now();
  StepRecord &r = s.record;
  r.step = at.step + started.size() + 1;
  uint64_t first = (r.step - 1) * uint64_t(batcher->batch());
  double progress = budget.steps ? double(r.step) / double(budget.steps) : at.seconds / budget.seconds;
  progress = std::min(progress, 1.0);
  r.lr = job.lr ? job.lr(progress) : 0;
  auto rowAt = [&](int64_t b) {
    return sources ? sources->row(first + uint64_t(b)) : order->row(first + uint64_t(b));
  };
  s.targets = batcher->fill(exec->arena(), rowAt, first);
  for (size_t i = 0; sources && sources->adapts() && i < data->sources.size(); ++i)
    r.more["share." + data->sources[i].name] = sources->shares()[i]; // a curve for each source
  for (uint32_t i = 0; i < step->n_scalars; ++i) {
    std::string_view name = step->scalars[i].name;
    double v = name == "lr"         ? r.lr
               : name == "t"        ? double(r.step)
               : name == "progress" ? progress
               : name == "seed"     ? double(seed % (1u << 24)) // exact in f32
                                    : clip;
    *reinterpret_cast<float *>(exec->at(step->scalars[i])) = float(v);
  }
  R1RT_TRY(failedIn(r.step, exec->start(*step)));
  started.push_back(std::move(s));
  return Status::ok();
}

/// Waits for the oldest step and tells what it has given.
Status Training::finishStep(StepLog *log) {
  Started s = std::move(started.front());
  started.pop_front();
  StepRecord &r = s.record;
  R1RT_TRY(failedIn(r.step, exec->finish()));
  if (job.clocks)
    *job.clocks = exec->kernelClocks();
  r.loss = readScalar(*exec, *lossField);
  r.gradNorm = normField && isScalar(*normField) ? readScalar(*exec, *normField) : 0;
  for (uint32_t i = 0; i < step->n_outputs; ++i)
    if (const r1_field &f = step->outputs[i]; &f != lossField && &f != normField && isScalar(f))
      r.more[f.name] = readScalar(*exec, f);
  double took = since(std::max(s.begin, lastFinish));
  lastFinish = Clock::now();
  r.ms = took * 1000;
  r.tokensPerSecond = double(s.targets) / std::max(took, 1e-9);
  if (!std::isfinite(r.loss))
    return Status::error("the loss of step " + std::to_string(r.step) +
                         " is not finite; the learning rate was " + std::to_string(r.lr) +
                         ". A lower one, a warm-up or `clip` may help");
  at.step = r.step;
  at.targets += s.targets;
  lastLoss = r.loss;
  if (log)
    R1RT_TRY(log->step(r));
  double p = budget.steps ? double(at.step) / double(budget.steps) : at.seconds / budget.seconds;
  ctx.report.step(stage, r, std::min(p, 1.0), budget.steps);
  return Status::ok();
}

Status Training::finishSteps(StepLog *log, size_t but) {
  while (started.size() > but)
    R1RT_TRY(finishStep(log));
  return Status::ok();
}

Status Training::validate(uint64_t stepNumber) {
  R1RT_ASSIGN(Likelihood l, measureLikelihood(*exec, valid));
  ctx.report.event(
      "metric",
      {{"stage", stage}, {"name", "valid_loss"}, {"value", l.loss()}, {"step", stepNumber}});
  char text[64];
  std::snprintf(text, sizeof text, "%.4f", l.loss());
  ctx.report.note(stage + "  step " + std::to_string(stepNumber) + "  valid loss " + text);
  return Status::ok();
}

Status Training::checkpoint(StepLog *log) {
  if (!log || at.step == 0 || at.step == lastSaved)
    return Status::ok();
  R1RT_TRY(log->flush()); // the series must not lag behind the checkpoint
  R1RT_TRY(exec->pull());
  if (sources)
    at.order = sources->state();
  R1RT_TRY(saveCheckpoint(*exec, job.dir, at));
  lastSaved = at.step;
  return Status::ok();
}

Result<json> Training::finish(double loss) {
  json result = {{"steps", at.step}, {"targets", at.targets}, {"seconds", at.seconds}};
  result["data"] = data->shape();
  for (size_t i = 0; i < data->sources.size(); ++i)
    result["sources"][data->sources[i].name] = {
        {"rows", data->sources[i].rows}, {"taken", sources->taken()[i]}, {"share", sources->shares()[i]}};
  if (std::isfinite(loss))
    result["loss"] = loss;
  if (!writes())
    return result;
  R1RT_TRY(exec->pull());
  std::map<std::string, std::string> meta = {{"format", "r1"}, {"steps", std::to_string(at.step)}};
  if (auto m = spec.find("metadata"); m != spec.end() && m->is_object())
    for (auto &[k, v] : m->items())
      meta[k] = v.is_string() ? v.get<std::string>() : v.dump();
  meta["xxh64"] = hashOf(leafViews(*exec));
  R1RT_TRY(writeSafetensors(job.dir + "/model.safetensors", leafViews(*exec), meta));
  R1RT_ASSIGN(std::vector<TensorView> states, stateViews(*exec));
  R1RT_TRY(writeSafetensors(job.dir + "/state.safetensors", states,
                            {{"steps", std::to_string(at.step)}}));
  R1RT_TRY(data->tokenizer->save(job.dir));
  removeCheckpoints(job.dir);
  return result;
}

Result<json> Training::run() {
  SignalGuard signals; // also while data is read: what stops there goes on from the beginning
  R1RT_TRY(prepare());
  std::unique_ptr<StepLog> log; // of the rank that writes
  if (writes()) {
    R1RT_ASSIGN(log, StepLog::open(job.dir, stage, at.step));
  }
  double every = spec.value("checkpoint_seconds", 30.0);
  uint64_t everySteps = spec.value("checkpoint_steps", uint64_t(0));
  uint64_t validEvery = std::max<uint64_t>(1, budget.steps / 10);
  const auto begin = Clock::now();
  const double before = at.seconds; // spent by earlier runs, up to their last checkpoint
  auto lastCheckpoint = begin;
  auto newest = [&] { return at.step + started.size(); }; // step that was started
  auto done = [&] { return budget.steps ? newest() >= budget.steps : at.seconds >= budget.seconds; };
  while (true) {
    // Rank 0 says what is next, so that all leave the loop at the same step.
    struct {
      double seconds;
      bool done, stop;
    } now = {at.seconds, done(), signals.stopAsked()};
    if (ctx.ranks)
      R1RT_TRY(ctx.ranks->fromFirst(&now, sizeof now));
    at.seconds = now.seconds;
    if (now.done || now.stop)
      R1RT_TRY(finishSteps(log.get(), 0));
    if (now.done)
      break;
    if (now.stop) {
      R1RT_TRY(checkpoint(log.get()));
      return Status::error("interrupted after step " + std::to_string(at.step) +
                               "; the same command goes on from there",
                           ExitClass::interrupted);
    }
    if (job.clocks && newest() == began + 1) { // the first step touches memory for the first time
      R1RT_TRY(finishSteps(log.get(), 0));
      exec->startClocks();
    }
    if (uint64_t first = newest() * uint64_t(batcher->batch());
        sources && sources->adapts() && sources->beginsEpoch(first, batcher->batch())) {
      R1RT_TRY(finishSteps(log.get(), 0));
      Status st = adaptShares(first, signals);
      if (!st && st.getExitClass() == ExitClass::interrupted)
        continue; // and stop
      R1RT_TRY(st);
    }
    R1RT_TRY(startStep());
    at.seconds = before + since(begin);
    R1RT_TRY(finishSteps(log.get(), exec->ahead()));
    at.seconds = before + since(begin);
    bool measures = valid && budget.steps && (newest() % validEvery == 0 || done());
    bool saves = !done() && (signals.takeCheckpointRequest() || since(lastCheckpoint) >= every ||
                             (everySteps && newest() % everySteps == 0));
    if (measures || saves)
      R1RT_TRY(finishSteps(log.get(), 0));
    if (measures)
      R1RT_TRY(validate(at.step));
    if (saves) {
      R1RT_TRY(checkpoint(log.get()));
      lastCheckpoint = Clock::now();
    }
  }
  if (log)
    R1RT_TRY(log->flush());
  return finish(lastLoss);
}

} // namespace

Result<json> runTrain(const TrainJob &job, StageContext &ctx) {
  try {
    return Training(job, ctx).run();
  } catch (const json::exception &e) { // a field of another type than described
    return badSpec(e.what());
  }
}

} // namespace r1rt
