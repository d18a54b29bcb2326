// Metrics of rows that hold predictions: a function of the row says where, and no model is run.
#include "runtime/corpus/Engine.h"
#include "runtime/metrics/Answers.h"
#include "runtime/metrics/Spans.h"
#include "runtime/metrics/Summary.h"
#include "runtime/stages/EvaluationLog.h"
#include "runtime/stages/Signals.h"
#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <xxhash.h>

namespace r1rt {

using metrics::Texts;
using nlohmann::json;

namespace {

/// What the rows give one metric.
struct Gathered {
  Texts texts;                                                // of texts
  std::vector<std::string> labels, predicted;                 // of classes
  std::vector<std::vector<std::string>> tags, predictedTags;  // of spans
  std::vector<metrics::Samples> samples;                      // of pass@k: by problem
  std::map<std::string, size_t> problems;
  std::vector<uint64_t> references; // hashes
};

enum class Kind { text, classes, spans, samples };

Kind kindOf(const std::string &metric) {
  if (metric == "pass_at")
    return Kind::samples;
  if (metric == "span_f1")
    return Kind::spans;
  return metrics::classMetric(metric) ? Kind::classes : Kind::text;
}

uint64_t hashOf(const std::vector<std::string> &parts) {
  std::string all;
  for (const std::string &p : parts)
    all += std::to_string(p.size()) + ":" + p;
  return XXH3_64bits(all.data(), all.size());
}

std::string shortened(std::string text) {
  if (text.size() <= 80)
    return text;
  size_t end = 77;
  while (end && (text[end] & 0xC0) == 0x80)
    --end;
  return text.substr(0, end) + "…";
}

Status wrong(const std::string &what, const json &value, const std::string &expected) {
  return Status::error("`" + what + "` gives " + shortened(value.dump(-1, ' ', false, json::error_handler_t::replace)) + "; " + expected);
}

Result<std::string> textOf(const std::string &what, const json &value, bool numbers) {
  if (value.is_string())
    return value.get<std::string>();
  if (numbers && value.is_number_float()) // 1.0 is the class 1
    if (const double x = value.get<double>(); x == std::floor(x) && std::fabs(x) < 9e15)
      return std::to_string(int64_t(x));
  if (numbers && (value.is_number() || value.is_boolean()))
    return value.dump();
  return wrong(what, value, numbers ? "it has to be a text, a number, true or false" : "it has to be a text");
}

Result<std::vector<std::string>> textsOf(const std::string &what, const json &value, bool numbers) {
  std::vector<std::string> out;
  if (!value.is_array()) {
    R1RT_ASSIGN(std::string one, textOf(what, value, numbers));
    out.push_back(std::move(one));
    return out;
  }
  for (const json &x : value) {
    R1RT_ASSIGN(std::string one, textOf(what, x, numbers));
    out.push_back(std::move(one));
  }
  return out;
}

class RowsEvaluation {
public:
  RowsEvaluation(const EvaluateRowsJob &job, StageContext &ctx)
      : job(job), ctx(ctx), metricSpecs(job.spec.value("metrics", json::object())) {}
  Result<json> run();

private:
  Result<std::map<std::string, Gathered>> gather(const json &tree);
  Status take(const json &spec, const json &row, Gathered &g) const;
  Result<json> call(const json &spec, const std::string &argument, const json &row) const;
  Result<Judged> measure(const json &spec, Gathered &g, EvaluationLog *log) const;

