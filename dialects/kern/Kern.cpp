#include "dialects/kern/Kern.h"
#include "mlir/IR/DialectImplementation.h"

using namespace mlir;
using namespace r1::kern;

#include "dialects/kern/KernDialect.cpp.inc"
#include "dialects/kern/KernEnums.cpp.inc"
#define GET_OP_CLASSES
#include "dialects/kern/KernOps.cpp.inc"

void KernDialect::initialize() {
  addOperations<
#define GET_OP_LIST
#include "dialects/kern/KernOps.cpp.inc"
      >();
}

LogicalResult KernelOp::verify() {
  if (getAlong() != "row" && getAlong() != "sweep")
    return emitOpError("vectorises along \"row\" or \"sweep\", not \"") << getAlong() << "\"";
  Block *block = getBlock();
  size_t rows = getRows().size();
  if (block->getNumArguments() < rows)
    return emitOpError("has ") << rows << " row dims but only " << block->getNumArguments()
                               << " block arguments";
  for (auto [i, arg] : llvm::enumerate(block->getArguments()))
    if (i < rows ? !arg.getType().isIndex() : !isa<MemRefType>(arg.getType()))
      return emitOpError("argument ") << i << " must be " << (i < rows ? "an index" : "a memref");
  for (int64_t w : getWrites())
    if (w < 0 || w >= int64_t(block->getNumArguments() - rows))
      return emitOpError("writes argument ") << w << " of "
                                             << block->getNumArguments() - rows;
  return success();
}

LogicalResult SweepOp::verify() {
  if (getCombine().size() != getNumResults())
    return emitOpError("combines ") << getCombine().size() << " values into " << getNumResults()
                                    << " results";
  if (!getInit().empty() && getInit().size() != getNumResults())
    return emitOpError("has ") << getInit().size() << " initial values for " << getNumResults()
                               << " results";
  if (getBlock()->getNumArguments() != getSizes().size())
    return emitOpError("sweeps ") << getSizes().size() << " dims with "
                                  << getBlock()->getNumArguments() << " indices";
  return success();
}

LogicalResult ProductOp::verify() {
  size_t rank = getBatch().size() + 2;
  if (getSizes().size() != 3)
    return emitOpError("sizes are m, n, k; found ") << getSizes().size();
  if (getA().size() != rank || getB().size() != rank || getC().size() != rank)
    return emitOpError("each operand needs ") << rank << " strides";
  if (getBlock()->getNumArguments() < 7)
    return emitOpError("needs g, m, n, accumulator, A, B and C as block arguments");
  return success();
}
