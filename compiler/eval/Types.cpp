// Type expressions, and what a value becomes when a type is asked of it.
#include "compiler/eval/Evaluator.h"
#include <cmath>

namespace r1 {

// ── type expressions ────────────────────────────────────────────────────────

Dim Evaluator::dimValue(const Value &v, Span span, const What &what) {
  int64_t n;
  if (v.is(Value::DimV))
    return v.dims();
  if (v.asInt(n)) {
    if (n < 1) {
      err("E0213", span, what.str() + " is " + std::to_string(n) + "; every dim is at least 1");
      return Dim(1);
    }
    return Dim(n);
  }
  if (v.is(Value::Unknown)) // an int parameter used as a size
    return Dim(sh.dims.make("?", DimSym::Rigid, 0, span));
  if (!v.isError())
    err("E0206", span, what.str() + " is a dim, this is " + kindName(v));
  return Dim(1);
}

// Names of a size expression that are not in scope become flexible symbols, if binders may.
static void bindNames(Evaluator &ev, const Expr &e, const ScopeP &sc) {
  if (e.kind == Expr::Name) {
    if (ev.lookup(e.name, sc, e.span, false).isError())
      sc->set(e.name, Value::dim(Dim(ev.sh.dims.make(std::string(e.name), DimSym::Flexible, sc->frame, e.span))));
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
          err("E0206", t.bound->span, "only integers have a bound, " + std::string(name) + " does not");
        } else {
          if (binders)
            bindNames(*this, *t.bound, sc);
          r->elem.bounded = true;
          r->elem.bound = dimValue(eval(*t.bound, sc), t.bound->span, "a bound");
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
        } else {
          r->dims.push_back(dim(d));
        }
      }
      return r;
    }
    static const std::unordered_map<std::string_view, Type::Kind> simple = {
        {"int", Type::Int}, {"float", Type::Float}, {"bool", Type::Bool}, {"str", Type::Str},
        {"regex", Type::Regex}, {"bytes", Type::Bytes}, {"duration", Type::Duration},
        {"budget", Type::Budget}, {"dtype", Type::DType}, {"dim", Type::DimT}, {"device", Type::Device},
        {"Corpus", Type::Corpus}, {"Tokenizer", Type::Tokenizer}, {"Metrics", Type::Metrics},
        {"Model", Type::Model}, {"Optimizer", Type::Optimizer}};
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
    err("E0302", t.span, "`" + std::string(name) + "` takes " + std::to_string(alias->dimNames.size()) +
                             " dims and is given " + std::to_string(t.dims.size()))
        .also(alias->nameSpan, "declared here");
    return nullptr;
  }
  for (size_t i = 0; i < t.dims.size(); ++i) {
    if (!t.dims[i].size) {
      err("E0302", t.dims[i].span, "`" + std::string(name) + "` takes sizes");
      return nullptr;
    }
    inner->set(alias->dimNames[i], Value::dim(dim(t.dims[i])));
  }
  TypeP p = type(*alias->type, inner, false);
  if (p && t.optional && !p->optional) {
    auto q = std::make_shared<Type>(*p);
    q->optional = true;
    p = q;
  }
  return p;
}

// ── coercion ────────────────────────────────────────────────────────────────

static bool isStageKind(const Value &v, const char *what) {
  return v.is(Value::Handle) && v.as<HandleObj>().type == what;
}

