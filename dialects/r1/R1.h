// The r1 dialect: what a program means. See R1Ops.td for the ops, dialects/README.md for why.
#pragma once
#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/Interfaces/ControlFlowInterfaces.h"
#include "mlir/Interfaces/InferTypeOpInterface.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

#include "dialects/r1/R1Dialect.h.inc"
#include "dialects/r1/R1Enums.h.inc"
#define GET_ATTRDEF_CLASSES
#include "dialects/r1/R1Attrs.h.inc"
#define GET_TYPEDEF_CLASSES
#include "dialects/r1/R1Types.h.inc"
#define GET_OP_CLASSES
#include "dialects/r1/R1Ops.h.inc"

namespace r1::ir {
/// Equal shapes and element types; encodings are metadata and do not count.
bool sameTensor(mlir::Type a, mlir::Type b);
/// "[4, 8]"
std::string shapeText(llvm::ArrayRef<int64_t> shape);
} // namespace r1::ir
