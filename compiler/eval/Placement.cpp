// Where stages run: device(…) of stdlib/stages.r1, and `on`.
#include "compiler/eval/Builtins.h"
#include "compiler/eval/StageHelpers.h"
#include "compiler/eval/Stages.h"
#include <algorithm>
#include <bit>
#include <functional>

namespace r1 {

namespace {

Value device(Evaluator &ev, BuiltinCall &c) {
  auto h = handle("device", c, "device");
  h->spec = Json::object();
  if (!oneOf(ev, c, "bits", {"run", "exact"}) || !oneOf(ev, c, "remat", {"auto", "never", "always"}))
    return {};
  constexpr int64_t mostThreads = 1024;
  if (int64_t n = 1; arg(c, "threads").asInt(n) && (n < 1 || n > mostThreads)) {
    ev.err("E0213", spanOf(c, "threads"), "a device has 1 to " + std::to_string(mostThreads) + " threads, this is " + std::to_string(n))
        .help("leave `threads` out for one on each core");
    return {};
  }
  if (arg(c, "memory").is(Value::Bytes) && !(arg(c, "memory").f > 0)) {
    ev.err("E0213", spanOf(c, "memory"), "a device has more than 0 bytes of memory, this is " + ev.text(arg(c, "memory")))
        .help("leave `memory` out for no limit");
    return {};
  }
  if (int64_t n = 1; arg(c, "shards").asInt(n) && (n < 1 || !std::has_single_bit(uint64_t(n))))
    return ev.fail("E0213", spanOf(c, "shards"), "the number of shards is 1, 2, 4, 8, …, this is " + std::to_string(n));
  for (auto &a : c.args)
    if (!a.value.is(Value::None))
      h->spec[std::string(a.name)] = toJson(ev, a.value);
  return Value::of(Value::Handle, h);
}

} // namespace

const std::vector<Builtin> &placementBuiltins() {
  static const std::vector<Builtin> table = {{"device", "", device}};
  return table;
}

bool StageBuilder::placement(Stage &s, Run &r, const Decl &d, const OverrideTree *over) {
  if (!d.on && !(over && over->sub.count("on")))
    return true;
  const OverrideTree *o = over && over->sub.count("on") ? &over->sub.at("on") : nullptr;
  if (o)
    o->used = true;
  Value on;
  if (o && o->expr)
    on = ev.eval(*o->expr, r.scope);
  else if (!d.on)
    return !ev.fail("E0601", d.nameSpan,
                    "--set " + s.name + ".on…: the stage has no `on`; give it one: --set '" + s.name +
                        ".on=device(memory = 8GB)'")
                .isError();
  else
    on = o ? ev.evalWith(*d.on, r.scope, *o) : ev.eval(*d.on, r.scope);
  if (on.isError())
    return false;
  if (!on.is(Value::Handle) || on.as<HandleObj>().type != "device")
    return !ev.fail("E0206", d.on ? d.on->span : d.nameSpan,
                    "`on` takes a device(…), this is " + kindName(on))
                .isError();
  s.on = on.as<HandleObj>().spec;
  if (const int64_t shards = s.on.value("shards", int64_t(1)), rows = s.spec.value("batch", int64_t(1));
      s.kind == "train" && rows % shards)
    return !ev.fail("E0213", d.on ? d.on->span : d.nameSpan,
                    "a batch of " + std::to_string(rows) + " rows does not split into " + std::to_string(shards) +
                        " equal shards")
                .isError();
  auto known = std::find_if(devices.begin(), devices.end(), [&](const Device &x) { return x.value.o == on.o; });
  if (known == devices.end())
    known = devices.insert(devices.end(), Device{on, {}});
  known->stages.push_back(s.name);
  return true;
}

bool StageBuilder::placementsMatter() {
  bool ok = true;
  for (const Device &d : devices) {
    auto &h = d.value.as<HandleObj>();
    struct Field {
      const char *name;
      Json otherwise;
      const char *does;
      std::function<bool(const Stage &)> matters;
    };
    auto trains = [](const Stage &s) { return s.kind == "train"; };
    auto computes = [](const Stage &s) { return !s.entries.empty() && s.kind != "checkpoint"; };
    const Field fields[] = {
        {"memory", nullptr, "bounds the programs of models", computes},
        {"threads", nullptr, "is for stages that compute", [](const Stage &s) { return s.kind != "checkpoint"; }},
        {"shards", 1, "cuts the batches of trainings", trains},
        {"remat", "auto", "is of the gradients of trainings", trains},
        {"bits", "run", "is of the programs of models", computes},
    };
    for (const Field &f : fields) {
      const Json value = h.spec.value(f.name, Json());
      if (value.is_null() || value == f.otherwise)
        continue;
      std::string who;
      bool matters = false;
      for (const Stage &s : out.stages)
        if (std::find(d.stages.begin(), d.stages.end(), s.name) != d.stages.end()) {
          matters |= f.matters(s);
          who += (who.empty() ? "`" : ", `") + s.name + "` (" + s.kind + ")";
        }
      if (matters)
        continue;
      ev.err("E0205", h.span, "`" + std::string(f.name) + "` of this device does nothing: it " + f.does)
          .note("on it " + std::string(d.stages.size() == 1 ? "runs " : "run ") + who)
          .help("leave `" + std::string(f.name) + "` out");
      ok = false;
    }
  }
  return ok;
}

} // namespace r1
