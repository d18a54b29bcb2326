// The steps of a pipeline, run on demand, and the stages they make.
#include "compiler/eval/Stages.h"
#include "compiler/eval/Models.h"
#include "compiler/syntax/Printer.h"
#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace r1 {

// ── functions that run later ────────────────────────────────────────────────

Json StageBuilder::hostFn(const Value &f) {
  auto &fn = f.as<FnObj>();
  double constant;
  if (fn.constant && fn.constant->asFloat(constant))
    return constant;
  Shared *sh = &ev.sh;
  hostFns.push_back([f, sh](double t) {
    Evaluator e(*sh);
    e.rowMode = true;
    double r;
    Value v = e.apply(f, std::vector<Value>{Value::real(t)}, Span{});
    return v.asFloat(r) ? r : NAN;
  });
  return Json{{"fn", hostFns.size() - 1}, {"source", canonicalText(ev, f)}};
}

/// The kind of a value, which need not be known itself; Error where it depends on the row.
static Value::Kind kindOf(const Value &v) {
  if (!v.is(Value::Unknown))
    return v.kind;
  switch (v.as<UnknownObj>().type->optional ? Type::Any : v.as<UnknownObj>().type->kind) {
  case Type::Bool:
    return Value::Bool;
  case Type::Int:
    return Value::Int;
  case Type::Float:
    return Value::Float;
  case Type::Str:
    return Value::Str;
  default:
    return Value::Error;
  }
}

/// Runs a function of a row on one of which nothing is known. Errors are no verdict: they may be of what is not known.
static void foresee(Evaluator &ev, const Value &f, Span span, const RowGives &gives) {
  Evaluator row(ev.sh);
  row.rowMode = true;
  Value v = row.apply(f, std::vector<Value>{Value::unknown(std::make_shared<Type>())}, span);
  const Value::Kind kind = kindOf(v);
  if (!row.rowError.empty() || kind == Value::Error)
    return;
  auto fits = [&](Value::Kind k) { return std::find(gives.kinds.begin(), gives.kinds.end(), k) != gives.kinds.end(); };
  std::string wrong;
  if (!fits(kind))
    wrong = kindName(v);
  else if (gives.texts && v.is(Value::List)) {
    auto &items = v.as<ListObj>().items;
    if (items.empty())
      wrong = "an empty list";
    for (auto &x : items)
      if (Value::Kind k = kindOf(x); k != Value::Str && k != Value::Error)
        wrong = "a list with " + kindName(x);
  }
  if (!wrong.empty())
    ev.err("E0206", span, "`" + std::string(gives.name) + "` gives " + gives.what + " for a row, this gives " + wrong);
}

Json StageBuilder::rowFn(const Value &f, Span span, const RowGives &gives) {
  if (gives.what)
    foresee(ev, f, span, gives);
  Shared *sh = &ev.sh;
  rowFns.push_back([f, sh, span](const Json &row) {
    Evaluator e(*sh);
    e.rowMode = true;
    Value v = e.apply(f, std::vector<Value>{fromJson(row)}, span);
    if (!e.rowError.empty())
      throw std::runtime_error(e.rowError);
    return toJson(e, v);
  });
  return Json{{"row_fn", rowFns.size() - 1}, {"source", canonicalText(ev, f)}};
}

// Functions were numbered over the whole pipeline; a stage numbers its own.
void StageBuilder::localise(Json &j, Stage &s, std::map<size_t, size_t> &fns,
                            std::map<size_t, size_t> &rows) {
  if (j.is_object()) {
    for (auto [key, from, seen] : {std::tuple{"fn", 0, &fns}, std::tuple{"row_fn", 1, &rows}}) {
      auto it = j.find(key);
      if (it == j.end() || !it->is_number_unsigned() || !j.contains("source"))
        continue;
      size_t global = it->get<size_t>();
      auto [at, fresh] = seen->emplace(global, from ? s.rowFns.size() : s.hostFns.size());
      if (fresh && from)
        s.rowFns.push_back(rowFns[global]);
      if (fresh && !from)
        s.hostFns.push_back(hostFns[global]);
      *it = at->second;
    }
  }
  if (j.is_structured())
    for (auto &x : j)
      localise(x, s, fns, rows);
}

