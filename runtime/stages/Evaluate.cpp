#include "runtime/metrics/Classification.h"
#include "runtime/stages/Likelihood.h"
#include "runtime/stages/Signals.h"
#include "runtime/stages/Stages.h"
#include "runtime/stages/Weights.h"
#include <algorithm>
#include <cmath>

namespace r1rt {

using nlohmann::json;

static Status interrupted() { return Status::error("interrupted", ExitClass::interrupted); }

Result<Likelihood> measureRows(Executor &e, PackedPtr data, uint64_t rows,
                               const std::function<uint32_t(uint64_t)> &rowAt,
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
  for (uint64_t first = 0; first < rows; first += uint64_t(batcher.batch())) {
    batcher.fill(e.arena(), [&](int64_t b) {
      uint64_t at = first + uint64_t(b);
      return at < rows ? rowAt(at) : PackedData::noRow;
    }, first);
    R1RT_TRY(e.run(*p));
    l.nll += value(*sum);
    l.targets += value(*count);
    if (goOn && !goOn(double(first) / double(rows)))
      return interrupted();
  }
  if (l.targets == 0)
    return Status::error("the data has no token to predict");
  return l;
}

Result<Likelihood> measureLikelihood(Executor &e, PackedPtr data,
                                     const std::function<bool(double)> &goOn) {
  R1RT_ASSIGN(Likelihood l, measureRows(e, data, data->rows(), [](uint64_t row) { return uint32_t(row); }, goOn));
  l.textBytes = data->textBytes;
  return l;
}

/// Runs the program "classify" over all rows: what each is, and which class has the highest score.
static Result<Confusion> measureClasses(Executor &e, PackedPtr data, const SignalGuard &signals) {
  const r1_program *p = e.program("classify");
  if (!p)
    return Status::error("the compiled module has no program `classify`");
  R1RT_ASSIGN(Batcher batcher, Batcher::create(data, *p));
  const r1_field *scores = findField(p->outputs, p->n_outputs, "scores");
  const int64_t classes = data->classes;
  if (!scores || scores->dtype != R1_F32 || scores->rank != 2 || scores->dims[0] != batcher.batch() ||
      scores->dims[1] != classes)
    return Status::error("the program `classify` does not yield `scores`, f32 [" +
                         std::to_string(batcher.batch()) + ", " + std::to_string(classes) + "]");
  Confusion found{size_t(classes)};
  for (uint64_t first = 0; first < data->rows(); first += uint64_t(batcher.batch())) {
    batcher.fill(e.arena(), [&](int64_t b) {
      uint64_t row = first + uint64_t(b);
      return row < data->rows() ? uint32_t(row) : PackedData::noRow;
    });
    R1RT_TRY(e.run(*p));
    const float *all = reinterpret_cast<const float *>(e.at(*scores));
    for (int64_t b = 0; b < batcher.batch() && first + uint64_t(b) < data->rows(); ++b) {
      std::span<const float> row(all + b * classes, size_t(classes));
      if (std::any_of(row.begin(), row.end(), [](float x) { return std::isnan(x); }))
        return Status::error("a score of row " + std::to_string(first + uint64_t(b)) + " is not a number");
      found.add(size_t(data->labels[first + uint64_t(b)]),
                size_t(std::max_element(row.begin(), row.end()) - row.begin()));
    }
    if (signals.stopAsked())
      return interrupted();
  }
  return found;
}

namespace {

class Evaluation {
public:
  Evaluation(const EvaluateJob &job, StageContext &ctx)
      : job(job), ctx(ctx), stage(job.spec.value("stage", "evaluate")) {}
  Result<json> run();

private:
  Status measure(const std::string &name, const json &metric);
  Status likelihood(const std::string &name, const std::string &kind, const json &data);
  Status classes(const std::string &name, const std::string &kind, const json &metric);
  Result<PackedPtr> open(const json &tree);
  void say(const std::string &name, double value) {
    values[name] = value;
    ctx.report.metric(stage, name, value);
  }

