// `for i, j => …` and reductions over an index lambda: ranges of indices, loops, bodies.
#include "compiler/eval/Evaluator.h"
#include <algorithm>

namespace r1 {

// ── what may be evaluated to learn a shape: names and members ───────────────

Value Evaluator::pureValue(const Expr &e, const ScopeP &sc) {
  switch (e.kind) {
  case Expr::Paren:
    return pureValue(*e.kids[0], sc);
  case Expr::Name: {
    Value v = lookup(e.name, sc, e.span, false);
    return v;
  }
  case Expr::Member: {
    Value b = pureValue(*e.kids[0], sc);
    if (b.is(Value::Record)) {
      auto *v = b.as<RecordObj>().find(e.name);
      return v ? *v : Value();
    }
    if (b.is(Value::Model)) {
      Value *v = b.as<ModelObj>().scope->find(e.name);
      return v ? *v : Value();
    }
    return {};
  }
  case Expr::Binary:
    if (e.op == BinOp::Coalesce) {
      Value v = pureValue(*e.kids[0], sc);
      return v.is(Value::None) ? pureValue(*e.kids[1], sc) : v;
    }
    return {};
  default:
    return {};
  }
}

static bool shapeOf(Evaluator &ev, const Value &v, std::vector<Dim> &dims) {
  if (v.is(Value::Tensor))
    dims = v.as<TensorObj>().dims;
  else if (v.is(Value::Leaf))
    dims = v.as<LeafObj>().dims;
  else
    return false;
  dims = ev.expand(dims);
  return true;
}

// ── ranges ──────────────────────────────────────────────────────────────────

namespace {
struct Inference {
  Evaluator &ev;
  std::vector<Evaluator::IndexVar> &vars;
  std::vector<std::string_view> hidden; // names bound inside the body
  std::vector<std::pair<std::string_view, const Expr *>> lets;

  Evaluator::IndexVar *var(std::string_view name, bool pack) {
    if (std::find(hidden.begin(), hidden.end(), name) != hidden.end())
      return nullptr;
    for (auto &v : vars)
      if (v.name == name && v.pack == pack)
        return &v;
    return nullptr;
  }

  Value base(const Expr &e, const ScopeP &sc) {
    const Expr *root = &e;
    while ((root->kind == Expr::Member || root->kind == Expr::Paren) && !root->kids.empty())
      root = root->kids[0];
    if (root->kind == Expr::Name) {
      if (var(root->name, false))
        return {};
      for (size_t i = lets.size(); i-- > 0;)
        if (lets[i].first == root->name)
          return root == &e ? base(*lets[i].second, sc) : Value();
      if (std::find(hidden.begin(), hidden.end(), root->name) != hidden.end())
        return {};
    }
    return ev.pureValue(e, sc);
  }

  void use(Evaluator::IndexVar &v, std::vector<Dim> dims, Span at) {
    if (v.range)
      return;
    if (!v.known) {
      v.known = true;
      v.found = std::move(dims);
      v.foundAt = at;
      return;
    }
    bool same = v.found.size() == dims.size();
    for (size_t i = 0; same && i < dims.size(); ++i)
      same = sameSize(v.found[i], dims[i]) != Same::No;
    if (same || v.conflict)
      return;
    v.conflict = true;
    auto text = [](const std::vector<Dim> &ds) {
      std::string s;
      for (auto &d : ds)
        s += (s.empty() ? "" : ", ") + nameAndNumber(d);
      return s;
    };
    ev.err("E0306", at,
           "`" + std::string(v.name) + "` ranges over " + text(dims) + " here and over " +
               text(v.found) + " before")
        .also(v.foundAt, "over " + text(v.found))
        .help("say which: for " + std::string(v.name) + " in … =>");
  }

