#include "compiler/eval/ScalarValue.h"
#include <cmath>

namespace r1 {

bool isFloat(Elem e) { return e <= Elem::BF16; }

double valueAs(double x, Elem e) {
  if (e == Elem::Bool)
    return x != 0;
  return isFloat(e) ? x : std::trunc(x);
}

static double floorDiv(double a, double b) { return b == 0 ? 0 : std::floor(a / b); }

static bool isNan(const double *a) { return std::isnan(a[0]) || std::isnan(a[1]); }

static double apply(ScalarOp op, bool ints, const double *a) {
  switch (op) {
  case ScalarOp::Add:
    return a[0] + a[1];
  case ScalarOp::Sub:
    return a[0] - a[1];
  case ScalarOp::Mul:
    return a[0] * a[1];
  case ScalarOp::Div:
    return ints ? floorDiv(a[0], a[1]) : a[0] / a[1];
  case ScalarOp::Neg:
    return -a[0];
  case ScalarOp::Abs:
    return std::fabs(a[0]);
  case ScalarOp::Min:
    return isNan(a) ? a[0] + a[1] : std::fmin(a[0], a[1]);
  case ScalarOp::Max:
    return isNan(a) ? a[0] + a[1] : std::fmax(a[0], a[1]);
  case ScalarOp::Pow:
    return std::pow(a[0], a[1]);
  case ScalarOp::Mod:
    return a[0] - a[1] * floorDiv(a[0], a[1]);
  case ScalarOp::FloorDiv:
    return floorDiv(a[0], a[1]);
  case ScalarOp::Exp:
    return std::exp(a[0]);
  case ScalarOp::Log:
    return std::log(a[0]);
  case ScalarOp::Sqrt:
    return std::sqrt(a[0]);
  case ScalarOp::Rsqrt:
    return 1.0 / std::sqrt(a[0]);
  case ScalarOp::Sin:
    return std::sin(a[0]);
  case ScalarOp::Cos:
    return std::cos(a[0]);
  case ScalarOp::Tanh:
    return std::tanh(a[0]);
  case ScalarOp::Erf:
    return std::erf(a[0]);
  case ScalarOp::Sign:
    return (a[0] > 0) - (a[0] < 0);
  case ScalarOp::Lt:
    return a[0] < a[1];
  case ScalarOp::Le:
    return a[0] <= a[1];
  case ScalarOp::Gt:
    return a[0] > a[1];
  case ScalarOp::Ge:
    return a[0] >= a[1];
  case ScalarOp::Eq:
    return a[0] == a[1];
  case ScalarOp::Ne:
    return a[0] != a[1];
  case ScalarOp::And:
    return a[0] != 0 && a[1] != 0;
  case ScalarOp::Or:
    return a[0] != 0 || a[1] != 0;
  case ScalarOp::Not:
    return a[0] == 0;
  case ScalarOp::Select:
    return a[0] != 0 ? a[1] : a[2];
  case ScalarOp::Cast:
    return a[0];
  }
  return 0;
}

double scalarValue(ScalarOp op, Elem elem, Elem from, const double *a) {
  return valueAs(apply(op, !isFloat(from), a), elem);
}

} // namespace r1
