#include "runtime/stages/AverageWeights.h"
#include "runtime/stages/Likelihood.h"
#include "runtime/stages/Training.h"
#include "runtime/stages/Weights.h"

namespace r1rt {

using nlohmann::json;

/// Measures the loss on `valid`, of averaged weights if there are any, and keeps the best ones.
Status Training::validate(StepLog *log) {
  AverageWeights average(*exec);
  R1RT_TRY(average.show());
  R1RT_ASSIGN(Likelihood l, measureLikelihood(*exec, valid));
  R1RT_TRY(average.hide());
  double loss = l.loss();
  if (ctx.ranks)
    R1RT_TRY(ctx.ranks->fromFirst(&loss, sizeof loss));
  ctx.report.event("metric", {{"stage", stage}, {"name", "valid_loss"}, {"value", loss}, {"step", at.step}});
  if (log)
    R1RT_TRY(log->measured(at.step, "valid_loss", loss));
  R1RT_TRY(showWeights(log));
  lastMeasured = at.step;
  bool isBest = (stopsEarly || keepsBest) && best.take(at.step, loss, minDelta);
  char text[64];
  std::snprintf(text, sizeof text, "%.4f", loss);
  ctx.report.note(stage + "  step " + std::to_string(at.step) + "  valid loss " + text + (isBest ? "  (the best)" : ""));
  if (isBest && keepsBest) {
    // First the checkpoint: should the run end between the two, its weights are those of the best.
    R1RT_TRY(checkpoint(log));
    if (writes())
      R1RT_TRY(saveBest());
  }
  stopped = stopsEarly && best.worse >= patience;
  if (stopped)
    ctx.report.note(stage + "  stops: the valid loss was best after step " + std::to_string(best.step) +
                    " and has not fallen enough in the last " + std::to_string(best.worse) + " measurements");
  return Status::ok();
}

/// How the weights are distributed, for TensorBoard.
Status Training::showWeights(StepLog *log) {
  if (!log || at.step == lastShown)
    return Status::ok();
  lastShown = at.step;
  R1RT_TRY(exec->pull());
  for (const TensorView &w : leafViews(*exec))
    if (w.dtype == "F32")
      R1RT_TRY(log->events().histogram(at.step, "weights/" + w.name,
                                       Histogram::of({reinterpret_cast<const float *>(w.data.data()), w.data.size() / 4})));
  return Status::ok();
}

/// The weights as they were measured, for the end.
Status Training::saveBest() {
  AverageWeights average(*exec);
  R1RT_TRY(average.show());
  R1RT_TRY(exec->pull());
  R1RT_TRY(saveBestWeights(*exec, job.dir, best.step));
  return average.hide();
}

Status Training::checkpoint(StepLog *log) {
  if (!log || at.step == 0 || at.step == lastSaved)
    return Status::ok();
  R1RT_TRY(log->flush()); // the series must not lag behind the checkpoint
  R1RT_TRY(exec->pull());
  if (sources)
    at.order = sources->state();
  at.policies = {{"best", best.state()}, {"losses", spikes.state()}, {"measured", lastMeasured}};
  if (scaled)
    at.policies["scale"] = scale.state();
  R1RT_TRY(saveCheckpoint(*exec, job.dir, at));
  lastSaved = at.step;
  return Status::ok();
}

/// Goes on from the newest checkpoint, if there is one.
Status Training::restore() {
  R1RT_ASSIGN(at, loadCheckpoint(*exec, job.dir,
                                 [&](const std::string &m) { ctx.report.warning(stage, m); }));
  R1RT_TRY(leavesWritten(*exec));
  lastSaved = began = at.step;
  if (!at.step)
    return Status::ok();
  if (sources)
    R1RT_TRY(sources->restore(at.order));
  auto part = [&](const char *key) { return at.policies.is_object() ? at.policies.value(key, json()) : json(); };
  R1RT_TRY(best.restore(part("best")));
  R1RT_TRY(spikes.restore(part("losses")));
  if (json m = part("measured"); m.is_number_unsigned())
    lastMeasured = m.get<uint64_t>();
  if (scaled)
    R1RT_TRY(scale.restore(part("scale")));
  if (!keepsBest || !best.step || !writes())
    return Status::ok();
  auto kept = bestStep(job.dir);
  if (kept && *kept == best.step)
    return Status::ok();
  if (at.step == best.step) // the run ended between the checkpoint and these
    return saveBest();
  ctx.report.warning(stage, "the best weights, of step " + std::to_string(best.step) +
                                ", are not there any more; the next measurement counts as the best");
  best = {};
  return Status::ok();
}

/// A run whose steps were left out must not pass for a trained model.
Status Training::checkTaken() const {
  const std::string all = std::to_string(at.step) + (at.step == 1 ? " step" : " steps");
  char by[32];
  std::snprintf(by, sizeof by, "%g", scale.value());
  const std::string scaledBy = scaled ? "; at the end the loss was scaled by " + std::string(by) : "";
  if (!at.taken)
    return Status::error("none of the " + all + " changed the weights: their losses or gradients were not finite, "
                         "or spikes" + scaledBy + "; help: " +
                         (scaled ? "precision = mixed(bf16), which has the range of f32, more steps, or"
                                 : "a warm-up, `clip`, or") + " a lower learning rate");
  if (const uint64_t over = at.step - at.taken - at.skipped; scaled && over)
    ctx.report.warning(stage, std::to_string(over) + " of " + all + " changed nothing, since gradients overflowed f16" +
                                  scaledBy);
  return Status::ok();
}

Result<json> Training::finish() {
  R1RT_TRY(checkTaken());
  json result = {{"steps", at.step}, {"targets", at.targets}, {"seconds", at.seconds}};
  result["data"] = data->shape();
  for (size_t i = 0; i < data->sources.size(); ++i)
    result["sources"][data->sources[i].name] = {
        {"rows", data->sources[i].rows}, {"taken", sources->taken()[i]}, {"share", sources->shares()[i]}};
  if (std::isfinite(lastLoss))
    result["loss"] = lastLoss;
  if (at.taken < at.step)
    result["skipped"] = at.step - at.taken;
  if (best.step)
    result["best"] = {{"step", best.step}, {"valid_loss", best.value}};
  if (stopped)
    result["stopped"] = "early";
  if (!writes())
    return result;
  R1RT_TRY(exec->pull());
  R1RT_ASSIGN(std::vector<TensorView> states, stateViews(*exec));
  R1RT_TRY(writeSafetensors(job.dir + "/state.safetensors", states,
                            {{"steps", std::to_string(at.step)}}));
  uint64_t weightsOf = at.step;
  if (keepsBest && best.step) {
    R1RT_TRY(loadBestWeights(*exec, job.dir));
    weightsOf = best.step;
  } else {
    // What is averaged stays in place: nothing is computed after this.
    R1RT_TRY(AverageWeights(*exec).show());
  }
  std::map<std::string, std::string> meta = {{"format", "r1"}, {"steps", std::to_string(weightsOf)}};
  if (auto m = spec.find("metadata"); m != spec.end() && m->is_object())
    for (auto &[k, v] : m->items())
      meta[k] = v.is_string() ? v.get<std::string>() : v.dump();
  meta["xxh64"] = hashOf(leafViews(*exec));
  R1RT_TRY(writeSafetensors(job.dir + "/model.safetensors", leafViews(*exec), meta));
  R1RT_TRY(data->tokenizer->save(job.dir));
  removeCheckpoints(job.dir);
  return result;
}

} // namespace r1rt
