// Arithmetic, comparison and text of host values; the operators decide here between host and graph.
#include "compiler/eval/Evaluator.h"
#include <charconv>
#include <cmath>

namespace r1 {

// ── text and equality ───────────────────────────────────────────────────────

static std::string floatText(double v) {
  if (std::isnan(v))
    return "nan";
  if (std::isinf(v))
    return v < 0 ? "-inf" : "inf";
  char buf[40];
  auto r = std::to_chars(buf, buf + sizeof buf, v);
  std::string s(buf, r.ptr);
  if (s.find_first_of(".en") == std::string::npos)
    s += ".0";
  return s;
}

std::string Evaluator::text(const Value &v) {
  switch (v.kind) {
  case Value::None:
    return "none";
  case Value::Bool:
    return v.b ? "true" : "false";
  case Value::Int:
    return std::to_string(v.i);
  case Value::Float:
    return floatText(v.f);
  case Value::Str:
    return v.string();
  case Value::Regex:
    return v.as<RegexObj>().text;
  case Value::Bytes:
    return std::to_string((int64_t)v.f) + "B";
  case Value::Duration:
    return floatText(v.f) + "s";
  case Value::Budget: {
    static const char *const units[] = {"steps", "epochs", "tokens", "s"};
    auto &b = v.as<BudgetObj>();
    bool whole = b.amount == std::floor(b.amount) && b.amount < 9e15;
    return Json(whole ? Json((int64_t)b.amount) : Json(b.amount)).dump() + units[b.unit];
  }
  case Value::DType:
    return v.i < 0 ? "real" : elemName((Elem)v.i);
  case Value::DimV: {
    int64_t n;
    return v.asInt(n) ? std::to_string(n) : v.dims().str();
  }
  case Value::Range:
    return v.as<RangeObj>().lo.str() + ".." + v.as<RangeObj>().hi.str();
  // Parts that are shared make a text grow much faster than the value that it is of.
  case Value::List: {
    std::string s = "[";
    for (auto &x : v.as<ListObj>().items)
      if (s.size() <= longestText)
        s += (s.size() > 1 ? ", " : "") + text(x);
    return s + "]";
  }
  case Value::Record: {
    std::string s = "{";
    for (auto &[k, x] : v.as<RecordObj>().fields)
      if (s.size() <= longestText)
        s += (s.size() > 1 ? ", " : "") + k + " = " + text(x);
    return s + "}";
  }
  default:
    return kindName(v);
  }
}

Value Evaluator::bounded(std::string s, Span span) {
  if (s.size() > longestText && !rowMode)
    return fail("E0213", span, "a string of more than 16 MiB");
  return Value::str(std::move(s));
}

bool Evaluator::equal(const Value &a, const Value &b, Span span) {
  double x, y;
  if (a.asFloat(x) && b.asFloat(y))
    return x == y;
  if (a.kind != b.kind)
    return false;
  switch (a.kind) {
  case Value::None:
    return true;
  case Value::Bool:
    return a.b == b.b;
  case Value::Str:
    return a.string() == b.string();
  case Value::Bytes:
  case Value::Duration:
    return a.f == b.f;
  case Value::DType:
    return a.i == b.i;
  case Value::Budget:
    return a.as<BudgetObj>().amount == b.as<BudgetObj>().amount &&
           a.as<BudgetObj>().unit == b.as<BudgetObj>().unit;
  case Value::List: {
    auto &p = a.as<ListObj>().items, &q = b.as<ListObj>().items;
    if (p.size() != q.size())
      return false;
    for (size_t i = 0; i < p.size(); ++i)
      if (!equal(p[i], q[i], span))
        return false;
    return true;
  }
  case Value::Record: {
    auto &p = a.as<RecordObj>(), &q = b.as<RecordObj>();
    if (p.fields.size() != q.fields.size())
      return false;
    for (auto &[k, v] : p.fields) {
      auto *w = q.find(k);
      if (!w || !equal(v, *w, span))
        return false;
    }
    return true;
  }
  default:
    return a.o == b.o;
  }
}

// ── operators ───────────────────────────────────────────────────────────────

static TypeP simple(Type::Kind k) {
  static std::map<Type::Kind, TypeP> cache = [] {
    std::map<Type::Kind, TypeP> m;
    for (int i = Type::Any; i <= Type::DimT; ++i) {
      auto t = std::make_shared<Type>();
      t->kind = (Type::Kind)i;
      m[(Type::Kind)i] = t;
    }
    return m;
  }();
  return cache.at(k);
}

static bool unknownKind(const Value &v, Type::Kind &k) {
  switch (v.kind) {
  case Value::Unknown:
    k = v.as<UnknownObj>().type->kind;
    return true;
  case Value::Int:
    k = Type::Int;
    return true;
  case Value::DimV:
    k = Type::DimT;
    return true;
  case Value::Float:
    k = Type::Float;
    return true;
  case Value::Bool:
    k = Type::Bool;
    return true;
  case Value::Str:
    k = Type::Str;
    return true;
  default:
    return false;
  }
}

static bool compares(BinOp op) { return op >= BinOp::Eq && op <= BinOp::Ge; }

static Value unknownBinary(BinOp op, const Value &a, const Value &b) {
  if (compares(op) || op == BinOp::And || op == BinOp::Or)
    return Value::unknown(simple(Type::Bool));
  Type::Kind x, y;
  if (!unknownKind(a, x) || !unknownKind(b, y))
    return Value::unknown(simple(Type::Any));
  if (x == Type::Any || y == Type::Any)
    return Value::unknown(simple(Type::Any));
  if (x == Type::Float || y == Type::Float)
    return Value::unknown(simple(Type::Float));
  return Value::unknown(simple(x == Type::Str ? Type::Str : Type::Int));
}

static bool hasNumber(const Value &v) {
  int64_t n;
  double f;
  return v.asInt(n) || v.asFloat(f);
}

Value Evaluator::hostBinary(BinOp op, const Value &a, const Value &b, Span span, const Expr *e) {
  auto wrong = [&](const char *what) {
    return fail("E0206", span,
                std::string("`") + spelling(op) + "` " + what + " " + kindName(a) + " and " +
                    kindName(b));
  };
  if (a.is(Value::Unknown) || b.is(Value::Unknown))
    return unknownBinary(op, a, b);

  if (op == BinOp::And || op == BinOp::Or) {
    bool x, y;
    if (!truth(a, e ? e->kids[0]->span : span, x) || !truth(b, e ? e->kids[1]->span : span, y))
      return {};
    return Value::boolean(op == BinOp::And ? x && y : x || y);
  }
  if (op == BinOp::Range) {
    if (!a.is(Value::Int) && !a.is(Value::DimV))
      return wrong("needs ints, here");
    if (!b.is(Value::Int) && !b.is(Value::DimV))
      return wrong("needs ints, here");
    if (int64_t lo, hi; a.asInt(lo) && b.asInt(hi) && hi < lo)
      return fail("E0213", span,
                  "the range " + std::to_string(lo) + ".." + std::to_string(hi) +
                      " ends before it begins");
    return Value::range(a.is(Value::Int) ? Dim(a.i) : a.dims(),
                        b.is(Value::Int) ? Dim(b.i) : b.dims());
  }
  if (op == BinOp::Eq || op == BinOp::Ne) {
    if (symbolic && (a.maybe || b.maybe))
      return Value::unknown(simple(Type::Bool));
    if ((a.is(Value::DimV) || b.is(Value::DimV)) && !(hasNumber(a) && hasNumber(b)))
      return Value::unknown(simple(Type::Bool));
    bool comparable = a.kind == b.kind || (a.isNumber() && b.isNumber()) || a.is(Value::None) ||
                      b.is(Value::None);
    if (!comparable)
      return wrong("compares values of one type, not");
    return Value::boolean(equal(a, b, span) == (op == BinOp::Eq));
  }
  if (compares(op)) {
    auto order = [&](auto x, auto y) {
      return Value::boolean(op == BinOp::Lt   ? x < y
                            : op == BinOp::Le ? x <= y
                            : op == BinOp::Gt ? x > y
                                              : x >= y);
    };
    if (a.is(Value::Str) && b.is(Value::Str))
      return order(a.string(), b.string());
    if (a.kind == b.kind && (a.is(Value::Bytes) || a.is(Value::Duration)))
      return order(a.f, b.f);
    if (!a.isNumber() || !b.isNumber())
      return wrong("does not order");
    double x, y;
    if (!a.asFloat(x) || !b.asFloat(y))
      return Value::unknown(simple(Type::Bool));
    return order(x, y);
  }
  // Arithmetic.
  if (op == BinOp::MatMul)
    return wrong("is the product of tensors, not of");
  if (a.is(Value::Str) && b.is(Value::Str) && op == BinOp::Add)
    return bounded(a.string() + b.string(), span);
  if (a.is(Value::List) && b.is(Value::List) && op == BinOp::Add) {
    auto items = a.as<ListObj>().items;
    int64_t n = (int64_t)(items.size() + b.as<ListObj>().items.size());
    if (n > longestList)
      return fail("E0213", span, "a list of " + std::to_string(n) + " elements");
    for (auto &x : b.as<ListObj>().items)
      items.push_back(x);
    return Value::list(std::move(items));
  }
  bool amountA = a.is(Value::Bytes) || a.is(Value::Duration),
       amountB = b.is(Value::Bytes) || b.is(Value::Duration);
  if (amountA || amountB) {
    Value r(amountA ? a.kind : b.kind);
    double k;
    if (amountA && amountB && a.kind == b.kind) {
      if (op == BinOp::Div)
        return Value::real(a.f / b.f);
      if (op != BinOp::Add && op != BinOp::Sub)
        return wrong("is not defined for");
      r.f = op == BinOp::Add ? a.f + b.f : a.f - b.f;
      return r;
    }
    if (amountA && b.asFloat(k) && (op == BinOp::Mul || op == BinOp::Div)) {
      r.f = op == BinOp::Mul ? a.f * k : a.f / k;
      return r;
    }
    if (amountB && a.asFloat(k) && op == BinOp::Mul) {
      r.f = k * b.f;
      return r;
    }
    auto &d = err("E0210", span,
                  std::string("`") + spelling(op) + "` of " + kindName(a) + " and " + kindName(b));
    if (a.isNumber() || b.isNumber())
      d.note("an amount with a unit is added to another of the same family only");
    return {};
  }
  if (!a.isNumber() || !b.isNumber()) {
    if (a.is(Value::None) || b.is(Value::None)) {
      err("E0310", span, std::string("one side of `") + spelling(op) + "` is `none`")
          .help("give a default with ??");
      return {};
    }
    return wrong("is not defined for");
  }
  bool dims =
      (a.is(Value::DimV) || b.is(Value::DimV)) && !a.is(Value::Float) && !b.is(Value::Float);
  if (dims && !rowMode && op != BinOp::Pow) {
    Dim x = a.is(Value::DimV) ? a.dims() : Dim(a.i), y = b.is(Value::DimV) ? b.dims() : Dim(b.i);
    switch (op) {
    case BinOp::Add:
      return Value::dim(x + y);
    case BinOp::Sub:
      return Value::dim(x - y);
    case BinOp::Mul:
      return Value::dim(x * y);
    default: {
      int64_t n = x.size(), m = y.size();
      if (n >= 0 && m > 0 && n % m) {
        auto &d = err("E0312", span, nameAndNumber(x) + " is not divisible by " + nameAndNumber(y));
        for (auto *dim : {&x, &y})
          dim->anySym([&](const DimSym *s) {
            if (const DimSym *o = origin(s); o->span.valid())
              d.also(o->span, "`" + o->name + "` is " + std::to_string(s->number) + " here");
            return false;
          });
        return {};
      }
      if (m == 0)
        return fail("E0213", span, "division by zero");
      if (x.divisible(y))
        return Value::dim(x / y);
      if (n >= 0 && m > 0)
        return Value::dim(Dim(n / m));
      return fail("E0312", span, "cannot tell that " + x.str() + " is divisible by " + y.str());
    }
    }
  }
  int64_t m, n;
  if (a.asInt(m) && b.asInt(n)) {
    int64_t r;
    switch (op) {
    case BinOp::Add:
      if (__builtin_add_overflow(m, n, &r))
        return fail("E0213", span, "the sum overflows an int");
      return Value::integer(r);
    case BinOp::Sub:
      if (__builtin_sub_overflow(m, n, &r))
        return fail("E0213", span, "the difference overflows an int");
      return Value::integer(r);
    case BinOp::Mul:
      if (__builtin_mul_overflow(m, n, &r))
        return fail("E0213", span, "the product overflows an int");
      return Value::integer(r);
    case BinOp::Div:
      if (n == 0)
        return fail("E0213", span, "division by zero");
      if (m % n) {
        err("E0312", span, std::to_string(m) + " is not divisible by " + std::to_string(n))
            .help("div(a, b) divides rounding down; write a float for a fraction");
        return {};
      }
      return Value::integer(m / n);
    case BinOp::Pow: {
      if (n < 0)
        return Value::real(std::pow((double)m, (double)n));
      r = 1;
      for (int64_t i = 0; i < n; ++i)
        if (__builtin_mul_overflow(r, m, &r))
          return fail("E0213", span, "the power overflows an int");
      return Value::integer(r);
    }
    default:
      break;
    }
  }
  double x, y;
  if (!a.asFloat(x) || !b.asFloat(y)) // a dim without a number, in a definition
    return Value::unknown(simple(Type::Float));
  switch (op) {
  case BinOp::Add:
    return Value::real(x + y);
  case BinOp::Sub:
    return Value::real(x - y);
  case BinOp::Mul:
    return Value::real(x * y);
  case BinOp::Div:
    return Value::real(x / y);
  case BinOp::Pow:
    return Value::real(std::pow(x, y));
  default:
    break;
  }
  return wrong("is not defined for");
}

Value Evaluator::binary(const Expr &e, const Value &a, const Value &b) {
  if (a.isError() || b.isError())
    return {};
  if (!a.isGraph() && !b.isGraph())
    return hostBinary(e.op, a, b, e.span, &e);
  if (e.op == BinOp::MatMul)
    return matmul(a, b, e.span, e.kids[0]->span, e.kids[1]->span);
  if ((e.op == BinOp::Eq || e.op == BinOp::Ne) && (a.is(Value::None) || b.is(Value::None))) {
    const Value &v = a.is(Value::None) ? b : a;
    if (v.maybe)
      return Value::unknown(simple(Type::Bool));
    return Value::boolean(e.op == BinOp::Ne);
  }
  static const std::map<BinOp, ScalarOp> ops = {
      {BinOp::Or, ScalarOp::Or},   {BinOp::And, ScalarOp::And}, {BinOp::Eq, ScalarOp::Eq},
      {BinOp::Ne, ScalarOp::Ne},   {BinOp::Lt, ScalarOp::Lt},   {BinOp::Le, ScalarOp::Le},
      {BinOp::Gt, ScalarOp::Gt},   {BinOp::Ge, ScalarOp::Ge},   {BinOp::Add, ScalarOp::Add},
      {BinOp::Sub, ScalarOp::Sub}, {BinOp::Mul, ScalarOp::Mul}, {BinOp::Div, ScalarOp::Div},
      {BinOp::Pow, ScalarOp::Pow}};
  auto it = ops.find(e.op);
  if (it == ops.end())
    return fail("E0206", e.span,
                std::string("`") + spelling(e.op) + "` is not defined for " + kindName(a) +
                    " and " + kindName(b));
  return arith(it->second, a, b, e.span, spelling(e.op), e.kids[0]->span, e.kids[1]->span);
}

Value Evaluator::unary(const Expr &e, const Value &a) {
  if (a.isError())
    return {};
  if (a.isGraph())
    return elementwise(e.kind == Expr::Neg ? ScalarOp::Neg : ScalarOp::Not, a, e.span,
                       e.kind == Expr::Neg ? "-" : "not");
  if (a.is(Value::Unknown))
    return e.kind == Expr::Not ? Value::unknown(simple(Type::Bool)) : a;
  if (e.kind == Expr::Not) {
    bool b;
    return truth(a, e.kids[0]->span, b) ? Value::boolean(!b) : Value();
  }
  int64_t n;
  if (a.is(Value::Float))
    return Value::real(-a.f);
  if (a.is(Value::DimV) && !rowMode)
    return Value::dim(a.dims().scaled(-1, 1));
  if (a.asInt(n))
    return Value::integer(-n);
  return fail("E0206", e.span, "`-` is not defined for " + kindName(a));
}

Value Evaluator::orElse(const Value &a, const Value &b, Span span) {
  if (b.isError())
    return {};
  if (b.is(Value::None))
    return a;
  if (a.is(Value::Scalar)) {
    auto &x = a.as<ScalarObj>();
    Scalar *other = toScalar(b, x.elem, span);
    if (!other)
      return {};
    if (x.s->kind == Scalar::Read)
      x.s->otherwise = other;
    return scalar(x.s, x.elem);
  }
  Value v = a;
  v.maybe = b.maybe;
  if (a.is(Value::Unknown) && a.as<UnknownObj>().type->optional) {
    auto t = std::make_shared<Type>(*a.as<UnknownObj>().type);
    t->optional = false;
    return Value::unknown(t);
  }
  return v;
}

} // namespace r1
