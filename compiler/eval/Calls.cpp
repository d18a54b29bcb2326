// Functions, lambdas, built-ins, models and pipelines applied to arguments.
#include "compiler/eval/Evaluator.h"
#include "compiler/eval/Stages.h"
#include <algorithm>

namespace r1 {

// A method called from outside of its model: the caller has other names for its dims.
uint32_t Evaluator::modelFrameLeft(const FnObj &f) const {
  if (!f.self)
    return 0;
  for (size_t i = frames.size() - 1; i-- > 0;)
    if (frames[i].decl)
      return frames[i].self == f.self.get() ? 0 : f.self->frame;
  return f.self->frame;
}

// Do the types of a declaration say all about a call of it? Not if a parameter has none, or if a
// lambda is handed in, which is checked by inlining.
static bool resultSuffices(const Decl &d, const Type *result, const std::vector<ArgVal> &args) {
  if (!result || result->kind != Type::Tensor || result->optional)
    return false;
  for (auto &p : d.params)
    if (!p.type)
      return false;
  for (auto &a : args)
    if (a.value.is(Value::Fn))
      return false;
  return true;
}

/// extend(data, quality = …): see gathersNamed.
static void gatherNamed(const Decl &d, std::vector<ArgVal> &args) {
  const std::string_view into = gathersNamed(d);
  if (into.empty())
    return;
  ArgVal all;
  Fields fields;
  bool failed = false;
  std::erase_if(args, [&](ArgVal &a) {
    bool own = a.name.empty() || std::any_of(d.params.begin(), d.params.end(),
                                             [&](const Parameter &p) { return p.name == a.name; });
    if (own)
      return false;
    if (fields.empty())
      all.span = all.nameSpan = a.nameSpan;
    failed |= a.value.isError();
    fields.emplace_back(std::string(a.name), a.value);
    return true;
  });
  if (fields.empty())
    return;
  for (const Parameter &p : d.params)
    if (p.name == into)
      all.name = p.name;
  all.value = failed ? Value() : Value::record(std::move(fields));
  args.push_back(std::move(all));
}

/// Options of a stage are records and functions that calls give: they are told by those.
static Value withMaker(Evaluator &ev, Value v, const Decl &d, Scope &sc) {
  auto *record = v.is(Value::Record) ? &v.as<RecordObj>() : nullptr;
  auto *fn = v.is(Value::Fn) && v.as<FnObj>().lambda ? &v.as<FnObj>() : nullptr;
  if (!(record && record->made.empty()) && !(fn && fn->made.empty()))
    return v;
  std::string made = std::string(d.name) + "(";
  for (auto &p : d.params)
    if (const Value *x = sc.find(p.name))
      made += (made.back() == '(' ? "" : ", ") + std::string(p.name) + " = " + shownText(ev, *x);
  made += ")";
  auto named = [&](auto o) {
    o->made = std::move(made);
    v.o = std::move(o);
    return v;
  };
  return record ? named(std::make_shared<RecordObj>(*record)) : named(std::make_shared<FnObj>(*fn));
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
  if (!d.value)
    gatherNamed(d, args);
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
      return fail("E0299", span,
                  "`" + name +
                      "` is not supported yet: the language has it, this version does not run it");
    bc.scope = sc;
    return b->run(*this, bc);
  }
  TypeP rt = d.type ? type(*d.type, sc, false) : nullptr;
  if (d.type && !rt)
    return {};
  Value r;
  if (symbolic && resultSuffices(d, rt.get(), args)) {
    // The body is checked as a definition of its own; here its type says all.
    std::vector<Dim> dims = expand(rt->dims);
    Value v = loopDepth && dims.empty()
                  ? scalar(g->constant(rt->elem, 0, span), rt->elem)
                  : tensor(g->node(Node::Input, g->type(rt->elem, dims), span), rt->elem, dims);
    return leaveFrames(v, sc->frame, modelFrameLeft(f));
  }
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
  Value left = leaveFrames(r, sc->frame, modelFrameLeft(f));
  if (stages && !g && !symbolic)
    return withMaker(*this, std::move(left), d, *sc);
  return left;
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
      missing(f.name, nullptr, p, span);
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
                "`" + f.name + "` takes " + std::to_string(t.args.size()) +
                    " arguments and is given " + std::to_string(args.size()));
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

Value Evaluator::applyBuiltin(const Builtin &b, std::vector<ArgVal> &args, Span span,
                              const Type *expect) {
  const std::vector<BuiltinParam> &ps = paramsOf(b);
  auto signature = [&] {
    std::string r = std::string(b.name) + "(";
    for (size_t i = 0; i < ps.size(); ++i)
      r += (i ? ", " : "") + std::string(ps[i].name) + (ps[i].named ? " =" : "") +
           (ps[i].optional ? "?" : "");
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
        err("E0203", a.span, "`" + std::string(b.name) + "` is given more arguments than it takes")
            .note(signature());
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
      auto &d =
          err("E0201", a.nameSpan, "`" + std::string(b.name) + "` has no argument `" + wrote + "`");
      if (auto near = nearest(wrote, have); !near.empty())
        d.label("did you mean `" + near + "`?").help("`" + near + "`", a.nameSpan, near);
      d.note(signature());
      return {};
    }
    if (bc.given[i]) {
      err("E0204", a.nameSpan,
          "`" + std::string(b.name) + "` is given `" + std::string(a.name) + "` twice");
      return {};
    }
    bc.args[i] = a;
    bc.given[i] = true;
  }
  for (size_t i = 0; i < ps.size(); ++i)
    if (!bc.given[i] && !ps[i].optional && !ps[i].many) {
      err("E0202", span,
          "`" + std::string(b.name) + "` needs `" + std::string(ps[i].name) +
              "`, which is not given")
          .note(signature());
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
    if (!fn.decl->value && !args.empty() &&
        (args[0].value.is(Value::List) || args[0].value.is(Value::Range)))
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
    return f.as<UnknownObj>().type->kind == Type::Any ||
                   f.as<UnknownObj>().type->kind == Type::Model
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

} // namespace r1
