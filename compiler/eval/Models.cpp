// Model values: trees of parameters, built from `model` declarations.
#include "compiler/eval/Models.h"
#include "compiler/eval/Evaluator.h"
#include <algorithm>
#include <cmath>
#include <set>

namespace r1 {

// ── building ────────────────────────────────────────────────────────────────

// How a parameter starts: the initialiser is a function of the fans.
static bool initialise(Evaluator &ev, LeafObj &leaf, const Value &init, Span span) {
  int64_t fanIn = 1, fanOut = 1;
  size_t n = leaf.dims.size();
  auto size = [&](size_t i) { return std::max<int64_t>(1, leaf.dims[i].size()); };
  if (n == 1) {
    fanIn = fanOut = size(0);
  } else if (n > 1) {
    fanOut = size(n - 1);
    for (size_t i = 0; i + 1 < n; ++i)
      fanIn *= size(i);
  }
  Value d = init;
  if (init.is(Value::Fn))
    d = ev.apply(init, {Value::integer(fanIn), Value::integer(fanOut)}, span);
  if (d.isError())
    return false;
  if (d.is(Value::Unknown) || ev.symbolic)
    return true;
  const Value *dist = d.is(Value::Record) ? d.as<RecordObj>().find("dist") : nullptr;
  const Value *a = dist ? d.as<RecordObj>().find("a") : nullptr,
              *b = dist ? d.as<RecordObj>().find("b") : nullptr;
  if (!dist || !dist->is(Value::Str) || !a || !b || !a->asFloat(leaf.a) || !b->asFloat(leaf.b)) {
    ev.err("E0206", span,
           "`" + leaf.name +
               "` starts with an initialiser, such as normal(0.02) or zeros(); this is " +
               kindName(init));
    return false;
  }
  auto &s = dist->string();
  leaf.dist = s == "constant" ? 0 : s == "normal" ? 1 : s == "uniform" ? 2 : -1;
  if (leaf.dist < 0) {
    ev.err("E0206", span,
           "an initialiser is \"constant\", \"normal\" or \"uniform\", not \"" + s + "\"");
    return false;
  }
  return true;
}

static bool buildMembers(Evaluator &ev, const Decl &d, ModelObj &m, const ScopeP &sc) {
  bool ok = true;
  for (auto *x : d.members) {
    if (x->kind == Decl::Let) {
      ok &= ev.evalStmt(*x, sc) && !sc->find(x->name)->isError();
      continue;
    }
    if (x->kind != Decl::Param)
      continue;
    TypeP t = ev.type(*x->type, sc, false);
    if (!t) {
      ok = false;
      continue;
    }
    std::string name(x->name);
    if (t->kind != Type::Tensor || !t->elem.isFloat()) {
      ev.err("E0206", x->type->span,
             "the parameter `" + name + "` is a tensor of floats, not " + t->str());
      ok = false;
      continue;
    }
    Value init = ev.eval(*x->value, sc);
    if (init.isError()) {
      ok = false;
      continue;
    }
    if (init.is(Value::None)) {
      if (!t->optional) {
        ev.err("E0310", x->value->span,
               "the parameter `" + name + "` is not optional and cannot be `none`");
        ok = false;
      }
      sc->set(x->name, init);
      continue;
    }
    auto leaf = std::make_shared<LeafObj>();
    leaf->name = name;
    leaf->elem = t->elem;
    leaf->dims = t->dims;
    leaf->span = x->nameSpan;
    bool maybe = init.maybe;
    ok &= initialise(ev, *leaf, init, x->value->span);
    Value v = Value::of(Value::Leaf, leaf);
    v.maybe = maybe || (ev.symbolic && t->optional);
    sc->set(x->name, v);
  }
  return ok;
}

Value Evaluator::instantiate(const ModelDefObj &def, std::vector<ArgVal> &args, Span span) {
  const Decl &d = *def.decl;
  if (frames.size() > 200)
    return fail("E0209", span, "models are nested more than 200 deep");
  auto m = std::make_shared<ModelObj>();
  auto sc = std::make_shared<Scope>();
  sc->parent = def.scope;
  sc->frame = m->frame = sh.dims.newFrame();
  m->decl = &d;
  m->scope = sc;
  m->span = span;
  sh.used.insert(&d);
  frames.push_back({d.name, span, &d});
  // Structure is host code: no graph is being built while a model is.
  Saved<GraphBuilder *> host(g, symbolic ? g : nullptr);
  bool ok = bindParams(d, args, span, sc, nullptr) && buildMembers(*this, d, *m, sc);
  frames.pop_back();
  if (!ok)
    return {};
  return Value::of(Value::Model, std::move(m));
}

Value Evaluator::abstractModel(const ModelDefObj &def, Span span) {
  const Decl &d = *def.decl;
  auto m = std::make_shared<ModelObj>();
  auto sc = std::make_shared<Scope>();
  sc->parent = def.scope;
  sc->frame = m->frame = sh.dims.newFrame();
  m->decl = &d;
  m->scope = sc;
  m->span = span;
  for (auto &p : d.params) {
    TypeP t = p.type ? type(*p.type, sc, true) : nullptr;
    if (!t) // a template: checked where it is used
      return Value::unknown(std::make_shared<Type>());
    Value v = abstractOf(t, p.name, p.nameSpan);
    sc->set(p.name, v);
  }
  if (!buildMembers(*this, d, *m, sc))
    return {};
  return Value::of(Value::Model, std::move(m));
}

// ── members ─────────────────────────────────────────────────────────────────

Value Evaluator::modelMember(const Value &v, std::string_view name, Span span) {
  auto m = std::static_pointer_cast<const ModelObj>(v.o);
  if (Value *x = m->scope->find(name))
    return *x;
  std::vector<std::string> have;
  for (auto *d : m->decl->members) {
    if (d->kind == Decl::Fn && d->name == name) {
      auto f = std::make_shared<FnObj>();
      f->decl = d;
      f->self = m;
      f->scope = m->scope;
      f->name = std::string(m->decl->name) + "." + std::string(name);
      return Value::of(Value::Fn, std::move(f));
    }
  }
  if (name == "tokenizer" && m->tokenizer.is(Value::Handle))
    return m->tokenizer;
  for (auto &p : m->decl->params)
    have.push_back(std::string(p.name));
  for (auto *d : m->decl->members)
    if (d->name[0] != '_')
      have.push_back(std::string(d->name));
  std::string n(name);
  auto &d = err("E0208", span, kindName(v) + " has no `" + n + "`");
  if (auto near = nearest(n, have); !near.empty())
    d.label("did you mean `" + near + "`?").help("`" + near + "`", span, near);
  std::string list;
  for (auto &h : have)
    list += (list.empty() ? "" : ", ") + h;
  d.note("`" + std::string(m->decl->name) + "` has: " + list);
  return {};
}

Value Evaluator::leafValue(const Value &v) {
  if (v.maybe && !symbolic)
    return v;
  auto leaf = std::static_pointer_cast<const LeafObj>(v.o);
  auto &root = g->root();
  Leaf *l = nullptr;
  if (auto it = root.leaves.find(leaf.get()); it != root.leaves.end())
    l = it->second;
  else if (testMode && !symbolic) { // a test's model: its parameters as they start
    if (leaf->dist != 0)
      return fail("E0299", leaf->span,
                  "a test cannot use the parameter `" + leaf->name +
                      "`, which starts at random; give it constant_init(...)");
    std::vector<LoopVar *> vars;
    for (auto &d : leaf->dims)
      vars.push_back(g->var("i", d));
    Node *n = g->comprehension(vars, g->constant(leaf->elem, leaf->a, leaf->span),
                               g->type(leaf->elem, leaf->dims), leaf->span);
    Value t = tensor(n, leaf->elem, leaf->dims);
    t.maybe = v.maybe;
    return t;
  } else if (!symbolic)
    return fail("E0299", leaf->span,
                "the parameter `" + leaf->name +
                    "` belongs to a model other than the stage's; a captured, frozen model is not "
                    "supported yet");
  ElemType storage = leaf->elem;
  storage.real = false;
  storage.e = leaf->elem.real ? Elem::F32 : leaf->elem.e;
  Node *n = g->param(l, g->type(storage, leaf->dims), leaf->name);
  Value t = tensor(n, storage, leaf->dims);
  if (leaf->elem.real) {
    if (g->compute != Elem::F32 && !symbolic) {
      Saved<int> outside(loopDepth, 0);
      Node *&c = g->casts[n];
      if (!c) {
        Value x = cast(t, leaf->elem, leaf->span);
        c = x.as<TensorObj>().node;
      }
      t = tensor(c, leaf->elem, leaf->dims);
    } else {
      t = tensor(n, leaf->elem, leaf->dims);
    }
  }
  t.maybe = v.maybe;
  return t;
}

// ── trees ───────────────────────────────────────────────────────────────────

namespace {

struct Walker {
  const std::function<void(const std::shared_ptr<const ModelObj> &, const Path &)> &model;
  const std::function<void(const std::shared_ptr<const LeafObj> &, const Path &)> &leaf;
  std::set<const Obj *> seen;