  const EvaluateRowsJob &job;
  StageContext &ctx;
  const json metricSpecs;
  SignalGuard signals;
};

Result<json> RowsEvaluation::call(const json &spec, const std::string &argument, const json &row) const {
  const size_t fn = spec.at(argument).at("row_fn");
  if (fn >= ctx.data.rowFns.size())
    return Status::error("the program has no row function " + std::to_string(fn), ExitClass::program);
  auto v = ctx.data.rowFns[fn](row);
  return v ? v : Result<json>(v.status().withContext("`" + argument + "`"));
}

Status RowsEvaluation::take(const json &spec, const json &row, Gathered &g) const {
  const std::string metric = spec.at("metric");
  const Kind kind = kindOf(metric);
  if (kind == Kind::samples) {
    R1RT_ASSIGN(json right, call(spec, "right", row));
    std::string key = std::to_string(g.references.size());
    if (spec.contains("problem")) {
      R1RT_ASSIGN(json problem, call(spec, "problem", row));
      R1RT_ASSIGN(key, textOf("problem", problem, true));
    }
    auto [at, fresh] = g.problems.try_emplace(key, g.samples.size());
    if (fresh) {
      g.samples.emplace_back();
      g.references.push_back(hashOf({key}));
    }
    for (const json &r : right.is_array() ? right : json::array({right})) {
      if (!r.is_boolean())
        return wrong("right", r, "a sample is right or not: true or false");
      ++g.samples[at->second].samples;
      g.samples[at->second].right += r.get<bool>();
    }
    return Status::ok();
  }
  R1RT_ASSIGN(json hyp, call(spec, "hyp", row));
  R1RT_ASSIGN(json ref, call(spec, "ref", row));
  if (kind == Kind::text) {
    const bool numbers = metric == "exact_match";
    R1RT_ASSIGN(std::string h, textOf("hyp", hyp, numbers));
    R1RT_ASSIGN(std::vector<std::string> r, textsOf("ref", ref, numbers));
    if (r.empty())
      return Status::error("`ref` gives no reference to compare with");
    g.references.push_back(hashOf(r));
    g.texts.hypotheses.push_back(std::move(h));
    g.texts.references.push_back(std::move(r));
  } else if (kind == Kind::classes) {
    R1RT_ASSIGN(std::string h, textOf("hyp", hyp, true));
    R1RT_ASSIGN(std::string r, textOf("ref", ref, true));
    g.references.push_back(hashOf({r}));
    g.predicted.push_back(std::move(h));
    g.labels.push_back(std::move(r));
  } else {
    for (auto &[what, value] : {std::pair{"hyp", &hyp}, std::pair{"ref", &ref}})
      if (!value->is_array())
        return wrong(what, *value, "it has to be a list of tags");
    R1RT_ASSIGN(std::vector<std::string> h, textsOf("hyp", hyp, false));
    R1RT_ASSIGN(std::vector<std::string> r, textsOf("ref", ref, false));
    if (h.size() != r.size())
      return Status::error("`hyp` gives " + std::to_string(h.size()) + " tags and `ref` " + std::to_string(r.size()) +
                           "; there has to be one for each word");
    g.references.push_back(hashOf(r));
    g.predictedTags.push_back(std::move(h));
    g.tags.push_back(std::move(r));
  }
  return Status::ok();
}

Result<std::map<std::string, Gathered>> RowsEvaluation::gather(const json &tree) {
  std::map<std::string, Gathered> all;
  uint64_t rows = 0;
  R1RT_TRY(corpus::eachRow(tree, ctx.data, [&](corpus::Row &&row) -> Status {
    if (signals.stopAsked())
      return Status::error("interrupted", ExitClass::interrupted);
    R1RT_ASSIGN(json record, row.toJson());
    for (auto &[name, spec] : metricSpecs.items())
      if (Status st = take(spec, record, all[name]); !st)
        return st.withContext("metric `" + name + "`: row " + std::to_string(rows) + " (" + row.id + ")");
    ++rows;
    return Status::ok();
  }));
  if (!rows)
    return Status::error("there are no rows to judge");
  return all;
}

/// Numbers in their order, then texts in theirs.
std::vector<std::string> classesOf(const Gathered &g) {
  std::vector<std::string> names = g.labels;
  names.insert(names.end(), g.predicted.begin(), g.predicted.end());
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  auto isNumber = [](const std::string &n) {
    return !n.empty() && std::all_of(n.begin(), n.end(), [](char c) { return c >= '0' && c <= '9'; });
  };
  std::sort(names.begin(), names.end(), [&](const std::string &a, const std::string &b) {
    if (isNumber(a) != isNumber(b))
      return isNumber(a);
    return isNumber(a) && a.size() != b.size() ? a.size() < b.size() : a < b;
  });
  return names;
}

Result<metrics::Measured> measureTexts(const std::string &metric, const json &o, const Texts &texts) {
  if (metric == "bleu") {
    metrics::BleuOptions b;
    b.tokenizer = o.value("tok", b.tokenizer);
    b.smooth = o.value("smooth", b.smooth);
    if (o.contains("smooth_value"))
      b.smoothValue = o["smooth_value"].get<double>();
    b.order = o.value("order", b.order);
    b.lowercase = o.value("lowercase", b.lowercase);
    b.effectiveOrder = o.value("effective_order", b.effectiveOrder);
    return metrics::bleu(texts, b);
  }
  if (metric == "chrf") {
    metrics::ChrfOptions c;
    c.characters = o.value("characters", c.characters);
    c.words = o.value("words", c.words);
    c.beta = o.value("beta", c.beta);
    c.lowercase = o.value("lowercase", c.lowercase);
    c.whitespace = o.value("whitespace", c.whitespace);
    c.smooth = o.value("smooth", c.smooth);
    return metrics::chrf(texts, c);
  }
  if (metric == "rouge")
    return metrics::rouge(texts, {o.value("type", "L"), o.value("stemmer", false)});
  if (metric == "rouge_coco")
    return metrics::rougeCoco(texts);
  if (metric == "cider")
    return metrics::cider(texts);
  if (metric != "exact_match")
    return Status::error("there is no metric `" + metric + "` of rows that hold predictions", ExitClass::program);
  metrics::MatchOptions m;
  m.lowercase = o.value("lowercase", m.lowercase);
  m.punctuation = o.value("punctuation", m.punctuation);
  m.articles = o.value("articles", m.articles);
  m.numbers = o.value("numbers", m.numbers);
  m.whitespace = o.value("whitespace", m.whitespace);
  return metrics::exactMatch(texts, m);
}

/// Where no class that was predicted is ever right, what to say of it: numbers beside names, say, make metrics that
/// are 0 whatever the model can do. Else "".
std::string strangers(const Gathered &g) {
  const std::set<std::string> right(g.labels.begin(), g.labels.end());
  const std::set<std::string> predicted(g.predicted.begin(), g.predicted.end());
  for (const std::string &p : predicted)
    if (right.contains(p))
      return "";
  if (predicted.empty())
    return "";
  auto some = [](const std::set<std::string> &all, const std::string &first) {
    return (all.size() > 1 ? "such as `" : "`") + shortened(first) + "`";
  };
  const std::string r = some(right, g.labels[0]), p = some(predicted, g.predicted[0]);
  const std::string ones = right.size() > 1 ? "is one of the " + std::to_string(right.size()) + " right ones, " + r
                                            : "is the only right one, " + r;
  return "none of the " + std::to_string(predicted.size()) + (predicted.size() > 1 ? " classes" : " class") +
         " that " + (predicted.size() > 1 ? "were" : "was") + " predicted, " + p + ", " + ones +
         "; `hyp` and `ref` have to write classes alike";
}

/// `log`: where to show what classes were taken for.
Result<Judged> RowsEvaluation::measure(const json &spec, Gathered &g, EvaluationLog *log) const {
  const std::string metric = spec.at("metric");
  Judged j;
  j.references = std::move(g.references);
  const auto average = metrics::averageNamed(spec.value("average", "macro"));
  if (!average)
    return Status::error("`average` is \"macro\", \"micro\" or \"weighted\", not " + spec["average"].dump(),
                         ExitClass::program);
  switch (kindOf(metric)) {
  case Kind::samples: {
    R1RT_ASSIGN(j.metric, metrics::passAt(g.samples, spec.at("k")));
    break;
  }
  case Kind::spans: {
    R1RT_ASSIGN(j.metric, metrics::spans(g.tags, g.predictedTags, metrics::ClassMetric::f1, *average,
                                         spec.value("strict", false)));
    break;
  }
  case Kind::classes: {
    const std::vector<std::string> names = classesOf(g);
    std::map<std::string, uint32_t> numbers;
    for (const std::string &n : names)
      numbers.emplace(n, uint32_t(numbers.size()));
    std::vector<uint32_t> truths, predicted;
    for (size_t i = 0; i < g.labels.size(); ++i) {
      truths.push_back(numbers[g.labels[i]]);
      predicted.push_back(numbers[g.predicted[i]]);
    }
    if (const std::string said = strangers(g); !said.empty())
      ctx.report.note(job.spec.value("stage", "evaluate") + "  " + (log ? "" : "the baseline's rows: ") + said);
    if (log)
      log->confusion(spec.at("hyp").at("source").dump() + spec.at("ref").at("source").dump(), truths, predicted, names,
                     names.size());
    R1RT_ASSIGN(j.metric, metrics::classification(truths, predicted, names.size(), *metrics::classMetric(metric),
                                                  *average));
    break;
  }
  case Kind::text: {
    for (size_t i = 0; log && i < g.texts.hypotheses.size() && i < 20; ++i)
      log->text(g.texts.hypotheses[i], g.texts.references[i]);
    R1RT_ASSIGN(j.metric, measureTexts(metric, spec, g.texts));
    break;
  }
  }
  return j;
}

Result<json> RowsEvaluation::run() {
  R1RT_ASSIGN(EvaluationLog log, EvaluationLog::open(job.spec, ctx));
  R1RT_ASSIGN(auto ours, gather(job.spec.value("data", json())));
  std::map<std::string, Gathered> theirs;
  const json baseline = job.spec.value("baseline", json());
  const bool rows = baseline.is_object() && baseline.contains("data");
  if (rows) {
    auto g = gather(baseline["data"]);
    if (!g)
      return g.status().withContext("the baseline's rows");
    theirs = g.take();
  }
  for (auto &[name, spec] : metricSpecs.items()) {
    const std::string what = "metric `" + name + "`";
    auto j = measure(spec, ours[name], &log);
    if (!j)
      return j.status().withContext(what);
    std::optional<Judged> before;
    if (rows) {
      auto b = measure(spec, theirs[name], nullptr);
      if (!b)
        return b.status().withContext("the baseline's rows: " + what);
      before = b.take();
    }
    if (Status st = log.add(name, j.take(), before ? &*before : nullptr); !st)
      return st.withContext(what);
  }
  return log.finish(job.dir);
}

} // namespace

Result<json> runEvaluateRows(const EvaluateRowsJob &job, StageContext &ctx) {
  try {
    return RowsEvaluation(job, ctx).run();
  } catch (const json::exception &e) {
    return Status::error(std::string("the description of the evaluation is not right: ") + e.what(),
                         ExitClass::program);
  }
}

} // namespace r1rt
