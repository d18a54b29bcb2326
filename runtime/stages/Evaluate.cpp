#include "runtime/corpus/Engine.h"
#include "runtime/data/Buckets.h"
#include "runtime/metrics/Answers.h"
#include "runtime/metrics/Characters.h"
#include "runtime/metrics/Spans.h"
#include "runtime/stages/EvaluationLog.h"
#include "runtime/stages/Likelihood.h"
#include "runtime/stages/Signals.h"
#include "runtime/stages/Stages.h"
#include "runtime/stages/Weights.h"
#include <algorithm>
#include <cmath>
#include <map>
#include <xxhash.h>

namespace r1rt {

using nlohmann::json;

static Status interrupted() { return Status::error("interrupted", ExitClass::interrupted); }

Result<Likelihood> measureRows(Executor &e, PackedPtr data, uint64_t rows,
                               const std::function<uint32_t(uint64_t)> &rowAt,
                               const std::function<bool(double)> &goOn, const LikelihoodPart &part) {
  R1RT_ASSIGN(BucketPrograms programs, BucketPrograms::create(e, "eval", data));
  Likelihood l;
  uint64_t done = 0;
  R1RT_TRY(programs.run(e, rows, rowAt, [&](const r1_program &p, std::span<const uint32_t> batch) -> Status {
    const r1_field *sum = findField(p.outputs, p.n_outputs, "nll");
    const r1_field *count = findField(p.outputs, p.n_outputs, "tokens");
    for (const r1_field *f : {sum, count})
      if (!f || f->rank != 1 || f->dims[0] != programs.batch() || f->dtype != R1_F32)
        return Status::error(std::string("the program `") + p.name + "` does not yield `nll` and `tokens`, f32 [" +
                             std::to_string(programs.batch()) + "]");
    const float *nll = reinterpret_cast<float *>(e.at(*sum)), *tokens = reinterpret_cast<float *>(e.at(*count));
    for (size_t b = 0; b < batch.size(); ++b) {
      l.nll += nll[b];
      l.targets += tokens[b];
      if (part)
        part(batch[b], nll[b], tokens[b]);
    }
    done += batch.size();
    return goOn && !goOn(double(done) / double(rows)) ? interrupted() : Status::ok();
  }));
  if (l.targets == 0)
    return Status::error("the data has no token to predict");
  return l;
}

Result<Likelihood> measureLikelihood(Executor &e, PackedPtr data,
                                     const std::function<bool(double)> &goOn, const LikelihoodPart &part) {
  R1RT_ASSIGN(Likelihood l,
              measureRows(e, data, data->rows(), [](uint64_t row) { return uint32_t(row); }, goOn, part));
  l.textBytes = data->textBytes;
  return l;
}

namespace {

/// What a model makes of rows with classes: of each row, or of each word that has one.
struct Classified {
  std::vector<uint32_t> truths, predicted; // of a word that was cut off nothing is predicted
  std::vector<size_t> ends;         // of a row's words, if words have the classes
  std::vector<uint64_t> references; // hashes of what was judged: tokens and class
  std::vector<std::string> names;   // of the classes; or empty
  size_t classes = 0;
};

/// A hash of the row's tokens, and of its label if it has one.
uint64_t rowHash(const PackedData &data, uint32_t row) {
  std::vector<int32_t> all;
  for (uint32_t p = data.firstPiece[row]; p < data.firstPiece[row + 1]; ++p) {
    const PackedData::Piece &x = data.pieces[p];
    all.insert(all.end(), data.ids.begin() + ptrdiff_t(x.begin), data.ids.begin() + ptrdiff_t(x.begin) + x.length);
  }
  if (!data.labels.empty())
    all.push_back(data.labels[row]);
  return XXH3_64bits(all.data(), all.size() * sizeof(int32_t));
}

/// Runs the program "classify" over all rows: the class with the highest score is the prediction.
Result<Classified> classify(Executor &e, PackedPtr data, const SignalGuard &signals) {
  R1RT_ASSIGN(BucketPrograms programs, BucketPrograms::create(e, "classify", data));
  const int64_t classes = data->classes, most = programs.batch();
  const bool words = !data->tags.empty();
  // By row, and in it by place; buckets come one after the other.
  std::vector<std::vector<uint32_t>> found(data->rows());
  auto take = [&](const r1_program &p, std::span<const uint32_t> rows) -> Status {
    const r1_field *scores = findField(p.outputs, p.n_outputs, "scores");
    const uint32_t rank = words ? 3 : 2;
    if (!scores || scores->dtype != R1_F32 || uint32_t(scores->rank) != rank || scores->dims[0] != most ||
        scores->dims[rank - 1] != classes)
      return Status::error(std::string("the program `") + p.name + "` does not yield `scores`, f32 [" +
                           std::to_string(most) + (words ? ", length, " : ", ") + std::to_string(classes) + "]");
    const int64_t places = words ? scores->dims[1] : 1;
    const float *all = reinterpret_cast<const float *>(e.at(*scores));
    for (size_t b = 0; b < rows.size(); ++b) {
      const int64_t first = words && data->left ? places - int64_t(data->tokens(rows[b])) : 0;
      const int64_t used = words ? int64_t(data->tokens(rows[b])) : 1;
      for (int64_t i = first; i < first + used; ++i) {
        const float *at = all + (int64_t(b) * places + i) * classes;
        if (std::any_of(at, at + classes, [](float x) { return std::isnan(x); }))
          return Status::error("a score of row " + std::to_string(rows[b]) + " is not a number");
        found[rows[b]].push_back(uint32_t(std::max_element(at, at + classes) - at));
      }
    }
    return signals.stopAsked() ? interrupted() : Status::ok();
  };
  R1RT_TRY(programs.run(e, data->rows(), [](uint64_t row) { return uint32_t(row); }, take));
  Classified c;
  c.classes = size_t(classes);
  c.names = data->classNames;
  auto missed = data->missed.begin();
  for (uint32_t row = 0; row < data->rows(); ++row) {
    const size_t begin = c.truths.size();
    auto addMissed = [&] {
      for (; missed != data->missed.end() && missed->row == row && missed->place == c.truths.size() - begin; ++missed) {
        c.truths.push_back(uint32_t(missed->tag));
        c.predicted.push_back(metrics::noClass);
      }
    };
    if (!words) {
      c.truths.push_back(uint32_t(data->labels[row]));
      c.predicted.push_back(found[row][0]);
    } else {
      size_t place = 0;
      for (uint32_t p = data->firstPiece[row]; p < data->firstPiece[row + 1]; ++p)
        for (uint32_t k = 0; k < data->pieces[p].length; ++k, ++place)
          if (int32_t tag = data->tags[data->pieces[p].begin + k]; tag >= 0) {
            addMissed();
            c.truths.push_back(uint32_t(tag));
            c.predicted.push_back(found[row][place]);
          }
      addMissed();
      c.ends.push_back(c.truths.size());
    }
    c.references.push_back(rowHash(*data, row));
  }
  return c;
}

class Evaluation {
public:
  Evaluation(const EvaluateJob &job, StageContext &ctx, EvaluationLog log)
      : job(job), ctx(ctx), stage(job.spec.value("stage", "evaluate")), log(std::move(log)) {}
  Result<json> run();

private:
  Status measure(const std::string &name, const json &metric);
  Status likelihood(const std::string &name, const std::string &kind, const json &metric);
  Status classes(const std::string &name, const std::string &kind, const json &metric);
  Result<Judged> spans(const Classified &c, const json &metric) const;
  Result<PackedPtr> open(const json &tree);
  Result<uint64_t> wordsOf(const json &tree);