  void walk(const Expr &e, const ScopeP &sc) {
    size_t h = hidden.size(), l = lets.size();
    switch (e.kind) {
    case Expr::Lambda:
      for (auto &p : e.params) {
        if (p.init)
          walk(*p.init, sc);
        hidden.push_back(p.name);
      }
      walk(*e.kids[0], sc);
      break;
    case Expr::For:
      for (auto &i : e.indices) {
        if (i.range)
          walk(*i.range, sc);
        hidden.push_back(i.name);
      }
      walk(*e.kids[0], sc);
      break;
    case Expr::Block:
      for (auto *s : e.stmts) {
        walk(*s->value, sc);
        if (s->kind == Decl::Let) {
          hidden.push_back(s->name);
          lets.emplace_back(s->name, s->value);
        }
      }
      for (auto *k : e.kids)
        walk(*k, sc);
      break;
    case Expr::Index: {
      std::vector<Dim> dims;
      if (shapeOf(ev, base(*e.kids[0], sc), dims)) {
        size_t singles = 0, packs = 0;
        for (auto &s : e.subs)
          (s.value ? singles : packs)++;
        size_t packLen = packs == 1 && dims.size() >= singles ? dims.size() - singles : 0;
        size_t at = 0;
        for (auto &s : e.subs) {
          if (!s.value) {
            if (auto *v = var(s.pack, true); v && at + packLen <= dims.size())
              use(*v, {dims.begin() + (long)at, dims.begin() + (long)(at + packLen)}, s.span);
            at += packLen;
            continue;
          }
          if (s.value->kind == Expr::Name && at < dims.size())
            if (auto *v = var(s.value->name, false))
              use(*v, {dims[at]}, s.span);
          ++at;
        }
      }
      forEachChild(e, [&](const Expr &k) { walk(k, sc); });
      break;
    }
    default:
      forEachChild(e, [&](const Expr &k) { walk(k, sc); });
    }
    hidden.resize(h);
    lets.resize(l);
  }
};
} // namespace

void Evaluator::inferRanges(const Expr &body, const ScopeP &sc, std::vector<IndexVar> &vars) {
  Inference{*this, vars, {}, {}}.walk(body, sc);
}

bool Evaluator::makeLoop(std::vector<IndexVar> &vars, const ScopeP &sc, const ScopeP &inner,
                         std::vector<LoopVar *> &loop, std::vector<Dim> &dims) {
  ElemType indexElem;
  indexElem.e = Elem::I64;
  indexElem.weak = true;
  for (auto &v : vars) {
    if (v.range) {
      Value r = eval(*v.range, sc);
      if (r.isError())
        return false;
      if (r.is(Value::Range)) {
        v.lo = r.as<RangeObj>().lo;
        v.found = {r.as<RangeObj>().hi - v.lo};
        int64_t n = v.found[0].size();
        if (v.found[0].inexact() || (n < 1 && v.found[0].isConst())) {
          err("E0306", v.range->span, "the range is empty");
          return false;
        }
      } else {
        auto d = dimValue(r, v.range->span, "a range");
        if (!d)
          return false;
        v.found = {*d};
      }
      v.known = true;
    }
    if (v.conflict)
      return false;
    if (!v.known) {
      err("E0306", v.span, "nothing says over what `" + std::string(v.name) + "` ranges")
          .note("a range comes from a bare subscript x[" + std::string(v.name) +
                "], or from the type that is expected")
          .help("say it: " + std::string(v.name) + " in N");
      return false;
    }
    std::vector<Value> pack;
    for (size_t i = 0; i < v.found.size(); ++i) {
      LoopVar *lv =
          g->var(std::string(v.name) + (v.pack && v.found.size() > 1 ? std::to_string(i) : ""),
                 v.found[i]);
      int64_t lo = 0;
      Value loV = Value::dim(v.lo);
      if (loV.asInt(lo))
        lv->lo = lo;
      loop.push_back(lv);
      dims.push_back(v.found[i]);
      DimSym *s = sh.dims.make(lv->name, DimSym::Index, 0, v.span);
      s->bound = v.found[i];
      s->loop = lv;
      Value x = affineScalar(g->index(lv, v.span), indexElem, Dim(s) + v.lo);
      if (v.pack)
        pack.push_back(x);
      else
        inner->set(v.name, x);
    }
    if (v.pack) {
      auto o = std::make_shared<IndexPackObj>();
      o->indices = std::move(pack);
      inner->set(v.name, Value::of(Value::IndexPack, std::move(o)));
    }
  }
  return true;
}

Value Evaluator::loopBody(std::vector<IndexVar> &vars, const ScopeP &sc, const Expr &e, const char *what,
                          std::vector<LoopVar *> &loop, std::vector<Dim> &dims, ElemType &elem) {
  auto inner = std::make_shared<Scope>();
  inner->parent = sc;
  inner->frame = sc->frame;
  if (!makeLoop(vars, sc, inner, loop, dims))
    return {};
  Value body;
  if (!loopDepth)
    readSyms.clear();
  {
    Saved<int> depth(loopDepth, loopDepth + 1);
    body = eval(e, inner);
  }
  if (body.isError())
    return {};
  if (body.maybe)
    return present(body, e.span);
  if (!elemOf(body, elem, e.span) || (body.is(Value::Tensor) && !body.as<TensorObj>().dims.empty()))
    return fail("E0302", e.span, what + (" is one element, this is " + kindName(body)));
  return body;
}

// ── for ─────────────────────────────────────────────────────────────────────

Value Evaluator::comprehension(const Expr &e, const ScopeP &sc, const Type *expect) {
  if (!g)
    return fail(
        "E0214", e.span,
        "`for` builds a tensor, which stands only in graph functions; lists are made with map");
  if (loopDepth)
    return fail("E0302", e.span,
                "inside `for` values are single elements: a `for` cannot stand here");
  std::vector<IndexVar> vars;
  for (auto &i : e.indices)
    vars.push_back({i.name, i.range, i.pack, i.span, {}, {}, false, false, {}});
  inferRanges(*e.kids[0], sc, vars);
  // What no subscript tells, the expected type may.
  if (expect && expect->kind == Type::Tensor) {
    std::vector<Dim> want = expand(expect->dims);
    bool settled = true;
    for (auto &d : want)
      settled &= !d.anySym([](const DimSym *s) { return s->kind == DimSym::Flexible; });
    size_t singles = 0, packs = 0;
    for (auto &v : vars)
      (v.pack ? packs : singles)++;
    if (settled && packs <= 1 && want.size() >= singles && (packs || want.size() == singles)) {
      size_t at = 0, len = want.size() - singles;
      for (auto &v : vars) {
        size_t n = v.pack ? len : 1;
        if (!v.known && !v.range) {
          v.known = true;
          v.found.assign(want.begin() + (long)at, want.begin() + (long)(at + n));
          v.foundAt = v.span;
        }
        at += n;
      }
    }
  }
  std::vector<LoopVar *> loop;
  std::vector<Dim> dims;
  ElemType elem;
  Value body = loopBody(vars, sc, *e.kids[0], "the body of `for`", loop, dims, elem);
  if (body.isError())
    return {};
  if (elem.weak) { // indices and plain numbers take the type that is expected
    elem.weak = false;
    bool fits = expect && expect->kind == Type::Tensor &&
                (elem.isInt() ? !expect->elem.isBool() : expect->elem.isFloat());
    if (fits)
      elem = expect->elem;
    else if (elem.isInt())
      elem.e = Elem::I32;
    elem.bounded = false;
  }
  Scalar *s = toScalar(body, elem, e.kids[0]->span);
  if (!s)
    return {};
  return tensor(g->comprehension(loop, s, g->type(elem, dims), e.span), elem, dims);
}

// sum(i => e), max((i, j in 3) => e)
Value Evaluator::reduceLambda(ReduceOp op, bool mean, const FnObj &f, Span span) {
  if (!g)
    return fail("E0214", span, "a sum over an index stands only in graph functions");
  const Expr &e = *f.lambda;
  std::vector<IndexVar> vars;
  for (auto &p : e.params)
    vars.push_back({p.name, p.init, false, p.nameSpan, {}, {}, false, false, {}});
  inferRanges(*e.kids[0], f.scope, vars);
  std::vector<LoopVar *> loop;
  std::vector<Dim> dims;
  ElemType elem;
  Value body = loopBody(vars, f.scope, *e.kids[0], "what is reduced", loop, dims, elem);
  if (body.isError())
    return {};
  bool logical = op == ReduceOp::Any || op == ReduceOp::All;
  if (logical != elem.isBool())
    return fail("E0303", e.kids[0]->span,
                logical ? "this reduction is over bools, not " + kindName(body)
                        : "bools are counted as sum(f32(x))");
  if (elem.weak && elem.isFloat() == false)
    elem.e = Elem::I64;
  elem.bounded = false;
  Scalar *s = toScalar(body, elem, e.kids[0]->span);
  if (!s)
    return {};
  Scalar *r = g->reduce(op, g->elem(elem), loop, s, span);
  if (mean) {
    if (!elem.isFloat())
      return fail("E0303", e.kids[0]->span, "the mean of integers: convert first, f32(x)");
    Dim n(1);
    for (auto &d : dims)
      n = n * d;
    r = g->op(ScalarOp::Mul, g->elem(elem),
              {r, g->constant(elem, 1.0 / std::max<double>(1, (double)n.size()), span)}, span);
  }
  if (loopDepth)
    return scalar(r, elem);
  elem.weak = false;
  return tensor(g->comprehension({}, r, g->type(elem, {}), span), elem, {});
}

} // namespace r1
