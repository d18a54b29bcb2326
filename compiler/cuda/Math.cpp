// The functions of compiler/math as device functions: the same operations in the same order.
#include "compiler/math/MathExpansion.h"
#include "compiler/cuda/Body.h"
#include "compiler/pch.h"

using namespace mlir;
namespace r1::cuda {

LogicalResult printMath(Text &out, const MathFunctions &functions, MLIRContext *context) {
  OpBuilder b(context);
  Location loc = b.getUnknownLoc();
  if (!functions.empty())
    out.line("namespace r1 {");
  for (auto &[name, op] : functions) {
    // Inside MLIR: the operation on plain arguments, then its expansion.
    unsigned inputs = name == "powf" || name == "atan2" ? 2 : 1;
    Block block;
    SmallVector<Type> types(inputs, b.getF32Type());
    block.addArguments(types, SmallVector<Location>(inputs, loc));
    b.setInsertionPointToEnd(&block);
    OperationState state(loc, op.getStringRef(), block.getArguments(), b.getF32Type());
    Operation *call = b.create(state);
    Value result = expandMath(b, call, block.getArguments());
    if (!result)
      return emitError(loc) << "math." << name << " has no expansion for a CUDA kernel yet";
    MathFunctions more;
    Body body(out, more, 1);
    // 1 - 2 / (1 + exp(2 |x|)): the divisor is 2 or more, and beyond 2^26 it does not show.
    if (name == "tanh")
      body.setCalmQuotients();
    SmallVector<std::string> params;
    for (BlockArgument arg : block.getArguments()) {
      std::string p = arg.getArgNumber() ? "y" : "x";
      Term t;
      t.text = p;
      body.bind(arg, t);
      params.push_back("float " + p);
    }
    out.open("R1_FN float " + name + "(" + llvm::join(params, ", ") + ")");
    for (Operation &o : block)
      if (&o != call && failed(body.emit(&o)))
        return failure();
    out.line("return " + body.number(result) + ";");
    out.close();
    out.line("R1_LANES(" + name + ")");
    while (!block.empty())
      block.back().erase();
  }
  if (!functions.empty())
    out.line("} // namespace r1");
  return success();
}

} // namespace r1::cuda