/// Gates are no part of what a stage means: they leave its spec.
static void takeGates(Json &j, std::vector<std::string> &gates) {
  while (j.is_object() && j.value("op", Json()) == "given") {
    gates.push_back(j["gate"]["stage"]);
    Json in = std::move(j["in"]);
    j = std::move(in);
  }
  if (j.is_structured())
    for (auto &x : j)
      takeGates(x, gates);
}
static void takeGates(const ModelObj &m, std::vector<std::string> &gates) {
  gates.insert(gates.end(), m.gates.begin(), m.gates.end());
  if (m.scope)
    for (auto &[name, v] : m.scope->names)
      if (v.is(Value::Model))
        takeGates(v.as<ModelObj>(), gates);
}

void StageBuilder::collect(const Json &j, Stage &s) {
  if (j.is_object() && j.size() == 1 && j.contains("stage") && j["stage"].is_string()) {
    std::string name = j["stage"];
    if (std::find(s.reads.begin(), s.reads.end(), name) == s.reads.end())
      s.reads.push_back(name);
    return;
  }
  if (j.is_structured())
    for (auto &x : j)
      collect(x, s);
}

// ── source texts for the fingerprint ────────────────────────────────────────

namespace {
struct SourceWalk {
  const Program &program;
  std::map<std::string, std::string> &out;
  std::set<const Decl *> seen;

  void name(const Module *m, std::string_view n) {
    const Decl *d = nullptr;
    const Module *home = m;
    if (m) {
      d = m->find(n);
      if (!d)
        if (auto it = m->imports.find(n); it != m->imports.end()) {
          home = it->second.module;
          d = it->second.decl;
        }
    }
    if (!d) {
      home = program.prelude.get();
      d = home->find(n);
    }
    if (!d || d->kind == Decl::Pipeline || !seen.insert(d).second)
      return;
    bool builtin = d->kind == Decl::Fn && !d->value;
    if (!builtin)
      out[std::string(d->name)] = normalised(*d);
    decl(home, *d);
  }
  void decl(const Module *m, const Decl &d) {
    types(m, d);
    forEachChild(d, [&](const Expr &e) { expr(m, e); });
  }
  void types(const Module *m, const Decl &d) {
    for (auto &p : d.params)
      if (p.type)
        type(m, *p.type);
    if (d.type)
      type(m, *d.type);
    for (auto *x : d.members)
      types(m, *x);
  }
  void type(const Module *m, const TypeExpr &t) {
    if (t.kind == TypeExpr::Named && !t.path.empty())
      name(m, t.path.back());
    for (auto &f : t.fields)
      type(m, *f.type);
    for (auto *a : t.args)
      type(m, *a);
    if (t.result)
      type(m, *t.result);
  }
  void expr(const Module *m, const Expr &e) {
    if (e.kind == Expr::Name)
      name(m, e.name);
    if (e.kind == Expr::Member)
      name(m, e.name);
    if (e.type)
      type(m, *e.type);
    forEachChild(e, [&](const Expr &k) { expr(m, k); });
  }
};
} // namespace

void StageBuilder::sources(Stage &s, const Decl &d, const Run &r,
                           const std::vector<std::string_view> &also) {
  std::map<std::string, std::string> texts;
  SourceWalk w{ev.sh.program, texts, {}};
  const Module *m = nullptr;
  for (Scope *sc = r.scope.get(); sc; sc = sc->parent.get())
    if (sc->module)
      m = sc->module;
  // The step's own expression and the steps of the pipeline it is made of by name.
  std::set<const Decl *> steps;
  std::function<void(const Decl &)> step = [&](const Decl &x) {
    if (!steps.insert(&x).second)
      return;
    std::function<void(const Expr &)> go = [&](const Expr &e) {
      if (e.kind == Expr::Name)
        if (auto it = r.steps.find(e.name);
            it != r.steps.end() && it->second.decl->kind == Decl::Let)
          step(*it->second.decl);
      forEachChild(e, go);
    };
    go(*x.value);
    w.expr(m, *x.value);
  };
  step(d);
  for (auto n : also)
    w.name(m, n);
  for (auto &[k, t] : texts)
    s.sources.push_back(t);
}

// ── stages ──────────────────────────────────────────────────────────────────

