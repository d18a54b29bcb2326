#include "compiler/check/Dims.h"
#include <algorithm>
#include <numeric>

namespace r1 {

// ── arithmetic ──────────────────────────────────────────────────────────────

static bool monoLess(const std::vector<Dim::Factor> &a, const std::vector<Dim::Factor> &b) {
  return std::lexicographical_compare(
      a.begin(), a.end(), b.begin(), b.end(), [](const Dim::Factor &x, const Dim::Factor &y) {
        return x.sym->id != y.sym->id ? x.sym->id < y.sym->id : x.exp < y.exp;
      });
}

static void reduceFraction(int64_t &n, int64_t &d) {
  int64_t g = std::gcd(n, d);
  if (g > 1)
    n /= g, d /= g;
  if (d < 0)
    n = -n, d = -d;
}

const Dim::Terms &Dim::terms() const {
  static const Terms none;
  return p ? *p : none;
}

Dim::Dim(int64_t n) {
  if (n)
    p = std::make_shared<const Terms>(Terms{{{}, n, 1}});
}

Dim::Dim(const DimSym *s) {
  if (!s->self) {
    Dim d;
    d.p = std::make_shared<const Terms>(Terms{{{{s, 1}}, 1, 1}});
    s->self = std::move(d);
  }
  p = s->self->p;
}

const DimSym *Dim::symbol() const {
  if (!p || p->size() != 1)
    return nullptr;
  auto &t = (*p)[0];
  return t.num == 1 && t.den == 1 && t.mono.size() == 1 && t.mono[0].exp == 1 ? t.mono[0].sym
                                                                              : nullptr;
}

Dim Dim::operator+(const Dim &o) const {
  if (!o.p || o.p->empty())
    return *this;
  if (!p || p->empty())
    return o;
  Terms r = *p;
  for (auto &t : *o.p) {
    auto it = std::lower_bound(r.begin(), r.end(), t, [](const Term &a, const Term &b) {
      return monoLess(a.mono, b.mono);
    });
    if (it != r.end() && it->mono == t.mono) {
      it->num = it->num * t.den + t.num * it->den;
      it->den *= t.den;
      if (it->num == 0)
        r.erase(it);
      else
        reduceFraction(it->num, it->den);
    } else {
      r.insert(it, t);
    }
  }
  return Dim(std::move(r));
}

Dim Dim::operator-(const Dim &o) const { return *this + o.scaled(-1, 1); }

Dim Dim::scaled(int64_t num, int64_t den) const {
  if (!num)
    return Dim();
  if (num == den)
    return *this;
  Terms r = terms();
  for (auto &t : r) {
    t.num *= num;
    t.den *= den;
    reduceFraction(t.num, t.den);
  }
  return Dim(std::move(r));
}

Dim Dim::times(const Dim &o) const {
  auto isOne = [](const Dim &d) {
    return d.p && d.p->size() == 1 && (*d.p)[0].mono.empty() && (*d.p)[0].num == 1 &&
           (*d.p)[0].den == 1;
  };
  if (isOne(*this))
    return o;
  if (isOne(o))
    return *this;
  Dim r;
  for (auto &a : terms())
    for (auto &b : o.terms()) {
      Term t;
      t.num = a.num * b.num;
      t.den = a.den * b.den;
      reduceFraction(t.num, t.den);
      size_t i = 0, j = 0;
      while (i < a.mono.size() || j < b.mono.size()) {
        if (j == b.mono.size() || (i < a.mono.size() && a.mono[i].sym->id < b.mono[j].sym->id)) {
          t.mono.push_back(a.mono[i++]);
        } else if (i == a.mono.size() || b.mono[j].sym->id < a.mono[i].sym->id) {
          t.mono.push_back(b.mono[j++]);
        } else {
          if (int e = a.mono[i].exp + b.mono[j].exp)
            t.mono.push_back({a.mono[i].sym, e});
          ++i, ++j;
        }
      }
      r = r + Dim(Terms{std::move(t)});
    }
  return r;
}

Dim Dim::power(int e) const {
  if (e == 1)
    return *this;
  if (e < 0) {
    if (terms().empty())
      return Dim();
    Term t = terms()[0];
    std::swap(t.num, t.den);
    if (t.den < 0)
      t.num = -t.num, t.den = -t.den;
    for (auto &f : t.mono)
      f.exp = -f.exp;
    return Dim(Terms{std::move(t)}).power(-e);
  }
  Dim r(1);
  for (int i = 0; i < e; ++i)
    r = r.times(*this);
  return r;
}

bool Dim::mentions(const DimSym *s) const {
  return anySym([&](const DimSym *x) { return x == s; });
}

// The value as a fraction; false while a symbol has no number.
static bool evaluate(const Dim &d, __int128 &num, __int128 &den) {
  num = 0, den = 1;
  auto gcd = [](__int128 a, __int128 b) {
    a = a < 0 ? -a : a, b = b < 0 ? -b : b;
    while (b)
      std::swap(a %= b, b);
    return a ? a : (__int128)1;
  };
  for (auto &t : d.terms()) {
    __int128 n = t.num, m = t.den;
    for (auto &f : t.mono) {
      int64_t v = f.sym->number;
      if (v < 0 && (f.sym->kind == DimSym::Bound || f.sym->kind == DimSym::Alias))
        v = f.sym->bound.size();
      if (v < 0 || (v == 0 && f.exp < 0))
        return false;
      for (int i = 0; i < std::abs(f.exp); ++i)
        (f.exp > 0 ? n : m) *= v;
      __int128 g = gcd(n, m);
      n /= g, m /= g;
    }
    num = num * m + n * den;
    den *= m;
    __int128 g = gcd(num, den);
    num /= g, den /= g;
  }
  return true;
}

int64_t Dim::size() const {
  if (terms().empty())
    return 0;
  if (const DimSym *s = symbol(); s && s->number >= 0)
    return s->number;
  __int128 n, d;
  if (!evaluate(*this, n, d) || d != 1 || n < 0 || n > INT64_MAX)
    return -1;
  return (int64_t)n;
}

bool Dim::inexact() const {
  __int128 n, d;
  return evaluate(*this, n, d) && d != 1;
}

// ── text ────────────────────────────────────────────────────────────────────

static std::string termText(const Dim::Term &t, bool &negative) {
  std::string over, under;
  int64_t n = t.num;
  negative = n < 0;
  n = n < 0 ? -n : n;
  auto add = [](std::string &s, const std::string &x) { s += (s.empty() ? "" : " * ") + x; };
  if (n != 1)
    add(over, std::to_string(n));
  int unders = 0;
  for (auto &f : t.mono)
    for (int i = 0; i < std::abs(f.exp); ++i) {
      add(f.exp > 0 ? over : under, f.sym->name);
      unders += f.exp < 0;
    }
  if (t.den != 1) {
    add(under, std::to_string(t.den));
    ++unders;
  }
  if (over.empty())
    over = "1";
  if (under.empty())
    return over;
  return over + " / " + (unders > 1 ? "(" + under + ")" : under);
}

std::string Dim::str() const {
  if (const DimSym *s = symbol())
    return s->name;
  auto &ts = terms();
  if (ts.empty())
    return "0";
  std::string s, constant;
  for (auto &t : ts) {
    bool neg;
    std::string x = termText(t, neg);
    std::string &to = t.mono.empty() ? constant : s;
    if (to.empty() && !(t.mono.empty()))
      to = neg ? "-" + x : x;
    else
      to += (neg ? " - " : " + ") + x;
  }
  if (constant.empty())
    return s;
  if (s.empty()) // " + 3" or " - 3"
    return constant[1] == '-' ? "-" + constant.substr(3) : constant.substr(3);
  return s + constant;
}

std::string nameAndNumber(const Dim &d) {
  int64_t n = d.size();
  std::string s = d.str();
  if (n < 0 || d.isConst())
    return s;
  return s + " = " + std::to_string(n);
}

// ── symbols ─────────────────────────────────────────────────────────────────

DimSym *DimTable::make(std::string name, DimSym::Kind kind, uint32_t frame, Span span) {
  syms.emplace_back();
  DimSym *s = &syms.back();
  s->kind = kind;
  s->id = (uint32_t)syms.size();
  s->frame = frame;
  s->name = std::move(name);
  s->span = span;
  return s;
}

DimSym *DimTable::bind(std::string name, Dim to, DimSym::Kind kind, uint32_t frame, Span span) {
  DimSym *s = make(std::move(name), kind, frame, span);
  s->number = to.size();
  s->bound = std::move(to);
  return s;
}

Dim resolve(const Dim &d) {
  if (!d.anySym(
          [](const DimSym *s) { return s->kind == DimSym::Bound || s->kind == DimSym::Alias; }))
    return d;
  return leaving(d, [](const DimSym *) { return true; });
}

const DimSym *origin(const DimSym *s) {
  const DimSym *best = s;
  while ((s->kind == DimSym::Bound || s->kind == DimSym::Alias) && s->bound.symbol()) {
    s = s->bound.symbol();
    if (s->span.valid())
      best = s;
  }
  return best;
}

Dim axisOf(const Dim &d) {
  if (!d.anySym([](const DimSym *s) { return s->kind == DimSym::Alias; }))
    return d;
  return d.substitute([](const DimSym *s) -> std::optional<Dim> {
    if (s->kind != DimSym::Alias)
      return std::nullopt;
    return axisOf(s->bound);
  });
}

Same sameSize(const Dim &a, const Dim &b) {
  if (a == b)
    return Same::Yes;
  int64_t x = a.size(), y = b.size();
  if (x >= 0 && y >= 0)
    return x == y ? Same::Yes : Same::No;
  Dim d = resolve(a) - resolve(b);
  if (d.terms().empty())
    return Same::Yes;
  if (d.anySym([](const DimSym *s) { return s->kind == DimSym::Flexible; }))
    return Same::Unknown;
  return Same::No;
}

bool provablyNonNegative(const Dim &p) {
  int64_t n = p.size();
  if (n >= 0)
    return true;
  __int128 num, den;
  if (evaluate(p, num, den))
    return num >= 0;
  // Every size is >= 1. Write each symbol as 1 + s with s >= 0; monomials with a quotient are
  // one unknown >= 1 each. If then no coefficient is negative, neither is the value.
  Dim r = resolve(p), q;
  static thread_local std::deque<DimSym> fresh;
  static thread_local std::vector<std::pair<std::vector<Dim::Factor>, const DimSym *>> quotients;
  fresh.clear();
  quotients.clear();
  auto atom = [&](const std::vector<Dim::Factor> &m) {
    for (auto &[k, s] : quotients)
      if (k == m)
        return s;
    fresh.emplace_back();
    fresh.back().id = UINT32_MAX - (uint32_t)fresh.size();
    quotients.push_back({m, &fresh.back()});
    return (const DimSym *)&fresh.back();
  };
  for (auto &t : r.terms()) {
    Dim x(1);
    std::vector<Dim::Factor> quotient;
    bool under = false;
    for (auto &f : t.mono)
      under |= f.exp < 0;
    if (under) {
      x = Dim(atom(t.mono)) + Dim(1);
    } else {
      for (auto &f : t.mono) {
        bool known = f.sym->number >= 0;
        x = x.times((known ? Dim(f.sym->number) : Dim(f.sym) + Dim(1)).power(f.exp));
      }
    }
    q = q + x.scaled(t.num, t.den);
  }
  for (auto &t : q.terms())
    if (t.num < 0)
      return false;
  return true;
}

} // namespace r1
