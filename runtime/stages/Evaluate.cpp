#include "runtime/stages/Likelihood.h"
#include "runtime/stages/Signals.h"
#include "runtime/stages/Stages.h"
#include "runtime/stages/Weights.h"
#include <cmath>

namespace r1rt {

using nlohmann::json;

Result<Likelihood> measureLikelihood(Executor &e, PackedPtr data,
                                     const std::function<bool(double)> &goOn) {
  const r1_program *p = e.program("eval");
  if (!p)
    return Status::error("the compiled module has no program `eval`");
  const r1_field *sum = findField(p->outputs, p->n_outputs, "nll");
  const r1_field *count = findField(p->outputs, p->n_outputs, "tokens");
  for (const r1_field *f : {sum, count})
    if (!f || fieldElements(*f) != 1 || (f->dtype != R1_F32 && f->dtype != R1_F64))
      return Status::error("the program `eval` does not yield the scalars `nll` and `tokens`");
  auto value = [&](const r1_field &f) {
    return f.dtype == R1_F64 ? *reinterpret_cast<double *>(e.at(f))
                             : double(*reinterpret_cast<float *>(e.at(f)));
  };
  R1RT_ASSIGN(Batcher batcher, Batcher::create(data, *p));
  Likelihood l;
  l.textBytes = data->textBytes;
  for (uint64_t first = 0; first < data->rows(); first += uint64_t(batcher.batch())) {
    batcher.fill(e.arena(), [&](int64_t b) {
      uint64_t row = first + uint64_t(b);
      return row < data->rows() ? uint32_t(row) : PackedData::noRow;
    });
    R1RT_TRY(e.run(*p));
    l.nll += value(*sum);
    l.targets += value(*count);
    if (goOn && !goOn(double(first) / data->rows()))
      return Status::error("interrupted", ExitClass::interrupted);
  }
  if (l.targets == 0)
    return Status::error("the data has no token to predict");
  return l;
}

static Result<json> evaluate(const EvaluateJob &job, StageContext &ctx) {
  const json &spec = job.spec;
  std::string stage = spec.value("stage", "evaluate");
  R1RT_ASSIGN(std::unique_ptr<Executor> exec, Executor::create(ctx.device, *job.module, ctx.accelerator));
  auto loaded = loadLeaves(*exec, job.modelDir + "/model.safetensors", "", /*all=*/true);
  if (!loaded)
    return loaded.status().withContext("the weights to evaluate");
  R1RT_TRY(leavesWritten(*exec));
  SignalGuard signals;
  std::map<std::string, Likelihood> measured; // by tree: two metrics of one corpus are one pass
  json values = json::object();
  const json metrics = spec.value("metrics", json::object());
  for (auto &[name, m] : metrics.items()) {
    std::string kind = m.value("metric", "");
    if (kind != "perplexity" && kind != "bits_per_byte" && kind != "loss")
      return Status::error("the metric `" + kind + "` is not supported yet", ExitClass::program);
    std::string key = m.value("data", json()).dump();
    auto it = measured.find(key);
    if (it == measured.end()) {
      auto packed = openPacked(m.value("data", json()), ctx.data);
      if (!packed)
        return packed.status().withContext("metric `" + name + "`");
      auto l = measureLikelihood(*exec, *packed, [&](double) { return !signals.stopAsked(); });
      if (!l)
        return l.status().withContext("metric `" + name + "`");
      it = measured.emplace(key, *l).first;
    }
    const Likelihood &l = it->second;
    double v = l.loss();
    if (kind == "perplexity")
      v = std::exp(v);
    else if (kind == "bits_per_byte")
      v = l.nll / std::log(2.0) / double(l.textBytes);
    if (!std::isfinite(v))
      return Status::error("metric `" + name +
                           "` is not finite: the mean negative log-probability is " +
                           std::to_string(l.loss()));
    values[name] = v;
    ctx.report.metric(stage, name, v);
  }
  if (!job.dir.empty())
    R1RT_TRY(writeFileAtomic(job.dir + "/metrics.json", values.dump(2) + "\n"));
  return json{{"metrics", values}};
}

Result<json> runEvaluate(const EvaluateJob &job, StageContext &ctx) {
  try {
    return evaluate(job, ctx);
  } catch (const json::exception &e) {
    return Status::error(std::string("the description of the evaluation is not right: ") + e.what(),
                         ExitClass::program);
  }
}

} // namespace r1rt