std::string_view evaluatorOf(const Json &layout) {
  const Json &kind = layout.at("layout");
  return kind == "labels" ? "label_eval" : kind == "tags" ? "token_label_eval" : kind == "pairs" ? "translate_eval" : "lm_eval";
}

static std::string_view evaluator(const Value &data) { return evaluatorOf(data.as<HandleObj>().batch); }

Value StageBuilder::makeStage(Run &r, const Decl &d, const Value &v, const OverrideTree *over) {
  std::string name = r.prefix + std::string(d.name);
  Stage s;
  s.name = name;
  s.span = d.nameSpan;
  std::shared_ptr<const StageCall> call;
  if (v.is(Value::Handle)) {
    auto &h = v.as<HandleObj>();
    call = h.call;
    if (!call && h.type == "corpus" && !h.batch.is_null()) {
      ev.err("E0206", d.value->span, "a stage keeps rows of text; rows of tokens are made where they are read")
          .help("let " + std::string(d.name) + " = …");
      return {};
    }
    if (!call && h.type == "corpus") {
      auto c = std::make_shared<StageCall>();
      c->kind = c->result = "corpus";
      c->spec = Json{{"data", h.spec}};
      c->files = h.files;
      c->builtins = h.builtins;
      call = c;
    } else if (!call && h.type == "tokenizer") {
      ev.err("E0206", d.value->span, "this tokenizer needs no training and no stage")
          .help("let " + name + " = " + std::string(ev.sh.sources.text(d.value->span)));
      return {};
    }
  }
  if (v.is(Value::Model) && v.as<ModelObj>().from == name) { // a checkpoint: its stage is there
    auto made = std::find_if(out.stages.begin(), out.stages.end(), [&](auto &x) { return x.name == name; });
    return placement(*made, r, d, over) ? v : Value();
  }
  if (!call) {
    if (v.is(Value::List))
      return ev.fail("E0299", d.value->span,
                     "a stage of several artifacts is not supported yet; write one stage for each");
    if (v.is(Value::Model))
      return ev.fail("E0206", d.value->span,
                     "a stage is an artifact: a corpus, a trained model, a tokenizer or metrics; a "
                     "model that is not trained is a `let`");
    return ev.fail(
        "E0206", d.value->span,
        "a stage is an artifact: a corpus, a trained model, a tokenizer or metrics; this is " +
            kindName(v));
  }
  if (call->first) {
    auto h = std::make_shared<HandleObj>();
    h->type = "corpus";
    h->call = call->first;
    if (makeStage(r, d, Value::of(Value::Handle, h), over).isError())
      return {};
  }
  s.name = name += call->suffix;
  s.kind = call->kind;
  s.result = call->result;
  s.spec = call->spec;
  s.shown = call->shown;
  s.files = call->files;
  for (auto &f : ev.sh.filesRead)
    s.files.push_back(f);
  std::sort(s.files.begin(), s.files.end());
  s.files.erase(std::unique(s.files.begin(), s.files.end()), s.files.end());
  s.builtins = call->builtins;
  s.fit = call->fit;
  takeGates(s.spec, s.gates);
  if (call->model)
    takeGates(*call->model, s.gates);
  std::sort(s.gates.begin(), s.gates.end());
  s.gates.erase(std::unique(s.gates.begin(), s.gates.end()), s.gates.end());
  if (!placement(s, r, d, over))
    return {};
  std::vector<std::string_view> also;
  bool ok = true;
  if (call->kind == "train") {
    ok = trainEntries(s, *call);
    also = {"train_guard", "train_step", "train_keep", evaluator(call->data)};
    if (s.spec.contains("ema"))
      also.push_back("train_ema");
    if (s.spec.at("precision") == "mixed(f16)")
      also.push_back("train_scaled");
  } else if (call->kind == "generate") {
    ok = generateEntries(s, *call);
  } else if (call->kind == "evaluate" && call->model) {
    ok = evaluateEntries(s, *call);
    also = {evaluator(call->data)};
  }
  ok = ok && scoreEntry(s, d.nameSpan);
  if (!s.entries.empty() && call->kind == "corpus")
    also = {"class_scores"};
  if (!ok)
    return {};
  std::map<size_t, size_t> fns, rows;
  localise(s.spec, s, fns, rows);
  collect(s.spec, s);
  for (auto &l : s.leaves)
    if (!l.from.empty() && std::find(s.reads.begin(), s.reads.end(), l.from) == s.reads.end())
      s.reads.push_back(l.from);
  sources(s, d, r, also);
  out.stages.push_back(std::move(s));
  if (call->kind == "train")
    return trained(name, *call);
  auto h = std::make_shared<HandleObj>(v.as<HandleObj>());
  h->call = nullptr;
  h->spec = Json{{"stage", name}};
  h->files.clear();
  h->builtins.clear();
  h->span = d.nameSpan;
  return Value::of(Value::Handle, h);
}