Value Evaluator::literal(const Value &list, const Type &t, Span span) {
  // Shape by the first element of each level; every other must agree.
  std::vector<int64_t> shape;
  for (const Value *v = &list; v->is(Value::List);) {
    auto &items = v->as<ListObj>().items;
    shape.push_back((int64_t)items.size());
    if (items.empty())
      break;
    v = &items[0];
  }
  std::vector<double> numbers;
  bool ragged = false, wrong = false, outside = false;
  std::function<void(const Value &, size_t)> walk = [&](const Value &v, size_t depth) {
    if (v.is(Value::List)) {
      auto &items = v.as<ListObj>().items;
      if (depth >= shape.size() || (int64_t)items.size() != shape[depth]) {
        ragged = true;
        return;
      }
      for (auto &x : items)
        walk(x, depth + 1);
      return;
    }
    if (depth != shape.size()) {
      ragged = true;
      return;
    }
    double d = 0;
    int64_t n;
    if (t.elem.isBool() ? !v.is(Value::Bool) : t.elem.isInt() ? !v.asInt(n) : !v.asFloat(d)) {
      wrong = true;
      return;
    }
    if (t.elem.isBool())
      d = v.b;
    else if (t.elem.isInt()) {
      d = (double)n;
      int64_t bound = t.elem.bounded ? t.elem.bound.size() : -1;
      if (bound >= 0 && (n < 0 || n >= bound)) {
        err("E0309", span, std::to_string(n) + " is not in 0.." + std::to_string(bound) + ", the bound of " + t.elem.str());
        outside = true;
      }
    }
    numbers.push_back(d);
  };
  walk(list, 0);
  if (ragged)
    return fail("E0302", span, "the list is ragged: its parts have different lengths");
  if (wrong)
    return fail("E0303", span, "the list holds other things than " + t.elem.str());
  if (outside)
    return {};
  std::vector<Dim> dims;
  for (auto n : shape)
    dims.push_back(Dim(n));
  std::string why;
  const char *code = "E0301";
  if (!unifyDims(t.dims, dims, why, code))
    return fail(code, span, "the list is " + typeText(t.elem, dims) + ", not " + typeText(t.elem, t.dims));
  if (!g)
    return fail("E0214", span, "a tensor stands only in graph functions and tests");
  dims = expand(t.dims);
  ElemType e = t.elem;
  Node *n = g->node(Node::Literal, g->type(e, dims), span);
  n->numbers = std::move(numbers);
  return tensor(n, e, dims);
}

