// Type expressions, and values that stand for any of a type.
#include "compiler/eval/Evaluator.h"
#include <cmath>

namespace r1 {

// ── type expressions ────────────────────────────────────────────────────────

std::optional<Dim> Evaluator::dimValue(const Value &v, Span span, const What &what) {
  int64_t n;
  if (v.asInt(n) && n < 1) {
    err("E0213", span, what.str() + " is " + std::to_string(n) + "; every dim is at least 1");
    return {};
  }
  if (v.is(Value::DimV))
    return v.dims();
  if (v.asInt(n))
    return Dim(n);
  if (v.is(Value::Unknown)) // an int parameter used as a size
    return Dim(sh.dims.make("?", DimSym::Rigid, 0, span));
  if (!v.isError())
    err("E0206", span, what.str() + " is a dim, this is " + kindName(v));
  return {};
}

// Names of a size expression that are not in scope become flexible symbols, if binders may.
static void bindNames(Evaluator &ev, const Expr &e, const ScopeP &sc) {
  if (e.kind == Expr::Name) {
    if (ev.lookup(e.name, sc, e.span, false).isError())
      sc->set(e.name, Value::dim(Dim(ev.sh.dims.make(std::string(e.name), DimSym::Flexible,
                                                     sc->frame, e.span))));
    return;
  }
  if (e.kind == Expr::Binary || e.kind == Expr::Paren || e.kind == Expr::Neg)
    for (auto *k : e.kids)
      bindNames(ev, *k, sc);
}

TypeP Evaluator::type(const TypeExpr &t, const ScopeP &sc, bool binders) {
  auto r = std::make_shared<Type>();
  r->optional = t.optional;
  r->span = t.span;
  auto sub = [&](const TypeExpr &x) {
    TypeP p = type(x, sc, binders);
    return p ? p : std::make_shared<const Type>();
  };
  switch (t.kind) {
  case TypeExpr::Record:
    r->kind = Type::Record;
    for (auto &f : t.fields)
      r->fields.emplace_back(std::string(f.name), sub(*f.type));
    return r;
  case TypeExpr::List:
    r->kind = Type::List;
    r->args.push_back(sub(*t.args[0]));
    return r;
  case TypeExpr::Fn: {
    r->kind = Type::Fn;
    // The dims of a function type are its own.
    auto inner = std::make_shared<Scope>();
    inner->parent = sc;
    inner->frame = sc->frame;
    for (auto *a : t.args)
      r->args.push_back(type(*a, inner, true));
    r->result = type(*t.result, inner, true);
    return r;
  }
  case TypeExpr::Named:
    break;
  }
  std::string_view name = t.path.back();
  const Decl *alias = nullptr;
  ScopeP aliasScope;
  auto dim = [&](const DimExpr &d) {
    if (binders)
      bindNames(*this, *d.size, sc);
    return dimValue(eval(*d.size, sc), d.span, "a size");
  };
  if (t.path.size() == 1 || (t.path.size() == 2 && t.path[0] == "prelude")) {
    // Element types.
    static const std::unordered_map<std::string_view, int> elems = [] {
      std::unordered_map<std::string_view, int> m = {{"real", -1}};
      for (int e = 0; e < 9; ++e)
        m[elemName((Elem)e)] = e;
      return m;
    }();
    auto known = elems.find(name);
    int elem = known == elems.end() ? -2 : known->second;
    bool hostBool = elem == (int)Elem::Bool && !t.bracketed;
    if (elem >= -1 && !hostBool) {
      r->kind = Type::Tensor;
      r->elem.real = elem == -1;
      r->elem.e = elem == -1 ? (g ? g->compute : Elem::F32) : (Elem)elem;
      if (t.bound) {
        if (!r->elem.isInt()) {
          err("E0206", t.bound->span,
              "only integers have a bound, " + std::string(name) + " does not");
        } else {
          if (binders)
            bindNames(*this, *t.bound, sc);
          r->elem.bounded = true;
          auto bound = dimValue(eval(*t.bound, sc), t.bound->span, "a bound");
          if (!bound)
            return nullptr;
          r->elem.bound = *bound;
        }
      }
      for (size_t i = 0; i < t.dims.size(); ++i) {
        auto &d = t.dims[i];
        if (d.row) {
          err("E0206", d.span, "the dims of a tensor are sizes, this is a row type");
        } else if (!d.pack.empty()) {
          if (i) {
            err("E0302", d.span, "a pack stands first: [..." + std::string(d.pack) + ", ...]");
            continue;
          }
          Value v = lookup(d.pack, sc, d.span, false);
          if (v.is(Value::DimPack)) {
            for (auto &x : v.as<DimPackObj>().dims)
              r->dims.push_back(x);
          } else if (v.isError() && binders) {
            DimSym *s = sh.dims.make(std::string(d.pack), DimSym::Flexible, sc->frame, d.span);
            s->pack = true;
            auto o = std::make_shared<DimPackObj>();
            o->dims = {Dim(s)};
            sc->set(d.pack, Value::of(Value::DimPack, o));
            r->dims.push_back(Dim(s));
          } else {
            err("E0200", d.span, "no pack is called `..." + std::string(d.pack) + "` here");
          }
        } else if (auto size = dim(d)) {
          r->dims.push_back(*size);
        } else {
          return nullptr;
        }
      }
      return r;
    }
    static const std::unordered_map<std::string_view, Type::Kind> simple = {
        {"int", Type::Int},
        {"float", Type::Float},
        {"bool", Type::Bool},
        {"str", Type::Str},
        {"regex", Type::Regex},
        {"bytes", Type::Bytes},
        {"duration", Type::Duration},
        {"budget", Type::Budget},
        {"dtype", Type::DType},
        {"dim", Type::DimT},
        {"device", Type::Device},
        {"Corpus", Type::Corpus},
        {"Tokenizer", Type::Tokenizer},
        {"Metrics", Type::Metrics},
        {"Model", Type::Model},
        {"Optimizer", Type::Optimizer}};
    const Decl *shadow = nullptr;
    for (Scope *s = sc.get(); s; s = s->parent.get())
      if (s->module)
        shadow = s->module->find(name);
    if (!shadow || (shadow->kind != Decl::TypeAlias && shadow->kind != Decl::Model)) {
      if (auto it = simple.find(name); it != simple.end()) {
        r->kind = it->second;
        return r;
      }
    }
  }
  // Aliases and models, here, imported or of the library.
  const Module *m = nullptr;
  for (Scope *s = sc.get(); s; s = s->parent.get())
    if (s->module)
      m = s->module;
  if (m && t.path.size() == 2) {
    if (t.path[0] == "prelude")
      m = sh.program.prelude.get();
    else if (auto it = m->imports.find(t.path[0]); it != m->imports.end() && !it->second.decl)
      m = it->second.module;
  }
  const Module *home = nullptr;
  for (const Module *x : {m, (const Module *)sh.program.prelude.get()}) {
    if (!x || alias)
      continue;
    if (auto *d = x->find(name)) {
      alias = d;
      home = x;
    } else if (auto it = x->imports.find(name); it != x->imports.end() && it->second.decl) {
      alias = it->second.decl;
      home = it->second.module;
    }
  }
  if (!alias || (alias->kind != Decl::TypeAlias && alias->kind != Decl::Model)) {
    err("E0200", t.span, "no type is called `" + std::string(name) + "`");
    return nullptr;
  }
  global(home, alias->name, t.span); // makes the scope of the file
  ScopeP &hs = sh.moduleScopes[home];
  if (!hs) {
    hs = std::make_shared<Scope>();
    hs->module = home;
  }
  if (alias->kind == Decl::Model) {
    r->kind = Type::Model;
    r->model = alias;
    return r;
  }
  auto inner = std::make_shared<Scope>();
  inner->parent = hs;
  inner->frame = sc->frame;
  if (t.dims.size() != alias->dimNames.size()) {
    err("E0302", t.span,
        "`" + std::string(name) + "` takes " + std::to_string(alias->dimNames.size()) +
            " dims and is given " + std::to_string(t.dims.size()))
        .also(alias->nameSpan, "declared here");
    return nullptr;
  }
  for (size_t i = 0; i < t.dims.size(); ++i) {
    if (!t.dims[i].size) {
      err("E0302", t.dims[i].span, "`" + std::string(name) + "` takes sizes");
      return nullptr;
    }
    auto size = dim(t.dims[i]);
    if (!size)
      return nullptr;
    inner->set(alias->dimNames[i], Value::dim(*size));
  }
  TypeP p = type(*alias->type, inner, false);
  if (p && t.optional && !p->optional) {
    auto q = std::make_shared<Type>(*p);
    q->optional = true;
    p = q;
  }
  return p;
}

// ── values that stand for any of a type, while a definition is checked ──────

Value Evaluator::abstractOf(const TypeP &t, std::string_view name, Span span) {
  if (!t)
    return Value::unknown(std::make_shared<Type>());
  Value v;
  switch (t->kind) {
  case Type::DimT:
    v = Value::dim(Dim(sh.dims.make(std::string(name), DimSym::Rigid, 0, span)));
    break;
  case Type::Tensor: {
    if (!g) // a function of rows on one of which nothing is known
      return Value::unknown(t);
    // Every name it binds stands for any size.
    auto rigid = [&](const Dim &d) {
      d.anySym([&](const DimSym *s) {
        auto *m = const_cast<DimSym *>(s);
        if (s->kind == DimSym::Flexible) {
          m->kind = s->pack ? DimSym::Pack : DimSym::Rigid;
        }
        return false;
      });
    };
    for (auto &d : t->dims)
      rigid(d);
    if (t->elem.bounded)
      rigid(t->elem.bound);
    Node *n = g->input(std::string(name), g->type(t->elem, t->dims), span);
    v = tensor(n, t->elem, t->dims);
    break;
  }
  case Type::Record: {
    Fields f;
    for (auto &[k, x] : t->fields)
      f.emplace_back(k, abstractOf(x, k, span));
    v = Value::record(std::move(f));
    break;
  }
  case Type::Fn: {
    auto f = std::make_shared<FnObj>();
    f->abstract = t;
    f->name = std::string(name);
    v = Value::of(Value::Fn, std::move(f));
    break;
  }
  case Type::Optimizer: {
    Fields f;
    for (auto *k : {"init", "step"}) {
      auto fn = std::make_shared<FnObj>();
      auto ft = std::make_shared<Type>();
      ft->kind = Type::Fn;
      ft->result = std::make_shared<Type>();
      fn->abstract = ft;
      fn->name = k;
      f.emplace_back(k, Value::of(Value::Fn, fn));
    }
    v = Value::record(std::move(f));
    break;
  }
  case Type::Model:
    if (t->model) {
      ModelDefObj def;
      def.decl = t->model;
      for (auto &[m, s] : sh.moduleScopes)
        if (s && m->find(t->model->name) == t->model)
          def.scope = s;
      v = abstractModel(def, span);
      break;
    }
    [[fallthrough]];
  default:
    v = Value::unknown(t);
  }
  v.maybe = t->optional && !v.is(Value::Unknown);
  return v;
}

} // namespace r1
