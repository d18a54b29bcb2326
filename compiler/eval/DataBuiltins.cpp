// The @builtin functions of stdlib/data.r1: sources of rows, and passes over them.
#include "compiler/eval/Files.h"
#include "compiler/eval/StageHelpers.h"
#include <algorithm>
#include <cmath>
#include <span>

namespace r1 {

namespace {

// ── sources ─────────────────────────────────────────────────────────────────

Value source(Evaluator &ev, BuiltinCall &c, const char *op, std::initializer_list<const char *> own) {
  if (!inPipeline(ev, c))
    return {};
  auto h = handle("corpus", c, op);
  std::string path = arg(c, "path").string();
  h->spec = Json{{"op", op}, {"path", path}};
  h->files = {path};
  for (const char *name : own)
    h->spec[name] = toJson(ev, arg(c, name));
  for (const char *name : {"utf8", "bad_rows", "unreadable"})
    h->spec[name] = toJson(ev, arg(c, name));
  if ((h->spec.contains("by") && !oneOf(ev, c, "by", {"line", "paragraph", "file"})) ||
      !oneOf(ev, c, "utf8", {"repair", "reject"}) || !oneOf(ev, c, "unreadable", {"stop", "skip"}))
    return {};
  int64_t bad = 0;
  if (!arg(c, "bad_rows").asInt(bad) || bad < 0)
    return ev.fail("E0213", spanOf(c, "bad_rows"),
                   "a number of rows is at least 0, this is " + ev.text(arg(c, "bad_rows")));
  if (h->spec.contains("delimiter") && arg(c, "delimiter").string().size() != 1)
    return ev.fail("E0213", spanOf(c, "delimiter"),
                   "a delimiter is one character, this is " + ev.text(arg(c, "delimiter")));
  if (ev.stages->checkFiles && !reportMissing(ev, path, spanOf(c, "path")))
    return {};
  return Value::of(Value::Handle, h);
}
Value lines(Evaluator &ev, BuiltinCall &c) { return source(ev, c, "lines", {"by"}); }
Value jsonl(Evaluator &ev, BuiltinCall &c) { return source(ev, c, "jsonl", {"text"}); }
Value csv(Evaluator &ev, BuiltinCall &c) { return source(ev, c, "csv", {"text", "delimiter"}); }
Value parquet(Evaluator &ev, BuiltinCall &c) { return source(ev, c, "parquet", {"text"}); }

// ── mixing ──────────────────────────────────────────────────────────────────

Value mix(Evaluator &ev, BuiltinCall &c) {
  if (!inPipeline(ev, c))
    return {};
  const Value &given = arg(c, "sources");
  if (!given.is(Value::Record) || given.as<RecordObj>().fields.empty())
    return ev.fail("E0206", spanOf(c, "sources"),
                   "`mix` takes a record {domain = corpus, …}, this is " + kindName(given));
  auto h = handle("corpus", c, "mix");
  Json sources = Json::object();
  for (auto &[domain, v] : given.as<RecordObj>().fields) {
    if (!v.is(Value::Handle) || v.as<HandleObj>().type != "corpus" || !v.as<HandleObj>().batch.is_null())
      return ev.fail("E0206", spanOf(c, "sources"),
                     "`" + domain + "` is not a corpus of text but " + kindName(v));
    sources[domain] = v.as<HandleObj>().spec;
    bring(*h, v.as<HandleObj>());
  }
  h->spec = Json{{"op", "mix"}, {"sources", sources}};
  for (const char *name : {"weight", "cap", "floor"})
    if (Json j; sharesOf(ev, c, name, sources, j))
      h->spec[name] = j;
    else
      return {};
  if (!oneOf(ev, c, "by", {"tokens", "bytes", "documents"}))
    return {};
  double temper = 0, repeat = 0;
  if (!arg(c, "temper").asFloat(temper) || temper < 0 || temper > 10)
    return ev.fail("E0213", spanOf(c, "temper"),
                   "`temper` is from 0 to 10, this is " + ev.text(arg(c, "temper")));
  if (!arg(c, "repeat").asFloat(repeat) || repeat < 1 || repeat > 1000)
    return ev.fail("E0213", spanOf(c, "repeat"),
                   "a document is taken 1 to 1000 times, this is " + ev.text(arg(c, "repeat")));
  int64_t total = 1;
  if (!arg(c, "total").is(Value::None) && (!arg(c, "total").asInt(total) || total < 1))
    return ev.fail("E0213", spanOf(c, "total"), "a total is at least 1, this is " + ev.text(arg(c, "total")));
  for (const char *name : {"by", "temper", "repeat", "total", "seed"})
    h->spec[name] = toJson(ev, arg(c, name));
  return Value::of(Value::Handle, h);
}

// ── passes ──────────────────────────────────────────────────────────────────

Value split(Evaluator &ev, BuiltinCall &c) {
  if (!inPipeline(ev, c))
    return {};
  const Value &in = arg(c, "data");
  if (unpackedOnly(ev, c, in).isError())
    return {};
  Json fractions = Json::object();
  double total = 0;
  std::vector<std::string> parts;
  for (const char *part : {"train", "valid", "test"}) {
    double f = 0;
    arg(c, part).asFloat(f);
    if (f < 0 || f > 1)
      return ev.fail("E0213", spanOf(c, part),
                     "a share is from 0% to 100%, this is " + ev.text(arg(c, part)));
    total += f;
    if (f > 0) {
      fractions[part] = f;
      parts.push_back(part);
    }
  }
  if (parts.empty())
    return ev.fail("E0202", c.span, "`split` needs a share: train = 90%, test = 10%");
  if (total > 1 + 1e-9)
    return ev.fail("E0213", c.span,
                   "the shares of `split` add up to " +
                       std::to_string((int)std::lround(total * 100)) + "%, more than the whole");
  Json by = nullptr;
  if (arg(c, "by").is(Value::Fn)) {
    by = ev.stages->rowFn(arg(c, "by"), spanOf(c, "by"), {"by"});
  } else if (!arg(c, "by").is(Value::None)) {
    return ev.fail("E0206", spanOf(c, "by"),
                   "`by` is a function of a row, this is " + kindName(arg(c, "by")));
  }
  if (arg(c, "contiguous").b)
    for (const char *name : {"by", "seed"})
      if (c.has((size_t)index(c, name)))
        return ev.fail("E0206", spanOf(c, name),
                       "`" + std::string(name) + "` does nothing with `contiguous = true`, which cuts in the order of the files");
  Fields f;
  for (auto &part : parts) {
    auto h = pass(c, "split", in,
                  Json{{"part", part},
                       {"fractions", fractions},
                       {"by", by},
                       {"contiguous", arg(c, "contiguous").b},
                       {"seed", toJson(ev, arg(c, "seed"))}});
    f.emplace_back(part, Value::of(Value::Handle, h));
  }
  return Value::record(std::move(f));
}

Value sample(Evaluator &ev, BuiltinCall &c) {
  if (!inPipeline(ev, c) || unpackedOnly(ev, c, arg(c, "data")).isError())
    return {};
  int64_t n = 0;
  if (!arg(c, "n").asInt(n) || n < 1)
    return ev.fail("E0213", spanOf(c, "n"), "a sample has at least one row");
  return Value::of(Value::Handle, pass(c, "sample", arg(c, "data"),
                                       Json{{"n", n}, {"seed", toJson(ev, arg(c, "seed"))}}));
}

Value rowPass(Evaluator &ev, BuiltinCall &c, const char *op, const char *param) {
  if (!inPipeline(ev, c) || unpackedOnly(ev, c, arg(c, "data")).isError())
    return {};
  if (!arg(c, param).is(Value::Fn))
    return ev.fail("E0206", spanOf(c, param),
                   "`" + std::string(param) + "` of `" + op + "` is a function of a row, this is " +
                       kindName(arg(c, param)));
  const bool keeps = std::string_view(op) == "filter";
  Json j = ev.stages->rowFn(arg(c, param), spanOf(c, param),
                            keeps ? RowGives{param, "true or false", {Value::Bool}}
                                  : RowGives{param, "a record", {Value::Record}});
  return Value::of(Value::Handle, pass(c, op, arg(c, "data"), Json{{param, j}}));
}
Value filterRows(Evaluator &ev, BuiltinCall &c) { return rowPass(ev, c, "filter", "keep"); }
Value mapRows(Evaluator &ev, BuiltinCall &c) { return rowPass(ev, c, "map_rows", "to"); }

// ── duplicates ──────────────────────────────────────────────────────────────

/// Bands and rows of at most `hashes` hashes whose curve 1-(1-s^rows)^bands makes the fewest mistakes
/// at the threshold: the areas of what is found below it and of what is missed above it, as in
/// Zhu et al., LSH Ensemble (2016).
std::pair<int64_t, int64_t> bandsFor(int64_t hashes, double above) {
  std::pair<int64_t, int64_t> best{1, 1};
  double least = 1e9;
  for (int64_t rows = 1; rows <= hashes; ++rows) {
    int64_t bands = hashes / rows;
    double wrong = 0;
    constexpr int steps = 400;
    for (int i = 0; i < steps; ++i) {
      double s = (i + 0.5) / steps;
      double found = 1 - std::pow(1 - std::pow(s, double(rows)), double(bands));
      wrong += s < above ? found : 1 - found;
    }
    if (wrong < least) {
      least = wrong;
      best = {bands, rows};
    }
  }
  return best;
}

Value dedup(Evaluator &ev, BuiltinCall &c) {
  if (!inPipeline(ev, c) || unpackedOnly(ev, c, arg(c, "data")).isError())
    return {};
  const Value &v = arg(c, "how");
  Json how = toJson(ev, v);
  if (!how.is_object() || !how.contains("dedup"))
    return ev.fail("E0206", spanOf(c, "how"), "`how` is exact(), minhash(…) or simhash(…), this is " + kindName(v));
  double above = 0;
  if (!arg(c, "above").asFloat(above) || above <= 0 || above > 1)
    return ev.fail("E0213", spanOf(c, "above"),
                   "a similarity is above 0% and at most 100%, this is " + ev.text(arg(c, "above")));
  if (!oneOf(ev, c, "keep", {"first", "longest"}))
    return {};
  int64_t hashes = 0;
  if (how["dedup"] == "minhash" && how["hashes"].is_number_integer()) {
    hashes = how["hashes"];
    if (hashes < 1 || hashes > 4096)
      return ev.fail("E0213", spanOf(c, "how"),
                     "a signature has 1 to 4096 hashes, this is " + std::to_string(hashes));
    if (how["bands"] != 14 || how["rows"] != 8)
      return ev.fail("E0206", spanOf(c, "how"), "minhash(…) takes `hashes`, or `bands` and `rows`");
    std::tie(how["bands"], how["rows"]) = bandsFor(hashes, above);
  }
  // Nothing is given in vain.
  std::string kind = how["dedup"];
  bool verify = arg(c, "verify").b, sizes = how.value("hashes", Json()).is_number_integer();
  if (c.has((size_t)index(c, "above")) && !verify && !(kind == "minhash" && sizes))
    return ev.fail("E0206", spanOf(c, "above"),
                   kind == "exact" ? "`above` does nothing for exact(): its documents are equal"
                   : kind == "minhash"
                       ? "`above` does nothing here: it counts with `verify = true`, and for minhash(hashes = N)"
                       : "`above` does nothing here: it counts with `verify = true`");
  if (kind == "exact" && verify)
    return ev.fail("E0206", spanOf(c, "verify"), "exact() leaves nothing to verify");
  for (const char *name : {"shingle", "bands", "rows"})
    if (how.contains(name) && !(how[name].is_number_integer() && how[name] >= 1 && how[name] <= 1000))
      return ev.fail("E0213", spanOf(c, "how"),
                     "`" + std::string(name) + "` is from 1 to 1000, this is " + how[name].dump());
  if (kind == "simhash" && !(how["distance"].is_number_integer() && how["distance"] >= 0 && how["distance"] <= 7))
    return ev.fail("E0213", spanOf(c, "how"), "`distance` is from 0 to 7 bits, this is " + how["distance"].dump());
  how.erase("hashes");
  return Value::of(Value::Handle, pass(c, "dedup", arg(c, "data"),
                                       Json{{"how", how},
                                            {"above", above},
                                            {"verify", arg(c, "verify").b},
                                            {"keep", arg(c, "keep").string()}}));
}

Value dropRepeats(Evaluator &ev, BuiltinCall &c) {
  if (!inPipeline(ev, c) || unpackedOnly(ev, c, arg(c, "data")).isError())
    return {};
  int64_t threshold = 0;
  if (!oneOf(ev, c, "part", {"line", "paragraph"}))
    return {};
  if (!arg(c, "threshold").asInt(threshold) || threshold < 2 || threshold > UINT32_MAX)
    return ev.fail("E0213", spanOf(c, "threshold"),
                   "a part is repeated from 2 documents on, this is " + ev.text(arg(c, "threshold")));
  return Value::of(Value::Handle, pass(c, "repeats", arg(c, "data"),
                                       Json{{"part", arg(c, "part").string()},
                                            {"threshold", threshold},
                                            {"keep_first", arg(c, "keep_first").b}}));
}

Value decontaminate(Evaluator &ev, BuiltinCall &c) {
  if (!inPipeline(ev, c) || unpackedOnly(ev, c, arg(c, "data")).isError())
    return {};
  const Value &against = arg(c, "against");
  auto &x = against.as<HandleObj>();
  if (!x.batch.is_null())
    return ev.fail("E0206", spanOf(c, "against"), "`against` is a corpus of text, these are tokens");
  int64_t n = 0;
  if (!arg(c, "ngram").asInt(n) || n < 1 || n > 1000)
    return ev.fail("E0213", spanOf(c, "ngram"),
                   "an n-gram has 1 to 1000 units, this is " + ev.text(arg(c, "ngram")));
  if (!oneOf(ev, c, "units", {"words", "characters"}))
    return {};
  auto h = pass(c, "decontaminate", arg(c, "data"),
                Json{{"against", x.spec}, {"ngram", n}, {"units", arg(c, "units").string()}});
  bring(*h, x);
  return Value::of(Value::Handle, h);
}

Value shots(Evaluator &ev, BuiltinCall &c) {
  if (!inPipeline(ev, c) || unpackedOnly(ev, c, arg(c, "data")).isError())
    return {};
  auto &of = arg(c, "of").as<HandleObj>();
  if (!of.batch.is_null())
    return ev.fail("E0206", spanOf(c, "of"), "`of` is a corpus of rows, these are tokens");
  if (of.call)
    return ev.fail("E0206", spanOf(c, "of"), "`of` is an artifact that has no name yet: stage pool = …");
  int64_t k = 0;
  if (!arg(c, "k").asInt(k) || k < 0 || k > 1000)
    return ev.fail("E0213", spanOf(c, "k"), "a prompt has 0 to 1000 examples, this is " + ev.text(arg(c, "k")));
  if (!arg(c, "format").is(Value::Fn)) {
    ev.err("E0206", spanOf(c, "format"), "`format` is a function of an example's row, this is " + kindName(arg(c, "format")))
        .help("format = r => \"${r.question}\\n${r.answer}\\n\\n\"");
    return {};
  }
  const std::string field = arg(c, "field").string();
  if (field.empty() || field == "text" || field.starts_with("_"))
    return ev.fail("E0206", spanOf(c, "field"), "`" + field + "` is a name that rows have of their own");
  auto h = pass(c, "shots", arg(c, "data"),
                Json{{"of", of.spec},
                     {"k", k},
                     {"format", ev.stages->rowFn(arg(c, "format"), spanOf(c, "format"), {"format", "a text", {Value::Str}})},
                     {"field", field},
                     {"seed", toJson(ev, arg(c, "seed"))}});
  bring(*h, of);
  return Value::of(Value::Handle, h);
}

// ── rules, augmentation, gates ──────────────────────────────────────────────

Value applyRules(Evaluator &ev, BuiltinCall &c) {
  if (!inPipeline(ev, c) || unpackedOnly(ev, c, arg(c, "data")).isError())
    return {};
  const Value &v = arg(c, "rules");
  Json rules = toJson(ev, v);
  if (rules.is_object())
    rules = Json::array({rules});
  bool ok = rules.is_array() && !rules.empty();
  for (auto &r : rules)
    ok = ok && r.is_object() && r.contains("rule");
  if (!ok)
    return ev.fail("E0206", spanOf(c, "rules"),
                   "`rules` is a list of rules such as [c4(), gopher_quality()], this is " + ev.text(v));
  auto h = pass(c, "apply_rules", arg(c, "data"), Json{{"rules", rules}});
  for (auto &r : rules) // files that rules read
    for (auto &[name, x] : r.items())
      if ((name == "lexicon" || name == "file") && x.is_string())
        h->files.push_back(x);
  return Value::of(Value::Handle, h);
}

/// The fields of back_translate's record that only a program, or only models, look at.
constexpr const char *ofPrograms[] = {"via", "program", "seconds"};
constexpr const char *ofModels[] = {"to", "to_prompt", "back_prompt", "max_new", "beams", "stop", "batch"};

/// Is nothing of `how`, the record of a back_translate, in vain beside what translates? False after E0206. What the
/// library writes where nothing is given is not.
bool translatesBy(Evaluator &ev, const BuiltinCall &c, const RecordObj &how, bool models) {
  const Value library =
      ev.apply(ev.global(ev.sh.program.prelude.get(), "back_translate", c.span), std::vector<Value>(), c.span);
  if (!library.is(Value::Record))
    return false;
  for (const char *name : models ? std::span<const char *const>(ofPrograms) : ofModels) {
    const Value *v = how.find(name), *otherwise = library.as<RecordObj>().find(name);
    if (v && otherwise && (v->is(Value::Fn) || toJson(ev, *v) != toJson(ev, *otherwise))) {
      ev.err("E0206", spanOf(c, "how"),
             "`" + std::string(name) + "` of back_translate does nothing where " +
                 (models ? "models translate (to, back)" : "a program translates (via, back)"));
      return false;
    }
  }
  return true;
}

Value augment(Evaluator &ev, BuiltinCall &c) {
  if (!inPipeline(ev, c) || unpackedOnly(ev, c, arg(c, "data")).isError())
    return {};
  double share = 0;
  if (!arg(c, "share").asFloat(share) || share <= 0 || share > 1)
    return ev.fail("E0213", spanOf(c, "share"),
                   "a share is above 0% and at most 100%, this is " + ev.text(arg(c, "share")));
  const RecordObj *record = arg(c, "how").is(Value::Record) ? &arg(c, "how").as<RecordObj>() : nullptr;
  if (const Value *to = record ? record->find("to") : nullptr) {
    const bool models = !to->is(Value::None);
    if (!translatesBy(ev, c, *record, models))
      return {};
    if (models)
      return augmentByModels(ev, c, share);
  }
  Json how = toJson(ev, arg(c, "how"));
  if (!how.is_object() || !how.contains("augment"))
    return ev.fail("E0206", spanOf(c, "how"),
                   "`how` is synonyms(…), typos(…) or back_translate(…), this is " +
                       kindName(arg(c, "how")));
  if (how["augment"] == "back_translate" && !(how["via"].is_string() && how["back"].is_string()))
    return ev.fail("E0206", spanOf(c, "how"),
                   "`via` and `back` are names of an installed translator's directions; models of the pipeline are "
                   "back_translate(to = …, back = …)");
  auto h = pass(c, "augment", arg(c, "data"),
                Json{{"share", share}, {"how", how}, {"seed", toJson(ev, arg(c, "seed"))}});
  if (how["augment"] == "back_translate") // those that are of models
    for (const char *name : ofModels)
      h->spec["how"].erase(name);
  // The lexicon is an input like any other file.
  if (how.contains("lexicon") && how["lexicon"].is_string()) {
    std::string lexicon = how["lexicon"] == "wordnet" ? "/usr/share/wordnet" : how["lexicon"].get<std::string>();
    h->files.push_back(lexicon);
    h->files.push_back(lexicon + "/*");
  }
  return Value::of(Value::Handle, h);
}

Value statistics(Evaluator &ev, BuiltinCall &c) {
  if (!inPipeline(ev, c) || unpackedOnly(ev, c, arg(c, "data")).isError())
    return {};
  auto call = std::make_shared<StageCall>();
  call->kind = "statistics";
  call->result = "metrics";
  call->span = c.span;
  Json lexicon = toJson(ev, arg(c, "lexicon"));
  bool ok = lexicon.is_null() || (lexicon.is_object() && !lexicon.empty());
  if (ok && lexicon.is_object())
    for (auto &[tag, words] : lexicon.items())
      ok = ok && words.is_array() && !words.empty() &&
           std::all_of(words.begin(), words.end(), [](const Json &w) { return w.is_string(); });
  if (!ok)
    return ev.fail("E0206", spanOf(c, "lexicon"),
                   "`lexicon` is a record of words {tag = [\"word\", …]}, this is " + kindName(arg(c, "lexicon")));
  auto h = handle("metrics", c, "statistics");
  for (const char *name : {"data", "before"}) {
    const Value &v = arg(c, name);
    if (v.is(Value::None)) {
      call->spec[name] = nullptr;
      continue;
    }
    if (!v.is(Value::Handle) || v.as<HandleObj>().type != "corpus" || !v.as<HandleObj>().batch.is_null())
      return ev.fail("E0206", spanOf(c, name), "`" + std::string(name) + "` is a corpus of text, this is " + kindName(v));
    if (!comesInOrder(ev, c, name))
      return {};
    call->spec[name] = v.as<HandleObj>().spec;
    bring(*h, v.as<HandleObj>());
  }
  for (auto [name, most] : {std::pair{"words", 1000}, {"topics", 1000}, {"sample", 1'000'000}}) {
    int64_t n = 0;
    if (!arg(c, name).asInt(n) || n < 0 || n > most)
      return ev.fail("E0213", spanOf(c, name),
                     "`" + std::string(name) + "` is from 0 to " + std::to_string(most) + ", this is " +
                         ev.text(arg(c, name)));
    call->spec[name] = n;
  }
  call->spec["lexicon"] = lexicon;
  call->spec["seed"] = toJson(ev, arg(c, "seed"));
  call->files = h->files;
  call->builtins = h->builtins;
  h->call = call;
  return Value::of(Value::Handle, h);
}

/// `x` unchanged, once the gate has passed: nothing of it enters the fingerprint.
Value given(Evaluator &ev, BuiltinCall &c) {
  if (!inPipeline(ev, c))
    return {};
  const Value &x = arg(c, "x"), &gate = arg(c, "gate");
  std::string stage;
  if (gate.is(Value::Handle) && gate.as<HandleObj>().spec.is_object())
    stage = gate.as<HandleObj>().spec.value("stage", "");
  if (stage.empty())
    return ev.fail("E0206", spanOf(c, "gate"),
                   "`gate` is a stage that judges or asks, this is " + kindName(gate));
  if (x.is(Value::Model)) {
    auto m = std::make_shared<ModelObj>(x.as<ModelObj>());
    m->gates.push_back(stage);
    return Value::of(Value::Model, m);
  }
  if (!x.is(Value::Handle) || x.as<HandleObj>().type != "corpus")
    return ev.fail("E0206", spanOf(c, "x"),
                   "corpora and models wait for gates, this is " + kindName(x));
  auto h = std::make_shared<HandleObj>(x.as<HandleObj>());
  h->spec = Json{{"op", "given"}, {"gate", Json{{"stage", stage}}}, {"in", h->spec}};
  return Value::of(Value::Handle, h);
}

} // namespace

const std::vector<Builtin> &dataBuiltins() {
  static const std::vector<Builtin> table = {
      {"lines", "", lines},
      {"jsonl", "", jsonl},
      {"csv", "", csv},
      {"parquet", "", parquet},
      {"mix", "", mix},
      {"split", "", split},
      {"sample", "", sample},
      {"filter", "", filterRows},
      {"map_rows", "", mapRows},
      {"dedup", "", dedup},
      {"drop_repeats", "", dropRepeats},
      {"decontaminate", "", decontaminate},
      {"shots", "", shots},
      {"apply_rules", "", applyRules},
      {"augment", "", augment},
      {"statistics", "", statistics},
      {"given", "", given},
  };
  return table;
}

} // namespace r1
