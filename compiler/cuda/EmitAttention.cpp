// kern.intrinsic "flash_attention" and its adjoint -> calls of the prelude's templates; the mask is
// a functor, inlined.
#include "compiler/cuda/Emit.h"
#include "compiler/pch.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include <cmath>

using namespace mlir;
namespace r1::cuda {
namespace {

int64_t pick(bool c, int64_t a, int64_t b) { return c ? a : b; }

/// Rows of a tile, as attention_tiles.cuh plans them; the text asserts that they agree.
int64_t tileRows(int64_t channels, bool backward) {
  int64_t k = ceilDiv(channels, 16) * 16;
  return 8 * (backward ? pick(k <= 64, 8, pick(k <= 128, 4, 1)) : pick(k <= 128, 8, 2));
}

} // namespace

LogicalResult emitAttention(kern::IntrinsicOp op, Kernel &k) {
  bool backward = op.getName() == "flash_attention_bwd";
  if (!backward && op.getName() != "flash_attention")
    return op.emitOpError("is not supported yet in a CUDA kernel");
  unsigned inputs = backward ? 6 : 3, captures = k.args.size() - inputs - op.getWrites().size();
  Block &lambda = op.getLambdas()[0].front();
  if (op.getLambdas().size() != 1 || lambda.getNumArguments() != 3 + captures ||
      k.args[0].shape.size() != 4)
    return op.emitOpError("takes ") << inputs << " inputs, captures, results and one lambda";
  auto q = k.args[0].shape, kv = k.args[1].shape;
  int64_t B = q[0], T = q[1], H = q[2], K = q[3], S = kv[1], G = kv[2];
  if (K > 256)
    return op.emitOpError("has heads of ") << K << " channels; a CUDA kernel takes 256 at most";
  Type element = k.args[0].element;
  for (unsigned i : {1u, 2u})
    if (k.args[i].element != element)
      return op.emitOpError("mixes element types; they must be ") << element;
  auto given = op.getParams().getAs<FloatAttr>("scale");
  double scale = given ? given.getValueAsDouble() : 1.0 / std::sqrt(double(K));

  Text &text = k.before;
  std::string shape = k.name + "_shape";
  text.open("struct " + shape);
  text.line("static constexpr int B = " + Twine(B) + ", T = " + Twine(T) + ", S = " + Twine(S) +
            ", H = " + Twine(H) + ", G = " + Twine(G) + ", K = " + Twine(K) + ";");
  text.line("static constexpr float scale = " +
            literal(cast<TypedAttr>(FloatAttr::get(Float32Type::get(op.getContext()), scale))) + ";");
  text.close("};");

  // May query t see key s?
  std::string allow = k.name + "_allow";
  text.open("struct " + allow);
  Body body(text, k.math, 1);
  SmallVector<std::string> captured;
  for (unsigned i = 0; i < captures; ++i) {
    Arg arg = k.args[inputs + i];
    text.line("R1_PTR(const " + storedName(arg.element) + ") " + arg.name + ";");
    body.bindArg(lambda.getArgument(3 + i), arg);
    captured.push_back(arg.name);
  }
  const char *const names[] = {"b", "t", "s"};
  for (unsigned i = 0; i < 3; ++i)
    body.bind(lambda.getArgument(i), Term::index(names[i]));
  text.open("R1_FN bool operator()(int b, int t, int s) const");
  if (failed(body.emitBlock(&lambda)))
    return failure();
  text.line("return " + body.number(lambda.getTerminator()->getOperand(0)) + ";");
  text.close();
  text.close("};");

  MLIRContext *context = op.getContext();
  k.math.emplace("exp", OperationName(math::ExpOp::getOperationName(), context));
  std::string args;
  for (unsigned i = 0; i < k.args.size(); ++i)
    if (i < inputs || i >= inputs + captures)
      args += k.args[i].name + ", ";
  if (!backward && op.getWrites().size() == 1)
    args += "(float *)nullptr, ";
  args += allow + "{" + llvm::join(captured, ", ") + "}, ";
  args += "[](float x) { return r1::exp(x); }";
  if (!backward) {
    k.math.emplace("log", OperationName(math::LogOp::getOperationName(), context));
    args += ", [](float x) { return r1::log(x); }";
  }
  int64_t rows = tileRows(K, backward);
  k.grid.threads = 128;
  k.grid.blocks = B * H * ceilDiv(T, rows) + (backward ? B * G * ceilDiv(S, rows) : 0);
  std::string way = backward ? "attention_backward" : "attention_forward";
  text.line("static_assert(r1::" + way + "_blocks<" + shape + ">() == " + Twine(k.grid.blocks) +
            " && r1::attention_threads == " + Twine(k.grid.threads) + ", \"the grid\");");
  k.body.line(op.getLoc(), "r1::" + way + "<" + shape + ">(" + args + ");");
  k.why = std::to_string(rows) + (backward ? " queries, then keys," : " queries") + " per block";
  return success();
}

} // namespace r1::cuda
