// Dims of arguments against dims of parameters.
#include "compiler/eval/Evaluator.h"

namespace r1 {

static DimSym *flexible(const Dim &d) {
  const DimSym *s = d.symbol();
  return s && s->kind == DimSym::Flexible ? const_cast<DimSym *>(s) : nullptr;
}

static void bindTo(DimSym *s, const Dim &d) {
  s->kind = DimSym::Bound;
  s->bound = d;
  s->number = d.size();
}

bool Evaluator::unifyDim(const Dim &want, const Dim &have) {
  if (DimSym *s = flexible(want); s && !s->pack) {
    bindTo(s, have);
    return true;
  }
  // One unknown, once, to the first power: solve for it.
  const DimSym *unknown = nullptr;
  bool one = true;
  for (auto &t : want.terms())
    for (auto &f : t.mono)
      if (f.sym->kind == DimSym::Flexible) {
        one &= !unknown && f.exp == 1;
        unknown = f.sym;
      }
  if (!unknown)
    return sameSize(want, have) != Same::No;
  if (!one) {
    deferred.emplace_back(want, have);
    return true;
  }
  Dim rest, factor;
  for (auto &t : want.terms()) {
    bool has = false;
    Dim x(1);
    for (auto &f : t.mono) {
      if (f.sym == unknown)
        has = true;
      else
        x = x * Dim(f.sym).power(f.exp);
    }
    x = x.scaled(t.num, t.den);
    (has ? factor : rest) = (has ? factor : rest) + x;
  }
  Dim value = (resolve(have) - resolve(rest)) / resolve(factor);
  if (value.inexact() || (value.isConst() && value.size() < 1))
    return false;
  bindTo(const_cast<DimSym *>(unknown), value);
  return true;
}

std::vector<Dim> Evaluator::expand(const std::vector<Dim> &dims) {
  std::vector<Dim> r;
  for (auto &d : dims) {
    const DimSym *s = d.symbol();
    if (s && s->pack && s->kind == DimSym::Bound)
      r.insert(r.end(), s->axes.begin(), s->axes.end());
    else
      r.push_back(d);
  }
  return r;
}

bool Evaluator::unifyDims(const std::vector<Dim> &want0, const std::vector<Dim> &have,
                          std::string &why, const char *&code) {
  std::vector<Dim> want = expand(want0);
  size_t first = 0, skip = 0;
  if (!want.empty())
    if (DimSym *s = flexible(want[0]); s && s->pack) {
      size_t rest = want.size() - 1;
      if (have.size() < rest) {
        code = "E0302";
        why = "at least " + std::to_string(rest) + " axes are needed, this has " +
              std::to_string(have.size());
        return false;
      }
      skip = have.size() - rest;
      s->axes.assign(have.begin(), have.begin() + (long)skip);
      s->kind = DimSym::Bound;
      first = 1;
    }
  if (want.size() - first != have.size() - skip) {
    code = "E0302";
    why = std::to_string(want.size() - first) +
          (want.size() - first == 1 ? " axis is" : " axes are") + " needed, this has " +
          std::to_string(have.size() - skip);
    return false;
  }
  for (size_t i = first; i < want.size(); ++i) {
    const Dim &h = have[i - first + skip];
    Dim before = want[i];
    if (!unifyDim(want[i], h)) {
      code = "E0301";
      bool several = want.size() - first > 1;
      why = several ? "axis " + std::to_string(i - first + skip + 1) + " is " + nameAndNumber(h) +
                          ", not " + nameAndNumber(outerNames ? resolve(before) : before)
                    : "";
      return false;
    }
  }
  return true;
}

} // namespace r1
