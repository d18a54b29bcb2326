#include "dialects/r1/R1Eval.h"
#include "dialects/r1/ScalarEval.h"
#include "llvm/Support/Format.h"
#include <cmath>

using namespace mlir;
using namespace r1::ir;

namespace {

int64_t volume(ArrayRef<int64_t> shape) {
  int64_t n = 1;
  for (int64_t s : shape)
    n *= s;
  return n;
}

/// Visits every index of `shape` in row-major order.
void forEach(ArrayRef<int64_t> shape, llvm::function_ref<void(ArrayRef<int64_t>)> visit) {
  SmallVector<int64_t> index(shape.size(), 0);
  for (int64_t left = volume(shape); left > 0; --left) {
    visit(index);
    for (int64_t d = int64_t(shape.size()) - 1; d >= 0 && ++index[d] == shape[d]; --d)
      index[d] = 0;
  }
}

int64_t linear(ArrayRef<int64_t> shape, ArrayRef<int64_t> index) {
  int64_t at = 0;
  for (auto [size, i] : llvm::zip_equal(shape, index))
    at = at * size + i;
  return at;
}

int64_t value(AffineExpr e, ArrayRef<int64_t> index) {
  if (auto c = dyn_cast<AffineConstantExpr>(e))
    return c.getValue();
  if (auto d = dyn_cast<AffineDimExpr>(e))
    return index[d.getPosition()];
  auto bin = cast<AffineBinaryOpExpr>(e);
  int64_t l = value(bin.getLHS(), index), r = value(bin.getRHS(), index);
  switch (e.getKind()) {
  case AffineExprKind::Add:
    return l + r;
  case AffineExprKind::Mul:
    return l * r;
  case AffineExprKind::FloorDiv:
    return llvm::divideFloorSigned(l, r);
  case AffineExprKind::CeilDiv:
    return llvm::divideCeilSigned(l, r);
  default:
    return llvm::mod(l, r);
  }
}

SmallVector<int64_t> apply(AffineMap map, ArrayRef<int64_t> index) {
  SmallVector<int64_t> out;
  for (AffineExpr e : map.getResults())
    out.push_back(value(e, index));
  return out;
}

EvalTensor zerosLike(Type type) {
  EvalTensor t;
  t.shape = SmallVector<int64_t>(cast<RankedTensorType>(type).getShape());
  t.values.assign(volume(t.shape), 0.0);
  return t;
}

class Evaluator {
public:
  explicit Evaluator(EvalContext &context) : context(context) {}

  /// The operands of the terminator.
  FailureOr<std::vector<EvalTensor>> block(Block &block, ArrayRef<EvalTensor> args);

private:
  LogicalResult run(Operation *op);
  const EvalTensor &get(Value v) { return values[v]; }

  EvalTensor map(MapOp op, ScalarProgram &program);
  EvalTensor reduce(ReduceOp op);
  EvalTensor contract(ContractOp op);
  EvalTensor gather(GatherOp op);
  EvalTensor scatterAdd(ScatterAddOp op);
  EvalTensor softmax(SoftmaxOp op);
  EvalTensor logSumExp(LogSumExpOp op);
  LogicalResult kernel(KernelOp op);
  LogicalResult rowLoop(RowLoopOp op);
  void expectClose(ExpectCloseOp op);

