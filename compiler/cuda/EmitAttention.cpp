// kern.intrinsic "flash_attention" and its adjoint -> calls of the prelude's templates: on tensor cores
// where the elements are bf16 or f16 and rows are whole pieces of 16 bytes. The mask is a functor,
// inlined, and for tensor cores says as well what it knows of a whole tile.
#include "compiler/cuda/Emit.h"
#include "compiler/pch.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/Matchers.h"
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

/// As attention_one_fits says.
bool oneQuery(int64_t queries, int64_t keys) { return queries == 1 && keys <= 3584; }

/// Rows of a tile of queries and of keys, as attention_mma.cuh plans them.
int64_t tensorQueryRows(int64_t channels, bool backward) {
  int64_t k = ceilDiv(channels, 16) * 16;
  return k <= (backward ? 64 : 128) ? 128 : 64;
}
constexpr int64_t tensorKeyRows = 64;

/// As attention_mma_fits says, of this kernel.
bool tensorCores(const Kernel &k, unsigned inputs, unsigned captures, int64_t channels,
                 bool backward, double scale) {
  Type element = k.args[0].element;
  if ((!element.isBF16() && !element.isF16()) || channels % 8 ||
      channels > (backward ? 128 : 256) || !(scale > 0))
    return false;
  for (auto [i, arg] : llvm::enumerate(k.args))
    if ((i < inputs || i >= inputs + captures) && arg.align % 16)
      return false;
  return true;
}

/// What a mask says of all pairs of queries t0 … t1 and keys s0 … s1, in the words of
/// attention_mma.cuh: indices, constants and integers of a table are spans, comparisons of spans are
/// none, some or all. What is not understood is "some".
class Reach {
public:
  Reach(Block &lambda, const Kernel &k, unsigned inputs)
      : lambda(lambda), k(k), inputs(inputs) {}

  std::string of(Value v) {
    IntegerAttr c;
    if (matchPattern(v, m_Constant(&c)))
      return c.getValue().isZero() ? "0" : "2";
    Operation *op = v.getDefiningOp();
    if (!op)
      return "1";
    if (isa<arith::AndIOp, arith::OrIOp>(op)) {
      std::string a = of(op->getOperand(0)), b = of(op->getOperand(1));
      return (isa<arith::AndIOp>(op) ? "r1::both(" : "r1::either(") + a + ", " + b + ")";
    }
    if (isa<arith::XOrIOp>(op) && matchPattern(op->getOperand(1), m_One()))
      return "r1::opposite(" + of(op->getOperand(0)) + ")";
    auto cmp = dyn_cast<arith::CmpIOp>(op);
    auto x = cmp ? span(cmp.getLhs()) : std::nullopt, y = cmp ? span(cmp.getRhs()) : std::nullopt;
    if (!x || !y)
      return "1";
    used = true;
    switch (cmp.getPredicate()) {
    case arith::CmpIPredicate::eq:
      return "r1::equal(" + *x + ", " + *y + ")";
    case arith::CmpIPredicate::ne:
      return "r1::opposite(r1::equal(" + *x + ", " + *y + "))";
    case arith::CmpIPredicate::sle:
      return "r1::at_most(" + *x + ", " + *y + ")";
    case arith::CmpIPredicate::sge:
      return "r1::at_most(" + *y + ", " + *x + ")";
    case arith::CmpIPredicate::slt:
      return "r1::below(" + *x + ", " + *y + ")";
    case arith::CmpIPredicate::sgt:
      return "r1::below(" + *y + ", " + *x + ")";
    default:
      return "1";
    }
  }
  /// Does the mask say anything beyond "some"?
  bool used = false;

private:
  std::optional<std::string> span(Value v) {
    static const char *const ends[][2] = {{"b", "b"}, {"t0", "t1"}, {"s0", "s1"}};
    for (unsigned i = 0; i < 3; ++i)
      if (v == lambda.getArgument(i))
        return std::string("r1::Span{") + ends[i][0] + ", " + ends[i][1] + "}";
    IntegerAttr c;
    if (matchPattern(v, m_Constant(&c)) && c.getValue().getSignificantBits() <= 32) {
      std::string n = std::to_string(c.getValue().getSExtValue());
      return "r1::Span{" + n + ", " + n + "}";
    }
    Operation *op = v.getDefiningOp();
    if (op && isa<arith::IndexCastOp>(op) && !op->getResult(0).getType().isInteger(64) &&
        !op->getOperand(0).getType().isInteger(64))
      return span(op->getOperand(0));
    auto load = dyn_cast_or_null<memref::LoadOp>(op);
    return load ? table(load) : std::nullopt;
  }
  /// Integers of a table that one of t and s, or none of them, runs through.
  std::optional<std::string> table(memref::LoadOp load) {
    auto from = dyn_cast<BlockArgument>(load.getMemRef());
    if (!from || from.getOwner() != &lambda || !load.getType().isInteger(32))
      return std::nullopt;
    auto shape = load.getMemRefType().getShape();
    int64_t stride = 1, step = 0;
    std::string place, count = "1";
    for (int64_t i = int64_t(shape.size()) - 1; i >= 0; stride *= shape[i--]) {
      Value index = load.getIndices()[i];
      std::string by = " * " + std::to_string(stride);
      IntegerAttr c;
      if (matchPattern(index, m_Constant(&c)))
        place += " + " + std::to_string(c.getInt() * stride);
      else if (index == lambda.getArgument(0))
        place += " + b" + by;
      else if (step == 0 && (index == lambda.getArgument(1) || index == lambda.getArgument(2))) {
        bool query = index == lambda.getArgument(1);
        step = stride;
        place += std::string(query ? " + t0" : " + s0") + by;
        count = query ? "t1 - t0 + 1" : "s1 - s0 + 1";
      } else {
        return std::nullopt;
      }
    }
    return "r1::span_of(" + k.args[inputs + from.getArgNumber() - 3].name + place + ", " + count +
           ", " + std::to_string(step) + ")";
  }

