// The @builtin functions of stdlib/stages.r1: from evaluated arguments to the spec of a stage.
#include "compiler/eval/StageHelpers.h"
#include <algorithm>
#include <bit>
#include <cmath>
#include <set>

namespace r1 {

namespace {

// ── to tensors ──────────────────────────────────────────────────────────────

// Are the special tokens different texts? False after E0206.
bool specialsDiffer(Evaluator &ev, const BuiltinCall &c) {
  std::set<std::string> seen;
  for (auto &x : arg(c, "special").as<ListObj>().items)
    if (x.string().empty() || !seen.insert(x.string()).second) {
      ev.err("E0206", spanOf(c, "special"),
             x.string().empty() ? "a special token is no empty text" : "the special token \"" + x.string() + "\" is named twice");
      return false;
    }
  return true;
}

Value bytesTokenizer(Evaluator &ev, BuiltinCall &c) {
  if (!inPipeline(ev, c) || !specialsDiffer(ev, c))
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
      !comesInOrder(ev, c, "data") || !specialsDiffer(ev, c))
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
  bring(*h, tok);
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
  Json args{{"seq", seq}, {"separate", arg(c, "separate").b}};
  if (const Value &fim = arg(c, "middle"); !fim.is(Value::None)) {
    const Value *names = fim.is(Value::Record) ? fim.as<RecordObj>().find("tokens") : nullptr;
    if (!names || !names->is(Value::List) || names->as<ListObj>().items.size() != 3)
      return ev.fail("E0206", spanOf(c, "middle"),
                     names ? "`tokens` of fim are three: before the prefix, the suffix and the middle"
                           : "`middle` is fim(…) or none, this is " + kindName(fim));
    args["fim"] = toJson(ev, fim);
    if (const Json &t = args["fim"]["tokens"]; t[0] == t[1] || t[0] == t[2] || t[1] == t[2])
      return ev.fail("E0206", spanOf(c, "middle"),
                     "the three `tokens` of fim tell its parts apart, so each is another; these are " + t.dump());
    if (!hasSpecials(ev, c, arg(c, "tok").as<HandleObj>(), "middle", args["fim"]["tokens"].get<std::vector<std::string>>()))
      return {};
  }
  return Value::of(Value::Handle, tokens(c, "pack", std::move(args),
                                         Json{{"layout", "lm"}, {"seq", seq}, {"vocab", vocab}}));
}

// The library's `chat_templates` names the templates of runtime/data/Chat.h and the special tokens that they write.
Value chat(Evaluator &ev, BuiltinCall &c) {
  if (!inPipeline(ev, c))
    return {};
  Value table = ev.global(ev.sh.program.main, "chat_templates", c.span);
  if (!table.is(Value::Record))
    return ev.fail("E0200", c.span, "the library has no `chat_templates`");
  std::vector<std::string> names, specials;
  for (auto &[name, tokens] : table.as<RecordObj>().fields) {
    names.push_back(name);
    if (name == arg(c, "template").string())
      specials = toJson(ev, tokens).get<std::vector<std::string>>();
  }
  int64_t seq = 0, vocab = 0;
  if (unpackedOnly(ev, c, arg(c, "data")).isError() || !comesInOrder(ev, c, "data") ||
      !namedTokenizer(ev, c, vocab) || !countOf(ev, c, "seq", seq, "a row has", "tokens") ||
      !oneOf(ev, c, "template", names) || !oneOf(ev, c, "unfit", {"stop", "drop"}) ||
      !hasSpecials(ev, c, arg(c, "tok").as<HandleObj>(), "template", specials))
    return {};
  Json spec = {{"seq", seq}, {"template", arg(c, "template").string()}, {"unfit", arg(c, "unfit").string()}};
  return Value::of(Value::Handle,
                   tokens(c, "chat", std::move(spec), Json{{"layout", "lm"}, {"seq", seq}, {"vocab", vocab}}));
}

// The lengths that rows are padded to, ascending; none where there is but one. False after an error.
bool bucketsOf(Evaluator &ev, const BuiltinCall &c, int64_t len, std::vector<int64_t> &lengths) {
  const Value &v = arg(c, "buckets");
  auto wrong = [&](const std::string &what) {
    ev.err("E0213", spanOf(c, "buckets"), what)
        .help("buckets = [" + std::to_string((len + 1) / 2) + ", " + std::to_string(len) + "]");
    return false;
  };
  constexpr int64_t most = 16; // each has programs of its own
  int64_t count = 0;
  if (v.asInt(count)) {
    if (count < 1 || count > most)
      return wrong("rows have 1 to " + std::to_string(most) + " buckets, this is " + ev.text(v));
    for (int64_t n = len; count > 0; --count, n = (n + 1) / 2)
      lengths.push_back(n);
  } else if (v.is(Value::List)) {
    for (auto &x : v.as<ListObj>().items) {
      int64_t n = 0;
      if (!x.asInt(n) || n < 1 || n > len)
        return wrong("a bucket has 1 token to `len`, " + std::to_string(len) + ", this is " + ev.text(x));
      lengths.push_back(n);
    }
    lengths.push_back(len);
  } else if (!v.is(Value::None)) {
    return wrong("`buckets` is a list of lengths or their number, this is " + kindName(v));
  }
  std::sort(lengths.begin(), lengths.end());
  lengths.erase(std::unique(lengths.begin(), lengths.end()), lengths.end());
  if (lengths.size() > size_t(most))
    return wrong("rows have 1 to " + std::to_string(most) + " buckets, these are " + std::to_string(lengths.size()));
  if (lengths.size() < 2)
    lengths.clear();
  return true;
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
  std::vector<int64_t> lengths;
  if (!bucketsOf(ev, c, len, lengths))
    return false;
  if (!lengths.empty())
    args["buckets"] = batch["buckets"] = lengths;
  return true;
}

Value pad(Evaluator &ev, BuiltinCall &c) {
  Json args, batch;
  if (!documentRows(ev, c, args, batch))
    return {};
  batch["layout"] = "lm";
  return Value::of(Value::Handle, tokens(c, "pad", std::move(args), std::move(batch)));
}

// Names that begin and go on with spans (IOB2) belong together: I-X continues what B-X begins. False after E0206.
bool tagNames(Evaluator &ev, const BuiltinCall &c, const Json &names) {
  if (!names.is_array())
    return true;
  std::set<std::string> all(names.begin(), names.end());
  for (const std::string &name : all) {
    if (!name.starts_with("I-") || all.count("B-" + name.substr(2)))
      continue;
    ev.err("E0206", spanOf(c, "classes"), "the tag \"" + name + "\" goes on with a span that no tag begins")
        .help("add \"B-" + name.substr(2) + "\", or write  classes = bio([\"" + name.substr(2) + "\"])");
    return false;
  }
  return true;
}

Value label(Evaluator &ev, BuiltinCall &c) {
  Json args, batch;
  if (!documentRows(ev, c, args, batch))
    return {};
  if (!oneOf(ev, c, "each", {"row", "token"}))
    return {};
  const bool tags = arg(c, "each").string() == "token";
  batch["layout"] = tags ? "tags" : "labels";
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
  if (tags) {
    args["each"] = "token";
    args["repair"] = arg(c, "repair").b;
    if (!tagNames(ev, c, args["classes"]))
      return {};
  } else if (arg(c, "repair").b) {
    return ev.fail("E0206", spanOf(c, "repair"), "`repair` is of the tags of words: each = \"token\"");
  }
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

// ── learning ────────────────────────────────────────────────────

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

// When to measure, which weights to keep, when to stop, what becomes of bad steps: into the spec, as far as they
// are given.
bool trainPolicies(Evaluator &ev, const BuiltinCall &c, Json &spec) {
  bool valid = arg(c, "valid").is(Value::Handle);
  auto needsValid = [&](std::string_view name) {
    if (!valid)
      ev.err("E0206", spanOf(c, name), "`" + std::string(name) + "` looks at the loss on `valid`, and there is none")
          .help("valid = … |> pack(tok, seq)");
    return valid;
  };
  if (!arg(c, "valid_every").is(Value::None)) {
    int64_t n = 0;
    if (!arg(c, "valid_every").asInt(n) || n < 1) {
      ev.err("E0213", spanOf(c, "valid_every"),
             "`valid_every` is a number of steps of at least 1, this is " + ev.text(arg(c, "valid_every")));
      return false;
    }
    if (!needsValid("valid_every"))
      return false;
    spec["valid_every"] = n;
  }
  if (!arg(c, "ema").is(Value::None)) {
    double decay = 0;
    if (!arg(c, "ema").asFloat(decay) || !(decay > 0 && decay < 1)) {
      ev.err("E0213", spanOf(c, "ema"), "`ema` is a rate between 0 and 1, this is " + ev.text(arg(c, "ema")))
          .help("ema = 0.999 averages over some 1000 steps");
      return false;
    }
    spec["ema"] = decay;
  }
  const Value &stop = arg(c, "stop"), &guard = arg(c, "guard");
  if (!stop.is(Value::None)) {
    bool early = stop.is(Value::Record) && stop.as<RecordObj>().find("patience");
    if (!early) {
      ev.err("E0206", spanOf(c, "stop"), "`stop` is early(…) or none, this is " + kindName(stop));
      return false;
    }
    Json j = toJson(ev, stop);
    if (j["metric"] != "valid.loss") {
      ev.err("E0206", spanOf(c, "stop"), "`early` looks at \"valid.loss\", not at " + j["metric"].dump())
          .help("metric = \"valid.loss\"");
      return false;
    }
    if (!needsValid("stop"))
      return false;
    spec["stop"] = j;
  }
  if (!arg(c, "keep").is(Value::None)) {
    if (!oneOf(ev, c, "keep", {"best", "last"}) || (arg(c, "keep").string() == "best" && !needsValid("keep")))
      return false;
    spec["keep"] = arg(c, "keep").string();
  } else if (!stop.is(Value::None)) {
    spec["keep"] = "best";
  }
  if (!guard.is(Value::None)) {
    if (!guard.is(Value::Record) || !guard.as<RecordObj>().find("most")) {
      ev.err("E0206", spanOf(c, "guard"), "`guard` is skip_bad(…) or none, this is " + kindName(guard));
      return false;
    }
    spec["guard"] = toJson(ev, guard);
  }
  // A run of some seconds has no tenths to measure at.
  if (arg(c, "budget").as<BudgetObj>().unit == BudgetSeconds && valid && !spec.contains("valid_every") &&
      (spec.contains("stop") || spec.value("keep", "") == "best")) {
    ev.err("E0206", spanOf(c, "budget"), "the budget is a time, so it is not known when to measure `valid`")
        .help("valid_every = 500");
    return false;
  }
  // What is measured at the end alone has nothing left to stop.
  auto &budget = arg(c, "budget").as<BudgetObj>();
  if (spec.contains("stop") && spec.contains("valid_every") && budget.unit == BudgetSteps &&
      spec["valid_every"].get<double>() >= budget.amount) {
    const int64_t steps = int64_t(budget.amount);
    auto &d = ev.err("E0206", spanOf(c, "stop"),
                     "`stop` never stops this training: `valid` is measured every " + spec["valid_every"].dump() +
                         " steps and the budget is " + std::to_string(steps) + ", so once, at the end");
    if (steps >= 2)
      d.help("valid_every = " + std::to_string(std::max<int64_t>(1, steps / 10)) + ", or no `stop`");
    else
      d.help("leave `stop` out");
    return false;
  }
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
  call->optimSpan = spanOf(c, "optim");
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
  if (const Value &before = call->model->tokenizer; before.is(Value::Handle) && data.tokenizer.is(Value::Handle)) {
    // Of two files it is not known here whether they are one tokenizer.
    const Json &a = before.as<HandleObj>().spec, &b = data.tokenizer.as<HandleObj>().spec;
    if (a != b && !(a.value("op", "") == "tokenizer" && b.value("op", "") == "tokenizer")) {
      ev.err("E0406", call->dataSpan,
             "`" + call->model->from + "` was trained with another tokenizer than these rows are made by: its weights are of other ids")
          .also(before.as<HandleObj>().span, "of `" + call->model->from + "`")
          .also(data.tokenizer.as<HandleObj>().span, "of these rows");
      return {};
    }
  }
  const Value &precision = arg(c, "precision");
  Json p;
  if (precision.is(Value::DType) && precision.i == (int)Elem::F32) {
    p = "f32";
  } else if (precision.is(Value::Record) && precision.as<RecordObj>().find("mixed")) {
    const Value *t = precision.as<RecordObj>().find("mixed");
    if (!t->is(Value::DType) || (t->i != (int)Elem::BF16 && t->i != (int)Elem::F16))
      return ev.fail("E0206", spanOf(c, "precision"),
                     "mixed(" + ev.text(*t) + "): the compute type is bf16 or f16");
    p = t->i == (int)Elem::F16 ? "mixed(f16)" : "mixed(bf16)";
  } else {
    return ev.fail("E0206", spanOf(c, "precision"),
                   "`precision` is f32, mixed(bf16) or mixed(f16), this is " + ev.text(precision));
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
  for (const char *name : {"model", "loss", "optim", "lr"})
    call->shown[name] = shownText(ev, arg(c, name));
  if (!trainPolicies(ev, c, call->spec))
    return {};
  call->files = data.files;
  call->builtins = data.builtins;
  if (arg(c, "valid").is(Value::Handle)) {
    auto &v = arg(c, "valid").as<HandleObj>();
    if (auto [a, b] = difference(data, v); v.batch != data.batch)
      return ev.fail("E0406", spanOf(c, "valid"),
                     "`valid` is measured by the programs of `data`, so its rows are alike: `data` has " + a +
                         ", `valid` has " + b);
    if (data.tokenizer.is(Value::Handle) && v.tokenizer.is(Value::Handle) &&
        data.tokenizer.as<HandleObj>().spec != v.tokenizer.as<HandleObj>().spec) {
      ev.err("E0406", spanOf(c, "valid"),
             "`valid` is made of the tokens of another tokenizer than `data`, whose ids mean different texts")
          .also(data.tokenizer.as<HandleObj>().span, "of `data`")
          .also(v.tokenizer.as<HandleObj>().span, "of `valid`");
      return {};
    }
    call->files.insert(call->files.end(), v.files.begin(), v.files.end());
    for (auto &[k, n] : v.builtins)
      call->builtins[k] = n;
  }
  call->builtins["train"] = c.version;
  auto h = handle("model that has no name yet", c, "train");
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
      all[name] = ev.stages->rowFn(v, spanOf(c, "fields"), {name});
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

} // namespace

const std::vector<Builtin> &stageBuiltins() {
  static const std::vector<Builtin> table = {
      {"bpe", "", bpe},
      {"bytes_tokenizer", "", bytesTokenizer},
      {"pack", "", pack},
      {"chat", "", chat},
      {"pad", "", pad},
      {"label", "", label},
      {"masked", "", masked},
      {"train", "", train},
      {"score", "", score},
      {"extend", "", extend},
  };
  return table;
}

} // namespace r1
