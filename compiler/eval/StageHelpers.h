// What the @builtin functions of stages and data share: their arguments, and what they make.
#pragma once
#include "compiler/eval/Builtins.h"
#include "compiler/eval/Stages.h"

namespace r1 {

inline int index(const BuiltinCall &c, std::string_view name) {
  for (size_t i = 0; i < c.args.size(); ++i)
    if (c.args[i].name == name)
      return (int)i;
  return -1;
}
inline const Value &arg(const BuiltinCall &c, std::string_view name) {
  static const Value none(Value::None);
  int i = index(c, name);
  return i < 0 ? none : c.args[(size_t)i].value;
}
inline Span spanOf(const BuiltinCall &c, std::string_view name) {
  int i = index(c, name);
  return i < 0 ? c.span : c.args[(size_t)i].span;
}

/// Ids of a vocabulary, of a row, rows of a batch: what the runtime counts in 32 bits, and products
/// of two in 64.
constexpr int64_t mostIds = 1 << 24;

/// The int argument `name`, of 1 to mostIds; false after E0213, which says that `what` ("a row
/// has") so many `of` ("tokens").
inline bool countOf(Evaluator &ev, const BuiltinCall &c, std::string_view name, int64_t &n,
             const char *what, const char *of) {
  if (arg(c, name).asInt(n) && n >= 1 && n <= mostIds)
    return true;
  ev.err("E0213", spanOf(c, name),
         std::string(what) + " 1 to " + std::to_string(mostIds) + " " + of + ", this is " +
             ev.text(arg(c, name)));
  return false;
}

/// The argument `name` is one of `words`; false after E0206.
inline bool oneOf(Evaluator &ev, const BuiltinCall &c, std::string_view name,
                  const std::vector<std::string> &words) {
  std::string given = arg(c, name).string(), list;
  if (std::find(words.begin(), words.end(), given) != words.end())
    return true;
  for (size_t i = 0; i < words.size(); ++i)
    list += (i == 0 ? "\"" : i + 1 == words.size() ? " or \"" : ", \"") + words[i] + "\"";
  auto &d = ev.err("E0206", spanOf(c, name),
                   "`" + std::string(name) + "` is " + list + ", not \"" + given + "\"");
  if (auto near = nearest(given, words); !near.empty())
    d.help("\"" + near + "\"");
  return false;
}

/// The special tokens that `tok` was told to have; none where only its artifact knows them.
inline const ListObj *specialsOf(const HandleObj &tok) {
  for (auto &[k, v] : tok.fields)
    if (k == "special" && v.is(Value::List))
      return &v.as<ListObj>();
  return nullptr;
}

/// Has the tokenizer `tok` these special tokens, which the argument `name` needs? False after E0206.
inline bool hasSpecials(Evaluator &ev, const BuiltinCall &c, const HandleObj &tok, std::string_view name,
                        const std::vector<std::string> &wanted) {
  const ListObj *have = specialsOf(tok);
  std::string list;
  for (auto &w : wanted)
    list += (list.empty() ? "\"" : ", \"") + w + "\"";
  for (auto &w : wanted)
    if (!have || std::none_of(have->items.begin(), have->items.end(), [&](const Value &x) { return x.string() == w; })) {
      ev.err("E0206", spanOf(c, name), "the tokenizer has no special token \"" + w + "\"")
          .also(tok.span, "made here")
          .help("special = [" + list + "]");
      return false;
    }
  return true;
}

inline bool inPipeline(Evaluator &ev, const BuiltinCall &c) {
  if (ev.stages)
    return true;
  if (!ev.symbolic)
    ev.err("E0214", c.span,
           "`" + std::string(c.name) + "` makes a part of a pipeline and stands only in one");
  return false;
}

inline std::shared_ptr<HandleObj> handle(const char *type, const BuiltinCall &c, std::string_view op) {
  auto h = std::make_shared<HandleObj>();
  h->type = type;
  h->span = c.span;
  h->builtins[std::string(op)] = c.version;
  return h;
}

/// A pass over a corpus: {"op": ..., "in": ...}.
inline std::shared_ptr<HandleObj> pass(const BuiltinCall &c, const char *op, const Value &in, Json args) {
  auto h = handle("corpus", c, op);
  auto &x = in.as<HandleObj>();
  h->spec = std::move(args);
  h->spec["op"] = op;
  h->spec["in"] = x.spec;
  h->files = x.files;
  for (auto &[k, v] : x.builtins)
    h->builtins[k] = v;
  return h;
}

/// What another corpus brings along: its files and the versions of its passes.
inline void bring(HandleObj &h, const HandleObj &x) {
  h.files.insert(h.files.end(), x.files.begin(), x.files.end());
  for (auto &[k, v] : x.builtins)
    h.builtins[k] = v;
}

/// A record {domain = share} whose names are sources, as JSON; false after an error.
inline bool sharesOf(Evaluator &ev, const BuiltinCall &c, std::string_view name, const Json &sources,
                     Json &out) {
  out = Json::object();
  const Value &v = arg(c, name);
  if (v.is(Value::None))
    return true;
  if (!v.is(Value::Record)) {
    ev.err("E0206", spanOf(c, name),
           "`" + std::string(name) + "` is a record {domain = share}, this is " + kindName(v));
    return false;
  }
  for (auto &[domain, share] : v.as<RecordObj>().fields) {
    double f = -1;
    if (!sources.contains(domain)) {
      std::vector<std::string> have;
      for (auto &[k, x] : sources.items())
        have.push_back(k);
      auto &d = ev.err("E0208", spanOf(c, name),
                       "`" + std::string(name) + "` names `" + domain + "`, which is no source of this `" +
                           std::string(c.name) + "`");
      if (auto near = nearest(domain, have); !near.empty())
        d.help("did you mean `" + near + "`?");
      return false;
    }
    if (!share.asFloat(f) || f < 0 || f > 1) {
      ev.err("E0213", spanOf(c, name),
             "the share of `" + domain + "` is from 0% to 100%, this is " + ev.text(share));
      return false;
    }
    out[domain] = f;
  }
  return true;
}

/// What the batches of two corpora differ in, as "rows of 64 tokens" of each; empty if in nothing.
inline std::pair<std::string, std::string> difference(const HandleObj &a, const HandleObj &b) {
  auto rows = [](const HandleObj &h) -> const Json & {
    const Json *t = &h.spec;
    while (t->value("op", "") == "given" || t->value("op", "") == "masked")
      t = &t->at("in");
    return *t;
  };
  auto of = [](const Json &j, const char *key) { return j.value(key, Json()); };
  if (of(a.batch, "layout") != of(b.batch, "layout") || of(a.batch, "masked") != of(b.batch, "masked")) {
    auto kind = [&](const HandleObj &h) -> std::string {
      const Json layout = of(h.batch, "layout");
      return layout == "labels"             ? "rows with a class each"
             : layout == "tags"             ? "rows with a class for each word"
             : layout == "pairs"            ? "rows of a source and a target"
             : of(h.batch, "masked") == true ? "rows with hidden tokens"
                                            : "rows of tokens to come";
    };
    return {kind(a), kind(b)};
  }
  for (auto [key, before, after] : {std::tuple{"seq", "rows of ", " tokens"},
                                    {"source_seq", "sources of ", " tokens"},
                                    {"vocab", "a vocabulary of ", " ids"},
                                    {"classes", "rows of ", " classes"},
                                    {"names", "the classes ", ""},
                                    {"buckets", "buckets of ", " tokens"}})
    if (of(a.batch, key) != of(b.batch, key)) {
      auto side = [&](const HandleObj &h) {
        return !of(h.batch, key).is_null() ? before + of(h.batch, key).dump() + after
                                           : std::string(key) == "names" ? "classes without names" : "rows without " + std::string(key);
      };
      return {side(a), side(b)};
    }
  auto side = [&](const HandleObj &h) { return rows(h).value("side", "right"); };
  if (side(a) != side(b))
    return {"padding on the " + side(a), "padding on the " + side(b)};
  if (a.batch != b.batch)
    return {"batches " + a.batch.dump(), "batches " + b.batch.dump()};
  return {};
}

/// The node of the `interleave` that rows of tokens come from, masked perhaps; or null.
inline const Json *interleaved(const Json &tree) {
  const Json *t = &tree;
  while (t->contains("in") && (t->value("op", "") == "masked" || t->value("op", "") == "given"))
    t = &t->at("in");
  return t->value("op", "") == "interleave" ? t : nullptr;
}

/// Are the rows of `name` tokens in one order? False after E0206.
inline bool packedCorpus(Evaluator &ev, const BuiltinCall &c, std::string_view name) {
  const Value &v = arg(c, name);
  if (interleaved(v.as<HandleObj>().spec) && (c.name != "train" || name != "data")) {
    ev.err("E0206", spanOf(c, name), "`interleave` says in which order to train; to measure, give one of its sources");
    return false;
  }
  if (!v.as<HandleObj>().batch.is_null())
    return true;
  ev.err("E0206", spanOf(c, name),
         "`" + std::string(c.name) + "` takes batches of tokens, these are rows of text")
      .help(index(c, "predict") >= 0 ? "… |> label(tok, len, classes)" : "… |> pack(tok, seq)");
  return false;
}

inline Value unpackedOnly(Evaluator &ev, const BuiltinCall &c, const Value &in) {
  if (in.as<HandleObj>().call) {
    ev.err("E0206", spanOf(c, "data"), "these rows are an artifact that has no name yet")
        .help("name it in a step of its own: stage asked = annotate(…)");
    return {};
  }
  if (!in.as<HandleObj>().batch.is_null())
    return ev.fail("E0206", spanOf(c, "data"),
                   "`" + std::string(c.name) +
                       "` works on rows of text; these are packed into tokens already");
  return Value(Value::None);
}

/// Do the rows of `name` come one after the other, without a pass that has to see all of them first or
/// that runs a model? False after E0206: such passes stand only in stages of rows.
inline bool comesInOrder(Evaluator &ev, const BuiltinCall &c, std::string_view name) {
  auto &h = arg(c, name).as<HandleObj>();
  std::string found;
  auto look = [&](auto &self, const Json &t) -> void {
    if (t.is_object()) {
      std::string op = t.contains("op") && t["op"].is_string() ? t["op"].get<std::string>() : "";
      bool shares = op == "mix" && (!t["weight"].empty() || !t["cap"].empty() || !t["floor"].empty() ||
                                    t["temper"] != 1 || t["repeat"] != 1 || !t["total"].is_null());
      bool model = false;
      if (op == "extend")
        for (auto &[name, how] : t["fields"].items())
          model = model || (how.is_object() && how.contains("score"));
      if (op == "dedup" || op == "repeats" || shares || model)
        found = op == "repeats" ? "drop_repeats" : op;
    }
    if (t.is_structured())
      for (auto &x : t)
        self(self, x);
  };
  look(look, h.spec);
  if (found.empty())
    return true;
  ev.err("E0206", spanOf(c, name),
         found == "extend" ? "`extend` runs a model here, so it needs a stage of its own"
                           : "`" + found + "` has to see all rows first, so it needs a stage of its own")
      .help("stage rows = … |> " + found + "(…)");
  return false;
}

} // namespace r1