  void value(const Value &v, Path &path) {
    if (v.is(Value::Leaf)) {
      if (seen.insert(v.o.get()).second && leaf)
        leaf(std::static_pointer_cast<const LeafObj>(v.o), path);
    } else if (v.is(Value::Model)) {
      walk(std::static_pointer_cast<const ModelObj>(v.o), path);
    } else if (v.is(Value::List)) {
      auto &items = v.as<ListObj>().items;
      for (size_t i = 0; i < items.size(); ++i) {
        if (!items[i].is(Value::Model) && !items[i].is(Value::Leaf))
          continue;
        path.back().index = (int64_t)i;
        path.back().count = (int64_t)items.size();
        value(items[i], path);
      }
      path.back().index = -1;
    } else if (v.is(Value::Record)) {
      for (auto &[k, x] : v.as<RecordObj>().fields) {
        path.push_back({k, -1, 0});
        value(x, path);
        path.pop_back();
      }
    }
  }
  void walk(const std::shared_ptr<const ModelObj> &m, Path &path) {
    if (!seen.insert(m.get()).second)
      return;
    if (model)
      model(m, path);
    for (auto &[name, v] : m->scope->names) {
      path.push_back({std::string(name), -1, 0});
      value(v, path);
      path.pop_back();
    }
  }
};

struct Rebuilder {
  const std::function<std::shared_ptr<const LeafObj>(const std::shared_ptr<const LeafObj> &,
                                                     const Path &)> &leaf;
  const std::function<Value(const std::shared_ptr<const ModelObj> &, const Path &)> &model;
  std::map<const Obj *, Value> done; // keeps sharing

