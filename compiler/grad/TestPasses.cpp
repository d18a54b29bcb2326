// Passes that compute: --r1-eval runs functions on the reference evaluator, --test-grad-fd compares
// every gradient with central differences.
#include "compiler/grad/Grad.h"
#include "compiler/grad/Passes.h"
#include "compiler/grad/ScalarRules.h"
#include "compiler/kernels/Kernels.h"
#include "dialects/r1/R1Build.h"
#include "dialects/r1/R1Eval.h"
#include "mlir/IR/Verifier.h"
#include "llvm/ADT/ScopeExit.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/xxhash.h"
#include <cmath>

using namespace mlir;
using namespace r1;
using namespace r1::ir;

namespace {

/// A number in [0, 1) that depends on `name` and `i` only.
double draw(StringRef name, uint64_t i) {
  uint64_t h = llvm::xxh3_64bits(name) + 0x9e3779b97f4a7c15ull * (i + 1);
  h = (h ^ (h >> 30)) * 0xbf58476d1ce4e5b9ull;
  h = (h ^ (h >> 27)) * 0x94d049bb133111ebull;
  return double((h ^ (h >> 31)) >> 11) * 0x1p-53;
}

EvalTensor filled(RankedTensorType type, llvm::function_ref<double(uint64_t)> value) {
  EvalTensor t;
  t.shape = SmallVector<int64_t>(type.getShape());
  for (int64_t i = 0; i < type.getNumElements(); ++i)
    t.values.push_back(value(i));
  return t;
}

/// Values of a parameter: by its r1.leaf when the module declares it, else uniform in -1..1.
EvalTensor paramValue(ModuleOp module, ParamOp op) {
  auto type = cast<RankedTensorType>(op.getType());
  int dist = 2;
  double a = -1, b = 1;
  for (LeafOp leaf : module.getOps<LeafOp>())
    if (leaf.getPath() == op.getPath()) {
      dist = leaf.getDist();
      a = leaf.getA().convertToDouble();
      b = leaf.getB().convertToDouble();
    }
  return filled(type, [&](uint64_t i) {
    double u = draw(op.getPath(), 2 * i), v = draw(op.getPath(), 2 * i + 1);
    if (dist == 0)
      return a;
    if (dist == 1)
      return a + b * std::sqrt(-2 * std::log(1 - u)) * std::cos(2 * M_PI * v);
    return a + (b - a) * u;
  });
}

/// Arguments: floats uniform in -1..1, integers below their bound (4 without one).
EvalTensor argumentValue(BlockArgument arg) {
  auto type = cast<RankedTensorType>(arg.getType());
  std::string name = "argument " + std::to_string(arg.getArgNumber());
  auto ty = dyn_cast_or_null<TyAttr>(type.getEncoding());
  int64_t bound = ty && ty.getBound() > 0 ? ty.getBound() : 4;
  if (type.getElementType().isInteger(1))
    bound = 2;
  return filled(type, [&](uint64_t i) {
    double u = draw(name, i);
    return isa<FloatType>(type.getElementType()) ? 2 * u - 1 : std::floor(u * bound);
  });
}

EvalContext contextFor(ModuleOp module, func::FuncOp fn) {
  EvalContext context;
  fn.walk([&](ParamOp op) { context.params[op.getPath()] = paramValue(module, op); });
  fn.walk([&](ScalarOp op) {
    context.scalars[op.getScalarName()] =
        filled(cast<RankedTensorType>(op.getType()),
               [&](uint64_t) { return draw(op.getScalarName(), 0); });
  });
  context.random = [](StringRef site, RankedTensorType type) {
    return filled(type, [&](uint64_t i) { return draw(site, i); });
  };
  return context;
}

void print(raw_ostream &os, const EvalTensor &t) {
  os << shapeText(t.shape) << " =";
  for (double v : t.values)
    os << ' ' << llvm::format("%.6g", v == 0 ? 0.0 : v);
  os << '\n';
}

/// Runs each function and prints its results; an r1.expect_close that does not hold is an error.
struct EvalPass : PassWrapper<EvalPass, OperationPass<ModuleOp>> {
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(EvalPass)
  EvalPass() = default;
  EvalPass(const EvalPass &o) : PassWrapper(o) {}
  StringRef getArgument() const override { return "r1-eval"; }
  StringRef getDescription() const override {
    return "runs functions without kernels' own code on the f64 reference evaluator";
  }
  Option<std::string> only{*this, "fn", llvm::cl::desc("run this function only")};

