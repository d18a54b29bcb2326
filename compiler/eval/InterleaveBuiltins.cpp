// The @builtin function `interleave` of stdlib/stages.r1: rows of tokens of several sources, in shares.
#include "compiler/eval/Builtins.h"
#include "compiler/eval/StageHelpers.h"
#include <cstdio>

namespace r1 {

namespace {

std::string percent(double share) {
  char b[32];
  std::snprintf(b, sizeof b, "%.6g%%", 100 * share);
  return b;
}

/// Shares that no data could mend: false after E0213.
bool feasible(Evaluator &ev, const BuiltinCall &c, const Json &spec) {
  constexpr double tolerance = 1e-9; // of sums of decimals
  const Json &weight = spec.at("weight"), &floor = spec.at("floor"), &cap = spec.at("cap");
  auto wrong = [&](std::string_view name, const std::string &what) -> Diag & {
    return ev.err("E0213", spanOf(c, name), what);
  };
  double weights = 0, floors = 0, caps = 0;
  double allFloors = 0, allCaps = 0; // those that a rule has to keep
  size_t open = 0;
  for (auto &[name, x] : spec.at("sources").items()) {
    double lo = floor.value(name, 0.0), hi = cap.value(name, 1.0);
    allFloors += lo, allCaps += hi;
    if (lo > hi) {
      wrong("floor", "the floor of `" + name + "` is " + percent(lo) + ", above its cap of " + percent(hi));
      return false;
    }
    if (!weight.contains(name)) {
      floors += lo, caps += hi, ++open;
      continue;
    }
    double w = weight[name];
    weights += w;
    if (w < lo || w > hi) {
      wrong("weight", "the weight of `" + name + "` is " + percent(w) + ", outside its bounds of " + percent(lo) +
                          " to " + percent(hi));
      return false;
    }
  }
  double rest = 1 - weights;
  if (rest < -tolerance) {
    wrong("weight", "the weights add up to " + percent(weights) + ", more than 100%");
    return false;
  }
  if (open == 0 && rest > tolerance) {
    wrong("weight", "the weights add up to " + percent(weights) + ", and no source is left for the other " +
                        percent(rest))
        .help("leave one weight out: its source gets the rest");
    return false;
  }
  if (open && rest <= tolerance) {
    wrong("weight", "the weights add up to 100%, and nothing is left for the sources without one")
        .help("a weight of 0% leaves a source out");
    return false;
  }
  bool rule = !spec.at("adapt").is_null();
  for (auto [name, sum, of] : {std::tuple{"floor", floors, rest}, {"floor", rule ? allFloors : 0.0, 1.0}})
    if (open + rule && sum > of + tolerance) {
      wrong(name, "the floors add up to " + percent(sum) + ", more than the " + percent(of) + " there are to divide");
      return false;
    }
  for (auto [name, sum, of] : {std::tuple{"cap", open ? caps : rest, rest}, {"cap", rule ? allCaps : 1.0, 1.0}})
    if (sum < of - tolerance) {
      wrong(name, "the caps add up to " + percent(sum) + ", less than the " + percent(of) + " there are to divide");
      return false;
    }
  return true;
}

/// The rule is tried on losses of 1, so that a name that is wrong shows before the training; null after an error.
Json ruleOf(Evaluator &ev, const BuiltinCall &c, const Json &sources) {
  const Value &f = arg(c, "adapt");
  const Span span = spanOf(c, "adapt");
  auto wrong = [&](const std::string &what) -> Json {
    ev.err("E0206", span, what)
        .help("adapt = s => {" + sources.begin().key() + " = s." + sources.begin().key() + ".loss, …}");
    return nullptr;
  };
  if (!f.is(Value::Fn))
    return wrong("`adapt` is a function of the sources, {name = {share, loss, rows}}, this is " + kindName(f));
  Json seen = Json::object();
  for (auto &[name, x] : sources.items())
    seen[name] = Json{{"share", 1.0 / double(sources.size())}, {"loss", 1.0}, {"rows", 1000}};
  Evaluator row(ev.sh);
  row.rowMode = true;
  Value v = row.apply(f, std::vector<Value>{fromJson(seen)}, span);
  if (!row.rowError.empty()) {
    ev.err("E0213", span, "`adapt` gives no shares").note(row.rowError);
    return nullptr;
  }
  if (!v.is(Value::Record))
    return wrong("`adapt` gives a record of shares by source, this gives " + kindName(v));
  for (auto &[name, x] : v.as<RecordObj>().fields) {
    double number;
    if (!sources.contains(name))
      return wrong("`adapt` gives a share to `" + name + "`, which is no source of this `interleave`");
    if (!x.asFloat(number))
      return wrong("`adapt` gives `" + name + "` a number of at least 0, this is " + kindName(x));
  }
  for (auto &[name, x] : sources.items())
    if (!v.as<RecordObj>().find(name))
      return wrong("`adapt` gives no share to `" + name + "`");
  return ev.stages->rowFn(f, span, {"adapt"});
}

Value interleave(Evaluator &ev, BuiltinCall &c) {
  if (!inPipeline(ev, c))
    return {};
  const Value &given = arg(c, "sources");
  if (!given.is(Value::Record) || given.as<RecordObj>().fields.empty())
    return ev.fail("E0206", spanOf(c, "sources"),
                   "`interleave` takes a record {name = rows of tokens, …}, this is " + kindName(given));
  auto h = handle("corpus", c, "interleave");
  Json sources = Json::object();
  std::string first;
  const HandleObj *like = nullptr;
  for (auto &[name, v] : given.as<RecordObj>().fields) {
    bool corpus = v.is(Value::Handle) && v.as<HandleObj>().type == "corpus";
    if (!corpus || v.as<HandleObj>().batch.is_null()) {
      auto &d = ev.err("E0206", spanOf(c, "sources"),
                       "`" + name + "` is " + (corpus ? "rows of text" : kindName(v)) +
                           "; sources are rows of tokens, as `pack`, `pad` and `label` make them");
      if (corpus)
        d.help(name + " = … |> pack(tok, seq)");
      return {};
    }
    auto &x = v.as<HandleObj>();
    if (x.batch.contains("masked") || interleaved(x.spec))
      return ev.fail("E0206", spanOf(c, "sources"),
                     x.batch.contains("masked")
                         ? "`" + name + "` is masked; mask the whole: interleave({…}) |> masked(…)"
                         : "`" + name + "` is interleaved itself; name its sources here");
    if (x.batch.contains("buckets"))
      return ev.fail("E0206", spanOf(c, "sources"),
                     "`" + name + "` comes in buckets, whose batches have rows of one length; `interleave` chooses "
                     "each row of a batch by its source alone: leave `buckets` out");
    if (!like) {
      first = name;
      like = &x;
      h->batch = x.batch;
      h->tokenizer = x.tokenizer;
    } else if (auto [a, b] = difference(*like, x); !a.empty()) {
      return ev.fail("E0406", spanOf(c, "sources"),
                     "batches hold rows of one kind: `" + first + "` has " + a + ", `" + name + "` has " + b);
    } else if (x.tokenizer.as<HandleObj>().spec != like->tokenizer.as<HandleObj>().spec) {
      ev.err("E0406", spanOf(c, "sources"),
             "`" + first + "` and `" + name + "` are the tokens of two tokenizers, whose ids mean different texts")
          .also(like->tokenizer.as<HandleObj>().span, "of `" + first + "`")
          .also(x.tokenizer.as<HandleObj>().span, "of `" + name + "`");
      return {};
    }
    sources[name] = x.spec;
    bring(*h, x);
  }
  h->spec = Json{{"op", "interleave"}, {"sources", sources}, {"adapt", nullptr}};
  for (const char *name : {"weight", "floor", "cap"})
    if (Json j; sharesOf(ev, c, name, sources, j))
      h->spec[name] = j;
    else
      return {};
  if (!arg(c, "adapt").is(Value::None) && (h->spec["adapt"] = ruleOf(ev, c, sources)).is_null())
    return {};
  if (!feasible(ev, c, h->spec))
    return {};
  return Value::of(Value::Handle, h);
}

} // namespace

const std::vector<Builtin> &interleaveBuiltins() {
  static const std::vector<Builtin> table = {{"interleave", "", interleave}};
  return table;
}

} // namespace r1