  const EvaluateJob &job;
  StageContext &ctx;
  std::string stage;
  std::unique_ptr<Executor> exec;
  SignalGuard signals;
  // By tree: two metrics of one corpus are one pass.
  std::map<std::string, Likelihood> likelihoods;
  std::map<std::string, Confusion> confusions;
  json values = json::object();
};

Result<PackedPtr> Evaluation::open(const json &tree) {
  R1RT_ASSIGN(PackedPtr data, openPacked(tree, ctx.data));
  std::string op = tree.value("op", "");
  if (op == "pad" || op == "label")
    ctx.report.note(stage + "  " + data->shapeText());
  return data;
}

Status Evaluation::likelihood(const std::string &name, const std::string &kind, const json &data) {
  std::string key = data.dump();
  auto it = likelihoods.find(key);
  if (it == likelihoods.end()) {
    R1RT_ASSIGN(PackedPtr packed, open(data));
    R1RT_ASSIGN(Likelihood l,
                measureLikelihood(*exec, packed, [&](double) { return !signals.stopAsked(); }));
    it = likelihoods.emplace(key, l).first;
  }
  const Likelihood &l = it->second;
  double v = l.loss();
  if (kind == "perplexity")
    v = std::exp(v);
  else if (kind == "bits_per_byte")
    v = l.nll / std::log(2.0) / double(l.textBytes);
  if (!std::isfinite(v))
    return Status::error("it is not finite: the mean negative log-probability is " + std::to_string(l.loss()));
  say(name, v);
  return Status::ok();
}

Status Evaluation::classes(const std::string &name, const std::string &kind, const json &metric) {
  const json data = metric.value("data", json());
  std::string key = data.dump();
  auto it = confusions.find(key);
  if (it == confusions.end()) {
    R1RT_ASSIGN(PackedPtr rows, open(data));
    if (rows->labels.empty())
      return Status::error("its rows have no labels", ExitClass::program);
    R1RT_ASSIGN(Confusion c, measureClasses(*exec, rows, signals));
    it = confusions.emplace(key, std::move(c)).first;
  }
  const Confusion &c = it->second;
  if (kind == "accuracy") {
    Interval i = wilson(c.hits(), c.rows());
    say(name, c.accuracy());
    say(name + "_low", i.low);
    say(name + "_high", i.high);
    return Status::ok();
  }
  std::string average = metric.value("average", "macro");
  if (average != "macro" && average != "micro" && average != "weighted")
    return Status::error("`average` is \"macro\", \"micro\" or \"weighted\", not \"" + average + "\"",
                         ExitClass::program);
  say(name, average == "macro" ? c.f1Macro() : average == "micro" ? c.f1Micro() : c.f1Weighted());
  return Status::ok();
}

Status Evaluation::measure(const std::string &name, const json &metric) {
  std::string kind = metric.value("metric", "");
  if (kind == "accuracy" || kind == "f1")
    return classes(name, kind, metric);
  if (kind != "perplexity" && kind != "bits_per_byte" && kind != "loss")
    return Status::error("the metric `" + kind + "` is not supported yet", ExitClass::program);
  return likelihood(name, kind, metric.value("data", json()));
}

Result<json> Evaluation::run() {
  R1RT_ASSIGN(exec, Executor::create(ctx.device, *job.module, ctx.accelerator));
  auto loaded = loadLeaves(*exec, job.modelDir + "/model.safetensors", "", /*all=*/true);
  if (!loaded)
    return loaded.status().withContext("the weights to evaluate");
  R1RT_TRY(leavesWritten(*exec));
  const json metrics = job.spec.value("metrics", json::object());
  for (auto &[name, m] : metrics.items())
    if (Status st = measure(name, m); !st)
      return st.withContext("metric `" + name + "`");
  if (!job.dir.empty())
    R1RT_TRY(writeFileAtomic(job.dir + "/metrics.json", values.dump(2) + "\n"));
  return json{{"metrics", values}};
}

} // namespace

Result<json> runEvaluate(const EvaluateJob &job, StageContext &ctx) {
  try {
    return Evaluation(job, ctx).run();
  } catch (const json::exception &e) {
    return Status::error(std::string("the description of the evaluation is not right: ") + e.what(),
                         ExitClass::program);
  }
}

} // namespace r1rt