Value StageBuilder::trained(const std::string &name, const StageCall &call) {
  auto m = rebuildModel(
      call.model,
      [&](const std::shared_ptr<const LeafObj> &l, const Path &p) {
        auto n = std::make_shared<LeafObj>(*l);
        n->from = name;
        n->fromPath = pathText(p);
        return std::shared_ptr<const LeafObj>(n);
      },
      nullptr);
  auto named = std::make_shared<ModelObj>(*m);
  named->from = name;
  named->gates.clear();
  named->tokenizer = call.tokenizer;
  named->precision = call.precision;
  named->batch = call.data;
  return models[name] = Value::of(Value::Model, named);
}

void StageBuilder::libraryTexts(Stage &s, const std::vector<std::string_view> &names) {
  std::map<std::string, std::string> texts;
  SourceWalk w{ev.sh.program, texts, {}};
  for (auto n : names)
    w.name(ev.sh.program.prelude.get(), n);
  for (auto &[k, t] : texts)
    s.sources.push_back(t);
}

// ── steps ───────────────────────────────────────────────────────────────────

bool StageBuilder::runStep(Run &r, Step &s, Span from) {
  if (s.state == 2)
    return true;
  const Decl &d = *s.decl;
  if (s.state == 1) {
    auto first = std::find_if(active.begin(), active.end(), [&](auto &a) { return a.first == &d; });
    auto &x = ev.err("E0402", d.nameSpan, "stages depend on each other in a cycle");
    int n = 0;
    for (auto it = first; it != active.end(); ++it) {
      Span use = it + 1 != active.end() ? (it + 1)->second : from;
      std::string who(it->first->name), whom((it + 1 != active.end() ? (it + 1)->first : &d)->name);
      x.also(use, std::to_string(++n) + ". `" + who + "` reads `" + whom + "`");
    }
    x.help("to iterate, name the rounds: a pipeline `round(start)` called twice");
    return false;
  }
  s.state = 1;
  active.emplace_back(&d, from);
  std::string name(d.name);
  const OverrideTree *over = nullptr;
  if (auto it = r.sets->sub.find(name); it != r.sets->sub.end())
    over = &it->second;
  Value v;
  std::string outer = nestedName;
  nestedName = r.prefix + name + ".";
  const Type *want = nullptr;
  TypeP t = d.type ? ev.type(*d.type, r.scope, false) : nullptr;
  want = t.get();
  if (over) {
    over->used = over->ofStage = true; // `on` among its names is not an argument
    bool plain = !over->expr && over->sub.size() == over->sub.count("on");
    v = plain ? ev.eval(*d.value, r.scope, want) : ev.evalWith(*d.value, r.scope, *over);
  } else {
    v = ev.eval(*d.value, r.scope, want);
  }
  nestedName = outer;
  if (d.type && !v.isError())
    v = t ? ev.coerce(v, *t, d.value->span, "the value") : Value();
  if (d.kind == Decl::Stage && !v.isError())
    v = makeStage(r, d, v, over);
  if (d.kind == Decl::Let)
    v = ev.bindLetValue(d.name, d.nameSpan, r.scope, v);
  r.scope->set(d.name, v);
  active.pop_back();
  s.state = 2;
  return !v.isError();
}

