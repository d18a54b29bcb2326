// Dims: what a tensor's axes are called and how long they are.
//
// A dim is a sum of monomials over symbols. Exponents may be negative, so that `D / H` is the
// monomial D·H⁻¹ and `H * (D / H)` is D without a rewrite system; that the quotient is exact
// is an obligation checked where it is written (E0312) as soon as the numbers are known.
//
// The invariant a reader would guess wrong: a symbol is an *axis name of one scope*. The T of
// a callee is another symbol than the T of its caller, bound to it: two symbols may be equal
// as numbers and still be different axes (T and S of `attention`).
#pragma once
#include "compiler/diag/Diag.h"
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace r1 {

struct DimSym;

class Dim {
public:
  struct Factor {
    const DimSym *sym;
    int exp; // never 0
    bool operator==(const Factor &) const = default;
  };
  struct Term {
    std::vector<Factor> mono; // sorted by symbol id
    int64_t num = 1, den = 1; // coefficient in lowest terms; den > 0
    bool operator==(const Term &) const = default;
  };

  Dim(int64_t n = 0);
  Dim(const DimSym *s);

  using Terms = std::vector<Term>;
  const Terms &terms() const;
  bool isConst() const { return !p || p->empty() || (p->size() == 1 && (*p)[0].mono.empty()); }
  /// The symbol if the dim is exactly one, else null.
  const DimSym *symbol() const;
  /// The number of elements, or -1 while a symbol has no number or a quotient is not exact.
  int64_t size() const;
  /// True when every symbol has a number but the value is not a whole number.
  bool inexact() const;
  bool mentions(const DimSym *s) const;
  /// Does `f` hold for some symbol of the dim?
  template <class F> bool anySym(F f) const {
    for (auto &t : terms())
      for (auto &x : t.mono)
        if (f(x.sym))
          return true;
    return false;
  }
  /// Replaces symbols: f(sym) gives the replacement or nothing to keep it.
  template <class F> Dim substitute(F f) const {
    if (const DimSym *s = symbol()) {
      std::optional<Dim> with = f(s);
      return with ? *with : *this;
    }
    Dim r;
    for (auto &t : terms()) {
      Dim product(1);
      for (auto &x : t.mono) {
        std::optional<Dim> with = f(x.sym);
        product = product.times((with ? *with : Dim(x.sym)).power(x.exp));
      }
      r = r + product.scaled(t.num, t.den);
    }
    return r;
  }

  Dim operator+(const Dim &o) const;
  Dim operator-(const Dim &o) const;
  Dim operator*(const Dim &o) const { return times(o); }
  /// The quotient; `o` must be one monomial (`divisible` says so).
  Dim operator/(const Dim &o) const { return times(o.power(-1)); }
  bool divisible(const Dim &by) const { return by.terms().size() == 1; }
  bool operator==(const Dim &o) const { return p == o.p || terms() == o.terms(); }

  Dim times(const Dim &o) const;
  Dim power(int e) const; // e < 0 only for one monomial
  Dim scaled(int64_t num, int64_t den) const;
  /// As a program would write it: "4 * D", "P + T", "D / H".
  std::string str() const;

private:
  explicit Dim(Terms ts) : p(std::make_shared<const Terms>(std::move(ts))) {}
  std::shared_ptr<const Terms> p; // shared: dims are copied far more often than made. Null is 0.
};

struct LoopVar;

struct DimSym {
  enum Kind : uint8_t {
    Rigid,    // stands for any size while a definition is checked
    Flexible, // not yet bound by an argument
    Bound,    // a parameter or a let annotation: another axis than what it is bound to
    Alias,    // `let K = D / H`: another name of the same axis
    Index,    // a loop index, in bounds proofs only
    Pack,     // stands for any number of axes while a definition is checked
  } kind = Rigid;
  uint32_t id = 0;
  uint32_t frame = 0; // the scope that owns the name
  std::string name;
  bool pack = false;  // Flexible: stands for several axes, `axes` once bound
  bool ranged = true; // Index: has the range 0..bound
  Dim bound;          // Bound, Alias; Index: the end of the range
  std::vector<Dim> axes;
  int64_t number = -1;
  const LoopVar *loop = nullptr;   // Index: the loop
  Span span;                       // where it was bound
  mutable std::optional<Dim> self; // the dim that is this symbol, made once
};

/// Owns symbols. One per check.
class DimTable {
public:
  DimSym *make(std::string name, DimSym::Kind kind, uint32_t frame, Span span = {});
  DimSym *bind(std::string name, Dim to, DimSym::Kind kind, uint32_t frame, Span span = {});
  uint32_t newFrame() { return ++frames; }

private:
  std::deque<DimSym> syms;
  uint32_t frames = 0;
};

/// All bindings followed: equal resolved dims are equal sizes.
Dim resolve(const Dim &d);
/// Aliases followed: equal identities are the same axis.
Dim axisOf(const Dim &d);
/// The dim with each bound symbol for which `out(symbol)` is true replaced by what it is bound to.
template <class F> Dim leaving(const Dim &d, F out);
/// The outermost symbol that `s` is bound to and whose place is known: where its number comes from.
const DimSym *origin(const DimSym *s);

enum class Same : uint8_t { Yes, No, Unknown };
/// Are the sizes equal? With numbers always Yes or No; symbolically No means "not for every
/// size". Unknown when a flexible symbol is left.
Same sameSize(const Dim &a, const Dim &b);
/// Is p >= 0 for every size >= 1 of its symbols? (Sound, not complete.)
bool provablyNonNegative(const Dim &p);
/// "D = 128" or "128" or "D": the name and, if known, the number.
std::string nameAndNumber(const Dim &d);

template <class F> Dim leaving(const Dim &d, F out) {
  return d.substitute([&](const DimSym *s) -> std::optional<Dim> {
    if ((s->kind != DimSym::Bound && s->kind != DimSym::Alias) || !out(s))
      return std::nullopt;
    return leaving(s->bound, out);
  });
}

} // namespace r1
