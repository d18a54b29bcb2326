// The @builtin functions of stdlib/metrics.r1, and the stage `evaluate` that they stand in.
#include "compiler/eval/Builtins.h"
#include "compiler/eval/StageHelpers.h"
#include <algorithm>
#include <cmath>

namespace r1 {

namespace {

// ── metrics ─────────────────────────────────────────────────────────────────

/// The arguments that are what a metric is made of; all others are its options.
constexpr std::string_view sources[] = {"data", "predict", "hyp", "ref", "right", "problem"};

bool given(const BuiltinCall &c, std::string_view name) { return !arg(c, name).is(Value::None); }

std::string quoted(const BuiltinCall &c) { return "`" + std::string(c.name) + "`"; }

/// The options as JSON, where they are what the runtime takes; false after an error.
bool optionsOf(Evaluator &ev, const BuiltinCall &c, Json &spec) {
  struct Choice {
    std::string_view name, builtin;
    std::vector<std::string> words;
  };
  static const Choice choices[] = {
      {"average", "", {"macro", "micro", "weighted"}},
      {"tok", "bleu", {"13a", "intl", "zh", "char", "none"}},
      {"smooth", "bleu", {"exp", "floor", "add-k", "none"}},
      {"type", "rouge", {"L", "Lsum", "1", "2", "3", "4", "5", "6", "7", "8", "9"}},
      {"per", "", {"token", "word", "byte"}},
  };
  struct Range {
    std::string_view name, builtin;
    int64_t low, high;
  };
  static const Range ranges[] = {{"order", "bleu", 1, 16}, {"characters", "chrf", 1, 32}, {"words", "chrf", 0, 16},
                                 {"beta", "chrf", 1, 100}, {"k", "pass_at", 1, mostIds}};
  for (auto &choice : choices)
    if ((choice.builtin.empty() || choice.builtin == c.name) && index(c, choice.name) >= 0 &&
        !oneOf(ev, c, choice.name, choice.words))
      return false;
  for (auto &range : ranges)
    if (int64_t n; range.builtin == c.name &&
                   (!arg(c, range.name).asInt(n) || n < range.low || n > range.high)) {
      ev.err("E0213", spanOf(c, range.name),
             "`" + std::string(range.name) + "` is from " + std::to_string(range.low) + " to " +
                 std::to_string(range.high) + ", this is " + ev.text(arg(c, range.name)));
      return false;
    }
  if (double v; given(c, "smooth_value") && (!arg(c, "smooth_value").asFloat(v) || v < 0 || !std::isfinite(v))) {
    ev.err("E0213", spanOf(c, "smooth_value"),
           "`smooth_value` is at least 0, this is " + ev.text(arg(c, "smooth_value")));
    return false;
  }
  if (given(c, "smooth_value") && arg(c, "smooth").string() != "floor" && arg(c, "smooth").string() != "add-k") {
    ev.err("E0206", spanOf(c, "smooth_value"),
           "`smooth_value` is of `smooth` \"floor\" and \"add-k\"; it does nothing with \"" + arg(c, "smooth").string() + "\"");
    return false;
  }
  for (auto &a : c.args)
    if (std::find(std::begin(sources), std::end(sources), a.name) == std::end(sources) && !a.value.is(Value::None))
      spec[std::string(a.name)] = toJson(ev, a.value);
  return true;
}

/// Of rows that hold predictions: functions that say where. A metric of rows has no batch.
Value rowMetric(Evaluator &ev, BuiltinCall &c) {
  if (!inPipeline(ev, c))
    return {};
  auto h = handle("metric", c, c.name);
  h->spec = Json{{"metric", std::string(c.name)}};
  for (std::string_view name : {"hyp", "ref", "right", "problem"}) {
    if (index(c, name) < 0 || (name == "problem" && !given(c, name)))
      continue;
    if (!arg(c, name).is(Value::Fn)) {
      auto &d = ev.err("E0206", given(c, name) ? spanOf(c, name) : c.span,
                       "`" + std::string(name) + "` of " + quoted(c) + " is a function of a row, this is " +
                           kindName(arg(c, name)));
      d.help(name == "hyp"   ? "hyp = r => r.output"
             : name == "ref" ? "ref = r => r.target"
                             : std::string(name) + " = r => …");
      return {};
    }
    h->spec[std::string(name)] = ev.stages->rowFn(
        arg(c, name), spanOf(c, name),
        name == "right" ? RowGives{name, "true, false or a list of these", {Value::Bool, Value::List}} : RowGives{name});
  }
  if (!optionsOf(ev, c, h->spec))
    return {};
  return Value::of(Value::Handle, h);
}

/// Of rows of tokens that a model is run on; classifications also of rows that hold predictions.
Value metric(Evaluator &ev, BuiltinCall &c) {
  if (!inPipeline(ev, c))
    return {};
  const bool classifies = index(c, "predict") >= 0;
  if (classifies && (given(c, "hyp") || given(c, "ref"))) {
    if (!given(c, "data") && !given(c, "predict"))
      return rowMetric(ev, c);
    return ev.fail("E0206", spanOf(c, given(c, "data") ? "data" : "predict"),
                   quoted(c) + " is of rows that a model is run on (data, predict) or of rows that hold predictions "
                               "(hyp, ref), not of both");
  }
  if (!given(c, "data")) {
    ev.err("E0202", c.span, quoted(c) + " needs rows to judge")
        .help(std::string(c.name) + "(rows |> label(tok, len, classes)), or of predictions that rows hold " +
              std::string(c.name) + "(hyp = r => r.output, ref = r => r.label)");
    return {};
  }
  if (!packedCorpus(ev, c, "data"))
    return {};
  auto &data = arg(c, "data").as<HandleObj>();
  const bool tags = data.batch.at("layout") == "tags";
  const bool labels = tags || data.batch.at("layout") == "labels";
  if (classifies != labels)
    return ev.fail("E0206", spanOf(c, "data"),
                   quoted(c) + (labels ? " is of tokens to come, these rows have a class each"
                                       : " is of rows with a class each, these are tokens to come"));
  if (c.name == "span_f1" && (!tags || !data.batch.contains("names")))
    return ev.fail("E0206", spanOf(c, "data"),
                   quoted(c) + " is of words with named tags (IOB2): label(tok, len, bio(types), each = \"token\")");
  if (c.name == "span_f1")
    for (const Json &tag : data.batch.at("names")) {
      const std::string name = tag;
      if (name != "O" && !((name.starts_with("B-") || name.starts_with("I-")) && name.size() > 2))
        return ev.fail("E0206", spanOf(c, "data"),
                       quoted(c) + " is of tags (IOB2) \"O\", \"B-TYPE\" and \"I-TYPE\"; a class of these words is \"" + name + "\"");
    }
  const std::string per = index(c, "per") >= 0 ? arg(c, "per").string() : c.name == "bits_per_byte" ? "byte" : "token";
  if (data.batch.contains("masked") && per != "token")
    return ev.fail("E0206", spanOf(c, "data"),
                   (c.name == "bits_per_byte" ? quoted(c) : "`per = \"" + per + "\"`") +
                       " is of whole texts, of these a part is masked");
  auto h = handle("metric", c, c.name);
  h->spec = Json{{"metric", std::string(c.name)}, {"data", data.spec}};
  if (!optionsOf(ev, c, h->spec))
    return {};
  if (classifies && given(c, "predict")) {
    if (!arg(c, "predict").is(Value::Fn))
      return ev.fail("E0206", spanOf(c, "predict"),
                     "`predict` is a function of the model and a batch, this is " + kindName(arg(c, "predict")));
    h->spec["predict"] = Json{{"source", canonicalText(ev, arg(c, "predict"))}};
    h->fields.emplace_back("predict", arg(c, "predict"));
  }
  h->files = data.files;
  for (auto &[k, v] : data.builtins)
    h->builtins[k] = v;
  h->batch = data.batch;
  h->tokenizer = data.tokenizer;
  return Value::of(Value::Handle, h);
}

// ── evaluate ────────────────────────────────────────────────────────────────

/// What stands beside each metric NAME among the values: NAME_low …
constexpr std::string_view beside[] = {"_low", "_high", "_diff", "_diff_low", "_diff_high", "_p"};

/// The metrics that stand in `metrics`, checked; null after an error.
const RecordObj *metricsOf(Evaluator &ev, const BuiltinCall &c) {
  const Value &metrics = arg(c, "metrics");
  if (!metrics.is(Value::Record) || metrics.as<RecordObj>().fields.empty()) {
    ev.err("E0206", spanOf(c, "metrics"),
           "`metrics` is a record {name = metric, …}, this is " + kindName(metrics));
    return nullptr;
  }
  auto &all = metrics.as<RecordObj>();
  for (auto &[k, v] : all.fields) {
    if (!v.is(Value::Handle) || v.as<HandleObj>().type != "metric") {
      ev.err("E0206", spanOf(c, "metrics"), "`" + k + "` is not a metric but " + kindName(v));
      return nullptr;
    }
    for (std::string_view end : beside)
      if (all.find(k + std::string(end))) {
        ev.err("E0204", spanOf(c, "metrics"),
               "`" + k + std::string(end) + "` is what comes with the metric `" + k +
                   "`: call the other metric something else");
        return nullptr;
      }
  }
  return &all;
}

/// Does `require` work with the metrics there will be? It is run on numbers that are not known yet: what it reads and no
/// metric gives is E0208. `baseline`: the names of the metrics that are compared, or null.
bool requireKnows(Evaluator &ev, const BuiltinCall &c, const Json &metrics, const Json *baseline) {
  const Value &require = arg(c, "require");
  if (!require.is(Value::Fn))
    return true;
  auto number = std::make_shared<Type>();
  number->kind = Type::Float;
  Fields fields;
  for (auto &[name, m] : metrics.items())
    fields.emplace_back(name, Value::unknown(number));
  for (std::string_view end : beside) {
    const bool compares = end.ends_with("_p") || end.find("_diff") != end.npos;
    for (auto &[name, m] : metrics.items())
      if (!compares || (baseline && std::find(baseline->begin(), baseline->end(), Json(name)) != baseline->end()))
        fields.emplace_back(name + std::string(end), Value::unknown(number));
  }
  Value verdict = ev.apply(require, std::vector<Value>{Value::record(std::move(fields))}, spanOf(c, "require"));
  if (verdict.isError())
    return false;
  const Type *t = verdict.is(Value::Unknown) ? verdict.as<UnknownObj>().type.get() : nullptr;
  if (verdict.is(Value::Bool) || (t && (t->kind == Type::Bool || t->kind == Type::Any)))
    return true;
  ev.err("E0206", spanOf(c, "require"), "`require` says true or false of the metrics, this says " + kindName(verdict));
  return false;
}

/// Whether `resamples` and `seed` are left out where all metrics are shares of right answers, whose interval is
/// Wilson's, and no difference is told. False after an error.
bool drawsSamples(Evaluator &ev, const BuiltinCall &c, const Json &metrics) {
  for (auto &[name, m] : metrics.items())
    if (const std::string kind = m.at("metric"); kind != "accuracy" && kind != "exact_match")
      return true;
  for (const char *name : {"resamples", "seed"})
    if (c.has((size_t)index(c, name))) {
      ev.err("E0206", spanOf(c, name),
             "`" + std::string(name) + "` does nothing: nothing is drawn for Wilson's interval, which shares of right "
                                       "answers have, and there is no `baseline`")
          .help("leave it out");
      return false;
    }
  return true;
}

/// What `model` and rows have in common: the gate, the baseline, how intervals are made. False after an error.
bool judged(Evaluator &ev, const BuiltinCall &c, StageCall &call) {
  Json &spec = call.spec;
  spec["require"] = nullptr;
  if (arg(c, "require").is(Value::Fn)) {
    spec["require"] = ev.stages->rowFn(arg(c, "require"), spanOf(c, "require"), {"require"}); // see requireKnows
    call.shown["require"] = shownText(ev, arg(c, "require"));
  } else if (given(c, "require")) {
    ev.err("E0206", spanOf(c, "require"),
           "`require` is a function of the metrics, this is " + kindName(arg(c, "require")));
    return false;
  }
  double confidence = 0;
  if (!arg(c, "confidence").asFloat(confidence) || !(confidence > 0 && confidence < 1)) {
    ev.err("E0213", spanOf(c, "confidence"),
           "`confidence` lies between 0% and 100%, this is " + ev.text(arg(c, "confidence")));
    return false;
  }
  int64_t resamples = 0;
  constexpr int64_t most = 1'000'000;
  if (!arg(c, "resamples").asInt(resamples) || resamples < 100 || resamples > most) {
    ev.err("E0213", spanOf(c, "resamples"),
           "an interval is of 100 to " + std::to_string(most) + " resamples, this is " + ev.text(arg(c, "resamples")));
    return false;
  }
  spec["confidence"] = confidence;
  spec["resamples"] = resamples;
  spec["seed"] = toJson(ev, arg(c, "seed"));
  spec["baseline"] = nullptr;
  const Value &baseline = arg(c, "baseline");
  if (baseline.is(Value::None))
    return drawsSamples(ev, c, spec["metrics"]) && requireKnows(ev, c, spec["metrics"], nullptr);
  const bool rows = spec.contains("data");
  auto *h = baseline.is(Value::Handle) ? &baseline.as<HandleObj>() : nullptr;
  if (h && h->call) {
    ev.err("E0206", spanOf(c, "baseline"), "the baseline is an artifact that has no name yet")
        .help("name it in a step of its own: stage before = evaluate(…)");
    return false;
  }
  const bool corpus = h && h->type == "corpus" && h->batch.is_null();
  if (!h || !(h->type == "metrics" || (rows && corpus))) {
    ev.err("E0206", spanOf(c, "baseline"),
           std::string("`baseline` is a stage of `evaluate`") + (rows ? " or rows with other predictions" : "") +
               (h && h->type == "corpus" && !h->batch.is_null() ? "; these are packed into tokens"
                                                                : ", this is " + kindName(baseline)));
    return false;
  }
  if (!corpus) {
    spec["baseline"] = Json{{"metrics", h->spec}};
    const Json theirs = h->batch.at("metrics");
    std::string list;
    bool common = false;
    for (const Json &name : theirs) {
      list += (list.empty() ? "" : ", ") + name.get<std::string>();
      common |= spec["metrics"].contains(name.get<std::string>());
    }
    if (!common) {
      ev.err("E0208", spanOf(c, "baseline"), "`baseline` has none of these metrics, so no difference is told; it has: " + list)
          .help("give metrics that are compared one name in both");
      return false;
    }
    return requireKnows(ev, c, spec["metrics"], &theirs);
  }
  if (!comesInOrder(ev, c, "baseline"))
    return false;
  spec["baseline"] = Json{{"data", h->spec}};
  call.files.insert(call.files.end(), h->files.begin(), h->files.end());
  for (auto &[k, v] : h->builtins)
    call.builtins[k] = v;
  Json all = Json::array();
  for (auto &[name, m] : spec["metrics"].items())
    all.push_back(name);
  return requireKnows(ev, c, spec["metrics"], &all);
}

Value stageOf(const BuiltinCall &c, std::shared_ptr<StageCall> call) {
  call->builtins["evaluate"] = c.version;
  auto h = handle("metrics", c, "evaluate");
  h->batch = Json{{"metrics", Json::array()}}; // their names, for those it is a baseline of
  for (auto &[name, m] : call->spec["metrics"].items())
    h->batch["metrics"].push_back(name);
  h->call = std::move(call);
  return Value::of(Value::Handle, h);
}

std::shared_ptr<StageCall> newCall(const BuiltinCall &c) {
  auto call = std::make_shared<StageCall>();
  call->kind = "evaluate";
  call->result = "metrics";
  call->span = c.span;
  call->dataSpan = spanOf(c, "metrics");
  return call;
}

/// Rows that hold predictions: no model is run.
Value evaluateRows(Evaluator &ev, BuiltinCall &c) {
  auto &in = arg(c, "model").as<HandleObj>();
  if (in.call) {
    ev.err("E0206", spanOf(c, "model"), "these rows are an artifact that has no name yet")
        .help("name it in a step of its own: stage rows = …");
    return {};
  }
  if (!in.batch.is_null())
    return ev.fail("E0206", spanOf(c, "model"),
                   "`evaluate` takes a model, or rows that hold predictions; these are packed into tokens");
  if (c.has((size_t)index(c, "batch")))
    return ev.fail("E0206", spanOf(c, "batch"), "`batch` does nothing where rows hold the predictions: no model is run");
  const RecordObj *all = metricsOf(ev, c);
  if (!all || !comesInOrder(ev, c, "model"))
    return {};
  auto call = newCall(c);
  call->spec = Json{{"data", in.spec}, {"metrics", Json::object()}};
  call->files = in.files;
  call->builtins = in.builtins;
  for (auto &[k, v] : all->fields) {
    auto &h = v.as<HandleObj>();
    if (!h.batch.is_null())
      return ev.fail("E0206", spanOf(c, "metrics"),
                     "`" + k + "` runs a model, and `evaluate` is given rows: give it the model, or say where rows "
                               "hold predictions (hyp, ref)");
    call->spec["metrics"][k] = h.spec;
    for (auto &[b, n] : h.builtins)
      call->builtins[b] = n;
  }
  if (!judged(ev, c, *call))
    return {};
  return stageOf(c, call);
}

Value evaluate(Evaluator &ev, BuiltinCall &c) {
  if (!inPipeline(ev, c))
    return {};
  const Value &model = arg(c, "model");
  if (model.is(Value::Handle) && model.as<HandleObj>().type == "corpus")
    return evaluateRows(ev, c);
  if (!model.is(Value::Model)) {
    auto &d = ev.err("E0206", spanOf(c, "model"),
                     "`evaluate` judges a model, or rows that hold predictions; this is " + kindName(model));
    if (model.is(Value::Handle) && model.as<HandleObj>().call)
      d.help("name it in a step of its own: stage m = train(…)");
    return {};
  }
  auto m = std::static_pointer_cast<const ModelObj>(model.o);
  if (m->from.empty())
    return ev.fail("E0299", spanOf(c, "model"),
                   "judging a model that no stage trained is not supported yet");
  const RecordObj *all = metricsOf(ev, c);
  if (!all)
    return {};
  auto call = newCall(c);
  call->model = m;
  Json ms = Json::object(), batch, predict;
  for (auto &[k, v] : all->fields) {
    auto &h = v.as<HandleObj>();
    if (h.batch.is_null())
      return ev.fail("E0206", spanOf(c, "metrics"),
                     "`" + k + "` is of rows that hold predictions, and `evaluate` is given a model: give it those "
                               "rows in its place");
    if (!batch.is_null() && batch != h.batch)
      return ev.fail("E0299", spanOf(c, "metrics"),
                     "metrics over rows of different lengths or kinds in one `evaluate` are not "
                     "supported yet; use two stages");
    if (Json p = h.spec.value("predict", Json()); !ms.empty() && p != predict)
      return ev.fail("E0299", spanOf(c, "metrics"),
                     "metrics that predict in different ways in one `evaluate` are not supported yet; use "
                     "two stages");
    else
      predict = p;
    batch = h.batch;
    ms[k] = h.spec;
    for (auto &[name, x] : h.fields)
      if (name == "predict")
        call->predict = x;
    call->data = v;
    call->tokenizer = h.tokenizer;
    call->files.insert(call->files.end(), h.files.begin(), h.files.end());
    for (auto &[b, n] : h.builtins)
      call->builtins[b] = n;
  }
  if (m->tokenizer.is(Value::Handle) && call->tokenizer.is(Value::Handle) &&
      m->tokenizer.as<HandleObj>().spec != call->tokenizer.as<HandleObj>().spec)
    return ev.fail("E0406", spanOf(c, "metrics"),
                   "the model was trained with another tokenizer than these metrics read with");
  if (const Value &of = m->batch; !call->predict.is(Value::Fn) && of.is(Value::Handle)) {
    // Of each length it reads what it was trained on: tokens to come, hidden ones, pairs, or rows with classes.
    const Json theirs = of.as<HandleObj>().batch;
    HandleObj learnt, judged;
    for (const char *key : {"layout", "masked"}) {
      learnt.batch[key] = theirs.value(key, Json());
      judged.batch[key] = batch.value(key, Json());
    }
    if (learnt.batch != judged.batch) {
      auto [a, b] = difference(learnt, judged);
      return ev.fail("E0406", spanOf(c, "metrics"), "the model was trained on " + a + ", these metrics are of " + b);
    }
  }
  int64_t rows = 0;
  if (!countOf(ev, c, "batch", rows, "a batch has", "rows"))
    return {};
  call->spec = Json{{"model", Json{{"stage", m->from}}}, {"metrics", ms}, {"batch", rows}};
  if (!judged(ev, c, *call))
    return {};
  return stageOf(c, call);
}

} // namespace

const std::vector<Builtin> &metricBuiltins() {
  static const std::vector<Builtin> table = {
      {"evaluate", "", evaluate},      {"perplexity", "", metric}, {"bits_per_byte", "", metric},
      {"accuracy", "", metric},        {"precision", "", metric},  {"recall", "", metric},
      {"f1", "", metric},              {"mcc", "", metric},        {"balanced_accuracy", "", metric},
      {"span_f1", "", metric},         {"bleu", "", rowMetric},    {"chrf", "", rowMetric},
      {"rouge", "", rowMetric},        {"rouge_coco", "", rowMetric}, {"cider", "", rowMetric},
      {"exact_match", "", rowMetric},  {"pass_at", "", rowMetric},
  };
  return table;
}

} // namespace r1