bool StageBuilder::runSteps(Run &r, const Decl &p) {
  for (auto *d : p.members) {
    if (r.steps.count(d->name) || r.scope->find(d->name)) {
      ev.err("E0204", d->nameSpan,
             "`" + std::string(d->name) + "` is declared twice in this pipeline");
      return false;
    }
    r.steps[d->name] = {d};
    if (d->kind == Decl::Let)
      r.scope->lets.emplace_back(d->name, d);
  }
  r.scope->lazy = [this, &r](std::string_view n) {
    auto it = r.steps.find(n);
    if (it == r.steps.end())
      return false;
    if (it->second.state != 2) {
      // Where the name stands is not known here; the step that asks is.
      Span from = active.empty() ? it->second.decl->nameSpan : useOf(*active.back().first, n);
      runStep(r, it->second, from);
    }
    return true;
  };
  bool ok = true;
  for (auto *d : p.members)
    ok &= runStep(r, r.steps[d->name], d->nameSpan);
  r.scope->lazy = nullptr;
  return ok;
}

Span StageBuilder::useOf(const Decl &d, std::string_view name) {
  Span found = d.nameSpan;
  bool hit = false;
  std::function<void(const Expr &)> go = [&](const Expr &e) {
    if (e.kind == Expr::Name && e.name == name && !hit) {
      found = e.span;
      hit = true;
    }
    forEachChild(e, go);
  };
  go(*d.value);
  return found;
}

bool StageBuilder::run(const ModelDefObj &p) {
  const Decl &d = *p.decl;
  Run r;
  r.sets = &sets;
  r.scope = std::make_shared<Scope>();
  r.scope->parent = p.scope;
  r.scope->frame = ev.sh.dims.newFrame();
  Saved<StageBuilder *> here(ev.stages, this);
  // Overridden parameters are arguments; the others take their defaults.
  std::vector<ArgVal> args;
  bool ok = true;
  for (auto &[name, tree] : sets.sub) {
    const Parameter *param = nullptr;
    for (auto &q : d.params)
      if (q.name == name)
        param = &q;
    if (!param)
      continue;
    tree.used = true;
    ArgVal a;
    a.name = param->name;
    if (tree.expr) {
      a.value = ev.evalSet(tree, r.scope, param);
      a.span = a.nameSpan = tree.expr->span;
    } else if (param->init) {
      a.value = ev.evalWith(*param->init, r.scope, tree);
      a.span = a.nameSpan = param->init->span;
    } else {
      continue;
    }
    ok &= !a.value.isError();
    args.push_back(std::move(a));
  }
  if (!ok || !ev.bindParams(d, args, d.nameSpan, r.scope, nullptr))
    return false;
  for (auto &q : d.params)
    out.parameters[std::string(q.name)] = toJson(ev, *r.scope->find(q.name));
  // Unknown first names of --set, before anything is computed.
  std::vector<std::string> have;
  for (auto &q : d.params)
    have.push_back(std::string(q.name));
  for (auto *m : d.members)
    have.push_back(std::string(m->name));
  for (auto &[name, tree] : sets.sub)
    if (std::find(have.begin(), have.end(), name) == have.end()) {
      const OverrideTree *leaf = &tree;
      while (leaf->text.empty() && !leaf->sub.empty())
        leaf = &leaf->sub.begin()->second;
      auto &x = ev.err("E0601", d.nameSpan,
                       "--set " + leaf->text + ": `" + std::string(d.name) +
                           "` has no parameter, stage or let `" + name + "`");
      std::string list;
      for (auto &h : have)
        list += (list.empty() ? "" : " ") + h;
      x.note("it has: " + list);
      if (auto near = nearest(name, have); !near.empty())
        x.help("did you mean `" + near + "`?");
      ok = false;
    }
  return ok && runSteps(r, d) && placementsMatter();
}

Value StageBuilder::callPipeline(const ModelDefObj &def, std::vector<ArgVal> &args, Span span) {
  const Decl &d = *def.decl;
  if (ev.frames.size() > 100)
    return ev.fail("E0209", span, "pipelines call each other in a circle");
  static const OverrideTree none;
  Run r;
  r.sets = &none;
  r.prefix = nestedName;
  r.scope = std::make_shared<Scope>();
  r.scope->parent = def.scope;
  r.scope->frame = ev.sh.dims.newFrame();
  ev.frames.push_back({d.name, span, &d});
  bool ok = ev.bindParams(d, args, span, r.scope, nullptr) && runSteps(r, d);
  ev.frames.pop_back();
  if (!ok)
    return {};
  Fields f;
  for (auto *m : d.members)
    if (m->kind == Decl::Stage)
      f.emplace_back(std::string(m->name), *r.scope->find(m->name));
  return Value::record(std::move(f));
}

} // namespace r1
