#include "dialects/r1/ScalarEval.h"
#include <cmath>

using namespace mlir;
using namespace r1::ir;

namespace {

using Fn = double (*)(const double *x);
struct Entry {
  const char *op;
  Fn fn;
};

double floorMod(double a, double b) { return a - std::floor(a / b) * b; }
uint64_t bits(double x) { return uint64_t(int64_t(x)); }

#define F(...) [](const double *x) -> double { return __VA_ARGS__; }
// clang-format off
const Entry table[] = {
    {"arith.addf", F(x[0] + x[1])},       {"arith.addi", F(x[0] + x[1])},
    {"arith.subf", F(x[0] - x[1])},       {"arith.subi", F(x[0] - x[1])},
    {"arith.mulf", F(x[0] * x[1])},       {"arith.muli", F(x[0] * x[1])},
    {"arith.divf", F(x[0] / x[1])},       {"arith.negf", F(-x[0])},
    {"arith.remf", F(std::fmod(x[0], x[1]))},
    {"arith.divsi", F(std::trunc(x[0] / x[1]))}, {"arith.divui", F(std::trunc(x[0] / x[1]))},
    {"arith.floordivsi", F(std::floor(x[0] / x[1]))},
    {"arith.ceildivsi", F(std::ceil(x[0] / x[1]))},
    {"arith.remsi", F(std::fmod(x[0], x[1]))},   {"arith.remui", F(floorMod(x[0], x[1]))},
    {"arith.andi", F(double(int64_t(bits(x[0]) & bits(x[1]))))},
    {"arith.ori", F(double(int64_t(bits(x[0]) | bits(x[1]))))},
    {"arith.xori", F(double(int64_t(bits(x[0]) ^ bits(x[1]))))},
    {"arith.select", F(x[0] != 0 ? x[1] : x[2])},
    {"arith.maximumf", F(std::isnan(x[0]) || std::isnan(x[1]) ? NAN : std::max(x[0], x[1]))},
    {"arith.minimumf", F(std::isnan(x[0]) || std::isnan(x[1]) ? NAN : std::min(x[0], x[1]))},
    {"arith.maxnumf", F(std::fmax(x[0], x[1]))}, {"arith.minnumf", F(std::fmin(x[0], x[1]))},
    {"arith.maxsi", F(std::max(x[0], x[1]))},    {"arith.minsi", F(std::min(x[0], x[1]))},
    {"arith.maxui", F(std::max(x[0], x[1]))},    {"arith.minui", F(std::min(x[0], x[1]))},
    {"arith.extf", F(x[0])},      {"arith.truncf", F(x[0])},    {"arith.extsi", F(x[0])},
    {"arith.extui", F(x[0])},     {"arith.trunci", F(x[0])},    {"arith.index_cast", F(x[0])},
    {"arith.index_castui", F(x[0])},
    {"arith.sitofp", F(x[0])},    {"arith.uitofp", F(x[0])},
    {"arith.fptosi", F(std::trunc(x[0]))},       {"arith.fptoui", F(std::trunc(x[0]))},
    {"math.absf", F(std::fabs(x[0]))},    {"math.absi", F(std::fabs(x[0]))},
    {"math.exp", F(std::exp(x[0]))},      {"math.exp2", F(std::exp2(x[0]))},
    {"math.expm1", F(std::expm1(x[0]))},  {"math.log", F(std::log(x[0]))},
    {"math.log2", F(std::log2(x[0]))},    {"math.log1p", F(std::log1p(x[0]))},
    {"math.sqrt", F(std::sqrt(x[0]))},    {"math.rsqrt", F(1.0 / std::sqrt(x[0]))},
    {"math.sin", F(std::sin(x[0]))},      {"math.cos", F(std::cos(x[0]))},
    {"math.tanh", F(std::tanh(x[0]))},    {"math.erf", F(std::erf(x[0]))},
    {"math.powf", F(std::pow(x[0], x[1]))},      {"math.fma", F(x[0] * x[1] + x[2])},
    {"math.copysign", F(std::copysign(x[0], x[1]))},
    {"math.floor", F(std::floor(x[0]))},  {"math.ceil", F(std::ceil(x[0]))},
    {"math.trunc", F(std::trunc(x[0]))},  {"math.round", F(std::round(x[0]))},
    {"math.roundeven", F(std::nearbyint(x[0]))},
};
// clang-format on

/// Comparisons: the predicate chooses the function.
Fn comparison(Operation *op) {
  if (auto i = dyn_cast<arith::CmpIOp>(op)) {
    switch (i.getPredicate()) {
    case arith::CmpIPredicate::eq:
      return F(x[0] == x[1]);
    case arith::CmpIPredicate::ne:
      return F(x[0] != x[1]);
    case arith::CmpIPredicate::slt:
    case arith::CmpIPredicate::ult:
      return F(x[0] < x[1]);
    case arith::CmpIPredicate::sle:
    case arith::CmpIPredicate::ule:
      return F(x[0] <= x[1]);
    case arith::CmpIPredicate::sgt:
    case arith::CmpIPredicate::ugt:
      return F(x[0] > x[1]);
    case arith::CmpIPredicate::sge:
    case arith::CmpIPredicate::uge:
      return F(x[0] >= x[1]);
    }
  }
  if (auto f = dyn_cast<arith::CmpFOp>(op)) {
    switch (f.getPredicate()) {
    case arith::CmpFPredicate::OEQ:
      return F(x[0] == x[1]);
    case arith::CmpFPredicate::ONE:
      return F(x[0] < x[1] || x[0] > x[1]);
    case arith::CmpFPredicate::UNE:
      return F(x[0] != x[1]);
    case arith::CmpFPredicate::OLT:
      return F(x[0] < x[1]);
    case arith::CmpFPredicate::OLE:
      return F(x[0] <= x[1]);
    case arith::CmpFPredicate::OGT:
      return F(x[0] > x[1]);
    case arith::CmpFPredicate::OGE:
      return F(x[0] >= x[1]);
    case arith::CmpFPredicate::ULT:
      return F(!(x[0] >= x[1]));
    case arith::CmpFPredicate::ULE:
      return F(!(x[0] > x[1]));
    case arith::CmpFPredicate::UGT:
      return F(!(x[0] <= x[1]));
    case arith::CmpFPredicate::UGE:
      return F(!(x[0] < x[1]));
    case arith::CmpFPredicate::UEQ:
      return F(!(x[0] < x[1] || x[0] > x[1]));
    case arith::CmpFPredicate::ORD:
      return F(!std::isnan(x[0]) && !std::isnan(x[1]));
    case arith::CmpFPredicate::UNO:
      return F(std::isnan(x[0]) || std::isnan(x[1]));
    case arith::CmpFPredicate::AlwaysTrue:
      return F(double(x == x));
    case arith::CmpFPredicate::AlwaysFalse:
      return F(double(x != x));
    }
  }
  return nullptr;
}
#undef F

Fn functionOf(Operation *op) {
  // All ones, as an integer of one bit, is true.
  if (op->getName().getStringRef() == "arith.extsi" && op->getOperand(0).getType().isInteger(1))
    return [](const double *x) -> double { return -x[0]; };
  for (const Entry &entry : table)
    if (op->getName().getStringRef() == entry.op)
      return entry.fn;
  return comparison(op);
}

} // namespace