  void runOnOperation() override {
    SmallVector<func::FuncOp> fns;
    getOperation().walk([&](func::FuncOp fn) {
      if (only.empty() ? !fn.isExternal() && !fn.isPrivate() : fn.getSymName() == only)
        fns.push_back(fn);
    });
    for (func::FuncOp fn : fns) {
      auto module = fn->getParentOfType<ModuleOp>();
      EvalContext context = contextFor(module, fn);
      std::vector<EvalTensor> args;
      for (BlockArgument arg : fn.getArguments())
        args.push_back(argumentValue(arg));
      auto results = evaluate(fn, args, context);
      if (failed(results))
        return signalPassFailure();
      for (auto [i, t] : llvm::enumerate(*results)) {
        auto name = fn.getResultAttrOfType<StringAttr>(i, "r1.name");
        llvm::outs() << '@' << fn.getSymName() << ' '
                     << (name ? name.getValue().str() : std::to_string(i)) << ' ';
        print(llvm::outs(), t);
      }
      for (const std::string &m : context.mismatches) {
        fn.emitError() << m;
        signalPassFailure();
      }
    }
  }
};

/// For each function whose first result is a float of rank 0.
struct GradFDPass : PassWrapper<GradFDPass, OperationPass<ModuleOp>> {
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(GradFDPass)
  GradFDPass() = default;
  GradFDPass(const GradFDPass &o) : PassWrapper(o) {}
  StringRef getArgument() const override { return "test-grad-fd"; }
  StringRef getDescription() const override {
    return "compares gradients with central differences on the f64 reference evaluator";
  }
  Option<bool> everyScalar{*this, "every-scalar", llvm::cl::init(false),
                           llvm::cl::desc("fail unless each scalar rule occurs in some function")};

  LogicalResult check(func::FuncOp fn);
  void runOnOperation() override {
    llvm::StringSet<llvm::MallocAllocator> seen;
    SmallVector<func::FuncOp> fns;
    getOperation().walk([&](func::FuncOp fn) {
      auto first = fn.getNumResults() ? dyn_cast<RankedTensorType>(fn.getResultTypes()[0])
                                      : RankedTensorType();
      if (!fn.isPrivate() && first && first.getRank() == 0 &&
          isa<FloatType>(first.getElementType()))
        fns.push_back(fn);
      fn.walk([&](Operation *op) { seen.insert(op->getName().getStringRef()); });
    });
    for (func::FuncOp fn : fns)
      if (failed(check(fn)))
        signalPassFailure();
    if (everyScalar)
      for (StringRef name : scalarRuleNames())
        if (!seen.contains(name)) {
          getOperation().emitError() << "no function tests the derivative of " << name;
          signalPassFailure();
        }
  }
};

LogicalResult GradFDPass::check(func::FuncOp fn) {
  auto module = fn->getParentOfType<ModuleOp>();
  EvalContext context = contextFor(module, fn);
  std::vector<EvalTensor> args;
  for (BlockArgument arg : fn.getArguments())
    args.push_back(argumentValue(arg));

  // A copy that also returns the gradients, beside the original so that symbols are found.
  func::FuncOp copy = fn.clone();
  copy.setSymName((fn.getSymName() + "__fd").str());
  fn->getBlock()->getOperations().insertAfter(Block::iterator(fn), copy);
  llvm::scope_exit cleanUp([&] { copy.erase(); });
  Operation *ret = copy.front().getTerminator();
  SmallVector<Value> wrt;
  SmallVector<std::string> paths;
  for (ParamOp op : copy.front().getOps<ParamOp>()) {
    if (llvm::is_contained(paths, op.getPath()))
      return op.emitError("mention a parameter once in a test of gradients");
    wrt.push_back(op.getResult());
    paths.push_back(op.getPath().str());
  }
  auto grads = differentiate(ret->getOperand(0), wrt);
  if (failed(grads))
    return failure();
  for (auto [x, g] : llvm::zip_equal(wrt, *grads))
    if (!sameTensor(x.getType(), g.getType()))
      return fn.emitError() << "the gradient of " << x.getType() << " has type " << g.getType();
  ret->setOperands(*grads);
  copy.removeResAttrsAttr();
  SmallVector<Type> types(ret->getOperandTypes());
  copy.setFunctionType(FunctionType::get(module.getContext(), copy.getArgumentTypes(), types));
  if (failed(inlineKernelBodies(copy)) || failed(mlir::verify(copy)))
    return failure();
  auto exact = evaluate(copy, args, context);
  if (failed(exact))
    return failure();

  const double h = 1e-5, tolerance = 1e-6;
  for (auto [path, grad] : llvm::zip_equal(paths, *exact)) {
    EvalTensor &x = context.params[path];
    for (size_t i = 0; i < x.values.size(); ++i) {
      double at = x.values[i], y[2];
      for (int side : {0, 1}) {
        x.values[i] = side ? at + h : at - h;
        auto r = evaluate(fn, args, context);
        if (failed(r))
          return failure();
        y[side] = (*r)[0].values[0];
      }
      x.values[i] = at;
      double slope = (y[1] - y[0]) / (2 * h), found = grad.values[i];
      if (!(std::fabs(slope - found) <= tolerance * std::max(1.0, std::fabs(slope)))) {
        std::string numbers;
        llvm::raw_string_ostream(numbers)
            << llvm::format("%.9g, but the difference quotient is %.9g", found, slope);
        return fn.emitError() << "@" << fn.getSymName() << ": the gradient of element " << i
                              << " of \"" << path << "\" is " << numbers;
      }
    }
  }
  return success();
}

} // namespace

void r1::registerGradTestPasses() {
  PassRegistration<EvalPass>();
  PassRegistration<GradFDPass>();
}
