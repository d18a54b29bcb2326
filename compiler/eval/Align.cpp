// Which axes of operands belong together, and element-wise operations over them.
#include "compiler/eval/Align.h"
#include <algorithm>
#include <cmath>

namespace r1 {

// What the dim is, scope by scope outwards, until no name is left to follow.
static std::vector<Dim> chain(const Dim &d) {
  std::vector<Dim> r = {axisOf(d)};
  while (r.back().anySym([](const DimSym *s) { return s->kind == DimSym::Bound; })) {
    Dim next = axisOf(r.back().substitute([](const DimSym *s) -> std::optional<Dim> {
      if (s->kind != DimSym::Bound)
        return std::nullopt;
      return s->bound;
    }));
    r.push_back(next);
  }
  return r;
}

bool Evaluator::sameAxis(const Dim &a, const Dim &b) {
  Dim x = axisOf(a), y = axisOf(b);
  if (x == y)
    return true;
  if (x.isConst() || y.isConst())
    return sameSize(x, y) == Same::Yes;
  // Two names of one scope are two axes, even when they are equally long; names of different
  // scopes are one axis when one was bound to the other.
  const DimSym *s = x.symbol(), *t = y.symbol();
  if (s && t && s->frame == t->frame)
    return false;
  for (auto &p : chain(x))
    for (auto &q : chain(y))
      if (!p.isConst() && p == q)
        return true;
  return false;
}

bool Evaluator::mapAxes(const std::vector<Dim> &own, const std::vector<Dim> &dims,
                        std::vector<size_t> &at, bool &ambiguous) {
  at.clear();
  ambiguous = false;
  if (own.size() == dims.size()) {
    for (size_t i = 0; i < own.size(); ++i) {
      if (!sameAxis(own[i], dims[i]))
        return false;
      at.push_back(i);
    }
    return true;
  }
  // By name first; then by what the names are bound to.
  for (bool byName : {true, false}) {
    at.clear();
    bool twice = false;
    for (auto &d : own) {
      size_t from = at.empty() ? 0 : at.back() + 1, hits = 0, first = 0;
      for (size_t k = from; k < dims.size(); ++k)
        if (byName ? axisOf(d) == axisOf(dims[k]) : sameAxis(d, dims[k])) {
          if (!hits++)
            first = k;
        }
      if (!hits)
        break;
      twice |= hits > 1;
      at.push_back(first);
    }
    if (at.size() != own.size())
      continue;
    ambiguous = twice;
    return !twice;
  }
  return false;
}

bool Evaluator::align(const std::vector<const std::vector<Dim> *> &xs, std::vector<Dim> &out,
                      size_t &bad, bool &ambiguous) {
  size_t longest = 0;
  for (size_t i = 1; i < xs.size(); ++i)
    if (xs[i]->size() > xs[longest]->size())
      longest = i;
  ambiguous = false;
  if (xs.empty()) {
    out.clear();
    return true;
  }
  out = *xs[longest];
  std::vector<size_t> at;
  for (size_t i = 0; i < xs.size(); ++i)
    if (!mapAxes(*xs[i], out, at, ambiguous)) {
      bad = i;
      return false;
    }
  return true;
}

std::string loopName(const Dim &d, size_t i, std::vector<std::string> &used) {
  std::string n = "i" + std::to_string(i);
  if (const DimSym *s = d.symbol()) {
    n.clear();
    for (char c : s->name)
      n += (char)std::tolower((unsigned char)c);
  }
  for (auto &u : used)
    if (u == n)
      n += std::to_string(i);
  used.push_back(n);
  return n;
}

std::vector<Scalar *> subscripts(Evaluator &ev, const std::vector<Dim> &own,
                                 const std::vector<Dim> &dims, const std::vector<LoopVar *> &vars,
                                 Span span) {
  std::vector<Scalar *> subs;
  std::vector<size_t> at;
  bool ambiguous;
  ev.mapAxes(own, dims, at, ambiguous);
  for (size_t k : at)
    subs.push_back(ev.g->index(vars[k], span));
  return subs;
}

Value Evaluator::pointwise(const std::vector<Value> &xs, const ElemType &in, const ElemType &out,
                           Span span, const std::function<Scalar *(std::vector<Scalar *> &)> &f,
                           const char *what) {
  for (auto &x : xs) {
    if (x.isError())
      return {};
    if (x.maybe)
      return present(x, span);
  }
  if (!g)
    return fail("E0214", span,
                std::string("`") + what + "` of tensors stands only in graph functions");
  bool inLoop = false;
  std::vector<const std::vector<Dim> *> shapes;
  std::vector<size_t> which;
  for (size_t i = 0; i < xs.size(); ++i) {
    inLoop |= xs[i].is(Value::Scalar);
    if (xs[i].is(Value::Tensor)) {
      shapes.push_back(&xs[i].as<TensorObj>().dims);
      which.push_back(i);
    }
  }
  std::vector<Scalar *> ss;
  if (inLoop) {
    for (auto &x : xs) {
      ss.push_back(toScalar(x, in, span));
      if (!ss.back())
        return {};
    }
    return scalar(f(ss), out);
  }
  std::vector<Dim> dims;
  size_t bad = 0;
  bool ambiguous = false;
  if (!align(shapes, dims, bad, ambiguous)) {
    const Value &x = xs[which[bad]];
    std::string all;
    for (size_t w : which)
      all += (all.empty() ? "" : " and ") + kindName(xs[w]);
    auto &d = err(ambiguous ? "E0305" : "E0304", span,
                  std::string("`") + what + "` of " + all + ": " +
                      (ambiguous ? "two axes have the same name" : "the dims do not align"));
    (void)x;
    d.note("the dims of one side must be a subsequence, by name, of the other's");
    if (shapes.size() == 2) {
      auto names = [&](const std::vector<Dim> &v) {
        std::string s;
        for (auto &q : v) {
          std::string n;
          for (char c : q.str())
            n += (char)std::tolower((unsigned char)c);
          s += (s.empty() ? "" : ", ") + n;
        }
        return s;
      };
      if (shapes[0]->size() == 1 && shapes[1]->size() == 1)
        d.help("for an outer combination write  for " + names(*shapes[0]) + ", " +
               names(*shapes[1]) + " => x[" + names(*shapes[0]) + "] " + what + " y[" +
               names(*shapes[1]) + "]");
    }
    return {};
  }
  std::vector<LoopVar *> vars;
  std::vector<std::string> used;
  for (size_t i = 0; i < dims.size(); ++i)
    vars.push_back(g->var(loopName(dims[i], i, used), dims[i]));
  for (auto &x : xs) {
    if (x.is(Value::Tensor)) {
      auto &t = x.as<TensorObj>();
      Scalar *r =
          g->read(t.node, subscripts(*this, t.dims, dims, vars, span), g->elem(t.elem), span);
      ss.push_back(convert(r, t.elem, in, span));
    } else {
      ss.push_back(toScalar(x, in, span));
    }
    if (!ss.back())
      return {};
  }
  Scalar *body = f(ss);
  return tensor(g->comprehension(vars, body, g->type(out, dims), span), out, dims);
}

} // namespace r1