  const EvaluateJob &job;
  StageContext &ctx;
  std::string stage;
  EvaluationLog log;
  std::unique_ptr<Executor> exec;
  SignalGuard signals;
  struct Measurement {
    Likelihood all;
    std::vector<metrics::LikelihoodSums> rows; // that have targets: a resample of none would have no mean
    std::vector<uint64_t> references; // of these rows
  };
  // By tree: two metrics of one corpus are one pass.
  std::map<std::string, Measurement> likelihoods;
  std::map<std::string, Classified> classified;
};

Result<PackedPtr> Evaluation::open(const json &tree) {
  R1RT_ASSIGN(PackedPtr data, openPacked(tree, ctx.data));
  std::string op = tree.value("op", "");
  if (tellsShape(op) || !data->leftOut.empty())
    ctx.report.note(stage + "  " + data->shapeText());
  return data;
}

/// What white space separates, in the texts that the rows of tokens are made of.
Result<uint64_t> Evaluation::wordsOf(const json &tree) {
  uint64_t n = 0;
  R1RT_TRY(corpus::eachRow(tree.value("in", json()), ctx.data, [&](corpus::Row &&row) -> Status {
    n += metrics::words(metrics::decode(row.text)).size();
    return signals.stopAsked() ? interrupted() : Status::ok();
  }));
  return n;
}

Status Evaluation::likelihood(const std::string &name, const std::string &kind, const json &metric) {
  const json data = metric.value("data", json());
  std::string key = data.dump();
  auto it = likelihoods.find(key);
  if (it == likelihoods.end()) {
    R1RT_ASSIGN(PackedPtr packed, open(data));
    Measurement m;
    std::vector<metrics::LikelihoodSums> sums(packed->rows());
    auto part = [&](uint32_t row, double nll, double targets) { sums[row] = {nll, targets, 0, 0}; };
    R1RT_ASSIGN(m.all, measureLikelihood(*exec, packed, [&](double) { return !signals.stopAsked(); }, part));
    for (uint32_t r = 0; r < packed->rows(); ++r)
      if (sums[r].tokens > 0) {
        m.rows.push_back(sums[r]);
        m.references.push_back(rowHash(*packed, r));
      }
    it = likelihoods.emplace(key, std::move(m)).first;
  }
  const Measurement &m = it->second;
  const std::string per = metric.value("per", "token");
  uint64_t words = 0;
  if (per == "word") {
    R1RT_ASSIGN(words, wordsOf(data));
  }
  // A row has the words and bytes that its tokens are of all tokens.
  std::vector<metrics::LikelihoodSums> parts = m.rows;
  for (auto &p : parts) {
    p.words = double(words) * p.tokens / m.all.targets;
    p.bytes = double(m.all.textBytes) * p.tokens / m.all.targets;
  }
  const json *rows = &data;
  while (rows->value("op", "") == "masked")
    rows = &rows->at("in");
  const std::string op = rows->value("op", "");
  const bool documents = op == "pad" || op == "translate"; // of `pack` and `chat` a row may hold several
  using metrics::LikelihoodUnit;
  const LikelihoodUnit unit = kind == "bits_per_byte" ? LikelihoodUnit::bitsPerByte
                              : kind == "loss"        ? LikelihoodUnit::loss
                              : per == "word"         ? LikelihoodUnit::wordPerplexity
                              : per == "byte"         ? LikelihoodUnit::bytePerplexity
                                                      : LikelihoodUnit::perplexity;
  Status st = log.add(name, {metrics::likelihood(parts, unit, documents ? "document" : "row"), m.references});
  return st ? st
            : st.withContext("the mean negative log-probability is " + std::to_string(m.all.loss()));
}

/// The spans that named tags make, row by row.
Result<Judged> Evaluation::spans(const Classified &c, const json &metric) const {
  if (c.ends.empty() || c.names.empty())
    return Status::error("spans are of words with named tags (IOB2)", ExitClass::program);
  std::vector<std::vector<std::string>> truths, predicted;
  size_t i = 0;
  for (size_t end : c.ends) {
    auto &t = truths.emplace_back(), &p = predicted.emplace_back();
    for (; i < end; ++i) {
      t.push_back(c.names[c.truths[i]]);
      p.push_back(c.predicted[i] == metrics::noClass ? "O" : c.names[c.predicted[i]]);
    }
  }
  Judged j;
  R1RT_ASSIGN(j.metric, metrics::spans(truths, predicted, metrics::ClassMetric::f1,
                                       *metrics::averageNamed(metric.value("average", "micro")),
                                       metric.value("strict", false)));
  j.references = c.references;
  return j;
}

Status Evaluation::classes(const std::string &name, const std::string &kind, const json &metric) {
  const json data = metric.value("data", json());
  std::string key = data.dump();
  auto it = classified.find(key);
  if (it == classified.end()) {
    R1RT_ASSIGN(PackedPtr rows, open(data));
    if (rows->labels.empty() && rows->tags.empty())
      return Status::error("its rows have no labels", ExitClass::program);
    R1RT_ASSIGN(Classified c, classify(*exec, rows, signals));
    if (size_t n = rows->missed.size())
      ctx.report.note(stage + "  " + std::to_string(n) + " of " + std::to_string(c.truths.size()) +
                      " words have no token in their row; nothing is predicted of them, which counts as wrong");
    it = classified.emplace(key, std::move(c)).first;
  }
  const Classified &c = it->second;
  const std::string given = metric.value("average", "macro");
  const auto average = metrics::averageNamed(given);
  if (!average)
    return Status::error("`average` is \"macro\", \"micro\" or \"weighted\", not \"" + given + "\"",
                         ExitClass::program);
  if (kind == "span_f1") {
    R1RT_ASSIGN(Judged j, spans(c, metric));
    return log.add(name, std::move(j));
  }
  log.confusion(key, c.truths, c.predicted, c.names, c.classes);
  Judged j;
  R1RT_ASSIGN(j.metric,
              metrics::classification(c.truths, c.predicted, c.classes, *metrics::classMetric(kind), *average));
  if (c.ends.empty()) {
    j.references = c.references;
  } else { // a document is a word
    size_t from = 0;
    for (size_t row = 0; row < c.ends.size(); ++row) {
      j.references.insert(j.references.end(), c.ends[row] - from, c.references[row]);
      from = c.ends[row];
    }
  }
  return log.add(name, std::move(j));
}

Status Evaluation::measure(const std::string &name, const json &metric) {
  std::string kind = metric.value("metric", "");
  if (metrics::classMetric(kind) || kind == "span_f1")
    return classes(name, kind, metric);
  if (kind != "perplexity" && kind != "bits_per_byte" && kind != "loss")
    return Status::error("there is no metric `" + kind + "` of a model", ExitClass::program);
  return likelihood(name, kind, metric);
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
  return log.finish(job.dir);
}

} // namespace

Result<json> runEvaluate(const EvaluateJob &job, StageContext &ctx) {
  try {
    R1RT_ASSIGN(EvaluationLog log, EvaluationLog::open(job.spec, ctx));
    return Evaluation(job, ctx, std::move(log)).run();
  } catch (const json::exception &e) {
    return Status::error(std::string("the description of the evaluation is not right: ") + e.what(),
                         ExitClass::program);
  }
}

} // namespace r1rt