Value Evaluator::coerce(Value v, const Type &t, Span span, const What &what) {
  if (v.isError())
    return v;
  auto wrong = [&] {
    return fail("E0206", span, what.str() + " should be " + t.str() + ", this is " + kindName(v));
  };
  if (v.is(Value::None) && t.kind != Type::Any) {
    if (t.optional)
      return v;
    err("E0310", span, what.str() + " should be " + t.str() + ", this is `none`");
    return {};
  }
  if (v.maybe && !t.optional && t.kind != Type::Any && !v.is(Value::Scalar)) {
    err("E0310", span, what.str() + " may be `none` and should be " + t.str()).help("give a default with ??");
    return {};
  }
  if (v.is(Value::Unknown)) {
    auto &u = *v.as<UnknownObj>().type;
    if (u.optional && !t.optional && t.kind != Type::Any) {
      err("E0310", span, what.str() + " may be `none` and should be " + t.str()).help("give a default with ??");
      return {};
    }
    if (t.kind == Type::DimT && (u.kind == Type::Int || u.kind == Type::Any))
      return Value::dim(dimValue(v, span, what));
    if (u.kind == Type::Any && t.kind != Type::Any)
      return abstractOf(std::make_shared<Type>(t), "", span);
    bool ok = u.kind == t.kind || t.kind == Type::Any || (t.kind == Type::Float && (u.kind == Type::Int || u.kind == Type::DimT)) ||
              (t.kind == Type::Int && u.kind == Type::DimT) || (t.kind == Type::Fn && u.kind == Type::Float) ||
              (t.kind == Type::Tensor && t.dims.empty()) || (t.kind == Type::Optimizer && u.kind == Type::Record) || u.kind == Type::Record;
    if (!ok)
      return fail("E0206", span, what.str() + " should be " + t.str() + ", this is " + u.str());
    return v;
  }
  int64_t n;
  double f;
  switch (t.kind) {
  case Type::Any:
    return v;
  case Type::Int:
    return v.is(Value::Int) || v.is(Value::DimV) || (v.is(Value::Scalar) && v.as<ScalarObj>().elem.isInt()) ? v : wrong();
  case Type::Float:
    if (v.is(Value::Float) || v.isGraph())
      return v;
    if (v.asFloat(f))
      return Value::real(f);
    if (v.is(Value::DimV))
      return Value::unknown(std::make_shared<Type>(t));
    if (v.is(Value::Bytes) || v.is(Value::Duration) || v.is(Value::Budget)) {
      err("E0210", span, what.str() + " is a plain number, this is an amount with a unit");
      return {};
    }
    return wrong();
  case Type::Bool:
    return v.is(Value::Bool) || v.isGraph() ? v : wrong();
  case Type::Str:
    return v.is(Value::Str) ? v : wrong();
  case Type::Regex:
    return v.is(Value::Regex) ? v : wrong();
  case Type::DType:
    return v.is(Value::DType) ? v : wrong();
  case Type::Bytes:
  case Type::Duration:
    if (v.kind == (t.kind == Type::Bytes ? Value::Bytes : Value::Duration))
      return v;
    if (v.isNumber() && v.asFloat(f)) {
      std::string num = text(v);
      auto &d = err("E0210", span, what.str() + (t.kind == Type::Bytes ? " is an amount of memory, and " : " is a time, and ") +
                                       num + " has no unit");
      if (t.kind == Type::Bytes)
        d.help(num + "GB", span, num + "GB");
      else
        d.help(num + "s, " + num + "min or " + num + "h");
      return {};
    }
    if (v.is(Value::Bytes) || v.is(Value::Duration) || v.is(Value::Budget)) {
      err("E0210", span, what.str() + (t.kind == Type::Bytes ? " is an amount of memory, this is a " : " is a time, this is a ") + kindName(v));
      return {};
    }
    return wrong();
  case Type::Budget:
    if (v.is(Value::Budget))
      return v;
    if (v.is(Value::Duration)) {
      auto o = std::make_shared<BudgetObj>();
      o->amount = v.f;
      o->unit = BudgetSeconds;
      return Value::of(Value::Budget, o);
    }
    if (v.isNumber() || v.is(Value::Bytes)) {
      std::string num = text(v);
      auto &d = err("E0210", span, what.str() + " is a length of training, and " + num + (v.isNumber() ? " has no unit" : " is an amount of memory"));
      if (v.isNumber())
        d.help(num + "steps  (or epochs, tokens, or a time: 8h)", span, num + "steps");
      return {};
    }
    return wrong();
  case Type::DimT:
    if (v.is(Value::DimV))
      return v;
    if (v.asInt(n))
      return Value::dim(dimValue(v, span, what));
    return wrong();
  case Type::Device:
    return isStageKind(v, "device") ? v : wrong();
  case Type::List: {
    if (!v.is(Value::List))
      return v.is(Value::Range) ? v : wrong();
    auto items = v.as<ListObj>().items;
    for (auto &x : items) {
      x = coerce(x, *t.args[0], span, "an element of the list");
      if (x.isError())
        return {};
    }
    return Value::list(std::move(items));
  }
  case Type::Record: {
    if (!v.is(Value::Record))
      return v.is(Value::Handle) ? v : wrong();
    Fields fields = v.as<RecordObj>().fields;
    for (auto &[k, ft] : t.fields) {
      bool found = false;
      for (auto &[name, x] : fields)
        if (name == k) {
          found = true;
          x = coerce(x, *ft, span, What("", k));
          if (x.isError())
            return {};
        }
      if (!found) {
        if (ft->optional) {
          fields.emplace_back(k, Value(Value::None));
          continue;
        }
        return fail("E0208", span, what.str() + " should be " + t.str() + ", but has no `" + k + "`");
      }
    }
    return Value::record(std::move(fields));
  }
  case Type::Fn:
    if (v.is(Value::Fn) || v.is(Value::Model) || v.is(Value::ModelDef))
      return v;
    // A number where a schedule is expected is the constant one: the only implicit conversion.
    if (v.asFloat(f) && t.args.size() == 1 && t.result && t.result->kind == Type::Float) {
      auto fn = std::make_shared<FnObj>();
      fn->name = text(v);
      fn->constant = std::make_shared<Value>(Value::real(f));
      return Value::of(Value::Fn, fn);
    }
    return wrong();
  case Type::Model:
    if (!v.is(Value::Model))
      return wrong();
    if (t.model && v.as<ModelObj>().decl != t.model)
      return fail("E0206", span, what.str() + " should be a model " + std::string(t.model->name) + ", this is " + kindName(v));
    return v;
  case Type::Corpus: return isStageKind(v, "corpus") ? v : wrong();
  case Type::Tokenizer: return isStageKind(v, "tokenizer") ? v : wrong();
  case Type::Metrics: return isStageKind(v, "metrics") ? v : wrong();
  case Type::Optimizer:
    if (!v.is(Value::Record) || !v.as<RecordObj>().find("init") || !v.as<RecordObj>().find("step"))
      return wrong();
    return v;
  case Type::Tensor:
    break;
  }
  // Tensors.
  if (v.is(Value::Leaf))
    v = leafValue(v);
  if (v.is(Value::List))
    return literal(v, t, span);
  ElemType have;
  if (!elemOf(v, have, span))
    return wrong();
  std::vector<Dim> dims;
  if (v.is(Value::Tensor))
    dims = v.as<TensorObj>().dims;
  if (v.is(Value::Scalar) && v.maybe)
    return present(v, span);
  // The element type.
  bool realAsF32 = testMode && have.e == Elem::F32 && t.elem.real;
  if (have.weak ? !(t.elem.isFloat() || have.isInt()) : !(sameElem(have, t.elem) || realAsF32)) {
    err("E0303", span, what.str() + " should be " + typeText(t.elem, t.dims) + ", this is " + kindName(v))
        .help((t.elem.real ? "real" : std::string(elemName(t.elem.e))) + "(" + std::string(sh.sources.text(span)) + ") converts");
    return {};
  }
  std::string why;
  const char *code = "E0301";
  if (!unifyDims(t.dims, dims, why, code)) {
    std::vector<Dim> want = t.dims;
    if (outerNames) // the caller's names for what is bound
      for (auto &x : want)
        if (const DimSym *s = x.symbol(); !s || !s->pack)
          x = leaving(x, [&](const DimSym *y) { return y->kind == DimSym::Bound && !y->bound.isConst(); });
    auto &d = err(code, span, what.str() + " should be " + typeText(t.elem, want) + ", this is " + typeText(t.elem, dims));
    if (!why.empty())
      d.note(why);
    return {};
  }
  if (t.elem.bounded) {
    bool ok = have.bounded && unifyDim(t.elem.bound, have.bound);
    if (!ok && have.bounded) {
      int64_t a = have.bound.size(), b = t.elem.bound.size();
      ok = a >= 0 && b >= 0 ? a <= b : provablyNonNegative(t.elem.bound - have.bound);
      if (!ok) {
        auto size = [](const Dim &x) {
          int64_t n = x.size();
          return n >= 0 ? std::to_string(n) : x.str();
        };
        auto &d = err("E0309", span, "the values go up to " + size(have.bound) + ", " + what.str() + " takes those below " + size(t.elem.bound));
        for (const Dim *x : {&t.elem.bound, (const Dim *)&have.bound})
          if (const DimSym *s = x->symbol(); s && origin(s)->span.valid())
            d.also(origin(s)->span, x == &have.bound ? "values of " + have.str().substr(0, 4) + size(have.bound) + ">" : "`" + origin(s)->name + "` is " + size(*x) + " here");
        d.note("larger ones would read past a table of " + size(t.elem.bound) + " rows");
        return {};
      }
    }
    if (!ok) {
      err("E0309", span, what.str() + " should be " + t.elem.str() + ", this is " + have.str() + " without a bound");
      return {};
    }
  }
  if (v.is(Value::Scalar)) {
    Scalar *s = toScalar(v, t.elem, span);
    if (!s)
      return {};
    Value r = scalar(s, t.elem);
    return r;
  }
  if (!v.is(Value::Tensor)) { // a host number for a scalar of the graph
    if (!g)
      return v;
    if (loopDepth) {
      Scalar *s = toScalar(v, t.elem, span);
      return s ? scalar(s, t.elem) : Value();
    }
    Scalar *s = toScalar(v, t.elem, span);
    if (!s)
      return {};
    return tensor(g->comprehension({}, s, g->type(t.elem, {}), span), t.elem, {});
  }
  auto o = std::make_shared<TensorObj>();
  o->node = v.as<TensorObj>().node;
  o->elem = t.elem.bounded || !have.bounded ? t.elem : have;
  o->dims = expand(t.dims);
  Value r = Value::of(Value::Tensor, std::move(o));
  r.maybe = v.maybe;
  return r;
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
