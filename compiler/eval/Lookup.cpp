// Errors with the calls that led there; names and members.
#include "compiler/eval/Evaluator.h"
#include <algorithm>
#include <cmath>
#include <re2/re2.h>
#include <unordered_map>

namespace r1 {

// ── errors ──────────────────────────────────────────────────────────────────

Span Evaluator::userCall(Span where) const {
  auto library = [&](Span s) {
    return sh.sources.has(s.file) && sh.sources.file(s.file).path.rfind("std/", 0) == 0;
  };
  if (library(where))
    for (size_t i = frames.size(); i-- > 0;)
      if (frames[i].call.valid() && !library(frames[i].call))
        return frames[i].call;
  return where;
}

Diag &Evaluator::err(const char *code, Span where, std::string title) {
  if (rowMode) {
    if (rowError.empty()) {
      rowError = title;
      if (sh.sources.has(where.file))
        rowError += " (" + sh.sources.where(where) + ")";
    }
    static thread_local Diag dropped;
    dropped = {};
    return dropped;
  }
  // What goes wrong inside the library is shown at the user's call that led there.
  Span at = userCall(where);
  Diag &d = sh.diags.error(code, at, std::move(title));
  if (at.file != where.file) {
    d.also(where, "here");
    return d;
  }
  // The calls that led into another file, nearest first, two at most.
  uint32_t file = where.file;
  int shown = 0;
  for (size_t i = frames.size(); i-- > 0 && shown < 2;) {
    auto &f = frames[i];
    if (f.call.valid() && f.call.file != file) {
      d.also(f.call, "in this call of `" + std::string(f.name) + "`");
      file = f.call.file;
      ++shown;
    }
  }
  return d;
}

bool Evaluator::truth(const Value &v, Span span, bool &out) {
  if (v.is(Value::Bool)) {
    out = v.b;
    return true;
  }
  if (!v.isError() && !v.is(Value::Unknown))
    err("E0206", span, "a condition is a bool, this is " + kindName(v));
  return false;
}

// ── names ───────────────────────────────────────────────────────────────────

static const Decl *methodOf(const ModelObj &m, std::string_view name) {
  for (auto *d : m.decl->members)
    if (d->kind == Decl::Fn && d->name == name)
      return d;
  return nullptr;
}

static Value constantNamed(std::string_view name) {
  static const std::unordered_map<std::string_view, Value> all = [] {
    std::unordered_map<std::string_view, Value> m = {{"pi", Value::real(3.14159265358979323846)},
                                                     {"inf", Value::real(INFINITY)},
                                                     {"nan", Value::real(NAN)}};
    for (int e = -1; e < 9; ++e) {
      Value v(Value::DType);
      v.i = e;
      m[e < 0 ? "real" : elemName((Elem)e)] = v;
    }
    return m;
  }();
  auto it = all.find(name);
  return it == all.end() ? Value() : it->second;
}

std::vector<std::string> builtinConstants() {
  std::vector<std::string> r = {"pi", "inf", "nan", "real", "prelude"};
  for (int e = 0; e < 9; ++e)
    r.push_back(elemName((Elem)e));
  return r;
}

Value Evaluator::global(const Module *m, std::string_view name, Span span) {
  auto key = std::make_pair(m, name);
  if (auto it = sh.globals.find(key); it != sh.globals.end())
    return it->second;
  Value v;
  bool found = false;
  auto im = m->imports.find(name);
  if (im != m->imports.end()) {
    if (im->second.decl)
      return global(im->second.module, name, span);
    auto o = std::make_shared<ModuleObj>();
    o->module = im->second.module;
    v = Value::of(Value::Module, std::move(o));
    found = true;
  } else if (const Decl *d = m->find(name)) {
    ScopeP &sc = sh.moduleScopes[m];
    if (!sc) {
      sc = std::make_shared<Scope>();
      sc->module = m;
    }
    found = true;
    switch (d->kind) {
    case Decl::Fn: {
      auto f = std::make_shared<FnObj>();
      f->decl = d;
      f->scope = sc;
      f->name = std::string(d->name);
      v = Value::of(Value::Fn, std::move(f));
      break;
    }
    case Decl::Model:
    case Decl::Pipeline: {
      auto f = std::make_shared<ModelDefObj>();
      f->decl = d;
      f->scope = sc;
      v = Value::of(d->kind == Decl::Model ? Value::ModelDef : Value::Pipeline, std::move(f));
      break;
    }
    case Decl::Let: {
      if (!sh.evaluating.insert(d).second)
        return fail("E0209", span, "`" + std::string(name) + "` is defined by itself");
      Saved<bool> host(symbolic, false);
      auto inner = std::make_shared<Scope>();
      inner->parent = sc;
      TypeP t = d->type ? type(*d->type, inner, true) : nullptr;
      v = eval(*d->value, inner, t.get());
      if (d->type)
        v = t ? coerce(v, *t, d->value->span, "the value") : Value();
      sh.evaluating.erase(d);
      break;
    }
    default:
      found = false;
    }
  }
  if (!found) {
    if (m != sh.program.prelude.get())
      return global(sh.program.prelude.get(), name, span);
    Value none(Value::None);
    none.i = -1; // not found
    return none;
  }
  if (!sh.frozen)
    sh.globals[key] = v;
  return v;
}

Value Evaluator::lookup(std::string_view name, const ScopeP &sc, Span span, bool report) {
  for (Scope *s = sc.get(); s; s = s->parent.get()) {
    if (Value *v = s->find(name))
      return *v;
    if (s->lazy && s->lazy(name)) {
      Value *v = s->find(name);
      return v ? *v : Value();
    }
    if (s->self) {
      if (const Decl *d = methodOf(*s->self, name)) {
        auto f = std::make_shared<FnObj>();
        f->decl = d;
        f->self = s->self;
        f->scope = s->self->scope;
        f->name = std::string(name);
        return Value::of(Value::Fn, std::move(f));
      }
    }
    if (s->module) {
      Value v = global(s->module, name, span);
      if (!(v.is(Value::None) && v.i == -1))
        return v;
      break;
    }
  }
  if (Value c = constantNamed(name); !c.isError())
    return c;
  if (const Builtin *b = findBuiltin(name)) {
    auto f = std::make_shared<FnObj>();
    f->builtin = b;
    f->name = std::string(name);
    return Value::of(Value::Fn, std::move(f));
  }
  if (name == "prelude") {
    auto o = std::make_shared<ModuleObj>();
    o->module = sh.program.prelude.get();
    return Value::of(Value::Module, std::move(o));
  }
  if (!report)
    return {};
  return fail("E0200", span, "nothing here is called `" + std::string(name) + "`");
}

// ── members ─────────────────────────────────────────────────────────────────

static Value noMember(Evaluator &ev, const Value &base, std::string_view name, Span span,
                      std::vector<std::string> have) {
  std::string n(name), list;
  for (auto &h : have)
    list += (list.empty() ? "" : ", ") + h;
  auto &d = ev.err("E0208", span, kindName(base) + " has no `" + n + "`");
  if (auto near = nearest(n, have); !near.empty())
    d.label("did you mean `" + near + "`?").help("`" + near + "`", span, near);
  if (!list.empty() && list.size() < 200)
    d.note("it has: " + list);
  return {};
}

Value Evaluator::member(const Value &base, std::string_view name, Span span, const Expr *baseExpr) {
  switch (base.kind) {
  case Value::Error:
    return {};
  case Value::Record: {
    if (auto *v = base.as<RecordObj>().find(name))
      return *v;
    std::vector<std::string> have;
    for (auto &[k, v] : base.as<RecordObj>().fields)
      have.push_back(k);
    return noMember(*this, base, name, span, have);
  }
  case Value::Model:
    return modelMember(base, name, span);
  case Value::Handle: {
    auto &h = base.as<HandleObj>();
    for (auto &[k, v] : h.fields)
      if (k == name)
        return v;
    std::vector<std::string> have;
    for (auto &[k, v] : h.fields)
      have.push_back(k);
    return noMember(*this, base, name, span, have);
  }
  case Value::Module: {
    auto *m = base.as<ModuleObj>().module;
    if (name[0] == '_')
      return fail("E0211", span, "`" + std::string(name) + "` is private to `" + m->path + "`");
    if (m->find(name))
      return global(m, name, span);
    if (m == sh.program.prelude.get())
      if (const Builtin *b = findBuiltin(name)) {
        auto f = std::make_shared<FnObj>();
        f->builtin = b;
        f->name = std::string(name);
        return Value::of(Value::Fn, std::move(f));
      }
    std::vector<std::string> have;
    for (auto &[k, d] : m->decls)
      have.push_back(std::string(k));
    std::sort(have.begin(), have.end());
    auto &d = err("E0208", span, "`" + m->path + "` does not declare `" + std::string(name) + "`");
    if (auto near = nearest(name, have); !near.empty())
      d.label("did you mean `" + near + "`?");
    return {};
  }
  case Value::Unknown: {
    auto &t = *base.as<UnknownObj>().type;
    for (auto &[k, f] : t.fields)
      if (k == name)
        return abstractOf(f, name, span);
    if (t.kind == Type::Any || t.kind == Type::Optimizer || t.kind == Type::Tokenizer)
      return Value::unknown(std::make_shared<Type>());
    break;
  }
  case Value::None:
    err("E0310", span, "this is `none`, which has no `" + std::string(name) + "`");
    return {};
  default:
    break;
  }
  return fail("E0208", span,
              kindName(base) + " has no members; `." + std::string(name) + "` asks for one");
}

} // namespace r1