  Value value(const Value &v, Path &path) {
    if (v.is(Value::Leaf)) {
      if (auto it = done.find(v.o.get()); it != done.end())
        return it->second;
      auto l = leaf ? leaf(std::static_pointer_cast<const LeafObj>(v.o), path) : nullptr;
      Value r = l ? Value::of(Value::Leaf, std::const_pointer_cast<LeafObj>(l)) : v;
      return done[v.o.get()] = r;
    }
    if (v.is(Value::Model)) {
      if (auto it = done.find(v.o.get()); it != done.end())
        return it->second;
      auto m = std::static_pointer_cast<const ModelObj>(v.o);
      if (model && !path.empty()) {
        Value r = model(m, path);
        if (!r.isError())
          return done[v.o.get()] = r;
      }
      Value r(Value::Model);
      r.o = rebuild(m, path);
      return done[v.o.get()] = r;
    }
    if (v.is(Value::List)) {
      auto o = std::make_shared<ListObj>(v.as<ListObj>());
      bool any = false;
      for (size_t i = 0; i < o->items.size(); ++i) {
        if (!o->items[i].is(Value::Model) && !o->items[i].is(Value::Leaf))
          continue;
        any = true;
        path.back().index = (int64_t)i;
        path.back().count = (int64_t)o->items.size();
        o->items[i] = value(o->items[i], path);
      }
      path.back().index = -1;
      return any ? Value::of(Value::List, o) : v;
    }
    if (v.is(Value::Record)) {
      Fields f = v.as<RecordObj>().fields;
      for (auto &[k, x] : f) {
        path.push_back({k, -1, 0});
        x = value(x, path);
        path.pop_back();
      }
      return Value::record(std::move(f));
    }
    return v;
  }
  std::shared_ptr<const ModelObj> rebuild(const std::shared_ptr<const ModelObj> &m, Path &path) {
    auto r = std::make_shared<ModelObj>(*m);
    r->scope = std::make_shared<Scope>(*m->scope);
    for (auto &[name, v] : r->scope->names) {
      path.push_back({std::string(name), -1, 0});
      v = value(v, path);
      path.pop_back();
    }
    return r;
  }
};

} // namespace

void walkModel(
    const std::shared_ptr<const ModelObj> &m,
    const std::function<void(const std::shared_ptr<const ModelObj> &, const Path &)> &model,
    const std::function<void(const std::shared_ptr<const LeafObj> &, const Path &)> &leaf) {
  Path path;
  Walker{model, leaf, {}}.walk(m, path);
}

std::shared_ptr<const ModelObj> rebuildModel(
    const std::shared_ptr<const ModelObj> &m,
    const std::function<std::shared_ptr<const LeafObj>(const std::shared_ptr<const LeafObj> &,
                                                       const Path &)> &leaf,
    const std::function<Value(const std::shared_ptr<const ModelObj> &, const Path &)> &model) {
  Path path;
  return Rebuilder{leaf, model, {}}.rebuild(m, path);
}

} // namespace r1
