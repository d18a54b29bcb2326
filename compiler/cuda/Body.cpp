#include "compiler/cuda/Body.h"
#include "compiler/pch.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/Matchers.h"
#include <cmath>

using namespace mlir;
namespace r1::cuda {

static bool isHalf(Type t) { return t.isBF16() || t.isF16(); }

std::string typeName(Type t) {
  if (t.isF32())
    return "float";
  if (t.isF64())
    return "double";
  if (t.isBF16())
    return "r1::bf16";
  if (t.isF16())
    return "r1::f16";
  if (t.isInteger(64))
    return "long long";
  if (t.isInteger(1))
    return "bool";
  if (t.isInteger(8))
    return "signed char";
  return "int"; // i32 and index
}

std::string storedName(Type element) {
  return element.isInteger(1) ? "unsigned char" : typeName(element);
}

std::string literal(TypedAttr attr) {
  Type type = attr.getType();
  if (auto f = dyn_cast<FloatAttr>(attr)) {
    double v = f.getValueAsDouble();
    bool wide = type.isF64();
    std::string text;
    if (std::isnan(v) || std::isinf(v)) {
      text = std::isnan(v) ? "r1::nan()" : v > 0 ? "r1::inf()" : "-r1::inf()";
      if (wide)
        text = "double(" + text + ")";
    } else {
      char buffer[40];
      snprintf(buffer, sizeof buffer, wide ? "%.17g" : "%.9g", v);
      text = buffer;
      if (text.find_first_of(".en") == std::string::npos)
        text += ".0";
      if (!wide)
        text += "f";
    }
    return isHalf(type) ? "r1::cast<" + typeName(type) + ">(" + text + ")" : text;
  }
  auto i = cast<IntegerAttr>(attr);
  if (type.isInteger(1))
    return i.getValue().isZero() ? "false" : "true";
  int64_t v = i.getInt();
  if (type.isInteger(64))
    return v == INT64_MIN ? "(-9223372036854775807LL - 1)" : std::to_string(v) + "LL";
  return v == INT32_MIN ? "(-2147483647 - 1)" : std::to_string(v);
}

std::string Body::fresh(StringRef base) { return (base + Twine((*names)++)).str(); }

Term Body::get(Value v) {
  auto it = terms.find(v);
  if (it != terms.end())
    return it->second;
  assert(false && "a body uses a value that was not emitted");
  return Term::constant(0);
}

std::string Body::number(Value v) { return get(v).text; }
std::string Body::vector(Value v) { return asLanes(get(v)); }
std::string Body::operand(Value v) {
  Term t = get(v);
  return t.stride ? asLanes(t) : t.text;
}

/// A name, a number, a call, or something in brackets: needs no brackets around it.
static bool isPrimary(StringRef s) {
  size_t open = s.find('(');
  auto plain = [](char c) { return llvm::isAlnum(c) || StringRef("_.:<>").contains(c); };
  if (!llvm::all_of(s.take_front(std::min(open, s.size())), plain))
    return false;
  if (open == StringRef::npos)
    return true;
  int depth = 0;
  for (size_t i = open; i < s.size(); ++i) {
    depth += (s[i] == '(') - (s[i] == ')');
    if (depth == 0)
      return i + 1 == s.size();
  }
  return false;
}

/// A short result that one operation of the same block reads is written where it is read.
void Body::define(Operation *op, const std::string &text, bool lanes) {
  Value result = op->getResult(0);
  bool once = result.hasOneUse() && result.getUsers().begin()->getBlock() == op->getBlock();
  Term t;
  t.lanes = lanes;
  if (once && text.size() <= 32) {
    t.text = isPrimary(text) ? text : "(" + text + ")";
  } else {
    t.text = fresh("v");
    out->line(op->getLoc(), "const auto " + t.text + " = " + text + ";");
  }
  bind(result, t);
}

Term Body::address(Value memref, ValueRange indices) {
  const Arg &arg = args[memref];
  Term at = Term::constant(0);
  int64_t below = 1;
  for (unsigned i = indices.size(); i-- > 0;) {
    at = add(scale(get(indices[i]), below), at);
    below *= arg.shape[i];
  }
  return at;
}

static int64_t bytesOf(Type t) { return t.isInteger(1) ? 1 : t.getIntOrFloatBitWidth() / 8; }

LogicalResult Body::load(Operation *op) {
  auto load = cast<memref::LoadOp>(op);
  auto known = args.find(load.getMemRef());
  if (known == args.end())
    return op->emitOpError("reads a memref that is not an argument of the kernel");
  const Arg &arg = known->second;
  Term at = address(load.getMemRef(), load.getIndices());
  std::string n = std::to_string(width), text, guard = live.empty() ? "" : ", " + live;
  bool lanes = !at.uniform();
  if (!lanes) {
    text = arg.name + "[" + at.text + "]";
  } else if (at.lanes) {
    text = "r1::gather<" + n + ">(" + arg.name + ", " + at.text + guard + ")";
  } else if (at.stride == 1 && at.align % width == 0 &&
             arg.align % (width * bytesOf(arg.element)) == 0) {
    text = (live.empty() ? "r1::load<" : "r1::load_guard<") + n + ">(" + arg.name + " + " + at.text +
           guard + ")";
  } else {
    text = "r1::load_strided<" + n + ">(" + arg.name + ", " + at.text + ", " +
           std::to_string(at.stride) + guard + ")";
  }
  if (arg.element.isInteger(1))
    text = lanes ? "r1::cast<bool>(" + text + ")" : text + " != 0";
  // A load stays where it is: what it reads may be written later.
  Term t;
  t.lanes = lanes;
  t.text = fresh("v");
  out->line(op->getLoc(), "const auto " + t.text + " = " + text + ";");
  bind(load.getResult(), t);
  return success();
}

LogicalResult Body::store(Operation *op) {
  auto store = cast<memref::StoreOp>(op);
  auto known = args.find(store.getMemRef());
  if (known == args.end())
    return op->emitOpError("writes a memref that is not an argument of the kernel");
  const Arg &arg = known->second;
  Term at = address(store.getMemRef(), store.getIndices());
  std::string n = std::to_string(width), liveArg = live.empty() ? "" : ", " + live;
  bool lanes = !at.uniform();
  std::string value = lanes ? vector(store.getValue()) : number(store.getValue());
  if (arg.element.isInteger(1))
    value = "r1::cast<unsigned char>(" + value + ")";
  std::string text;
  if (!lanes)
    text = arg.name + "[" + at.text + "] = " + value + ";";
  else if (at.lanes)
    text = "r1::scatter<" + n + ">(" + arg.name + ", " + at.text + ", " + value + liveArg + ");";
  else if (at.stride == 1 && at.align % width == 0 &&
           arg.align % (width * bytesOf(arg.element)) == 0)
    text = (live.empty() ? "r1::store<" : "r1::store_guard<") + n + ">(" + arg.name + " + " + at.text +
           ", " + value + liveArg + ");";
  else
    text = "r1::store_strided<" + n + ">(" + arg.name + ", " + at.text + ", " +
           std::to_string(at.stride) + ", " + value + liveArg + ");";
  const std::string &when = lanes || onceGuard.empty() ? guard : onceGuard;
  out->line(op->getLoc(), when.empty() ? text : "if (" + when + ") " + text);
  return success();
}

namespace {

const char *floatPredicate(arith::CmpFPredicate p) {
  using P = arith::CmpFPredicate;
  switch (p) {
  case P::OEQ:
    return "$0 == $1";
  case P::OGT:
    return "$0 > $1";
  case P::OGE:
    return "$0 >= $1";
  case P::OLT:
    return "$0 < $1";
  case P::OLE:
    return "$0 <= $1";
  case P::ONE:
    return "($0 < $1) || ($0 > $1)";
  case P::ORD:
    return "r1::ordered($0, $1)";
  case P::UEQ:
    return "!(($0 < $1) || ($0 > $1))";
  case P::UGT:
    return "!($0 <= $1)";
  case P::UGE:
    return "!($0 < $1)";
  case P::ULT:
    return "!($0 >= $1)";
  case P::ULE:
    return "!($0 > $1)";
  case P::UNE:
    return "$0 != $1";
  case P::UNO:
    return "r1::unordered($0, $1)";
  case P::AlwaysFalse:
    return "false";
  case P::AlwaysTrue:
    return "true";
  }
  return nullptr;
}

const char *integerPredicate(arith::CmpIPredicate p) {
  using P = arith::CmpIPredicate;
  switch (p) {
  case P::eq:
    return "$0 == $1";
  case P::ne:
    return "$0 != $1";
  case P::slt:
    return "$0 < $1";
  case P::sle:
    return "$0 <= $1";
  case P::sgt:
    return "$0 > $1";
  case P::sge:
    return "$0 >= $1";
  case P::ult:
    return "r1::less_u($0, $1)";
  case P::ule:
    return "!r1::less_u($1, $0)";
  case P::ugt:
    return "r1::less_u($1, $0)";
  case P::uge:
    return "!r1::less_u($0, $1)";
  }
  return nullptr;
}

} // namespace

/// x < c ? c : x with a constant c other than 0, and its like, are one instruction: maxima and minima that
/// keep NaN.
static const char *selectOf(arith::SelectOp op) {
  auto cmp = op.getCondition().getDefiningOp<arith::CmpFOp>();
  FloatAttr c;
  if (cmp && cmp->hasOneUse() && op.getType().isF32() && cmp.getRhs() == op.getTrueValue() &&
      cmp.getLhs() == op.getFalseValue() && matchPattern(cmp.getRhs(), m_Constant(&c)) && !c.getValue().isZero()) {
    if (cmp.getPredicate() == arith::CmpFPredicate::OLT)
      return "r1::maximum($1, $2)";
    if (cmp.getPredicate() == arith::CmpFPredicate::OGT)
      return "r1::minimum($1, $2)";
  }
  return "r1::select($0, $1, $2)";
}

/// The operation on operands `v` of f32 (never a 16-bit float) as a pattern; null: not known.
static const char *patternOf(Operation *op) {
  bool logic = op->getNumResults() == 1 && op->getResult(0).getType().isInteger(1);
  return llvm::TypeSwitch<Operation *, const char *>(op)
      .Case<arith::AddFOp>([](auto) { return "$0 + $1"; })
      .Case<arith::SubFOp>([](auto) { return "$0 - $1"; })
      .Case<arith::MulFOp>([](auto) { return "$0 * $1"; })
      .Case<arith::DivFOp>([](auto) { return "$0 / $1"; })
      .Case<arith::NegFOp>([](auto) { return "-$0"; })
      .Case<arith::MaximumFOp>([](auto) { return "r1::maximum($0, $1)"; })
      .Case<arith::MinimumFOp>([](auto) { return "r1::minimum($0, $1)"; })
      .Case<arith::MaxNumFOp>([](auto) { return "r1::max_num($0, $1)"; })
      .Case<arith::MinNumFOp>([](auto) { return "r1::min_num($0, $1)"; })
      .Case<arith::CmpFOp>([](arith::CmpFOp c) { return floatPredicate(c.getPredicate()); })
      .Case<arith::CmpIOp>([](arith::CmpIOp c) { return integerPredicate(c.getPredicate()); })
      .Case<arith::SelectOp>(selectOf)
      .Case<arith::AddIOp>([](auto) { return "r1::add_wrap($0, $1)"; })
      .Case<arith::SubIOp>([](auto) { return "r1::sub_wrap($0, $1)"; })
      .Case<arith::MulIOp>([](auto) { return "r1::mul_wrap($0, $1)"; })
      .Case<arith::DivSIOp>([](auto) { return "$0 / $1"; })
      .Case<arith::RemSIOp>([](auto) { return "$0 % $1"; })
      .Case<arith::DivUIOp>([](auto) { return "r1::div_u($0, $1)"; })
      .Case<arith::RemUIOp>([](auto) { return "r1::rem_u($0, $1)"; })
      .Case<arith::FloorDivSIOp>([](auto) { return "r1::div_floor($0, $1)"; })
      .Case<arith::MaxSIOp>([](auto) { return "r1::max_i($0, $1)"; })
      .Case<arith::MinSIOp>([](auto) { return "r1::min_i($0, $1)"; })
      .Case<arith::AndIOp>([&](auto) { return logic ? "$0 && $1" : "$0 & $1"; })
      .Case<arith::OrIOp>([&](auto) { return logic ? "$0 || $1" : "$0 | $1"; })
      .Case<arith::XOrIOp>([&](auto) { return logic ? "$0 != $1" : "$0 ^ $1"; })
      .Case<arith::ShLIOp>([](auto) { return "r1::shift_left($0, $1)"; })
      .Case<arith::ShRSIOp>([](auto) { return "r1::shift_right($0, $1)"; })
      .Case<arith::ShRUIOp>([](auto) { return "r1::shift_right_u($0, $1)"; })
      .Case<math::FmaOp>([](auto) { return "r1::fma($0, $1, $2)"; })
      .Case<math::SqrtOp>([](auto) { return "r1::sqrt($0)"; })
      .Case<math::AbsFOp>([](auto) { return "r1::abs($0)"; })
      .Case<math::CopySignOp>([](auto) { return "r1::copysign($0, $1)"; })
      .Case<math::FloorOp>([](auto) { return "r1::floor($0)"; })
      .Case<math::CeilOp>([](auto) { return "r1::ceil($0)"; })
      .Case<math::RoundEvenOp>([](auto) { return "r1::rint($0)"; })
      .Case<math::TruncOp>([](auto) { return "r1::trunc($0)"; })
      .Case<math::RoundOp>([](auto) { return "r1::round($0)"; })
      .Default([](auto) { return nullptr; });
}

/// Without brackets around the whole: for an argument of a call.
static std::string bare(const std::string &x) {
  return x.front() == '(' && isPrimary(x) ? x.substr(1, x.size() - 2) : x;
}

static std::string castTo(Type t, const std::string &x) {
  return "r1::cast<" + typeName(t) + ">(" + bare(x) + ")";
}

std::optional<std::string> Body::expression(Operation *op, ArrayRef<std::string> v) {
  Type result = op->getResult(0).getType();
  Type from = op->getNumOperands() ? op->getOperand(0).getType() : Type();
  if (isa<arith::ExtSIOp>(op) && from.isInteger(1)) // true is -1
    return "-" + castTo(result, v[0]);
  if (isa<arith::ExtFOp, arith::TruncFOp, arith::SIToFPOp, arith::FPToSIOp, arith::IndexCastOp,
          arith::IndexCastUIOp, arith::ExtSIOp>(op))
    return castTo(result, v[0]);
  if (isa<arith::ExtUIOp>(op))
    return from.isInteger(32) ? "r1::widen_u(" + bare(v[0]) + ")" : castTo(result, v[0]);
  if (isa<arith::UIToFPOp>(op) && from.isInteger(1))
    return castTo(result, v[0]);
  if (isa<arith::UIToFPOp>(op) && from.isInteger(32))
    return castTo(result, "r1::widen_u(" + bare(v[0]) + ")");
  if (isa<arith::TruncIOp>(op))
    return result.isInteger(1) ? "(" + v[0] + " & 1) != 0" : castTo(result, v[0]);
  if (isa<arith::BitcastOp>(op))
    return (isa<FloatType>(result) ? "r1::from_bits(" : "r1::bits(") + bare(v[0]) + ")";
  const char *pattern = calm && isa<arith::DivFOp>(op) ? "r1::div_calm($0, $1)" : patternOf(op);
  std::string call;
  if (!pattern) {
    // What has an expansion, in f32.
    if (op->getDialect()->getNamespace() != "math" || op->getNumResults() != 1 || from.isF64())
      return std::nullopt;
    StringRef name = op->getName().stripDialect(); // exp, tanh, powf …
    math->emplace(name.str(), op->getName());
    call = ("r1::" + name + "($0" + (op->getNumOperands() == 2 ? ", $1" : "") + ")").str();
    pattern = call.c_str();
  }
  std::string text;
  for (const char *c = pattern; *c; ++c)
    if (*c == '$') {
      bool argument = pattern[0] != '(' && (c[-(c > pattern)] == '(' || c[-(c > pattern)] == ' ') &&
                      (c[2] == ',' || c[2] == ')');
      ++c;
      text += argument ? bare(v[*c - '0']) : v[*c - '0'];
    } else
      text += *c;
  return text;
}

LogicalResult Body::emit(Operation *op) {
  if (isa<memref::LoadOp>(op))
    return load(op);
  if (isa<memref::StoreOp>(op))
    return store(op);
  if (indexOp(op))
    return success();
  if (auto c = dyn_cast<arith::ConstantOp>(op)) {
    auto attr = dyn_cast<TypedAttr>(c.getValue());
    if (!attr || isa<ElementsAttr>(attr))
      return op->emitOpError("is a table inside a kernel");
    Term t;
    t.text = literal(attr);
    if (t.text.front() == '-')
      t.text = "(" + t.text + ")";
    bind(c.getResult(), t);
    return success();
  }
  bool lanes = false, moves = isa<arith::SelectOp>(op);
  SmallVector<std::string> v;
  for (Value x : op->getOperands()) {
    lanes |= !isUniform(x);
    std::string text = operand(x);
    // Arithmetic on 16-bit floats is done in f32 and rounded once.
    if (isHalf(x.getType()) && !moves && !isa<arith::ExtFOp>(op))
      text = "r1::cast<float>(" + text + ")";
    v.push_back(text);
  }
  if (op->getNumResults() != 1)
    return op->emitOpError("is not supported yet in a CUDA kernel");
  auto text = expression(op, v);
  if (!text)
    return op->emitOpError("is not supported yet in a CUDA kernel");
  Type result = op->getResult(0).getType();
  if (isHalf(result) && !moves && !isa<arith::TruncFOp>(op))
    text = castTo(result, *text);
  define(op, *text, lanes);
  return success();
}

LogicalResult Body::emitBlock(Block *block) {
  for (Operation &op : block->without_terminator())
    if (failed(emit(&op)))
      return failure();
  return success();
}

} // namespace r1::cuda
