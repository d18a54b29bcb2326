#include "runtime/stages/Training.h"
#include "runtime/stages/Weights.h"
#include <algorithm>

namespace r1rt {

using nlohmann::json;

static Status badSpec(const std::string &what) {
  return Status::error("the description of the training is not right: " + what, ExitClass::program);
}

Result<Budget> Budget::of(const json &j, const PackedData &data, const std::vector<double> &shares, int64_t batch) {
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

/// Do the programs take what training has, and give what it needs?
Status Training::checkPrograms() {
  for (size_t b = 0; b < steps->size(); ++b) {
    const r1_program &step = steps->program(b);
    const std::string called = std::string("the program `") + step.name + "`";
    for (uint32_t i = 0; i < step.n_scalars; ++i) {
      std::string_view name = step.scalars[i].name;
      guarded |= name == "limit";
      scaled |= name == "loss_scale";
      if (name != "lr" && name != "t" && name != "progress" && name != "clip" && name != "seed" && name != "limit" &&
          name != "loss_scale")
        return Status::error(called + " wants the scalar `" + std::string(name) +
                             "`, which training does not have");
    }
    const r1_field *loss = findField(step.outputs, step.n_outputs, "loss");
    if (!loss || fieldElements(*loss) != 1 || loss->dtype != R1_F32)
      return Status::error(called + " yields no scalar `loss`");
  }
  return Status::ok();
}

/// What becomes of bad steps, when to measure, when to stop.
Status Training::readPolicies() {
  auto given = [&](const char *key) {
    auto it = spec.find(key);
    return it == spec.end() || it->is_null() ? nullptr : &*it;
  };
  if (const json *g = given("guard")) {
    skips = guarded;
    mostSkips = g->value("most", 3u);
    uint32_t window = g->value("window", 64u);
    if (window < 2)
      return badSpec("\"guard\" looks at a window of " + std::to_string(window) + " losses; 2 are the least");
    const json z = g->value("spike", json());
    spikes = SpikeLimit(z.is_number() ? z.get<double>() : 0, window);
  }
  if (const json *s = given("stop")) {
    stopsEarly = true;
    patience = s->value("patience", 3u);
    minDelta = s->value("min_delta", 0.0);
  }
  keepsBest = spec.value("keep", "last") == std::string("best");
  if ((stopsEarly || keepsBest) && !given("valid"))
    return badSpec("\"stop\" and \"keep\" look at \"valid\", and there is none");
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
  R1RT_ASSIGN(BucketPrograms programs, BucketPrograms::create(*exec, "step", data));
  steps = std::make_unique<BucketPrograms>(std::move(programs));
  if (spec.contains("batch") && spec["batch"] != steps->batch())
    return Status::error("the program was compiled for batches of " +
                         std::to_string(steps->batch()) + " rows, not " + spec["batch"].dump());
  R1RT_TRY(checkPrograms());
  R1RT_TRY(readPolicies());
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
    order = std::make_unique<BatchOrder>(*data, steps->batch(), seed, stage);
  }
  R1RT_ASSIGN(budget, Budget::of(spec.value("budget", json()), *data,
                                 sources ? sources->shares() : std::vector<double>(), steps->batch()));
  if (valid) // every tenth of a number of steps
    validEvery = spec.value("valid_every", budget.steps ? std::max<uint64_t>(1, budget.steps / 10) : 0);

  R1RT_ASSIGN(std::vector<TensorView> states, stateViews(*exec));
  uint64_t weights = 0;
  for (const TensorView &t : leafViews(*exec))
    weights += t.data.size();
  uint64_t bytes = weights;
  for (const TensorView &t : states)
    bytes += t.data.size();
  // Two checkpoints and one being written, or one checkpoint and the final files.
  // A step takes some 400 bytes in steps.jsonl and the event file.
  uint64_t have = checkpointBytes(job.dir), need = 3 * bytes + 400 * budget.steps + (1 << 20);
  if (keepsBest)
    need += weights;
  if (writes())
    R1RT_TRY(requireSpace(job.dir, need - std::min(need, have), "stage `" + stage + "`"));
  R1RT_TRY(startWeights());
  R1RT_TRY(restore());
  const json *node = SourceOrder::find(spec["data"]), *part = node ? &*node->at("sources").begin() : &spec["data"];
  while (part->value("op", "") == "masked")
    part = &part->at("in");
  if (std::string op = part->value("op", ""); tellsShape(op) || !data->leftOut.empty())
    ctx.report.note(stage + "  " + data->shapeText());
  if (std::string few = fewRows(*data, steps->batch()); !few.empty())
    ctx.report.warning(stage, few);
  if (at.step)
    ctx.report.note(stage + "  goes on after step " + std::to_string(at.step));
  if (sources) {
    std::string rows;
    for (const PackedData::Source &s : data->sources)
      rows += (rows.empty() ? "" : ", ") + s.name + " " + std::to_string(s.rows);
    ctx.report.event("shares", {{"stage", stage}, {"step", at.step}, {"shares", sources->named(sources->shares())}});
    ctx.report.note(stage + "  shares " + sources->text() + "; rows " + rows);
  }
  return Status::ok();
}

/// At an epoch's end, before the batch that begins with the place `first`: asks the rule of `interleave` for
/// new shares. The losses it sees are those of the weights after the last step. All ranks measure alike and
/// take what rank 0 has found.
Status Training::adaptShares(uint64_t first, const SignalGuard &signals) {
  // Alone it may be interrupted, and is then done again; ranks have to agree on that, so they go on.
  auto goOn = [&](double) { return ctx.ranks || !signals.stopAsked(); };
  R1RT_ASSIGN(std::vector<double> losses, sources->losses(*exec, steps->batch(), goOn));
  R1RT_ASSIGN(std::vector<double> shares, sources->adapted(losses, ctx.data));
  if (ctx.ranks)
    R1RT_TRY(ctx.ranks->fromFirst(shares.data(), shares.size() * sizeof(double)));
  R1RT_TRY(sources->setShares(first, shares));
  uint64_t epoch = (first + uint64_t(steps->batch()) - 1) / data->rows(); // of its last row
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

Result<json> Training::run() {
  SignalGuard signals; // also while data is read: what stops there goes on from the beginning
  R1RT_TRY(prepare());
  std::unique_ptr<StepLog> log; // of the rank that writes
  if (writes()) {
    R1RT_ASSIGN(log, StepLog::open(job.dir, stage, at.step));
  }
  double every = spec.value("checkpoint_seconds", 30.0);
  uint64_t everySteps = spec.value("checkpoint_steps", uint64_t(0));
  const auto begin = StepClock::now();
  const double before = at.seconds; // spent by earlier runs, up to their last checkpoint
  auto lastCheckpoint = begin;
  while (true) {
    // Rank 0 says what is next, so that all leave the loop at the same step.
    struct {
      double seconds;
      bool done, stop;
    } now = {at.seconds, stopped || lastStep(), signals.stopAsked()};
    if (ctx.ranks)
      R1RT_TRY(ctx.ranks->fromFirst(&now, sizeof now));
    at.seconds = now.seconds;
    if (now.done)
      break;
    if (now.stop) {
      R1RT_TRY(checkpoint(log.get()));
      return Status::error("interrupted after step " + std::to_string(at.step) +
                               "; the same command goes on from there",
                           ExitClass::interrupted);
    }
    if (job.clocks && at.step == began + 1) // the first step touches memory for the first time
      exec->startClocks();
    if (uint64_t first = at.step * uint64_t(steps->batch());
        sources && sources->adapts() && sources->beginsEpoch(first, steps->batch())) {
      Status st = adaptShares(first, signals);
      if (!st && st.getExitClass() == ExitClass::interrupted)
        continue; // and stop
      R1RT_TRY(st);
    }
    R1RT_TRY(takeStep(log.get()));
    at.seconds = before + secondsSince(begin);
    if (validEvery && at.step % validEvery == 0)
      R1RT_TRY(validate(log.get()));
    if (!lastStep() && !stopped &&
        (signals.takeCheckpointRequest() || secondsSince(lastCheckpoint) >= every ||
         (everySteps && at.step % everySteps == 0))) {
      R1RT_TRY(checkpoint(log.get()));
      lastCheckpoint = StepClock::now();
    }
  }
  if (valid && lastMeasured != at.step)
    R1RT_TRY(validate(log.get()));
  R1RT_TRY(showWeights(log.get()));
  if (log)
    R1RT_TRY(log->flush());
  return finish();
}

Result<json> runTrain(const TrainJob &job, StageContext &ctx) {
  try {
    return Training(job, ctx).run();
  } catch (const json::exception &e) { // a field of another type than described
    return badSpec(e.what());
  }
}

} // namespace r1rt
