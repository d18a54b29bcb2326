// Calls: arguments to parameters, functions, lambdas, models.
#include "compiler/eval/Evaluator.h"
#include "compiler/eval/Stages.h"
#include <algorithm>

namespace r1 {

// ── arguments ───────────────────────────────────────────────────────────────

static void withSignature(Evaluator &ev, Diag &d, const Decl *decl) {
  if (decl)
    d.note(signatureText(*decl, ev.sh.sources) + "        " + ev.sh.sources.where(decl->nameSpan));
}

bool Evaluator::bindArgs(std::string_view callee, const Decl *decl, const std::vector<Parameter> &params,
                         std::vector<ArgVal> &args, Span span, std::vector<ArgVal *> &slots) {
  slots.assign(params.size(), nullptr);
  std::string name(callee);
  bool ok = true;
  size_t next = 0;
  for (auto &a : args) {
    if (a.name.empty()) {
      if (next >= params.size()) {
        auto &d = err("E0203", a.span, "`" + name + "` takes " + std::to_string(params.size()) +
                                           (params.size() == 1 ? " argument" : " arguments") + " and is given more");
        withSignature(*this, d, decl);
        return false;
      }
      slots[next++] = &a;
      continue;
    }
    size_t i = 0;
    while (i < params.size() && params[i].name != a.name)
      ++i;
    if (i == params.size()) {
      std::vector<std::string> have;
      for (auto &p : params)
        have.push_back(std::string(p.name));
      std::string wrote(a.name);
      auto &d = err("E0201", a.nameSpan, "`" + name + "` has no argument `" + wrote + "`");
      if (auto near = nearest(wrote, have); !near.empty()) {
        d.label("did you mean `" + near + "`?");
        d.help("`" + near + "`", a.nameSpan, near);
      }
      withSignature(*this, d, decl);
      ok = false;
      continue;
    }
    if (slots[i]) {
      err("E0204", a.nameSpan, "`" + name + "` is given `" + std::string(a.name) + "` twice")
          .also(slots[i]->span, "given here first");
      ok = false;
      continue;
    }
    slots[i] = &a;
  }
  return ok;
}

static void missing(Evaluator &ev, std::string_view callee, const Decl *decl, const Parameter &p, Span span) {
  auto &d = ev.err("E0202", span, "`" + std::string(callee) + "` needs `" + std::string(p.name) + "`, which is not given");
  withSignature(ev, d, decl);
}

// ── dims on the way out ─────────────────────────────────────────────────────

Value Evaluator::leaveFrames(const Value &v, uint32_t frame, uint32_t modelFrame) {
  auto out = [&](const DimSym *s) {
    if (s->kind != DimSym::Bound && s->kind != DimSym::Alias)
      return false;
    // A size of the model that is a plain number has no better name outside.
    return s->frame && (s->frame == frame || (s->frame == modelFrame && !s->bound.isConst()));
  };
  auto touches = [&](const Dim &d) { return d.anySym(out); };
  switch (v.kind) {
  case Value::Tensor: {
    auto &t = v.as<TensorObj>();
    bool any = t.elem.bounded && touches(t.elem.bound);
    for (auto &d : t.dims)
      any |= touches(d);
    if (!any)
      return v;
    auto o = std::make_shared<TensorObj>(t);
    for (auto &d : o->dims)
      d = leaving(d, out);
    if (o->elem.bounded)
      o->elem.bound = leaving(o->elem.bound, out);
    Value r = Value::of(Value::Tensor, std::move(o));
    r.maybe = v.maybe;
    return r;
  }
  case Value::DimV:
    return touches(v.dims()) ? Value::dim(leaving(v.dims(), out)) : v;
  case Value::Record: {
    Fields f = v.as<RecordObj>().fields;
    for (auto &[k, x] : f)
      x = leaveFrames(x, frame, modelFrame);
    return Value::record(std::move(f));
  }
  case Value::List: {
    if (v.as<ListObj>().items.empty() || !(v.as<ListObj>().items[0].isGraph() || v.as<ListObj>().items[0].is(Value::DimV)))
      return v;
    auto o = std::make_shared<ListObj>(v.as<ListObj>());
    for (auto &x : o->items)
      x = leaveFrames(x, frame, modelFrame);
    return Value::of(Value::List, std::move(o));
  }
  default:
    return v;
  }
}

// ── functions ───────────────────────────────────────────────────────────────

bool Evaluator::bindParams(const Decl &d, std::vector<ArgVal> &args, Span span, const ScopeP &sc,
                           BuiltinCall *record) {
  std::vector<ArgVal *> slots;
  if (!bindArgs(d.name, &d, d.params, args, span, slots))
    return false;
  Saved<std::vector<std::pair<Dim, Dim>>> keep(deferred, {});
  std::string_view callee = calleeText.empty() ? d.name : calleeText;
  calleeText = {};
  bool ok = true;
  for (size_t i = 0; i < d.params.size(); ++i) {
    auto &p = d.params[i];
    TypeP t = p.type ? type(*p.type, sc, true) : nullptr;
    ok &= !p.type || t;
    Value v;
    Span at = span;
    if (slots[i]) {
      v = slots[i]->value;
      at = slots[i]->span;
    } else if (p.init) {
      v = eval(*p.init, sc, t.get());
      at = p.init->span;
    } else {
      missing(*this, d.name, &d, p, span);
      ok = false;
      continue;
    }
    if (t) {
      Saved<bool> outer(outerNames, true);
      v = coerce(v, *t, at, What::param(p.name, callee));
    }
    ok &= !v.isError();
    if (v.is(Value::DimV) && !rowMode && t && t->kind == Type::DimT)
      v = Value::dim(Dim(sh.dims.bind(std::string(p.name), v.dims(), DimSym::Bound, sc->frame, at)));
    sc->set(p.name, v);
    if (record) {
      ArgVal a;
      a.name = p.name;
      a.value = v;
      a.span = at;
      a.expr = slots[i] ? slots[i]->expr : p.init;
      record->args.push_back(std::move(a));
      record->given.push_back(slots[i] != nullptr);
    }
  }
  if (!ok)
    return false;
  for (auto &[want, have] : deferred)
    if (sameSize(want, have) == Same::No) {
      err("E0301", span, "`" + std::string(d.name) + "` needs " + nameAndNumber(want) + " and is given " + nameAndNumber(have));
      return false;
    }
  return true;
}

Value Evaluator::applyFn(const FnObj &f, std::vector<ArgVal> &args, Span span) {
  const Decl &d = *f.decl;
  if (frames.size() > 200)
    return fail("E0209", span, "calls are nested more than 200 deep");
  auto sc = std::make_shared<Scope>();
  sc->parent = f.scope;
  sc->self = f.self;
  if (!rowMode)
    sc->frame = sh.dims.newFrame();
  if (!sh.frozen && !rowMode)
    sh.used.insert(&d);
  frames.push_back({d.name, span, &d, f.self.get()});
  struct Pop {
    Evaluator &e;
    ~Pop() { e.frames.pop_back(); }
  } pop{*this};
  BuiltinCall bc;
  bc.span = span;
  bc.name = d.name;
  bc.decl = &d;
  if (!bindParams(d, args, span, sc, d.value ? nullptr : &bc))
    return {};
  if (!d.value) {
    std::string name(d.name);
    if (d.attr.present && d.attr.name == "builtin" && !d.attr.args.empty()) {
      const Expr &a = *d.attr.args[0].value;
      if (a.kind == Expr::String && !a.parts.empty())
        name = a.parts[0];
      if (d.attr.args.size() > 1)
        bc.version = (int)d.attr.args[1].value->integer;
    }
    const Builtin *b = findStageBuiltin(name);
    if (!b)
      return fail("E0299", span, "`" + name + "` is not supported yet: the language has it, this version does not run it");
    bc.scope = sc;
    return b->run(*this, bc);
  }
  TypeP rt = d.type ? type(*d.type, sc, false) : nullptr;
  if (d.type && !rt)
    return {};
  Value r;
  if (d.attr.present && d.attr.name == "kernel" && g && !symbolic)
    r = applyKernel(d, sc, rt.get(), span);
  else
    r = eval(*d.value, sc, rt.get());
  if (r.isError())
    return {};
  if (rt) {
    Span at = d.value->span;
    if (d.value->kind == Expr::Block && !d.value->kids.empty())
      at = d.value->kids[0]->span;
    r = coerce(r, *rt, at, What("the result of ", d.name));
  }
  if (rowMode)
    return r;
  // A method called from outside of its model: the caller has other names for its dims.
  uint32_t modelFrame = 0;
  if (f.self) {
    const ModelObj *caller = nullptr;
    for (size_t i = frames.size() - 1; i-- > 0 && !caller;)
      if (frames[i].decl)
        caller = frames[i].self ? frames[i].self : (const ModelObj *)&frames[i];
    if (caller != f.self.get())
      modelFrame = f.self->frame;
  }
  return leaveFrames(r, sc->frame, modelFrame);
}

Value Evaluator::applyLambda(const FnObj &f, std::vector<ArgVal> &args, Span span) {
  const Expr &e = *f.lambda;
  std::vector<ArgVal *> slots;
  if (!bindArgs(f.name, nullptr, e.params, args, span, slots))
    return {};
  if (frames.size() > 200)
    return fail("E0209", span, "calls are nested more than 200 deep");
  auto sc = std::make_shared<Scope>();
  sc->parent = f.scope;
  if (!rowMode)
    sc->frame = f.scope ? f.scope->frame : 0;
  frames.push_back({f.name, span, nullptr});
  struct Pop {
    Evaluator &ev;
    ~Pop() { ev.frames.pop_back(); }
  } pop{*this};
  for (size_t i = 0; i < e.params.size(); ++i) {
    auto &p = e.params[i];
    if (!slots[i]) {
      missing(*this, f.name, nullptr, p, span);
      return {};
    }
    Value v = slots[i]->value;
    if (p.type) {
      TypeP t = type(*p.type, sc, true);
      if (!t)
        return {};
      v = coerce(v, *t, slots[i]->span, What("", p.name));
    }
    if (v.isError())
      return {};
    sc->set(p.name, std::move(v));
  }
  return eval(*e.kids[0], sc);
}

Value Evaluator::applyAbstract(const FnObj &f, std::vector<ArgVal> &args, Span span) {
  const Type &t = *f.abstract;
  bool scalarArg = false, tensorArg = false;
  for (auto &a : args) {
    if (a.value.isError())
      return {};
    scalarArg |= a.value.is(Value::Scalar);
    tensorArg |= a.value.is(Value::Tensor);
  }
  if (!t.args.empty() && t.args.size() != args.size())
    return fail(args.size() > t.args.size() ? "E0203" : "E0202", span,
                "`" + f.name + "` takes " + std::to_string(t.args.size()) + " arguments and is given " + std::to_string(args.size()));
  if (!t.result)
    return Value::unknown(std::make_shared<Type>());
  Type::Kind k = t.result->kind;
  if ((scalarArg || tensorArg) && (k == Type::Float || k == Type::Bool || k == Type::Int)) {
    ElemType e;
    e.e = k == Type::Float ? Elem::F32 : k == Type::Bool ? Elem::Bool : Elem::I64;
    e.weak = k != Type::Bool;
    if (loopDepth)
      return scalar(g->constant(e, 0, span), e);
    e.weak = false;
    return tensor(g->comprehension({}, g->constant(e, 0, span), g->type(e, {}), span), e, {});
  }
  return abstractOf(t.result, f.name, span);
}

namespace {
struct BuiltinParam {
  std::string_view name;
  bool optional = false, named = false, many = false;
};
} // namespace

// "x axis? where=?", parsed once.
static const std::vector<BuiltinParam> &paramsOf(const Builtin &b) {
  static thread_local std::unordered_map<const Builtin *, std::vector<BuiltinParam>> cache;
  auto [it, fresh] = cache.try_emplace(&b);
  std::string_view s = fresh ? b.params : "";
  while (!s.empty()) {
    size_t n = s.find(' ');
    std::string_view w = s.substr(0, n);
    s = n == std::string_view::npos ? "" : s.substr(n + 1);
    BuiltinParam p;
    while (!w.empty() && (w.back() == '?' || w.back() == '=' || w.back() == '*')) {
      (w.back() == '?' ? p.optional : w.back() == '=' ? p.named : p.many) = true;
      w.remove_suffix(1);
    }
    p.name = w;
    it->second.push_back(p);
  }
  return it->second;
}

Value Evaluator::applyBuiltin(const Builtin &b, std::vector<ArgVal> &args, Span span, const Type *expect) {
  const std::vector<BuiltinParam> &ps = paramsOf(b);
  auto signature = [&] {
    std::string r = std::string(b.name) + "(";
    for (size_t i = 0; i < ps.size(); ++i)
      r += (i ? ", " : "") + std::string(ps[i].name) + (ps[i].named ? " =" : "") + (ps[i].optional ? "?" : "");
    return r + ")";
  };
  BuiltinCall bc;
  bc.span = span;
  bc.name = b.name;
  bc.expect = expect;
  bool many = !ps.empty() && ps.back().many; // those follow the others in bc.args
  bc.args.resize(ps.size() - many);
  bc.given.assign(ps.size(), false);
  size_t next = 0;
  for (auto &a : args) {
    if (a.value.isError())
      return {};
    if (a.name.empty()) {
      if (next < ps.size() && ps[next].many) {
        bc.args.push_back(a);
        continue;
      }
      if (next >= ps.size() || ps[next].named) {
        err("E0203", a.span, "`" + std::string(b.name) + "` is given more arguments than it takes").note(signature());
        return {};
      }
      bc.args[next] = a;
      bc.given[next++] = true;
      continue;
    }
    size_t i = 0;
    while (i < ps.size() && ps[i].name != a.name)
      ++i;
    if (i == ps.size()) {
      std::vector<std::string> have;
      for (auto &p : ps)
        have.push_back(std::string(p.name));
      std::string wrote(a.name);
      auto &d = err("E0201", a.nameSpan, "`" + std::string(b.name) + "` has no argument `" + wrote + "`");
      if (auto near = nearest(wrote, have); !near.empty())
        d.label("did you mean `" + near + "`?").help("`" + near + "`", a.nameSpan, near);
      d.note(signature());
      return {};
    }
    if (bc.given[i]) {
      err("E0204", a.nameSpan, "`" + std::string(b.name) + "` is given `" + std::string(a.name) + "` twice");
      return {};
    }
    bc.args[i] = a;
    bc.given[i] = true;
  }
  for (size_t i = 0; i < ps.size(); ++i)
    if (!bc.given[i] && !ps[i].optional && !ps[i].many) {
      err("E0202", span, "`" + std::string(b.name) + "` needs `" + std::string(ps[i].name) + "`, which is not given").note(signature());
      return {};
    }
  return b.run(*this, bc);
}

// ── apply ───────────────────────────────────────────────────────────────────

Value Evaluator::apply(const Value &f, std::vector<ArgVal> args, Span span, const Type *expect) {
  switch (f.kind) {
  case Value::Error:
    return {};
  case Value::Fn: {
    auto &fn = f.as<FnObj>();
    if (fn.constant)
      return *fn.constant;
    if (fn.abstract)
      return applyAbstract(fn, args, span);
    if (fn.builtin)
      return applyBuiltin(*fn.builtin, args, span, expect);
    if (fn.lambda) {
      watchLambda(fn, args);
      return applyLambda(fn, args, span);
    }
    // The library's `filter` is for corpora; lists have their own.
    if (!fn.decl->value && !args.empty() && (args[0].value.is(Value::List) || args[0].value.is(Value::Range)))
      if (const Builtin *b = findBuiltin(fn.decl->name))
        return applyBuiltin(*b, args, span, expect);
    return applyFn(fn, args, span);
  }
  case Value::DType: { // f32(x)
    const Builtin *b = findBuiltin(f.i < 0 ? "real" : elemName((Elem)f.i));
    return b ? applyBuiltin(*b, args, span, expect)
             : fail("E0303", span, "a number is not converted to bool; compare it");
  }
  case Value::ModelDef:
    return instantiate(f.as<ModelDefObj>(), args, span);
  case Value::Model: {
    auto &m = f.as<ModelObj>();
    Value fwd = modelMember(f, "forward", span);
    if (fwd.isError())
      return {};
    (void)m;
    return apply(fwd, std::move(args), span, expect);
  }
  case Value::Pipeline:
    if (stages)
      return stages->callPipeline(f.as<ModelDefObj>(), args, span);
    return fail("E0207", span, "a pipeline is called from a pipeline only");
  case Value::Unknown:
    for (auto &a : args)
      if (a.value.isError())
        return {};
    return f.as<UnknownObj>().type->kind == Type::Any || f.as<UnknownObj>().type->kind == Type::Model
               ? Value::unknown(std::make_shared<Type>())
               : fail("E0207", span, kindName(f) + " is not a function");
  case Value::None:
    err("E0310", span, "this is `none`, not a function");
    return {};
  default:
    return fail("E0207", span, kindName(f) + " is not a function");
  }
}

Value Evaluator::apply(const Value &f, std::vector<Value> args, Span span) {
  // A callback may leave out trailing parameters.
  size_t takes = args.size();
  if (f.is(Value::Fn)) {
    auto &fn = f.as<FnObj>();
    if (fn.lambda)
      takes = fn.lambda->params.size();
    else if (fn.decl)
      takes = fn.decl->params.size();
  }
  std::vector<ArgVal> as;
  for (size_t i = 0; i < args.size() && i < takes; ++i) {
    ArgVal a;
    a.value = std::move(args[i]);
    a.span = span;
    as.push_back(std::move(a));
  }
  return apply(f, std::move(as), span);
}

// ── call expressions ────────────────────────────────────────────────────────

Value Evaluator::evalWith(const Expr &e, const ScopeP &sc, const OverrideTree &over) {
  over.used = true;
  if (over.expr)
    return eval(*over.expr, sc);
  switch (e.kind) {
  case Expr::Paren:
    return evalWith(*e.kids[0], sc, over);
  case Expr::Call:
    return call(e, sc, nullptr, &over);
  case Expr::Pipe: {
    Value x = eval(*e.kids[0], sc);
    if (x.isError())
      return {};
    return call(*e.kids[1], sc, nullptr, &over, &x, e.kids[0]->span);
  }
  case Expr::Name:
    // A shared `let` is inlined for this use only.
    for (Scope *s = sc.get(); s; s = s->parent.get())
      for (auto &[n, d] : s->lets)
        if (n == e.name && d->value)
          return evalWith(*d->value, sc, over);
    break;
  case Expr::Record: {
    Value v = eval(e, sc);
    if (!v.is(Value::Record))
      return v;
    Fields f = v.as<RecordObj>().fields;
    for (auto &[name, o] : over.sub) {
      bool found = false;
      for (auto &a : e.args)
        if (a.name == name) {
          for (auto &[k, x] : f)
            if (k == name)
              x = evalWith(*a.value, sc, o);
          found = true;
        }
      if (!found) {
        std::vector<std::string> have;
        for (auto &[k, x] : f)
          have.push_back(k);
        auto &d = err("E0601", e.span, "--set " + o.text + ": the record has no `" + name + "`");
        if (auto near = nearest(name, have); !near.empty())
          d.help("`" + near + "`");
        return {};
      }
    }
    return Value::record(std::move(f));
  }
  default:
    break;
  }
  const OverrideTree *leaf = &over;
  while (leaf->text.empty() && !leaf->sub.empty())
    leaf = &leaf->sub.begin()->second;
  return fail("E0601", e.span, "--set " + leaf->text + ": this is not a call whose arguments could be set");
}

Value Evaluator::call(const Expr &e, const ScopeP &sc, const Type *expect, const OverrideTree *over,
                      const Value *piped, Span pipedSpan) {
  if (e.kind == Expr::Paren)
    return call(*e.kids[0], sc, expect, over, piped, pipedSpan);
  if (e.kind != Expr::Call) {
    err("E0104", e.span, "the right side of |> is a call");
    return {};
  }
  Value f = eval(*e.kids[0], sc);
  const std::vector<Parameter> *params = nullptr;
  const Decl *decl = nullptr;
  if (f.is(Value::Fn)) {
    auto &fn = f.as<FnObj>();
    decl = fn.decl;
    params = fn.decl ? &fn.decl->params : fn.lambda ? &fn.lambda->params : nullptr;
  } else if (f.is(Value::ModelDef) || f.is(Value::Pipeline)) {
    decl = f.as<ModelDefObj>().decl;
    params = &decl->params;
  }
  std::vector<ArgVal> args;
  bool bad = f.isError();
  std::set<std::string> overridden;
  size_t position = 0;
  if (piped) {
    ArgVal a;
    a.value = *piped;
    a.span = pipedSpan;
    args.push_back(std::move(a));
    ++position;
  }
  for (auto &x : e.args) {
    if (x.spread) {
      Value r = eval(*x.value, sc);
      if (!r.is(Value::Record)) {
        if (!r.isError())
          err("E0206", x.value->span, "`...` spreads a record, this is " + kindName(r));
        bad = true;
        continue;
      }
      for (auto &[k, v] : std::static_pointer_cast<const RecordObj>(r.o)->fields) {
        ArgVal a;
        a.name = k;
        a.value = v;
        a.span = a.nameSpan = x.span;
        a.keep = r.o;
        args.push_back(std::move(a));
      }
      continue;
    }
    ArgVal a;
    a.name = x.name;
    a.nameSpan = x.nameSpan;
    a.span = x.value->span;
    a.expr = x.value;
    std::string name(x.name);
    if (name.empty() && params && position < params->size())
      name = std::string((*params)[position].name);
    if (x.name.empty())
      ++position;
    const OverrideTree *o = nullptr;
    if (over)
      if (auto it = over->sub.find(name); it != over->sub.end())
        o = &it->second;
    if (o) {
      overridden.insert(name);
      a.value = evalWith(*x.value, sc, *o);
      if (o->expr) {
        a.expr = o->expr;
        a.span = o->expr->span;
      }
    } else {
      const Type *want = nullptr;
      a.value = eval(*x.value, sc, want);
    }
    bad |= a.value.isError();
    args.push_back(std::move(a));
  }
  if (over)
    for (auto &[name, o] : over->sub) {
      if (overridden.count(name))
        continue;
      const Parameter *p = nullptr;
      std::vector<std::string> have;
      if (params)
        for (auto &q : *params) {
          have.push_back(std::string(q.name));
          if (q.name == name)
            p = &q;
        }
      if (!p) {
        const OverrideTree *leaf = &o;
        while (leaf->text.empty() && !leaf->sub.empty())
          leaf = &leaf->sub.begin()->second;
        std::string callee(sh.sources.text(e.kids[0]->span));
        auto &d = err("E0601", e.kids[0]->span, "--set " + leaf->text + ": `" + callee + "` has no argument `" + name + "`");
        std::string list;
        for (auto &h : have)
          list += (list.empty() ? "" : " ") + h;
        d.note("`" + callee + "` has: " + list);
        std::string near = nearest(name, have);
        for (auto &h : have)
          if (near.empty() && h.size() >= 3 && (name.substr(0, h.size()) == h || h.substr(0, name.size()) == name))
            near = h;
        if (!near.empty())
          d.help("did you mean `" + near + "`?");
        for (auto &[deeper, t] : o.sub)
          if (std::find(have.begin(), have.end(), deeper) != have.end())
            if (size_t at = leaf->text.find(name + "."); at != std::string::npos)
              d.help("--set " + std::string(leaf->text).erase(at, name.size() + 1));
        return {};
      }
      o.used = true;
      ArgVal a;
      a.name = p->name;
      if (o.expr) {
        a.value = eval(*o.expr, sc);
        a.expr = o.expr;
        a.span = a.nameSpan = o.expr->span;
      } else if (p->init) {
        a.value = evalWith(*p->init, f.is(Value::Fn) ? f.as<FnObj>().scope : f.as<ModelDefObj>().scope, o);
        a.expr = p->init;
        a.span = a.nameSpan = p->init->span;
      } else {
        continue; // reported as missing
      }
      bad |= a.value.isError();
      args.push_back(std::move(a));
    }
  if (bad)
    return {};
  if (f.is(Value::Fn) && f.as<FnObj>().lambda && e.kids[0]->kind == Expr::Name) {
    auto named = std::make_shared<FnObj>(f.as<FnObj>());
    named->name = std::string(e.kids[0]->name);
    named->origin = f.o.get();
    f.o = named;
  }
  // `down(x)` is a call of forward; the reader knows it as `down`.
  calleeText = {};
  if (f.is(Value::Model) && (e.kids[0]->kind == Expr::Name || e.kids[0]->kind == Expr::Member))
    calleeText = sh.sources.text(e.kids[0]->span);
  return apply(f, std::move(args), e.span, expect);
}

} // namespace r1
