// The @builtin function `annotate` of stdlib/stages.r1: a stage that waits for people.
#include "compiler/eval/Builtins.h"
#include "compiler/eval/StageHelpers.h"
#include <algorithm>
#include <set>

namespace r1 {

namespace {

constexpr int64_t mostScores = 1000, mostPeople = 100;

/// One field of a form as JSON: ["a", "b"] of a choice, [low, high] of a score, "rank". Null after an error.
Json fieldOf(Evaluator &ev, const BuiltinCall &c, const std::string &name, const Value &v) {
  auto wrong = [&](const std::string &why, const char *code = "E0206") -> Json {
    ev.err(code, spanOf(c, "form"), "the field `" + name + "` of `form` " + why);
    return nullptr;
  };
  if (name == "text" || name.starts_with("_"))
    return wrong("has a name that rows have of their own");
  if (v.is(Value::Str) && v.string() == "rank")
    return "rank";
  if (v.is(Value::Range)) {
    int64_t low = 0, high = 0;
    auto &r = v.as<RangeObj>();
    if (!Value::dim(r.lo).asInt(low) || !Value::dim(r.hi).asInt(high) || high - low < 2 || high - low > mostScores)
      return wrong("has the scores " + ev.text(v) + " (without the last); there can be 2 to " +
                       std::to_string(mostScores),
                   "E0213");
    return Json{low, high - 1};
  }
  if (!v.is(Value::List) || v.as<ListObj>().items.size() < 2)
    return wrong("is " + toJson(ev, v).dump() +
                 "; it can be a list of at least two texts to choose from, a range of scores, or \"rank\"");
  std::set<std::string> seen;
  for (auto &x : v.as<ListObj>().items) {
    if (!x.is(Value::Str) || x.string().empty())
      return wrong("has the choice " + toJson(ev, x).dump() + "; a choice is a text that is not empty");
    std::string text = x.string();
    if (text.size() == 1 && std::string("smuq").find(text) != std::string::npos)
      return wrong("has the choice \"" + text + "\", which is a key of `r1c annotate`; give it a longer name");
    if (std::any_of(text.begin(), text.end(), [](unsigned char b) { return b < 32 || b == 127; }))
      return wrong("has a choice with a control character");
    if (!seen.insert(text).second)
      return wrong("has the choice \"" + text + "\" twice");
  }
  return toJson(ev, v);
}

Value annotate(Evaluator &ev, BuiltinCall &c) {
  if (!inPipeline(ev, c) || unpackedOnly(ev, c, arg(c, "data")).isError())
    return {};
  auto &in = arg(c, "data").as<HandleObj>();
  const Value &form = arg(c, "form");
  if (!form.is(Value::Record) || form.as<RecordObj>().fields.empty())
    return ev.fail("E0206", spanOf(c, "form"),
                   "`form` is a record such as {keep = [\"keep\", \"drop\"], logic = 1..6}, this is " +
                       ev.text(form));
  Json fields = Json::object();
  for (auto &[name, v] : form.as<RecordObj>().fields)
    if ((fields[name] = fieldOf(ev, c, name, v)).is_null())
      return {};
  int64_t people = 0;
  if (!arg(c, "people").asInt(people) || people < 1 || people > mostPeople)
    return ev.fail("E0213", spanOf(c, "people"),
                   "1 to " + std::to_string(mostPeople) + " people answer a question, this is " +
                       ev.text(arg(c, "people")));
  Json require = nullptr;
  if (arg(c, "require").is(Value::Fn))
    require = ev.stages->rowFn(arg(c, "require"), spanOf(c, "require"), {"require", "true or false", {Value::Bool}});
  else if (!arg(c, "require").is(Value::None))
    return ev.fail("E0206", spanOf(c, "require"),
                   "`require` is a function of the answered rows, this is " + kindName(arg(c, "require")));
  auto call = std::make_shared<StageCall>();
  call->kind = "annotate";
  call->result = "corpus";
  call->spec = Json{{"data", in.spec}, {"form", fields}, {"people", people}, {"require", require}};
  if (!require.is_null())
    call->shown["require"] = shownText(ev, arg(c, "require"));
  call->files = in.files;
  call->builtins = in.builtins;
  call->builtins["annotate"] = c.version;
  call->span = c.span;
  auto h = handle("corpus", c, "annotate");
  h->call = call;
  return Value::of(Value::Handle, h);
}

} // namespace

const std::vector<Builtin> &annotateBuiltins() {
  static const std::vector<Builtin> table = {{"annotate", "", annotate}};
  return table;
}

} // namespace r1