  Block &lambda;
  const Kernel &k;
  unsigned inputs;
};

} // namespace

LogicalResult emitAttention(kern::IntrinsicOp op, const EmitOptions &options, Kernel &k) {
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
  Value verdict = lambda.getTerminator()->getOperand(0);
  text.line("return " + body.number(verdict) + ";");
  text.close();
  bool tensor = tensorCores(k, inputs, captures, K, backward, scale);
  if (tensor) {
    Reach reach(lambda, k, inputs);
    std::string tiles = reach.of(verdict);
    if (reach.used || tiles == "2") {
      text.open("R1_FN r1::Reach reach(int b, int t0, int t1, int s0, int s1) const");
      text.line("return " + tiles + ";");
      text.close();
    }
  }
  text.close("};");

  MLIRContext *context = op.getContext();
  std::string args;
  for (unsigned i = 0; i < k.args.size(); ++i)
    if (i < inputs || i >= inputs + captures)
      args += k.args[i].name + ", ";
  if (!backward && op.getWrites().size() == 1)
    args += "(float *)nullptr, ";
  args += allow + "{" + llvm::join(captured, ", ") + "}";
  if (!tensor) { // tensor cores have an exponential of their own
    k.math.emplace("exp", OperationName(math::ExpOp::getOperationName(), context));
    args += ", [](float x) { return r1::exp(x); }";
  }
  if (!backward) {
    k.math.emplace("log", OperationName(math::LogOp::getOperationName(), context));
    args += ", [](float x) { return r1::log(x); }";
  }
  bool one = !tensor && !backward && oneQuery(T, S);
  bool wgmma = tensor && hasWgmma(options.arch) && ceilDiv(K, 16) * 16 == 64;
  int64_t rows = wgmma ? 64 : tensor ? tensorQueryRows(K, backward) : tileRows(K, backward);
  int64_t keyRows = tensor ? tensorKeyRows : rows;
  k.grid.threads = one ? 256 : 128;
  k.grid.blocks = B * H * ceilDiv(T, rows) + (backward ? B * G * ceilDiv(S, keyRows) : 0);
  std::string way = std::string(backward ? "attention_backward" : one ? "attention_one" : "attention_forward") +
                    (wgmma ? "_wgmma" : tensor ? "_mma" : "");
  std::string agree = "r1::" + way + "_blocks<" + shape + ">() == " + std::to_string(k.grid.blocks) +
                      " && r1::" + (one ? "attention_one_threads" : "attention_threads") + " == " + std::to_string(k.grid.threads);
  if (wgmma) {
    // Tiles of 64 rows of 128 bytes: x, two of u and one of w; for the adjoint y and terms of 128 columns, too. A
    // byte for each tile of columns.
    k.grid.residents = backward ? 3 : 4;
    k.sharedBytes = backward ? 5 * 64 * 128 + 128 * 4 + ceilDiv(std::max(S, T), 1024) * 16
                             : 4 * 64 * 128 + ceilDiv(S, 1024) * 16;
    agree += " && r1::" + way + "_shared<" + shape + ">() == " + std::to_string(k.sharedBytes);
  }
  text.line("static_assert(" + agree + ", \"the grid\");");
  k.body.line(op.getLoc(), "r1::" + way + "<" + shape + ">(" + args + ");");
  if (one)
    k.why = "one query per block";
  else
    k.why = (wgmma ? "wgmma, " : tensor ? "tensor cores, " : "") + std::to_string(rows) + " queries" +
            (backward ? ", then " + std::to_string(keyRows) + " keys," : "") + " per block";
  return success();
}

} // namespace r1::cuda
