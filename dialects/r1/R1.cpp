#include "dialects/r1/R1.h"
#include "llvm/ADT/TypeSwitch.h"
#include "mlir/IR/DialectImplementation.h"

using namespace mlir;
using namespace r1::ir;

#include "dialects/r1/R1Dialect.cpp.inc"
#include "dialects/r1/R1Enums.cpp.inc"
#define GET_ATTRDEF_CLASSES
#include "dialects/r1/R1Attrs.cpp.inc"
#define GET_TYPEDEF_CLASSES
#include "dialects/r1/R1Types.cpp.inc"
#define GET_OP_CLASSES
#include "dialects/r1/R1Ops.cpp.inc"

void R1Dialect::initialize() {
  addAttributes<
#define GET_ATTRDEF_LIST
#include "dialects/r1/R1Attrs.cpp.inc"
      >();
  addTypes<
#define GET_TYPEDEF_LIST
#include "dialects/r1/R1Types.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "dialects/r1/R1Ops.cpp.inc"
      >();
}

int MapOp::viewOf() {
  auto arg = dyn_cast<BlockArgument>(getBlock()->getTerminator()->getOperand(0));
  if (!arg || arg.getArgNumber() >= getIns().size())
    return -1;
  return arg.getArgNumber();
}

SmallVector<int64_t> ContractOp::getLoopSizes() {
  SmallVector<int64_t> sizes(getMap(0).getNumDims(), 0);
  for (auto [i, value] : llvm::enumerate(getOperands())) {
    auto shape = cast<RankedTensorType>(value.getType()).getShape();
    for (auto [r, e] : llvm::enumerate(getMap(i).getResults()))
      if (auto d = dyn_cast<AffineDimExpr>(e))
        sizes[d.getPosition()] = shape[r];
  }
  return sizes;
}