FailureOr<ScalarProgram> ScalarProgram::compile(Block &block) {
  ScalarProgram p;
  DenseMap<Value, unsigned> slot;
  unsigned captures = 0;
  DenseMap<Value, unsigned> captureOf;
  for (BlockArgument arg : block.getArguments())
    if (isa<RankedTensorType>(arg.getType()))
      captureOf[arg] = captures++;
    else
      slot.try_emplace(arg, slot.size());
  for (Operation &op : block.without_terminator()) {
    Step step;
    if (op.getNumResults() != 1)
      return op.emitError() << op.getName() << " has no meaning in the body of a map";
    auto slots = [&](OperandRange range) {
      for (Value v : range)
        step.from.push_back(slot.lookup(v));
    };
    if (auto constant = dyn_cast<arith::ConstantOp>(op)) {
      step.kind = Step::Constant;
      if (auto f = dyn_cast<FloatAttr>(constant.getValue()))
        step.number = f.getValueAsDouble();
      else if (auto i = dyn_cast<IntegerAttr>(constant.getValue()))
        step.number = i.getType().isInteger(1) ? i.getValue().getZExtValue() : double(i.getInt());
      else
        return op.emitError("this constant has no meaning in the body of a map");
    } else if (auto index = dyn_cast<IndexOp>(op)) {
      step.kind = Step::Index;
      step.dim = index.getDim();
    } else if (auto read = dyn_cast<ReadOp>(op)) {
      step.kind = Step::Read;
      step.dim = captureOf.lookup(read.getTensor());
      slots(read.getIndices());
      step.from.push_back(slot.lookup(read.getOtherwise()));
    } else {
      step.kind = Step::Apply;
      step.fn = functionOf(&op);
      if (!step.fn)
        return op.emitError() << op.getName() << " has no meaning in the reference evaluator";
      slots(op.getOperands());
    }
    step.out = slot.size();
    slot.try_emplace(op.getResult(0), step.out);
    p.steps.push_back(step);
  }
  p.slots.resize(slot.size());
  p.result = slot.lookup(block.getTerminator()->getOperand(0));
  return p;
}

double ScalarProgram::run(ArrayRef<double> args, ArrayRef<const EvalTensor *> captures,
                          ArrayRef<int64_t> index) {
  llvm::copy(args, slots.begin());
  for (const Step &step : steps) {
    double &out = slots[step.out];
    switch (step.kind) {
    case Step::Constant:
      out = step.number;
      break;
    case Step::Index:
      out = double(index[step.dim]);
      break;
    case Step::Read: {
      const EvalTensor &t = *captures[step.dim];
      int64_t linear = 0;
      bool inside = true;
      for (auto [d, size] : llvm::enumerate(t.shape)) {
        int64_t i = int64_t(slots[step.from[d]]);
        inside &= i >= 0 && i < size;
        linear = linear * size + i;
      }
      out = inside ? t.values[linear] : slots[step.from.back()];
      break;
    }
    case Step::Apply: {
      double x[4] = {};
      for (auto [i, s] : llvm::enumerate(step.from))
        x[i] = slots[s];
      out = step.fn(x);
      break;
    }
    }
  }
  return slots[result];
}