  EvalContext &context;
  DenseMap<Value, EvalTensor> values;
};

FailureOr<std::vector<EvalTensor>> Evaluator::block(Block &block, ArrayRef<EvalTensor> args) {
  for (auto [arg, v] : llvm::zip_equal(block.getArguments(), args))
    values[arg] = v;
  for (Operation &op : block.without_terminator())
    if (failed(run(&op)))
      return failure();
  std::vector<EvalTensor> results;
  for (Value v : block.getTerminator()->getOperands())
    results.push_back(get(v));
  return results;
}

EvalTensor Evaluator::map(MapOp op, ScalarProgram &program) {
  EvalTensor out = zerosLike(op.getType());
  SmallVector<const EvalTensor *> ins, captures;
  for (Value v : op.getIns())
    ins.push_back(&get(v));
  for (Value v : op.getCaptures())
    captures.push_back(&get(v));
  SmallVector<double> args(ins.size());
  forEach(out.shape, [&](ArrayRef<int64_t> d) {
    for (auto [i, in] : llvm::enumerate(ins))
      args[i] = in->values[linear(in->shape, apply(op.getMap(i), d))];
    out.values[linear(out.shape, d)] = program.run(args, captures, d);
  });
  return out;
}

EvalTensor Evaluator::reduce(ReduceOp op) {
  EvalTensor out = zerosLike(op.getType());
  const EvalTensor &in = get(op.getInput());
  ReduceKind kind = op.getKind();
  double start = kind == ReduceKind::max   ? -INFINITY
                 : kind == ReduceKind::min ? INFINITY
                                           : double(kind == ReduceKind::all);
  out.values.assign(out.values.size(), start);
  forEach(in.shape, [&](ArrayRef<int64_t> d) {
    SmallVector<int64_t> at;
    for (auto [i, x] : llvm::enumerate(d))
      if (!llvm::is_contained(op.getDims(), int64_t(i)))
        at.push_back(x);
    double &sum = out.values[linear(out.shape, at)];
    double x = in.values[linear(in.shape, d)];
    switch (kind) {
    case ReduceKind::sum:
      sum += x;
      break;
    case ReduceKind::max:
      sum = std::isnan(x) ? x : std::max(sum, x);
      break;
    case ReduceKind::min:
      sum = std::isnan(x) ? x : std::min(sum, x);
      break;
    case ReduceKind::any:
      sum = sum != 0 || x != 0;
      break;
    case ReduceKind::all:
      sum = sum != 0 && x != 0;
      break;
    }
  });
  return out;
}

EvalTensor Evaluator::contract(ContractOp op) {
  EvalTensor out = zerosLike(op.getType());
  const EvalTensor &l = get(op.getLhs()), &r = get(op.getRhs());
  forEach(op.getLoopSizes(), [&](ArrayRef<int64_t> d) {
    double &sum = out.values[linear(out.shape, apply(op.getMap(2), d))];
    sum = std::fma(l.values[linear(l.shape, apply(op.getMap(0), d))],
                   r.values[linear(r.shape, apply(op.getMap(1), d))], sum);
  });
  return out;
}

EvalTensor Evaluator::gather(GatherOp op) {
  EvalTensor out = zerosLike(op.getType());
  const EvalTensor &src = get(op.getSrc()), &ids = get(op.getIds());
  forEach(out.shape, [&](ArrayRef<int64_t> d) {
    SmallVector<int64_t> at = apply(op.getMap(0), d);
    at[op.getAxis()] = int64_t(ids.values[linear(ids.shape, apply(op.getMap(1), d))]);
    out.values[linear(out.shape, d)] = src.values[linear(src.shape, at)];
  });
  return out;
}

EvalTensor Evaluator::scatterAdd(ScatterAddOp op) {
  EvalTensor out = zerosLike(op.getType());
  const EvalTensor &updates = get(op.getUpdates()), &ids = get(op.getIds());
  forEach(updates.shape, [&](ArrayRef<int64_t> d) {
    SmallVector<int64_t> at = apply(op.getMap(0), d);
    at[op.getAxis()] = int64_t(ids.values[linear(ids.shape, apply(op.getMap(1), d))]);
    out.values[linear(out.shape, at)] += updates.values[linear(updates.shape, d)];
  });
  return out;
}

/// Cuts `shape` around `axis`: outer positions, the axis, inner positions.
struct Cut {
  int64_t outer, size, inner;
  Cut(ArrayRef<int64_t> shape, int64_t axis)
      : outer(volume(shape.take_front(axis))), size(shape[axis]),
        inner(volume(shape.drop_front(axis + 1))) {}
};

/// The largest element of a row and the sum of the exponentials of the differences to it.
std::pair<double, double> expSum(const EvalTensor &x, const Cut &c, int64_t o, int64_t i) {
  double most = -INFINITY, sum = 0;
  for (int64_t k = 0; k < c.size; ++k)
    most = std::max(most, x.values[(o * c.size + k) * c.inner + i]);
  if (most == -INFINITY)
    return {most, 0.0};
  for (int64_t k = 0; k < c.size; ++k)
    sum += std::exp(x.values[(o * c.size + k) * c.inner + i] - most);
  return {most, sum};
}

EvalTensor Evaluator::softmax(SoftmaxOp op) {
  EvalTensor out = zerosLike(op.getType());
  const EvalTensor &x = get(op.getInput());
  Cut c(x.shape, op.getAxis());
  for (int64_t o = 0; o < c.outer; ++o)
    for (int64_t i = 0; i < c.inner; ++i) {
      auto [most, sum] = expSum(x, c, o, i);
      for (int64_t k = 0; k < c.size && sum > 0; ++k) {
        int64_t at = (o * c.size + k) * c.inner + i;
        out.values[at] = std::exp(x.values[at] - most) / sum;
      }
    }
  return out;
}

EvalTensor Evaluator::logSumExp(LogSumExpOp op) {
  EvalTensor out = zerosLike(op.getType());
  const EvalTensor &x = get(op.getInput());
  Cut c(x.shape, op.getAxis());
  for (int64_t o = 0; o < c.outer; ++o)
    for (int64_t i = 0; i < c.inner; ++i) {
      auto [most, sum] = expSum(x, c, o, i);
      out.values[o * c.inner + i] = sum > 0 ? most + std::log(sum) : -INFINITY;
    }
  return out;
}

LogicalResult Evaluator::kernel(KernelOp op) {
  for (Value r : op.getResults().drop_front())
    if (!r.use_empty())
      return op.emitError() << "the reference body of \"" << op.getKernelName()
                            << "\" defines its first result only; inline it before evaluation";
  auto fn = op.getBody() ? SymbolTable::lookupNearestSymbolFrom<func::FuncOp>(op, op.getBodyAttr())
                         : func::FuncOp();
  if (!fn || fn.isExternal())
    return op.emitError() << "kernel \"" << op.getKernelName() << "\" has no reference body";
  std::vector<EvalTensor> args;
  for (Value v : op.getOperands())
    args.push_back(get(v));
  auto results = evaluate(fn, args, context);
  if (failed(results))
    return failure();
  values[op.getResult(0)] = (*results)[0];
  return success();
}

LogicalResult Evaluator::rowLoop(RowLoopOp op) {
  for (Value r : op.getResults())
    values[r] = zerosLike(r.getType());
  for (int64_t i = 0; i < int64_t(op.getCount()); ++i) {
    std::vector<EvalTensor> args;
    for (Value v : op.getSplit()) {
      const EvalTensor &whole = get(v);
      EvalTensor slice;
      slice.shape = whole.shape;
      slice.shape[0] /= op.getCount();
      int64_t n = volume(slice.shape);
      slice.values.assign(whole.values.begin() + i * n, whole.values.begin() + (i + 1) * n);
      args.push_back(slice);
    }
    for (Value v : op.getWhole())
      args.push_back(get(v));
    auto results = Evaluator(context).block(op.getBody().front(), args);
    if (failed(results))
      return failure();
    for (auto [r, part] : llvm::zip_equal(op.getResults(), *results))
      for (auto [sum, x] : llvm::zip_equal(values[r].values, part.values))
        sum += x;
  }
  return success();
}

void Evaluator::expectClose(ExpectCloseOp op) {
  const EvalTensor &a = get(op.getActual()), &b = get(op.getExpected());
  double atol = op.getAtol().convertToDouble(), rtol = op.getRtol().convertToDouble();
  for (auto [i, x, y] : llvm::enumerate(a.values, b.values)) {
    if (x == y || std::fabs(x - y) <= atol + rtol * std::fabs(y))
      continue;
    std::string text;
    llvm::raw_string_ostream(text)
        << op.getLoc() << ": element " << i << " of " << shapeText(a.shape) << " is "
        << llvm::format("%.9g", x) << ", expected " << llvm::format("%.9g", y);
    context.mismatches.push_back(text);
    return;
  }
}

LogicalResult Evaluator::run(Operation *op) {
  auto lookUp = [&](llvm::StringMap<EvalTensor> &table, StringRef name) -> LogicalResult {
    auto it = table.find(name);
    if (it == table.end())
      return op->emitError() << "no value was given for \"" << name << "\"";
    if (it->second.values.size() != zerosLike(op->getResult(0).getType()).values.size())
      return op->emitError() << "\"" << name << "\" has " << it->second.values.size()
                             << " elements, expected "
                             << zerosLike(op->getResult(0).getType()).values.size();
    values[op->getResult(0)] = it->second;
    return success();
  };
  auto set = [&](EvalTensor t) {
    values[op->getResult(0)] = std::move(t);
    return success();
  };
  return TypeSwitch<Operation *, LogicalResult>(op)
      .Case([&](arith::ConstantOp c) -> LogicalResult {
        auto elements = dyn_cast<DenseElementsAttr>(c.getValue());
        if (!elements)
          return c.emitError("only constant tensors have a meaning here");
        EvalTensor t = zerosLike(c.getType());
        if (isa<FloatType>(elements.getElementType()))
          for (auto [out, v] : llvm::zip_equal(t.values, elements.getValues<APFloat>())) {
            APFloat wide = v;
            bool lost;
            wide.convert(APFloat::IEEEdouble(), APFloat::rmNearestTiesToEven, &lost);
            out = wide.convertToDouble();
          }
        else
          for (auto [out, v] : llvm::zip_equal(t.values, elements.getValues<APInt>()))
            out = v.getBitWidth() == 1 ? double(v.getZExtValue()) : double(v.getSExtValue());
        return set(std::move(t));
      })
      .Case([&](ParamOp p) { return lookUp(context.params, p.getPath()); })
      .Case([&](ScalarOp s) { return lookUp(context.scalars, s.getScalarName()); })
      .Case([&](RandomOp r) -> LogicalResult {
        if (!context.random)
          return r.emitError("no random draws were given");
        return set(context.random(r.getSite(), cast<RankedTensorType>(r.getType())));
      })
      .Case([&](MapOp m) -> LogicalResult {
        auto program = ScalarProgram::compile(*m.getBlock());
        if (failed(program))
          return failure();
        return set(map(m, *program));
      })
      .Case([&](ReduceOp r) { return set(reduce(r)); })
      .Case([&](ContractOp c) { return set(contract(c)); })
      .Case([&](GatherOp g) { return set(gather(g)); })
      .Case([&](ScatterAddOp s) { return set(scatterAdd(s)); })
      .Case([&](SoftmaxOp s) { return set(softmax(s)); })
      .Case([&](LogSumExpOp l) { return set(logSumExp(l)); })
      .Case([&](ReshapeOp r) {
        EvalTensor t = get(r.getInput());
        t.shape = zerosLike(r.getType()).shape;
        return set(std::move(t));
      })
      .Case([&](StopGradOp s) { return set(get(s.getInput())); })
      .Case([&](KernelOp k) { return kernel(k); })
      .Case([&](RowLoopOp l) { return rowLoop(l); })
      .Case([&](ExpectCloseOp e) {
        expectClose(e);
        return success();
      })
      .Case([&](func::CallOp call) -> LogicalResult {
        auto fn = SymbolTable::lookupNearestSymbolFrom<func::FuncOp>(call, call.getCalleeAttr());
        if (!fn || fn.isExternal())
          return call.emitError() << "the function " << call.getCalleeAttr() << " has no body";
        std::vector<EvalTensor> args;
        for (Value v : call.getOperands())
          args.push_back(get(v));
        auto results = evaluate(fn, args, context);
        if (failed(results))
          return failure();
        for (auto [r, t] : llvm::zip_equal(call.getResults(), *results))
          values[r] = t;
        return success();
      })
      .Default([](Operation *o) {
        return o->emitError() << o->getName() << " has no meaning in the reference evaluator";
      });
}

} // namespace

FailureOr<std::vector<EvalTensor>> r1::ir::evaluate(func::FuncOp fn, ArrayRef<EvalTensor> args,
                                                    EvalContext &context) {
  if (fn.isExternal() || fn.getNumArguments() != args.size())
    return fn.emitError() << "takes " << fn.getNumArguments() << " arguments, given "
                          << args.size();
  return Evaluator(context).block(fn.front(), args);
}
