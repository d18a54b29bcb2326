// `x[i, j]`: reads of elements, and the proofs that they stay in range.
#include "compiler/eval/Evaluator.h"

namespace r1 {

// ── proofs ──────────────────────────────────────────────────────────────────

// p >= 0 for all values of its indices: each index stands at the end that makes p least.
static bool leastIsNonNegative(Dim p) {
  for (int round = 0; round < 16; ++round) {
    const DimSym *index = nullptr;
    p.anySym([&](const DimSym *s) {
      if (s->kind == DimSym::Index && !index)
        index = s;
      return false;
    });
    if (!index)
      return provablyNonNegative(p);
    bool plus = false, minus = false, linear = true;
    for (auto &t : p.terms())
      for (auto &f : t.mono)
        if (f.sym == index) {
          (t.num > 0 ? plus : minus) = true;
          linear &= f.exp == 1;
        }
    if (!linear || (plus && minus) || !index->ranged)
      return false;
    Dim end = plus ? Dim() : index->bound - Dim(1);
    p = p.substitute([&](const DimSym *s) -> std::optional<Dim> {
      if (s == index)
        return end;
      return std::nullopt;
    });
  }
  return false;
}

bool Evaluator::provable(const Dim &p) { return leastIsNonNegative(p); }

bool Evaluator::provable(const Dim &p, const std::vector<Dim> &facts) {
  if (leastIsNonNegative(p))
    return true;
  for (size_t i = 0; i < facts.size(); ++i) {
    Dim q = p - facts[i];
    if (leastIsNonNegative(q))
      return true;
    for (size_t k = i + 1; k < facts.size() && k < i + 4; ++k)
      if (leastIsNonNegative(q - facts[k]))
        return true;
  }
  return false;
}

// What a condition over indices says, as polynomials that are >= 0.
void Evaluator::addFacts(const Expr &cond, const ScopeP &sc, bool holds) {
  const Expr *e = &cond;
  while (e->kind == Expr::Paren)
    e = e->kids[0];
  if (e->kind == Expr::Not)
    return addFacts(*e->kids[0], sc, !holds);
  if (e->kind != Expr::Binary)
    return;
  if ((e->op == BinOp::And && holds) || (e->op == BinOp::Or && !holds)) {
    addFacts(*e->kids[0], sc, holds);
    addFacts(*e->kids[1], sc, holds);
    return;
  }
  if (e->op < BinOp::Eq || e->op > BinOp::Ge)
    return;
  // Only indices, dims and numbers; evaluating them makes no nodes that matter.
  std::function<bool(const Expr &, Dim &)> affine = [&](const Expr &x, Dim &out) {
    int64_t n;
    switch (x.kind) {
    case Expr::Paren:
      return affine(*x.kids[0], out);
    case Expr::Int:
      out = Dim(x.integer);
      return x.unit.empty();
    case Expr::Name:
    case Expr::Member: {
      Value v = pureValue(x, sc);
      if (v.is(Value::Scalar) && v.as<ScalarObj>().affine && !v.maybe)
        out = v.as<ScalarObj>().value;
      else if (v.is(Value::DimV))
        out = v.dims();
      else if (v.asInt(n))
        out = Dim(n);
      else
        return false;
      return true;
    }
    case Expr::Index: {
      Value v = loopDepth ? eval(x, sc) : Value();
      if (!v.is(Value::Scalar) || !v.as<ScalarObj>().affine || v.maybe)
        return false;
      out = v.as<ScalarObj>().value;
      return true;
    }
    case Expr::Neg: {
      Dim d;
      if (!affine(*x.kids[0], d))
        return false;
      out = d.scaled(-1, 1);
      return true;
    }
    case Expr::Binary: {
      Dim a, b;
      if ((x.op != BinOp::Add && x.op != BinOp::Sub && x.op != BinOp::Mul) ||
          !affine(*x.kids[0], a) || !affine(*x.kids[1], b))
        return false;
      out = x.op == BinOp::Add ? a + b : x.op == BinOp::Sub ? a - b : a * b;
      return true;
    }
    default:
      return false;
    }
  };
  Dim a, b;
  if (!affine(*e->kids[0], a) || !affine(*e->kids[1], b))
    return;
  BinOp op = e->op;
  if (!holds) {
    static const std::map<BinOp, BinOp> inverse = {{BinOp::Eq, BinOp::Ne}, {BinOp::Ne, BinOp::Eq},
                                                   {BinOp::Lt, BinOp::Ge}, {BinOp::Ge, BinOp::Lt},
                                                   {BinOp::Le, BinOp::Gt}, {BinOp::Gt, BinOp::Le}};
    op = inverse.at(op);
  }
  Dim one(1);
  switch (op) {
  case BinOp::Lt:
    facts.push_back(b - a - one);
    break;
  case BinOp::Le:
    facts.push_back(b - a);
    break;
  case BinOp::Gt:
    facts.push_back(a - b - one);
    break;
  case BinOp::Ge:
    facts.push_back(a - b);
    break;
  case BinOp::Eq:
    facts.push_back(a - b);
    facts.push_back(b - a);
    break;
  default:
    break;
  }
}

// ── subscripts ──────────────────────────────────────────────────────────────

static Value listElement(Evaluator &ev, const Value &base, const Value &i, Span span) {
  int64_t n;
  auto &l = base.as<ListObj>();
  if (l.anyLength)
    return l.items.empty() ? Value() : l.items[0];
  if (i.is(Value::Unknown) && !l.items.empty())
    return l.items[0];
  if (!i.asInt(n))
    return ev.fail("E0206", span, "a list is indexed by an int, this is " + kindName(i));
  int64_t len = (int64_t)l.items.size();
  if (n < 0)
    n += len;
  if (n < 0 || n >= len)
    return ev.fail("E0213", span, "index " + ev.text(i) + " of a list of " + std::to_string(len));
  return l.items[(size_t)n];
}

Value Evaluator::subscript(const Expr &e, const ScopeP &sc) {
  Value base = eval(*e.kids[0], sc);
  if (base.isError())
    return {};
  if (base.maybe)
    return present(base, e.kids[0]->span);
  if (base.is(Value::Range)) {
    auto &r = base.as<RangeObj>();
    Value i = e.subs.size() == 1 && e.subs[0].value ? eval(*e.subs[0].value, sc) : Value();
    int64_t lo, n;
    if (Value::dim(r.lo).asInt(lo) && i.asInt(n))
      return Value::integer(lo + n);
    return {};
  }
  if (base.is(Value::List)) {
    if (e.subs.size() != 1 || !e.subs[0].value)
      return fail("E0206", e.span, "a list has one index");
    Value i = eval(*e.subs[0].value, sc);
    if (i.isError())
      return {};
    return listElement(*this, base, i, e.subs[0].span);
  }
  if (base.is(Value::Unknown)) {
    auto &t = *base.as<UnknownObj>().type;
    if (t.kind == Type::List)
      return abstractOf(t.args.empty() ? nullptr : t.args[0], "element", e.span);
    if (t.kind == Type::Any)
      return Value::unknown(std::make_shared<Type>());
  }
  if (base.is(Value::Leaf) && g)
    base = leafValue(base);
  if (!base.is(Value::Tensor))
    return fail("E0206", e.span, kindName(base) + " has no elements to subscript");
  auto t = std::static_pointer_cast<const TensorObj>(base.o);
  std::vector<Value> subs;
  std::vector<Span> spans;
  for (auto &s : e.subs) {
    if (!s.value) {
      Value p = lookup(s.pack, sc, s.span);
      if (p.isError())
        return {};
      if (!p.is(Value::IndexPack))
        return fail("E0206", s.span,
                    "`..." + std::string(s.pack) + "` is a pack of indices, bound by `for ..." +
                        std::string(s.pack) + "`");
      for (auto &x : p.as<IndexPackObj>().indices) {
        subs.push_back(x);
        spans.push_back(s.span);
      }
      continue;
    }
    Value v = eval(*s.value, sc);
    if (v.isError())
      return {};
    subs.push_back(v);
    spans.push_back(s.value->span);
  }
  if (subs.size() != t->dims.size())
    return fail("E0302", e.span,
                kindName(base) + " has " + std::to_string(t->dims.size()) +
                    (t->dims.size() == 1 ? " axis" : " axes") + " and is given " +
                    std::to_string(subs.size()) +
                    (subs.size() == 1 ? " subscript" : " subscripts"));
  bool proved = true, guarded = false, inLoop = false;
  std::string key; // equal keys are equal places; empty where that cannot be told
  bool keyed = true;
  std::vector<Scalar *> ss;
  ElemType i64;
  i64.e = Elem::I64;
  for (size_t i = 0; i < subs.size(); ++i) {
    const Value &s = subs[i];
    ElemType se;
    if (!elemOf(s, se, spans[i]) || !se.isInt())
      return fail("E0303", spans[i], "a subscript is an integer, this is " + kindName(s));
    if (s.maybe)
      return present(s, spans[i]);
    inLoop |= s.is(Value::Scalar);
    Dim d;
    bool affine = false;
    int64_t n;
    if (s.is(Value::Scalar) && s.as<ScalarObj>().affine) {
      d = s.as<ScalarObj>().value;
      affine = true;
    } else if (s.is(Value::DimV)) {
      d = s.dims();
      affine = true;
    } else if (s.asInt(n)) {
      d = Dim(n);
      affine = true;
    } else if (se.bounded) {
      DimSym *x = sh.dims.make("id", DimSym::Index, 0);
      x->bound = se.bound;
      d = Dim(x);
      affine = true;
    }
    keyed &= affine;
    if (affine && t->elem.isInt())
      d.anySym([&](const DimSym *y) {
        key += std::to_string(y->id) + ",";
        return false;
      });
    if (affine && t->elem.isInt())
      key += d.str() + ";";
    if (affine) {
      // Most reads are by an index that runs over the axis itself: nothing to prove.
      const DimSym *index = d.symbol();
      bool whole =
          index && index->kind == DimSym::Index && index->ranged && index->bound == t->dims[i];
      Dim room = whole ? Dim() : t->dims[i] - Dim(1) - d;
      if (!whole && (!provable(d) || !provable(room))) {
        guarded = true;
        if (!provable(d, facts) || !provable(room, facts))
          proved = false;
      }
    } else {
      proved = false;
    }
    Scalar *x = s.is(Value::Scalar) ? s.as<ScalarObj>().s : toScalar(s, i64, spans[i]);
    if (!x)
      return {};
    ss.push_back(x);
  }
  if (!keyed)
    key.clear();
  ElemType elem = t->elem;
  // A read that only a guard keeps in range may still be executed by a select: it needs a value.
  Scalar *otherwise = proved && guarded ? g->constant(elem, 0, e.span) : nullptr;
  Scalar *r = g->read(t->node, std::move(ss), g->elem(elem), e.span, otherwise);
  if (!inLoop && !loopDepth) {
    if (!proved) {
      err("E0307", e.span, "this read may be out of range");
      return {};
    }
    return tensor(g->comprehension({}, r, g->type(elem, {}), e.span), elem, {});
  }
  Value v;
  if (elem.isInt()) {
    DimSym *&x = readSyms[{r->tensor, key}];
    if (!x || key.empty()) {
      x = sh.dims.make("value", DimSym::Index, 0);
      x->ranged = elem.bounded;
      if (elem.bounded)
        x->bound = elem.bound;
    }
    v = affineScalar(r, elem, Dim(x));
  } else {
    v = scalar(r, elem);
  }
  v.maybe = !proved;
  return v;
}

} // namespace r1
