// The @builtin functions of stdlib/generate.r1: a model writes to the rows of a corpus, or chooses.
#include "compiler/eval/Builtins.h"
#include "compiler/eval/StageHelpers.h"
#include <cmath>

namespace r1 {

namespace {

constexpr int64_t mostTexts = 4096; // at once, of a row, beams

/// Arguments that draw: with beams nothing is drawn.
constexpr const char *drawing[] = {"temperature", "top_k", "top_p", "min_p", "repetition", "seed"};

bool translates(const ModelObj &m) { return m.batch.as<HandleObj>().batch.at("layout") == "pairs"; }

/// `model` as one that a stage or a checkpoint gives, and that goes on with texts, or translates them; null after an
/// error. `what` names it where it is a part of the argument `name`.
std::shared_ptr<const ModelObj> writer(Evaluator &ev, const BuiltinCall &c, const Value &model, const char *name,
                                       const char *what = nullptr) {
  auto m = model.is(Value::Model) ? std::static_pointer_cast<const ModelObj>(model.o) : nullptr;
  const Json layout = m && m->batch.is(Value::Handle) ? m->batch.as<HandleObj>().batch : Json();
  if (m && !m->from.empty() && !layout.is_null() && !layout.contains("masked") &&
      (layout.at("layout") == "lm" || layout.at("layout") == "pairs"))
    return m;
  auto &d = ev.err("E0206", spanOf(c, name),
                   (what ? "`" + std::string(what) + "` of back_translate is a model that a stage has trained to go on with texts"
                         : "`" + std::string(c.name) + "` goes on with texts by a model that a stage has trained to") +
                       "; this is " +
                       (m && !m->from.empty() ? layout.contains("masked") ? "a model of hidden tokens" : "a model of other rows"
                        : m                   ? "a model without weights"
                                              : kindName(model)));
  if (model.is(Value::Handle) && model.as<HandleObj>().call)
    d.help("name it in a step of its own: stage m = train(…)");
  return nullptr;
}

bool number(Evaluator &ev, const BuiltinCall &c, Json &spec, const char *name, double low, double high, bool above,
            const char *range) {
  double v = 0;
  if (arg(c, name).asFloat(v) && std::isfinite(v) && (above ? v > low : v >= low) && v <= high) {
    spec[name] = v;
    return true;
  }
  ev.err("E0213", spanOf(c, name), "`" + std::string(name) + "` is " + range + ", this is " + ev.text(arg(c, name)));
  return false;
}

bool count(Evaluator &ev, const BuiltinCall &c, Json &spec, const char *name, int64_t low, int64_t high) {
  int64_t n = 0;
  if (arg(c, name).asInt(n) && n >= low && n <= high) {
    spec[name] = n;
    return true;
  }
  ev.err("E0213", spanOf(c, name),
         "`" + std::string(name) + "` is from " + std::to_string(low) + " to " + std::to_string(high) + ", this is " +
             ev.text(arg(c, name)));
  return false;
}

/// How texts are written, as runtime/stages/Generate.h reads it.
bool howOf(Evaluator &ev, const BuiltinCall &c, Json &spec) {
  if (!count(ev, c, spec, "max_new", 1, mostIds) || !count(ev, c, spec, "n", 1, mostTexts) ||
      !count(ev, c, spec, "beams", 1, mostTexts) || !count(ev, c, spec, "batch", 1, mostTexts) ||
      !count(ev, c, spec, "top_k", 0, mostIds) || !count(ev, c, spec, "min_new", 0, spec["max_new"]) ||
      !number(ev, c, spec, "temperature", 0, 1e6, false, "a number from 0 (the most likely) on") ||
      !number(ev, c, spec, "top_p", 0, 1, true, "more than 0% and at most 100%") ||
      !number(ev, c, spec, "min_p", 0, 1, false, "from 0% to 100%") ||
      !number(ev, c, spec, "repetition", 0, 1e6, true, "a number above 0") ||
      !number(ev, c, spec, "length_penalty", -1e6, 1e6, false, "a number") ||
      !oneOf(ev, c, "early", {"once", "worse", "never"}) || !oneOf(ev, c, "long", {"cut", "drop", "stop"}))
    return false;
  spec["early"] = arg(c, "early").string();
  spec["long"] = arg(c, "long").string();
  spec["stop"] = Json::array();
  for (auto &x : arg(c, "stop").as<ListObj>().items) {
    if (x.string().empty()) {
      ev.err("E0213", spanOf(c, "stop"), "a text that ends what is written is not empty");
      return false;
    }
    spec["stop"].push_back(x.string());
  }
  // Nothing is given in vain.
  const int64_t beams = spec["beams"], n = spec["n"];
  if (beams > 1) {
    for (const char *name : drawing)
      if (c.has((size_t)index(c, name))) {
        ev.err("E0206", spanOf(c, name), "`" + std::string(name) + "` does nothing with `beams`, which draw nothing");
        return false;
      }
    if (n > beams) {
      ev.err("E0213", spanOf(c, "n"),
             "of " + std::to_string(beams) + " beams at most as many texts come out, this is " + std::to_string(n));
      return false;
    }
    if (beams > spec["batch"].get<int64_t>()) {
      ev.err("E0213", spanOf(c, "beams"),
             "the beams of a text are written at once: " + std::to_string(beams) + " do not fit a `batch` of " +
                 spec["batch"].dump())
          .help("batch = " + std::to_string(beams));
      return false;
    }
  } else {
    for (const char *name : {"length_penalty", "early"})
      if (c.has((size_t)index(c, name))) {
        ev.err("E0206", spanOf(c, name), "`" + std::string(name) + "` does nothing without `beams`");
        return false;
      }
    if (spec["temperature"] == 0.0 && n > 1) {
      ev.err("E0206", spanOf(c, "n"), "at temperature 0 the " + std::to_string(n) + " texts of a row would be equal");
      return false;
    }
    if (spec["temperature"] == 0.0)
      for (const char *name : {"top_k", "top_p", "min_p", "seed"})
        if (c.has((size_t)index(c, name))) {
          ev.err("E0206", spanOf(c, name),
                 "`" + std::string(name) + "` does nothing at temperature 0, where the likeliest token is taken");
          return false;
        }
  }
  return true;
}

/// The argument `name`, a function of a row, as JSON; null for none. False after an error.
bool functionOf(Evaluator &ev, const BuiltinCall &c, const char *name, Json &spec) {
  static const RowGives choices{"choices", "a list of at least one text", {Value::List}, true},
      text{"prompt", "a text", {Value::Str}}, messages{"prompt", "a text or a list of messages", {Value::Str, Value::List}};
  spec[name] = nullptr;
  if (arg(c, name).is(Value::None))
    return true;
  if (!arg(c, name).is(Value::Fn)) {
    ev.err("E0206", spanOf(c, name), "`" + std::string(name) + "` is a function of a row, this is " + kindName(arg(c, name)));
    return false;
  }
  spec[name] = ev.stages->rowFn(arg(c, name), spanOf(c, name),
                                std::string_view(name) == "choices"    ? choices
                                : arg(c, "template").is(Value::None) ? text
                                                                     : messages);
  return true;
}

/// The stage that asks `m` about the rows of `data`, to be told how.
std::shared_ptr<StageCall> asking(Evaluator &ev, const BuiltinCall &c, const std::shared_ptr<const ModelObj> &m, const Json &data,
                                  Json spec, const char *at) {
  auto call = std::make_shared<StageCall>();
  auto &in = arg(c, "data").as<HandleObj>();
  call->kind = "generate";
  call->result = "corpus";
  call->spec = std::move(spec);
  call->spec["model"] = Json{{"stage", m->from}};
  call->spec["data"] = data;
  call->files = in.files;
  call->builtins = in.builtins;
  call->builtins[std::string(c.name)] = c.version;
  for (const char *name : {"prompt", "choices"})
    if (arg(c, name).is(Value::Fn))
      call->shown[name] = shownText(ev, arg(c, name));
  call->model = m;
  call->data = m->batch;
  call->precision = m->precision;
  call->span = c.span;
  call->dataSpan = spanOf(c, at);
  return call;
}

Value generate(Evaluator &ev, BuiltinCall &c) {
  if (!inPipeline(ev, c))
    return {};
  auto m = writer(ev, c, arg(c, "model"), "model");
  Json spec = Json::object();
  if (!m || unpackedOnly(ev, c, arg(c, "data")).isError() || !howOf(ev, c, spec) || !functionOf(ev, c, "prompt", spec))
    return {};
  spec["seed"] = c.has((size_t)index(c, "seed")) ? toJson(ev, arg(c, "seed")) : Json(ev.stages->out.seed);
  if (!arg(c, "template").is(Value::None)) {
    if (translates(*m))
      return ev.fail("E0206", spanOf(c, "template"),
                     "`template` is for models that answer conversations; `" + std::string(m->decl->name) +
                         "` translates texts as they are");
    std::vector<std::string> names, specials;
    if (Value table = ev.global(ev.sh.program.main, "chat_templates", c.span); table.is(Value::Record))
      for (auto &[name, tokens] : table.as<RecordObj>().fields) {
        names.push_back(name);
        if (name == arg(c, "template").string())
          specials = toJson(ev, tokens).get<std::vector<std::string>>();
      }
    if (!oneOf(ev, c, "template", names))
      return {};
    if (m->tokenizer.is(Value::Handle) && specialsOf(m->tokenizer.as<HandleObj>()) &&
        !hasSpecials(ev, c, m->tokenizer.as<HandleObj>(), "template", specials))
      return {};
    spec["template"] = arg(c, "template").string();
  }
  auto h = handle("corpus", c, "generate");
  h->call = asking(ev, c, m, arg(c, "data").as<HandleObj>().spec, std::move(spec), "model");
  return Value::of(Value::Handle, h);
}

Value choose(Evaluator &ev, BuiltinCall &c) {
  if (!inPipeline(ev, c))
    return {};
  auto m = writer(ev, c, arg(c, "model"), "model");
  Json spec = Json::object();
  if (!m || unpackedOnly(ev, c, arg(c, "data")).isError() || !count(ev, c, spec, "batch", 1, mostTexts) ||
      !oneOf(ev, c, "long", {"cut", "drop", "stop"}) || !functionOf(ev, c, "prompt", spec) ||
      !functionOf(ev, c, "choices", spec))
    return {};
  if (translates(*m))
    return ev.fail("E0206", spanOf(c, "model"),
                   "`choose` tells which text goes on with another; `" + std::string(m->decl->name) +
                       "` translates, which generate(…) has it do");
  if (spec["choices"].is_null())
    return ev.fail("E0206", spanOf(c, "choices"), "`choices` is a function of a row that gives a list of texts");
  spec["long"] = arg(c, "long").string();
  auto h = handle("corpus", c, "choose");
  h->call = asking(ev, c, m, arg(c, "data").as<HandleObj>().spec, std::move(spec), "model");
  return Value::of(Value::Handle, h);
}

} // namespace

// Two stages: NAME.there has what the first model makes of the rows that are chosen, NAME the rows with what the
// second makes of that beside them.
Value augmentByModels(Evaluator &ev, BuiltinCall &c, double share) {
  auto &how = arg(c, "how").as<RecordObj>();
  auto field = [&](const char *name) {
    const Value *v = how.find(name);
    return v ? *v : Value(Value::None);
  };
  auto to = writer(ev, c, field("to"), "how", "to");
  auto back = to ? writer(ev, c, field("back"), "how", "back") : nullptr;
  if (!to || !back)
    return {};
  Json spec = {{"n", 1},       {"min_new", 0}, {"top_k", 0},     {"top_p", 1.0}, {"min_p", 0.0}, {"repetition", 1.0},
               {"early", "worse"}, {"length_penalty", 1.0}, {"long", "drop"}, {"seed", 0}, {"prompt", nullptr}};
  for (auto [name, high] : {std::pair{"max_new", mostIds}, {"beams", mostTexts}, {"batch", mostTexts}}) {
    int64_t n = 0;
    if (!field(name).asInt(n) || n < 1 || n > high)
      return ev.fail("E0213", spanOf(c, "how"),
                     "`" + std::string(name) + "` of back_translate is from 1 to " + std::to_string(high) +
                         ", this is " + ev.text(field(name)));
    spec[name] = n;
  }
  spec["batch"] = std::max(spec["batch"].get<int64_t>(), spec["beams"].get<int64_t>());
  spec["temperature"] = spec["beams"] == 1 ? 0.0 : 1.0; // the likeliest text, either way
  spec["stop"] = toJson(ev, field("stop"));
  for (const Json &text : spec["stop"])
    if (text == "")
      return ev.fail("E0213", spanOf(c, "how"), "`stop` of back_translate: a text that ends what is written is not empty");
  Json there = spec;
  for (auto [name, of] : {std::pair{"to_prompt", &there}, {"back_prompt", &spec}}) {
    Value f = field(name);
    if (f.is(Value::Fn))
      (*of)["prompt"] = ev.stages->rowFn(f, spanOf(c, "how"), {name, "a text", {Value::Str}});
    else if (!f.is(Value::None))
      return ev.fail("E0206", spanOf(c, "how"),
                     "`" + std::string(name) + "` of back_translate is a function of a row, this is " + kindName(f));
  }
  const Json &data = arg(c, "data").as<HandleObj>().spec;
  const Json seed = toJson(ev, arg(c, "seed"));
  auto first = asking(ev, c, to, Json{{"op", "share"}, {"share", share}, {"seed", seed}, {"in", data}}, there, "how");
  first->suffix = ".there";
  spec["field"] = "output";
  spec["into"] = data;
  spec["augment"] = {{"share", share},
                     {"seed", seed},
                     {"how", {{"augment", "back_translate"}, {"to", {{"stage", to->from}}}, {"back", {{"stage", back->from}}}}}};
  auto h = handle("corpus", c, "augment");
  auto call = asking(ev, c, back, Json{{"stage", ev.stages->place() + "there"}}, std::move(spec), "how");
  call->first = first;
  h->call = call;
  return Value::of(Value::Handle, h);
}

const std::vector<Builtin> &generateBuiltins() {
  static const std::vector<Builtin> table = {{"generate", "", generate}, {"choose", "", choose}};
  return table;
}

} // namespace r1
