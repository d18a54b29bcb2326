// The @builtin functions of stdlib/stages.r1: from evaluated arguments to the spec of a stage.
#include "compiler/eval/StageHelpers.h"
#include <algorithm>
#include <bit>
#include <cmath>
#include <set>

namespace r1 {

namespace {

// ── to tensors ──────────────────────────────────────────────────────────────

Value bytesTokenizer(Evaluator &ev, BuiltinCall &c) {
  if (!inPipeline(ev, c))
    return {};
  auto h = handle("tokenizer", c, "bytes_tokenizer");
  h->spec = Json{{"op", "bytes_tokenizer"}};
  Json special = toJson(ev, arg(c, "special"));
  if (!special.empty())
    h->spec["special"] = special;
  // 256 bytes, end of text, padding
  h->fields.emplace_back("vocab", Value::integer(258 + (int64_t)special.size()));
  h->fields.emplace_back("special", arg(c, "special"));
  return Value::of(Value::Handle, h);
}

Value bpe(Evaluator &ev, BuiltinCall &c) {
  if (!inPipeline(ev, c) || unpackedOnly(ev, c, arg(c, "data")).isError() ||
      !comesInOrder(ev, c, "data"))
    return {};
  auto &in = arg(c, "data").as<HandleObj>();
  int64_t vocab = 0;
  Json special = toJson(ev, arg(c, "special"));
  int64_t least = 259 + (int64_t)special.size();
  if (!arg(c, "vocab").asInt(vocab) || vocab < least || vocab > mostIds) {
    auto &d = ev.err("E0213", spanOf(c, "vocab"),
                     "a vocabulary of " + std::to_string(vocab) + " ids is too " +
                         (vocab < least ? "small" : "large"));
    if (vocab > mostIds)
      d.note("at most " + std::to_string(mostIds) + " are possible");
    else if (special.empty())
      d.note("the 256 bytes, the blank, the end of text and the unknown need " +
             std::to_string(least));
    else
      d.note("the 256 bytes, the blank, the end of text, the unknown and " +
             std::to_string(special.size()) + (special.size() == 1 ? " special" : " specials") +
             " need " + std::to_string(least));
    return {};
  }
  auto call = std::make_shared<StageCall>();
  call->kind = "bpe";
  call->result = "tokenizer";
  call->spec = Json{{"data", in.spec}, {"vocab", vocab}, {"special", special}};
  call->files = in.files;
  call->builtins = in.builtins;
  call->builtins["bpe"] = c.version;
  call->span = c.span;
  auto h = handle("tokenizer", c, "bpe");
  h->fields.emplace_back("vocab", Value::integer(vocab));
  h->fields.emplace_back("special", arg(c, "special"));
  h->call = call;
  return Value::of(Value::Handle, h);
}

// The ids of the tokenizer `tok`; false after an error.
bool namedTokenizer(Evaluator &ev, const BuiltinCall &c, int64_t &vocab) {
  auto &tok = arg(c, "tok").as<HandleObj>();
  if (tok.call) {
    ev.err("E0206", spanOf(c, "tok"), "the tokenizer is an artifact that has no name yet")
        .also(tok.span, "made here")
        .help("name it in a step of its own: stage tok = bpe(…)");
    return false;
  }
  for (auto &[k, v] : tok.fields)
    if (k == "vocab")
      v.asInt(vocab);
  return true;
}

// A pass that ends in tokens: its tokenizer comes along.
std::shared_ptr<HandleObj> tokens(const BuiltinCall &c, const char *op, Json args, Json batch) {
  auto &tok = arg(c, "tok").as<HandleObj>();
  args["tok"] = tok.spec;
  auto h = pass(c, op, arg(c, "data"), std::move(args));
  for (auto &[k, v] : tok.builtins)
    h->builtins[k] = v;
  h->batch = std::move(batch);
  h->tokenizer = arg(c, "tok");
  return h;
}

Value pack(Evaluator &ev, BuiltinCall &c) {
  int64_t seq = 0, vocab = 0;
  if (!inPipeline(ev, c) || unpackedOnly(ev, c, arg(c, "data")).isError() ||
      !comesInOrder(ev, c, "data") || !namedTokenizer(ev, c, vocab) ||
      !countOf(ev, c, "seq", seq, "a row has", "tokens"))
    return {};
  return Value::of(Value::Handle, tokens(c, "pack", Json{{"seq", seq}, {"separate", arg(c, "separate").b}},
                                         Json{{"layout", "lm"}, {"seq", seq}, {"vocab", vocab}}));
}

// What `pad` and `label` share: one document a row.
bool documentRows(Evaluator &ev, const BuiltinCall &c, Json &args, Json &batch) {
  int64_t len = 0, vocab = 0;
  if (!inPipeline(ev, c) || unpackedOnly(ev, c, arg(c, "data")).isError() ||
      !comesInOrder(ev, c, "data") || !namedTokenizer(ev, c, vocab) ||
      !countOf(ev, c, "len", len, "a row has", "tokens") || !oneOf(ev, c, "cut", {"tail", "head", "middle"}) ||
      !oneOf(ev, c, "side", {"right", "left"}))
    return false;
  args = Json{{"len", len}, {"cut", arg(c, "cut").string()}, {"side", arg(c, "side").string()}};
  batch = Json{{"seq", len}, {"vocab", vocab}};
  return true;
}

Value pad(Evaluator &ev, BuiltinCall &c) {
  Json args, batch;
  if (!documentRows(ev, c, args, batch))
    return {};
  batch["layout"] = "lm";
  return Value::of(Value::Handle, tokens(c, "pad", std::move(args), std::move(batch)));
}

Value label(Evaluator &ev, BuiltinCall &c) {
  Json args, batch;
  if (!documentRows(ev, c, args, batch))
    return {};
  batch["layout"] = "labels";
  const Value &classes = arg(c, "classes");
  int64_t n = 0;
  if (classes.is(Value::List)) {
    args["classes"] = batch["names"] = toJson(ev, classes);
    std::set<std::string> seen;
    for (auto &x : classes.as<ListObj>().items)
      if (!x.is(Value::Str) || !seen.insert(x.string()).second)
        return ev.fail("E0206", spanOf(c, "classes"),
                       x.is(Value::Str) ? "the class \"" + x.string() + "\" is named twice"
                                        : "the name of a class is a text, this is " + kindName(x));
    n = (int64_t)seen.size();
  } else if (classes.asInt(n)) {
    args["classes"] = n;
  } else {
    return ev.fail("E0206", spanOf(c, "classes"),
                   "`classes` is their number or a list of their names, this is " + kindName(classes));
  }
  if (n < 2 || n > mostIds)
    return ev.fail("E0213", spanOf(c, "classes"),
                   "labels are of 2 to " + std::to_string(mostIds) + " classes, this is " + std::to_string(n));
  batch["classes"] = n;
  return Value::of(Value::Handle, tokens(c, "label", std::move(args), std::move(batch)));
}

Value masked(Evaluator &ev, BuiltinCall &c) {
  if (!inPipeline(ev, c))
    return {};
  auto &in = arg(c, "data").as<HandleObj>();
  if (in.batch.is_null() || in.batch.at("layout") != "lm" || in.batch.contains("masked"))
    return ev.fail("E0206", spanOf(c, "data"), "`masked` hides tokens of rows that `pack` or `pad` has made");
  double rate = 0;
  if (!arg(c, "rate").asFloat(rate) || !(rate > 0 && rate < 1))
    return ev.fail("E0213", spanOf(c, "rate"),
                   "the share of hidden tokens lies between 0% and 100%, this is " + ev.text(arg(c, "rate")));
  std::string token = arg(c, "token").string();
  bool known = false;
  for (auto &[k, v] : in.tokenizer.as<HandleObj>().fields)
    if (k == "special")
      for (auto &x : v.as<ListObj>().items)
        known |= x.is(Value::Str) && x.string() == token;
  if (!known) {
    ev.err("E0206", spanOf(c, "token"), "the tokenizer of these rows has no special token \"" + token + "\"")
        .also(in.tokenizer.as<HandleObj>().span, "made here")
        .help("special = [\"" + token + "\"]");
    return {};
  }
  auto h = pass(c, "masked", arg(c, "data"),
                Json{{"rate", rate}, {"token", token}, {"seed", toJson(ev, arg(c, "seed"))}});
  h->batch = in.batch;
  h->batch["masked"] = true;
  h->tokenizer = in.tokenizer;
  return Value::of(Value::Handle, h);
}

// ── learning and judging ────────────────────────────────────────────────────

bool packedCorpus(Evaluator &ev, const BuiltinCall &c, std::string_view name) {
  const Value &v = arg(c, name);
  if (interleaved(v.as<HandleObj>().spec) && (c.name != "train" || name != "data")) {
    ev.err("E0206", spanOf(c, name), "`interleave` says in which order to train; to measure, give one of its sources");
    return false;
  }
  if (!v.as<HandleObj>().batch.is_null())
    return true;
  ev.err("E0206", spanOf(c, name),
         "`" + std::string(c.name) + "` takes batches of tokens, these are rows of text")
      .help(c.name == "accuracy" || c.name == "f1" ? "… |> label(tok, len, classes)" : "… |> pack(tok, seq)");
  return false;
}

// Not a run of nothing, nor of more steps than can be counted.
bool budgetIsSome(Evaluator &ev, const BuiltinCall &c) {
  auto &b = arg(c, "budget").as<BudgetObj>();
  bool whole = b.unit == BudgetSteps || b.unit == BudgetTokens;
  if (b.amount > 0 && b.amount >= (whole ? 1 : 0) && b.amount < 9e15)
    return true;
  ev.err("E0213", spanOf(c, "budget"),
         std::string("a budget is ") +
             (b.amount > 1 ? "below 9e15"
              : whole      ? "at least 1"
                           : "more than 0") +
             ", this is " + ev.text(arg(c, "budget")));
  return false;
}

bool clipIsLength(Evaluator &ev, const BuiltinCall &c) {
  double clip;
  if (!arg(c, "clip").asFloat(clip) || clip > 0)
    return true;
  ev.err("E0213", spanOf(c, "clip"),
         "`clip` is a length above 0, this is " + ev.text(arg(c, "clip")))
      .help("clip = none bounds nothing");
  return false;
}

// The rate near the first step, in the middle and at the end.
bool ratesAreSane(Evaluator &ev, const BuiltinCall &c) {
  const Value &lr = arg(c, "lr");
  if (!lr.is(Value::Fn))
    return true;
  bool constant = lr.as<FnObj>().constant != nullptr;
  for (double t : {0.01, 0.5, 1.0}) {
    Evaluator row(ev.sh);
    row.rowMode = true;
    Value v = row.apply(lr, std::vector<Value>{Value::real(t)}, spanOf(c, "lr"));
    double rate;
    if (v.asFloat(rate) && rate >= 0 && std::isfinite(rate))
      continue;
    if (!row.rowError.empty()) {
      ev.err("E0213", spanOf(c, "lr"), "`lr` has no value at progress " + ev.text(Value::real(t)))
          .note(row.rowError);
      return false;
    }
    ev.err("E0213", spanOf(c, "lr"),
           v.isNumber() ? "a learning rate is at least 0 and finite, this is " + ev.text(v) +
                              (constant ? "" : " at progress " + ev.text(Value::real(t)))
                        : "a learning rate is a number, this is " + kindName(v) + " at progress " +
                              ev.text(Value::real(t)));
    return false;
  }
  return true;
}

// The rows of a batch: a number, or fit(from, to), of which the driver chooses a power of two.
bool batchOf(Evaluator &ev, const BuiltinCall &c, Stage::Fit &fit, int64_t &batch) {
  const Value &v = arg(c, "batch");
  const Value *range = v.is(Value::Record) ? v.as<RecordObj>().find("fit") : nullptr;
  if (!range || !range->is(Value::List) || range->as<ListObj>().items.size() != 2)
    return countOf(ev, c, "batch", batch, "a batch has", "rows");
  auto &ends = range->as<ListObj>().items;
  bool numbers = ends[0].asInt(fit.from) && ends[1].asInt(fit.to);
  if (numbers && fit.from >= 1 && fit.to <= mostIds && fit.to >= 1)
    batch = int64_t(std::bit_floor(uint64_t(fit.to)));
  if (!batch || batch < fit.from) {
    ev.err("E0213", spanOf(c, "batch"),
           "`fit` takes a power of two from a range within 1 to " + std::to_string(mostIds) + "; there is none from " +
               ev.text(ends[0]) + " to " + ev.text(ends[1]));
    return false;
  }
  fit.place = ev.stages->place();
  if (auto chosen = ev.stages->batches.find(fit.place); chosen != ev.stages->batches.end())
    batch = chosen->second;
  return true;
}

Value train(Evaluator &ev, BuiltinCall &c) {
  if (!inPipeline(ev, c))
    return {};
  const Value &model = arg(c, "model");
  if (!model.is(Value::Model)) {
    auto &d =
        ev.err("E0206", spanOf(c, "model"), "`model` is a model value, this is " + kindName(model));
    if (model.is(Value::ModelDef))
      d.help("give it its parameters: " + std::string(model.as<ModelDefObj>().decl->name) + "(…)");
    return {};
  }
  auto call = std::make_shared<StageCall>();
  call->kind = "train";
  call->result = "model";
  call->span = c.span;
  call->model = std::static_pointer_cast<const ModelObj>(model.o);
  call->loss = arg(c, "loss");
  call->lossSpan = spanOf(c, "loss");
  call->optim = arg(c, "optim");
  call->data = arg(c, "data");
  call->dataSpan = spanOf(c, "data");
  if (call->loss.is(Value::Record))
    return ev.fail("E0299", call->lossSpan,
                   "several losses are not supported yet: give one function (model, batch) => …");
  if (!call->loss.is(Value::Fn))
    return ev.fail("E0206", call->lossSpan,
                   "`loss` is a function of the model and a batch, this is " +
                       kindName(call->loss));
  if (!packedCorpus(ev, c, "data"))
    return {};
  if (!arg(c, "valid").is(Value::None) && !packedCorpus(ev, c, "valid"))
    return {};
  int64_t batch = 0;
  if (!batchOf(ev, c, call->fit, batch))
    return {};
  if (!budgetIsSome(ev, c) || !clipIsLength(ev, c) || !ratesAreSane(ev, c))
    return {};
  auto &data = call->data.as<HandleObj>();
  call->tokenizer = data.tokenizer;
  const Value &precision = arg(c, "precision");
  Json p;
  if (precision.is(Value::DType) && precision.i == (int)Elem::F32) {
    p = "f32";
  } else if (precision.is(Value::Record) && precision.as<RecordObj>().find("mixed")) {
    const Value *t = precision.as<RecordObj>().find("mixed");
    if (!t->is(Value::DType) || t->i != (int)Elem::BF16)
      return ev.fail("E0299", spanOf(c, "precision"),
                     "mixed(" + ev.text(*t) + ") is not supported yet; mixed(bf16) and f32 are");
    p = "mixed(bf16)";
  } else {
    return ev.fail("E0206", spanOf(c, "precision"),
                   "`precision` is f32 or mixed(bf16), this is " + ev.text(precision));
  }
  call->precision = precision;
  Json trainable = nullptr;
  if (arg(c, "trainable").is(Value::List)) {
    call->allTrainable = false;
    call->trainableSpan = spanOf(c, "trainable");
    for (auto &x : arg(c, "trainable").as<ListObj>().items)
      call->trainable.push_back(x.string());
    trainable = call->trainable;
  }
  call->spec = Json{{"model", Json{{"source", canonicalText(ev, model)}}},
                    {"data", data.spec},
                    {"loss", Json{{"source", canonicalText(ev, call->loss)}}},
                    {"optim", Json{{"source", canonicalText(ev, call->optim)}}},
                    {"lr", ev.stages->hostFn(arg(c, "lr"))},
                    {"batch", batch},
                    {"budget", toJson(ev, arg(c, "budget"))},
                    {"clip", toJson(ev, arg(c, "clip"))},
                    {"precision", p},
                    {"trainable", trainable},
                    {"valid", toJson(ev, arg(c, "valid"))},
                    {"seed", c.has((size_t)index(c, "seed")) ? toJson(ev, arg(c, "seed"))
                                                             : Json(ev.stages->out.seed)}};
  call->files = data.files;
  call->builtins = data.builtins;
  if (arg(c, "valid").is(Value::Handle)) {
    auto &v = arg(c, "valid").as<HandleObj>();
    if (v.batch != data.batch)
      return ev.fail("E0406", spanOf(c, "valid"),
                     "`valid` has rows of another length, vocabulary or kind than `data`");
    call->files.insert(call->files.end(), v.files.begin(), v.files.end());
    for (auto &[k, n] : v.builtins)
      call->builtins[k] = n;
  }
  call->builtins["train"] = c.version;
  auto h = handle("model that has no name yet", c, "train");
  h->call = call;
  return Value::of(Value::Handle, h);
}

Value metric(Evaluator &ev, BuiltinCall &c) {
  if (!inPipeline(ev, c) || !packedCorpus(ev, c, "data"))
    return {};
  auto &data = arg(c, "data").as<HandleObj>();
  bool classifies = index(c, "predict") >= 0, labels = data.batch.at("layout") == "labels";
  if (classifies != labels)
    return ev.fail("E0206", spanOf(c, "data"),
                   labels ? "`" + std::string(c.name) + "` is of tokens to come, these rows have a class each"
                          : "`" + std::string(c.name) + "` is of rows with a class each, these are tokens to come");
  if (c.name == "bits_per_byte" && data.batch.contains("masked"))
    return ev.fail("E0206", spanOf(c, "data"), "`bits_per_byte` is of whole texts, of these a part is masked");
  auto h = handle("metric", c, c.name);
  h->spec = Json{{"metric", std::string(c.name)}, {"data", data.spec}};
  if (index(c, "average") >= 0) {
    if (!oneOf(ev, c, "average", {"macro", "micro", "weighted"}))
      return {};
    h->spec["average"] = arg(c, "average").string();
  }
  if (classifies && !arg(c, "predict").is(Value::None)) {
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

Value evaluate(Evaluator &ev, BuiltinCall &c) {
  if (!inPipeline(ev, c))
    return {};
  const Value &model = arg(c, "model"), &metrics = arg(c, "metrics");
  if (!model.is(Value::Model)) {
    auto &d = ev.err("E0206", spanOf(c, "model"),
                     "`evaluate` judges a model, this is " + kindName(model));
    if (model.is(Value::Handle) && model.as<HandleObj>().call)
      d.help("name it in a step of its own: stage m = train(…)");
    return {};
  }
  auto m = std::static_pointer_cast<const ModelObj>(model.o);
  if (m->from.empty())
    return ev.fail("E0299", spanOf(c, "model"),
                   "judging a model that no stage trained is not supported yet");
  if (!metrics.is(Value::Record) || metrics.as<RecordObj>().fields.empty())
    return ev.fail("E0206", spanOf(c, "metrics"),
                   "`metrics` is a record {name = metric, …}, this is " + kindName(metrics));
  auto call = std::make_shared<StageCall>();
  call->kind = "evaluate";
  call->result = "metrics";
  call->span = c.span;
  call->model = m;
  call->dataSpan = spanOf(c, "metrics");
  Json ms = Json::object(), batch, predict;
  for (auto &[k, v] : metrics.as<RecordObj>().fields) {
    if (!v.is(Value::Handle) || v.as<HandleObj>().type != "metric")
      return ev.fail("E0206", spanOf(c, "metrics"),
                     "`" + k + "` is not a metric but " + kindName(v));
    auto &h = v.as<HandleObj>();
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
    for (const char *bound : {"_low", "_high"})
      if (h.spec["metric"] == "accuracy" && metrics.as<RecordObj>().find(k + bound))
        return ev.fail("E0204", spanOf(c, "metrics"),
                       "`" + k + bound + "` is a bound of the accuracy `" + k + "`: call the other metric "
                       "something else");
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
  int64_t rows = 0;
  if (!countOf(ev, c, "batch", rows, "a batch has", "rows"))
    return {};
  Json require = nullptr;
  if (arg(c, "require").is(Value::Fn))
    require = ev.stages->rowFn(arg(c, "require"), spanOf(c, "require"));
  else if (!arg(c, "require").is(Value::None))
    return ev.fail("E0206", spanOf(c, "require"),
                   "`require` is a function of the metrics, this is " +
                       kindName(arg(c, "require")));
  call->spec = Json{
      {"model", Json{{"stage", m->from}}}, {"metrics", ms}, {"batch", rows}, {"require", require}};
  call->builtins["evaluate"] = c.version;
  auto h = handle("metrics", c, "evaluate");
  h->call = call;
  return Value::of(Value::Handle, h);
}

// ── rows judged by a model ──────────────────────────────────────────────────

Value score(Evaluator &ev, BuiltinCall &c) {
  if (!inPipeline(ev, c))
    return {};
  const Value &model = arg(c, "model");
  auto m = model.is(Value::Model) ? std::static_pointer_cast<const ModelObj>(model.o) : nullptr;
  const Json layout = m && m->batch.is(Value::Handle) ? m->batch.as<HandleObj>().batch : Json();
  if (!m || m->from.empty() || layout.is_null() || layout.at("layout") != "labels") {
    auto &d = ev.err("E0206", spanOf(c, "model"),
                     "`score` asks a classifier, which a stage has trained on labelled rows; this is " +
                         (m && !m->from.empty() ? "a model of other rows" : kindName(model)));
    if (model.is(Value::Handle) && model.as<HandleObj>().call)
      d.help("name it in a step of its own: stage m = train(…)");
    return {};
  }
  int64_t classes = layout.at("classes"), cls = -1, batch = 0;
  const Json names = layout.value("names", Json::array());
  if (arg(c, "class").is(Value::Str)) {
    auto at = std::find(names.begin(), names.end(), Json(arg(c, "class").string()));
    cls = at == names.end() ? -1 : at - names.begin();
  } else {
    arg(c, "class").asInt(cls);
  }
  if (cls < 0 || cls >= classes)
    return ev.fail("E0213", spanOf(c, "class"),
                   "the classes are " + (names.empty() ? "0 to " + std::to_string(classes - 1) : names.dump()) +
                       ", this is " +
                       (arg(c, "class").is(Value::Str) ? Json(arg(c, "class").string()).dump()
                                                       : ev.text(arg(c, "class"))));
  if (!countOf(ev, c, "batch", batch, "a batch has", "rows"))
    return {};
  const Json *rows = &m->batch.as<HandleObj>().spec; // how the classifier saw texts
  while (rows->value("op", Json()) != "label")
    rows = rows->contains("in") ? &rows->at("in") : &*rows->at("sources").begin();
  Json from{{"stage", m->from}};
  for (auto &g : m->gates)
    from = Json{{"op", "given"}, {"gate", Json{{"stage", g}}}, {"in", from}};
  auto h = handle("score", c, "score");
  h->spec = Json{{"score", from}, {"class", cls}, {"batch", batch}};
  for (const char *k : {"len", "cut", "side"})
    h->spec[k] = rows->at(k);
  return Value::of(Value::Handle, h);
}

Value extend(Evaluator &ev, BuiltinCall &c) {
  if (!inPipeline(ev, c) || unpackedOnly(ev, c, arg(c, "data")).isError())
    return {};
  const Value &fields = arg(c, "fields");
  if (!fields.is(Value::Record) || fields.as<RecordObj>().fields.empty())
    return ev.fail("E0206", spanOf(c, "fields"),
                   "`extend` names the fields that it adds: extend(quality = score(m, class = 1))");
  auto h = pass(c, "extend", arg(c, "data"), Json::object());
  Json &all = h->spec["fields"] = Json::object();
  for (auto &[name, v] : fields.as<RecordObj>().fields) {
    if (name == "text" || name.starts_with("_"))
      return ev.fail("E0206", spanOf(c, "fields"),
                     "`" + name + "` is not for `extend` to give: " +
                         (name == "text" ? "map_rows changes texts" : "names that begin with _ are r1c's own"));
    if (v.is(Value::Fn)) {
      all[name] = ev.stages->rowFn(v, spanOf(c, "fields"));
    } else if (v.is(Value::Handle) && v.as<HandleObj>().type == "score") {
      all[name] = v.as<HandleObj>().spec;
      for (auto &[b, n] : v.as<HandleObj>().builtins)
        h->builtins[b] = n;
    } else {
      return ev.fail("E0206", spanOf(c, "fields"),
                     "`" + name + "` is a function of a row or a classifier's score(…), this is " + kindName(v));
    }
  }
  return Value::of(Value::Handle, h);
}

Value device(Evaluator &ev, BuiltinCall &c) {
  auto h = handle("device", c, "device");
  h->spec = Json::object();
  if (std::string bits = arg(c, "bits").string(); bits != "run" && bits != "exact") {
    auto &d = ev.err("E0206", spanOf(c, "bits"), "`bits` is \"run\" or \"exact\", not \"" + bits + "\"");
    if (auto near = nearest(bits, {"run", "exact"}); !near.empty())
      d.help("\"" + near + "\"");
    return {};
  }
  for (auto &a : c.args)
    if (!a.value.is(Value::None))
      h->spec[std::string(a.name)] = toJson(ev, a.value);
  return Value::of(Value::Handle, h);
}

} // namespace

const std::vector<Builtin> &stageBuiltins() {
  static const std::vector<Builtin> table = {
      {"bpe", "", bpe},
      {"bytes_tokenizer", "", bytesTokenizer},
      {"pack", "", pack},
      {"pad", "", pad},
      {"label", "", label},
      {"masked", "", masked},
      {"train", "", train},
      {"evaluate", "", evaluate},
      {"perplexity", "", metric},
      {"bits_per_byte", "", metric},
      {"accuracy", "", metric},
      {"f1", "", metric},
      {"score", "", score},
      {"extend", "", extend},
      {"device", "", device},
  };
  return table;
}

} // namespace r1
